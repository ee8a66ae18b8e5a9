"""Wheels for a machine without network: which of the packages that the project and its tests need it lacks, fetched
where there is a network, unpacked there.

`python -m bench.device.wheels --have FREEZE.txt --python 3.12 --into wheels` where the project is installed and there
is a network: FREEZE.txt is what `python -m pip list --format=freeze` says on the other machine. There,
`python -m bench.gpu_check --wheels wheels` unpacks them for itself.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLATFORMS = ("2_28", "2_27", "2_17", "2014", "1")
"""manylinux of wheels for x86-64, the newest first; pip wants each named."""
TESTS = ("pytest", "pytest-xdist", "hypothesis")
"""What the checks need beside the project."""
_PLACES = {
    "gpu_thermo": "gpu_thermo",
    "gpu_thermo_cli": "cli",
    "gpu_thermo_analysis": "analysis",
    "gpu_thermo_docs": "docs",
}
"""Packages and their folders in the sources."""


def canonical(name: str) -> str:
    """A package's name as indices compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def needed(*names: str) -> dict[str, str]:
    """Version installed here of the packages `names` and of all that they need, extras left out."""
    from packaging.requirements import Requirement

    out: dict[str, str] = {}
    left = [Requirement(name) for name in names]
    while left:
        one = left.pop()
        name = canonical(one.name)
        if name in out:
            continue
        out[name] = metadata.version(name)
        for line in metadata.requires(name) or ():
            further = Requirement(line)
            if further.marker is None or any(further.marker.evaluate({"extra": e}) for e in (one.extras or {""})):
                left.append(further)
    return out


def lacking(have: dict[str, str], wanted: dict[str, str]) -> dict[str, str]:
    """Of `wanted`, what `have` has not, or has in an older release than the one here."""
    from packaging.version import Version

    return {
        name: version for name, version in wanted.items() if name not in have or Version(have[name]) < Version(version)
    }


def frozen(text: str) -> dict[str, str]:
    """Versions by name from `pip list --format=freeze`."""
    pairs = (line.split("==", 1) for line in text.splitlines() if "==" in line)
    return {canonical(name): version.strip() for name, version in pairs}


def download(packages: dict[str, str], python: str, folder: Path) -> None:
    """Fetch one wheel each with pip.

    Raises
    ------
    SystemExit
        pip found no wheel of a package.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--python-version", python, "--implementation", "cp"]
    command += [word for p in PLATFORMS for word in ("--platform", f"manylinux{'_' * ('_' in p)}{p}_x86_64")]
    for name, version in packages.items():
        if subprocess.run([*command, "-d", str(folder), f"{name}=={version}"], check=False).returncode:
            raise SystemExit(f"pip found no wheel of {name} {version} for Python {python}.")


def unpack(folder: Path) -> Path:
    """A folder for PYTHONPATH with the wheels of `folder` and, under their names, this project's packages."""
    site = Path(tempfile.mkdtemp(prefix="gpu_thermo-site-"))
    wheels = sorted(map(str, folder.glob("*.whl")))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile"]
    subprocess.run([*command, "--no-cache-dir", "--target", str(site), *wheels], check=True)
    for name, place in _PLACES.items():
        (site / name).symlink_to(ROOT / place)
    return site


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--have", type=Path, required=True)
    parser.add_argument("--python", default="3.12")
    parser.add_argument("--into", type=Path, help="fetch them into this folder; without it they are listed")
    given = parser.parse_args()
    wanted = needed("gpu-thermo", *TESTS)
    wanted.pop("gpu-thermo")
    missing = lacking(frozen(given.have.read_text()), wanted)
    print("\n".join(f"{name}=={version}" for name, version in sorted(missing.items())))
    if given.into:
        given.into.mkdir(exist_ok=True)
        download(missing, given.python, given.into)


if __name__ == "__main__":
    main()
