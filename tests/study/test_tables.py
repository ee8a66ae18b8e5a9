"""Rows of a study by cell or field."""

from pathlib import Path

import pytest

from gpu_thermo.errors import SpecError
from gpu_thermo.study import comparisons, open_study, summaries

# -- numbers -----------------------------------------------------------------------------------------------------------


def test_tables(small: Path):
    """Groups by cell or by any field; paired comparisons; unknown names with the nearest."""
    study = open_study(small)
    rows = summaries(study)
    assert list(rows) == ["sgd", "adlala", "thick"]
    assert rows["adlala"].mean == pytest.approx(float(study["accuracy"][5:10].mean()))
    assert list(summaries(study, "nll", ["method"])) == ["sgd", "adlala", "thick"]
    assert [c.pairs for c in comparisons(study)] == [5, 5, 5]
    with pytest.raises(SpecError, match="Did you mean 'accuracy'"):
        summaries(study, "acuracy")
    with pytest.raises(SpecError, match="Did you mean 'stepsize'"):
        summaries(study, by=["stepsiz"])
