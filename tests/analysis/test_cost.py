"""Autocorrelation times against AR(1), whose own is known, and what they cost against counts by hand."""

import numpy as np
import pytest
from move_runs import MOVES, RUN, spec

from gpu_thermo.run import sample
from gpu_thermo_analysis import diagnose
from gpu_thermo_analysis.convergence import convergence


def chains(rho, count=64, draws=4000, quantities=2, seed=0):
    """Stationary AR(1) chains [chain, draw, quantity]: x_t = rho x_(t-1) + sqrt(1 - rho^2) noise."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, quantities))
    out = np.empty((count, draws, quantities))
    for t in range(draws):
        x = rho * x + np.sqrt(1 - rho**2) * rng.normal(size=x.shape)
        out[:, t] = x
    return out


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9, -0.3])
def test_the_autocorrelation_time_of_ar1(rho):
    """(1 + rho) / (1 - rho), to 5 %; that of another rho is far off."""
    values = chains(rho)
    found = convergence(values, 0.0, None)
    exact = (1 + rho) / (1 - rho)
    for ess in (found.ess_mean, found.ess_mean_median):
        assert 64 * 4000 / ess == pytest.approx(exact, rel=0.05)
    assert abs(64 * 4000 / found.ess_mean - (1.2 + rho) / (0.8 - rho)) > 0.2 * exact
    spread = values.mean(axis=1).var(ddof=1, axis=0).mean()  # the variance of a chain's mean says the same
    assert spread * 4000 == pytest.approx(exact, rel=0.35)


@pytest.mark.parametrize("kind", [None, "exchange"])
def test_counts(kind):
    tree = sample(spec(MOVES[kind] if kind else None))
    one = diagnose(tree).to_dict()["ensembles"][0]
    cost, c = one["cost"], one["convergence"]
    sampling = RUN["steps"] - RUN["burn_in"]
    assert cost["gradients"] == sampling * 12  # one gradient a step, for every replica of every rung
    assert cost["ess"] == pytest.approx(c["ess_mean"])
    assert cost["autocorrelation"] == pytest.approx(c["chains"] * c["draws"] / c["ess_mean"] * 8)
    assert cost["ess_per_gradient"] == pytest.approx(cost["ess"] / cost["gradients"])
    seconds = tree["sample_stats"].attrs["sampling_time"] * sampling / RUN["steps"]
    assert cost["ess_per_second"] == pytest.approx(cost["ess"] / seconds)
    (said,) = (v for v in one["verdicts"] if v["topic"] == "cost")
    assert said["passed"] is None
    assert "Autocorrelation time" in said["text"]
