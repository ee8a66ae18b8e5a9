"""Shards on the workers of a Dask client: handed out, waited for, held to one build, and cancelled in good order."""

import os
import time
from collections.abc import Sequence
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
from .together import make_parts
from .work import Work

GRACE_SECONDS = 5.0
"""How long shards under way on workers may take to end, and so to be kept, after a signal."""


def remote_launch(
    launch: Sequence[Shard], path: str, device: str, engine: str, threads: int | None, own: bytes = b"",
    beside: bytes = b"", allow_other_bits: bool = False,
) -> None:  # fmt: skip
    """What a worker does: run the shards of a launch and write their parts, unless another worker did so meanwhile.
    `own` is what the coordinator has registered, `beside` what it was given beside the study. `allow_other_bits` : go
    on with runs that stop themselves and were begun by another build.
    """
    unpack(own)
    if beside:
        given = unpack_beside(beside)
        launch = [replace(shard, beside=given) for shard in launch]
    where = Path(path)
    if not where.is_dir():
        raise RunError(f"A worker does not see '{path}': put the study on a file system that all workers share.")
    if todo := [shard for shard in launch if not is_done(where, shard)]:
        make_parts(todo, where, (device, engine, threads), allow_other_bits=allow_other_bits)


def run_there(
    client: Any,
    todo: Sequence[Sequence[Shard]],
    path: Path,
    how: tuple[str, str, int | None],
    caught: list[int],
    progress: StudyProgress,
    report: OnProgress,
    known: dict[int, dict[str, str]] | None,
) -> None:
    """Hand out launches, count each shard as its part is there, and after a signal wait for those under way. `known` :
    the builds that parts must have; None where any will do.

    Raises
    ------
    GpuThermoError
        A shard failed, its part is not seen from here, or it is of another build; the others are cancelled.
    """
    from distributed import wait

    futures = _handed_out(client, todo, path, how, allow_other_bits=known is None)
    end = float("inf")
    while futures and time.monotonic() < end:
        if caught and end == float("inf"):
            end = time.monotonic() + GRACE_SECONDS
            futures = _under_way(client, futures)
            continue
        with suppress(TimeoutError):
            wait(list(futures), timeout=0.5, return_when="FIRST_COMPLETED")
        for future in [f for f in futures if f.done()]:
            launch = futures.pop(future)
            try:
                _check(path, launch, future, known)
            except GpuThermoError:
                client.cancel(list(futures))
                raise
            for shard in launch:
                progress.steps += shard.replica_steps
                progress.count(shard)
        if not caught:
            progress.workers = len(client.scheduler_info(n_workers=-1).get("workers", {}))
            report(progress)
    if futures:
        client.cancel(list(futures))


def _handed_out(
    client: Any, todo: Sequence[Sequence[Shard]], path: Path, how: tuple[str, str, int | None], allow_other_bits: bool
) -> dict[Any, Sequence[Shard]]:
    """The future of each launch; what was given beside the study goes to every worker once."""
    own, beside = packed(), client.scatter(pack_beside(todo[0][0].beside), broadcast=True) if todo else b""
    return {
        client.submit(
            remote_launch, [replace(shard, beside=NOTHING) for shard in launch], str(path), *how, own, beside,
            allow_other_bits, key=f"gpu-thermo-{launch[0].id}-{os.getpid()}", pure=False,
        ): launch
        for launch in todo
    }  # fmt: skip


def _check(path: Path, launch: Sequence[Shard], future: Any, known: dict[int, dict[str, str]] | None) -> None:
    """GpuThermoError unless the launch went well, and its parts are there and of the build that is `known`."""
    if future.status != "finished":
        error = future.exception()
        if isinstance(error, GpuThermoError):
            raise error
        raise RunError(f"Shard {' and '.join(s.id for s in launch)} failed on the cluster: {error!r}")
    for shard in launch:
        if not is_done(path, shard):
            raise RunError(f"The part of shard {shard.id} is not in '{path}': workers must share this file system.")
        if known is not None:
            agree(path, shard, known)


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


def _under_way(client: Any, futures: dict[Any, Sequence[Shard]]) -> dict[Any, Sequence[Shard]]:
    """The futures that workers have begun, or ended; the others are cancelled."""
    begun = {key for keys in client.processing().values() for key in keys}
    kept = {future: launch for future, launch in futures.items() if future.key in begun or future.done()}
    client.cancel([future for future in futures if future not in kept])
    return kept
