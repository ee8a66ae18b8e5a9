"""Networks, likelihoods, priors, weights and starts that cannot be: exit code 2, what is wrong, and what to do."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from cli_cases import call, check_refused, listing, sets

CSV = ["data.name=csv", "data.target=y", "data.split_seed=0"]
COUNTS = [*CSV, "data.path=counts.csv", "model.likelihood=poisson"]
WEIGHTED = [*CSV, "data.path=weighted.csv", 'data.features=["x"]']
ANSWERS = [*CSV, "data.path=answers.csv", 'data.features=["x"]']
ARRAYS = ["data.name=npz", "data.task=multiclass"]

LAYERS = {
    "no units": (["model.hidden=0"], ["0 is no number of hidden units", "1048576"]),
    "negative units": (["model.hidden=-3"], ["-3 is no number of hidden units"]),
    "a layer without units": (["model.hidden=[4, 0, 4]"], ["0 (layer 2)", "no number of hidden units"]),
    "half a unit": (["model.hidden=[4, 2.5]"], ["2.5 (layer 2)", "whole number"]),
    "no layers": (["model.hidden=[]"], ["these are 0", "[16, 16]"]),
    "too many layers": ([f"model.hidden={[2] * 200}"], ["these are 200", "hidden layers"]),
    "too wide": (["model.hidden=10000000"], ["10000000 is no number of hidden units"]),
    "a million units": (["model.hidden=[1000000, 1000000]"], ["memory", "GiB"]),
    "units in words": (["model.hidden=many"], ["'many' is no number of hidden units"]),
    "an activation nobody knows": (["model.activation=rleu"], ["model.activation", "rleu", "relu"]),
    "an activation without a slope": (["model.activation=step"], ["model.activation", "step", "relu"]),
}
LIKELIHOODS = {
    "a likelihood nobody knows": (["model.likelihood=guassian"], ["model.likelihood", "gaussian"]),
    "a likelihood of another task": (["model.likelihood=gaussian"], ["gaussian", "regression", "bernoulli"]),
    "negative counts": ([*COUNTS, "data.target=minus"], ["poisson", "-1", "whole numbers from 0"]),
    "counts that are no whole numbers": ([*COUNTS, "data.target=half"], ["poisson", "2.5", "whole numbers from 0"]),
    "counts without end": ([*COUNTS, "data.target=huge"], ["poisson", "1e+12", "whole numbers from 0"]),
    "dof 0": (["data.name=gap", "model.likelihood=student_t", "model.dof=0"], ["model.dof", "0", "greater than 0"]),
    "dof below 0": (["data.name=gap", "model.likelihood=student_t", "model.dof=-2"], ["model.dof", "greater than 0"]),
    "dof of a gaussian": (["data.name=gap", "model.dof=3"], ["model.dof", "student_t", "leave it out"]),
    "noise 0": (["data.name=gap", "model.noise_sd=0"], ["0 is no noise", '"learn"']),
    "noise below 0": (["data.name=gap", "model.noise_sd=-1"], ["-1 is no noise", '"learn"']),
    "noise of classes": (["model.noise_sd=0.1"], ["model.noise_sd", "gaussian", "leave it out"]),
    "noise of counts": ([*COUNTS, "data.target=y", "model.noise_sd=0.1"], ["model.noise_sd", "poisson"]),
    "three labels of a bernoulli": (
        [*CSV, "data.path=labels.csv", "data.task=multiclass", "model.likelihood=bernoulli"],
        ["bernoulli", "multiclass", "categorical"],
    ),
    "class weights of numbers": (["data.name=gap", "model.class_weight=balanced"], ["class_weight", "leave it out"]),
}
ANSWERED = {
    "a label that is none": ([*ARRAYS, "data.path=label_nan.npz"], ["label_nan.npz", "y[7] is nan", "finite"]),
    "a label beyond all numbers": ([*ARRAYS, "data.path=label_inf.npz"], ["label_inf.npz", "y[7] is inf", "finite"]),
    "a label for each class": ([*ARRAYS, "data.path=onehot.npz"], ["(60, 3)", "one label for each", "argmax"]),
    "three labels of two": (
        [*ARRAYS, "data.path=three.npz", "data.task=binary"],
        ["three.npz", "3 classes ('0', '1', '2')", "two", 'task = "multiclass"'],
    ),
    "one label of several": ([*ANSWERS, "data.target=alike", "data.task=multiclass"], ["alike", "one class only"]),
    "half a label of a bernoulli": (
        [*ANSWERS, "data.target=half", "model.likelihood=bernoulli"],
        ["'half'", "3 classes ('0', '0.5', '1')", "bernoulli", "two", "not whole numbers", 'task = "regression"'],
    ),
    "probabilities of a bernoulli": (
        [*ANSWERS, "data.target=p", "model.likelihood=bernoulli"],
        ["'p'", "60 classes", "bernoulli", "not whole numbers", 'task = "regression"'],
    ),
    "half a label in arrays": (
        ["data.name=npz", "data.path=half.npz", "model.likelihood=bernoulli"],
        ["half.npz", "3 classes ('0', '0.5', '1')", "bernoulli", 'task = "regression"'],
    ),
}
PRIORS = {
    "scale 0": (["model.prior_sd=0"], ["0 is no scale of a prior", "greater than 0"]),
    "negative scale": (["model.prior_sd=-1"], ["-1 is no scale of a prior"]),
    "a scale whose square is no number": (["model.prior_sd=1e308"], ["no scale of a prior", "1e-15 to 1e+15"]),
    "a noise whose square is no number": (["data.name=gap", "model.noise_sd=1e308"], ["no noise", "1e-15 to 1e+15"]),
    "infinite scale": (["model.prior_sd=inf"], ["inf is no scale of a prior"]),
    "negative scale of a layer": (["model.prior_sd={hidden=1, output=-1}"], ["-1 of output", "no scale of a prior"]),
    "a layer that is none": (["model.prior_sd={hiden=1, output=1}"], ["hiden", "hidden", "output"]),
    "a layer left out": (["model.prior_sd={hidden=1}"], ["no scale for output"]),
    "a prior nobody knows": (["model.prior=cauchy", "model.prior_sd=1"], ["model.prior", "cauchy", "student_t"]),
    "a law without its scale": (["model.prior=laplace"], ["laplace", "prior_sd"]),
    "starts of no prior": (["model.init=prior"], ['init = "prior"', "prior_sd"]),
}
WEIGHTS = {
    "negative weight": ([*WEIGHTED, "data.weight=minus"], ["weight of training point", "is -1", "not negative"]),
    "a weight that is missing": ([*WEIGHTED, "data.weight=gap"], ["weighted.csv", "line 9", "gap"]),
    "a weight that is no number": ([*WEIGHTED, "data.weight=lost"], ["weighted.csv", "line 9", "lost", "missing"]),
    "a weight without end": ([*WEIGHTED, "data.weight=endless"], ["weighted.csv", "line 9", "endless", "finite"]),
    "a weight in words": ([*WEIGHTED, "data.weight=words"], ["weighted.csv", "line 9", "words", "not a number"]),
    "no weight at all": ([*WEIGHTED, "data.weight=nothing"], ["all weights", "0", "positive"]),
    "a weight that is no column": ([*WEIGHTED, "data.weight=ww"], ["weighted.csv", "ww"]),
    "a NaN among weights of arrays": (
        ["data.name=npz", "data.path=weight_nan.npz"], ["weight_nan.npz", "weight[7] is nan", "finite"],
    ),
    "a negative one among them": (["data.name=npz", "data.path=weight_minus.npz"], ["is -2", "not negative"]),
    "nothing but zeros among them": (["data.name=npz", "data.path=weight_zero.npz"], ["all weights", "positive"]),
}  # fmt: skip
STARTS = {
    "NaN in a weight": ("nan.npz", ["w1", "nan", "finite"]),
    "a tensor of the wrong length": ("short.npz", ["b1", "(3,)", "4"]),
    "a tensor that is missing": ("lacks.npz", ["lack", "w2"]),
    "a tensor of no network": ("more.npz", ["w3"]),
    "no file": ("none.npz", ["none.npz"]),
    "replicas of another number": ("replicas.npz", ["w1", "8"]),
}


ODD_WEIGHTS = {"minus": "-1", "gap": "", "lost": "NaN", "endless": "inf", "words": "one"}
"""By column of weighted.csv, the weight of its row 7."""


def make_arrays(folder: Path) -> None:
    """Files of arrays, each with what its name says at point 7."""
    x, y, weight = np.arange(120.0).reshape(60, 2), np.arange(60) % 3, np.ones(60)
    with_odd = lambda values, odd: np.where(np.arange(60) == 7, odd, values)  # noqa: E731
    files = {
        "label_nan": {"y": with_odd(y, np.nan)}, "label_inf": {"y": with_odd(y, np.inf)}, "onehot": {"y": np.eye(3)[y]},
        "three": {"y": y}, "half": {"y": with_odd(y % 2, 0.5)},
        "weight_nan": {"y": y, "weight": with_odd(weight, np.nan)},
        "weight_minus": {"y": y, "weight": with_odd(weight, -2)}, "weight_zero": {"y": y, "weight": 0 * weight},
    }  # fmt: skip
    for name, held in files.items():
        np.savez(folder / f"{name}.npz", x=x, **held)


@pytest.fixture
def tables(folder: Path) -> Path:
    """Tables with what is wrong in one column each."""
    (folder / "counts.csv").write_text(
        "x,y,minus,half,huge\n"
        + "".join(f"{i},{i % 4},{-1 if i == 7 else 2},{2.5 if i == 7 else 1},1e12\n" for i in range(60))
    )
    (folder / "labels.csv").write_text("x,y\n" + "".join(f"{i},{i % 3}\n" for i in range(60)))
    rows = (
        f"{i},{i % 2},{','.join(odd) if i == 7 else '1,1,1,1,1'},0\n"
        for i in range(60)
        for odd in [ODD_WEIGHTS.values()]
    )
    (folder / "weighted.csv").write_text(f"x,y,{','.join(ODD_WEIGHTS)},nothing\n" + "".join(rows))
    answers = (f"{i},{0.5 if i == 7 else i % 2},{i / 60},1\n" for i in range(60))
    (folder / "answers.csv").write_text("x,half,p,alike\n" + "".join(answers))
    make_arrays(folder)
    good = {"w1": np.zeros((4, 2)), "b1": np.zeros(4), "w2": np.zeros((1, 4)), "b2": np.zeros(1)}
    np.savez(folder / "nan.npz", **{**good, "w1": np.full((4, 2), np.nan)})
    np.savez(folder / "short.npz", **{**good, "b1": np.zeros(3)})
    np.savez(folder / "lacks.npz", **{name: v for name, v in good.items() if name != "w2"})
    np.savez(folder / "more.npz", **good, w3=np.zeros(2))
    np.savez(folder / "replicas.npz", **{**good, "w1": np.zeros((5, 4, 2))})
    return folder


def assert_refused(folder: Path, changes: Sequence[str], words: Sequence[str]) -> None:
    """By sample, by its dry run, and for a picture of the prior; nothing is left behind."""
    before = listing(folder)
    check_refused(call("sample", "run.toml", *sets(*changes)), words)
    check_refused(call("sample", "run.toml", "--dry-run", *sets(*changes)), words)
    assert listing(folder) == before


@pytest.mark.parametrize(
    ("changes", "words"),
    [pytest.param(*case, id=name) for name, case in (LAYERS | LIKELIHOODS | ANSWERED | PRIORS | WEIGHTS).items()],
)
def test_models_that_cannot_be_are_refused(tables: Path, changes: Sequence[str], words: Sequence[str]) -> None:
    assert_refused(tables, changes, words)


@pytest.mark.parametrize(("file", "words"), [pytest.param(*case, id=name) for name, case in STARTS.items()])
def test_starts_that_cannot_be_are_refused(tables: Path, file: str, words: Sequence[str]) -> None:
    assert_refused(tables, [f"model.init={file}"], words)


def test_a_run_of_a_network_from_python_says_what_to_give_again(folder: Path) -> None:
    """The command line has no code of the user's: resume, predict and map say what to do in Python instead."""
    import gpu_thermo as gt

    network = gt.NumpyNetwork(
        {"a": np.ones((2, 1)), "c": np.zeros(1)},
        lambda params, x: x @ params["a"] + params["c"][:, None],
        lambda params, x, d: {"a": np.swapaxes(x, 1, 2) @ d, "c": d.sum(axis=1)},
    )
    run = {"replicas": 4, "steps": 20, "burn_in": 10, "thin": 5, "trace": 10, "batch": 10}
    data = {"name": "spirals", "train": 40, "test": 20}
    spec = {"data": data, "method": {"name": "langevin"}, "run": run}
    gt.sample(spec, folder / "own.zarr", network=network).close()
    (folder / "points.csv").write_text("x1,x2\n0,0\n")
    for command in (
        ("resume", "own.zarr", "--draws", "2"), ("map", "own.zarr", "--out", "map.png"),
        ("predict", "own.zarr", "points.csv", "--out", "p.csv"),
    ):  # fmt: skip
        check = call(*command)
        assert check.exit_code == 2, command
        assert "network" in check.stderr
        assert "Python" in check.stderr
    other = gt.NumpyNetwork(
        {"a": np.ones((2, 1)), "c": np.zeros(1)},
        lambda params, x: 2 * x @ params["a"] + params["c"][:, None],
        lambda params, x, d: {"a": 2 * np.swapaxes(x, 1, 2) @ d, "c": d.sum(axis=1)},
    )
    with pytest.raises(gt.GpuThermoError, match=r"not the one this run was started with.*Give the same") as caught:
        gt.resume(folder / "own.zarr", draws=2, network=other)
    assert caught.value.exit_code == 2
    for command in ("info", "diagnose"):  # what needs no prediction is shown
        assert call(command, "own.zarr").exit_code == 0
