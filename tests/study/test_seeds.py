"""Seeds of a study: counts, lists, in step or all combinations."""

import pytest
from pydantic import ValidationError

from gpu_thermo.study.seeds import SeedsSpec


@pytest.mark.parametrize(
    ("seeds", "table"),
    [
        ({"count": 3}, ([0, 1, 2], [0, 1, 2], [0, 1, 2])),
        ({"count": 2, "data": 1}, ([0, 0], [0, 1], [0, 1])),
        ({"data": [7, 9], "init": 1}, ([7, 9], [0, 0], [0, 1])),
        ({"data": 2, "init": [5, 3], "combine": "product"}, ([0, 0, 1, 1], [5, 3, 5, 3], [0, 0, 0, 0])),
    ],
)
def test_seeds(seeds: dict, table: tuple):
    """Counts, lists, one shared seed, products."""
    assert tuple(v.tolist() for v in SeedsSpec(**seeds).table()) == table


@pytest.mark.parametrize(
    ("seeds", "says"),
    [
        ({"data": 0}, "no number of seeds"),
        ({"init": []}, "at least one seed"),
        ({"init": [1, 1]}, "none twice"),
        ({"dynamics": [2**32]}, "outside 0 to 4294967295"),
        ({"data": 2, "init": 3}, "cannot go in step"),
    ],
)
def test_impossible_seeds(seeds: dict, says: str):
    with pytest.raises(ValidationError, match=says):
        SeedsSpec(**seeds)
