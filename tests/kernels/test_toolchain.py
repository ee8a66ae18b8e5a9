"""The toolchain: cache, concurrent first use, errors that show the source, compilers that hang or are missing."""

import ctypes
import os
import platform
import stat
import subprocess
import threading
import time

import pytest
from fused_cases import make_job

from gpu_thermo.engines.fused import make_emitter
from gpu_thermo.errors import CompileError, DeviceError
from gpu_thermo.kernels import host, toolchain
from gpu_thermo.running.setup import prepare
from gpu_thermo.spec.run import RunSpec

needs_compiler = pytest.mark.skipif(toolchain.find_compiler() is None, reason="no C++ compiler")
ANSWER = 'extern "C" int answer() { return %d; }\n'


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and no memory of compilers and libraries before or after."""
    monkeypatch.setenv("GPU_THERMO_CACHE", str(tmp_path / "cache"))
    memories = (toolchain.cache_folder, toolchain._load, toolchain.find_compiler)
    for memory in memories:
        memory.cache_clear()
    yield tmp_path / "cache"
    for memory in memories:
        memory.cache_clear()


@needs_compiler
def test_a_library_is_compiled_once_into_a_private_folder(cache):
    assert toolchain.host_library(ANSWER % 42).answer() == 42
    (built,) = cache.glob("*.so")
    before = built.stat().st_mtime_ns
    toolchain._load.cache_clear()
    assert toolchain.host_library(ANSWER % 42).answer() == 42
    assert built.stat().st_mtime_ns == before
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert toolchain.host_library(ANSWER % 43).answer() == 43
    assert len(list(cache.glob("*.so"))) == 2


@needs_compiler
def test_flags_and_processor_are_part_of_the_name(cache, monkeypatch):
    toolchain.host_library(ANSWER % 1)
    toolchain.host_library(ANSWER % 1, ("-DX",))
    monkeypatch.setattr(toolchain, "processor", lambda: "another")
    toolchain._load.cache_clear()
    toolchain.host_library(ANSWER % 1)
    assert len(list(cache.glob("*.so"))) == 3


@needs_compiler
def test_a_damaged_library_is_made_again(cache):
    toolchain.host_library(ANSWER % 7)
    (built,) = cache.glob("*.so")
    built.unlink()
    built.write_bytes(b"not a library")
    toolchain._load.cache_clear()
    assert toolchain.host_library(ANSWER % 7).answer() == 7


@needs_compiler
def test_many_may_compile_the_same_at_once(cache):
    compiler, answers = toolchain.find_compiler(), []

    def build():
        answers.append(toolchain._load.__wrapped__(compiler, ANSWER % 5, toolchain.FLAGS).answer())

    threads = [threading.Thread(target=build) for _ in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert answers == [5] * 6
    assert sorted(p.suffix for p in cache.iterdir()) == [".so", ".works"]


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_a_cache_that_others_can_write_to_is_not_used(cache):
    cache.mkdir()
    cache.chmod(0o777)
    folder = toolchain.cache_folder()
    assert folder != cache
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@needs_compiler
def test_an_error_shows_the_numbered_source_and_keeps_it(cache):
    source = "int a;\nint b = nonsense;\nint c;\n"
    with pytest.raises(CompileError, match=r">     2 \| int b = nonsense;") as caught:
        toolchain.host_library(source)
    (saved,) = cache.glob("*.failed.cpp")
    assert saved.read_text() == source
    assert str(saved) in str(caught.value)
    assert "'nonsense'" in str(caught.value) or "‘nonsense’" in str(caught.value)


@pytest.mark.skipif(os.name != "posix", reason="a shell script as compiler")
def test_a_compiler_that_hangs_is_stopped(cache, monkeypatch, tmp_path):
    fake = tmp_path / "slow-c++"
    fake.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "slow 1.0" && exit\nexec sleep 60\n')
    fake.chmod(0o755)
    monkeypatch.setenv("CXX", str(fake))
    monkeypatch.setattr(toolchain, "TIMEOUT", 0.5)
    monkeypatch.setattr(host, "ANSWER_SECONDS", 0.5)
    with pytest.raises(CompileError, match=r"did not finish within 0\.5 s"):
        toolchain.host_library(ANSWER % 1)


@pytest.mark.skipif(os.name != "posix", reason="a shell script as compiler")
def test_a_compiler_that_is_killed_refused_nothing(cache, monkeypatch, tmp_path):
    """No source is kept of it."""
    fake = tmp_path / "killed-c++"
    fake.write_text("#!/bin/sh\n[ \"$1\" = --version ] && echo 'killed 1.0' && exit\nkill -9 $$\n")
    fake.chmod(0o755)
    compiler = host.Compiler(str(fake), "killed 1.0")
    with pytest.raises(CompileError, match="stopped by signal 9"):
        toolchain._compile_host(compiler, ANSWER % 1, (), toolchain.cache_folder() / "x")
    assert not list(cache.iterdir())


@needs_compiler
def test_what_killed_processes_left_behind_is_removed(cache):
    """An hour later; what others make now stays."""
    for name, age in (("old", 4000), ("new", 10)):
        place = toolchain.cache_folder() / f".build-{name}"
        place.mkdir()
        (place / "kernel.cpp").write_text("")
        os.utime(place, (time.time() - age,) * 2)
    toolchain.host_library(ANSWER % 1)
    assert [path.name for path in cache.glob(".build-*")] == [".build-new"]


def test_no_compiler_is_no_error_but_a_wrong_cxx_is(cache, monkeypatch, tmp_path):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert toolchain.find_compiler() is None
    with pytest.raises(DeviceError, match="Install one, set CXX, or use the batched engine"):
        toolchain.host_library(ANSWER % 1)
    toolchain.find_compiler.cache_clear()
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(CompileError, match="no-such-compiler"):
        toolchain.find_compiler()


BROKEN = {
    "exits": ("exit 1", "exit status 1, it says nothing"),
    "crashes": ('[ "$1" = --version ] && echo "broken 1.0" && exit\nkill -SEGV $$', "exit status -11"),
    "no headers": (
        '[ "$1" = --version ] && echo "broken 1.0" && exit\necho "In file" >&2\n'
        'echo "probe.cpp:1: fatal error: stddef.h: No such file" >&2; exit 1',
        "exit status 1, probe.cpp:1: fatal error: stddef.h",
    ),
    "silent": ("exit 0", "it does not say its version"),
    "no program": ("\x00\x01", ""),
}  # fmt: skip


@pytest.mark.skipif(os.name != "posix", reason="shell scripts as compilers")
@pytest.mark.parametrize("kind", BROKEN)
def test_a_compiler_that_fails_is_named_with_its_first_error(cache, monkeypatch, tmp_path, kind):
    """Not "none found": by `missing_compiler`, by what needs one, and where CXX names it."""
    (tmp_path / "bin").mkdir()
    fake = tmp_path / "bin" / "g++"
    fake.write_text(f"#!/bin/sh\n{BROKEN[kind][0]}\n")
    fake.chmod(0o755)
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/nowhere")
    assert toolchain.find_compiler() is None
    assert f"works: {fake}: {BROKEN[kind][1]}" in toolchain.missing_compiler()
    with pytest.raises(DeviceError, match="No C\\+\\+ compiler works"):
        toolchain.host_library(ANSWER % 1)
    toolchain.find_compiler.cache_clear()
    monkeypatch.setenv("CXX", str(fake))
    with pytest.raises(CompileError) as caught:
        toolchain.find_compiler()
    assert BROKEN[kind][1] in str(caught.value)


@needs_compiler
def test_a_broken_compiler_is_passed_over(cache, monkeypatch, tmp_path):
    """The next one is used, doctor says so, and one that is mended is asked again."""
    good = toolchain.find_compiler()
    (tmp_path / "bin").mkdir()
    for name, text in (("c++", "exit 3"), ("g++", f'exec {good.path} "$@"')):
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    toolchain.find_compiler.cache_clear()
    assert toolchain.find_compiler().path == str(tmp_path / "bin" / "g++")
    assert [t.partition(":")[0] for t in toolchain.failing_compilers()] == [str(tmp_path / "bin" / "c++")]
    (tmp_path / "bin" / "c++").write_text(f'#!/bin/sh\nexec {good.path} "$@"\n')
    toolchain.find_compiler.cache_clear()
    assert toolchain.find_compiler().path == str(tmp_path / "bin" / "c++")


@needs_compiler
def test_a_width_that_is_none_is_refused(cache, monkeypatch):
    monkeypatch.setenv("GPU_THERMO_VECTOR_BITS", "100")
    with pytest.raises(CompileError, match=r"'100' is no width of vectors\. Unset it, .* 128, 256, 512"):
        toolchain.host_library(ANSWER % 1)


@needs_compiler
def test_quick_kernels_are_asked_for_by_0_or_1(cache, monkeypatch):
    monkeypatch.setenv("GPU_THERMO_QUICK_KERNELS", "yes")
    with pytest.raises(CompileError, match=r"'yes' is neither 0 nor 1\. Unset it, or set it to either"):
        toolchain.host_library(ANSWER % 1)


@pytest.mark.skipif(os.name != "posix", reason="a shell script as compiler")
@pytest.mark.parametrize("known", ["-march=native", "-mcpu=native", "nothing"])
def test_flag_for_this_processor_where_not_every_compiler_has_it(monkeypatch, tmp_path, known):
    """As Clang on ARM, GCC on Power and others."""
    fake = tmp_path / "c++"
    fake.write_text(f'#!/bin/sh\n[ "$1" = {known} ]\n')
    fake.chmod(0o755)
    monkeypatch.setattr(toolchain, "_X86", False)
    monkeypatch.delenv("GPU_THERMO_QUICK_KERNELS", raising=False)
    flags = toolchain.host_flags(toolchain.Compiler(str(fake), "1"))
    assert flags == toolchain.FLAGS + ((known,) if known != "nothing" else ())


def test_arguments_are_laid_out_as_the_compiler_does():
    from gpu_thermo.engines.fused import Arguments

    assert ctypes.sizeof(Arguments) == sum(
        ctypes.sizeof(kind) for _, kind in Arguments._fields_
    )  # no padding to differ in


@needs_compiler
def test_a_short_argument_struct_is_refused_by_the_host(monkeypatch):
    """The device's compiler is asked by an assertion (tests/device/test_standin.py); the host's kernel for its size."""
    from gpu_thermo.engines import fused

    short = type("Short", (ctypes.Structure,), {"_fields_": fused.Arguments._fields_[:-1]})
    fused.FusedEngine(make_job())
    monkeypatch.setattr(fused, "Arguments", short)
    with pytest.raises(CompileError, match="lays out the kernel's arguments unlike Python"):
        fused.FusedEngine(make_job())


@pytest.mark.skipif(platform.machine() != "x86_64", reason="flags of x86 processors")
@pytest.mark.parametrize("march", ["x86-64", "nehalem", "haswell", "skylake-avx512"])
@pytest.mark.parametrize("bits", ["float32", "float64"])
def test_every_vector_width_compiles(march, bits, tmp_path):
    """Branches of portable.h that this machine's own flags do not take: 2 to 16 lanes, with and without fused
    multiply-add.
    """
    compiler = toolchain.find_compiler()
    if compiler is None:
        pytest.skip("no C++ compiler")
    ready = prepare(
        RunSpec.from_dict(
            {"run": {"replicas": 2}, "model": {"hidden": 8, "dtype": bits}, "data": {"train": 40, "test": 10}}
        )
    )
    source = tmp_path / "kernel.cpp"
    source.write_text(make_emitter(ready.job).source("host"))
    done = subprocess.run(
        [compiler.path, *toolchain.FLAGS, f"-march={march}", "-fsyntax-only", str(source)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[:2000]
