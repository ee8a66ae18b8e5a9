"""Equally weighted draws: means, counts and who is never taken."""

import numpy as np
import pytest
import xarray as xr
from arviz_stats import summary
from arviz_stats.base import array_stats
from move_runs import MOVES, spec
from stores import dataset, model_for, run_tree

from gpu_thermo.averages.predictive import predict
from gpu_thermo.averages.resample import draw_weights, effective, resample
from gpu_thermo.errors import SpecError, StoreError
from gpu_thermo.run import sample


def weighted_tree(spread=1.5, chains=6, draws=200, seed=0):
    """Draws whose first parameter is their number, with log weights of that spread; half of them of ensemble 1."""
    rng, data = np.random.default_rng(seed), dataset()
    model = model_for(data)
    position = rng.normal(size=(chains, draws, model.parameters)).astype(np.float32)
    log_weight = rng.normal(size=(chains, draws)) * spread - 700
    log_weight[0, 0] = -np.inf
    position[1, -1] = np.nan
    tree = run_tree(data, model, position, ensemble=np.arange(chains) // (chains // 2), log_weight=log_weight)
    energy = np.where(np.isnan(position[..., 0]), np.nan, 1.0)
    tree["sample_stats"] = tree["sample_stats"].to_dataset().assign(energy=(("chain", "draw"), energy))
    return tree, data


def test_means_are_the_weighted_ones():
    """To the rounding of systematic resampling; a plain mean is not."""
    tree, data = weighted_tree()
    weight, x = draw_weights(tree["sample_stats"].to_dataset()), data.x_test[0]
    many = resample(tree, draws=200_000)
    for e in (0, 1):
        w = weight[3 * e : 3 * e + 3, :, None]
        values = np.nan_to_num(tree["posterior"]["b1"].to_numpy()[3 * e : 3 * e + 3])
        mean = (w * values).sum(axis=(0, 1)) / w.sum()
        found = many["posterior"]["b1"].isel(chain=e).mean("draw").to_numpy()
        np.testing.assert_allclose(found, mean, atol=1e-3)
        assert np.abs(values.mean(axis=(0, 1)) - mean).max() > 0.02, "the weights matter here"
    few = resample(tree)
    assert few.posterior.sizes["draw"] == int(min(effective(weight[:3]), effective(weight[3:])))
    np.testing.assert_allclose(predict(many, x)["mean"], predict(tree, x)["mean"], atol=1e-3)
    assert "weight" not in few["posterior"]
    assert "log_weight" not in few["sample_stats"]
    np.testing.assert_array_equal(few["posterior"]["ensemble"], [0, 1])


def test_a_draw_is_taken_as_often_as_it_weighs():
    """m times the mean weight: m times, rounded up or down; frozen draws and draws of weight 0 never."""
    tree, _ = weighted_tree()
    weight = draw_weights(tree["sample_stats"].to_dataset())
    many = resample(tree, draws=5000, seed=3)
    for e in (0, 1):
        chain, draw = (many["posterior"][f"source_{n}"].isel(chain=e).to_numpy() for n in ("chain", "draw"))
        counts = np.zeros(weight.shape)
        np.add.at(counts, (chain, draw), 1)
        mine = np.s_[3 * e : 3 * e + 3]
        due = 5000 * weight[mine] / weight[mine].sum()
        assert (np.abs(counts[mine] - due) < 1).all()
        assert counts.sum() == counts[mine].sum() == 5000
        assert (np.diff(draw) < 0).sum() > 1000, "in random order"
    assert weight[0, 0] == weight[1, -1] == 0


def test_of_simulated_tempering_every_draw_on_the_target_is_taken_once():
    tree = sample(spec(MOVES["tempering"] | {"interval": 2}, steps=400, burn_in=240))
    on = tree["sample_stats"]["rung"].to_numpy() == 0
    drawn = resample(tree)
    assert drawn["posterior"].sizes["draw"] == on.sum()
    chain, draw = (drawn["posterior"][f"source_{n}"].to_numpy()[0] for n in ("chain", "draw"))
    assert set(zip(chain.tolist(), draw.tolist(), strict=True)) == set(
        zip(*map(np.ndarray.tolist, np.nonzero(on)), strict=True)
    )
    assert np.isfinite(drawn["posterior"]["w1"]).all()
    assert drawn["posterior"]["w1"].attrs["units"] == "1"
    assert "rung" not in drawn["sample_stats"]


def on_and_off(runs=60, chains=4, draws=600, seed=1):
    """[run, chain, draw] of AR(1) chains about 0, and where a walker is on the target: never for long."""
    rng = np.random.default_rng(seed)
    noise, turn = rng.normal(size=(draws, runs, chains)), rng.uniform(size=(draws, runs, chains)) < 0.1
    x, on = np.empty((draws, runs, chains)), np.empty((draws, runs, chains), bool)
    for i in range(draws):
        x[i] = 0.9 * x[i - 1] + 0.19**0.5 * noise[i] if i else noise[i]
        on[i] = on[i - 1] ^ turn[i] if i else turn[i] ^ True
    return np.moveaxis(x, 0, -1), np.moveaxis(on, 0, -1)


def walker_tree(x, on):
    """What a store of simulated tempering has of one run: NaN off the target, where draws weigh nothing."""
    dims, ensemble = ("chain", "draw"), {"ensemble": ("chain", np.zeros(len(x), int))}
    stats = {"energy": (dims, np.ones_like(x)), "log_weight": (dims, np.where(on, 0.0, -np.inf))}
    groups = {"posterior": {"x": (dims, np.where(on, x, np.nan))}, "sample_stats": stats}
    tree = xr.DataTree.from_dict({name: xr.Dataset(values, ensemble) for name, values in groups.items()})
    tree.attrs["spec"] = "{}"
    return tree


@pytest.mark.parametrize("chains", [True, False])
def test_errors_of_a_summary_are_those_of_the_chains(chains):
    """Mean over its standard error as ArviZ has it, of 60 runs: 1 in rms. In random order it claims far too much."""
    z = []
    for x, on in zip(*on_and_off(), strict=True):
        drawn = resample(walker_tree(x, on), chains=chains)["posterior"]["x"].to_numpy()
        assert np.isfinite(drawn).all()
        z.append(drawn.mean() / array_stats.mcse(drawn, chain_axis=0, draw_axis=1, method="mean"))
    rms = np.sqrt(np.mean(np.square(z)))
    assert 0.75 < rms < 1.3 if chains else rms > 2


def test_a_tempering_store_has_a_summary():
    """Draws of the target alone, by chain and in the order of time; whoever was never there is left out."""
    method = {"name": "langevin", "temperature": 0.3, "stepsize": 0.1, "friction": 1.0}
    run = {"replicas": 8, "steps": 8000, "burn_in": 2000, "thin": 10, "keep": ["parameters"]}
    moves = [{"kind": "tempering", "rungs": 3, "hottest": 1.0, "interval": 10}]
    tree = sample({"target": {"name": "harmonic", "size": 1}, "method": method, "run": run, "moves": moves})
    assert summary(tree["posterior"].to_dataset())["mean"].isna().all(), "as it is: NaN off the target"
    drawn = resample(tree, chains=True)
    draw = drawn["posterior"]["source_draw"].to_numpy()
    assert (np.diff(draw) >= 0).all()
    assert draw.shape[1] == (tree["sample_stats"]["rung"].to_numpy() == 0).sum(axis=1).max()
    assert {"seed", "stream", "stepsize"} <= set(drawn["posterior"].coords)
    square = drawn["posterior"].to_dataset()[["position"]] ** 2
    found = summary(square, round_to="none").iloc[0]
    assert abs(found["mean"] - 0.3) < 4.5 * found["mcse_mean"] < 0.1
    assert found["r_hat"] < 1.1
    rung = tree["sample_stats"]["rung"].to_numpy()
    x = tree["posterior"]["position"].to_numpy()[..., 0]
    on = rung == 0
    on[0] = False
    assert resample(walker_tree(x, on), chains=True)["posterior"].sizes["chain"] == 7
    with pytest.raises(StoreError, match="No chain has a draw"):
        resample(walker_tree(x, on & False), chains=True)


def test_bad_input():
    tree, _ = weighted_tree()
    for draws in (0, -3, 2.5, True):
        with pytest.raises(SpecError, match="no number of draws"):
            resample(tree, draws)
    stats = tree["sample_stats"].to_dataset()
    tree["sample_stats"] = stats.assign(energy=stats["energy"] * np.nan)
    with pytest.raises(StoreError, match="Ensemble 0 has no draw"):
        resample(tree)
