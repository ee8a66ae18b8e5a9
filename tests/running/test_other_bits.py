"""A run is continued by the build that began it, or, where that is insisted on, with the change written down.

Each case is a process of its own, as users' are: compilers are found once a process.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs import NEEDS_COMPILER, differences

from gpu_thermo.kernels.toolchain import find_compiler
from gpu_thermo.store import open_run, read_header

pytestmark = [NEEDS_COMPILER, pytest.mark.skipif(os.name != "posix", reason="shell scripts as compilers")]
SPEC = """
[data]
name = "spirals"
turns = 1
train = 60
test = 30
[model]
hidden = 6
[method]
name = "adlala"
temperature = 1e-4
[run]
replicas = 10
steps = 400
burn_in = 100
thin = 20
trace = 50
batch = 10
"""
HALF = SPEC.replace("steps = 400", "steps = 200")


def gpu_thermo(folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """One command in `folder`, with changes to the environment."""
    command = [sys.executable, "-m", "gpu_thermo_cli.main", *arguments]
    return subprocess.run(command, cwd=folder, env=os.environ | env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with half a run and the whole of it, and compilers to choose from."""
    folder = tmp_path_factory.mktemp("begun")
    for name, spec in (("half", HALF), ("whole", SPEC)):
        (folder / f"{name}.toml").write_text(spec)
        done = gpu_thermo(folder, "sample", f"{name}.toml", "--quiet", "--engine", "fused", "--device", "cpu")
        assert done.returncode == 0, done.stderr
    _compiler(folder / "plain", "-march=x86-64")
    _compiler(folder / "hidden", "-fno-tree-vectorize")
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "my-c++").symlink_to(_path())
    (folder / "nothing").mkdir()
    return folder


def _path() -> str:
    compiler = find_compiler()
    assert compiler is not None
    return compiler.path


def _compiler(script: Path, *more: str) -> None:
    """A compiler that adds flags of its own."""
    script.write_text(f'#!/bin/sh\nexec {_path()} "$@" {" ".join(more)}\n')
    script.chmod(0o755)


@pytest.fixture
def half(begun: Path, tmp_path: Path) -> Path:
    """A copy of one's own, in the folder of compilers."""
    store = tmp_path / "half.zarr"
    shutil.copytree(begun / "half.zarr", store)
    return store


def resume(begun: Path, store: Path, *more: str, **env: str) -> subprocess.CompletedProcess[str]:
    return gpu_thermo(begun, "resume", str(store), "whole.toml", "--quiet", "--device", "cpu", *more, **env)


SAME: dict[str, dict[str, str]] = {
    "nothing changed": {},
    "compiler by another name elsewhere": {"CXX": "elsewhere/my-c++"},
    "terminal, language, threads": {"COLUMNS": "33", "LC_ALL": "C", "OMP_NUM_THREADS": "1"},
    "another cache": {"GPU_THERMO_CACHE": "cache"},
    "BLAS, of which nothing is asked": {"OPENBLAS_CORETYPE": "Haswell"},
}


def _quick(cases: Iterable[str], few: tuple[str, ...]) -> list[Any]:
    """All cases, those marked slow that are not among the few."""
    return [case if case in few else pytest.param(case, marks=pytest.mark.slow) for case in cases]


@pytest.mark.parametrize("case", _quick(SAME, ("compiler by another name elsewhere",)))
def test_the_same_build_goes_on_bit_for_bit(begun: Path, half: Path, case: str) -> None:
    env = {
        name: str(begun / value) if "/" in value or value == "cache" else value for name, value in SAME[case].items()
    }
    done = resume(begun, half, "--threads", "1", **env)
    assert done.returncode == 0, done.stderr
    assert not differences(half, begun / "whole.zarr")
    assert len(read_header(half).attributes["history"]) == 1


Case = tuple[Mapping[str, str], tuple[str, ...], tuple[str, ...]]
OTHER: dict[str, Case] = {  # environment, options, what the refusal names
    "processor type": ({"CXX": "plain"}, (), ("target", "vector_bits: 512 then, 128 now")),
    "a flag of a wrapper": ({"CXX": "hidden"}, (), ("target",)),
    "vectors of 256 bits": ({"GPU_THERMO_VECTOR_BITS": "256"}, (), ("vector_bits: 512 then, 256 now", "-mno-avx512f")),
    "vectors of 128 bits": ({"GPU_THERMO_VECTOR_BITS": "128"}, (), ("vector_bits: 512 then, 128 now", "-mno-avx now")),
    "engine": ({}, ("--engine", "batched"), ("engine: fused then, batched now", "blas: nothing then")),
    "no compiler": ({"CXX": "", "PATH": "nothing"}, ("--engine", "batched"), ("compiler: gcc", "then, none now")),
    "clang": ({"CXX": "clang++"}, (), ("compiler: gcc", "clang version")),
    "numpy's vectors": ({"NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR"}, (), ("functions",)),
}


def _environment(begun: Path, case: str) -> dict[str, str]:
    """The case's, or a skip where this machine cannot be made to differ so."""
    import platform

    from gpu_thermo.kernels.toolchain import host_build, host_flags

    compiler = find_compiler()
    assert compiler is not None
    here = host_build(compiler, host_flags(compiler))
    if platform.machine() != "x86_64" or here.vector_bits < 512 or not here.compiler.startswith("gcc"):
        pytest.skip("written for GCC on x86 with vectors of 512 bits")
    env = dict(OTHER[case][0])
    if case == "clang":
        found = os.environ.get("CLANGXX") or shutil.which("clang++")
        if not found:
            pytest.skip("no clang++ (set CLANGXX to one)")
        env["CXX"] = found
    if case == "numpy's vectors" and not _has_x86_v4():
        pytest.skip("this NumPy has no such vectors to switch off")
    return {
        name: str(begun / value) if value in ("plain", "hidden", "nothing") else value for name, value in env.items()
    }


def _has_x86_v4() -> bool:
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    return "X86_V4" in __cpu_dispatch__ and bool(__cpu_features__["X86_V4"])


@pytest.mark.parametrize("case", _quick(OTHER, ("processor type", "engine")))
def test_another_build_is_refused_and_insisted_on(begun: Path, half: Path, case: str) -> None:
    env, (_, options, words) = _environment(begun, case), OTHER[case]
    before = {path: path.stat().st_mtime_ns for path in half.rglob("*")}
    refused = resume(begun, half, *options, **env)
    assert refused.returncode == 2, refused.stderr
    for word in (*words, "--allow-other-bits", "another build"):
        assert word in refused.stderr
    assert {path: path.stat().st_mtime_ns for path in half.rglob("*")} == before
    insisted = resume(begun, half, *options, "--allow-other-bits", **env)
    assert insisted.returncode == 0, insisted.stderr
    assert [one["step"] for one in read_header(half).attributes["history"]] == [0, 200]
    _check_shown(begun, half)
    _check_same_law(half, begun / "whole.zarr")


def _check_shown(begun: Path, store: Path) -> None:
    import json

    text, tree = gpu_thermo(begun, "info", str(store)), gpu_thermo(begun, "info", str(store), "--json")
    assert "step 200 on" in text.stdout
    shown: dict[str, Any] = json.loads(tree.stdout)
    first, second = (one["build"] for one in shown["history"])
    assert first != second
    assert first["engine"] in shown["engine"]
    assert second["engine"] in shown["engine"]


def _check_same_law(store: Path, straight: Path) -> None:
    """Draws of before the change are those of a run that was not changed; later ones are all there."""
    ours, theirs = (open_run(path)["posterior"]["w1"].to_numpy() for path in (store, straight))
    np.testing.assert_array_equal(ours[:, :5], theirs[:, :5])
    assert ours.shape == theirs.shape
    assert np.isfinite(ours).all()


def test_a_missing_engine_is_said_with_the_remedy(begun: Path, half: Path) -> None:
    for engine in ((), ("--engine", "auto")):
        refused = resume(begun, half, *engine, CXX="", PATH=str(begun / "nothing"))
        assert refused.returncode == 2
        for word in ("engine fused", "no C++ compiler was found", "--engine batched", "--allow-other-bits"):
            assert word in refused.stderr


@pytest.mark.slow
def test_a_run_that_is_over_needs_no_build(begun: Path, half: Path) -> None:
    """Nothing is advanced, and the history stays."""
    done = gpu_thermo(begun, "resume", str(half), "--quiet", GPU_THERMO_VECTOR_BITS="128")
    assert done.returncode == 0, done.stderr
    assert len(read_header(half).attributes["history"]) == 1


@pytest.mark.slow
def test_back_and_forth(begun: Path, half: Path) -> None:
    """Each change is one more stretch; changes at one step are the last one."""
    for bits, more in (("256", "1"), ("512", "1"), ("128", "1")):
        done = gpu_thermo(
            begun, "resume", str(half), "--draws", more, "--quiet", "--allow-other-bits", GPU_THERMO_VECTOR_BITS=bits
        )
        assert done.returncode == 0, done.stderr
    history = read_header(half).attributes["history"]
    assert [one["step"] for one in history] == [0, 200, 220, 240]
    assert [one["build"]["vector_bits"] for one in history] == ["512", "256", "512", "128"]
