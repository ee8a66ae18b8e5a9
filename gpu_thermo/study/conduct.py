"""A study from spec to store: in this process, on local processes, or on a Dask cluster.

Who runs a shard changes nothing: shards are cut by the spec and its data alone, each is a function of its own content,
and each is written by whoever ran it, under a name of its own.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import xarray as xr

from ..engines import resolve_device
from ..engines.base import cores
from ..errors import DeviceError, GpuThermoError, OtherBitsError, ResourceError, RunError, SpecError
from ..running import speed
from ..running.drive import Interrupted, stop_signals
from ..running.stored import versions
from ..store.files import as_path
from . import builds
from .assembly import assemble
from .birth import writing
from .grids import Cell, StudySpec
from .launch import make_group, run_shard
from .parts import is_done, part_builds, remove_part
from .parts import write_part as _write_part
from .reading import open_study
from .shards import Group, Shard, group_cells, make_shards

StudyLike = StudySpec | Mapping[str, Any] | str | Path
ANSWER_SECONDS = 5
"""How long a scheduler may take to answer."""
GRACE_SECONDS = 5.0
"""How long shards under way on workers may take to end, and so to be kept, after a signal."""
COLUMNS, CURVES = 33, 3
"""Numbers kept of a run, and its learning curves, beside those of each tensor and partition: loss, scores,
hyperparameters."""
ACHIEVED = {"fused": 0.45, "batched": 0.05}
"""Share of the peak that an engine reaches, on which a plan's time rests (bench/README.md: .41 to .53, and .04 to
.09)."""


@dataclass(frozen=True)
class StudyPlan:
    """What a study would do and cost. `ensembles` are launch groups: cells alike in all but hyperparameters.

    seconds : for the shards still to run, from their arithmetic and a short measurement of the `device` as busy as it
    is now.
    """

    cells: int
    seeds: int
    runs: int
    ensembles: int
    shards: int
    done: int
    replica_steps: int
    seconds: float
    bytes: int
    labels: tuple[str, ...]
    device: str = "cpu"
    groups: tuple[tuple[str, int, int, int], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary."""
        return asdict(self)


@dataclass
class StudyProgress:
    """Where a study stands: `steps` counts replica-steps, those of shards under way in this process included."""

    shards: int
    total_shards: int
    runs: int
    total_runs: int
    steps: int
    total_steps: int
    workers: int = 0
    began: float = field(default_factory=time.monotonic)
    earlier: int = 0

    @property
    def rate(self) -> float:
        """Replica-steps per second since this call began."""
        return (self.steps - self.earlier) / max(time.monotonic() - self.began, 1e-9)

    @property
    def seconds_left(self) -> float:
        """At the rate so far."""
        return (self.total_steps - self.steps) / self.rate if self.steps > self.earlier else float("inf")


How = tuple[str, str, int | None]
"""Device, engine, threads."""
OnProgress = Callable[[StudyProgress], None]


@dataclass(frozen=True)
class Work:
    """A study ready to run; shard s belongs to `groups[s.group]`."""

    study: StudySpec
    cells: list[Cell]
    groups: list[Group]
    shards: list[Shard]

    @property
    def dims(self) -> dict[str, tuple[str, ...]]:
        """Axes of each tensor of any run."""
        return {name: dims for group in self.groups for name, (dims, _) in group.layout.variables.items()}


def as_study(study: StudyLike, keep: bool = False, base: Path | None = None) -> tuple[StudySpec, Path | None]:
    """A StudySpec from what the user gave (str and Path: a TOML file), and the folder its paths start at."""
    if isinstance(study, str | Path):
        base = base or Path(study).resolve().parent
        study = StudySpec.from_toml(Path(study))
    elif not isinstance(study, StudySpec):
        study = StudySpec.from_dict(study)
    if keep and not study.study.keep:
        study = study.model_copy(update={"study": study.study.model_copy(update={"keep": True})})
    return study, base


def make_work(study: StudySpec, base: Path | None, device: str, engine: str) -> Work:
    """Cells and shards, with one run of every launch group made ready, so that mistakes show before anything is
    written.
    """
    cells = study.cells()
    groups = [make_group(study, base, some, device, engine) for some in group_cells(cells)]
    return Work(study, cells, groups, make_shards(study, base, groups))


def plan_study(
    study: StudyLike,
    store: str | Path | None = None,
    *,
    device: str = "auto",
    engine: str = "auto",
    base: Path | None = None,
) -> StudyPlan:
    """Validate a study with its data, and say what it would do and cost; `store` tells how much of it is done
    already.
    """
    study, base = as_study(study, base=base)
    job = make_work(study, base, device, engine)
    seeds = len(study.seeds.table())
    groups = []
    for number, group in enumerate(job.groups):
        first, last = group.cells[0].label, group.cells[-1].label
        name = first if len(group.cells) == 1 else f"{first} ... {last}"
        groups.append((name, len(group.cells), sum(s.group == number for s in job.shards), group.spec.run.steps))
    steps = sum(s.replicas * s.steps for s in job.shards)
    todo = [s for s in job.shards if not (store and is_done(as_path(store), s))]
    device = resolve_device(device)
    return StudyPlan(
        len(job.cells), seeds, len(job.cells) * seeds, len(groups), len(job.shards), len(job.shards) - len(todo), steps,
        _seconds(job, todo, device), _disk(job, seeds), tuple(cell.label for cell in job.cells), device, tuple(groups),
    )  # fmt: skip


def _seconds(job: Work, todo: list[Shard], device: str) -> float:
    """Time of the shards `todo` at the share of the device's peak that engines reach."""
    peak, _ = speed.measured_peak(device)
    each = [group.operations / (ACHIEVED[group.engine] * peak) for group in job.groups]
    return sum(s.replicas * s.steps * each[s.group] for s in todo)


def _disk(job: Work, seeds: int) -> int:
    """Bytes of parts and data set together."""
    total = 0
    for group in job.groups:
        run, tensors = group.spec.run, len(group.layout.tensors)
        each = 8 * (COLUMNS + 3 * tensors) + 4 * (CURVES + tensors + len(group.partitions)) * (run.steps // run.trace)
        if job.study.study.keep:
            each += 4 * (run.draws + 1) * group.layout.size
        total += 2 * seeds * len(group.cells) * each
    return total


def run_study(
    study: StudyLike, store: str | Path, *, workers: int = 0, scheduler: str | None = None, device: str = "auto",
    engine: str = "auto", threads: int | None = None, keep: bool = False, overwrite: bool = False, extend: bool = False,
    on_progress: OnProgress | None = None,
    base: Path | None = None, allow_other_bits: bool = False,
) -> xr.Dataset:  # fmt: skip
    """Run a study into `store`, or continue it there: shards that are done are not run again.

    Parameters
    ----------
    study : StudySpec, nested dictionaries, or a TOML file. store : a Zarr folder to create or continue.
    workers : local Dask processes; 0 runs in this process. scheduler : address of a Dask scheduler, tcp://host:port.
    keep : keep the parameters of every draw. overwrite : forget what `store` holds. extend : continue a study with
    another grid or seeds. allow_other_bits : continue it with another build than its runs' (engine, compiler, processor
    type, ...); each run says which build made it.

    Returns
    -------
    xarray.Dataset
        The study over `chain`, opened lazily.

    Raises
    ------
    SpecError, DataError, DeviceError, StoreError
        Refused before anything was written.
    OtherBitsError
        Its runs were made by another build (what differs is named), or a worker has another one.
    RunError
        A shard failed; Interrupted after SIGINT, SIGTERM or SIGHUP. What was finished is kept, and the same call
        goes on.
    """
    study, base = as_study(study, keep, base)
    if workers and scheduler:
        raise SpecError("workers and scheduler are both given: start local workers, or use a cluster that is there.")
    job, path = make_work(study, base.resolve() if base else Path.cwd(), device, engine), as_path(store).absolute()
    if not overwrite:
        _check_builds(job, path, allow_other_bits, elsewhere=scheduler is not None)
    with (
        stop_signals() as caught,  # all the way: processes that are started must be ended, whenever the signal comes
        _cluster(workers, scheduler) as client,
        writing(path, study, job.cells, overwrite=overwrite, extend=extend),
    ):
        todo = [s for s in job.shards if not is_done(path, s)]
        progress, report = _start(job, todo, workers), on_progress or (lambda _: None)
        try:
            if not caught:
                report(progress)
                if client is None:
                    _run_here(todo, path, (device, engine, threads), caught, progress, report)
                else:
                    each = threads or (max(1, cores() // workers) if workers else None)
                    known = None if allow_other_bits else _known_builds(job, path)
                    _run_there(client, todo, path, (device, engine, each), caught, progress, report, known)
        except BaseException:
            with suppress(RunError):  # the first error is the one to show
                _put_together(path, job)
            raise
        finished = _put_together(path, job)
        if caught and finished < progress.total_runs:
            raise Interrupted(
                caught[0],
                f"Stopped by {signal.Signals(caught[0]).name}: {finished:,} of {progress.total_runs:,} runs are done"
                " and kept. Give the same command to continue.",
            )
    return open_study(path)


def _check_builds(job: Work, path: Path, allow: bool, elsewhere: bool) -> None:
    """Refuse another build than that of the runs that are done. What workers `elsewhere` have, their parts will say."""
    done = [s for s in job.shards if is_done(path, s)]
    todo = [] if elsewhere else [s for s in job.shards if not is_done(path, s)]
    builds.check(path, part_builds(path, done), todo, job.groups, allow)


def _put_together(path: Path, job: Work) -> int:
    """The data set of all parts that are there; the number of finished runs. RunError where it cannot be written."""
    try:
        return assemble(path, job.study, job.shards, job.cells, versions(), job.dims)
    except OSError as error:
        raise RunError(
            f"'{path}' could not be written: {error.strerror or error}. The shards that were done are kept: mend the"
            " cause, then give the same command to continue."
        ) from error


def _start(job: Work, todo: list[Shard], workers: int) -> StudyProgress:
    missing = {s.id for s in todo}
    done = [s for s in job.shards if s.id not in missing]
    steps = sum(s.replicas * s.steps for s in done)
    return StudyProgress(
        len(done), len(job.shards), sum(s.replicas for s in done), sum(s.replicas for s in job.shards), steps,
        sum(s.replicas * s.steps for s in job.shards), workers, earlier=steps,
    )  # fmt: skip


class _Stop(Exception):
    """A signal arrived in the middle of a shard, which is abandoned."""


def _run_here(
    todo: list[Shard], path: Path, how: How, caught: list[int], progress: StudyProgress, report: OnProgress
) -> None:
    device, engine, threads = how
    for shard in todo:
        before = progress.steps

        def on_steps(step: int, shard: Shard = shard, before: int = before) -> None:
            if caught:
                raise _Stop
            progress.steps = before + step * shard.replicas
            report(progress)

        try:
            arrays = run_shard(shard, device, engine, threads, on_steps)
        except _Stop:
            return
        write_part(path, shard, arrays)
        progress.steps = before + shard.steps * shard.replicas
        _count(progress, shard)
        report(progress)
        if caught:
            return


def write_part(path: Path, shard: Shard, arrays: Mapping[str, Any]) -> None:
    """Write a finished shard; RunError where the disk is full or the folder is gone."""
    try:
        _write_part(path, shard.id, arrays)
    except OSError as error:
        raise RunError(
            f"Shard {shard.id} could not be written to '{path}': {error.strerror or error}. What was done before is"
            " kept: mend the cause, then give the same command to continue."
        ) from error


def _count(progress: StudyProgress, shard: Shard) -> None:
    progress.shards += 1
    progress.runs += shard.replicas


# -- Dask --------------------------------------------------------------------------------------------------------------


def remote_shard(shard: Shard, path: str, device: str, engine: str, threads: int | None) -> str:
    """What a worker does: run one shard and write its part, unless another worker did so meanwhile."""
    where = Path(path)
    if not where.is_dir():
        raise RunError(f"A worker does not see '{path}': put the study on a file system that all workers share.")
    if not is_done(where, shard):
        write_part(where, shard, run_shard(shard, device, engine, threads))
    return shard.id


def _run_there(
    client: Any,
    todo: list[Shard],
    path: Path,
    how: tuple[str, str, int | None],
    caught: list[int],
    progress: StudyProgress,
    report: OnProgress,
    known: dict[int, dict[str, str]] | None,
) -> None:
    from distributed import wait
    from distributed.client import Future

    futures: dict[Future, Shard] = {
        client.submit(
            remote_shard,
            shard,
            str(path),
            *how,
            key=f"gpu-thermo-{shard.id}-{os.getpid()}",
            pure=False,
        ): shard
        for shard in todo
    }
    end = float("inf")
    while futures and time.monotonic() < end:
        if caught and end == float("inf"):
            end = time.monotonic() + GRACE_SECONDS
            futures = _under_way(client, futures)
            continue
        with suppress(TimeoutError):
            wait(list(futures), timeout=0.5, return_when="FIRST_COMPLETED")
        for future in [f for f in futures if f.done()]:
            shard = futures.pop(future)
            if future.status != "finished":
                error = future.exception()
                client.cancel(list(futures))
                raise (
                    error
                    if isinstance(error, GpuThermoError)
                    else RunError(f"Shard {shard.id} failed on the cluster: {error!r}")
                )
            if not is_done(path, shard):
                raise RunError(f"The part of shard {shard.id} is not in '{path}': workers must share this file system.")
            if known is not None:
                _agree(path, shard, known)
            progress.steps += shard.steps * shard.replicas
            _count(progress, shard)
        if not caught:
            progress.workers = len(client.scheduler_info(n_workers=-1).get("workers", {}))
            report(progress)
    if futures:
        client.cancel(list(futures))


def _known_builds(job: Work, path: Path) -> dict[int, dict[str, str]]:
    """The build of each launch group that has a finished shard."""
    done = [s for s in job.shards if is_done(path, s)]
    return {shard.group: build for shard, build in part_builds(path, done) if build}


def _agree(path: Path, shard: Shard, known: dict[int, dict[str, str]]) -> None:
    """Hold the part of `shard` to the build that is `known` of its group; one of another build is forgotten."""
    ((_, build),) = part_builds(path, [shard])
    try:
        builds.check_part(path, known.setdefault(shard.group, build), build, shard.id)
    except OtherBitsError:
        remove_part(path, shard)
        raise


def _under_way(client: Any, futures: dict[Any, Shard]) -> dict[Any, Shard]:
    """The futures that workers have begun, or ended; the others are cancelled."""
    begun = {key for keys in client.processing().values() for key in keys}
    kept = {future: shard for future, shard in futures.items() if future.key in begun or future.done()}
    client.cancel([future for future in futures if future not in kept])
    return kept


@contextmanager
def _cluster(workers: int, scheduler: str | None) -> Iterator[Any]:
    """A Dask client, or None for this process."""
    if not workers and scheduler is None:
        yield None
        return
    try:
        import distributed
    except ImportError:
        raise DeviceError(
            'Dask is not installed: pip install "gpu-thermo[cluster]", or leave out --workers and --scheduler.'
        ) from None
    if scheduler is not None:
        with _client(distributed, scheduler) as client:
            yield client
        return
    if workers > 4 * cores():
        raise ResourceError(
            f"workers = {workers} is far more than the {cores()} cores of this machine: use at most {4 * cores()}."
        )
    options = {
        "n_workers": workers,
        "threads_per_worker": 1,
        "processes": True,
        "dashboard_address": None,
        "silence_logs": 50,
    }
    _start_tracker()
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        client.register_plugin(_deaf(distributed.WorkerPlugin))
        yield client


def _start_tracker() -> None:
    """Start Python's helper that counts semaphores now, without a SIGHUP in its way, which a closed terminal sends it,
    too: it would die, and complain when processes end.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        resource_tracker.ensure_running()
    finally:
        signal.signal(signal.SIGHUP, before)


def _deaf(plugin: Any) -> Any:
    """Workers that leave signals to the coordinator, which a terminal or a queue sends to all processes at once."""

    class Deaf(plugin):
        name = "gpu-thermo-signals"

        def setup(self, worker: Any) -> None:
            for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(signum, signal.SIG_IGN)

    return Deaf()


@contextmanager
def _client(distributed: Any, address: str) -> Iterator[Any]:
    """A client of an existing scheduler; DeviceError where nothing answers within seconds."""
    _knock(address)
    try:
        client = distributed.Client(address, timeout=ANSWER_SECONDS)
    except (OSError, TimeoutError, ValueError) as error:
        raise DeviceError(
            f"The scheduler '{address}' does not answer as a Dask scheduler ({error}). Check the address."
        ) from None
    try:
        if not client.scheduler_info(n_workers=-1).get("workers"):
            raise DeviceError(f"The scheduler '{address}' has no workers: start some with dask worker {address}")
        yield client
    finally:
        client.close()


def _knock(address: str) -> None:
    """Whether anything listens at tcp://host:port, asked directly, since Dask would keep trying."""
    import socket

    kind, _, rest = address.rpartition("://")
    host, _, port = rest.rpartition(":")
    if kind not in ("", "tcp", "tls") or not host or not port.isdigit():
        raise SpecError(f"scheduler = '{address}' is no address: write tcp://host:port, as dask scheduler prints it.")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise DeviceError(
            f"The scheduler '{address}' does not answer ({error}). Start it with dask scheduler, or check the address."
        ) from None


__all__ = ["StudyPlan", "StudyProgress", "as_study", "plan_study", "resolve_device", "run_study"]
