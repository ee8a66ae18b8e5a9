"""What a run that tunes itself asks of its target, against harmonic wells, where it is known."""

import numpy as np
import pytest
from tuned_cases import STIFFNESS, well

from gpu_thermo import plan
from gpu_thermo.errors import SpecError
from gpu_thermo.running.launch import Launch
from gpu_thermo.running.setup import prepare
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.tuning.course import ADAPTATION, BURN_IN, SAMPLING, Course
from gpu_thermo.tuning.rules import Lengths


@pytest.fixture(scope="module")
def launch():
    """Of a word that cannot be in braces."""
    return Launch.of(prepare(RunSpec.from_dict(plain())))


def plain(**run):
    return well(**run) | {"method": {"name": "langevin", "word": "OBAB", "temperature": 1.0}}


@pytest.fixture(scope="module")
def position(launch):
    """A draw of the law at temperature 1."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(launch.job.replicas, 3)) / np.sqrt(STIFFNESS)


def test_a_group_stands_behind_the_replicas(launch):
    """A quarter of them, 32 at least, with streams of their own; those that count are as without it."""
    assert (launch.replicas, launch.job.replicas) == (64, 96)
    assert Launch.of(prepare(RunSpec.from_dict(plain(replicas=256)))).job.replicas == 320
    np.testing.assert_array_equal(launch.job.stream[:64], launch.ready.job.stream)
    np.testing.assert_array_equal(launch.whole.initial_state().position[:64], launch.ready.initial_state().position)


def test_several_data_sets_are_refused():
    """Spreads over replicas of different posteriors are no errors."""
    spec = {
        "data": {"name": "moons", "train": 20, "test": 4, "seeds": [1, 2]}, "model": {"hidden": 3, "prior_sd": 1.0},
        "method": {"name": "langevin", "posterior_temperature": 1.0}, "run": {"replicas": 32, "tolerance": 0.1},
    }  # fmt: skip
    with pytest.raises(SpecError, match=r"these are of 2 ensembles.*run\.steps in its place"):
        plan(spec)


def test_in_braces_there_is_no_group():
    """Words that read the same backwards at one temperature on all points: plain steps first, then blocks."""
    launch = Launch.of(prepare(RunSpec.from_dict(well())))
    assert launch.job.replicas == launch.replicas == 64
    assert launch.job.program.texts == ("{BAOAB}",)
    lengths = Lengths.of(0.2, 0.7, braces=True)
    for phase, block in ((ADAPTATION, 0), (BURN_IN, lengths.block), (SAMPLING, lengths.block)):
        hyper = launch.hyper(Course(phase=phase, stepsize=0.2, friction=(0.7,), lengths=lengths))
        np.testing.assert_array_equal(hyper.block, block)


@pytest.mark.parametrize(
    "changes",
    [
        {"method": {"name": "langevin", "word": "OBA", "temperature": 1.0}},
        {"method": {"name": "langevin", "temperature": 0.0}},
        {"method": {"name": "adl", "temperature": 1.0}},
        {"target": {"name": "harmonic", "stiffness": 1.0, "gradient_noise_sd": 0.1}},
    ],
)
def test_what_is_not_exact_in_braces_has_a_group(changes):
    launch = Launch.of(prepare(RunSpec.from_dict(well() | changes)))
    assert launch.job.replicas == 96
    assert not launch.tuner.braces


def test_hyperparameters_of_a_stage(launch):
    hyper = launch.hyper(Course(phase=ADAPTATION, stepsize=0.2, friction=(0.7,)))
    np.testing.assert_array_equal(hyper.stepsize, np.repeat([0.2, 0.1], [64, 32]))
    np.testing.assert_array_equal(hyper.friction, 0.7)
    assert {name: set(v) for name, v in launch.coordinates(Course(stepsize=0.2, friction=(0.7,))).items()} == {
        "stepsize": {0.2}, "friction_all": {0.7},
    }  # fmt: skip


def test_curvature_is_the_largest(launch, position):
    """Six power iterations come within a fifth of it from below, with the next at a sixth."""
    assert 0.8 * max(STIFFNESS) < launch.curvature(position) <= max(STIFFNESS) * 1.001


def test_virials_and_variances(launch, position):
    """(sum of k q^2)/3, of mean 1; variances over the replicas that count."""
    np.testing.assert_allclose(launch.virials(position)[:, 0], (position**2 * STIFFNESS).mean(axis=1))
    assert launch.variances(position)[0] == pytest.approx(position[:64].var(axis=0, ddof=1).mean())


def test_fresh_states(launch, position):
    """Energy and gradient are those of the place, momenta those of the temperature, others at every step."""
    state = launch.fresh(position, 100)
    np.testing.assert_allclose(state.gradient, position * STIFFNESS)
    np.testing.assert_allclose(state.energy, (position**2 * STIFFNESS).sum(axis=1) / 2)
    assert (state.step, state.evaluations) == (100, 101)
    assert (state.momentum**2).mean() == pytest.approx(1, abs=5 * np.sqrt(2 / state.momentum.size))
    other = launch.fresh(position, 150).momentum
    assert abs(np.corrcoef(other.ravel(), state.momentum.ravel())[0, 1]) < 5 / np.sqrt(other.size)
    np.testing.assert_array_equal(launch.fresh(position, 100).momentum, state.momentum)


def test_acceptance_of_plain_steps(launch, position):
    """Of BAB, whose energy errors on wells are known: against the same steps by hand, with other momenta."""
    h, k = 0.25, np.array(STIFFNESS)
    rng = np.random.default_rng(3)
    q, p, accepted = np.tile(position[:64], (400, 1)), rng.normal(size=(64 * 400, 3)), []
    energy = lambda: (q**2 * k).sum(axis=1) / 2 + (p**2).sum(axis=1) / 2  # noqa: E731
    for _ in range(4):
        before = energy()
        p -= h / 2 * k * q
        q += h * p
        p -= h / 2 * k * q
        accepted.append(np.minimum(1, np.exp(before - energy())))
    found = np.mean([launch.acceptance(position, step, h) for step in range(40)])
    assert found == pytest.approx(np.mean(accepted), abs=0.005)
    assert launch.acceptance(position, 0, 2 * h) < found < launch.acceptance(position, 0, h / 2)
