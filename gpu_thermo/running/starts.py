"""Starts that are given: tensors by name, from a file of weights or from Python, for all replicas or one for each.

A spec says init = "weights.npz" or "given", and knows their hash; the store keeps them, so that a resume needs neither
file nor caller.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..data.arrays import read_npz
from ..data.sources import place
from ..errors import SpecError, did_you_mean
from ..spec.model import GIVEN, INITS
from ..spec.run import RunSpec
from ..targets.base import Layout

MOMENTUM, STORED = "momentum_", "start_"
"""What the name of a tensor's momentum starts with, and that of a start among a store's constants."""
LIKELIHOOD = "likelihood"
"""The layer whose tensors no trained network has: they may be left out, and start as they would."""


@dataclass(frozen=True)
class Starts:
    """Tensors to start from, in the model's precision.

    Attributes
    ----------
    position, momentum : name -> [1 or R, *shape]. `momentum` is empty where momenta are not given; `position` lacks at
    most the likelihood's own tensors.
    """

    layout: Layout
    position: Mapping[str, np.ndarray]
    momentum: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, held: Mapping[str, Any], layout: Layout, replicas: int, dtype: Any) -> "Starts":
        """Check names, shapes and values against the layout.

        Raises
        ------
        SpecError
            A name that is unknown or missing, a shape that fits neither the tensor nor R of them, a value that is not
            finite.
        """
        wanted = {**layout.tensors, **{MOMENTUM + name: shape for name, shape in layout.tensors.items()}}
        for name in held:
            if name not in wanted:
                remedy = did_you_mean(name, wanted, _names(layout), always=True)
                raise SpecError(f"The starts have '{name}', which the network has not. {remedy}")
        optional = layout.layers.get(LIKELIHOOD, ())
        for prefix in ("", MOMENTUM):
            here = [name for name in layout.tensors if prefix + name in held]
            missing = [name for name in layout.tensors if name not in (*here, *optional)]
            if missing and (here or not prefix):
                raise SpecError(f"The starts lack '{prefix}{missing[0]}'. {_names(layout)}")
        good = {name: _tensor(name, held[name], wanted[name], replicas, dtype) for name in held}
        return cls(
            layout,
            {name: good[name] for name in layout.tensors if name in good},
            {name: good[MOMENTUM + name] for name in layout.tensors if MOMENTUM + name in good},
        )

    def write(self, position: np.ndarray, momentum: np.ndarray) -> None:
        """Put the starts into `position` and `momentum` [R, P]."""
        for flat, tensors in ((position, self.position), (momentum, self.momentum)):
            views = self.layout.split(flat)
            for name, values in tensors.items():
                views[name][...] = values

    def repeated(self, replicas: int) -> "Starts":
        """The same for so many replicas: those behind the last start where the first ones do."""

        def longer(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {name: v if len(v) == 1 else v[np.arange(replicas) % len(v)] for name, v in tensors.items()}

        return Starts(self.layout, longer(self.position), longer(self.momentum))

    def constants(self) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
        """Variables for a store's constant data."""
        out = {}
        for prefix, tensors in (("", self.position), (MOMENTUM, self.momentum)):
            for name, values in tensors.items():
                axis = "start_chain" if len(values) > 1 else "start"
                out[STORED + prefix + name] = ((axis, *self.layout.variables[name][0]), values)
        return out

    @property
    def common(self) -> bool:
        """Whether all replicas start at one position."""
        return all(len(values) == 1 for values in self.position.values())


def _tensor(name: str, values: Any, shape: tuple[int, ...], replicas: int, dtype: Any) -> np.ndarray:
    """`values` as [1 or R, *shape]."""
    try:
        array = np.asarray(values)
        numeric = array.dtype.kind in "biuf"
    except (TypeError, ValueError, RuntimeError) as error:
        raise SpecError(f"The start '{name}' is no array of numbers ({error}).") from None
    if not numeric:
        raise SpecError(f"The start '{name}' holds {array.dtype} values: give numbers.")
    if array.shape not in (shape, (1, *shape), (replicas, *shape)):
        turned = " It seems to be transposed: give its .T." if array.T.shape == shape else ""
        raise SpecError(
            f"The start '{name}' has shape {array.shape}; the tensor has {shape}: give that, or"
            f" {(replicas, *shape)} with one for each replica.{turned}"
        )
    with np.errstate(over="ignore"):
        out = np.ascontiguousarray(array.astype(dtype)).reshape(-1, *shape)
    if not np.isfinite(out).all():
        at = tuple(int(i) for i in np.argwhere(~np.isfinite(out))[0])
        where = ", ".join(map(str, at if len(out) > 1 else at[1:]))
        raise SpecError(f"The start '{name}' is {float(out[at])} at [{where}]: starts must be finite.")
    return out


def _names(layout: Layout) -> str:
    shapes = ", ".join(f"{name} {shape}" for name, shape in layout.tensors.items())
    return f"Its tensors: {shapes}; momenta are {MOMENTUM}NAME."


def find_starts(spec: RunSpec, base: Path | None, given: Any) -> tuple[RunSpec, dict[str, Any] | None]:
    """What the spec or the caller gives to start from, unchecked, and the spec with its hash; None where starts are
    drawn.

    Raises
    ------
    SpecError, DataError
        Starts are given in two places, or in none; the file cannot be read, or is another one than the spec knows.
    """
    if spec.target is not None:
        if given is not None:
            raise SpecError("init is for networks: a potential starts at start, start_sd or start_range in [target].")
        return spec, None
    model = spec.model
    if given is None:
        if model.init == GIVEN:
            raise SpecError(
                'init = "given" means arrays from Python, and none are given: gpu_thermo.sample(spec, init=...).'
            )
        if not model.init_is_file:
            return spec, None
        held: dict[str, Any] = dict(read_npz(place(model.init, base), None))
    else:
        held = _mapping(given)
        known = model.init_is_file and model.init_sha256 is not None  # a resume: the same, from the store
        if model.init != GIVEN and "init" in model.model_fields_set and not known:
            raise SpecError(
                f"Starts are given, and the spec has model.init = '{model.init}': leave out one of the two."
            )
        model = model if known else model.model_copy(update={"init": GIVEN})
    if not held:
        raise SpecError("The starts are empty: give the network's tensors by name.")
    if spec.run.momenta != "zero" and any(name.startswith(MOMENTUM) for name in held):
        raise SpecError(f"Momenta are given, and the spec has run.momenta = '{spec.run.momenta}': leave it out.")
    return spec.model_copy(update={"model": model}), held


def _mapping(given: Any) -> dict[str, Any]:
    """Given starts by name."""
    if isinstance(given, str) and not given.endswith(".npz"):
        raise SpecError(
            f"init = {given!r} is no file of weights, 'weights.npz', and no dictionary of tensors by name. How starts"
            f" are drawn stands in the spec: model.init = {(given if given in INITS else INITS[0])!r}."
        )
    if isinstance(given, str | Path):
        return dict(read_npz(Path(given), None))
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise SpecError(
            f"init is {type(given).__name__}: give a dictionary of tensors by name, {{'w1': ..., 'b1': ...}}, or a file"
            " 'weights.npz'. A trained network: weights_from_sklearn, weights_from_torch."
        )
    return dict(given)


def digest_of(tensors: Iterable[tuple[str, tuple[str, ...], np.ndarray]]) -> str:
    """Of tensors, in their order: name, axes, type, shape and every number."""
    digest = hashlib.sha256()
    for name, dims, values in tensors:
        little = values.astype(values.dtype.newbyteorder("<"), copy=False)
        digest.update(json.dumps([name, dims, little.dtype.str, little.shape]).encode())
        digest.update(np.ascontiguousarray(little).data)
    return digest.hexdigest()


def with_hash(spec: RunSpec, starts: Starts) -> RunSpec:
    """The spec with the hash of its starts; SpecError where it knows another one."""
    found = digest_of((name, dims, values) for name, (dims, values) in starts.constants().items())
    known = spec.model.init_sha256
    if known not in (None, found):
        raise SpecError(
            f"model.init_sha256 in the spec is {known[:16]}..., that of the starts given {found[:16]}...: give the same"
            " starts, or leave init_sha256 out."
        )
    return spec.model_copy(update={"model": spec.model.model_copy(update={"init_sha256": found})})


def stored_starts(constants: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The starts among a store's constants, by name as they were given."""
    return {
        name.removeprefix(STORED): np.asarray(values) for name, values in constants.items() if name.startswith(STORED)
    }
