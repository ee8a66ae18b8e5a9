"""Links planted at every place of every kind of store: named by whoever opens it, and nothing outside is touched."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gpu_thermo.averages.predictive import predict
from gpu_thermo.errors import StoreError
from gpu_thermo.run import resume, sample
from gpu_thermo.store import RunWriter, open_run, read_checkpoint, read_header, verify_store
from gpu_thermo.store.files import find_links, inside, put, put_document, remove
from gpu_thermo.study import open_study, run_study
from gpu_thermo.study.compare import compare_methods
from gpu_thermo_analysis import diagnose, uncertainty_map

RUN = {
    "data": {"name": "spirals", "train": 20, "test": 10},
    "model": {"hidden": 3},
    "run": {"replicas": 4, "steps": 60, "burn_in": 20, "thin": 10, "trace": 20, "batch": 5},
}
STUDY = {
    "data": RUN["data"],
    "model": RUN["model"],
    "run": {"steps": 40, "batch": 5, "trace": 20},
    "grid": {"method": [{"name": "sgd", "stepsize": 0.1}, {"name": "sgd", "stepsize": 0.2}]},
    "seeds": {"count": 3},
}
COMPARISON = {
    "target": {"name": "mixture", "preset": "two_narrow"},
    "group": 4,
    "grid": {"low": -10.0, "high": 10.0, "cells": 100},
    "run": {"replicas": 8, "steps": 40, "burn_in": 20, "thin": 10, "trace": 20},
    "entry": [{"label": "sgld", "method": {"name": "sgld", "stepsize": 0.05, "temperature": 1.0}}],
}


def fingerprint(folder: Path) -> dict[str, Any]:
    """What is in a folder: names, links, sizes, and when each file was changed; a rename changes its folder."""
    out = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        found = path.lstat()
        out[str(path.relative_to(folder))] = found.st_mode, found.st_size, found.st_mtime_ns, found.st_ino
    return out


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, a study and a comparison, each done."""
    folder = tmp_path_factory.mktemp("stores")
    sample(RUN, folder / "run.zarr")
    run_study(STUDY, folder / "study.zarr")
    compare_methods(COMPARISON, folder / "comparison")
    return folder


def plants(store: Path, outside: Path, stride: int) -> Iterator[str]:
    """Put a link in the place of every `stride`-th file and folder in turn, and more into each folder, to copies
    outside.
    """
    for path in sorted(store.rglob("*"))[::stride]:
        kept, away = path.with_name(path.name + ".kept"), outside / "precious"
        os.rename(path, kept)
        (shutil.copytree if kept.is_dir() else shutil.copy2)(kept, away)
        path.symlink_to(away)
        yield str(path.relative_to(store))
        path.unlink()
        os.rename(kept, path)
        (shutil.rmtree if away.is_dir() else os.unlink)(away)
        if path.is_dir():
            for name in ("planted", "c.9.9.9.9", "zarr.json.partial", "9-x.partial"):
                (path / name).symlink_to(outside)
                yield str((path / name).relative_to(store))
                (path / name).unlink()


def refused(store: Path, outside: Path, stride: int, operations: Any, slow: Any = ()) -> int:
    """Plant and try each operation, slow ones at every ninth place; returns how many links that were."""
    (outside / "photos").mkdir(parents=True)
    (outside / "photos" / "a.jpg").write_text("a")
    (outside / "thesis.tex").write_text("years of work")
    count = 0
    for planted in plants(store, outside, stride):
        before, within = fingerprint(outside), fingerprint(store)
        for operation in (*operations, *(() if count % 9 else slow)):
            with pytest.raises(StoreError, match="is a link"):
                operation(store)
        assert fingerprint(outside) == before, planted
        assert fingerprint(store) == within, planted
        count += 1
    return count


@pytest.mark.parametrize("stride", [11, pytest.param(1, marks=pytest.mark.slow)])
def test_links_in_a_run(whole: Path, tmp_path: Path, stride: int) -> None:
    store = shutil.copytree(whole / "run.zarr", tmp_path / "run.zarr")
    operations = (open_run, read_header, read_checkpoint, RunWriter.resume)
    assert refused(store, tmp_path / "outside", stride, operations) > 400 // stride
    RunWriter.resume(store)[0].close()


def test_every_reader_names_a_link(whole: Path, tmp_path: Path) -> None:
    """Whatever is asked of a store; verify_store lists it."""
    store = shutil.copytree(whole / "run.zarr", tmp_path / "run.zarr")
    x = [[0.0, 0.0]]
    for path in ("checkpoint/0", "posterior", "posterior/w1/c.0.0.0.0", "constant_data/x_train", "zarr.json"):
        kept = store / f"{path}.kept"
        os.rename(store / path, kept)
        (store / path).symlink_to(kept)
        asked = (lambda s: resume(s, draws=2), lambda s: predict(s, x), diagnose, uncertainty_map)
        for operation in asked:
            with pytest.raises(StoreError, match=rf"'{path}' in store .* is a link"):
                operation(store)
        assert [d.file for d in verify_store(store)] == [path]
        (store / path).unlink()
        os.rename(kept, store / path)
    assert verify_store(store) == []


@pytest.mark.parametrize("stride", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_links_in_a_study(whole: Path, tmp_path: Path, stride: int) -> None:
    store = shutil.copytree(whole / "study.zarr", tmp_path / "study.zarr")
    slow = (
        lambda s: run_study(STUDY, s),
        lambda s: run_study(STUDY | {"seeds": {"count": 4}}, s, extend=True),
        lambda s: run_study(STUDY, s, overwrite=True),
    )
    assert refused(store, tmp_path / "outside", stride, (open_study,), slow) > 50 // stride


def test_links_in_a_comparison(whole: Path, tmp_path: Path) -> None:
    """What is written of it, and the stores in it; what else the user keeps in that folder is theirs."""
    folder = shutil.copytree(whole / "comparison", tmp_path / "comparison")
    (tmp_path / "mine").mkdir()
    (folder / "mine").symlink_to(tmp_path / "mine")
    for name in [path.name for path in folder.iterdir() if path.name != "mine"]:
        kept = folder / f"{name}.kept"
        os.rename(folder / name, kept)
        away = (shutil.copytree if kept.is_dir() else shutil.copy2)(kept, tmp_path / "away")
        (folder / name).symlink_to(away)
        before = fingerprint(tmp_path)
        for overwrite in (False, True):
            with pytest.raises(StoreError, match="is a link"):
                compare_methods(COMPARISON, folder, overwrite=overwrite)
        assert fingerprint(tmp_path) == before
        (folder / name).unlink()
        os.rename(kept, folder / name)
        (shutil.rmtree if Path(away).is_dir() else os.unlink)(away)
    (folder / "sgld.zarr" / "posterior" / "extra").symlink_to(tmp_path / "mine")
    with pytest.raises(StoreError, match="is a link"):
        compare_methods(COMPARISON, folder)
    (folder / "sgld.zarr" / "posterior" / "extra").unlink()
    compare_methods(COMPARISON, folder)


def test_a_comparison_replaces_stores_only(tmp_path: Path) -> None:
    """A folder of the user's with an entry's name is theirs."""
    (tmp_path / "sgld.zarr").mkdir()
    (tmp_path / "sgld.zarr" / "thesis.tex").write_text("years of work")
    with pytest.raises(StoreError, match="no store of gpu_thermo and is not replaced"):
        compare_methods(COMPARISON, tmp_path, overwrite=True)
    assert (tmp_path / "sgld.zarr" / "thesis.tex").exists()


def test_no_operation_leaves_the_store(tmp_path: Path) -> None:
    """Also where a link appears after the store was opened."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    for folder in (root / "a", outside):
        folder.mkdir(parents=True)
    (outside / "b").write_text("precious")
    (root / "a" / "way").symlink_to(outside)
    (root / "a" / "b.partial").symlink_to(outside / "b")
    (root / "a" / "c").symlink_to(outside / "b")
    assert sorted(find_links(root)) == ["a/b.partial", "a/c", "a/way"]
    for attempt in (
        lambda: put(root, "a/way/b", b"x"), lambda: put(root, "a/c", b"x"), lambda: remove(root, "a/way/b"),
        lambda: remove(root, "a/way"), lambda: remove(root, "a/c"), lambda: put_document(root, "a/way/d", {}),
    ):  # fmt: skip
        with pytest.raises(StoreError, match="is a link"):
            attempt()
    with pytest.raises(OSError, match="symbolic link"):
        put(root, "a/b", b"x")
    assert {path.name for path in outside.iterdir()} == {"b"}
    assert (outside / "b").read_text() == "precious"
    assert inside(root, "a/new/place") == str(root / "a/new/place")
    put(root, "a/d", b"x")
    assert (root / "a" / "d").read_bytes() == b"x"
