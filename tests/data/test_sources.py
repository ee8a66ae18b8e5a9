"""Options of every data name: refused, described, kept in JSON."""

import pytest
from pydantic import TypeAdapter, ValidationError

from gpu_thermo.data import (
    DATASETS,
    Csv,
    DataOptions,
    Digits,
    Gap,
    Mnist,
    Npz,
    Spirals,
    Trig,
)
from gpu_thermo.errors import DataError

# ---------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("model", "options", "said"),
    [
        (Spirals, {"train": 7}, "7 points is odd"),
        (Spirals, {"test": 3}, "use 2 or 4"),
        (Spirals, {"train": 0}, "train"),
        (Spirals, {"train": 10**9}, "train"),
        (Spirals, {"turns": float("nan")}, "finite"),
        (Spirals, {"radius": float("inf")}, "finite"),
        (Spirals, {"turns": -1}, "turns"),
        (Spirals, {"noise": -0.1}, "noise"),
        (Spirals, {"seed": -1}, "seed"),
        (Spirals, {"seed": 2**64}, "seed"),
        (Spirals, {"seeds": []}, "seeds"),
        (Spirals, {"seeds": [0, -1]}, "seeds"),
        (Spirals, {"seed": 0, "seeds": [1]}, "both given"),
        (Spirals, {"turn": 3}, "turn"),
        (Trig, {"form": "t"}, "form"),
        (Gap, {"gap": 6}, "leaves no inputs"),
        (Digits, {"test_fraction": 1}, "test_fraction"),
        (Digits, {"split_seed": 1, "seeds": [1]}, "both given"),
        (Csv, {"path": "a.csv"}, "target"),
        (Csv, {"path": "", "target": "y"}, "path"),
        (Csv, {"path": "a.csv", "target": []}, "at least one"),
        (Csv, {"path": "a.csv", "target": ["y", "y"]}, "twice"),
        (Csv, {"path": "a.csv", "target": "y", "features": ["a", "y"]}, "both a target and a feature"),
        (Csv, {"path": "a.csv", "target": ["y", "z"], "task": "binary"}, "several targets are regression"),
        (Mnist, {"path": "x", "train": 0}, "train"),
    ],
)
def test_bad_options_are_refused(model, options, said):
    """Each with a message that says what is wrong."""
    with pytest.raises(ValidationError, match=said):
        model(**options)


@pytest.mark.parametrize("name", list(DATASETS))
def test_options_describe_themselves(name):
    """Every name has a docstring, and every field a description and a name that is chosen by `name`."""
    model = DATASETS[name]
    assert model.__doc__
    assert all(field.description for key, field in model.model_fields.items() if key != "name")
    assert model.model_fields["name"].default == name


def test_options_survive_json_and_have_no_null():
    """What is dumped can be read back, TOML can hold it, and the discriminator finds the model."""
    adapter = TypeAdapter(DataOptions)
    files = (Csv(path="a", target=["y", "z"]), Npz(path="a"), Mnist(path="b", seeds=[4]))
    for options in (Spirals(seeds=[1, 2]), Trig(a=2), Digits(seeds=[0]), *files):
        plain = options.model_dump()
        assert None not in plain.values()
        assert adapter.validate_python(plain) == options
        assert adapter.validate_json(options.model_dump_json()) == options
    with pytest.raises(ValidationError, match="spirals"):
        adapter.validate_python({"name": "spiral"})


def test_absurd_sizes_are_refused_before_allocation():
    """Allowed numbers whose product is not."""
    pytest.importorskip("sklearn")
    with pytest.raises(DataError, match="at most 2,147,483,648"):
        Digits(seeds=list(range(2**15))).build()
