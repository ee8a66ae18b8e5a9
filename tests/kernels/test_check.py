"""The check of GPU kernels without a GPU: the pairwise set, spills, the command."""

import dataclasses
import itertools
import json
import math

import pytest

from gpu_thermo.kernels import check as kernel_check
from gpu_thermo.kernels.executed import Executed
from gpu_thermo.kernels.nvrtc import Resources, has_nvrtc
from gpu_thermo.kernels.sass import find_nvdisasm

needs_nvrtc = pytest.mark.skipif(not has_nvrtc(), reason="nvidia-cuda-nvrtc is not installed")


# -- the pairwise set --------------------------------------------------------------------------------------------------


def test_every_two_choices_meet():
    rows = kernel_check.pairwise()
    pairs = [p for p in itertools.combinations(kernel_check.CHOICES, 2) if set(p) != kernel_check.APART]
    least = max(math.prod(len(kernel_check.CHOICES[name]) for name in pair) for pair in pairs)
    assert least <= len(rows) <= 1.25 * least
    for pair in pairs:
        met = {tuple(row[name] for name in pair) for row in rows}
        assert met == set(itertools.product(*(kernel_check.CHOICES[name] for name in pair)))
    sources = [v.source for v in kernel_check.variants(rows)]
    assert len(set(sources)) == len(sources)


def assert_none_wrong(results, count):
    assert len(results) >= count
    assert not [r for r in results if r.wrong]


@needs_nvrtc
def test_standard_kernels_compile_without_spills_for_every_architecture():
    """AdLaLa on m 2: d 20 on other architectures, and d 200 on sm_90, where none may spill: .ci/run compiles all for
    sm_90 by the command; slow: the whole set on all.
    """
    smallest, *_, largest = kernel_check.standard_variants()
    others = [arch for arch in kernel_check.ARCHITECTURES if arch != kernel_check.STRICT]
    jobs = [(largest, kernel_check.STRICT), *((smallest, arch) for arch in others)]
    assert_none_wrong([r for v, a in jobs for r in kernel_check.check(v, a)], 3)


@needs_nvrtc
def test_promised_kernels_execute_what_their_sources_ask_for():
    """None spills, none executes more than its record; and what can be counted by hand from the sources, is exact."""
    found = {v.promise: kernel_check.check(v, kernel_check.STRICT)[0] for v in kernel_check.promised_variants()}
    assert found.keys() == kernel_check.PROMISES.keys()
    assert_none_wrong(found.values(), 3)
    if find_nvdisasm() is None:
        return
    executed = {name: result.executed for name, result in found.items()}
    assert executed["d100_B20"].kinds["SHFL"] == 31 + 2 * 5 + 5  # outputs; p.p in double; freezing
    assert executed["d100_B20"].kinds["MUFU"] == 4 * 4 + 1 + 2  # roots of two D, 4 units; the output bias; a residual
    # Teams of 8 have a quarter of a warp each, 3 units, and 4 turns for 25 points.
    assert 3 * 7 + 2 * 3 + 3 < 4 * executed["d20_B25"].kinds["SHFL"] <= 4 * 7 + 2 * 3 + 3  # the last turn has one point
    assert executed["d20_B25"].kinds["MUFU"] == (3 * 4 + 1 + 4 * (1 + 1)) / 4
    blocks = 10  # pieces of a team's two warps
    quotients = 128 * 64 // 32 + 4 * (1 + 2)  # of silu; of minibatch positions and residuals, a tile each
    assert executed["4x16_B128"].kinds["MUFU"] == 2 * blocks + 2 + quotients
    assert executed["4x16_B128"].kinds["SHFL"] == 2 * 5  # freezing, by two warps
    assert executed["4x16_B128"].kinds["BAR"] == 2 * (4 * 12 + 2)  # a tile's, and those of freezing


@needs_nvrtc
def test_some_of_the_pairwise_set_compiles():
    """Every ninth variant, each for one architecture in turn but sm_90, for which .ci/run compiles all; `python -m
    gpu_thermo.kernels.check` compiles all for all.
    """
    chosen = kernel_check.variants(kernel_check.pairwise()[::9])
    architectures = itertools.cycle(a for a in kernel_check.ARCHITECTURES if a != kernel_check.STRICT)
    assert_none_wrong(
        [r for v, a in zip(chosen, architectures, strict=False) for r in kernel_check.check(v, a)], len(chosen)
    )


@needs_nvrtc
@pytest.mark.slow
def test_the_whole_pairwise_set_compiles():
    """Two processes need some minutes."""
    assert_none_wrong(
        list(kernel_check.check_all(kernel_check.variants(), kernel_check.ARCHITECTURES)),
        3 * len(kernel_check.pairwise()),
    )


@pytest.mark.parametrize(
    "spilling", [Resources(255, 20, 8, 0, 0), Resources(255, 0, 0, 128, 0)], ids=["spills", "stack"]
)
def test_the_check_fails_by_local_memory_only_where_it_says(spilling):
    results = {
        (strict, arch): kernel_check.Result("fused", "", arch, "advance", strict, 0.0, spilling).wrong
        for strict in (False, True)
        for arch in kernel_check.ARCHITECTURES
    }
    assert [key for key, wrong in results.items() if wrong] == [(True, "sm_90")]
    assert kernel_check.Result("fused", "", "sm_75", "", False, 0.0, None, "refused").wrong


@pytest.mark.parametrize(("most", "wrong"), [(1000.0, True), (1001.0, False), (None, False)])
def test_the_check_fails_by_more_instructions_than_were_promised(most, wrong):
    counted = Executed(1000.5, {"FFMA": 1000.5}, ())
    found = kernel_check.Result("fused", "x", "sm_90", "advance", True, 0.0, Resources(99, 0, 0, 0, 0),
                                promise="d20_B25", executed=counted, most=most)  # fmt: skip
    assert found.wrong == wrong
    assert "1,000 instructions a replica-step" in kernel_check._line(found)
    uncounted = dataclasses.replace(found, executed=None, error="A loop of 9 instructions ...")
    assert uncounted.wrong
    assert "WRONG" in kernel_check._line(uncounted)


@needs_nvrtc
def test_the_command_records_and_fails(monkeypatch, tmp_path, capsys):
    good = kernel_check.Variant("fused", "good", 'extern "C" __global__ void f(float* x) { x[0] *= 2; }', True)
    monkeypatch.setattr(kernel_check, "variants", lambda: [good])
    assert kernel_check.main(["--arch", "sm_90", "--processes", "1", "--json", str(tmp_path / "out.json")]) == 0
    (kernel,) = json.loads((tmp_path / "out.json").read_text())["kernels"]
    assert kernel["resources"]["registers"] > 0
    monkeypatch.setattr(
        kernel_check, "variants", lambda: [good, dataclasses.replace(good, name="bad", source="nonsense")]
    )
    assert kernel_check.main(["--arch", "sm_90", "--processes", "1"]) == 1
    assert "WRONG sm_90" in capsys.readouterr().out
    monkeypatch.setattr(kernel_check, "promised_variants", lambda: [good])
    assert kernel_check.main(["--promised", "--arch", "sm_90", "--processes", "1"]) == 0
