"""Rungs are added until the evidence asks for no more."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from cli_cases import call

import gpu_thermo as gt
from gpu_thermo.averages.evidence import integrate, more_rungs
from gpu_thermo.errors import SpecError
from gpu_thermo.settle import with_temperatures
from gpu_thermo.spec.run import RunSpec

HERE = importlib.util.spec_from_file_location("evidence_cases", Path(__file__).parent / "averages/test_evidence.py")
cases = importlib.util.module_from_spec(HERE)
HERE.loader.exec_module(cases)


def short(rungs, ladders=16):
    """The linear regression of test_evidence.py, on a ladder that is too short."""
    spec = cases.spec(ladders)
    move = {"kind": "exchange", "temper": "likelihood", "rungs": rungs, "interval": 4}
    return spec | {"moves": [move], "run": {**spec["run"], "replicas": rungs * ladders, "steps": 1200}}


def test_rungs_are_added_until_they_are_enough(tmp_path):
    """From 4 rungs, which are far off, to a ladder within 3 errors and .1 nat of the closed form."""
    told = []
    tree, (found,) = gt.sample_evidence(
        short(4), tmp_path / "run.zarr", data=cases.DATA, init=cases.START, on_round=told.append
    )
    assert told[0].startswith("4 rungs")
    assert len(told) > 1
    assert len(found.powers) - 1 > 8
    assert found.temperatures == ()
    assert found.warnings == ()
    assert abs(found.log_evidence - cases.exact()) < min(3 * found.error, 0.1)
    first = float(told[0].split(": ")[1].split()[0])
    assert abs(first - cases.exact()) > 0.1, "four rungs are too few here"
    assert gt.open_run(tmp_path / "run.zarr").attrs["spec"] == tree.attrs["spec"]
    assert tree["sample_stats"].sizes["chain"] == 16


def test_the_command_extends_a_run(tmp_path):
    gt.sample(short(5), tmp_path / "run.zarr", data=cases.DATA, init=cases.START).close()
    done = call("evidence", f"{tmp_path}/run.zarr")
    assert "in place of 5" in done.stderr
    done = call("evidence", f"{tmp_path}/run.zarr", "--extend", f"{tmp_path}/more.zarr", "--json", "-q")
    assert done.exit_code == 0, done.stderr
    (one,) = json.loads(done.stdout)["ensembles"]
    assert one["temperatures"] == []
    assert abs(one["log_evidence"] - cases.exact()) < 3.5 * one["error"] < 0.4
    again = call("evidence", f"{tmp_path}/more.zarr", "--extend", f"{tmp_path}/most.zarr")
    assert "The rungs are enough" in again.stderr
    assert not (tmp_path / "most.zarr").exists()
    assert gt.open_run(tmp_path / "run.zarr")["sample_stats_rungs"].sizes["replica"] == 80, "untouched"


def test_where_rungs_go():
    """In the middle of the pairs whose halves disagree: none for a line, all where the integrand has a step."""
    b = np.linspace(0, 1, 9) ** 5
    assert more_rungs(b, b * 2 - 1, b * 0 + 2).size == 0
    m = np.where(b > b[4], 3.0, 0.0)
    found = 1 / more_rungs(b, m, b * 0)
    new = [((b[k] ** 0.2 + b[k + 1] ** 0.2) / 2) ** 5 for k in (4, 5)]
    assert found.tolist() == pytest.approx(sorted([*b[1:], *new], reverse=True))
    assert found[0] == 1
    line = float(integrate(b, b * 2 - 1, b * 0 + 2))
    assert line == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": {"stepsize": [0.1] * 8}}, "method.stepsize names rungs or replicas one by one"),
        ({"moves": {"stepsize": [0.1] * 4}}, "moves.stepsize names rungs"),
    ],
)
def test_what_cannot_be_extended(change, message):
    spec = short(4, 2)
    spec["method"] |= change.get("method", {})
    spec["moves"][0] |= change.get("moves", {})
    with pytest.raises(SpecError, match=message):
        with_temperatures(RunSpec.from_dict(spec | {"data": {"name": "arrays"}}), [1.0, 2.0, 4.0])
