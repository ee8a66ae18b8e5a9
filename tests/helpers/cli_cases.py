"""A small run, commands called in this process, and what a refusal looks like."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from gpu_thermo_cli.main import app

PROGRAM = [sys.executable, "-m", "gpu_thermo_cli.main"]
SPEC = """
[data]
name = "spirals"
train = 40
test = 20
[model]
hidden = 4
[method]
name = "adlala"
[run]
replicas = 8
steps = 40
burn_in = 20
thin = 5
batch = 10
trace = 10
"""


def call(*arguments: str) -> Any:
    """Run one command in this process."""
    result = CliRunner().invoke(app, list(arguments), prog_name="gpu-thermo")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def sampled(*more: str) -> dict[str, Any]:
    """Sample run.toml to run.zarr and return the JSON summary."""
    result = call("sample", "run.toml", "--json", "--quiet", *more)
    assert result.exit_code == 0, result.stderr
    return dict(json.loads(result.stdout))


def sets(*changes: str) -> list[str]:
    return [word for change in changes for word in ("--set", change)]


# -- refusals ----------------------------------------------------------------------------------------------------------


def listing(folder: Path) -> list[tuple[str, int]]:
    """Every path below `folder` and when it was changed."""
    return sorted((str(path.relative_to(folder)), path.stat().st_mtime_ns) for path in folder.rglob("*"))


def check_refused(result: Any, words: Sequence[str]) -> None:
    """Assert exit 2, one clean message on stderr with `words`, nothing on stdout."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr
