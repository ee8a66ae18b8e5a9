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


SPEC = """
[data]
name = "moons"
train = 40
test = 20
[model]
hidden = [4, 3]
activation = "tanh"
prior_sd = 1.0
"""


def test_map_of_a_prior_needs_no_run(folder: Path) -> None:
    (folder / "spec.toml").write_text(SPEC)
    result = call("map", "spec.toml", "--prior", "--out", "prior.png", "--resolution", "12", "--draws", "30")
    assert result.exit_code == 0, result.stderr
    assert "30 draws from the prior" in result.stderr
    assert "bernoulli; prior normal, scale 1" in " ".join(result.stderr.split())
    assert (folder / "prior.png").read_bytes()[:4] == b"\x89PNG"
    assert not list(folder.glob("*.zarr"))
    changed = call(
        "map", "spec.toml", "--prior", "--out", "two.svg", "--set", "model.prior=laplace", "--resolution", "9",
        "--features", "x1", "--draws", "9",
    )  # fmt: skip
    assert changed.exit_code == 0, changed.stderr
    assert "prior laplace" in " ".join(changed.stderr.split())


def test_maps_of_priors_that_cannot_be_made_are_refused(folder: Path, done: Path) -> None:
    (folder / "spec.toml").write_text(SPEC.replace("prior_sd = 1.0", ""))
    out = ("--out", "prior.png")
    check_refused(call("map", "spec.toml", "--prior", *out), ["needs prior_sd", "prior_sd = 1.0"])
    check_refused(call("map", "spec.toml", *out), ["spec.toml", "is a file", "gpu-thermo sample", "--prior"])
    check_refused(call("map", "run.zarr", "--prior", *out), ["run.zarr", "folder", "--prior takes the spec"])
    check_refused(call("map", "nothing.toml", "--prior", *out), ["nothing.toml"])
    check_refused(call("map", "spec.toml", "--prior", "--ensemble", "1", *out), ["--ensemble", "leave out one"])
    check_refused(call("map", "run.zarr", "--set", "run.seed=1", *out), ["--set", "--prior"])
    check_refused(call("map", "run.zarr", "--draws", "5", *out), ["--draws", "--prior"])
    assert not (folder / "prior.png").exists()


def test_titles_call_a_file_by_its_name(folder: Path) -> None:
    """Those of maps, of maps of the prior, and of info."""
    (folder / "tables").mkdir()
    rows = "".join(f"{i},{(7 * i) % 5},{i % 2}\n" for i in range(30))
    (folder / "tables" / "mill.csv").write_text("heat,load,fault\n" + rows)
    given = sets("data.name=csv", "data.path=tables/mill.csv", "data.target=fault")
    spec = (folder / "run.toml").read_text().replace('"spirals"', '"csv"').replace("train = 40", 'target = "fault"')
    spec = spec.replace("test = 20", 'path = "tables/mill.csv"').replace("hidden = 4", "hidden = 4\nprior_sd = 1.0")
    (folder / "prior.toml").write_text(spec)
    found = sampled(*given)
    drawn = call("map", found["store"], "--out", "map.png", "--resolution", "5")
    assert "mill.csv: 8 networks, 32 draws: map in map.png" in " ".join(drawn.stderr.split()), drawn.stderr
    prior = call("map", "prior.toml", "--prior", "--out", "prior.png", "--resolution", "5", "--draws", "30")
    assert "mill.csv: 30 draws from the prior" in " ".join(prior.stderr.split()), prior.stderr
    told = call("info", found["store"])
    assert "mill.csv" in told.stdout.split('path = "')[0]
