"""Runs on potentials: chains and averages in the store, a user's own potential, resuming it, refusals."""

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

import gpu_thermo as gt
from gpu_thermo.errors import SpecError
from gpu_thermo.store import read_header
from gpu_thermo_cli.main import app

LANGEVIN = {"name": "langevin", "stepsize": 0.3, "temperature": 2.0, "friction": 1.0}
RUN = {"replicas": 300, "steps": 400, "burn_in": 100, "thin": 10, "trace": 50}
WELL = {"target": {"name": "harmonic", "size": 3}, "method": LANGEVIN, "run": RUN}
OWN = {"target": {"name": "custom", "size": 2}, "method": LANGEVIN, "run": RUN}


def bowl(stiffness):
    """k |q|^2 / 2 as a user would write it."""
    return gt.UserPotential(lambda q: stiffness * (q * q).sum(axis=-1) / 2, 2, gradient=lambda q: stiffness * q)


def test_chains_energies_and_averages_are_those_of_the_potential(tmp_path):
    tree = gt.sample(WELL, tmp_path / "run.zarr")
    q = tree["posterior"]["position"].to_numpy()
    assert q.shape == (300, 30, 3)
    stats = tree["sample_stats"]
    assert np.allclose(stats["energy"], (q**2).sum(axis=-1) / 2)
    assert np.array_equal(stats["lp"], -stats["energy"])
    assert np.allclose(tree["predictive"]["mean"].to_numpy()[0, :, 0], q.mean(axis=(0, 1)))
    assert np.allclose(tree["predictive"]["variance"].to_numpy()[0, :, 0], q.var(axis=(0, 1)))
    square = (q**2).mean(axis=(1, 2))
    assert abs(square.mean() - 2.0) < 5 * square.std(ddof=1) / np.sqrt(300)  # BAOAB: <q^2> = tau / k exactly
    assert "probes" not in tree.children
    plain = (
        xr.open_datatree(tmp_path / "run.zarr", engine="zarr", group="posterior")
        if hasattr(xr, "open_datatree")
        else None
    )
    assert plain is not None
    assert plain["position"].sizes["chain"] == 300


def test_a_potential_of_ones_own(tmp_path):
    path = tmp_path / "own.zarr"
    whole = gt.sample(OWN, potential=bowl(4.0))
    gt.sample(OWN, path, potential=bowl(4.0), time_limit=0)
    assert read_header(path).step < RUN["steps"]
    with pytest.raises(SpecError, match="custom"):
        gt.resume(path)
    with pytest.raises(SpecError, match="not the one"):
        gt.resume(path, potential=bowl(5.0))
    tree = gt.resume(path, potential=bowl(4.0))
    assert np.array_equal(tree["posterior"]["position"], whole["posterior"]["position"])
    square = (whole["posterior"]["position"].to_numpy() ** 2).mean(axis=(1, 2))
    assert abs(square.mean() - 0.5) < 5 * square.std(ddof=1) / np.sqrt(300)


def test_noise_of_the_energy_does_not_reach_the_record():
    tree = gt.sample({**WELL, "target": {"name": "harmonic", "size": 3, "energy_noise_sd": 5.0}})
    assert np.allclose(tree["sample_stats"]["energy"], (tree["posterior"]["position"] ** 2).sum("coordinate") / 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": {"name": "spirals"}}, "both given"),
        ({"model": {"hidden": 4}}, "both given"),
        ({"method": None}, r"needs \[method\]"),
        ({"method": {"name": "lol"}}, "hidden"),
        ({"method": LANGEVIN | {"posterior_temperature": 1.0}}, "posterior_temperature"),
        ({"run": RUN | {"batch": 5}}, "run.batch is about data"),
        ({"target": {"name": "harmonics"}}, "Did you mean 'harmonic'"),
        ({"target": {"name": "custom", "size": 2}}, "potential="),
        ({"target": {"name": "harmonic", "sise": 2}}, "Did you mean 'size'"),
    ],
)
def test_what_cannot_be_is_refused(change, message):
    spec = {key: value for key, value in (WELL | change).items() if value is not None}
    if "posterior_temperature" in str(change):
        spec["method"] = {key: value for key, value in spec["method"].items() if key != "temperature"}
    with pytest.raises(SpecError, match=message):
        gt.sample(spec)


def test_a_potential_goes_with_custom_only():
    with pytest.raises(SpecError, match="custom"):
        gt.sample(WELL, potential=bowl(1.0))
    with pytest.raises(SpecError, match="custom"):
        gt.sample({"run": {"replicas": 2}}, potential=bowl(1.0))
    with pytest.raises(SpecError, match="size"):
        gt.sample({**OWN, "target": {"name": "custom", "size": 3}}, potential=bowl(1.0))


def test_the_command_line_samples_reports_and_refuses(tmp_path):
    spec = tmp_path / "well.toml"
    spec.write_text('[target]\nname = "double_well"\n[method]\nname = "sgld"\nstepsize = 0.01\ntemperature = 0.5\n'
                    '[run]\nreplicas = 12\nsteps = 200\nburn_in = 100\nthin = 10\n'
                    '[[moves]]\nkind = "exchange"\nrungs = 3\nhottest = 4.0\ninterval = 5\n')  # fmt: skip
    run = lambda *a: CliRunner().invoke(app, [str(x) for x in a], prog_name="gpu-thermo")  # noqa: E731
    done = run("sample", spec, "--out", tmp_path / "well.zarr", "--device", "cpu")
    assert done.exit_code == 0, done.stderr
    assert "acceptance" in done.stdout
    assert run("info", tmp_path / "well.zarr").exit_code == 0
    assert '"kind": "exchange"' in run("info", tmp_path / "well.zarr", "--json").stdout
    assert "moves" in run("sample", spec, "--dry-run").stdout
    refused = run("map", tmp_path / "well.zarr", "--out", tmp_path / "map.png")
    assert refused.exit_code == 2
    assert "samples a potential" in refused.stderr
