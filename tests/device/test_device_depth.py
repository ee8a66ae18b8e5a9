"""Several hidden layers on a GPU, shared by a team: every activation, likelihood and prior, masses, contour, against
the CPU; freezing, and bits that do not depend on the team.
"""

import numpy as np
import pytest
from cover import covering
from record_cases import SPREAD, make_job

from bench.device import jobs
from bench.device.kernels import TOLERANCE, _poisoned, compare, difference
from gpu_thermo.engines import batched as batched_module
from gpu_thermo.engines import fused as fused_module
from gpu_thermo.engines.base import initial_state
from gpu_thermo.engines.fused import FusedEngine
from gpu_thermo.state import Segment
from gpu_thermo.targets.activations import ACTIVATIONS
from gpu_thermo.targets.likelihoods import LIKELIHOODS
from gpu_thermo.targets.priors import PRIORS

pytestmark = pytest.mark.gpu
slow = pytest.mark.slow
FACTORS = {
    "likelihood": list(LIKELIHOODS), "activation": list(ACTIVATIONS), "prior": [None, *PRIORS],
    "scale": ["one", "by layer"], "weighted": [False, True], "masses": [False, True], "contour": [False, True],
    "mode": ["subset", "full", "epoch", "replacement"], "method": ["langevin", "sgld", "adlala", "adam"],
    "dtype": [np.float32, np.float64], "team": [32, 64],
}  # fmt: skip
COVER = [c for c in covering(FACTORS) if not (c["contour"] and c["method"] in ("adlala", "adam"))]
"""A contour is of words and updates with one temperature."""
FEW = 3


def name_of(case):
    return "-".join(getattr(v, "__name__", str(v)) for v in case.values())


def moments(job, case, **where):
    """States and rings after 1, 2 and 8 steps from random parameters."""
    spread = SPREAD.get(case["likelihood"], 0.5)
    position = spread * np.random.default_rng(3).normal(size=(job.replicas, job.target.layout.size))
    state, engine = initial_state(job, position), FusedEngine(job, **where)
    for steps in (1, 1, 6):
        ring = engine.advance(state, Segment(state.step, steps, (state.step + steps,)))
        yield from (value.copy() for value in state.arrays().values())
        yield from (ring.position, ring.thermostat, ring.kinetic_temperature, ring.energy)


@pytest.mark.parametrize(
    "case", [pytest.param(c, id=name_of(c), marks=slow if i >= FEW else ()) for i, c in enumerate(COVER)]
)
def test_every_record_as_on_the_cpu(case, monkeypatch):
    monkeypatch.setattr(fused_module, "empty_record", _poisoned)
    team = case["team"]
    job = make_job(**{name: v for name, v in case.items() if name != "team"}, shape="deep", replicas=3)
    pairs = zip(moments(job, case), moments(job, case, device="cuda:0", team=team), strict=True)
    worst = max(difference(a, b) for a, b in pairs)
    assert worst <= TOLERANCE[np.dtype(case["dtype"]).itemsize * 8]


@pytest.mark.parametrize(
    "case", [pytest.param(c, id=jobs.label(c), marks=slow if i else ()) for i, c in enumerate(jobs.DEEP)]
)
def test_teams_at_depth_agree_with_the_cpu(case, monkeypatch):
    """Several tiles of points, thermostats of every layer, teams of several warps."""
    for module in (fused_module, batched_module):
        monkeypatch.setattr(module, "empty_record", _poisoned)
    job = jobs.make_job(case, replicas=5)
    there = FusedEngine(job, "cuda:0", team=case["team"])
    assert compare(FusedEngine(job), there, job) <= TOLERANCE[case["bits"]]


def test_a_replica_that_freezes_at_depth_leaves_the_others_alone():
    case = jobs.DEEP[0]
    job = jobs.make_job(case, replicas=5)
    engine = FusedEngine(job, "cuda:0", team=case["team"])
    healthy, ill = jobs.make_state(job), jobs.make_state(job)
    ill.momentum[2, 5] = np.inf
    for state in (healthy, ill):
        engine.advance(state, Segment(0, 3))
    assert ill.status[2]
    assert ill.frozen_step[2] == 1
    assert np.isnan(ill.position[2]).all()
    for name, value in healthy.arrays().items():
        np.testing.assert_array_equal(ill.arrays()[name][[0, 1, 3, 4]], value[[0, 1, 3, 4]], err_msg=name)


def test_bits_do_not_depend_on_segments_or_the_team():
    """Sums over points and units are in one order, whoever makes them; only p.p and energies know the team."""
    case = jobs.DEEP[0] | {"word": "BAOAB"}
    job = jobs.make_job(case, replicas=5)
    whole, cut, other = (jobs.make_state(job) for _ in range(3))
    FusedEngine(job, "cuda:0", team=case["team"]).advance(whole, Segment(0, 9))
    engine = FusedEngine(job, "cuda:0", team=case["team"])
    for start, length in ((0, 1), (1, 5), (6, 3)):
        engine.advance(cut, Segment(start, length))
    FusedEngine(job, "cuda:0", team=2 * case["team"]).advance(other, Segment(0, 9))
    for name, value in whole.arrays().items():
        np.testing.assert_array_equal(cut.arrays()[name], value, err_msg=name)
        if name != "energy":
            np.testing.assert_array_equal(other.arrays()[name], value, err_msg=name)
