"""Figures about the networks themselves."""

from pathlib import Path

import numpy as np
import pytest
from figure_cases import STUDY

from gpu_thermo.study import run_study
from gpu_thermo_analysis.paper import networks as nets


def test_networks_are_read_back(tmp_path: Path):
    """Kept parameters give the recorded loss, sizes without padding, classifiers and lines; the ends of a line are its
    networks.
    """
    grid = {
        "model.init": ["he", "normal"],
        "data": [
            {"label": "spirals b 2", **STUDY["data"]},
            {"label": "digits", "name": "digits", "test_fraction": 0.8},
        ],
    }
    options = {"study": {"keep": True}, "seeds": {"count": 3, "data": 1, "init": 1}}
    study = run_study(
        {"model": STUDY["model"], "run": STUDY["run"], "method": {"name": "adam"}, "grid": grid} | options,
        tmp_path / "s.zarr",
    )
    for row in (0, 4):
        data = nets.data_of(study, row)
        assert nets.weights(study, row)[2].shape == (1, data.outputs, 6)
        assert nets.loss(nets.weights(study, row), data)[-1] == pytest.approx(float(study["loss"][row]), rel=1e-5)
        ends = nets.along(study, row, np.array([0.0, 1.0]))
        assert ends[1] == pytest.approx(float(study["loss"][row]), rel=1e-5)
        assert ends[0] == pytest.approx(float(nets.loss(nets.weights(study, row, initial=True), data)[0]))
    assert len(nets.lines(study).rows) == 4 * 3 * 61
    assert len(nets.planes(study).rows) == 4 * 41 * 41
    assert len(nets.barrier_claims(study)) == len(nets.barrier_claims(study, minima=True)) == 4
    assert all((v > -1).all() for v in nets.barriers(study).values())
    assert len(nets.classifiers(study.isel(chain=slice(0, 3)).assign_attrs(cells='["spirals b 2"]')).rows) == 2
