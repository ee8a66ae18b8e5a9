"""Stationary laws of every word on harmonic wells, at large stepsizes, against exact linear algebra (equations.md
sections 2, 3, 10).

Tests are z-scores with the replica as unit; each is shown to have power: a program or hyperparameter with one typical
mistake fails it.
"""

from dataclasses import replace

import numpy as np
import pytest
from linear_maps import average, job_of, moments, start, well, z_score

from gpu_thermo.method.words import Evaluate, Substep

TABLE = {
    "BAOAB": (1, 3 / 4, 0), "OABAO": (3 / 4, 1, 0), "ABOBA": (1, 4 / 3, 0),
    "OBA": (1.07797, 1.57612, 0.78806), "OBABO": (4 / 3, 1, 0), "BAOA": (1, 1, 0.5),
}  # fmt: skip
LANGEVIN = (
    *TABLE,
    "VRORV",
    "AOB",
    "ABO",
    "BABO",
    "OBAB",
    "BAOAOAB",
    "BABOBAB",
    "OAOBAO",
    "AABBOO",
    "UBU",
    "BUB",
    "UBUBU",
)
FIXED_XI = ("BACDCAB", "BACDEDCAB", "BAFAB", "BAEFEAB", "ACDB", "FBAB")

GROUPS = np.array([(1.0, 1.0, 1.0), (0.6, 0.3, 0.04), (0.8, 3.0, 25.0), (1.2, 2.0, 1.0)])
"""(h, gamma, tau): each replica has one of them, all in one batch."""
STIFFNESS = np.array([1.0, 0.5, 1.4])
"""Of the coordinates."""
PER_GROUP = 300
LENGTHS = {"burn": 90, "draws": 60, "thin": 2}


def grouped(values):
    """One value for each replica: groups alternate, so that every block of replicas has all of them."""
    return np.tile(values, PER_GROUP)


def z_of(averages, exact):
    """Largest |z| of all groups, coordinates and moments; `exact` [groups, coordinates, 3]."""
    scores = [
        z_score(getattr(averages, name)[g :: len(exact)], exact[g, :, i])
        for g in range(len(exact)) for i, name in enumerate(("qq", "pp", "qp"))
    ]  # fmt: skip
    return abs(np.array(scores)).max()


def langevin_job(word, noise_sd=0.0, groups=GROUPS):
    """All groups and stiffnesses in one job."""
    h, gamma, tau = (grouped(column) for column in groups.T)
    target = well(np.broadcast_to(STIFFNESS, (len(h), 3)), 3, noise_sd)
    return job_of(word, target, h, len(h), temperature=tau[:, None], friction=gamma[:, None])


def langevin_law(word, groups=GROUPS, **values):
    word = word.translate(str.maketrans("VR", "BA"))
    return np.array(
        [[moments(word, h, gamma=gamma, tau=tau, k=k, **values) for k in STIFFNESS] for h, gamma, tau in groups]
    )


@pytest.mark.parametrize("word", TABLE)
def test_the_printed_table(word):
    """The linear algebra gives the table of equations.md section 10 at h = gamma = k = tau = 1."""
    np.testing.assert_allclose(moments(word, 1.0, gamma=1.0), TABLE[word], atol=6e-6)


@pytest.mark.parametrize("word", LANGEVIN)
def test_langevin_words(word):
    assert z_of(average(langevin_job(word), **LENGTHS), langevin_law(word)) < 6


@pytest.mark.slow
@pytest.mark.parametrize("word", [*TABLE, "BABOBAB"])
def test_langevin_words_to_a_quarter_of_the_error(word):
    """Sixteen times the draws, with gradient noise."""
    assert (
        z_of(average(langevin_job(word, noise_sd=0.8), burn=90, draws=960, thin=2), langevin_law(word, noise=0.8)) < 6
    )


def test_single_precision():
    """The same law to well below the error bars in float32."""
    job = replace(langevin_job("OBABO"), dtype=np.float32)
    assert z_of(average(job, **LENGTHS), langevin_law("OBABO")) < 6


@pytest.mark.parametrize("word", ["BACDCAB", "BACDEDCAB", "BAFAB", "BAEFEAB", "ACDB", "FBAB"])
def test_thermostat_letters_at_constant_xi(word):
    """With epsilon = 0 xi keeps its initial value, and C, D and F are linear maps."""
    h, gamma, tau = (grouped(column) for column in GROUPS.T)
    sigma = np.sqrt(2 * gamma * tau)
    values = {
        name: value[:, None]
        for name, value in {"thermostat": gamma, "sigma": sigma, "temperature": tau, "epsilon": 0 * h}.items()
    }
    job = job_of(word, well(np.broadcast_to(STIFFNESS, (len(h), 3)), 3), h, len(h), **values)
    averages = average(job, **LENGTHS)
    np.testing.assert_allclose(averages.xi, gamma[:, None], rtol=1e-14)
    law = [[moments(word, h, xi=g, sigma=np.sqrt(2 * g * t), k=k) for k in STIFFNESS] for h, g, t in GROUPS]
    assert z_of(averages, np.array(law)) < 6


# -- power: one mistake in the program, and the same check fails decisively --------------------------------------------


def whole_step(letter, which):
    """The `which`-th substep of `letter` takes twice its length."""

    def change(program):
        places = [i for i, s in enumerate(program.substeps) if isinstance(s, Substep) and s.operation == letter]
        substeps = list(program.substeps)
        substeps[places[which]] = replace(substeps[places[which]], fraction=2 * substeps[places[which]].fraction)
        return replace(program, substeps=tuple(substeps))

    return change


def stale_kick(program):
    """The second half kick uses the gradient from before the drift."""
    substeps = [s for s in program.substeps if not isinstance(s, Evaluate)]
    return replace(program, substeps=(*substeps, Evaluate()))


def missing_reuse(program):
    """The first half kick evaluates anew: right without gradient noise, wrong with it."""
    return replace(program, substeps=(Evaluate(), *program.substeps), leading_gradient=False)


MISTAKES = {
    "long drift": ("BAOAB", whole_step("A", 0)),
    "long last kick": ("BAOAB", whole_step("B", -1)),
    "long first kick": ("OBABO", whole_step("B", 0)),
    "long flight with friction": ("UBU", whole_step("U", 0)),
    "long friction": ("OBA", whole_step("O", 0)),  # the laws of BAOAB and OBABO do not depend on the friction
    "stale kick": ("BAOAB", stale_kick),
    "stale kick, OBABO": ("OBABO", stale_kick),
}
SMALLER = GROUPS * (0.6, 1, 1)  # where the mistaken words are still stable


@pytest.mark.parametrize("mistake", MISTAKES)
def test_power_against_a_wrong_program(mistake):
    word, change = MISTAKES[mistake]
    job = langevin_job(word, groups=SMALLER)
    wrong = replace(job, program=change(job.program))
    law = langevin_law(word, SMALLER)
    assert z_of(average(job, **LENGTHS), law) < 6
    assert z_of(average(wrong, **LENGTHS), law) > 10


WRONG_TEMPERATURES = {
    "sqrt 2 in the noise": 2.0,
    "sd for variance": 1.41,
    "8 per cent": 1.08,
    "N/n with N = 1000, n = 20": 50.0,
}


@pytest.mark.parametrize("mistake", WRONG_TEMPERATURES)
def test_power_against_a_wrong_temperature(mistake):
    """Sums for means, N/n and sqrt 2 all come down to a wrong temperature."""
    job = langevin_job("BAOAB", groups=GROUPS * (1, 1, WRONG_TEMPERATURES[mistake]))
    assert z_of(average(job, **LENGTHS), langevin_law("BAOAB")) > (8 if mistake == "8 per cent" else 30)


# -- whole-step updates --------


def sgld_z(scale=1.0, noise_sd=0.7):
    h, _, tau = (grouped(column) for column in GROUPS.T)
    job = job_of(
        "sgld", well(np.broadcast_to(STIFFNESS, (len(h), 3)), 3, noise_sd), h, len(h), temperature=scale * tau[:, None]
    )
    qq = average(job, 60, 60, 1).qq
    h, _, tau = GROUPS.T[:, :, None]
    exact = (tau + h * noise_sd**2 / 2) / (STIFFNESS * (1 - h * STIFFNESS / 2))
    return abs(np.array([z_score(qq[g :: len(GROUPS)], exact[g]) for g in range(len(GROUPS))])).max()


@pytest.mark.parametrize("noise_sd", [0.0, 0.7])
def test_sgld(noise_sd):
    """<q^2> = tau / (k (1 - h k / 2)); gradient noise adds h s_G^2 / 2 to tau."""
    assert sgld_z(noise_sd=noise_sd) < 6


@pytest.mark.parametrize("scale", [0.5, 1.41, 2.0])
def test_power_sgld(scale):
    """Sigma taken for its square, sqrt 2 forgotten."""
    assert sgld_z(scale) > 15


def test_momentum_with_gradient_noise():
    """Updates v = mu v + lr (G + noise), theta += v: OBA at tau = 0 with mu = exp(-gamma h), lr = h^2, so that v = h
    p.
    """
    h, mu = 0.8, 0.6
    job = job_of("momentum", well(np.broadcast_to(STIFFNESS, (1200, 3)), 3, 0.7), h * h, 1200, momentum=mu)
    law = [moments("OBA", h, gamma=-np.log(mu) / h, tau=0.0, noise=0.7, k=k) * (1, h * h, h) for k in STIFFNESS]
    assert z_of(average(job, **LENGTHS), np.array([law])) < 6


# -- gradient noise and reuse --------


@pytest.mark.parametrize("word", ["BAOAB", "OBABO", "ABOBA", "BABOBAB", "BAOA"])
def test_gradient_noise(word):
    """Exact law in (q, p, eta): a reused gradient brings its noise along."""
    assert z_of(average(langevin_job(word, noise_sd=0.8), **LENGTHS), langevin_law(word, noise=0.8)) < 6


def test_power_against_independent_half_kicks():
    """An engine that evaluated twice in BAOAB is seen, and so is a law that assumes it."""
    job = langevin_job("BAOAB", noise_sd=0.8)
    wrong = replace(job, program=missing_reuse(job.program))
    assert z_of(average(wrong, **LENGTHS), langevin_law("BAOAB", noise=0.8)) > 10
    assert z_of(average(wrong, **LENGTHS), langevin_law("BAOAB", noise=0.8, reuse=False)) < 6


@pytest.mark.parametrize(("reuse", "share"), [(True, 1.0), (False, 0.5)])
def test_effective_temperature_to_leading_order(reuse, share):
    """tau_eff = tau + h s_G^2 / (2 gamma) with reuse, half the excess with independent half kicks."""
    h, gamma, noise = 0.01, 0.7, 3.0
    excess = moments("BAOAB", h, gamma=gamma, tau=1.0, noise=noise, reuse=reuse)[:2] - 1
    np.testing.assert_allclose(excess, share * h * noise**2 / (2 * gamma), rtol=0.02)


# -- partitions --------


def test_two_partitions_with_their_own_words():
    """Independent wells: each partition follows its own word, friction and temperature, with gradient noise, in one
    program.
    """
    h = np.tile([0.9, 0.5], 500)
    words = {"hidden": "BAOAB", "output": "OBABO"}
    job = job_of(words, well(np.broadcast_to([1.0, 0.5, 1.4, 1.0], (1000, 4)), 4, 0.5, split=2), h, 1000,
                 temperature=[1.0, 0.01], friction=[0.5, np.inf])  # fmt: skip
    law = [
        [moments(word, h, gamma=gamma, tau=tau, k=k, noise=0.5)
         for word, gamma, tau, ks in (("BAOAB", 0.5, 1.0, (1.0, 0.5)), ("OBABO", np.inf, 0.01, (1.4, 1.0))) for k in ks]
        for h in (0.9, 0.5)
    ]  # fmt: skip
    averages = average(job, **LENGTHS)
    assert z_of(averages, np.array(law)) < 6
    assert z_of(averages, np.array(law)[::-1]) > 15


def test_a_frozen_partition_does_not_move():
    job = job_of({"hidden": None, "output": "BAOAB"}, well(1.0, 4, split=2), 0.9, 400, temperature=1.0, friction=1.0)
    state = start(job)
    before = state.position[:, :2].copy()
    averages = average(job, **LENGTHS, state=state)
    np.testing.assert_array_equal(state.position[:, :2], before)
    assert abs(z_score(averages.qq[:, 2:], 1.0)).max() < 6


# -- adaptive Langevin --------

ADAPTIVE = {"tau": 0.5, "sigma": 1.2, "epsilon": 0.12}
MEAN_XI = ADAPTIVE["sigma"] ** 2 / (2 * ADAPTIVE["tau"])


def adaptive(word="BACDEDCAB", h=0.04, noise_sd=0.0, coordinates=16, mean_xi=MEAN_XI):
    """Averages of an adaptive run started near its law: k = 1, one thermostat for all coordinates."""
    tau, sigma, epsilon = ADAPTIVE.values()
    job = job_of(
        word,
        well(1.0, coordinates, noise_sd),
        h,
        400,
        temperature=tau,
        sigma=sigma,
        epsilon=epsilon,
        thermostat=mean_xi,
    )
    state = start(job, np.sqrt(tau))
    state.momentum[:] = start(replace(job, stream=job.stream + np.uint64(10**6)), np.sqrt(tau)).position
    return average(job, 200, 100, 10, state)


def adaptive_z(averages, mean_xi=MEAN_XI, tau=ADAPTIVE["tau"], epsilon=ADAPTIVE["epsilon"]):
    """The z of E xi, Var xi = epsilon tau, <q^2> and <p^2> against tau."""
    spread = averages.xi2 - 2 * mean_xi * averages.xi + mean_xi**2
    return np.array([
        *z_score(averages.xi, mean_xi), *z_score(spread, epsilon * tau),
        z_score(averages.qq.mean(axis=1), tau), z_score(averages.pp.mean(axis=1), tau),
    ])  # fmt: skip


@pytest.mark.parametrize("word", ["BACDEDCAB", "BAEFEAB"])
def test_adaptive_langevin(word):
    """E xi = sigma^2 / (2 tau) and Var xi = epsilon tau; at h = 0.04 the O(h^2) bias hides in the error bars, of 0.3 %
    (5 % for Var xi).
    """
    averages = adaptive(word)
    assert abs(adaptive_z(averages)).max() < 6
    assert averages.xi.std() / 20 < 0.004 * MEAN_XI
    # a law with the epsilon of LMV's SDE (epsilon^2 here), a missing 2, or another temperature fails
    assert abs(adaptive_z(averages, epsilon=ADAPTIVE["epsilon"] ** 2)[1]) > 10
    assert abs(adaptive_z(averages, mean_xi=2 * MEAN_XI)[0]) > 30
    assert abs(adaptive_z(averages, tau=1.05 * ADAPTIVE["tau"])[2:]).min() > 8


def test_adaptive_langevin_absorbs_gradient_noise():
    """E xi = (sigma^2 + h s_G^2) / (2 tau) to leading order, with the gradient reused; the temperature stays tau, Var
    xi epsilon tau.
    """
    h, noise = 0.02, 6.0
    mean_xi = (ADAPTIVE["sigma"] ** 2 + h * noise**2) / (2 * ADAPTIVE["tau"])
    averages = adaptive(h=h, noise_sd=noise, mean_xi=mean_xi)
    z = adaptive_z(averages, mean_xi)
    assert abs(z[:3]).max() < 6
    # the stored momentum has had half of the last kick: <p^2> = tau - h^2 s_G^2 / 4, as the linear law at constant xi
    shifted = ADAPTIVE["tau"] - (h * noise / 2) ** 2
    assert moments("BACDCAB", h, xi=mean_xi, sigma=ADAPTIVE["sigma"], noise=noise)[1] == pytest.approx(
        shifted, rel=1e-3
    )
    assert abs(z_score(averages.pp.mean(axis=1), shifted)) < 6
    # neither no share of the noise nor half of it (independent half kicks) would do
    for share in (0.0, 0.5):
        wrong = (ADAPTIVE["sigma"] ** 2 + share * h * noise**2) / (2 * ADAPTIVE["tau"])
        assert abs(z_score(averages.xi, wrong)) > 15
