"""Chunks of one array."""

import pytest

from gpu_thermo.store.arrays import growing_chunks


@pytest.mark.parametrize(
    ("lead", "cell", "draws"),
    [(1, 4, 0), (256, 800, 100), (300, 800, 7), (10_000, 8, 5), (3, 8 << 20, 9), (4096, 1604, 1000)],
)
def test_chunks(lead: int, cell: int, draws: int) -> None:
    chains, length = growing_chunks(lead, cell, draws)
    assert 1 <= chains <= lead
    assert 1 <= length <= max(1, min(32, draws))
    assert chains * length * cell <= max(2 << 20, cell)
    assert chains * -(-lead // chains) - lead < -(-lead // chains)  # evened out: less than one chain a block is padding
