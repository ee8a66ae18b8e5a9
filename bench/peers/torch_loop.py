"""AdLaLa on one network as LMV's published code has it: an nn.Module, loss.backward(), loops over parameters, random
minibatches.

Two things are kinder than that code: one thread (faster than two at this size) and a thermostat sum without host
copies.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import nn

from gpu_thermo.engines.base import cores

from ..cases import EPSILON, GAMMA, SIGMA, TAU, Case, H, Health, arrays, loss_of


class Net(nn.Module):
    """The single-hidden-layer perceptron."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.fc1 = nn.Linear(case.inputs, case.hidden)
        self.fc2 = nn.Linear(case.hidden, case.outputs)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.01)

    def forward(self, x: Any) -> Any:
        """Logits [B, n]."""
        return self.fc2(torch.relu(self.fc1(x)))


class TorchLoop:
    """One network."""

    replicas = 1

    def __init__(self, case: Case) -> None:
        torch.manual_seed(0)
        self.case, self.net = case, Net(case)
        x, y = arrays(case)
        self._x = torch.as_tensor(x)
        self._y = torch.as_tensor(y).float()[:, None] if case.outputs == 1 else torch.as_tensor(y)
        self._criterion: Any = nn.BCEWithLogitsLoss() if case.outputs == 1 else nn.CrossEntropyLoss()
        self._hidden, self._output = list(self.net.fc1.parameters()), list(self.net.fc2.parameters())
        self._momenta = [torch.zeros_like(p) for p in self.net.parameters()]
        self._xi = torch.zeros(())
        self._backward()
        self.advance(2)

    def _backward(self) -> None:
        index = torch.randperm(self.case.points)[: self.case.batch]
        self.net.zero_grad()
        self._criterion(self.net(self._x[index]), self._y[index]).backward()

    def _kick(self, parameters: list[Any], momenta: list[Any]) -> None:
        for q, p in zip(parameters, momenta, strict=True):
            p.sub_(q.grad, alpha=H / 2)

    def _drift(self, parameters: list[Any], momenta: list[Any]) -> None:
        for q, p in zip(parameters, momenta, strict=True):
            q.data.add_(p, alpha=H / 2)

    def _damp_and_diffuse(self, momenta: list[Any], damp_first: bool) -> None:
        factor = torch.exp(-H / 2 * self._xi)
        for p in momenta:
            if damp_first:
                p.mul_(factor)
            p.add_(torch.randn_like(p), alpha=SIGMA * math.sqrt(H / 2))
            if not damp_first:
                p.mul_(factor)

    def _one_step(self) -> None:
        parameters, momenta = self._hidden + self._output, self._momenta
        first, second = momenta[: len(self._hidden)], momenta[len(self._hidden) :]
        self._kick(parameters, momenta)
        self._drift(parameters, momenta)
        self._damp_and_diffuse(first, True)
        square = torch.stack([(p * p).sum() for p in first]).sum()
        self._xi = self._xi + H * EPSILON * (square - self.case.hidden_parameters * TAU)
        self._damp_and_diffuse(first, False)
        a = math.exp(-GAMMA * H)
        for p in second:
            p.mul_(a).add_(torch.randn_like(p), alpha=math.sqrt(TAU * (1 - a * a)))
        self._drift(parameters, momenta)
        self._backward()
        self._kick(parameters, momenta)

    def advance(self, steps: int) -> int:
        """Advance by `steps` steps."""
        torch.set_num_threads(1)
        for _ in range(steps):
            self._one_step()
        torch.set_num_threads(cores())
        return steps

    def health(self) -> Health:
        """Loss and kinetic temperature now."""
        with torch.no_grad():
            q = np.concatenate([p.numpy().ravel() for p in self.net.parameters()])
            p = np.concatenate([p.numpy().ravel() for p in self._momenta[: len(self._hidden)]])
        return Health(loss_of(self.case, q[None]), float((p * p).mean()))
