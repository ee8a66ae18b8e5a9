"""Named parts of a potential's coordinates, points of its data, and what a store says of both."""

import numpy as np
import pytest

import gpu_thermo as gt
from gpu_thermo.errors import SpecError
from gpu_thermo.targets.own.partitions import partitioned

NAMES = ("a", "b0", "b1", "b2")
STIFFNESS = np.array([1.0, 4.0, 4.0, 4.0])
DATA = np.random.default_rng(9).normal([1.0, -2.0], size=(30, 2))


def well(**options):
    return gt.UserPotential(
        lambda q: (STIFFNESS * q * q).sum(-1) / 2, 4, lambda q: STIFFNESS * q, coordinates=NAMES, **options
    )


def mean_of(x, batch):
    """[R or 1, B, 2] points of each replica."""
    return x[None] if batch is None else x[batch]


def cloud(q, batch):
    """Half the mean squared distance from the points, and its gradient."""
    off = q[:, None] - mean_of(DATA, batch)
    return (off * off).sum(-1).mean(-1) / 2, off.mean(axis=1)


def test_parts_are_ranges():
    layout = partitioned(4, NAMES, {"first": ["a"], "rest": 3})
    assert layout.tensors == {"first": (1,), "rest": (3,)}
    assert layout.partition("layer").names == ("first", "rest")
    assert layout.lanes.tolist() == [0, 1, 2, 3]
    for parts, said in (
        ({"a": 1, "b": 2}, r"have 3 coordinates \(a 1, b 2\), the potential 4"),
        ({"x": ["b0"], "y": 3}, r"'x' is \['b0'\], and the coordinates that follow are \['a'\]"),
        ({"x": 0, "y": 4}, "'x' = 0: give how many"),
        ({"x": True, "y": 3}, "'x' = True"),
        ({"x": "a", "y": 3}, "'x' = 'a'"),
        ({"all": 4}, "has no name for a spec"),
        ({"x y": 4}, "has no name for a spec"),
    ):
        with pytest.raises(SpecError, match=said):
            partitioned(4, NAMES, parts)


def test_words_and_temperatures_by_part():
    """Each part has its own temperature, exactly (BAOAB on a harmonic well); the store names coordinates and parts."""
    spec = {
        "target": {"name": "custom", "size": 4},
        "method": {
            "name": "splitting", "word": {"first": "BAOAB", "rest": "BAOAB"}, "stepsize": 0.5, "friction": 1.0,
            "temperature": {"first": 1.0, "rest": 0.25},
        },
        "run": {"replicas": 4000, "steps": 100, "burn_in": 99, "thin": 1, "trace": 100},
    }  # fmt: skip
    run = gt.sample(spec, potential=well(partitions={"first": 1, "rest": ["b0", "b1", "b2"]}))
    position = run["posterior"]["position"]
    assert position.dims == ("chain", "draw", "coordinate")
    assert position["coordinate"].values.tolist() == list(NAMES)
    assert run["sample_stats"]["partition"].values.tolist() == ["first", "rest"]
    for name, tau, stiffness in (("a", 1.0, 1.0), ("b1", 0.25, 4.0)):
        square = (position.sel(coordinate=name).to_numpy().ravel() ** 2) * stiffness
        error = square.std() / np.sqrt(len(square))
        assert abs(square.mean() - tau) < 4.5 * error
        assert abs(square.mean() - 1.2 * tau) > 4.5 * error, "a temperature 20 % off would be seen"


def test_a_run_on_points_takes_minibatches(tmp_path):
    """Its gradient noise is that of the batch: seen in the spread of SGD without noise of its own; and it resumes."""
    spec = {
        "target": {"name": "custom", "size": 2}, "method": {"name": "sgd", "stepsize": 0.1},
        "run": {"replicas": 3000, "steps": 100, "burn_in": 99, "thin": 1, "trace": 100, "batch": 5},
    }  # fmt: skip
    potential = gt.UserPotential(cloud, 2, points=30)
    run = gt.sample(spec, potential=potential)
    position = run["posterior"]["position"].to_numpy()[:, 0]
    # q' = (1 - h) q + h mean(batch): variance h/(2 - h) times that of a mean of 5 of 30 points without replacement
    wanted = 0.1 / 1.9 * DATA.var(axis=0, ddof=1) / 5 * (1 - 5 / 30)
    error = wanted * np.sqrt(2 / 3000)
    assert (abs(position.var(axis=0) - wanted) < 4.5 * error).all()
    assert (abs(position.var(axis=0) - 1.25 * wanted) > 4.5 * error).all(), "batches of 4 would be seen"
    path = tmp_path / "run.zarr"
    gt.sample(spec, path, potential=potential, time_limit=0)
    again = gt.resume(path, potential=gt.UserPotential(cloud, 2, points=30))
    np.testing.assert_array_equal(again["posterior"]["position"][:, 0], position)
    fewer = gt.UserPotential(
        lambda q, b: cloud(q, np.tile(np.arange(29), (len(q), 1)) if b is None else b), 2, points=29
    )
    with pytest.raises(SpecError, match="not the one this run was started with"):
        gt.resume(path, draws=1, potential=fewer)
    with pytest.raises(SpecError, match=r"run\.batch is about data"):
        gt.plan(spec, potential=gt.UserPotential(lambda q: cloud(q, None), 2))


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda q, b: tuple(30 * v for v in cloud(q, b)) if b is None else cloud(q, b), "by their numbers is"),
        (lambda q, b: tuple((30 if b is None else b.shape[1]) * v for v in cloud(q, b)), "mean over two parts"),
        (lambda q, b: (cloud(q, b)[0], cloud(q, None)[1]), "The gradient of all 30 points"),
    ],
)
def test_what_is_no_mean_over_the_batch_is_refused(function, said):
    if "gradient" in said:
        function = lambda q, b: (cloud(q, b)[0], cloud(q, b)[1] * (1 if b is None else b.shape[1] / 30))  # noqa: E731
    with pytest.raises(SpecError, match=said):
        gt.UserPotential(function, 2, points=30)


def test_counts_that_are_no_counts():
    for points in (-1, 2.5, True, "many"):
        with pytest.raises(SpecError, match="is no number of points"):
            gt.UserPotential(cloud, 2, points=points)
