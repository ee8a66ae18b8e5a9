"""Named methods: their words and defaults, and what users may change (equations.md section 4)."""

import numpy as np
import pytest

from gpu_thermo.errors import SpecError
from gpu_thermo.method.named import ALIASES, HYPERPARAMETERS, METHODS, get_method, make_program
from gpu_thermo.spec.method import MethodSpec
from gpu_thermo.targets.networks import MlpModel

LAYOUT = MlpModel(2, 5, 1).layout
EXPECTED = {  # texts by layer, or the update
    "sgd": "sgd", "momentum": "momentum", "adam": "adam", "sgld": "sgld", "coolmomentum": "coolmomentum",
    "rmsprop": "rmsprop", "sghmc": "sghmc", "psgld": "psgld",
    "langevin": ("BAOAB",),
    "adl": ("BACDEDCAB",), "lala": ("BAOAB", "BAOAB"), "lol": ("BAOAB", "BAOAB"), "adlala": ("BACDEDCAB", "BAOAB"),
    "mclmc": ("KASAK",),
}  # fmt: skip


def program_of(name, kind=None, **options):
    method = get_method(name)
    return make_program(method, LAYOUT.partition(kind or method.partition), **options)


@pytest.mark.parametrize("name", EXPECTED)
def test_words_of_named_methods(name):
    program = program_of(name)
    if isinstance(EXPECTED[name], str):
        assert program.update == EXPECTED[name]
    else:
        assert program.texts == EXPECTED[name]
        assert program.gradients_per_step == 1


def test_the_list_is_complete():
    assert set(EXPECTED) | {"splitting"} == set(METHODS)


OTHERS = [
    ("sgnht", "adl", None), ("baoab", "langevin", "BAOAB"), ("vvvr", "langevin", "OBABO"),
    ("ghmc", "langevin", "O{BAB}O"),
]  # fmt: skip


@pytest.mark.parametrize(("alias", "name", "word"), OTHERS)
def test_other_names(alias, name, word):
    """A spec keeps the method's own name, so that both are one run."""
    spec = MethodSpec.model_validate({"name": alias})
    assert spec == MethodSpec.model_validate({"name": name} | ({} if word is None else {"word": word}))
    assert get_method(alias) is METHODS[name]
    assert MethodSpec.model_validate(spec.model_dump()) == spec
    if word is not None:
        with pytest.raises(ValueError, match=f"'{alias}' is 'langevin' with word = '{word}', and word = 'OBA'"):
            MethodSpec.model_validate({"name": alias, "word": "OBA"})


def test_other_names_are_no_names_of_methods():
    assert not set(ALIASES) & set(METHODS)


def test_published_defaults():
    """LMV's settings as printed in equations.md section 4."""
    lol, adlala, cool = (METHODS[n].defaults for n in ("lol", "adlala", "coolmomentum"))
    assert lol["stepsize"] == 0.25
    assert lol["friction"] == {"hidden": 0.01, "output": np.inf}
    assert lol["temperature"] == {"hidden": 1e-3, "output": 0.0}
    assert [adlala[n] for n in ("stepsize", "temperature", "friction", "sigma", "epsilon")] == [
        0.15,
        1e-4,
        0.1,
        0.01,
        0.1,
    ]
    assert cool["momentum"] == 0.99


@pytest.mark.parametrize("name", METHODS)
def test_defaults_are_complete(name):
    """Every hyperparameter that a method's program reads has a default, and every default is known."""
    method = METHODS[name]
    program = program_of(name, word="BAOAB" if name == "splitting" else None)
    for k in range(len(program.texts)):
        assert program.reads(k) <= set(method.defaults) | {"stepsize"}
    assert set(method.defaults) <= set(HYPERPARAMETERS)
    assert method.summary
    assert method.reference


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("adlalla", "adlala"),
        ("SGD", "Methods"),
        ("langevn", "langevin"),
        ("", "Methods"),
        ("g-BAOAB", "constraints"),
        ("sgnth", "sgnht"),
    ],
)  # fmt: skip
def test_unknown_methods(name, near):
    with pytest.raises(SpecError, match=rf"There is no method '{name}'.*{near}"):
        get_method(name)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("splitting", {}, "needs a word"),
        ("adlala", {"word": "BAOAB"}, "has its own words.*name = .splitting"),
        ("sgd", {"word": "BAOAB"}, "whole-step update and takes no word"),
        ("langevin", {"word": "BACDEDCAB"}, "takes words of A B O U; 'BACDEDCAB' has C, D, E"),
        ("splitting", {"word": {"hidden": "BAOAB"}}, "No word for partition output"),
        ("splitting", {"word": {"hidden": "BAOAB", "outptu": "BAOAB"}},
            "There is no partition 'outptu'.*hidden, output, all"),
        ("splitting", {"word": {"hidden": "BAOAB", "output": "ABOBA"}}, "evaluate the force at different times"),
        ("splitting", {"word": {"hidden": "BAOAB", "output": "BAXAB"}}, "unknown letter 'X' at position 3"),
        ("adlala", {"freeze": ("w1",)}, "There is no partition 'w1' under partition = .layer"),
        ("sgd", {"freeze": ("all",)}, "Every partition is frozen"),
    ],
)  # fmt: skip
def test_refused(name, options, message):
    with pytest.raises(SpecError, match=message):
        program_of(name, **options)


def test_words_by_layer_spread_over_tensors():
    """With partition = tensor, `hidden` is W1 and b1; a tensor's own word comes first or last, as written."""
    program = program_of("splitting", "tensor", word={"hidden": "BACDEDCAB", "output": "BAOAB"})
    assert program.texts == ("BACDEDCAB", "BACDEDCAB", "BAOAB", "BAOAB")
    assert program_of("adlala", "tensor").texts == program.texts


def test_freezing():
    assert program_of("adlala", freeze=("hidden",)).texts == (None, "BAOAB")
    assert program_of("splitting", "tensor", word="BAOAB", freeze=("output", "b1")).texts == ("BAOAB", None, None, None)
    assert program_of("splitting", word={"output": "BAOAB"}, freeze=("hidden",)).texts == (None, "BAOAB")
    assert program_of("sgld", "layer", freeze=("hidden",)).texts == (None, "sgld")


def test_conventions_of_momentum():
    assert program_of("momentum", convention="II").update == "momentum2"
    assert program_of("sgd", convention="II").update == "sgd"


@pytest.mark.parametrize("name", [n for n, method in METHODS.items() if "hidden" in method.words])
def test_methods_in_two_parts_at_any_depth(name):
    """The first word on every hidden layer, each a partition of its own, the second on the output."""
    method = METHODS[name]
    program = make_program(method, MlpModel(2, (5, 4, 3), 1).layout.partition("layer"))
    assert program.partition.names == ("hidden1", "hidden2", "hidden3", "output")
    assert program.texts == (*3 * (method.words["hidden"],), method.words["output"])
    assert program.gradients_per_step == 1


def test_narrower_names_win():
    """A layer's own word stands above that of all hidden layers, in whatever order they are written."""
    partition = MlpModel(2, (5, 4), 1).layout.partition("layer")
    words = {"hidden2": "OBABO", "hidden": "BAOAB", "output": "BAOAB"}
    for given in (words, dict(reversed(words.items()))):
        assert make_program(METHODS["splitting"], partition, given).texts == ("BAOAB", "OBABO", "BAOAB")
    program = make_program(METHODS["splitting"], partition, "BAOAB", ("hidden",))
    assert program.texts == (None, None, "BAOAB")
