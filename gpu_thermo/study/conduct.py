"""A study from spec to store: in this process, on local processes, or on a Dask cluster.

Who runs a shard changes nothing: shards are cut by the spec and its data alone, each is a function of its own content,
and each is written by whoever ran it, under a name of its own.
"""

import signal
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import xarray as xr

from ..engines.base import cores
from ..errors import RunError, SpecError
from ..running.cluster import check_workers, cluster
from ..running.drive import Interrupted, stop_signals
from ..running.stored import versions
from ..store.files import as_path
from ..targets.base import Potential
from . import builds
from .assembly import assemble
from .beside import Beside
from .birth import writing
from .parts import is_done, part_builds
from .progress import How, OnProgress, StudyProgress
from .reading import open_study
from .shards import Shard
from .together import make_parts
from .work import StudyLike, Work, as_study, make_work
from .workers import known_builds, run_there


def run_study(
    study: StudyLike, store: str | Path, *, workers: int = 0, scheduler: str | None = None, device: str = "auto",
    engine: str = "auto", threads: int | None = None, keep: bool = False, overwrite: bool = False, extend: bool = False,
    on_progress: OnProgress | None = None,
    base: Path | None = None, allow_other_bits: bool = False,
    data: Any = None, network: Any = None, potential: Potential | None = None, init: Any = None,
) -> xr.Dataset:  # fmt: skip
    """Run a study into `store`, or continue it there: shards that are done are not run again.

    Parameters
    ----------
    study : StudySpec, nested dictionaries, or a TOML file. store : a Zarr folder to create or continue.
    workers : local Dask processes; 0 runs in this process. scheduler : address of a Dask scheduler, tcp://host:port.
    keep : keep the parameters of every draw. overwrite : forget what `store` holds. extend : continue a study with
    another grid or seeds. allow_other_bits : continue it with another build than its runs' (engine, compiler, processor
    type, ...); each run says which build made it.
    data, network, potential, init : what no spec holds, as `sample` takes them, for all cells; whoever goes on with the
    study gives the same. Rows without a test part are split by the data seeds; of sets given whole, seed s has set s
    mod D. Where tensors are given to start from (a network brings its own), all runs do, unless model.init draws them.

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
    beside = Beside(data, network, potential, init)
    study, base = as_study(study, keep, base, beside)
    check_workers(workers, scheduler)
    job = make_work(study, base.resolve() if base else Path.cwd(), device, engine, beside)
    path = as_path(store).absolute()
    if not overwrite:
        _check_builds(job, path, allow_other_bits, elsewhere=scheduler is not None)
    with (
        stop_signals() as caught,  # all the way: processes that are started must be ended, whenever the signal comes
        cluster(workers, scheduler) as client,
        writing(path, job.study, job.cells, overwrite=overwrite, extend=extend),
    ):
        todo = [s for s in job.shards if not is_done(path, s)]
        progress, report = _start(job, todo, workers), on_progress or (lambda _: None)
        try:
            if not caught:
                report(progress)
                if client is None:
                    _run_here(job, todo, path, (device, engine, threads), caught, progress, report, allow_other_bits)
                else:
                    each = threads or (max(1, cores() // workers) if workers else None)
                    known = None if allow_other_bits else known_builds(job, path)
                    hosts = workers or len(client.scheduler_info(n_workers=-1).get("workers", {}))
                    launches = job.launches(todo, max(1, hosts))
                    run_there(client, launches, path, (device, engine, each), caught, progress, report, known)
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


def study(
    spec: StudyLike, out: str | Path | None = None, *, workers: int = 0, scheduler: str | None = None,
    device: str = "auto", engine: str = "auto", threads: int | None = None, keep: bool = False, overwrite: bool = False,
    extend: bool = False, on_progress: OnProgress | None = None, base: Path | None = None,
    allow_other_bits: bool = False,
    data: Any = None, network: Any = None, potential: Potential | None = None, init: Any = None,
) -> xr.Dataset:  # fmt: skip
    """Run a study: a grid of methods, hyperparameters, data, networks, moves or potentials, times seeds.

    Parameters
    ----------
    spec : a StudySpec, nested dictionaries, or a TOML file: a run's sections with [grid], [[zip]] and [seeds].
    out : the Zarr folder to create or continue; None keeps the study in memory. Others are those of `run_study`.

    Returns
    -------
    xarray.Dataset
        A row of `chain` for each run, with outcomes, and the varied fields, hyperparameters and seeds as coordinates;
        opened lazily from `out`, as xarray.open_zarr opens it, too.

    Raises
    ------
    SpecError, DataError, DeviceError, StoreError, OtherBitsError, RunError
        As `run_study`.
    """
    how: dict[str, Any] = {
        "workers": workers, "scheduler": scheduler, "device": device, "engine": engine, "threads": threads,
        "keep": keep, "on_progress": on_progress, "base": base, "allow_other_bits": allow_other_bits,
        "data": data, "network": network, "potential": potential, "init": init,
    }  # fmt: skip
    if out is not None:
        return run_study(spec, out, overwrite=overwrite, extend=extend, **how)
    if overwrite or extend:
        raise SpecError("overwrite and extend are about a store, and none is given: name one, out = 'study.zarr'.")
    with (
        tempfile.TemporaryDirectory(prefix="gpu_thermo-") as folder,
        run_study(spec, Path(folder) / "s.zarr", **how) as s,
    ):
        return s.load()


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
    steps = sum(s.replica_steps for s in done)
    return StudyProgress(
        len(done), len(job.shards), sum(s.runs for s in done), sum(s.runs for s in job.shards), steps,
        sum(s.replica_steps for s in job.shards), workers, earlier=steps, at_most=any(s.tuned for s in todo),
    )  # fmt: skip


class _Stop(Exception):
    """A signal arrived in the middle of a shard, which is abandoned."""


def _run_here(
    job: Work, todo: list[Shard], path: Path, how: How, caught: list[int], progress: StudyProgress, report: OnProgress,
    allow: bool,
) -> None:  # fmt: skip
    for launch in job.launches(todo):
        before = progress.steps

        def on_steps(done: int, before: int = before) -> None:
            """After so many replica-steps of the launch."""
            if caught:
                raise _Stop
            progress.steps = before + done
            report(progress)

        try:
            make_parts(launch, path, how, on_steps, allow, progress.count)
        except (_Stop, Interrupted):  # a run that stops itself has committed what it did
            return
        progress.steps = before + sum(shard.replica_steps for shard in launch)
        report(progress)
        if caught:
            return
