"""The share of a GPU on paper: limits that are known by hand, and the table."""

import json
import sys

import pytest

pytest.importorskip("bench.cases", reason="the benchmarks are part of the sources, not of the package")
from bench import common, tables
from bench.device import paper

KERNEL = paper.Kernel(1500.0, 96)
ISSUES = paper.H100.multiprocessors * paper.H100.schedulers * paper.H100.clock
CHECKED = {
    "nvrtc": "13.5",
    "kernels": [
        {
            "promise": name,
            "arch": arch,
            "executed": {"instructions": 1500.0},
            "resources": {"registers": registers},
            "team": 32,
        }
        for name, registers in (("d20_B25", 96), ("d100_B20", 168), ("", 32))
        for arch in ("sm_75", "sm_90")
    ],
}


def test_many_replicas_are_bound_by_issue_and_few_by_latency():
    room = 4 * 5 * 132  # warps of 96 registers
    assert paper.rate(KERNEL, 10 * room) == pytest.approx(paper.H100.issue * ISSUES / 1500)
    assert paper.rate(KERNEL, 4 * 132) == pytest.approx(4 * 132 * paper.H100.clock / 1500 / paper.H100.cycles)
    assert paper.rate(KERNEL, 4) == pytest.approx(4 * paper.H100.clock / 1500 / paper.H100.cycles)
    alone = paper.rate(KERNEL, room)
    assert paper.rate(KERNEL, room + 4) < 0.9 * alone  # one block more is one more round of its multiprocessor


def test_replicas_that_share_a_warp_share_its_instructions():
    """Four of them a warp, and a quarter of the instructions each: as many warps take as long."""
    quarter = paper.Kernel(KERNEL.instructions / 4, KERNEL.registers, 8)
    for warps in (4, 4 * 132, 10_000):
        assert paper.rate(quarter, 4 * warps) == pytest.approx(4 * paper.rate(KERNEL, warps))


def test_what_is_added_to_steps():
    case = paper.CASES["d20_B25"]
    found = paper.share(case, KERNEL, 1000)
    assert found["draw_bytes"] == 1000 * (4 * 81 + 8 * (2 * 2 + 1))
    assert found["steps"] == pytest.approx(1000 * paper.THIN / found["rate"])
    forward = 80 * 1500 / 32  # 80 instructions a point, 500 and 1000 points
    assert found["looking"] / found["steps"] == pytest.approx(forward / (paper.THIN * 1500))
    passing = found["steps"] + found["looking"] + found["bus"] + found["host"]
    assert found["share"] == pytest.approx(found["steps"] / passing)
    slow = paper.Machine(disk=1e6)
    stuck = paper.share(case, KERNEL, 1000, slow)
    assert stuck["share"] == pytest.approx(stuck["steps"] / stuck["writing"])
    assert stuck["share"] < 0.01


def test_the_table_is_made_from_the_kernel_checks_file(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(paper, "save", lambda name, result: common.save(name, result, tmp_path))
    (tmp_path / "kernels.json").write_text(json.dumps(CHECKED))
    monkeypatch.setattr(sys, "argv", ["paper", str(tmp_path / "kernels.json"), "--save"])
    paper.main()
    assert "d100_B20  R  1000000" in capsys.readouterr().out
    result = json.loads((tmp_path / "paper.json").read_text())
    assert result["kernels"]["d100_B20"]["registers"] == 168
    page = tables.filled("<!-- table: paper -->\n<!-- end -->", tmp_path)
    assert "| d20_B25 | 1,000,000 |" in page
    with pytest.raises(SystemExit, match="d100_B20: not counted"):
        paper.table(CHECKED | {"kernels": CHECKED["kernels"][:2]})
