"""Faults around a run: clocks, compilers, caches, memory, two processes, folders that vanish, a NaN planted in one
replica.

Kills, full disks and damaged stores are in test_drive.py, and in the folder store in test_checkpoints.py, test_files.py
and test_record.py.
"""

import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpu_thermo.engines import BatchedEngine, make_engine
from gpu_thermo.errors import GpuThermoError, RunError
from gpu_thermo.kernels.toolchain import find_compiler
from gpu_thermo.run import resume, sample
from gpu_thermo.running.setup import prepare
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.state import Segment
from gpu_thermo.store import open_run, read_header
from gpu_thermo.verify.sameness import _contents, _equal

SPEC = {
    "data": {"name": "spirals", "turns": 1, "train": 40, "test": 10},
    "model": {"hidden": 5},
    "run": {"replicas": 6, "steps": 400, "burn_in": 100, "thin": 20, "trace": 50, "batch": 8},
}
ENGINES = [
    "batched",
    pytest.param("fused", marks=pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler")),
]
COMMAND = [sys.executable, "-m", "gpu_thermo_cli.main"]


def write_spec(path: Path, **run: int) -> Path:
    path.write_text(RunSpec.from_dict({**SPEC, "run": {**SPEC["run"], **run}}).to_toml())
    return path


def command(*arguments: Any, **environment: str) -> subprocess.CompletedProcess[str]:
    """One command in a process of its own."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, **environment},
    )


def same(one: Path, other: Path) -> bool:
    ours, theirs = _contents(one), _contents(other)
    return set(ours) == set(theirs) and all(_equal(ours[name], theirs[name]) for name in ours)


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("straight") / "run.zarr"
    sample(SPEC, path).close()
    return path


# -- clocks --------


@pytest.mark.parametrize("jump", ["back", "forth", "still"])
def test_clock_jumps_change_nothing(straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: str) -> None:
    """The wall clock jumps by a year at every look, or every clock stands still; commits and bits are the same."""
    looks = iter(range(10**9))
    if jump == "still":
        for name in ("time", "monotonic", "perf_counter"):
            monkeypatch.setattr(time, name, lambda: 1000.0)
    else:
        year = 3.2e7 if jump == "forth" else -3.2e7
        monkeypatch.setattr(time, "time", lambda: 2e9 + year * (next(looks) % 50))
    path = tmp_path / "run.zarr"
    sample(SPEC, path, commit_seconds=0.0).close()
    assert same(straight, path)


# -- one bad replica --------


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["position", "momentum", "gradient", "thermostat"])
def test_nan_in_one_replica_leaves_the_others_bitwise_unchanged(engine: str, where: str, value: float) -> None:
    ready = prepare(RunSpec.from_dict(SPEC))
    states = [ready.initial_state(), ready.initial_state()]
    made = make_engine(ready.job, engine, "cpu")
    for state in states:
        made.advance(state, Segment(0, 5))
    getattr(states[1], where)[2, 0] = value
    rings = [made.advance(state, Segment(5, 20, (10, 25))) for state in states]
    others = np.arange(ready.job.replicas) != 2
    assert (states[1].status[others] == 0).all()
    assert states[1].status[2] != 0
    for name, value in states[0].arrays().items():
        np.testing.assert_array_equal(states[1].arrays()[name][others], value[others], err_msg=name)
    np.testing.assert_array_equal(rings[1].position[:, others], rings[0].position[:, others])
    assert np.isnan(rings[1].position[:, 2]).all()


# -- two processes --------


def test_two_processes_on_one_store(tmp_path: Path) -> None:
    """While one samples, resuming and overwriting are refused with exit code 2, and the first goes on to the end."""
    spec, path = (
        write_spec(tmp_path / "run.toml", steps=4_000_000_100, thin=1_000_000_000, trace=1_000_000_000),
        tmp_path / "run.zarr",
    )
    first = subprocess.Popen(
        [*COMMAND, "sample", spec, "--out", path, "--quiet", "--threads", "1"], stderr=subprocess.PIPE, text=True
    )
    try:
        while not path.exists() and first.poll() is None:
            time.sleep(0.01)
        for arguments in (("resume", path), ("sample", spec, "--out", path, "--overwrite")):
            done = command(*arguments)
            assert done.returncode == 2, done.stderr
            assert f"process {first.pid}" in done.stderr
        open_run(path).close()  # readers are welcome
    finally:
        first.terminate()
        try:
            _, errors = first.communicate(timeout=300)
        finally:
            first.kill()
    assert first.returncode in (0, 143), errors


# -- compilers and caches --------


def script(path: Path, text: str) -> str:
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return str(path)


def test_a_compiler_that_fails_is_a_clear_refusal(tmp_path: Path) -> None:
    compiler = script(
        tmp_path / "c++",
        'case "$1" in --version) echo "broken 1.0";; *) echo "internal compiler error" >&2; exit 4;; esac\n',
    )
    spec, path = write_spec(tmp_path / "run.toml"), tmp_path / "run.zarr"
    done = command("sample", spec, "--out", path, CXX=compiler, GPU_THERMO_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 2, done.stderr
    assert "internal compiler error" in done.stderr
    assert "Traceback" not in done.stderr
    assert not path.exists()


def test_a_compiler_that_cannot_be_run_is_named(tmp_path: Path) -> None:
    done = command("sample", write_spec(tmp_path / "run.toml"), "--out", tmp_path / "run.zarr", CXX="/no/such/compiler")
    assert done.returncode == 2
    assert "/no/such/compiler" in done.stderr
    assert not (tmp_path / "run.zarr").exists()


@pytest.mark.slow
@pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler")
@pytest.mark.parametrize("kind", ["below a file", "writable by others"])
def test_an_unusable_cache_costs_time_only(straight: Path, tmp_path: Path, kind: str) -> None:
    cache = tmp_path / "cache"
    if kind == "below a file":
        cache.write_text("in the way")
        folder = cache / "kernels"
    else:
        folder = cache
        folder.mkdir()
        folder.chmod(0o777)
    path = tmp_path / "run.zarr"
    done = command("sample", write_spec(tmp_path / "run.toml"), "--out", path, "--quiet", GPU_THERMO_CACHE=str(folder))
    assert (done.returncode, done.stderr) == (0, "")
    assert same(straight, path)
    if kind == "writable by others":
        assert list(folder.iterdir()) == []
        assert stat.S_IMODE(folder.stat().st_mode) == 0o777


# -- memory --------


def test_out_of_memory_on_the_way_keeps_what_was_committed(
    straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, left = BatchedEngine.advance, iter(range(3))

    def advance(self: Any, state: Any, segment: Any, *rest: Any) -> Any:
        if next(left, None) is None:
            raise MemoryError("no room")
        return real(self, state, segment, *rest)

    path = tmp_path / "run.zarr"
    monkeypatch.setattr(BatchedEngine, "advance", advance)
    with pytest.raises((MemoryError, RunError)):
        sample(SPEC, path, engine="batched", commit_seconds=0.0)
    monkeypatch.undo()
    reached = read_header(path).step
    assert 0 < reached < 400
    resume(path, engine="batched").close()
    whole = tmp_path / "whole.zarr"
    sample(SPEC, whole, engine="batched").close()
    assert same(whole, path)


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (2_500_000_000, 2_500_000_000))
from gpu_thermo_cli.main import main
sys.argv = ["gpu-thermo", *sys.argv[1:]]
main()
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="address-space limits")
@pytest.mark.parametrize("engine", ENGINES)
def test_an_address_space_that_is_too_small(tmp_path: Path, engine: str) -> None:
    """A refusal or one line and exit code 1, and no half-made store that cannot be read."""
    spec, path = write_spec(tmp_path / "run.toml", replicas=400_000), tmp_path / "run.zarr"
    arguments = [
        sys.executable,
        "-c",
        LIMITED,
        "sample",
        str(spec),
        "--out",
        str(path),
        "--engine",
        engine,
        "--set",
        "model.hidden=300",
    ]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in (1, 2), done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    assert "memory" in done.stderr.lower()


# -- folders --------


def test_a_folder_that_vanishes_ends_the_run_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "run.zarr"

    def vanish(progress: Any) -> None:
        shutil.rmtree(path, ignore_errors=True)

    with pytest.raises(GpuThermoError, match=r"run\.zarr") as caught:
        sample(
            {**SPEC, "run": {**SPEC["run"], "steps": 40_100, "thin": 50}}, path, on_progress=vanish, commit_seconds=0.0
        )
    assert caught.value.exit_code == 1


def test_a_read_only_current_folder_is_no_matter(straight: Path, tmp_path: Path) -> None:
    """Paths below a file stand in for a read-only folder, which would not stop root."""
    (tmp_path / "file").write_text("")
    done = command("sample", write_spec(tmp_path / "run.toml"), "--out", tmp_path / "file" / "run.zarr")
    assert done.returncode == 2
    assert "file" in done.stderr
    assert "Traceback" not in done.stderr
