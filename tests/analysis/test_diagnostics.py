"""diagnose on runs whose answers are known, and on a real one."""

import json
import math
from typing import Any

import numpy as np
import pytest
import xarray as xr
from arviz_stats import ess, rhat
from stores import dataset, model_for, run_tree

from gpu_thermo.errors import SpecError, Status, StoreError
from gpu_thermo.run import sample
from gpu_thermo.targets.base import Batch
from gpu_thermo.targets.posterior import MlpTarget
from gpu_thermo_analysis import Diagnosis, diagnose
from gpu_thermo_analysis.convergence import convergence, superchains

RNG = np.random.default_rng(5)
DATA = dataset(points=40)
MODEL = model_for(DATA, hidden=3, prior_sd=1.0)


def positions(replicas: int, draws: int, between: float = 0.0, model: Any = MODEL) -> np.ndarray:
    """Independent draws, with a part of size `between` that is each chain's own."""
    own = RNG.normal(size=(replicas, 1, model.layout.size)) * between
    return (own + RNG.normal(size=(replicas, draws, model.layout.size))).astype(np.float32)


def text(found: Diagnosis, topic: str) -> str:
    return next(v.text for v in found.ensembles[0].verdicts if topic in v.topic)


def verdict(found: Diagnosis, topic: str) -> bool | None:
    return next(v.passed for v in found.ensembles[0].verdicts if topic in v.topic)


def test_chains_that_agree_pass_and_chains_that_do_not_fail() -> None:
    good = diagnose(run_tree(DATA, MODEL, positions(16, 60)))
    assert text(good, "convergence").startswith("Chains agree in function space (R-hat ")
    assert verdict(good, "effective draws") is True
    bad = diagnose(run_tree(DATA, MODEL, positions(16, 60, between=2.0)))
    assert "do not trust yet: chains disagree, too few effective draws" in bad.lines[0]
    assert not bad.trusted
    assert text(bad, "chains disagree").startswith("Chains disagree in function space (R-hat")


def test_numbers_are_those_of_arviz_within_each_ensemble() -> None:
    position = np.concatenate([positions(8, 40), positions(8, 40, between=1.0)])
    tree = run_tree(DATA, MODEL, position, ensemble=np.repeat([0, 1], 8))
    found = diagnose(tree)
    for e in (0, 1):
        mine = tree["probes"].to_dataset()["predictions"].isel(chain=slice(8 * e, 8 * e + 8)).drop_vars("ensemble")
        mine = mine.astype(np.float64)  # as diagnose does: see the next test
        c = found.ensembles[e].convergence
        assert c is not None
        assert c.rhat == pytest.approx(float(rhat(mine).max()), rel=1e-6)
        assert c.ess_bulk == pytest.approx(float(ess(mine).min()), rel=1e-6)
        assert c.ess_tail == pytest.approx(float(ess(mine, method="tail", prob=0.05).min()), rel=1e-6)
    assert diagnose(tree, ensemble=1).ensembles == (found.ensembles[1],)
    with pytest.raises(SpecError, match="no ensemble 2"):
        diagnose(tree, ensemble=2)


def test_ties_of_folded_draws_stay_ties() -> None:
    """The middle two of an even number of draws are equally far from the median; one rounded to float32 ranks them."""
    low, high, off = np.float32(0.5299012), np.float32(0.5372273), np.linspace(0.01, 0.2, 11, dtype=np.float32)
    draws = np.concatenate([low - off, [low, high], high + off])
    draws = np.random.default_rng(0).permutation(draws).reshape(4, 6)
    assert draws.dtype == np.float32
    kinds = (np.float32, np.float64)
    single, double = (float(rhat(xr.DataArray(draws.astype(kind), dims=("chain", "draw")))) for kind in kinds)
    assert single != pytest.approx(double, rel=1e-6)
    assert convergence(draws[..., None], 1.0, None).rhat == pytest.approx(double, rel=1e-12)


def test_nested_rhat_tells_shared_starts_from_own_ones() -> None:
    # 4 superchains that never left their start
    stuck = np.repeat(RNG.normal(size=(4, 1, 1)), 4, axis=0) + 0.1 * RNG.normal(size=(16, 50, 1))
    start = np.repeat(np.arange(4), 4)
    c = convergence(stuck, 1.0, start)
    assert (c.groups, c.group_size, c.shared_start) == (4, 4, True)
    assert c.nested_rhat > 1.5
    free = convergence(RNG.normal(size=(400, 50, 1)), 1.0, None)
    assert (free.groups, free.group_size, free.shared_start) == (20, 20, False)
    assert free.nested_rhat < 1.01
    assert free.average_error == pytest.approx(
        1 / math.sqrt(400 * 50), rel=0.6
    )  # the standard error of the overall mean, in sd
    assert [len(superchains(n, None)[0]) for n in (1, 3, 4, 5, 11)] == [0, 0, 4, 4, 9]
    assert len(superchains(4, np.arange(4))[0]) == 0
    own = diagnose(run_tree(DATA, MODEL, positions(16, 20)))
    assert "Every chain has its own start" in text(own, "nested")
    zero = diagnose(run_tree(DATA, MODEL, positions(16, 20), init="zero"))
    assert "All chains start at zero" in text(zero, "shared start")


def test_frozen_chains_are_dropped_and_counted_with_cause_and_remedy() -> None:
    position = positions(20, 12)
    position[3, 5:] = position[7, 2:] = position[8, 2:] = np.nan
    status = np.zeros(20, int)
    status[3], status[[7, 8]] = Status.NONFINITE_MOMENTUM, Status.NONFINITE_GRADIENT
    found = diagnose(run_tree(DATA, MODEL, position, status=status))
    one = found.ensembles[0]
    assert (one.chains, one.frozen, one.convergence.chains if one.convergence else 0) == (20, 3, 17)
    assert (
        text(found, "frozen")
        == "3 of 20 chains froze and are left out. 2 since step 7: the gradient overflowed: use a smaller stepsize, or"
        " standardise the data; 1 since step 7: the momentum overflowed: use a smaller stepsize or more friction."
    )
    assert verdict(found, "frozen") is False  # more than a tenth
    gone = diagnose(run_tree(DATA, MODEL, np.full_like(position, np.nan), status=np.full(20, 1)))
    assert gone.ensembles[0].convergence is None
    assert not gone.trusted


def test_kinetic_temperature_against_its_target() -> None:
    def kinetic(value: float, temperature: Any = (1e-2, 1e-2), method: Any = None) -> Diagnosis:
        noisy = value * RNG.normal(1, 0.02, (16, 20, 2))
        return diagnose(run_tree(DATA, MODEL, positions(16, 20), kinetic=noisy, temperature=temperature, method=method))

    langevin = {"name": "lala", "temperature": 1e-2}
    assert verdict(kinetic(1.01e-2, method=langevin), "kinetic temperature of hidden") is True
    assert verdict(kinetic(1.05e-2, method=langevin), "kinetic temperature of hidden") is False
    assert "gradient noise heats" in text(kinetic(1.5e-2, method=langevin), "kinetic temperature of output")
    cold = kinetic(0.8e-2, method=langevin)
    assert verdict(cold, "kinetic") is None
    assert "expected of a finite stepsize" in text(cold, "kinetic")
    assert "last kick h G / 2: expected" in text(
        kinetic(1e-3, temperature=(1e-2, 0.0)), "kinetic temperature of output"
    )
    assert "no thermal momenta" in text(kinetic(0, method={"name": "sgd"}), "kinetic")
    ramp = {"name": "lala", "temperature": {"value": 1e-2, "schedule": "linear"}}
    assert "follows a schedule" in text(kinetic(1e-2, method=ramp), "kinetic")


def test_configurational_temperature_is_the_full_batch_identity() -> None:
    position = positions(6, 5)
    found = diagnose(run_tree(DATA, MODEL, position)).ensembles[0].temperatures
    target = MlpTarget(MODEL, DATA, np.zeros(30, int), np.float64)
    flat = position.reshape(30, -1).astype(np.float64)
    product = flat * target.energy_and_gradient(flat, Batch(None, np.zeros(30, int)))[1]
    for t, columns, n in zip(
        found, MODEL.layout.partition("layer").slices, MODEL.layout.partition("layer").counts, strict=True
    ):
        per_chain = (product[:, columns].sum(1) / n).reshape(6, 5).mean(1)
        assert t.configurational == pytest.approx(per_chain.mean(), rel=1e-6)
        assert t.configurational_error == pytest.approx(per_chain.std(ddof=1) / math.sqrt(6), rel=1e-6)


@pytest.mark.parametrize(("change", "reason"), [
    ({"model": model_for(DATA, hidden=3)}, "without a prior"),
    ({"temperature": (1e-2, 1e-3)}, "one temperature for all partitions"),
    ({"temperature": (0.0, 0.0)}, "nothing is sampled"), ({"log_weight": np.zeros((6, 5))}, "importance weights"),
    ({"method": {"name": "lala", "freeze": ["output"]}}, "keeps its initial values"),
])  # fmt: skip
def test_configurational_verdict_only_where_it_has_an_answer(change: dict, reason: str) -> None:
    model = change.pop("model", MODEL)
    found = diagnose(run_tree(DATA, model, positions(6, 5), **change))
    assert verdict(found, "configurational") is None
    assert "No verdict" in text(found, "configurational")
    assert reason in text(found, "configurational")


def test_weights_settled_predictions_few_draws_and_what_was_not_kept() -> None:
    log_weight = np.full((6, 10), -np.inf)
    log_weight[0, :2] = 0.0
    weighted = diagnose(run_tree(DATA, MODEL, positions(6, 10), log_weight=log_weight))
    assert weighted.ensembles[0].weight_ess == pytest.approx(2)
    assert verdict(weighted, "weights") is False
    settled = diagnose(run_tree(DATA, MODEL, np.repeat(np.repeat(positions(1, 1), 6, 0), 10, 1)))
    assert "predictions at probes vary by less than 0.001" in text(settled, "convergence")
    assert "3 draws are too few" in text(diagnose(run_tree(DATA, MODEL, positions(6, 3))), "convergence")
    assert "One chain alone" in text(diagnose(run_tree(DATA, MODEL, positions(1, 10))), "convergence")
    bare = diagnose(run_tree(DATA, MODEL, positions(6, 10), keep=()))
    assert 'keep = ["predictions"]' in text(bare, "convergence")
    assert 'keep = ["parameters"]' in text(bare, "configurational")
    with pytest.raises(StoreError, match="no draws yet"):
        diagnose(run_tree(DATA, MODEL, positions(6, 0)))


def test_a_report_is_plain_json() -> None:
    found = diagnose(run_tree(DATA, MODEL, positions(1, 10)))
    again = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert again["ensembles"][0]["convergence"]["rhat"] is None
    assert str(found).splitlines() == found.lines


@pytest.fixture(scope="module")
def sampled() -> xr.DataTree:
    """A run that reaches its temperature: Langevin with a prior, full batches."""
    return sample({
        "data": {"name": "moons", "train": 40, "test": 10, "noise": 0.2},
        "model": {"hidden": 4, "prior_sd": 1.0, "init": "prior", "activation": "tanh"},
        "method": {"name": "langevin", "posterior_temperature": 1.0, "stepsize": 0.3, "friction": 0.5},
        "run": {"replicas": 32, "steps": 2000, "burn_in": 1000, "thin": 50, "minibatch": "full", "trace": 1000},
    }, device="cpu", engine="batched", threads=1)  # fmt: skip


def test_a_real_run_is_at_its_temperature(sampled: xr.DataTree) -> None:
    found = diagnose(sampled)
    assert verdict(found, "configurational") is True, str(found)
    (t,) = found.ensembles[0].temperatures
    assert t.target == pytest.approx(1 / 40)
    assert t.kinetic == pytest.approx(t.target, rel=0.1)
    assert t.configurational == pytest.approx(t.target, rel=0.1)
    assert found.ensembles[0].convergence is not None
    assert found.ensembles[0].convergence.rhat < 1.3
