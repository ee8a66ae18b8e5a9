"""One small study, run once."""

from pathlib import Path

import pytest
from study_cases import SMALL

from gpu_thermo.study import run_study


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SMALL, run in this process."""
    path = tmp_path_factory.mktemp("study") / "small.zarr"
    run_study(SMALL, path).close()
    return path
