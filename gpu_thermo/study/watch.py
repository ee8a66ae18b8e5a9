"""What pictures need and stores do not have: a contour's histograms as they converge, every step of a trajectory, every
attempt.
"""

import math
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from ..engines import choose_engine, make_engine
from ..moves import fold
from ..running.loop import Loop
from ..running.setup import prepare
from ..state import Segment
from .entries import Planned
from .measures import Exact

MOST = 50_000
"""Steps that are watched: long enough to see a histogram settle."""
TIMES = 40
WINDOW = 4000
"""Steps that are recorded one by one, more where ATTEMPTS moves take longer; half of the run at most."""
ATTEMPTS = 200


def watch(p: Planned, path: Path, exact: Exact | None = None) -> None:
    """Run the first group of an entry again, with the same numbers, and record it into PATH (.npz); an existing file is
    kept.

    Always: `step` [T], `position` [T, r, P] and `energy` [T, r] of some steps, one by one. On a ladder `rung` [T, r].
    Of a contour `multiplier` [T, r] of the gradients, `stepsize`, and `log_weight` [time, r, m] at the steps `time`,
    with the bins' `edges` and exact `probability`. Replicas of one group have one histogram where the contour is
    interacting.
    """
    if path.exists():
        return
    spec = p.spec.model_copy(update={"run": p.spec.run.model_copy(update={"replicas": p.group})})
    ready = prepare(spec)
    engine = make_engine(ready.job, choose_engine(ready.job, "auto", "cpu"), "cpu", 1)
    loop = Loop.make(ready, engine, ready.initial_state(), ready.moments(), 1)
    found = _contour_history(loop) | _steps(loop)
    if (potential := ready.subject.potential) is not None:
        shape = found["position"].shape
        energy = potential.energy(found["position"].reshape(-1, shape[-1]))
        found["energy"] = np.asarray(energy, np.float64).reshape(shape[:-1])
    if exact is not None and (contour := ready.job.contour):
        found["probability"] = exact.grid.energy_bins(contour.lowest, contour.width, contour.bins)
    partial = path.with_name(f"{path.stem}.partial.npz")
    np.savez_compressed(partial, **found)
    os.replace(partial, path)


def _advance(loop: Loop, stop: int) -> None:
    """Steps and moves up to `stop`, nothing recorded."""
    state, moves = loop.state, loop.setup.moves
    while state.step < stop:
        end = min(stop, fold.next_stop(moves, state.step, stop))
        loop.engine.advance(state, Segment(state.step, end - state.step, ()), fold.hyper(moves, state))
        fold.act(moves, state, lambda *asked: loop.observer.energies(state.position, *asked))


def _pace(loop: Loop) -> int:
    """Steps after which every move has something new to show."""
    return math.lcm(*(move.pace for move in loop.setup.moves))


def _window(loop: Loop) -> tuple[int, int]:
    """Where recording every step begins and ends: the end of what is watched where histograms settle, else after
    burn-in.
    """
    run, interval = loop.setup.spec.run, _pace(loop)
    steps = min(run.steps, MOST)
    length = min(max(WINDOW, ATTEMPTS * interval), steps // 2)
    begin = steps - length if loop.setup.job.contour else min(run.burn_in, steps - length)
    return begin // interval * interval, begin + length


def _contour_history(loop: Loop) -> dict[str, Any]:
    """Up to the window: log w [time, r, m] at some steps, evenly spaced in the logarithm."""
    (begin, _), contour = _window(loop), loop.setup.job.contour
    if contour is None:
        _advance(loop, begin)
        return {}
    times = np.unique(np.geomspace(min(100, begin + 1), max(begin, 1), TIMES).astype(np.int64))
    log_weight = []
    for time in times:
        _advance(loop, int(time))
        extra = loop.state.extra
        log_weight.append(extra["contour_log_weight"] + extra["contour_shift"][:, None])
    _advance(loop, begin)
    return {
        "time": times, "log_weight": np.stack(log_weight), "edges": contour.edges, "zeta": np.array(contour.zeta),
        "interacting": np.array(contour.interacting),
    }  # fmt: skip


def _steps(loop: Loop) -> dict[str, Any]:
    """Every step (on a ladder every attempt) of the window."""
    state, every = loop.state, _pace(loop)
    begin, end = _window(loop)
    kept: dict[str, list[np.ndarray]] = defaultdict(list)
    for stop in range(begin + every, end + 1, every):
        _advance(loop, stop)
        seen = {"position": np.array(state.position, np.float64)}
        for name, value in (seen | fold.watched(loop.setup.moves, state)).items():
            kept[name].append(value)
    out: dict[str, Any] = {name: np.stack(values) for name, values in kept.items()}
    return out | {
        "step": np.arange(begin + every, end + 1, every),
        "stepsize": loop.setup.job.hyper.stepsize[: state.replicas],
    }
