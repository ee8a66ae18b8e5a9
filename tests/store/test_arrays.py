"""Chunks of one array."""

import pytest

from gpu_thermo.store.arrays import MOST_BLOCKS, growing_chunks


@pytest.mark.parametrize(
    ("lead", "cell", "draws"),
    [(1, 4, 0), (256, 800, 100), (300, 800, 7), (10_000, 8, 5), (3, 8 << 20, 9), (4096, 1604, 1000), (10**6, 1604, 9)],
)
def test_chunks(lead: int, cell: int, draws: int) -> None:
    chains, length = growing_chunks(lead, cell, draws)
    assert 1 <= chains <= lead
    assert 1 <= length <= max(1, min(32, draws))
    assert -(-lead // chains) <= max(MOST_BLOCKS, -(-lead // 256))
    assert chains * length * cell <= max(2 << 20, cell * -(-lead // MOST_BLOCKS))
    assert chains * -(-lead // chains) - lead < -(-lead // chains)  # evened out: less than one chain a block is padding
