"""Runs that tune and stop themselves, whole: the errors they report are true, they are the same bit for bit however
they were cut, and what must not be trusted is not.
"""

import os
import signal
from contextlib import suppress

import numpy as np
import pytest
from runs import NEEDS_COMPILER, differences
from tuned_cases import STIFFNESS, told, well
from tuned_networks import errors, network, nuts_scores

from gpu_thermo import iterate, plan, resume, sample
from gpu_thermo.errors import RunError, SpecError
from gpu_thermo.run import Interrupted
from gpu_thermo.running import tuned
from gpu_thermo.running.pace import Pace
from gpu_thermo.store import read_header
from gpu_thermo.tuning.course import FALL, LADDER, PHASES


class TestTruth:
    def test_of_a_harmonic_well(self):
        """Means and variances of three frequencies over 16 seeds: reported errors are the true ones."""
        z = []
        for seed in range(16):
            tree = sample(well(seed))
            _, verdict = told(tree)
            assert verdict["error"] <= 0.1
            mean, e_mean, variance, e_variance = errors(tree["posterior"]["position"].to_numpy())
            z.append(np.concatenate([mean / e_mean, (variance - 1 / np.array(STIFFNESS)) / e_variance]))
        assert 0.7 < np.sqrt(np.square(z).mean()) < 1.35
        assert abs(np.array(z)).max() < 5

    @NEEDS_COMPILER
    @pytest.mark.parametrize("init", ["prior", "he"])
    def test_against_nuts(self, init):
        """rms z over 4 seeds and 32 correlated probes; the range is that of a perfect sampler at 99.9 %."""
        z = []
        for seed in range(4):
            spec, data = network(seed, init)
            tree = sample(spec, data=data)
            course, verdict = told(tree)
            assert verdict["trusted"], verdict["text"]
            assert course["stop"] < 6_000
            z.append(nuts_scores(tree))
        assert 0.5 < np.sqrt(np.square(z).mean()) < 1.6
        assert abs(np.array(z)).max() < 5

    def test_averages_are_of_the_kept_draws(self):
        tree = sample(well(3))
        position = tree["posterior"]["position"].to_numpy()
        np.testing.assert_allclose(tree["predictive"]["mean"].to_numpy()[0, :, 0], position.mean(axis=(0, 1)))
        course, verdict = told(tree)
        steps = tree["posterior"]["step"].to_numpy()
        assert steps[0] > course["origin"]
        assert set(np.diff(steps)) == {course["kept"]}
        _, e_mean, variance, _ = errors(position)
        assert verdict["error"] == pytest.approx((e_mean / np.sqrt(variance)).max())
        for name, value in (("stepsize", course["stepsize"]), ("friction_all", course["friction"][0])):
            np.testing.assert_array_equal(tree["posterior"][name].to_numpy(), value)


class TestBits:
    @pytest.mark.parametrize("engine", ["batched", pytest.param("fused", marks=NEEDS_COMPILER)])
    def test_a_run_cut_everywhere_is_the_same(self, engine, tmp_path, monkeypatch):
        """Stopped at the beginning and in the middle of every phase, and gone on with."""
        spec, data = network(1, tolerance=0.015) if engine == "fused" else (well(2, tolerance=0.025), None)
        sample(spec, tmp_path / "whole.zarr", data=data, engine=engine)
        monkeypatch.setattr(Pace, "next", lambda self: 10)
        cut, seen = tmp_path / "cut.zarr", []
        for phase in (p for p in PHASES if p not in (LADDER, FALL) for _ in range(2)):

            def stop(progress, phase=phase):
                if PHASES.index(progress.phase) >= PHASES.index(phase):
                    os.kill(os.getpid(), signal.SIGINT)

            if cut.exists() and told_of(cut)["ended"]:
                break

            with suppress(Interrupted):
                if cut.exists():
                    resume(cut, on_progress=stop)
                else:
                    sample(spec, cut, data=data, engine=engine, on_progress=stop)
            seen.append((told_of(cut)["phase"], read_header(cut).step > told_of(cut)["begun"]))
        assert set(seen) >= {(phase, True) for phase in PHASES if phase not in (LADDER, FALL)}
        resume(cut)
        assert differences(tmp_path / "whole.zarr", cut) == []
        assert told_of(tmp_path / "whole.zarr") == told_of(cut)

    def test_an_extension_keeps_what_is_there(self, tmp_path):
        """As one that had the smaller tolerance from where the larger was reached; nothing is done again."""
        first = sample(well(), tmp_path / "run.zarr")
        before = first["posterior"]["position"].to_numpy().copy()
        more = resume(tmp_path / "run.zarr", tolerance=0.02)
        course, verdict = told(more)
        np.testing.assert_array_equal(more["posterior"]["position"].to_numpy()[:, : before.shape[1]], before)
        assert more.sizes.get("draw", more["posterior"].sizes["draw"]) > before.shape[1]
        assert verdict["error"] <= 0.02
        assert course["origin"] == told(first)[0]["origin"]
        done = read_header(tmp_path / "run.zarr").step
        resume(tmp_path / "run.zarr")
        assert read_header(tmp_path / "run.zarr").step == done

    @pytest.mark.parametrize("word", ["BAOAB", "OBAB"])
    def test_a_window_that_counts_changes_no_draw_behind_it(self, word, monkeypatch):
        """In braces, and with a group at h/2: as a run that drops the window, with its draws before the others; the
        averages are those of all.
        """
        spec = well(2, tolerance=0.025)
        spec["method"]["word"] = word
        tree = sample(spec)
        monkeypatch.setattr(tuned, "waiting_bytes", lambda job: 0)
        dropped = sample(spec)
        course, other = told(tree)[0], told(dropped)[0]
        judged = next(line for line in course["log"] if line.get("counted"))
        assert course["origin"] == judged["begun"]
        assert other["origin"] == course["origin"] + course["first"]
        steps, both = (run["posterior"]["step"].to_numpy() for run in (tree, dropped))
        assert steps[0] == course["origin"] + course["kept"]
        common = np.intersect1d(steps, both)
        assert len(common) > 16
        for group in ("posterior", "sample_stats"):
            for name, values in tree[group].to_dataset().data_vars.items():
                if "draw" in values.dims:
                    np.testing.assert_array_equal(
                        values.to_numpy()[:, np.isin(steps, common)],
                        dropped[group][name].to_numpy()[:, np.isin(both, common)],
                    )
        mean = tree["posterior"]["position"].to_numpy().mean(axis=(0, 1))
        np.testing.assert_allclose(tree["predictive"]["mean"].to_numpy()[0, :, 0], mean)

    def test_iterate_is_the_same_run(self):
        shots = [s for s in iterate(well()) if s.is_draw]
        tree = sample(well())
        np.testing.assert_array_equal([s.step for s in shots], tree["posterior"]["step"].to_numpy())
        np.testing.assert_array_equal(
            np.stack([s.position for s in shots], axis=1), tree["posterior"]["position"].to_numpy()
        )


class TestNotTrusted:
    """Planted failures."""

    def verdict(self, spec, **more):
        found = told(sample(spec, **more))[1]
        assert not found["trusted"]
        return found["text"]

    def test_two_modes_that_do_not_mix(self):
        target = {"name": "mixture", "means": [-6.0, 6.0], "start_sd": 8.0}
        run = {"replicas": 64, "tolerance": 0.1, "max_steps": 20_000}
        spec = {"target": target, "method": {"name": "langevin", "temperature": 1.0}, "run": run}
        assert "several modes" in self.verdict(spec)

    def test_a_stepsize_three_times_too_large(self):
        """Of a word that cannot be in braces: the variance of the stiffest coordinate is far off at h = .3."""
        method = {"name": "langevin", "word": "OBAB", "temperature": 1.0, "stepsize": 0.3}
        assert "virial" in self.verdict(well() | {"method": method})

    def test_a_given_stepsize_that_is_far_too_large(self):
        with pytest.raises(RunError, match=r"at the given method.stepsize = 3: give a smaller one, or \"auto\""):
            sample(well() | {"method": {"name": "langevin", "temperature": 1.0, "stepsize": 3.0}})

    def test_gradient_noise_of_the_temperatures_size(self):
        target = {"name": "harmonic", "stiffness": list(STIFFNESS), "gradient_noise_sd": 3.0}
        method = {"name": "langevin", "temperature": 1.0}
        spec = {"target": target, "method": method, "run": {"replicas": 128, "tolerance": 0.05, "max_steps": 20_000}}
        assert "virial" in self.verdict(spec)

    def test_too_few_steps(self):
        text = self.verdict(well(tolerance=0.001, max_steps=2_000))
        assert "0.001 was not reached by max_steps" in text

    def test_no_time(self):
        text = self.verdict(well(tolerance=0.001, max_time=0.05, max_steps=10**6))
        assert "max_time" in text


class TestRefusals:
    def test_of_resumes(self, tmp_path):
        path = tmp_path / "run.zarr"
        sample(well(), path)
        for wrong, message in (
            ({"draws": 3}, "smaller tolerance in place of draws"), ({"tolerance": -1.0}, "tolerance = -1"),
            ({"spec": well(2)}, "run.seed"), ({"spec": well(max_steps=5_000)}, "not shortened"),
        ):  # fmt: skip
            with pytest.raises(SpecError, match=message):
                resume(path, **wrong)

    def test_tolerance_for_a_run_of_given_steps(self, tmp_path):
        run = {"replicas": 4, "steps": 40, "burn_in": 20, "thin": 10}
        sample(well() | {"run": run}, tmp_path / "run.zarr")
        with pytest.raises(SpecError, match="runs that stop themselves"):
            resume(tmp_path / "run.zarr", tolerance=0.1)


def test_plan_says_what_it_will_be():
    found = plan(well())
    assert found.tolerance == 0.1
    assert found.steps == 200_000
    assert found.memory["tuning"] > 0


def told_of(path):
    return read_header(path).attributes["tuning"]["course"]
