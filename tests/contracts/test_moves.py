"""Every move: what it promises of its arrays, its weights against an exact law, and its report.

A kind of move without a contract fails the first test, and so does one that tests/moves/test_moves_run.py does not stop
and resume. Decisions, adaptation and the laws on every rung are in tests/moves; here all kinds are asked the same.
"""

import json

import numpy as np
import pytest
from linear_maps import z_score
from move_runs import MOVES as RESUMED

from gpu_thermo.moves import fold
from gpu_thermo.moves.report import Report
from gpu_thermo.moves.table import MOVES
from gpu_thermo.run import sample
from gpu_thermo.running.setup import prepare
from gpu_thermo.spec.run import RunSpec

TAU = 0.8
CONTRACTS = {
    "cyclical": {"kind": "cyclical", "period": 40, "explore_temperature": 1.0},
    "exchange": {"kind": "exchange", "rungs": 3, "hottest": 3.0, "interval": 5},
    "tempering": {"kind": "tempering", "rungs": 3, "hottest": 3.0, "interval": 5},
    "contour": {"kind": "contour", "zeta": 0.5, "bins": 16, "lowest": 0.0, "width": 0.5, "learn": 1500},
}
SPREADS = {"exchange", "tempering", "contour"}
"""Kinds whose draws, weights forgotten, are of another density than the one asked for."""


def test_every_move_has_a_contract():
    assert set(CONTRACTS) == set(MOVES)
    assert {options["kind"] for options in RESUMED.values()} == set(MOVES)


def on_a_well(kind):
    """A run on a harmonic well, where BAOAB has <q^2> = tau / k at any stepsize."""
    return {
        "target": {"name": "harmonic", "stiffness": 1.0, "size": 2, "start_sd": 1.0},
        "method": {"name": "langevin", "stepsize": 0.4, "temperature": TAU, "friction": 1.0},
        "run": {"replicas": 240, "steps": 3500, "burn_in": 1500, "thin": 10, "keep": ["parameters"]},
        "moves": [CONTRACTS[kind]],
    }


@pytest.fixture(scope="module", params=CONTRACTS)
def run(request):
    """(kind, opened run) of each kind."""
    return request.param, sample(on_a_well(request.param))


def score(tree, weighted):
    """z of <q^2> against tau over groups of three neighbouring replicas, which share a ladder at most, or over ladders;
    not weighted, of all draws of all rungs.
    """
    every = not weighted and "posterior_rungs" in tree.children
    group = tree["posterior_rungs" if every else "posterior"]
    square = np.nan_to_num((group["position"].to_numpy().astype(float) ** 2).mean(axis=-1))
    weight = group["weight"].to_numpy() if weighted and "weight" in group.coords else np.ones_like(square)
    size = 3 * len(square) // 240 if len(square) < 240 else 3
    up, down = (
        (weight * f).reshape(-1, size, square.shape[1]).sum(axis=(1, 2)) for f in (square, np.ones_like(square))
    )
    kept = down > 0
    mean = up[kept].sum() / down[kept].sum()
    return abs(float(z_score((up - mean * down)[kept] / down[kept].mean() + mean, TAU)))


def test_weighted_draws_are_of_the_density_asked_for(run):
    kind, tree = run
    assert score(tree, weighted=True) < 6, kind


def test_and_without_their_weights_they_are_not(run):
    """Power: the contract above would see a move whose weights are left out."""
    kind, tree = run
    if kind in SPREADS:
        assert score(tree, weighted=False) > 10, kind


def test_its_statistics_are_stored_under_its_names(run):
    kind, tree = run
    moves = prepare(RunSpec.from_dict(on_a_well(kind))).moves
    every = tree["sample_stats_rungs" if "sample_stats_rungs" in tree.children else "sample_stats"]
    assert set(fold.names(moves)) <= set(every.data_vars)


def test_its_report_reads_back_and_says_something(run):
    kind, tree = run
    (stored,) = json.loads(tree["sample_stats"].attrs["moves"])
    report = Report.from_dict(stored)
    assert report.kind == kind
    assert report.to_dict() == stored
    assert report.lines
    assert all(isinstance(text, str) for text in (*report.lines, *report.lines.values(), *report.warnings))
    assert stored == MOVES[kind].report(report.facts, report.warnings).to_dict(), "lines follow from the facts alone"


@pytest.mark.parametrize("kind", CONTRACTS)
def test_its_arrays_are_the_ones_it_names(kind):
    """Shapes and types at step 0, and nothing of it outside the state."""
    ready = prepare(RunSpec.from_dict(on_a_well(kind)))
    state = ready.initial_state()
    promised = {name: array for move in ready.moves for name, array in move.arrays(state.replicas).items()}
    assert {name: (value.shape, value.dtype) for name, value in state.extra.items()} == {
        name: (tuple(shape), np.dtype(dtype)) for name, (shape, dtype) in promised.items()
    }
    assert fold.nbytes(ready.moves, state.replicas) == sum(value.nbytes for value in state.extra.values())
    stop = fold.next_stop(ready.moves, 7, 20)
    assert stop > 7
