"""Fixtures for all tests; what several test files share is in helpers/."""

import os
import signal
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from widths import at_width, widths

from gpu_thermo.kernels.toolchain import find_compiler

settings.register_profile("same", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("same")
for kind in ("CONNECT", "TCP"):  # Dask's workers import for long where others are at work
    os.environ.setdefault(f"DASK_DISTRIBUTED__COMM__TIMEOUTS__{kind}", "180s")
HELPERS = {path.stem for path in (Path(__file__).parent / "helpers").glob("*.py")}
pytest.register_assert_rewrite(*HELPERS - {"widths"})  # their assertions show values, as those of tests do


def _warn_of_fork() -> None:
    """As JAX does where it is installed; warnings are errors, so a test that forks fails everywhere, not only there."""
    warnings.warn("a test forked this process, which other packages do not survive: spawn", RuntimeWarning, 2)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_warn_of_fork)


@pytest.fixture(autouse=True)
def _nothing_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is compiled ahead (engines/ahead.py): all cores are at work, and what one test begins is no other's."""
    monkeypatch.setattr("gpu_thermo.engines.ahead.cores", lambda: 1)


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    """Both precisions."""
    return np.dtype(request.param).type


@pytest.fixture(params=widths(), ids=lambda bits: f"{bits} bits")
def width(request):
    """Every vector width of this processor, in force while the test compiles its kernels."""
    with at_width(request.param):
        yield request.param


@pytest.fixture(params=[False, True], ids=["numpy", "native"])
def native(request):
    """The batched engine's two sources of noise on the CPU: array code and compiled kernels."""
    if request.param and find_compiler() is None:
        pytest.skip("no C++ compiler")
    return request.param


@pytest.fixture(scope="session")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The uninterrupted small run that others are compared with, bit for bit."""
    from runs import SMALL

    from gpu_thermo.run import sample

    path = tmp_path_factory.mktemp("straight") / "run.zarr"
    sample(SMALL, path).close()
    return path


STANDIN = str(Path(__file__).parent / "standin")


def pytest_addoption(parser):
    """--standin: what needs a GPU runs through standin/cupy on the host; give it with -m gpu."""
    parser.addoption("--standin", action="store_true", help="a stand-in for CuPy on a machine without a GPU")


def pytest_configure(config):
    """The stand-in on the path of this process and of those it starts; and programs under test start with the usual
    signals, also where this one was started with some of them ignored.
    """
    if config.getoption("--standin"):
        sys.path.insert(0, STANDIN)
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (STANDIN, os.environ.get("PYTHONPATH"))))
        os.environ.setdefault("STANDIN_POISON", "1")
    for signum, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(signum) is signal.SIG_IGN:
            signal.signal(signum, usual)
