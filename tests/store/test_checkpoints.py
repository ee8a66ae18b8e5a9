"""The commit protocol under kills, and one writer a store."""

import os
import random
import shutil
import signal
import time
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
from store_cases import (
    advance,
    check_checkpoint,
    check_derived,
    check_run,
    make_header,
    make_state,
    make_store,
    one_more_commit,
    open_plain,
    processes,
)
from store_children import sampler

from gpu_thermo.errors import RunError, StoreLockedError
from gpu_thermo.store import RunWriter, open_run, read_header, verify_store
from gpu_thermo.store import files as store_files


class SimulatedKill(BaseException):
    """Stands for a kill between two file operations."""


class Fuse:
    """Counts renames into place; after `limit` of them nothing is written any more. Odd limits leave the partial file,
    even ones do not.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, limit: int | None) -> None:
        self.count, self._replace = 0, os.replace
        self._limit = limit
        monkeypatch.setattr(store_files.os, "replace", self)

    def __call__(self, source: str, target: str) -> None:
        if self._limit is not None and self.count >= self._limit:
            if self._limit % 2 == 0:
                os.unlink(source)
            raise SimulatedKill
        self.count += 1
        self._replace(source, target)


def _interrupted(monkeypatch: pytest.MonkeyPatch, limit: int | None, work: Any) -> int:
    """Run `work` with a fuse; the number of renames it did."""
    with monkeypatch.context() as patch:
        fuse = Fuse(patch, limit)
        with nullcontext() if limit is None else suppress(RunError, SimulatedKill):
            work()
    return fuse.count


class TestKills:
    """A kill between any two file operations loses nothing that was committed."""

    @pytest.mark.parametrize("count", [2, 35])
    def test_between_writes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
        self._all_limits(tmp_path, monkeypatch, count, stride=29)

    @pytest.mark.slow
    @pytest.mark.parametrize("count", [2, 35])
    def test_between_all_writes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
        self._all_limits(tmp_path, monkeypatch, count, stride=1)

    def _all_limits(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, stride: int) -> None:
        """Kill a commit of `count` draws (35 fill whole rows of chunks before it) after every `stride` writes, and
        around its end.
        """
        base = make_store(tmp_path / "base.zarr", commits=(3, 6))
        total = _interrupted(
            monkeypatch, None, lambda: one_more_commit(Path(shutil.copytree(base, tmp_path / "try")), 9, count)
        )
        shutil.rmtree(tmp_path / "try")
        for limit in sorted({*range(0, total, stride), *range(total - 3, total + 1)}):
            path = Path(shutil.copytree(base, tmp_path / "try"))
            _interrupted(monkeypatch, limit, lambda path=path: one_more_commit(path, 9, count))
            done = 9 + count if limit == total else 9
            if limit % 4 == 0:
                check_run(path, done)  # readers need no recovery
            self._recover(path, done, monkeypatch, limit)
            shutil.rmtree(path)

    def _recover(self, path: Path, done: int, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
        """Recover, itself interrupted now and then, and go on."""
        for again in (limit % 7, limit % 23) if limit % 5 == 0 else ():
            _interrupted(monkeypatch, again, lambda: RunWriter.resume(path)[0].close())
        RunWriter.resume(path)[0].close()
        assert verify_store(path) == []
        assert not list(path.rglob("*.partial"))
        if limit % 3 == 0:
            check_run(path, done)
            check_derived(path, done)
        else:
            check_checkpoint(path, done, make_state(done))

    def test_birth(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "run.zarr"
        total = _interrupted(monkeypatch, None, lambda: RunWriter.create(path, make_header()).close())
        shutil.rmtree(path)
        for limit in (*range(0, total, 29), total - 1):
            _interrupted(monkeypatch, limit, lambda: RunWriter.create(path, make_header()))
            assert not path.exists()
        RunWriter.create(path, make_header()).close()
        check_run(path, 0)

    def test_overwriting_keeps_the_old_until_the_new_is_whole(
        self, copy: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for limit in (0, 1, 50, 100):
            _interrupted(monkeypatch, limit, lambda: RunWriter.create(copy, make_header(), overwrite=True))
            check_run(copy, 12)
            assert [entry.name for entry in copy.parent.iterdir()] == ["run.zarr"]

    def test_kill_9(self, tmp_path: Path) -> None:
        _torture(tmp_path / "run.zarr", kills=20, seed=0)

    @pytest.mark.slow
    @pytest.mark.parametrize("seed", range(1, 6))
    def test_kill_9_more(self, tmp_path: Path, seed: int) -> None:
        _torture(tmp_path / "run.zarr", kills=60, seed=seed)


def _torture(path: Path, kills: int, seed: int) -> None:
    context, rng = processes(), random.Random(seed)
    committed = context.RawValue("q", 0)
    progress = []
    for kill in range(kills):
        before = committed.value
        child = context.Process(target=sampler, args=(str(path), 1000 * seed + kill, committed))
        child.start()
        deadline = time.monotonic() + 30
        while committed.value == before and child.is_alive() and time.monotonic() < deadline and kill % 4:
            time.sleep(0.002)  # every fourth is killed wherever it is, perhaps in its recovery
        time.sleep(rng.uniform(0, 0.08))
        assert child.is_alive(), f"the child failed with {child.exitcode}"
        os.kill(child.pid or 0, signal.SIGKILL)
        child.join()
        child.close()
        if not path.exists():
            continue
        found = read_header(path).draws
        assert found >= committed.value
        check_run(path, found, opener=open_run if kill % 5 == 0 else open_plain)
        progress.append(found)
    writer, checkpoint = RunWriter.resume(path)
    with writer:
        advance(writer, checkpoint.draws, 3)
    check_run(path, checkpoint.draws + 3)
    check_derived(path, checkpoint.draws + 3)
    assert verify_store(path) == []
    assert not list(path.rglob("*.partial"))
    assert len(set(progress)) > kills // 2


class TestOneWriter:
    def test_same_process(self, copy: Path) -> None:
        with RunWriter.resume(copy)[0], pytest.raises(StoreLockedError, match=f"process {os.getpid()} on"):
            RunWriter.resume(copy)
        RunWriter.resume(copy)[0].close()

    def test_new_store_is_locked_too(self, tmp_path: Path) -> None:
        with RunWriter.create(tmp_path / "run.zarr", make_header()):
            with pytest.raises(StoreLockedError):
                RunWriter.resume(tmp_path / "run.zarr")
            with pytest.raises(StoreLockedError):
                RunWriter.create(tmp_path / "run.zarr", make_header(), overwrite=True)

    def test_other_process_and_its_death(self, tmp_path: Path) -> None:
        path, context = tmp_path / "run.zarr", processes()
        committed = context.RawValue("q", 0)
        child = context.Process(target=sampler, args=(str(path), 0, committed))
        child.start()
        while not committed.value and child.is_alive():
            time.sleep(0.005)
        try:
            with pytest.raises(StoreLockedError, match=f"process {child.pid} on"):
                RunWriter.resume(path)
        finally:
            os.kill(child.pid or 0, signal.SIGKILL)
            child.join()
            child.close()
        RunWriter.resume(path)[0].close()  # a kill frees the lock

    def test_a_replaced_store_is_not_written(self, copy: Path, tmp_path: Path) -> None:
        writer, _ = RunWriter.resume(copy)
        copy.rename(tmp_path / "aside.zarr")
        make_store(copy, commits=(2,))
        with pytest.raises(RunError, match="vanished"):
            advance(writer, 12, 1)
        writer.close()
        check_run(copy, 2)
