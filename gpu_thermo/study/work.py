"""A study made ready: its cells, launch groups and shards, with every mistake in spec, data and device found."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..spec.text import read_toml
from .beside import NETWORK, NOTHING, Beside, probe_text
from .grids import Cell, StudySpec
from .launch import make_group
from .shards import SHARD_WORK, Group, Shard, group_cells, make_launches, make_shard, make_shards
from .tuned import tuned_group

LAUNCHES = 4
"""Of each worker, at least, where there are enough shards."""
StudyLike = StudySpec | Mapping[str, Any] | str | Path


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

    def launches(self, shards: list[Shard], workers: int = 0) -> list[tuple[Shard, ...]]:
        """Shards by the launches that they go in; each of several `workers` has some."""
        work = sum(s.replica_steps * self.groups[s.group].operations for s in shards)
        most = min(SHARD_WORK, work / (LAUNCHES * workers)) if workers else SHARD_WORK
        turns = max(1, len(shards) // workers) if workers else None
        return make_launches(shards, self.groups, self.study.study.shard, most, turns)


def as_study(
    study: StudyLike, keep: bool = False, base: Path | None = None, beside: Beside = NOTHING
) -> tuple[StudySpec, Path | None]:
    """A StudySpec from what the user gave (str and Path: a TOML file), and the folder its paths start at. A [data]
    without a name is about arrays, where such are given `beside` it.
    """
    if isinstance(study, str | Path):
        base = base or Path(study).resolve().parent
        study = StudySpec.from_dict(beside.complete(read_toml(Path(study))))
    elif not isinstance(study, StudySpec):
        study = StudySpec.from_dict(beside.complete(study))
    elif beside.data is not None:
        study = StudySpec.from_dict(beside.complete(study.to_dict()))
    if keep and not study.study.keep:
        study = study.model_copy(update={"study": study.study.model_copy(update={"keep": True})})
    return study, base


def make_work(study: StudySpec, base: Path | None, device: str, engine: str, beside: Beside = NOTHING) -> Work:
    """Cells and shards, with one run of every launch group made ready, so that mistakes show before anything is
    written.
    """
    study.refuse_repeated()
    cells = [replace(cell, spec=beside.settled(cell.spec, base, study.seeds)) for cell in study.cells()]
    if own := {label: digest for cell in cells for label, digest in cell.spec.registered.items()}:
        study = study.model_copy(update={"registered": own})
    study = study.model_copy(update={"given": beside.digests([cell.spec for cell in cells])})
    groups = [_group(study, base, some, device, engine, beside) for some in group_cells(cells)]
    if (probe := next((g.probe for g in groups if g.probe is not None), None)) is not None:
        study = study.model_copy(update={"given": study.given | {NETWORK: probe_text(probe)}})
    return Work(study, cells, groups, make_shards(study, base, groups, beside))


def _group(study: StudySpec, base: Path | None, cells: list[Cell], device: str, engine: str, beside: Beside) -> Group:
    """A launch group, its first run made ready."""
    first = make_shard(study, base, study.seeds.table(), 0, cells[:1], (0, 1), beside)
    return (tuned_group if first.tuned else make_group)(first, cells, device, engine)
