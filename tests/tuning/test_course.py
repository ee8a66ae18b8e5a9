"""The course of a run on made-up windows: what ends each stage, what is done again, what a checkpoint brings back."""

import json
from dataclasses import replace

import numpy as np
import pytest

from gpu_thermo.tuning import rules
from gpu_thermo.tuning.course import ADAPTATION, BURN_IN, DESCENT, SAMPLING, Course
from gpu_thermo.tuning.tuner import Tuner
from gpu_thermo.tuning.windows import Window

R, B, Q = 64, 32, 3
TUNER = Tuner(0.05, 100_000, (10,), (1.0,), R, Q - 1, 0.0, seed=4)
VARIANCE = [1.0]


def window(seed=0, drift=0.0, spread=0.0, bias=0.0, virial=1.0, draws=rules.DRAWS):
    """Independent draws of R + B replicas; `spread` is the sd of their places, `drift` that of the last half, `bias`
    of those at h, in sd.
    """
    rng = np.random.default_rng(seed)
    w = Window.empty(4, R + B, Q, 1)
    place = spread * rng.normal(size=(R + B, Q))
    place[:R] += bias
    for part in range(4):
        for _ in range(draws):
            w.add(part, place + drift * (part >= 2) + rng.normal(size=(R + B, Q)))
    w.product[...] = virial + 0.4 * rng.normal(size=w.product.shape)
    return w


def burning(**changes):
    h = 0.5
    course = TUNER._burn(Course(phase=ADAPTATION, window=-1, stepsize=h), 1000, h, VARIANCE, 0)
    return replace(course, **changes)


class TestDescent:
    def test_ends_when_the_energy_stands(self):
        course = TUNER.descend(Course(), 25, 10.0)
        assert (course.phase, course.begun, course.stop) == (DESCENT, 25, 50)
        assert not TUNER.descended(course, 100, 7.4)  # half of P tau/2 is 2.5
        assert TUNER.descended(course, 100, 9.6)
        assert TUNER.descended(course, rules.DESCENT_MOST, 0.0)

    def test_waits_for_whoever_lies_far_outside(self):
        course, ended = Course(), []
        for look in range(1, 6):
            ended.append([TUNER.descended(course, 25 * look, 10.0, lost) for lost in (False, True)])
            course = TUNER.descend(course, 25 * look, 10.0)
        assert ended == [[False, False], *[[True, False]] * 3, [True, True]]

    def test_and_the_adaptation_begins(self):
        course = TUNER.adapt(Course(), 100, 4.0, [0.25])
        assert (course.phase, course.begun, course.stop) == (ADAPTATION, 100, 125)
        assert (course.stepsize, course.friction) == (0.15, (2.0,))
        fixed = replace(TUNER, stepsize=0.3, friction=(0.7,)).adapt(Course(), 100, 4.0, [0.25])
        assert (fixed.stepsize, fixed.friction) == (0.3, (0.7,))


class TestAdaptation:
    def run(self, acceptance, tuner=TUNER, energy=1.0):
        course, seen = tuner.adapt(Course(), 0, 1.0, VARIANCE), []
        while course.phase == ADAPTATION:
            seen.append(course)
            course, again = tuner.after_adaptation(
                course, course.stop, acceptance(course.stepsize), energy, VARIANCE, True
            )
            assert not again
        return course, seen

    def test_ends_where_its_aim_is(self):
        course, _ = self.run(lambda h: 1 - 0.05 * h**2)
        assert course.phase == BURN_IN
        assert 0.05 * course.stepsize**2 == pytest.approx(rules.AIM, rel=0.2)

    def test_takes_four_windows_at_least_and_sixty_at_most(self):
        assert len(self.run(lambda h: 1 - rules.AIM)[1]) == 4
        rng = np.random.default_rng(0)
        assert len(self.run(lambda h: rng.uniform(0.9, 0.99))[1]) <= rules.MOST

    def test_a_given_stepsize_stays(self):
        course, seen = self.run(lambda h: 0.7, replace(TUNER, stepsize=0.3))
        assert {c.stepsize for c in (*seen, course)} == {0.3}

    @pytest.mark.parametrize(("acceptance", "sound"), [(0.4, True), (0.96, False)])
    def test_a_lost_window_is_done_again_at_half_the_stepsize(self, acceptance, sound):
        course = TUNER.adapt(Course(), 0, 1.0, VARIANCE)
        found, again = TUNER.after_adaptation(course, 50, acceptance, 1.0, VARIANCE, sound)
        assert again
        assert (found.begun, found.stop, found.stepsize) == (50, 75, course.stepsize / 2)

    def test_minibatches_lower_the_stepsize(self):
        """By their share of the temperature, rho, until it is a hundredth."""
        course = TUNER.adapt(Course(), 0, 1.0, VARIANCE)
        for _ in range(12):
            course, _ = TUNER.after_adaptation(course, course.stop, 0.99, 1.0, VARIANCE, True, noise=4.0)
        line = course.latest(ADAPTATION)
        assert line["rho"] == pytest.approx(rules.noise_share(line["stepsize"], 4.0, line["friction"][0]))
        assert line["rho"] == pytest.approx(rules.QUIET, rel=0.35)

    def test_noise_of_momenta_of_a_fixed_length(self):
        """Their h is sqrt(tau) times that of others, their gamma 1/sqrt(tau) times: rho is the same."""
        tau, h, gamma, noise = 0.01, 0.3, 0.7, 5.0
        plain, iso = (replace(TUNER, temperature=(tau,), isokinetic=fixed) for fixed in (False, True))
        as_iso = Course(stepsize=h * tau**0.5, friction=(gamma / tau**0.5,))
        found = plain.share_of(Course(stepsize=h, friction=(gamma,)), noise)
        assert iso.share_of(as_iso, noise) == pytest.approx(found)

    def test_half_the_steps_are_kept_for_sampling(self):
        tuner = replace(TUNER, max_steps=1_000)
        course, _ = self.run(lambda h: 0.8, tuner)
        assert course.begun <= 500 + rules.LONGEST


class TestBurnIn:
    def judge(self, course=None, tuner=TUNER, **kind):
        course = burning() if course is None else course
        return tuner.after_burn_in(course, course.stop, window(**kind), VARIANCE, True)[0]

    def test_passes(self):
        course = self.judge()
        assert course.phase == SAMPLING
        assert course.burned
        assert course.origin == course.begun == burning().stop

    @pytest.mark.parametrize(
        ("kind", "failed"), [({"drift": 1.0}, "drift"), ({"spread": 2.0}, "ratio"), ({"virial": 1.5}, "virial")]
    )
    def test_each_test_fails_alone(self, kind, failed):
        course = self.judge(**kind)
        assert course.phase == BURN_IN
        assert course.log[-1]["failed"] == [failed]
        assert course.doubled == (failed != "virial")

    def test_no_virial_without_a_prior(self):
        assert self.judge(tuner=replace(TUNER, proper=False), virial=3.0).phase == SAMPLING

    def test_ends_unburned_after_eight_windows(self):
        course, tuner = burning(), replace(TUNER, max_steps=1_000_000)
        for seed in range(rules.MOST_WINDOWS):
            assert course.phase == BURN_IN
            course = tuner.after_burn_in(course, course.stop, window(seed, spread=2.0), VARIANCE, True)[0]
        assert course.phase == SAMPLING
        assert not course.burned
        assert course.stuck >= rules.MODES

    @pytest.mark.parametrize(("left", "ended"), [(0, "max_time"), (10**6, "max_steps")])
    def test_hurried_without_a_step_for_a_draw(self, left, ended):
        """What ends it is what there is too little of."""
        at = burning().begun + 8
        found = replace(TUNER, max_steps=at).hurry(burning(), at, left) if left else TUNER.hurry(burning(), at, left)
        assert (found.phase, found.ended) == (SAMPLING, ended)

    @pytest.mark.parametrize("max_steps", [1_100, 2_000, 3_000, 20_000])
    def test_keeps_to_half_of_few_steps(self, max_steps):
        """However long its windows want to be; sampling has draws in all four parts, and ends with its steps."""
        tuner, h, wide = replace(TUNER, max_steps=max_steps), 1e-2, [1e6]
        course = tuner._burn(Course(phase=ADAPTATION, window=-1, stepsize=h), 500, h, wide, 0)
        for seed in range(rules.MOST_WINDOWS):
            if course.phase == SAMPLING:
                break
            assert course.stop <= max(max_steps // 2, 500 + 4 * rules.DRAWS)
            course = tuner.after_burn_in(course, course.stop, window(seed, spread=2.0), wide, True)[0]
        assert course.phase == SAMPLING
        assert max_steps - course.kept <= course.stop <= max_steps or course.stop == course.origin + course.first
        steps = range(course.origin + course.kept, course.stop + 1, course.kept)
        assert {tuner.part(course, step) for step in steps} == {0, 1, 2, 3}

    def test_a_bias_lowers_the_stepsize_once(self):
        course = self.judge(bias=1.0)
        assert course.phase == BURN_IN
        assert course.lowered
        assert course.stepsize < burning().stepsize
        assert self.judge(replace(course, stop=course.stop), bias=1.0).phase == SAMPLING

    def test_draws_that_wait_are_the_first_of_a_window_that_passes(self):
        """The window becomes the first segment of sampling: its sums are judged once more, as those."""
        course = burning()
        found, again = TUNER.after_burn_in(course, course.stop, window(), VARIANCE, True, waiting=True)
        assert not again
        assert found.burned
        assert (found.phase, found.ended, found.kept) == (SAMPLING, "tolerance", course.lengths.stride)
        assert (found.origin, found.first) == (course.begun, course.stop - course.begun)
        judged, sampled = found.log
        assert judged["counted"]
        assert (sampled["phase"], sampled["begun"]) == (SAMPLING, course.begun)
        assert (sampled["draws"], sampled["error"]) == (4 * rules.DRAWS, judged["error"])
        steps = range(course.begun + 1, course.stop + 1)
        assert [TUNER.part(found, s) for s in steps] == [TUNER.part(course, s) for s in steps]

    def test_draws_that_wait_go_on_for_a_tighter_tolerance(self):
        tight = replace(TUNER, tolerance=0.01)
        found = tight.after_burn_in(burning(), burning().stop, window(), VARIANCE, True, waiting=True)[0]
        assert not found.ended
        assert (found.origin, found.begun) == (burning().begun, burning().stop)
        assert found.stop > found.begun

    @pytest.mark.parametrize(
        ("kind", "tuner"),
        [
            ({"drift": 1.0}, TUNER), ({"spread": 2.0}, TUNER), ({"virial": 1.5}, TUNER), ({"bias": 1.0}, TUNER),
            ({}, replace(TUNER, tolerance=1e-3, max_steps=10**7)), ({}, TUNER),
        ],
    )  # fmt: skip
    def test_others_that_wait_are_dropped(self, kind, tuner):
        """Of windows that fail, where kept draws will be further apart, and of a window behind one that failed."""
        course = burning() if kind or tuner != TUNER else burning().logged(failed=["drift"])
        found = tuner.after_burn_in(course, course.stop, window(**kind), VARIANCE, True, waiting=True)[0]
        assert "counted" not in found.log[-1]
        assert found.phase == BURN_IN or found.origin == course.stop
        assert found == tuner.after_burn_in(course, course.stop, window(**kind), VARIANCE, True)[0]

    def test_a_window_that_freezes_is_done_again(self):
        course = burning()
        found, again = TUNER.after_burn_in(course, course.stop, window(), VARIANCE, False)
        assert again
        assert found.phase == BURN_IN
        assert found.stepsize == course.stepsize / 2


class TestSampling:
    def sampling(self):
        course = burning()
        return TUNER.after_burn_in(course, course.stop, window(), VARIANCE, True)[0]

    def test_stops_at_the_tolerance(self):
        course = self.sampling()
        done = TUNER.after_sampling(course, course.stop, window(draws=8))
        assert done.ended == "tolerance"
        error = done.latest(SAMPLING)["error"]
        assert error == pytest.approx(1 / np.sqrt(R * 32), rel=0.25)
        assert not done.goes_on(0.05, 10**6)
        assert done.goes_on(error / 2, 10**6)
        assert not done.goes_on(error / 2, course.stop)

    def test_without_a_step_left_for_a_draw_it_goes_on_with_more(self):
        ended = replace(TUNER, max_steps=1_002)._sample(burning(), 1_000, np.inf)
        assert ended.ended == "max_steps"
        assert not ended.latest(SAMPLING)
        assert not ended.goes_on(0.05, 1_000)
        assert ended.goes_on(0.05, TUNER.max_steps)
        found = TUNER.go_on(ended, 1_000)
        assert (found.phase, found.ended, found.lengths) == (SAMPLING, "", burning().lengths)
        assert found.stop - found.begun == found.first == 4 * burning().lengths.quarter

    def test_goes_on_in_whole_draws(self):
        course = self.sampling()
        more = TUNER.after_sampling(course, course.stop, window(spread=2.0))
        assert more.ended == ""
        assert (more.stop - more.origin) % more.kept == 0
        assert more.begun < more.stop <= more.begun + 2 * (more.begun - more.origin) + more.kept

    def test_ends_with_its_steps(self):
        course = self.sampling()
        tuner = replace(TUNER, max_steps=course.stop)
        assert tuner.after_sampling(course, course.stop, window(spread=2.0)).ended == "max_steps"

    def test_parts_are_quarters_of_the_first_segment(self):
        course = self.sampling()
        steps = range(course.origin + course.kept, course.stop + 1, course.kept)
        parts = [TUNER.part(course, s) for s in steps]
        assert parts == sorted(parts)
        assert set(parts) == {0, 1, 2, 3}
        assert TUNER.part(course, course.stop * 10) == 3
        halves = [TUNER.part(course, s, 2) for s in steps]
        assert [half // 2 for half in halves] == parts
        assert set(halves) == set(range(8))

    def test_frozen_replicas_are_left_out(self):
        course, broken = self.sampling(), window(draws=8)
        broken.total[:, :5] = np.nan
        line = TUNER.sampled(course, course.stop, broken).log[-1]
        assert line["frozen"] == 5
        assert np.isfinite(line["error"])


def test_goes_through_json():
    course = TUNER.after_burn_in(burning(), burning().stop, window(), VARIANCE, True)[0]
    assert Course.of(json.loads(course.to_json())) == course


def test_time_left_is_by_the_square_of_the_error():
    course = burning()
    assert course.expected(0.05, 10**6, 0) is None
    sampling = TUNER.after_burn_in(course, course.stop, window(), VARIANCE, True)[0]
    error = sampling.latest(BURN_IN)["error"]
    whole = sampling.expected(error / 10, 10**7, sampling.begun) - sampling.origin
    assert whole == pytest.approx(4 * course.lengths.quarter * 105, rel=0.01)
