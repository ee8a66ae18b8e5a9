"""The playground: its networks are the run's, its pictures have their numbers, and its notebook runs."""

import json
import subprocess
import sys

import numpy as np
import pytest
from site_pages import ROOT, playground

import gpu_thermo as gt

MAPS = playground.maps()
FOLDER = ROOT / "docs" / "playground"


def test_its_networks_predict_as_the_run_does():
    """Probabilities written out in the notebook's module against the library's own averages."""
    spec = {**MAPS.SPEC, "run": {**MAPS.SPEC["run"], "replicas": 4, "steps": 40, "thin": 20, "trace": 20}}
    run = gt.sample(spec, engine="batched")
    draws = [run["posterior"][name].to_numpy().reshape(8, -1) for name in ("w1", "b1", "w2", "b2")]
    mean, information = MAPS.doubt(MAPS.probabilities(np.concatenate(draws, axis=1), MAPS.grid(5)))
    answer = gt.predict(run, MAPS.grid(5), ensemble=0)
    assert mean == pytest.approx(answer["mean"].isel(output=-1).to_numpy(), abs=1e-5)
    assert information == pytest.approx(answer["mutual_information"].to_numpy(), abs=1e-5)


def test_every_setting_has_a_picture_and_numbers():
    text = (FOLDER / "grid.js").read_text()
    told = json.loads(text.removeprefix(playground.VARIABLE).rstrip().removesuffix(";"))
    assert {name: tuple(values) for name, values in told["axes"].items()} == playground.AXES
    assert len(told["numbers"]) == len(playground.settings())
    shown = (FOLDER / "grid.png").read_bytes()
    width, height = (int.from_bytes(shown[at : at + 4], "big") for at in (16, 20))
    assert (width, height) == (2 * playground.SIDE, playground.SIDE * len(told["numbers"]))


def test_the_numbers_are_as_they_should_be():
    """Kinetic temperatures are tau wherever the stepsize is small, and short runs of small steps have learned less."""
    text = (FOLDER / "grid.js").read_text()
    told = json.loads(text.removeprefix(playground.VARIABLE).rstrip().removesuffix(";"))
    found = [dict(setting, **n) for setting, n in zip(playground.settings(), told["numbers"], strict=True)]
    assert all(abs(n["kinetic"] - 1) < 0.15 for n in found if n["stepsize"] <= 0.1)
    at = {n["stepsize"]: n["accuracy"] for n in found if n["temperature"] == 0.005 and n["friction"] == 3.0}
    assert at[0.3] > at[0.02] + 0.05


@pytest.mark.slow
def test_the_notebook_runs():
    """As a script, with the sliders where they start."""
    pytest.importorskip("marimo")
    done = subprocess.run([sys.executable, "spiral.py"], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
