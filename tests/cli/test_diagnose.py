"""Tables and verdicts of a run."""

import json
from pathlib import Path

from cli_cases import call, check_refused


def test_diagnose_prints_tables_and_verdicts(done: Path) -> None:
    result = call("diagnose", "run.zarr")
    assert result.exit_code == 0, result.stderr
    for text in ("R-hat", "ESS bulk", "kinetic", "hidden", "Ensemble 0 (8 chains, 4 draws each)", "!! "):
        assert text in result.stdout
    found = json.loads(call("diagnose", "run.zarr", "--json").stdout)
    assert found["ensembles"][0]["chains"] == 8
    check_refused(call("diagnose", "run.zarr", "--ensemble", "3"), ["ensemble 3"])
