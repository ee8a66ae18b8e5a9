"""Names of records in specs: those of the tables as they are now, and those that a spec says were registered."""

from typing import Annotated

import pytest
from pydantic import TypeAdapter, ValidationError

from gpu_thermo.spec.names import OneOf, elsewhere, is_elsewhere

TABLE = {"one": 1, "two": 2}
NAME = TypeAdapter(Annotated[str, OneOf("thing", lambda: TABLE)])


def test_names_are_those_of_the_table_now(monkeypatch):
    assert NAME.validate_python("one") == "one"
    with pytest.raises(ValidationError, match="Input should be 'one' or 'two'"):
        NAME.validate_python("three")
    monkeypatch.setitem(TABLE, "three", 3)
    assert NAME.validate_python("three") == "three"
    assert NAME.json_schema() == {"enum": ["one", "two", "three"], "type": "string"}
    with pytest.raises(ValidationError, match="'one', 'two' or 'three'"):
        NAME.validate_python(["one"])


def test_what_was_registered_elsewhere_is_taken_within_the_block_alone():
    with elsewhere(["thing four", "other two"]):
        assert NAME.validate_python("four") == "four"
        assert is_elsewhere("thing", "four")
        assert not is_elsewhere("other", "four")
    with pytest.raises(ValidationError):
        NAME.validate_python("four")
