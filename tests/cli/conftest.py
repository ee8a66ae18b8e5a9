"""A folder of its own for each test, and one sampled run for all."""

import shutil
from pathlib import Path

import pytest
from cli_cases import SPEC, call


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder but for run.toml."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("FORCE_COLOR", "GPU_THERMO_DEBUG", "PY_COLORS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "run.toml").write_text(SPEC)
    return tmp_path


@pytest.fixture(scope="session")
def master(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of run.toml, sampled once."""
    where = tmp_path_factory.mktemp("master")
    (where / "run.toml").write_text(SPEC)
    assert call("sample", str(where / "run.toml"), "--out", str(where / "run.zarr"), "--quiet").exit_code == 0
    return where / "run.zarr"


@pytest.fixture
def done(folder: Path, master: Path) -> Path:
    """A copy of it, as run.zarr in the current folder."""
    return Path(shutil.copytree(master, folder / "run.zarr"))
