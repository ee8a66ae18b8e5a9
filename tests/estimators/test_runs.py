"""The estimator of a run: what the run itself predicts, and its own file."""

import numpy as np
import pytest
from estimator_cases import SMALL, classes, numbers

import gpu_thermo as gt
from gpu_thermo.errors import SpecError
from gpu_thermo.estimators import from_run, load
from gpu_thermo.estimators.runs import labels_of
from gpu_thermo.estimators.table import Wanted, plan_table


def planned(path, x, y, log=False):
    """A table in a file, made ready for a small run."""
    text = "\n".join(f"{a:.6f},{b:.6f},{'u' if a > 0 else 'v'},{c}" for (a, b), c in zip(x, y, strict=True))
    path.write_text("a,b,c,y\n" + text + "\n")
    small = {"hidden": SMALL["hidden"], "replicas": 32, "tolerance": 0.2, "max_gradients": 3_000}
    return plan_table(path, "y", wanted=Wanted(log=log), **small)


def test_of_numbers(tmp_path):
    x, y = numbers()
    plan = planned(tmp_path / "t.csv", x, y)
    tree = gt.sample(plan.spec, tmp_path / "run.zarr")
    model = from_run(tmp_path / "run.zarr", draws=10**6)
    table = {"a": x[:, 0], "b": x[:, 1], "c": np.where(x[:, 0] > 0, "u", "v")}
    found = gt.predict(tree, table, 0)
    frame = pytest.importorskip("pandas").DataFrame(table)
    np.testing.assert_allclose(model.predict(frame), found["mean"].squeeze(), rtol=1e-5)
    np.testing.assert_allclose(
        model.predict_quantiles(frame), found["quantiles"].squeeze().transpose("point", "quantile"), rtol=1e-5
    )
    assert model.n_features_in_ == 3
    assert model.trust_.text
    assert model.repeatable_
    model.save(tmp_path / "m.npz")
    again = load(tmp_path / "m.npz")
    assert again.predict(frame).shape == (len(x),)
    assert (again.repeatable_, again.advice_, model.advice_) == (True, (), ())


def test_of_classes(tmp_path):
    x, y = classes()
    plan = planned(tmp_path / "t.csv", x, np.where(y, "yes", "no"))
    gt.sample(plan.spec, tmp_path / "run.zarr")
    model = from_run(tmp_path / "run.zarr")
    frame = pytest.importorskip("pandas").DataFrame({"a": x[:, 0], "b": x[:, 1], "c": np.where(x[:, 0] > 0, "u", "v")})
    assert model.classes_.tolist() == ["no", "yes"]
    assert model.score(frame, np.where(y, "yes", "no")) > 0.8


@pytest.mark.parametrize(
    ("held", "labels"),
    [
        (["no", "yes"], ["no", "yes"]), (["0", "1", "10"], [0, 1, 10]), (["0.5", "2"], [0.5, 2.0]),
        (["007", "7"], ["007", "7"]), (["False", "True"], [False, True]),
    ],
)  # fmt: skip
def test_labels_are_those_of_the_table(held, labels):
    """Numbers as numbers, so that they may be compared with the table's; names of digits as texts."""
    found = labels_of(held)
    assert found.tolist() == labels
    assert found.dtype == np.array(labels).dtype


def test_other_runs_are_refused():
    with pytest.raises(SpecError, match="did not tune itself"):
        from_run(gt.sample({"run": {"steps": 20, "burn_in": 0, "thin": 10, "replicas": 4}}))
