"""Entries of a comparison evaluate as many gradients; specs that are refused."""

from pathlib import Path
from typing import Any

import pytest
from comparison_cases import ALONE, DEMOS, EXCHANGE, LADDER, spec

from gpu_thermo.errors import SpecError
from gpu_thermo.study.compare import compare_methods
from gpu_thermo.study.entries import ComparisonSpec

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
    ladders = [p for p in ComparisonSpec.from_toml(DEMOS[3]).plan() if p.rungs > 1]
    assert len(ladders) == 3
    assert all(p.groups >= 50 for p in ladders)
