"""What is no run is answered in a sentence, by everything that takes one."""

import numpy as np
import pytest
import xarray as xr

import gpu_thermo as gt
from gpu_thermo.averages.predictive import scores_on_test
from gpu_thermo.errors import GpuThermoError, StoreError
from gpu_thermo.store import open_run, read_checkpoint, read_header, verify_store
from gpu_thermo_analysis.diagnostics import diagnose
from gpu_thermo_analysis.maps import uncertainty_map

SPEC = {"data": {"name": "moons", "train": 30, "test": 10}, "model": {"hidden": 3},
        "run": {"replicas": 4, "steps": 40, "burn_in": 0, "thin": 10}}  # fmt: skip
LANGEVIN = {"name": "langevin", "stepsize": 0.1, "temperature": 1.0}
POTENTIAL = {"target": {"name": "harmonic", "size": 2}, "method": LANGEVIN, "run": SPEC["run"]}
X = np.zeros((1, 2))
READERS = {
    "predict": lambda run: gt.predict(run, X), "scores": scores_on_test, "diagnose": diagnose, "map": uncertainty_map,
}  # fmt: skip
BY_NAME = {
    "resume": gt.resume, "open_run": open_run, "read_header": read_header, "verify_store": verify_store,
    "read_checkpoint": read_checkpoint,
}  # fmt: skip


@pytest.fixture(scope="module")
def run():
    return gt.sample(SPEC)


@pytest.mark.parametrize("reader", READERS)
def test_trees_that_are_no_run(run, reader):
    """Without attributes, a group, a group's data set, nothing, a number; the run itself is read."""
    bare = xr.DataTree.from_dict({name: node.to_dataset().drop_attrs() for name, node in run.children.items()})
    for tree, words in (
        (bare, "lost its attributes"), (run["posterior"], "group 'posterior' of a run"), (xr.DataTree(), "no run"),
        (run["posterior"].to_dataset(), "one group of a run"), (None, "NoneType"), (3, "int"),
    ):  # fmt: skip
        with pytest.raises(GpuThermoError, match=words):
            READERS[reader](tree)
    READERS[reader](run)


@pytest.mark.parametrize("reader", BY_NAME)
def test_runs_in_memory_have_no_name(run, reader):
    for thing in (run, None, 3, X):
        with pytest.raises(GpuThermoError, match="named by its path"):
            BY_NAME[reader](thing)


def test_a_potential_predicts_nothing():
    run = gt.sample(POTENTIAL)
    for reader in ("predict", "scores", "map"):
        with pytest.raises(GpuThermoError, match="samples a potential"):
            READERS[reader](run)
    assert diagnose(run).ensembles


def test_frames_are_matched_by_name():
    """The same rows in another order of columns have the same predictions, bit for bit."""
    import pandas as pd

    run = gt.sample(SPEC)
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(5, 2)), columns=["x1", "x2"])
    plain = gt.predict(run, frame.to_numpy())["mean"].to_numpy()
    assert (gt.predict(run, frame)["mean"].to_numpy() == plain).all()
    assert (gt.predict(run, frame[["x2", "x1"]])["mean"].to_numpy() == plain).all()
    assert (gt.predict(run, frame.to_numpy()[:, ::-1])["mean"].to_numpy() != plain).any()


@pytest.mark.parametrize(("reader", "group"), [("predict", "posterior/w1"), ("diagnose", "probes/predictions")])
def test_a_rotten_chunk_is_named_as_damage(tmp_path, reader, group):
    """A byte changed in one chunk: the reader says so, and verify_store which file."""
    gt.sample(SPEC, tmp_path / "run.zarr")
    chunk = next(p for p in sorted((tmp_path / "run.zarr" / group).rglob("c*")) if p.is_file())
    rotten = bytearray(chunk.read_bytes())
    rotten[8] ^= 1
    chunk.write_bytes(rotten)
    with pytest.raises(StoreError, match=r"damaged.*verify_store"):
        READERS[reader](tmp_path / "run.zarr")
    assert any(group in str(damage) for damage in verify_store(tmp_path / "run.zarr"))
