"""One shard from start to end: advance, observe, and the numbers that a study keeps of each run."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from ..cost import operations
from ..engines import Engine, Job, choose_engine, describe_build, make_engine, resolve_device
from ..moves import fold
from ..running.loop import Loop, Moment
from ..running.subject import Setup
from ..state import State
from ..targets.likelihoods import SCORES
from . import builds
from .bill import run_bytes
from .collect import Collector
from .grids import Cell
from .held import Held
from .meaning import PRIOR_SD
from .mixing import Mixing
from .parts import NOTICES
from .seen import Speakers
from .shards import Group, Shard, initial_state, make_launch

Arrays = dict[str, np.ndarray]
OnSteps = Callable[[int], None]
"""Called after every segment with the steps done; it may raise to abandon the shard."""

MOST_COORDINATES = 16
"""Coordinates of a potential whose averages are kept, the first ones."""
OF_A_COORDINATE = 100.0
"""Operations of a potential's gradient and step, roughly: how its work is cut does not depend on a measurement."""
IDENTITY = ("ensemble", "dataset", "seed", "stream")
"""Chain coordinates of a run that a study names in its own way."""


def run_shard(
    shard: Shard,
    device: str = "auto",
    engine: str = "auto",
    threads: int | None = None,
    on_steps: OnSteps | None = None,
) -> Arrays:
    """Run one shard and return what the study keeps of it, each array with the shard's runs as first axis.

    Returns
    -------
    rows [R] : places in the study. Hyperparameters, `status` and `frozen_step` [R].
    accuracy, nll (or rmse), loss [R] : the last network on all test and training points.
    average_accuracy (or average_rmse), average_nll, brier, ece [R] : the prediction averaged over the run's draws.
    coverage_50, coverage_90, miscalibration, crps [R] : of numbers, see held.py.
    steps_to_A [R] : first recorded step with test accuracy A %, NaN if never. mean_T, rms_T, max_T [R] : of each
    tensor's last weights.
    curve_* [R, point] : learning curves at `steps` [point]. seconds [R] : share of the wall-clock time.
    With `keep`: each tensor [R, draw, ...], and as it was at the start, initial_TENSOR [R, ...].
    build [] : what decided the bits (builds.py). notices [] : what of these runs is allowed but rarely meant, as JSON.
    """
    began = time.perf_counter()
    launch = make_launch(shard)
    job = launch.setup.job
    device = resolve_device(device, job.target.library)
    worker = make_engine(job, choose_engine(job, engine, device), device, threads)
    watch = Watch(shard, launch.setup, worker, initial_state(launch, worker), threads)
    for recorded in watch.loop.segments():
        watch(recorded)
        if on_steps is not None:
            on_steps(watch.loop.state.step)
    watch.sampled = time.perf_counter() - watch.began
    return watch.arrays(time.perf_counter() - began)


class Watch:
    """Looks at the moments of one shard, and says what a study keeps of it.

    Attributes
    ----------
    loop : the shard's own, which sees what an `engine` recorded; it may belong to a launch of several. sampled :
    seconds that its moments took to come and be looked at.
    """

    def __init__(self, shard: Shard, ready: Setup, engine: Engine, state: State, threads: int | None) -> None:
        self.shard, self._speak = shard, Speakers(ready, shard.runs)
        self._initial = self._speak.first(np.array(state.position))
        self._moments = ready.moments()
        self.loop = Loop.make(ready, engine, state, self._moments, threads)
        self._build = describe_build(ready.job, engine.name, engine.device)
        self._collected, self._held = Collector(ready, shard), Held(ready, self._speak)
        self._mixing = Mixing(self.loop, self._speak)
        self.began, self.sampled = time.perf_counter(), 0.0

    def __call__(self, recorded: list[Moment]) -> None:
        """Take moments, by runs, of which some may run away."""
        with np.errstate(over="ignore", invalid="ignore"):
            for moment in recorded:
                seen = self._speak(moment.snapshot)
                self._collected(seen)
                self._held(seen)
                self._mixing(seen, moment.snapshot.position)

    def arrays(self, seconds: float) -> Arrays:
        """See run_shard; all of it took so many seconds."""
        loop, speak, shard = self.loop, self._speak, self.shard
        ready = loop.setup
        out = {"rows": shard.rows.astype(np.int64)}
        out |= self._collected.status(*speak.status(loop.state.status, loop.state.frozen_step))
        out |= {n: speak.first(v) for n, v in ready.chain_coordinates().items() if n not in IDENTITY}
        out |= {name: np.full(shard.runs, sd) for name, sd in chosen_scales(ready).items()}
        with np.errstate(over="ignore", invalid="ignore"):
            out |= self._collected.arrays(self._initial) | averages(ready, self._moments.variables())
            out |= self._held.arrays() | self._mixing.arrays(self.sampled / shard.runs)
        out |= fold.outcomes(ready.moves, loop.state)
        out[builds.NAME] = builds.as_array(self._build.to_dict())
        out[NOTICES] = np.array(json.dumps(list(_notices(loop, shard))))
        out["seconds"] = np.full(shard.runs, seconds / shard.runs)
        return out


def _notices(loop: Loop, shard: Shard) -> Iterator[str]:
    """What of the runs is allowed but rarely meant, and what their moves have to say."""
    yield from loop.setup.subject.notices()
    for move in loop.setup.moves:
        options = next(o for o in loop.setup.spec.moves if o.kind == move.kind)
        if options.learns_together and len(shard.seeds) > 1:
            yield (
                f"{move.kind}: the runs of a cell learn together, as replicas of one run do, and are not independent:"
                " their spread over seeds is no error bar."
            )
        yield from move.notices()
        yield from move.report(loop.state).warnings


def chosen_scales(ready: Setup) -> dict[str, float]:
    """What prior_sd = "auto" chose on the runs' data set, by layer; nothing where it is given."""
    scales = None if ready.spec.target is not None else ready.spec.model.prior_scales
    return {f"{PRIOR_SD}{layer}": sd for layer, sd in (scales or {}).items()}


def averages(ready: Setup, found: Mapping[str, np.ndarray]) -> Arrays:
    """Of running averages `found`, [E]: scores of each run's averaged prediction on its own test set; empty without a
    test set, NaN for runs without a draw. Of a potential mean and variance of its coordinates over the run's draws.
    """
    if (potential := ready.subject.potential) is not None:
        names = list(potential.coordinates)[:MOST_COORDINATES]
        return {
            f"{label}_{name}": found[kind][:, i, 0]
            for kind, label in (("mean", "average"), ("variance", "variance")) for i, name in enumerate(names)
        }  # fmt: skip
    rows = ready.subject.judge(found["mean"], ready.ensemble_dataset, found.get("log_density"))
    names = next((list(row) for row in rows if row), [])
    renamed = {name: f"average_{name}" for name in (*SCORES, "nll")}
    return {renamed.get(name, name): np.array([row.get(name, np.nan) for row in rows]) for name in names}


def make_group(first: Shard, cells: list[Cell], device: str, engine: str) -> Group:
    """A launch group of `cells` from the `first` run made ready: mistakes in spec, data, device and engine show before
    anything runs.
    """
    ready = make_launch(first).setup
    return replace(group_of(ready, ready.job, cells, device, engine), memory=run_bytes(ready, 1, first.keep))


def group_of(ready: Setup, job: Job, cells: list[Cell], device: str, engine: str) -> Group:
    """A launch group of cells like a run made ready, whose engine carries out `job`."""
    device = resolve_device(device, job.target.library)
    chosen = choose_engine(job, engine, device)
    if ready.subject.potential is None:
        each = operations(job, ready.subject.points_seen, ready.spec.run.trace)
    else:
        each = OF_A_COORDINATE * job.target.layout.size * job.program.gradients_per_step
    build, probe = describe_build(job, chosen, device).to_dict(), getattr(ready.subject, "probe", None)
    alike = not (ready.spec.moves or job.hyper.schedules or any(record.ticks for record in job.program.records))
    return Group(
        cells, each, chosen, device, job.target.layout, job.program.partition.names, build, probe=probe,
        steady=alike and ready.spec.run.tolerance is None,
    )  # fmt: skip
