"""Scale: powers of known costs, what follows by hand, one small point, its tables."""

import json

import pytest

from gpu_thermo.kernels.toolchain import find_compiler

pytest.importorskip("bench.scale", reason="the benchmarks are part of the sources, not of the package")
from bench import scale, tables


def rows(axis, cost, values, rounds=1):
    one = {"start": 0.5, "memory": 1e8}
    return [
        one | {"axis": axis, "value": v, "round": r, "rate": 1 / cost(v), "busy": 2 * cost(v)}
        for r in range(rounds) for v in values
    ]  # fmt: skip


@pytest.mark.parametrize("power", [0.0, 1.0, 1.5])
def test_powers(power):
    found = scale.medians(rows("points", lambda v: 3e-9 * v**power, [10, 100, 1000]), "points")
    assert scale.slope(found, lambda v, r: r["busy"]) == pytest.approx(power, abs=1e-9)
    assert scale.slope(found, lambda v, r: 1 / r["rate"]) == pytest.approx(power, abs=1e-9)


def test_medians_leave_failures_out():
    three = rows("workers", lambda v: 1e-6, [1], 3)
    three[0]["rate"], three[2]["rate"] = 1.0, 5.0
    three.append({"axis": "workers", "value": 1, "round": 3, "failed": "no"})
    assert scale.medians(three, "workers")[1]["rate"] == 5.0


def test_a_cluster_by_hand():
    """1e-6 s of a processor a replica-step; a thousand steps of 1e6 replicas are 1e9 of them."""
    one = rows("workers", lambda v: 0.5e-6, [1])
    found = scale.cluster(one, 8, 10**6)
    assert found["computing"] == pytest.approx(1000 / 16)
    assert found["writing"] == pytest.approx(1000 * 4 * 81 * 1e6 / 500 / 740e6)
    assert found["rate"] == pytest.approx(16e6)
    many = scale.cluster(one, 10**4, 10**6)
    assert many["rate"] == pytest.approx(1e9 / many["writing"])
    assert scale.cluster([], 8, 10**6) == {}


@pytest.mark.slow
@pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler")
@pytest.mark.parametrize("axis", ["replicas", "points", "minibatches"])
def test_one_point(axis):
    found = scale.apart({"axis": axis, "value": 1000}, 0.05)
    assert found["rate"] > 1e3
    assert 1e-9 < found["busy"] < 1e-2
    assert found["memory"] > 1e7


def test_the_tables():
    every = rows("replicas", lambda v: 1e-6, [1000, 10_000]) + rows("workers", lambda v: 1e-6, [0, 1])
    machine = {"processor": "x", "cores": 2, "vector": "y", "python": "3"}
    result = json.loads(json.dumps({"machine": machine, "date": "2026-01-01", "rows": every}))
    text = tables.scale(result)
    assert "| replicas | 1,000 | 1 M | 2,000 | 0.50 | 100 |" in text
    assert "| replicas | 0.00 | 0.00 | 0.00 |" in text.replace("-0.00", "0.00")
    beyond = tables.scale_beyond(result)
    assert "| 8 workers of 2 cores | 20 units | 1,000,000 | 8 M | computing |" in beyond
    assert "GPUs (H100, on paper)" in beyond
    assert "Not measured yet" in tables.filled("<!-- table: scale -->\n<!-- end -->", tables.RESULTS / "nowhere")
