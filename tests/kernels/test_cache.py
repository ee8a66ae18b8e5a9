"""The folder of compiled kernels, whatever is in its place: answers are right, or a sentence says why not."""

import os
import random
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gpu_thermo.errors import CompileError
from gpu_thermo.kernels import toolchain

pytestmark = pytest.mark.skipif(
    toolchain.find_compiler() is None or os.name != "posix", reason="no C++ compiler, or no POSIX permissions"
)
SOURCE = 'extern "C" int answer() { return %d; }\n'


def forget() -> None:
    """As a new process would."""
    toolchain.cache_folder.cache_clear()
    toolchain._load.cache_clear()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("GPU_THERMO_CACHE", str(tmp_path / "cache"))
    forget()
    yield tmp_path / "cache"
    forget()


def answer(number: int = 42) -> int:
    forget()
    return int(toolchain.host_library(SOURCE % number).answer())


def built(cache: Path) -> Path:
    (library,) = cache.glob("*.so")
    return library


def _file(cache: Path) -> None:
    cache.write_text("a file")


def _dangling(cache: Path) -> None:
    cache.symlink_to(cache.parent / "nowhere")


def _link_to_null(cache: Path) -> None:
    cache.symlink_to("/dev/null")


def _link_to_a_folder(cache: Path) -> None:
    (cache.parent / "elsewhere").mkdir(mode=0o700)
    cache.symlink_to(cache.parent / "elsewhere")


def _for_everyone(cache: Path) -> None:
    cache.mkdir()
    cache.chmod(0o777)


def _below_a_file(cache: Path) -> None:
    cache.parent.joinpath("file").write_text("")
    os.environ["GPU_THERMO_CACHE"] = str(cache.parent / "file" / "cache")


def _too_long(cache: Path) -> None:
    os.environ["GPU_THERMO_CACHE"] = str(cache.parent / ("n" * 300))


def _empty(cache: Path) -> None:
    os.environ["GPU_THERMO_CACHE"] = ""
    os.environ["XDG_CACHE_HOME"] = str(cache)


def _rubbish(cache: Path) -> None:
    cache.mkdir(mode=0o700)
    rng = random.Random(1)
    for i in range(50):
        (cache / f"{rng.randbytes(16).hex()}-{rng.randbytes(8).hex()}.so").write_bytes(rng.randbytes(i * 7))
    (cache / "folder.so").mkdir()
    (cache / ".build-left").mkdir()
    (cache / "pipe").touch()
    os.mkfifo(cache / "fifo.so")
    (cache / "loop").symlink_to(cache / "loop")


PLACES = (
    _file, _dangling, _link_to_null, _link_to_a_folder, _for_everyone, _below_a_file, _too_long, _empty, _rubbish,
)  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_any_place(cache: Path, monkeypatch: pytest.MonkeyPatch, place: Callable[[Path], None]) -> None:
    for name in ("GPU_THERMO_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, os.environ.get(name, ""))  # what a case sets is taken back
    place(cache)
    assert answer() == 42
    assert answer(7) == 7


@pytest.mark.parametrize("what", ["unwritable", "of another user", "no home"])
def test_places_that_are_not_ours(cache: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    cache.mkdir(mode=0o700)
    if what == "unwritable":
        access = os.access
        monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != cache and access(path, mode))
    elif what == "of another user":
        monkeypatch.setattr(os, "getuid", lambda: 12345)
    else:
        monkeypatch.delenv("GPU_THERMO_CACHE")
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

        def homeless() -> Path:
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.setattr(Path, "home", homeless)
    assert answer() == 42
    assert not list(cache.iterdir())


def test_a_relative_place(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GPU_THERMO_CACHE", "cache")
    assert answer() == 42
    assert built(cache)


def test_libraries_cut_short(cache: Path) -> None:
    """At any length: loading one would end the process with a signal, at the latest when it is called."""
    assert answer() == 42
    library, whole = built(cache), built(cache).read_bytes()
    lengths = sorted({0, 1, 63, 64, len(whole) // 2, len(whole) - 1, *random.Random(2).sample(range(len(whole)), 12)})
    for length in lengths:
        library.unlink()
        library.write_bytes(whole[:length])
        assert answer() == 42, length
        assert built(cache).read_bytes() == whole


def test_flipped_bits(cache: Path) -> None:
    assert answer() == 42
    library, whole = built(cache), built(cache).read_bytes()
    rng = random.Random(3)
    for _ in range(12):
        at = rng.randrange(len(whole))
        library.unlink()
        library.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << rng.randrange(8))]) + whole[at + 1 :])
        assert answer() == 42, at
        assert built(cache).read_bytes() == whole


def test_a_library_of_another_build_under_our_name(cache: Path) -> None:
    """Whole and sound, it would answer wrongly; under our very file name, and beside it."""
    assert answer(7) == 7
    other = built(cache)
    kept = other.read_bytes()
    other.unlink()
    assert answer() == 42
    ours = built(cache)
    ours.unlink()
    for name in (ours.name, f"{ours.name.partition('-')[0]}-{other.name.partition('-')[2]}"):
        (cache / name).write_bytes(kept)
    assert answer() == 42
    assert built(cache) == ours


@pytest.mark.parametrize("what", ["folder", "fifo", "link to itself", "link to another"])
def test_no_library_under_our_name(cache: Path, what: str) -> None:
    assert answer(7) == 7
    other = built(cache)
    assert answer() == 42
    (ours,) = {*cache.glob("*.so")} - {other}
    ours.unlink()
    if what == "folder":
        (ours / "within").mkdir(parents=True)
    elif what == "fifo":
        os.mkfifo(ours)
    else:
        ours.symlink_to(ours if what == "link to itself" else other)
    assert answer() == 42
    assert stat.S_ISREG(ours.lstat().st_mode)
    assert other.exists()


def test_a_full_disk(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(toolchain.tempfile, "TemporaryDirectory", full)
    with pytest.raises(
        CompileError, match=r"'.*cache', cannot be written \(No space left on device\).*GPU_THERMO_CACHE"
    ):
        answer()


def test_a_cache_that_vanishes(cache: Path) -> None:
    assert answer() == 42
    shutil.rmtree(cache)
    assert answer() == 42
    toolchain._load.cache_clear()
    shutil.rmtree(cache)  # and the process still believes in it
    with pytest.raises(CompileError, match="cannot be written"):
        toolchain.host_library(SOURCE % 43)


def test_what_a_compiler_makes_must_be_a_library(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "fake-c++"
    fake.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo "fake 1.0" && exit\n'
        'while [ $# -gt 0 ]; do [ "$1" = -o ] && echo nonsense > "$2"; shift; done\n'
    )
    fake.chmod(0o755)
    monkeypatch.setenv("CXX", str(fake))
    toolchain.find_compiler.cache_clear()
    try:
        with pytest.raises(CompileError, match=r"fake-c\+\+ \(fake 1\.0\) made cannot be loaded"):
            answer()
    finally:
        toolchain.find_compiler.cache_clear()
