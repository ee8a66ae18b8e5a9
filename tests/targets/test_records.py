"""Records of activations, likelihoods and priors: what is refused, names and scores, draws of a prior."""

from dataclasses import replace

import numpy as np
import pytest

from gpu_thermo.data.tasks import TASKS, classification
from gpu_thermo.errors import SpecError
from gpu_thermo.spec.model import ModelSpec
from gpu_thermo.targets.activations import ACTIVATIONS, get_activation
from gpu_thermo.targets.likelihoods import DEFAULTS, LIKELIHOODS, SCORES, classes_of, get_likelihood
from gpu_thermo.targets.priors import PRIORS, get_prior


@pytest.mark.parametrize(
    ("get", "name", "near"),
    [(get_activation, "tanhh", "tanh"), (get_likelihood, "gausian", "gaussian"), (get_prior, "norma", "normal")],
)
def test_unknown_names_are_refused_with_the_nearest(get, name, near):
    with pytest.raises(SpecError, match=f"no .* '{name}'. Did you mean '{near}'. Known: "):
        get(name)


@pytest.mark.parametrize(
    "record", [*ACTIVATIONS.values(), *LIKELIHOODS.values(), *PRIORS.values()], ids=lambda r: r.name
)
def test_no_record_without_its_cpp(record):
    """Every text is asked for, but for those that follow from others."""
    for name in vars(record.code):
        if name not in ("by_value", "product"):
            for text in ("", "z", None):
                with pytest.raises(ValueError, match=rf"{record.name}'.*{name}"):
                    replace(record, code=replace(record.code, **{name: text}))


def test_constants_are_counted():
    many = {f"c{i}": 1.0 for i in range(5)}
    with pytest.raises(ValueError, match="4 at most"):
        replace(LIKELIHOODS["gaussian"], constants=lambda settings: many)
    with pytest.raises(ValueError, match="factor is missing"):
        replace(PRIORS["normal"], constants=lambda scale, points: {"precision": 1.0})


def test_a_spec_takes_what_has_a_record():
    for name in ACTIVATIONS:
        assert ModelSpec(activation=name).activation == name
    for name in DEFAULTS:
        assert ModelSpec(task=name).task == name
    assert set(DEFAULTS) == set(TASKS)


def test_tasks_and_likelihoods_are_found_by_either_name():
    for record in LIKELIHOODS.values():
        assert get_likelihood(record.name) is record
        assert get_likelihood(record.task) is DEFAULTS[record.task]
        assert (record.classes is None) == TASKS[record.task].numeric
    with pytest.raises(SpecError, match="'gaussian' has no classes"):
        classes_of("gaussian")


def test_classification_by_the_number_of_classes():
    assert [classification(n) for n in (2, 3, 100)] == ["binary", "multiclass", "multiclass"]


def test_names_of_outputs():
    classes, targets = ("no", "yes"), ("a", "b")
    assert LIKELIHOODS["bernoulli"].axis(classes, ()) == ("probability",)
    assert LIKELIHOODS["bernoulli"].names(classes, ()) == ("P(yes)",)
    assert LIKELIHOODS["categorical"].axis(classes, ()) == classes
    assert LIKELIHOODS["gaussian"].names((), targets) == targets


def test_scores():
    """Of sums over two points: accuracy is NaN for a replica that overflowed, an error is the root of a mean."""
    right, nll = np.array([1.0, 2.0, 0.0]), np.array([0.3, 0.1, np.inf])
    np.testing.assert_array_equal(SCORES["accuracy"].of(right, 2, 1, nll), [0.5, 1.0, np.nan])
    np.testing.assert_allclose(SCORES["rmse"].of(np.array([16.0]), 2, 2, nll[:1]), [2.0])
    assert SCORES["rmse"].lower_is_better
    assert not SCORES["accuracy"].lower_is_better


def test_a_prior_agrees_with_itself():
    """Its energy is factor times the sum of its terms; its draws have the slope's law: E[q dU/dq] = 1 / N."""
    noise = np.random.default_rng(0).normal(size=(4, 3, 100_000))
    for record in PRIORS.values():
        draws, c = 1.7 * record.draw(noise[: record.normals]), record.constants(1.7, 40)
        np.testing.assert_allclose(
            record.energy(draws, 1.7, 40), c["factor"] * record.term(draws, c).sum(axis=-1), rtol=1e-12
        )
        np.testing.assert_allclose((draws * record.slope(draws, c)).mean(axis=-1), 1 / 40, rtol=0.03)
