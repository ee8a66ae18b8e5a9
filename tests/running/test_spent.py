"""Gradients of runs that tuned themselves, counted by the engines that took them."""

from collections import Counter

import pytest
from tuned_cases import told, well

from gpu_thermo import sample
from gpu_thermo.engines.batched import BatchedEngine
from gpu_thermo.running.launch import Launch
from gpu_thermo.running.setup import prepare
from gpu_thermo.running.spent import gradients
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.tuning.course import Course

CASES = {
    "in braces": well(),
    "with a group at h/2": well() | {"method": {"name": "langevin", "word": "OBAB", "temperature": 1.0}},
    "on ladders": well() | {"moves": [{"kind": "exchange", "hottest": 4.0}]},
    "falling": {
        "data": {"name": "moons", "train": 20, "test": 4},
        "model": {"hidden": 2, "activation": "tanh", "prior_sd": 1.0},
        "method": {"name": "langevin", "posterior_temperature": 1.0},
        "run": {"replicas": 32, "tolerance": 0.9, "max_steps": 1_000, "path": "falling"},
    },
}  # fmt: skip
ROWS = {"in braces": 1, "with a group at h/2": 1, "on ladders": 2, "falling": 2}
"""Numbers of rows that launches of one run have, at least."""


@pytest.mark.parametrize("name", CASES)
def test_as_many_as_the_engines_took(name, monkeypatch):
    """Each row of each segment makes as many as its word has."""
    advance, seen = BatchedEngine.advance, Counter()

    def counting(self, state, segment, *more):
        seen["taken"] += self.job.replicas * self.job.program.gradients_per_step * segment.steps
        seen[self.job.replicas] += 1
        return advance(self, state, segment, *more)

    monkeypatch.setattr(BatchedEngine, "advance", counting)
    spec = CASES[name]
    course, _ = told(sample(spec, engine="batched"))
    launch = Launch.of(prepare(RunSpec.from_dict(spec)))
    assert gradients(launch, Course.of(course), course["stop"]) == seen["taken"]
    assert len(seen) - 1 >= ROWS[name]
