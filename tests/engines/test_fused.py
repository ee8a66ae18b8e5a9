"""The fused engine against the batched reference, its bitwise promises, frozen replicas, and teams of many members
without a GPU.
"""

import dataclasses

import numpy as np
import pytest
from fused_cases import (
    AT_EVERY_WIDTH,
    CASES,
    DEEP,
    WORK,
    Members,
    assert_close,
    assert_same,
    check_against_batched,
    make_data,
    make_job,
    make_state,
    narrower,
    run,
    take,
)
from widths import at_width, widths

from gpu_thermo.engines import choose_engine
from gpu_thermo.engines.base import Batching, Job
from gpu_thermo.engines.batched import BatchedEngine
from gpu_thermo.engines.fused import FusedEngine
from gpu_thermo.errors import SpecError, Status
from gpu_thermo.kernels.host import host_build
from gpu_thermo.kernels.toolchain import find_compiler, host_flags
from gpu_thermo.method.named import get_method, make_program
from gpu_thermo.method.schedules import Cosine
from gpu_thermo.state import Hyper, Segment, State
from gpu_thermo.targets.networks import ACTIVATIONS, TASKS, MlpModel
from gpu_thermo.targets.posterior import MlpTarget

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler")
slow = pytest.mark.slow


def built():
    """Name and version of the compiler, or nothing."""
    compiler = find_compiler()
    return "" if compiler is None else host_build(compiler, host_flags(compiler)).compiler


DEEP_LOL = "deep lol, schedules, prior"
MORE = {
    **{f"word {word}": {"method": "splitting", "word": word, "partition": "layer"} for word in
       ("BAOAB", "OBABO", "ABOBA", "OABAO", "OBA", "BAOA", "BACDEDCAB", "BAEFEAB", "ABCDEDCBA", "BABO", "EBAB", "CDAB",
        "BAF")},
    **{f"method {name}": {"method": name}
       for name in ("sgd", "momentum", "coolmomentum", "langevin", "adl", "lala", "lol")},
    "momentum II": {"method": "momentum", "convention": "II"},
    **{f"{task} {activation}": {"task": task, "activation": activation, "n": 1 if task == "binary" else 3,
                               "dtype": np.float64}
       for task in TASKS for activation in ACTIVATIONS},
    **{f"{mode} {partition}": {"method": "splitting", "word": "BACDEDCAB", "mode": mode, "partition": partition}
       for mode in ("subset", "epoch", "symmetric", "replacement", "full") for partition in ("layer", "tensor", "all")},
    "digits' size": {"method": "langevin", "m": 64, "d": 10, "n": 10, "task": "multiclass"},
    **{f"deep {mode} {partition}": {"d": (7, 5), "method": "splitting", "word": "BACDEDCAB", "mode": mode,
                                    "partition": partition}
       for mode in ("subset", "epoch", "symmetric", "replacement", "full") for partition in ("layer", "tensor", "all")},
    **{f"deep {method}": {"d": (7, 5), "method": method}
       for method in ("sgd", "momentum", "coolmomentum", "langevin", "adl", "lala", "lol")},
    **{f"deep {layers} layers": {"d": layers * (3,)} for layers in (5, 16)},
    "odd sizes": {"d": 1, "m": 1, "batch": 1, "points": 2, "replicas": 1},
}  # fmt: skip


@pytest.mark.parametrize("case", [*CASES, *DEEP, *(pytest.param(name, marks=slow) for name in MORE)])
def test_agrees_with_batched(case):
    """Same addresses and minibatches, so states agree to rounding after 1, 2 and 10 steps, and so do the recorded
    moments.
    """
    check_against_batched(make_job(**(CASES | DEEP | MORE)[case]))


@pytest.mark.parametrize(("case", "bits", "dtype"), narrower((*AT_EVERY_WIDTH, "deep adlala", DEEP_LOL)))
def test_narrower_vectors_agree_with_batched(case, bits, dtype):
    """Letters, minibatches and activations of those cases, in both precisions; the widest are those of all tests."""
    with at_width(bits):
        check_against_batched(make_job(**(CASES | DEEP)[case] | {"dtype": dtype}))


QUICK = (
    "adlala", "every thermostat letter by tensor", "float64, full in tiles", "fixed length", "deep adlala",
    "braces, hybrid, deep", "work",
)  # fmt: skip
"""Both precisions, one layer and several, minibatches and all points, thermostats, directions, work and proposals."""


def at_each_level(case, monkeypatch):
    """The same steps by a kernel as users have it, and by one made with fewer passes: two of (state, rings)."""
    for quick in "01":
        monkeypatch.setenv("GPU_THERMO_QUICK_KERNELS", quick)
        job = make_job(**(CASES | DEEP | WORK)[case])
        yield run(FusedEngine(job), job, 8, 16, record=(8, 24))


@pytest.mark.parametrize("case", QUICK)
def test_quick_kernels_have_the_same_bits(case, monkeypatch):
    (usual, rings), (quick, others) = at_each_level(case, monkeypatch)
    assert_same(usual, quick)
    for ring, other in zip(rings, others, strict=True):
        for name in ("position", "thermostat", "kinetic_temperature", "energy"):
            np.testing.assert_array_equal(getattr(other, name), getattr(ring, name), err_msg=name)


@pytest.mark.skipif("gcc" not in built() or widths()[-1:] == (128,), reason="GCC alone, where there is a fused product")
def test_fewer_passes_yet_have_others(monkeypatch):
    """The power of that: GCC fuses products with sums among its expensive optimisations."""
    monkeypatch.setattr("gpu_thermo.kernels.toolchain._QUICK", ("-O1",))
    (usual, _), (plain, _) = at_each_level("adlala", monkeypatch)
    assert not np.array_equal(usual.position, plain.position)


@pytest.fixture(scope="module")
def job():
    return make_job(replicas=37)


def test_bits_do_not_depend_on_segments_threads_or_company(job):
    whole, (ring,) = run(FusedEngine(job, threads=1), job, 24, record=(8, 16, 24))
    cut, rings = run(FusedEngine(job, threads=2), job, 1, 5, 2, 16, record=(8, 16, 24))
    assert_same(whole, cut)
    np.testing.assert_array_equal(np.concatenate([r.position for r in rings]), ring.position)
    np.testing.assert_array_equal(np.concatenate([r.kinetic_temperature for r in rings]), ring.kinetic_temperature)
    for rows in (slice(0, 1), slice(5, 14), slice(36, 37)):
        part = take(job, rows)
        state = make_state(job)
        alone = State.from_arrays({name: np.ascontiguousarray(v[rows]) for name, v in state.arrays().items()}, 0, 0)
        FusedEngine(part).advance(alone, Segment(0, 24))
        for name, value in whole.arrays().items():
            np.testing.assert_array_equal(alone.arrays()[name], value[rows], err_msg=name)


def test_scheduled_tables_may_be_cut_anywhere(monkeypatch):
    job = make_job("lala", schedules={("stepsize", 0): Cosine(schedule="cosine")})
    whole, _ = run(FusedEngine(job), job, 20)
    monkeypatch.setattr("gpu_thermo.engines.fused._TABLE_BYTES", 2000)
    engine = FusedEngine(job)
    assert engine._tables.longest < 20
    assert_same(whole, run(engine, job, 20, record=(3, 20))[0])


@pytest.mark.parametrize("schedules", [None, {("stepsize", 0): Cosine(schedule="cosine")}])
def test_hyperparameters_of_one_call(schedules):
    """As if they were the job's; equal ones change nothing, and the next call without is the job's again."""
    job = make_job(replicas=21, schedules=schedules)
    swapped = job.hyper.take(np.random.default_rng(5).permutation(21))
    engine, state, expected = FusedEngine(job), make_state(job), make_state(job)
    for hyper, steps in ((swapped, 3), (None, 2), (dataclasses.replace(job.hyper), 4), (swapped, 5)):
        engine.advance(state, Segment(state.step, steps), hyper)
        other = job if hyper is None else dataclasses.replace(job, hyper=hyper)
        FusedEngine(other).advance(expected, Segment(expected.step, steps))
    assert_same(state, expected)
    assert not np.array_equal(state.position, run(FusedEngine(job), job, 14)[0].position)


def test_arrays_of_moves_are_left_alone(job):
    of_moves = {"exchange_rung": np.arange(37), "exchange_rate": np.ones((3, 2)), "names": np.array(["a"])}
    state, clean = make_state(job), make_state(job)
    state.extra = {name: value.copy() for name, value in of_moves.items()}
    for s in (state, clean):
        FusedEngine(job).advance(s, Segment(0, 5))
    for name, value in of_moves.items():
        np.testing.assert_array_equal(state.extra.pop(name), value)
    assert_same(state, clean)


@pytest.mark.parametrize(
    ("array", "status"),
    [("position", Status.NONFINITE_GRADIENT), ("momentum", None), ("thermostat", Status.NONFINITE_THERMOSTAT)],
)
def test_a_replica_that_overflows_is_frozen_alone(job, array, status):
    """It turns into NaN with cause and step; the others keep every bit."""
    healthy, _ = run(FusedEngine(job), job, 6)
    engine, state = FusedEngine(job), make_state(job)
    engine.advance(state, Segment(0, 2))
    getattr(state, array)[9] = np.inf
    reference = state.copy()
    recorded = engine.advance(state, Segment(2, 4, (3, 6)))
    BatchedEngine(job).advance(reference, Segment(2, 4))
    assert state.status[9] == reference.status[9] != 0
    assert status is None or state.status[9] == status
    assert state.frozen_step[9] == 3
    assert np.isnan(state.position[9]).all()
    assert np.isnan(state.momentum[9]).all()
    assert np.isnan(state.thermostat[9]).all()
    assert np.isnan(recorded.position[:, 9]).all()
    others = np.arange(job.replicas) != 9
    for name, value in healthy.arrays().items():
        np.testing.assert_array_equal(state.arrays()[name][others], value[others], err_msg=name)


TEAMS = {
    "a warp, two units for some": (32, {"d": 40}),
    "a warp, softmax over three": (
        32,
        {"d": 7, "task": "multiclass", "n": 3, "prior": 1.0, "partition": "tensor", "method": "adl"},
    ),
    "at depth": (
        32,
        {"d": (7, 5, 6), "task": "regression", "n": 2, "activation": "silu", "mode": "full", "points": 41},
    ),
    "two warps": (64, {"d": 70, "batch": 40, "task": "regression", "n": 2, "activation": "tanh"}),
}


@pytest.mark.parametrize("case", TEAMS)
def test_teams_of_members_agree_with_one(case):
    """Team sums, shared points and E's reduction, without a GPU."""
    team, kind = TEAMS[case]
    job = make_job(**kind, replicas=3)
    alone, (r,) = run(FusedEngine(job), job, 4, record=(2, 4))
    together, (q,) = run(Members(job, team), job, 4, record=(2, 4))
    assert_close(alone, together, job.dtype)
    np.testing.assert_allclose(q.kinetic_temperature, r.kinetic_temperature, rtol=1e-5)


def test_a_team_freezes_together():
    job = make_job(d=40, replicas=3)
    engine, state = Members(job, 32), make_state(job)
    state.momentum[1, 37] = np.inf
    engine.advance(state, Segment(0, 2))
    assert list(state.frozen_step) == [-1, 1, -1]
    assert np.isnan(state.position[1]).all()
    assert np.isfinite(state.position[[0, 2]]).all()


def test_auto_at_depth():
    """Fused where a lane group's state stays in cache on the CPU, and where a replica fits on a GPU's chip."""
    narrow, wide, large = (make_job(d=d) for d in ((16, 16, 16, 16), (512, 512), (64, 64, 64)))
    assert [choose_engine(j, "auto", "cpu") for j in (narrow, wide, large)] == ["fused", "batched", "fused"]
    assert choose_engine(wide, "fused", "cpu") == "fused"
    assert [choose_engine(j, "auto", "cuda:0") for j in (narrow, wide, large)] == ["fused", "batched", "batched"]
    with pytest.raises(SpecError, match=r"too large for a GPU's chip: \d+ KiB .* there are 48, .*Use --engine batched"):
        choose_engine(large, "fused", "cuda:0")


def test_a_state_of_another_job_is_refused(job):
    state = make_state(job)
    state.momentum = state.momentum.astype(np.float64)
    with pytest.raises(ValueError, match=r"State.momentum is float64 .* needs float32"):
        FusedEngine(job).advance(state, Segment(0, 1))


LAWS = {"BAOAB": (1, 3 / 4, 0), "OBABO": (4 / 3, 1, 0), "ABOBA": (1, 4 / 3, 0), "OABAO": (3 / 4, 1, 0),
    "OBA": (1.07797, 1.57612, 0.78806),
        "BAOA": (1, 1, 0.5)}  # fmt: skip


@pytest.mark.parametrize(
    "word", ["BAOAB", "OBA", *(pytest.param(word, marks=slow) for word in LAWS if word not in ("BAOAB", "OBA"))]
)
def test_exact_stationary_law(word):
    """A network whose data say nothing (noise sd 1e6) has U = |theta|^2 / (2 s^2 N); here k = 1/(s^2 N) = 1, and h =
    gamma = tau = 1.
    """
    replicas, points = 256, 20
    model = MlpModel(2, 10, 1, "regression", "relu", prior_sd=points**-0.5, noise_sd=1e6)
    program = make_program(get_method("splitting"), model.layout.partition("all"), word)
    target = MlpTarget(model, make_data("regression", 2, 1, points, 1), np.zeros(replicas, np.int64))
    hyper = Hyper.constant(replicas, 1, 1.0, temperature=1.0, friction=1.0, thermostat=0.0)
    identity = np.arange(replicas, dtype=np.uint64)
    job = Job(program, target, hyper, Batching("subset", 5), identity, identity)
    size = model.layout.size
    engine, state = FusedEngine(job), State.at(*np.zeros((2, replicas, size), np.float32), np.zeros((replicas, 1)))
    moments = []
    for _ in range(40):
        engine.advance(state, Segment(state.step, 20))
        q, p = state.position.astype(np.float64), state.momentum.astype(np.float64)
        moments.append([(q * q).mean(axis=1), (p * p).mean(axis=1), (q * p).mean(axis=1)])
    per_replica = np.mean(moments[3:], axis=0)
    z = (per_replica.mean(axis=1) - LAWS[word]) / (per_replica.std(axis=1) / replicas**0.5)
    assert np.abs(z).max() < 5
