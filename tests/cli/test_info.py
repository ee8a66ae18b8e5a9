"""What a run is, from its store."""

import json
from pathlib import Path

from cli_cases import call

# -- the other commands ------------------------------------------------------------------------------------------------


def test_info_shows_spec_sizes_and_versions(done: Path) -> None:
    result = call("info", "run.zarr")
    assert result.exit_code == 0
    for text in (
        "step 40 of 40",
        "4 of 4 draws",
        "resumable: yes",
        "[method]",
        'name = "adlala"',
        "numpy",
        "parameters, predictions",
    ):
        assert text in result.stdout
    facts = json.loads(call("info", "run.zarr", "--json").stdout)
    assert facts["spec"]["run"]["replicas"] == 8
    assert facts["sizes"]["posterior"]["chain"] == 8
    assert facts["resumable"] == "yes"
