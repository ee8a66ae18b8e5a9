"""Masses of parameters (equations.md section 16): the dynamics of theta/s with s = m^(-1/2), exactly; words keep their
exact laws, and a run knows its masses.
"""

from dataclasses import replace

import numpy as np
import pytest
from fused_cases import make_job, make_state
from linear_maps import average, job_of, moments, start, well, z_score
from network_wells import NetworkWell

import gpu_thermo as gt
from gpu_thermo import cost
from gpu_thermo.engines import BatchedEngine, FusedEngine, initial_state
from gpu_thermo.errors import SpecError
from gpu_thermo.kernels.toolchain import find_compiler
from gpu_thermo.running.setup import prepare
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.state import Segment

TAU, GAMMA, H = 0.5, 0.9, 0.8
K = np.array([0.2, 1.0, 5.0, 30.0])
MASS = np.array([0.5, 1.0, 3.0, 20.0])
SCALE = MASS**-0.5
WORDS = {
    "BAOAB": {},
    "ABOBA": {},
    "OBA": {},
    "UBU": {},
    "BACDEDCAB": {"sigma": 0.6, "epsilon": 0.3, "thermostat": 0.2},
    "KASAK": {},
}


def job(word, scale=SCALE, stiffness=K, h=H, replicas=1500, **hyper):
    values = {"temperature": TAU, "friction": GAMMA, **hyper}
    return replace(job_of(word, well(stiffness[None], len(K)), h, replicas, **values), scale=scale)


@pytest.mark.parametrize("word", WORDS)
def test_it_is_the_motion_of_scaled_coordinates(word):
    """theta' = theta/s moves in U(s theta') with masses 1: the same noise, the same path to rounding."""
    hyper = WORDS[word]
    with_masses, plain = job(word, h=0.3, replicas=7, **hyper), job(word, None, K * SCALE**2, 0.3, 7, **hyper)
    position = np.random.default_rng(1).normal(size=(7, 4))
    momentum = np.random.default_rng(2).normal(size=(7, 4))
    a, b = initial_state(with_masses, position.copy(), momentum), initial_state(plain, position / SCALE, momentum)
    for j, state in ((with_masses, a), (plain, b)):
        BatchedEngine(j).advance(state, Segment(0, 40))
    np.testing.assert_allclose(a.position / SCALE, b.position, atol=1e-11)
    np.testing.assert_allclose(a.momentum, b.momentum, atol=1e-11)
    np.testing.assert_allclose(a.gradient, b.gradient, atol=1e-11)
    np.testing.assert_allclose(a.thermostat, b.thermostat, atol=1e-11)
    assert np.abs(a.position - position).max() > 0.3


def scores(word, scale, believed=SCALE):
    """z [3, P] of <q^2>, <p^2>, <q p> against the law of masses `believed`^-2."""
    a = average(job(word, scale), 80, 40, 3)
    exact = np.array([moments(word, H, gamma=GAMMA, tau=TAU, k=k * s**2) for k, s in zip(K, believed, strict=True)])
    found = (a.qq / believed**2, a.pp, a.qp / believed)
    return np.array([z_score(f, exact[:, i]) for i, f in enumerate(found)])


@pytest.mark.parametrize("word", ["BAOAB", "ABOBA", "OBA"])
def test_words_have_their_exact_law(word):
    """At a stepsize at which the stiffest well would be unstable with mass 1, and p.p/n is the temperature."""
    assert H**2 * K.max() > 4
    assert abs(scores(word, SCALE)).max() < 4.5


def test_a_wrong_mass_is_seen():
    """A tenth off in one parameter, and a mass for its inverse."""
    off = SCALE * np.array([1, 1, 1.1, 1])
    assert abs(scores("OBA", SCALE, off)[:, 2]).max() > 9
    inverse = SCALE ** np.array([-1, 1, 1, 1])
    assert abs(scores("OBA", inverse, SCALE)[:, 0]).max() > 50


@pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_fused_engine_has_the_law_of_masses(dtype):
    """On a network whose free layer is a well: U is quadratic with Hessian S H S in theta/s."""
    wells, n = NetworkWell(3000, dtype), 3
    scale = np.ones(wells.model.parameters)
    scale[-n:] = s = np.array([0.4, 1.5, 0.8])
    j = replace(wells.job("BAOAB", 0.5, temperature=TAU, friction=GAMMA), scale=scale)
    zero = np.zeros((3000, n))
    state, engine = wells.start(j, zero, zero), FusedEngine(j, threads=1)
    engine.advance(state, Segment(0, 200))
    hessian = (wells.axes * wells.stiffness) @ wells.axes.T
    k, axes = np.linalg.eigh(s[:, None] * hessian * s)
    sums = np.zeros((2, 3000, n))
    for _ in range(40):
        engine.advance(state, Segment(state.step, 4))
        x = (state.position[:, -n:].astype(float) - wells.minimum) / s @ axes
        sums += x * x, (state.momentum[:, -n:].astype(float) @ axes) ** 2
    exact = np.array([moments("BAOAB", 0.5, gamma=GAMMA, tau=TAU, k=each) for each in k])
    assert abs(z_score(sums[0] / 40, exact[:, 0])).max() < 4.5
    assert abs(z_score(sums[1] / 40, exact[:, 1])).max() < 4.5


@pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler")
def test_masses_may_differ_between_replicas():
    """[R, P]: each replica as it is alone; and an engine used again is not changed by a replica that froze."""
    many = make_job("langevin", masses=True)
    state = make_state(many)
    FusedEngine(many, threads=1).advance(state, Segment(0, 10))
    one = replace(many, scale=many.scale[4])
    alone = make_state(one)
    FusedEngine(one, threads=1).advance(alone, Segment(0, 10))
    np.testing.assert_array_equal(state.position[4], alone.position[4])
    assert (state.position[3] != alone.position[3]).any()
    engine, ill = FusedEngine(many, threads=1), make_state(many)
    ill.momentum[5] = np.inf
    engine.advance(ill, Segment(0, 10))
    assert (ill.status != 0).tolist() == [r == 5 for r in range(many.replicas)]
    again = make_state(many)
    engine.advance(again, Segment(0, 10))
    np.testing.assert_array_equal(again.position, state.position)


def test_unit_masses_change_no_bit_of_array_code():
    plain = job("BAOAB", None, replicas=9)
    states = [start(plain) for _ in range(2)]
    for state, j in zip(states, (plain, replace(plain, scale=np.ones(4))), strict=True):
        BatchedEngine(j).advance(state, Segment(0, 20))
    np.testing.assert_array_equal(states[0].position, states[1].position)


# -- whole runs --------------------------------------------------------------------------------------------------------

SPEC = {
    "data": {"turns": 1, "train": 40, "test": 10},
    "model": {"hidden": 4, "activation": "tanh", "prior_sd": 1.0},
    "method": {"name": "langevin", "stepsize": 0.05, "posterior_temperature": 1.0},
    "run": {"replicas": 6, "steps": 60, "burn_in": 20, "thin": 10, "trace": 20, "batch": 8},
}


def spec(hidden=4, **method):
    model = {**SPEC["model"], "hidden": hidden}
    return RunSpec.from_dict({**SPEC, "model": model, "method": {**SPEC["method"], **method}})


def test_fan_in_is_the_inputs_of_each_unit():
    scale = prepare(spec([4, 3], mass="fan_in")).job.scale
    split = prepare(spec([4, 3])).job.target.layout.split(scale**-2.0)
    for name, fan in (("w1", 2), ("w2", 4), ("w3", 3)):
        np.testing.assert_allclose(split[name], fan)
        np.testing.assert_allclose(split[f"b{name[1]}"], 1)
    assert prepare(spec()).job.scale is None


@pytest.mark.parametrize("engine", ["batched", "fused"])
def test_runs_resume_with_their_masses(tmp_path, engine):
    """From an npz file of arrays, which the store's own spec holds."""
    layout, rng = prepare(spec()).job.target.layout, np.random.default_rng(4)
    np.savez(tmp_path / "mass.npz", **{name: rng.uniform(0.5, 4, shape) for name, shape in layout.tensors.items()})
    with np.load(tmp_path / "mass.npz") as mass:
        given = spec(mass=mass)
    (tmp_path / "mass.npz").unlink()
    whole = gt.sample(given, engine=engine)
    short = RunSpec.from_dict({**given.to_dict(), "run": {**SPEC["run"], "steps": 40}})
    gt.sample(short, tmp_path / "run", engine=engine)
    gone_on = gt.resume(tmp_path / "run", draws=2)
    np.testing.assert_array_equal(gone_on["posterior"]["w2"], whole["posterior"]["w2"])
    plain = gt.sample(spec(), engine=engine)
    assert (plain["posterior"]["w2"] != whole["posterior"]["w2"]).any()


def test_a_plan_tells_of_them():
    """Their range, their arithmetic (a product for each parameter at A, A and the gradient), and their memory."""
    plain, heavy = (gt.plan(spec(**mass)) for mass in ({}, {"mass": {"w1": 4, "w2": 0.5}}))
    assert set(heavy.substeps) - set(plain.substeps) == {"parameters have masses from 0.5 to 4"}
    assert heavy.memory_bytes > plain.memory_bytes
    counts = [cost.count(prepare(spec(**mass)).job)["letters"] for mass in ({}, {"mass": 2.0})]
    assert counts[1].single - counts[0].single == 3 * 17
    assert counts[1].fused == counts[0].fused


def test_it_is_another_run():
    """A spec with other masses is another one, in text and fingerprint."""
    one, other = spec(mass={"w1": 2.0}), spec(mass={"w1": 3.0})
    assert RunSpec.from_json(one.to_json()) == one
    assert one.differing_fields(other) == ["method.mass.w1"]
    assert one.fingerprint("") != other.fingerprint("")
    assert "mass" not in spec().to_json()


@pytest.mark.parametrize("name", ["adam", "sgld"])
def test_whole_steps_have_no_masses(name):
    with pytest.raises(SpecError, match=f"mass belongs to splitting words, and '{name}' is a whole-step update"):
        RunSpec.from_dict({**SPEC, "method": {"name": name, "mass": 2.0}})


def test_a_potential_has_no_fan_in():
    target = {"target": {"name": "harmonic", "size": 3}, "run": SPEC["run"] | {"batch": None}}
    method = {"name": "langevin", "temperature": 1.0}
    with pytest.raises(SpecError, match=r"method\.mass = 'fan_in' needs a network"):
        prepare(RunSpec.from_dict({**target, "method": {**method, "mass": "fan_in"}}))
    ready = prepare(RunSpec.from_dict({**target, "method": {**method, "mass": [1.0, 4.0, 9.0]}}))
    np.testing.assert_allclose(ready.job.scale, [1, 1 / 2, 1 / 3])
