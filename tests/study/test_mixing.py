"""Effective draws of runs: as arviz-stats counts them, of AR(1) chains whose time is known, and what they cost."""

from pathlib import Path

import numpy as np
import pytest
from arviz_stats.base import array_stats

from gpu_thermo.study import run_study, summaries
from gpu_thermo.study.mixing import chain_ess, effective, weight_ess


def chains(rho: float, count: int = 200, draws: int = 2000, seed: int = 0) -> np.ndarray:
    """Stationary AR(1) [chain, draw]."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=count)
    out = np.empty((count, draws))
    for t in range(draws):
        x = rho * x + np.sqrt(1 - rho**2) * rng.normal(size=count)
        out[:, t] = x
    return out


@pytest.mark.parametrize("draws", [4, 5, 8, 33, 1000])
@pytest.mark.parametrize("rho", [0.0, 0.9, -0.5, 0.999])
def test_as_arviz(rho: float, draws: int):
    """Each chain alone."""
    values = chains(rho, 20, draws)
    expected = [float(array_stats.ess(row[None], method="mean")) for row in values]
    np.testing.assert_allclose(chain_ess(values), expected, rtol=1e-9)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_the_time_of_ar1(rho: float):
    """(1 + rho) / (1 - rho) on average over chains, to 6 %; that of another rho is far off."""
    values = chains(rho)
    time = values.shape[1] / effective(values[..., None])[:, 0]
    exact, error = (1 + rho) / (1 - rho), time.std(ddof=1) / np.sqrt(len(time))
    assert abs(time.mean() - exact) < 5 * error + 0.06 * exact
    assert abs(time.mean() - (1.15 + rho) / (0.85 - rho)) > 0.15 * exact


def test_weights():
    """Equal weights are none; of independent draws the error of the weighted mean is what the effective draws say."""
    values = chains(0.5, 50, 400)[..., None]
    np.testing.assert_allclose(effective(values, np.ones((50, 400))), effective(values), rtol=1e-9)
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=(4000, 300)), np.exp(rng.normal(size=(4000, 300)))
    w /= w.mean(axis=1, keepdims=True)
    spread = ((w * x).mean(axis=1)).var()
    assert 1 / spread == pytest.approx(effective(x[:400, :, None], w[:400]).mean(), rel=0.2)
    assert weight_ess(np.ones((3, 7))).tolist() == [7, 7, 7]


def test_what_stands_still_or_stopped_says_nothing():
    values = chains(0.5, 3, 50)[..., None]
    values[0] = 3.0
    values[1, 20:] = np.nan
    found = effective(values)[:, 0]
    assert np.isnan(found).tolist() == [True, True, False]


WELL = {
    "target": {"name": "harmonic", "size": 1}, "method": {"name": "langevin", "temperature": 1.0, "friction": 3.0},
    "run": {"steps": 24_000, "burn_in": 4_000, "thin": 20, "trace": 24_000}, "seeds": {"count": 16},
    "grid": {"method.stepsize": [0.1, 0.2]},
}  # fmt: skip


def test_costs_of_a_study(tmp_path: Path):
    """Of a harmonic well the time is known: at friction 3 positions forget as (b exp(-at) - a exp(-bt)) / (b - a),
    a and b = (3 -+ sqrt 5) / 2; twice the stepsize costs fewer gradients. Shards do not matter.
    """
    found = run_study(WELL, tmp_path / "s.zarr").load()
    for h, mine in found.groupby("method.stepsize"):
        t = np.arange(1, 2000) * 20 * h
        a, b = (3 - np.sqrt(5)) / 2, (3 + np.sqrt(5)) / 2
        exact = 1 + 2 * float(((b * np.exp(-a * t) - a * np.exp(-b * t)) / (b - a)).sum())
        time = mine["autocorrelation"].to_numpy() / 20
        assert abs(time.mean() - exact) < 5 * time.std(ddof=1) / 4 + 0.06 * exact
        np.testing.assert_allclose(mine["ess"], 1000 / time)
        np.testing.assert_allclose(mine["ess_per_gradient"], mine["ess"] / 20_000)
        assert (mine["ess_per_second"] > 0).all()
    assert summaries(found)["stepsize 0.2"].mean > summaries(found)["stepsize 0.1"].mean  # the default outcome
    again = run_study({**WELL, "study": {"shard": 3}, "seeds": {"count": 4}}, tmp_path / "t.zarr")
    rows = np.flatnonzero(found["seed_index"].to_numpy() < 4)
    np.testing.assert_array_equal(again["ess"], found["ess"].to_numpy()[rows])
