"""Every subject: a run, its plan, its store and its averages ask it and nothing else, so that one which only this file
knows (a line through data) goes all the way; and the two that specs name keep the same promises.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest

from gpu_thermo.averages.moments import RunningMoments
from gpu_thermo.cost import Count, operations
from gpu_thermo.engines import choose_engine, make_engine
from gpu_thermo.engines.base import Needs
from gpu_thermo.errors import SpecError
from gpu_thermo.moves.base import Energies
from gpu_thermo.running.bill import make_plan
from gpu_thermo.running.drive import Limits, drive
from gpu_thermo.running.loop import Loop
from gpu_thermo.running.setup import make_setup, prepare
from gpu_thermo.running.stored import make_header
from gpu_thermo.running.subject import Observation, Setup, Subject, counted
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.state import Segment, State
from gpu_thermo.store import RunWriter, open_run, read_header
from gpu_thermo.streams import Keys, Purpose, normals
from gpu_thermo.targets.base import Batch, Layout, Target

REPLICAS, POINTS, FEATURES, TAU = 64, 12, 3, 0.05
RUN = {"replicas": REPLICAS, "steps": 400, "burn_in": 100, "thin": 10, "trace": 50}
LANGEVIN = {"name": "langevin", "stepsize": 0.3, "temperature": TAU, "friction": 1.0}
X = np.random.default_rng(0).normal(size=(POINTS, FEATURES))
Y = X @ np.array([1.0, -2.0, 0.5]) + 3.0


class Line(Target):
    """U = mean (x . slope + height - y)^2 / 2."""

    points = POINTS
    layout = Layout(
        {"slope": (FEATURES,), "height": (1,)}, {"all": ("slope", "height")}, np.arange(FEATURES + 1),
        {"slope": ("feature",)},
    )  # fmt: skip

    def energy_and_gradient(self, position: np.ndarray, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
        """On the batch's points."""
        x, y = (X, Y) if batch.index is None else (X[batch.index], Y[batch.index])
        off = (x @ position[:, :FEATURES, None])[..., 0] + position[:, FEATURES:] - y
        gradient = (off[..., None] * x).mean(axis=-2), off.mean(axis=-1, keepdims=True)
        return (off * off).mean(axis=-1) / 2, np.concatenate(gradient, axis=1)

    def arithmetic(self, points: int) -> dict[str, Count]:
        """A sum of products there and back."""
        return {"forward": Count(FEATURES) * points, "backward": Count(FEATURES) * points}


class LineObserver:
    """Energies, and averages of the predictions at the points themselves."""

    def __init__(self, setup: Setup, moments: RunningMoments) -> None:
        self._setup, self._moments = setup, moments

    def __call__(self, position: np.ndarray, is_draw: bool, weigh: Any = None, there: Any = None) -> Observation:
        statistics = {"energy": self.energy(position), "test_height": position[:, -1].astype(float)}
        if is_draw:
            phi = position[:, :FEATURES] @ X.T + position[:, FEATURES:]
            self._moments.update(phi[..., None], self._setup.ensemble, counted(None))
        return Observation(statistics, None)

    def energy(self, position: np.ndarray) -> np.ndarray:
        return self._setup.job.target.energy_and_gradient(position, Batch(None, np.arange(len(position))))[0]

    def look_at(self, state: State) -> np.ndarray:
        return np.asarray(state.position)

    def energies(self, position: np.ndarray, attempt: int, batch: int | None = None) -> Energies:
        return Energies(self.energy(position), np.zeros(len(position)))


@dataclass(frozen=True)
class LineSubject:
    """A line through data."""

    target: Line
    dataset: np.ndarray

    dtype = np.float64
    fingerprint = "a line"
    energy_range = None
    scores = ("test_height",)
    parts = ()
    points_seen = POINTS
    potential = None

    def initial_position(self, keys: Keys, xp: Any = np) -> np.ndarray:
        return normals(keys, np.zeros(1, np.uint64), Purpose.POSITION, 0, dtype=np.float64)[:, : FEATURES + 1]

    def moments(self, ensembles: int) -> RunningMoments:
        return RunningMoments.empty(ensembles, POINTS, 1, "regression", 1.0)

    def observer(self, setup: Setup, moments: RunningMoments, device: str, threads: int | None = None) -> LineObserver:
        return LineObserver(setup, moments)

    def needs(self, setup: Setup, device: str, threads: int | None) -> Needs:
        return Needs(8 * REPLICAS * POINTS)

    def assumptions(self) -> list[str]:
        return ["answers lie on a line"]

    def columns(self) -> list[str]:
        return []

    def judge(self, mean: np.ndarray, dataset: np.ndarray, log_density: Any = None) -> list[dict[str, float]]:
        return [{"rmse": float(np.sqrt(((m[:, 0] - Y) ** 2).mean()))} for m in mean]

    def header(self) -> Mapping[str, Any]:
        return {
            "outputs": ("y",), "features": ("a", "b", "c"), "probes": X[:2], "constant": {"x": (("row", "feature"), X)},
            "keep": ("parameters",), "attributes": {"about": "a line"},
        }  # fmt: skip

    def notices(self) -> Iterator[str]:
        yield "this is a line."

    def with_dataset(self, dataset: np.ndarray) -> Self:
        return replace(self, dataset=dataset)


def spec(**sections: Any) -> RunSpec:
    return RunSpec.from_dict({"method": LANGEVIN, "run": RUN, **sections})


def test_a_line_goes_all_the_way(tmp_path: Path) -> None:
    """Planned, billed, run, stored and averaged; its posterior is Gaussian, and known."""
    given = spec(run={**RUN, "minibatch": "full", "keep": ["parameters"]})
    ready = make_setup(given, LineSubject(Line(), np.zeros(REPLICAS, np.int64)))
    with pytest.raises(SpecError, match="perceptrons only"):
        choose_engine(ready.job, "fused", "cpu")
    chosen, moments = choose_engine(ready.job, "auto", "cpu"), ready.moments()
    header = make_header(ready, chosen, "cpu", moments)
    bill = make_plan(ready, header, moments)
    assert (bill.parameters, bill.engine, bill.warnings) == (FEATURES + 1, "batched", ("this is a line.",))
    loop = Loop.make(ready, make_engine(ready.job, chosen, "cpu"), ready.initial_state(), moments)
    path = tmp_path / "line.zarr"
    with RunWriter.create(path, header) as writer:
        drive(loop, writer, path, Limits(), {"steps": RUN["steps"]})
    with open_run(path) as tree:
        assert tree["posterior"]["slope"].dims == ("chain", "draw", "feature")
        assert tree["posterior"]["height"].dims == ("chain", "draw", "height_dim_0")
        assert tree["posterior"].sizes["draw"] == bill.draws == 30
        slope, height = (tree["posterior"][name].to_numpy() for name in ("slope", "height"))
        np.testing.assert_array_equal(tree["sample_stats"]["test_height"], height[..., 0])
        assert tree.attrs["about"] == "a line"
        prediction = slope @ X.T + height
        np.testing.assert_allclose(tree["predictive"]["mean"][0, :, 0], prediction.mean(axis=(0, 1)), rtol=1e-12)
    assert read_header(path).fingerprint == ready.fingerprint
    rows = np.column_stack([X, np.ones(POINTS)])
    wanted = np.sqrt(TAU * np.einsum("ti,ij,tj->t", rows, np.linalg.inv(rows.T @ rows / POINTS), rows))
    np.testing.assert_allclose(prediction.std(axis=(0, 1)), wanted, rtol=0.1)
    assert ready.subject.judge(moments.variables()["mean"], np.zeros(1, int))[0]["rmse"] < 0.1
    assert operations(ready.job, POINTS, RUN["trace"]) > 0


SUBJECTS = {
    "network": {"data": {"name": "moons", "train": 20, "test": 8, "seeds": [0, 1]}, "model": {"hidden": 3}},
    "without test points": {"data": {"name": "gap", "train": 20, "test": 0}, "model": {"hidden": 3}},
    "potential": {"target": {"name": "harmonic", "size": 3}},
}


@pytest.mark.parametrize("name", SUBJECTS)
def test_promises(name: str) -> None:
    """What a subject says of itself agrees with what comes of it."""
    ready = prepare(spec(**SUBJECTS[name]))
    subject: Subject = ready.subject
    state, moments = ready.initial_state(), ready.moments()
    assert state.position.shape == (REPLICAS, subject.target.layout.size)
    assert state.position.dtype == subject.dtype == ready.job.dtype
    assert subject.dataset.shape == (REPLICAS,)
    observer = subject.observer(ready, moments, "cpu", 1)
    make_engine(ready.job, "batched", "cpu").advance(state, Segment(0, 3, ()))
    seen = observer(state.position, True)
    assert set(seen.statistics) == {"energy", *subject.parts, *subject.scores}
    if subject.parts:
        np.testing.assert_array_equal(sum(seen.statistics[name] for name in subject.parts), seen.statistics["energy"])
    everything = Batch(None, np.arange(REPLICAS))
    exact = subject.target.energy_and_gradient(state.position, everything)[0]
    np.testing.assert_allclose(observer.energy(state.position), exact, rtol=1e-5)
    if subject.potential is not None:
        np.testing.assert_array_equal(subject.potential.energy(state.position), exact)
    mean = moments.variables()["mean"]
    assert np.isfinite(mean).all()
    judged = subject.judge(mean, ready.ensemble_dataset)
    assert len(judged) == len(mean)
    assert all({f"test_{s}" for s in scores} >= set(subject.scores) for scores in judged if subject.scores)
    assert subject.judge(np.full_like(mean, np.nan), ready.ensemble_dataset) == [{}] * len(mean)
    header = make_header(ready, "batched", "cpu", moments)
    assert header.tensors == subject.header().get("tensors", subject.target.layout.variables)
    assert sum(int(np.prod(shape)) for _, shape in header.tensors.values()) == subject.target.layout.size
    fields = {"outputs", "features", "probes", "constant", "keep", "attributes"}
    assert set(subject.header()) - {"tensors", "about"} == fields
    other = subject.with_dataset(np.zeros(REPLICAS, np.int64))
    assert type(other) is type(subject)
    assert not other.dataset.any()
