"""The examples of docs/adding.md are complete: each is run as it is printed, its row put into its table, and used."""

import re
from pathlib import Path

import numpy as np
import pytest

from gpu_thermo.data.sources import DATASETS
from gpu_thermo.engines import BatchedEngine, FusedEngine
from gpu_thermo.engines.base import Batching, Job, initial_state
from gpu_thermo.kernels.toolchain import find_compiler
from gpu_thermo.method import updates
from gpu_thermo.method.letters import LETTERS
from gpu_thermo.method.words import compile_program, compile_update, parse_word
from gpu_thermo.moves.table import MOVES
from gpu_thermo.run import sample
from gpu_thermo.state import Hyper, Segment
from gpu_thermo.streams import make_keys
from gpu_thermo.targets.activations import ACTIVATIONS
from gpu_thermo.targets.likelihoods import LIKELIHOODS
from gpu_thermo.targets.networks import MlpModel
from gpu_thermo.targets.posterior import MlpTarget
from gpu_thermo.targets.priors import PRIORS

PAGE = Path(__file__).parents[1] / "docs" / "adding.md"
EXAMPLES = {
    title: code
    for section in PAGE.read_text().split("\n## ")[1:]
    for title, code in re.findall(r"\A(.*?)\n.*?^```python\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
}
REPLICAS, POINTS = 5, 24


def example(title):
    """What the example under a heading defines."""
    names = {"__name__": "example"}
    exec(compile(EXAMPLES[title], f"adding.md, {title}", "exec"), names)
    return names


def test_every_section_has_an_example():
    assert list(EXAMPLES) == re.findall(r"^## (.*)$", PAGE.read_text(), re.MULTILINE)


def network(task="binary", activation="tanh", prior="normal"):
    """A small network with weights of size 1, on data that say something."""
    from gpu_thermo.data import Dataset

    g = np.random.default_rng(0)
    x = g.normal(size=(1, POINTS, 2))
    numeric = LIKELIHOODS[task].task == "regression" if task in LIKELIHOODS else False
    y = x[..., :1] + g.normal(size=(1, POINTS, 1)) if numeric else (x[..., 0] > 0).astype(np.int64)
    names = {"targets": ("y",)} if numeric else {"classes": ("no", "yes")}
    kind = "regression" if numeric else "binary"
    data = Dataset("made", kind, x, y, x[:, :4], y[:, :4], ("a", "b"), **{"classes": (), "targets": ()} | names)
    model = MlpModel(2, 4, 1, task, activation, 1.5, 0.7, prior)
    return model, MlpTarget(model, data, np.zeros(REPLICAS, np.int64), np.float64)


def advanced(engine, target, program, steps=6, **hyper):
    """Positions after some steps of an engine."""
    streams = np.arange(REPLICAS, dtype=np.uint64)
    job = Job(
        program, target, Hyper.constant(REPLICAS, 1, 0.05, steps, **hyper), Batching("subset", 8),
        np.full(REPLICAS, 3, np.uint64), streams, np.float64,
    )  # fmt: skip
    start = target.model.initial_position("normal", 1.0, make_keys(job.seed, streams), np.float64)
    state = initial_state(job, start, np.ones_like(start))
    engine(job).advance(state, Segment(0, steps))
    assert np.isfinite(state.position).all()
    return state.position, start


def langevin(model, word="BAOAB"):
    return compile_program({"all": parse_word(word)}, model.layout.partition("all"))


def agree(target, program, **hyper):
    """Both engines, and that anything moved."""
    batched, start = advanced(BatchedEngine, target, program, **hyper)
    assert abs(batched - start).max() > 1e-3
    if find_compiler() is not None:
        fused, _ = advanced(FusedEngine, target, program, **hyper)
        np.testing.assert_allclose(fused, batched, rtol=1e-9, atol=1e-11)
    return batched


def test_from_python(tmp_path, capsys):
    """The record is checked, registered and named by a spec, and its momenta are at half the temperature."""
    import gpu_thermo as gt

    try:
        names = example("From Python, without touching the package")
        assert "FAILS" not in capsys.readouterr().out
        run = gt.sample(names["SPEC"] | {"run": {**names["SPEC"]["run"], "replicas": 64}})
        kinetic = run["sample_stats"]["kinetic_temperature"].to_numpy()
        assert kinetic[:, -1].mean() == pytest.approx(5e-4, rel=0.15)
    finally:
        gt.unregister("L")


def test_a_letter(monkeypatch):
    """BALAB at friction 0 is BAB; with friction it is slower."""
    monkeypatch.setitem(LETTERS, "L", example("A letter")["L"])
    model, target = network()
    free = agree(target, langevin(model, "BALAB"), friction=0.0)
    plain = agree(target, langevin(model, "BAB"))
    np.testing.assert_allclose(free, plain, rtol=1e-9)
    assert abs(agree(target, langevin(model, "BALAB"), friction=5.0) - plain).max() > 1e-2


def test_an_update(monkeypatch):
    monkeypatch.setitem(updates.UPDATES, "signsgd", example("A whole-step update")["SIGNSGD"])
    model, target = network()
    position, start = advanced(BatchedEngine, target, compile_update("signsgd", model.layout.partition("all")), 1)
    np.testing.assert_allclose(abs(position - start), 0.05, rtol=1e-9)
    agree(target, compile_update("signsgd", model.layout.partition("all")))


def differentiated(target):
    """Largest difference of the gradient from central differences of the energy, relative."""
    from gpu_thermo.targets.base import Batch

    whole = Batch(None, np.arange(REPLICAS))
    at = np.random.default_rng(1).normal(size=(REPLICAS, target.layout.size))
    gradient = target.energy_and_gradient(at, whole)[1]
    h = 1e-6
    for i in range(at.shape[1]):
        step = h * (np.arange(at.shape[1]) == i)
        slope = (target.energy_and_gradient(at + step, whole)[0] - target.energy_and_gradient(at - step, whole)[0]) / (
            2 * h
        )
        np.testing.assert_allclose(gradient[:, i], slope, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("title", "name", "table", "choice"),
    [
        ("An activation", "LEAKY_RELU", ACTIVATIONS, "activation"),
        ("A prior", "CAUCHY", PRIORS, "prior"),
        ("A likelihood", "DOUBLE_EXPONENTIAL", LIKELIHOODS, "task"),
    ],
)
def test_records_of_networks(monkeypatch, title, name, table, choice):
    """Gradients are the slopes of energies, and both engines agree."""
    record = example(title)[name]
    monkeypatch.setitem(table, record.name, record)
    model, target = network(**{choice: record.name})
    differentiated(target)
    agree(target, langevin(model), friction=1.0, temperature=0.01)


def test_draws_of_the_prior():
    """Half of them are within the scale."""
    record = example("A prior")["CAUCHY"]
    draw = record.draw(np.random.default_rng(0).normal(size=(record.normals, 200, 500)))
    assert (abs(draw) < 1).mean() == pytest.approx(0.5, abs=0.01)


def test_a_move(monkeypatch, tmp_path):
    """In a run, through the spec, and in its report."""
    names = example("A move")
    monkeypatch.setitem(MOVES, "reverse", names["ReverseOptions"])
    spec = {
        "target": {"name": "harmonic", "size": 2},
        "method": {"name": "langevin", "stepsize": 0.2, "temperature": 1.0, "friction": 1.0},
        "run": {"replicas": 4, "steps": 40, "burn_in": 0, "thin": 10},
        "moves": [{"kind": "reverse", "interval": 10}],
    }
    tree = sample(spec, tmp_path / "run.zarr")
    assert '"reversals": 16' in tree["sample_stats"].attrs["moves"]
    plain = sample(spec | {"moves": []}, tmp_path / "plain.zarr")
    assert not np.array_equal(tree["posterior"]["position"], plain["posterior"]["position"])


def test_a_data_set(monkeypatch):
    crosses = example("A data set")["Crosses"]
    monkeypatch.setitem(DATASETS, "crosses", crosses)
    data = crosses(train=400, noise=0.0).build()
    x, y = data.x_train[0], data.y_train[0]
    turned = np.abs(np.abs(x[:, 0]) - np.abs(x[:, 1])) < 1e-9
    assert turned[y == 1].all()
    assert (np.abs(x[y == 0]).min(axis=1) < 1e-9).all()


def test_a_target():
    """Exact slopes, and a least energy on the ring."""
    ring = example("A target given by a formula")["RingOptions"](radius=1.5).build()
    at = np.random.default_rng(0).normal(size=(6, 2))
    for i in range(2):
        step = 1e-6 * (np.arange(2) == i)
        slope = (ring.energy(at + step) - ring.energy(at - step)) / 2e-6
        np.testing.assert_allclose(ring.gradient(at)[:, i], slope, rtol=1e-6)
    assert ring.energy(np.array([[1.5, 0.0]]))[0] == pytest.approx(0, abs=1e-20)


def test_a_figure():
    """Its study is one that can be planned."""
    from gpu_thermo.study import StudySpec, plan_study
    from gpu_thermo_analysis.paper.entry import scaled

    entry = example("A figure")["FRICTION"]
    assert plan_study(StudySpec.from_dict(scaled(entry.study, 0.1))).runs == 8
