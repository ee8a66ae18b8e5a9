"""From a RunSpec to everything a run needs: data, model, program, hyperparameters, job, ensembles.

Here, and only here, temperatures are converted (tau = T / N, tau = sigma^2 / 2 for SGLD), and numbers spread over replicas and partitions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .data import Dataset
from .engines import Batching, Job, initial_state
from .errors import SpecError
from .methods import Method, get_method, make_program
from .partition import Partition
from .resources import check_memory
from .schedules import Cooling, Schedule
from .spec import MethodSpec, RunSpec, Scheduled
from .state import PARTITIONED, Hyper, State
from .streams import Purpose, make_keys, normals
from .targets import ShlpModel, ShlpTarget
from .words import Program

DEFAULT_BATCH = 20
DEFAULT_NOISE_SD = 0.5
MAX_PROBES = 32


@dataclass(frozen=True)
class Setup:
    """A run made ready: the spec, its data, and the job an engine can carry out.

    Attributes
    ----------
    ensemble : [R] int64, replicas alike in data set and hyperparameters, numbered in order of appearance.
    dataset : [R] int64, the data set of each replica.
    """

    spec: RunSpec
    data: Dataset
    model: ShlpModel
    job: Job
    ensemble: np.ndarray
    dataset: np.ndarray

    @property
    def program(self) -> Program:
        """The compiled method."""
        return self.job.program

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
    def ensemble_dataset(self) -> np.ndarray:
        """[E] the data set of each ensemble."""
        return self.dataset[np.unique(self.ensemble, return_index=True)[1]]

    @cached_property
    def probes(self) -> np.ndarray:
        """[D, probe, m] at most 32 inputs spread over the test points (the training points where there is no test set)."""
        x = self.data.x_test if self.data.test_points else self.data.x_train
        spread = np.unique(np.linspace(0, x.shape[1] - 1, min(MAX_PROBES, x.shape[1])).round().astype(int))
        return x[:, spread]

    @cached_property
    def points(self) -> np.ndarray:
        """[D, point, m] where running averages are taken: the test inputs, or the probes where there is no test set."""
        return self.data.x_test if self.data.test_points else self.probes

    def chain_coordinates(self) -> dict[str, np.ndarray]:
        """Static coordinates of each replica, [R]: identity, and every hyperparameter in use."""
        hyper, partition = self.job.hyper, self.program.partition
        out = {
            "ensemble": self.ensemble,
            "dataset": self.dataset,
            "seed": self.job.seed,
            "stream": self.job.stream,
            "stepsize": hyper.stepsize,
        }
        for name in PARTITIONED:
            for k, column in enumerate(getattr(hyper, name).T):
                if not np.isnan(column).all():
                    out[f"{name}_{partition.names[k]}"] = column
        return out

    def initial_state(self) -> State:
        """The state at step 0."""
        spec, job = self.spec, self.job
        seed = np.uint64(spec.run.seed if spec.run.seed_init is None else spec.run.seed_init)
        keys = make_keys(np.full(job.replicas, seed), job.stream)
        position = self.model.initial_position(spec.model.init, spec.model.init_sd, keys, np.dtype(job.dtype).type)
        momentum = None
        if spec.run.momenta == "thermal":
            lanes = self.model.layout.lanes
            blocks = np.arange(int(lanes.max()) // 4 + 1, dtype=np.uint64)
            momentum = normals(keys, blocks, Purpose.MOMENTUM, 0, dtype=np.dtype(job.dtype).type)[:, lanes]
            tau = np.nan_to_num(job.hyper.temperature)
            for k, columns in enumerate(self.program.partition.slices):
                momentum[:, columns] *= np.sqrt(tau[:, k : k + 1]).astype(job.dtype)
        return initial_state(job, position, momentum)


def setup(spec: RunSpec, base: Path | None = None, data: Dataset | None = None) -> Setup:
    """Build a run; relative paths of files start at `base`, and `data` replaces reading them (as resume does).

    Raises
    ------
    SpecError, DataError
        Whatever in the spec or its data cannot be run, named.
    """
    data = spec.data.build(base) if data is None else data
    model = _model(spec, data)
    check_memory(_least_bytes(spec, model), spec.run.replicas)
    method = get_method(spec.method.name)
    partition = model.layout.partition(spec.method.partition or ("layer" if spec.method.freeze else method.partition))
    program = make_program(method, partition, spec.method.word, tuple(spec.method.freeze), spec.method.convention or "I")
    replicas = spec.run.replicas
    hyper = resolve_hyper(spec.method, method, program, replicas, data.points, spec.run.steps)
    dataset = np.arange(replicas, dtype=np.int64) % data.count
    dynamics = spec.run.seed if spec.run.seed_dynamics is None else spec.run.seed_dynamics
    dtype = np.dtype(spec.model.dtype).type
    job = Job(
        program=program, target=ShlpTarget(model, data, dataset, dtype), hyper=hyper, batching=_batching(spec, data.points),
        seed=np.full(replicas, dynamics, np.uint64), stream=np.arange(replicas, dtype=np.uint64), dtype=dtype,
    )  # fmt: skip
    return Setup(spec, data, model, job, ensembles(dataset, hyper), dataset)


def ensembles(dataset: np.ndarray, hyper: Hyper) -> np.ndarray:
    """[R] ensemble of each replica: alike in data set and every hyperparameter, numbered in order of appearance."""
    columns = [dataset, hyper.stepsize, *(column for name in PARTITIONED for column in np.nan_to_num(getattr(hyper, name), nan=-1).T)]
    _, first, inverse = np.unique(np.column_stack(columns), axis=0, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse.reshape(-1)].astype(np.int64)


def _model(spec: RunSpec, data: Dataset) -> ShlpModel:
    if spec.model.task not in (None, data.task):
        raise SpecError(f"model.task = '{spec.model.task}' does not fit {data.name}, which is {data.task}: leave task out.")
    if spec.model.noise_sd is not None and data.task != "regression":
        raise SpecError(f"model.noise_sd = {spec.model.noise_sd} is for regression; {data.name} is {data.task}: leave it out.")
    noise_sd = spec.model.noise_sd or (getattr(spec.data, "noise", 0) if data.task == "regression" else 0) or DEFAULT_NOISE_SD
    return ShlpModel(data.inputs, spec.model.hidden, data.outputs, data.task, spec.model.activation, spec.model.prior_sd, noise_sd)


def _least_bytes(spec: RunSpec, model: ShlpModel) -> int:
    """What the state and the hyperparameters alone take: absurd sizes are refused before anything is allocated."""
    m, d, n = model.inputs, model.hidden, model.outputs
    return spec.run.replicas * (3 * np.dtype(spec.model.dtype).itemsize * (m * d + d + (d + 1) * n) + 200)


def _batching(spec: RunSpec, points: int) -> Batching:
    run = spec.run
    if run.minibatch == "full":
        return Batching("full", points)
    size = run.batch if run.batch is not None else min(DEFAULT_BATCH, points)
    if size > points:
        raise SpecError(f"run.batch = {size} is larger than the training set of {points} points: use at most {points}.")
    return Batching(run.minibatch, size)


# -- hyperparameters --------------------------------------------------------------------------------------------------------------------


def resolve_hyper(spec: MethodSpec, method: Method, program: Program, replicas: int, points: int, total: int) -> Hyper:
    """Spread the user's values, or the method's defaults, over replicas and partitions.

    Raises
    ------
    SpecError
        A hyperparameter that no word uses, a partition named whose word does not use it, an array of the wrong length.
    """
    given = _given(spec, method, points)
    schedules: dict[tuple[str, int], Schedule] = {}
    stepsize = spec.stepsize or Scheduled(value=method.defaults["stepsize"])
    values = {"stepsize": _spread("stepsize", stepsize, replicas)}
    if stepsize.schedule is not None:
        schedules["stepsize", 0] = stepsize.schedule
    for name in PARTITIONED:
        table = np.full((replicas, len(program.partition.names)), np.nan)
        written = "posterior_temperature" if name == "temperature" and spec.posterior_temperature is not None else name
        for k, scheduled in _by_partition(name, given.get(name), method, program, written).items():
            table[:, k] = _spread(written, scheduled, replicas)
            if scheduled.schedule is not None:
                schedules[name, k] = scheduled.schedule
        values[name] = table
    if method.update == "coolmomentum":
        schedules |= _cooling(spec, values["momentum"])
    return Hyper(**values, schedules=schedules, total=total)


def _given(spec: MethodSpec, method: Method, points: int) -> dict[str, Mapping[str, Scheduled]]:
    """What the user gave, in tau: T / N for posterior_temperature, sigma^2 / 2 for SGLD's sigma."""
    given = {name: getattr(spec, name) for name in PARTITIONED if getattr(spec, name) is not None}
    if spec.posterior_temperature is not None:
        given["temperature"] = {place: _map(s, lambda t: t / points) for place, s in spec.posterior_temperature.items()}
    if method.name == "sgld" and spec.sigma is not None:
        if "temperature" in given:
            raise SpecError("method 'sgld' takes temperature or sigma (temperature = sigma^2 / 2), not both.")
        given["temperature"] = {place: _map(s, lambda sigma: sigma**2 / 2) for place, s in given.pop("sigma").items()}
        if any(s.schedule is not None for s in given["temperature"].values()):
            raise SpecError("A schedule on sgld's sigma would act on temperature = sigma^2 / 2: schedule the temperature instead.")
    return given


def _map(scheduled: Scheduled, f: Any) -> Scheduled:
    value = [f(v) for v in scheduled.value] if isinstance(scheduled.value, list) else f(scheduled.value)
    return Scheduled(value=value, schedule=scheduled.schedule)


def _uses(program: Program, name: str, k: int) -> bool:
    return program.has_thermostat(k) if name == "thermostat" else name in program.reads(k)


def _by_partition(name: str, given: Mapping[str, Scheduled] | None, method: Method, program: Program, written: str) -> dict[int, Scheduled]:
    """Scheduled value of each partition that uses `name`: the method's default, then the user's general value, then the specific ones.

    `written` is the name the user knows it by.
    """
    partition = program.partition
    users = [k for k in range(len(partition.names)) if _uses(program, name, k)]
    out = {k: s for k, s in _defaults(name, method, partition).items() if k in users}
    for place, scheduled in sorted((given or {}).items(), key=lambda item: -len(partition.resolve(item[0]))):
        hit = [k for k in partition.resolve(place) if k in users]
        if not hit:
            raise SpecError(_unused(name, written, place, program))
        out |= dict.fromkeys(hit, scheduled)
    for k in users:
        if k not in out:
            raise SpecError(f"Method '{method.name}' needs {name} for partition {partition.names[k]}: give it in [method].")
    return out


def _defaults(name: str, method: Method, partition: Partition) -> dict[int, Scheduled]:
    default = method.defaults.get(name)
    if default is None:
        return {}
    by_name = default if isinstance(default, Mapping) else {"all": default}
    return {k: Scheduled(value=v) for place, v in by_name.items() for k in partition.resolve(place)}


def _unused(name: str, written: str, place: str, program: Program) -> str:
    texts = dict(zip(program.partition.names, program.texts, strict=True))
    if place == "all":
        listed = ", ".join(f"{text or 'frozen'} ({k})" for k, text in texts.items())
        return f"method.{written} is not used by {listed}: leave it out."
    used = [n for k, n in enumerate(texts) if _uses(program, name, k)]
    hint = f" It is used by: {', '.join(used)}." if used else " Leave it out."
    return f"method.{written}.{place} is not used: the word there is {texts.get(place) or 'frozen or split'}.{hint}"


def _spread(name: str, scheduled: Scheduled, replicas: int) -> np.ndarray:
    if isinstance(scheduled.value, list) and len(scheduled.value) != replicas:
        raise SpecError(
            f"method.{name} is a list of {len(scheduled.value)} values for {replicas} replicas: give one number, or one for each replica."
        )
    return np.broadcast_to(np.asarray(scheduled.value, np.float64), (replicas,)).copy()


def _cooling(spec: MethodSpec, rho: np.ndarray) -> dict[tuple[str, int], Schedule]:
    used = rho[:, ~np.isnan(rho).all(axis=0)]
    if (used != used[0, 0]).any() or not 0 < used[0, 0] < 1:
        found = ", ".join(f"{v:g}" for v in np.unique(used)[:5])
        raise SpecError(f"coolmomentum needs one momentum rho_0 between 0 and 1 for all replicas, not {found}.")
    law = Cooling(law=spec.cooling or "published", rho=float(used[0, 0]))
    return {("momentum", k): law for k in range(rho.shape[1]) if not np.isnan(rho[:, k]).all()}
