"""What a study would do and cost, before it does."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..running import speed
from ..store.files import as_path
from ..targets.base import Potential
from .beside import Beside
from .bill import COLUMNS, CURVES, launch_bytes
from .parts import is_done
from .shards import Shard
from .work import StudyLike, Work, as_study, make_work

ACHIEVED = {"fused": 0.45, "batched": 0.05}
"""Share of the peak that an engine reaches, on which a plan's time rests (bench/README.md: .41 to .53, and .04 to
.09)."""


@dataclass(frozen=True)
class StudyPlan:
    """What a study would do and cost. `ensembles` are groups of cells alike in all but hyperparameters; shards of
    several go in one of the `launches` still to do, where they differ in length, too.

    memory_bytes : of the process at its peak, about. at_most : whether runs stop themselves, so that steps and seconds
    are the most they may take.
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
    at_most: bool = False
    memory_bytes: int = 0
    launches: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary."""
        return asdict(self)


def plan_study(
    study: StudyLike,
    store: str | Path | None = None,
    *,
    device: str = "auto",
    engine: str = "auto",
    base: Path | None = None,
    data: Any = None,
    network: Any = None,
    potential: Potential | None = None,
    init: Any = None,
) -> StudyPlan:
    """Validate a study with its data and what is given beside it, and say what it would do and cost; `store` tells how
    much of it is done already.
    """
    beside = Beside(data, network, potential, init)
    study, base = as_study(study, base=base, beside=beside)
    job = make_work(study, base, device, engine, beside)
    seeds = len(study.seeds.table())
    groups = []
    for number, group in enumerate(job.groups):
        first, last = group.cells[0].label, group.cells[-1].label
        name = first if len(group.cells) == 1 else f"{first} ... {last}"
        groups.append(
            (
                name,
                len(group.cells),
                sum(s.group == number for s in job.shards),
                group.spec.run.max_steps or group.spec.run.steps,
            )
        )
    steps = sum(s.replica_steps for s in job.shards)
    todo = [s for s in job.shards if not (store and is_done(as_path(store), s))]
    launches, devices = job.launches(todo), dict.fromkeys(group.device for group in job.groups)
    return StudyPlan(
        len(job.cells), seeds, len(job.cells) * seeds, len(groups), len(job.shards), len(job.shards) - len(todo), steps,
        _seconds(job, todo), _disk(job, seeds), tuple(cell.label for cell in job.cells), ", ".join(devices),
        tuple(groups), any(s.tuned for s in job.shards), launch_bytes(job.groups, launches), len(launches),
    )  # fmt: skip


def _seconds(job: Work, todo: list[Shard]) -> float:
    """Time of the shards `todo` at the share of their device's peak that engines reach."""
    peak = {device: speed.measured_peak(device)[0] for device in {group.device for group in job.groups}}
    each = [group.operations / (ACHIEVED[group.engine] * peak[group.device]) for group in job.groups]
    return sum(s.replica_steps * each[s.group] for s in todo)


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
