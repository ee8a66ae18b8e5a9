"""From a StudySpec to shards: what one launch does, and how a launch is made ready.

Cells that share everything but hyperparameters run side by side in one launch, each replica with its own
hyperparameters, data set and streams. A run is one replica, or the ladder of them that trade places: ladders are never
cut. Where replicas learn something together (interacting histograms, temperatures and weights of rungs found on the
way), all seeds of a cell are one shard, alone: it is the single run of so many replicas. How the work is cut depends on
the spec and its data alone, never on workers; every shard has an id that names its content, so that a study that is
continued or extended finds what is done already.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ..engines import Engine
from ..errors import SpecError
from ..method.named import get_method
from ..moves.ladder import BY_RUNG
from ..running.hyperparameters import resolve_hyper
from ..running.setup import make_setup
from ..running.subject import Setup
from ..spec.run import RunSpec
from ..state import PARTITIONED, Hyper, State
from ..targets.base import Layout
from ..targets.priors import AUTO
from .beside import DATA, NETWORK, NOTHING, Beside
from .grids import Cell, StudySpec
from .seeds import SeedTable

SHARD_WORK = 5e11
"""Floating-point operations of one shard, about ten seconds on two cores."""
SMALLEST, LARGEST = 32, 1024
LENGTHS = ("steps", "burn_in", "thin", "trace", "tolerance", "max_steps")
"""Of [run]: how long a run is, and when it is recorded."""
FORMAT = 2
"""Of studies, in their stores and in every shard's id: raised when the same spec would be cut into other shards (2: by
the operations of the network and data at hand) or give other numbers."""


@dataclass(frozen=True)
class Group:
    """Cells that share launches, and what one of their runs is.

    Attributes
    ----------
    operations : arithmetic of a replica-step, learning curves included. engine, device : who carries it out, and where.
    layout : tensors of a run. partitions : their names. build : what decides bits here. memory : bytes of a run under
    way. probe : outputs of a network given from Python, by which it is known again. steady : whether every step does
    the same, for every run by itself, so that runs of other lengths may go on beside them. turns : replicas of a launch
    at most, of runs that stop themselves.
    """

    cells: list[Cell]
    operations: float
    engine: str
    device: str
    layout: Layout
    partitions: tuple[str, ...]
    build: Mapping[str, str]
    memory: int = 0
    probe: np.ndarray | None = None
    steady: bool = False
    turns: int = 0

    @property
    def spec(self) -> RunSpec:
        """The first cell's run, which the others differ from in hyperparameters only."""
        return self.cells[0].spec

    @property
    def together(self) -> bool:
        """Whether what a run becomes depends on the other seeds of its cell."""
        return any(move.learns_together for move in self.spec.moves)


@dataclass(frozen=True)
class Shard:
    """Some seeds of some cells, run in one launch.

    Attributes
    ----------
    id : names the content: cells, seeds, format. rows : [R] place of each run in the study, cell by cell.
    specs : JSON of each cell's run. data, init, dynamics : [S'] seeds, the same for each cell.
    group : number of the launch group. beside : what was given in Python.
    """

    id: str
    group: int
    cells: tuple[int, ...]
    rows: np.ndarray
    specs: tuple[str, ...]
    seeds: SeedTable
    first_seed: int
    accuracies: tuple[float, ...]
    keep: bool
    base: Path | None = None
    beside: Beside = field(default=NOTHING, repr=False)

    @property
    def runs(self) -> int:
        """Runs in this shard."""
        return len(self.rows)

    @property
    def tied(self) -> int:
        """Replicas of each run."""
        return int(self._run["replicas"])

    @property
    def replicas(self) -> int:
        """Replicas of the launch."""
        return self.runs * self.tied

    @property
    def replica_steps(self) -> int:
        """Of the whole shard."""
        return self.replicas * self.steps

    @property
    def steps(self) -> int:
        """Steps of each run; of one that stops itself the most it may take."""
        return int(self._run["max_steps" if self.tuned else "steps"])

    @property
    def tuned(self) -> bool:
        """Whether it is one run that tunes and stops itself."""
        return self._run.get("tolerance") is not None

    @cached_property
    def _run(self) -> dict[str, Any]:
        return dict(json.loads(self.specs[0])["run"])


def launch_key(spec: RunSpec) -> str:
    """Text that is equal for runs that can share a launch: all but the values of hyperparameters (schedules must
    agree), on a ladder those aside that its rungs set.
    """
    if spec.run.tolerance is not None:
        return spec.to_json()
    return json.dumps(_shared(spec), sort_keys=True)


def beside_key(spec: RunSpec) -> str:
    """Text that is equal for runs that differ in how long they are and when they are recorded, too; runs that stop
    themselves may find other hyperparameters.
    """
    tree = _shared(spec)
    tree["run"] = {key: value for key, value in tree["run"].items() if key not in LENGTHS}
    return json.dumps(tree, sort_keys=True)


def _shared(spec: RunSpec) -> dict[str, Any]:
    """All of a spec but the values of hyperparameters."""
    tree: dict[str, Any] = json.loads(spec.to_json())
    method, kept = tree["method"], _set_by_rungs(spec)
    for name in ("stepsize", "posterior_temperature", *PARTITIONED):
        if name in method and name not in kept and not (name == "momentum" and method["name"] == "coolmomentum"):
            method[name] = _schedules(method[name])
    if "posterior_temperature" in method:
        method["temperature"] = method.pop("posterior_temperature")
    if method["name"] == "sgld" and "sigma" in method and not kept:
        method["temperature"] = method.pop("sigma")
    return tree | {"method": {key: value for key, value in method.items() if value is not None}}


def _set_by_rungs(spec: RunSpec) -> set[str]:
    """Hyperparameters that a ladder's replicas have from their rungs: of a launch they have one ladder of them."""
    ladders = [move for move in spec.moves if move.count > 1]
    by_rung = {name for name in ("stepsize", *BY_RUNG) for m in ladders if getattr(m, name, None) is not None}
    return by_rung | {"temperature", "posterior_temperature", "sigma"} if ladders else set()


def _schedules(value: Any) -> Any:
    """What remains of a hyperparameter without its values."""
    if not isinstance(value, dict):
        return None
    if "schedule" in value:
        return {key: v for key, v in value.items() if key != "value"}
    return {key: kept for key, v in value.items() if (kept := _schedules(v)) is not None} or None


def group_cells(cells: list[Cell]) -> list[list[Cell]]:
    """Cells that share launches, in order of first appearance."""
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(launch_key(cell.spec), []).append(cell)
    return list(groups.values())


def shard_size(group: Group) -> int:
    """Runs of one shard: a power of two, by the operations of one run alone."""
    size, run = SMALLEST, group.operations * group.spec.run.steps * group.spec.tied
    while size < LARGEST and 2 * size * run <= SHARD_WORK:
        size *= 2
    return size


def make_shards(study: StudySpec, base: Path | None, groups: list[Group], beside: Beside = NOTHING) -> list[Shard]:
    """All shards of a study, in a fixed order: many seeds of one cell, or all seeds of several."""
    seeds = study.seeds.table()
    return [
        make_shard(study, base, seeds, number, some, span, beside)
        for number, group in enumerate(groups)
        for some, span in _cuts(group, seeds, study.study.shard or shard_size(group))
    ]


def make_shard(
    study: StudySpec, base: Path | None, seeds: SeedTable, number: int, cells: list[Cell], span: tuple[int, int],
    beside: Beside = NOTHING,
) -> Shard:  # fmt: skip
    """The study's seeds [start, stop) for some cells of launch group `number`."""
    start, stop = span
    cut = SeedTable(*(values[start:stop] for values in seeds))
    rows = np.concatenate([cell.index * len(seeds) + np.arange(start, stop) for cell in cells])
    specs = tuple(cell.spec.to_json() for cell in cells)
    name = _shard_id(specs, cut, study, _contents(cells[0].spec, base))
    options = tuple(study.study.accuracies), study.study.keep, base, beside
    return Shard(name, number, tuple(cell.index for cell in cells), rows, specs, cut, start, *options)


def _cuts(group: Group, seeds: SeedTable, size: int) -> Iterator[tuple[list[Cell], tuple[int, int]]]:
    """Some cells and a span of the seeds for each shard."""
    cells = group.cells
    size = len(seeds) if group.together else 1 if group.spec.run.tolerance is not None else size
    for first, last in _spans(group.spec, seeds):
        if last - first >= size:
            for cell in cells:
                for start in range(first, last, size):
                    yield [cell], (start, min(start + size, last))
            continue
        several = max(1, size // (last - first))
        for i in range(0, len(cells), several):
            yield cells[i : i + several], (first, last)


def _spans(spec: RunSpec, seeds: SeedTable) -> list[tuple[int, int]]:
    """Seeds that may share a shard: all; where each data set has its own prior, neighbours of one data seed."""
    if not _has_own_prior(spec):
        return [(0, len(seeds))]
    edges = [0, *(np.flatnonzero(seeds.data[1:] != seeds.data[:-1]) + 1).tolist(), len(seeds)]
    return list(pairwise(edges))


def _has_own_prior(spec: RunSpec) -> bool:
    """Whether each data set has a prior of its own."""
    return spec.target is None and spec.model.prior_sd == AUTO and spec.model.prior_scales is None


def _shard_id(specs: tuple[str, ...], seeds: SeedTable, study: StudySpec, contents: str) -> str:
    what = [FORMAT, specs, [v.tolist() for v in seeds], study.study.accuracies, study.study.keep, contents]
    given = {name: text for name, text in study.given.items() if name not in (DATA, NETWORK)}  # these the specs name
    content = json.dumps([*what, given] if given else what)
    return hashlib.sha256(content.encode()).hexdigest()[:20]


def _contents(spec: RunSpec, base: Path | None) -> str:
    """Size and time of change of the files that a run reads: a study of changed data is another study."""
    path = getattr(spec.data, "path", None) if spec.target is None else None
    if path is None:
        return ""
    place = (base or Path()) / Path(path).expanduser()
    files = sorted(place.iterdir()) if place.is_dir() else [place]
    return json.dumps([[f.name, f.stat().st_size, f.stat().st_mtime_ns] for f in files if f.is_file()])


def make_launches(
    shards: list[Shard],
    groups: list[Group],
    runs: int | None = None,
    most: float = SHARD_WORK,
    turns: int | None = None,
) -> list[tuple[Shard, ...]]:
    """Shards that go in one launch each: those of the same seeds whose runs differ in hyperparameters and length, up to
    so many `runs`, and `most` operations in all; and runs that stop themselves, `runs` of them where that is said, else
    as many as pays, of which no launch has more than `turns`. It changes nothing of what a shard gives.
    """
    out: dict[Any, list[list[Shard]]] = {}
    for shard in shards:
        group = groups[shard.group]
        launches = out.setdefault(_launch_of(shard, group), [[]])
        with_it = [*launches[-1], shard]
        several, bounds = sum(s.runs for s in with_it), (runs, turns if shard.tuned else None)
        full = any(bound is not None and several > bound for bound in bounds)
        if not shard.tuned:
            full |= sum(s.replica_steps * groups[s.group].operations for s in with_it) > most
        elif runs is None:
            full |= sum(s.replicas for s in with_it) > group.turns
        if len(with_it) > 1 and full:
            launches.append([shard])
        else:
            launches[-1] = with_it
    return [tuple(launch) for launches in out.values() for launch in launches]


def _launch_of(shard: Shard, group: Group) -> Any:
    """What shards have in common that may share a launch."""
    if not group.steady:
        return shard.id
    spec = group.spec
    if shard.tuned:
        return beside_key(spec), shard.seeds.data[0] if _has_own_prior(spec) else None
    return beside_key(spec), shard.first_seed, len(shard.seeds)


# -- one launch --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Launch:
    """A shard made ready: a Setup whose runs are ensembles of their own; `init` [R] are the initial state's streams."""

    setup: Setup
    init: np.ndarray


def make_launch(shard: Shard) -> Launch:
    """Build the data, the model and the job of a shard.

    Raises
    ------
    SpecError, DataError
        Whatever in a cell or its data cannot be run.
    """
    specs, tied = [RunSpec.from_json(text) for text in shard.specs], shard.tied
    each = len(shard.seeds) * tied
    made, dataset = shard.beside.prepared(specs[0], shard.base, shard.seeds.data, shard.replicas)
    if made.starts is not None and not made.starts.common:
        raise SpecError(
            f"model.init = '{made.spec.model.init}' has starts of its own for each replica, and a study's runs are not"
            " those: give tensors that all runs start from, or name a way to draw them (normal, pytorch, he, prior,"
            " zero)."
        )
    subject = made.subject.with_dataset(np.repeat(np.tile(dataset, len(specs)), tied))
    init, dynamics = (_streams(np.tile(seeds, len(specs)), tied) for seeds in (shard.seeds.init, shard.seeds.dynamics))
    ready = make_setup(made.spec, subject, dynamics, _hyper(specs, made, each))
    ready = replace(ready, ensemble=np.repeat(np.arange(shard.runs, dtype=np.int64), tied), starts=made.starts)
    return Launch(ready, init)


def joined(shards: Sequence[Shard]) -> Shard:
    """Several shards of a launch as one, their runs one after another; what it has of `specs` is of their
    hyperparameters.
    """
    rows, specs = np.concatenate([s.rows for s in shards]), tuple(text for s in shards for text in s.specs)
    return replace(shards[0], cells=tuple(cell for s in shards for cell in s.cells), rows=rows, specs=specs)


def _streams(seeds: np.ndarray, tied: int) -> np.ndarray:
    """[R] uint64 streams of the replicas of runs with these seeds: run s is ladder s of a single run."""
    return (seeds.astype(np.uint64)[:, None] * np.uint64(tied) + np.arange(tied, dtype=np.uint64)).ravel()


def initial_state(launch: Launch, engine: Engine) -> State:
    """The state at step 0 where it lives with an engine: its addresses are the seeds of the initial state, not those of
    the dynamics.
    """
    ready = launch.setup
    return replace(ready, job=replace(ready.job, stream=launch.init.astype(np.uint64))).begin(engine)


def _hyper(specs: list[RunSpec], made: Setup, each: int) -> Hyper:
    """Hyperparameters of all cells, each repeated for the replicas of its seeds."""
    method = get_method(specs[0].method.name)
    points, steps = made.job.target.points, specs[0].run.steps
    parts = [resolve_hyper(spec.method, method, made.program, 1, points, steps) for spec in specs]
    return Hyper.joined([part.take(np.zeros(each, np.int64)) for part in parts])
