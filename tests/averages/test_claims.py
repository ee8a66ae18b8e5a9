"""What a store says of its run is checked: a wrong type, an absurd number, a shape that does not fit.

Every claim is replaced by every hostile value, and every reader asked: a sentence or an answer, never a traceback of
something else, and at once.
"""

import contextlib
import json
import random
import shutil

import numpy as np
import pytest
from clocks import at_once

import gpu_thermo as gt
from gpu_thermo.averages.claims import check_header, check_tree
from gpu_thermo.averages.predictive import scores_on_test
from gpu_thermo.averages.trees import opened
from gpu_thermo.errors import GpuThermoError, StoreError
from gpu_thermo.store import open_run, read_header, verify_store
from gpu_thermo_analysis.maps import uncertainty_map
from gpu_thermo_cli.summary import summarise

DEEP: list = []
for _ in range(400):
    DEEP = [DEEP]
HOSTILE = [
    "x", "", 1e30, -1, 0, 3, 10**30, 2**40, None, True, [], {}, [[[1]]], {"a": {"b": 1}}, float("nan"), float("inf"),
    "\x1b[31m", "A" * 20_000, DEEP,
]  # fmt: skip
X = np.zeros((1, 2))
READERS = {
    "header": lambda path: check_header(read_header(path)),
    "info": lambda path: json.dumps(summarise(path), default=str),
    "predict": lambda path: gt.predict(path, X),
    "scores": scores_on_test,
    "map": lambda path: uncertainty_map(path, resolution=3),
    "verify": verify_store,
    "resume": lambda path: gt.resume(path, draws=1),
}
SECONDS = 5.0


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("claims") / "run.zarr"
    gt.sample({
        "data": {"name": "moons", "train": 20, "test": 10}, "model": {"hidden": 3, "prior_sd": 1.0},
        "method": {"name": "langevin", "stepsize": 0.1, "temperature": 0.01},
        "run": {"replicas": 8, "steps": 40, "burn_in": 20, "thin": 5, "batch": 10, "trace": 10},
        "moves": [{"kind": "exchange", "rungs": 2, "hottest": 0.02, "interval": 5}],
    }, path)  # fmt: skip
    return path


def places(tree, path=()):
    """Paths of everything in a tree of JSON, and in the JSON that texts in it hold."""
    yield path
    if isinstance(tree, str) and tree[:1] in ("{", "["):
        yield from places(json.loads(tree), (*path, "JSON"))
    elif isinstance(tree, dict | list):
        keys = tree if isinstance(tree, dict) else range(min(len(tree), 3))
        for key in keys:
            yield from places(tree[key], (*path, key))


def put(tree, path, value):
    """A copy with another value at one place."""
    if not path:
        return value
    if path[0] == "JSON":
        return json.dumps(put(json.loads(tree), path[1:], value))
    out = tree.copy()
    out[path[0]] = put(tree[path[0]], path[1:], value)
    return out


def claims(document):
    """Places of what a store says of itself: attributes of the root and of groups, shapes and chunks of arrays."""
    for path in places(document):
        if "attributes" in path or path[-1:] in (("shape",), ("chunk_shape",), ("dimension_names",), ("data_type",)):
            yield path


def ask(store, folder, changed, readers):
    """Put a changed document in place, and ask."""
    for reader in readers:
        path = folder / "s.zarr"
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(store, path)
        (path / "zarr.json").write_text(json.dumps(changed))
        with at_once(SECONDS), contextlib.suppress(GpuThermoError):  # a sentence; anything else fails the test
            READERS[reader](path)


def fuzz(store, folder, seed, mutations):
    """How many questions were asked."""
    document = json.loads((store / "zarr.json").read_text())
    found, choose = list(claims(document)), random.Random(seed)
    for _ in range(mutations):
        path, value = choose.choice(found), choose.choice(HOSTILE)
        changed = put(document, path, value)
        readers = choose.sample(sorted(READERS), 2)
        ask(store, folder, changed, readers)
    return 2 * mutations


def test_claims_are_found(store):
    """Hundreds, those inside of JSON texts among them."""
    found = list(claims(json.loads((store / "zarr.json").read_text())))
    assert len(found) > 400
    inner = {path[1] for path in found if path[0] == "attributes" and "JSON" in path}
    assert inner >= {"spec", "data", "schema", "versions"}
    assert any("checkpoint" in path and "steps" in path for path in found)


def test_hostile_claims(store, tmp_path):
    assert fuzz(store, tmp_path, 0, 25) == 50


@pytest.mark.slow
def test_many_hostile_claims(store, tmp_path):
    assert fuzz(store, tmp_path, 1, 1500) == 3000


CASES = [
    (("attributes", "spec"), "{}", "has 8 replicas, and its spec 256"),
    (("attributes", "spec"), "[1]", "no spec"),
    (("attributes", "spec"), 3, "no spec"),
    (("attributes", "data"), "{}", "does not name its data"),
    (("attributes", "data", "JSON", "features"), 10**30, "does not name its data"),
    (("attributes", "data", "JSON", "features"), ["x1"], "shape"),
    (("attributes", "data", "JSON", "task"), "x", "does not name its data"),
    (("attributes", "noise_sd"), "x", "no standard deviation"),
    (("attributes", "noise_sd"), -1, "no standard deviation"),
]
PROGRESS = [
    ("steps", "x", "no number of steps"), ("steps", 1e30, "no number of steps"), ("steps", 10**30, "no number"),
    ("steps", True, "no number of steps"), ("steps", 21, "no number of steps"), ("sampling_time", "x", "seconds"),
    ("sampling_time", float("nan"), "seconds"), ("engine", [1], "no name"), ("moves", 3, "no report of moves"),
    ("moves", [{"kind": "x", "lines": 3}], "no report of moves"), ("moves", DEEP, "no report of moves"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "words"), CASES)
def test_claims_that_cannot_be(store, tmp_path, path, value, words):
    """Named by what opens the run, and by its header where that is its own."""
    shutil.copytree(store, tmp_path / "s.zarr")
    document = tmp_path / "s.zarr" / "zarr.json"
    document.write_text(json.dumps(put(json.loads(document.read_text()), path, value)))

    def read():
        check_header(read_header(tmp_path / "s.zarr"))
        opened(tmp_path / "s.zarr")

    with pytest.raises(StoreError, match=words):
        read()


@pytest.mark.parametrize(("name", "value", "words"), PROGRESS)
def test_progress_that_cannot_be(store, tmp_path, name, value, words):
    shutil.copytree(store, tmp_path / "s.zarr")
    document = tmp_path / "s.zarr" / "zarr.json"
    where = ("consolidated_metadata", "metadata", "checkpoint", "attributes", "attributes", "JSON", name)
    document.write_text(json.dumps(put(json.loads(document.read_text()), where, value)))
    for reader in (lambda: check_header(read_header(tmp_path / "s.zarr")), lambda: gt.resume(tmp_path / "s.zarr")):
        with pytest.raises(StoreError, match=words):
            reader()


def test_a_document_that_is_no_json_is_not_written_again(store, tmp_path):
    """Python reads NaN where JSON has none."""
    shutil.copytree(store, tmp_path / "s.zarr")
    document = tmp_path / "s.zarr" / "zarr.json"
    where = ("consolidated_metadata", "metadata", "posterior", "attributes")
    document.write_text(json.dumps(put(json.loads(document.read_text()), where, {"seen": float("nan")})))
    with pytest.raises(StoreError, match=r"is damaged: zarr.json: what it has for 'posterior' is no JSON"):
        gt.resume(tmp_path / "s.zarr")


def test_a_sound_run_passes(store):
    assert check_header(read_header(store)).run.replicas == 8
    check_tree(open_run(store))
