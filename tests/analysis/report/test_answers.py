"""What a report says of inputs: the effect that is there, importance of what matters, doubt about what is strange."""

import numpy as np
import pytest

from gpu_thermo.averages.predictive import predict
from gpu_thermo_analysis.report.answers import Answers, effect, importances, strangeness


@pytest.fixture
def answers(tree):
    """Of the run of numbers."""
    return Answers.of(tree)


def test_columns_are_those_of_the_table(answers):
    assert list(answers.columns) == ["a", "b", "colour"]


def test_draws_average_to_the_prediction(answers, tree):
    """Of all draws; here of those that are asked."""
    x = answers.data.x_test[0]
    s = answers.data.standardisation
    mean = predict(tree, x * s.sd[0] + s.mean[0], 0)["mean"].to_numpy()[:, 0]
    spread = answers.each(x).std(axis=0)
    assert (abs(answers.each(x).mean(axis=0) - mean) < 6 * spread / 120**0.5 + 0.02).all()


def test_effects_are_those_of_the_law(answers):
    """y = 2 a + [red]: the slope, the step, and no effect of b."""
    of_a = effect(answers, "a")
    slope = np.polyfit(of_a.places, of_a.mean, 1)[0]
    assert slope == pytest.approx(2, abs=0.25)
    assert (of_a.low < of_a.high).all()
    of_colour = effect(answers, "colour")
    step = dict(zip(of_colour.places, of_colour.mean, strict=True))
    assert len(step) == 2
    assert abs(np.ptp(of_colour.mean)) == pytest.approx(1, abs=0.3)
    of_b = effect(answers, "b")
    assert abs(np.polyfit(of_b.places, of_b.mean, 1)[0]) < 0.2


def test_what_matters_is_important(answers):
    found = {i.column: i.loss for i in importances(answers)}
    assert next(iter(found)) == "a"
    assert found["a"] > 3 * found["colour"] > 9 * abs(found["b"])


def test_strange_rows_are_doubted(answers):
    assert strangeness(answers).auc > 0.8
