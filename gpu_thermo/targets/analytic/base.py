"""What all analytic targets share: layout, names, and noise at its addresses (equations.md section 7, purpose 7)."""

from abc import ABC, abstractmethod
from copy import copy
from typing import Any, ClassVar, Self

import numpy as np

from ...errors import SpecError
from ...streams import Keys, Purpose, normals
from ..base import Array, Batch, Layout, Potential

GRADIENT, ENERGY = 0, 1
"""Subs of the two noises."""
MAX_SIZE = 2**20
"""Coordinates of an analytic target."""


class Analytic(Potential, ABC):
    """Base of the analytic targets; a subclass gives `_evaluate`, and names its arrays in `_arrays`.

    Parameters
    ----------
    size : P. gradient_noise_sd, energy_noise_sd : sd of the normal noise on each gradient component and on the energy,
    numbers or [R].
    coordinates : names of the P coordinates (x, y, z; x0, x1, ... beyond three). bounds : half the side of a box, or
    None.

    Raises
    ------
    SpecError
        If a number cannot be used; it is named with the remedy.
    """

    points = 0
    fingerprint = ""
    _arrays: ClassVar[tuple[str, ...]] = ()
    """Attributes that `to` moves to another array library."""

    def __init__(
        self, size: int, gradient_noise_sd: Any = 0.0, energy_noise_sd: Any = 0.0,
        coordinates: tuple[str, ...] | None = None, bounds: float | None = None,
    ) -> None:  # fmt: skip
        if not 1 <= size <= MAX_SIZE:
            raise SpecError(f"size = {size} coordinates: use 1 to {MAX_SIZE}.")
        if bounds is not None and not 0 < bounds < np.inf:
            raise SpecError(f"bounds = {bounds} is no half side of a box: give a positive number, or None for no box.")
        self.layout = Layout(
            {"position": (size,)}, {"all": ("position",)}, np.arange(size), {"position": ("coordinate",)}
        )
        self.coordinates = coordinate_names(size) if coordinates is None else tuple(coordinates)
        if len(set(self.coordinates)) != size:
            raise SpecError(
                f"coordinates = {self.coordinates[:10]} must be {size} different names, one for each coordinate."
            )
        self.bounds = bounds
        self.gradient_noise_sd, self._gradient_sd = _noise_sd("gradient_noise_sd", gradient_noise_sd)
        self.energy_noise_sd, self._energy_sd = _noise_sd("energy_noise_sd", energy_noise_sd)
        self._blocks = np.arange(-(-size // 4), dtype=np.uint64)
        self._xp: Any = np

    def to(self, xp: Any) -> Self:
        """The same with its arrays in another library."""
        moved = copy(self)
        moved._xp = xp
        for name in ("_blocks", "_gradient_sd", "_energy_sd", *self._arrays):
            value = getattr(self, name)
            setattr(moved, name, None if value is None else xp.asarray(value))
        return moved

    @abstractmethod
    def _evaluate(self, position: Array, replica: Array) -> tuple[Array, Array]:
        """Exact U [R] float64 and a new array of its gradient [R, P], at and in the precision of `position`."""

    def energy(self, position: Array, replica: Array | None = None) -> Array:
        """Exact U [R] float64, computed in float64, at `position` [R, P] of the replicas `replica` [R] (0..R-1 by
        default).
        """
        position = self._xp.asarray(position, np.float64)
        return self._evaluate(position, self._all(position, replica))[0]

    def gradient(self, position: Array, replica: Array | None = None) -> Array:
        """Exact gradient [R, P] at `position` [R, P], in its precision."""
        position = self._xp.asarray(position)
        return self._evaluate(position, self._all(position, replica))[1]

    def energy_and_gradient(self, position: Array, batch: Batch) -> tuple[Array, Array]:
        """U [R] float64 and its gradient [R, P] at `position` [R, P], each with its own noise."""
        energy, gradient = self._on_batch(position, batch)
        if self._gradient_sd is not None:
            noise = self._noise(batch, self._blocks, GRADIENT, position.dtype.type)[:, : position.shape[1]]
            gradient += rows_of(self._gradient_sd, batch.replica).astype(position.dtype) * noise
        if self._energy_sd is not None:
            energy = (
                energy
                + rows_of(self._energy_sd, batch.replica)[:, 0]
                * self._noise(batch, self._blocks[:1], ENERGY, np.float64)[:, 0]
            )
        return energy, gradient

    def _on_batch(self, position: Array, batch: Batch) -> tuple[Array, Array]:
        """What `_evaluate` gives, on the batch's points where there are any."""
        return self._evaluate(position, batch.replica)

    def _noise(self, batch: Batch, blocks: Array, sub: int, dtype: Any) -> Array:
        if batch.keys is None:
            raise ValueError("a target with noise needs batch.keys; `energy` and `gradient` are the exact ones")
        keys: Keys = batch.keys
        return normals(keys, blocks, Purpose.TARGET, batch.evaluation, sub, dtype=dtype, xp=self._xp)

    def _all(self, position: Array, replica: Array | None) -> Array:
        return self._xp.arange(len(position)) if replica is None else replica


def coordinate_names(size: int) -> tuple[str, ...]:
    """Names x, y, z of up to three coordinates, x0, x1, ... of more."""
    return tuple("xyz"[:size]) if size <= 3 else tuple(f"x{i}" for i in range(size))


def rows_of(values: Array, replica: Array) -> Array:
    """The rows of `replica` [R] in per-replica `values` [R, ...]; values for all (0-d, or one row) as they are."""
    return values if values.ndim < 2 or values.shape[0] == 1 else values[replica]


def finite(name: str, value: Any) -> np.ndarray:
    """`value` as a float64 array; SpecError unless all of it is finite."""
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError) as error:
        raise SpecError(
            f"{name} = {value!r} is not an array of numbers: give a number, or lists of equal length."
        ) from error
    if not np.isfinite(array).all():
        raise SpecError(f"{name} = {value!r} has a value that is not finite: give finite numbers.")
    return array


def positive(name: str, value: Any) -> np.ndarray:
    """`value` as a float64 array; SpecError unless all of it is finite and above 0."""
    array = finite(name, value)
    if not (array > 0).all():
        raise SpecError(f"{name} = {array.min():g} must be above 0.")
    return array


def _noise_sd(name: str, value: Any) -> tuple[Any, np.ndarray | None]:
    """The public value (a float or [R]), and [1, 1] or [R, 1] where there is noise at all."""
    array = finite(name, value)
    if array.ndim > 1 or array.size == 0 or (array < 0).any():
        raise SpecError(f"{name} = {value!r} must be a number not below 0, or one for each replica.")
    return (float(array) if array.ndim == 0 else array), (array.reshape(-1, 1) if array.any() else None)
