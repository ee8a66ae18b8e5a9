"""What sharing out costs: contenders by turns, and the table."""

import json
import sys

import pytest

pytest.importorskip("bench.cases", reason="the benchmarks are part of the sources, not of the package")
from bench import common, sharding, tables


def test_ways_are_measured_in_turns_and_cost_the_processor(tmp_path, monkeypatch):
    """Rates by the clock, what a replica-step costs of the processor, the start; the machine's load beside."""
    rates = {"one process": (100.0, 50.0, 1.0), "two workers": (80.0, 40.0, 5.0)}
    asked = []

    def timed(case, way, seconds):
        asked.append(way)
        return rates.get(way, (90.0, 50.0, 2.0))

    monkeypatch.setattr(sharding, "timed", timed)
    monkeypatch.setattr(sharding, "save", lambda name, result: common.save(name, result, tmp_path))
    monkeypatch.setattr(sys, "argv", ["sharding", "--case", "d 20", "--rounds", "2"])
    sharding.main()
    assert asked == [*sharding.WAYS, sharding.THREADS] * 3
    result = json.loads((tmp_path / "sharding.json").read_text())
    assert result["cases"]["d 20"]["two workers"]["processor_cost"]["median"] == 50 / 40
    page = tables.sharding(result)
    assert "| two workers | 80 (80 to 80) | 40 (40 to 40) | +25 % (+25 % to +25 %) | 5.0 |" in page
    assert f"Load {result['load']['before']:.1f} before" in page
