"""Pictures of comparisons, and the diagnosis of runs on ladders, with contours and on potentials."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from comparison_cases import COMPARISON

from gpu_thermo.errors import StoreError
from gpu_thermo.run import sample
from gpu_thermo.spec.reports import read_reports
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.study.compare import compare_methods
from gpu_thermo.study.entries import ComparisonSpec
from gpu_thermo.targets.analytic.grid import Grid
from gpu_thermo.targets.analytic.mixture import GaussianMixture
from gpu_thermo_analysis import Diagnosis, comparison, diagnose
from gpu_thermo_analysis.comparison import Results, as_markdown
from gpu_thermo_analysis.multimodal import draw, energy_pdf, swaps
from gpu_thermo_analysis.multimodal_draws import counted_draws

LANGEVIN = {"name": "langevin", "stepsize": 0.5, "temperature": 1.0, "friction": 1.0}


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compared")
    compare_methods(ComparisonSpec.from_toml(COMPARISON), folder, device="cpu", threads=1)
    return folder


# -- pictures ----------------------------------------------------------------------------------------------------------


def test_every_picture_with_its_numbers_the_same_twice(compared: Path) -> None:
    names = ["summary", "densities", "energies", "learning_rate", "swaps"]
    assert [p.name for p in draw(compared)] == [f"{name}.png" for name in names]
    before = {name: (compared / f"{name}.svg").read_bytes() for name in names}
    draw(compared)
    assert {name: (compared / f"{name}.svg").read_bytes() for name in names} == before
    rows = list(csv.DictReader((compared / "densities.csv").read_text().splitlines()))
    exact = GaussianMixture([-6.0, 4.0], 1.0, [0.4, 0.6])
    assert sum(float(r["exact"]) for r in rows if r["entry"] == "SGLD") == pytest.approx(1)
    at = {float(r["from"]): float(r["exact"]) for r in rows if r["entry"] == "SGLD"}
    assert at[3.6] == pytest.approx(float(Grid.of(exact, (-12, 12), 4000).coarse(40)[26]), rel=1e-3)


def test_the_energy_picture_is_of_the_histogram_that_the_run_had(compared: Path) -> None:
    """The distance falls, and the exact probabilities are those of the grid."""
    with np.load(compared / "watch-contour.npz") as found:
        assert found["probability"].sum() == pytest.approx(1)
        assert found["log_weight"].shape[1:] == (4, 40)
        assert np.exp(found["log_weight"]).sum(axis=-1) == pytest.approx(np.ones((len(found["time"]), 4)))
        multiplier = found["multiplier"]
    distance = [row[2] for row in energy_pdf(Results.read(compared)).rows]
    assert distance[-1] < distance[0]
    assert (multiplier < 0).any()  # it bounces out
    assert (np.abs(multiplier) <= 5).all()


def test_swap_diagram_has_each_rung_once(compared: Path) -> None:
    rows = swaps(Results.read(compared)).rows
    steps = sorted({row[1] for row in rows})
    for step in steps:
        assert sorted(row[3] for row in rows if row[1] == step) == [0, 1, 2, 3]
    assert len({tuple(row[3] for row in rows if row[1] == step) for step in steps}) > 3  # and they do trade


def test_the_table_has_published_beside_obtained(compared: Path) -> None:
    text = as_markdown(Results.read(compared))
    assert "1 (published 1)" in text
    assert len(text.splitlines()) == 5
    with pytest.raises(StoreError, match="Run gpu-thermo compare first"):
        Results.read(compared / "nowhere")


# -- diagnosis ---------------------------------------------------------------------------------------------------------


def run(moves: list[dict[str, Any]], **rest: Any) -> xr.DataTree:
    tree: dict[str, Any] = {
        "target": {"name": "mixture", "preset": "two_modes"}, "method": LANGEVIN, "moves": moves,
        "run": {"replicas": 8, "steps": 1500, "burn_in": 500, "thin": 10, "trace": 500},
    }  # fmt: skip
    return sample(tree | rest, device="cpu", threads=1)


def text(found: Diagnosis, topic: str) -> tuple[bool | None, str]:
    return next((v.passed, v.text) for v in found.ensembles[0].verdicts if topic in v.topic)


def test_of_a_ladder_only_the_target_rung_is_judged() -> None:
    tree = run([{"kind": "exchange", "rungs": 4, "hottest": 12.0, "interval": 10}])
    found = diagnose(tree)
    one = found.ensembles[0]
    assert "(2 ladders of 4 rungs, 100 draws each)" in one.headline
    assert one.convergence is not None
    assert (one.convergence.chains, one.convergence.draws) == (2, 100)
    on_target = tree["sample_stats_rungs"]["rung"].to_numpy() == 0
    kinetic = tree["sample_stats_rungs"]["kinetic_temperature"].to_numpy()[..., 0]
    (t,) = one.temperatures
    assert t.kinetic == pytest.approx(kinetic[on_target].mean())
    assert kinetic.mean() > 2 * t.kinetic  # the others are hotter, and would have spoilt it
    position, gradient = (
        tree["posterior_rungs"]["position"].to_numpy()[on_target],
        GaussianMixture([-6.0, 4.0], 1.0, [0.4, 0.6]).gradient,
    )
    assert t.configurational == pytest.approx((position * gradient(position)).mean())
    assert text(found, "visits")[0] is True
    assert text(found, "round trips")[0] is True
    assert "importance weights" not in str(found)
    json.dumps(found.to_dict(), allow_nan=False)


def test_a_ladder_that_never_swaps_fails() -> None:
    found = diagnose(
        run([{"kind": "exchange", "rungs": 4, "hottest": 12.0, "interval": 10, "acceptance_factor": 1e-9}])
    )
    assert text(found, "visits")[0] is False
    assert "6 of 8 chains are never there" in text(found, "visits")[1]
    assert text(found, "round trips")[0] is False
    assert text(found, "acceptance")[0] is False


def test_tempered_chains_are_compared_over_as_many_visits_each() -> None:
    tree = run([{"kind": "tempering", "rungs": 3, "hottest": 6.0, "interval": 10}])
    rung = tree["sample_stats"]["rung"].to_numpy()
    counted = counted_draws(tree["sample_stats"].to_dataset(), RunSpec.from_json(tree.attrs["spec"]), np.arange(8))
    assert (rung[counted.chain, counted.draw] == 0).all()
    assert counted.chain.shape[1] >= 4
    assert (np.diff(counted.draw, axis=1) > 0).all()
    assert (counted.chain == counted.chain[:, :1]).all()
    assert len(counted.chain) + counted.left_out == 8
    assert text(diagnose(tree), "visits")[0] is True


def test_a_ladder_with_a_frozen_replica_is_left_out() -> None:
    tree = run([{"kind": "exchange", "rungs": 4, "hottest": 12.0, "interval": 10}])
    found, spec = tree["sample_stats"].to_dataset(), RunSpec.from_json(tree.attrs["spec"])
    every = tree["sample_stats_rungs"].to_dataset()
    counted = counted_draws(found, spec, np.array([1]), every)
    assert counted.label == "1 ladders of 4 rungs"
    assert (counted.chain == 1).all()
    assert counted.left_out == 1
    assert counted.visits == pytest.approx((every["rung"].to_numpy()[4:] == 0).mean(axis=1))
    # stores of before held every replica as a chain
    stats = every.drop_vars(["ladder"]).rename(replica="chain")
    counted = counted_draws(stats, spec, np.delete(np.arange(8), 2))
    assert counted.label == "1 ladders of 4 rungs"
    assert set(np.unique(counted.chain)) <= set(range(4, 8))
    assert counted_draws(stats, spec, np.arange(3)).chain.shape == (0, 100)


def test_contours_report_their_bins() -> None:
    good = diagnose(run([{"kind": "contour", "bins": 40, "lowest": 0.0, "width": 0.5}]))
    assert text(good, "contour")[0] is True
    assert "of 40 bins from 0 to 20 were seen" in text(good, "contour")[1]
    assert text(good, "importance weights")[0] is not None
    narrow = diagnose(run([{"kind": "contour", "bins": 4, "lowest": 2.0, "width": 0.1}]))
    assert text(narrow, "outside")[0] is False
    facts = {"outside": [0.0], "clipped": [0.5], "edges": [0.0, 1.0, 2.0], "never_seen": [1]}
    ((said,),) = (report.verdicts for report in read_reports([{"kind": "contour"} | facts]))
    assert (said.topic, said.passed, said.ensemble) == ("contour: clipped multipliers", None, 0)


def test_potentials_are_judged_by_their_coordinates() -> None:
    apart = diagnose(run([], target={"name": "mixture", "preset": "two_modes", "start_sd": 5.0}))
    assert text(apart, "disagree")[0] is False
    assert "in their coordinates" in text(apart, "disagree")[1]
    assert "moves carry them across" in text(apart, "disagree")[1]
    well = diagnose(run([], target={"name": "harmonic", "size": 3}))
    assert text(well, "convergence")[0] is True
    assert text(well, "configurational")[0] is True
    shared = diagnose(run([], target={"name": "harmonic", "size": 1, "start": [1.0]}))
    assert "All chains start at one place" in text(shared, "shared start")[1]
    boxed = diagnose(run([], target={"name": "plane"}, method=LANGEVIN | {"stepsize": 0.05}))
    assert "in a box" in text(boxed, "configurational")[1]
    bare = {"replicas": 4, "steps": 100, "burn_in": 0, "thin": 10, "keep": []}
    assert 'keep = ["parameters"]' in text(diagnose(run([], run=bare)), "convergence")[1]


def test_a_heuristic_ladder_says_so() -> None:
    facts = {"heuristic": True, "acceptance": [None], "round_trips": 0}
    (report,) = read_reports([{"kind": "exchange", "warnings": []} | facts])
    assert report.verdicts[-1].passed is None
    assert "heuristic" in report.verdicts[-1].text
    assert "heuristic" in report.lines["exchange"]


def test_groups_without_a_value_are_counted():
    """A mean over some of the groups says of how many it is."""
    measure = {"mean": 0.5, "error": 0.01, "missing": 3}
    assert comparison._cell(measure, None, 8) == "0.50(1) (5 of 8 groups)"
    assert comparison._cell(measure | {"missing": 0}, 0.4, 8) == "0.50(1) (published 0.4)"
