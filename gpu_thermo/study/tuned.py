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

from ..engines import resolve_device
from ..engines.builds import read_history
from ..errors import DivergedError, RunError, Status, StoreError
from ..run import Interrupted, resume, start
from ..running.bill import memory_bill
from ..running.drive import COMMIT_SECONDS, Limits
from ..running.launch import Launch
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
    write_part(store, shard, arrays)
    forget(store, shard)
    if shard.tuned and shard.keep:
        share(store, shard)


def run_tuned(
    shard: Shard, store: Path, device: str = "auto", engine: str = "auto", threads: int | None = None,
    on_steps: Callable[[int], None] | None = None, allow_other_bits: bool = False,
) -> Arrays:  # fmt: skip
    """Carry out, or go on with, the one run of a shard of the study in `store`; what the study keeps of it.

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
    began, path = time.perf_counter(), run_path(store, shard)
    report = None if on_steps is None else (lambda progress: on_steps(progress.step))
    path.parent.mkdir(exist_ok=True)
    why = ""
    try:
        _carry_on(shard, path, allow_other_bits, engine, report, {"device": device, "threads": threads})
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
    return out | {"seconds": np.array([time.perf_counter() - began])}


def _carry_on(shard: Shard, path: Path, allow_other_bits: bool, engine: str, report: Any, how: dict[str, Any]) -> None:
    """Begin the run, or go on with it, unless it has ended and only its part is missing."""
    own = shard.beside
    if not path.exists():
        start(ready_of(shard), path, Limits(report, None, COMMIT_SECONDS), engine=engine, **how).close()
    elif not _has_ended(path):
        given = {"potential": own.potential, "network": own.own, "on_progress": report}
        resume(path, allow_other_bits=allow_other_bits, **given, **how).close()


def _has_ended(path: Path) -> bool:
    """Whether a run has stopped itself, and only its part is missing."""
    with open_run(path) as tree:
        told = _told(tree)
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
    launch = Launch.of(ready)
    found = group_of(ready, launch.job, cells, device, engine)
    moments = ready.moments()
    bill, _ = memory_bill(ready, make_header(ready, found.engine, resolve_device(device), moments), moments)
    return replace(found, memory=sum(bill.values()) - bill["process"])


# -- what it came to ---------------------------------------------------------------------------------------------------


def _outcomes(shard: Shard, path: Path, tree: xr.DataTree, why: str) -> Arrays:
    """What the study keeps of a run that has ended; `why` it failed, where it did."""
    header = read_header(path)
    ready = ready_of(shard)
    told = _told(tree)
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


def _told(tree: xr.DataTree) -> Told | None:
    """The course of a run; None of one that never committed any."""
    if "tuning" not in tree.children or "course" not in tree["tuning"].attrs:
        return None
    try:
        return Told.of(tree["tuning"].attrs)
    except ValueError as error:
        raise StoreError(f"The run's course is damaged ({error}): run the study again with --overwrite.") from None


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
