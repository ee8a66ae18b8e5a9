"""All measurements again, on an idle machine, in one command.

`python -m bench.everything [--minutes 150] [--only answer pbp] [--bde-python ENV/bin/python] [--dry-run]`

One process after another, in the order of STEPS, those first that say most; then the tables. What grows row by row goes
on where it ended, and a step that fails or is stopped takes nothing from the next. With `--minutes` no step is begun
that, by what it took before, would end later. Steps whose packages are missing are left out and named; BDE wants an
older blackjax, and so an environment of its own. What each step says is in FOLDER/STEP.log.

Quality (errors, likelihoods, steps, gradients) does not depend on what else a machine does, and seconds of the
processor little; seconds of the clock and ratios of speed do: a load at the start is told.
"""

import argparse
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from gpu_thermo.engines.base import cores

from .common import DATA, RESULTS
from .race.judge import path_of

IDLE = 0.3
"""Load of a core below which a machine is idle."""


@dataclass(frozen=True)
class Step:
    """One command: its module and what it is told; minutes on two idle cores; packages it needs; whether it is for the
    environment of BDE; a file that shows it was done.
    """

    module: str
    told: tuple[str, ...] = ()
    minutes: float = 10.0
    needs: tuple[str, ...] = ()
    bde: bool = False
    makes: Path | None = None


def _reference(name: str, limit: int) -> Step:
    return Step("answer", ("reference", name, "--limit", str(limit)), limit / 60, ("blackjax",), makes=path_of(name))


BDE = ("BDE, relu", "BDE, silu")
STEPS = (
    Step("compare", minutes=20, needs=("jax", "torch", "blackjax")),
    Step("breakdown", minutes=3),
    Step("scale", minutes=10, needs=("distributed",)),
    _reference("diabetes", 500),
    _reference("deep", 900),
    Step("answer", ("--seeds", "3"), 60, ("numpyro", "blackjax")),
    Step("pbp", minutes=80, needs=("torch", "ngboost")),
    Step("bde", ("--tables", "airfoil"), 25),
    Step("bde", ("--tables", "airfoil", "--methods", *BDE), 20, bde=True),
    Step("bde", ("--tables", "bikesharing", "--seeds", "1"), 30),
    Step("mnist", ("--seeds", "1"), 20),
    Step("mnist", ("--speed",), 10, ("jax", "torch")),
    Step("tabular", (str(DATA / "tabular" / "airfoil.csv"),), 30),
    Step("tuned", ("all",), 50),
    Step("eight", minutes=150, needs=("ngboost", "mapie")),
    Step("deep", ("--save",), minutes=10, needs=("jax",)),
    Step("observers", minutes=5),
    Step("turns", minutes=5),
    Step("writing", minutes=5),
    Step("tabular", (str(DATA / "tabular" / "bikesharing.csv"),), 60),
    Step("bde", ("--tables", "bikesharing"), 120),
)  # fmt: skip


def missing(step: Step, bde: Path | None) -> str:
    """Why a step cannot be run here, empty where it can."""
    if step.bde:
        return "" if bde else "asks for --bde-python"
    return ", ".join(name for name in step.needs if find_spec(name) is None)


def run(step: Step, python: str, folder: Path) -> str:
    """Run it; how it ended."""
    command = [python, "-W", "ignore", "-m", f"bench.{step.module}", *step.told]
    with (folder / f"{step.module}.log").open("a") as log:
        begun = time.monotonic()
        code = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT).returncode
    took = f"{(time.monotonic() - begun) / 60:.1f} min"
    return took if code == 0 else f"{took}, FAILED with {code}: see {folder / step.module}.log"


def said_of_load() -> str:
    """What is to be known of the machine before."""
    load = os.getloadavg()[0] / cores()
    idle = "idle" if load < IDLE else "NOT idle: seconds of the clock are upper bounds"
    return f"{cores()} cores, load of each {load:.2f}: {idle}"


def main(given: list[str] | None = None) -> None:
    """Step after step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="in which all is to end")
    parser.add_argument(
        "--only", nargs="+", choices=sorted({step.module for step in STEPS}), help="steps of these modules"
    )
    parser.add_argument("--bde-python", type=Path, help="interpreter with sklearn-contrib-bde")
    parser.add_argument("--folder", type=Path, default=RESULTS.parent.parent / "bench_logs", help="of what steps say")
    parser.add_argument("--dry-run", action="store_true", help="say what would be run")
    asked = parser.parse_args(given)
    print(said_of_load(), flush=True)
    asked.folder.mkdir(parents=True, exist_ok=True)
    ends = time.monotonic() + 60 * asked.minutes
    for step in STEPS:
        if asked.only and step.module not in asked.only:
            continue
        print(f"{step.module:10} {' '.join(step.told):50.50} about {step.minutes:.0f} min: ", end="", flush=True)
        if lacks := missing(step, asked.bde_python):
            print(f"left out, {lacks}")
        elif step.makes is not None and step.makes.exists():
            print("there")
        elif time.monotonic() + 60 * step.minutes > ends:
            print("left out, no time")
        elif asked.dry_run:
            ends -= 60 * step.minutes
            print("would be run")
        else:
            print(run(step, str(asked.bde_python) if step.bde else sys.executable, asked.folder), flush=True)
    if not asked.dry_run:
        subprocess.run([sys.executable, "-m", "bench.tables"], check=True)


if __name__ == "__main__":
    main()
