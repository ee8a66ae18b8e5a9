"""Every key of a spec is listed with what it takes and means, and editors are told what validation says."""

import re
import tomllib
from pathlib import Path

import jsonschema
import pytest
from pydantic import BaseModel, Field

from gpu_thermo.data import DATASETS
from gpu_thermo.errors import SpecError
from gpu_thermo.method.named import ALIASES, METHODS
from gpu_thermo.moves.table import MOVES
from gpu_thermo.spec.keys import SECTIONS, allowed_values, file_schema, json_schema, keys_of
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.targets.activations import ACTIVATIONS
from gpu_thermo.targets.options import TARGETS

ROOT = Path(__file__).parents[2]
MODELS = {
    f"{section}.{name}" if name else section: model
    for section, found in SECTIONS.items()
    for name, model in ({"": found} if isinstance(found, type) else found).items()
}


@pytest.mark.parametrize("place", MODELS)
def test_every_key_says_what_it_takes_and_means(place):
    for key in keys_of(MODELS[place]):
        assert key.meaning, key.name
        assert key.allowed not in ("", "value", "table"), key.name


def test_all_sections_and_members_are_there():
    assert set(SECTIONS) == set(RunSpec.model_fields) - {"registered"}  # written by runs alone
    tables = {"data": DATASETS, "target": TARGETS, "moves": MOVES}
    members = {f"{section}.{name}" for section, table in tables.items() for name in table}
    assert {name for name in MODELS if "." in name} == members


def test_allowed_values_are_those_of_the_tables():
    keys = {key.name: key for key in keys_of(SECTIONS["model"])}
    assert keys["activation"].allowed == ", ".join(f'"{name}"' for name in ACTIVATIONS)
    keys = {key.name: key for key in keys_of(SECTIONS["method"])}
    assert keys["name"].allowed == ", ".join(f'"{name}"' for name in (*METHODS, *ALIASES))
    assert "list over replicas" in keys["stepsize"].allowed
    assert "each partition" in keys["friction"].allowed


def test_numbers_have_bounds_defaults_and_units():
    class Section(BaseModel):
        count: int = Field(3, ge=1, lt=2**48, description="a", json_schema_extra={"unit": "steps"})
        part: float = Field(ge=0, lt=1)
        large: int = Field(0, ge=0, le=2**64 - 1)
        several: list[float] | None = None
        pair: tuple[float, int] = (0.5, 2)

    found = {key.name: key for key in keys_of(Section)}
    assert (found["count"].allowed, found["count"].default, found["count"].unit) == (
        "whole number >= 1 and < 2^48", 3, "steps",
    )  # fmt: skip
    assert (found["part"].allowed, found["part"].required) == ("number >= 0 and < 1", True)
    assert found["large"].allowed == "whole number 0 to 2^64 - 1"
    assert found["several"].allowed == "list of numbers"
    assert found["pair"].allowed == "[number, whole number]"
    assert (
        allowed_values({"additionalProperties": {"type": "boolean"}, "type": "object"}, {}) == "table of true or false"
    )


# -- the schema, against validation ------------------------------------------------------------------------------------

SHORT = {
    "number": {"stepsize": 0.1},
    "list": {"stepsize": [0.1, 0.2]},
    "constant": {"stepsize": {"value": 0.1, "schedule": "constant"}},
    "cyclical": {"stepsize": {"value": 0.1, "schedule": "cyclical", "cycles": 2}},
    "piecewise": {"friction": {"value": 1.0, "schedule": "piecewise", "boundaries": [5], "factors": [1.0, 0.5]}},
    "infinite": {"friction": {"hidden": 1.0, "output": float("inf")}},
    "nested": {"temperature": {"hidden": {"value": 1e-4, "schedule": "linear"}, "output": [1e-4, 1e-5]}},
}
WRONG = {
    "section": {"modle": {}},
    "key": {"run": {"replcas": 3}},
    "activation": {"model": {"activation": "rely"}},
    "method": {"method": {"name": "adlal"}},
    "word for a number": {"method": {"stepsize": "large"}},
    "schedule": {"method": {"stepsize": {"value": 0.1, "schedule": "cylical"}}},
    "key of a schedule": {"method": {"stepsize": {"value": 0.1, "schedule": "cyclical", "cycle": 2}}},
    "data": {"data": {"name": "spiral"}},
    "key of data": {"data": {"name": "gap", "turns": 3}},
    "move": {"moves": [{"kind": "exchang"}]},
    "bound": {"run": {"replicas": 0}},
    "empty list": {"method": {"stepsize": []}},
}


@pytest.fixture(scope="module")
def checker():
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def examples():
    """Every whole run in README and docs."""
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        for i, text in enumerate(re.findall(r"```toml\n(.*?)```", page.read_text(), re.DOTALL)):
            yield pytest.param(text, id=f"{page.name} {i}")


@pytest.mark.parametrize("text", list(examples()))
def test_examples_of_the_pages_pass_where_they_are_runs(text, checker):
    try:
        RunSpec.from_toml(text)
    except SpecError:
        pytest.skip("a part of a spec, or a file of another kind")
    assert not list(checker.iter_errors(tomllib.loads(text)))


@pytest.mark.parametrize("keys", SHORT.values(), ids=SHORT)
def test_short_forms_pass_both(keys, checker):
    tree = {"method": {"name": "lol" if "friction" in keys else "adlala", **keys}, "run": {"replicas": 2}}
    assert RunSpec.from_dict(tree)
    assert not list(checker.iter_errors(tree))


def test_other_names_of_a_key_pass_both(checker):
    for tree in ({"data": {"a": 3.0}}, {"data": {"name": "trig", "b": 2.0}}, {}):
        assert RunSpec.from_dict(tree)
        assert not list(checker.iter_errors(tree))


def test_what_a_run_is_stored_as_passes(checker):
    assert not list(checker.iter_errors(RunSpec().to_dict()))


@pytest.mark.parametrize("tree", WRONG.values(), ids=WRONG)
def test_mistakes_fail_both(tree, checker):
    with pytest.raises(SpecError):
        RunSpec.from_dict(tree)
    assert list(checker.iter_errors(tree))


def test_a_file_of_incomplete_sections():
    class File(BaseModel):
        model_config = {"extra": "forbid"}
        about: str = ""

    checker = jsonschema.Draft202012Validator(file_schema("A file", File, {"": ("data", "run")}))
    assert not list(checker.iter_errors({"data": {"name": "csv"}, "run": {"steps": 10}, "about": "a"}))
    assert list(checker.iter_errors({"run": {"stps": 10}}))
    assert list(checker.iter_errors({"model": {}}))
