"""Programs as passes: where a pass ends, which noise it draws, which coefficients a step reads, what is written."""

import re
from dataclasses import replace

import pytest

from gpu_thermo.kernels.passes import StepText, make_plan
from gpu_thermo.method.letters import LETTERS
from gpu_thermo.method.partition import make_partition
from gpu_thermo.method.words import InForce, compile_program, compile_update, parse_word

ONE = make_partition("all", {"x": 3}, {})
TWO = make_partition("layer", {"a": 2, "b": 1}, {"hidden": ("a",), "output": ("b",)})


def plan_of(hidden, output=None):
    words = {"all": parse_word(hidden)} if output is None else {"hidden": parse_word(hidden), "output": output}
    return make_plan(compile_program(words, ONE if output is None else TWO))


def shape(plan):
    """Operations of each partition in each pass, with the sums that end it; None where the gradient is evaluated."""
    return [
        action and ({k: "".join(p.substep.operation for p in v) for k, v in action.parts.items()},
                    "".join(s.operation for s in action.ends)) for action in plan.actions
    ]  # fmt: skip


def test_a_pass_ends_at_an_evaluation_or_a_sum():
    assert shape(plan_of("BAOAB")) == [({0: "BAOA"}, ""), None, ({0: "B"}, "")]
    assert shape(plan_of("BACDEDCAB", parse_word("BAOAB"))) == [
        ({0: "BACD", 1: "BAOA"}, "E"), ({0: "DCA"}, ""), None, ({0: "B", 1: "B"}, ""),
    ]  # fmt: skip
    assert shape(plan_of("EBAB")) == [({0: ""}, "E"), ({0: "BA"}, ""), None, ({0: "B"}, "")]
    assert shape(plan_of("BAOAB", None)) == [({0: "BAOA"}, ""), None, ({0: "B"}, "")]


def test_noise_indices_of_a_pass():
    assert [a.subs for a in plan_of("BACDEDCAB", parse_word("BAOAB")).actions if a] == [[0], [1], []]
    assert [a.subs for a in plan_of("OBABO").actions if a] == [[0], [1]]


def test_coefficients_stand_once():
    """A and B are shared by partitions, O is not; E's are float64; Adam's depend on the step besides."""
    plan = plan_of("BAOAB", parse_word("OBABO"))
    names = [(c.of.operation, c.of.partitions[0], c.index) for c in plan.coefficients]
    assert sorted(names) == [("A", 0, 0), ("A", 1, 0), ("B", 0, 0), ("O", 0, 0), ("O", 0, 1), ("O", 1, 0), ("O", 1, 1)]
    assert (plan.count("r"), plan.count("w")) == (7, 0)
    assert (plan_of("BACECAB").count("r"), plan_of("BACECAB").count("w")) == (2, 3)
    assert make_plan(compile_update("adam", ONE)).count("r") == 3


def test_what_a_kernel_reads_besides_comes_last():
    tau = InForce("temperature", 0)
    plan = make_plan(compile_program({"all": parse_word("BACECAB")}, ONE), (tau,))
    assert plan.place(tau, 0, "w") == plan.count("w") - 1 == 3


def test_text_of_a_step():
    program = compile_program({"hidden": parse_word("BAEFEAB"), "output": None}, TWO)
    written = StepText(make_plan(program), program.keeps)
    calls = re.findall(r"run\.(\w+)(?:<(\w+)>)?\(", written.text.partition("struct Step")[2])
    assert calls == [("visit", "Pass0"), ("visit", "Pass1"), ("visit", "Pass2"), ("evaluate", ""), ("visit", "Pass3")]
    assert written.factors == 2
    assert written.text.count("regulate(xi[0], sum[0].of[0], ") == 2
    assert "thermostat_exact(x.p, n[0], f[0], f[1]);" in written.text
    adam = compile_update("adam", ONE)
    assert "adam(x.q, x.kept[0], x.kept[1], x.g, c.r[0], c.r[1], c.r[2]);" in StepText(make_plan(adam), adam.keeps).text


@pytest.mark.parametrize(("word", "expected"), [("BAEB", "BA E B"), ("BABE", "BA B E"), ("EBAB", "EBA B")])
def test_what_follows_a_sum_goes_into_the_next_pass(monkeypatch, word, expected):
    """... at its head; the pass is made if there is none."""
    damped = replace(LETTERS["E"], factors=("f({s0})",), finish="damp(x.p, {f0});")
    monkeypatch.setitem(LETTERS, "E", damped)
    actions = [a for a in plan_of(word).actions if a]
    texts = ["".join(part.substep.operation for part in a.parts[0]) for a in actions]
    assert " ".join(filter(None, texts)) == expected
    program = compile_program({"all": parse_word(word)}, ONE)
    assert "= f(sum[0].of[0]);" in StepText(make_plan(program), program.keeps).text
