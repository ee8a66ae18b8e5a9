"""The error tree's own words: the nearest name, and a remedy for every status."""

import pytest

from gpu_thermo.errors import Status, did_you_mean

KNOWN = ("adlala", "langevin", "sgld")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("adlalla", "Did you mean 'adlala'?"),
        ("zzz", "Known: adlala, langevin, sgld."),
        ("", "Known: adlala, langevin, sgld."),
    ],
)
def test_the_nearest_name_or_all_of_them(name, words):
    assert did_you_mean(name, KNOWN) == words
    assert did_you_mean(name, dict.fromkeys(KNOWN)) == words
    assert did_you_mean(name, iter(KNOWN)) == words


def test_what_there_is_may_be_said_otherwise_and_always():
    assert did_you_mean("zzz", KNOWN, "Methods: three.") == "Methods: three."
    assert did_you_mean("sgldd", KNOWN, "Methods: three.") == "Did you mean 'sgld'?"
    assert did_you_mean("sgldd", KNOWN, "Methods: three.", always=True) == "Did you mean 'sgld'? Methods: three."


@pytest.mark.parametrize("status", Status)
def test_every_status_says_what_to_do(status):
    assert status.remedy
    assert ": use " in status.remedy or status is Status.RUNNING
