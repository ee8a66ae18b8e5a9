"""Which groups and arrays a store has: all of it follows from a few sizes and names, which the root keeps as JSON.

A reader builds the same table from that JSON and refuses a store whose documents say otherwise, so that no shape is
taken on trust.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np

from ..errors import StoreError
from .arrays import DTYPES, STRING, ArraySpec, dtype_name, growing_chunks
from .header import Header

Variable = tuple[tuple[str, ...], tuple[int, ...], str]
"""Dims, shape and dtype."""

KEPT = {
    "parameters": "posterior",
    "momenta": "momenta",
    "predictions": "probes",
    "log_likelihood": "log_likelihood",
}
"""What a draw may keep, and the group that it goes to."""
KEEP = tuple(KEPT)
CHANGING = {"status": "int32", "frozen_step": "int64"}
"""Coordinates on chain that the run itself sets: rewritten at every commit that changes them, and from the checkpoint
at recovery."""

TUNING = "tuning"
"""Group of a run that tunes itself: what it decided, when and from what, as JSON in its attributes."""

SLOTS = ("checkpoint/0", "checkpoint/1")
SLOT_PARTS = ("extra", "sums", "predictive")
RUNGS = "_rungs"
"""Ending of the groups that hold every replica of a ladder, beside those that hold its target rung."""
OF_RUNGS = ("rung", "power", "log_weight")
"""Statistics that say where on a ladder a replica is: nothing to say of draws of the target rung alone."""
_LATER = {"together": 1, "apart": False, "weighted": False, "points": 0, "ensembles": {}, "tuned": ()}
"""Fields that schemas had not from the first: their text leaves them out where they say nothing."""
_RESERVED = {"chain", "replica", "ladder", "weight", "draw", "step", *CHANGING}
_MAX = 1 << 48


@dataclass(frozen=True)
class Schema:
    """Sizes and names of a store.

    Attributes
    ----------
    replicas : R. dtype : of parameters and predictions. tensors : name -> shape. probes : probe points.
    chain : static coordinate -> dtype. constant, predictive : name -> Variable. statistics, trace : name -> Variable of
    one draw or step.
    dims : tensor -> names of its axes. Not in the JSON (format 1 has no place for them): the documents of the groups
    posterior and momenta say them.
    together : neighbouring replicas whose draws on the target rung make one chain. apart : whether every replica's own
    draws stand in groups of their own, `posterior_rungs` and so on. weighted : whether draws have weights.
    points : training points, of the group log_likelihood. ensembles : coordinate of an ensemble -> dtype.
    tuned : coordinates on chain that the run finds itself, as stepsize; with any of them there is a group `tuning`.
    """

    replicas: int
    dtype: str
    tensors: dict[str, tuple[int, ...]]
    partitions: tuple[str, ...]
    outputs: tuple[str, ...]
    features: tuple[str, ...]
    probes: int
    keep: tuple[str, ...]
    draws: int
    trace_steps: int
    chain: dict[str, str]
    constant: dict[str, Variable]
    predictive: dict[str, Variable]
    statistics: dict[str, Variable]
    trace: dict[str, Variable]
    tuned: tuple[str, ...] = ()
    dims: dict[str, tuple[str, ...]] = field(default_factory=dict)
    together: int = 1
    apart: bool = False
    weighted: bool = False
    points: int = 0
    ensembles: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, header: Header) -> "Schema":
        """The schema of a new store; StoreError where the header contradicts itself."""
        try:
            return _check(_from_header(header))
        except TypeError as error:
            raise StoreError(f"The store cannot be laid out: {error}.") from None

    def to_json(self) -> str:
        """Text for the root's attribute `schema`."""
        left_out = {"dims", *(name for name, nothing in _LATER.items() if getattr(self, name) == nothing)}
        fixed = {name: value for name, value in asdict(self).items() if name not in left_out}
        return json.dumps(fixed)  # the order of the tensors is their order in a replica

    @classmethod
    def from_json(cls, text: Any) -> "Schema":
        """Inverse of `to_json`, dims left out; StoreError for anything else, however odd."""
        try:
            raw = json.loads(text)
            known = {f.name for f in fields(cls)} - {"dims"}
            if not isinstance(raw, dict) or not known - set(_LATER) <= set(raw) <= known:
                raise ValueError("its keys are not those of a schema")
            return _check(_from_raw(raw))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
            raise StoreError(
                f"The attribute `schema` of the store is damaged: {error}. Restore the store from a copy."
            ) from None

    @property
    def parameters(self) -> int:
        """P."""
        return sum(math.prod(shape) for shape in self.tensors.values())

    @property
    def sampled(self) -> tuple[str, ...]:
        """Groups that grow by draws."""
        return self._both(*(group for what, group in KEPT.items() if what in self.keep), "sample_stats")

    @property
    def traced(self) -> tuple[str, ...]:
        """Groups of learning curves."""
        return self._both("trace")

    @property
    def chained(self) -> tuple[str, ...]:
        """Groups with a chain (or replica) axis: DataTree inherits index coordinates only, so each has its own copy of
        those on it.
        """
        return (*self.sampled, *self.traced)

    def _both(self, *groups: str) -> tuple[str, ...]:
        """The groups, and those of every rung where they stand apart."""
        return (*groups, *(f"{group}{RUNGS}" for group in groups if self.apart))

    @property
    def chains(self) -> int:
        """Chains: replicas, or ladders of them."""
        return self.replicas // self.together

    def lead(self, group: str) -> tuple[str, int]:
        """First axis of a chained group and its length: chain, or replica where every rung stands apart."""
        return ("replica", self.replicas) if group.endswith(RUNGS) else ("chain", self.chains)

    def of_chain(self, values: np.ndarray, status: np.ndarray | None = None) -> np.ndarray:
        """What a chain says of its replicas [R]: their common value, the first one's; of those that froze, the first
        that did.
        """
        each = np.asarray(values).reshape(self.chains, self.together)
        if status is None or self.together == 1:
            return each[:, 0]
        when = np.where(np.asarray(status).reshape(each.shape) != 0, 0, 1)
        return np.take_along_axis(each, when.argmin(axis=1)[:, None], axis=1)[:, 0]

    def with_dims(self, dims: Mapping[str, tuple[str, ...]]) -> "Schema":
        """The same with names for the tensors' axes, as found in a store; TypeError for what can be none."""
        return _check(replace(self, dims=dict(dims)))

    @property
    def sizes(self) -> dict[str, int]:
        """Lengths of the axes that all groups share."""
        return {
            "partition": len(self.partitions),
            "output": len(self.outputs),
            "feature": len(self.features),
            "probe": self.probes,
            "chain": self.chains,
        }

    def groups(self) -> tuple[str, ...]:
        """Paths of all groups but the root, parents first."""
        parts = tuple(f"{slot}/{part}" for slot in SLOTS for part in SLOT_PARTS)
        tuning = (TUNING,) if self.tuned else ()
        return (*self.chained, "predictive", "constant_data", *tuning, "checkpoint", *SLOTS, *parts)

    def arrays(self) -> dict[str, ArraySpec]:
        """All arrays outside the checkpoint slots, by path."""
        variables = {group: dict(self._variables(group)) for group in (*self.chained, "predictive", "constant_data")}
        table: dict[str, ArraySpec] = {}
        for group, own in variables.items():
            table |= {f"{group}/{name}": spec for name, spec in (*self._coordinates(group, own), *own.items())}
        return table

    def derived(self) -> frozenset[str]:
        """Paths of what the checkpoint says again, for readers: rewritten at commits and from it at recovery."""
        changing = (f"{group}/{name}" for group in self.chained for name in (*CHANGING, *self.tuned))
        return frozenset((*changing, *(f"predictive/{name}" for name in self.predictive)))

    def _variables(self, group: str) -> Iterator[tuple[str, ArraySpec]]:
        if group in self.chained:
            time, grid = "step" if group in self.traced else "draw", self._grid(group)
            lead, length = self.lead(group)
            for name, (dims, shape, dtype) in self._sampled(group).items():
                yield name, ArraySpec.growing((lead, time, *dims), length, shape, dtype, grid)
        else:
            for name, variable in (self.predictive if group == "predictive" else self.constant).items():
                yield name, ArraySpec.fixed(*variable)

    def _sampled(self, group: str) -> dict[str, Variable]:
        """What one draw or step of a chained group has, chain and draw left out."""
        own = group.removesuffix(RUNGS)
        if own in ("posterior", "momenta"):
            return {name: (self.dims[name], shape, self.dtype) for name, shape in self.tensors.items()}
        if own == "probes":
            return {"predictions": (("probe", "output"), (self.probes, len(self.outputs)), self.dtype)}
        if own == "log_likelihood":
            return {"y": (("point",), (self.points,), self.dtype)}
        found = self.statistics if own == "sample_stats" else self.trace
        gathered = self.together > 1 and own == group
        return {name: v for name, v in found.items() if not (gathered and name in OF_RUNGS)}

    def of_draws(self, group: str) -> dict[str, str]:
        """Coordinates of every draw in a group, name -> dtype: its weight, or the replica that it is of."""
        if group in self.traced or group.endswith(RUNGS):
            return {}
        return ({"replica": "int64"} if self.together > 1 else {}) | ({"weight": "float64"} if self.weighted else {})

    def _grid(self, group: str) -> tuple[int, int]:
        """Chains and draws (or steps) of every chunk in a chained group, so that xarray's chunks of it agree."""
        cells = [math.prod(shape) * np.dtype(dtype).itemsize for _, shape, dtype in self._sampled(group).values()]
        return growing_chunks(self.lead(group)[1], max(cells, default=1), self._expected(group))

    def _expected(self, group: str) -> int:
        return self.trace_steps if group in self.traced else self.draws

    def _coordinates(self, group: str, variables: Mapping[str, ArraySpec]) -> Iterator[tuple[str, ArraySpec]]:
        lengths = {d: n for spec in variables.values() for d, n in zip(spec.dims, spec.shape, strict=True)}
        if group in self.chained:
            (chains, length), (lead, count) = self._grid(group), self.lead(group)
            ladder = {"ladder": "int64"} if lead == "replica" and self.together > 1 else {}
            for name, dtype in {lead: "int64", **ladder, **self.chain, **CHANGING}.items():
                yield name, ArraySpec.fixed((lead,), (count,), dtype, chains)
            time = "step" if group in self.traced else "draw"
            yield time, ArraySpec.axis((time,), "int64", max(1, min(4096, self._expected(group))))
            if group not in self.traced:
                yield "step", ArraySpec.axis(("draw",), "int64", length)
            for name, dtype in self.of_draws(group).items():
                yield name, ArraySpec.growing((lead, time), count, (), dtype, (chains, length))
        if group == "predictive" and "ensemble" in lengths:
            for name, dtype in self.ensembles.items():
                yield name, ArraySpec.fixed(("ensemble",), (lengths["ensemble"],), dtype)
        for dim, length in lengths.items():
            if dim not in ("chain", "replica", "draw", "step") and dim not in variables:
                yield dim, ArraySpec.fixed((dim,), (length,), STRING if self.names(dim, length) else "int64")

    def names(self, dim: str, length: int) -> tuple[str, ...]:
        """Labels along an axis, () where it is merely counted; of several outputs the answers come first."""
        known = {
            "partition": self.partitions,
            "output": self.outputs,
            "feature": self.features,
            "coordinate": self.features,
        }.get(dim, ())
        if dim == "output" and 0 < length < len(known):
            return known[:length]
        return known if len(known) == length else ()

    def labels(self, dim: str, length: int) -> np.ndarray:
        """Values of an index coordinate."""
        return np.array(self.names(dim, length) or np.arange(length))

    def coordinates(self, group: str) -> str:
        """The group's attribute `coordinates`, by which xarray tells coordinates from variables."""
        own = dict(self._variables(group))
        return " ".join(name for name, _ in self._coordinates(group, own))


def _from_header(header: Header) -> Schema:
    """The schema of a run; TypeError where the parts of its header do not go together."""
    probes, count = header.probes, int(header.probes.shape[-2])
    constant = {**header.constant, "x_probe": (("dataset", "probe", "feature")[-probes.ndim :], probes)}
    sizes = {
        "partition": len(header.partitions),
        "output": len(header.outputs),
        "feature": len(header.features),
        "probe": count,
    }
    return Schema(
        replicas=_replicas(header),
        dtype=dtype_name(header.dtype),
        tensors={name: tuple(int(n) for n in shape) for name, (_, shape) in header.tensors.items()},
        partitions=tuple(header.partitions),
        outputs=tuple(header.outputs),
        features=tuple(header.features),
        probes=count,
        keep=tuple(header.keep),
        draws=int(header.draws),
        trace_steps=int(header.trace_steps),
        chain=_dtypes(header.chain),
        constant={
            name: (tuple(dims), np.shape(value), dtype_name(np.asarray(value).dtype))
            for name, (dims, value) in constant.items()
        },
        predictive={
            name: (tuple(dims), tuple(int(n) for n in shape), "float64")
            for name, (dims, shape) in header.predictive.items()
        },
        statistics={name: _sized(*value, sizes) for name, value in header.statistics.items()},
        trace={name: _sized(*value, sizes) for name, value in header.trace.items()},
        tuned=tuple(header.tuned),
        dims={name: tuple(dims) for name, (dims, _) in header.tensors.items()},
        together=int(header.together),
        apart=bool(header.apart),
        weighted=bool(header.weighted),
        points=int(header.points),
        ensembles=_dtypes(header.ensembles),
    )


def _replicas(header: Header) -> int:
    """R; TypeError where the chain coordinates do not share it."""
    shapes = {np.shape(value) for value in header.chain.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise TypeError(f"the chain coordinates need one common shape (R,), not {sorted(shapes)}")
    return int(next(iter(shapes))[0])


def _dtypes(values: Mapping[str, Any]) -> dict[str, str]:
    """Names of the types of coordinates."""
    return {name: dtype_name(np.asarray(value).dtype) for name, value in values.items()}


def _sized(dims: tuple[str, ...], dtype: Any, sizes: Mapping[str, int]) -> Variable:
    """A statistic with the sizes of its axes; TypeError for an axis that nothing else has."""
    unknown = [d for d in dims if d not in sizes]
    if unknown:
        raise TypeError(f"a statistic has the axis '{unknown[0]}'; axes after chain and draw are {', '.join(sizes)}")
    return tuple(dims), tuple(sizes[d] for d in dims), dtype_name(dtype)


def _from_raw(raw: dict[str, Any]) -> Schema:
    raw = dict(raw)
    for name in ("partitions", "outputs", "features", "keep", "tuned"):
        raw[name] = tuple(raw.get(name, ()))
    raw["tensors"] = {name: tuple(shape) for name, shape in raw["tensors"].items()}
    for name in ("constant", "predictive", "statistics", "trace"):
        raw[name] = {key: (tuple(dims), tuple(shape), dtype) for key, (dims, shape, dtype) in raw[name].items()}
    return Schema(**raw)


def _check(schema: Schema) -> Schema:
    """Refuse names that are not plain words, and sizes that are not counts; TypeError."""
    s = schema
    variables = [v for table in (s.constant, s.predictive, s.statistics, s.trace) for v in table.values()]
    counts = [s.replicas, s.probes, s.draws, s.trace_steps, s.points, s.together]
    counts += [n for shape in s.tensors.values() for n in shape]
    for count in (*counts, *(n for _, shape, _ in variables for n in shape)):
        if type(count) is not int or not 0 <= count < _MAX:
            raise TypeError(f"{count!r} is not a size")
    if s.replicas < 1:
        raise TypeError("a store needs at least one replica")
    if not s.together or s.replicas % s.together or type(s.apart) is not bool or type(s.weighted) is not bool:
        raise TypeError(f"{s.replicas} replicas do not make chains of {s.together}")
    if s.apart and "rung" not in s.statistics:
        raise TypeError("replicas stand apart by rung, and there is no statistic rung")
    words = (
        *s.tensors,
        *s.chain,
        *s.ensembles,
        *s.constant,
        *s.predictive,
        *s.statistics,
        *s.trace,
        *(d for dims, _, _ in variables for d in dims),
        *(d for dims in s.dims.values() for d in dims),
    )
    for word in words:
        if not isinstance(word, str) or not re.fullmatch(r"[^\W\d]\w{0,99}", word) or word.startswith("__"):
            raise TypeError(f"{word!r} is not a name for a variable: letters, digits and _ only")
    for dtype in (s.dtype, *s.chain.values(), *s.ensembles.values(), *(dtype for _, _, dtype in variables)):
        if dtype not in DTYPES:
            raise TypeError(f"dtype {dtype!r} is not one of {', '.join(DTYPES)}")
    for label in (*s.partitions, *s.outputs, *s.features):
        if not isinstance(label, str) or len(label) > 1000:
            raise TypeError(f"{label!r} is not a label")
    if set(s.keep) - set(KEEP):
        raise TypeError(f"keep names {sorted(set(s.keep) - set(KEEP))}; it may name {', '.join(KEEP)}")
    if odd := [name for name in s.tuned if s.chain.get(name) != "float64"]:
        raise TypeError(f"what the run finds itself, {odd[0]!r}, is no number of each chain")
    return _check_clashes(s)


def _check_clashes(schema: Schema) -> Schema:
    """Refuse one name for two things in a group, and one axis of two lengths; TypeError."""
    s = schema
    clash = set(s.chain) & (
        _RESERVED | set(s.tensors) | set(s.statistics) | set(s.trace) | set(s.sizes) | {"predictions"}
    )
    if clash:
        raise TypeError(f"the chain coordinate '{min(clash)}' has the name of a variable or an axis in the same group")
    if clash := set(s.tensors) & _RESERVED:
        raise TypeError(f"the parameter '{min(clash)}' has the name of a coordinate: give it another name")
    if clash := set(s.ensembles) & (set(s.predictive) | {d for dims, _, _ in s.predictive.values() for d in dims}):
        raise TypeError(f"the coordinate '{min(clash)}' of an ensemble has the name of a variable in predictive")
    clash = (set(s.statistics) | set(s.trace)) & (_RESERVED | set(s.sizes))
    if clash:
        raise TypeError(f"the statistic '{min(clash)}' has the name of a coordinate")
    axes = {d for dims in s.dims.values() for d in dims}
    if clash := axes & (_RESERVED | set(s.chain) | set(s.tensors)):
        raise TypeError(f"the axis '{min(clash)}' of a tensor has the name of a variable or coordinate beside it")
    tensors = {name: (dims, s.tensors[name], s.dtype) for name, dims in s.dims.items()}
    for group, table in (("predictive", s.predictive), ("constant_data", s.constant), ("posterior", tensors)):
        lengths: dict[str, int] = dict(s.sizes) if group == "posterior" else {}
        for name, (dims, shape, _) in table.items():
            if len(dims) != len(shape) or len(set(dims)) != len(dims):
                raise TypeError(f"{group}/{name} has axes {dims} and shape {shape}")
            for dim, n in zip(dims, shape, strict=True):
                if lengths.setdefault(dim, n) != n:
                    raise TypeError(f"axis '{dim}' of {group}/{name} has length {n}, elsewhere {lengths[dim]}")
    return s
