"""Runs whose network is the user's own: what their store says, how they go on, and what refuses them."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from own_cases import LIBRARIES, OURS, dtype_of, forward, network, numpy_network

import gpu_thermo as gt
from gpu_thermo.errors import SpecError
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.store import read_header

SPEC = {
    "data": {"name": "spirals", "turns": 1, "train": 40, "test": 20},
    "run": {"replicas": 20, "steps": 60, "burn_in": 20, "thin": 10, "trace": 20, "batch": 8},
    "method": {"name": "splitting", "word": {"hidden": "BACDEDCAB", "output": "BAOAB"}, "stepsize": 0.05,
               "temperature": 1e-3, "friction": {"output": 1.0}, "sigma": {"hidden": 0.1}, "epsilon": {"hidden": 0.1}},
}  # fmt: skip


def spec(library="numpy", **model):
    return {**SPEC, "model": {"prior_sd": 1.0, "dtype": dtype_of(library), **model}}


def same(one, other):
    """Chains and averages, bit for bit."""
    for group in ("posterior", "sample_stats", "predictive", "probes"):
        for name, values in one[group].to_dataset().data_vars.items():
            np.testing.assert_array_equal(values.to_numpy(), other[group][name].to_numpy(), err_msg=name)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_run_goes_on_bit_for_bit(tmp_path, library):
    """Stopped and resumed it is the run that never stopped; its parameters have names and its spec says whose network
    it is.
    """
    given = network(library)
    whole = gt.sample(spec(library), tmp_path / "whole.zarr", network=given)
    stored = json.loads(whole.attrs["spec"])["model"]
    assert stored["network"] == {
        "library": library, "label": given.label, "parameters": 41, "sha256": given.sha256
    }  # fmt: skip
    assert "hidden" not in stored
    assert set(whole["posterior"].data_vars) == set(given.tensors)
    assert set(whole["sample_stats"]["partition"].values) == {"hidden", "output"}
    path = tmp_path / "part.zarr"
    gt.sample(spec(library), path, network=given, time_limit=0)
    same(gt.resume(path, network=network(library)), whole)
    assert gt.resume(path, draws=1, network=given)["posterior"].sizes["draw"] == 5
    longer = {**spec(library), "run": {**SPEC["run"], "steps": 80}}
    assert gt.resume(path, longer, network=given)["posterior"].sizes["draw"] == 6


def test_another_network_is_refused(tmp_path):
    path = tmp_path / "run.zarr"
    run = gt.sample(spec(), path, network=numpy_network(), time_limit=0)
    other = gt.NumpyNetwork({"hidden.w": np.ones((3, 2))}, lambda p, x: (x, None))
    with pytest.raises(SpecError, match=r"'plain' of 41 parameters: this one has hidden_w \(3, 2\)"):
        gt.resume(path, network=other)
    sine = numpy_network(
        forward=lambda p, x: (np.sin(forward(p, x)), lambda d: numpy_network()._vjp(p, x, d * np.cos(forward(p, x)))),
        vjp=None,
    )
    for use in (lambda: gt.resume(path, network=sine), lambda: gt.predict(run, [[0.0, 1.0]], network=sine)):
        with pytest.raises(SpecError, match="at the probe its outputs differ by up to"):
            use()


def test_what_needs_the_network_says_so(tmp_path):
    """In Python and on the command line, in a sentence; what does not need it works."""
    from cli_cases import call, check_refused

    from gpu_thermo_analysis.diagnostics import diagnose
    from gpu_thermo_analysis.maps import save_map, uncertainty_map

    path, given = tmp_path / "run.zarr", numpy_network()
    run = gt.sample({**spec(), "run": {**SPEC["run"], "thin": 5}}, path, network=given)
    for use in (
        lambda: gt.resume(path, draws=1),
        lambda: gt.predict(run, [[0.0, 1.0]]),
        lambda: save_map(run, tmp_path / "map.png"),
        lambda: gt.plan(RunSpec.from_json(run.attrs["spec"])),
    ):
        with pytest.raises(SpecError, match=r"network was given in Python.*predict\(run, x, network=\.\.\.\)"):
            use()
    (tmp_path / "points.csv").write_text("x1,x2\n0,1\n")
    predict = call("predict", str(path), str(tmp_path / "points.csv"), "--out", str(tmp_path / "out.csv"))
    for refused in (
        predict,
        call("resume", str(path), "--draws", "1"),
        call("map", str(path), "--out", str(tmp_path / "m.png")),
    ):
        check_refused(refused, ["network was given in Python"])
    shown = call("info", str(path))
    assert shown.exit_code == 0
    assert "41 parameters" in shown.stdout
    assert 'label = "plain"' in shown.stdout
    assert call("diagnose", str(path)).exit_code == 0
    verdicts = [v.text for v in diagnose(run).ensembles[0].verdicts]
    assert any("Configurational temperature: needs the network" in text for text in verdicts)
    assert any("All chains start at one place" in text for text in verdicts)
    drawn = uncertainty_map(run, resolution=4, network=given)
    grid = np.stack(np.meshgrid(drawn["u"], drawn["v"]), axis=-1).reshape(-1, 2)
    wanted = gt.predict(run, grid, network=given)["mean"].to_numpy().reshape(4, 4)
    np.testing.assert_allclose(drawn["mean"].to_numpy()[..., 0], wanted)


def test_a_network_and_ours_exclude_each_other():
    given = numpy_network()
    for model in ({"hidden": 5}, {"activation": "tanh"}):
        with pytest.raises(SpecError, match="which describes ours: leave it out"):
            gt.plan(spec(**model), network=given)
    with pytest.raises(SpecError, match="target 'plane': leave out one"):
        gt.plan({"target": {"name": "plane"}, "method": {"name": "sgld"}}, network=given)
    with pytest.raises(SpecError, match=r"no partition 'encoder'.*Names: hidden, output"):
        gt.plan({**spec(), "method": {**SPEC["method"], "word": {"encoder": "BAOAB"}}}, network=given)
    with pytest.raises(SpecError, match="given in Python"):
        gt.sample(spec(network={"library": "jax", "label": "x", "parameters": 3, "sha256": "0" * 64}))


def test_iterate_moves_and_frozen_parts():
    given = numpy_network()
    method = {**SPEC["method"], "word": {"hidden": "BAOAB", "output": "BAOAB"}, "friction": 1.0, "freeze": ["output"]}
    method = {key: value for key, value in method.items() if key not in ("sigma", "epsilon")}
    moves = [{"kind": "exchange", "temperatures": [1e-3, 4e-3], "interval": 10}]
    last = list(gt.iterate({**spec(), "method": method, "moves": moves}, network=given))[-1]
    np.testing.assert_array_equal(last.position[:, 30:40], np.tile(OURS["w2"], (20, 1)))
    assert (last.position[:, :20] != OURS["w1"].ravel()).all()


def test_a_study_says_that_it_takes_no_network(tmp_path):
    from gpu_thermo.study import run_study

    own = {"library": "jax", "label": "x", "parameters": 3, "sha256": "0" * 64}
    study = {
        "data": SPEC["data"], "model": {"network": own}, "seeds": {"count": 2}, "grid": {"method": [{"name": "sgd"}]},
        "run": {"steps": 20},
    }  # fmt: skip
    with pytest.raises(SpecError, match="network was given in Python"):
        run_study(study, tmp_path / "study.zarr")


RUNS = """
import sys
sys.path[:0] = [{helpers!r}]
import gpu_thermo as gt
from own_cases import network
from test_own_run import SPEC
store, what, library = sys.argv[1:]
more = dict(commit_seconds=0.05)
if what == "sample":
    gt.sample(SPEC, store, network=network(library), **more)
else:
    gt.resume(store, network=network(library), **more)
"""


@pytest.mark.slow
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_killed_run_goes_on_in_another_process_bit_for_bit(tmp_path, library):
    """SIGKILL in the middle, several times."""
    network(library)  # skipped where it is not installed
    steps = {"replicas": 100, "steps": 3000, "burn_in": 0, "thin": 100, "trace": 500, "batch": 8}
    given = {**spec(library), "run": {**SPEC["run"], **steps}}
    (tmp_path / "test_own_run.py").write_text(f"SPEC = {given!r}")
    helpers = str(Path(__file__).parents[1] / "helpers")
    (tmp_path / "go.py").write_text(RUNS.format(helpers=helpers))

    def go(store, what, kill_after=None):
        program = [sys.executable, str(tmp_path / "go.py"), str(store), what, library]
        with subprocess.Popen(program, cwd=tmp_path, stderr=subprocess.PIPE) as process:
            if kill_after is not None:
                waited = time.monotonic()
                while not (store.exists() and read_header(store).step >= kill_after):
                    assert process.poll() is None, process.stderr.read().decode()
                    assert time.monotonic() - waited < 120
                    time.sleep(0.02)
                process.kill()
            error = process.stderr.read().decode()
        assert kill_after is not None or process.returncode == 0, error

    go(tmp_path / "whole.zarr", "sample")
    go(tmp_path / "cut.zarr", "sample", kill_after=300)
    step = read_header(tmp_path / "cut.zarr").step
    assert step < 3000, "killed too late to see anything"
    go(tmp_path / "cut.zarr", "resume", kill_after=step + 500)
    go(tmp_path / "cut.zarr", "resume")
    same(gt.open_run(tmp_path / "whole.zarr"), gt.open_run(tmp_path / "cut.zarr"))
