"""Where replicas start is made on the device: at the same addresses as on the host, and without going there."""

import numpy as np
import pytest
from move_runs import EXCHANGE, LANGEVIN, MOVES, spec

from gpu_thermo.engines import make_engine
from gpu_thermo.running.setup import prepare
from gpu_thermo.running.tuned import launch_of
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.state import Segment

pytestmark = pytest.mark.gpu
R = 300
THERMAL = {"momenta": "thermal"}
MODEL = {"hidden": 6, "prior_sd": 1.0}
NOISY = {"data": {"name": "diabetes"}, "model": MODEL | {"prior": "laplace", "init": "prior", "noise_sd": "learn"}}
WELL = {"data": None, "model": None, "target": {"name": "harmonic", "size": 5, "start_range": 2.0}}
CASES = {
    "pytorch": ({}, None, {"model": MODEL | {"init": "pytorch"}}),
    "zero": ({}, None, {"model": MODEL | {"init": "zero"}}),
    "he": ({}, None, {"model": MODEL | {"init": "he"}}),
    "prior": ({}, None, NOISY),
    "thermal": (THERMAL, None, {}),
    "a ladder's temperatures": (THERMAL, EXCHANGE, {}),
    "velocities": (THERMAL, None, {"method": {"name": "sghmc"}}),
    "directions": ({}, None, {"method": {"name": "mclmc"}}),
    "proposals": ({"minibatch": "full", "batch": None}, None, {"method": LANGEVIN | {"word": "{BAOAB}"}}),
    "moments of Adam": ({}, None, {"method": {"name": "adam"}, "model": MODEL | {"init": "pytorch"}}),
    "histograms": ({}, MOVES["contour"], {}),
    "a potential": (THERMAL | {"batch": None, "keep": None}, None, WELL),
}
EXACT = ("pytorch", "zero", "moments of Adam")
"""Starts without a transcendental function: their bits are the host's everywhere."""


def made(run, move, sections, replicas=R):
    """A run made ready."""
    tree = spec(move, **{"keep": [], **run, "replicas": replicas}) | sections
    tree["run"] = {name: value for name, value in tree["run"].items() if value is not None}
    return prepare(RunSpec.from_dict({name: value for name, value in tree.items() if value is not None}))


def begin(case, devices="cuda:0", replicas=R):
    """A setup, an engine, and the state that was made there."""
    ready = made(*CASES[case], replicas)
    engine = make_engine(ready.job, "batched", devices, together=3)
    return ready, engine, ready.begin(engine)


@pytest.mark.parametrize("case", CASES)
def test_starts_are_those_of_the_host(case):
    """Bit for bit, or where normal numbers are in it to 2e-6 (equations.md section 8)."""
    ready, _, state = begin(case)
    found, wanted = state.arrays(), ready.initial_state().arrays()
    assert set(found) == set(wanted)
    for name, value in wanted.items():
        assert (found[name].dtype, found[name].shape) == (value.dtype, value.shape)
        if case in EXACT or value.dtype.kind != "f":
            np.testing.assert_array_equal(found[name], value, err_msg=name)
        else:
            np.testing.assert_allclose(found[name], value, rtol=2e-6, atol=2e-6, err_msg=name)
    if case in ("thermal", "a ladder's temperatures", "directions", "velocities"):
        assert np.asarray(state.momentum).all()


def test_given_starts_are_uploaded():
    ready = made({}, None, {"model": {"hidden": 3, "prior_sd": 1.0}}, 7)
    held = {name: np.full(shape, 0.5) for name, shape in ready.job.target.layout.tensors.items()}
    given = prepare(ready.spec, init=held)
    state = given.begin(make_engine(given.job, "batched", "cuda:0"))
    np.testing.assert_array_equal(state.position, 0.5)


def test_replicas_of_several_stepsizes_record():
    """They travel to an engine each, and what they recorded is on the host."""
    tree = spec(method=LANGEVIN | {"stepsize": [0.1, 0.2]}, replicas=4, keep=[])
    tree["run"] = {k: v for k, v in tree["run"].items() if k not in ("steps", "burn_in", "thin")} | {"duration": 4.0}
    ready = prepare(RunSpec.from_dict(tree))
    rings = []
    for device in ("cuda:0", "cpu"):
        engine = make_engine(ready.job, "batched", device)
        rings.append(engine.advance(ready.begin(engine), Segment(0, 4, (2, 4))))
    np.testing.assert_allclose(rings[0].position, rings[1].position, atol=2e-6)
    assert np.isfinite(rings[0].position).all()


# -- bytes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["he", "a ladder's temperatures", "directions", "proposals", "histograms"])
@pytest.mark.parametrize("devices", ["cuda:0", "cuda:0,cuda:1"], ids=["one", "two"])
def test_what_is_uploaded_are_names_and_numbers_of_replicas(case, devices, spent, monkeypatch):
    """Streams, thermostats and temperatures; of the arrays [R, P] and [R, bins] nothing, either way. On two devices
    each makes its own share, of the same bits.
    """
    monkeypatch.setenv("STANDIN_GPUS", "2")
    up = []
    for replicas in (150, R):
        ready = made(*CASES[case], replicas)
        engine = make_engine(ready.job, "batched", devices, together=3)
        traffic, state = spent(lambda r=ready, e=engine: r.begin(e))
        assert traffic["to_host_bytes"] == 0
        up.append(traffic["to_device_bytes"])
    partitions = len(ready.program.partition.names)
    assert 0 < up[1] - up[0] <= 150 * (3 * 8 + (8 + 4) * partitions)
    one = ready.begin(make_engine(ready.job, "batched", "cuda:0"))
    for name, value in one.arrays().items():
        np.testing.assert_array_equal(state.arrays()[name], value, err_msg=name)


def test_the_first_segment_uploads_constants_alone(spent):
    """After a start that was made there: who the replicas are, and the data."""
    up = []
    for replicas in (150, R):
        _, engine, state = begin("thermal", replicas=replicas)
        up.append(spent(lambda e=engine, s=state: e.advance(s, Segment(0, 2)))[0]["to_device_bytes"])
    assert up[1] - up[0] < 150 * 50


def test_a_run_that_tunes_itself_starts_there(spent):
    given = spec(keep=[])
    given |= {"run": {"replicas": 64, "tolerance": 0.5}, "method": {"name": "langevin", "posterior_temperature": 1.0}}
    launch = launch_of(prepare(RunSpec.from_dict(given)))
    engine = make_engine(launch.descent, "batched", "cuda:0")
    traffic, state = spent(lambda: launch.start(engine))
    assert traffic["to_device_bytes"] < launch.job.replicas * (3 * 8 + 8) + 4000
    np.testing.assert_allclose(state.position, launch.whole.initial_state().position, atol=2e-6)
