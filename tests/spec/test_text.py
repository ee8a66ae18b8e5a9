"""Specs as text: whatever is written, the answer comes within seconds and says what is wrong."""

import os

import pytest
from clocks import at_once

from gpu_thermo.errors import SpecError
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.spec.text import MOST_BYTES, apply_overrides, read_toml

SECONDS = 5.0
"""The longest takes 1 to 2.5 s of a processor; what grows with the square of a text's length takes many minutes."""
HOSTILE = {
    "a number of 5000 digits": ("[run]\nsteps = " + "9" * 5000, "more than 4300 digits"),
    "a number of 4000 digits": ("[run]\nsteps = " + "9" * 4000, r"run.steps = 9{50,77}\.\.\."),
    "brackets in brackets": ("a = " + "[" * 100_000 + "]" * 100_000, "nested too deeply"),
    "tables in tables": ("a = " + "{a = " * 100_000, "nested too deeply|not TOML"),
    "a key of 50,000 parts": (".".join(["a"] * 50_000) + " = 1", "more than 32 parts"),
    "a table of 50,000 parts": ("[" + " . ".join(["a"] * 50_000) + "]", "more than 32 parts"),
    "one long word": ("a" * 2_000_000, "not TOML"),
    "words without end": ("a-" * 1_000_000 + " = 1", "Unknown key"),
    "100,000 unknown keys": ("\n".join(f"k{i} = 1" for i in range(100_000)), "And 99980 more"),
    "100,000 wrong values": ("[method]\nstepsize = [" + "'x', " * 100_000 + "]", "And .* more|stepsize"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_answered_at_once(name, tmp_path):
    text, said = HOSTILE[name]
    path = tmp_path / "spec.toml"
    path.write_text(text)
    for source in (text, path):
        with at_once(SECONDS), pytest.raises(SpecError, match=said) as caught:
            RunSpec.from_toml(source)
        assert len(str(caught.value)) < 10_000


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("run.steps=" + "9" * 5000, "more than 4300 digits"),
        ("run.steps=" + "[" * 50_000, "nested too deeply"),
        ("moves." + "9" * 5000 + ".rungs=1", "no entry"),
        (".".join(["a"] * 20_000) + "=1", "Unknown key 'a'"),
        ("run.steps=" + ".".join(["a"] * 20_000), "more than 32 parts"),
    ],
    ids=lambda text: text[:20],
)
def test_hostile_overrides_are_answered_at_once(override, said):
    with at_once(SECONDS), pytest.raises(SpecError, match=said):
        RunSpec.from_dict(
            apply_overrides({"moves": [{"kind": "tempering"}]} if "moves" in override else {}, [override])
        )


def test_what_is_no_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with open(tmp_path / "large", "wb") as handle:
        handle.truncate(MOST_BYTES + 1)
    for path, said in (("/dev/zero", "a pipe or a device"), (tmp_path / "pipe", "a pipe"), (tmp_path, "a folder")):
        with pytest.raises(SpecError, match=said):
            read_toml(type(tmp_path)(path))
    with pytest.raises(SpecError, match="at most"):
        read_toml(tmp_path / "large")


def test_a_nested_key_within_reason_is_read():
    assert read_toml("a.b.c.d = 1") == {"a": {"b": {"c": {"d": 1}}}}
