"""Lengths of segments: the kernel's rate is kept whatever a segment costs beside, and signals are answered soon."""

import numpy as np
import pytest
from move_runs import spec

from gpu_thermo.running import loop as loop_module
from gpu_thermo.running.loop import Loop
from gpu_thermo.running.pace import LEAST_SHARE, LONGEST, SEGMENT_SECONDS, Pace
from gpu_thermo.running.setup import prepare
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.state import Recorded


def segments(pace, fixed, rate, count, noise=0.0, limit=10**9):
    """Steps and seconds of `count` segments of a machine that takes fixed + steps / rate seconds, more or less."""
    g, out = np.random.default_rng(0), []
    for _ in range(count):
        steps = min(pace.next(), limit)
        seconds = (fixed + steps / rate) * (1 + noise * g.exponential())
        pace.saw(steps, seconds)
        out.append((steps, seconds))
    return np.array(out)


@pytest.mark.parametrize("rate", [30.0, 1e3, 1e6])
@pytest.mark.parametrize("fixed", [0.0, 1e-4, 0.01, 0.1, 0.3, 1.0])
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_nine_tenths_of_the_kernels_rate_are_kept(fixed, rate, noise):
    steps = segments(Pace(), fixed, rate, 400, noise)[20:, 0]
    kept = 1 / (1 + fixed * len(steps) * rate / steps.sum())
    assert kept > (0.9 if noise == 0 else 0.87)


@pytest.mark.parametrize("rate", [1e2, 1e4, 1e7])
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_where_segments_cost_nothing_signals_are_answered_soon(rate, noise):
    seconds = segments(Pace(), 1e-4, rate, 200, noise)[20:, 1]
    assert np.median(seconds) == pytest.approx(SEGMENT_SECONDS, rel=0.2)
    assert seconds.max() < 3 * SEGMENT_SECONDS


def test_no_wait_is_longer_than_that():
    assert segments(Pace(), 30.0, 1e3, 60)[:, 1].max() <= LONGEST + 30.0
    assert LEAST_SHARE / (LEAST_SHARE + 1) > 0.9


def test_a_machine_that_slows_down_is_followed():
    pace = Pace()
    segments(pace, 1e-3, 1e5, 40)
    slow = segments(pace, 1e-3, 1e3, 40)[2:, 1]
    assert slow.max() < 1.3 * SEGMENT_SECONDS
    fixed = segments(pace, 0.5, 1e3, 400)[200:]
    assert fixed[:, 0].sum() / fixed[:, 1].sum() > 900


def test_a_first_segment_that_compiles_is_forgotten():
    pace = Pace()
    pace.saw(pace.next(), 20.0)
    assert np.median(segments(pace, 1e-4, 1e4, 100)[40:, 1]) == pytest.approx(SEGMENT_SECONDS, rel=0.2)


def test_moves_may_cut_segments_and_clocks_may_be_set():
    pace = Pace()
    segments(pace, 0.01, 1e3, 100, limit=7)
    for seconds in (0.0, -5.0, float("nan")):
        pace.saw(10, seconds)
    assert pace.next() >= 1
    pace.saw(1, 1e-9)
    assert pace.next() >= 1


class Clocked:
    """An engine that does nothing, and takes its time on a clock of its own."""

    name, device = "fake", "cpu"

    def __init__(self, fixed, each):
        self.now, self.fixed, self.each = 0.0, fixed, each

    def load(self, state):
        return state

    def advance(self, state, segment, hyper=None):
        self.now += self.fixed + self.each * segment.steps
        state.step += segment.steps
        return Recorded((), *(np.empty(0) for _ in range(4)))


@pytest.mark.parametrize("fixed", [0.0, 0.05, 1.0])
def test_a_run_keeps_nine_tenths_of_its_kernels_rate(fixed, monkeypatch):
    """The loop itself, over a run of 20 simulated minutes."""
    steps, each = 1_200_000, 1e-3
    run = {"steps": steps, "burn_in": steps - 8, "trace": steps}
    ready = prepare(RunSpec.from_dict(spec(**run)))
    engine = Clocked(fixed, each)
    monkeypatch.setattr(loop_module.time, "perf_counter", lambda: engine.now)
    loop = Loop.make(ready, engine, ready.initial_state(), ready.moments(), 1)
    count = sum(1 for _ in loop.segments())
    assert loop.state.step == steps
    assert engine.now < steps * each / 0.9
    assert count < 8000
