"""What this machine has, and what a run would use."""

import json
from importlib.util import find_spec

import numpy as np
from cli_cases import call


def test_doctor_says_what_a_run_would_use() -> None:
    found = json.loads(call("doctor", "--json").stdout)
    assert found["packages"]["numpy"] == np.__version__
    assert "engine" in found["default_run"]
    assert "engine" in found["deep_run"]
    assert {"jax", "torch"} <= found["optional"].keys()
    assert ("--workers N" in found["workers"]) == (find_spec("distributed") is not None)
    assert "cores usable" in call("doctor").stdout
