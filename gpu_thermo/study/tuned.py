"""Runs of a study that tune and stop themselves ([run] tolerance): each is a run of its own, as `sample` makes it.

What such a run does depends on all its replicas, so that a shard is one run: run.replicas networks of one cell at one
seed, whose [run] seed is the base run's plus the number of the seed. It commits every few seconds beside the parts
(status/runs/ID.zarr), and goes on from there after a stop or a kill; what it came to becomes its part.
"""

import json
import math
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..engines.builds import read_history
from ..errors import DivergedError, RunError, Status, StoreError
from ..run import Interrupted, go_on, start
from ..running.bill import memory_bill
from ..running.drive import Limits
from ..running.launch import Launch
from ..running.seat import Seat
from ..running.spent import gradients
from ..running.stored import make_header
from ..running.subject import Setup
from ..spec.run import RunSpec
from ..store import open_run, read_header
from ..tuning.course import BURN_IN, SAMPLING
from ..tuning.told import Told
from . import builds
from .grids import Cell
from .launch import IDENTITY, averages, chosen_scales, group_of, run_shard
from .once import share
from .parts import NOTICES, RUNS, write_part
from .seen import Arrays
from .shards import Group, Shard

TURNS = {("batched", "cpu"): 1024, ("fused", "cpu"): 0, ("batched", "cuda"): 2**16, ("fused", "cuda"): 2**16}
"""Replicas that go together, by engine and device: as many as steps of more take no less; none where one run fills the
processor (bench.turns)."""
TURNS_BYTES = 2**31
"""What runs that go together may hold in all, of the process's memory as of a GPU's."""
REACHED = "tolerance"
"""How the course of a run ends that knows its averages as well as was asked."""


def make_part(
    shard: Shard, store: Path, device: str = "auto", engine: str = "auto", threads: int | None = None,
    on_steps: Callable[[int], None] | None = None, allow_other_bits: bool = False,
) -> None:  # fmt: skip
    """Carry out a shard of any kind, and write its part: what here and on workers is done with one."""
    if shard.tuned:
        arrays = run_tuned(shard, store, device, engine, threads, on_steps, allow_other_bits)
    else:
        arrays = run_shard(shard, device, engine, threads, on_steps)
    keep_part(shard, store, arrays)


def keep_part(shard: Shard, store: Path, arrays: Arrays) -> None:
    """Write what a shard of any kind gave, and of the run itself keep what is to be kept."""
    write_part(store, shard, arrays)
    forget(store, shard)
    if shard.tuned and shard.keep:
        share(store, shard)


def run_tuned(
    shard: Shard, store: Path, device: str = "auto", engine: str = "auto", threads: int | None = None,
    on_steps: Callable[[int], None] | None = None, allow_other_bits: bool = False, seat: Seat | None = None,
) -> Arrays:  # fmt: skip
    """Carry out, or go on with, the one run of a shard of the study in `store`; what the study keeps of it. `seat` :
    where it goes on beside others in one launch.

    Returns
    -------
    steps_to_tolerance, gradients_to_tolerance, seconds_to_tolerance [1] : NaN where it was not reached; gradients are
    those of the steps of all replicas, rungs and the group at h/2 included. error, bias [1] : the largest standard
    error of an average, and the stepsize's bias, in posterior sd. trusted [1] : 1 where its verdict is so.
    burn_in_steps, draws, acceptance [1]. Hyperparameters as found; averages and the rest as `run_shard` has them.

    Raises
    ------
    Interrupted
        By a signal, with what was done committed.
    RunError, StoreError
        As `sample` and `resume`.
    """
    clock, path = time.perf_counter if seat is None else seat.clock, run_path(store, shard)
    began = clock()
    report = None if on_steps is None else (lambda progress: on_steps(progress.step))
    path.parent.mkdir(exist_ok=True)
    why = ""
    try:
        _carry_on(
            shard, path, Limits(report, seat=seat), engine, allow_other_bits, {"device": device, "threads": threads}
        )
    except Interrupted:
        raise
    except DivergedError as error:
        why = str(error)
    except RunError:
        with open_run(path) as tree:
            if (tree["sample_stats"]["status"].to_numpy() == 0).any():
                raise  # trouble of the machine's, not of the replicas
    with open_run(path) as tree:
        out = _outcomes(shard, path, tree, why)
    return out | {"seconds": np.array([clock() - began])}


def _carry_on(
    shard: Shard, path: Path, limits: Limits, engine: str, allow_other_bits: bool, how: dict[str, Any]
) -> None:
    """Begin the run, or go on with it, unless it has ended and only its part is missing."""
    own = shard.beside
    if not path.exists():
        start(ready_of(shard), path, limits, engine=engine, **how).close()
    elif not _has_ended(path):
        given: dict[str, Any] = {"potential": own.potential, "network": own.own, "allow_other_bits": allow_other_bits}
        go_on(path, limits, **given, **how).close()


def _has_ended(path: Path) -> bool:
    """Whether a run has stopped itself, and only its part is missing."""
    with open_run(path) as tree:
        told = _told(tree, path)
    return told is not None and bool(told.course.ended)


def run_path(store: Path, shard: Shard) -> Path:
    """Where the run of a shard is while it is under way."""
    return store / RUNS / f"{shard.id}.zarr"


def forget(store: Path, shard: Shard) -> None:
    """Remove the run of a finished shard, unless everything is kept."""
    if shard.tuned and not shard.keep:
        shutil.rmtree(run_path(store, shard), ignore_errors=True)


def ready_of(shard: Shard) -> Setup:
    """The run of a shard made ready, as `sample` does."""
    _, init, dynamics = (int(values[0]) for values in shard.seeds)
    keep = ["parameters", "predictions"] if shard.keep else []
    tree = RunSpec.from_json(shard.specs[0]).to_dict()
    seed = tree["run"]["seed"]
    tree["run"] |= {"keep": keep, "seed_init": (seed + init) % 2**64, "seed_dynamics": (seed + dynamics) % 2**64}
    return shard.beside.prepared_alone(RunSpec.from_dict(tree), shard.base, shard.seeds.data)


def tuned_group(first: Shard, cells: list[Cell], device: str, engine: str) -> Group:
    """A launch group of `cells` from the `first` run made ready: mistakes show before anything runs."""
    ready = ready_of(first)
    found = group_of(ready, Launch.of(ready).job, cells, device, engine)
    moments = ready.moments()
    bill, there = memory_bill(ready, make_header(ready, found.engine, found.device, moments), moments)
    memory = sum(bill.values()) - bill["process"]
    runs = TURNS_BYTES // max(memory, there, 1)
    turns = min(TURNS[found.engine, found.device.partition(":")[0]], runs * ready.job.replicas)
    unwatched = ready.spec.run.max_time is None  # a clock is each run's own
    return replace(found, memory=memory, steady=unwatched, turns=turns)


# -- what it came to ---------------------------------------------------------------------------------------------------


def _outcomes(shard: Shard, path: Path, tree: xr.DataTree, why: str) -> Arrays:
    """What the study keeps of a run that has ended; `why` it failed, where it did."""
    header = read_header(path)
    ready = ready_of(shard)
    told = _told(tree, path)
    seconds = float(header.attributes.get("sampling_time", math.nan))
    numbers = dict.fromkeys(("steps_to_tolerance", "gradients_to_tolerance", "seconds_to_tolerance"), math.nan)
    if told is not None and told.course.ended == REACHED:
        taken = gradients(Launch.of(ready), told.course, header.step)
        numbers = dict(zip(numbers, (float(header.step), float(taken), seconds), strict=True))
    numbers |= _found(tree, told, ready)
    out: Arrays = {name: np.array([value], np.float64) for name, value in numbers.items()}
    out |= _averages(ready, tree)
    stopped = tree["sample_stats"]["status"].to_numpy()
    lost = bool(why) or bool((stopped != 0).all())
    out |= {
        "rows": shard.rows.astype(np.int64), "steps": np.zeros(0, np.int64),
        "status": np.array([int(_cause(stopped)) if lost else int(Status.RUNNING)], np.int32),
        "frozen_step": np.array([header.step if lost else -1], np.int64),
    }  # fmt: skip
    history = read_history(header.attributes)
    out[builds.NAME] = builds.as_array(history[-1]["build"] if history else {})
    notices = [*ready.subject.notices()]
    if why:
        notices.append(f"The run in shard {shard.id} failed: {why}")
    elif told is not None and not told.verdict.trusted:
        notices.append(f"The run in shard {shard.id}: {told.verdict.text}.")
    out[NOTICES] = np.array(json.dumps(notices))
    return out


def _cause(status: np.ndarray) -> Status:
    """Of a run that failed: that of its replicas, or positions that became infinite while it was tuned."""
    return Status(int(status.max())) if status.any() else Status.NONFINITE_POSITION


def _told(tree: xr.DataTree, path: Path) -> Told | None:
    """The course of a run; None of one that never committed any."""
    if "tuning" not in tree.children or "course" not in tree["tuning"].attrs:
        return None
    try:
        return Told.of(tree["tuning"].attrs)
    except ValueError as error:
        raise StoreError(
            f"The course of the run '{path}' is damaged ({error}): remove that folder, then give the same command; the"
            " study begins this run anew and keeps the others."
        ) from None


def _found(tree: xr.DataTree, told: Told | None, ready: Setup) -> dict[str, float]:
    """What the run found: hyperparameters, errors, draws, acceptance."""
    coordinates = {n: float(v[0]) for n, v in ready.chain_coordinates().items() if n not in IDENTITY}
    coordinates |= chosen_scales(ready)
    stats = tree["sample_stats"].to_dataset()
    coordinates |= {n: float(stats[n].to_numpy()[0]) for n in ready.tuned if n in stats.coords}
    verdict, course = (None, None) if told is None else (told.verdict, told.course)
    out = coordinates | {
        "error": math.nan if verdict is None else verdict.error,
        "bias": math.nan if verdict is None else verdict.bias,
        "trusted": float(verdict is not None and verdict.trusted),
        "draws": float(stats.sizes["draw"]),
        "burn_in_steps": float(course.origin) if course is not None and course.phase == SAMPLING else math.nan,
    }
    if course is not None and (line := course.latest(SAMPLING) or course.latest(BURN_IN)):
        out["acceptance"] = float(line.get("acceptance") or math.nan)
    return out


def _averages(ready: Setup, tree: xr.DataTree) -> dict[str, Any]:
    """Scores of the averaged prediction, [1]; of a potential mean and variance of its coordinates."""
    found = tree["predictive"].to_dataset() if "predictive" in tree.children else xr.Dataset()
    if "mean" not in found:
        return {}
    return averages(ready, {str(name): v.to_numpy() for name, v in found.data_vars.items()})
