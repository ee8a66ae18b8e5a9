"""`gpu-thermo spec`: sections, keys, JSON, and schemas that hold for the files this project ships."""

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest
from cli_cases import call, check_refused

from gpu_thermo_analysis.paper.figures import ENTRIES
from gpu_thermo_cli.spec import Several, as_toml, sections

DEMOS = Path(__file__).parents[2] / "analysis" / "demos"


def test_sections_keys_and_one_key():
    listed = call("spec").stdout
    assert all(f"\n{name} " in listed for name in sections())
    assert "burn_in" in call("spec", "run").stdout
    one = call("spec", "run.thin").stdout
    assert all(text in one for text in ("whole number >= 1", "2_000", "steps", "between draws"))
    assert "turns of each arm" in call("spec", "data.spirals.turns").stdout
    assert "(required)" in call("spec", "data.csv").stdout
    study = call("spec", "study").stdout
    assert "study.seeds" in study
    assert "\nbase" not in study


def test_json_has_every_key():
    tree = json.loads(call("spec", "--json").stdout)
    assert tree["run"]["thin"]["default"] == 2000
    assert tree["moves"]["exchange"]["rungs"]["meaning"]
    assert tree["study"]["seeds"]["count"]["allowed"]
    assert tree["study"]["grid"]
    assert json.loads(call("spec", "run", "--json").stdout) == tree["run"]
    assert json.loads(call("spec", "run.thin", "--json").stdout) == {"name": "thin"} | tree["run"]["thin"]


def test_every_key_of_studies_and_comparisons_has_a_meaning():
    tree = json.loads(call("spec", "--json").stdout)
    for name, found in sections().items():
        if isinstance(found, Several):
            own = {key: each for key, each in tree[name].items() if "meaning" in each}
            parts = [each for key, each in tree[name].items() if key not in own]
            assert all(each["meaning"] for keys in (own, *parts) for each in keys.values())


@pytest.mark.parametrize(
    ("place", "hint"),
    [("rin", "'run'"), ("run.thinn", "'run.thin'"), ("run.thin.x", "'run"), ("data.spirl", "data.spirals")],
)
def test_unknown_places_are_named(place, hint):
    check_refused(call("spec", place), [f"'{place}'", hint])


def test_schemas_hold_for_what_ships():
    compare = jsonschema.Draft202012Validator(json.loads(call("spec", "compare", "--json-schema").stdout))
    demos = [tomllib.loads(path.read_text()) for path in sorted(DEMOS.glob("*.toml"))]
    assert demos
    assert not [error for tree in demos for error in compare.iter_errors(tree)]
    assert list(compare.iter_errors(demos[0] | {"entries": []}))
    study = jsonschema.Draft202012Validator(json.loads(call("spec", "study", "--json-schema").stdout))
    assert not [error for entry in ENTRIES.values() for error in study.iter_errors(entry.study)]
    assert list(study.iter_errors({"seeds": {"cont": 3}}))
    assert list(study.iter_errors({"run": {"stps": 3}}))
    run = json.loads(call("spec", "--json-schema").stdout)
    assert run["properties"].keys() >= {"data", "model", "method", "run", "moves", "target"}
    check_refused(call("spec", "run", "--json-schema"), ["'run'", "study"])


def test_values_as_toml():
    assert as_toml([1000, 0.5, "a", True, None]) == '[1_000, 0.5, "a", true, -]'
    assert as_toml({"hidden": 1e-8}) == "{hidden = 1e-08}"
