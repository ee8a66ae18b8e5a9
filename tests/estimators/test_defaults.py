"""What is chosen where nothing is said."""

import numpy as np
import pytest

from gpu_thermo.errors import DataError
from gpu_thermo.estimators import defaults, look
from gpu_thermo.estimators.inputs import dataset
from gpu_thermo.spec.run import RunSpec


def data(rows=40, inputs=4, classes=(), transform=None):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, inputs))
    y = rng.integers(0, 2, rows) if classes else np.exp(x[:, :1])
    names = tuple(f"x{i}" for i in range(inputs))
    task = "binary" if classes else "regression"
    return dataset(task, x, y, None, names, classes, () if classes else ("y",), transform=transform)


def test_they_are_a_spec():
    for one in (data(), data(classes=("no", "yes"))):
        spec = RunSpec.from_dict({"data": {"name": "arrays"}, **defaults.sections(one, seed=3)})
        assert spec.model.layers == defaults.SIZES[0].hidden
        assert spec.run.tolerance == 0.1
        assert spec.run.seed == 3
        assert (spec.model.prior_sd, spec.method.mass) == ("auto", "prior")


def test_the_noise_by_the_number_of_rows():
    assert defaults.likelihood("auto", data(299)) == "gaussian"
    assert defaults.likelihood("auto", data(300)) == "heteroscedastic"
    assert defaults.likelihood("auto", data(300, transform="log")) == "gaussian"
    assert defaults.likelihood("auto", data(classes=("no", "yes"))) is None
    assert defaults.likelihood("student_t", data()) == "student_t"


def steps(rows, parameters, seconds=None):
    size = defaults.SIZES[0]
    return defaults.length(data(rows), size, parameters, size.replicas, seconds)["max_steps"]


def test_work_is_bounded():
    """By rows, parameters and replicas, between the fewest and the most gradients."""
    fewest, most = defaults.GRADIENTS
    size = defaults.SIZES[0]
    assert steps(20, 50) == most
    assert steps(1_999, 5_000_000) == fewest
    between = steps(1_000, 1_000)
    assert fewest < between < most
    assert between * 1_000 * 1_000 * size.replicas == pytest.approx(size.rate * defaults.SECONDS, rel=0.02)
    assert most < steps(20, 50, 60) <= defaults.MOST_GRADIENTS


def run_of(rows, **given):
    return RunSpec.from_dict({"data": {"name": "arrays"}, **defaults.sections(data(rows), seed=3, **given)}).run


def test_large_tables_go_by_minibatches(monkeypatch):
    """From the record's rows on, and not one row before, where a look gains nothing; the spec takes the run."""
    monkeypatch.setattr(look, "gain", lambda *_: 0.0)
    small, large = defaults.SIZES
    before, after = run_of(large.rows - 1), run_of(large.rows)
    assert (before.path, before.minibatch, before.replicas) == (small.path, "full", small.replicas)
    assert (after.path, after.minibatch, after.replicas) == (large.path, "epoch", large.replicas)
    assert defaults.layers("auto", large) == list(large.hidden)
    assert defaults.layers(7, large) == [7]


def test_more_time_makes_minibatches_larger():
    """At as many steps as before and twice as many at most: until they are all points."""
    large = defaults.SIZES[-1]
    runs = [run_of(9_000, max_seconds=20 * 2.0**k) for k in range(7)]
    sizes = [run.batch or 9_000 for run in runs]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[2] < sizes[-1] == 9_000
    assert all(large.steps <= run.max_steps <= 2.01 * large.steps for run in runs[:-2])


def test_what_is_given_stays():
    run = run_of(9_000, replicas=64, max_gradients=1_500)
    assert (run.replicas, run.max_steps) == (64, 1_500)


def test_a_look_at_middling_tables(monkeypatch):
    """It decides on network, path, replicas and points of a step together; the run's own seed is that of the look."""
    seen = []
    monkeypatch.setattr(look, "gain", lambda *given: seen.append(given[1:]) or 2 * defaults.WORTH)
    one, several = defaults.SIZES
    found = defaults.sections(data(1_000), seed=3)
    assert tuple(found["model"]["hidden"]) == several.hidden
    assert (found["run"]["path"], found["run"]["replicas"]) == (several.path, several.replicas)
    assert seen == [(one.hidden, several.hidden, 3)]


def test_too_many_inputs():
    with pytest.raises(DataError, match="3,000 inputs, and at most 2,000"):
        defaults.sections(data(inputs=3_000))
