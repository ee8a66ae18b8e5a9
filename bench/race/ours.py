"""Our run with a tolerance, its draws as they came."""

import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .clock import Clock
from .problems import Problem
from .runs import Chunk


def run(p: Problem, seed: int, clock: Clock, tolerance: float = 0.05, cold: bool = True) -> Iterator[Chunk]:
    """Defaults at this tolerance; `cold`: nothing is compiled yet, as on the first day.

    Draws are timed by the end of their segment, the last ones by the return of `sample`: its tree is what a user has.
    """
    with tempfile.TemporaryDirectory() as folder:
        if cold:
            os.environ["GPU_THERMO_CACHE"] = str(Path(folder) / "cache")
        import gpu_thermo as gt

        seen: list[tuple[tuple[float, float], int, int]] = []
        spec = p.spec(tolerance, seed)
        data = (p.x, p.y if p.noise_sd is not None else p.y.astype(int))
        tree = gt.sample(spec, data=data, on_progress=lambda s: seen.append((clock.now(), s.step, s.draws)))
        end = clock.now()
    with clock.stopped():
        yield from _chunks(p, spec, data, tree, seen, end)


def _chunks(p: Problem, spec: dict[str, Any], data: Any, tree: Any, seen: list[Any], end: Any) -> Iterator[Chunk]:
    """Draws of every segment, and what they took; the verdict goes with the last."""
    names = tree["posterior"].data_vars
    theta = p.theta({str(name): names[name].to_numpy() for name in names})  # [R, draws, P]
    spent, verdict = _spent(spec, data, tree), json.loads(tree["tuning"].attrs["verdict"])
    done, total = 0, theta.shape[1]
    for at, step, draws in seen:
        if done < draws < total:
            yield Chunk(theta[:, done:draws].reshape(-1, p.size), spent(step), at)
            done = draws
    said = {"trusted": verdict["trusted"], "reported": verdict["error"]}
    yield Chunk(theta[:, done:].reshape(-1, p.size), spent(seen[-1][1]), end, said)


def _spent(spec: dict[str, Any], data: Any, tree: Any) -> Any:
    """Gradients, the group at h/2 counted, until a step."""
    from gpu_thermo.running.given import Given, as_spec, make_ready
    from gpu_thermo.running.launch import Launch
    from gpu_thermo.running.spent import gradients
    from gpu_thermo.tuning.course import Course

    given = Given(data, None, None, None)
    launch = Launch.of(make_ready(as_spec(spec, given)[0], None, given))
    course = Course.of(json.loads(tree["tuning"].attrs["course"]))

    def until(step: int) -> int:
        lines = [line for line in course.log if line["begun"] <= step]
        last = lines[-1]
        temperatures = tuple(last.get("temperatures", ()))
        cut = replace(
            course, log=tuple(lines[:-1]), phase=last["phase"], begun=last["begun"], temperatures=temperatures
        )
        return int(np.asarray(gradients(launch, cut, step)))

    return until
