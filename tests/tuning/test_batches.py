"""Sizes of minibatches that are tried, and which is taken."""

from gpu_thermo.tuning import rules
from gpu_thermo.tuning.batches import sizes, smallest


def test_sizes():
    """Parts of the data, of 16 points at least."""
    assert sizes(640) == (20, 40, 80, 160)
    assert sizes(64) == (16,)
    assert sizes(60) == ()
    assert sizes(100_001) == (1_563, 3_126, 6_251, 12_501, 25_001)


def test_the_smallest_that_is_quiet():
    assert smallest({20: 0.5, 40: rules.QUIET, 80: 0.001}) == 40
    assert smallest({20: 0.5}) == smallest({}) == 0
