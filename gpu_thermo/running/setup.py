"""From a RunSpec to everything a run needs, in one line: subject, program, hyperparameters, ensembles, moves, job."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..data import Dataset
from ..engines import Batching, Job
from ..errors import SpecError
from ..method.named import get_method, make_program
from ..method.paces import with_paces, with_ratios
from ..method.words import Program
from ..moves import fold
from ..moves.base import Context
from ..moves.fold import make_moves
from ..registration import check_registered, registered
from ..spec.duration import clock_of
from ..spec.mass import scale_of
from ..spec.method import AUTO
from ..spec.own import with_network
from ..spec.run import RunSpec
from ..state import PARTITIONED, Hyper, alike
from ..targets.base import Layout, Potential
from ..targets.own import OwnNetwork
from ..targets.posterior import MlpTarget
from .braces import check_braces, with_work
from .hyperparameters import check_positive, resolve_hyper
from .network import NetworkSubject
from .potential import PotentialSubject
from .starts import Starts, find_starts, with_hash
from .subject import Setup, Subject

DEFAULT_BATCH = 20


def prepare(
    spec: RunSpec, base: Path | None = None, data: Dataset | None = None, potential: Potential | None = None,
    init: Any = None, network: Any = None,
) -> Setup:  # fmt: skip
    """Make any run ready.

    Parameters
    ----------
    spec : the run. base : where relative paths of files start. data : replaces reading them (as resume does).
    potential : the user's own, where the spec says target = {name = "custom"}. init : tensors to start from, by name.
    network : the user's own, in place of ours.

    Raises
    ------
    SpecError, DataError
        Whatever in the spec or its data cannot be run, named.
    """
    check_registered(spec.registered)
    spec, own, init = with_network(spec, network, init)
    spec, held = find_starts(spec, base, init)
    subject = choose_subject(spec, base, data, potential, own)
    spec = subject.spec  # which says what was chosen by the data
    ready = make_setup(spec, subject)
    if held is None:
        return ready
    starts = Starts.of(held, ready.job.target.layout, spec.run.replicas, ready.job.dtype)
    return replace(ready, spec=with_hash(spec, starts), starts=starts)


def make_setup(spec: RunSpec, subject: Subject, stream: np.ndarray | None = None, given: Hyper | None = None) -> Setup:
    """The run of a subject, its replicas with streams [R] uint64 and hyperparameters of their own where these are
    given; SpecError where the method, its hyperparameters or moves do not fit it.
    """
    run, target = spec.run, subject.target
    method, program = get_method(spec.method.name), program_of(spec, target.layout)
    among = None if run.streams is None else np.array(run.streams, np.uint64)
    hyper = given or resolve_hyper(spec.method, method, program, run.replicas, target.points, run.steps, among)
    seed = np.full(run.replicas, run.seed if run.seed_dynamics is None else run.seed_dynamics, np.uint64)
    if stream is None:
        stream = np.arange(run.replicas, dtype=np.uint64) if among is None else among
    ensemble = ensembles(subject.dataset, hyper)
    if run.tolerance is not None:
        check_alike(ensemble)
    check_superchains(run.superchain, ensemble)
    batching = _batching(spec, target.points)
    network = target.model if isinstance(target, MlpTarget) and not target.library else None
    fans = None if network is None else network.weight_fans
    prior = None if network is None else network.prior_spread
    scale = None if spec.method.mass is None else scale_of(spec.method.mass, target.layout, fans, prior)
    context = Context(
        program, seed, stream, ensemble, target.points, run.burn_in, run.steps, subject.energy_range,
        prior_gradient=_prior_gradient(subject, scale),
    )  # fmt: skip
    own = spec.moves if run.tolerance is None else []  # else a ladder is the launch's (rungs.py)
    moves, hyper = make_moves(own, hyper, context)
    check_positive(program, hyper)
    job = Job(
        program, target, hyper, batching, seed, stream, subject.dtype, fold.in_gradients(moves), scale,
        clock=clock_of(spec, hyper.stepsize),
    )  # fmt: skip
    check_braces(spec.method, job := with_work(job, spec.run), own)
    check_auto_batch(spec, job)
    return Setup(with_registered(spec, program), subject, job, ensemble, moves)


def program_of(spec: RunSpec, layout: Layout) -> Program:
    """What a step of the spec's method does on parameters of this layout; SpecError where momenta are to be kept that
    there are none of.
    """
    given, method = spec.method, get_method(spec.method.name)
    partition = layout.partition(given.partition or ("layer" if given.freeze else method.partition))
    program = make_program(method, partition, given.word, tuple(given.freeze), given.convention or "I")
    program = with_paces(program, _by_partition("every", given.every or {}, program))
    program = with_ratios(program, _by_partition("stepsize_ratio", given.stepsize_ratio or {}, program))
    operations = (o for k in range(len(partition.names)) for o in program.operations(k))
    if "momenta" in spec.run.keep and not any("p" in o.operands for o in operations):
        raise SpecError(
            f'run.keep = "momenta": {given.name} has none. Leave it out, or use a method of words, such as langevin.'
        )
    return program


def _by_partition(key: str, given: Mapping[str, Any], program: Program) -> tuple[Any, ...]:
    """[K] numbers of the partitions, 1 unless given; the narrower name has the last word."""
    partition, out = program.partition, dict.fromkeys(range(len(program.partition.names)), 1)
    for place, number in sorted(given.items(), key=lambda item: -len(partition.resolve(item[0]))):
        found = [k for k in partition.resolve(place) if program.texts[k] is not None]
        if not found:
            raise SpecError(f"method.{key}.{place}: that is frozen, and never moves. Leave it out.")
        out |= dict.fromkeys(found, number)
    return tuple(out.values())


def with_registered(spec: RunSpec, program: Program) -> RunSpec:
    """The spec that says by which registered records its run goes."""
    used = [f"{kind} {record.symbol}" for record in program.records for kind in ("letter", "update")]
    if spec.target is None:
        named = {"activation": spec.model.activation, "prior": spec.model.prior, "likelihood": spec.model.likelihood}
        used += [f"{kind} {name}" for kind, name in named.items()]
    found = {label: digest for label, digest in registered().items() if label in used}
    return spec if found == spec.registered else spec.model_copy(update={"registered": found})


def _prior_gradient(subject: Subject, scale: np.ndarray | None) -> Callable[[np.ndarray], np.ndarray] | None:
    """What the prior adds to the gradients of a state, masses included; None where there is none."""
    target: Any = subject.target
    if not subject.parts or target.model.prior_sd is None:
        return None
    return lambda position: target.prior_gradient(position) * (1 if scale is None else scale.astype(position.dtype))


def choose_subject(
    spec: RunSpec, base: Path | None, data: Dataset | None, potential: Potential | None,
    network: OwnNetwork | None = None,
) -> Subject:  # fmt: skip
    """What the spec is about; nothing asks again."""
    if spec.target is not None:
        return PotentialSubject.make(spec, potential)
    if potential is not None:
        raise SpecError(
            'A potential is given, and the spec has no [target]: write target = {name = "custom", size = P} in place of'
            " data."
        )
    return NetworkSubject.make(spec, base, data, network)


def check_auto_batch(spec: RunSpec, job: Job) -> None:
    """SpecError where a run may not choose minibatches: a word in braces, and thermostats, which hide what they do."""
    if spec.run.batch != AUTO:
        return
    if job.program.braces is not None:
        raise SpecError(
            'run.batch = "auto", and a word in braces accepts steps by the energy of all points: leave out the braces'
            " (on all points the run goes in braces by itself), or batch."
        )
    if job.program.update is None and not job.program.has_work:
        raise SpecError(
            'run.batch = "auto", and thermostats take up the noise of minibatches where nothing can see it: use method'
            " langevin or sgld, or leave out batch, which takes all points."
        )


def check_alike(ensemble: np.ndarray) -> None:
    """SpecError where replicas of a run that tunes itself are of several ensembles [R]."""
    if ensemble.max() > 0:
        raise SpecError(
            "run.tolerance takes errors from the spread over replicas that are alike, and these are of"
            f" {ensemble.max() + 1} ensembles (data sets or hyperparameters): sample each in a run of its own, or give"
            " run.steps in its place."
        )


def check_superchains(size: int | None, ensemble: np.ndarray) -> None:
    """SpecError where replicas that are to share a start are of different ensembles [R]."""
    rows = np.arange(len(ensemble))
    if size is not None and (ensemble != ensemble[rows // size * size]).any():
        raise SpecError(
            f"run.superchain = {size} neighbours share a start, and some of them are of different ensembles (data sets"
            " or hyperparameters): let it divide the replicas of each."
        )


def ensembles(dataset: np.ndarray, hyper: Hyper) -> np.ndarray:
    """[R] ensemble of each replica: alike in data set and every hyperparameter, numbered in order of appearance."""
    columns = [
        dataset,
        hyper.stepsize,
        hyper.block,
        *(column for name in PARTITIONED for column in getattr(hyper, name).T),
    ]
    first, inverse = alike(columns)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)


def _batching(spec: RunSpec, points: int) -> Batching:
    run = spec.run
    if run.minibatch == "full" or isinstance(run.batch, str) or not points:  # "auto" adapts on all points
        return Batching("full", points)
    size = run.batch if run.batch is not None else min(DEFAULT_BATCH, points)
    if size > points:
        raise SpecError(f"run.batch = {size} is larger than the training set of {points} points: use at most {points}.")
    return Batching(run.minibatch, size)
