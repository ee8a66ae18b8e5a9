"""Words in braces sample exp(-U/tau) exactly at stepsizes where plain ones are far off or overflow (equations.md
section 13). Error bars are over replicas, which start in the exact law.
"""

from dataclasses import replace

import numpy as np
import pytest
from linear_maps import advance, job_of, well
from metropolis_cases import Quartic, braced, quartic_law, quartic_network, quartic_prior, quartic_start
from runs import NEEDS_COMPILER

from gpu_thermo import register, unregister
from gpu_thermo.engines.base import initial_state
from gpu_thermo.engines.batched import BatchedEngine
from gpu_thermo.engines.fused import FusedEngine
from gpu_thermo.engines.proposals import Proposals
from gpu_thermo.state import Segment

WORDS = ("{BAOAB}", "{ABOBA}", "{OBABO}", "{OABAO}")
LIMIT = 4.5


def score(values, exact):
    """z of the mean of independent `values` [R]."""
    return (values.mean() - exact) / (values.std() / np.sqrt(len(values)))


def quartic(word, stepsize=0.5, replicas=4_000, steps=60, block=1, friction=1.0, tau=1.0):
    """<q^2> of each replica, over the ends of blocks, and the mean acceptance."""
    job = braced(word, Quartic(), stepsize, replicas, block=block, temperature=tau, friction=friction)
    recorded = advance(job, quartic_start(job), steps * block, range(block, steps * block + 1, block))
    return (recorded.position[..., 0] ** 2).mean(axis=0), recorded.acceptance.mean()


EXACT = quartic_law(2)[1]


def test_the_law_is_the_one_known():
    assert pytest.approx(1.0418, abs=5e-5) == EXACT


@pytest.mark.parametrize("word", WORDS)
def test_double_well(word):
    squares, acceptance = quartic(word)
    assert abs(score(squares, EXACT)) < LIMIT
    assert acceptance == pytest.approx(0.94, abs=0.01)


@pytest.fixture
def prior():
    """The quartic law as a prior, for the fused engine, which takes networks."""
    yield register(quartic_prior())
    unregister("quartic")


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["batched", pytest.param("fused", marks=NEEDS_COMPILER)])
@pytest.mark.parametrize("word", WORDS)
def test_double_well_within_3e_4(word, engine, prior):
    """200,000 replicas of 700 steps: `python -m pytest -m slow tests/laws/test_metropolised.py -k 3e_4 -s`."""
    replicas, rounds, free = 200_000, 70, 2 if engine == "fused" else 0
    if engine == "fused":
        job, state = quartic_network(word, 0.5, replicas)
        made = FusedEngine(job)
    else:
        job = braced(word, Quartic(), 0.5, replicas, temperature=1.0, friction=1.0)
        state, made = quartic_start(job), BatchedEngine(job)
    squares, acceptance = np.zeros(replicas), 0.0
    for begin in range(0, 10 * rounds, 10):
        recorded = made.advance(state, Segment(begin, 10, tuple(range(begin + 1, begin + 11))))
        squares += (recorded.position[..., free].astype(float) ** 2).mean(axis=0) / rounds
        acceptance += float(recorded.acceptance.mean()) / rounds
    error = squares.std() / np.sqrt(replicas)
    print(f"{word} {engine}: <q^2> {squares.mean():.5f} +- {error:.5f}, exact {EXACT:.5f}, accepted {acceptance:.4f}")
    off = abs(squares.mean() - EXACT)
    assert error < 3e-4
    assert off < LIMIT * error
    assert off - 2 * error < 3e-4
    assert acceptance == pytest.approx(0.94, abs=0.01)


@pytest.mark.parametrize(
    ("word", "block", "friction"),
    [
        ("O{BAB}O", 1, np.inf), ("O{BAB}O", 3, 1.0), ("{BAB}O", 1, np.inf), ("O{BABABAB}", 1, 1.0),
        ("O{BABABAB}", 2, np.inf), ("{BAOAB}", 4, 1.0), ("{ABOBA}", 3, 1.0), ("{OABAO}", 5, 0.3),
        ("{UBU}", 1, 1.0), ("{BUB}", 3, 1.0),
    ],
)  # fmt: skip
def test_hybrid_words_and_blocks(word, block, friction):
    """MALA, generalised HMC, and several steps a proposal."""
    squares, acceptance = quartic(word, block=block, friction=friction, steps=40)
    assert abs(score(squares, EXACT)) < LIMIT
    assert 0.8 < acceptance < 0.99


def without_flights(count):
    return lambda self, forces, start, ended: count(self, forces, self.state.energy, ended)


def without_flip(undo):
    def wrong(self, back):
        undo(self, back)
        self.state.momentum[back] *= -1

    return wrong


def at_another_temperature(count):
    def wrong(self, forces, start, ended):
        tau, self.tau = self.tau, 1.05 * self.tau
        chance = count(self, forces, start, ended)
        self.tau = tau
        return chance

    return wrong


@pytest.mark.parametrize(("method", "wrong"), [("_count", without_flights), ("_undo", without_flip)])
@pytest.mark.parametrize("word", WORDS)
def test_power_of_the_double_well(word, method, wrong, monkeypatch):
    monkeypatch.setattr(Proposals, method, wrong(getattr(Proposals, method)))
    squares, _ = quartic(word, steps=100)
    assert abs(score(squares, EXACT)) > 2 * LIMIT


def test_power_of_a_temperature():
    squares, _ = quartic("{OBABO}", tau=1.05, replicas=8_000, steps=100)
    assert abs(score(squares, EXACT)) > LIMIT


# -- wells: what plain words do there is known, too --------------------------------------------------------------------


def wells(word, stiffness, stepsize, replicas, steps, *, work=False, friction=1.0, tau=1.0, block=1):
    """Scaled squares k q^2 / tau of each replica and coordinate [R, P], and what was recorded."""
    stiffness = np.atleast_1d(np.asarray(stiffness, float))
    job = braced(word, well(stiffness[None], len(stiffness)), stepsize, replicas, block=block, work=work,
                 temperature=tau, friction=friction)  # fmt: skip
    rng = np.random.default_rng(4)
    q = rng.normal(size=(replicas, len(stiffness))) * np.sqrt(tau / stiffness)
    p = None if "K" in word else rng.normal(size=q.shape) * np.sqrt(tau)
    state = initial_state(job, q, p)
    recorded = advance(job, state, steps * block, range(block, steps * block + 1, block))
    return (recorded.position**2).mean(axis=0) * stiffness / tau, recorded


def test_a_well_at_a_stepsize_where_the_plain_word_is_wrong_by_a_third():
    squares, _ = wells("{OBABO}", 1.0, 1.0, 8_000, 40)
    assert abs(score(squares[:, 0], 1.0)) < LIMIT
    plain, _ = wells("OBABO", 1.0, 1.0, 8_000, 40)
    assert score(plain[:, 0], 1.0) > 30


def test_power_of_the_temperature_of_acceptance(monkeypatch):
    """5 % off, while friction and noise are right."""
    monkeypatch.setattr(Proposals, "_count", at_another_temperature(Proposals._count))
    squares, _ = wells("{OBABO}", 1.0, 1.0, 40_000, 60)
    assert score(squares[:, 0], 1.0) > 2 * LIMIT


@pytest.mark.parametrize(("condition", "stepsize"), [(1e2, 0.1), (1e4, 0.01)])
def test_isokinetic_words_on_wells_of_many_widths(condition, stepsize):
    """{KAK}S is exact where KASAK at the same stepsize is not."""
    stiffness = condition ** np.linspace(0, 1, 20)
    squares, recorded = wells("{KAK}S", stiffness, 1.6 * stepsize, 3_000, 60, friction=2.0)
    assert np.abs([score(s, 1.0) for s in squares.T]).max() < LIMIT
    assert 0.6 < recorded.acceptance.mean() < 0.98
    plain, _ = wells("KASAK", stiffness, 1.6 * stepsize, 3_000, 60, friction=2.0)
    assert np.abs([score(s, 1.0) for s in plain.T]).max() > 3 * LIMIT


@pytest.mark.parametrize("word", ["BAOAB", "OBABO", "ABOBA", "OABAO"])
def test_work_on_wells_grows_with_the_sixth_power(word):
    """Var w is proportional to P h^6 where forces meet the momentum that flights go by: so h falls as P^(-1/6) at one
    acceptance. Friction in the middle of a flight (BAOAB, ABOBA) adds a term in gamma h^5; there gamma is 0.
    """
    friction, found = 0.0 if word[0] != "O" else 1.0, {}
    for size, h in ((10, 0.4), (10, 0.2), (40, 0.2)):
        _, recorded = wells(word, np.ones(size), h, 6_000, 40, work=True, friction=friction)
        found[size, h] = recorded.shadow_work
    spread = {key: value.var() for key, value in found.items()}
    assert spread[10, 0.4] / spread[10, 0.2] == pytest.approx(64, rel=0.15)
    assert spread[40, 0.2] / spread[10, 0.2] == pytest.approx(4, rel=0.1)


def test_acceptance_is_that_of_normal_works():
    """In many dimensions w is normal of mean s^2/2 and variance s^2 (tau 1): acceptance erfc(s / sqrt(8))."""
    from scipy.special import erfc

    _, recorded = wells("{BAOAB}", np.ones(300), 0.9, 2_000, 20)
    sd = recorded.shadow_work.std()
    assert recorded.shadow_work.mean() == pytest.approx(sd**2 / 2, rel=0.1)
    assert recorded.acceptance.mean() == pytest.approx(erfc(sd / np.sqrt(8)), abs=0.01)


def test_two_partitions_of_one_temperature():
    """Different words and frictions, accepted together."""
    words = {"hidden": "{BAOAB}", "output": "O{BAB}O"}
    job = job_of(words, well(np.array([[1.0, 1.0, 1.5, 0.5]]), 4, split=2), 1.0, 12_000, temperature=0.7,
                 friction=np.array([1.0, 0.4]))  # fmt: skip
    rng, stiffness = np.random.default_rng(3), np.array([1.0, 1.0, 1.5, 0.5])
    q = rng.normal(size=(12_000, 4)) * np.sqrt(0.7 / stiffness)
    state = initial_state(job, q, rng.normal(size=q.shape) * np.sqrt(0.7))
    position = advance(job, state, 40, range(1, 41)).position
    squares = (position**2).mean(axis=0) * stiffness / 0.7
    assert np.abs([score(s, 1.0) for s in squares.T]).max() < LIMIT
    assert abs(score((position[..., 0] * position[..., 2]).mean(axis=0), 0.0)) < LIMIT


def test_masses():
    """Momenta of masses: the law of positions does not know them."""
    mass, stiffness = np.array([4.0, 0.5]), np.array([3.0, 0.6])
    job = replace(
        job_of("{OBABO}", well(stiffness[None], 2), 1.0, 12_000, temperature=0.7, friction=1.0), scale=mass**-0.5
    )
    rng = np.random.default_rng(3)
    q = rng.normal(size=(12_000, 2)) * np.sqrt(0.7 / stiffness)
    state = initial_state(job, q, rng.normal(size=q.shape) * np.sqrt(0.7))
    recorded = advance(job, state, 40, range(1, 41))
    squares = (recorded.position**2).mean(axis=0) * stiffness / 0.7
    assert np.abs([score(s, 1.0) for s in squares.T]).max() < LIMIT
    assert recorded.acceptance.mean() < 0.97
