"""Where a run is carried out: on a device, on several of this process, or by workers; the run is the same."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..engines import Engine, Job, compile_ahead, describe_build, make_engine, resolve_device, resolve_devices
from ..engines.base import cores
from ..engines.builds import Build
from ..engines.devices import each_device
from ..engines.sharded import cut_rows
from ..errors import SpecError
from ..moves import fold
from .cluster import check_workers, cluster
from .drive import stop_signals
from .seat import Seat
from .subject import Setup
from .workers import Team


@dataclass(frozen=True)
class Place:
    """Who carries out a run.

    Attributes
    ----------
    device : what this process computes on; several are joined by commas. threads : CPU threads of each share.
    workers : how many carry shares; 0 for this process. team : them, where they are there. seat : of a run that goes
    on beside others in one launch, whose engines are theirs, too.
    """

    device: str
    threads: int | None = None
    workers: int = 0
    team: Team | None = None
    seat: Seat | None = None

    @property
    def count(self) -> int:
        """Shares of the run."""
        return self.workers or len(each_device(self.device))

    def shares(self, ready: Setup) -> tuple[tuple[str, int], ...]:
        """Who carries how many replicas, where there are several; SpecError where there are too few."""
        if self.count == 1 and not self.workers:
            return ()
        rows = cut_rows(ready.job.replicas, self.count, fold.together(ready.moves))
        names: Sequence[str] = each_device(self.device)
        if self.workers:
            names = [f"worker {i}" for i in range(self.workers)] if self.team is None else self.team.addresses
        return tuple((name, r.stop - r.start) for name, r in zip(names, rows, strict=True))

    @property
    def seeing(self) -> int | None:
        """CPU threads that look at what was recorded, while workers wait."""
        return None if self.workers else self.threads

    def said(self, ready: Setup) -> dict[str, Any]:
        """What a commit says of who carries the run."""
        return {"shares": [list(share) for share in self.shares(ready)]}

    def build(self, job: Job, engine: str) -> Build:
        """What decides the bits, which workers must agree in."""
        found = describe_build(job, engine, self.device)
        if self.team is not None:
            self.team.agree(job, engine, found.to_dict())
        return found

    def prepare(self, jobs: Sequence[Job], engine: str) -> None:
        """Begin with what has to be compiled for these jobs, as far as this process does that."""
        if self.team is None:
            compile_ahead(jobs, engine, self.device)

    def make(self, job: Job, engine: str, together: int) -> Engine:
        """The engine of a job."""
        if self.seat is not None:
            return self.seat.engine(job, engine, self.device)
        if self.team is not None:
            return self.team.engine(job, engine, self.device, self.threads, together)
        return make_engine(job, engine, self.device, self.threads, together)


@contextmanager
def place_of(
    ready: Setup, device: str | Sequence[str], threads: int | None, workers: int = 0, scheduler: str | None = None,
    seat: Seat | None = None,
) -> Iterator[Place]:  # fmt: skip
    """Where a run is to be carried out, as long as it lasts.

    Raises
    ------
    SpecError, DeviceError, ResourceError
        No such device or scheduler, or too many for the run's replicas; the message says what to do.
    """
    library, most = ready.job.target.library, ready.job.replicas // fold.together(ready.moves)
    check_workers(workers, scheduler)
    if not workers and scheduler is None:
        found = Place(resolve_devices(device, library), threads, seat=seat)
        found.shares(ready)
        yield found
        return
    Place("cpu", workers=workers or 1).shares(ready)
    _check_sendable(ready)
    with stop_signals(), cluster(workers, scheduler) as client:  # until workers are ended, whenever a signal comes
        team = Team(client, own=workers > 0, most=most)
        kind = team.resolve(device if isinstance(device, str) else ",".join(map(str, device)), library)
        each = threads or (max(1, cores() // workers) if workers else None)
        try:
            yield Place(resolve_device(kind), each, len(team.addresses), team)
        finally:
            team.close()


def _check_sendable(ready: Setup) -> None:
    """SpecError where a run needs what only this process has."""
    if ready.spec.registered:
        names = ", ".join(ready.spec.registered)
        raise SpecError(
            f"{names}: records of your own are registered in this process only, and workers do not know them. Leave out"
            " --workers and --scheduler; several GPUs of this machine are --device cuda:all."
        )


def planned_place(
    ready: Setup, device: str | Sequence[str], threads: int | None, workers: int, scheduler: str | None
) -> Any:
    """As `place_of`, for a plan: workers of our own are counted, not started."""
    if workers and scheduler is None:
        return _counted(ready, device, threads, workers)
    return place_of(ready, device, threads, workers, scheduler)


@contextmanager
def _counted(ready: Setup, device: str | Sequence[str], threads: int | None, workers: int) -> Iterator[Place]:
    check_workers(workers, None)
    _check_sendable(ready)
    found = resolve_devices(device, ready.job.target.library)
    place = Place(each_device(found)[0], threads, workers)
    place.shares(ready)
    yield place
