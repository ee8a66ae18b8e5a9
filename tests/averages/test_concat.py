"""Several runs as one: chains side by side, averages merged, and every refusal."""

import numpy as np
import pytest
from move_runs import MOVES, spec

from gpu_thermo.averages.concat import concat
from gpu_thermo.averages.predictive import predict
from gpu_thermo.averages.resample import resample
from gpu_thermo.errors import SpecError, StoreError
from gpu_thermo.run import sample
from gpu_thermo_analysis.diagnostics import diagnose

KINDS = (None, "exchange", "tempering", "contour")


@pytest.mark.parametrize("kind", KINDS)
def test_averages_are_those_of_all_draws(kind):
    """`predictive` of the whole against `predict` from all draws, and against neither part alone."""
    move = MOVES[kind] if kind else None
    first, second = sample(spec(move)), sample(spec(move, seed=2, replicas=24))
    whole = concat([first, second])
    per = 3 if kind == "exchange" else 1
    assert whole["posterior"].sizes["chain"] == 36 // per
    np.testing.assert_array_equal(whole["posterior"]["run"], np.repeat([0, 1], [12 // per, 24 // per]))
    np.testing.assert_array_equal(whole["posterior"]["w1"][12 // per :], second["posterior"]["w1"])
    x = whole["constant_data"]["x_test"].to_numpy()[0]
    answer = predict(whole, x)
    for name in ("mean", "variance", "entropy", "expected_entropy", "mutual_information", "weight_ess", "draws"):
        np.testing.assert_allclose(whole["predictive"][name], answer[name], rtol=2e-4, atol=2e-6, err_msg=name)
        if name == "mean":
            assert not np.allclose(first["predictive"][name], answer[name], rtol=1e-3)
    if kind == "exchange":
        who = whole["posterior"]["replica"].to_numpy()
        every = whole["posterior_rungs"]["w1"].to_numpy()
        np.testing.assert_array_equal(every[who, np.arange(who.shape[1])], whole["posterior"]["w1"])
        np.testing.assert_array_equal(whole["posterior_rungs"]["ladder"], np.arange(36) // 3)
    assert diagnose(whole).ensembles[0].chains == 36 // per
    assert resample(whole)["posterior"].sizes["chain"] == 1
    assert whole["posterior"]["w1"].attrs["units"] == "1"


def test_regression_and_log_density(tmp_path):
    method = {"name": "langevin", "stepsize": 0.05, "posterior_temperature": 1.0, "friction": 1.0}
    data = {"name": "gap", "train": 40, "test": 20}
    given = {"data": data, "model": {"hidden": 4, "prior_sd": 1.0}, "method": method}
    run = {"replicas": 8, "steps": 200, "burn_in": 100, "thin": 20, "trace": 100}
    paths = [tmp_path / f"{s}.zarr" for s in (1, 2)]
    for seed, path in zip((1, 2), paths, strict=True):
        sample(given | {"run": run | {"seed": seed}}, path)
    whole, each = concat(paths), [sample(given | {"run": run | {"seed": s}}) for s in (1, 2)]
    got, parts = whole["predictive"], [t["predictive"] for t in each]
    mean = np.mean([p["mean"].to_numpy() for p in parts], axis=0)
    np.testing.assert_allclose(got["mean"], mean, rtol=1e-12)
    within = np.mean([p["variance"].to_numpy() for p in parts], axis=0)
    between = np.var([p["mean"].to_numpy() for p in parts], axis=0)
    np.testing.assert_allclose(got["variance"], within + between, rtol=1e-9)
    assert (between > 1e-8).any()
    np.testing.assert_allclose(got["total_variance"], got["variance"] + got["aleatoric_variance"], rtol=1e-12)
    if "log_density" in got:
        density = np.mean([np.exp(p["log_density"].to_numpy()) for p in parts], axis=0)
        np.testing.assert_allclose(got["log_density"], np.log(density), rtol=1e-9)


def test_refusals():
    first = sample(spec())
    with pytest.raises(StoreError, match=r"Runs 0 and 1 both have stream 0 of seed 1"):
        concat([first, first])
    with pytest.raises(SpecError, match=r"differs from run 0 in run.batch"):
        concat([first, sample(spec(seed=2, batch=5))])
    with pytest.raises(SpecError, match=r"model\.hidden"):
        concat([first, sample(spec(seed=2) | {"model": {"hidden": 7, "prior_sd": 1.0}})])
    with pytest.raises(StoreError, match="recorded steps"):
        concat([first, sample(spec(seed=2, steps=320))])
    other = sample(spec(seed=2))
    held = other["constant_data"].to_dataset()
    other["constant_data"] = held.assign(x_train=held["x_train"] + 1)
    with pytest.raises(StoreError, match=r"other data than run 0 \(x_train\)"):
        concat([first, other])
    for odd in ([first], first, "run.zarr", []):
        with pytest.raises(SpecError, match="at least two"):
            concat(odd)


@pytest.mark.parametrize("kind", [None, "exchange", "contour"])
def test_netcdf_both_ways(kind, tmp_path):
    """With the extra `netcdf`; the copy is read like the run."""
    pytest.importorskip("netCDF4")
    import xarray as xr

    tree = sample(spec(MOVES[kind] if kind else None, keep=["parameters", "momenta", "log_likelihood"]))
    tree.to_netcdf(tmp_path / "run.nc")
    with xr.open_datatree(tmp_path / "run.nc") as back:
        x = back["constant_data"]["x_test"].to_numpy()[0]
        np.testing.assert_array_equal(predict(back, x)["mean"], predict(tree, x)["mean"])
        for group in tree.children:
            for name, values in tree[group].data_vars.items():
                np.testing.assert_array_equal(back[group][name], values)
                assert back[group][name].attrs["units"] == values.attrs["units"]
