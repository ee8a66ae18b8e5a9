"""One small study, run once."""

from pathlib import Path

import pytest
import xarray as xr
from figure_cases import STUDY

from gpu_thermo.study import run_study


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small study over two parameters."""
    path = tmp_path_factory.mktemp("figures") / "study.zarr"
    run_study(STUDY, path).close()
    return path


@pytest.fixture(scope="module")
def study(store: Path) -> xr.Dataset:
    """The same, opened."""
    from gpu_thermo.study import open_study

    return open_study(store)
