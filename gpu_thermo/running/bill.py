"""What a run would do and cost, before anything is written: the program, the bill, and the refusal of what cannot
fit.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..averages.moments import RunningMoments
from ..moves import fold
from ..store import Header, disk_bill
from .resources import check_disk, check_memory
from .subject import Setup


@dataclass(frozen=True)
class RunPlan:
    """What a run would do and cost, before anything is written.

    Attributes
    ----------
    words : partition -> (word or update, number of parameters). substeps : one step, in order. moves : kinds of the
    ensemble moves.
    memory_bytes, disk_bytes : the bill. warnings : what the user should know.
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
    memory_bytes: int
    disk_bytes: int
    moves: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary."""
        return asdict(self)


def make_plan(ready: Setup, header: Header, moments: RunningMoments) -> RunPlan:
    """The plan of a run made ready, from what its store will be created with and its (empty) running averages."""
    run, program, partition = ready.spec.run, ready.program, ready.program.partition
    warnings, working = tuple(_warnings(ready)), working_bytes(ready)
    sums = sum(a.nbytes for a in moments.sums.values()) + fold.nbytes(ready.moves, run.replicas)
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
        substeps=(*program.describe(), *_masses(ready.job.scale)),
        memory_bytes=working + 3 * sums,
        disk_bytes=disk_bill(header, sums),
        moves=tuple(move.kind for move in ready.spec.moves),
        warnings=warnings,
    )


def working_bytes(ready: Setup) -> int:
    """Bytes the run needs at its peak beside its running sums: state, working copies, the ring, draws waiting to be
    written, data.
    """
    item = np.dtype(ready.job.dtype).itemsize
    parameters = ready.spec.run.replicas * ready.job.target.layout.size * item
    ring = max(parameters, min(64 * 2**20, parameters * ready.agenda.draws))
    parts = 12 if ready.job.scale is None else 14  # with masses, theirs as the engines read them
    return parts * parameters + 4 * ring + ready.subject.working_bytes + 200 * 2**20


def _masses(scale: np.ndarray | None) -> Iterator[str]:
    """Of what size the parameters' masses are."""
    if scale is not None:
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
    for move in ready.moves:
        yield from move.notices()


def check_resources(bill: RunPlan, store: Path | None) -> None:
    """Refuse a run that cannot fit in memory or on disk, with the numbers."""
    check_memory(bill.memory_bytes, bill.replicas, bill.device)
    if store is not None:
        check_disk(bill.disk_bytes, store)
