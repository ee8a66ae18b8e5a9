"""Jobs with known laws, and time averages of them with the replica as the unit."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data import Dataset
from ..engines import Batching, Engine, Job, initial_state, make_engine
from ..errors import RunError
from ..method.partition import Partition
from ..method.words import Program, compile_program, compile_update, parse_word
from ..state import Hyper, Segment, State
from ..targets.analytic.wells import Harmonic
from ..targets.base import Target
from ..targets.networks import MlpModel
from ..targets.posterior import MlpTarget

SEED = 20190601
"""Of all checks: a report is the same every time on one machine and build."""
INPUTS, HIDDEN, OUTPUTS, POINTS = 2, 10, 4, 20
GROUPS = np.array([(1.0, 1.0, 1.0), (0.6, 0.3, 0.04), (0.8, 3.0, 25.0), (1.2, 2.0, 1.0)])
"""(h, gamma, tau): replica r has row r mod 4, all in one batch."""


Observe = Callable[[State], Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class Place:
    """Where a check runs: one engine on one device. `threads` as for `sample`."""

    engine: str
    device: str = "cpu"
    threads: int | None = None
    seed: int = SEED

    def make(self, job: Job) -> Engine:
        """The engine for `job`."""
        return make_engine(job, self.engine, self.device, self.threads)


@dataclass(frozen=True)
class Plan:
    """Replicas, steps before the average, states averaged, steps between them."""

    replicas: int
    burn: int
    draws: int
    thin: int


def average(place: Place, job: Job, plan: Plan, observe: Observe, state: State) -> dict[str, np.ndarray]:
    """Time average of what `observe` returns ([R, ...] float64 arrays), for each replica.

    Raises
    ------
    RunError
        If a replica was frozen: no law here overflows.
    """
    engine = place.make(job)
    sums: dict[str, Any] = {}
    engine.advance(state, Segment(state.step, plan.burn))
    for _ in range(plan.draws):
        engine.advance(state, Segment(state.step, plan.thin))
        for name, value in observe(state).items():
            sums[name] = sums.get(name, 0.0) + value
    if (state.status != 0).any():
        frozen = int((state.status != 0).sum())
        raise RunError(
            f"{frozen} of the check's {state.replicas} replicas were frozen ({place.engine}, {place.device})."
        )
    return {name: value / plan.draws for name, value in sums.items()}


def program_of(word: str | Mapping[str, str | None], partition: Partition) -> Program:
    """Program of one word, one word per partition (None: frozen), or a whole-step update in lower case."""
    if isinstance(word, str) and word.islower():
        return compile_update(word, partition)
    texts = dict.fromkeys(partition.names, word) if isinstance(word, str) else word
    return compile_program(
        {name: None if text is None else parse_word(text) for name, text in texts.items()}, partition
    )


def job_of(
    place: Place,
    program: Program,
    target: Target,
    batching: Batching,
    dtype: Any,
    stepsize: Any,
    replicas: int,
    **values: Any,
) -> Job:
    """A job whose hyperparameters broadcast to [R] and [R, K]."""
    hyper = Hyper.constant(replicas, len(program.partition.names), stepsize, **values)
    seed, stream = np.full(replicas, place.seed, np.uint64), np.arange(replicas, dtype=np.uint64)
    return Job(program, target, hyper, batching, seed, stream, dtype)


def grouped(column: Iterable[float], replicas: int) -> np.ndarray:
    """One value for each replica, groups in turn."""
    return np.resize(np.asarray(list(column), np.float64), replicas)


def start(job: Job, scale: Any = 1.0) -> State:
    """Random positions and momenta of standard deviation `scale` (a number or [R, 1])."""
    draw = np.random.default_rng(int(job.seed[0])).normal(size=(2, job.replicas, job.target.layout.size)) * scale
    return initial_state(job, *draw)


# -- targets -----------------------------------------------------------------------------------------------------------


def well(stiffness: np.ndarray, noise_sd: float = 0.0) -> Harmonic:
    """Harmonic wells of the given stiffnesses [P]."""
    return Harmonic(np.asarray(stiffness)[None, :], len(stiffness), noise_sd)


def regression(y: np.ndarray, x: np.ndarray) -> Dataset:
    """Training points as a data set with no test points."""
    names = tuple(f"x{i}" for i in range(x.shape[1])), tuple(f"y{i}" for i in range(y.shape[1]))
    return Dataset("verify", "regression", x[None], y[None], x[None, :0], y[None, :0], names[0], (), names[1])


def network(model: MlpModel, data: Dataset, replicas: int, dtype: Any = np.float32) -> MlpTarget:
    """An SHLP on one data set."""
    return MlpTarget(model, data, np.zeros(replicas, np.int64), dtype)


def silent_network(replicas: int, stiffness: float = 1.0) -> MlpTarget:
    """A network whose data say nothing (noise sd 1e9: a gradient of 1e-18): U = |theta|^2 / (2 s^2 N) with 1 / (s^2 N)
    = `stiffness`.
    """
    model = MlpModel(INPUTS, (HIDDEN,), OUTPUTS, "regression", "relu", (POINTS * stiffness) ** -0.5, 1e9)
    draw = np.random.default_rng(SEED).normal(size=(POINTS, INPUTS + OUTPUTS))
    return network(model, regression(draw[:, INPUTS:], draw[:, :INPUTS]), replicas)
