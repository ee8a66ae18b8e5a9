"""From spec to job: seeds, data sets, ensembles, initial states, points and probes."""

import numpy as np
import pytest
from linear_maps import well
from setup_cases import N, build

from gpu_thermo.data import Dataset
from gpu_thermo.engines import Batching, initial_state
from gpu_thermo.errors import SpecError
from gpu_thermo.running.setup import ensembles, prepare
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.state import Hyper


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"run": {"batch": N + 1}}, rf"run.batch = {N + 1} is larger than the training set of {N} points"),
        ({"model": {"task": "regression"}}, "model.task = 'regression' does not fit spirals, which is binary"),
        (
            {"model": {"noise_sd": 0.1}},
            "model.noise_sd = 0.1 is for gaussian and student_t; the likelihood of spirals is bern",
        ),
    ],
)
def test_what_does_not_fit_the_data_is_refused(sections, message):
    with pytest.raises(SpecError, match=message):
        build(**sections)


def test_batching():
    assert build().job.batching == Batching("subset", 20)
    assert build(data={"train": 12}).job.batching == Batching("subset", 12)
    assert build(run={"minibatch": "epoch", "batch": 7}).job.batching == Batching("epoch", 7)
    assert build(run={"minibatch": "full"}).job.batching == Batching("full", N)
    assert build(run={"batch": N}).job.batching == Batching("subset", N)


# -- seeds, data sets, ensembles --------


def test_seeds():
    plain, split = build(run={"seed": 5}), build(run={"seed": 5, "seed_init": 6})
    other = build(run={"seed": 6, "seed_dynamics": 5})
    assert plain.job.seed.tolist() == split.job.seed.tolist() == other.job.seed.tolist() == [5] * 4
    assert plain.job.stream.tolist() == [0, 1, 2, 3]
    start = {name: s.initial_state().position for name, s in {"plain": plain, "split": split, "other": other}.items()}
    assert (start["plain"] != start["split"]).any()
    np.testing.assert_array_equal(start["split"], start["other"])


def test_data_sets_go_round():
    ready = build(data={"seeds": [0, 1, 2]}, replicas=7)
    assert ready.dataset.tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert ready.ensemble.tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert ready.ensemble_dataset.tolist() == [0, 1, 2]


def test_ensembles_are_alike_in_data_and_hyperparameters():
    ready = build({"name": "lol", "stepsize": [0.3, 0.1, 0.3, 0.1, 0.3, 0.1]}, replicas=6, data={"seeds": [4, 5]})
    assert ready.ensemble.tolist() == [0, 1, 0, 1, 0, 1]
    ready = build({"name": "lol", "stepsize": [0.3, 0.1, 0.1, 0.3, 0.3, 0.1]}, replicas=6, data={"seeds": [4, 5]})
    assert ready.ensemble.tolist() == [0, 1, 2, 3, 0, 1]


def test_unused_and_infinite_hyperparameters_in_ensembles():
    values = Hyper.constant(4, 2, 0.1, friction=[[np.inf, 1], [np.inf, 1], [1, 1], [np.inf, 2]])
    assert ensembles(np.zeros(4, int), values).tolist() == [0, 0, 1, 2]


def test_chain_coordinates_have_every_hyperparameter_in_use():
    names = set(build().chain_coordinates())
    assert names == {
        "ensemble",
        "dataset",
        "seed",
        "stream",
        "stepsize",
        "temperature_hidden",
        "temperature_output",
        "sigma_hidden",
        "epsilon_hidden",
        "friction_output",
        "thermostat_hidden",
    }


# -- initial state --------


def test_thermal_momenta():
    """N(0, tau) in each partition; cold partitions start at rest, and so do momenta by default."""
    method = {"name": "lala", "temperature": {"hidden": 4.0, "output": 0.0}}
    state = build(method, 3000, run={"momenta": "thermal"}).initial_state()
    hidden = state.momentum[:, :9].astype(float)
    assert abs(hidden.mean()) < 5 * 2 / np.sqrt(hidden.size)
    assert hidden.var() == pytest.approx(4, rel=5 * np.sqrt(2 / hidden.size))
    assert (state.momentum[:, 9:] == 0).all()
    assert (build(method).initial_state().momentum == 0).all()


def test_initial_thermostat():
    state = build({"name": "adlala", "thermostat": [0.1, 0.2, 0.3, 0.4]}).initial_state()
    np.testing.assert_array_equal(state.thermostat, [[0.1, 0], [0.2, 0], [0.3, 0], [0.4, 0]])
    assert state.thermostat.dtype == np.float64


def test_adam_starts_with_empty_moments():
    extra = build({"name": "adam"}).initial_state().extra
    assert set(extra) == {"adam_mean", "adam_square"}
    assert all((v == 0).all() for v in extra.values())


def test_given_positions_are_copied_to_the_dtype(dtype):
    from linear_maps import job_of

    job = job_of("BAOAB", well(1.0, 2), 0.1, 3, dtype=dtype, temperature=1, friction=1)
    given = np.ones((3, 2))
    state = initial_state(job, given)
    assert state.position.dtype == dtype
    assert state.step == state.evaluations == 0
    assert (state.frozen_step == -1).all()


# -- points and probes --------


def test_probes_are_at_most_32_spread_test_points():
    ready = build(data={"test": 100})
    assert ready.subject.probes.shape == (1, 32, 2)
    np.testing.assert_array_equal(ready.subject.probes[0, [0, -1]], ready.subject.data.x_test[0, [0, -1]])
    assert build(data={"test": 6}).subject.probes.shape == (1, 6, 2)
    none = build(data={"test": 0})
    np.testing.assert_array_equal(none.subject.probes[0, 0], none.subject.data.x_train[0, 0])
    assert none.subject.points is none.subject.probes


def test_noise_is_learned_unless_its_sd_is_given():
    def model_of(**model):
        spec = {
            "data": {"name": "gap", "train": 10, "noise": 0.3},
            "model": {"hidden": 2, **model},
            "run": {"replicas": 1},
        }
        return prepare(RunSpec.from_dict(spec)).subject

    known = model_of(noise_sd=0.7)
    assert (known.model.noise_sd, known.model.noises) == (0.7, 0)
    assert known.assumptions()[0] == "gaussian, noise sd known: 0.7 (y)"
    for learned in (model_of(), model_of(noise_sd="learn")):
        assert learned.model.noises == 1
        half = learned.data.y_train.std() / 2
        np.testing.assert_allclose(learned.model.centre, np.log(half))
        assert f"noise sd learned: a priori within a factor e of {half:.3g} (y)" in learned.assumptions()[0]


def test_given_data_replace_the_specs():
    """As resume does: the stored data, not the generator."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(1, 8, 2)), rng.integers(0, 2, (1, 8))
    data = Dataset("spirals", "binary", x, y, x[:, :0], y[:, :0], ("x", "y"), ("a", "b"))
    ready = prepare(RunSpec.from_dict({"run": {"replicas": 2, "batch": 4}}), data=data)
    np.testing.assert_array_equal(ready.subject.target.x_train[0], data.x_train[0].astype(np.float32))
    assert ready.fingerprint != prepare(RunSpec.from_dict({"run": {"replicas": 2, "batch": 4}})).fingerprint
