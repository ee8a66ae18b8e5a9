"""What child processes do until they are killed; here, so that they find it by name. They are forked from a server that
has imported all, so that each takes some milliseconds to start.
"""

import multiprocessing
import os
from pathlib import Path
from typing import Any

from gpu_thermo.run import resume, sample
from gpu_thermo.running.pace import Pace
from gpu_thermo.study import StudySpec, run_study
from gpu_thermo.study.work import make_work
from gpu_thermo.study.workers import remote_launch
from gpu_thermo.tuning.course import PHASES


def server() -> Any:
    """The context whose processes start fast."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["kill_children"])
    return context


def go_on(path: str, spec: dict[str, Any], engine: str, told: Any) -> None:
    """Start the run or resume it to the steps of `spec`, with a commit every few milliseconds; `told` is the number of
    draws that were said to be committed.
    """
    named = {"engine": engine, "commit_seconds": 0.004, "threads": 1}

    def tell(progress: Any) -> None:
        told.value = max(told.value, progress.committed_draws)

    if os.path.exists(path):
        resume(path, spec, on_progress=tell, **named)
    else:
        sample(spec, path, on_progress=tell, **named)


def study_on(path: str, study: dict[str, Any]) -> None:
    """Run the study, or continue it."""
    run_study(study, path, threads=1)


def work_on(path: str, study: dict[str, Any], place: int, workers: int) -> None:
    """One of several workers of a study: its share of the shards, as a scheduler hands them out."""
    shards = make_work(StudySpec.from_dict(study), Path.cwd(), "cpu", "auto").shards
    for shard in (*shards[place::workers], *shards[place + 1 :: workers]):
        remote_launch([shard], path, "cpu", "auto", 1)


def tune_on(path: str, spec: dict[str, Any], engine: str, phase: Any, steps: int) -> None:
    """Start or resume a run that tunes itself, in segments of so many steps, each committed; `phase` tells where it
    is.
    """
    Pace.next = lambda self: steps  # type: ignore[method-assign]
    named: dict[str, Any] = {"engine": engine, "commit_seconds": 0.0, "threads": 1}

    def tell(progress: Any) -> None:
        phase.value = PHASES.index(progress.phase)

    if os.path.exists(path):
        resume(path, on_progress=tell, **named)
    else:
        sample(spec, path, on_progress=tell, **named)
