"""Priors: draws against their law by quantiles, with the power shown; scales by layer; refusals."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from gpu_thermo.errors import SpecError
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.streams import make_keys
from gpu_thermo.targets.networks import MlpModel
from gpu_thermo.targets.priors import PRIORS, scale_of

LAWS = {"normal": stats.norm, "laplace": stats.laplace, "student_t": lambda: stats.t(3)}
LEVELS = np.array([0.001, 0.02, 0.25, 0.5, 0.75, 0.98, 0.999])
REPLICAS = 4000


def drawn(prior, scale=1.0, dtype=np.float64, **changes):
    """Model, and R draws of all its parameters by init = "prior"."""
    model = MlpModel(3, 4, 2, "regression", "tanh", scale, 1.0, prior, **changes)
    keys = make_keys(np.full(REPLICAS, 5, np.uint64), np.arange(REPLICAS, dtype=np.uint64))
    return model, model.initial_position("prior", 0.0, keys, dtype)


def score(values, law):
    """Standard scores of the shares of `values` below the law's quantiles."""
    below = (values.ravel()[:, None] < law.ppf(LEVELS)).mean(axis=0)
    return (below - LEVELS) / np.sqrt(LEVELS * (1 - LEVELS) / values.size)


def test_every_prior_has_a_law():
    assert set(LAWS) == set(PRIORS)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("prior", PRIORS)
def test_draws_have_the_law(prior, dtype):
    _, position = drawn(prior, 1.7, dtype)
    assert abs(score(position / 1.7, LAWS[prior]())).max() < 4.5


@pytest.mark.parametrize("prior", PRIORS)
def test_a_scale_that_is_off_is_seen(prior):
    """By a twentieth, and the law of another prior."""
    _, position = drawn(prior)
    law = LAWS[prior]()
    assert abs(score(position * 1.05, law)).max() > 4.5
    for other, make in LAWS.items():
        assert other == prior or abs(score(position, make())).max() > 8


@pytest.mark.parametrize("prior", PRIORS)
def test_draws_are_independent(prior):
    """Ranks of neighbouring parameters and of the same one in neighbouring replicas; of three thousandths at most."""
    _, position = drawn(prior)
    rank = stats.rankdata(position, axis=0) / REPLICAS - 0.5
    for a, b in ((rank[:, :-1], rank[:, 1:]), (rank[:-1], rank[1:])):
        assert abs(12 * (a * b).mean()) < 5 / np.sqrt(a.size)


@pytest.mark.parametrize("prior", PRIORS)
def test_energy_slope_and_law_are_one(prior):
    """exp(-N energy) is the density of the draws, up to a constant, and the slope is its derivative."""
    record, law, scale, points = PRIORS[prior], LAWS[prior](), 0.6, 7
    energy = lambda v: record.energy(np.array([[v]]), scale, points)[0]  # noqa: E731
    norm = quad(lambda v: np.exp(-points * energy(v)), -np.inf, np.inf)[0]
    for v in (-2.0, 0.3, 1.1):
        assert np.exp(-points * energy(v)) / norm == pytest.approx(law.pdf(v / scale) / scale, rel=1e-7)
        c = record.constants(scale, points)
        slope = record.slope(np.array([[v]]), c)[0, 0]
        assert slope == pytest.approx((energy(v + 1e-6) - energy(v - 1e-6)) / 2e-6, rel=1e-6)
    assert record.term(np.zeros((1, 1)), record.constants(scale, points))[0, 0] == 0


def test_scales():
    assert scale_of("fan_in", 16, False) == 0.25
    assert scale_of("fan_in", 16, True) == 1.0
    assert scale_of(0.3, 16, True) == 0.3
    model = MlpModel(4, (9, 16), 1, "regression", prior_sd="fan_in")
    assert model.prior_scales == (1 / 2, 1, 1 / 3, 1, 1 / 4, 1)
    by_layer = replace(model, prior_sd={"hidden": 2.0, "hidden2": 3.0, "output": "fan_in"})
    assert by_layer.prior_scales == (2, 2, 3, 3, 1 / 4, 1)
    one = replace(model, prior_sd={"hidden": 2.0, "output": 2.0})
    assert len(one.prior_constants(5)) == 1


@pytest.mark.parametrize("prior", PRIORS)
def test_draws_by_layer(prior):
    model, position = drawn(prior, {"hidden": 0.5, "output": "fan_in"})
    tensors = model.layout.split(position)
    law = LAWS[prior]()
    for name, scale in {"w1": 0.5, "b1": 0.5, "w2": 0.5, "b2": 1.0}.items():
        assert abs(score(tensors[name] / scale, law)).max() < 4.5
    assert abs(score(tensors["b2"] / 0.9, law)).max() > 4.5


def test_a_learned_noise_starts_about_half_a_target_sd():
    """Its own prior is N(centre, 1), whatever the network's."""
    model = MlpModel(3, 4, 2, "gaussian_learned", "tanh", 0.1, 1.0, "laplace", noise_centre=(-1.0, 2.0))
    keys = make_keys(np.full(REPLICAS, 5, np.uint64), np.arange(REPLICAS, dtype=np.uint64))
    drawn = model.layout.split(model.initial_position("prior", 0.0, keys, np.float64))["log_noise"]
    for k, centre in enumerate((-1.0, 2.0)):
        assert abs(score(drawn[:, k] - centre, stats.norm())).max() < 4.5
    for init in ("zero", "he"):
        start = model.layout.split(model.initial_position(init, 0.3, keys, np.float64))["log_noise"]
        np.testing.assert_array_equal(start, np.tile([-1.0, 2.0], (REPLICAS, 1)))
    normal = model.layout.split(model.initial_position("normal", 0.3, keys, np.float64))["log_noise"]
    assert normal.std(axis=0) == pytest.approx([0.3, 0.3], rel=0.1)


@pytest.mark.parametrize(
    ("scale", "message"),
    [
        ({"hidden": 1.0}, "prior_sd has no scale for output"),
        ({"hidden": 1.0, "output": 1.0, "inner": 2.0}, "there is no layer 'inner'. Layers: hidden, output"),
    ],
)
def test_layers_that_are_none_are_refused(scale, message):
    with pytest.raises(SpecError, match=message):
        MlpModel(3, 4, 2, "regression", prior_sd=scale).prior_scales  # noqa: B018


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"prior_sd": 0.0}, "prior_sd"),
        ({"prior_sd": -1.0}, "prior_sd"),
        ({"prior_sd": "fan_out"}, "prior_sd"),
        ({"prior_sd": {"hidden": 0.0, "output": 1.0}}, "prior_sd"),
        ({"prior": "laplace"}, 'prior = "laplace" needs prior_sd, its scale'),
        ({"prior": "lapalce", "prior_sd": 1.0}, "model.prior"),
        ({"init": "prior"}, 'init = "prior" needs prior_sd'),
    ],
)
def test_priors_of_a_spec_that_are_none(model, message):
    with pytest.raises(SpecError, match=message):
        RunSpec.from_dict({"model": model})
