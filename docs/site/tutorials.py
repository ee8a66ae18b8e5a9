"""What tutorials printed and drew when they were run, kept by their content in docs/executed.

A script that is as it was when it was run is shown with what it said then; any other is run by the build, and
`python -m docs.site execute` keeps what it says. Tests run the scripts themselves.
"""

import hashlib
import json
import shutil
import zipfile
from pathlib import Path

from .staging import DOCS

SCRIPTS, KEPT = DOCS / "tutorials", DOCS / "executed"


ORDER = (
    "table", "spiral", "prior", "temperature", "modes", "thousand_seeds", "own_network", "evidence", "store", "resume",
)  # fmt: skip
"""In which tutorials are read; others follow by name."""


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


def restore(target: Path) -> list[str]:
    """Lay what is kept where sphinx-gallery looks for it, `target`; names of scripts that have to be run."""
    for script in scripts():
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


def keep(target: Path) -> list[str]:
    """Keep what a build's scripts said, of those that changed; their names. Of scripts that went nothing is kept."""
    kept = []
    for script in scripts():
        if not current(script) and _there(script, target):
            folder = KEPT / script.stem
            shutil.rmtree(folder, ignore_errors=True)
            for file in _said(script.stem, target):
                (place := folder / file.relative_to(target)).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, place)
            (folder / "run.json").write_text(json.dumps({"md5": digest(script)}) + "\n")
            kept.append(script.stem)
    for folder in KEPT.glob("*/"):
        if not (SCRIPTS / f"{folder.name}.py").exists():
            shutil.rmtree(folder)
    return kept


def _said(name: str, target: Path) -> list[Path]:
    images = target / "images"
    return [target / f"{name}.rst", *images.glob(f"sphx_glr_{name}_*"), *(images / "thumb").glob(f"sphx_glr_{name}_*")]
