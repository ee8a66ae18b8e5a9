"""Walls |q_i| <= bounds: steps taken back, and the law that is left."""

import numpy as np
import pytest
from engine_cases import Boxed, network
from linear_maps import advance, job_of, start, well

from gpu_thermo.engines import BatchedEngine, choose_engine
from gpu_thermo.errors import SpecError
from gpu_thermo.state import Segment

WALLED = {
    "BAOAB": {"friction": 1.0},
    "BACDEDCAB": {"sigma": 1.0, "epsilon": 0.3},
    "ABOBA": {"friction": 1.0},
    "sgld": {},
}


@pytest.mark.parametrize("word", WALLED)
def test_a_step_that_leaves_the_box_is_taken_back(word):
    """Each step is that of the open target, or the position kept with its momentum turned round; both happen."""
    values = {"temperature": 1.0, **WALLED[word]}
    make = lambda target: job_of(word, target, 0.6, 40, **values)  # noqa: E731
    boxed, free = make(Boxed(well(1.0, 2, 0.5), 1.0)), make(well(1.0, 2, 0.5))
    momentum = np.random.default_rng(0).normal(size=(40, 2))
    state, worker, rejected = start(boxed, 0.3, momentum), BatchedEngine(boxed, block=16), 0
    state.position.clip(-1, 1, out=state.position)
    for step in range(25):
        before, trial = state.copy(), state.copy()
        BatchedEngine(free).advance(trial, Segment(step, 1))
        worker.advance(state, Segment(step, 1))
        out = (np.abs(trial.position) > 1).any(axis=1)
        rejected += out.sum()
        for name in ("position", "thermostat"):
            np.testing.assert_array_equal(getattr(state, name)[out], getattr(before, name)[out])
        np.testing.assert_array_equal(state.momentum[out], -before.momentum[out])
        kept = trial if word == "sgld" else before  # sgld evaluates where it stands, and that evaluation stands too
        if step:
            np.testing.assert_array_equal(state.gradient[out], kept.gradient[out])
            np.testing.assert_array_equal(state.energy[out], kept.energy[out])
        for name, value in trial.arrays().items():
            np.testing.assert_array_equal(state.arrays()[name][~out], value[~out], err_msg=name)
    assert 50 < rejected < 900
    assert (state.status == 0).all()
    assert np.isfinite(state.energy).all()


def test_a_walled_harmonic_well_has_its_law():
    """SGLD at a small stepsize in a box: <q^2> of the truncated Gaussian, over independent replicas."""
    from scipy.stats import truncnorm

    job = job_of("sgld", Boxed(well(1.0, 4), 0.8), 2e-3, 400, temperature=1.0)
    state, worker, sums = start(job, scale=0.3), BatchedEngine(job), []
    state.position.clip(-0.8, 0.8, out=state.position)
    for _ in range(60):
        worker.advance(state, Segment(state.step, 50))
        sums.append((state.position**2).mean(axis=1))
    mean = np.mean(sums[20:], axis=0)
    error = mean.std(ddof=1) / len(mean) ** 0.5
    exact = truncnorm(-0.8, 0.8).var()
    assert abs(mean.mean() - exact) < 5 * error + 0.02 * exact  # O(h) of the walls
    assert abs(mean.mean() - 1) > 50 * error  # the open well


def test_walls_are_the_batched_engines():
    """Also for a network, which the fused engine would take otherwise."""
    job = network()[0]
    job.target.bounds = 3.0
    assert choose_engine(job, "auto", "cpu") == "batched"
    with pytest.raises(SpecError, match=r"cannot run this: it knows no walls \(bounds\). Use --engine batched"):
        choose_engine(job, "fused", "cpu")


def test_what_is_not_finite_in_a_box_is_frozen():
    job = job_of("BAOAB", Boxed(well(1.0, 2), 1.0), 0.1, 3, temperature=1.0, friction=1.0)
    state = start(job, scale=0.1)
    state.momentum[1] = np.inf
    advance(job, state, 2)
    assert state.status.tolist()[::2] == [0, 0]
    assert state.frozen_step.tolist() == [-1, 1, -1]
