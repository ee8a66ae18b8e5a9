"""A user's own network as a model: its tensors and outputs, with our likelihood and prior."""

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from ...errors import DeviceError, SpecError
from ...streams import Keys, Purpose, normals
from ..base import Layout
from ..networks import MlpModel
from ..priors import FAN_IN
from ..records import Tail
from .base import OwnNetwork

Array = Any


@dataclass(frozen=True)
class OwnModel(MlpModel):
    """The model whose network is the user's. `hidden` is its width, a number for bills and blocks only.

    Parameters draw the lanes of their flat order, the likelihood's own after them (equations.md section 12).
    """

    network: OwnNetwork | None = None

    has_kernels = False

    @classmethod
    def of(cls, model: MlpModel, network: OwnNetwork) -> "OwnModel":
        """All choices of `model` but the network."""
        chosen = {f.name: getattr(model, f.name) for f in fields(MlpModel)}
        return cls(**{**chosen, "hidden": (network.width(model.inputs),)}, network=network)

    @property
    def own(self) -> OwnNetwork:
        """The network."""
        assert self.network is not None
        return self.network

    @property
    def library(self) -> str:  # type: ignore[override]
        """Name and version of what computes the network."""
        return self.own.version

    @property
    def tail(self) -> tuple[Tail, ...]:
        """Parameters of the likelihood itself, if any."""
        return super().tail[1:]

    @property
    def parameters(self) -> int:
        """P."""
        return self.own.size + sum(t.size for t in self.tail)

    @cached_property
    def layout(self) -> Layout:
        """The network's tensors, then the likelihood's own; lane = place. The network's last part stands for the
        likelihood's own, too, unless they are named.
        """
        tensors, layers = dict(self.own.tensors), dict(self.own.layers)
        last = list(layers)[-1]
        for t in self.tail:
            tensors[t.name] = t.shape
            layers[t.partition] = (*layers.get(t.partition, ()), t.name)
        more = tuple(name for name in layers if name not in self.own.layers)
        groups = {last: (last, *more)} if more else {}
        return Layout(tensors, layers, np.arange(self.parameters), {t.name: t.dims for t in self.tail}, groups)

    def outputs_at(self, position: Array, x: Array, xp: Any = np) -> Array:
        """Raw outputs [R, B, n] of replicas [R, P] at inputs [B, m] or [R, B, m]."""
        _on_the_cpu(xp)
        return self.own.outputs(position[:, : self.own.size], x)

    def forward(self, position: Array, x1: Array, xp: Any = np) -> tuple[Array, Any]:
        """Raw outputs, and the pull-back of their gradient; replicas that share their points share `x1` [1, B, .]."""
        _on_the_cpu(xp)
        x = x1[..., :-1]
        return self.own.outputs_and_pull(position[:, : self.own.size], x[0] if x.ndim == 3 and len(x) == 1 else x)

    def backward(self, position: Array, x1: Array, kept: Any, delta: Array, g: dict[str, Array], xp: Any = np) -> None:
        """The gradient of the outputs, carried back by the network's own library."""
        gradient = kept(delta)
        for name, values in zip(self.own.tensors, self.own.split(gradient), strict=True):
            g[name][...] = values

    def _scale(self, tensor: str, given: float | str) -> float:
        """Scale of the prior of one tensor; SpecError where it needs to know the network."""
        if given == FAN_IN:
            raise SpecError(
                'prior_sd = "fan_in" scales by the inputs of each unit, which nobody knows of a network of your own:'
                " give a number, or one for each layer."
            )
        return float(given)

    def _initial(self, init: str, init_sd: float, keys: Keys, dtype: Any, xp: Any = np) -> Array:
        """Initial parameters [R, P] at purpose 0; SpecError for laws that need to know the network."""
        if init in ("pytorch", "he"):
            raise SpecError(
                f"init = '{init}' scales by the inputs of each unit, which nobody knows of a network of your own: use"
                " normal (with init_sd), prior or zero, or give starts; by default it starts at its own parameters."
            )
        blocks = xp.arange(-(-self.parameters // 4), dtype=np.uint64)
        noise = normals(keys, blocks, Purpose.POSITION, 0, dtype=dtype, xp=xp)[:, : self.parameters]
        if init == "zero":
            return xp.zeros_like(noise)
        if init == "prior":
            return self._prior_draw(noise, keys, blocks, xp)
        return noise * dtype(init_sd)


def _on_the_cpu(xp: Any) -> None:
    if xp is not np:
        raise DeviceError("A network of your own runs on the CPU: use device = 'cpu'.")
