"""Copies that another program wrote: read as far as they go, never resumed, and not called damaged."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from cli_cases import call, check_refused
from runs import SMALL

from gpu_thermo.averages.predictive import predict
from gpu_thermo.errors import StoreError
from gpu_thermo.run import resume, sample
from gpu_thermo.store import RunWriter, open_run, read_checkpoint, read_header, verify_store
from gpu_thermo.store.foreign import ForeignStoreError, is_foreign
from gpu_thermo_analysis.diagnostics import diagnose
from gpu_thermo_analysis.maps import uncertainty_map


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("foreign") / "run.zarr"
    sample(SMALL, path, engine="batched").close()
    return path


@pytest.fixture(scope="module", params=["all of it", "without checkpoints", "a part"])
def copied(request: pytest.FixtureRequest, run: Path) -> Path:
    """By xarray: the whole tree, the opened run (which leaves the checkpoints out), or the first draws."""
    path = run.parent / f"{request.param}.zarr"
    tree = xr.open_datatree(run, engine="zarr") if request.param == "all of it" else open_run(run)
    if request.param == "a part":
        tree = tree.map_over_datasets(lambda ds: ds.isel(draw=slice(0, 7)) if "draw" in ds.dims else ds)
    with pytest.warns(UserWarning, match="onsolidated"):
        tree.to_zarr(path)
    return path


def test_read(run: Path, copied: Path) -> None:
    ours, theirs = open_run(run), open_run(copied)
    draws = 7 if "part" in copied.name else ours["posterior"].sizes["draw"]
    w1 = ours["posterior"]["w1"].to_numpy()[:, :draws]
    np.testing.assert_array_equal(theirs["posterior"]["w1"].to_numpy(), w1)
    x = ours["constant_data"]["x_test"].to_numpy()[0]
    for ensemble in (0, 1):
        mean = predict(copied, x, ensemble=ensemble)["mean"].to_numpy()
        assert np.isfinite(mean).all()
        if draws > 7:
            np.testing.assert_array_equal(mean, predict(run, x, ensemble=ensemble)["mean"].to_numpy())
    header = read_header(copied)
    assert (header.foreign, header.draws, header.replicas) == (True, draws, 10)
    assert header.step == 600
    assert header.spec == read_header(run).spec


def test_shown(copied: Path) -> None:
    shown = json.loads(call("info", str(copied), "--json").stdout)
    assert "not written by gpu_thermo" in shown["resumable"]
    assert "damaged" not in shown["resumable"]
    assert call("info", str(copied)).exit_code == 0
    assert diagnose(copied, ensemble=0) is not None
    assert uncertainty_map(copied, ensemble=0) is not None


def test_not_resumed(copied: Path) -> None:
    message = "not written by gpu_thermo.*can be read.*not resumed"
    for go_on in (resume, RunWriter.resume, read_checkpoint, verify_store):
        with pytest.raises(ForeignStoreError, match=message):
            go_on(copied)
    check_refused(call("resume", str(copied), "--quiet"), ["not written by gpu_thermo", "copy its folder"])


HOSTILE: dict[str, dict[str, Any]] = {
    "more than its files hold": {"shape": [10**9, 24, 6, 2]},
    "chunks as large as that": {
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [10**12, 24, 6, 2]}}
    },
    "a negative shape": {"shape": [-10, 24, 6, 2]},
    "an odd dtype": {"data_type": "object"},
    "no known codec": {"codecs": [{"name": "numcodecs.pickle"}]},
    "none within a shard": {"codecs": [{"name": "sharding_indexed", "configuration": {"codecs": [{"name": "x"}]}}]},
    "no shape": {"shape": None},
    "codecs of another kind": {"codecs": 7},
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_documents(copied: Path, tmp_path: Path, kind: str) -> None:
    store = Path(shutil.copytree(copied, tmp_path / "copy.zarr"))
    root = json.loads((store / "zarr.json").read_text())
    root["consolidated_metadata"]["metadata"]["posterior/w1"].update(HOSTILE[kind])
    (store / "zarr.json").write_text(json.dumps(root))
    with pytest.raises(StoreError, match="damaged: posterior/w1"):
        open_run(store)


def test_one_changed_array_is_damage_not_a_copy(run: Path, tmp_path: Path) -> None:
    store = Path(shutil.copytree(run, tmp_path / "copy.zarr"))
    root = json.loads((store / "zarr.json").read_text())
    nodes = root["consolidated_metadata"]["metadata"]
    assert not is_foreign(nodes)
    nodes["posterior/w1"]["chunk_key_encoding"] = {"name": "default", "configuration": {"separator": "/"}}
    (store / "zarr.json").write_text(json.dumps(root))
    with pytest.raises(StoreError, match="damaged"):
        open_run(store)
