"""RunSpec: what is accepted, what is refused and how it is said, TOML and JSON both ways, overrides, fingerprint."""

import copy
import json
import math
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_thermo.errors import SpecError
from gpu_thermo.running.setup import prepare
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.spec.text import apply_overrides
from gpu_thermo.spec.values import Scheduled
from gpu_thermo.targets.activations import ACTIVATIONS

NAN, INF = float("nan"), float("inf")
FIRST, LAST = [repr(name) for name in ACTIVATIONS][:-1], repr([*ACTIVATIONS][-1])
ANY_OF_THEM = f"{', '.join(FIRST)} or {LAST}"
REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "spec.json").read_text())
SCHEDULED = {"value": 0.25, "schedule": "cyclical", "cycles": 20}
VALID = [
    {},
    {"method": {"name": "sgd"}},
    {"data": {"turns": 2, "train": 20, "test": 0},
        "model": {"hidden": 3, "prior_sd": 1.5, "init": "prior", "dtype": "float64"}},
    {"data": {"name": "gap", "seeds": [0, 1]}, "model": {"noise_sd": 0.1, "activation": "tanh"}},
    {"method": {"name": "lol", "friction": {"hidden": 0.1, "output": INF}, "stepsize": SCHEDULED}},
    {"method": {"name": "splitting", "word": {"hidden": "BAFAB", "output": "BAOAB"},
        "temperature": {"hidden": [1, 2], "output": 1e-8}}},
    {"method": {"name": "langevin", "posterior_temperature": {"value": 1.0, "schedule": "table", "factors": [1, 2],
        "repeat": True}}},
    {"method": {"name": "adl", "partition": "tensor", "freeze": ["w1"], "thermostat": -0.3}},
    {"method": {"name": "coolmomentum", "cooling": "linear", "momentum": 0.9}},
    {"run": {"seed": 2**64 - 1, "minibatch": "full", "keep": [], "momenta": "thermal", "steps": 2**48 - 1, "burn_in": 0,
        "thin": 1}},
]  # fmt: skip


# -- both ways --------


@pytest.mark.parametrize("tree", VALID, ids=range(len(VALID)))
def test_round_trips(tree):
    spec = RunSpec.from_dict(tree)
    assert RunSpec.from_dict(spec.to_dict()) == spec
    assert RunSpec.from_toml(spec.to_toml()) == spec
    assert RunSpec.from_json(spec.to_json()) == spec
    assert RunSpec.from_json(spec.to_json()).to_json() == spec.to_json()
    assert not spec.differing_fields(RunSpec.from_toml(spec.to_toml()))
    json.loads(spec.to_json(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_the_default_run_is_adlala_on_four_turn_spirals():
    spec = RunSpec()
    assert (spec.data.name, spec.data.turns, spec.method.name) == ("spirals", 4.0, "adlala")
    assert spec == RunSpec.from_toml("") == RunSpec.from_toml(spec.to_toml())


def test_numbers_stay_short():
    """What was written as a number is written back as one, and a schedule with its keys beside the value."""
    spec = RunSpec.from_dict({"method": {"stepsize": SCHEDULED, "temperature": 1e-4, "epsilon": {"hidden": 0.05}}})
    written = spec.to_dict()["method"]
    assert written["stepsize"] == SCHEDULED
    assert written["temperature"] == 1e-4
    assert written["epsilon"] == {"hidden": 0.05}
    assert RunSpec.from_dict(
        {"method": {"stepsize": {"value": 0.1, "schedule": "constant"}}}
    ).method.stepsize == Scheduled(value=0.1)


LEAVES = st.one_of(
    st.booleans(), st.integers(-3, 2**65), st.floats(), st.text(max_size=4), st.dates(),
    st.sampled_from(["adlala", "splitting", "relu", "gap", "BAOAB", "linear", "cyclical", "tensor", "epoch", "hidden"]),
)  # fmt: skip
KEYS = st.one_of(
    st.sampled_from(
        [
            "name",
            "word",
            "stepsize",
            "temperature",
            "posterior_temperature",
            "friction",
            "hidden",
            "output",
            "value",
            "schedule",
            "cycles",
            "factors",
            "replicas",
            "steps",
            "burn_in",
            "thin",
            "batch",
            "keep",
            "seed",
            "seeds",
            "train",
            "freeze",
            "prior_sd",
            "init",
        ]
    ),
    st.text(max_size=3),
)
TREES = st.recursive(
    LEAVES, lambda t: st.one_of(st.lists(t, max_size=3), st.dictionaries(KEYS, t, max_size=3)), max_leaves=8
)


SECTIONS = st.sampled_from(["data", "model", "method", "run", "moves", "other"])


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(VALID), SECTIONS, st.dictionaries(KEYS, TREES, max_size=3), TREES)
def test_any_tree_is_a_spec_or_a_spec_error(base, section, keys, whole):
    """Whatever TOML can hold: accepted and unchanged by both round trips, or refused with a message."""
    for change in ({**base.get(section, {}), **keys}, keys, whole):
        tree = {**copy.deepcopy(base), section: change}
        with suppress(SpecError):
            spec = RunSpec.from_dict(tree)
            assert RunSpec.from_toml(spec.to_toml()) == RunSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize("text", ["[run", "a = ", "\x00", "[run]\nsteps = 1\nsteps = 2", "x = " + "[" * 5000])
def test_text_that_is_not_toml(text):
    with pytest.raises(SpecError, match="not TOML"):
        RunSpec.from_toml(text)


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "latin.toml").write_bytes(b"name = '\xe4'")
    for path in (tmp_path / "missing.toml", tmp_path, tmp_path / "latin.toml"):
        with pytest.raises(SpecError, match=r"Cannot read the spec|cannot be read: it is a folder"):
            RunSpec.from_toml(path)
    (tmp_path / "good.toml").write_text("[run]\nreplicas = 3\n")
    assert RunSpec.from_toml(tmp_path / "good.toml").run.replicas == 3


@pytest.mark.parametrize("text", ["{", "", "[" * 100_000])
def test_text_that_is_not_json(text):
    with pytest.raises(SpecError, match="not JSON"):
        RunSpec.from_json(text)


# -- refused --------

REFUSED = [
    ({"dta": {}}, r"Unknown key 'dta'\. Did you mean 'data'\?"),
    ({"run": {"replcas": 3}}, r"Unknown key 'run.replcas'\. Did you mean 'replicas'\?"),
    ({"model": {"qqq": 3}}, r"Unknown key 'model.qqq'\. Known: hidden, activation"),
    ({"data": {"name": "spirals", "turn": 4}}, r"Unknown key 'data.turn'\. Did you mean 'turns'\?"),
    ({"data": {"name": "spirls"}}, r"data.name = 'spirls' is unknown\. Did you mean 'spirals'\?"),
    ({"method": {"name": "adlalla"}}, r"no method 'adlalla'\. Did you mean 'adlala'\?"),
    ({"method": {"stepsize": {"value": 0.1, "schedule": "cyclicl"}}},
        r"schedule = 'cyclicl' is unknown\. Did you mean 'cyclical'\?"),
    ({"method": {"stepsize": {**SCHEDULED, "cycle": 3}}},
        r"Unknown key 'method.stepsize.cycle'\. Did you mean 'cycles'\?"),
    ({"method": {"stepsize": {"schedule": "linear"}}}, "method.stepsize.*needs a value beside its schedule"),
    ({"method": {"stepsize": {"value": 1, "schedule": "constant", "final": 2}}}, "a constant takes no 'final'"),
    ({"method": {"temperature": 1e-4, "posterior_temperature": 1}},
        "temperature and posterior_temperature are both given"),
    ({"method": {"temperature": NAN}}, "temperature = nan is not a finite number"),
    ({"method": {"temperature": {"hidden": [1e-4, -1e-4]}}},
        r"temperature.hidden = -0.0001 \(entry 1\) must not be negative"),
    ({"method": {"temperature": INF}}, "temperature = inf is not a finite number"),
    ({"method": {"friction": -INF}}, "friction = -inf is not a finite number"),
    ({"method": {"friction": {"value": INF, "schedule": "linear"}}}, "friction = inf takes no schedule"),
    ({"method": {"sigma": -0.1}}, "sigma = -0.1 must not be negative"),
    ({"method": {"epsilon": -0.1}}, "epsilon = -0.1 must not be negative"),
    ({"method": {"thermostat": NAN}}, "thermostat = nan is not a finite number"),
    ({"method": {"stepsize": 0}}, "stepsize = 0.0 must be above 0"),
    ({"method": {"stepsize": []}}, "stepsize is an empty list"),
    ({"method": {"stepsize": True}}, "method.stepsize: true is not a number"),
    ({"method": {"stepsize": "fast"}}, "method.stepsize = 'fast': input should be a valid number"),
    ({"method": {"temperature": {}}}, "an empty table names no partition"),
    ({"method": {"name": "momentum", "momentum": 1.0}}, "momentum = 1.0 must be below 1"),
    ({"method": {"name": "momentum", "momentum": {"value": 0.9, "schedule": "linear"}}}, "takes no schedule"),
    ({"method": {"name": "sgd", "convention": "II"}}, "convention belongs to method 'momentum', not 'sgd'"),
    ({"method": {"name": "sgd", "cooling": "linear"}}, "cooling belongs to method 'coolmomentum'"),
    ({"model": {"init": "prior"}}, 'init = "prior" needs prior_sd'),
    ({"model": {"prior_sd": 0}}, "model.prior_sd: 0 is no scale of a prior: give a number greater than 0"),
    ({"model": {"prior_sd": NAN}}, "model.prior_sd: nan is no scale"),
    ({"model": {"hidden": 0}}, "model.hidden: 0 is no number of hidden units: give a whole number from 1 to 1048576"),
    ({"model": {"hidden": []}}, r"model.hidden: a network has 1 to 16 hidden layers, and these are 0: .* \[16, 16\]"),
    ({"model": {"hidden": [0]}}, "model.hidden: 0 is no number of hidden units"),
    ({"model": {"hidden": [16, -1]}}, r"model.hidden: -1 \(layer 2\) is no number of hidden units"),
    ({"model": {"hidden": 10**9}}, "model.hidden: 1000000000 is no number of hidden units"),
    ({"model": {"hidden": [4, "16"]}}, r"model.hidden: '16' \(layer 2\) is no number of hidden units"),
    ({"model": {"hidden": True}}, "model.hidden: true is no number of hidden units"),
    ({"model": {"hidden": [2.5]}}, "model.hidden: 2.5 is no number of hidden units"),
    ({"model": {"hidden": math.inf}}, "model.hidden: inf is no number of hidden units"),
    ({"model": {"hidden": 60 * [4]}}, "model.hidden: a network has 1 to 16 hidden layers, and these are 60"),
    ({"model": {"activation": "relou"}}, f"model.activation = 'relou': input should be {ANY_OF_THEM}"),
    ({"run": {"replicas": 2.5}}, "run.replicas = 2.5"),
    ({"run": {"steps": 100, "burn_in": 100}}, "burn_in = 100 leaves no steps"),
    ({"run": {"steps": 1000, "burn_in": 100, "thin": 500}}, r"/ thin = 1.8 is not whole: use steps = 1100"),
    ({"run": {"steps": 2**48}}, "run.steps"),
    ({"run": {"seed": 2**64}}, "run.seed"),
    ({"run": {"seed": -1}}, "run.seed = -1"),
    ({"run": {"batch": 5, "minibatch": "full"}}, "leave out batch = 5"),
    ({"run": {"batch": True}}, r"^run.batch: true is not a number\.$"),
    ({"run": {"batch": "x"}}, r"^run.batch = 'x': input should be a valid integer, .*; or 'auto'\.$"),
    ({"run": {"batch": 0}}, r"^run.batch = 0: input should be greater than or equal to 1; or 'auto'\.$"),
    ({"run": {"replicas": True}}, "run.replicas: true is not a number"),
    ({"run": {"seed": False}}, "run.seed: false is not a number"),
    ({"run": {"superchain": True}}, "run.superchain: true is not a number"),
    ({"method": {"stepsize_ratio": {"output": True}}}, "method.stepsize_ratio.output: true is not a number"),
    ({"method": {"stepsize_ratio": {"output": 1e300}}}, "output = 1e.300: .* less than or equal to 1000000"),
    ({"method": {"stepsize_ratio": {"output": 1e-9}}}, "output = 1e-09: .* greater than or equal to 0.0*1"),
    ({"method": {"every": {"output": True}}}, "method.every.output: true is not a number"),
    ({"run": {"keep": ["weights"]}}, "run.keep.0 = 'weights'"),
    ({"run": {"keep": ["parameters", "parameters"]}}, "names something twice"),
    ({"moves": [{"kind": "exchange"}]}, "rungs and hottest"),
    ({"method": "adlala"}, "method = 'adlala'"),
    ({"data": {"seed": 1, "seeds": [1]}}, "both given"),
]  # fmt: skip


@pytest.mark.parametrize(("tree", "message"), REFUSED, ids=[str(tree)[:60] for tree, _ in REFUSED])
def test_refused_with_the_field_and_a_remedy(tree, message):
    with pytest.raises(SpecError, match=message):
        RunSpec.from_dict(tree)


def test_every_mistake_is_named():
    with pytest.raises(SpecError) as caught:
        RunSpec.from_dict({"run": {"replicas": 0, "thin": 0}, "modl": {}})
    assert len(str(caught.value).splitlines()) == 3


# -- overrides --------


def test_set_changes_one_key():
    spec = RunSpec.from_toml(
        "[run]\nreplicas = 4\n", ["run.batch=7", "method.stepsize=[0.1, 0.2, 0.3, 0.4]", "model.activation=tanh"]
    )
    assert (spec.run.replicas, spec.run.batch, spec.model.activation) == (4, 7, "tanh")
    assert spec.method.stepsize.value == [0.1, 0.2, 0.3, 0.4]


def test_set_keeps_the_other_defaults():
    """A spec without [method] is about the default run: setting one key does not change its others."""
    spec, default = RunSpec.from_toml("", ["method.friction=0.5"]), RunSpec()
    assert spec.differing_fields(default) == ["method.friction"]


def test_set_name_resets_the_section():
    text = "[method]\nname = 'adlala'\nsigma = 0.5\nstepsize = 0.3\n[data]\nturns = 7\n"
    spec = RunSpec.from_toml(text, ["method.name=sgd", "method.stepsize=0.2", "data.name='gap'"])
    assert spec.to_dict()["method"] == {"name": "sgd", "freeze": [], "stepsize": 0.2}
    assert spec.data.name == "gap"


def test_set_reads_toml_values_and_bare_words():
    tree = apply_overrides(
        {}, ["a.b=1e-3", "a.c=true", "a.d=some words", "a.e={hidden = 1.0, output = 2}", "a.f = 'x=y'", "g=-inf"]
    )
    assert tree == {
        "a": {"b": 1e-3, "c": True, "d": "some words", "e": {"hidden": 1.0, "output": 2}, "f": "x=y"},
        "g": -INF,
    }


@pytest.mark.parametrize("text", ["run.replicas", "=3", "run..x=3", ".=", ""])
def test_overrides_of_the_wrong_form(text):
    with pytest.raises(SpecError, match=r"is not of the form section\.key=value"):
        apply_overrides({}, [text])


def test_overrides_into_a_value():
    with pytest.raises(SpecError, match="replicas is a value, not a section"):
        apply_overrides({"run": {"replicas": 3}}, ["run.replicas.x=3"])


def test_overrides_of_an_entry_of_a_list():
    tree = {"moves": [{"kind": "exchange", "rungs": 3}, {"kind": "cyclical"}]}
    assert apply_overrides(tree, ["moves.0.rungs=4"])["moves"] == [
        {"kind": "exchange", "rungs": 4},
        {"kind": "cyclical"},
    ]
    for entry in ("2", "first", "-1"):
        with pytest.raises(SpecError, match=f"no entry {entry}; use 0 to 1"):
            apply_overrides(tree, [f"moves.{entry}.rungs=4"])
    with pytest.raises(SpecError, match="moves is a value"):
        apply_overrides(tree, ["moves.0=4"])
    with pytest.raises(SpecError, match="the list is empty"):
        apply_overrides({"moves": []}, ["moves.0.rungs=4"])


def test_overrides_leave_the_tree_alone():
    tree = {"run": {"replicas": 3}}
    apply_overrides(tree, ["run.replicas=4", "data.name=gap"])
    assert tree == {"run": {"replicas": 3}}


# -- identity --------


def test_fingerprint_covers_everything_but_steps():
    spec = RunSpec.from_dict({"run": {"steps": 2000, "burn_in": 1000, "thin": 500}})
    longer = RunSpec.from_dict({"run": {"steps": 3000, "burn_in": 1000, "thin": 500}})
    assert spec.fingerprint("data") == longer.fingerprint("data")
    assert spec.fingerprint("data") != spec.fingerprint("other data")
    assert not spec.differing_fields(longer)
    changes = [
        ("run", "thin", 250),
        ("run", "seed", 2),
        ("model", "hidden", 99),
        ("method", "sigma", 0.5),
        ("data", "turns", 3.5),
    ]
    for section, key, value in changes:
        other = copy.deepcopy(spec.to_dict())
        other[section][key] = value
        other = RunSpec.from_dict(other)
        assert other.fingerprint("data") != spec.fingerprint("data")
        assert spec.differing_fields(other) == [f"{section}.{key}"]


def test_fingerprint_is_frozen():
    """Stores hold it: the same spec gives the same one for ever."""
    spec = RunSpec.from_dict(REFERENCE["spec"])
    assert spec.fingerprint("data") == REFERENCE["fingerprint"]


def test_draws():
    spec = RunSpec.from_dict({"run": {"steps": 1000, "burn_in": 400, "thin": 150}})
    assert spec.run.draws == 4
    assert math.isinf(RunSpec.from_dict({"method": {"friction": INF}}).method.friction["all"].value)
    assert prepare(RunSpec.from_dict({"run": {"replicas": 1}})).job.replicas == 1


@pytest.mark.parametrize("repeat", [False, True])
def test_a_table_of_factors_is_read_back_from_a_store(repeat):
    """Its own `repeat` is not that of a list of values."""
    table = {"value": 0.1, "schedule": "table", "factors": [1.0, 0.5], "repeat": repeat}
    spec = RunSpec.from_dict({"method": {"name": "langevin", "stepsize": table}})
    assert RunSpec.from_json(spec.to_json()) == spec
    assert spec.method.stepsize.schedule.repeat is repeat
