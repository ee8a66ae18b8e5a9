"""Quantiles, scores and calibration of runs: against the draws read by hand, for each likelihood of numbers."""

import numpy as np
import pytest
from scipy import stats

import gpu_thermo as gt
from gpu_thermo.averages.calibration import calibration
from gpu_thermo.averages.predictive import model_of, predict
from gpu_thermo.errors import SpecError
from gpu_thermo.targets.likelihoods import LIKELIHOODS

NAMES = [name for name, record in LIKELIHOODS.items() if record.task == "regression"]


def answers(likelihood, rate, g):
    return g.poisson(rate).astype(float) if likelihood == "poisson" else np.log(rate) + g.normal(size=rate.shape)


def spec_of(likelihood, **sections):
    record = LIKELIHOODS[likelihood]
    own = {"noise_sd": 0.6} if "noise_sd" in record.settings else {}
    likelihood = likelihood if record.own is None else record.own.of
    return {
        "model": {"hidden": 4, "activation": "tanh", "likelihood": likelihood, "prior_sd": 1.0, **own},
        "method": {"name": "langevin", "stepsize": 0.05, "posterior_temperature": 1.0},
        "run": {"replicas": 5, "steps": 60, "burn_in": 20, "thin": 20, "batch": 10, "trace": 20},
        **sections,
    }


@pytest.fixture(scope="module", params=NAMES)
def run(request, tmp_path_factory):
    g = np.random.default_rng(3)
    x = g.normal(size=(60, 2))
    y = answers(request.param, np.exp(1 + 0.5 * x[:, :2]), g)
    return gt.sample(spec_of(request.param), tmp_path_factory.mktemp("runs") / "run.zarr", data=(x, y))


def by_hand(run):
    """Location, scale [D, T, n] in the network's units at the test points, model and answers."""
    model = model_of(run)
    posterior = run["posterior"].to_dataset()
    position = model.layout.join({n: posterior[n].to_numpy() for n in model.layout.tensors}).reshape(
        -1, model.parameters
    )
    constant = run["constant_data"].to_dataset()
    phi = model.predict(position, constant["x_test"].to_numpy()[0].astype(np.float32)).astype(np.float64)
    name = model.likelihood.name
    if name == "heteroscedastic":
        location, scale = phi[..., :2], np.sqrt(phi[..., 2:])
    elif model.noises:
        location, scale = phi, np.exp(position[:, None, -2:]) * np.ones_like(phi)
    else:
        location, scale = phi, 0.6 * np.ones_like(phi)
    return model, location, scale, constant


def law(name, location, scale):
    if name == "poisson":
        return stats.poisson(location)
    return stats.t(4, location, scale) if name.startswith("student_t") else stats.norm(location, scale)


def test_variances_and_quantiles(run):
    model, location, scale, constant = by_hand(run)
    x = constant["x_test"].to_numpy()[0] * constant["feature_sd"].to_numpy()[0] + constant["feature_mean"].to_numpy()[0]
    unit = constant["target_sd"].to_numpy()[0] if "target_sd" in constant else 1.0
    shift = constant["target_mean"].to_numpy()[0] if "target_mean" in constant else 0.0
    out = predict(run, x, 0, quantiles=(0.1, 0.8))
    known = law(model.likelihood.name, location, scale)
    np.testing.assert_allclose(out["aleatoric_variance"], known.var().mean(axis=0) * unit**2, rtol=1e-4)
    np.testing.assert_allclose(out["variance"], location.var(axis=0) * unit**2, rtol=1e-3, atol=1e-5)
    assert list(out["quantile"].values) == [0.1, 0.8]
    q = (out["quantiles"].to_numpy() - shift) / unit
    if model.likelihood.name == "poisson":
        below = law("poisson", location, scale).cdf(q[:, None] - 1).mean(axis=1)
        assert (known.cdf(q[:, None]).mean(axis=1) >= np.array([0.1, 0.8])[:, None, None] - 1e-6).all()
        assert (below < np.array([0.1, 0.8])[:, None, None] + 1e-6).all()
    else:
        np.testing.assert_allclose(known.cdf(q[:, None]).mean(axis=1)[0], 0.1, rtol=1e-4)
        np.testing.assert_allclose(known.cdf(q[:, None]).mean(axis=1)[1], 0.8, rtol=1e-4)
    means = (out["mean_quantiles"].to_numpy() - shift) / unit
    for level, values in zip((0.1, 0.8), means, strict=True):
        np.testing.assert_allclose(values, np.sort(location, axis=0)[round(10 * level) - 1], rtol=1e-4, atol=1e-5)
    fewer = predict(run, x, 0, quantiles=(0.1, 0.8), quantile_draws=5)
    assert abs(fewer["quantiles"] - out["quantiles"]).max() > 0
    again = predict(run, x, 0, quantiles=(0.1, 0.8), memory=4000)
    np.testing.assert_allclose(again["quantiles"], out["quantiles"], rtol=1e-5, atol=1e-6)
    assert "quantiles" not in predict(run, x, quantiles=())


def test_scores_of_the_mixture(run):
    model, location, scale, constant = by_hand(run)
    y = constant["y_test"].to_numpy()[0]
    unit = constant["target_sd"].to_numpy()[0] if "target_sd" in constant else 1.0
    out = calibration(run)
    known = law(model.likelihood.name, location, scale)
    discrete = model.likelihood.name == "poisson"
    density = (known.pmf(y) if discrete else known.pdf(y)).mean(axis=0)
    np.testing.assert_allclose(out["nll"][0], np.log(unit) - np.log(density), rtol=1e-3, atol=1e-4)
    pit = (known.cdf(y) + known.cdf(y - 1)).mean(axis=0) / 2 if discrete else known.cdf(y).mean(axis=0)
    np.testing.assert_allclose(out["pit"][0], pit, atol=1e-5)
    if not discrete:
        share = [(abs(pit - 0.5) <= c / 2).mean() for c in out["coverage"].values]
        np.testing.assert_allclose(out["covered"][0], share)
    if discrete:
        k = np.arange(200)
        f = stats.poisson(location[:, None]).cdf(k[:, None, None]).mean(axis=0)
        crps = ((f - (k[:, None, None] >= y)) ** 2).sum(axis=0)
    else:
        v = np.linspace(-40, 40, 20_001)[:, None, None]
        f = law(model.likelihood.name, location[:, None], scale[:, None]).cdf(v).mean(axis=0)
        crps = np.trapezoid((f - (v >= y)) ** 2, v, axis=0)
    np.testing.assert_allclose(out["crps"][0], crps * unit, rtol=1e-2)
    assert out.attrs["draws"] == 10
    half = calibration(run, 0, draws=5, points=4)
    assert (half.attrs["draws"], half.attrs["points"], half["pit"].shape) == (5, 4, (4, 2))


@pytest.mark.parametrize("level", [0.0, 1.0, -0.1, float("nan")])
def test_a_level_that_is_none(run, level):
    with pytest.raises(SpecError, match="levels are between 0 and 1"):
        predict(run, [[0.0, 0.0]], quantiles=(level,))


def test_classes_have_scores_of_their_own(tmp_path):
    spec = {
        "data": {"name": "moons", "train": 20, "test": 10}, "model": {"hidden": 3},
        "run": {"replicas": 2, "steps": 4, "burn_in": 2, "thin": 2, "trace": 2, "batch": 5},
    }  # fmt: skip
    run = gt.sample(spec, tmp_path / "run.zarr")
    with pytest.raises(SpecError, match=r"judged by their scores"):
        calibration(run)
    assert "quantiles" not in predict(run, [[0.0, 0.0]])


def test_without_test_points(tmp_path):
    spec = spec_of("gaussian", data={"test_fraction": 0.0})
    run = gt.sample(spec, tmp_path / "run.zarr", data=(np.arange(20.0)[:, None], np.arange(20.0)[:, None] * 0.3))
    with pytest.raises(SpecError, match="no test points"):
        calibration(run)
