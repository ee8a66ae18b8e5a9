"""Every Zarr that is written here opens without a warning, by xarray and by zarr, each in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest
from comparison_cases import ALONE, EXCHANGE, spec
from runs import SMALL
from study_cases import SMALL as STUDY

from gpu_thermo.run import sample
from gpu_thermo.study import run_study
from gpu_thermo.study.compare import compare_methods

OPEN = """
import sys
import xarray as xr, zarr
path = sys.argv[1]
tree = xr.open_datatree(path, engine="zarr").load()
for group in tree.groups:
    xr.open_zarr(path, group=group.strip("/") or None, chunks=None).load()
    xr.open_dataset(path, engine="zarr", group=group.strip("/") or None).load()
for kind in ({}, {"use_consolidated": False}):
    root = zarr.open_group(path, mode="r", **kind)
    members = list(root.members(max_depth=None))
    for _, node in members:
        if isinstance(node, zarr.Array):
            node[...]
print(len(members))
try:
    import dask
except ImportError:
    sys.exit()
for group in tree.groups:
    xr.open_zarr(path, group=group.strip("/") or None).chunks
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, a study that keeps parameters, and the runs of a comparison."""
    folder = tmp_path_factory.mktemp("written")
    sample(SMALL, folder / "run.zarr").close()
    run_study(STUDY | {"seeds": {"count": 2}}, folder / "study.zarr", keep=True).close()
    compare_methods(spec([ALONE, EXCHANGE]), folder / "comparison")
    return folder


def test_opens_without_a_warning(written: Path) -> None:
    stores = [written / "run.zarr", written / "study.zarr", *sorted(written.glob("comparison/*.zarr"))]
    assert len(stores) > 3
    for store in stores:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", OPEN, str(store)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{store}: {done.stderr}"
        assert int(done.stdout) > 5
