"""What of a ladder stands in the groups of chains: the target rung, and nothing else."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from move_runs import MOVES, spec

from gpu_thermo.averages.predictive import predict
from gpu_thermo.errors import StoreError
from gpu_thermo.run import plan, sample
from gpu_thermo.store.schema import Schema
from gpu_thermo.store.targets import apart, on_target
from gpu_thermo.targets.user import UserPotential
from gpu_thermo_analysis.diagnostics import diagnose

ALL = ["parameters", "predictions", "momenta", "log_likelihood"]
GROUPS = ("posterior", "probes", "momenta", "log_likelihood", "sample_stats")
LEVELS = ((-200.0, -1, 0, -10, 1, 0), (-100, -1, 0, -10, 0, 0.5), (-170, -6.5, 11, -6.5, -0.5, 1.5),
          (15, 0.7, 0.6, 0.7, -1, 1))  # fmt: skip
TAU = 15.0


def mueller_brown(q: np.ndarray, xp: object = np) -> tuple[np.ndarray, np.ndarray]:
    """Three wells in the plane (Mueller and Brown, Theor. Chim. Acta 53, 1979)."""
    energy, gradient = np.zeros(len(q)), np.zeros_like(q)
    for top, a, b, c, x0, y0 in LEVELS:
        x, y = q[:, 0].astype(float) - x0, q[:, 1].astype(float) - y0
        with np.errstate(over="ignore"):
            v = top * np.exp(a * x * x + b * x * y + c * y * y)
        energy += v
        gradient[:, 0] += v * (2 * a * x + b * y)
        gradient[:, 1] += v * (b * x + 2 * c * y)
    return energy, gradient


def exact() -> float:
    """Probability of the right half plane, where the second deepest well is, by quadrature."""
    x, y = np.meshgrid(np.linspace(-2.5, 2.0, 1501), np.linspace(-1.5, 3.0, 1501), indexing="ij")
    q = np.stack([x.ravel(), y.ravel()], axis=1)
    u = mueller_brown(q)[0]
    w = np.exp(-(u - u.min()) / TAU)
    return float((w * (q[:, 0] > 0)).sum() / w.sum())


@pytest.fixture(scope="module")
def ladder() -> xr.DataTree:
    """Eight rungs, 24 ladders."""
    return sample(
        {
            "target": {"name": "custom", "size": 2, "dtype": "float64", "start_sd": 0.1},
            "method": {"name": "langevin", "stepsize": 0.008, "temperature": TAU, "friction": 10.0},
            "run": {"replicas": 192, "steps": 6000, "burn_in": 1000, "thin": 20, "trace": 3000},
            "moves": [{"kind": "exchange", "rungs": 8, "hottest": 60.0, "interval": 10}],
        },
        potential=UserPotential(mueller_brown, 2, probe=np.array([[-0.5, 1.4], [0.6, 0.0], [0.0, 0.5]])),
        device="cpu", threads=1,
    )  # fmt: skip


def test_a_plain_mean_of_a_ladder_is_right(ladder: xr.DataTree) -> None:
    """And that of all rungs, which a store once held as its posterior, is wrong by far."""
    from arviz_stats import summary

    right = exact()
    position = ladder["posterior"]["position"]
    each = (position[..., 0] > 0).mean("draw").to_numpy()
    assert each.shape == (24,)
    error = each.std(ddof=1) / np.sqrt(len(each))
    assert abs(each.mean() - right) < 4 * error
    rungs = ladder["posterior_rungs"]["position"].to_numpy()[..., 0]
    assert (rungs > 0).mean() - right > 8 * error
    table = summary(ladder["posterior"].to_dataset(), kind="stats", round_to=None)
    assert float(table["mean"].iloc[0]) == pytest.approx(float(position[..., 0].mean()), abs=1e-3)
    assert list(ladder["posterior"].data_vars) == ["position"]


def test_every_draw_names_its_replica(ladder: xr.DataTree) -> None:
    who = ladder["posterior"]["replica"].transpose("chain", "draw").to_numpy()
    every = ladder["posterior_rungs"]["position"].transpose("replica", "draw", ...).to_numpy()
    rung = ladder["sample_stats_rungs"]["rung"].transpose("replica", "draw").to_numpy()
    draws = np.arange(who.shape[1])
    assert (rung[who, draws] == 0).all()
    assert (who // 8 == np.arange(24)[:, None]).all()
    assert len(np.unique(who)) > 24
    np.testing.assert_array_equal(every[who, draws], ladder["posterior"]["position"].transpose("chain", "draw", ...))
    np.testing.assert_array_equal(ladder["posterior_rungs"]["ladder"], np.arange(192) // 8)
    assert "rung" not in ladder["sample_stats"]
    found = diagnose(ladder).ensembles[0]
    assert found.label == "24 ladders of 8 rungs"
    assert any("target rung" in v.topic for v in found.verdicts)


def test_tempering_masks_what_is_off_the_target() -> None:
    tree = sample(spec(MOVES["tempering"] | {"interval": 2}, keep=ALL, steps=400, burn_in=240))
    rung = tree["sample_stats"]["rung"].to_numpy()
    on = rung == 0
    assert 0.1 < on.mean() < 0.9
    np.testing.assert_array_equal(tree["posterior"]["weight"], on.astype(float))
    for group in GROUPS:
        for name, values in tree[group].data_vars.items():
            if name in ("rung", "log_weight", "diverging"):
                continue
            whole = tree[f"{group}_rungs"][name].to_numpy()
            assert np.isfinite(whole).all(), (group, name)
            assert np.isnan(values.to_numpy()[~on]).all(), (group, name)
            np.testing.assert_array_equal(values.to_numpy()[on], whole[on])
    mean = tree["posterior_rungs"]["w1"].to_numpy()[on].mean(axis=0)
    np.testing.assert_allclose(tree["posterior"]["w1"].mean(("chain", "draw")), mean, rtol=1e-4, atol=1e-6)
    x = tree["constant_data"]["x_test"].to_numpy()[0]
    np.testing.assert_allclose(predict(tree, x)["mean"], tree["predictive"]["mean"], rtol=1e-5, atol=1e-7)
    assert not any("froze" in v.text for v in diagnose(tree).ensembles[0].verdicts)


def test_contours_carry_weights() -> None:
    tree = sample(spec(MOVES["contour"]))
    log_weight = tree["sample_stats"]["log_weight"]
    np.testing.assert_allclose(tree["posterior"]["weight"], np.exp(log_weight), rtol=1e-12)
    np.testing.assert_array_equal(tree["posterior"]["weight"], tree["probes"]["weight"])
    weighted = tree["posterior"]["w1"].weighted(tree["posterior"]["weight"].fillna(0)).mean(("chain", "draw"))
    assert not np.allclose(weighted, tree["posterior"]["w1"].mean(("chain", "draw")), rtol=1e-4)


def test_what_is_written_is_asked_for(tmp_path: Path) -> None:
    """A ladder without rungs is refused before anything is written of it."""
    from store_cases import make_draws, make_header

    from gpu_thermo.store import RunWriter

    with pytest.raises(StoreError, match="no statistic rung"):
        RunWriter.create(tmp_path / "a.zarr", make_header(apart=True))
    with pytest.raises(StoreError, match="chains of 4"):
        RunWriter.create(tmp_path / "b.zarr", make_header(together=4))
    stats = make_header().statistics | {"rung": ((), float)}
    header = make_header(apart=True, together=3, statistics=stats)
    with (
        pytest.raises(StoreError, match="statistic rung is missing"),
        RunWriter.create(tmp_path / "c.zarr", header) as writer,
    ):
        writer.append(make_draws(0, 2))
    schema = Schema.of(header)
    assert Schema.from_json(schema.to_json()).with_dims(schema.dims) == schema
    rung = np.array([[0, 1, 2, 2, 0, 1], [1, 0, 2, 2, 1, 0.0]])
    np.testing.assert_array_equal(on_target(rung, 3), [[0, 4], [1, 5]])
    values = apart(schema, "sample_stats", {"energy": np.arange(12.0).reshape(2, 6), "rung": rung}, rung)
    np.testing.assert_array_equal(values["sample_stats/energy"], [[0, 4], [7, 11]])
    assert "sample_stats/rung" not in values


def test_a_frozen_rung_freezes_its_ladder() -> None:
    tree = sample(spec(MOVES["exchange"] | {"stepsize": [0.2, 0.2, 1e30], "interval": 5}))
    assert (tree["sample_stats_rungs"]["status"].to_numpy().reshape(4, 3) != 0).any(axis=1).all()
    assert (tree["sample_stats"]["status"] != 0).all()
    assert (
        tree["posterior"]["frozen_step"] == tree["sample_stats_rungs"]["frozen_step"].to_numpy().reshape(4, 3).max(1)
    ).all()


def test_the_bill_of_likelihoods_is_warned_of() -> None:
    said = plan(spec(keep=ALL)).warnings
    assert any("60 points, 20 draws and 12 replicas: 0 MB" in text for text in said)
