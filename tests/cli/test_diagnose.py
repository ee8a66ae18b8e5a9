"""Tables and verdicts of a run."""

import json
from pathlib import Path

from cli_cases import call, check_refused
from fitted import fitted


def test_diagnose_prints_tables_and_verdicts(done: Path) -> None:
    result = call("diagnose", "run.zarr")
    assert result.exit_code == 0, result.stderr
    for text in ("R-hat", "ESS bulk", "kinetic", "hidden", "Ensemble 0 (8 chains, 4 draws each)", "!! "):
        assert text in result.stdout
    found = json.loads(call("diagnose", "run.zarr", "--json").stdout)
    assert found["ensembles"][0]["chains"] == 8
    check_refused(call("diagnose", "run.zarr", "--ensemble", "3"), ["ensemble 3"])


def test_of_a_fit_in_words_that_need_no_physics(folder: Path) -> None:
    """The verdict, what to do and the intervals; the tables where they are asked for."""
    fitted(folder)
    found = call("diagnose", "run")
    assert found.exit_code == 0, found.stderr
    assert found.stdout.startswith("Its answers ")
    assert "of their spread" in found.stdout
    assert "intervals hold" in found.stdout
    assert not any(word in found.stdout for word in ("R-hat", "temperature", "burn-in", "max_steps"))
    physics = call("diagnose", "run.zarr", "--physics").stdout
    assert "R-hat" in physics
    assert "need stored" not in physics
    assert json.loads(call("diagnose", "run.zarr", "--json").stdout)["said"]
