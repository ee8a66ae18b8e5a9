"""Maps of a prior: what they hold of its draws, and that pictures come out of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from gpu_thermo.errors import DataError
from gpu_thermo.running.prior import PriorPredictive, predict_prior
from gpu_thermo_analysis.maps import INTERVAL
from gpu_thermo_analysis.prior import prior_figure, prior_map, save_prior_map
from gpu_thermo_analysis.style import RC

G = np.random.default_rng(1)


@pytest.fixture(autouse=True)
def _coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RC, "savefig.dpi", 40)


def spec(**model: Any) -> dict[str, Any]:
    return {"model": {"hidden": [5, 4], "activation": "tanh", "prior_sd": 1.0, **model}, "run": {"replicas": 2}}


def data_of(features: int, kind: str = "numbers") -> tuple[np.ndarray, np.ndarray]:
    x = G.normal(size=(30, features)) * 4 + 2
    y = {"numbers": x[:, 0] * 3 + 7, "classes": x[:, 0] > 2, "three": np.arange(30) % 3, "counts": np.arange(30.0) % 5}
    return x, y[kind]


def test_a_plane_is_that_of_predict_prior() -> None:
    x, y = data_of(2)
    prior = PriorPredictive.of(spec(), (x, y), 200)
    found = prior_map(prior, resolution=5)
    at = np.array([[found["u"][3], found["v"][1]]])
    want = predict_prior(spec(), at, data=(x, y), draws=200)
    np.testing.assert_allclose(found["mean"][1, 3], want["mean"][0], rtol=1e-9)
    np.testing.assert_allclose(found["epistemic"][1, 3] ** 2, want["variance"][0], rtol=1e-9)
    np.testing.assert_allclose(found["total"] ** 2, found["epistemic"] ** 2 + found["aleatoric"] ** 2, rtol=1e-9)
    np.testing.assert_allclose(found["prediction"][:, 1, 3, 0], want["phi"][:6, 0, 0], rtol=1e-9)
    assert found.attrs["title"] == "arrays: 200 draws from the prior, before any data"
    assert "prior normal, scale 1" in found.attrs["caption"]
    assert found["train_y"].to_numpy().std() > 5  # in its own units


def test_intervals_of_a_line_hold_the_draws() -> None:
    """Of the mean exactly that share of the draws' means; an answer's interval is the wider one."""
    prior = PriorPredictive.of(spec(), data_of(1), 400)
    found = prior_map(prior, resolution=7)
    phi = prior.predict(found["u"].to_numpy()[:, None], ())["phi"][..., 0]
    inside = ((phi >= found["mean_low"][:, 0].to_numpy()) & (phi <= found["mean_high"][:, 0].to_numpy())).mean("draw")
    np.testing.assert_allclose(inside, INTERVAL, atol=2 / 400)
    assert (found["answer_low"] < found["mean_low"]).all()
    assert (found["answer_high"] > found["mean_high"]).all()


def test_tiles_and_compiled_predictions_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    prior = PriorPredictive.of(spec(), data_of(3), 50)
    x = data_of(3)[0]
    whole = prior.predict(x)
    monkeypatch.setattr("gpu_thermo.running.prior._MEMORY", 24 * 50 * 7)
    xr.testing.assert_allclose(prior.predict(x), whole, rtol=1e-7)
    monkeypatch.setattr("gpu_thermo.running.prior._MANY", 0)
    xr.testing.assert_allclose(prior.predict(x), whole, rtol=1e-7)


KINDS = [
    *((2, kind, {}) for kind in ("numbers", "classes", "three")),
    *((1, kind, {}) for kind in ("numbers", "classes", "three")),
    *((n, "counts", {"likelihood": "poisson", "prior_sd": 3.0}) for n in (1, 4)),
    *((n, "numbers", {"likelihood": "student_t", "dof": 1.5}) for n in (1, 2)),
]


@pytest.mark.parametrize(("features", "kind", "model"), KINDS)
def test_pictures(tmp_path: Path, features: int, kind: str, model: dict[str, Any]) -> None:
    prior = PriorPredictive.of(spec(**model), data_of(features, kind), 40)
    made = save_prior_map(prior, tmp_path / "prior.png", tmp_path / "prior.csv", resolution=9)
    assert (tmp_path / "prior.png").stat().st_size > 3000
    lines = (tmp_path / "prior.csv").read_text().splitlines()
    assert len(lines) == 1 + made["mean"].size
    assert f"prediction_{made.sizes['single']}" in lines[0].split(",")


def test_draws_are_panels_of_a_plane_and_curves_of_a_line() -> None:
    plane = prior_figure(prior_map(PriorPredictive.of(spec(), data_of(2), 40), resolution=6))
    assert [a.get_title() for a in plane.axes if a.get_title().startswith("draw")] == [f"draw {i}" for i in range(1, 7)]
    line = prior_figure(prior_map(PriorPredictive.of(spec(), data_of(1), 4), resolution=6))
    assert len(line.axes[0].lines) == 4 + 2
    few = prior_figure(prior_map(PriorPredictive.of(spec(), data_of(2), 2), resolution=6))
    assert sum(a.get_title().startswith("draw") for a in few.axes) == 2


def test_refusals(tmp_path: Path) -> None:
    prior = PriorPredictive.of(spec(), data_of(2), 4)
    with pytest.raises(DataError, match="resolution = 1"):
        prior_map(prior, resolution=1)
    with pytest.raises(DataError, match="no feature 'nothing'"):
        prior_map(prior, features=["nothing"])
    with pytest.raises(DataError, match="known suffix"):
        save_prior_map(prior, tmp_path / "prior.png", tmp_path / "prior.txt")
    assert not list(tmp_path.iterdir())
