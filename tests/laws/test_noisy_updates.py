"""SGHMC and pSGLD (equations.md sections 3 and 16): what SGHMC samples exactly, and how far pSGLD is from what it is
said to sample.
"""

import numpy as np
import pytest
from linear_maps import advance, job_of, sghmc_moments, start, well, z_score
from scipy.integrate import quad

from gpu_thermo.data import Dataset
from gpu_thermo.engines import BatchedEngine, Batching, FusedEngine, Job, initial_state
from gpu_thermo.kernels.toolchain import find_compiler
from gpu_thermo.method.words import compile_update
from gpu_thermo.running.setup import prepare
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.state import Hyper, Segment
from gpu_thermo.targets.networks import MlpModel
from gpu_thermo.targets.posterior import MlpTarget

ENGINES = (
    BatchedEngine,
    pytest.param(FusedEngine, marks=pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler")),
)
DATA = {"data": {"turns": 1, "train": 30, "test": 0}, "model": {"hidden": 4, "init_sd": 0.7, "dtype": "float64"}}
STEPS = 40


def follow(method, engine=BatchedEngine):
    """Positions [STEPS, R, P] of a small network on minibatches."""
    run = {"replicas": 5, "steps": STEPS, "burn_in": 0, "thin": 1, "batch": 6}
    ready = prepare(RunSpec.from_dict({**DATA, "method": method, "run": run}))
    return engine(ready.job).advance(ready.initial_state(), Segment(0, STEPS, tuple(range(1, STEPS + 1)))).position


# -- SGHMC -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_sghmc_without_noise_is_momentum(engine):
    """Bit for bit at tau = 0."""
    values = {"stepsize": 0.03, "momentum": 0.8}
    plain = follow({"name": "momentum", **values}, engine)
    np.testing.assert_array_equal(follow({"name": "sghmc", "temperature": 0, **values}, engine), plain)
    assert (follow({"name": "sghmc", "temperature": 1e-8, **values}, engine) != plain).any()


def test_sghmc_without_memory_is_sgld():
    values = {"stepsize": 0.03, "temperature": 1e-3}
    np.testing.assert_allclose(
        follow({"name": "sghmc", "momentum": 0, **values}), follow({"name": "sgld", **values}), rtol=1e-10, atol=1e-13
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_sghmc_is_oba_at_another_temperature(engine):
    """v = sqrt(lr) p, h = sqrt(lr), mu = exp(-gamma h): OBA's noise has 1 - mu^2 where SGHMC has 2 (1 - mu)."""
    lr, mu, tau = 0.04, 0.7, 1e-3
    published = follow({"name": "sghmc", "stepsize": lr, "momentum": mu, "temperature": tau}, engine)
    h = lr**0.5
    word = {"name": "langevin", "word": "OBA", "stepsize": h, "friction": -np.log(mu) / h}
    np.testing.assert_allclose(published, follow(word | {"temperature": tau * 2 / (1 + mu)}, engine), atol=1e-12)
    assert abs(published - follow(word | {"temperature": tau}, engine)).max() > 1e-3


K, LR, MU, TAU, SPREAD, POINTS, BATCH, OUTPUTS = 1.2, 0.5, 0.6, 0.02, 2.0, 40, 10, 8


def bias_job(replicas):
    """Output biases of a network without inputs: wells of stiffness K whose force noise is a batch mean of y."""
    model = MlpModel(1, (1,), OUTPUTS, "regression", "relu", (POINTS * (K - 1)) ** -0.5, 1.0)
    y = np.random.default_rng(1).normal(size=(1, POINTS, OUTPUTS))
    y = SPREAD * (y - y.mean(axis=1)) / y.std(axis=1, ddof=1)
    names = tuple(f"y{i}" for i in range(OUTPUTS))
    x = np.zeros((1, POINTS, 1))
    data = Dataset("biases", "regression", x, y, x[:, :0], y[:, :0], ("x",), (), names)
    target = MlpTarget(model, data, np.zeros(replicas, np.int64), np.float64)
    program = compile_update("sghmc", target.layout.partition("layer"), (0,))
    hyper = Hyper.constant(replicas, 2, LR, 1, temperature=TAU, momentum=MU)
    stream = np.arange(replicas, dtype=np.uint64)
    return Job(program, target, hyper, Batching("subset", BATCH), np.full(replicas, 2, np.uint64), stream, np.float64)


def moments_z(engine, exact, change=lambda job: job, replicas=1500):
    """z of <q^2>, <v^2> and <q v> of the biases."""
    job = change(bias_job(replicas))
    state, runner = initial_state(job, np.zeros((replicas, job.target.layout.size))), engine(job)
    bias, sums = slice(2 + OUTPUTS, 2 + 2 * OUTPUTS), np.zeros((3, replicas, OUTPUTS))
    runner.advance(state, Segment(0, 40))
    for _ in range(40):
        runner.advance(state, Segment(state.step, 2))
        q, v = state.position[:, bias], state.momentum[:, bias]
        sums += q * q, v * v, q * v
    return np.array([z_score(s.mean(axis=1) / 40, e) for s, e in zip(sums, exact, strict=True)])


NOISE = SPREAD * (1 / BATCH - 1 / POINTS) ** 0.5


@pytest.mark.parametrize("engine", ENGINES)
def test_sghmc_on_minibatches(engine):
    """The exact law with the noise of batches of a network, at a large rate; N/n in it, and a sqrt 2, are seen."""
    exact = sghmc_moments(LR, K, MU, TAU, NOISE)
    assert abs(moments_z(engine, exact)).max() < 4.5
    for wrong in (
        sghmc_moments(LR, K, MU, TAU, NOISE * POINTS / BATCH), sghmc_moments(LR, K, MU, 2 * TAU, NOISE),
        sghmc_moments(LR, K, MU, TAU * (1 + MU) / 2, NOISE), sghmc_moments(LR, K, MU, TAU, 0.0),
    ):  # fmt: skip
        assert abs(moments_z(engine, wrong)).max() > 6


def test_thermal_velocities():
    """Of variance h tau, not tau; and rungs with stepsizes of their own rescale them by both."""
    spec = {
        "target": {"name": "harmonic", "size": 50},
        "method": {"name": "sghmc", "stepsize": 0.04, "temperature": 0.5},
        "run": {"replicas": 900, "steps": 100, "burn_in": 0, "thin": 100, "momenta": "thermal"},
        "moves": [{"kind": "exchange", "rungs": 3, "hottest": 2.0, "stepsize": [0.04, 0.02, 0.01]}],
    }
    ready = prepare(RunSpec.from_dict(spec))
    state = ready.initial_state()
    rung, square = state.extra["rung"], (state.momentum.astype(float) ** 2).mean(axis=1)
    expected = np.array([0.04, 0.02, 0.01]) * np.array([0.5, 1.0, 2.0])
    for q in range(3):
        assert square[rung == q].mean() == pytest.approx(expected[q], rel=0.03)
    before = state.momentum.copy()
    ready.moves[0].ladder.rescale_momenta(state, np.array([0]), np.array([0]), np.array([2]))
    np.testing.assert_allclose(state.momentum[0], before[0] * np.sqrt(expected[2] / expected[0]), rtol=1e-6)
    np.testing.assert_array_equal(state.momentum[1:], before[1:])


# -- pSGLD -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_psgld_without_noise_is_rmsprop(engine):
    """To the difference of lambda and epsilon; and RMSprop is PyTorch's (tests/contracts)."""
    a, b = (follow({"name": name, "stepsize": 1e-3, **more}, engine) for name, more in
            (("rmsprop", {}), ("psgld", {"temperature": 0})))  # fmt: skip
    np.testing.assert_allclose(a, b, atol=1e-3)
    assert abs(a[-1] - a[0]).max() > 0.05


def variance(h, noise=0.0, steps=4000):
    """<q^2> k/tau of pSGLD on wells, and its standard error."""
    job = job_of("psgld", well(1.0, 60, noise), h, 64, temperature=1.0)
    state = start(job)
    advance(job, state, steps // 2)
    total = np.zeros(64)
    for _ in range(200):
        advance(job, state, steps // 400)
        total += (state.position**2).mean(axis=1) / 200
    return total.mean(), total.std(ddof=1) / 8


@pytest.mark.parametrize(("h", "steps", "printed"), [(0.1, 2000, 1.107), (0.03, 2000, 1.169), (0.01, 2000, 1.345)])
def test_the_bias_of_psgld(h, steps, printed):
    """As equations.md section 16 prints it: the variance is too large, and more so at smaller stepsizes."""
    found, error = variance(h, steps=steps)
    assert abs(found - printed) < 4 * np.hypot(error, 0.01)
    assert found > 1 + 6 * error


def test_the_bias_of_psgld_in_the_limit():
    """As h -> 0 the law is exp(-U/tau) sqrt(g^2 + s_G^2), the curvature term being left out; without gradient noise
    that is twice the variance.
    """
    limits = []
    for noise in (0.0, 3.0):
        weight, mass = (
            quad(lambda x, n=n, noise=noise: x**n * np.hypot(x, noise) * np.exp(-x * x / 2), 0, 12)[0] for n in (2, 0)
        )
        limits.append(weight / mass)
    assert limits[0] == pytest.approx(2, rel=1e-6)
    found, error = variance(0.009, 3.0, 8000)
    assert abs(found - limits[1]) < 4 * error + 0.005
    assert abs(found - 1) > 5 * error


def test_power_of_the_bias():
    """A sqrt 2 in its noise is far outside."""
    job = job_of("psgld", well(1.0, 60), 0.1, 64, temperature=2.0)
    state = start(job)
    advance(job, state, 1000)
    assert (state.position**2).mean() > 1.8
