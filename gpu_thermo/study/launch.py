"""One shard from start to end: advance, observe, and the numbers that a study keeps of each run."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..averages.moments import RunningMoments
from ..cost import operations
from ..engines import choose_engine, describe_build, make_engine, resolve_device
from ..errors import Status
from ..running.loop import Loop, Moment
from ..running.subject import Setup
from ..targets.likelihoods import SCORES
from . import builds
from .grids import Cell, StudySpec
from .held import Held
from .parts import NOTICES
from .shards import Group, Shard, initial_state, make_launch, make_shard

Arrays = dict[str, np.ndarray]
OnSteps = Callable[[int], None]
"""Called after every segment with the steps done; it may raise to abandon the shard."""

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
    ready = launch.setup
    device = resolve_device(device)
    state, moments = initial_state(launch), ready.moments()
    initial = state.position.copy()
    chosen = choose_engine(ready.job, engine, device)
    worker = make_engine(ready.job, chosen, device, threads)
    loop = Loop.make(ready, worker, state, moments, threads)
    seen, held = Collector(ready, shard), Held(ready)
    for recorded in loop.segments():
        for moment in recorded:
            seen(moment)
            if moment.snapshot.is_draw:
                held(moment.snapshot.position)
        if on_steps is not None:
            on_steps(loop.state.step)
    out = {"rows": shard.rows.astype(np.int64)} | seen.status(loop.state.status, loop.state.frozen_step)
    out |= {name: values for name, values in ready.chain_coordinates().items() if name not in IDENTITY}
    out |= seen.arrays(initial) | averages(ready, moments) | held.arrays()
    out[builds.NAME] = builds.as_array(describe_build(ready.job, chosen, device).to_dict())
    out[NOTICES] = np.array(json.dumps([*ready.subject.notices()]))
    out["seconds"] = np.full(shard.replicas, (time.perf_counter() - began) / shard.replicas)
    return out


class Collector:
    """Gathers learning curves, and what is kept of draws, moment by moment."""

    def __init__(self, ready: Setup, shard: Shard) -> None:
        run = ready.spec.run
        self._ready, self._shard, self._trace = ready, shard, run.trace
        self._steps = np.arange(run.trace, run.steps + 1, run.trace)
        self._curves: dict[str, np.ndarray] = {}
        self._draws: list[np.ndarray] = []
        self._last: Moment | None = None

    def __call__(self, moment: Moment) -> None:
        """Take what is wanted of one recorded moment."""
        snapshot = moment.snapshot
        self._last = moment
        if snapshot.is_draw and self._shard.keep:
            self._draws.append(snapshot.position.copy())
        if snapshot.step % self._trace:
            return
        values = self._scores(moment) | {
            f"rms_{name}": rms for name, rms in self._weights(snapshot.position, "rms").items()
        }
        for k, name in enumerate(self._ready.program.partition.names):
            values[f"kinetic_temperature_{name}"] = snapshot.kinetic_temperature[:, k]
        at = snapshot.step // self._trace - 1
        for name, column in values.items():
            table = self._curves.setdefault(name, np.full((len(column), len(self._steps)), np.nan, np.float32))
            table[:, at] = column

    def status(self, status: np.ndarray, frozen_step: np.ndarray) -> Arrays:
        """Of each run, one that ended without a finite loss among those that stopped: at the first recorded step from
        which on it has none.
        """
        status, frozen_step = status.copy(), frozen_step.copy()
        if self._last is None:
            return {"status": status, "frozen_step": frozen_step}
        (lost,) = np.nonzero((status == 0) & ~np.isfinite(self._last.snapshot.energy))
        steps = np.append(self._steps, self._last.snapshot.step)
        loss = self._curves.get("loss", np.full((len(status), len(self._steps)), np.nan))
        for r in lost:
            (good,) = np.nonzero(np.isfinite(loss[r]))
            status[r], frozen_step[r] = Status.NONFINITE_LOSS, steps[good[-1] + 1 if len(good) else 0]
        return {"status": status, "frozen_step": frozen_step}

    def arrays(self, initial: np.ndarray) -> Arrays:
        """Everything gathered."""
        if self._last is None:  # every run was frozen before the first recorded step
            return self._nothing(len(initial))
        finished = self._last.snapshot.step == self._ready.spec.run.steps
        position = self._last.snapshot.position if finished else np.full_like(initial, np.nan)
        out = {
            name: values if finished else np.full(len(initial), np.nan)
            for name, values in self._scores(self._last).items()
        }
        for kind in ("mean", "rms", "max"):
            out |= {f"{kind}_{name}": values for name, values in self._weights(position, kind).items()}
        out |= (
            self._first_steps()
            | {"steps": self._steps}
            | {f"curve_{name}": table for name, table in self._curves.items()}
        )
        if self._shard.keep:
            split = self._ready.job.target.layout.split
            draws = (
                np.stack(self._draws, axis=1)
                if self._draws
                else np.empty((len(initial), 0, initial.shape[1]), initial.dtype)
            )
            out |= {name: _tensor(values) for name, values in split(draws).items()}
            out |= {f"initial_{name}": _tensor(values) for name, values in split(initial).items()}
        return out

    def _nothing(self, runs: int) -> Arrays:
        scores = [name.removeprefix("test_") for name in self._ready.subject.scores]
        weights = [
            f"{kind}_{name}" for kind in ("mean", "rms", "max") for name in self._ready.job.target.layout.tensors
        ]
        steps = [accuracy_name(level) for level in self._shard.accuracies] if "accuracy" in scores else []
        return {name: np.full(runs, np.nan) for name in ("loss", *scores, *weights, *steps)} | {"steps": self._steps}

    def _scores(self, moment: Moment) -> Arrays:
        found = {
            name.removeprefix("test_"): np.asarray(v, np.float64) for name, v in moment.snapshot.statistics.items()
        }
        return {"loss": np.asarray(moment.snapshot.energy, np.float64)} | {
            k: found[k] for k in (*SCORES, "nll") if k in found
        }

    def _weights(self, position: np.ndarray, kind: str) -> Arrays:
        """Mean, root mean square or largest magnitude of each tensor, [R]."""
        flat = {
            name: v.reshape(len(v), -1).astype(np.float64)
            for name, v in self._ready.job.target.layout.split(position).items()
        }
        with np.errstate(all="ignore"):
            if kind == "mean":
                return {name: v.mean(axis=1) for name, v in flat.items()}
            return {
                name: np.abs(v).max(axis=1) if kind == "max" else np.sqrt((v * v).mean(axis=1))
                for name, v in flat.items()
            }

    def _first_steps(self) -> Arrays:
        accuracy = self._curves.get("accuracy")
        if accuracy is None:
            return {}
        out = {}
        for level in self._shard.accuracies:
            reached = accuracy >= np.float32(level - 1e-9)
            out[accuracy_name(level)] = np.where(reached.any(axis=1), self._steps[reached.argmax(axis=1)], np.nan)
        return out


def accuracy_name(level: float) -> str:
    """Name of the first step at an accuracy: steps_to_90, steps_to_99.5."""
    return f"steps_to_{100 * level:g}"


def averages(ready: Setup, moments: RunningMoments) -> Arrays:
    """Scores of each run's averaged prediction on its own test set, [R]; empty without a test set, NaN for runs without
    a draw.
    """
    found = moments.variables()
    rows = ready.subject.judge(found["mean"], ready.dataset, found.get("log_density"))
    names = next((list(row) for row in rows if row), [])
    renamed = {name: f"average_{name}" for name in (*SCORES, "nll")}
    return {renamed.get(name, name): np.array([row.get(name, np.nan) for row in rows]) for name in names}


def make_group(study: StudySpec, base: Path | None, cells: list[Cell], device: str, engine: str) -> Group:
    """A launch group from one run of its first cell made ready: mistakes in spec, data, device and engine show before
    anything runs.
    """
    ready = make_launch(make_shard(study, base, study.seeds.table(), 0, cells[:1], (0, 1))).setup
    chosen = choose_engine(ready.job, engine, resolve_device(device))
    each = operations(ready.job, ready.subject.points_seen, ready.spec.run.trace)
    build = describe_build(ready.job, chosen, resolve_device(device)).to_dict()
    return Group(cells, each, chosen, ready.job.target.layout, ready.program.partition.names, build)


def _tensor(values: Any) -> np.ndarray:
    return np.ascontiguousarray(values, np.float32)
