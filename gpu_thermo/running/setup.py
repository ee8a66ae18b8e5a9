"""From a RunSpec to everything a run needs: data and network or potential, program, hyperparameters, moves, job,
ensembles.
"""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..data import Dataset
from ..engines import Batching, Job, initial_state
from ..errors import SpecError
from ..method.named import Method, get_method, make_program
from ..method.words import Program
from ..moves import fold
from ..moves.base import Context
from ..moves.fold import Moves, make_moves
from ..spec.run import RunSpec
from ..state import PARTITIONED, Hyper, State
from ..streams import Keys, Purpose, make_keys, normals
from ..targets.base import Layout, Potential
from ..targets.likelihoods import DEFAULTS, get_likelihood
from ..targets.networks import ShlpModel, ShlpTarget
from .agenda import Agenda
from .hyperparameters import resolve_hyper
from .resources import check_memory

DEFAULT_BATCH = 20
DEFAULT_NOISE_SD = 0.5
MAX_PROBES = 32


@dataclass(frozen=True)
class BaseSetup:
    """A run made ready: the spec, the job an engine can carry out, and what happens to the ensemble beside it.

    Attributes
    ----------
    ensemble : [R] int64, replicas alike in data set and hyperparameters, numbered in order of appearance.
    dataset : [R] int64, the data set of each replica.
    """

    spec: RunSpec
    job: Job
    ensemble: np.ndarray
    dataset: np.ndarray
    moves: Moves = field(default=(), kw_only=True)

    @property
    def program(self) -> Program:
        """The compiled method."""
        return self.job.program

    @cached_property
    def agenda(self) -> Agenda:
        """When the run records."""
        return Agenda.of(self.spec)

    @cached_property
    def ensemble_dataset(self) -> np.ndarray:
        """[E] the data set of each ensemble."""
        return self.dataset[np.unique(self.ensemble, return_index=True)[1]]

    def method_statistics(self, step: int) -> dict[str, np.ndarray]:
        """Per-replica numbers [R] that the method itself has at the moment after `step`: CoolMomentum's equivalent
        temperature.
        """
        if self.program.update != "coolmomentum":
            return {}
        hyper = self.job.hyper
        k = next(k for name, k in hyper.schedules if name == "momentum")
        rho = hyper.momentum[:, k] * hyper.factors(step - 1, 1)["momentum", k]
        return {"equivalent_temperature": (1 + rho) / (1 - rho)}

    def chain_coordinates(self) -> dict[str, np.ndarray]:
        """Static coordinates of each replica, [R]: identity, and every hyperparameter in use (on a ladder, that of the
        target rung).
        """
        hyper, partition = self.job.hyper, self.program.partition
        out = {
            "ensemble": self.ensemble, "dataset": self.dataset, "seed": self.job.seed, "stream": self.job.stream,
            "stepsize": hyper.stepsize,
        }  # fmt: skip
        for name in PARTITIONED:
            for k, column in enumerate(getattr(hyper, name).T):
                if not np.isnan(column).all():
                    out[f"{name}_{partition.names[k]}"] = column
        return out

    @property
    def _initial_keys(self) -> Keys:
        run = self.spec.run
        seed = np.uint64(run.seed if run.seed_init is None else run.seed_init)
        return make_keys(np.full(self.job.replicas, seed), self.job.stream)

    def _start(self, position: np.ndarray) -> State:
        """The state at step 0 at `position`."""
        state = initial_state(self.job, position)
        fold.begin(self.moves, state)
        if self.spec.run.momenta == "thermal":
            state.momentum[...] = _thermal_momenta(
                self.job, fold.hyper(self.moves, state) or self.job.hyper, self._initial_keys
            )
        return state


@dataclass(frozen=True)
class Setup(BaseSetup):
    """A run of networks on their data."""

    data: Dataset
    model: ShlpModel

    @property
    def target(self) -> ShlpTarget:
        """The network on its data."""
        target = self.job.target
        assert isinstance(target, ShlpTarget)
        return target

    @cached_property
    def fingerprint(self) -> str:
        """Identity of the run, its data included."""
        return self.spec.fingerprint(self.data.fingerprint())

    @cached_property
    def probes(self) -> np.ndarray:
        """[D, probe, m] at most 32 inputs spread over the test points (the training points where there is no test
        set).
        """
        x = self.data.x_test if self.data.test_points else self.data.x_train
        spread = np.unique(np.linspace(0, x.shape[1] - 1, min(MAX_PROBES, x.shape[1])).round().astype(int))
        return x[:, spread]

    @cached_property
    def points(self) -> np.ndarray:
        """[D, point, m] where running averages are taken: the test inputs, or the probes where there is no test set."""
        return self.data.x_test if self.data.test_points else self.probes

    def initial_state(self) -> State:
        """The state at step 0."""
        model = self.spec.model
        return self._start(
            self.model.initial_position(model.init, model.init_sd, self._initial_keys, np.dtype(self.job.dtype).type)
        )


@dataclass(frozen=True)
class PotentialSetup(BaseSetup):
    """A run on a potential without data."""

    potential: Potential

    @cached_property
    def fingerprint(self) -> str:
        """Identity of the run, the potential included."""
        return self.spec.fingerprint(getattr(self.potential, "fingerprint", ""))

    def initial_state(self) -> State:
        """The state at step 0."""
        assert self.spec.target is not None
        return self._start(self.spec.target.initial_position(self._initial_keys, np.dtype(self.job.dtype).type))


AnySetup = Setup | PotentialSetup


def prepare(
    spec: RunSpec, base: Path | None = None, data: Dataset | None = None, potential: Potential | None = None
) -> AnySetup:
    """Build any run; see `setup` and `potential_setup`."""
    if spec.target is not None:
        return potential_setup(spec, potential)
    if potential is not None:
        raise SpecError(
            'A potential is given, and the spec has no [target]: write target = {name = "custom", size = P} in place of'
            " data."
        )
    return setup(spec, base, data)


def setup(spec: RunSpec, base: Path | None = None, data: Dataset | None = None) -> Setup:
    """Build a run of networks; relative paths of files start at `base`, and `data` replaces reading them (as resume
    does).

    Raises
    ------
    SpecError, DataError
        Whatever in the spec or its data cannot be run, named.
    """
    data = spec.data.build(base) if data is None else data
    model = _model(spec, data)
    parameters = data.inputs * spec.model.hidden + spec.model.hidden + (spec.model.hidden + 1) * data.outputs
    check_memory(_least_bytes(spec, parameters, spec.model.dtype), spec.run.replicas)
    method, program = _method(spec, model.layout)
    hyper = resolve_hyper(spec.method, method, program, spec.run.replicas, data.points, spec.run.steps)
    dataset = np.arange(spec.run.replicas, dtype=np.int64) // spec.tied % data.count
    dtype = np.dtype(spec.model.dtype).type
    range_top = model.likelihood.top if model.prior_sd is None else None  # with a prior energies have no natural range
    top = None if range_top is None else range_top(model.outputs)
    job, ensemble, moves = _job(
        spec, program, ShlpTarget(model, data, dataset, dtype), hyper, _batching(spec, data.points), dataset, top
    )
    return Setup(spec, job, ensemble, dataset, data, model, moves=moves)


def potential_setup(spec: RunSpec, potential: Potential | None = None) -> PotentialSetup:
    """Build a run on a potential: the spec's own, or the user's where the spec says "custom".

    Raises
    ------
    SpecError
        Whatever in the spec cannot be run, named.
    """
    options = spec.target
    assert options is not None
    about_data = {
        "run.batch": spec.run.batch is not None, "run.minibatch": spec.run.minibatch in ("epoch", "replacement"),
        "method.posterior_temperature": spec.method.posterior_temperature is not None,
    }  # fmt: skip
    if wrong := next((field for field, given in about_data.items() if given), None):
        raise SpecError(f"{wrong} is about data, and target '{options.name}' has none: leave it out.")
    if potential is not None and options.name != "custom":
        raise SpecError(
            f"A potential is given, and the spec names target '{options.name}': use name = \"custom\", or leave it out."
        )
    potential = options.build() if potential is None else potential
    if options.name == "custom" and potential.layout.size != options.size:
        raise SpecError(
            f"target.size = {options.size}, and the potential has {potential.layout.size} parameters: make them agree."
        )
    check_memory(_least_bytes(spec, potential.layout.size, options.dtype), spec.run.replicas)
    method, program = _method(spec, potential.layout)
    hyper = resolve_hyper(spec.method, method, program, spec.run.replicas, 0, spec.run.steps)
    dataset = np.zeros(spec.run.replicas, np.int64)
    job, ensemble, moves = _job(spec, program, potential, hyper, Batching("full", 0), dataset)
    return PotentialSetup(spec, job, ensemble, dataset, potential, moves=moves)


def _job(
    spec: RunSpec,
    program: Program,
    target: Any,
    hyper: Hyper,
    batching: Batching,
    dataset: np.ndarray,
    top: float | None = None,
) -> tuple[Job, np.ndarray, Moves]:
    """The job, the ensembles and the moves. `top`: an energy that classification rarely exceeds."""
    run = spec.run
    seed = np.full(run.replicas, run.seed if run.seed_dynamics is None else run.seed_dynamics, np.uint64)
    stream = np.arange(run.replicas, dtype=np.uint64)
    ensemble = ensembles(dataset, hyper)
    context = Context(
        program=program,
        seed=seed,
        stream=stream,
        group=ensemble,
        points=target.points,
        burn_in=run.burn_in,
        steps=run.steps,
        energy_range=None if top is None else (0.0, top),
    )
    moves, hyper = make_moves(spec.moves, hyper, context)
    dtype = np.dtype(spec.model.dtype if spec.target is None else spec.target.dtype).type
    job = Job(
        program=program,
        target=target,
        hyper=hyper,
        batching=batching,
        seed=seed,
        stream=stream,
        dtype=dtype,
        contour=fold.in_gradients(moves),
    )
    return job, ensemble, moves


def ensembles(dataset: np.ndarray, hyper: Hyper) -> np.ndarray:
    """[R] ensemble of each replica: alike in data set and every hyperparameter, numbered in order of appearance."""
    columns = [
        dataset,
        hyper.stepsize,
        *(column for name in PARTITIONED for column in np.nan_to_num(getattr(hyper, name), nan=-1).T),
    ]
    _, first, inverse = np.unique(np.column_stack(columns), axis=0, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse.reshape(-1)].astype(np.int64)


def _method(spec: RunSpec, layout: Layout) -> tuple[Method, Program]:
    method = get_method(spec.method.name)
    partition = layout.partition(spec.method.partition or ("layer" if spec.method.freeze else method.partition))
    return method, make_program(
        method, partition, spec.method.word, tuple(spec.method.freeze), spec.method.convention or "I"
    )


def _thermal_momenta(job: Job, hyper: Hyper, keys: Keys) -> np.ndarray:
    """[R, P] momenta at each partition's temperature."""
    lanes = job.target.layout.lanes
    blocks = np.arange(int(lanes.max()) // 4 + 1, dtype=np.uint64)
    momentum = normals(keys, blocks, Purpose.MOMENTUM, 0, dtype=np.dtype(job.dtype).type)[:, lanes]
    tau = np.nan_to_num(hyper.temperature)
    for k, columns in enumerate(job.program.partition.slices):
        momentum[:, columns] *= np.sqrt(tau[:, k : k + 1]).astype(job.dtype)
    return momentum


def _model(spec: RunSpec, data: Dataset) -> ShlpModel:
    if spec.model.task not in (None, data.task):
        raise SpecError(
            f"model.task = '{spec.model.task}' does not fit {data.name}, which is {data.task}: leave task out."
        )
    noisy = "noise_sd" in get_likelihood(data.task).settings
    if spec.model.noise_sd is not None and not noisy:
        tasks = " and ".join(task for task, record in DEFAULTS.items() if "noise_sd" in record.settings)
        raise SpecError(
            f"model.noise_sd = {spec.model.noise_sd} is for {tasks}; {data.name} is {data.task}: leave it out."
        )
    noise_sd = spec.model.noise_sd or (getattr(spec.data, "noise", 0) if noisy else 0) or DEFAULT_NOISE_SD
    return ShlpModel(
        data.inputs, spec.model.hidden, data.outputs, data.task, spec.model.activation, spec.model.prior_sd, noise_sd
    )


def _least_bytes(spec: RunSpec, parameters: int, dtype: str) -> int:
    """What the state and the hyperparameters alone take: absurd sizes are refused before anything is allocated."""
    moves = sum(move.bytes_per_replica for move in spec.moves)
    return spec.run.replicas * (3 * np.dtype(dtype).itemsize * parameters + moves + 200)


def _batching(spec: RunSpec, points: int) -> Batching:
    run = spec.run
    if run.minibatch == "full":
        return Batching("full", points)
    size = run.batch if run.batch is not None else min(DEFAULT_BATCH, points)
    if size > points:
        raise SpecError(f"run.batch = {size} is larger than the training set of {points} points: use at most {points}.")
    return Batching(run.minibatch, size)
