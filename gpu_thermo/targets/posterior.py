"""The posterior of a perceptron on data sets: energy and gradient on a batch of points (equations.md section 1)."""

from collections.abc import Sequence
from copy import copy
from typing import Any

import numpy as np

from ..cost import Count
from ..data import Dataset
from .base import Batch, Target
from .networks import MlpModel, with_ones

__all__ = ["MlpTarget"]

Array = Any


class MlpTarget(Target):
    """A perceptron on data sets: U = mean NLL + (1/N) sum_i -log prior(theta_i).

    Parameters
    ----------
    model : the network. data : D data sets. dataset : [R] the data set of each replica.
    """

    def __init__(self, model: MlpModel, data: Dataset, dataset: Any, dtype: Any = np.float32, xp: Any = np) -> None:
        self.model, self.layout, self.points = model, model.layout, data.points
        self.fused = model if model.has_kernels else None
        self.library = model.library
        self.dtype = np.dtype(dtype)
        self.dataset = np.asarray(dataset, np.int64)
        self._dataset = xp.asarray(self.dataset)
        self._single = data.count == 1
        self._xp = xp
        label_dtype = model.likelihood.labels or dtype
        self.x_train, self.x_test = (xp.asarray(x, dtype) for x in (data.x_train, data.x_test))
        self._x1 = with_ones(self.x_train, xp)
        self.y_train, self.y_test = (xp.asarray(y, label_dtype) for y in (data.y_train, data.y_test))
        self.weight = xp.asarray(data.weight, dtype) if model.weighted else None
        self._adopt(xp)

    def _adopt(self, xp: Any) -> None:
        """Numbers of priors as arrays of a library."""
        self._prior = {} if self.model.prior_record is None else self.model.prior_terms(self.points, xp)
        self._centre = xp.asarray(self.model.centre, self.dtype)

    def to(self, xp: Any) -> "MlpTarget":
        """The same with its arrays in another library (CuPy's current device)."""
        moved = copy(self)
        moved._xp = xp
        for name in ("_dataset", "x_train", "x_test", "y_train", "y_test", "_x1"):
            setattr(moved, name, xp.asarray(getattr(self, name)))
        moved.weight = None if self.weight is None else xp.asarray(self.weight)
        moved._adopt(xp)
        return moved

    def beside(self, others: Sequence[Target]) -> "MlpTarget | None":
        """See Target; data that are the same are held once."""
        held: list[MlpTarget] = []
        dataset = []
        for target in (self, *others):
            assert isinstance(target, MlpTarget)
            if target.model != self.model or target.points != self.points:
                return None
            place = next((i for i, other in enumerate(held) if target._has_data_of(other)), len(held))
            dataset.append(sum(len(other.x_train) for other in held[:place]) + target.dataset)
            if place == len(held):
                held.append(target)
        joined = copy(self)
        joined.dataset = joined._dataset = np.concatenate(dataset)
        if len(held) > 1:
            for name in ("x_train", "x_test", "y_train", "y_test", "_x1"):
                setattr(joined, name, np.concatenate([getattr(target, name) for target in held]))
            joined.weight = None if self.weight is None else np.concatenate([target.weight for target in held])
            joined._single = False
        return joined

    def _has_data_of(self, other: "MlpTarget") -> bool:
        """Whether its training points are the same, with the same weights."""
        names = ("x_train", "y_train", "weight")
        return self is other or all(np.array_equal(getattr(self, name), getattr(other, name)) for name in names)

    def energy_and_gradient(self, position: Array, batch: Batch, power: Array | None = None) -> tuple[Array, Array]:
        """U [R] float64 and its gradient [R, P] on the batch's points; the loss times `power` [R], where that is
        given (equations.md section 15).
        """
        x, y, w = self._points(batch)
        if power is not None:
            w = power[:, None] if w is None else power[:, None] * w
        energy, gradient = self.model.mean_loss_and_gradient(position, x, y, self._xp, w)
        self._add_prior(position, energy, gradient)
        return energy, gradient

    def prior_gradient(self, position: Array) -> Array:
        """The prior's part of the gradient [R, P]."""
        gradient = self._xp.zeros_like(position)
        self._add_prior(position, self._xp.zeros(len(position)), gradient)
        return gradient

    def _add_prior(self, position: Array, energy: Array, gradient: Array) -> None:
        """The network's prior, and that of the likelihood's own parameters, N(centre, 1)."""
        model, inner = self.model, position.shape[1] - self.model.noises
        if (prior := model.prior_record) is not None:
            c, theta = self._prior, position[:, :inner]
            gradient[:, :inner] += prior.slope(theta, c)
            terms = prior.term(theta, c)
            if isinstance(c["factor"], float):
                energy += c["factor"] * terms.sum(axis=-1, dtype=np.float64)
            else:
                energy += (c["factor"] * terms).sum(axis=-1, dtype=np.float64)
        if model.noises:
            gap = position[:, inner:] - self._centre
            gradient[:, inner:] += gap * position.dtype.type(1 / self.points)
            energy += (gap * gap).sum(axis=-1, dtype=np.float64) / (2 * self.points)

    def arithmetic(self, points: int) -> dict[str, Count]:
        """With W weights, of them W_1 of the first layer, and D hidden units: forward W multiply-adds and D activations
        a point; backward W for the gradient of the weights, W - W_1 for deltas of hidden units, D slopes and bias sums,
        and n residuals.
        """
        model, activation = self.model, self.model.activation_record
        first, units = model.inputs * model.hidden[0], sum(model.hidden)
        weights = sum(d * fan for d, fan in zip((*model.hidden, model.outputs), model.fans, strict=True))
        forward = Count(weights) + activation.count * units
        backward = Count(2 * weights - first, units) + activation.slope_count * units
        return {
            "forward": forward * points,
            "backward": (backward + model.likelihood.count * model.outputs) * points,
        }

    def widest(self, points: int) -> int:
        """Activations of the widest hidden layer at the points, or the parameters."""
        return max(max(self.model.hidden) * points, self.layout.size)

    def evaluation_values(self, points: int) -> int:
        """The points, if they are the replica's own; both sides of every activation, and a delta; outputs and their
        losses; the gradient and what a layer adds to it.
        """
        units, own = self.model.hidden, points < self.points or not self._single
        at_each = own * (self.model.inputs + 1) + 2 * sum(units) + max(units) + 4 * self.model.outputs
        return points * at_each + 2 * self.layout.size

    def _points(self, batch: Batch) -> tuple[Array, Array, Array | None]:
        """Inputs with ones, answers, and weights where there are any, of the points of a batch."""
        held = (self._x1, self.y_train, self.weight)
        if batch.index is None:
            sets = None if self._single else self._dataset[batch.replica]
            pick = lambda a: a if sets is None else a[sets]  # noqa: E731
        elif self._single:
            pick = lambda a: a[0].take(batch.index, axis=0)  # noqa: E731
        else:
            sets = self._dataset[batch.replica][:, None]
            pick = lambda a: a[sets, batch.index]  # noqa: E731
        x, y, w = (None if a is None else pick(a) for a in held)
        return x, y, w
