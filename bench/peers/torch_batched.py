"""AdLaLa in PyTorch with replicas as the leading axis: gradient written by hand, torch.randn noise, no autograd.

Choices were made by timing (CPU): with few inputs, sums of products beat baddbmm (eager twice as fast at d 20; compiled
by up to 1.7 times), with many inputs it is the other way round; in the compiled variant, noise and minibatches drawn
outside the compiled function by PyTorch's own generator are three times as fast as TorchInductor's.
"""

import math
import warnings
from typing import Any

import torch

from gpu_thermo.engines.base import cores

from ..cases import EPSILON, GAMMA, SIGMA, TAU, Case, H, Health, arrays, kinetic, loss_of
from ..common import timed

FEW_INPUTS = 4


def gradient(case: Case, q: Any, x: Any, y: Any) -> Any:
    """Gradient [R, P] of the mean loss, each replica on its minibatch x [R, B, m], y [R, B] (or one-hot [R, B, n])."""
    d, m, n, n1, r = case.hidden, case.inputs, case.outputs, case.hidden_parameters, q.shape[0]
    w1, b1 = q[:, : m * d].view(r, d, m), q[:, m * d : n1]
    w2, b2 = q[:, n1 : n1 + n * d].view(r, n, d), q[:, n1 + n * d :]
    few = m <= FEW_INPUTS and n == 1
    if few:
        z = b1[:, None, :] + sum(x[:, :, k, None] * w1[:, None, :, k] for k in range(m))
    else:
        z = torch.baddbmm(b1[:, None, :], x, w1.transpose(1, 2))
    hidden = z.relu()
    if few:
        residual = (((hidden * w2).sum(-1, keepdim=True) + b2[:, None, :]).sigmoid() - y[:, :, None]) / case.batch
        g2 = (residual * hidden).sum(1)
        back = residual * w2 * (z > 0)
        g1 = torch.stack([(back * x[:, :, k, None]).sum(1) for k in range(m)], -1)
    else:
        out = torch.baddbmm(b2[:, None, :], hidden, w2.transpose(1, 2))
        residual = (out.sigmoid() - y[:, :, None] if n == 1 else out.softmax(-1) - y) / case.batch
        g2 = torch.bmm(residual.transpose(1, 2), hidden)
        back = torch.bmm(residual, w2) * (z > 0)
        g1 = torch.bmm(back.transpose(1, 2), x)
    return torch.cat([g1.reshape(r, -1), back.sum(1), g2.reshape(r, -1), residual.sum(1)], 1)


def step(case: Case, x: Any, y: Any, state: Any, noise: Any, index: Any) -> tuple[Any, ...]:
    """B A (C D E D C | O) A B, the gradient of the last B reused by the next step's first."""
    q, p, g, xi = state
    n1 = case.hidden_parameters
    p = p - H / 2 * g
    q = q + H / 2 * p
    first, second = p[:, :n1], p[:, n1:]
    scale, a = SIGMA * math.sqrt(H / 2), math.exp(-GAMMA * H)
    first = first * torch.exp(-H / 2 * xi) + scale * noise[0]
    xi = xi + H * EPSILON * ((first * first).sum(1, keepdim=True) - n1 * TAU)
    first = (first + scale * noise[1]) * torch.exp(-H / 2 * xi)
    second = a * second + math.sqrt(TAU * (1 - a * a)) * noise[2]
    p = torch.cat([first, second], 1)
    q = q + H / 2 * p
    g = gradient(case, q, x[index], y[index])
    return q, p - H / 2 * g, g, xi


class TorchBatched:
    """R replicas of AdLaLa, eager or through torch.compile."""

    def __init__(self, case: Case, replicas: int, compiled: bool = False, device: str = "cpu") -> None:
        torch.manual_seed(0)
        self._threads = cores()
        self.case, self.replicas, self._device = case, replicas, device
        x, y = arrays(case)
        self._x, labels = torch.as_tensor(x, device=device), torch.as_tensor(y, device=device)
        self._y = labels.float() if case.outputs == 1 else torch.nn.functional.one_hot(labels, case.outputs).float()
        shape = (replicas, case.parameters)
        zeros = [torch.zeros(shape, device=device) for _ in range(2)]
        self._state: Any = (0.01 * torch.randn(shape, device=device), *zeros, torch.zeros((replicas, 1), device=device))
        if compiled:
            torch._dynamo.reset()  # other sizes would make it compile for all sizes at once
        self._step = torch.compile(step, dynamic=False) if compiled else step
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the compiler's own imports
            self.advance(2)
            self._threads = min(
                (cores(), 1), key=self._seconds
            )  # one thread is faster where others use the cores, or R is small

    def _seconds(self, threads: int) -> float:
        self._threads = threads
        self.advance(1)
        return timed(lambda: self.advance(3))

    @torch.inference_mode()
    def advance(self, steps: int) -> int:
        """Advance by `steps` steps; waits for the device."""
        torch.set_num_threads(self._threads)
        case, r = self.case, self.replicas
        sizes = (case.hidden_parameters, case.hidden_parameters, case.parameters - case.hidden_parameters)
        for _ in range(steps):
            noise = [torch.randn((r, n), device=self._device) for n in sizes]
            index = torch.randint(0, case.points, (r, case.batch), device=self._device)
            self._state = self._step(case, self._x, self._y, self._state, noise, index)
        if self._device != "cpu":
            torch.cuda.synchronize()
        return steps

    def health(self) -> Health:
        """Loss and kinetic temperature now."""
        q, p = (self._state[i].cpu().numpy() for i in (0, 1))
        return Health(loss_of(self.case, q), kinetic(self.case, p))
