"""Rows of a study by cell or field."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from gpu_thermo.errors import SpecError
from gpu_thermo.study import comparisons, open_study, summaries
from gpu_thermo.study.tables import best_group, failures, paired

# -- numbers -----------------------------------------------------------------------------------------------------------


def test_tables(small: Path):
    """Groups by cell or by any field; paired comparisons; unknown names with the nearest."""
    study = open_study(small)
    rows = summaries(study)
    assert list(rows) == ["sgd", "adlala", "thick"]
    assert rows["adlala"].mean == pytest.approx(float(study["accuracy"][5:10].mean()))
    assert list(summaries(study, "nll", ["method"])) == ["sgd", "adlala", "thick"]
    assert [c.pairs for c in comparisons(study)] == [5, 5, 5]
    with pytest.raises(SpecError, match="Did you mean 'accuracy'"):
        summaries(study, "acuracy")
    with pytest.raises(SpecError, match="Did you mean 'stepsize'"):
        summaries(study, by=["stepsiz"])


# -- runs without a value ----------------------------------------------------------------------------------------------


def survivors(times, status=None, steps=3000, cells=("sure", "lucky"), study="{}"):
    """A study of one outcome, times to 90 %, [cell, seed]."""
    times = np.asarray(times, float)
    count, seeds = times.shape
    chain = {
        "steps_to_90": times.ravel(), "loss": np.where(np.isnan(times), 0.7, 0.1).ravel(),
        "status": np.zeros(times.size, int) if status is None else np.ravel(status),
        "cell": np.repeat(np.arange(count), seeds), "seed_index": np.tile(np.arange(seeds), count),
    }  # fmt: skip
    out = xr.Dataset({name: ("chain", v) for name, v in chain.items()}, {"step": np.arange(100, steps + 1, 100)})
    out = out.set_coords(["cell", "seed_index"])
    return out.assign_attrs(cells=json.dumps(list(cells)), study=study)


def test_who_never_gets_there_is_later_than_the_end():
    """2 of 24 runs at 2600 on average are no mean of 2600, and beat nobody."""
    times = np.full((2, 24), np.nan)
    times[0, :2], times[1, 3:] = [2500, 2700], 2900
    study = survivors(times)
    sure, lucky = summaries(study, "steps_to_90").values()
    assert (sure.count, sure.attempted, sure.median, sure.end) == (2, 24, np.inf, 3000)
    assert np.isnan(sure.mean)
    assert (lucky.count, lucky.median) == (21, 2900)
    (c,) = comparisons(study, "steps_to_90")
    assert (c.pairs, c.finished, c.clear, c.wins) == (24, 0, True, (21 + 0.5) / 24)
    assert best_group(paired(study, "steps_to_90"), lower=True) == "lucky"


def test_the_best_is_not_who_survives():
    """Of many groups the reference is not the one whose few survivors are best."""
    groups = {"sure": np.full(8, 0.8), "lucky": np.array([0.99, 0.98] + [-np.inf] * 6)}
    assert best_group(groups, lower=False) == "sure"
    assert best_group({name: v[:2] for name, v in groups.items()}, lower=False) == "lucky"
    assert best_group({"none": np.full(3, np.nan)} | groups, lower=False) == "sure"


def test_merged_runs_of_a_seed():
    """Several runs at a seed are averaged; with one missing, it is their median, in which that one comes last."""
    times = [[100, 100, 100], [300, np.nan, np.nan], [200, 200, np.nan]]
    study = survivors(times, cells=("a", "b", "c"))
    study = study.assign_coords(kind=("chain", np.zeros(9)))
    (merged,) = paired(study, "steps_to_90", ["kind"]).values()
    assert merged.tolist() == [200.0, 200.0, np.inf]
    waiting = survivors(times, status=[[0] * 3, [-1] * 3, [0] * 3], cells=("a", "b", "c"))
    assert np.isnan(paired(waiting, "steps_to_90")["b"]).all()


def test_failed_runs_are_named():
    """By status, and of older studies by a loss that is not finite."""
    study = survivors(np.full((2, 4), 100.0), status=[[0, 3, 3, -1], [0, 0, 0, 0]])
    study["loss"][5] = np.nan
    found = [(f["group"], f["runs"], f["attempted"], f["cause"]) for f in failures(study)]
    assert found == [("sure", 2, 3, "nonfinite_position"), ("lucky", 1, 4, "nonfinite_loss")]


def test_million_runs_are_paired_at_once():
    """However many of them are missing."""
    random = np.random.default_rng(0)
    times = np.where(random.uniform(size=(4, 250_000)) < 0.5, np.nan, 100.0)
    assert all(np.isinf(v).mean() > 0.4 for v in paired(survivors(times, cells="abcd"), "steps_to_90").values())
