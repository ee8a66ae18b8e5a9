"""Methods and data sets, listed and one by one."""

import json

from cli_cases import call, check_refused


def test_methods_lists_and_shows() -> None:
    listed = call("methods")
    assert "adlala" in listed.stdout
    assert "hidden BACDEDCAB" in listed.stdout
    assert json.loads(call("methods", "--json").stdout)["sgld"]["update"] == "sgld"
    one = call("methods", "lol")
    assert "{hidden = 0.01, output = inf}" in one.stdout
    assert "p = a p + sqrt(v) R, a = exp(-gamma h)" in one.stdout
    assert "xi +=" not in one.stdout  # what its words do not have
    assert json.loads(call("methods", "adam", "--json").stdout)["operations"].keys() == {"adam"}
    assert json.loads(call("methods", "splitting", "--json").stdout)["operations"].keys() >= set("ABCDEFKOS")
    assert json.loads(call("methods", "lol", "--json").stdout)["defaults"]["friction"]["output"] == "Infinity"
    check_refused(call("methods", "adlal"), ["'adlal'", "Did you mean 'adlala'?"])


def test_datasets_lists_and_shows() -> None:
    assert "breast_cancer" in call("datasets").stdout
    one = call("datasets", "csv")
    assert "(required)" in one.stdout
    assert json.loads(call("datasets", "gap", "--json").stdout)["options"]["train"]["default"] == 100
    assert json.loads(call("datasets", "--json").stdout).keys() >= {"spirals", "mnist", "npz"}
    check_refused(call("datasets", "spiral"), ["'spiral'", "Did you mean 'spirals'?"])
