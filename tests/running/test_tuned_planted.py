"""Failures planted in runs that tune themselves: what is wrong with a run is not trusted, and the same run without the
mistake is. Modes that do not mix, too few steps and no time stand in test_tuned.py.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
from runs import NEEDS_COMPILER
from tuned_cases import told, well

from gpu_thermo import sample
from gpu_thermo.running.launch import Launch
from gpu_thermo.targets.analytic.grid import Grid
from gpu_thermo.targets.analytic.wells import DoubleWell
from gpu_thermo.tuning import tuner as tuning
from gpu_thermo.tuning.course import BURN_IN
from gpu_thermo.tuning.tuner import Tuner
from gpu_thermo.verify.references import load

SLOW_WELL = {"height": 4.0, "tilt": 1.0}
"""A double well whose replicas, half in the wrong one at first, need some thousand steps to find the right shares."""


def spec_of(target, seed=0, replicas=128, **more):
    run = {"replicas": replicas, "tolerance": 0.05, "seed": seed, "max_steps": 40_000, **more}
    return {"target": target, "method": {"name": "langevin", "temperature": 1.0}, "run": run}


def network(seed=0, method=None, **run):
    """The posterior of the NUTS reference 2-5-1 at T = 1."""
    reference = load("2_5_1")
    method = {"name": "langevin", "posterior_temperature": 1.0, **(method or {})}
    run = {"replicas": 128, "tolerance": 0.05, "seed": seed, "max_steps": 3_000, "path": "ordinary", **run}
    return {"model": reference.model, "method": method, "run": run}, reference.data


# -- a burn-in cut to a tenth ------------------------------------------------------------------------------------------


def cut_burn_in(monkeypatch):
    """One window of the adaptation, a tenth of a window of burn-in, and nobody asks."""
    burn = Tuner._burn

    def short(self, *given):
        found = burn(self, *given)
        if found.phase != BURN_IN:
            return found
        stride = found.lengths.stride
        return replace(found, stop=found.begun + stride * max(1, 4 * found.lengths.quarter // (10 * stride)))

    def passes(self, course, step, *_):
        return self._sample(replace(course, burned=True), step, math.inf), False

    monkeypatch.setattr(tuning.rules, "is_adapted", lambda *given: True)
    monkeypatch.setattr(Tuner, "_burn", short)
    monkeypatch.setattr(Tuner, "after_burn_in", passes)


def slow_well(seed):
    """Verdict, and the error of the mean in reported ones."""
    tree = sample(spec_of({"name": "double_well", **SLOW_WELL, "start_sd": 1.0}, seed))
    grid = Grid.of(DoubleWell(**SLOW_WELL), extent=(-4, 4))
    q = (grid.edges[0][1:] + grid.edges[0][:-1]) / 2
    weight = np.exp(grid.energy.min() - grid.energy)
    means = tree["posterior"]["position"].to_numpy()[..., 0].mean(axis=1)
    off = means.mean() - (weight * q).sum() / weight.sum()
    return told(tree)[1], off / (means.std(ddof=1) / np.sqrt(len(means)))


class TestBurnInCut:
    def test_the_kept_draws_tell(self, monkeypatch):
        """Of three runs two at least."""
        cut_burn_in(monkeypatch)
        verdicts = [slow_well(seed)[0] for seed in range(3)]
        refused = [verdict["text"] for verdict in verdicts if not verdict["trusted"]]
        assert len(refused) >= 2
        assert all("averages drift over the kept draws" in text for text in refused)

    @pytest.mark.slow
    def test_of_ten_runs(self, monkeypatch):
        """Whatever is trusted is right, cut or not; cut runs are wrong by more than noise, and hardly ever trusted."""
        whole = [slow_well(seed) for seed in range(10)]
        cut_burn_in(monkeypatch)
        cut = [slow_well(seed) for seed in range(10)]
        assert all(abs(z) < 4 for verdict, z in whole + cut if verdict["trusted"])
        assert sum(verdict["trusted"] for verdict, _ in whole) >= 9
        assert sum(verdict["trusted"] for verdict, _ in cut) <= 1
        assert np.mean([z for _, z in cut]) > 1.5


# -- noise of another temperature --------------------------------------------------------------------------------------


def heat(monkeypatch, factor):
    """Engines that run so much hotter than the verdict believes: friction's noise, and acceptance."""
    hyper = Launch.hyper

    def wrong(self, course):
        found = hyper(self, course)
        return replace(found, temperature=found.temperature * factor)

    monkeypatch.setattr(Launch, "hyper", wrong)


class TestTemperature:
    """The virial theorem sees it, of any target whose density is proper."""

    def test_of_a_well(self, monkeypatch):
        heat(monkeypatch, 1.3)
        verdict = told(sample(well(max_steps=4_000)))[1]
        assert not verdict["trusted"]
        assert "virial" in verdict["text"]

    @NEEDS_COMPILER
    def test_of_a_network(self, monkeypatch):
        spec, data = network()
        assert told(sample(spec, data=data))[1]["trusted"]
        heat(monkeypatch, 1.3)
        verdict = told(sample(spec, data=data))[1]
        assert not verdict["trusted"]
        assert "virial" in verdict["text"]

    def test_of_friction_alone_while_steps_are_accepted_at_the_right_one(self, monkeypatch):
        """As a wrong factor in O would be: the acceptance knows tau, the noise does not."""
        from gpu_thermo.engines.proposals import Proposals

        heat(monkeypatch, 1.3)
        count = Proposals._count

        def at_the_right_one(self, forces, start, ended):
            tau, self.tau = self.tau, self.tau / 1.3
            chance = count(self, forces, start, ended)
            self.tau = tau
            return chance

        monkeypatch.setattr(Proposals, "_count", at_the_right_one)
        verdict = told(sample(well(max_steps=4_000)))[1]
        assert not verdict["trusted"]
        assert "virial" in verdict["text"]


# -- stepsizes and gradient noise --------------------------------------------------------------------------------------


@NEEDS_COMPILER
@pytest.mark.parametrize("word", ["OBAB", "BAOB"])
def test_a_stepsize_three_times_too_large(word):
    """Of words that cannot be in braces: the run finds .67 itself."""
    spec, data = network(method={"word": word, "stepsize": 2.0})
    verdict = told(sample(spec, data=data))[1]
    assert not verdict["trusted"]
    assert "virial" in verdict["text"]


@NEEDS_COMPILER
@pytest.mark.slow
@pytest.mark.parametrize("factor", [1.5, 2.0, 3.0])
@pytest.mark.parametrize("seed", range(4))
def test_stepsizes_too_large_are_not_trusted_or_right(factor, seed):
    """In braces a stepsize costs time and no truth; of plain words the size that is trusted holds the bias."""
    reference = load("2_5_1")
    for word in ("{BAOAB}", "OBAB", "BAOB"):
        spec, data = network(seed, {"word": word, "stepsize": 0.67 * factor}, max_steps=6_000, keep=["parameters"])
        tree = sample(spec, data=data)
        verdict = told(tree)[1]
        off = true_errors(reference, tree)
        assert not verdict["trusted"] or abs(off).max() < 5 * verdict["size"]


def true_errors(reference, tree):
    """[50] of the means at the reference's inputs, in posterior sd."""
    w1, b1, w2, b2 = (tree["posterior"][name].to_numpy().astype(float) for name in ("w1", "b1", "w2", "b2"))
    hidden = np.tanh(np.einsum("rdij,nj->rdni", w1, reference.inputs) + b1[:, :, None])
    p = 1 / (1 + np.exp(-(np.einsum("rdni,rdoi->rdn", hidden, w2) + b2)))
    law = reference.laws["p"]
    return (p.mean(axis=(0, 1)) - law.mean) / np.sqrt(law.variance)


@NEEDS_COMPILER
def test_minibatches_whose_noise_is_of_the_temperatures_size():
    spec, data = network(method={"stepsize": 0.2, "friction": 0.2}, batch=6)
    verdict = told(sample(spec, data=data))[1]
    assert not verdict["trusted"]
    assert "gradient noise of the minibatches" in verdict["text"]
