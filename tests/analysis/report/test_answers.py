"""What a report says of inputs: the effect that is there, importance of what matters, doubt about what is strange."""

import numpy as np
import pytest
import xarray as xr

from gpu_thermo.averages.predictive import predict
from gpu_thermo.data.dataset import Part, Schema, stack
from gpu_thermo.data.kinds import make_recipe
from gpu_thermo_analysis.report import sections
from gpu_thermo_analysis.report.answers import Answers, effect, effects_of, importances, strangeness


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
    assert step["red"] - step["<i>blue"] == pytest.approx(1, abs=0.3)
    of_b = effect(answers, "b")
    assert abs(np.polyfit(of_b.places, of_b.mean, 1)[0]) < 0.2


def test_what_matters_is_important(answers):
    found = {i.column: i.loss for i in importances(answers)}
    assert next(iter(found)) == "a"
    assert found["a"] > 3 * found["colour"] > 9 * abs(found["b"])


def test_strange_rows_are_doubted(answers):
    assert strangeness(answers).auc > 0.8


class Law:
    """A network that answers with 3 years + 2 cos of the month's angle, exactly."""

    class likelihood:
        class values:
            @staticmethod
            def location(phi):
                return phi

    @staticmethod
    def predict(networks, x):
        y = 3 * x[:, :1] + 2 * x[:, 2:3]
        return np.stack([y - 0.1, y + 0.1])


class OfDates(Answers):
    """Answers of it."""

    model, networks = Law(), np.zeros((2, 1))


def test_effects_of_dates_stand_at_dates():
    """Along real days, and at each month by its name."""
    days = np.datetime64("2019-01-01", "s") + np.arange(0, 1461, 3) * np.timedelta64(86400, "s")
    recipe = make_recipe({"when": days}, True, {}, "it")
    x = recipe.encode({"when": days})
    y = 3 * x[:, :1] + 2 * x[:, 2:3]
    schema = Schema("arrays", "regression", recipe.features, targets=("y",), recipe=recipe)
    data = stack(schema, [Part(x, y, x[:0], y[:0])], False)
    bare = xr.DataTree.from_dict({"/": xr.Dataset(), "constant_data": xr.Dataset()})
    found = {e.column: e for e in effects_of(OfDates(bare, data), "when")}
    assert list(found) == ["when", "when (month)", "when (weekday)"]
    along = found["when"]
    assert along.dates
    assert sections._day(along.places[0])[:4] == "2019"
    assert np.polyfit(along.places, along.mean, 1)[0] * 365.2425 == pytest.approx(3)
    month = found["when (month)"]
    assert month.places[0] == "Jan"
    assert np.ptp(month.mean) == pytest.approx(4, rel=0.05)
    assert month.places[int(month.mean.argmax())] in ("Jan", "Dec")
    assert np.ptp(found["when (weekday)"].mean) == pytest.approx(0, abs=1e-9)
    text = sections._drawn(OfDates(bare, data), along)
    assert "2020" in text
    assert "18262" not in text


@pytest.mark.parametrize(
    ("first", "last", "marks"),
    [
        ("2019-03-01", "2022-02-01", ["2020", "2021", "2022"]),
        ("1990-01-01", "2022-02-01", ["1990", "1995", "2000", "2005", "2010", "2015", "2020"]),
        ("2021-02-10", "2021-06-20", ["2021-03", "2021-04", "2021-05", "2021-06"]),
        ("2021-03-02", "2021-03-04", ["2021-03-02", "2021-03-03", "2021-03-04"]),
    ],
)
def test_axes_of_dates(first, last, marks):
    low, high = (float(np.datetime64(day, "D").astype(int)) for day in (first, last))
    found = sections.date_ticks(low, high)
    assert set(marks) >= {text for _, text in found}
    assert 2 <= len(found) <= 7
    for at, text in found:
        assert str(np.datetime64(int(at), "D")).startswith(text)
