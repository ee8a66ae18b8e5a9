"""sample, iterate, resume, plan: a run from spec to store."""

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import xarray

from .averages.claims import check_header
from .averages.moments import RunningMoments
from .averages.predictive import restored_data
from .averages.trees import opened
from .engines import choose_engine, make_engine, resolve_device
from .engines.builds import Build, continued, read_history
from .engines.work import STATISTICS as WORK
from .errors import RunError, SpecError, StoreError
from .moves import fold
from .running.bill import RunPlan, check_resources, make_plan
from .running.drive import COMMIT_SECONDS, Interrupted, Limits, OnProgress, drive
from .running.extended import as_extended, check_extension, draws_anew, is_over, longer, target_spec, tuned_target
from .running.given import Given, SpecLike, as_spec, make_ready
from .running.launch import Launch
from .running.loop import Loop, Progress
from .running.places import Place, place_of, planned_place
from .running.setup import prepare
from .running.starts import stored_starts
from .running.stepping import Stepping
from .running.stored import make_header
from .running.subject import Setup
from .running.tuned import TunedLoop, launch_of
from .spec.run import RunSpec
from .state import State
from .store import Checkpoint, Header, RunInfo, RunWriter, open_run, read_header, require_resumable
from .store.files import as_path
from .store.reader import open_written
from .targets.base import Potential
from .targets.own.check import PROBE, check_same

_PROMISES = re.compile(r"; all of it is committed|\. Step \d+ with \d+ draws is committed")
"""Where errors begin to say what a store keeps."""

Devices = str | Sequence[str]
"""A device, or several of them by name."""

__all__ = ["Interrupted", "Progress", "RunPlan", "iterate", "plan", "resume", "sample"]


def plan(
    spec: SpecLike,
    *,
    device: Devices = "auto",
    engine: str = "auto",
    base: Path | None = None,
    potential: Potential | None = None,
    data: Any = None,
    init: Any = None,
    network: Any = None,
    threads: int | None = None,
    workers: int = 0,
    scheduler: str | None = None,
) -> RunPlan:
    """Validate a spec with its data, and say what it would do and cost; what is given beside it as for `sample`.
    Workers of one's own are counted, not started.
    """
    given = Given(data, potential, init, network)
    spec, folder = as_spec(spec, given)
    ready = make_ready(spec, base or folder, given)
    moments = ready.moments()
    with planned_place(ready, device, threads, workers, scheduler) as place:
        chosen = choose_engine(ready.job, engine, place.device)
        header = make_header(ready, chosen, place.device, moments)
        return make_plan(ready, header, moments, threads=threads, place=place)


def iterate(
    spec: SpecLike = None, *, device: str = "auto", engine: str = "auto", threads: int | None = None,
    base: Path | None = None, potential: Potential | None = None, data: Any = None, init: Any = None,
    network: Any = None, changes: Sequence[Any] = (),
) -> Stepping:  # fmt: skip
    """Step through a run: an iterator of Snapshots at every draw and point of the learning curves, momenta included; it
    writes nothing.

    The iterator's `change(stepsize=..., temperature=..., moves=[...], weights=...)` changes the run between two
    snapshots, `stop()` ends it, and `changes` is what was changed.

    Parameters
    ----------
    changes : of an earlier run, to make it again. Others are those of `sample`.

    Raises
    ------
    SpecError, DataError, DeviceError, ResourceError
        Before the first snapshot; the message says what to change.
    RunError
        On the way, where every replica is frozen.
    """
    given = Given(data, potential, init, network)
    spec, folder = as_spec(spec, given)
    ready = make_ready(spec, base or folder, given)
    device = resolve_device(device, ready.job.target.library)
    chosen, moments = choose_engine(ready.job, engine, device), ready.moments()
    header = make_header(ready, chosen, device, moments)
    check_resources(make_plan(ready, header, moments, "none", threads), None)
    loop = _make_loop(ready, launch_of(ready), chosen, Place(device, threads), moments)
    loop.stops = True
    return Stepping(ready, lambda job: make_engine(job, chosen, device, threads), moments, loop, threads, changes)


def sample(
    spec: SpecLike = None, store: str | Path | None = None, *, device: Devices = "auto", engine: str = "auto",
    workers: int = 0, scheduler: str | None = None,
    on_plan: Callable[[RunPlan], None] | None = None, on_progress: OnProgress | None = None, overwrite: bool = False,
    time_limit: float | None = None, threads: int | None = None, base: Path | None = None,
    commit_seconds: float = COMMIT_SECONDS,
    potential: Potential | None = None, data: Any = None, init: Any = None, network: Any = None,
    remarks: Mapping[str, str] | None = None,
) -> xarray.DataTree:  # fmt: skip
    """Run a spec and write it to `store` (a new Zarr folder), committing every few seconds.

    Parameters
    ----------
    spec : RunSpec, nested dictionaries, a TOML file, or None for the embedded default.
    store : the folder to create; None keeps the run in memory (its store is a temporary one, and is loaded).
    overwrite : replace a run that is there.
    device : auto, cpu, cuda or cuda:i; or several GPUs, ["cuda:0", "cuda:1"] or "cuda:all", among which the replicas
        are shared out. engine : auto, batched or fused. threads : CPU threads, all cores by default.
    workers : local Dask processes that carry a share of the replicas each; 0 is this process. scheduler : address of a
        Dask scheduler, tcp://host:port, whose workers do. Neither changes a bit.
    on_plan : called with the plan before anything is written. on_progress : called with a Progress after every segment.
    time_limit : seconds after which to commit and return.
    base : folder that relative paths in the spec start at; the spec's own folder, or the current one.
    potential : what a spec with target = {name = "custom"} samples.
    data : in place of [data]: (X [N, m], y [N] or [N, n]), the same with test parts (X, y, X_test, y_test), a list of
        such tuples for several data sets of equal size, a DataFrame (with [data] target = "column"), or a Dataset. The
        store holds them; its spec says data = arrays, with their hash.
    init : tensors to start from, by name ({"w1": ..., "b1": ...}; a momentum is "momentum_w1"), the same for all
        replicas or with a first axis of R; or a file of them, as [model] init = "weights.npz" is. See
        weights_from_sklearn and weights_from_torch.
    network : in place of [model] hidden and activation: a torch.nn.Module, a pair (apply, params) of a JAX function and
        its pytree, or a NumpyNetwork. Partitions are the first level of its parameters' names; replicas start at its
        own parameters, unless the spec or `init` says otherwise.
    remarks : texts that the store keeps beside the spec, as attributes remark_NAME: who made it, what for.

    Returns
    -------
    xarray.DataTree
        The opened run: posterior, probes, sample_stats, trace, predictive, constant_data.

    Raises
    ------
    SpecError, DataError, DeviceError, ResourceError, StoreError
        Refused before anything was written.
    RunError
        Trouble on the way (disk full, every replica frozen, Interrupted): what was committed can be read and resumed.
        Of a run in memory, the error's attribute `run` is the tree drawn until then.
    """
    given = Given(data, potential, init, network)
    spec, folder = as_spec(spec, given)
    limits = Limits(on_progress, time_limit, commit_seconds)
    ready = make_ready(spec, base or folder, given)
    return start(
        ready, store, limits, device=device, engine=engine, on_plan=on_plan, overwrite=overwrite, threads=threads,
        workers=workers, scheduler=scheduler, remarks=remarks,
    )  # fmt: skip


def start(
    ready: Setup, store: str | Path | None, limits: Limits, *, device: Devices = "auto", engine: str = "auto",
    on_plan: Callable[[RunPlan], None] | None = None, overwrite: bool = False, threads: int | None = None,
    workers: int = 0, scheduler: str | None = None, remarks: Mapping[str, str] | None = None,
) -> xarray.DataTree:  # fmt: skip
    """A run made ready, from its first step; as `sample` has it."""
    if store is None and overwrite:
        raise SpecError("overwrite = True is about a store, and none is given: name the store, or leave overwrite out.")
    moments = ready.moments()
    with _place(store) as path, place_of(ready, device, threads, workers, scheduler, limits.seat) as place:
        header = make_header(ready, choose_engine(ready.job, engine, place.device), place.device, moments)
        said = {f"remark_{name}": text for name, text in (remarks or {}).items()}
        header = replace(header, attributes={**header.attributes, **said})
        bill = make_plan(ready, header, moments, "memory" if store is None else "store", threads, place)
        check_resources(bill, path)
        if on_plan:
            on_plan(bill)
        try:
            _carry_out(ready, header, moments, path, limits, place, overwrite)
        except RunError as error:
            if store is None:
                _without_store(error, path)
            raise
        return open_written(path) if store is not None else _loaded(path)


def _carry_out(
    ready: Setup, header: Header, moments: RunningMoments, path: Path, limits: Limits, place: Place, overwrite: bool,
) -> None:  # fmt: skip
    """A new run from its first step into a new store; what it takes in memory is free when it is done."""
    engine, launch = header.engine, launch_of(ready)
    build = place.build(ready.job if launch is None else launch.job, engine)
    place.prepare([ready.job] if launch is None else launch.jobs, engine)
    loop = _make_loop(ready, launch, engine, place, moments)
    history = continued([], build, 0, True, str(path))
    attributes = {**_length(ready.spec), **place.said(ready), "engine": engine, "history": history}
    with RunWriter.create(path, header, overwrite) as writer:
        drive(loop, writer, path, limits, attributes)


def _restore(checkpoint: Checkpoint, moments: RunningMoments) -> State | None:
    """The state to go on from, None before the first commit; `moments` become what they were then."""
    if checkpoint.state is None:
        return None
    moments.load(checkpoint.sums)
    return checkpoint.state


def _make_loop(
    ready: Setup, launch: Launch | None, engine: str, place: Place, moments: RunningMoments,
    checkpoint: Checkpoint | None = None, anew: bool = False,
) -> Loop:  # fmt: skip
    """The loop of a run, from its start or from a checkpoint; `moments` become what they were then, unless draws begin
    `anew`.
    """
    kept = None if checkpoint is None else checkpoint.state if anew else _restore(checkpoint, moments)
    make = lambda job: place.make(job, engine, fold.together(ready.moves))  # noqa: E731
    if launch is not None:
        said = None if kept is None or checkpoint is None else checkpoint.attributes
        launch = launch.on(engine, place.device, place.threads)
        return TunedLoop.begin(launch, make, moments, place.seeing, kept, said, anew)
    worker = make(ready.job)
    return Loop.make(ready, worker, ready.begin(worker) if kept is None else kept, moments, place.seeing)


def _length(spec: RunSpec) -> dict[str, Any]:
    """How long a run goes on, as commits say it: it may be extended."""
    steps = {"steps": spec.run.steps}
    tuned = {"tolerance": spec.run.tolerance, "max_time": spec.run.max_time}
    return steps | {name: value for name, value in tuned.items() if value is not None}


def resume(
    store: str | Path, spec: SpecLike = None, *, draws: int = 0, tolerance: float | None = None,
    seconds: float | None = None, device: Devices = "auto", engine: str | None = None, workers: int = 0,
    scheduler: str | None = None, on_progress: OnProgress | None = None, time_limit: float | None = None,
    threads: int | None = None, commit_seconds: float = COMMIT_SECONDS, potential: Potential | None = None,
    allow_other_bits: bool = False, network: Any = None,
) -> xarray.DataTree:  # fmt: skip
    """Continue a run to its end, bit for bit as if it had never stopped; `draws` more are added to its plan.

    Parameters
    ----------
    store : the run. spec : checked against the run's own; it may differ in how long it is only (run.steps; or
    run.tolerance, max_steps and max_time). draws : extend by this many draws. tolerance : of a run that stops itself,
    one it shall go on to. seconds : of such a run, so long it may take from now on, and as many steps as that takes.
    engine, device : the recorded ones unless given ("auto" is the same; of several devices it is one). workers,
    scheduler : as for `sample`; whoever sampled it before. allow_other_bits : go on with another build
    (engine, compiler, flags, processor type, ...), whose bits differ; the store's history then says from which step on.
    potential, network : given again, where the run has one; it is compared with the first. Others as for `sample`.

    Raises
    ------
    SpecError, StoreError
        The spec or its data differ (the fields are named), or a schedule spans the run and forbids extending it.
    OtherBitsError
        This is another build than the run's (what differs is named), and that is not allowed.
    RunError
        As for `sample`.
    """
    return go_on(
        as_path(store), Limits(on_progress, time_limit, commit_seconds), spec, draws=draws, tolerance=tolerance,
        seconds=seconds, device=device, engine=engine, workers=workers, scheduler=scheduler, threads=threads,
        potential=potential, allow_other_bits=allow_other_bits, network=network,
    )  # fmt: skip


def go_on(
    path: Path, limits: Limits, spec: SpecLike = None, *, draws: int = 0, tolerance: float | None = None,
    seconds: float | None = None, device: Devices = "auto", engine: str | None = None, workers: int = 0,
    scheduler: str | None = None, threads: int | None = None, potential: Potential | None = None,
    allow_other_bits: bool = False, network: Any = None,
) -> xarray.DataTree:  # fmt: skip
    """A stored run to its end, or to `limits`; as `resume` has it."""
    info = read_header(path)
    require_resumable(path, info)
    recorded = check_header(info)
    planned = as_extended(recorded, info.attributes)
    more = None if seconds is None else longer(planned, info, seconds)
    target = tuned_target(planned, spec, draws, tolerance, more) or target_spec(planned, spec, draws)
    ready = _counting_as_before(restore_setup(path, target, potential, network), path)
    if target.run.tolerance is None and target.run.steps != planned.run.steps:
        check_extension(ready)
    _check_content(path, info, ready)
    device = _recorded_device(info) if device == "auto" else device
    launch = launch_of(ready)
    with place_of(ready, device, threads, workers, scheduler, limits.seat) as place:
        chosen = _chosen_engine(ready, info, engine, place.device)
        build = place.build(ready.job if launch is None else launch.job, chosen)
        over = is_over(target, info.step, info.attributes, planned)
        _history(path, build, info.attributes, info.step, allow_other_bits, over)
        moments = ready.moments()
        header = make_header(ready, chosen, place.device, moments)
        check_resources(make_plan(ready, header, moments, threads=threads, place=place), path)
        writer, checkpoint = RunWriter.resume(path)
        with writer:
            over = is_over(target, checkpoint.step, checkpoint.attributes, planned)
            anew = not over and draws_anew(target, checkpoint.attributes, planned)
            history = _history(path, build, checkpoint.attributes, checkpoint.step, allow_other_bits, over)
            loop = _make_loop(ready, launch, chosen, place, moments, checkpoint, anew)
            own = {**_length(target), **place.said(ready), "engine": chosen, "history": history}
            drive(loop, writer, path, limits, {**checkpoint.attributes, **own}, anew)
    return open_written(path)


def _check_content(path: Path, info: RunInfo, ready: Setup) -> None:
    """The spec is as it was sampled (`require_resumable`): refuse other data, or another potential."""
    if ready.fingerprint == info.fingerprint:
        return
    if ready.subject.fingerprint == info.data_fingerprint:
        raise StoreError(
            f"The fingerprint in store '{path}' fits neither its spec nor its data, which are as they were sampled: it"
            " was edited, or written by a version that reads the spec in another way. Resume it with gpu_thermo"
            f" {info.versions.get('gpu_thermo', 'of then')}, or restore the store from a copy."
        )
    if ready.spec.target is not None:
        raise SpecError("The potential is not the one this run was started with: give the same.")
    raise StoreError(
        f"{path} does not hold the data its fingerprint names: the data in it were changed after it was sampled (its"
        " spec was not), and it cannot be resumed. Restore it from a copy."
    )


def _recorded_device(info: RunInfo) -> str:
    """The kind of device that the run was last advanced on: cpu, or whichever GPU is there."""
    history = read_history(info.attributes)
    last = str(history[-1]["build"].get("device")) if history else info.device
    return "cpu" if last == "cpu" else "auto"


def _chosen_engine(ready: Setup, info: RunInfo, engine: str | None, device: str) -> str:
    """The recorded engine, unless another is asked for."""
    if engine not in (None, "auto"):
        return choose_engine(ready.job, engine, device)
    recorded = str(info.attributes.get("engine", info.engine))
    try:
        return choose_engine(ready.job, recorded, device)
    except SpecError as error:
        raise SpecError(
            f"The run was sampled by the engine {recorded}, which cannot be had here: {error} Mend that to go on bit"
            " for bit; another engine needs --allow-other-bits (in Python allow_other_bits=True), too."
        ) from None


def _history(
    path: Path, build: Build, attributes: Mapping[str, Any], step: int, allow_other_bits: bool, over: bool
) -> list[dict[str, Any]]:
    """The builds of the run, this one included unless the run is over; before the first commit there is nothing to
    agree with.
    """
    history = read_history(attributes)
    return history if over else continued(history, build, step, allow_other_bits or not step, f"Store '{path}'")


def restore_setup(path: Path, spec: RunSpec, potential: Potential | None = None, network: Any = None) -> Setup:
    """Build a run from a store's own data, never from the spec's paths; a user's own potential or network has to be
    given again, and a network is held against the stored probe.
    """
    if spec.target is not None:
        return prepare(spec, potential=potential)
    try:
        with opened(path) as tree:
            data = restored_data(tree)
            constants = {str(name): values.to_numpy() for name, values in tree["constant_data"].data_vars.items()}
    except ValueError as error:
        raise StoreError(
            f"{path}: the data in it cannot be read ({error}). Restore it from a copy; verify_store names damaged"
            " files."
        ) from error
    ready = prepare(spec, data=data, init=stored_starts(constants) or None, network=network)
    if network is not None:
        check_same(ready.subject.header()["constant"][PROBE][1], constants[PROBE], ready.job.dtype)
    return ready


def _counting_as_before(ready: Setup, path: Path) -> Setup:
    """A run that was begun before the work of plain steps was counted goes on without."""
    with opened(path) as tree:
        counted = all(name in tree["sample_stats"] for name in WORK)
    return ready if counted or not ready.job.work else replace(ready, job=replace(ready.job, work=False))


@contextmanager
def _place(store: str | Path | None) -> Iterator[Path]:
    """Where a store goes: as asked for, or beside nothing in a temporary folder that does not outlive the run."""
    if store is not None:
        yield as_path(store)
        return
    with tempfile.TemporaryDirectory(prefix="gpu_thermo_") as folder:
        yield Path(folder) / "run.zarr"


def _without_store(error: RunError, path: Path) -> None:
    """Give the error of a run in memory what was drawn so far, and no promise about a folder that is about to go."""
    try:
        error.run = _loaded(path)
    except StoreError:
        error.run = None
    text = _PROMISES.split(str(error))[0].replace(f"store '{path}'", "the temporary store").rstrip(". ")
    kept = "what was drawn until then is this error's attribute `run`" if error.run is not None else "nothing is kept"
    error.args = (f"{text}. The run was in memory: {kept}. Give sample a store to be able to resume.",)


def _loaded(path: Path) -> xarray.DataTree:
    """A run in memory, its files closed."""
    with open_run(path) as tree:
        return tree.load()
