"""The order of minibatches (equations.md sections 6 and 16): what gradient noise does to a well, exactly.

On U = k q^2/2 a batch adds a constant to the force, so that a step is linear in the state and in its batch's noise. The
covariances of that noise over permutations are read off the package's own batches: one batch with itself 1, with
another of its permutation -1/(nb - 1), with those of other permutations 0. What full batches have is taken off: it is
of larger order, and Monte Carlo could not resolve the rest.
"""

import numpy as np
import pytest
from linear_maps import moments, step_map, z_score
from scipy.linalg import solve_discrete_lyapunov

from gpu_thermo.engines import BatchedEngine, Batching, FusedEngine, Job, initial_state
from gpu_thermo.kernels.toolchain import find_compiler
from gpu_thermo.method.words import compile_program, parse_word
from gpu_thermo.state import Hyper, Segment
from gpu_thermo.streams import make_keys, minibatch
from gpu_thermo.targets.networks import MlpModel
from gpu_thermo.verify.sampling import network, regression

NB, POINTS = 8, 16
STEPSIZES = np.array([0.04, 0.02, 0.01, 0.005])
WORDS = ("BAOAB", "OBABO", "UBU", "ABOBA")
MODES = {"subset": (1, 1), "epoch": (3, 2), "symmetric": (4, 2)}
"""Orders in h of what noise adds to <q^2> and to <p^2>."""
PERIOD = {"subset": 1, "epoch": 1, "symmetric": 2}
"""Passes over the data that belong to one permutation."""


def covariance(mode, batches, points):
    """[T, T] covariance of the noise of the gradients of a permutation, one batch's variance being 1."""
    keys, size = make_keys([3], [5]), points // batches
    whole = batches * PERIOD[mode]
    own = [frozenset(minibatch(keys, mode, points, size, ordinal)[0].tolist()) for ordinal in range(whole)]
    if mode == "subset":
        return np.eye(whole)
    for a in own:
        assert all(a == b or not a & b for b in own)
    return np.array([[1.0 if a == b else -1 / (batches - 1) for b in own] for a in own])


def added(word, h, mode, batches=NB, points=POINTS, k=1.0, gamma=1.0):
    """(<q^2>, <p^2>) due to gradient noise of variance 1, the mean over the steps of a permutation."""
    m, l = step_map(word, h, gamma=gamma, k=k, noise=1.0)
    force, c = l[:, int(np.argmax(l[2]))], covariance(mode, batches, points)
    power = [np.linalg.matrix_power(m, i) for i in range(len(c) + 1)]
    reach = [np.array([power[t - 1 - j] @ force for j in range(t)]).T for t in range(1, len(c) + 1)]
    start = solve_discrete_lyapunov(power[-1], reach[-1] @ c @ reach[-1].T)
    each = [power[t] @ start @ power[t].T + w @ c[:t, :t] @ w.T for t, w in enumerate(reach, 1)]
    return np.diag(np.mean(each, axis=0))[:2]


def slopes(word, mode):
    """[2, stepsizes - 1] slopes of log (<q^2>, <p^2>) in log h, from each stepsize to the next."""
    both = np.array([added(word, h, mode) for h in STEPSIZES])
    return np.diff(np.log(both), axis=0).T / np.diff(np.log(STEPSIZES))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("word", WORDS)
def test_orders_of_gradient_noise(word, mode):
    """<q^2> 1, 3, 4 and <p^2> 1, 2, 2; from step to step the slopes come nearer."""
    away = abs(slopes(word, mode) - np.array(MODES[mode])[:, None])
    assert (away[:, -1] < 0.02).all(), slopes(word, mode)
    assert (away[:, -1] <= away[:, 0]).all()


def test_symmetric_order_is_the_best_at_any_stepsize():
    for h in STEPSIZES:
        subset, epoch, symmetric = (added("UBU", h, mode)[0] for mode in MODES)
        assert symmetric < epoch / 3
        assert epoch < subset / 50


def test_all_batches_independent_is_a_word_with_noise():
    """Of `subset` the linear algebra of equations.md section 10 says the same."""
    for word in WORDS:
        exact = moments(word, 0.3, gamma=1.0, noise=1.0) - moments(word, 0.3, gamma=1.0)
        np.testing.assert_allclose(added(word, 0.3, "subset"), exact[:2], rtol=1e-10)


def test_batches_in_order_and_backwards():
    """Ordinal 2 k nb + i is batch i, or 2 nb - 1 - i, of permutation k: the batches of `epoch`, and the points left
    over are skipped.
    """
    keys, points, size = make_keys([5], np.arange(3)), 23, 5
    for number in (0, 1, 7):
        forward = [minibatch(keys, "epoch", points, size, number * 4 + i) for i in range(4)]
        found = [minibatch(keys, "symmetric", points, size, number * 8 + i) for i in range(8)]
        np.testing.assert_array_equal(found, forward + forward[::-1])


# -- engines -----------------------------------------------------------------------------------------------------------

K, H, GAMMA, TAU, SPREAD, BATCHES, BATCH, OUTPUTS = 1.2, 0.8, 0.7, 0.02, 2.0, 4, 10, 8
ENGINES = (
    BatchedEngine,
    pytest.param(FusedEngine, marks=pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler")),
)


def bias_job(word, mode, replicas):
    """Output biases of a network without inputs: wells of stiffness K whose force noise is a batch mean of y."""
    points = BATCHES * BATCH
    model = MlpModel(1, (1,), OUTPUTS, "regression", "relu", (points * (K - 1)) ** -0.5, 1.0)
    y = np.random.default_rng(1).normal(size=(points, OUTPUTS))
    y = SPREAD * (y - y.mean(axis=0)) / y.std(axis=0, ddof=1)
    target = network(model, regression(y, np.zeros((points, 1))), replicas)
    program = compile_program({"hidden": None, "output": parse_word(word)}, target.layout.partition("layer"))
    hyper = Hyper.constant(replicas, 2, H, 1, temperature=TAU, friction=GAMMA)
    stream = np.arange(replicas, dtype=np.uint64)
    return Job(program, target, hyper, Batching(mode, BATCH), np.full(replicas, 2, np.uint64), stream, np.float32)


def scores(word, mode, engine, believed=None, replicas=1500, periods=10):
    """z of <q^2> and <p^2> of all biases over whole permutations, against the exact law of order `believed`."""
    believed = believed or mode
    job = bias_job(word, mode, replicas)
    state, runner = initial_state(job, np.zeros((replicas, job.target.layout.size), np.float32)), engine(job)
    bias, sums = slice(2 + OUTPUTS, 2 + 2 * OUTPUTS), np.zeros((2, replicas, OUTPUTS))
    runner.advance(state, Segment(0, 40))
    for _ in range(periods * 2 * BATCHES):
        runner.advance(state, Segment(state.step, 1))
        sums += state.position[:, bias].astype(float) ** 2, state.momentum[:, bias].astype(float) ** 2
    points = BATCHES * BATCH
    noise = SPREAD**2 / BATCH * (1 - BATCH / points)
    exact = moments(word, H, gamma=GAMMA, tau=TAU, k=K)[:2] + noise * added(
        word, H, believed, BATCHES, points, K, GAMMA
    )
    return np.array([z_score(s.mean(axis=1) / (periods * 2 * BATCHES), e) for s, e in zip(sums, exact, strict=True)])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("mode", ["epoch", "symmetric"])
@pytest.mark.parametrize("word", ["OBABO", "UBU"])
def test_engines_have_the_law_of_their_order(word, mode, engine):
    """At a large stepsize, on minibatches of a network, to a percent; the law of another order is refused."""
    assert abs(scores(word, mode, engine)).max() < 4.5
    other = {"epoch": "symmetric", "symmetric": "epoch"}[mode]
    assert abs(scores(word, mode, engine, other)).max() > 8
