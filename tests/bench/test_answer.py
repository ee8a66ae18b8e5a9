"""Time to an answer: the densities are the same, the judge judges, references are good enough, a row is whole."""

import importlib.util
import json

import numpy as np
import pytest

pytest.importorskip("bench.race", reason="the benchmarks are part of the sources, not of the package")
from bench import answer, tables
from bench.race import judge, ours
from bench.race.child import CONTENDERS
from bench.race.clock import Clock
from bench.race.problems import MAKERS, problem
from gpu_thermo.running.given import Given, as_spec, make_ready
from gpu_thermo.targets.base import Batch


def ready(name):
    p = problem(name)
    given = Given((p.x, p.y if p.noise_sd is not None else p.y.astype(int)), None, None, None)
    return p, make_ready(as_spec(p.spec(0.05, 0), given)[0], None, given)


@pytest.mark.parametrize("name", MAKERS)
def test_peers_sample_our_density(name):
    """Up to a constant, at draws of the prior: to 1e-5 of their range; a wrong prior of 1 % more would be seen."""
    jax = pytest.importorskip("jax")
    from bench.race.density import log_density

    p, setup = ready(name)
    assert len(setup.subject.target.x_train[0]) == len(p.x)
    theta = np.random.default_rng(5).normal(size=(8, p.size)) * p.prior_sd
    all_points = Batch(None, np.zeros(8, np.int64))
    energy, _ = setup.job.target.energy_and_gradient(theta.astype(np.float32), all_points)
    mine = -len(p.x) * np.asarray(energy, np.float64)
    with jax.enable_x64(True):
        theirs = np.asarray(jax.vmap(log_density(p))(theta.astype(np.float32).astype(float)))
    gap = (mine - mine[0]) - (theirs - theirs[0])
    assert np.ptp(theirs) > 10
    assert abs(gap).max() < 2e-5 * abs(theirs).max() + 1e-3
    wrong = 0.02 * (theta**2).sum(axis=1) / (2 * p.prior_sd**2)
    assert np.ptp(wrong) > 5 * abs(gap).max()


@pytest.mark.parametrize("name", MAKERS)
def test_values_are_those_of_our_network(name):
    p, setup = ready(name)
    theta = np.random.default_rng(6).normal(size=(4, p.size)).astype(np.float32)
    out = setup.subject.model.outputs_at(theta.astype(np.float64), p.inputs)[..., 0]
    expected = 1 / (1 + np.exp(-out)) if p.noise_sd is None else out
    np.testing.assert_allclose(p.values(theta), expected, rtol=1e-6, atol=1e-7)
    assert p.inputs.shape == (50, p.x.shape[1])


def known(size=50):
    one = np.ones(size)
    return judge.Truth(3 * one, 4 * one, 0.01 * one, 0.02 * one, {})


def test_the_answer_is_there_when_it_stays():
    """Within by chance at first, then off, then for good."""
    draw, trail = np.random.default_rng(0), judge.Trail(known())
    good = lambda n: 3 + 2 * draw.normal(size=(n, 50))  # noqa: E731
    trail.add(1, 1, 10, good(4_000))
    trail.add(2, 2, 20, good(400) + 4)
    for i in range(3, 7):
        trail.add(i, i, 10 * i, good(8_000))
        assert trail.settled() == (trail.answer() is not None and trail.points[-1][3] >= 1.5 * at(trail)[3])
    told = trail.told()
    assert told["first_draw"]["seconds"] == 1
    assert told["answer"]["seconds"] == at(trail)[0] > 2
    assert told["end"]["mean"] < judge.MEAN


def at(trail):
    return trail.points[trail.answer()]


@pytest.mark.parametrize(("shift", "factor"), [(0.15, 1), (0, 1.2)])
def test_a_wrong_mean_and_a_wrong_variance_are_none(shift, factor):
    draw, trail = np.random.default_rng(1), judge.Trail(known())
    trail.add(1, 1, 1, 3 + shift + 2 * np.sqrt(factor) * draw.normal(size=(20_000, 50)))
    assert trail.answer() is None
    assert trail.told()["answer"] is None


@pytest.mark.parametrize("path", sorted(judge.FOLDER.glob("*.npz")), ids=lambda path: path.stem)
def test_references_are_good_enough(path):
    found = judge.truth(path.stem)
    of_mean, of_variance = found.errors
    assert of_mean <= judge.REFERENCE_SHARE * judge.MEAN
    assert of_variance <= judge.REFERENCE_SHARE * judge.VARIANCE
    assert found.provenance["sampler"].startswith("NUTS")
    assert found.mean.shape == (50,)


def test_what_is_not_there_is_made_by_a_command(tmp_path):
    assert judge.path_of("classifier").exists()
    with pytest.raises(SystemExit, match="answer reference deep"):
        judge.truth("deep", tmp_path)


def test_ours_gives_an_answer():
    """Warm, the smallest problem, more loosely."""
    p, clock = problem("classifier"), Clock(0.0)
    trail, chunks = judge.Trail(judge.truth("classifier")), list(ours.run(p, 0, clock, tolerance=0.1, cold=False))
    for chunk in chunks:
        trail.add(*chunk.at, chunk.gradients, p.values(chunk.theta))
    end = trail.told()["end"]
    assert end["mean"] < 0.25
    assert end["gradients"] > end["draws"]
    assert chunks[-1].said["trusted"]


@pytest.mark.slow
@pytest.mark.parametrize("contender", [c for c in CONTENDERS if c.endswith((" 300", " 2000", " 200"))])
def test_peers_give_rows(contender, tmp_path):
    """In a process of their own, and a second start has nothing left to do."""
    package = "numpyro" if contender.startswith("numpyro") else "blackjax"
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    place = tmp_path / "answer.json"
    given = ["--problems", "classifier", "--contenders", contender, "--seeds", "1", "--out", str(place)]
    answer.main(given)
    (row,) = json.loads(place.read_text())["rows"]
    assert row["end"]["mean"] < 0.2
    assert row["first_draw"]["gradients"] > 0
    answer.main(given)
    assert len(json.loads(place.read_text())["rows"]) == 1


def test_the_table():
    point = {"seconds": 4.0, "processor": 5.0, "gradients": 1_000, "draws": 10, "mean": 0.01, "variance": 0.02}
    row = {"problem": "deep", "contender": "ours", "seed": 0, "first_draw": point, "answer": point, "end": point}
    slow = {**row, "contender": "MCLMC", "answer": point | {"seconds": 60.0, "gradients": 9_000}}
    rows = [row, slow, {**slow, "contender": "LAPS, 200", "answer": None},
            {"problem": "deep", "contender": "LAPS, 1000", "seed": 0, "failed": "no end"}]  # fmt: skip
    machine = {"processor": "x", "cores": 2, "vector": "y", "python": "3"}
    told = {"machine": machine, "date": "2026-01-01", "references": {"deep": {"sampler": "NUTS"}}, "rows": rows}
    text = tables.answer(told)
    assert "| deep | ours | 4.0 | 4.0 | 5.0 | 1 k | 1 of 1 |  |" in text
    assert "| deep | MCLMC | 4.0 | 60.0 | 5.0 | 9 k | 1 of 1 | 15.0 |" in text
    assert "| deep | LAPS, 200 |" in text
    assert "0 of 1" in text
