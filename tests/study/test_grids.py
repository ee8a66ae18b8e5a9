"""Cells of a study; studies that are refused before anything is written."""

from pathlib import Path

import pytest
from study_cases import SMALL, changed

from gpu_thermo.errors import SpecError
from gpu_thermo.study import StudySpec, run_study

# -- cells -------------------------------------------------------------------------------------------------------------


def test_products_and_zips():
    """Grid fields multiply, zipped ones go in step, whole sections carry their label."""
    spec = StudySpec.from_dict(
        changed(
            grid={"model": {"hidden": [5, 6]}, "method.stepsize": [0.1, 0.2, 0.3]},
            zip=[{"run.batch": [5, 8], "run.steps": [100, 200]}],
        )
    )
    cells = spec.cells()
    assert len(cells) == 2 * 3 * 2
    assert cells[1].label == "hidden 5, stepsize 0.1, batch 8, steps 200"
    assert {(c.spec.run.batch, c.spec.run.steps) for c in cells} == {(5, 100), (8, 200)}
    assert [c.label for c in StudySpec.from_dict(SMALL).cells()] == ["sgd", "adlala", "thick"]


def test_round_trips():
    """TOML and JSON read back to the same study, infinity included."""
    spec = StudySpec.from_dict(changed(grid={"method": [{"name": "langevin", "friction": float("inf")}]}))
    assert StudySpec.from_toml(spec.to_toml()).cells() == spec.cells()
    again = StudySpec.from_json(spec.to_json())
    assert again.cells() == spec.cells()
    assert again.to_json() == spec.to_json()


@pytest.mark.parametrize(
    ("study", "says"),
    [
        (changed(grdi={}), "Did you mean 'grid'"),
        (changed(grid={"method.temprature": [1e-4]}), r"Did you mean 'temperature'.*in the cell"),
        (changed(grid={"metod.stepsize": [0.1]}), "Did you mean 'method'"),
        (changed(grid={"method.stepsize": []}), "empty list"),
        (changed(grid={"method.stepsize": 0.1}), "not a list"),
        (changed(grid={"method.stepsize": [0.1, 0.2, 0.1]}), "grid.method.stepsize names 0.1 twice"),
        (changed(grid={"method.stepsize": [0.1], "method.sigma": [0, 1, 0]}), "method.sigma names 0 twice"),
        (changed(grid={"run.replicas": [1, 2]}), r"count in \[seeds\]"),
        (
            changed(run={**SMALL["run"], "superchain": 4}),
            r"init = 32, dynamics = 4 and combine = .product. in \[seeds\]",
        ),
        (changed(grid={"run.superchain": [2, 4]}), "shares starts among the replicas of one run"),
        (changed(data={**SMALL["data"], "seed": 4}), r"give data in \[seeds\]"),
        (
            changed(zip=[{"model.hidden": [1, 2], "run.batch": [1, 2, 3]}]),
            "equal length; there are 2 of model.hidden, 3 of run.batch",
        ),
        (changed(grid={"run.batch": [1]}, zip=[{"run.batch": [2]}]), "varied twice"),
        (changed(seeds={"data": 2, "init": 3}), "2 of data, 3 of init"),
        (changed(seeds={"data": [1, 1]}), "none twice"),
        (changed(seeds={"cuont": 2}), "Did you mean 'count'"),
        (changed(study={"accuracies": [95]}), "at most 1"),
        (changed(grid={"method.stepsize": [[0.1, 0.2]]}), "list over replicas"),
        (changed(grid=None, method={"name": "sgd", "sigma": 1.0}), "sigma is not used"),
    ],
)
def test_bad_studies_are_refused_before_anything_is_written(tmp_path: Path, study: dict, says: str):
    """The message names what is wrong; no store appears."""
    with pytest.raises(SpecError, match=says):
        run_study(study, tmp_path / "s.zarr")
    assert not list(tmp_path.iterdir())


def test_a_duration_gives_each_stepsize_its_own_steps():
    """Equal physical times, and as many draws."""
    run = {"duration": {"total": 20.0, "burn_in": 4.0, "thin": 4.0}, "batch": 5}
    tree = {key: value for key, value in SMALL.items() if key != "grid"} | {
        "run": run, "method": {"name": "langevin", "temperature": 1e-3}, "grid": {"method.stepsize": [0.1, 0.2, 0.4]},
    }  # fmt: skip
    runs = [cell.spec.run for cell in StudySpec.from_dict(tree).cells()]
    assert [(r.steps, r.burn_in, r.thin, r.draws) for r in runs] == [
        (200, 40, 40, 4),
        (100, 20, 20, 4),
        (50, 10, 10, 4),
    ]


def test_examples_of_the_page():
    """Every file in docs/studies.md is a study."""
    page = (Path(__file__).parents[2] / "docs" / "studies.md").read_text()
    examples = [part.split("```")[0] for part in page.split("```toml\n")[1:]]
    assert [len(StudySpec.from_toml(text).cells()) for text in examples] == [12, 4, 2]
