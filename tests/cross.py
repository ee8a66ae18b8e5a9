"""Kernels by other compilers and for other processors: `python tests/cross.py` compiles them and runs their tests.

g++ and Clang for ARM (64 bit) under an emulator, and Clang for this processor at each of its vector widths. On Debian:

    apt-get install g++-aarch64-linux-gnu qemu-user clang

Ends with 1 if a test fails, with 2 if something is not installed; what is installed is tested all the same.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "helpers"))

from foreign import MACHINES  # noqa: E402

ON_MACHINES = ("kernels/test_cross.py", "kernels/test_kernels.py")
WITH_CLANG = (
    "kernels/test_kernels.py",
    "engines/test_fused.py",
    "engines/operations/test_native.py",
    "engines/test_guards.py",
)


def run(what: str, files: tuple[str, ...], *options: str, **environment: str) -> bool:
    """Whether the tests of `files` pass."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "pytest", "-q", *options, *(str(HERE / f) for f in files)]
    passed = subprocess.run(command, cwd=HERE.parent, env=os.environ | environment).returncode == 0
    print(f"{what}: {'passed' if passed else 'FAILED'} in {time.perf_counter() - start:.0f} s", flush=True)
    return passed


def main() -> int:
    """The command; returns its exit status."""
    reasons = {name: machine.missing() for name, machine in MACHINES.items()}
    passed = [run(name, ON_MACHINES, "-m", "not gpu", "-k", name) for name, reason in reasons.items() if not reason]
    if not reasons["clang-here"]:
        passed.append(run("default tests of kernels with CXX=clang++", WITH_CLANG, CXX="clang++"))
    for name, reason in reasons.items():
        if reason:
            print(f"{name}: not tested, {reason}")
    return 1 if not all(passed) else 2 if any(reasons.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
