"""One finished store, and copies of it."""

import shutil
from pathlib import Path

import pytest
from store_cases import make_store


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that nothing changes."""
    return make_store(tmp_path_factory.mktemp("store") / "run.zarr")


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A store of one's own."""
    return Path(shutil.copytree(finished, tmp_path / "run.zarr"))
