"""Kinetic and configurational temperature of each partition against the temperature asked for (equations.md sections 1
and 10).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from gpu_thermo.averages.predictive import model_of, restored_data
from gpu_thermo.data import Dataset
from gpu_thermo.method.named import METHODS
from gpu_thermo.method.partition import Partition
from gpu_thermo.method.words import parse_word
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.targets.base import Batch, Layout
from gpu_thermo.targets.posterior import MlpTarget
from gpu_thermo_analysis.multimodal_draws import Counted

TOLERANCE = 0.1
"""Relative error above which nothing is said, and difference below which a value without an error passes."""
NEGLIGIBLE, MOST_ERRORS = 0.02, 4.0
"""Relative difference that is called none, whatever its error; standard errors that a larger one may have."""
_MOST_POSITIONS = 512
_WORK = 1e11
"""Floating-point operations spent on full-batch gradients of an ensemble: seconds."""
_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Temperature:
    """A partition's temperatures: means, and standard errors over chains; NaN where there is none.

    Attributes
    ----------
    target : tau asked for. kinetic : p.p / n_k at the end of the step. configurational : theta . grad U / n_k on the
    full batch.
    """

    partition: str
    target: float
    kinetic: float
    kinetic_error: float
    configurational: float = math.nan
    configurational_error: float = math.nan


def partition_temperatures(tree: xr.DataTree, counted: Counted, dataset: int) -> list[Temperature]:
    """Temperatures of one ensemble, of its draws that count, and given its data set."""
    stats = tree["sample_stats"].to_dataset()
    kinetic = counted.take(stats["kinetic_temperature"].transpose("chain", "draw", "partition")).mean(axis=1)
    names = [str(name) for name in stats["partition"].to_numpy()]
    configurational = _configurational(tree, counted, dataset, names)
    first = counted.chain[0, 0] if counted.chain.size else 0
    out = []
    for k, name in enumerate(names):
        coordinate = f"temperature_{name}"
        target = float(stats[coordinate].to_numpy()[first]) if coordinate in stats.coords else math.nan
        t = Temperature(name, target, *_mean_and_error(kinetic[:, k]))
        if configurational is not None:
            mean, error = _mean_and_error(configurational[:, k])
            t = replace(t, configurational=mean, configurational_error=error)
        out.append(t)
    return out


def _mean_and_error(per_chain: np.ndarray) -> tuple[float, float]:
    """Mean over chains and its standard error; NaN error for one chain, NaN for none."""
    count = len(per_chain)
    mean = float(per_chain.mean()) if count else math.nan
    return mean, float(per_chain.std(ddof=1) / math.sqrt(count)) if count > 1 else math.nan


Gradient = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class _Subject:
    """What was sampled: full-batch gradients [n, P] of positions [n, P], how these are laid out, its partition,
    positions to evaluate at once and in all.
    """

    gradient: Gradient
    layout: Layout
    partition: Partition
    rows: int
    count: int


def _configurational(tree: xr.DataTree, counted: Counted, dataset: int, names: list[str]) -> np.ndarray | None:
    """Array of theta . grad U / n_k [chain, partition], on evenly chosen chains and draws; None where no parameters are
    kept.
    """
    if "posterior" not in tree.children or tree["posterior"].sizes["draw"] == 0 or counted.chain.size == 0:
        return None
    spec = RunSpec.from_json(tree.attrs["spec"])
    subject = _network(tree, dataset, names) if spec.target is None else _potential(spec, names)
    if subject is None:
        return None
    positions = _positions(tree, counted, subject.layout, subject.count)
    flat = positions.reshape(-1, positions.shape[-1]).astype(np.float64)
    products = np.empty((len(flat), len(names)))
    for start in range(0, len(flat), subject.rows):
        theta = flat[start : start + subject.rows]
        gradient = subject.gradient(theta)
        for k, (columns, count) in enumerate(zip(subject.partition.slices, subject.partition.counts, strict=True)):
            products[start : start + subject.rows, k] = (theta[:, columns] * gradient[:, columns]).sum(axis=1) / count
    return products.reshape(*positions.shape[:2], -1).mean(axis=1)


def _network(tree: xr.DataTree, dataset: int, names: list[str]) -> _Subject | None:
    if RunSpec.from_json(tree.attrs["spec"]).model.network is not None:
        return None  # a store holds no code
    data, model = restored_data(tree), model_of(tree)
    partition = _partition_named(model.layout, names)
    if partition is None:
        return None
    target = MlpTarget(model, _one_set(data, dataset), np.zeros(1, np.int64), np.float64)
    rows = max(1, _BYTES // (8 * data.points * (3 * sum(model.hidden) + 4 * model.outputs)))
    at_once = lambda theta: target.energy_and_gradient(theta, Batch(None, np.zeros(len(theta), np.int64)))[1]  # noqa: E731
    size = model.layout.size
    return _Subject(at_once, model.layout, partition, rows, _affordable(6 * data.points * size, size))


def _potential(spec: RunSpec, names: list[str]) -> _Subject | None:
    """The spec's own potential; there is no other to be had from a store."""
    assert spec.target is not None
    if spec.target.name == "custom":
        return None
    potential = spec.target.build()
    partition = _partition_named(potential.layout, names)
    size = potential.layout.size
    if partition is None:
        return None
    rows, count = max(1, _BYTES // (64 * size)), 64 * _affordable(100 * size, size)
    return _Subject(potential.gradient, potential.layout, partition, rows, count)


def _partition_named(layout: Layout, names: list[str]) -> Partition | None:
    candidates = (layout.partition(kind) for kind in ("layer", "tensor", "all"))
    return next((p for p in candidates if list(p.names) == names), None)


def _affordable(work: int, size: int) -> int:
    """How many full-batch gradients of `work` operations to spend on an ensemble."""
    return int(np.clip(min(_WORK / work, _BYTES / (8 * size)), 4, _MOST_POSITIONS))


def _positions(tree: xr.DataTree, counted: Counted, layout: Layout, count: int) -> np.ndarray:
    """Positions [chain, draw, P]: `count` in all, chains first."""
    some = counted.some(count)
    when = _spread(some.chain.shape[1], max(1, count // len(some.chain)))
    some = replace(some, chain=some.chain[:, when], draw=some.draw[:, when])
    posterior = tree["posterior"].to_dataset()
    return layout.join({name: some.take(posterior[name]) for name in layout.tensors})


def _spread(size: int, count: int) -> np.ndarray:
    """At most `count` evenly spaced indices below `size`, the last one among them."""
    return np.unique(np.linspace(size - 1, 0, min(size, count)).round().astype(int))


def _one_set(data: Dataset, dataset: int) -> Dataset:
    keep = slice(dataset, dataset + 1)
    arrays = {name: getattr(data, name)[keep] for name in ("x_train", "y_train", "x_test", "y_test")}
    return replace(data, **arrays, standardisation=None)


# -- verdicts ----------------------------------------------------------------------------------------------------------


def kinetic_verdict(t: Temperature, spec: RunSpec, thermostatted: bool) -> tuple[bool | None, str]:
    """Whether the kinetic temperature is the one asked for (None: nothing to judge), and why, in a sentence."""
    shown = f"Kinetic temperature of {t.partition}: {_plus_minus(t.kinetic, t.kinetic_error)}"
    if math.isnan(t.kinetic) and _fixed_length(spec):
        return None, f"Kinetic temperature of {t.partition}: none, its word holds |p| at one length."
    if spec.method.name not in METHODS or METHODS[spec.method.name].update is not None:
        return None, f"{shown}. {spec.method.name} keeps no thermal momenta: nothing to compare with."
    if math.isnan(t.target):
        return None, f"{shown}. Its word uses no temperature: nothing to compare with."
    if t.target == 0:
        return (
            None,
            f"{shown}. At temperature 0 the stored momentum is the last kick h G / 2: expected, not a temperature.",
        )
    if scheduled(spec):
        return None, f"{shown}. The temperature follows a schedule: no verdict."
    off = t.kinetic / t.target - 1
    shown = f"{shown}, asked for {t.target:.3g} ({_relative(off)})"
    agrees, why = _agreement(t.kinetic, t.kinetic_error, t.target)
    if agrees is not False:
        return agrees, f"{shown}: {why}."
    if thermostatted:
        return False, f"{shown}, {why}: its thermostat has not settled. Use a longer burn-in, or a larger epsilon."
    if off > 0 and noisy_gradients(spec):
        remedy = "Use larger batches, a smaller stepsize or more friction."
        return False, f"{shown}, {why}: gradient noise heats it, by about h s^2 / (2 gamma). {remedy}"
    if off > 0:
        return False, f"{shown}, {why}: too large a stepsize, or moves that are not exact. Use a smaller stepsize."
    return (
        None,
        (
            f"{shown}, {why}: expected of a finite stepsize, which lowers p.p (BAOAB: by h^2 k / 4 at curvature k)"
            " before positions."
        ),
    )


def _fixed_length(spec: RunSpec) -> bool:
    """Whether any word of the run, given or the method's own, holds momenta at a fixed length."""
    method = METHODS.get(spec.method.name)  # none of an update that is registered elsewhere
    word = spec.method.word or (method.words if method else {})
    texts = [word] if isinstance(word, str) else [*word.values()]
    here = [text for text in texts if not any(f"letter {letter}" in spec.registered for letter in text)]
    return any(record.fixed_length for text in here for record in parse_word(text).records)


def _agreement(value: float, error: float, target: float) -> tuple[bool | None, str]:
    """Whether `value` is `target`, given its standard error, and the words for it; None where that is not known."""
    off, relative = abs(value / target - 1), _nan_to_zero(error) / target
    if off <= NEGLIGIBLE:
        return True, f"agrees to {NEGLIGIBLE:.0%}"
    if relative == 0:
        return (True, f"within {TOLERANCE:.0%}") if off <= TOLERANCE else (False, f"off by {off:.0%}")
    if off > MOST_ERRORS * relative:
        return False, f"{off / relative:.0f} standard errors away"
    if relative > TOLERANCE:
        return None, f"no verdict, its error of {relative:.0%} is too large: give more draws or replicas"
    return True, "agrees within its error"


def noisy_gradients(spec: RunSpec) -> bool:
    """Whether the run's gradients have noise: of minibatches, or the potential's own."""
    if spec.target is not None:
        return bool(np.any(spec.target.gradient_noise_sd))
    return spec.run.minibatch != "full"


def configurational_verdict(temperatures: list[Temperature], spec: RunSpec, weighted: bool) -> tuple[bool | None, str]:
    """Whether theta . grad U / n_k is the temperature asked for; None, with the reason, where that question has no
    answer.
    """
    values = ", ".join(f"{t.partition} {_plus_minus(t.configurational, t.configurational_error)}" for t in temperatures)
    shown = f"Configurational temperature: {values}"
    targets = {t.partition: t.target for t in temperatures}
    reason = _no_verdict(targets, spec, weighted)
    if all(math.isnan(t.configurational) for t in temperatures):
        own = spec.target is None and spec.model.network is not None
        needed = "the network, which was given in Python" if own else 'stored parameters (keep = ["parameters"])'
        return None, f"Configurational temperature: needs {needed}."
    if reason:
        return None, f"{shown}. No verdict: {reason}."
    tau = temperatures[0].target
    found = {t.partition: _agreement(t.configurational, t.configurational_error, tau) for t in temperatures}
    shown = f"{shown}, asked for {tau:.3g}"
    wrong = {t.partition: t.configurational / tau - 1 for t in temperatures if found[t.partition][0] is False}
    if wrong:
        listed = ", ".join(f"{name} {_relative(off)}, {found[name][1]}" for name, off in wrong.items())
        return False, f"{shown} ({listed}): positions are not at this temperature. {_cause(wrong, spec)}"
    unknown = [name for name, (agrees, _) in found.items() if agrees is None]
    if unknown:
        return None, f"{shown}: {found[unknown[0]][1]}."
    return True, f"{shown}: agrees."


def _cause(wrong: Mapping[str, float], spec: RunSpec) -> str:
    """What can have put positions at another temperature, of the causes that this run can have."""
    if max(wrong.values()) <= 0:
        return "Too cold: the burn-in is too short, or the stepsize too large."
    causes = ["gradient noise"] if noisy_gradients(spec) else []
    causes += ["windows of exchange"] if any(getattr(move, "window", 1) != 1 for move in spec.moves) else []
    return f"Too hot: {', '.join([*causes, 'too short a burn-in'])} or too large a stepsize."


def _no_verdict(targets: Mapping[str, float], spec: RunSpec, weighted: bool) -> str:
    """Why configurational temperature cannot be judged, or nothing (equations.md section 1)."""
    if spec.target is None and spec.model.prior_sd is None:
        return (
            "without a prior exp(-U/tau) of this network has no normalisation, and the identity behind it does not hold"
        )
    if len(set(targets.values())) > 1 or any(math.isnan(v) for v in targets.values()):
        listed = ", ".join(f"{name} {'none' if math.isnan(v) else format(v, '.3g')}" for name, v in targets.items())
        return f"it needs one temperature for all partitions, and these have {listed}"
    if spec.method.freeze:
        return f"{', '.join(spec.method.freeze)} keeps its initial values"
    if scheduled(spec):
        return "the temperature follows a schedule"
    if spec.target is not None and spec.target.box is not None:
        return "positions are kept in a box, whose walls the identity behind it leaves out"
    if 0 in targets.values():
        return "at temperature 0 nothing is sampled"
    return "draws carry importance weights" if weighted else ""


def scheduled(spec: RunSpec) -> bool:
    """Whether a temperature changes during the run."""
    given = (spec.method.temperature or {}) | (spec.method.posterior_temperature or {})
    return any(s.schedule is not None for s in given.values())


def _relative(off: float) -> str:
    """A relative difference in percent, or far off as a multiple."""
    return f"{off:+.1%}" if abs(off) < 9 else f"{1 + off:.3g} times as much"


def _plus_minus(mean: float, error: float) -> str:
    return f"{mean:.3g}" if math.isnan(error) else f"{mean:.3g} +- {error:.1g}"


def _nan_to_zero(value: float) -> float:
    return 0.0 if math.isnan(value) else value
