"""help(RunSpec) is for people: every key with its meaning, a signature in one line."""

import inspect
import pydoc

import gpu_thermo as gt
from gpu_thermo.spec.keys import json_schema
from gpu_thermo.spec.method import MethodSpec
from gpu_thermo.spec.model import ModelSpec
from gpu_thermo.spec.run import RunSection


def test_help_lists_every_key():
    lines = pydoc.render_doc(gt.RunSpec, renderer=pydoc.plaintext).splitlines()
    head = lines[: next(i for i, line in enumerate(lines) if "Method resolution order" in line)]
    text = "\n".join(head)
    assert " |  RunSpec(*, data, model, target, method, run, moves, registered)" in head
    assert max(map(len, head)) <= 120
    for section, model in (("model", ModelSpec), ("method", MethodSpec), ("run", RunSection)):
        assert f"[{section}]" in text
        for name, field in model.model_fields.items():
            assert f" {name}: {(field.description or '').split(' ')[0]}" in text
    assert "burn_in: before the first draw's interval [60000]" in text
    for name in ("spirals", "exchange", "harmonic"):
        assert name in text


def test_schemas_and_subclasses_keep_to_themselves():
    assert "\n\n" not in json_schema()["description"]
    assert inspect.signature(gt.RunSpec).parameters.keys() == gt.RunSpec.model_fields.keys()
