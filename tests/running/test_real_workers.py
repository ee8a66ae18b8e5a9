"""Runs on Dask workers: stores equal to one process's, workers and coordinators killed, signals, schedulers."""

import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from move_runs import MOVES, spec
from processes import NEEDS_PROC, all_gone, descendants, workers_of
from runs import SMALL, committed, differences, wait_for_progress, wait_for_start
from tuned_cases import well

from gpu_thermo.errors import DeviceError, OtherBitsError
from gpu_thermo.run import resume, sample
from gpu_thermo.store import read_header
from gpu_thermo_cli.info import shared_among

distributed = pytest.importorskip("distributed")
SCRIPT = """
import json, sys
from pathlib import Path
from gpu_thermo.errors import GpuThermoError
from gpu_thermo.run import resume, sample
if __name__ == "__main__":
    path, given = Path(sys.argv[1]), json.loads(sys.argv[2])
    options = {"workers": int(sys.argv[3]), "device": "cpu", "commit_seconds": 0.05}
    try:
        resume(path, **options) if path.exists() else sample(given, path, **options)
    except GpuThermoError as error:
        print(error, file=sys.stderr, flush=True)
        sys.exit(error.exit_code)
"""
LONG = SMALL | {"run": SMALL["run"] | {"steps": 400_120, "thin": 4000, "trace": 20_000, "replicas": 24}}
LOCAL = {"threads_per_worker": 1, "processes": True, "dashboard_address": "localhost:0", "silence_logs": 50}


def start(folder: Path, workers: int = 2) -> subprocess.Popen:
    """LONG in a process of its own, at the head of a group of processes."""
    script = folder / "go.py"
    script.write_text(SCRIPT)
    line = [sys.executable, script, folder / "run.zarr", json.dumps(LONG), str(workers)]
    return subprocess.Popen(line, stderr=subprocess.PIPE, text=True, start_new_session=True)


def test_two_workers_are_one_process(straight: Path, tmp_path: Path):
    sample(SMALL, tmp_path / "run.zarr", workers=2).close()
    assert not differences(straight, tmp_path / "run.zarr")
    shares = read_header(tmp_path / "run.zarr").attributes["shares"]
    assert [count for _, count in shares] == [5, 5]
    assert shared_among(shares) == ", shared out among 2 workers"


@pytest.mark.slow
def test_stopped_and_resumed_by_others(straight: Path, tmp_path: Path):
    """Begun by four workers, continued by those of a scheduler, then by this process."""
    path, given = tmp_path / "run.zarr", SMALL | {"run": SMALL["run"] | {"steps": 300}}
    sample(given, path, workers=4).close()
    with distributed.LocalCluster(n_workers=3, **LOCAL) as cluster, distributed.Client(cluster) as client:
        resume(path, given | {"run": given["run"] | {"steps": 500}}, scheduler=cluster.scheduler_address).close()
        assert len(read_header(path).attributes["shares"]) == 3
        assert len(client.scheduler_info(n_workers=-1)["workers"]) == 3  # the cluster outlives us
        held = client.run(lambda: len(sys.modules["gpu_thermo.running.hosting"]._RUNNERS))
        assert set(held.values()) == {0}  # and keeps nothing of ours
    resume(path, given | {"run": given["run"] | {"steps": 600}}).close()
    assert not differences(straight, path)


@pytest.mark.slow
@NEEDS_PROC
@pytest.mark.parametrize(
    "given",
    [
        LONG,
        spec(MOVES["exchange"] | {"interval": 100}, steps=6_080, thin=400, replicas=12),
        well(replicas=48, max_steps=20_000),
    ],
    ids=["plain", "exchange", "tolerance"],
)
def test_killed_workers_change_nothing(given: dict, tmp_path: Path):
    """Of three, one is killed after a few segments, then another: Dask starts them again, and their shares are
    somewhere else by then.
    """
    killed: list[int] = []
    segments = itertools.count(1)

    def on_progress(progress: object) -> None:
        if next(segments) in (3, 8):
            killed.append(next(pid for pid in workers_of(os.getpid()) if pid not in killed))
            os.kill(killed[-1], signal.SIGKILL)

    sample(given, tmp_path / "one.zarr", device="cpu").close()
    path = tmp_path / "run.zarr"
    sample(given, path, device="cpu", workers=3, on_progress=on_progress, commit_seconds=0.5).close()
    assert len(killed) == 2, "the run was over before two workers were killed"
    assert not differences(tmp_path / "one.zarr", path)


@pytest.mark.slow
@NEEDS_PROC
@pytest.mark.parametrize(
    ("signum", "to_all"),
    [(signal.SIGTERM, False), (signal.SIGINT, True), (signal.SIGHUP, True)],
)
def test_signals_end_a_run_in_good_order(signum: int, to_all: bool, tmp_path: Path):
    """Committed, with the exit code of the signal and no process left, whether the coordinator alone hears of it or, as
    from a terminal, all processes; and it goes on from there.
    """
    process, path = start(tmp_path), tmp_path / "run.zarr"
    wait_for_start(path, process)
    wait_for_progress(path, process)
    workers = descendants(process.pid)
    (os.killpg if to_all else os.kill)(process.pid, signum)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signum, said
    assert f"Stopped by {signal.Signals(signum).name} at step {committed(path)}" in said
    assert "Traceback" not in said
    assert len(workers) >= 2
    assert all_gone(workers)
    assert 0 < committed(path) < LONG["run"]["steps"]
    resume(path).close()
    sample(LONG, tmp_path / "one.zarr", device="cpu").close()
    assert not differences(tmp_path / "one.zarr", path)


@pytest.mark.slow
@NEEDS_PROC
def test_a_killed_coordinator_leaves_no_process_and_a_run_that_goes_on(tmp_path: Path):
    process, path = start(tmp_path), tmp_path / "run.zarr"
    wait_for_start(path, process)
    wait_for_progress(path, process)
    workers = descendants(process.pid)
    process.kill()
    process.communicate(timeout=60)
    assert all_gone(workers, 30)
    resume(path, workers=2).close()
    sample(LONG, tmp_path / "one.zarr", device="cpu").close()
    assert not differences(tmp_path / "one.zarr", path)


@pytest.mark.slow
def test_workers_of_another_build_and_schedulers_without_are_refused(tmp_path: Path):
    path = tmp_path / "run.zarr"
    with distributed.LocalCluster(n_workers=0, **LOCAL) as cluster:
        with pytest.raises(DeviceError, match="has no workers: start some with dask worker"):
            sample(SMALL, path, scheduler=cluster.scheduler_address)
        line = [
            sys.executable,
            "-m",
            "distributed.cli.dask_worker",
            "--no-dashboard",
            "--dashboard-address",
            ":0",
            cluster.scheduler_address,
        ]
        narrow = subprocess.Popen(
            line, env=os.environ | {"GPU_THERMO_VECTOR_BITS": "128"}, stderr=subprocess.DEVNULL, cwd=tmp_path
        )
        try:
            with distributed.Client(cluster) as client:
                client.wait_for_workers(1, timeout=60)
            with pytest.raises(OtherBitsError, match=r"vector_bits: \d+ here, 128 there"):
                sample(SMALL, path, scheduler=cluster.scheduler_address, device="cpu", engine="fused")
        finally:
            narrow.terminate()
            narrow.wait(30)
    assert not path.exists()


@pytest.mark.slow
def test_each_worker_has_a_gpu(tmp_path: Path):
    """Through the stand-in for CuPy: two workers with a GPU each, and the store of one GPU."""
    here = str(Path(__file__).parents[1] / "standin")
    env = os.environ | {"STANDIN_GPUS": "2", "PYTHONPATH": os.pathsep.join((here, os.environ.get("PYTHONPATH", "")))}
    text = tmp_path / "s.toml"
    from gpu_thermo.spec.run import RunSpec

    text.write_text(RunSpec.from_dict(spec(steps=24, burn_in=8, thin=8, trace=8)).to_toml())
    for name, more in (("one", ["--device", "cuda:1"]), ("two", ["--workers", "2", "--device", "cuda"])):
        line = [sys.executable, "-m", "gpu_thermo_cli.main", "sample", text, "--out", tmp_path / f"{name}.zarr"]
        done = subprocess.run([*line, *more], env=env, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert not differences(tmp_path / "one.zarr", tmp_path / "two.zarr")
