"""Kept runs of a study share the files of their data, and stay stores of their own."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest

import gpu_thermo as gt
from gpu_thermo.store import open_run, verify_store
from gpu_thermo.study import once
from gpu_thermo.study.parts import RUNS


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Runs on two data sets."""
    runs = tmp_path_factory.mktemp("runs")
    for name, seed in (("a", 1), ("c", 2)):
        draw = np.random.default_rng(seed)
        x, y = draw.normal(size=(700, 300)).astype(np.float32), draw.integers(0, 2, 700)
        spec = {
            "data": {"name": "arrays", "task": "binary", "standardise": False, "test_fraction": 0.0},
            "model": {"hidden": 2},
            "method": {"name": "langevin", "stepsize": 0.1, "temperature": 1e-4, "friction": 1.0},
            "run": {"replicas": 2, "steps": 2, "burn_in": 0, "thin": 1, "trace": 1, "batch": 5},
        }  # fmt: skip
        gt.sample(spec, store=runs / f"{name}.zarr", data=(x, y), engine="batched", threads=1).close()
    return runs


@pytest.fixture
def study(made, tmp_path):
    """Two runs on the same data, and one on others."""
    runs = tmp_path / "study.zarr" / RUNS
    for name in "abc":
        shutil.copytree(made / f"{name.replace('b', 'a')}.zarr", runs / f"{name}.zarr")
    return tmp_path / "study.zarr"


def inodes(study, name):
    return {p.stat().st_ino for p in (study / RUNS / f"{name}.zarr" / once.GROUP / "x_train").glob("c*")}


def test_equal_data_are_kept_once(study):
    assert inodes(study, "a") != inodes(study, "b")
    saved = once.share(study, SimpleNamespace(id="b"))
    assert saved >= 700 * 300 * 4
    assert inodes(study, "a") == inodes(study, "b")
    assert once.share(study, SimpleNamespace(id="c")) == 0  # other data
    with open_run(study / RUNS / "b.zarr") as tree:
        before = tree["constant_data"]["x_train"].to_numpy()
    shutil.rmtree(study / RUNS / "a.zarr")
    assert not verify_store(study / RUNS / "b.zarr")
    with open_run(study / RUNS / "b.zarr") as tree:
        np.testing.assert_array_equal(tree["constant_data"]["x_train"].to_numpy(), before)
    gt.resume(study / RUNS / "b.zarr", draws=1).close()


def test_without_links_nothing_happens(study, monkeypatch):
    def refuse(*_):
        raise OSError("no links here")

    monkeypatch.setattr(once.os, "link", refuse)
    assert once.share(study, SimpleNamespace(id="b")) == 0
    assert not verify_store(study / RUNS / "b.zarr")


def test_links_to_elsewhere_are_not_followed(study, tmp_path):
    """A symbolic link where another run's file would be."""
    (place,) = (study / RUNS / "a.zarr" / once.GROUP / "x_train").glob("c*")
    outside = tmp_path / "outside"
    shutil.move(place, outside)
    place.symlink_to(outside)
    assert once.share(study, SimpleNamespace(id="b")) == 0
