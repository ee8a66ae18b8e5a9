"""Bytes of finished stores, against stores."""

from pathlib import Path

import pytest
from store_cases import advance, make_header

from gpu_thermo.store import RunWriter, array_bytes, disk_bill, draw_bytes, gathering_bytes, open_run


def written(path: Path, replicas: int, draws: int, at_once: int = 10) -> Path:
    """A finished store."""
    with RunWriter.create(path, make_header(replicas=replicas, draws=draws, trace_steps=draws)) as writer:
        for start in range(0, draws, at_once):
            advance(writer, start, min(at_once, draws), replicas=replicas)
    return path


def disk_use(path: Path) -> int:
    return sum(entry.stat().st_blocks * 512 for entry in path.rglob("*"))


@pytest.mark.parametrize(("replicas", "draws", "within"), [(300, 40, 0.2), (5000, 2, 0.3)])
def test_disk_bill(tmp_path: Path, replicas: int, draws: int, within: float) -> None:
    path = written(tmp_path / "run.zarr", replicas, draws)
    header = make_header(replicas=replicas, draws=draws, trace_steps=draws)
    assert disk_bill(header) == pytest.approx(disk_use(path), rel=within)


def test_ten_times_the_replicas_and_draws() -> None:
    small, large = make_header(replicas=300, draws=40), make_header(replicas=3000, draws=400)
    assert disk_bill(large) > 50 * disk_bill(small) / 2


def test_bytes_of_all_arrays_and_of_one_draw(tmp_path: Path) -> None:
    """Exactly, texts as 16 bytes each: a draw is what each group's arrays along `draw` have, divided by the draws."""
    header = make_header(replicas=30, draws=8, trace_steps=8)
    tree = open_run(written(tmp_path / "run.zarr", 30, 8))
    arrays = {
        f"{node.path}/{name}": v
        for node in tree.subtree
        for name, v in node.to_dataset(inherit=False).variables.items()
    }
    assert array_bytes(header) == sum(16 * v.size if v.dtype.kind in "OTU" else v.nbytes for v in arrays.values())
    for group, size in draw_bytes(header).items():
        grown = [v for name, v in arrays.items() if name.startswith(f"/{group}/") and "draw" in v.dims]
        assert size == sum(v.nbytes for v in grown) // 8, group
    assert gathering_bytes(header) == 0 or gathering_bytes(header) >= sum(draw_bytes(header).values())
