"""What decides the bits of compiled code: asked of the compiler itself, wherever it is and whatever it is called."""

import os

import pytest

from gpu_thermo.kernels import host, toolchain
from gpu_thermo.kernels.host import Compiler, host_build

pytestmark = pytest.mark.skipif(
    toolchain.find_compiler() is None or os.name != "posix", reason="no C++ compiler, or no shell scripts"
)


@pytest.fixture
def made(tmp_path):
    """The build of a compiler that adds words to each call."""
    found = toolchain.find_compiler()

    def make(*more, flags=toolchain.FLAGS):
        script = tmp_path / f"cxx{len(list(tmp_path.iterdir()))}"
        script.write_text(f'#!/bin/sh\nexec {found.path} "$@" {" ".join(more)}\n')
        script.chmod(0o755)
        return host_build(Compiler(str(script), found.version), flags)

    return make


def test_the_place_of_a_compiler_decides_nothing(made):
    assert made() == made()
    compiler = toolchain.find_compiler()
    gcc = f"gcc {compiler.version.partition(' ')[2]}" if "(" in compiler.version.split(" ", 2)[1] else compiler.version
    assert made().compiler in (gcc, compiler.version)


@pytest.mark.parametrize("flag", ["-O3", "-ffast-math", "-fno-tree-vectorize", "-DX=1"])
def test_what_a_wrapper_adds_is_seen(made, flag):
    assert made(flag).target != made().target
    assert made(flag).flags == made().flags


def test_sizes_of_caches_and_terminals_are_not(made):
    if "clang" in made().compiler:
        pytest.skip("parameters of GCC")
    assert made("--param", "l2-cache-size=77") == made()
    assert made("-fmessage-length=33") == made()


def test_gcc_is_one_compiler_by_any_name():
    macros = {"__GNUC__"}
    assert host._named("c++ (Debian 12.2.0-14) 12.2.0", macros) == host._named(
        "g++-12 (Debian 12.2.0-14) 12.2.0", macros
    )
    clang = "Debian clang version 14.0.6"
    assert host._named(clang, {"__GNUC__", "__clang__"}) == clang


def test_a_compiler_that_says_nothing_is_told_by_its_processor(tmp_path, monkeypatch):
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\n")
    silent.chmod(0o755)
    one = host_build(Compiler(str(silent), "silent 1"), ())
    monkeypatch.setattr(host, "processor", lambda: "another")
    host_build.cache_clear()
    assert one.target != host_build(Compiler(str(silent), "silent 1"), ()).target
    host_build.cache_clear()
