"""Masses of parameters as a spec writes them, and spread over the parameters of a replica (equations.md section 16).

A mass is a number, "fan_in", "prior", or one number for each parameter; for all parameters, or by the name of a tensor
or layer. Or all are "auto": a run that tunes itself estimates them.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, WithJsonSchema

from ..errors import SpecError
from ..targets.base import Layout

AUTO, FAN_IN, PRIOR = "auto", "fan_in", "prior"
_NUMBERS = {"type": "array", "items": {"type": "number", "exclusiveMinimum": 0}, "minItems": 1}
_ONE = {"anyOf": [{"const": FAN_IN}, {"const": PRIOR}, {"type": "number", "exclusiveMinimum": 0}, _NUMBERS]}
_SCHEMA = {
    "anyOf": [{"const": AUTO}, *_ONE["anyOf"], {"type": "object", "additionalProperties": _ONE, "minProperties": 1}],
    "allowed": '"auto" (with run.tolerance), "fan_in", "prior", a number, one for each parameter, or {NAME = ...}',
}  # fmt: skip


def _parse(given: Any) -> Any:
    """Arrays become flat lists of numbers, an npz file a table by tensor."""
    if not isinstance(given, Mapping):
        return given if isinstance(given, str) and given == AUTO else _one(given, "mass")
    if not given:
        raise ValueError("an empty table names no parameters")
    return {str(name): _one(value, f"mass of {name}") for name, value in given.items()}


def _one(given: Any, what: str) -> str | float | list[float]:
    if isinstance(given, str):
        if given == AUTO:
            raise ValueError(
                f"{what} = 'auto' is one of many: a run estimates all masses or none, so give mass = 'auto'"
            )
        if given not in (FAN_IN, PRIOR):
            raise ValueError(
                f"{what} = {given[:40]!r} is unknown: give a number above 0, one for each parameter, 'fan_in' or"
                " 'prior'"
            )
        return given
    try:
        values = np.asarray(given, np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{what} = {str(given)[:40]} is neither a number, nor numbers, nor 'fan_in'") from None
    if given is None or isinstance(given, bool) or not values.size:
        raise ValueError(f"{what} = {str(given)[:40]} is neither a number, nor numbers, nor 'fan_in'")
    flat = values.ravel()
    bad = np.flatnonzero(~(np.isfinite(flat) & (flat > 0)))
    if len(bad):
        at = f" (entry {bad[0]})" if values.ndim else ""
        raise ValueError(f"{what} = {flat[bad[0]]:g}{at} must be finite and above 0")
    return flat.tolist() if values.ndim else float(values)


Mass = Annotated[
    str | float | list[float] | dict[str, str | float | list[float]], BeforeValidator(_parse), WithJsonSchema(_SCHEMA)
]


def scale_of(mass: Any, layout: Layout, fans: np.ndarray | None, prior: np.ndarray | None = None) -> np.ndarray:
    """m^(-1/2) [P] of each parameter; 1 of those that the run is still to estimate.

    Parameters
    ----------
    mass : as `Mass` has it. fans : [P] inputs of each weight's unit, 1 for biases; None where the target has no units.
    prior : [P] scales of the prior; None where there is none.

    Raises
    ------
    SpecError
        A name that is no tensor or layer, numbers that are not as many as the parameters, fan_in without units, prior
        without one.
    """
    by_name = mass if isinstance(mass, Mapping) else {"all": 1.0 if mass == AUTO else mass}
    partition, out = layout.partition("tensor"), np.ones(layout.size)
    places = {name: _resolve(partition, name) for name in by_name}
    for name in sorted(by_name, key=lambda name: -len(places[name])):  # the narrower name has the last word
        columns = np.concatenate([np.arange(*partition.bounds[k]) for k in places[name]])
        out[columns] = _spread(by_name[name], columns, fans, prior, "" if by_name is not mass else f".{name}")
    scale = 1 / np.sqrt(out)
    extreme = scale[np.argmax(abs(np.log(scale)))]
    if not 1e-15 < extreme < 1e15:
        raise SpecError(f"method.mass has {1 / extreme**2:.3g}: masses stand between 1e-30 and 1e30.")
    return scale


def _resolve(partition: Any, name: str) -> Sequence[int]:
    try:
        return partition.resolve(name)
    except SpecError:
        known = ", ".join(dict.fromkeys((*partition.names, *partition.groups)))
        raise SpecError(f"method.mass names '{name}', which is no tensor or layer. Names: {known}.") from None


def _spread(mass: Any, columns: np.ndarray, fans: np.ndarray | None, prior: np.ndarray | None, where: str) -> Any:
    if mass == FAN_IN:
        if fans is None:
            raise SpecError(
                f"method.mass{where} = 'fan_in' needs a network with units, and this target has none: give numbers."
            )
        return fans[columns]
    if mass == PRIOR:
        if prior is None:
            raise SpecError(
                f"method.mass{where} = 'prior' needs the scales of a prior (model.prior_sd) of a network of ours: give"
                " numbers."
            )
        return prior[columns] ** -2.0
    if isinstance(mass, list) and len(mass) != len(columns):
        raise SpecError(
            f"method.mass{where} has {len(mass)} numbers for {len(columns)} parameters: give one, or one for each."
        )
    return mass
