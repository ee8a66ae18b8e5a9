"""A study made ready: its cells, launch groups and shards, with every mistake in spec, data and device found."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .grids import Cell, StudySpec
from .launch import make_group
from .shards import Group, Shard, group_cells, make_shard, make_shards
from .tuned import tuned_group

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
    if own := {label: digest for cell in cells for label, digest in cell.spec.registered.items()}:
        study = study.model_copy(update={"registered": own})
    groups = [_group(study, base, some, device, engine) for some in group_cells(cells)]
    return Work(study, cells, groups, make_shards(study, base, groups))


def _group(study: StudySpec, base: Path | None, cells: list[Cell], device: str, engine: str) -> Group:
    """A launch group, its first run made ready."""
    first = make_shard(study, base, study.seeds.table(), 0, cells[:1], (0, 1))
    return (tuned_group if first.tuned else make_group)(first, cells, device, engine)
