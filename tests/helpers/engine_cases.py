"""Small networks on the batched engine, states compared bit for bit, and targets within walls."""

import numpy as np

from gpu_thermo.engines import BatchedEngine, Job
from gpu_thermo.running.setup import prepare
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.state import Segment, State
from gpu_thermo.targets.base import Target

METHODS = {
    "adlala": {"name": "adlala", "temperature": 1e-3, "thermostat": 0.1},
    "baefeab": {"name": "splitting", "word": "BAEFEAB", "partition": "tensor"},
    "lol": {"name": "lol"},
    "aboba": {"name": "splitting", "word": "ABOBA"},
    "scheduled": {"name": "langevin", "stepsize": {"value": 0.3, "schedule": "cyclical", "cycles": 2},
                  "temperature": {"value": 0.1, "schedule": "cosine"}},
    "adam": {"name": "adam"},
    "sgld": {"name": "sgld"},
    "coolmomentum": {"name": "coolmomentum"},
    "momentum": {"name": "momentum", "convention": "II"},
    "frozen": {"name": "adlala", "freeze": ["hidden"]},
}  # fmt: skip


def network(method="adlala", replicas=7, hidden=6, minibatch="subset", dtype="float32", seeds=(0, 1)):
    """A small run of 40 steps: its job and initial state."""
    batch = {} if minibatch == "full" else {"batch": 8}
    tree = {
        "data": {"train": 30, "test": 2, "seeds": list(seeds)},
        "model": {"hidden": hidden, "init_sd": 0.5, "prior_sd": 2.0, "dtype": dtype},
        "method": METHODS[method],
        "run": {"replicas": replicas, "steps": 40, "burn_in": 0, "thin": 40, "minibatch": minibatch, **batch},
    }
    ready = prepare(RunSpec.from_dict(tree))
    return ready.job, ready.initial_state()


def run(job, state, cuts=(40,), record=(), **engine):
    """Advance a copy of `state` through segments that end at `cuts`."""
    state, worker, rings = state.copy(), BatchedEngine(job, **engine), []
    for end in cuts:
        within = tuple(step for step in record if state.step < step <= end)
        rings.append(worker.advance(state, Segment(state.step, end - state.step, within)))
    return state, rings


def rows(state, r):
    """The state of some replicas."""
    return State.from_arrays({name: v[r] for name, v in state.arrays().items()}, state.step, state.evaluations)


def assert_identical(a, b):
    """Bit for bit, NaN where NaN."""
    assert (a.step, a.evaluations) == (b.step, b.evaluations)
    assert a.arrays().keys() == b.arrays().keys()
    for name, value in a.arrays().items():
        np.testing.assert_array_equal(value, b.arrays()[name], err_msg=name)
        assert value.dtype == b.arrays()[name].dtype


def take(job, r):
    """The same job for some replicas."""
    target = job.target
    if hasattr(target, "dataset"):
        target = type(target)(target.model, _Data(target), target.dataset[r], target.dtype)
    return Job(job.program, target, job.hyper.take(r), job.batching, job.seed[r], job.stream[r], job.dtype)


class _Data:
    """What a target needs of its data set."""

    def __init__(self, target):
        self.x_train, self.y_train, self.x_test, self.y_test = (
            target.x_train,
            target.y_train,
            target.x_test,
            target.y_test,
        )
        self.points, self.count = target.points, len(target.x_train)


# -- walls --------


class Boxed(Target):
    """A target within walls |q_i| <= bounds."""

    def __init__(self, inner, bounds):
        self.inner, self.layout, self.points, self.bounds = inner, inner.layout, 0, bounds

    def energy_and_gradient(self, position, batch):
        return self.inner.energy_and_gradient(position, batch)
