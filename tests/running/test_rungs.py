"""Ladders under a tolerance: two wells that do not mix by themselves, whole and cut; one that does not swap."""

import os
import signal
from contextlib import suppress

import numpy as np
import pytest
from runs import differences
from tuned_cases import told, well

from gpu_thermo import plan, resume, sample
from gpu_thermo.errors import SpecError
from gpu_thermo.run import Interrupted
from gpu_thermo.running.falling import why_not
from gpu_thermo.running.pace import Pace
from gpu_thermo.running.rungs import spread
from gpu_thermo.running.setup import prepare
from gpu_thermo.running.waiting import waiting_bytes
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.store import read_header
from gpu_thermo.tuning.course import FALL, LADDER, PHASES

MIXTURE = {"name": "mixture", "means": [-6.0, 6.0], "weights": [0.3, 0.7], "start_sd": 8.0}


def wells(move=None, method=None, **run):
    """Two wells twelve sd apart, .3 of all in the left one."""
    return {
        "target": MIXTURE, "method": {"name": "langevin", "temperature": 1.0} | (method or {}),
        "moves": [{"kind": "exchange", **(move or {"hottest": 37.0})}],
        "run": {"replicas": 64, "tolerance": 0.1, "max_steps": 40_000, **run},
    }  # fmt: skip


@pytest.mark.parametrize("method", [{}, {"word": "OBAB"}], ids=["in braces", "with a group at h/2"])
def test_a_ladder_carries_replicas_across(method):
    tree = sample(wells(method=method, tolerance=0.06))
    course, verdict = told(tree)
    assert verdict["trusted"], verdict["text"]
    left = (tree["posterior"]["position"].to_numpy()[..., 0] < 0).mean(axis=1)
    assert abs(left.mean() - 0.3) < 5 * left.std(ddof=1) / np.sqrt(len(left))
    assert abs(left.mean() - 0.5) > 5 * left.std(ddof=1) / np.sqrt(len(left))  # power: as they started
    assert tree["posterior"].sizes["chain"] == 64
    last = course["log"][-1]
    swaps = np.array(last["accepted"]) / last["attempts"]
    assert (swaps > 0.2).all()
    assert last["temperatures"] == course["temperatures"]
    assert (last["temperatures"][0], last["temperatures"][-1]) == (1.0, 37.0)
    assert last["trips"] > 1


def test_draws_are_of_the_target():
    """Within each well variance 1: rungs of 37 do not show."""
    position = sample(wells())["posterior"]["position"].to_numpy()[..., 0]
    within = ((abs(position) - 6) ** 2).mean(axis=1)
    assert abs(within.mean() - 1) < 5 * within.std(ddof=1) / np.sqrt(len(within))


@pytest.mark.slow
def test_the_rate_asked_for():
    counts = [
        len(told(sample(wells({"hottest": 37.0, "target_acceptance": a})))[0]["temperatures"]) for a in (0.2, 0.8)
    ]
    assert counts[0] < counts[1]


def test_a_ladder_that_does_not_swap_is_not_trusted():
    """Of twelve coordinates tau 1 and 400 have no energy in common."""
    target = {"name": "harmonic", "stiffness": [1.0] * 12}
    spec = wells({"temperatures": [1.0, 400.0]}, replicas=32, tolerance=0.2) | {"target": target}
    _, verdict = told(sample(spec))
    assert not verdict["trusted"]
    assert "the ladder does not swap: rungs 0 and 1 (tau 1 and 400)" in verdict["text"]
    _, mended = told(sample(spec | {"moves": [{"kind": "exchange", "hottest": 4.0}]}))
    assert mended["trusted"], mended["text"]


def test_a_run_cut_everywhere_is_the_same(tmp_path, monkeypatch):
    spec = wells(replicas=32, tolerance=0.04)
    sample(spec, tmp_path / "whole.zarr")
    monkeypatch.setattr(Pace, "next", lambda self: 13)
    cut, seen = tmp_path / "cut.zarr", set()
    for phase in (p for p in PHASES if p != FALL for _ in range(2)):

        def stop(progress, phase=phase):
            if PHASES.index(progress.phase) >= PHASES.index(phase):
                os.kill(os.getpid(), signal.SIGINT)

        with suppress(Interrupted):
            if cut.exists():
                resume(cut, on_progress=stop)
            else:
                sample(spec, cut, on_progress=stop)
        seen.add(read_header(cut).attributes["tuning"]["course"]["phase"])
    assert seen == set(PHASES) - {FALL}
    assert LADDER in seen
    resume(cut)
    assert differences(tmp_path / "whole.zarr", cut) == []


@pytest.mark.parametrize(
    ("moves", "message"),
    [
        ([{"kind": "cyclical", "cycles": 4}], "no law is sampled at rest.*exchange"),
        ([{"kind": "tempering", "rungs": 3, "hottest": 9.0}], "on the target by chance only.*exchange"),
        ([{"kind": "contour", "lowest": 0.0, "width": 1.0}], "weights change the law.*exchange"),
        ([{"kind": "exchange", "hottest": 9.0, "interval": 10}], "moves.interval = 10 does not go with"),
        ([{"kind": "exchange", "hottest": 9.0, "window": "auto"}], "moves.window = 'auto' does not go with"),
        ([{"kind": "exchange", "hottest": 0.5}], "hottest = 0.5 is not above"),
        ([{"kind": "exchange", "temperatures": [2.0, 9.0]}], "temperatures start at 2"),
    ],
)
def test_what_is_refused(moves, message):
    with pytest.raises(SpecError, match=f"(?s){message}"):
        plan(wells() | {"moves": moves})


def test_the_falling_way_has_no_ladders():
    spec = {
        "data": {"name": "moons", "train": 20, "test": 4}, "model": {"hidden": 3, "prior_sd": 1.0},
        "method": {"name": "langevin", "posterior_temperature": 1.0}, "run": {"replicas": 32, "tolerance": 0.1},
    }  # fmt: skip
    assert why_not(prepare(RunSpec.from_dict(spec))) == ""
    with_moves = spec | {"moves": [{"kind": "exchange", "hottest": 1.0}]}
    assert "no ladders" in why_not(prepare(RunSpec.from_dict(with_moves)))


def test_hottest_alone_takes_a_tolerance():
    with pytest.raises(SpecError, match=r"give rungs too, or run\.tolerance"):
        plan(wells() | {"run": {"replicas": 64, "steps": 100, "burn_in": 50, "thin": 10}})


def test_memory_is_billed_by_rungs():
    """Beside draws that wait, of which there are as many without."""
    waiting = 2 * waiting_bytes(prepare(RunSpec.from_dict(wells())).job)
    bills = [plan(spec).memory["tuning"] - waiting for spec in (wells(), wells() | {"moves": []})]
    assert bills[0] > 2 * bills[1] > 0


def test_where_new_rungs_begin():
    """At the nearest old one's positions, ladder by ladder."""
    position = np.arange(6.0).reshape(6, 1)  # two ladders of three rungs
    found = spread(position, (1.0, 4.0, 16.0), (1.0, 3.0, 5.0, 16.0))
    assert found.ravel().tolist() == [0, 1, 1, 2, 3, 4, 4, 5]
    np.testing.assert_array_equal(spread(position, (1.0,), (1.0, 2.0))[:, 0], np.repeat(np.arange(6.0), 2))


def test_without_a_ladder_nothing_changes():
    assert told(sample(well()))[0]["temperatures"] == []
