"""Kernels on a GPU against the CPU: words, normals, minibatches, promises, and pairs of choices of both engines."""

import pytest

from bench.device import addresses, jobs
from bench.device.kernels import TOLERANCE, _poisoned, compare, engines, promises
from gpu_thermo.engines import batched as batched_module
from gpu_thermo.engines import fused as fused_module

pytestmark = pytest.mark.gpu
CHOSEN = dict(jobs.chosen(True))
ALL = dict(jobs.chosen(False))
FEW = [pytest.param(CHOSEN[i], id=jobs.label(CHOSEN[i])) for i in list(CHOSEN)[:2]]
REST = [pytest.param(case, id=jobs.label(case), marks=pytest.mark.slow) for case in ALL.values()]


@pytest.mark.parametrize("case", [*FEW, *REST])
@pytest.mark.parametrize("engine", ["fused", "batched"])
def test_kernels_agree_with_the_cpu(case, engine, monkeypatch):
    """States and rings after 1, 2 and 10 steps, from poisoned gradients into poisoned rings."""
    for module in (fused_module, batched_module):
        monkeypatch.setattr(module, "empty_record", _poisoned)
    job = jobs.make_job(case, replicas=9)
    reference, there = engines(case, job, "cuda:0")[engine]
    assert compare(reference(), there(), job) <= TOLERANCE[case["bits"]]


def test_a_team_of_many_warps_that_freezes_leaves_the_others_alone():
    """Frozen replicas meet more barriers than others: teams of more than a warp have a block of their own."""
    case = {"word": "BAOAB", "task": "binary", "activation": "relu", "mode": "subset", "partition": "all", "bits": 32}
    job = jobs.make_job(case | {"team": 64}, replicas=5)
    healthy, ill = jobs.make_state(job), jobs.make_state(job)
    ill.momentum[2, 5] = float("inf")
    engine = fused_module.FusedEngine(job, "cuda:0", team=64)
    for state in (healthy, ill):
        engine.advance(state, fused_module.Segment(0, 3))
    assert ill.status[2]
    assert ill.frozen_step[2] == 1
    for name, value in healthy.arrays().items():
        for replica in (0, 1, 3, 4):
            assert (value[replica] == ill.arrays()[name][replica]).all(), name


def test_words_normals_and_minibatches_are_those_of_streams():
    report = addresses.check("cuda:0", quick=True)
    assert report["integers"] > 1e4
    assert report["ok"], report


@pytest.mark.parametrize("number", range(3))
def test_promises_of_a_device(number):
    report = list(promises("cuda:0"))[number]
    assert report["ok"], report
