"""Comparison of methods: equal gradients, measures against known answers, runs that are used again."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gpu_thermo_analysis
from gpu_thermo.averages.predictive import predict, restored_data
from gpu_thermo.averages.scores import scores
from gpu_thermo.errors import SpecError, StoreExistsError
from gpu_thermo.run import resume, sample
from gpu_thermo.store import open_run, read_header
from gpu_thermo.study.compare import compare_methods
from gpu_thermo.study.entries import ComparisonSpec
from gpu_thermo.study.measures import (
    Draws,
    density_of,
    effective_draws,
    exact_density,
    independent_distance,
    mode_changes,
    modes_found,
    on_potential,
    read_draws,
    total_variation,
)
from gpu_thermo.targets.analytic.mixture import GaussianMixture

DEMOS = sorted((Path(gpu_thermo_analysis.__file__).parent / "demos").glob("*.toml"))
SGLD = {"name": "sgld", "stepsize": 0.1, "temperature": 1.0}
LADDER = {"kind": "exchange", "rungs": 4, "hottest": 12.0, "interval": 5}
TWO = GaussianMixture([-6.0, 4.0], 1.0, [0.4, 0.6])


def spec(entries: list[dict[str, Any]], **rest: Any) -> ComparisonSpec:
    tree = {
        "group": 4, "target": {"name": "mixture", "preset": "two_modes", "start": [4.0]},
        "grid": {"low": -12.0, "high": 12.0, "cells": 40},
        "run": {"replicas": 16, "steps": 400, "burn_in": 100, "thin": 10, "trace": 100}, "entry": entries,
    }  # fmt: skip
    return ComparisonSpec.from_dict(tree | rest)


ALONE = {"label": "alone", "method": SGLD}
EXCHANGE = {"label": "with exchange", "method": SGLD, "moves": [LADDER]}


# -- equal gradients ---------------------------------------------------------------------------------------------------


def test_all_entries_evaluate_as_many_gradients() -> None:
    two_gradients = {
        "label": "two gradients",
        "method": {"name": "splitting", "word": "BABABO", "partition": "all", "temperature": 1.0},
    }
    longer = ALONE | {"label": "longer", "run": {"steps": 1600, "burn_in": 400}}
    plans = {p.entry.label: p for p in spec([ALONE, EXCHANGE, longer, two_gradients]).plan()}
    assert {p.gradients for p in plans.values()} == {16 * 400}
    assert {p.groups for p in plans.values()} == {4}
    assert (plans["alone"].chains, plans["with exchange"].chains) == (16, 4)  # a ladder is one chain
    assert (plans["longer"].spec.run.replicas, plans["longer"].group, plans["longer"].spec.run.steps) == (4, 1, 1600)
    half = plans["two gradients"]
    assert (half.gradients_per_step, half.spec.run.steps, half.spec.run.burn_in, half.spec.run.thin) == (2, 200, 50, 5)


@pytest.mark.parametrize("scale", [0.5, 0.13, 0.01])
def test_a_smaller_comparison_is_still_equal(scale: float) -> None:
    plans = spec([ALONE, EXCHANGE, ALONE | {"label": "longer", "run": {"steps": 1600, "burn_in": 400}}]).plan(scale)
    gradients = [p.gradients for p in plans]
    assert max(gradients) == min(gradients) < 16 * 400
    assert all(p.groups >= 2 and p.spec.run.draws >= 1 for p in plans)


@pytest.mark.parametrize(("entry", "message"), [
    ({"label": "a", "method": {"name": "sglt"}}, r"Entry 'a': .*sgld"),
    (EXCHANGE | {"moves": [LADDER | {"rungs": 3}]}, "group of 4 replicas does not fill ladders of 3 rungs"),
    (ALONE | {"run": {"steps": 700, "burn_in": 100}}, r"4 x 400 / \(700 x 1\) = 2.28571"),
    (ALONE | {"run": {"replicas": 3}}, "replicas follow from steps"),
    (ALONE | {"runs": {}}, "runs"),
])  # fmt: skip
def test_what_cannot_be_compared_is_refused(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        spec([entry]).plan()


def test_specs_that_contradict_themselves() -> None:
    with pytest.raises(SpecError, match="same label"):
        spec([ALONE, ALONE | {"label": "Alone"}])
    with pytest.raises(SpecError, match="not a multiple of group"):
        spec([ALONE], run={"replicas": 6, "steps": 10, "burn_in": 0, "thin": 1}).plan()
    with pytest.raises(SpecError, match="takes the place"):
        spec([ALONE], data={"name": "spirals"})
    three = spec([ALONE], target={"name": "double_well", "size": 3})
    with pytest.raises(SpecError, match="3 coordinates"):
        compare_methods(three, Path("/nonexistent"))


@pytest.mark.parametrize("path", DEMOS, ids=lambda p: p.stem)
def test_demonstrations_are_equal(path: Path) -> None:
    plans = ComparisonSpec.from_toml(path).plan()
    assert len({p.gradients for p in plans}) == 1
    assert len({p.groups for p in plans}) == 1
    assert plans[0].groups >= 30


def test_published_settings_are_in_the_demonstrations() -> None:
    assert [p.stem for p in DEMOS] == [
        "double_well", "plane", "spirals_annealing", "spirals_exchange", "twenty_five", "two_modes", "two_narrow",
    ]  # fmt: skip
    plans = {(path.stem, p.entry.slug): p.spec for path in DEMOS for p in ComparisonSpec.from_toml(path).plan()}
    plane, cyclical = plans["plane", "contour-sgld"], plans["twenty_five", "cyclical-sgld"]
    contour = plane.moves[0]
    assert (plane.run.steps, plane.run.burn_in, plane.method.stepsize.value) == (200_000, 5000, 1e-3)  # type: ignore[union-attr]
    assert (contour.zeta, contour.bins, contour.omega, contour.omega_max) == (0.75, 100, (10.0, 0.8, 100.0), 3e-3)  # type: ignore[union-attr]
    assert (cyclical.run.steps, cyclical.moves[0].cycles, cyclical.moves[0].gradient_noise_sd) == (50_000, 30, 1.0)  # type: ignore[union-attr]
    seeds = [p.run.replicas for (name, _), p in plans.items() if name == "spirals_annealing"]
    assert min(seeds) >= 100
    ladders = [p for p in ComparisonSpec.from_toml(DEMOS[3]).plan() if p.entry.rungs > 1]
    assert len(ladders) == 3
    assert all(p.groups >= 50 for p in ladders)


# -- measures ----------------------------------------------------------------------------------------------------------


def exact_draws(chains: int, draws: int, seed: int = 0, left: float = 0.4) -> Draws:
    """Independent draws from the mixture, the left mode with weight `left`."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(chains, draws)) + np.where(rng.random((chains, draws)) < left, -6.0, 4.0)
    return Draws(x[..., None], np.ones((chains, draws)), np.arange(chains))


EXACT = exact_density(TWO, 1.0, -12.0, 12.0, 40)


def test_the_exact_density_and_its_modes() -> None:
    assert EXACT.modes[:, 0] == pytest.approx([4.0, -6.0], abs=0.01)
    assert EXACT.mode_sd == pytest.approx([1.0, 1.0], rel=1e-3)
    assert EXACT.mode_weight == pytest.approx([0.6, 0.4], abs=1e-4)
    assert EXACT.variance[0] == pytest.approx(1 + 0.24 * 100, rel=1e-4)
    grid = [[x, y] for x in (-4.0, -2.0, 0.0, 2.0, 4.0) for y in (-4.0, -2.0, 0.0, 2.0, 4.0)]
    many = exact_density(GaussianMixture(grid, 0.03**0.5), 1.0, -5.0, 5.0, 50)
    assert len(many.modes) == 25
    assert sorted(map(tuple, many.modes.round(1) + 0.0)) == sorted(map(tuple, grid))
    assert many.mode_weight == pytest.approx(np.full(25, 0.04), rel=0.02)


def test_distance_is_that_of_as_many_independent_draws_and_sees_a_wrong_weight() -> None:
    found = on_potential(exact_draws(200, 400), EXACT)
    expected = independent_distance(EXACT.probability, 400)
    error = found["tv"].std() / math.sqrt(200)
    assert (
        abs(found["tv"].mean() - expected) < 5 * error + 0.02 * expected
    )  # the normal approximation is good to about 2 %
    assert abs(found["mean_error"].mean() * 400 - 1) < 5 * math.sqrt(2 / 200)  # one exact variance over the draws
    wrong = on_potential(exact_draws(200, 400, left=0.45), EXACT)
    assert wrong["all"]["tv"] == pytest.approx(0.05, abs=0.01)
    assert wrong["all"]["wasserstein"] == pytest.approx(0.5, abs=0.05)  # a twentieth travels ten units
    assert wrong["all"]["mode_error"] == pytest.approx(0.05, abs=0.01)


def test_weights_bring_a_wrong_sample_back() -> None:
    flat = exact_draws(100, 400, left=0.8)
    weight = np.where(flat.position[..., 0] < -1, 0.4 / 0.8, 0.6 / 0.2)
    right = on_potential(Draws(flat.position, weight / 3, flat.group), EXACT)
    assert right["all"]["mode_error"] < 0.01
    assert on_potential(flat, EXACT)["all"]["mode_error"] > 0.35  # without them
    assert right["all"]["weight_ess"] == pytest.approx(40_000 / (0.4**2 / 0.8 + 0.6**2 / 0.2), rel=0.02)


def test_what_lies_outside_the_box_counts_as_wrong() -> None:
    away = Draws(np.full((1, 10, 1), 50.0), np.ones((1, 10)), np.zeros(1, int))
    assert total_variation(density_of(away, EXACT.edges), EXACT.probability) == pytest.approx(1.0, abs=1e-6)


def test_effective_draws_are_those_of_the_error() -> None:
    rng = np.random.default_rng(1)
    chains, draws, rho = 1000, 1000, 0.8
    x = np.empty((chains, draws))
    x[:, 0] = rng.normal(size=chains)
    for t in range(1, draws):
        x[:, t] = rho * x[:, t - 1] + math.sqrt(1 - rho**2) * rng.normal(size=chains)
    weight = np.exp(0.7 * x)  # turns N(0, 1) into N(.7, 1)
    means = (weight * x).sum(axis=1) / weight.sum(axis=1)
    truth = 1 / means.var()
    found = np.mean([effective_draws(x[4 * i : 4 * i + 4], weight[4 * i : 4 * i + 4]) / 4 for i in range(40)])
    assert found == pytest.approx(truth, rel=0.2)
    unweighted = np.mean([effective_draws(x[4 * i : 4 * i + 4], np.ones((4, draws))) / 4 for i in range(40)])
    assert unweighted == pytest.approx(draws * (1 - rho) / (1 + rho), rel=0.1)
    assert abs(unweighted / truth - 1) > 0.3  # the weights matter
    assert math.isnan(effective_draws(x[:2], np.zeros((2, draws))))


def test_modes_found_and_changed_by_hand() -> None:
    position = np.array([[4.0, -6.0, -6.5, 4.2], [4.1, 0.0, 4.0, -1.2]])[
        ..., None
    ]  # 0 is nobody's; -1.2 is the left mode's, but far
    both = Draws(position, np.ones((2, 4)), np.array([0, 1]))
    assert modes_found(both.of(0), EXACT).tolist() == [True, True]
    assert modes_found(both.of(1), EXACT).tolist() == [True, False]
    assert mode_changes(both, EXACT) == pytest.approx((2 + 1) / 2)
    unseen = Draws(position, np.array([[1.0, 0, 0, 1], [1, 1, 1, 1]]), np.array([0, 1]))
    assert modes_found(unseen.of(0), EXACT).tolist() == [True, False]  # draws that do not count find nothing
    assert mode_changes(unseen.of(0), EXACT) == 0


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
        draws, steps = run["posterior"]["position"].to_numpy()[:4, :, 0], run["posterior"]["step"].to_numpy()
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
        draws, rung = read_draws(tree, 2, 4), tree["sample_stats"]["rung"].to_numpy()
        position = tree["posterior"]["position"].to_numpy()
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
        stats = tree["sample_stats"].to_dataset()
        on_target = (stats["rung"] == 0).to_numpy()
        expected = (
            stats["test_nll"].to_numpy()[on_target].mean()
        )  # two ladders of each group have the same number of draws there
    assert done.rows[1]["measures"]["nll_single"]["mean"] == pytest.approx(expected)
    assert done.rows[1]["chains"] == 4
