"""What a run would do and cost, before anything is written: the program, the bill, and the refusal of what cannot
fit.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..averages.moments import RunningMoments
from ..engines import engine_needs, why_batched
from ..engines.base import Needs, moment_bytes, state_bytes
from ..engines.devices import each_device
from ..moves import fold
from ..spec.mass import AUTO
from ..store import Header, array_bytes, disk_bill, draw_bytes, gathering_bytes
from ..store.writer import QUEUE_BYTES
from .loop import ring_slots
from .places import Place
from .resources import check_device, check_disk, check_memory, resident_memory
from .rungs import expected_rungs
from .subject import Setup
from .waiting import waiting_bytes

Outcome = Literal["store", "memory", "none"]
"""Where a run goes: into a store; into one that is loaded and forgotten; nowhere, one moment after the other."""


_READING = 32 * 2**20
"""Chunks on their way from the disk into arrays."""


@dataclass(frozen=True)
class RunPlan:
    """What a run would do and cost, before anything is written.

    Attributes
    ----------
    words : partition -> (word or update, number of parameters). substeps : one step, in order. moves : kinds of the
    ensemble moves.
    memory : what the process takes at its peak, in bytes by purpose: "process" is what it takes already (interpreter,
    libraries, data, hyperparameters). device_bytes : memory of the GPU. disk_bytes : of the store.
    warnings : what the user should know. assumptions : of answers and parameters. columns : what became of a table's.
    tolerance : of a run that stops itself; its `steps` are at most so many, and its draws a guess.
    shares : who carries how many replicas, where several do; `device_bytes` are then of each. worker_bytes : of the
    process of each worker at its peak.
    engine_reason : why the batched engine is taken, where it is not only because it was asked for.
    """

    engine: str
    device: str
    replicas: int
    parameters: int
    ensembles: int
    datasets: int
    steps: int
    burn_in: int
    thin: int
    draws: int
    gradients_per_step: int
    words: dict[str, tuple[str | None, int]]
    substeps: tuple[str, ...]
    disk_bytes: int
    memory: dict[str, int] = field(default_factory=dict)
    device_bytes: int = 0
    moves: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    tolerance: float | None = None
    engine_reason: str = ""
    shares: tuple[tuple[str, int], ...] = ()
    worker_bytes: int = 0

    @property
    def memory_bytes(self) -> int:
        """Of the process at its peak."""
        return sum(self.memory.values())

    @property
    def new_bytes(self) -> int:
        """Memory that the process does not have yet."""
        return self.memory_bytes - self.memory.get("process", 0)

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary."""
        return asdict(self) | {"memory_bytes": self.memory_bytes}


def make_plan(
    ready: Setup, header: Header, moments: RunningMoments, outcome: Outcome = "store", threads: int | None = None,
    place: Place | None = None,
) -> RunPlan:  # fmt: skip
    """The plan of a run made ready, from what its store will be created with and its (empty) running averages; and
    where it is carried out, unless by this process on one device.
    """
    run, program, partition = ready.spec.run, ready.program, ready.program.partition
    kept = _nbytes(moments.sums) + fold.nbytes(ready.moves, run.replicas)
    shares = () if place is None else place.shares(ready)
    memory, device_bytes = memory_bill(ready, header, moments, outcome, threads, place)
    return RunPlan(
        engine=header.engine,
        device=header.device,
        replicas=run.replicas,
        parameters=ready.job.target.layout.size,
        ensembles=len(ready.ensemble_dataset),
        datasets=int(ready.dataset.max()) + 1,
        steps=run.steps,
        burn_in=run.burn_in,
        thin=run.thin,
        draws=ready.agenda.draws,
        gradients_per_step=program.gradients_per_step,
        words={name: (program.texts[k], partition.counts[k]) for k, name in enumerate(partition.names)},
        substeps=(*program.describe(), *_masses(ready)),
        disk_bytes=disk_bill(header, kept + (waiting_bytes(ready.job) if run.tolerance is not None else 0)),
        memory=memory,
        device_bytes=device_bytes,
        moves=tuple(move.kind for move in ready.spec.moves),
        warnings=tuple(_warnings(ready)),
        assumptions=tuple(ready.subject.assumptions()),
        columns=tuple(ready.subject.columns()),
        tolerance=run.tolerance,
        engine_reason=why_batched(ready.job, header.device) if header.engine == "batched" else "",
        shares=shares,
        worker_bytes=_worker(ready, header, place, shares) if place is not None and place.workers else 0,
    )


def memory_bill(
    ready: Setup, header: Header, moments: RunningMoments, outcome: Outcome = "store", threads: int | None = None,
    place: Place | None = None,
) -> tuple[dict[str, int], int]:  # fmt: skip
    """Bytes of the process at its peak, by purpose, and of the GPU.

    Each term is asked of whoever takes the memory. What is recorded in a segment is there three times at most: in the
    ring, as it is seen, and packed for the writer; a commit copies the state instead, once the draws are written.
    """
    job, device = ready.job, header.device
    slots = min(ring_slots(moment_bytes(job), device), _recorded(ready))
    shares = () if place is None else place.shares(ready)
    share = job.take(slice(0, max(count for _, count in shares))) if shares else job
    engine, seen = engine_needs(share, header.engine, device, threads), ready.subject.needs(ready, device, threads)
    state = state_bytes(job) + fold.nbytes(ready.moves, job.replicas)
    averages = _nbytes(moments.sums)
    memory = {
        "process": resident_memory(), "state": state, "engine": engine.host, "averages": averages,
        "recording": slots * (moment_bytes(job) + _seen_bytes(ready, header)) + seen.host,
    }  # fmt: skip
    if place is not None and shares:
        memory |= _shared(ready, header, place, slots, engine)
    if ready.spec.run.tolerance is not None:
        memory["tuning"] = _tuning(ready)
    if outcome != "none":
        commit = state + averages + 2 * sum(8 * prod(shape) for _, shape in moments.schema().values())
        memory["writing"] = _writing(header, slots, commit)
    if outcome == "memory":
        memory = _loaded(memory, array_bytes(header))
    return memory, _device(engine, seen, share, slots) if device != "cpu" else 0


_WORKER = 160 * 2**20
"""Interpreter and libraries of a worker, before it has a share."""


def _shared(ready: Setup, header: Header, place: Place, slots: int, engine: Needs) -> dict[str, int]:
    """Beside what one process would take: what is recorded of each share before all are put together; the state as it
    was at the last commit; and the workers of our own, in place of an engine here.
    """
    state, ring = state_bytes(ready.job), slots * moment_bytes(ready.job)
    if not place.workers:
        return {"engine": place.count * engine.host, "shares": state + ring}
    own = place.team is None or place.team.own
    workers = place.workers * _worker(ready, header, place, place.shares(ready)) if own else 0
    return {"engine": 0, "shares": state + 2 * ring, "workers": workers}


def _worker(ready: Setup, header: Header, place: Place, shares: tuple[tuple[str, int], ...]) -> int:
    """Of a worker's process: its share's state, as it came and as it is, engine and ring, which is sent as a copy."""
    share = ready.job.take(slice(0, max(count for _, count in shares)))
    slots = min(ring_slots(moment_bytes(ready.job), header.device), _recorded(ready))
    needs = engine_needs(share, header.engine, header.device, place.threads)
    return _WORKER + 2 * state_bytes(share) + needs.host + 2 * slots * moment_bytes(share)


def _tuning(ready: Setup) -> int:
    """The group at h/2, where a stage began, the sums of a window and its draws while they wait, twice, as a commit
    copies them.
    """
    rungs = expected_rungs(ready)
    rows = rungs * (ready.job.replicas + max(32, ready.job.replicas // 4))
    one = 8 * 8 * (ready.subject.watched[0] + 1) + ready.job.target.layout.size * np.dtype(ready.job.dtype).itemsize
    return 2 * (rows * one + waiting_bytes(ready.job)) + (state_bytes(ready.job) // 4) * (5 * rungs - 4)


def _recorded(ready: Setup) -> int:
    """Most moments that a run records."""
    return max(1, ready.agenda.draws + ready.agenda.traced)


def _seen_bytes(ready: Setup, header: Header) -> int:
    """Bytes of one moment as it is seen: energy, further statistics, status, predictions."""
    replicas = ready.job.replicas
    return replicas * (8 * (1 + len(ready.statistics)) + 4) + _kept_bytes(header)


def _kept_bytes(header: Header) -> int:
    """Bytes that each replica's predictions, likelihoods and momenta take at a draw, of all rungs."""
    each = draw_bytes(header)
    return sum(each.get(f"{group}_rungs", each.get(group, 0)) for group in ("probes", "log_likelihood", "momenta"))


def _writing(header: Header, slots: int, commit: int) -> int:
    """Draws packed and handed over, or a commit in their place, small calls that wait, and rows of chunks that are not
    full yet.
    """
    packed = slots * sum(draw_bytes(header).values())
    return max(packed, commit) + min(QUEUE_BYTES, packed + commit) + gathering_bytes(header)


def _loaded(memory: Mapping[str, int], result: int) -> dict[str, int]:
    """The bill of a run that is loaded when it is done and its own memory is free again."""
    process = memory["process"]
    running = sum(memory.values()) - process
    return dict(memory) | {"result": max(0, result + min(result, _READING) - running)}


def _device(engine: Needs, seen: Needs, job: Any, slots: int) -> int:
    return engine.device + seen.device + slots * moment_bytes(job)


def _nbytes(arrays: Mapping[str, np.ndarray]) -> int:
    return sum(a.nbytes for a in arrays.values())


def _masses(ready: Setup) -> Iterator[str]:
    """Of what size the parameters' masses are."""
    scale = ready.job.scale
    if ready.spec.method.mass == AUTO:
        yield "parameters have masses that the run estimates over its ensemble, one for each tensor"
    elif scale is not None:
        yield f"parameters have masses from {scale.max() ** -2:g} to {scale.min() ** -2:g}"


def _warnings(ready: Setup) -> Iterator[str]:
    """What is allowed but rarely meant."""
    yield from ready.subject.notices()
    smallest = np.bincount(ready.ensemble).min()
    if smallest < 4 and len(ready.ensemble_dataset) > 1:
        yield (
            f"the smallest of {len(ready.ensemble_dataset)} ensembles has {smallest} replicas: averages are taken"
            " within ensembles only."
        )
    if "log_likelihood" in ready.spec.run.keep:
        points, draws, replicas = ready.job.target.points, ready.agenda.draws, ready.job.replicas
        size = points * draws * replicas * np.dtype(ready.job.dtype).itemsize
        yield (
            f"log_likelihood is kept of {points:,} points, {draws:,} draws and {replicas:,} replicas:"
            f" {size / 1e6:,.0f} MB, and a pass over all points at each draw."
        )
    for move in ready.moves:
        yield from move.notices()
    rungs = expected_rungs(ready) if ready.spec.run.tolerance is not None else 1
    if rungs > 1:
        yield f"each replica becomes a ladder of about {rungs} rungs, which takes so many times the gradients."


def check_resources(bill: RunPlan, store: Path | None) -> None:
    """Refuse a run that cannot fit in memory, on its GPU or on disk, with the numbers."""
    check_memory(bill.new_bytes, bill.replicas)
    if bill.device != "cpu":
        for device in each_device(bill.device):
            check_device(bill.device_bytes, bill.replicas, device)
    if store is not None:
        check_disk(bill.disk_bytes, store)
