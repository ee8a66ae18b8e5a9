"""Methods that are special cases of each other (equations.md sections 2 to 4): equal bit for bit, or to rounding where
said.
"""

from dataclasses import replace

import numpy as np
import pytest
from linear_maps import advance, job_of, start, well

from gpu_thermo.engines import BatchedEngine, FusedEngine
from gpu_thermo.kernels.toolchain import find_compiler
from gpu_thermo.running.setup import prepare
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.state import Segment

STEPS = 50


def follow(method, dtype="float32", replicas=5, seed=1, minibatch="subset", engine=BatchedEngine):
    """Positions [STEPS, R, P] and the last state of a small network, on minibatches with noise."""
    batch = {} if minibatch == "full" else {"batch": 6}
    ready = prepare(
        RunSpec.from_dict(
            {
                "data": {"turns": 1, "train": 30, "test": 0},
                "model": {"hidden": 4, "init_sd": 0.7, "dtype": dtype},
                "method": method,
                "run": {
                    "replicas": replicas,
                    "steps": STEPS,
                    "burn_in": 0,
                    "thin": 1,
                    "seed": seed,
                    "minibatch": minibatch,
                    **batch,
                },
            }
        )
    )
    state = ready.initial_state()
    return engine(ready.job).advance(state, Segment(0, STEPS, tuple(range(1, STEPS + 1)))).position, state


def split(word, partition, **values):
    return {"name": "splitting", "word": word, "partition": partition, **values}


ENGINES = (
    BatchedEngine,
    pytest.param(FusedEngine, marks=pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler")),
)

# -- bit for bit --------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("word", "flown"), [("UBU", "ABA"), ("BUB", "BAB"), ("BUBUB", "BABAB")])
def test_flight_without_friction_is_flight(word, flown, engine, dtype):
    """U at gamma = 0 is A, whatever the temperature; a little friction is seen."""
    values = {"stepsize": 0.2, "temperature": 1e-2}
    plain, _ = follow(split(flown, "all", stepsize=0.2), dtype, engine=engine)
    np.testing.assert_array_equal(follow(split(word, "all", friction=0, **values), dtype, engine=engine)[0], plain)
    assert (follow(split(word, "all", friction=1e-6, **values), dtype, engine=engine)[0] != plain).any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sgld_at_zero_temperature_is_sgd(dtype):
    sgd, _ = follow({"name": "sgd", "stepsize": 0.05}, dtype)
    sgld, _ = follow({"name": "sgld", "stepsize": 0.05, "temperature": 0}, dtype)
    np.testing.assert_array_equal(sgld, sgd)
    warm, _ = follow({"name": "sgld", "stepsize": 0.05, "temperature": 1e-8}, dtype)
    assert (warm != sgd).any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_lol_is_baoab_with_great_friction_on_the_output(dtype):
    """exp(-1e9 h) is 0 and expm1 is -1: the same coefficients, hence the same bits."""
    common = {"stepsize": 0.25, "temperature": {"hidden": 1e-3, "output": 1e-5}}
    lol, _ = follow({"name": "lol", "friction": {"hidden": 0.01, "output": np.inf}, **common}, dtype)
    great, _ = follow({"name": "lala", "friction": {"hidden": 0.01, "output": 1e9}, **common}, dtype)
    np.testing.assert_array_equal(lol, great)
    less, _ = follow({"name": "lala", "friction": {"hidden": 0.01, "output": 3}, **common}, dtype)
    assert (less != lol).any()


@pytest.mark.parametrize("word", ["BAOAB", "ABOBA", "OBABO", "OBA", "BABOBAB", "BADAB", "UBU", "BUB"])
@pytest.mark.parametrize("partition", ["layer", "tensor"])
def test_partitions_with_equal_parameters_change_nothing(word, partition):
    """No partition is in the address of the noise."""
    values = {"stepsize": 0.2} | ({"sigma": 0.1} if "D" in word else {"temperature": 1e-2, "friction": 0.7})
    whole, _ = follow(split(word, "all", **values))
    np.testing.assert_array_equal(follow(split(word, partition, **values))[0], whole)


@pytest.mark.parametrize("word", ["BACDCAB", "BAFAB"])
def test_partitioned_thermostat_letters_at_constant_xi(word):
    """Also C, D and F: with E each partition has its own sum of squares, and differs."""
    values = {"stepsize": 0.2, "sigma": 0.1, "thermostat": 0.6}
    whole, _ = follow(split(word, "all", **values))
    np.testing.assert_array_equal(follow(split(word, "layer", **values))[0], whole)


def test_one_thermostat_for_each_partition():
    """The thermostats of two layers see their own parameters: xi differs between them, and from the one of `all`."""
    values = {"stepsize": 0.2, "sigma": 0.1, "epsilon": 1.0, "temperature": 1e-3}
    _, whole = follow(split("BACDEDCAB", "all", **values))
    _, layers = follow(split("BACDEDCAB", "layer", **values))
    assert whole.thermostat.shape == (5, 1)
    assert layers.thermostat.shape == (5, 2)
    assert (layers.thermostat[:, 0] != layers.thermostat[:, 1]).all()


def test_named_methods_are_their_words():
    values = {"stepsize": 0.2, "temperature": 1e-3, "friction": 0.5}
    np.testing.assert_array_equal(follow({"name": "langevin", **values})[0], follow(split("BAOAB", "all", **values))[0])
    np.testing.assert_array_equal(follow({"name": "lala", **values})[0], follow({"name": "langevin", **values})[0])
    np.testing.assert_array_equal(
        follow({"name": "langevin", "word": "VRORV", **values})[0], follow({"name": "langevin", **values})[0]
    )
    values |= {"sigma": 0.1, "epsilon": 0.2}
    words = {"hidden": "BACDEDCAB", "output": "BAOAB"}
    np.testing.assert_array_equal(follow({"name": "adlala", **values})[0], follow(split(words, "layer", **values))[0])


def test_sigma_and_temperature_of_sgld_are_the_same():
    np.testing.assert_array_equal(
        follow({"name": "sgld", "stepsize": 0.1, "sigma": 0.5})[0],
        follow({"name": "sgld", "stepsize": 0.1, "temperature": 0.125})[0],
    )


def test_posterior_temperature_is_temperature_times_n():
    np.testing.assert_array_equal(
        follow({"name": "langevin", "posterior_temperature": 3})[0],
        follow({"name": "langevin", "temperature": 3 / 30})[0],
    )


# -- to rounding --------


def test_without_thermostat_and_noise_baab_is_left():
    """epsilon = sigma = xi = 0: BACDEDCAB and BAEFEAB are BAAB, and BAOAB without friction."""
    bare, _ = follow(split("BAAB", "all", stepsize=0.2), "float64")
    quiet = {"stepsize": 0.2, "sigma": 0, "epsilon": 0, "temperature": 1e-3, "thermostat": 0}
    for word in ("BACDEDCAB", "BAEFEAB"):
        np.testing.assert_allclose(follow(split(word, "all", **quiet), "float64")[0], bare, rtol=1e-11)
    free = {"stepsize": 0.2, "friction": 0, "temperature": 1e-3}
    np.testing.assert_allclose(follow(split("BAOAB", "all", **free), "float64")[0], bare, rtol=1e-11)


def test_without_noise_energy_is_conserved():
    """BAAB is symplectic: on the full batch, the energy p.p/2 + U stays within O(h^2), and comes back as h shrinks."""
    drift = []
    for h in (0.1, 0.05):
        job = job_of("BAAB", well([1.0, 0.4], 3), h, 2)
        state = start(job)
        state.momentum[:] = 0.5
        k = np.array([[1.0], [0.4]])
        energies = []
        for _ in range(100):
            advance(job, state, 3)
            energies.append((state.momentum**2 / 2 + k * state.position**2 / 2).sum(axis=1))
        drift.append(np.ptp(energies, axis=0).max())
    assert drift[0] / drift[1] == pytest.approx(4, rel=0.1)


def test_momentum_is_oba_at_zero_temperature():
    """mu = exp(-gamma h), lr = h^2, v = h p: to rounding over the run."""
    h, gamma = 0.3, 0.8
    oba, end = follow(split("OBA", "all", stepsize=h, friction=gamma, temperature=0), "float64")
    heavy, v = follow({"name": "momentum", "stepsize": h * h, "momentum": float(np.exp(-gamma * h))}, "float64")
    np.testing.assert_allclose(heavy, oba, rtol=1e-10)
    np.testing.assert_allclose(v.momentum, h * end.momentum, rtol=1e-9, atol=1e-13)


def test_the_two_conventions_of_momentum():
    """Type II with lr = h^2 / (1 - mu) moves as type I with lr = h^2."""
    one, _ = follow({"name": "momentum", "stepsize": 0.04, "momentum": 0.8}, "float64")
    two, _ = follow({"name": "momentum", "convention": "II", "stepsize": 0.04 / 0.2, "momentum": 0.8}, "float64")
    np.testing.assert_allclose(two, one, rtol=1e-10)


def test_momentum_zero_is_sgd():
    sgd, _ = follow({"name": "sgd", "stepsize": 0.05}, "float64")
    np.testing.assert_allclose(
        follow({"name": "momentum", "stepsize": 0.05, "momentum": 0}, "float64")[0], sgd, rtol=1e-12
    )


@pytest.mark.parametrize(("word", "share"), [("BAOAB", 0.5), ("OBA", 1.0)])
def test_overdamped_words_at_zero_temperature_descend(word, share):
    """Full batch, gamma = inf, tau = 0: gradient descent with rate h^2 / 2 for BAOAB, h^2 for OBA."""
    h = 0.3
    job = job_of(word, well([1.0, 0.4], 3), h, 2, temperature=0.0, friction=np.inf)
    descent = job_of("sgd", well([1.0, 0.4], 3), share * h * h, 2)
    a, b = start(job), start(descent)
    if (
        word == "BAOAB"
    ):  # its first step knows the gradient half a step earlier: start from the momentum of a step before
        a.momentum[:] = -h / 2 * np.array([[1.0], [0.4]]) * a.position
    ring, other = (advance(j, state, 20, range(1, 21)) for j, state in ((job, a), (descent, b)))
    np.testing.assert_allclose(ring.position, other.position, rtol=1e-12)
    if word == "BAOAB":
        np.testing.assert_allclose(a.momentum, -h / 2 * np.array([[1.0], [0.4]]) * a.position, rtol=1e-12)


def test_full_batch_is_a_subset_of_everything():
    """B = N without replacement is the full batch in another order."""
    job = prepare(RunSpec.from_dict({
        "data": {"train": 12, "test": 0}, "model": {"hidden": 3, "dtype": "float64", "prior_sd": 1.0},
        "run": {"replicas": 3, "batch": 12, "steps": 20, "burn_in": 0, "thin": 20},
    }))  # fmt: skip
    full = replace(job.job, batching=replace(job.job.batching, mode="full"))
    a, b = job.initial_state(), job.initial_state()
    advance(job.job, a, 20)
    advance(full, b, 20)
    np.testing.assert_allclose(a.position, b.position, rtol=1e-9)
