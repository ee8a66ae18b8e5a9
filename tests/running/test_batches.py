"""batch = "auto": the smallest minibatches that leave variances right, or all points; an exact law, and its power."""

import json
import os
import signal
from contextlib import suppress

import numpy as np
import pytest
from cli_cases import call
from runs import differences
from tuned_cases import told

from gpu_thermo import resume, sample
from gpu_thermo.errors import SpecError
from gpu_thermo.run import Interrupted
from gpu_thermo.running.launch import Launch
from gpu_thermo.running.pace import Pace
from gpu_thermo.running.setup import prepare
from gpu_thermo.running.spent import gradients
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.store import read_header
from gpu_thermo.targets.user import UserPotential
from gpu_thermo.tuning.course import Course

N, NOISE, PRIOR = 2_560, 0.5, 1.0


def regression(off):
    """Bayesian linear regression of 3 inputs with noise believed to be of sd .5, answers `off` as far from the line:
    its law, mean and sd of each weight; and what `sample` is given.
    """
    rng = np.random.default_rng(6)
    x = rng.normal(size=(N, 3)) @ np.array([[1.0, 0.2, 0.0], [0.0, 1.0, 0.3], [0.0, 0.0, 0.5]])
    y = x @ np.array([0.5, -0.3, 0.8]) + off * rng.normal(size=N)

    def function(q, batch):
        rows, answers = (x[None], y[None]) if batch is None else (x[batch], y[batch])
        wrong = (rows @ q[:, :, None].astype(np.float64))[..., 0] - answers
        energy = (wrong**2).mean(axis=1) / (2 * NOISE**2) + (q.astype(np.float64) ** 2).sum(axis=1) / (2 * N * PRIOR**2)
        slope = (rows * wrong[..., None]).mean(axis=1) / NOISE**2 + q / (N * PRIOR**2)
        return energy, slope.astype(q.dtype)

    precision = x.T @ x / NOISE**2 + np.eye(3) / PRIOR**2
    mean, sd = np.linalg.solve(precision, x.T @ y / NOISE**2), np.sqrt(np.diag(np.linalg.inv(precision)))
    return mean, sd, {"potential": UserPotential(function, 3, points=N)}


def spec(**run):
    return {
        "target": {"name": "custom", "size": 3, "start_sd": 1.0},
        "method": {"name": "langevin", "temperature": 1 / N},
        "run": {"replicas": 64, "tolerance": 0.1, "batch": "auto", **run},
    }


def scores(tree, mean, sd):
    """z [2, 3] of means and of variances."""
    position = tree["posterior"]["position"].to_numpy().astype(np.float64)
    m, s = position.mean(axis=1), ((position - mean) ** 2).mean(axis=1)
    root = np.sqrt(len(m))
    return np.stack([
        (m.mean(0) - mean) / (m.std(0, ddof=1) / root), (s.mean(0) - sd**2) / (s.std(0, ddof=1) / root),
    ])  # fmt: skip


def chosen(course):
    return next(line for line in course["log"] if "batches" in line)


@pytest.fixture(scope="module")
def found():
    """A run near the line, and its law."""
    mean, sd, given = regression(0.01)
    return sample(spec(), **given), mean, sd


class TestNearTheLine:
    """Gradients of points differ little: minibatches will do."""

    def test_the_smallest_that_is_quiet(self, found):
        course, _ = told(found[0])
        line = chosen(course)
        sizes, rho = zip(*line["batches"], strict=True)
        assert sizes == (40, 80, 160, 320, 640)
        assert list(rho) == sorted(rho, reverse=True)
        assert course["batch"] == line["batch"] == min(b for b, r in line["batches"] if r <= 0.01) < N // 4
        assert line["rho"] == dict(line["batches"])[course["batch"]]

    def test_its_law(self, found):
        tree, mean, sd = found
        verdict = told(tree)[1]
        assert verdict["trusted"], verdict["text"]
        assert verdict["bias"] is not None, "steps are not accepted or rejected: a group at h/2 judges"
        assert abs(scores(tree, mean, sd)).max() < 4.5

    def test_gradients_of_either_size_are_counted(self, found):
        course = Course.of(told(found[0])[0])
        launch = Launch.of(prepare(RunSpec.from_dict(spec()), potential=regression(0.01)[2]["potential"]))
        turned = next(line["begun"] for line in course.to_dict()["log"] if line["phase"] == "burn-in")
        assert gradients(launch, course, course.stop) == turned * 64 + (course.stop - turned) * 96

    def test_the_noise_is_that_of_the_theory(self, found):
        """B of N without repeats: sigma^2 (1/B - 1/N), sigma^2 over points."""
        rho = dict(chosen(told(found[0])[0])["batches"])
        assert rho[40] / rho[320] == pytest.approx((1 / 40 - 1 / N) / (1 / 320 - 1 / N), rel=0.3)


def test_power(monkeypatch):
    """The same of answers ten times as far from the line, with minibatches all the same: variances are far off, and it
    is not trusted; left to itself the run takes all points, and is right.
    """
    mean, sd, given = regression(0.1)
    tree = sample(spec(), **given)
    course, verdict = told(tree)
    assert course["batch"] == chosen(course)["batch"] == 0
    assert min(rho for _, rho in chosen(course)["batches"]) > 0.01
    assert verdict["trusted"], verdict["text"]
    assert verdict["bias"] is None, "all points, in braces"
    assert abs(scores(tree, mean, sd)).max() < 4.5
    monkeypatch.setattr("gpu_thermo.tuning.batches.smallest", lambda share: min(share))
    wrong = sample(spec(max_steps=2_000), **given)
    assert scores(wrong, mean, sd)[1].min() > 5
    assert not told(wrong)[1]["trusted"]


def test_a_run_cut_everywhere_is_the_same(tmp_path, monkeypatch):
    """In burn-in by minibatches and among the draws, too."""
    given = regression(0.01)[2]
    sample(spec(replicas=32, tolerance=0.03), tmp_path / "whole.zarr", **given)
    monkeypatch.setattr(Pace, "next", lambda self: 25)
    cut, seen = tmp_path / "cut.zarr", []
    for phase in ("adaptation", "burn-in", "burn-in", "sampling", "sampling"):

        def stop(progress, phase=phase):
            if progress.phase == phase:
                os.kill(os.getpid(), signal.SIGINT)

        with suppress(Interrupted):
            if cut.exists():
                resume(cut, on_progress=stop, **given)
            else:
                sample(spec(replicas=32, tolerance=0.03), cut, on_progress=stop, **given)
        course = read_header(cut).attributes["tuning"]["course"]
        seen.append((course["phase"], course["batch"] > 0))
    assert set(seen) == {("adaptation", False), ("burn-in", True), ("sampling", True)}
    resume(cut, **given)
    assert differences(tmp_path / "whole.zarr", cut) == []


def test_few_points_are_all_taken(tmp_path):
    """And the commands say so; of a network by the sizes that were tried."""
    for points, says in ((40, "all points, as they are few"), (80, "none: all points at once (gradient noise over")):
        network = {
            "data": {"name": "moons", "train": points, "test": 4},
            "model": {"hidden": 2, "activation": "tanh", "prior_sd": 1.0},
            "method": {"name": "langevin", "posterior_temperature": 1.0},
            "run": {"replicas": 32, "tolerance": 0.5, "batch": "auto"},
        }  # fmt: skip
        store = tmp_path / f"{points}.zarr"
        course, verdict = told(sample(network, store, engine="batched"))
        assert course["batch"] == 0
        assert verdict["bias"] is None
        assert says in call("info", str(store)).stdout.replace("\n", " ")
        assert says in call("info", str(store), "--tuning").stdout
    assert json.loads(call("info", str(store), "--json").stdout)["minibatches"].startswith("none")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"run": {"steps": 100, "burn_in": 50, "thin": 10, "batch": "auto"}}, "needs run.tolerance"),
        ({"moves": [{"kind": "exchange", "hottest": 1.0}]}, "does not go with moves"),
        ({"run": {"tolerance": 0.1, "batch": "auto", "path": "falling"}}, "asks nobody how many points will do"),
        ({"run": {"tolerance": 0.1, "batch": "auto", "minibatch": "full"}}, "leave out batch = auto"),
        ({"method": {"name": "langevin", "word": "{BAOAB}", "temperature": 1e-3}}, "leave out the braces"),
        ({"method": {"name": "adl", "temperature": 1e-3}}, "use method langevin or sgld"),
        ({"run": {"tolerance": 0.1, "batch": "few"}}, "auto"), ({"run": {"tolerance": 0.1, "batch": 0}}, "batch = 0"),
    ],
)  # fmt: skip
def test_refusals(changes, message):
    with pytest.raises(SpecError, match=message):
        prepare(RunSpec.from_dict(spec() | changes), potential=regression(0.01)[2]["potential"])


def test_a_potential_without_points():
    with pytest.raises(SpecError, match=r"run\.batch is about data"):
        prepare(RunSpec.from_dict(spec() | {"target": {"name": "harmonic", "stiffness": [1.0]}}))
