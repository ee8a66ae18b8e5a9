"""Every letter and every whole-step update, on both engines and in both precisions, against its equation.

What draws no noise is followed step by step against a recursion written here from equations.md sections 2 and 3; what
draws noise is held to its exact stationary law, or, where none is known, followed with the normals of its addresses.
Each contract is shown to have power: with any one of the operation's coefficients wrong by sqrt 2 it fails. A record
without a contract fails the first test.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from linear_maps import moments, sghmc_moments, z_score
from network_wells import NetworkWell

from gpu_thermo.engines.batched import BatchedEngine
from gpu_thermo.engines.fused import FusedEngine
from gpu_thermo.kernels.toolchain import find_compiler
from gpu_thermo.method.letters import LETTERS
from gpu_thermo.method.operations import OPERATIONS
from gpu_thermo.method.updates import UPDATES
from gpu_thermo.state import Segment
from gpu_thermo.streams import Purpose, make_keys, normals

STEPS, H = 12, 0.3
MU, XI, EPSILON, TAU = 0.7, 0.4, 0.6, 0.5


@dataclass(frozen=True)
class Follow:
    """An operation step by step: `method` follows `recursion(x, p, gradient) -> iterator of (x, p)` in float64; with
    `noisy` the recursion is given noise(step) [R, n] as well.
    """

    method: str
    recursion: Callable
    hyper: dict = field(default_factory=dict)
    noisy: bool = False


@dataclass(frozen=True)
class Law:
    """A noisy operation: the stationary law of `method`; `exact(k)` gives <x^2>, <p^2>, <x p> at stiffness k. It takes
    as many `replicas` as show its smallest coefficient.
    """

    method: str
    exact: Callable
    hyper: dict = field(default_factory=dict)
    momenta: bool = True
    replicas: int = 1500


@dataclass(frozen=True)
class Turned:
    """A noisy operation on directions: `method` moves nothing else, and after a step <u.u'> = `exact(n)`, |p|^2 = n."""

    method: str
    exact: Callable
    hyper: dict = field(default_factory=dict)


# -- recursions, from the equations ------------------------------------------------------------------------------------


def word(text):
    """A word of A, B, C, E and K on one partition; a gradient serves until the position moves."""

    def recursion(x, p, gradient):
        xi, count, g = np.full((len(x), 1), XI), x.shape[1], gradient(x)
        p = np.sqrt(count) * unit(p) if "K" in text else p
        for _ in range(STEPS):
            for letter in text:
                h = H / text.count(letter)
                if letter == "A":
                    x = x + h * p
                    g = gradient(x)
                elif letter == "B":
                    p = p - h * g
                elif letter == "C":
                    p = np.exp(-h * xi) * p
                elif letter == "E":
                    xi = xi + h * EPSILON * ((p * p).sum(axis=1, keepdims=True) - count * TAU)
                elif letter == "K":
                    delta = h * np.sqrt(count) * length(g) / ((count - 1) * TAU)
                    u, e = unit(p), -unit(g)
                    along = (e * u).sum(axis=1, keepdims=True)
                    u = u + e * (np.sinh(delta) + along * (np.cosh(delta) - 1))
                    p = np.sqrt(count) * u / (np.cosh(delta) + along * np.sinh(delta))
                else:
                    raise ValueError(f"the equation of {letter} is not written here")
            yield x, p

    return recursion


def length(v):
    return np.sqrt((v * v).sum(axis=1, keepdims=True))


def unit(v):
    return v / length(v)


def refreshed(n, gamma, h):
    """<u.u'> of u' = (u + nu R)/|u + nu R|, nu = sqrt((exp(2 gamma h) - 1)/n), in three dimensions: over R along u, and
    over half the square of R across u, which is exponential.
    """
    assert n == 3
    r, weight = np.polynomial.hermite_e.hermegauss(60)
    half, exponential = np.polynomial.laguerre.laggauss(60)
    nu = np.sqrt((np.exp(2 * gamma * h) - 1) / n)
    along = (1 + nu * r)[:, None]
    cosine = along / np.sqrt(along**2 + nu**2 * 2 * half)
    return float((weight[:, None] * exponential * cosine).sum() / np.sqrt(2 * np.pi))


def descent(x, p, gradient):
    """Theta += h G."""
    for _ in range(STEPS):
        x = x - H * gradient(x)
        yield x, p


def heavy_ball(gain, rate):
    """v = mu v + gain G; theta += rate v."""

    def recursion(x, v, gradient):
        for _ in range(STEPS):
            v = MU * v - gain * gradient(x)
            x = x + rate * v
            yield x, v

    return recursion


def adam(x, p, gradient):
    """Bias-corrected: .9, .999, 1e-8."""
    m = v = 0.0
    for k in range(1, STEPS + 1):
        g = gradient(x)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        x = x - H * (m / (1 - 0.9**k)) / (np.sqrt(v / (1 - 0.999**k)) + 1e-8)
        yield x, p


def rmsprop(x, p, gradient):
    """As PyTorch has it: .99, 1e-8."""
    v = 0.0
    for _ in range(STEPS):
        g = gradient(x)
        v = 0.99 * v + 0.01 * g * g
        x = x - H * g / (np.sqrt(v) + 1e-8)
        yield x, p


def psgld(x, p, gradient, noise):
    """Li et al. 2016, eq. 4 and 5 without Gamma, in means: .99, 1e-5."""
    v = 0.0
    for step in range(STEPS):
        g = gradient(x)
        v = 0.99 * v + 0.01 * g * g
        m = 1 / (1e-5 + np.sqrt(v))
        x = x - H * m * g + np.sqrt(2 * H * TAU * m) * noise(step)
        yield x, p


GAMMA, SIGMA = 0.9, 0.7
CONTRACTS: dict[str, Follow | Law | Turned] = {
    "A": Follow("BAB", word("BAB")),
    "B": Follow("ABA", word("ABA")),
    "C": Follow("BACAB", word("BACAB"), {"thermostat": XI}),
    "E": Follow("BACECAB", word("BACECAB"), {"thermostat": XI, "epsilon": EPSILON, "temperature": TAU}),
    "D": Law("ACDB", lambda k: moments("ACDB", 0.8, xi=XI, sigma=SIGMA, k=k), {"thermostat": XI, "sigma": SIGMA}),
    "F": Law("FBA", lambda k: moments("FBA", 0.8, xi=XI, sigma=SIGMA, k=k), {"thermostat": XI, "sigma": SIGMA}),
    "O": Law("OBA", lambda k: moments("OBA", 0.8, gamma=GAMMA, tau=TAU, k=k), {"friction": GAMMA, "temperature": TAU}),
    "U": Law(
        "UBU",
        lambda k: moments("UBU", 0.8, gamma=GAMMA, tau=TAU, k=k),
        {"friction": GAMMA, "temperature": TAU},
        replicas=5000,
    ),
    "K": Follow("KAK", word("KAK"), {"temperature": TAU}),
    "S": Turned("KAS", lambda n: refreshed(n, GAMMA, 0.8), {"friction": GAMMA, "temperature": 1e9}),
    "sgd": Follow("sgd", descent),
    "sgld": Law("sgld", lambda k: (TAU / (k * (1 - 0.8 * k / 2)), 0, 0), {"temperature": TAU}, momenta=False),
    "momentum": Follow("momentum", heavy_ball(H, 1.0), {"momentum": MU}),
    "momentum2": Follow("momentum2", heavy_ball(1 - MU, H), {"momentum": MU}),
    "coolmomentum": Follow("coolmomentum", heavy_ball(H * (1 + MU) / 2, 1.0), {"momentum": MU}),
    "adam": Follow("adam", adam),
    "rmsprop": Follow("rmsprop", rmsprop),
    "sghmc": Law("sghmc", lambda k: sghmc_moments(0.8, k, MU, TAU), {"momentum": MU, "temperature": TAU}),
    "psgld": Follow("psgld", psgld, {"temperature": TAU}, noisy=True),
}
FUSED = pytest.param(
    FusedEngine, id="fused", marks=pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler")
)
ENGINES = (pytest.param(BatchedEngine, id="batched"), FUSED)


def test_every_operation_has_a_contract():
    assert set(CONTRACTS) == set(OPERATIONS)


# -- what a contract asks ----------------------------------------------------------------------------------------------


def deviation(contract, make, dtype):
    """Largest difference from the recursion over all steps, in units of the path's own size."""
    well = NetworkWell(5, dtype)
    job = well.job(contract.method, H, **contract.hyper)
    rng = np.random.default_rng(2)
    x, p = (rng.normal(size=(5, len(well.stiffness))).astype(np.float32).astype(float) for _ in range(2))
    state, engine = well.start(job, x @ well.axes, p @ well.axes), make(job)
    given = [drawn(well, job)] if contract.noisy else []
    hessian = (well.axes * well.stiffness) @ well.axes.T
    worst, momenta = 0.0, any(p is not q for _, q in contract.recursion(x, p, lambda x: x @ hessian, *given))
    for expected_x, expected_p in contract.recursion(x, p, lambda x: x @ hessian, *given):
        engine.advance(state, Segment(state.step, 1))
        found = [value @ well.axes.T for value in well.coordinates(state)]
        for value, expected in list(zip(found, (expected_x, expected_p), strict=True))[: 1 + momenta]:
            worst = max(worst, float(np.abs(value - expected).max() / np.abs(expected).max()))
    return worst


def drawn(well, job):
    """noise(step) [R, n]: the normals of the free parameters' lanes at noise index 0."""
    lanes, n = well.model.layout.lanes, len(well.stiffness)
    keys, blocks = make_keys(job.seed, job.stream), np.arange(lanes.max() // 4 + 1, dtype=np.uint64)
    return lambda step: normals(keys, blocks, Purpose.STEP, step, 0, np.float64)[:, lanes[-n:]]


def law_z(contract, make, dtype):
    """Largest |z| of second moments along all axes, replicas as the unit."""
    replicas = contract.replicas
    well = NetworkWell(replicas, dtype)
    job = well.job(contract.method, 0.8, **contract.hyper)
    zero = np.zeros((replicas, len(well.stiffness)))
    state, engine = well.start(job, zero, zero), make(job)
    engine.advance(state, Segment(0, 60))
    sums = np.zeros((3, *zero.shape))
    for _ in range(20):
        engine.advance(state, Segment(state.step, 3))
        x, p = well.coordinates(state)
        sums += (x * x, p * p, x * p)
    exact = np.array([contract.exact(k) for k in well.stiffness]).T
    scores = [z_score(sums[i] / 20, exact[i]) for i in range(3 if contract.momenta else 1)]
    return float(np.nan_to_num(abs(np.array(scores)), nan=np.inf).max())


def turned_z(contract, make, dtype, replicas=1500, steps=4):
    """|z| of <u.u'> over replicas and steps; infinite where a length is wrong."""
    well = NetworkWell(replicas, dtype)
    job, n = well.job(contract.method, 0.8, **contract.hyper), len(well.stiffness)
    rng = np.random.default_rng(4)
    state, engine = well.start(job, np.zeros((replicas, n)), rng.normal(size=(replicas, n))), make(job)
    before, found = well.coordinates(state)[1], []
    for _ in range(steps):
        engine.advance(state, Segment(state.step, 1))
        after = well.coordinates(state)[1]
        if not np.allclose((after**2).sum(axis=1), n, rtol=1e-5):
            return np.inf
        found.append((unit(before) * unit(after)).sum(axis=1))
        before = after
    return float(abs(z_score(np.ravel(found), contract.exact(n))))


def holds(contract, make, dtype):
    """Whether the engine keeps the contract, and the number that says so."""
    if isinstance(contract, Law):
        z = law_z(contract, make, dtype)
        return z < 6, z
    if isinstance(contract, Turned):
        z = turned_z(contract, make, dtype)
        return z < 4.5, z
    worst = deviation(contract, make, dtype)
    return worst < (1e-4 if dtype is np.float32 else 1e-11), worst


def in_pairs():
    """Each operation on each engine and in each precision, by turns; slow: in both on both."""
    for i, name in enumerate(CONTRACTS):
        for j, engine in enumerate(ENGINES):
            for k, dtype in enumerate((np.float32, np.float64)):
                (make,), marks = engine.values, [*engine.marks, *([] if (i + j + k) % 2 else [pytest.mark.slow])]
                yield pytest.param(name, make, dtype, marks=marks, id=f"{dtype.__name__}-{name}-{engine.id}")


@pytest.mark.parametrize(("name", "make", "dtype"), [*in_pairs()])
def test_it_does_what_its_equation_says(name, make, dtype):
    kept, number = holds(CONTRACTS[name], make, dtype)
    assert kept, number


def coefficient_count(name):
    return len(OPERATIONS[name].kinds)


@pytest.mark.parametrize(("name", "index"), [(name, i) for name in OPERATIONS for i in range(coefficient_count(name))])
def test_any_wrong_coefficient_is_seen(monkeypatch, name, index):
    """One coefficient times sqrt 2; the rate and target of E, Adam's corrections, all of them."""
    right = OPERATIONS[name]

    def wrong(*arguments):
        values = list(right.coefficients(*arguments))
        values[index] = values[index] * np.sqrt(2)
        return tuple(values)

    table = LETTERS if name in LETTERS else UPDATES
    monkeypatch.setitem(table, name, replace(right, coefficients=wrong))
    kept, number = holds(CONTRACTS[name], BatchedEngine, np.float64)
    assert not kept, number
