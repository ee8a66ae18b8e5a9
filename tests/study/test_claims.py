"""What a study says of itself is checked when it is opened: hostile attributes and shapes get a sentence, at once."""

import contextlib
import json
import random
import shutil
from pathlib import Path

import pytest
from cli_cases import call
from clocks import at_once
from study_cases import SMALL

from gpu_thermo.errors import GpuThermoError, StoreError
from gpu_thermo.study import StudySpec, comparisons, open_study, run_study, summaries
from gpu_thermo.study.birth import writing
from gpu_thermo.study.tables import failures, outcomes

HOSTILE = ["x", "", 1e30, -1, 0, 3, 10**30, 2**40, None, True, [], {}, [[1]], float("nan"), "\x1b[31m", "A" * 20_000]


def read(path: Path) -> None:
    """All that `table` and `info` ask."""
    study = open_study(path)
    for outcome in outcomes(study)[:3]:
        summaries(study, outcome)
        comparisons(study, outcome)
    summaries(study, by=["method"])
    failures(study)


def places(tree, path=()):
    yield path
    if isinstance(tree, dict | list):
        for key in tree if isinstance(tree, dict) else range(min(len(tree), 2)):
            yield from places(tree[key], (*path, key))


def put(tree, path, value):
    if not path:
        return value
    out = tree.copy()
    out[path[0]] = put(tree[path[0]], path[1:], value)
    return out


def changed(source: Path, folder: Path, path, value) -> Path:
    target = folder / "s.zarr"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    document = json.loads((source / "zarr.json").read_text())
    (target / "zarr.json").write_text(json.dumps(put(document, path, value)))
    return target


def fuzz(source: Path, folder: Path, seed: int, mutations: int) -> int:
    document = json.loads((source / "zarr.json").read_text())
    kinds = ("attributes", "shape", "chunk_shape", "data_type", "dimension_names", "fill_value")
    known = ("status", "cell", "seed_index", "accuracy", "loss", "step", "method", "attributes")
    found = [p for p in places(document) if (p and p[-1] in kinds) or "attributes" in p[:1]]
    found = [p for p in found if any(name in p for name in known)]
    choose = random.Random(seed)
    for _ in range(mutations):
        path, value = choose.choice(found), choose.choice(HOSTILE)
        target = changed(source, folder, path, value)
        with at_once(5), contextlib.suppress(GpuThermoError):  # a sentence; anything else fails the test
            read(target)
    return mutations


def test_a_study_killed_before_its_first_results(tmp_path: Path) -> None:
    """It is neither damaged nor changed: it goes on."""
    study = StudySpec.from_dict(SMALL)
    with writing(tmp_path / "s.zarr", study, study.cells()):
        pass
    for command in ("table", "info"):
        found = call(command, str(tmp_path / "s.zarr"))
        assert found.exit_code != 0
        said = " ".join(found.stderr.split())
        assert "was stopped before its first results were put together. Give the command that began it" in said
        assert "damaged" not in said
    assert (run_study(SMALL, tmp_path / "s.zarr")["status"] == 0).all()


def test_hostile_claims_of_a_study(small: Path, tmp_path: Path):
    read(small)
    assert fuzz(small, tmp_path, 0, 60) == 60


@pytest.mark.slow
def test_many_hostile_claims_of_a_study(small: Path, tmp_path: Path):
    assert fuzz(small, tmp_path, 1, 2000) == 2000


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("attributes", "cells"), "[]", "no list of labels"),
        (("attributes", "cells"), '["a"]', "15 runs, and its spec 1 x 5"),
        (("attributes", "cells"), 3, "cannot be read"),
        (("attributes", "study"), "{}", "no study|runs, and its spec"),
        (("consolidated_metadata", "metadata", "status", "shape"), [2**40], "cannot be read|changed|conflicting"),
        (("consolidated_metadata", "metadata", "cell", "data_type"), "float64", "cannot be read|whole numbers cell"),
    ],
)
def test_claims_that_cannot_be(small: Path, tmp_path: Path, path, value, words):
    with pytest.raises(StoreError, match=words):
        open_study(changed(small, tmp_path, path, value))
