"""Proposals of the batched engine, held to a plain recursion, step by step (equations.md section 13)."""

from dataclasses import replace

import numpy as np
import pytest
from engine_cases import assert_identical
from linear_maps import advance, job_of, start, well
from metropolis_cases import Quartic, Recursion, braced, quartic_start

from gpu_thermo.engines import BatchedEngine
from gpu_thermo.state import Segment

HEAT = {"temperature": 0.8, "friction": 0.7}
WORDS = [
    ("{BAOAB}", ("", "BAOAB", "")),
    ("{ABOBA}", ("", "ABOBA", "")),
    ("{OBABO}", ("", "OBABO", "")),
    ("{OABAO}", ("", "OABAO", "")),
    ("O{BAB}O", ("O", "BAB", "O")),
    ("O{BABABAB}", ("O", "BABABAB", "")),
    ("{ABA}O", ("", "ABA", "O")),
]


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize(("word", "parts"), WORDS)
def test_steps_are_those_of_the_recursion(word, parts, native):
    """Positions, momenta, what is recorded, and where proposals end, with blocks of 0 to 4 steps side by side."""
    job = braced(word, Quartic(3), 0.6, 40, block=np.arange(40) % 5, **HEAT)
    state = quartic_start(job, 0.8)
    plain, steps = Recursion(job, *parts, state), 24
    recorded = advance(job, state, steps, range(1, steps + 1), native=native)
    rejected = 0
    for i in range(steps):
        plain.step(i)
        ended, work, chance, back = plain.ended[-1]
        rejected += back.sum()
        going = np.isfinite(recorded.proposals[i])  # of plain steps some overflow
        ended &= going
        np.testing.assert_allclose(recorded.position[i][going], plain.q[going], rtol=1e-6, atol=1e-9)
        np.testing.assert_array_equal(recorded.proposals[i][going], ended[going])
        np.testing.assert_allclose(recorded.acceptance[i][ended], chance[ended], rtol=1e-6, atol=1e-12)
        finite = ended & np.isfinite(work)
        np.testing.assert_allclose(recorded.shadow_work[i][finite], work[finite], rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(state.momentum[going], plain.p[going], rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(state.extra["block_steps"][going], plain.steps[going])
    assert rejected > 20
    assert (going | (job.hyper.block == 0)).all()
    assert going.sum() > 35


def test_the_energy_of_a_state_is_that_of_its_place():
    """At the end of a block, for words that evaluate elsewhere, too."""
    for word in ("{ABOBA}", "{BAOAB}", "{OABAO}"):
        job = braced(word, Quartic(2), 0.9, 30, block=3, **HEAT)
        state = quartic_start(job, 0.8)
        advance(job, state, 12)
        np.testing.assert_allclose(state.energy, job.target.energy(state.position), rtol=1e-12)


@pytest.mark.parametrize("word", ["{BAOAB}", "{ABOBA}", "O{BAB}O"])
def test_segments_end_anywhere_and_blocks_of_replicas_change_no_bit(word):
    job = braced(word, Quartic(2), 0.9, 23, block=np.arange(23) % 6, **HEAT)
    whole, record = quartic_start(job, 0.8), (5, 17, 29)
    rings = [advance(job, whole, 30, record)]
    parts, worker = quartic_start(job, 0.8), BatchedEngine(job, block=4)
    cut = [worker.advance(parts, Segment(a, b - a, tuple(s for s in record if a < s <= b)))
           for a, b in ((0, 1), (1, 4), (4, 11), (11, 30))]  # fmt: skip
    assert_identical(whole, parts)
    for name in ("acceptance", "shadow_work", "shadow_work_variance", "proposals", "position"):
        both = [np.concatenate([getattr(r, name) for r in found]) for found in (rings, cut)]
        np.testing.assert_array_equal(*both)


@pytest.mark.parametrize(("word", "plain"), [("{BAOAB}", "BAOAB"), ("{ABOBA}", "ABOBA"), ("O{BAB}O", "OBABO")])
def test_blocks_of_no_steps_are_the_plain_word(word, plain):
    """Bit for bit, and counted alike."""
    job, other = braced(word, Quartic(2), 0.5, 9, block=0, **HEAT), braced(plain, Quartic(2), 0.5, 9, work=True, **HEAT)
    state, bare = quartic_start(job, 0.8), quartic_start(other, 0.8)
    ours, theirs = advance(job, state, 20, (10, 20)), advance(other, bare, 20, (10, 20))
    for name in ("position", "momentum", "gradient", "energy", "status"):
        np.testing.assert_array_equal(getattr(state, name), getattr(bare, name))
    for name in ("acceptance", "shadow_work", "shadow_work_variance", "proposals"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))


def test_counting_changes_no_bit_of_a_plain_run():
    job = braced("BAOAB", Quartic(2), 0.5, 9, **HEAT)
    bare, counted = quartic_start(job, 0.8), quartic_start(replace(job, work=True), 0.8)
    advance(job, bare, 20)
    advance(replace(job, work=True), counted, 20)
    for name in ("position", "momentum", "gradient", "energy"):
        np.testing.assert_array_equal(getattr(bare, name), getattr(counted, name))


def test_a_proposal_that_is_not_finite_is_rejected_and_nobody_freezes():
    """Far out the plain word overflows within a few steps; the same in braces stays where it was, and turns round."""
    for block in (1, 7):
        job = braced("{BAOAB}", Quartic(1), 0.9, 8, block=block, **HEAT)
        state = start(job, 1.0)
        state.position[:] = 60.0
        state.momentum[:] = 1.0
        recorded = advance(job, state, 14, (14,))
        assert (state.status == 0).all()
        assert (state.position == 60.0).all()
        np.testing.assert_array_equal(state.momentum, 1.0 if 14 // block % 2 == 0 else -1.0)
        assert (recorded.acceptance == 0).all()
        plain = braced("{BAOAB}", Quartic(1), 0.9, 8, block=0, **HEAT)
        state = start(plain, 1.0)
        state.position[:] = 60.0
        advance(plain, state, 14)
        assert (state.status != 0).all()


def test_frozen_replicas_stay_so_and_others_do_not_notice():
    job = braced("{BAOAB}", Quartic(1), 0.5, 6, block=2, **HEAT)
    state, other = quartic_start(job, 0.8), quartic_start(job, 0.8)
    advance(job, state, 4)
    advance(job, other, 4)
    for name in ("position", "momentum", "gradient"):
        getattr(state, name)[2] = np.nan
    state.energy[2], state.status[2], state.frozen_step[2] = np.nan, 2, 4
    recorded, theirs = advance(job, state, 6, (10,)), advance(job, other, 6, (10,))
    assert np.isnan(recorded.position[0, 2]).all()
    assert np.isnan(recorded.acceptance[0, 2])
    assert state.status[2] == 2
    rest = np.arange(6) != 2
    np.testing.assert_array_equal(recorded.position[0, rest], theirs.position[0, rest])
    np.testing.assert_array_equal(recorded.shadow_work[0, rest], theirs.shadow_work[0, rest])


def test_masses_leave_work_what_it_is():
    """A mass m on a well of stiffness k is mass 1 on k/m: the same works, step by step."""
    mass = np.array([4.0, 0.25, 1.0])
    light = braced("{BAOAB}", well(np.array([[2.0, 3.0, 1.0]]) / mass, 3), 0.8, 20, **HEAT)
    heavy = replace(braced("{BAOAB}", well(np.array([[2.0, 3.0, 1.0]]), 3), 0.8, 20, **HEAT), scale=mass**-0.5)
    state, other = start(light, 1.0), start(heavy, 1.0)
    other.position[:] = state.position / np.sqrt(mass)
    ours, theirs = advance(light, state, 10, range(1, 11)), advance(heavy, other, 10, range(1, 11))
    np.testing.assert_allclose(ours.shadow_work, theirs.shadow_work, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(ours.position, theirs.position * np.sqrt(mass), rtol=1e-8, atol=1e-10)


def test_acceptance_of_several_temperatures_is_not_a_number():
    """Work is, and each partition's friction and noise are heat at its own."""
    job = replace(job_of({"hidden": "BAOAB", "output": "BAOAB"}, well(1.0, 4, split=2), 0.5, 5, friction=1.0,
                         temperature=np.array([1.0, 0.5])), work=True)  # fmt: skip
    recorded = advance(job, start(job), 5, (5,))
    assert np.isnan(recorded.acceptance).all()
    assert np.isfinite(recorded.shadow_work).all()


@pytest.mark.parametrize("word", ["BAOAB", "ABOBA"])
def test_work_in_float32_is_that_of_float64(word):
    """Within a few rounding errors of U itself: forces' work is measured on the momenta as they are, and summed in
    float64.
    """
    works = []
    for dtype in (np.float32, np.float64):
        job = braced(word, Quartic(50), 0.2, 64, dtype=dtype, work=True, **HEAT)
        state = quartic_start(job, 0.8)
        works.append(advance(job, state, 1, (1,)).shadow_work[0])
    assert np.abs(works[0] - works[1]).max() < 50 * 4 * np.finfo(np.float32).eps
    assert np.abs(works[1]).max() > 100 * np.abs(works[0] - works[1]).max()
