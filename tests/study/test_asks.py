"""What several runs ask of their engines is done in one launch, in any pieces: the bits are those of each alone."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from gpu_thermo.engines import Job, make_engine
from gpu_thermo.running.setup import prepare
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.state import Hyper, Recorded, Segment, State
from gpu_thermo.study.asks import Ask, Joined, Launches, Stage
from gpu_thermo.targets.posterior import MlpTarget

METHODS = {
    "word": {"name": "langevin", "stepsize": 0.1, "friction": 1.0, "temperature": 0.05},
    "braces": {
        "name": "splitting", "word": "{BAOAB}", "partition": "all", "stepsize": 0.1, "friction": 1.0,
        "temperature": 0.05,
    },
    "adam": {"name": "adam", "stepsize": 0.01},
}  # fmt: skip


def job_of(method: str, number: int, replicas: int = 5, hidden: int = 3, points: int = 12) -> tuple[Job, State]:
    """A run of its own data set, stepsize and streams, and its start."""
    named, run = METHODS[method], {"steps": 100, "burn_in": 0, "thin": 10, "minibatch": "full"}
    spec = RunSpec.from_dict({
        "data": {"name": "moons", "train": points, "test": 4, "seed": number},
        "model": {"hidden": hidden, "prior_sd": 1.0}, "method": named | {"stepsize": named["stepsize"] / (1 + number)},
        "run": run | {"replicas": replicas + number, "seed": number},
    })  # fmt: skip
    ready = prepare(spec)
    return ready.job, ready.initial_state()


def stage_of(job: Job, engine: str) -> Stage:
    return Stage(job, engine, "cpu", 1)


def asked(job: Job, state: State, engine: str, segment: Segment) -> Ask:
    return Ask(stage_of(job, engine), state, segment, job.hyper)


def equal(one: Any, other: Any, names: list[str]) -> None:
    for name in names:
        a, b = getattr(one, name), getattr(other, name)
        assert (a is None) == (b is None), name
        if a is not None:
            np.testing.assert_array_equal(a, b, err_msg=name)


STATE = ["position", "momentum", "gradient", "thermostat", "energy", "status", "frozen_step", "step", "evaluations"]
RECORDED = [f.name for f in fields(Recorded) if f.name != "there"]
SEGMENTS = [Segment(0, 30, (4, 9, 30)), Segment(0, 24, (3, 24)), Segment(0, 30, ())]
CUTS = [7, 9, 24, 30]


@pytest.mark.parametrize("engine", ["batched", "fused"])
@pytest.mark.parametrize("method", METHODS)
def test_pieces_of_a_launch_are_the_whole_of_each_alone(method: str, engine: str) -> None:
    """Recorded at steps of their own, cut where others end, one of them gone before: states and records."""
    runs = [job_of(method, number) for number in range(3)]
    asks = [asked(job, state.copy(), engine, s) for (job, state), s in zip(runs, SEGMENTS, strict=True)]
    launches = Launches()
    for stop in CUTS:
        launches.advance([ask for ask in asks if ask.step < min(stop, ask.stop)], stop)
    for ask, (job, state), segment in zip(asks, runs, SEGMENTS, strict=True):
        recorded = make_engine(job, engine, "cpu", 1).advance(state, segment)
        equal(ask.state, state, STATE)
        equal(ask.recorded, recorded, RECORDED)
        assert ask.seconds > 0


def test_hyperparameters_in_force_are_those_asked_with() -> None:
    """A run that has found another stepsize asks with another object; that of the others stays."""
    runs = [job_of("word", number) for number in range(2)]
    asks = [asked(job, state.copy(), "batched", Segment(0, 6)) for job, state in runs]
    launches = Launches()
    launches.advance(asks, 6)
    job, state = runs[0]
    other = replace(job.hyper, stepsize=job.hyper.stepsize / 3)
    again = [
        Ask(ask.stage, ask.state, Segment(6, 5), hyper) for ask, hyper in zip(asks, (other, asks[1].hyper), strict=True)
    ]
    launches.advance(again, 11)
    engine = make_engine(job, "batched", "cpu", 1)
    engine.advance(state, Segment(0, 6))
    before = state.position.copy()
    engine.advance(state, Segment(6, 5), other)
    equal(again[0].state, state, STATE)
    assert (before != state.position).any()


def test_who_goes_with_whom() -> None:
    """Not at another step, by another word, on another kind of batches, with or without masses, by a schedule; nor by
    another engine or on another device: a run that goes on keeps those it was begun with.
    """
    job, state = job_of("word", 0)
    one = asked(job, state, "batched", Segment(0, 5))
    for number in (0, 1):
        assert one.goes_with(asked(*job_of("word", number), "batched", Segment(0, 9)))
    later = state.copy()
    later.step = 3
    some = replace(job.batching, mode="subset", size=3)
    falling = Hyper(**{f.name: getattr(job.hyper, f.name) for f in fields(Hyper)} | {"schedules": {("stepsize", 0): 1}})
    others = {
        "later": asked(job, later, "batched", Segment(3, 5)),
        "another word": asked(*job_of("adam", 1), "batched", Segment(0, 5)),
        "minibatches": asked(replace(job, batching=some), state, "batched", Segment(0, 5)),
        "masses": asked(replace(job, scale=np.ones(job.target.layout.size)), state, "batched", Segment(0, 5)),
        "work": asked(replace(job, work=not job.work), state, "batched", Segment(0, 5)),
        "schedule": Ask(one.stage, state, Segment(0, 5), falling),
        "another engine": asked(job, state, "fused", Segment(0, 5)),
        "another device": Ask(replace(one.stage, device="cuda:0"), state, Segment(0, 5), job.hyper),
    }  # fmt: skip
    for name, other in others.items():
        assert not one.goes_with(other), name
        assert not other.goes_with(one), name


def test_data_that_make_another_network_go_alone() -> None:
    """Of another number of points no target is made; the steps are done all the same."""
    runs = [job_of("word", 0), job_of("word", 1, points=14)]
    assert Joined.of([asked(*run, "batched", Segment(0, 5)) for run in runs]) is None
    asks = [asked(job, state.copy(), "batched", Segment(0, 5, (5,))) for job, state in runs]
    Launches().advance(asks, 5)
    for ask, (job, state) in zip(asks, runs, strict=True):
        make_engine(job, "batched", "cpu", 1).advance(state, Segment(0, 5, (5,)))
        equal(ask.state, state, STATE)


def test_who_does_not_go_together_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many pieces their segments are done in."""
    tried: list[int] = []
    monkeypatch.setattr(MlpTarget, "beside", lambda self, others: tried.append(len(others)))
    asks = [asked(*job_of("word", number), "batched", Segment(0, 9)) for number in range(3)]
    launches = Launches()
    for stop in (2, 5, 9):
        launches.advance(asks, stop)
    assert tried == [2]
    assert [ask.step for ask in asks] == [9, 9, 9]


def test_equal_data_are_held_once() -> None:
    """Runs on one data set read one copy of it, whoever made it."""
    one, same, other = (job_of("word", number)[0].target for number in (1, 1, 2))
    joined = one.beside([same, other])
    assert len(joined.x_train) == 2
    assert joined.dataset.tolist() == 6 * [0] + 6 * [0] + 7 * [1]
    assert len(one.x_train) == 1
    assert one.beside([same]).x_train is one.x_train
