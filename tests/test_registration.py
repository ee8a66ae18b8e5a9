"""Records of one's own in whole runs: copies are equal to ours, specs name them, going on asks for them again."""

from dataclasses import replace

import numpy as np
import pytest

import gpu_thermo as gt
from gpu_thermo import registration
from gpu_thermo.errors import CompileError, SpecError
from gpu_thermo.kernels.toolchain import find_compiler
from gpu_thermo.method.letters import LETTERS, A, B, O
from gpu_thermo.method.named import METHODS
from gpu_thermo.method.operations import OWN
from gpu_thermo.method.updates import ADAM, SGHMC
from gpu_thermo.targets.activations import ACTIVATIONS
from gpu_thermo.targets.likelihoods import LIKELIHOODS
from gpu_thermo.targets.priors import PRIORS

compiled = pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler")
ENGINES = ("batched", pytest.param("fused", marks=compiled))
SPEC = {
    "data": {"turns": 1, "train": 30, "test": 10},
    "model": {"hidden": 4, "activation": "tanh", "prior_sd": 1.0},
    "method": {"name": "splitting", "word": "BAOAB", "partition": "all", "stepsize": 0.1, "temperature": 1e-2},
    "run": {"replicas": 5, "steps": 30, "burn_in": 0, "thin": 10, "trace": 10, "batch": 6},
}


@pytest.fixture(autouse=True)
def clean():
    """Nothing stays registered."""
    yield
    for label in registration.registered():
        gt.unregister(label.split()[1])
    assert not OWN


def spec(**sections):
    return {**SPEC, **{name: {**SPEC[name], **values} for name, values in sections.items()}}


def draws(given, engine="batched", store=None):
    tree = gt.sample(given, store, engine=engine)
    return np.concatenate([v.to_numpy().reshape(5, -1) for v in tree["posterior"].data_vars.values()], axis=1)


UPDATE = {"name": "sghmc", "stepsize": 0.01, "temperature": 1e-3}
COPIES = {
    "letters": (
        [replace(A, symbol="J"), replace(B, symbol="H"), replace(O, symbol="L", apart="")],
        {"method": {"word": "HJLJH", "partition": "all"}}, {},
    ),
    "update": ([replace(SGHMC, symbol="mine")], {"method": UPDATE | {"name": "mine"}}, {"method": UPDATE}),
    "activation": ([replace(ACTIVATIONS["silu"], name="swish")], {"model": {"activation": "swish"}},
                   {"model": {"activation": "silu"}}),
    "prior": ([replace(PRIORS["laplace"], name="lasso")], {"model": {"prior": "lasso"}},
              {"model": {"prior": "laplace"}}),
    "likelihood": ([replace(LIKELIHOODS["bernoulli"], name="logistic")], {"model": {"likelihood": "logistic"}}, {}),
}  # fmt: skip


def in_place(sections):
    """Sections of an update are taken as a whole."""
    return {**SPEC, "method": sections["method"]} if "name" in sections.get("method", {}) else spec(**sections)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", COPIES)
def test_copies_are_equal_bit_for_bit(name, engine):
    records, theirs, ours = COPIES[name]
    for record in records:
        assert gt.register(record) is record
    np.testing.assert_array_equal(draws(in_place(theirs), engine), draws(in_place(ours), engine))


def test_a_record_without_c_is_carried_out_by_array_code(caplog):
    """`auto` takes the batched engine; the fused one refuses, by name."""
    gt.register(replace(B, symbol="H", code=(), call=""))
    gt.register(replace(ACTIVATIONS["tanh"], name="plain", code=None))
    own = spec(method={"word": "HAOAH"}, model={"activation": "plain"})
    np.testing.assert_array_equal(draws(own, "auto"), draws(SPEC, "batched"))
    with pytest.raises(SpecError, match=r"fused' cannot run this: H has no C\+\+ text"):
        gt.sample(spec(method={"word": "HAOAH"}), engine="fused")
    with pytest.raises(SpecError, match=r"perceptrons only, whose records have C\+\+ texts"):
        gt.sample(spec(model={"activation": "plain"}), engine="fused")


@compiled
def test_c_that_does_not_compile_shows_its_lines():
    """And no other run is the worse for it."""
    gt.register(replace(B, symbol="H", code=("HD void push(real& p, real g, real h) { p -= h * oops; }",),
                        call="push(x.p, x.g, {0});"))  # fmt: skip
    with pytest.raises(CompileError, match=r"(?s)\d+.*p -= h \* oops"):
        gt.sample(spec(method={"word": "HAOAH"}), engine="fused")
    draws(spec(method={"word": "BAOAB"}), "fused")


# -- what a run says of them -------------------------------------------------------------------------------------------


def test_a_run_is_gone_on_with_where_the_same_is_registered(tmp_path):
    """Digests are in its spec and so in its fingerprint; reading needs nothing."""
    record = replace(A, symbol="J")
    gt.register(record)
    own = spec(method={"word": "BJOJB"})
    path = tmp_path / "run.zarr"
    with gt.sample(own, path) as tree:
        said = gt.RunSpec.from_json(tree.attrs["spec"])
    assert said.registered == {"letter J": registration.digest(record)}
    gt.unregister("J")
    with gt.open_run(path) as tree:
        assert tree["posterior"].sizes["draw"] == 3
        gt.predict(tree, np.zeros((1, 2)))
    with pytest.raises(SpecError, match=r"goes by the letter 'J', registered from Python.*register\(\.\.\.\)"):
        gt.resume(path, draws=3)
    gt.register(replace(A, symbol="J", act=lambda theta, p, h: np.add(theta, 2 * h * p, out=theta)))
    with pytest.raises(SpecError, match="the one registered here is another: its texts or what it answers differ"):
        gt.resume(path, draws=3)
    gt.unregister("J")
    gt.register(replace(A, symbol="J", act=lambda q, p, step: np.add(q, step * p, out=q)))  # the same in other words
    extended = gt.resume(path, own | {"run": {**SPEC["run"], "steps": 60}})
    whole = draws(own | {"run": {**SPEC["run"], "steps": 60}}, "auto")
    found = [v.to_numpy().reshape(5, -1) for v in extended["posterior"].data_vars.values()]
    np.testing.assert_array_equal(np.concatenate(found, axis=1), whole)


def test_fingerprints_tell_records_apart():
    from gpu_thermo.running.setup import prepare

    prints = [prepare(gt.RunSpec.from_dict(SPEC)).fingerprint]
    for scale in (1, 2):
        gt.register(replace(A, symbol="J", coefficients=lambda h, values, s=scale: (s * h,)))
        prints.append(prepare(gt.RunSpec.from_dict(spec(method={"word": "BJOJB"}))).fingerprint)
        assert prepare(gt.RunSpec.from_dict(SPEC)).fingerprint == prints[0]
        gt.unregister("J")
    assert len(set(prints)) == 3


def test_predictions_need_the_activation(tmp_path):
    gt.register(replace(ACTIVATIONS["silu"], name="swish"))
    gt.sample(spec(model={"activation": "swish"}), tmp_path / "run.zarr").close()
    gt.unregister("swish")
    with pytest.raises(SpecError, match="goes by the activation 'swish'"):
        gt.predict(tmp_path / "run.zarr", np.zeros((1, 2)))


def test_an_update_is_a_method():
    gt.register(replace(ADAM, symbol="adam2", defaults={"stepsize": 0.02}, summary="ours"))
    assert METHODS["adam2"].defaults["stepsize"] == 0.02
    assert gt.RunSpec.from_dict({"method": {"name": "adam2"}}).method.name == "adam2"
    gt.unregister("adam2")
    with pytest.raises(SpecError, match="no method 'adam2'"):
        gt.RunSpec.from_dict({"method": {"name": "adam2"}})


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (A, "There is a letter 'A' in the package already: choose another name. Taken: A, B, C"),
        (replace(SGHMC, symbol="adlala"), "There is an update 'adlala' in the package already"),
        (replace(SGHMC, symbol="sgnht"), "'sgnht' in the package already"),
        (replace(PRIORS["normal"]), "There is a prior 'normal'"),
        (replace(LIKELIHOODS["gaussian"], name="regression"), "There is a likelihood 'regression'"),
        (replace(A, symbol="R"), "'R' is no name of a letter: give one capital letter, V and R aside"),
        (replace(SGHMC, symbol="My Update"), "'My Update' is no name of an update: give a name of small letters"),
        (replace(O, symbol="L", reads=("friction", "colour")), "L reads colour, which is no hyperparameter"),
        (replace(SGHMC, symbol="mine", summary=""), "give it a summary, and defaults of momentum, stepsize, temp"),
        (replace(A, symbol="J", code=("HD void kick(real& q, real p, real h) { q += h * p; }",)),
         r"The C\+\+ of J defines kick\(\), and that of B defines it otherwise"),
        (replace(A, symbol="J", act=lambda q: None), r"letter 'J' was tried on arrays, and it failed: TypeError"),
        (replace(A, symbol="J", coefficients=lambda h, v: ()), "kinds = 'r' says 1"),
        (replace(LIKELIHOODS["gaussian_learned"], name="mine"), "parameters of its own"),
        ("BAOAB", "str is no record: give an Operation, Activation, Prior or Likelihood"),
    ],
)  # fmt: skip
def test_refused(record, message):
    with pytest.raises(SpecError, match=message):
        gt.register(record)
    assert not gt.registered()


def test_the_same_again_is_no_clash_and_another_is():
    record = replace(A, symbol="J")
    gt.register(record)
    gt.register(replace(A, symbol="J", act=lambda q, p, h: np.add(q, h * p, out=q)))
    with pytest.raises(SpecError, match=r"Another letter 'J' is registered already.*unregister\('J'\) first"):
        gt.register(replace(A, symbol="J", formula="another"))
    with pytest.raises(SpecError, match=r"Nothing is registered as 'Q'\. Registered: letter J"):
        gt.unregister("Q")
    with pytest.raises(SpecError, match="Nothing is registered as 'A'"):
        gt.unregister("A")
    assert "A" in LETTERS
