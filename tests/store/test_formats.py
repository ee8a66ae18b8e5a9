"""Stores of earlier formats: read by everything, continued by the version that wrote them."""

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from cli_cases import call, check_refused

from gpu_thermo.averages.predictive import predict
from gpu_thermo.errors import StoreError
from gpu_thermo.run import resume
from gpu_thermo.store import RunWriter, open_run, read_checkpoint, read_header, verify_store
from gpu_thermo.store.header import FORMAT, READABLE
from gpu_thermo_analysis.diagnostics import diagnose
from gpu_thermo_analysis.maps import uncertainty_map

ARCHIVES = Path(__file__).parents[1] / "reference"


@pytest.fixture(params=READABLE)
def earlier(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A small run (4 networks of 9 parameters, 10 draws) that the version of its day wrote."""
    with tarfile.open(ARCHIVES / f"format_{request.param}.tar.xz") as archive:
        safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # from Python 3.11.4 on
        archive.extractall(tmp_path, **safely)
    return tmp_path / f"format_{request.param}.zarr"


def test_read(earlier: Path) -> None:
    assert verify_store(earlier) == []
    assert read_header(earlier).format < FORMAT
    assert read_checkpoint(earlier).step == 60
    tree = open_run(earlier)
    assert tree["posterior"]["w1"].shape == (4, 10, 2, 2)
    x = tree["constant_data"]["x_test"].to_numpy()[0]
    mean = predict(tree, x)["mean"].to_numpy()
    logits = _forward(tree, x)
    np.testing.assert_allclose(mean.reshape(-1), (1 / (1 + np.exp(-logits))).mean((0, 1)), rtol=1e-5)
    assert diagnose(earlier) is not None
    assert uncertainty_map(earlier) is not None


def _forward(tree: object, x: np.ndarray) -> np.ndarray:
    """[chain, draw, point] logits of the stored relu networks."""
    w1, b1, w2, b2 = (tree["posterior"][name].to_numpy() for name in ("w1", "b1", "w2", "b2"))  # type: ignore[index]
    hidden = np.maximum(np.einsum("cdhf,pf->cdph", w1, x) + b1[:, :, None], 0)
    return np.einsum("cdph,cdoh->cdpo", hidden, w2)[..., 0] + b2


def test_commands(earlier: Path, tmp_path: Path) -> None:
    shown = call("info", str(earlier), "--json")
    assert shown.exit_code == 0
    assert json.loads(shown.stdout)["format"] == read_header(earlier).format
    assert "not continued" in json.loads(shown.stdout)["resumable"]
    assert call("info", str(earlier)).exit_code == 0
    assert call("diagnose", str(earlier)).exit_code == 0
    assert call("map", str(earlier), "--out", str(tmp_path / "map.png")).exit_code == 0
    refused = call("resume", str(earlier), "--draws", "3", "--quiet")
    check_refused(refused, ["gpu_thermo 0.1"])


def test_not_continued(earlier: Path) -> None:
    """Nothing is touched."""
    before = {path: path.stat().st_mtime_ns for path in earlier.rglob("*")}
    for go_on in (lambda: resume(earlier, draws=3), lambda: RunWriter.resume(earlier)):
        with pytest.raises(StoreError, match=r"format 1.*not continued: go on with gpu_thermo 0\.1 \(pip install"):
            go_on()
    assert {path: path.stat().st_mtime_ns for path in earlier.rglob("*")} == before
