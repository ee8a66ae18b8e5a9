"""Each letter against its equation in float64 (equations.md section 2), through its functions and through one step of
the engine.
"""

from dataclasses import replace
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from linear_maps import advance, job_of, start, well

from gpu_thermo.errors import Status
from gpu_thermo.method.letters import LETTERS, phi, square_sum
from gpu_thermo.method.words import Evaluate, Substep
from gpu_thermo.streams import Purpose, make_keys, normals

R, P = 6, 5
H = np.array([1.0, 0.25, 0.1, 0.1, 2.0, 0.003])
HYPER = {
    "temperature": np.array([1.0, 0.0, 1e-4, 3.0, 1.0, 0.5]),
    "friction": np.array([0.5, 1.0, np.inf, 1e9, 0.0, np.inf]),
    "sigma": np.array([0.0, 0.3, 0.01, 2.0, 1.0, 0.5]), "epsilon": np.array([0.1, 0.0, 2.0, 1e-3, 0.5, 1.0]),
    "thermostat": np.array([0.5, -0.7, 0.0, 1e-6, -3.0, 20.0]),
}  # fmt: skip
ATOL = {np.float32: 1e-6, np.float64: 1e-14}
STIFFNESS = 1.7
SECTION_2 = "ABCDEFO"
"""Letters added since have their contracts in tests/contracts."""


def expected(letter, q, p, xi, noise, h, tau, gamma, sigma, epsilon):
    """(q, p, xi) after `letter` for one replica, from equations.md section 2; G = -STIFFNESS q."""
    match letter:
        case "A":
            q = q + h * p
        case "B":
            p = p - h * STIFFNESS * q
        case "C":
            p = p * np.exp(-h * xi)
        case "D":
            p = p + sigma * np.sqrt(h) * noise
        case "E":
            xi = xi + h * epsilon * (np.dot(p, p) - len(p) * tau)
        case "F":
            integral = h if xi == 0 else -np.expm1(-2 * xi * h) / (2 * xi)  # of exp(-2 xi t) over the step
            p = np.exp(-xi * h) * p + sigma * np.sqrt(integral) * noise
        case "O":
            a, v = (0.0, tau) if np.isinf(gamma) else (np.exp(-gamma * h), tau * (1 - np.exp(-2 * gamma * h)))
            p = a * p + np.sqrt(v) * noise
        case _:
            raise ValueError(f"the equation of {letter} is not written here")
    return q, p, xi


@pytest.mark.parametrize("sub", [0, 2])
@pytest.mark.parametrize("letter", SECTION_2)
def test_each_letter(letter, sub, dtype):
    """One substep of the engine, for R replicas with their own h, tau, gamma, sigma, epsilon and xi, gamma = inf and
    tau = 0 among them.
    """
    job = job_of("BAOAB", well(STIFFNESS, P), H, R, dtype=dtype, **{name: v[:, None] for name, v in HYPER.items()})
    substep = Substep(letter, (0,), Fraction(1, 2), sub)
    job = replace(job, program=replace(job.program, substeps=(Evaluate(), substep), leading_gradient=False))
    state = start(job)
    state.momentum[:] = np.random.default_rng(5).normal(size=(R, P))
    state.step = 7
    before = state.copy()
    advance(job, state, 1)
    noise = normals(make_keys(job.seed, job.stream), np.arange(2, dtype=np.uint64), Purpose.STEP, 7, sub, np.float64)[
        :, :P
    ]
    for r in range(R):
        values = (v[r] for v in (HYPER[n] for n in ("temperature", "friction", "sigma", "epsilon")))
        after = expected(
            letter,
            before.position[r].astype(float),
            before.momentum[r].astype(float),
            before.thermostat[r, 0],
            noise[r],
            H[r] / 2,
            *values,
        )
        for got, want in zip((state.position[r], state.momentum[r], state.thermostat[r, 0]), after, strict=True):
            np.testing.assert_allclose(got, want, rtol=3e-6 if dtype == np.float32 else 1e-13, atol=5 * ATOL[dtype])
    untouched = {"A": ("momentum", "thermostat"), "E": ("position", "momentum")}.get(letter, ("position", "thermostat"))
    for name in untouched:
        np.testing.assert_array_equal(getattr(state, name), getattr(before, name))


def test_overdamped_limit_is_exact():
    """O with gamma = inf forgets p bit for bit, and gamma = 1e9 is the same."""
    h, hyper = np.array([0.25]), {"temperature": np.array([0.7])}
    for gamma in (np.inf, 1e9):
        a, root_v = LETTERS["O"].coefficients(h, hyper | {"friction": np.array([gamma])})
        assert a == 0
        assert root_v == np.sqrt(0.7)


def test_weak_friction_keeps_its_digits():
    """At gamma h = 1e-12, 1 - exp would lose the noise: v = 2 gamma h tau."""
    _, root_v = LETTERS["O"].coefficients(
        np.array([1e-6]), {"temperature": np.array([1.0]), "friction": np.array([1e-6])}
    )
    assert root_v[0] ** 2 == pytest.approx(2e-12, rel=1e-9)


def test_phi_meets_its_series():
    """phi(x) = (1 - exp(-x)) / x: 1 at 0, smooth through the crossover at 1e-3, positive for negative x."""
    x = np.concatenate(
        [-np.geomspace(1e-12, 30, 200), [0.0], np.geomspace(1e-12, 30, 200), [0.000999999, 0.001, -0.001, -0.000999999]]
    )
    exact = np.array([1.0 if v == 0 else -np.expm1(-v) / v for v in x])  # expm1 is accurate throughout
    np.testing.assert_allclose(phi(x), exact, rtol=1e-10)
    assert phi(np.array([0.0])) == 1
    assert (phi(x) > 0).all()


def test_f_is_c_and_d_solved_together():
    """Many small C D steps at fixed xi have the law of one F: the same decay, and the variance sigma^2 h phi(2 xi
    h).
    """
    h, xi, sigma, n = 0.8, -0.6, 0.5, 100_000
    decay = np.exp(-xi * h / n)
    variance = sigma**2 * h / n * (1 - decay ** (2 * n)) / (1 - decay**2)
    assert variance == pytest.approx(sigma**2 * h * phi(np.array([2 * xi * h]))[0], rel=1e-4)


def test_square_sum_is_in_double_precision():
    """A sum of float32 squares of very different sizes keeps the small ones."""
    p = np.full((2, 10_001), 1e-2, np.float32)
    p[:, 0] = 1e3
    np.testing.assert_allclose(square_sum(p), 1e6 + 10_000 * float(np.float32(1e-2) * np.float32(1e-2)), rtol=1e-12)


def test_small_thermostat_increments_are_not_lost():
    """Changes of xi below float32's resolution add up, because xi is float64."""
    job = job_of(
        "BAEFEAB", well(1.0, 4), 1e-4, 1, dtype=np.float32, temperature=0.25, sigma=0.0, epsilon=1e-6, thermostat=1.0
    )
    state = start(job, 0.0)
    advance(job, state, 100)
    assert state.thermostat[0, 0] == pytest.approx(1 - 1e-6 * 1e-4 * 100 * 4 * 0.25, rel=1e-15)
    assert state.thermostat[0, 0] != 1


@pytest.mark.parametrize(
    ("word", "cause"),
    [("BAF", Status.NONFINITE_MOMENTUM), ("BACD", Status.NONFINITE_MOMENTUM), ("BAEFEAB", Status.NONFINITE_THERMOSTAT)],
)
def test_a_runaway_thermostat_freezes_the_replica(word, cause):
    """exp(-h xi) overflows for very negative xi: that replica is frozen with its cause, its neighbour goes on."""
    job = job_of(
        word, well(1.0, 4), 0.5, 2, temperature=1.0, sigma=1.0, epsilon=0.1, thermostat=np.array([[0.5], [-1e4]])
    )
    state = start(job)
    advance(job, state, 3)
    assert state.status.tolist() == [Status.RUNNING, cause]
    assert state.frozen_step.tolist() == [-1, 1]
    assert np.isfinite(state.position[0]).all()
    assert np.isnan(state.position[1]).all()


def test_the_table_says_what_letters_read():
    """Hyperparameters by letter, and which draw noise: the sub field of addresses counts those."""
    reads = {"D": {"sigma"}, "E": {"epsilon", "temperature"}, "F": {"sigma"}, "O": {"friction", "temperature"}}
    assert {s: set(LETTERS[s].reads) for s in SECTION_2} == {s: reads.get(s, set()) for s in SECTION_2}
    assert {s: LETTERS[s].normals for s in SECTION_2} == {s: int(s in "DFO") for s in SECTION_2}
    assert {s for s in SECTION_2 if LETTERS[s].thermostat} == set("CEF")


# -- U -----------------------------------------------------------------------------------------------------------------


def covariance_of_u(x):
    """(flight, eta, Cov of (r1, r2)) of U for gamma h = x at h = tau = 1, in 60 digits from the printed formulas."""
    with localcontext(prec=60):
        x = Decimal(x)
        eta = (-x).exp()
        both = (1 - eta) ** 2 / x
        return (1 - eta) / x, eta, np.array([[(2 * x - 3 + 4 * eta - eta**2) / x**2, both], [both, 1 - eta**2]])


@pytest.mark.parametrize("x", [1e-12, 1e-6, 1e-3, 0.009999, 0.01, 0.010001, 0.3, 1.0, 5.0, 40.0])
def test_u_against_its_variances(x):
    """To ten digits through the crossover to the series: nothing cancels."""
    one = np.array([1.0])
    reach, eta, b, c, d = (
        float(v[0]) for v in LETTERS["U"].coefficients(one, {"friction": np.array([x]), "temperature": one})
    )
    flight, exact_eta, exact = covariance_of_u(x)
    found = np.array([[c * c + d * d, b * c], [b * c, b * b]])
    np.testing.assert_allclose([reach, eta], [float(flight), float(exact_eta)], rtol=1e-14)
    np.testing.assert_allclose(found, exact.astype(float), rtol=1e-10)
    determinant = exact[0, 0] * exact[1, 1] - exact[0, 1] ** 2
    np.testing.assert_allclose((b * d) ** 2, float(determinant), rtol=1e-9)


@pytest.mark.parametrize("friction", [0.0, np.inf])
def test_u_at_the_ends_of_friction(friction):
    """gamma = 0 flies as A does and draws nothing; gamma = inf stands still and forgets p."""
    h, values = np.array([0.25]), {"temperature": np.array([0.7]), "friction": np.array([friction])}
    found = [float(v[0]) for v in LETTERS["U"].coefficients(h, values)]
    assert found == ([0.25, 1, 0, 0, 0] if friction == 0 else [0, 0, np.sqrt(0.7), 0, 0])


def test_u_is_small_steps_of_a_and_o():
    """A thousand steps of A O A on shorter lengths have the mean and the covariance of one U, at any friction."""
    n, h, tau = 1000, 0.8, 0.6
    for gamma in (0.05, 1.0, 12.0):
        flow, cov = np.eye(2), np.zeros((2, 2))
        a = np.exp(-gamma * h / n)
        half, decay, noise = np.array([[1, h / n / 2], [0, 1]]), np.diag([1, a]), np.diag([0, tau * (1 - a * a)])
        for _ in range(n):
            cov = half @ (decay @ (half @ cov @ half.T) @ decay.T + noise) @ half.T
            flow = half @ decay @ half @ flow
        reach, eta, b, c, d = (
            float(v[0])
            for v in LETTERS["U"].coefficients(np.array([h]), {"friction": np.array([gamma]), "temperature": tau})
        )
        np.testing.assert_allclose(flow, [[1, reach], [0, eta]], atol=2e-5)
        np.testing.assert_allclose(cov, [[c * c + d * d, b * c], [b * c, b * b]], atol=1e-5)
