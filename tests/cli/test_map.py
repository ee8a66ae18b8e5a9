"""Maps drawn and saved."""

from pathlib import Path

import xarray
from cli_cases import call, check_refused, sampled, sets


def test_map_draws_and_saves(folder: Path, done: Path) -> None:
    result = call("map", "run.zarr", "--out", "map.png", "--data", "map.zarr", "--resolution", "20")
    assert result.exit_code == 0, result.stderr
    assert "map in map.png, its numbers in map.zarr" in result.stderr
    assert (folder / "map.png").read_bytes()[:4] == b"\x89PNG"
    with xarray.open_zarr("map.zarr", chunks=None, consolidated=False) as numbers:
        assert numbers["mean"].shape == (20, 20, 1)
    check_refused(call("map", "run.zarr", "--out", "map.png"), ["map.png", "exists", "--overwrite"])
    check_refused(call("map", "run.zarr", "--out", "new.png", "--features", "x1,x3"), ["'x3'", "Features: x1, x2"])
    check_refused(call("map", "run.zarr", "--out", "new.png", "--ensemble", "4"), ["ensemble 4"])


def test_map_says_what_is_held_fixed() -> None:
    sampled(*sets("data.name=wine"))
    chosen = call("map", "run.zarr", "--out", "chosen.svg", "--resolution", "10", "--features", "alcohol, hue")
    assert chosen.exit_code == 0, chosen.stderr
    assert "11 other features held" in chosen.stderr
