"""The parts of the GPU check: what each runs, within which time, and which may run side by side."""

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .profile import run

Report = dict[str, Any]
Reports = Iterator[Report]
SANITIZED = ("d20_B25", "4x16_B128")
"""A team of one warp, and one of several at depth."""


def facts(device: str, size: str, until: float, folder: Path) -> Reports:
    """The machine, the device, each promised kernel."""
    from .facts import facts as each

    yield from each(device, size, until)


def addresses(device: str, size: str, until: float, folder: Path) -> Reports:
    """Words, minibatches, normals."""
    from .addresses import check

    yield {"case": "words, minibatches, normals"} | check(device, size != "full")


def promises(device: str, size: str, until: float, folder: Path) -> Reports:
    """Bits, freezing, predictions."""
    from .kernels import promises as each

    yield from each(device)


def rates(device: str, size: str, until: float, folder: Path) -> Reports:
    """Kernels alone."""
    from .rates import rates as each

    yield from each(device, size, until)


def profile(device: str, size: str, until: float, folder: Path) -> Reports:
    """Nsight Compute."""
    from .profile import profile as each

    yield from each(device, size, until, folder)


def variants(device: str, size: str, until: float, folder: Path) -> Reports:
    """Other launch shapes."""
    from .variants import variants as each

    yield from each(device, size, until)


def end_to_end(device: str, size: str, until: float, folder: Path) -> Reports:
    """Whole runs beside JAX."""
    from .end_to_end import end_to_end as each

    yield from each(device, size, until)


def kernels(device: str, size: str, until: float, folder: Path) -> Reports:
    """Every pair of choices."""
    from .kernels import check

    yield from check(device, size != "full", until)


def pytest(device: str, size: str, until: float, folder: Path) -> Reports:
    """The tests that need a GPU (the fused engine's own on a CPU)."""
    gpu = ["-m", "gpu and not slow", "-n", "4", "tests/device", "tests/engines"]
    chosen = gpu if device != "cpu" else ["tests/engines/test_fused.py", "-k", "bits_do_not_depend"]
    yield tool("pytest", [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen], until)


def verify(device: str, size: str, until: float, folder: Path) -> Reports:
    """The command that checks exact laws and known answers on this machine."""
    command = [sys.executable, "-m", "gpu_thermo_cli.main", "verify", "--quick", "--device", device]
    yield tool("gpu-thermo verify --quick", command, until)


def sanitizer(device: str, size: str, until: float, folder: Path) -> Reports:
    """compute-sanitizer's memcheck, racecheck and synccheck on a few steps of both engines."""
    program = shutil.which("compute-sanitizer")
    if program is None or device == "cpu":
        yield {"case": "compute-sanitizer", "why": "not on the PATH" if program is None else "no GPU asked for"}
        return
    for kind, engine in (
        ("memcheck", "fused"),
        ("racecheck", "fused"),
        ("synccheck", "fused"),
        ("memcheck", "batched"),
    ):
        for name in ("d20_B25", "4x16_B128") if engine == "fused" else ("d20_B25",):
            launch = [sys.executable, "-m", "bench.device.launch", name, "37", "3", "--engine", engine]
            command = [program, "--tool", kind, "--error-exitcode", "9", *launch, "--device", device]
            yield tool(f"compute-sanitizer {kind} {engine} {name}", command, until)


def tool(what: str, command: list[str], until: float) -> Report:
    """A program's exit code and the end of what it said; one that does not end in time tells nothing."""
    begin = time.monotonic()
    code, said = run(command, until - begin)
    if code is None:
        return {"case": what, "why": said}
    return {"case": what, "ok": code == 0, "code": code, "said": said[-4000:], "seconds": time.monotonic() - begin}


@dataclass(frozen=True)
class Part:
    """One part: the reports it makes, its limit in seconds, and whether the others are to leave the device to it."""

    work: Callable[[str, str, float, Path], Reports]
    seconds: float
    alone: bool = True


PARTS = {
    part.work.__name__: part
    for part in (
        Part(facts, 30), Part(addresses, 20), Part(promises, 20), Part(rates, 40), Part(profile, 50),
        Part(end_to_end, 60), Part(variants, 35), Part(kernels, 75, alone=False), Part(pytest, 75, alone=False),
        Part(verify, 75, alone=False), Part(sanitizer, 75, alone=False),
    )
}  # fmt: skip
"""The most telling first; those that time nothing run side by side at the end: 330 s in all."""
