"""Shards on the workers of a Dask client: handed out, waited for, held to one build, and cancelled in good order."""

import os
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import GpuThermoError, OtherBitsError, RunError
from . import builds
from .beside import NOTHING
from .parts import is_done, part_builds, remove_part
from .progress import OnProgress, StudyProgress
from .records import pack_beside, packed, unpack, unpack_beside
from .shards import Shard
from .tuned import make_part
from .work import Work

GRACE_SECONDS = 5.0
"""How long shards under way on workers may take to end, and so to be kept, after a signal."""


def remote_shard(
    shard: Shard, path: str, device: str, engine: str, threads: int | None, own: bytes = b"", beside: bytes = b""
) -> str:
    """What a worker does: run one shard and write its part, unless another worker did so meanwhile. `own` is what the
    coordinator has registered, `beside` what it was given beside the study.
    """
    unpack(own)
    if beside:
        shard = replace(shard, beside=unpack_beside(beside))
    where = Path(path)
    if not where.is_dir():
        raise RunError(f"A worker does not see '{path}': put the study on a file system that all workers share.")
    if not is_done(where, shard):
        make_part(shard, where, device, engine, threads)
    return shard.id


def run_there(
    client: Any,
    todo: list[Shard],
    path: Path,
    how: tuple[str, str, int | None],
    caught: list[int],
    progress: StudyProgress,
    report: OnProgress,
    known: dict[int, dict[str, str]] | None,
) -> None:
    """Hand out the shards, count each as its part is there, and after a signal wait for those under way.

    Raises
    ------
    GpuThermoError
        A shard failed, its part is not seen from here, or it is of another build; the others are cancelled.
    """
    from distributed import wait
    from distributed.client import Future

    own, beside = packed(), client.scatter(pack_beside(todo[0].beside), broadcast=True) if todo else b""
    futures: dict[Future, Shard] = {
        client.submit(
            remote_shard,
            replace(shard, beside=NOTHING),
            str(path),
            *how,
            own,
            beside,
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
                agree(path, shard, known)
            progress.steps += shard.steps * shard.replicas
            progress.count(shard)
        if not caught:
            progress.workers = len(client.scheduler_info(n_workers=-1).get("workers", {}))
            report(progress)
    if futures:
        client.cancel(list(futures))


def known_builds(job: Work, path: Path) -> dict[int, dict[str, str]]:
    """The build of each launch group that has a finished shard."""
    done = [s for s in job.shards if is_done(path, s)]
    return {shard.group: build for shard, build in part_builds(path, done) if build}


def agree(path: Path, shard: Shard, known: dict[int, dict[str, str]]) -> None:
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
