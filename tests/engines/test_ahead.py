"""What a run needs is compiled beside what it waits for; errors come where they would without."""

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tuned_networks import network

from gpu_thermo import sample
from gpu_thermo.engines import ahead
from gpu_thermo.errors import CompileError
from gpu_thermo.kernels import toolchain

pytestmark = pytest.mark.skipif(toolchain.find_compiler() is None, reason="no C++ compiler")
FIXED = {
    "data": {"name": "spirals", "train": 60}, "model": {"hidden": 7},
    "method": {"name": "langevin", "stepsize": 0.1, "temperature": 1e-3},
    "run": {"replicas": 8, "steps": 40, "burn_in": 20, "thin": 10},
}  # fmt: skip


def wait() -> None:
    """Until nothing is compiled ahead any more."""
    for thread in ahead.at_work():
        thread.join()


class Asked:
    """Sources that were asked for by the run, and those that were compiled or loaded: (source, whether ahead)."""

    def __init__(self) -> None:
        self.wanted: list[str] = []
        self.made: list[tuple[str, bool]] = []

    def check(self) -> None:
        """Every kernel that the run came to was made once, and no other."""
        wait()
        sources = [source for source, _ in self.made]
        assert len(sources) == len(set(sources))
        assert set(sources) == set(self.wanted)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """With nothing loaded yet, on two cores."""
    found, load, library = Asked(), toolchain._load.__wrapped__, toolchain.host_library

    def made(compiler: Any, source: str, flags: Any) -> Any:
        found.made.append((source, threading.current_thread().name == ahead.NAME))
        return load(compiler, source, flags)

    def wanted(source: str) -> Any:
        found.wanted.append(source)
        return library(source)

    monkeypatch.setattr(toolchain, "_load", toolchain.Once(made))
    for name in ("fused", "predict.fused"):
        monkeypatch.setattr(f"gpu_thermo.engines.{name}.host_library", wanted)
    monkeypatch.setattr(ahead, "cores", lambda: 2)
    return found


def test_a_tuned_run_comes_to_what_was_foreseen(asked: Asked) -> None:
    """Descent, main dynamics, predictions; with masses of its own a fourth."""
    spec, data = network(1, tolerance=0.3, max_steps=20_000)
    tree = sample(spec, data=data, engine="fused")
    asked.check()
    assert len(asked.made) == 3
    assert any(early for _, early in asked.made)
    spec["method"]["mass"] = "auto"
    sample(spec, data=data, engine="fused")
    asked.check()
    assert len(asked.made) == 4
    again = sample(network(1, tolerance=0.3, max_steps=20_000)[0], data=data, engine="fused")
    np.testing.assert_array_equal(again["posterior"]["w1"], tree["posterior"]["w1"])


def test_a_run_of_given_steps(asked: Asked) -> None:
    """Its predictions, while its steps are compiled."""
    sample(FIXED, engine="fused")
    asked.check()
    assert len(asked.made) == 2


def test_on_one_core_nothing_is_begun(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nobody to do it."""
    monkeypatch.setattr(ahead, "cores", lambda: 1)
    sample(FIXED, engine="fused")
    asked.check()
    assert not any(early for _, early in asked.made)


def test_array_code_compiles_no_steps(asked: Asked) -> None:
    """And what it does is not begun ahead."""
    sample(FIXED, engine="batched")
    assert not any(early for _, early in asked.made)


def test_what_fails_is_told_to_who_asks() -> None:
    """And to nobody else."""
    ahead.in_background(["this is no C++"])
    wait()
    with pytest.raises(CompileError, match="refused a kernel"):
        toolchain.host_library("this is no C++")


ENDING = """
import sys, time
from pathlib import Path
from gpu_thermo.engines import ahead
from gpu_thermo.kernels import toolchain
from gpu_thermo.kernels.host import Compiler
toolchain.find_compiler = lambda: Compiler(sys.argv[1], "slow 1.0")
toolchain.host_flags = lambda compiler: ()
toolchain.host_build = lambda compiler, flags: compiler
ahead.cores = lambda: 2
ahead.in_background(["one", "two"])
while not Path(sys.argv[1] + ".begun").exists():
    time.sleep(0.01)
"""


@pytest.mark.skipif(os.name != "posix", reason="a shell script as compiler")
def test_a_program_that_ends_waits_for_no_compiler(tmp_path: Path) -> None:
    """And leaves neither it nor its folder behind."""
    slow, cache = tmp_path / "slow-c++", tmp_path / "cache"
    slow.write_text('#!/bin/sh\ntouch "$0.begun"\nsleep 600\ntouch "$0.done"\n')
    slow.chmod(0o755)
    command = [sys.executable, "-c", ENDING, str(slow)]
    subprocess.run(command, env={**os.environ, "GPU_THERMO_CACHE": str(cache)}, timeout=300, check=True)
    assert not list(cache.iterdir())
