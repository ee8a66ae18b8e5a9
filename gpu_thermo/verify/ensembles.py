"""Ensemble moves: exact laws on the target rung, a contour against plain NumPy, and one that flattens nothing."""

from typing import Any

import numpy as np

from ..engines.batched import BatchedEngine
from ..running.loop import Loop
from ..running.setup import prepare
from ..running.subject import Setup
from ..spec.run import RunSpec
from ..state import Segment
from .report import Check, from_difference, from_scores, score
from .sampling import Place, Plan

RUNGS, SIZE, INTERVAL = 4, 4, 1
LADDER: dict[str, Any] = {"rungs": RUNGS, "hottest": 6.0, "interval": INTERVAL}
CONTOUR = {"kind": "contour", "zeta": 0.8, "bins": 30}
ROUNDING = 2e-5
"""Largest difference after three steps in float32, relative to the largest value: slopes of a histogram magnify
rounding."""


def ladder(place: Place, kind: str, plan: Plan) -> list[Check]:
    """BAOAB on wells of stiffness 1, where <q^2> = tau at any stepsize: what is on the target rung has the law of the
    target.

    One replica of a ladder is an independent unit in tempering; a whole ladder is one in exchange.
    """
    steps = plan.burn + plan.draws * plan.thin
    spec = {
        "target": {"name": "harmonic", "size": SIZE},
        "method": {"name": "langevin", "stepsize": 1.0, "temperature": 1.0, "friction": 1.0},
        "run": {
            "replicas": plan.replicas,
            "steps": steps,
            "burn_in": plan.burn,
            "thin": plan.thin,
            "trace": steps,
            "seed": place.seed,
        },
        "moves": [{"kind": kind} | LADDER],
    }
    ready = prepare(RunSpec.from_dict(spec))
    unit = ready.spec.moves[0].together
    squares, visits = _on_target(place, ready)
    squares, visits = (v.reshape(-1, unit).sum(axis=1) for v in (squares, visits))
    mean = squares.sum() / visits.sum()
    ratio = mean + (squares - mean * visits) / visits.mean()  # linearised: each unit's part in the ratio of sums
    scores = [score("<q^2> on the target rung", ratio, 1.0)]
    if unit > 1:
        scores.append(score("replicas on the target rung", visits / plan.draws, 1.0))
    return [from_scores("moves", kind, place.engine, scores)]


def _on_target(place: Place, ready: Setup) -> tuple[np.ndarray, np.ndarray]:
    """Of each replica: sum of q^2 over the draws it was on the target rung, and how many those were."""
    engine = place.make(ready.job)
    loop = Loop.make(ready, engine, ready.begin(engine), ready.moments(), place.threads)
    squares, visits = np.zeros(ready.job.replicas), np.zeros(ready.job.replicas)
    for moments in loop.segments():
        for shot in (m.snapshot for m in moments if m.snapshot.is_draw):
            there = shot.statistics["rung"] == 0
            squares += there * (shot.position**2).mean(axis=1)
            visits += there
    return squares, visits


def contour(place: Place) -> list[Check]:
    """A contour's first steps against plain NumPy, histograms included; and zeta 0 against the plain method, bit for
    bit.
    """
    flattening, flat, plain = (_network(moves) for moves in ([CONTOUR], [CONTOUR | {"zeta": 0.0}], []))
    expected = flattening.initial_state()
    BatchedEngine(flattening.job, native=False).advance(expected, Segment(0, 3))
    found = _advanced(place, flattening)
    worst = max(
        float(np.abs(found[name] - value).max() / max(1e-3, np.abs(value).max()))
        for name, value in expected.arrays().items() if value.dtype.kind == "f" and np.isfinite(value).all()
    )  # fmt: skip
    ours, theirs = _advanced(place, flat), _advanced(place, plain)
    unequal = sum(int((ours[name] != value).sum()) for name, value in theirs.items() if name != "energy")
    return [
        from_difference("moves", "contour, rounding", place.engine, worst, ROUNDING, len(found)),
        from_difference("moves", "contour of zeta 0", place.engine, unequal, 0, sum(a.size for a in theirs.values())),
    ]


def _network(moves: list[dict[str, Any]]) -> Setup:
    spec = {
        "data": {"name": "spirals", "turns": 2, "train": 60, "test": 20},
        "model": {"hidden": 8, "init_sd": 0.3},
        "method": {"name": "sgld", "stepsize": 0.1, "temperature": 1e-3},
        "run": {"replicas": 9, "steps": 40, "burn_in": 0, "thin": 5, "trace": 10, "seed": 7, "batch": 10},
        "moves": moves,
    }
    return prepare(RunSpec.from_dict(spec))


def _advanced(place: Place, ready: Setup) -> dict[str, np.ndarray]:
    """The state after three steps."""
    state = ready.initial_state()
    place.make(ready.job).advance(state, Segment(0, 3))
    return state.arrays()
