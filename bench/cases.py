"""The configurations that every contender runs: sizes, data, LMV fig. 10's settings of AdLaLa."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from gpu_thermo.engines import Engine, Job
from gpu_thermo.running.setup import prepare
from gpu_thermo.running.subject import Setup
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.state import State

H, TAU, GAMMA, SIGMA, EPSILON = 0.25, 1e-4, 0.1, 0.01, 0.05
"""Stepsize, temperature, friction of the output layer, additive noise and thermostat coupling of the hidden layer."""


@dataclass(frozen=True)
class Case:
    """One configuration: m inputs, d hidden units, n outputs, N training points, minibatches of B."""

    name: str
    data: str
    inputs: int
    hidden: int
    outputs: int
    points: int
    batch: int

    @property
    def hidden_parameters(self) -> int:
        """Parameters of the hidden layer."""
        return (self.inputs + 1) * self.hidden

    @property
    def parameters(self) -> int:
        """P."""
        return self.hidden_parameters + (self.hidden + 1) * self.outputs

    def job(self) -> Job:
        """Our run of it, of one replica."""
        return self.setup(1).job

    def setup(self, replicas: int) -> Setup:
        """Our run of this case."""
        return prepare(RunSpec.from_dict(self.tree(replicas)))

    def ready(self, replicas: int) -> tuple[Job, Callable[[Engine], State]]:
        """The job, and what makes its start where an engine has its states."""
        ready = self.setup(replicas)
        return ready.job, ready.begin

    def tree(self, replicas: int) -> dict[str, Any]:
        """Its spec."""
        data = {"name": "spirals", "train": self.points} if self.data == "spirals" else {"name": "digits"}
        method = {
            "name": "adlala",
            "stepsize": H,
            "temperature": TAU,
            "sigma": SIGMA,
            "epsilon": EPSILON,
            "friction": GAMMA,
        }
        run = {
            "replicas": replicas,
            "batch": self.batch,
            "steps": 10**9,
            "burn_in": 0,
            "thin": 10**9,
            "trace": 10**9,
            "keep": [],
        }
        return {"data": data, "model": {"hidden": self.hidden}, "method": method, "run": run}


def spirals(hidden: int, batch: int) -> Case:
    """Two inputs, one logit; 500 points as LMV's two-turn runs at 20 hidden units, else 1000."""
    points = 500 if hidden < 50 else 1000
    return Case(f"d{hidden}_B{batch}", "spirals", 2, hidden, 1, points, batch)


_DIGITS = Case("digits", "digits", 64, 50, 10, 1437, 50)
CASES = {c.name: c for c in (spirals(20, 25), spirals(100, 20), spirals(500, 20), _DIGITS)}


@cache
def arrays(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Training inputs [N, m] float32 and labels [N] int64, the very ones our engines see."""
    ready = case.setup(1)
    return ready.subject.target.x_train[0].astype(np.float32), ready.subject.data.y_train[0].astype(np.int64)


@dataclass
class Health:
    """What a sanity check asks of a contender: mean loss over all points and replicas, and the hidden layer's kinetic
    temperature.
    """

    loss: float
    kinetic_temperature: float | None = None


def loss_of(case: Case, position: Any) -> float:
    """Mean loss of replicas at `position` [R, P] in our layout (w1, b1, w2, b2), over all training points."""
    ready = case.setup(1)
    x, y = arrays(case)
    q = np.asarray(position, np.float32)
    out = ready.subject.model.outputs_at(q, x)
    return float(ready.subject.model.losses(out, np.broadcast_to(y, out.shape[:2])).mean())


def kinetic(case: Case, momentum: Any) -> float:
    """Mean of p.p / n over replicas, hidden layer only."""
    p = np.asarray(momentum, np.float64)[:, : case.hidden_parameters]
    return float((p * p).mean())
