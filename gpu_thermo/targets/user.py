"""A user's own potential: plain functions on arrays, checked once."""

import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import RunError, SpecError
from .analytic.base import Analytic
from .base import Array, Batch
from .own.base import version_of
from .own.differentiate import differentiated
from .own.partitions import partitioned

Function = Callable[..., Any]
PROBES = 4
MOST_CHECKED = 32
"""Coordinates whose slope is checked; of more, this many spread over all."""
_STEP = 1e-5
_SLACK = 1e-4
_ROUNDING = 1e-9
"""Relative to U: rounding of a sum of many terms, over the step."""


class UserPotential(Analytic):
    """The potential that `function` computes for many replicas at once.

    Parameters
    ----------
    function : `function(position [R, P])` or `function(position, xp)`, xp being the array library (NumPy, or CuPy on a
    GPU). Returns U [R]
        where `gradient` or `library` is given too, otherwise (U [R], gradient [R, P]). Row r of a result may depend on
        row r of `position` only.
    size : P. gradient : `gradient(position)` or `gradient(position, xp)`, returns [R, P].
    library : "jax" or "torch", whose arrays the function takes and returns; the gradient is then its derivative.
    points : N, for functions of data: they take `(position, batch)` or `(position, batch, xp)`, batch being points
        [R, B] of each replica, or None for all of them, and return the mean over those points (and what does not
        depend on points). Minibatches are then those of the spec's [run].
    partitions : name -> how many coordinates, or which ones by name, in order: {"x": 3, "y": ["y0", "y1"]}.
    coordinates : names of the P coordinates. bounds : half the side of a box |q_i| <= bounds.
    gradient_noise_sd, energy_noise_sd : noise to add, see Analytic. label : name of the potential in reports.
    probe : [n, P] positions to check the functions at; by default a few random ones, normal with sd 1, within the box.

    Raises
    ------
    SpecError
        If at a probe a result has the wrong shape or precision, is not finite, mixes replicas, or if the gradient is
        not the slope of the energy (central differences); both numbers are printed.
    """

    def __init__(
        self,
        function: Function,
        size: int,
        gradient: Function | None = None,
        *,
        coordinates: Sequence[str] | None = None,
        bounds: float | None = None,
        gradient_noise_sd: Any = 0.0,
        energy_noise_sd: Any = 0.0,
        label: str = "custom",
        probe: Any = None,
        library: str | None = None,
        points: int = 0,
        partitions: Mapping[str, int | Sequence[str]] | None = None,
    ) -> None:
        names = None if coordinates is None else tuple(coordinates)
        super().__init__(size, gradient_noise_sd, energy_noise_sd, names, bounds)
        self.label = label
        self.points = _count_points(points)
        if partitions is not None:
            self.layout = partitioned(size, self.coordinates, partitions)
        self._alone, self._function, self._gradient = self._functions(function, gradient, library)
        positions = self._probe(probe)
        try:
            self._check(positions)
        except RunError as error:  # nothing runs yet
            raise SpecError(str(error)) from error
        self.fingerprint = self._identity(positions)

    def energy(self, position: Array, replica: Array | None = None) -> Array:
        """Exact U [R] float64, computed in float64, at `position` [R, P]; the gradient is left out where it has its own
        function.
        """
        if self._alone is None:
            return super().energy(position, replica)
        position = self._xp.asarray(position, np.float64)
        energy = _expect("energy", self._call("function", self._alone, position), position.shape[:1], position.shape)
        return self._xp.asarray(energy, np.float64)

    def _evaluate(self, position: Array, replica: Array) -> tuple[Array, Array]:
        return self._on_batch(position, Batch(None, replica))

    def _on_batch(self, position: Array, batch: Batch) -> tuple[Array, Array]:
        energy, gradient = self._raw(position, batch.index)
        return self._xp.asarray(energy, np.float64), self._xp.array(gradient, position.dtype)

    def _functions(self, function: Function, gradient: Function | None, library: str | None) -> tuple[Any, ...]:
        """The energy alone (None where it comes with its gradient only), the function, and a gradient apart, each of
        (position, batch, xp).
        """
        if library is None:
            whole = _adapted("function", function, self.points)
            return whole if gradient else None, whole, gradient and _adapted("gradient", gradient, self.points)
        if gradient is not None:
            raise SpecError(f"library = '{library}' differentiates the function: leave out gradient.")
        alone, both = differentiated(_checked("function", function), library)
        self.library = version_of(library)
        return _passing(alone, self.points, False), _passing(both, self.points, False), None

    def _identity(self, probe: np.ndarray) -> str:
        """Tells this potential from another by what it computes: energies and slopes at the probe, and the noise
        added.
        """
        energy, gradient = self._raw(probe.copy())
        numbers = np.concatenate(
            [np.ravel(x) for x in (energy, gradient, self.gradient_noise_sd, self.energy_noise_sd)]
            + ([np.array([self.points])] if self.points else [])
        )
        return hashlib.sha256(" ".join(f"{x:.8g}" for x in numbers).encode()).hexdigest()

    def _probe(self, given: Any) -> np.ndarray:
        size = self.layout.size
        if given is None:
            drawn = np.random.default_rng(0).normal(size=(PROBES, size))
            return drawn if self.bounds is None else np.clip(drawn, -0.9 * self.bounds, 0.9 * self.bounds)
        probe = np.asarray(given, np.float64)
        if probe.ndim != 2 or probe.shape[1] != size or not len(probe):
            raise SpecError(f"probe has shape {probe.shape}: give [positions, {size}].")
        return probe

    def _check(self, probe: np.ndarray) -> None:
        energy, gradient = self._raw(probe.copy())
        for name, value in (("energy", energy), ("gradient", gradient)):
            _check_precision(name, value, probe)
        alone, slope = self._raw(probe[:1].copy())
        if not (_close(alone, energy[:1]) and _close(slope, gradient[:1])):
            raise SpecError(
                f"The energy of a position is {np.ravel(alone)[0]:.9g} alone and {energy[0]:.9g} beside others: row r"
                " of a result must depend on row r of the positions only (sum over axis -1, not over all)."
            )
        self._check_slope(probe, gradient)
        if self.points:
            self._check_points(probe, energy, gradient)

    def _check_points(self, probe: np.ndarray, energy: np.ndarray, gradient: np.ndarray) -> None:
        """All points by their numbers are all points; and energy and gradient are means over points: of parts of
        unequal size they are weighted means.
        """
        rows, n = len(probe), self.points
        of = lambda *points: self._raw(probe.copy(), np.tile(np.arange(*points), (rows, 1)))  # noqa: E731
        part = max(1, n // 3)
        parts = [(n, of(n))] if n == 1 else [(part, of(part)), (n - part, of(part, n))]
        for k, (name, value) in enumerate((("energy", energy), ("gradient", gradient))):
            whole, joined = of(n)[k], sum(count * found[k] for count, found in parts) / n
            if not _close(whole, value):
                raise SpecError(
                    f"The {name} of all points by their numbers is {np.ravel(whole)[0]:.9g}, with batch = None"
                    f" {np.ravel(value)[0]:.9g}: both mean all points."
                )
            if not _close(joined, value):
                raise SpecError(
                    f"The {name} of all {n} points is {np.ravel(value)[0]:.9g}, and the mean over two parts of them"
                    f" {np.ravel(joined)[0]:.9g}: return the mean over the batch's points, not a sum."
                )

    def _raw(self, position: Array, index: Array | None = None) -> tuple[Any, Any]:
        """What the functions return at `position` [R, P], before any conversion; shapes and types are looked at in
        every call, because a function may turn bad far from where it was checked.
        """
        energy = self._call("function", self._function, position, index)
        if self._gradient is not None:
            gradient = self._call("gradient", self._gradient, position, index)
        elif isinstance(energy, tuple) and len(energy) == 2:
            energy, gradient = energy
        else:
            raise RunError(
                f"The function returns {_kind(energy)} and no pair (energy, gradient): return both, give gradient= as a"
                ' function of its own, or library="jax" or "torch" to differentiate it.'
            )
        shape = position.shape
        return _expect("energy", energy, shape[:1], shape), _expect("gradient", gradient, shape, shape)

    def _call(self, name: str, function: Callable[..., Any], position: Array, index: Array | None = None) -> Any:
        """One of the user's functions at positions that it cannot write to (on a GPU nothing can stop it)."""
        shown = position.view()
        if isinstance(shown, np.ndarray):
            shown.flags.writeable = False
        try:
            return function(shown, index, self._xp)
        except ValueError as error:
            if "read-only" in str(error):
                raise RunError(f"The {name} changes the positions it is given: compute on a copy.") from error
            raise

    def _check_slope(self, probe: np.ndarray, gradient: np.ndarray) -> None:
        """Central differences of the energy, one coordinate at a time, against the gradient on the scale of each
        probe's slopes.
        """
        size = self.layout.size
        checked = np.unique(np.linspace(0, size - 1, min(size, MOST_CHECKED)).round().astype(int))
        expected, height = np.empty((len(probe), len(checked))), np.zeros((len(probe), 1))
        for column, i in enumerate(checked):
            step = np.zeros(size)
            step[i] = _STEP * max(1.0, float(abs(probe[:, i]).max()))
            up, down = self.energy(probe + step), self.energy(probe - step)
            expected[:, column] = (up - down) / (2 * step[i])
            height = np.maximum(height, np.maximum(abs(up), abs(down))[:, None])
        given = gradient[:, checked]
        wrong = ~(abs(expected - given) <= _SLACK * abs(expected).max(axis=1, keepdims=True) + _ROUNDING * height)
        if wrong.any():
            r, column = np.argwhere(wrong)[0]
            name = self.coordinates[checked[column]]
            raise SpecError(
                f"At position {_short(probe[r])} the gradient's component {name} is {given[r, column]:.9g}, but the"
                f" energy's central difference is {expected[r, column]:.9g}: correct one of the two functions (the"
                " gradient is +dU/dq), or give probe= positions where the energy is smooth."
            )


def _checked(name: str, function: Any) -> Any:
    if not callable(function):
        raise SpecError(f"{name} = {function!r} is not a function of positions [R, P].")
    return function


def _adapted(name: str, function: Function, points: int) -> Function:
    """The function as one of (position, batch, xp), whichever of them it takes."""
    _checked(name, function)
    try:
        inspect.signature(function).bind(*(3 if points else 2) * [None])
    except (TypeError, ValueError):  # it takes no xp, or is built in and has no signature
        return _passing(function, points, False)
    return _passing(function, points, True)


def _passing(function: Function, points: int, xp_too: bool) -> Function:
    """A function that is given the batch where there are points, and the array library where it takes it."""
    if points:
        return lambda position, index, xp: function(position, index, *([xp] if xp_too else []))
    return lambda position, index, xp: function(position, *([xp] if xp_too else []))


def _count_points(points: Any) -> int:
    if isinstance(points, bool) or not isinstance(points, int | np.integer) or points < 0:
        raise SpecError(f"points = {points!r} is no number of points: give N, or leave it out where there are no data.")
    return int(points)


def _expect(name: str, value: Any, shape: tuple[int, ...], positions: tuple[int, ...]) -> Any:
    """`value` itself; RunError unless it is an array of real numbers of that shape."""
    if np.shape(value) != shape:
        what = f"[R] = {shape}" if len(shape) == 1 else f"[R, P] = {shape}"
        raise RunError(f"The {name} has shape {np.shape(value)} for positions of shape {positions}: return {what}.")
    kind = getattr(value, "dtype", None)
    if kind is None or kind.kind != "f":
        raise RunError(f"The {name} is {_kind(value)}: return an array of floating-point numbers.")
    return value


def _kind(value: Any) -> str:
    return str(getattr(value, "dtype", type(value).__name__))


def _check_precision(name: str, value: Any, probe: np.ndarray) -> None:
    """Refuse what is not float64, or not finite, at the float64 positions `probe`."""
    if np.asarray(value).dtype != np.float64:
        raise SpecError(
            f"The {name} is {np.asarray(value).dtype} for float64 positions: compute in the positions' own precision."
        )
    bad = ~np.isfinite(np.asarray(value)).reshape(len(probe), -1).all(axis=1)
    if bad.any():
        raise SpecError(
            f"The {name} is not finite at position {_short(probe[bad.argmax()])}: mend the function, or give probe="
            " positions inside its domain."
        )


def _close(a: Any, b: np.ndarray) -> bool:
    return np.shape(a) == b.shape and bool(np.allclose(a, b, rtol=1e-9, atol=1e-9))


def _short(position: np.ndarray) -> str:
    return "(" + ", ".join(f"{v:.6g}" for v in position[:6]) + (", ...)" if len(position) > 6 else ")")
