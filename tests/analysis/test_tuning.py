"""The picture of how a run tuned itself."""

import pytest
from tuned_cases import well

from gpu_thermo import sample
from gpu_thermo.tuning.told import Told
from gpu_thermo_analysis.drawing import NotWrittenError
from gpu_thermo_analysis.tuning import draw_tuning, save_tuning


@pytest.fixture(scope="module")
def told():
    return Told.of(sample(well())["tuning"].attrs)


def test_shows_all_of_it(told):
    figure = draw_tuning(told)
    stepsize, energy, tests, error = figure.axes
    stages = [line for line in told.course.log if line["stepsize"]]
    assert len(stepsize.lines) == len(stages)
    assert len(energy.lines[0].get_xdata()) == sum(line.get("energy") is not None for line in told.course.log)
    assert error.lines[0].get_ydata()[-1] == told.verdict.error
    assert told.tuner.tolerance in error.lines[-1].get_ydata()
    assert len(tests.get_legend().get_texts()) == 2
    assert "may be trusted" in figure.get_suptitle()


def test_is_written_or_said_not_to_be(told, tmp_path):
    save_tuning(told, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 10_000
    with pytest.raises(NotWrittenError, match="cannot be written"):
        save_tuning(told, tmp_path / "nowhere" / "a.png")
