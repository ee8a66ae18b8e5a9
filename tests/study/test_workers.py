"""Studies in several processes: stops, lost workers, schedulers, and none."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from processes import NEEDS_PROC, all_gone, descendants
from study_cases import SMALL, changed, same

from gpu_thermo.errors import DeviceError, SpecError
from gpu_thermo.study import StudySpec, open_study, run_study, workers
from gpu_thermo.study.work import make_work

SCRIPT = """
import json, os, sys
from gpu_thermo.study import run_study
signals = [int(sys.argv[3])] * (sys.argv[3] != "0")
def stop(progress):
    if progress.shards >= 3 and signals:
        os.kill(os.getpid(), signals.pop())
if __name__ == "__main__":
    run_study(json.loads(sys.argv[1]), sys.argv[2], on_progress=stop)
"""
"""A study that sends itself a signal once three shards are done."""
LONG = changed(seeds={"count": 12}, study={"shard": 2}, run={"steps": 15_000, "batch": 10, "trace": 5_000})


def start(tmp_path: Path, study: dict, signum: int = 0) -> subprocess.Popen:
    """A study in a process of its own, which stops itself by a signal where one is given."""
    script = tmp_path / "go.py"
    script.write_text(SCRIPT)
    line = [sys.executable, script, json.dumps(study), tmp_path / "s.zarr", str(int(signum))]
    return subprocess.Popen(line, stderr=subprocess.PIPE, text=True)


ENDLESS = changed(seeds={"count": 24}, study={"shard": 2}, run={"steps": 40_000, "batch": 10, "trace": 10_000})


def command(tmp_path: Path) -> subprocess.Popen:
    """`gpu-thermo study` on two workers, at the head of a group of processes."""
    text = tmp_path / "s.toml"
    text.write_text(tomli_w.dumps(ENDLESS))
    line = [sys.executable, "-m", "gpu_thermo_cli.main", "study", text, "--out", tmp_path / "s.zarr", "--workers", "2"]
    return subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True)


def wait_for_parts(process: subprocess.Popen, store: Path, count: int, seconds: float = 300) -> None:
    """Until so many shards are done."""
    end = time.monotonic() + seconds
    while len(list(store.glob("status/parts/*.npz"))) < count and process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)


@pytest.mark.parametrize("signum", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)])
def test_stops_lose_one_shard_at_most(tmp_path: Path, signum: int):
    """What was done before the signal is kept and not run again, and the result is that of a straight run."""
    process = start(tmp_path, LONG, signum)
    _, said = process.communicate(timeout=600)
    assert process.returncode != 0
    if signum == signal.SIGINT:
        assert "Stopped by SIGINT" in said
        assert 6 <= int((open_study(tmp_path / "s.zarr")["status"] >= 0).sum()) < 36
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "s.zarr" / "status" / "parts").glob("*.npz")}
    found = run_study(LONG, tmp_path / "s.zarr")
    after = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "s.zarr" / "status" / "parts").glob("*")}
    assert len(before) >= 3
    assert {name: after[name] for name in before} == before
    assert len(after) == 18
    same(found, run_study({**LONG, "study": {}}, tmp_path / "straight.zarr"))


def test_workers_change_nothing(small: Path, tmp_path: Path):
    """Two local processes give the numbers of this one, bit for bit."""
    pytest.importorskip("distributed")
    same(open_study(small), run_study(changed(study={"shard": 2}), tmp_path / "s.zarr", workers=2))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 4])
def test_any_number_of_workers(small: Path, tmp_path: Path, workers: int):
    """One and four processes, too, whatever order shards end in."""
    pytest.importorskip("distributed")
    same(open_study(small), run_study(changed(study={"shard": 1}), tmp_path / "s.zarr", workers=workers))


@pytest.mark.slow
def test_a_scheduler_that_is_there(small: Path, tmp_path: Path):
    """A cluster started by others runs the study; one without workers is refused, and the cluster outlives us."""
    distributed = pytest.importorskip("distributed")
    options = {"threads_per_worker": 1, "processes": True, "dashboard_address": "localhost:0", "silence_logs": 50}
    with distributed.LocalCluster(n_workers=2, **options) as cluster:
        same(
            open_study(small),
            run_study(changed(study={"shard": 2}), tmp_path / "s.zarr", scheduler=cluster.scheduler_address),
        )
        with distributed.Client(cluster) as client:
            assert len(client.scheduler_info(n_workers=-1)["workers"]) == 2
    with (
        distributed.LocalCluster(n_workers=0, **options) as cluster,
        pytest.raises(DeviceError, match="has no workers"),
    ):
        run_study(SMALL, tmp_path / "t.zarr", scheduler=cluster.scheduler_address)
    assert not (tmp_path / "t.zarr").exists()


@pytest.mark.slow
@NEEDS_PROC
@pytest.mark.parametrize(
    ("signum", "to_all"),
    [(signal.SIGTERM, False), (signal.SIGINT, True), (signal.SIGHUP, True), (signal.SIGTERM, True)],
)
def test_signals_end_workers_in_good_order(tmp_path: Path, signum: int, to_all: bool):
    """As `sample` does: what was done is kept, the message says how to go on, the exit code is that of the signal, and
    no process is left; whether the coordinator alone hears of it or, as from a terminal, all processes.
    """
    pytest.importorskip("distributed")
    process = command(tmp_path)
    store = tmp_path / "s.zarr"
    wait_for_parts(process, store, 2)
    workers = descendants(process.pid)
    (os.killpg if to_all else os.kill)(process.pid, signum)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signum, said
    assert f"Stopped by {signal.Signals(signum).name}: " in said
    assert "Give the same command to continue." in said
    assert "Traceback" not in said
    assert len(workers) >= 2
    assert all_gone(workers)
    assert 4 <= int((open_study(store)["status"] >= 0).sum()) < 72
    again = command(tmp_path)
    again.communicate(timeout=120)
    assert again.returncode == 0
    same(open_study(store), run_study({**ENDLESS, "study": {}}, tmp_path / "straight.zarr"))


@pytest.mark.slow
@NEEDS_PROC
def test_a_second_signal_leaves_at_once(tmp_path: Path):
    """And takes the workers along."""
    pytest.importorskip("distributed")
    process = command(tmp_path)
    wait_for_parts(process, tmp_path / "s.zarr", 2)
    workers = descendants(process.pid)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 143
    assert time.monotonic() - began < 3
    assert all_gone(workers)


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["worker", "coordinator"])
def test_lost_processes(tmp_path: Path, victim: str):
    """A worker killed in the middle is replaced; a killed coordinator is started again; nothing is lost."""
    pytest.importorskip("distributed")
    process = start(tmp_path, LONG, workers=2)
    wait_for_parts(process, tmp_path / "s.zarr", 2)
    if victim == "worker":
        lists = [p.read_text().split() for p in Path(f"/proc/{process.pid}/task").glob("*/children")]
        children = [int(pid) for pids in lists for pid in pids]
        grown = [p for p in children if b"spawn_main" in Path(f"/proc/{p}/cmdline").read_bytes()]
        os.kill(grown[-1], signal.SIGKILL)
        process.communicate(timeout=120)
        assert process.returncode == 0
    else:
        workers = descendants(process.pid)
        process.kill()
        process.communicate(timeout=30)
        assert all_gone(workers)
    found = run_study(LONG, tmp_path / "s.zarr")
    same(found, run_study({**LONG, "study": {}}, tmp_path / "straight.zarr"))


@pytest.mark.parametrize("allow", [False, True])
def test_workers_go_on_with_another_build_where_that_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allow: bool
):
    """What is handed out says so, and whoever carries it out does."""
    asked, done = [], []

    class Client:
        def scatter(self, thing: bytes, broadcast: bool) -> bytes:
            return b""

        def submit(self, task: Any, *given: Any, key: str, pure: bool) -> str:
            asked.append((task, given))
            return key

    launch = make_work(StudySpec.from_dict(SMALL), None, "cpu", "auto").shards[:1]
    how: Any = ("cpu", "auto", 1)
    monkeypatch.setattr(workers, "make_parts", lambda *given, **more: done.append(more["allow_other_bits"]))
    workers._handed_out(Client(), [launch], tmp_path, how, allow)
    ((task, given),) = asked
    task(*given)
    assert done == [allow]


def test_schedulers_that_do_not_answer():
    """Refused within seconds, with the address."""
    pytest.importorskip("distributed")
    for address, error in (("tcp://127.0.0.1:9", DeviceError), ("nonsense", SpecError)):
        began = time.monotonic()
        with pytest.raises(error, match=address):
            run_study(SMALL, "never.zarr", scheduler=address)
        assert time.monotonic() - began < 60


def test_dask_is_not_needed(tmp_path: Path):
    """A study in one process never imports Dask."""
    code = f"""
import sys
sys.modules["dask"] = sys.modules["distributed"] = None
from gpu_thermo.study import run_study
from gpu_thermo.errors import DeviceError
study = {changed(seeds={"count": 1})!r}
run_study(study, {str(tmp_path / "s.zarr")!r})
try:
    run_study(study, {str(tmp_path / "t.zarr")!r}, workers=2)
except DeviceError as error:
    assert "gpu-thermo[cluster]" in str(error)
else:
    raise SystemExit("workers without Dask")
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
