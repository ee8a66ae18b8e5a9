"""Comparisons run: end to end, resumed, used again; ladders and networks judged."""

import json
from pathlib import Path

import numpy as np
import pytest
from comparison_cases import ALONE, EXCHANGE, LADDER, SGLD, spec

from gpu_thermo.averages.predictive import predict, restored_data
from gpu_thermo.averages.scores import scores
from gpu_thermo.errors import SpecError, StoreExistsError
from gpu_thermo.run import resume, sample
from gpu_thermo.store import open_run, read_header
from gpu_thermo.study.compare import compare_methods
from gpu_thermo.study.entries import ComparisonSpec
from gpu_thermo.study.measures import (
    read_draws,
)

# -- runs --------------------------------------------------------------------------------------------------------------


def test_a_comparison_end_to_end_and_again(tmp_path: Path) -> None:
    given = spec([ALONE, EXCHANGE | {"watch": True}])
    done = compare_methods(given, tmp_path, device="cpu", threads=1, name="test")
    alone, exchange = done.rows
    assert alone["measures"]["modes"]["mean"] == 1
    assert alone["measures"]["mode_error"]["mean"] == pytest.approx(0.4, abs=1e-3)
    assert (exchange["chains"], exchange["all"]["draws"], exchange["replicas"]) == (4, 4 * 30, 16)
    assert exchange["round_trips_per_replica"] > 0
    assert exchange["measures"]["modes"]["mean"] > 1
    record = json.loads((tmp_path / "comparison.json").read_text())
    assert record["rows"][0]["gradients"] == record["rows"][1]["gradients"]
    assert len((tmp_path / "comparison.csv").read_text().splitlines()) == 3
    made = read_header(tmp_path / "alone.zarr").created_at
    assert compare_methods(given, tmp_path, device="cpu", threads=1).rows[0]["measures"] == alone["measures"]
    assert read_header(tmp_path / "alone.zarr").created_at == made  # used as it was
    _the_watched_run_is_the_same(tmp_path)
    changed = spec([ALONE | {"method": SGLD | {"stepsize": 0.2}}])
    with pytest.raises(StoreExistsError, match=r"alone\.zarr' is of another run"):
        compare_methods(changed, tmp_path)
    other = compare_methods(changed, tmp_path, device="cpu", threads=1, overwrite=True)
    assert other.rows[0]["measures"] != alone["measures"]


def _the_watched_run_is_the_same(folder: Path) -> None:
    """Its replicas are those of the first group, bit for bit."""
    with np.load(folder / "watch-with-exchange.npz") as found, open_run(folder / "with-exchange.zarr") as run:
        held = run["posterior_rungs"]
        draws, steps = held["position"].to_numpy()[:4, :, 0], held["step"].to_numpy()
        at = np.isin(found["step"], steps)
        assert at.sum() > 5
        assert np.array_equal(found["position"][at, :, 0].T, draws[:, np.isin(steps, found["step"])])


def test_an_unfinished_entry_is_resumed(tmp_path: Path) -> None:
    given = spec([ALONE])
    whole = compare_methods(given, tmp_path / "whole", device="cpu", threads=1)
    folder = tmp_path / "cut"
    folder.mkdir()
    sample(given.plan()[0].spec, folder / "alone.zarr", device="cpu", threads=1, time_limit=1e-9).close()
    assert read_header(folder / "alone.zarr").step < 400
    again = compare_methods(given, folder, device="cpu", threads=1)
    assert again.rows[0]["measures"] == whole.rows[0]["measures"]
    with pytest.raises(SpecError):
        resume(folder / "alone.zarr", draws=-1)


def test_ladders_are_read_as_the_chain_of_their_target_rung(tmp_path: Path) -> None:
    run = {"replicas": 8, "steps": 200, "burn_in": 0, "thin": 10, "trace": 200}
    target = {"name": "mixture", "preset": "two_modes"}
    with sample({"target": target, "method": SGLD, "moves": [LADDER], "run": run}, device="cpu", threads=1) as tree:
        draws, rung = read_draws(tree, 2, 4), tree["sample_stats_rungs"]["rung"].to_numpy()
        position = tree["posterior_rungs"]["position"].to_numpy()
    assert draws.position.shape == (2, 20, 1)
    assert draws.weight.min() == 1
    for ladder in range(2):
        for t in range(20):
            (who,) = np.flatnonzero(rung[4 * ladder : 4 * ladder + 4, t] == 0)
            assert draws.position[ladder, t, 0] == position[4 * ladder + who, t, 0]


def test_networks_are_judged_by_single_draws_and_by_averages(tmp_path: Path) -> None:
    adam = {"label": "adam", "method": {"name": "adam", "stepsize": 0.01}}
    moves = [{"kind": "exchange", "rungs": 2, "hottest": 0.05, "interval": 10}]
    ladder = {"label": "ladder", "method": {"name": "langevin", "temperature": 0.02, "stepsize": 0.2}, "moves": moves}
    given = ComparisonSpec.from_dict(
        {
            "group": 4,
            "data": {"name": "moons", "train": 40, "test": 50, "noise": 0.2},
            "model": {"hidden": 4},
            "run": {"replicas": 8, "steps": 200, "burn_in": 100, "thin": 20, "trace": 100, "batch": 10},
            "entry": [adam, ladder],
        }
    )
    done = compare_methods(given, tmp_path, device="cpu", threads=1)
    assert done.record["exact"] is None
    with open_run(tmp_path / "adam.zarr") as tree:
        data = restored_data(tree)
        assert done.rows[0]["measures"]["accuracy_single"]["mean"] == pytest.approx(
            float(tree["sample_stats"]["test_accuracy"].mean())
        )
        half = tree.isel(chain=slice(0, 4))
        average = scores("binary", predict(half, data.x_test[0], 0)["mean"].to_numpy(), data.y_test[0])
        rest = scores(
            "binary", predict(tree.isel(chain=slice(4, 8)), data.x_test[0], 0)["mean"].to_numpy(), data.y_test[0]
        )
    assert done.rows[0]["measures"]["nll_average"]["mean"] == pytest.approx(
        (average["nll"] + rest["nll"]) / 2, rel=1e-5
    )
    with open_run(tmp_path / "ladder.zarr") as tree:
        expected = float(tree["sample_stats"]["test_nll"].mean())
    assert done.rows[1]["measures"]["nll_single"]["mean"] == pytest.approx(expected)
    assert done.rows[1]["chains"] == 4
