"""The data of a study's kept runs, on disk once.

Each run that tunes itself is a store of its own, whole without the others; with data of many megabytes those of a study
would hold as many copies. Files of `constant_data` that are the same, byte for byte, become one file with several names
(hard links): a store is read, checked, copied and deleted as before, and none of these files is ever written again.
"""

import filecmp
import os
from pathlib import Path

from .parts import RUNS
from .shards import Shard

GROUP = "constant_data"
LARGE = 1 << 18
"""Bytes of a file from which on it is looked at."""


def share(store: Path, shard: Shard) -> int:
    """Give large files of this shard's run the place of equal ones of another kept run; how many bytes that saves.

    Nothing happens where the file system has no hard links, or the run is not kept.
    """
    runs, mine = store / RUNS, f"{shard.id}.zarr"
    saved = 0
    for path in sorted(_large(runs / mine)):
        name = path.relative_to(runs / mine)
        for other in sorted(runs.glob("*.zarr")):
            if other.name != mine and _replaced(path, other / name):
                saved += path.stat().st_size
                break
    return saved


def _large(run: Path) -> list[Path]:
    group = run / GROUP
    found = group.rglob("*") if group.is_dir() and not group.is_symlink() else []
    return [p for p in found if p.is_file() and not p.is_symlink() and p.stat().st_size >= LARGE]


def _replaced(path: Path, other: Path) -> bool:
    """Whether `path` became, or was, another name of an equal file."""
    try:
        if other.is_symlink() or not other.is_file():
            return False
        if other.samefile(path):
            return True
        if not filecmp.cmp(path, other, shallow=False):
            return False
        beside = path.with_name(f"{path.name}.partial")
        beside.unlink(missing_ok=True)
        os.link(other, beside)
        os.replace(beside, path)
    except OSError:
        return False
    return True
