"""Equally weighted draws: means, counts and who is never taken."""

import numpy as np
import pytest
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


def test_bad_input():
    tree, _ = weighted_tree()
    for draws in (0, -3, 2.5, True):
        with pytest.raises(SpecError, match="no number of draws"):
            resample(tree, draws)
    stats = tree["sample_stats"].to_dataset()
    tree["sample_stats"] = stats.assign(energy=stats["energy"] * np.nan)
    with pytest.raises(StoreError, match="Ensemble 0 has no draw"):
        resample(tree)
