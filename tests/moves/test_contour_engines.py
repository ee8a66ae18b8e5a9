"""Contour on both engines: bits, agreement, frozen replicas, walls."""

import dataclasses
from functools import partial

import numpy as np
import pytest
from contour_cases import METHODS, RULE, advance, begin, contour_job, reference_engine, weights
from engine_cases import Boxed
from fused_cases import Members, assert_close, assert_same, make_state, take
from linear_maps import job_of, start, well

from gpu_thermo.engines import BatchedEngine, FusedEngine
from gpu_thermo.kernels.toolchain import find_compiler
from gpu_thermo.method.schedules import Cosine
from gpu_thermo.moves.contour import Contour
from gpu_thermo.state import Segment, State

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler")


# -- engines -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("engine", [BatchedEngine, partial(FusedEngine, threads=2)])
def test_zeta_0_is_the_plain_method(method, engine):
    """Bit for bit, while the histogram goes on learning."""
    job = contour_job(dataclasses.replace(RULE, zeta=0.0), **METHODS[method])
    plain = dataclasses.replace(job, contour=None)
    state, expected = advance(engine(job), job, 20), advance(engine(plain), plain, 20)
    assert {name for name in state.extra if name.startswith("contour_")} == set(RULE.arrays(1))
    assert (state.extra["contour_visits"].sum(axis=1) == job.program.gradients_before(20)).all()
    state.extra = {}
    assert_same(expected, state)


CASES = {
    **METHODS,
    "clipped, published": {"contour": dataclasses.replace(RULE, clip=(0.99, 1.01), published=True),
        "method": "langevin"},
    "learned": {"contour": dataclasses.replace(RULE, learn=4), "method": "langevin"},
    "interacting, prior": {"contour": dataclasses.replace(RULE, interacting=True), "method": "langevin", "prior": 1.0},
    "layers, scheduled, data sets": {"method": "lala", "sets": 3, "batch": 5,
                                     "schedules": {("temperature", k): Cosine(schedule="cosine") for k in (0, 1)}},
    "ABOBA, several outputs": {"method": "splitting", "word": "ABOBA", "partition": "tensor", "task": "multiclass",
        "n": 3,
                               "contour": dataclasses.replace(RULE, lowest=0.8)},
    "float64, wide": {"method": "langevin", "dtype": np.float64, "m": 12, "activation": "tanh", "mode": "epoch"},
    "two evaluations a step": {"method": "splitting", "word": "BABAOB", "partition": "all"},
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_fused_agrees_with_batched(case):
    """Positions, gradients and every number of the histogram, after 1, 2, 10 steps."""
    job = contour_job(**CASES[case])
    fused, batched = FusedEngine(job, threads=2), reference_engine(job)
    for steps in (1, 2, 10):
        a, b = advance(batched, job, steps), advance(fused, job, steps)
        assert_close(a, b, job.dtype)
    assert (a.extra["contour_multiplier"] != 1).any()
    if "clipped" in case:
        assert (a.extra["contour_clipped"] > 0).any()
    plain = dataclasses.replace(job, contour=None)
    assert not np.array_equal(advance(reference_engine(plain), plain, 10).position, a.position)


@pytest.mark.parametrize("method", METHODS)
def test_bits_do_not_depend_on_segments_threads_or_company(method):
    job = contour_job(replicas=37, **METHODS[method])
    rows = np.array([3, 17, 36])
    for engine in (partial(FusedEngine, threads=1), partial(BatchedEngine, block=16)):
        whole = advance(engine(job), job, 24)
        for cuts in ((1, 5, 2, 16), (23, 1)):
            assert_same(whole, advance(engine(job, threads=2), job, *cuts))
        part, state = take(job, rows), begin(job)
        alone = State.from_arrays({name: np.ascontiguousarray(v[rows]) for name, v in state.arrays().items()}, 0, 0)
        engine(part).advance(alone, Segment(0, 24))
        for name, value in whole.arrays().items():
            np.testing.assert_array_equal(alone.arrays()[name], value[rows], err_msg=name)


@pytest.mark.parametrize("engine", [BatchedEngine, FusedEngine])
def test_what_is_learned_stays(engine):
    """After `learn` evaluations visits are counted still, and not a bit of a histogram changes, across segments."""
    job = contour_job(method="langevin", contour=dataclasses.replace(RULE, learn=6))
    state = begin(job)
    engine(job).advance(state, Segment(0, 3))
    early = weights(state.extra)
    engine(job).advance(state, Segment(3, 7))
    learned = state.copy()
    assert not np.array_equal(weights(learned.extra), early)
    engine(job).advance(state, Segment(10, 15))
    for name in ("log_weight", "shift", "seen"):
        np.testing.assert_array_equal(state.extra[f"contour_{name}"], learned.extra[f"contour_{name}"])
    assert (state.extra["contour_visits"].sum(axis=1) == job.program.gradients_before(25)).all()


@pytest.mark.parametrize("engine", [BatchedEngine, FusedEngine])
def test_a_frozen_replica_keeps_its_histogram_and_the_others_every_bit(engine):
    job = contour_job(replicas=12, **METHODS["BAOAB"])
    healthy, state = advance(engine(job), job, 6), advance(engine(job), job, 2)
    state.momentum[5] = np.inf
    engine(job).advance(state, Segment(2, 1))
    assert state.frozen_step[5] == 3
    then = state.copy()
    engine(job).advance(state, Segment(3, 3))
    others = np.arange(12) != 5
    for name, value in healthy.arrays().items():
        np.testing.assert_array_equal(state.arrays()[name][others], value[others], err_msg=name)
    for name, value in state.extra.items():
        np.testing.assert_array_equal(value[5], then.extra[name][5])
        assert np.isfinite(value).all()
    assert np.isnan(state.position[5]).all()


@pytest.mark.parametrize(("team", "d"), [(32, 40), (64, 70)])
def test_teams_of_members_agree_with_one(team, d):
    job = contour_job(d=d, replicas=3, prior=1.0, batch=5, **METHODS["BAOAB"])
    alone, together = advance(FusedEngine(job), job, 8), advance(Members(job, team), job, 8)
    assert_close(alone, together, job.dtype)
    assert (alone.extra["contour_multiplier"] != 1).any()


def test_a_state_without_histograms_is_refused():
    job = contour_job(**METHODS["sgld"])
    with pytest.raises(ValueError, match="contour_log_weight is missing"):
        FusedEngine(job).advance(make_state(job), Segment(0, 1))


@pytest.mark.parametrize("word", ["sgld", "BAOAB"])
def test_a_wall_counts_the_position_kept(word):
    """A step taken back is one more visit of where the replica stays: energies beyond the wall never enter the
    histogram.
    """
    c = Contour(zeta=0.75, bins=40, lowest=0.0, width=0.05, omega_max=0.1)
    target = Boxed(well(1.0, 1), 1.0)  # U < 1/2 inside
    job = dataclasses.replace(job_of(word, target, 0.3, 50, temperature=1.0, friction=1.0), contour=c)
    state = start(job, scale=0.3)
    state.position.clip(-1, 1, out=state.position)
    BatchedEngine(job, block=16).advance(state, Segment(0, 60))
    visits = state.extra["contour_visits"]
    assert (visits.sum(axis=1) == job.program.gradients_before(60)).all()
    assert visits[:, 10:].sum() == 0
    assert visits[:, 9].sum() > 0
