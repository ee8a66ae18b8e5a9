"""The single-hidden-layer perceptron: forward, backward, energy, initial states (equations.md sections 1 and 8)."""

from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..cost import Count
from ..data import Dataset
from ..data.tasks import TASKS
from ..errors import SpecError
from ..streams import Keys, Purpose, normals, uniforms
from .activations import ACTIVATIONS, Activation, get_activation
from .base import Batch, Layout, Target
from .likelihoods import Likelihood, get_likelihood
from .priors import Prior, get_prior

__all__ = ["ACTIVATIONS", "INITS", "TASKS", "ShlpModel", "ShlpTarget", "with_ones"]

Array = Any

INITS = ("normal", "pytorch", "he", "zero", "prior")


@dataclass(frozen=True)
class ShlpModel:
    """Sizes and choices of an SHLP: out = W2 act(W1 x + b1) + b2.

    Attributes
    ----------
    inputs, hidden, outputs : m, d, n. task : names the likelihood. prior_sd : scale s of the prior over all P
    parameters, or None for no prior. noise_sd : known noise sd of a regression target. prior : name of the prior.

    Raises
    ------
    SpecError
        If there is no such activation, task or prior.
    """

    inputs: int
    hidden: int
    outputs: int
    task: str = "binary"
    activation: str = "relu"
    prior_sd: float | None = None
    noise_sd: float = 1.0
    prior: str = "normal"

    def __post_init__(self) -> None:
        """Refuse unknown names at once."""
        get_activation(self.activation), get_likelihood(self.task), get_prior(self.prior)

    @property
    def activation_record(self) -> Activation:
        """What the hidden units do."""
        return get_activation(self.activation)

    @property
    def likelihood(self) -> Likelihood:
        """How outputs answer the task."""
        return get_likelihood(self.task)

    @property
    def prior_record(self) -> Prior | None:
        """The prior in force."""
        return None if self.prior_sd is None else get_prior(self.prior)

    @cached_property
    def constants(self) -> dict[str, float]:
        """Numbers of the likelihood by name."""
        return self.likelihood.constants({"noise_sd": self.noise_sd})

    def prior_constants(self, points: int) -> dict[str, float]:
        """Numbers of the prior in force by name, for N training points."""
        return {} if self.prior_sd is None else get_prior(self.prior).constants(self.prior_sd, points)

    def prior_energy(self, position: Array, points: int) -> Any:
        """The prior's part of U [R], computed in float64, or 0 without prior."""
        if self.prior_sd is None:
            return 0.0
        return get_prior(self.prior).energy(position.astype(np.float64), self.prior_sd, points)

    @property
    def parameters(self) -> int:
        """P, without laying them out."""
        return (self.inputs + 1) * self.hidden + (self.hidden + 1) * self.outputs

    @cached_property
    def layout(self) -> Layout:
        """w1 [d, m], b1 [d], w2 [n, d], b2 [n]; unit j owns s = 4 ceil((m + 1 + n) / 4) lanes, b2 the lanes from d s
        on.
        """
        m, d, n = self.inputs, self.hidden, self.outputs
        stride = 4 * -(-(m + 1 + n) // 4)
        unit = np.arange(d)[:, None] * stride
        lanes = [
            (unit + np.arange(m)).ravel(),
            unit.ravel() + m,
            (unit + m + 1 + np.arange(n)).T.ravel(),
            d * stride + np.arange(n),
        ]
        tensors = {"w1": (d, m), "b1": (d,), "w2": (n, d), "b2": (n,)}
        dims = {"w1": ("hidden", "feature"), "b1": ("hidden",), "w2": ("output", "hidden"), "b2": ("output",)}
        return Layout(tensors, {"hidden": ("w1", "b1"), "output": ("w2", "b2")}, np.concatenate(lanes), dims)

    def outputs_at(self, position: Array, x: Array, xp: Any = np) -> Array:
        """Raw outputs [R, B, n] of replicas [R, P] at inputs [B, m] or [R, B, m]."""
        return self._forward(position, with_ones(x, xp), xp)[2]

    def _forward(self, position: Array, x1: Array, xp: Any) -> tuple[Array, Array, Array]:
        """Preactivations and activations [R, B, d], and raw outputs [R, B, n]; `x1` ends in a column of ones, so that
        b1 rides in the matrix product. The first may be overwritten, where slopes do not read it.
        """
        w = self.layout.split(position)
        w1b1 = xp.concatenate([w["w1"], w["b1"][..., None]], axis=-1)
        z = xp.matmul(x1, w1b1.swapaxes(-1, -2))
        hidden = self.activation_record.value(z, xp)
        out = xp.matmul(hidden, w["w2"].swapaxes(-1, -2))
        out += w["b2"][:, None, :]
        return z, hidden, out

    def predict(self, position: Array, x: Array, xp: Any = np) -> Array:
        """Phi [R, B, n]: the class probability (binary: of class 1), or the regression mean."""
        return self.likelihood.respond(self.outputs_at(position, x, xp), xp)

    def losses(self, out: Array, y: Array, xp: Any = np) -> Array:
        """Negative log likelihood of each point [R, B], summed over outputs; `y` [R, B] labels or [R, B, n] values."""
        return self.likelihood.losses(out, y, self.constants, xp)

    def mean_loss_and_gradient(self, position: Array, x1: Array, y: Array, xp: Any = np) -> tuple[Array, Array]:
        """Mean loss [R] float64 over the B points `x1` (with ones, [R, B, m + 1]) and its gradient [R, P]; no prior."""
        z, hidden, out = self._forward(position, x1, xp)
        loss = self.losses(out, y, xp).mean(axis=-1, dtype=np.float64)
        d_out = self.likelihood.residual(out, y, self.constants, xp)
        d_out *= position.dtype.type(1 / out.shape[1])
        gradient = xp.empty_like(position)
        g = self.layout.split(gradient)
        w2 = self.layout.split(position)["w2"]
        g["w2"][...] = xp.matmul(d_out.swapaxes(-1, -2), hidden)
        g["b2"][...] = d_out.sum(axis=1)
        d_hidden = d_out * w2 if self.outputs == 1 else xp.matmul(d_out, w2)
        if (slope := self.activation_record.slope) is not None:
            d_hidden *= slope(z, hidden, xp)
        g_first = xp.matmul(x1.swapaxes(-1, -2), d_hidden)
        g["w1"][...] = g_first[:, :-1].swapaxes(-1, -2)
        g["b1"][...] = g_first[:, -1]
        return loss, gradient

    def initial_position(self, init: str, init_sd: float, keys: Keys, dtype: Any, xp: Any = np) -> Array:
        """Initial parameters [R, P] at purpose 0 (equations.md section 8)."""
        layout = self.layout
        replicas = keys.stream.shape[0]
        if init == "zero":
            return xp.zeros((replicas, layout.size), dtype)
        blocks = xp.arange(int(layout.lanes.max()) // 4 + 1, dtype=np.uint64)
        draw = uniforms if init == "pytorch" else normals
        position = draw(keys, blocks, Purpose.POSITION, 0, dtype=dtype, xp=xp)[:, xp.asarray(layout.lanes)]
        fan_in = np.concatenate(
            [np.full(size, self.inputs if name in ("w1", "b1") else self.hidden) for name, size in layout.sizes.items()]
        )
        bias = np.concatenate([np.full(size, name in ("b1", "b2")) for name, size in layout.sizes.items()])
        if init == "pytorch":
            return (2 * position - 1) * xp.asarray(1 / np.sqrt(fan_in), dtype)
        if init == "he":
            return position * xp.asarray(np.where(bias, 0.0, np.sqrt(2 / fan_in)), dtype)
        if init == "prior":
            if self.prior_record is None or self.prior_sd is None:
                raise SpecError('init = "prior" needs prior_sd.')
            return self.prior_record.draw(position, self.prior_sd)
        if init == "normal":
            return position * dtype(init_sd)
        raise SpecError(f"init = '{init}' is unknown. Known: {', '.join(INITS)}.")


class ShlpTarget(Target):
    """An SHLP on data sets: U = mean NLL + (1/N) sum_i -log prior(theta_i).

    Parameters
    ----------
    model : the network. data : D data sets. dataset : [R] the data set of each replica.
    """

    def __init__(self, model: ShlpModel, data: Dataset, dataset: Any, dtype: Any = np.float32, xp: Any = np) -> None:
        self.model, self.layout, self.points = model, model.layout, data.points
        self.fused = model
        self.dtype = np.dtype(dtype)
        self.dataset = np.asarray(dataset, np.int64)
        self._dataset = xp.asarray(self.dataset)
        self._single = data.count == 1
        self._xp = xp
        label_dtype = model.likelihood.labels or dtype
        self.x_train, self.x_test = (xp.asarray(x, dtype) for x in (data.x_train, data.x_test))
        self._x1 = with_ones(self.x_train, xp)
        self.y_train, self.y_test = (xp.asarray(y, label_dtype) for y in (data.y_train, data.y_test))

    def to(self, xp: Any) -> "ShlpTarget":
        """The same with its arrays in another library (CuPy's current device)."""
        moved = copy(self)
        moved._xp = xp
        for name in ("_dataset", "x_train", "x_test", "y_train", "y_test", "_x1"):
            setattr(moved, name, xp.asarray(getattr(self, name)))
        return moved

    def energy_and_gradient(self, position: Array, batch: Batch) -> tuple[Array, Array]:
        """U [R] float64 and its gradient [R, P] on the batch's points."""
        x, y = self._points(batch)
        energy, gradient = self.model.mean_loss_and_gradient(position, x, y, self._xp)
        if (prior := self.model.prior_record) is not None:
            c = self.model.prior_constants(self.points)
            gradient += prior.slope(position, c)
            energy += c["factor"] * prior.term(position).sum(axis=-1, dtype=np.float64)
        return energy, gradient

    def arithmetic(self, points: int) -> dict[str, Count]:
        """With m inputs, d hidden units, n outputs: forward d (m + n) multiply-adds and d activations a point; backward
        d (m + 2 n) multiply-adds, d slopes and bias sums, n residuals.
        """
        model, units, activation = self.model, points * self.model.hidden, self.model.activation_record
        backward = (Count(model.inputs + 2 * model.outputs, 1) + activation.slope_count) * units
        return {
            "forward": (Count(model.inputs + model.outputs) + activation.count) * units,
            "backward": backward + model.likelihood.count * (points * model.outputs),
        }

    def widest(self, points: int) -> int:
        """Hidden activations of the points, or the parameters."""
        return max(self.model.hidden * points, self.layout.size)

    def _points(self, batch: Batch) -> tuple[Array, Array]:
        if batch.index is None:
            if self._single:
                return self._x1, self.y_train
            sets = self._dataset[batch.replica]
            return self._x1[sets], self.y_train[sets]
        if self._single:
            return self._x1[0].take(batch.index, axis=0), self.y_train[0].take(batch.index, axis=0)
        sets = self._dataset[batch.replica][:, None]
        return self._x1[sets, batch.index], self.y_train[sets, batch.index]


def with_ones(x: Array, xp: Any = np) -> Array:
    """`x` [..., m] with a last column of ones."""
    return xp.concatenate([x, xp.ones((*x.shape[:-1], 1), x.dtype)], axis=-1)
