"""Faults while a store is written."""

import errno
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from store_cases import (
    advance,
    check_run,
    make_draws,
    make_header,
    make_store,
    one_more_commit,
    processes,
)
from store_children import limited

from gpu_thermo.errors import RunError, StoreError
from gpu_thermo.store import RunWriter
from gpu_thermo.store import files as store_files


class TestTrouble:
    """Faults while writing: a RunError in the main thread, and everything committed stays."""

    def _fails(self, writer: RunWriter, start: int) -> str:
        """The message of the first error, within a few calls, or as soon as the writing thread has had its turn."""

        def go_on() -> None:
            for i in range(2000):
                advance(writer, start + i, 1, wait=False)
                time.sleep(0.001 if i < 200 else 0.01)

        with pytest.raises(RunError) as caught:
            go_on()
        writer.close()  # told already
        return str(caught.value)

    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
    def test_disk_full(self, copy: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
        writer, _ = RunWriter.resume(copy)
        with monkeypatch.context() as patch:
            written = [0]
            real = os.write

            def write(descriptor: int, data: Any) -> int:
                written[0] += len(data)
                if written[0] > 20_000:
                    raise OSError(number, os.strerror(number))
                return real(descriptor, data)

            patch.setattr(store_files.os, "write", write)
            message = self._fails(writer, 12)
        assert ("disk is full" in message) == (number != errno.EIO)
        assert "draws is committed" in message
        done = writer.committed[1]
        check_run(copy, done)
        one_more_commit(copy, done, 4)
        check_run(copy, done + 4)

    def test_error_is_raised_by_close(self, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        writer, _ = RunWriter.resume(copy)
        monkeypatch.setattr("gpu_thermo.store.arrays.put", _no_space)
        writer.append(make_draws(12, 40))
        with pytest.raises(RunError, match="disk is full"):
            writer.close()
        writer.close()

    def test_first_error_is_shown(self, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail_twice() -> None:
            with RunWriter.resume(copy)[0] as writer:
                monkeypatch.setattr("gpu_thermo.store.arrays.put", _no_space)
                writer.append(make_draws(12, 40))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail_twice()

    def test_waiting_commit_tells(self, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        writer, _ = RunWriter.resume(copy)
        monkeypatch.setattr("gpu_thermo.store.checkpoints.put_values", _no_space)
        with pytest.raises(RunError, match="Step 120 with 12 draws is committed"):
            advance(writer, 12, 1)
        writer.close()

    def test_vanished_folder(self, copy: Path) -> None:
        writer, _ = RunWriter.resume(copy)
        shutil.rmtree(copy)
        assert "vanished" in self._fails(writer, 12)
        assert not copy.exists()

    def test_vanished_part(self, copy: Path) -> None:
        writer, _ = RunWriter.resume(copy)
        shutil.rmtree(copy / "posterior")
        assert "vanished" in self._fails(writer, 12)

    def test_file_size_limit(self, copy: Path) -> None:
        context = processes()
        child = context.Process(target=limited, args=(str(copy),))
        child.start()
        child.join()
        assert child.exitcode == 0
        child.close()
        check_run(copy, 12)
        one_more_commit(copy, 12, 3)

    @pytest.mark.slow
    @pytest.mark.skipif(os.geteuid() != 0, reason="needs to mount a small file system")
    def test_small_disk(self, tmp_path: Path) -> None:
        disk = tmp_path / "disk"
        disk.mkdir()
        if subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True, check=False
        ).returncode:
            pytest.skip("mounting is not allowed here")
        try:
            path = make_store(disk / "run.zarr")
            writer, _ = RunWriter.resume(path)
            (disk / "ballast").write_bytes(b"\0" * (shutil.disk_usage(disk).free - 50_000))
            assert "disk is full" in self._fails(writer, 12)
            done = writer.committed[1]
            check_run(path, done)
            with pytest.raises(StoreError, match="is full"):
                RunWriter.create(disk / "second.zarr", make_header())
            assert {entry.name for entry in disk.iterdir()} == {"run.zarr", "ballast"}
            (disk / "ballast").unlink()
            one_more_commit(path, done, 5)
            check_run(path, done + 5)
        finally:
            subprocess.run(["umount", str(disk)], check=True)


def _no_space(*args: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
