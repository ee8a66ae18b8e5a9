"""What crosses the bus: states once, rings once, and between segments nothing that grows with the replicas."""

import numpy as np
import pytest
from move_runs import LANGEVIN, MOVES, spec

from bench.device import jobs
from gpu_thermo.engines import BatchedEngine, FusedEngine
from gpu_thermo.running.setup import prepare
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.state import Segment

pytestmark = pytest.mark.gpu
CASE = {"word": "BACDEDCAB", "task": "binary", "activation": "tanh", "mode": "subset", "partition": "layer"}
ENGINES = {"fused": FusedEngine, "batched": BatchedEngine}


def made(engine, replicas):
    job = jobs.make_job(CASE | {"bits": 32, "team": 32}, replicas)
    engine = ENGINES[engine](job, "cuda:0")
    return engine, engine.load(jobs.make_state(job)), job


@pytest.mark.parametrize("engine", ENGINES)
def test_without_recording_no_byte_of_the_state_moves(engine, spent):
    """After the first segment, which brings constants: what goes up is as much for 8 replicas as for 40."""
    traffic = []
    for replicas in (8, 40):
        engine_, state, _ = made(engine, replicas)
        engine_.advance(state, Segment(0, 2))
        added, _ = spent(lambda e=engine_, s=state: [e.advance(s, Segment(k, 3)) for k in (2, 5, 8)])
        traffic.append(added)
    few, many = traffic
    assert few["to_host_bytes"] == many["to_host_bytes"] == 0
    assert few["to_device_bytes"] == many["to_device_bytes"] < 3 * 1000
    assert few["syncs"] <= 2 * 3  # a segment, not a step


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("record", [(11,), (6, 7, 9), (4, 5, 6, 7, 8, 9, 10, 11, 12)])
def test_a_ring_comes_down_once(engine, record, spent):
    engine, state, _ = made(engine, 7)
    engine.advance(state, Segment(0, 3))
    added, ring = spent(lambda: engine.advance(state, Segment(3, 10, record)))
    arrays = ring.position, ring.thermostat, ring.kinetic_temperature, ring.energy
    assert added["to_host_bytes"] == sum(a.nbytes for a in arrays)
    assert all(np.isfinite(a).all() for a in arrays)
    assert added["to_device_bytes"] < 4000


@pytest.mark.parametrize("engine", ENGINES)
def test_arrays_come_when_asked_for_and_go_when_edited(engine, spent):
    engine, state, _ = made(engine, 7)
    engine.advance(state, Segment(0, 3))
    added, momentum = spent(lambda: state.momentum)
    assert added["to_host_bytes"] == momentum.nbytes
    assert spent(lambda: state.momentum)[0]["to_host_bytes"] == 0
    with pytest.raises(ValueError, match="read-only"):
        momentum[0] = 1
    assert state.running == 7
    state.edit("momentum")[2] = np.inf
    added, _ = spent(lambda: engine.advance(state, Segment(3, 2)))
    assert momentum.nbytes <= added["to_device_bytes"] < momentum.nbytes + 4000
    assert state.running == 6
    assert list(np.flatnonzero(state.status)) == [2]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_state_that_was_not_loaded_goes_there_and_back(engine, spent):
    engine, loaded, job = made(engine, 7)
    state = jobs.make_state(job)
    engine.advance(loaded, Segment(0, 4))
    added, _ = spent(lambda: engine.advance(state, Segment(0, 4)))
    size = sum(a.nbytes for a in state.arrays().values())
    assert added["to_host_bytes"] == size
    assert size <= added["to_device_bytes"] < size + 4000
    assert state.step == loaded.step == 4
    for name, value in state.arrays().items():
        np.testing.assert_array_equal(loaded.arrays()[name], value, err_msg=name)


def test_what_proposals_and_histograms_keep_stays_there(spent):
    """Arrays of `extra` that are the engine's: no segment brings them down."""
    for move, run in ((MOVES["contour"], {}), (None, {"minibatch": "full", "batch": None})):
        tree = spec(move, method=LANGEVIN | ({} if move else {"word": "{BAOAB}"}), **run)
        tree["run"] = {name: value for name, value in tree["run"].items() if value is not None}
        ready = prepare(RunSpec.from_dict(tree))
        engine = BatchedEngine(ready.job, "cuda:0")
        state = ready.begin(engine)
        assert len(state.extra) > 5
        added, _ = spent(lambda e=engine, s=state: [e.advance(s, Segment(k, 3)) for k in (0, 3)])
        assert added["to_host_bytes"] == 0
