"""The single-hidden-layer perceptron: forward, backward, energy, initial states (equations.md sections 1 and 8)."""

import math
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..data import Dataset
from ..streams import Keys, Purpose, normals, uniforms
from .base import Batch, Layout

Array = Any

ACTIVATIONS = ("relu", "tanh", "softplus", "identity")
TASKS = ("binary", "multiclass", "regression")
INITS = ("normal", "pytorch", "he", "zero", "prior")


@dataclass(frozen=True)
class ShlpModel:
    """Sizes and choices of an SHLP: out = W2 act(W1 x + b1) + b2.

    Attributes
    ----------
    inputs, hidden, outputs : m, d, n. `prior_sd` : s of the Gaussian prior over all P parameters, or None.
    noise_sd : known noise sd of a regression target.
    """

    inputs: int
    hidden: int
    outputs: int
    task: str = "binary"
    activation: str = "relu"
    prior_sd: float | None = None
    noise_sd: float = 1.0

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
        return self._forward(position, with_ones(x, xp), xp)[1]

    def _forward(self, position: Array, x1: Array, xp: Any) -> tuple[Array, Array]:
        """Hidden activations [R, B, d] and raw outputs [R, B, n]; `x1` ends in a column of ones, so that b1 rides in
        the matrix product.
        """
        w = self.layout.split(position)
        w1b1 = xp.concatenate([w["w1"], w["b1"][..., None]], axis=-1)
        hidden = self._activate(xp.matmul(x1, w1b1.swapaxes(-1, -2)), xp)
        out = xp.matmul(hidden, w["w2"].swapaxes(-1, -2))
        out += w["b2"][:, None, :]
        return hidden, out

    def predict(self, position: Array, x: Array, xp: Any = np) -> Array:
        """Phi [R, B, n]: the class probability (binary: of class 1), or the regression mean."""
        out = self.outputs_at(position, x, xp)
        if self.task == "binary":
            return _sigmoid(out, xp)
        return _softmax(out, xp) if self.task == "multiclass" else out

    def _activate(self, z: Array, xp: Any) -> Array:
        if self.activation == "relu":
            return xp.maximum(z, 0, out=z)
        if self.activation == "tanh":
            return xp.tanh(z, out=z)
        return _softplus(z, xp) if self.activation == "softplus" else z

    def _slope(self, hidden: Array, xp: Any) -> Array | None:
        """d act / d z from the activation's own value; None where it is 1. relu'(0) = 0."""
        if self.activation == "relu":
            return hidden > 0
        if self.activation == "tanh":
            return 1 - hidden * hidden
        return -xp.expm1(-hidden) if self.activation == "softplus" else None

    def losses(self, out: Array, y: Array, xp: Any = np) -> Array:
        """Negative log likelihood of each point [R, B], summed over outputs; `y` [R, B] labels or [R, B, n] values."""
        if self.task == "binary":
            return _softplus(out[..., 0], xp) - y * out[..., 0]
        if self.task == "multiclass":
            top = out.max(axis=-1, keepdims=True)
            log_norm = xp.log(xp.exp(out - top).sum(axis=-1)) + top[..., 0]
            return log_norm - xp.take_along_axis(out, y[..., None], axis=-1)[..., 0]
        scaled = (out - y) / out.dtype.type(self.noise_sd)
        return (scaled * scaled / 2 + out.dtype.type(math.log(self.noise_sd) + math.log(2 * math.pi) / 2)).sum(axis=-1)

    def _residual(self, out: Array, y: Array, xp: Any) -> Array:
        """d loss / d out [R, B, n]."""
        if self.task == "binary":
            return _sigmoid(out, xp) - y[..., None]
        if self.task == "multiclass":
            p = _softmax(out, xp)
            p -= y[..., None] == xp.arange(self.outputs)
            return p
        return (out - y) / out.dtype.type(self.noise_sd**2)

    def mean_loss_and_gradient(self, position: Array, x1: Array, y: Array, xp: Any = np) -> tuple[Array, Array]:
        """Mean loss [R] float64 over the B points `x1` (with ones, [R, B, m + 1]) and its gradient [R, P]; no prior."""
        hidden, out = self._forward(position, x1, xp)
        loss = self.losses(out, y, xp).mean(axis=-1, dtype=np.float64)
        d_out = self._residual(out, y, xp)
        d_out *= position.dtype.type(1 / out.shape[1])
        gradient = xp.empty_like(position)
        g = self.layout.split(gradient)
        w2 = self.layout.split(position)["w2"]
        g["w2"][...] = xp.matmul(d_out.swapaxes(-1, -2), hidden)
        g["b2"][...] = d_out.sum(axis=1)
        d_hidden = d_out * w2 if self.outputs == 1 else xp.matmul(d_out, w2)
        slope = self._slope(hidden, xp)
        if slope is not None:
            d_hidden *= slope
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
        return position * dtype(self.prior_sd if init == "prior" else init_sd)


class ShlpTarget:
    """An SHLP on data sets: U = mean NLL + |theta|^2 / (2 s^2 N).

    Parameters
    ----------
    model : the network. data : D data sets. dataset : [R] the data set of each replica.
    """

    def __init__(self, model: ShlpModel, data: Dataset, dataset: Any, dtype: Any = np.float32, xp: Any = np) -> None:
        self.model, self.layout, self.points = model, model.layout, data.points
        self.dtype = np.dtype(dtype)
        self.dataset = np.asarray(dataset, np.int64)
        self._dataset = xp.asarray(self.dataset)
        self._single = data.count == 1
        self._xp = xp
        label_dtype = np.int64 if model.task == "multiclass" else dtype
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
        if self.model.prior_sd is not None:
            precision = 1 / (self.model.prior_sd**2 * self.points)
            gradient += position.dtype.type(precision) * position
            energy += precision / 2 * (position * position).sum(axis=-1, dtype=np.float64)
        return energy, gradient

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


def _sigmoid(x: Array, xp: Any) -> Array:
    """1 / (1 + exp(-x)); exp may overflow to inf, which gives the right 0."""
    with np.errstate(over="ignore"):
        return 1 / (1 + xp.exp(-x))


def _softplus(x: Array, xp: Any) -> Array:
    return xp.maximum(x, 0) + xp.log1p(xp.exp(-abs(x)))


def _softmax(x: Array, xp: Any) -> Array:
    e = xp.exp(x - x.max(axis=-1, keepdims=True))
    e /= e.sum(axis=-1, keepdims=True)
    return e
