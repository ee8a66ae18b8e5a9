"""Shadow work and proposals in the fused engine: as the batched engine has them, the same bits however they are cut,
and the exact law of a network (equations.md section 13).
"""

import dataclasses

import numpy as np
import pytest
from fused_cases import WORK, Members, assert_close, assert_same, check_against_batched, make_job, make_state, run, take
from metropolis_cases import LogisticNetwork

from gpu_thermo.engines.batched import BatchedEngine
from gpu_thermo.engines.fused import FusedEngine
from gpu_thermo.engines.work import RECORDED
from gpu_thermo.kernels import emit
from gpu_thermo.kernels.toolchain import find_compiler
from gpu_thermo.running.setup import prepare
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.state import Segment, State

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler")
LIMIT = 4.5


@pytest.mark.parametrize("case", WORK)
def test_agrees_with_batched(case):
    """States, work and acceptance after 1, 2 and 10 steps, with proposals of 0 to 4 steps side by side."""
    check_against_batched(make_job(**WORK[case]))


@pytest.mark.parametrize("case", ["braces", "braces, deep, masses", "work, evaluated in the middle"])
def test_bits_do_not_depend_on_segments_threads_or_company(case):
    job, record = make_job(**WORK[case] | {"replicas": 37}), (8, 16, 24)
    whole, (ring,) = run(FusedEngine(job, threads=1), job, 24, record=record)
    cut, rings = run(FusedEngine(job, threads=2), job, 1, 5, 2, 16, record=record)
    assert_same(whole, cut)
    for name in ("position", "energy", *RECORDED):
        np.testing.assert_array_equal(np.concatenate([getattr(r, name) for r in rings]), getattr(ring, name))
    for rows in (slice(0, 1), slice(5, 14), slice(36, 37)):
        part, state = take(job, rows), make_state(job)
        alone = State.from_arrays({name: np.ascontiguousarray(v[rows]) for name, v in state.arrays().items()}, 0, 0)
        there = FusedEngine(part).advance(alone, Segment(0, 24, record))
        for name, value in whole.arrays().items():
            np.testing.assert_array_equal(alone.arrays()[name], value[rows], err_msg=name)
        np.testing.assert_array_equal(there.shadow_work, ring.shadow_work[:, rows])


@pytest.mark.parametrize("case", ["braces, two words", "braces, fixed length"])
def test_teams_of_members_agree_with_one(case):
    """Each member keeps its own units of a proposal's start."""
    job = make_job(**WORK[case] | {"d": 40, "replicas": 4})
    alone, (r,) = run(FusedEngine(job), job, 6, record=(3, 6))
    together, (q,) = run(Members(job, 32), job, 6, record=(3, 6))
    assert_close(alone, together, job.dtype)
    for name in RECORDED:
        np.testing.assert_allclose(getattr(q, name), getattr(r, name), rtol=1e-8, atol=1e-10)


def test_counting_changes_no_bit_of_a_plain_run():
    counted = make_job(**WORK["work"] | {"replicas": 37})
    bare = dataclasses.replace(counted, work=False)
    with_work, without = run(FusedEngine(counted), counted, 24)[0], run(FusedEngine(bare), bare, 24)[0]
    for name in ("position", "momentum", "gradient", "energy", "status"):
        np.testing.assert_array_equal(getattr(with_work, name), getattr(without, name))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_proposal_that_is_not_finite_is_rejected_and_nobody_freezes(dtype):
    """Momenta that overflow within the proposal; the same without braces freeze."""
    job = make_job(**WORK["braces"] | {"replicas": 20, "dtype": dtype, "activation": "identity", "task": "regression"})
    engine, state = FusedEngine(job), make_state(job)
    engine.advance(state, Segment(0, 12, (12,)))  # the end of a block for all of them
    assert (state.extra["block_steps"] == 0).all()
    state.momentum[:] = 1e30 if dtype == np.float32 else 1e250
    state.position[:] = 1.0
    before = state.copy()
    recorded = engine.advance(state, Segment(12, 12, (24,)))
    plain = job.hyper.block == 0
    assert (state.status[plain] > 0).all()
    assert (state.status[~plain] == 0).all()
    np.testing.assert_array_equal(state.position[~plain], before.position[~plain])
    turns = np.where(12 // np.maximum(job.hyper.block, 1) % 2, -1, 1)
    np.testing.assert_array_equal(state.momentum[~plain], (turns[:, None] * before.momentum)[~plain])
    assert (recorded.acceptance[0, ~plain] == 0).all()


MODELS = {
    "learned noise, a scale a layer": {"model": {"noise_sd": "learn", "prior_sd": {"hidden": 1.5, "output": "fan_in"}}},
    "heavy tails": {"model": {"likelihood": "student_t", "prior": "laplace", "prior_sd": 0.7, "hidden": [5, 3]}},
}


@pytest.mark.parametrize("name", MODELS)
def test_energies_alone_have_every_term(name):
    """Words that evaluate elsewhere take U alone at the end of a step: with priors by layer, and what is learned."""
    tree = {
        "data": {"name": "diabetes"}, "model": {"hidden": 5, "dtype": "float64"} | MODELS[name]["model"],
        "method": {"name": "langevin", "word": "{ABOBA}", "stepsize": 0.02, "posterior_temperature": 1.0},
        "run": {"replicas": 9, "steps": 20, "burn_in": 0, "thin": 10, "minibatch": "full"},
    }  # fmt: skip
    ready = prepare(RunSpec.from_dict(tree))
    states = []
    for engine in (BatchedEngine(ready.job), FusedEngine(ready.job)):
        state = ready.initial_state()
        engine.advance(state, Segment(0, 3))
        states.append(state)
    for name in ("position", "energy"):
        np.testing.assert_allclose(*(getattr(state, name) for state in states), rtol=1e-9, atol=1e-12)
    exact = ready.subject.observer(ready, ready.moments(), "cpu", None).energy(states[1].position)
    np.testing.assert_allclose(states[1].energy, exact, rtol=1e-9)


# -- the exact law of a network ----------------------------------------------------------------------------------------


def scores(word, engine=FusedEngine, block=1, replicas=4_000, steps=60, dtype=np.float64):
    """z of mean and mean square of output weight and bias, against quadrature; the mean acceptance."""
    known = LogisticNetwork(replicas, dtype)
    job = known.job(word, 2.2, block)
    recorded = engine(job).advance(
        known.start(job), Segment(0, steps * block, tuple(range(block, steps * block + 1, block)))
    )
    found = recorded.position[..., -2:].astype(float)
    values = np.concatenate([found, found**2], axis=-1).mean(axis=0)
    z = (values.mean(axis=0) - known.moments) / (values.std(axis=0) / np.sqrt(replicas))
    return z, recorded.acceptance.mean()


WORDS = ("{BAOAB}", "{ABOBA}", "{OBABO}", "{OABAO}")
LAWS = [
    pytest.param(word, dtype, marks=[] if (i + j) % 2 else [pytest.mark.slow], id=f"{word}-{dtype.__name__}")
    for i, word in enumerate(WORDS)
    for j, dtype in enumerate((np.float32, np.float64))
]
"""Each word in one precision, the next in the other; slow: all in both."""


@pytest.mark.parametrize(("word", "dtype"), LAWS)
def test_law_of_a_network(word, dtype):
    z, acceptance = scores(word, dtype=dtype)
    assert np.abs(z).max() < LIMIT
    assert 0.5 < acceptance < 0.97


@pytest.mark.parametrize(("word", "block"), [("O{BAB}O", 1), ("O{BABABAB}", 2), ("{BAOAB}", 4), ("{UBU}", 1)])
def test_law_of_a_network_by_other_words_and_blocks(word, block):
    z, _ = scores(word, block=block)
    assert np.abs(z).max() < LIMIT


def test_law_of_a_network_on_the_batched_engine():
    assert np.abs(scores("{BAOAB}", BatchedEngine)[0]).max() < LIMIT


WRONG = {
    "no flights": ("w + (get_wide(run.s.energy, l) - get_wide(of_lane(p.inside, l) ? p.start : p.before, l))", "w"),
    "no flip": ("l, scalar(-1));", "l, scalar(1));"),
    "accepted always": ("!(u < chance)", "false"),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_power_of_the_law_of_a_network(mistake, monkeypatch):
    """The same with a mistake in the kernel."""
    header = emit.header
    assert header("work.h").count(WRONG[mistake][0]) == 1
    monkeypatch.setattr(emit, "header", lambda name: header(name).replace(*WRONG[mistake]))
    assert np.abs(scores("{OBABO}", replicas=16_000)[0]).max() > 2 * LIMIT
