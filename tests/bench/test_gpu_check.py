"""The GPU check and what it is made of: its parts on the CPU and through the stand-in for CuPy, exit codes, wheels."""

import json
import math
import os
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from gpu_thermo.kernels.toolchain import find_compiler

gpu_check = pytest.importorskip("bench.gpu_check", reason="the benchmarks are part of the sources, not of the package")
needs_compiler = pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler")


def test_pairs_are_covered():
    from bench.device import jobs

    cases = jobs.pairwise()
    names = list(jobs.FACTORS)
    seen = {((a, c[a]), (b, c[b])) for c in cases for a in names for b in names if a < b}
    assert len(seen) == sum(len(jobs.FACTORS[a]) * len(jobs.FACTORS[b]) for a in names for b in names if a < b)
    assert len(cases) < 1.9 * math.prod(sorted(map(len, jobs.FACTORS.values()))[-2:])


@needs_compiler
def test_parts_of_the_gpu_check_on_the_cpu():
    from bench.device import addresses, kernels

    found = addresses.check("cpu", quick=True)
    assert found["ok"], found
    with closing(kernels.check("cpu", True, time.monotonic() + 3600)) as checked:
        reports = [*kernels.promises("cpu"), next(checked)]
    assert all(r["ok"] for r in reports), reports


def test_a_part_that_fails_hides_nothing(monkeypatch, tmp_path, capsys):
    def part(name):
        if name == "kernels":
            return {
                "reports": [{"case": "one", "ok": False, "why": "it differs"}],
                "finished": True,
                "seconds": 1.0,
                "error": "",
            }
        return {"reports": [], "finished": False, "seconds": 1.0, "error": "stopped after 1 s"}

    monkeypatch.setattr(gpu_check, "run_parts", lambda names, *_: {name: part(name) for name in names})
    common = ["--device", "cpu", "--out", str(tmp_path / "out.json"), "--parts"]
    assert gpu_check.main([*common, "rates", "kernels"]) == 1
    said = capsys.readouterr().out
    assert "stopped after 1 s" in said
    assert "it differs" in said
    assert set(json.loads((tmp_path / "out.json").read_text())["parts"]) == {"rates", "kernels"}


@pytest.mark.parametrize(
    ("reports", "error", "code"),
    [
        ([{"case": "a", "ok": True}, {"case": "b", "why": "not on the PATH"}], "", 0),
        ([{"case": "a", "ok": True}, {"case": "b", "ok": False}], "", 1),
        ([{"case": "a", "ok": True}], "stopped after 9 s", 1),
        ([], "Traceback: it broke", 1),
    ],
)
def test_the_gpu_checks_exit_code_says_whether_anything_failed(reports, error, code, monkeypatch):
    part = {"reports": reports, "finished": True, "seconds": 1.0, "error": error}
    with monkeypatch.context() as patched:
        patched.setattr(gpu_check, "run_parts", lambda *_: {"kernels": part})
        assert gpu_check.main(["--device", "cpu", "--parts", "kernels"]) == code
    assert gpu_check.main(["--device", "cpu", "--parts", "kernels", "--total", "0"]) == 0  # no time for it


def test_probes_compile_for_gpus_without_one():
    pytest.importorskip("nvidia.cu13", reason="NVRTC is not installed")
    from bench.device.addresses import source
    from gpu_thermo.kernels.nvrtc import nvrtc_compile

    assert len(nvrtc_compile(source("subset", 32, "cuda"), "sm_90")[0]) > 1000


def test_parts_that_time_run_alone_and_all_end_in_time():
    groups = gpu_check.together(list(gpu_check.PARTS))
    assert groups[-1] == ["kernels", "pytest", "verify", "sanitizer"]
    assert all(len(group) == 1 for group in groups[:-1])
    assert sum(max(gpu_check.PARTS[part].seconds for part in group) for group in groups) <= 330


RAW = """==PROF== Disconnected
"ID","Kernel Name","smsp__inst_executed.sum","sm__throughput.avg.pct_of_peak_sustained_elapsed","other"
"","","inst","%",""
"0","advance","1,234,000","56.5","7"
"""


def test_what_nsight_prints_is_read():
    from bench.device.profile import metrics

    assert metrics(RAW) == {
        "smsp__inst_executed.sum": 1_234_000.0,
        "sm__throughput.avg.pct_of_peak_sustained_elapsed": 56.5,
    }
    assert metrics("==ERROR== no kernels were profiled") == {}


def test_wheels_are_those_that_are_missing_or_older():
    from bench.device import wheels

    wanted = wheels.needed("zarr", "pytest-xdist")
    assert {"zarr", "numpy", "numcodecs", "pytest-xdist", "pytest", "execnet"} <= set(wanted)
    have = wheels.frozen("numpy==99.1\nzarr==2.1\nPytest_Xdist==99\n# no line of a package\n")
    lacking = wheels.lacking(have, wanted)
    assert "numpy" not in lacking
    assert "pytest-xdist" not in lacking
    assert lacking["zarr"] == wanted["zarr"]
    assert "numcodecs" in lacking


@pytest.mark.slow
def test_the_check_runs_through_the_stand_in(tmp_path):
    """All that needs no Nsight, sanitizer or JAX; the whole of `pytest -m gpu` is test_standin.py's."""
    folder = Path(__file__).parents[1] / "standin"
    paths = filter(None, (str(folder), os.environ.get("PYTHONPATH")))
    given = os.environ | {"STANDIN_POISON": "1", "PYTHONPATH": os.pathsep.join(paths)}
    parts = ("facts", "addresses", "promises", "rates", "profile", "end_to_end", "variants")
    command = [sys.executable, "-m", "bench.gpu_check", "--size", "tiny", "--total", "900", "--parts", *parts]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "out.json")], env=given, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["device"]["name"] == "stand-in"
    assert all(part["finished"] for part in found["parts"].values())
    assert {r["case"] for r in found["parts"]["facts"]["reports"]} >= {"machine", "device", "kernel d100_B20"}
    assert [r["contender"] for r in found["parts"]["end_to_end"]["reports"]][:2] == ["fused", "recorded"]
    assert found["parts"]["variants"]["reports"][0]["over_chosen"] == 1
