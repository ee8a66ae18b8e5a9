"""The device's own sources and launches without a GPU: a stand-in for CuPy runs them on the host (standin/cupy).

`-m gpu --standin` runs all that needs a GPU through it; here a part of that, in both orders of threads, and mistakes
that it must find.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from device_faults import FAULTS

TESTS = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64" or shutil.which("g++") is None, reason="its threads are made for x86-64 and g++"
)


def child(*command: str, **environment: str) -> subprocess.CompletedProcess:
    """A process of its own: CuPy, where it is installed, stays out of it."""
    given = os.environ | {"STANDIN_POISON": "1"} | environment
    return subprocess.run(
        [sys.executable, *command], cwd=TESTS.parent, env=given, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("order", "files", "least"),
    [(0, ("device", "engines"), 20), (1, ("device/test_device_kernels.py", "engines"), 14)],
    ids=["first thread first", "last thread first"],
)
def test_what_needs_a_gpu_passes_on_the_host(order, files, least):
    done = child(
        "-m", "pytest", "--standin", "-m", "gpu and not slow", "-q", "-p", "no:cacheprovider",
        *(str(TESTS / file) for file in files), STANDIN_ORDER=str(order),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    passed = int(done.stdout.rsplit(" passed", 1)[0].split()[-1])
    assert passed >= least


@pytest.fixture(scope="module")
def found() -> dict[str, str]:
    """What each fault came to."""
    done = child(str(TESTS / "helpers" / "device_faults.py"), PYTHONPATH=os.pathsep.join(
        filter(None, (str(TESTS / "standin"), os.environ.get("PYTHONPATH")))))  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return dict(json.loads(line) for line in done.stdout.splitlines())


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_mistakes_are_found(fault, found):
    """The real text shows none; each mistake shows in one order of threads at least."""
    said = found[fault]
    if fault.startswith("none"):
        assert said == ""
    elif fault == "a short argument struct":
        assert "lays out Arguments otherwise" in said
    elif "some threads" in fault or "other widths" in fault:
        assert "threads of a warp disagree" in said
    elif "the next team" in fault:
        assert "which is not in its mask" in said
    elif "wait for its kernel" in fault:
        assert "does not wait for the kernel" in said
    elif fault == "a row beyond the last":
        assert "bytes beside an array" in said
    else:
        assert said.startswith("difference ")
