"""Runs of words in braces: what is refused and why, what is stored, and that stopping anywhere changes no bit."""

import numpy as np
import pytest

from gpu_thermo.errors import SpecError
from gpu_thermo.run import iterate, resume, sample
from gpu_thermo.running.setup import prepare
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.store import read_header

RUN = {"replicas": 12, "steps": 240, "burn_in": 60, "thin": 30, "minibatch": "full", "seed": 3, "trace": 60}
METHOD = {"name": "langevin", "word": "{BAOAB}", "stepsize": 0.8, "posterior_temperature": 1.0, "partition": "layer"}
SPEC = {
    "data": {"name": "moons", "train": 20, "test": 10},
    "model": {"hidden": 3, "activation": "tanh", "prior_sd": 1.0},
    "method": METHOD,
    "run": RUN,
}
ENGINES = ("batched", "fused")
WORK = ("acceptance", "shadow_work", "shadow_work_variance")


def spec(method=(), run=(), moves=(), **sections):
    """SPEC with other values."""
    return SPEC | sections | {"method": METHOD | dict(method), "run": RUN | dict(run), "moves": list(moves)}


def refusal(tree):
    with pytest.raises(SpecError) as error:
        prepare(RunSpec.from_dict(tree))
    return str(error.value)


MINIBATCH = {"minibatch": "subset", "batch": 5}
WELL = {"name": "double_well", "gradient_noise_sd": 0.1}
TWO = {"posterior_temperature": {"hidden": 1.0, "output": 0.5}}
SCHEDULED = {"stepsize": {"value": 0.5, "schedule": "linear", "final": 0.5}, "block": 3}
EXCHANGE = {"kind": "exchange", "temperatures": [0.05, 0.06], "interval": 50}


@pytest.mark.parametrize(
    ("tree", "parts"),
    [
        (spec(run=MINIBATCH), ["{BAOAB}", 'minibatch = "subset"', 'minibatch = "full"']),
        (spec(TWO), ["0.05 in hidden", "0.025 in output", "one for all partitions"]),
        (spec({"posterior_temperature": 0.0}), ["above 0, not at 0"]),
        (spec(SCHEDULED), ["block = 3", "stepsize has a schedule", "block = 1"]),
        (spec({"word": "BAOAB", "block": 3}), ["block = 3", "no braces"]),
        (spec({"block": 7}), ["run.burn_in = 60", "method.block = 7", "use 63"]),
        (spec({"block": 4}), ["run.thin = 30", "method.block = 4", "use 32"]),
        (spec({"block": 5}, {"trace": 64}), ["run.trace = 64", "use 65"]),
        (spec({"word": {"hidden": "{BAOAB}", "output": "BAOAB"}}), ["output (BAOAB) has none", "every word"]),
        (spec({"block": 3}, moves=[EXCHANGE]), ["exchange", "interval = 50", "such as 51"]),
        (spec(moves=[{"kind": "contour", "bins": 10, "lowest": 0.0, "width": 0.1}]), ["contour"]),
        (spec(moves=[{"kind": "cyclical", "cycles": 2}]), ["falls to 0 at step", "explore, above 0"]),
    ],
)  # fmt: skip
def test_refusals(tree, parts):
    text = refusal(tree)
    assert all(part in text for part in parts), text


def of_potential(name, **options):
    """A target in place of network and data."""
    method = {key: value for key, value in METHOD.items() if key != "posterior_temperature"}
    return {
        "target": {"name": name, **options}, "run": RUN, "method": method | {"temperature": 1.0, "partition": "all"}
    }  # fmt: skip


def test_noise_and_walls_are_refused():
    assert "noise" in refusal(of_potential("double_well", gradient_noise_sd=0.1))
    assert "noise" in refusal(of_potential("double_well", energy_noise_sd=0.1))
    assert "walls" in refusal(of_potential("plane"))


def test_work_is_counted_where_it_can_be():
    """In braces always, and of plain words where it is asked for: full batch, and letters whose work is known."""
    counts = lambda tree, **run: prepare(RunSpec.from_dict(tree | {"run": tree["run"] | run})).job.counts_work  # noqa: E731
    plain = of_potential("double_well") | {"method": {"name": "langevin", "word": "OBA", "temperature": 1.0}}
    assert counts(spec())
    assert counts(plain, work=True)
    assert not counts(plain)
    assert not counts(spec({"word": "BAOAB"}, MINIBATCH))
    for tree, why in (
        (spec({"word": "BAOAB"}, MINIBATCH), "changes U from step to step"),
        (spec({"name": "adl", "word": None, "stepsize": 0.1, "posterior_temperature": 1.0}), "the work of"),
    ):
        with pytest.raises(SpecError, match=f"run.work = true counts the change of energy of each step, and .*{why}"):
            counts(tree, work=True)


def test_the_default_learning_curve_stands_at_block_ends():
    run = {key: value for key, value in RUN.items() if key != "trace"}
    assert RunSpec.from_dict(spec({"block": 15}) | {"run": run}).run.trace == 2_010
    assert RunSpec.from_dict(spec() | {"run": run}).run.trace == 2_000


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("word", ["{BAOAB}", "{ABOBA}", "O{BAB}O"])
def test_what_is_stored(word, engine, tmp_path):
    tree = sample(spec({"word": word, "block": 6}), tmp_path / "run.zarr", engine=engine)
    stats = tree["sample_stats"]
    assert (stats["block"] == 6).all()
    assert set(WORK) <= set(stats.data_vars) & set(tree["trace"].data_vars)
    acceptance = stats["acceptance"].to_numpy()
    assert ((acceptance > 0) & (acceptance <= 1)).all()
    assert (stats["shadow_work_variance"] >= 0).all()
    q = tree["posterior"]["w1"].to_numpy()
    kept = (q[:, 1:] == q[:, :-1]).all(axis=(2, 3))  # five proposals between draws
    assert kept.mean() < 0.5


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("word", ["{BAOAB}", "{OABAO}"])
def test_stopping_within_a_proposal_changes_no_bit(word, engine, tmp_path):
    """A proposal is as long as the run: every stop but those at draws is in the middle of one."""
    tree = spec({"word": word, "block": 30})
    whole = sample(tree, tmp_path / "whole.zarr", engine=engine)
    path, stops = tmp_path / "cut.zarr", []
    sample(tree, path, engine=engine, time_limit=0)
    while read_header(path).step < RUN["steps"]:
        stops.append(read_header(path).step)
        cut = resume(path, time_limit=0 if len(stops) < 8 else None)
    assert any(step % 30 for step in stops)
    for group in ("posterior", "sample_stats", "trace", "predictive"):
        for name, values in whole[group].data_vars.items():
            np.testing.assert_array_equal(values, cut[group][name], err_msg=f"{group}/{name}")


@pytest.mark.parametrize("engine", ENGINES)
def test_exchange_between_blocks(engine):
    """Rungs trade places at block ends; each replica is accepted at the temperature of its rung."""
    move = EXCHANGE | {"interval": 15}
    shots = list(iterate(spec({"block": 5, "partition": "all"}, moves=[move]), engine=engine))
    assert len({tuple(shot.statistics["rung"]) for shot in shots}) > 1
    assert all((shot.statistics["acceptance"] > 0).all() for shot in shots)
