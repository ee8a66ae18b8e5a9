"""What tutorials printed and drew when they were run, kept by their content in docs/executed.

A script that is as it was when it was run is shown with what it said then; any other is run by the build, and
`python -m docs.site execute` keeps what it says, how long it took and with which versions (`--again`: of all scripts).
Tests run the scripts themselves.
"""

import hashlib
import json
import os
import platform
import shutil
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .staging import DOCS

SCRIPTS, KEPT = DOCS / "tutorials", DOCS / "executed"


ORDER = (
    "table", "spiral", "prior", "temperature", "modes", "thousand_seeds", "own_network", "evidence", "store", "resume",
)  # fmt: skip
"""In which tutorials are read; others follow by name."""
MOST_SECONDS = 120
"""Processor time that a tutorial may take."""
USED = (
    "numpy",
    "scipy",
    "xarray",
    "zarr",
    "arviz-stats",
    "scikit-learn",
    "matplotlib",
    "pandas",
    "jax",
    "torch",
    "distributed",
)
"""Packages whose versions are kept with what a script said."""
_BEGAN: dict[str, float] = {}


class Order:
    """Sphinx-gallery's key of a script."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self, name: str) -> tuple[int, str]:
        """Its place in ORDER."""
        short = name.removeprefix("plot_").removesuffix(".py")
        return (ORDER.index(short) if short in ORDER else len(ORDER)), name


def scripts() -> list[Path]:
    """Every tutorial."""
    return sorted(SCRIPTS.glob("*.py"))


def digest(script: Path) -> str:
    """What sphinx-gallery knows a script by."""
    return hashlib.md5(script.read_text().encode()).hexdigest()


def current(script: Path) -> bool:
    """Whether what is kept of a script is of what it says now."""
    told = KEPT / script.stem / "run.json"
    return told.exists() and json.loads(told.read_text())["md5"] == digest(script)


def clock(settings: dict[str, Any], script: str | None, when: str) -> None:
    """Sphinx-gallery's call before and after a script, here or in a child: leaves processor time beside its page."""
    spent = sum(os.times()[:4])
    if script is not None and when == "before":
        _BEGAN[script] = spent
    elif script is not None:
        note = Path(settings["src_dir"]) / "tutorials" / f"{Path(script).name}.seconds"
        note.write_text(f"{spent - _BEGAN[script]:.1f}")


def restore(target: Path, again: bool = False) -> list[str]:
    """Lay what is kept where sphinx-gallery looks for it, `target`; names of scripts that have to be run.

    `again`: nothing is laid out, and all have to be.
    """
    if again:
        shutil.rmtree(target, ignore_errors=True)
    for script in [] if again else scripts():
        if current(script) and not _there(script, target):
            kept = KEPT / script.stem
            for file in kept.rglob("*.*"):
                if file.name != "run.json":
                    (place := target / file.relative_to(kept)).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(file, place)
            copy = target / script.name
            shutil.copyfile(script, copy)
            copy.with_name(f"{script.name}.md5").write_text(digest(script))
            with zipfile.ZipFile(copy.with_suffix(".zip"), "w") as archive:
                archive.write(copy, script.name)
    return [script.stem for script in scripts() if not _there(script, target)]


def _there(script: Path, target: Path) -> bool:
    """Whether a build has what this script said."""
    mark = target / f"{script.name}.md5"
    return mark.exists() and mark.read_text() == digest(script)


def keep(target: Path, again: bool = False) -> list[str]:
    """Keep what a build's scripts said, of those that changed; their names. Of scripts that went nothing is kept."""
    kept = []
    for script in scripts():
        if (again or not current(script)) and _there(script, target):
            folder = KEPT / script.stem
            shutil.rmtree(folder, ignore_errors=True)
            for file in _said(script.stem, target):
                (place := folder / file.relative_to(target)).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, place)
            seconds = float((target / f"{script.name}.seconds").read_text())
            told = {"md5": digest(script), "processor_seconds": seconds, "versions": _versions()}
            (folder / "run.json").write_text(json.dumps(told, indent=1) + "\n")
            kept.append(script.stem)
    for folder in KEPT.glob("*/"):
        if not (SCRIPTS / f"{folder.name}.py").exists():
            shutil.rmtree(folder)
    return kept


def _said(name: str, target: Path) -> list[Path]:
    images = target / "images"
    return [target / f"{name}.rst", *images.glob(f"sphx_glr_{name}_*"), *(images / "thumb").glob(f"sphx_glr_{name}_*")]


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in USED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
