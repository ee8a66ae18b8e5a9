"""Where a store may be made."""

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import zarr
from store_cases import (
    advance,
    check_run,
    make_header,
    make_store,
    one_more_commit,
)

from gpu_thermo.errors import StoreError, StoreExistsError
from gpu_thermo.store import RunWriter, open_run


class TestPlaces:
    def test_exists(self, copy: Path, tmp_path: Path) -> None:
        with pytest.raises(StoreExistsError, match="--overwrite"):
            RunWriter.create(copy, make_header())
        (tmp_path / "file").write_text("mine")
        (tmp_path / "empty").mkdir()
        for name in ("file", "empty"):
            with pytest.raises(StoreExistsError):
                RunWriter.create(tmp_path / name, make_header())
        assert (tmp_path / "file").read_text() == "mine"

    def test_overwrite(self, copy: Path) -> None:
        with RunWriter.create(copy, make_header(), overwrite=True) as writer:
            advance(writer, 0, 2)
        check_run(copy, 2)
        assert [entry.name for entry in copy.parent.iterdir()] == ["run.zarr"]

    def test_overwrite_without_exchange(self, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gpu_thermo.store.birth._exchange", lambda one, other: False)
        self.test_overwrite(copy)

    def test_overwrite_follows_links(self, copy: Path, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(copy)
        make = RunWriter.create(tmp_path / "link", make_header(), overwrite=True)
        make.close()
        assert (tmp_path / "link").is_symlink()
        check_run(copy, 0)

    def test_overwrite_spares_what_is_not_ours(self, tmp_path: Path) -> None:
        zarr.create_group(tmp_path / "other.zarr", attributes={"format": 1})
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "thesis.tex").write_text("years of work")
        (tmp_path / "file").write_text("mine")
        for name in ("other.zarr", "folder", "file"):
            with pytest.raises(StoreError, match="not replaced"):
                RunWriter.create(tmp_path / name, make_header(), overwrite=True)
        assert (tmp_path / "folder" / "thesis.tex").exists()

    def test_parents(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(StoreError, match="does not exist"):
            RunWriter.create(tmp_path / "no" / "run.zarr", make_header())
        with pytest.raises(StoreError, match="below a file"):
            RunWriter.create(tmp_path / "file" / "run.zarr", make_header())

    @pytest.mark.parametrize(
        ("number", "said", "code"),
        [
            (errno.EACCES, "Check the folder's permissions", 2), (errno.EROFS, "Check the folder's permissions", 2),
            (errno.ENOSPC, "disk of '.*' is full .* are free", 1), (errno.EDQUOT, "disk of '.*' is full", 1),
            (errno.EFBIG, "a limit on files is reached", 1), (errno.EIO, "Check its disk", 1),
        ],
    )  # fmt: skip
    def test_unwritable_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, said: str, code: int
    ) -> None:
        def refuse(self: Path, *args: Any, **kw: Any) -> None:
            raise OSError(number, os.strerror(number), str(self))

        monkeypatch.setattr(Path, "mkdir", refuse)
        with pytest.raises(StoreError, match=said) as caught:
            RunWriter.create(tmp_path / "run.zarr", make_header())
        assert caught.value.exit_code == code
        assert not list(tmp_path.iterdir())

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
    def test_read_only_folder(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o500)
        with pytest.raises(StoreError, match="permissions"):
            RunWriter.create(tmp_path / "run.zarr", make_header())

    @pytest.mark.parametrize(
        "name", ["Läufe ξ прогон 1.zarr", "~run", "a::b:c.zarr", "n" * 250, "-", "50%20.zarr", "a\nb"]
    )
    def test_names(self, tmp_path: Path, name: str) -> None:
        path = make_store(tmp_path / name, commits=(2,))
        one_more_commit(path, 2, 1)
        check_run(path, 3, opener=open_run)

    def test_relative_path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        make_store(Path("run.zarr"))
        check_run(Path("run.zarr"), 12)

    def test_long_paths(self, tmp_path: Path) -> None:
        deep = tmp_path.joinpath(*["d" * 200] * 8)
        deep.mkdir(parents=True)
        check_run(make_store(deep / "run.zarr"), 12)
        with pytest.raises(StoreError, match="too long"):
            RunWriter.create(tmp_path / ("n" * 300), make_header())
        with pytest.raises(StoreError, match="null"):
            RunWriter.create(tmp_path / "a\0b", make_header())


def _program(code: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, **options)


SHORT = """\
import gpu_thermo as gt
run = {"replicas": 2, "steps": 4, "burn_in": 0, "thin": 2}
gt.sample({"data": {"train": 8, "test": 4}, "model": {"hidden": 2}, "run": run}, "x.zarr")
"""


@pytest.mark.parametrize("level", ["1", "2"])
def test_without_assertions_it_says_so(tmp_path: Path, level: str) -> None:
    """zarr cannot read a store under -O; the store is not called damaged for it."""
    done = _program(SHORT, cwd=tmp_path, env=os.environ | {"PYTHONOPTIMIZE": level})
    assert "unset PYTHONOPTIMIZE" in done.stderr
    assert "damaged" not in done.stderr
    assert not (tmp_path / "x.zarr").exists()


def test_a_deleted_current_folder(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    done = _program(f"import os\nos.rmdir('../gone')\n{SHORT}", cwd=tmp_path / "gone")
    assert "StoreError: The current folder was deleted" in done.stderr
