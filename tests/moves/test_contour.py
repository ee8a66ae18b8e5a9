"""Contour SGLD: the update rule, both engines, bits, fixed points and reweighting against quadrature (equations.md
section 5).
"""

import dataclasses
from functools import partial

import numpy as np
import pytest
import scipy.stats
from guarded import call
from linear_maps import job_of, start, well
from test_batched import Boxed
from test_fused import Members, assert_close, assert_same, make_data, make_job, make_state, take

from gpu_thermo.engines import BatchedEngine, FusedEngine, initial_state
from gpu_thermo.engines.operations.arrays import NumpyOperations
from gpu_thermo.errors import SpecError
from gpu_thermo.kernels import check as kernel_check
from gpu_thermo.kernels.emit import inline, prologue
from gpu_thermo.kernels.toolchain import find_compiler, has_nvrtc, host_library
from gpu_thermo.method.schedules import Cosine, Linear
from gpu_thermo.moves.contour import Contour
from gpu_thermo.moves.options import Contour as Options
from gpu_thermo.state import Hyper, Segment, State
from gpu_thermo.targets.base import Batch, Layout

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler")

RULE = Contour(zeta=0.75, bins=20, lowest=0.3, width=0.05, omega_max=0.3, omega=(5.0, 0.8, 10.0))
METHODS = {"sgld": {"method": "sgld"}, "BAOAB": {"method": "langevin"}, "BACDEDCAB": {"method": "adl"}}


def contour_job(contour=RULE, **kind):
    """A job whose partitions have one temperature."""
    job = make_job(**kind)
    tau = np.repeat(job.hyper.temperature[:, :1], job.hyper.temperature.shape[1], axis=1)
    return dataclasses.replace(job, hyper=dataclasses.replace(job.hyper, temperature=tau), contour=contour)


def begin(job):
    state = make_state(job)
    if job.contour:
        job.contour.begin(state)
    return state


def advance(engine, job, *lengths):
    state = begin(job)
    for steps in lengths:
        engine.advance(state, Segment(state.step, steps))
    return state


def reference_engine(job):
    engine = BatchedEngine(job)
    engine._operations = NumpyOperations  # not the compiled noise, which is the fused engine's own
    return engine


def weights(extra):
    return np.exp(extra["contour_log_weight"] + extra["contour_shift"][:, None])


# -- the rule ----------------------------------------------------------------------------------------------------------


def dense_step(c, w, seen, u, tau, omega):
    """One update as equations.md section 5 prints it, on the whole vector w of one replica: new w, multiplier, Psi."""
    j = min(max(int(np.floor((u - c.lowest) / c.width)), 0), c.bins - 1)
    inside = c.lowest <= u < c.lowest + c.bins * c.width
    slope, psi = 0.0, w[j]
    if j > 0 and inside and seen[j - 1]:
        slope = (np.log(w[j]) - np.log(w[j - 1])) / c.width
        psi = np.exp(np.log(w[j - 1]) + slope * (u - (c.lowest + j * c.width)))
    if c.published:
        psi = w[j]
    step = omega * w[j] ** ((1 if c.interacting else c.zeta) - c.zeta) * psi**c.zeta
    seen[j] |= omega > 0
    return w + step * (np.eye(c.bins)[j] - w), float(np.clip(1 + c.zeta * tau * slope, *c.clip)), psi


@pytest.mark.parametrize(
    "form",
    [{}, {"interacting": True}, {"published": True}, {"zeta": 0.0}, {"zeta": 1.5, "clip": (0.5, 1.2)}, {"learn": 100}],
)
def test_updates_against_the_dense_formula(form):
    """Shift and visited bin together are the vector step on all of w, over 400 evaluations of energies that wander out
    of range.
    """
    c = dataclasses.replace(RULE, **form)
    g, replicas = np.random.default_rng(0), 5
    energy = 0.8 + np.cumsum(0.1 * g.normal(size=(400, replicas)), axis=0)
    energy = 0.2 + np.abs((energy - 0.2) % 2.4 - 1.2)  # folded into [.2, 1.4]: the bins are [.3, 1.3]
    tau, log_omega = g.uniform(0.01, 0.5, replicas), c.log_omega(0, 400)
    omega = np.exp(log_omega)
    np.testing.assert_allclose(
        omega, [min(0.3, 5 / (k**0.8 + 10)) if k < (c.learn or 400) else 0 for k in range(400)], rtol=1e-14
    )
    state = State.at(np.zeros((replicas, 1)), np.zeros((replicas, 1)), np.zeros((replicas, 1)))
    c.begin(state)
    w, seen = np.full((replicas, c.bins), 1 / c.bins), np.zeros((replicas, c.bins), bool)
    clipped = np.zeros(replicas)
    for k in range(400):
        multiplier = c.flatten(state.extra, energy[k], tau, log_omega[k], np.ones(replicas, bool))
        for r in range(replicas):
            w[r], expected, _ = dense_step(c, w[r], seen[r], energy[k, r], tau[r], omega[k])
            clipped[r] += expected in c.clip
            np.testing.assert_allclose(multiplier[r], expected, rtol=1e-9)
    np.testing.assert_allclose(weights(state.extra), w, rtol=1e-11)
    np.testing.assert_array_equal(state.extra["contour_seen"], seen)
    np.testing.assert_array_equal(state.extra["contour_clipped"], clipped)
    np.testing.assert_array_equal(state.extra["contour_outside"], ((energy < 0.3) | (energy >= 1.3)).sum(axis=0))
    assert (state.extra["contour_outside"] > 0).all()
    np.testing.assert_array_equal(state.extra["contour_visits"].sum(axis=1), 400)
    if c.learn:
        assert (
            (state.extra["contour_seen"] == 0) & (state.extra["contour_visits"] > 0)
        ).any()  # a bin first visited later stays unseen
    psi = [dense_step(c, w[r], seen[r].copy(), energy[9, r], 1.0, 0.0)[2] for r in range(replicas)]
    np.testing.assert_allclose(c.log_weight(state.extra, energy[9]), c.zeta * np.log(psi), rtol=1e-9, atol=1e-13)


def test_energies_that_are_no_numbers_and_replicas_that_are_frozen():
    """Infinite ones are out of range; NaN and frozen ones change nothing and leave the gradient as it is."""
    state = State.at(np.zeros((5, 1)), np.zeros((5, 1)), np.zeros((5, 1)))
    RULE.begin(state)
    before = state.copy()
    energy, running = np.array([np.inf, -np.inf, np.nan, 0.5, 0.5]), np.array([True, True, True, False, True])
    multiplier = RULE.flatten(state.extra, energy, np.ones(5), np.log(0.1), running)
    np.testing.assert_array_equal(multiplier, 1.0)
    np.testing.assert_array_equal(state.extra["contour_outside"], [1, 1, 0, 0, 0])
    assert state.extra["contour_visits"][:2, [-1, 0]].tolist() == [[1, 0], [0, 1]]
    for name, value in state.extra.items():
        np.testing.assert_array_equal(value[2:4], before.extra[name][2:4])
    np.testing.assert_allclose(weights(state.extra).sum(axis=1), 1, rtol=1e-14)
    assert np.isnan(RULE.log_psi(state.extra, energy)).tolist() == [False, False, True, False, False]


def test_merge_is_the_mean_from_one_old_histogram():
    """With interval 1 the published form: all replicas of a group step from the same w, and w becomes the mean; frozen
    ones stay out.
    """
    c = dataclasses.replace(RULE, interacting=True)
    job = contour_job(c, replicas=9, **METHODS["sgld"])
    group, engine, state = np.array([0, 1, 0, 0, 1, 1, 2, 0, 1]), FusedEngine(job), begin(job)
    for _ in range(30):
        engine.advance(state, Segment(state.step, 1))
        c.merge(state.extra, group, state.status)
    state.status[4] = 1
    old, seen = weights(state.extra), state.extra["contour_seen"].astype(bool)
    engine.advance(state, Segment(state.step, 1))
    omega = np.exp(c.log_omega(30, 1)[0])
    stepped = [dense_step(c, old[r], seen[r], state.energy[r], 1.0, omega)[0] for r in range(9)]
    frozen = {name: value[4].copy() for name, value in state.extra.items()}
    c.merge(state.extra, group, state.status)
    merged = weights(state.extra)
    for one in range(3):
        running = (group == one) & (state.status == 0)
        np.testing.assert_allclose(
            merged[running],
            np.broadcast_to(np.mean(np.array(stepped)[running], axis=0), merged[running].shape),
            rtol=1e-12,
        )
        np.testing.assert_array_equal(
            state.extra["contour_seen"][running], np.broadcast_to(seen[running].any(axis=0), (running.sum(), 20))
        )
    for name, value in frozen.items():
        np.testing.assert_array_equal(state.extra[name][4], value)
    assert np.ptp(old[group == 0], axis=0).max() == 0
    assert (state.extra["contour_shift"][state.status == 0] == 0).all()


def test_merge_of_tiny_weights():
    """Means are taken of w, through logarithms: nothing underflows."""
    state = State.at(np.zeros((2, 1)), np.zeros((2, 1)), np.zeros((2, 1)))
    dataclasses.replace(RULE, bins=3).begin(state)
    state.extra["contour_log_weight"][:] = [[-2000.0, -1.0, -5.0], [-2001.0, -3.0, -5.0]]
    RULE.merge(state.extra, np.zeros(2, int), np.zeros(2, int))
    expected = [-2000 + np.log((1 + np.exp(-1)) / 2), -1 + np.log((1 + np.exp(-2)) / 2), -5]
    np.testing.assert_allclose(state.extra["contour_log_weight"], [expected, expected], rtol=1e-14)


def test_summary():
    job = contour_job(dataclasses.replace(RULE, interacting=True), replicas=6, **METHODS["sgld"])
    state = advance(FusedEngine(job), job, 50)
    group = np.array([1, 0, 1, 0, 1, 0])
    out = job.contour.summary(state.extra, group)
    w, visits = weights(state.extra), state.extra["contour_visits"]
    assert len(out["edges"]) == 21
    for one in range(2):
        rows = group == one
        np.testing.assert_allclose(out["weight"][one], w[rows].mean(axis=0))
        power = w[rows].mean(axis=0) ** 0.75
        np.testing.assert_allclose(out["probability"][one], power / power.sum())
        np.testing.assert_array_equal(out["visits"][one], visits[rows].sum(axis=0))
        assert out["never_seen"][one] == (visits[rows].sum(axis=0) == 0).sum()
        assert out["outside"][one] == state.extra["contour_outside"][rows].sum() / visits[rows].sum()
        assert out["clipped"][one] == state.extra["contour_clipped"][rows].sum() / visits[rows].sum()


def test_options():
    made = Contour.make(
        Options(kind="contour", zeta=0.5, bins=7, omega=(1.0, 0.6, 100.0), clip=(-2.0, 3.0), interval=4), -1.0, 0.25, 9
    )
    assert (made.zeta, made.bins, made.lowest, made.width, made.omega, made.clip, made.interval, made.learn) == (
        0.5, 7, -1.0, 0.25, (1.0, 0.6, 100.0), (-2.0, 3.0), 4, 9)  # fmt: skip
    np.testing.assert_allclose(made.edges, -1 + 0.25 * np.arange(8))


REFUSED = {
    "no temperature": ({"method": "adam"}, {}, "'adam' .* reads none"),
    "two temperatures": ({"method": "lala"}, {"temperature": 1.0}, "one temperature for all partitions"),
    "two schedules": (
        {"method": "lala"},
        {"schedules": {("temperature", 1): Linear(schedule="linear")}},
        "one temperature",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("engine", [BatchedEngine, FusedEngine])
def test_methods_without_one_temperature_are_refused(case, engine):
    kind, change, message = REFUSED[case]
    job = contour_job(**kind)
    if "temperature" in change:
        job.hyper.temperature[0, 1] += 1
    job = dataclasses.replace(job, hyper=dataclasses.replace(job.hyper, schedules=change.get("schedules", {})))
    with pytest.raises(SpecError, match=message):
        engine(job)


def test_one_temperature_of_what_moves_is_enough():
    """A frozen partition has none; equal schedules on all are one."""
    job = contour_job(method="lala", schedules={("temperature", k): Cosine(schedule="cosine") for k in (0, 1)})
    RULE.check(job.program, job.hyper)
    frozen = contour_job(method="splitting", word={"hidden": "BAOAB"}, freeze=("output",))
    RULE.check(frozen.program, frozen.hyper)


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
    assert not np.array_equal(advance(FusedEngine(plain), plain, 10).position, b.position)


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


@pytest.mark.parametrize(("bits", "lanes"), [(32, None), (32, 8), (32, 4), (32, 1), (64, None), (64, 1)])
def test_functions_of_the_kernel(bits, lanes):
    """log and exp of contour.h on their ranges, within 1e-15 of the exact ones."""
    names = ("log_double", "exp_double", "log1p_double")
    loop = """extern "C" void do_{0}(const double* x, i64 n, double* y) {{
      for (i64 i = 0; i < n; i += DOUBLES) {{
        doubles v = {{}};
        for (int l = 0; l < DOUBLES && i + l < n; ++l) set(v, l, x[i + l]);
        v = {0}(v);
        for (int l = 0; l < DOUBLES && i + l < n; ++l) y[i + l] = get(v, l);
      }}
    }}
"""
    loops = "".join(loop.format(name) for name in names)
    library = host_library("\n".join((prologue(bits, lanes=lanes), inline("math.h", "contour.h"), loops)))
    g = np.random.default_rng(0)
    exponents = np.concatenate([np.linspace(-708, 0, 20000), -(10.0 ** g.uniform(-17, 2, 20000))])
    small = np.concatenate(
        [-(10.0 ** g.uniform(-300, -0.01, 20000)), 10.0 ** g.uniform(-300, 0, 20000), np.linspace(0, 1, 64)]
    )
    for name, x, exact in (
        ("log_double", np.concatenate([10.0 ** g.uniform(-300, 300, 20000), 1 + g.uniform(-0.5, 0.5, 20000)]), np.log),
        ("exp_double", exponents, np.exp), ("log1p_double", small, np.log1p),
    ):  # fmt: skip
        x = x[1:]  # an odd count, which no vector divides
        y = np.empty_like(x)
        call(getattr(library, f"do_{name}"), x, len(x), y)
        np.testing.assert_allclose(y, exact(x), rtol=1e-15, atol=0, err_msg=name)


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


# -- fixed points ------------------------------------------------------------------------------------------------------


class Flipped(Contour):
    """Wrong on purpose: the sign of zeta tau l."""

    def flatten(self, *arguments):
        return 2 - super().flatten(*arguments)


def ratio(values, w):
    """Weighted mean of values [draws, R] with weights w [draws, R] and its standard error over replicas."""
    top, bottom = (values * w).mean(axis=0), w.mean(axis=0)
    mean = top.sum() / bottom.sum()
    return mean, np.sqrt(((top - mean * bottom) ** 2).sum()) / bottom.sum()


def scores(w, exact):
    """z of the mean over rows of w [R, m], where anything is to be seen."""
    w, exact = w[:, exact > 1e-6], exact[exact > 1e-6]
    return (w.mean(axis=0) - exact) / (w.std(axis=0, ddof=1) / len(w) ** 0.5)


# A network whose data say nothing (noise sd 1e6) has U = const + |theta|^2 / 2, of P = 4 parameters: U - const is
# Gamma(2, tau).

TAU = 0.8


def gamma_job(replicas, c=12.0, **form):
    job = make_job(
        "langevin", d=1, m=1, task="regression", points=16, batch=2, prior=0.25, replicas=replicas, dtype=np.float64
    )
    model = dataclasses.replace(job.target.model, noise_sd=1e6)
    target = type(job.target)(model, make_data("regression", 1, 1, 16, 1), np.zeros(replicas, np.int64), np.float64)
    hyper = Hyper.constant(replicas, 1, 0.15, temperature=TAU, friction=1.0, thermostat=0.0)
    lowest = float(target.energy_and_gradient(np.zeros((1, 4)), Batch(None, np.zeros(1, np.int64)))[0][0])
    rule = Contour(0.75, 12, lowest, 1.0, omega_max=0.05, omega=(c, 1.0, 20 * c), **form)
    seed = np.full(replicas, 5, np.uint64)
    return dataclasses.replace(job, target=target, hyper=hyper, contour=rule, seed=seed)


def gamma_exact(c):
    cdf = scipy.stats.gamma(2, scale=TAU).cdf(np.arange(c.bins + 1))
    cdf[-1] = 1  # the last bin takes what is beyond
    return np.diff(cdf)


def gamma_run(job, steps, merge=None):
    """From all bins alike and theta = 0: the final w [R, m], energies and log weights [draws, R] of the second half."""
    state, engine, draws = initial_state(job, np.zeros((job.replicas, 4))), FusedEngine(job, threads=2), []
    while state.step < steps:
        engine.advance(state, Segment(state.step, 40 if merge is None else 5))
        if merge is not None:
            job.contour.merge(state.extra, merge, state.status)
        if state.step > steps // 2:
            u = job.target.energy_and_gradient(state.position, Batch(None, np.arange(job.replicas)))[0]
            draws.append((u - job.contour.lowest, job.contour.log_weight(state.extra, u)))
    return weights(state.extra), *np.array(draws).transpose(1, 0, 2)


def test_the_fused_engine_finds_a_gamma_law():
    """w_i = P(bin i), and draws weighted with Psi^zeta have the mean of U, 2 tau; Psi^-zeta and no weights do not."""
    job = gamma_job(600)
    w, u, log_weight = gamma_run(job, 20_000)
    assert np.abs(scores(w, gamma_exact(job.contour))).max() < 5
    factors = {"right": np.exp(log_weight), "inverse": np.exp(-log_weight), "none": np.ones_like(u)}
    z = {name: (mean - 2 * TAU) / error for name, (mean, error) in ((name, ratio(u, w)) for name, w in factors.items())}
    assert abs(z["right"]) < 5
    assert min(abs(z["inverse"]), abs(z["none"])) > 25
    assert u.max() > 11


def test_an_interacting_histogram_finds_its_own_fixed_point():
    """P_i^(1/zeta), normalised, of 40 groups of 15; their draws are weighted back to 2 tau all the same."""
    job, group = gamma_job(600, c=40.0, interacting=True), np.arange(600) % 40
    w, u, log_weight = gamma_run(job, 12_000, group)
    exact = gamma_exact(job.contour) ** (1 / 0.75)
    assert np.abs(scores(w[:40], exact / exact.sum())).max() < 5
    assert np.abs(scores(w[:40], gamma_exact(job.contour))).max() > 25
    values, back = (np.exp(log_weight) * u).mean(axis=0), np.exp(log_weight).mean(axis=0)
    mean, error = ratio(values.reshape(-1, 40) / back.reshape(-1, 40), back.reshape(-1, 40))
    assert abs(mean - 2 * TAU) < 5 * error


# The published demonstration's mixture, .4 N(-6, 1) + .6 N(4, 1), zeta .9 and bins of width 1 from .15.


class Mixture:
    """U = -log density of a one-dimensional Gaussian mixture."""

    points = 0
    layout = Layout({"position": (1,)}, {"all": ("position",)}, np.arange(1))

    def energy_and_gradient(self, position, batch=None):
        z = position - np.array([-6.0, 4.0])
        log = np.log([0.4, 0.6]) - np.log(2 * np.pi) / 2 - z * z / 2
        total = np.logaddexp(*log.T)
        return -total, (np.exp(log - total[:, None]) * z).sum(axis=1, keepdims=True)


def mixture_run(rule, replicas=400, steps=8000):
    """From the exact w, and positions from exp(-U) / Psi^zeta: z scores of w, and of the weighted share of the left
    mode and <x^2>.
    """
    target, grid = Mixture(), np.linspace(-13, 11, 240_001)
    u = target.energy_and_gradient(grid[:, None])[0]
    density = np.exp(-u) / np.exp(-u).sum()
    bins = np.clip((u - rule.lowest) / rule.width, 0, rule.bins - 1).astype(int)
    exact = np.bincount(bins, density, rule.bins)
    job = job_of("BAOAB", target, 0.1, replicas, temperature=1.0, friction=1.0)
    job, g = dataclasses.replace(job, contour=rule), np.random.default_rng(0)
    state = initial_state(job, np.zeros((replicas, 1)), g.normal(size=(replicas, 1)))
    state.extra["contour_log_weight"][:] = np.log(exact + 1e-300)
    state.extra["contour_seen"][:] = exact > 1e-12
    one = {name: np.broadcast_to(value[:1], (len(grid), *value.shape[1:])) for name, value in state.extra.items()}
    flat = np.cumsum(density * np.exp(-rule.log_weight(one, u)))
    levels = (np.arange(replicas) + g.random(replicas)) / replicas
    state.position[:, 0] = g.permutation(np.interp(levels, flat / flat[-1], grid))
    engine, draws = BatchedEngine(job, threads=1), []
    while state.step < steps:
        engine.advance(state, Segment(state.step, 40))
        draws.append(
            (state.position[:, 0].copy(), rule.log_weight(state.extra, target.energy_and_gradient(state.position)[0]))
        )
    x, log_weight = np.array(draws).transpose(1, 0, 2)
    left, square = ratio(x < -1, np.exp(log_weight)), ratio(x * x, np.exp(log_weight))
    return scores(weights(state.extra), exact), left, (square[0] - 25) / square[1]


DEMONSTRATION = Contour(0.9, 14, 0.15, 1.0, omega_max=0.05, omega=(2.0, 1.0, 2000.0))


def test_a_mixture_stays_at_its_exact_fixed_point():
    """Two modes ten standard deviations apart: w stays at P(bin i), the left mode at .4 and <x^2> at 25."""
    z, left, square = mixture_run(DEMONSTRATION)
    assert np.abs(z).max() < 5
    assert abs(left[0] - 0.4) < 5 * left[1]
    assert abs(square) < 5


def test_the_published_form_is_biased():
    """w_J for Psi, the interpolation dropped: w leaves the exact values, and the left mode is too light (.37 for
    .4).
    """
    z, left, _ = mixture_run(dataclasses.replace(DEMONSTRATION, published=True))
    assert np.abs(z).max() > 20
    assert left[0] < 0.4 - 1.5 * left[1]


def test_a_wrong_sign_is_found():
    z, *_ = mixture_run(Flipped(**vars(DEMONSTRATION)), steps=2000)
    assert np.abs(z).max() > 20


@pytest.mark.skipif(not has_nvrtc(), reason="nvidia-cuda-nvrtc is not installed")
@pytest.mark.parametrize(
    "which", [2, 5, 8, *(pytest.param(i, marks=pytest.mark.slow) for i in (0, 1, 3, 4, 6, 7, 9, 10))]
)
def test_gpu_kernels_compile_without_spills(which):
    """Of three words on d = 20, 100 and 200, and two larger kernels, which may spill."""
    (result,) = kernel_check.check(kernel_check.contour_variants()[which], "sm_90")
    assert not result.wrong, result
    assert "contour" in result.name
