"""Draws from the prior, looked at through the network: against laws known in closed form."""

import numpy as np
import pytest

import gpu_thermo as gt
from gpu_thermo.errors import SpecError

G = np.random.default_rng(0)
X, Y = G.normal(size=(40, 2)) * 3 + 1, G.normal(size=40) * 5 + 2


def spec(**model):
    return {"model": {"hidden": 20, "activation": "identity", **model}, "run": {"replicas": 2}}


def test_variance_of_a_linear_network():
    """Identity units: Var f = d s^4 (|x|^2 + 1) + s^2, by independence; in the data's own units."""
    x, s, draws = np.array([[1.0, 1.0], [4.0, -2.0]]), 0.5, 4000
    out = gt.predict_prior(spec(prior_sd=s, noise_sd=0.3), x, data=(X, Y), draws=draws)
    held = gt.sample({**spec(prior_sd=s), "run": {"replicas": 1, "steps": 2, "burn_in": 1, "thin": 1}}, data=(X, Y))
    c = held["constant_data"].to_dataset()
    z = (x - c["feature_mean"].to_numpy()[0]) / c["feature_sd"].to_numpy()[0]
    unit = float(c["target_sd"].to_numpy()[0, 0])
    exact = unit**2 * (20 * s**4 * ((z**2).sum(axis=1) + 1) + s**2)
    np.testing.assert_allclose(out["variance"][:, 0], exact, rtol=0.1)
    np.testing.assert_allclose(out["aleatoric_variance"], (0.3 * unit) ** 2, rtol=1e-9)
    assert out["phi"].shape == (draws, 2, 1)
    share = (out["phi"][:, :, 0] < out["quantiles"].sel(quantile=0.5)[:, 0]).mean("draw")
    np.testing.assert_allclose(share, 0.5, atol=0.04)


def test_a_wider_prior_is_seen():
    narrow, wide = (gt.predict_prior(spec(prior_sd=s), [[1.0, 1.0]], data=(X, Y))["variance"] for s in (0.5, 0.6))
    assert float(wide[0, 0]) > 1.3 * float(narrow[0, 0])


def test_classes_have_probabilities():
    out = gt.predict_prior(spec(prior_sd=1.0, prior="laplace"), [[0.0, 0.0]], data=(X, Y > 2))
    assert 0 < float(out["mean"][0, 0]) < 1
    assert "quantiles" not in out


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        (spec(), "needs prior_sd"),
        ({"target": {"name": "harmonic"}, "method": {"name": "sgld"}}, "samples a potential"),
    ],
)
def test_refusals(tree, message):
    with pytest.raises(SpecError, match=message):
        gt.predict_prior(tree, [[0.0, 0.0]], data=None if "target" in tree else (X, Y))
