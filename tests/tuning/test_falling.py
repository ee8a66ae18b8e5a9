"""Decisions of the falling way, on made-up windows and budgets."""

import json
from dataclasses import replace

import numpy as np
import pytest

from gpu_thermo.errors import RunError
from gpu_thermo.tuning import falling
from gpu_thermo.tuning.course import ADAPTATION, BURN_IN, DESCENT, FALL, SAMPLING, Course
from gpu_thermo.tuning.falling import FALL_SHARE, STAGES, Falling, biased
from gpu_thermo.tuning.rules import Lengths
from gpu_thermo.tuning.tuner import Tuner
from gpu_thermo.tuning.verdict import judge
from gpu_thermo.tuning.windows import Window

R, B, Q = 32, 16, 3
TAU = 0.01
MOST = 20_000
TUNER = Tuner(0.1, MOST, (10,), (TAU,), R, Q - 1, 0.0, isokinetic=True, seed=4)
RULES = Falling(TUNER)


def window(seed=1, spread=0.0, bias=0.0, heat=0.0, drift=0.0, virial=1.0, draws=40):
    """Independent draws of both groups; `bias` and `heat` lie between them, `spread` is the sd of replicas' places."""
    rng = np.random.default_rng(seed)
    w = Window.empty(4, R + B, Q, 1)
    place = spread * rng.normal(size=(R + B, Q))
    place[:R, :-1] += bias
    place[:R, -1] += heat
    for part in range(4):
        for _ in range(draws):
            w.add(part, place + drift * (part >= 2) + rng.normal(size=(R + B, Q)))
    w.product[...] = TAU * (virial + 0.2 * rng.normal(size=w.product.shape))
    return w


def drawing(course=None):
    """A course that samples at its last stepsize."""
    course = course or RULES.begin(Course(), 0, "")
    return RULES._sample(replace(course, phase=FALL, fall=(0.08, 0.02), window=STAGES), 8_000, MOST - 8_000)


class TestWhetherItIsTaken:
    """Of stiff networks alone: those whose softest motion takes STIFF steps to forget."""

    stiff, soft = 0.9 / falling.STIFF, 1.1 / falling.STIFF

    def burning(self, stop, rate=stiff, **more):
        """A window of burn-in at this gamma h."""
        return Course(phase=BURN_IN, stepsize=0.01, friction=(100 * rate,), begun=1_000, stop=stop, **more)

    def test_where_burn_in_would_not_end_within_its_share(self):
        assert not RULES.why(self.burning(5_000), 1_000, MOST - 1_000)
        assert "within 25%" in RULES.why(self.burning(5_001), 1_000, MOST - 1_000)
        assert not RULES.why(self.burning(5_001, self.soft), 1_000, MOST - 1_000), "a small budget is no stiffness"

    def test_where_it_can_be_foretold(self):
        """Four quarters of 4/(gamma h) steps each, h three times h_0."""
        soft = Course(phase=ADAPTATION, stepsize=0.01, friction=(0.5,))
        assert not RULES.why(soft, 100, MOST)
        assert not RULES.why(soft, 100, 1_000), "whatever the budget"
        stiff = replace(soft, stepsize=0.001)
        assert 4 * Lengths.of(0.003, 0.5, False).quarter > 0.25 * MOST
        assert "would take" in RULES.why(stiff, 100, MOST)
        assert not RULES.why(stiff, 100, 10 * MOST)

    def test_an_h_that_may_still_be_raised_is_no_stiffness(self):
        course = Course(phase=ADAPTATION, stepsize=0.01, friction=(100 * self.stiff,))
        assert RULES.forgets(course) == pytest.approx(falling.STIFF / 0.9 / falling.GROWTH)
        assert RULES.forgets(replace(course, window=6)) == pytest.approx(falling.STIFF / 0.9)
        assert RULES.forgets(replace(course, friction=(np.inf,))) == RULES.forgets(replace(course, friction=())) == 0

    def test_where_a_quarter_of_the_time_is_gone(self):
        for course in (self.burning(2_000), replace(self.burning(2_000), phase=ADAPTATION, window=6)):
            assert not RULES.why(course, 1_000, MOST, 0.25)
            assert "of the time" in RULES.why(course, 1_000, MOST, 0.26)
        assert not RULES.why(self.burning(2_000, self.soft), 1_000, MOST, 0.9)
        assert not RULES.why(Course(phase=SAMPLING, burned=True), 1_000, MOST, 0.9)

    def test_where_burn_in_ended_by_none_of_its_rules(self):
        """A stiff network at once, any other after some windows that failed."""
        found = replace(self.burning(0), phase=SAMPLING)
        assert "by its own rules" in RULES.why(found, 100, MOST)
        assert not RULES.why(replace(found, burned=True), 100, MOST)
        assert not RULES.why(replace(found, stuck=3), 100, MOST), "several modes are no stiffness"
        soft = replace(self.burning(0, self.soft), phase=SAMPLING)
        for windows, given_up in ((falling.FAILED - 1, False), (falling.FAILED, True)):
            failed = tuple({"phase": BURN_IN, "window": i} for i in range(windows))
            assert bool(RULES.why(replace(soft, log=failed), 100, MOST)) == given_up

    def test_it_begins_anew_and_says_why(self):
        course = RULES.begin(self.burning(9_000, log=({"phase": BURN_IN, "window": 0},)), 5_000, "because")
        assert (course.path, course.phase, course.begun, course.window) == (falling.NAME, DESCENT, 5_000, 0)
        assert course.log[-1]["turned"] == "because"
        assert len(course.log) == 2

    def test_from_a_burn_in_that_failed_to_the_end(self):
        """Nothing was sampled: nobody who judges the run takes its line for one of draws."""
        course = RULES.begin(replace(self.burning(0), phase=SAMPLING), 5_000, "because")
        assert course.log[-1]["turned"] == "because"
        assert not course.latest(SAMPLING)
        assert judge(course, TUNER).text.startswith("not yet, because the run has not ended")


def walk(left=lambda step: MOST - step, curvature=4.0):
    """All stages up to the draws."""
    course, step, seen = RULES.begin(Course(), 0, ""), 0, []
    while course.phase != SAMPLING:
        seen.append(course)
        step = course.stop
        if course.phase == DESCENT:
            course = (
                RULES.warm(course, step, 1.0, curvature, left(step))
                if RULES.descended(course)
                else RULES.descend(course, step, 1.0, left(step))
            )
        elif course.window == 0:
            course = RULES.fall(course, step, 1.0, {"w1": 2.0}, curvature, left(step))
        else:
            course = RULES.fallen(course, step, 1.0, 0.8, left(step))
    return course, seen


class TestStages:
    def test_the_descent_is_a_hundredth_and_slows_down(self):
        _, seen = walk()
        down = [c for c in seen if c.phase == DESCENT]
        assert len(down) == falling.DESCENT_SHARE * MOST / falling.DESCENT_STEPS
        rates = [RULES.rate(c) for c in down]
        assert rates[0] == 0.02
        assert rates[-1] == pytest.approx(0.005)
        assert rates == sorted(rates, reverse=True)

    def test_stepsizes_fall_geometrically_from_eight_to_two(self):
        course, seen = walk(curvature=4.0)
        unit = np.sqrt(TAU / 4.0)
        down = [c for c in seen if c.phase == FALL and c.window]
        assert len(down) == STAGES
        h = np.array([c.stepsize for c in down])
        np.testing.assert_allclose(h, np.geomspace(8 * unit, 2 * unit, STAGES))
        assert {c.friction for c in down} == {(0.1,)}
        assert (course.stepsize, course.mass) == (pytest.approx(2 * unit), {"w1": 2.0})

    def test_the_fall_takes_its_share_of_what_is_left(self):
        course, seen = walk()
        begun = next(c.begun for c in seen if c.phase == FALL and c.window)
        assert course.origin - begun == pytest.approx(FALL_SHARE * (MOST - begun), rel=0.01)

    def test_and_of_a_budget_that_shrinks_on_the_way(self):
        """Half the speed from the middle of the fall on: later stages are shorter, and draws are left."""
        course, _ = walk(lambda step: MOST - step if step < 4_000 else (MOST - step) // 2)
        assert course.origin < 8_000

    def test_lost_replicas_begin_again_lower(self):
        _, seen = walk()
        course = seen[-3]
        again = RULES.again(course, course.stop)
        assert again.stepsize == pytest.approx(course.stepsize / 2)
        assert again.window == course.window
        assert again.fall == tuple(h / 2 for h in course.fall)
        for _ in range(falling.AGAIN - 1):
            again = RULES.again(again, again.stop)
        with pytest.raises(RunError, match="still become infinite"):
            RULES.again(again, again.stop)

    def test_of_plain_data(self):
        for course in walk()[1]:
            assert Course.of(json.loads(course.to_json())) == course


class TestDraws:
    def test_parts_are_quarters_of_the_first_segment(self):
        course = drawing()
        assert course.first % (4 * course.kept) == 0
        parts = [TUNER.part(course, s) for s in range(course.begun + course.kept, course.stop + 1, course.kept)]
        assert [parts.count(p) for p in range(4)] == [len(parts) / 4] * 4

    def after(self, left=5_000, **kind):
        course = drawing()
        found = RULES.sampled(course, course.stop, window(**kind), {"rmse": 0.2})
        return RULES.go_on(found, course.stop, left, "max_time"), found.log[-1]

    def test_when_all_agrees_it_may_be_trusted(self):
        course, line = self.after()
        assert line["passed"]
        assert course.ended == "tolerance"
        verdict = judge(course, TUNER)
        assert verdict.trusted, verdict.text

    @pytest.mark.parametrize(
        ("kind", "failed", "says"),
        [
            ({"spread": 1.0}, "ratio", "slow modes"), ({"drift": 1.0}, "drift", "slow modes"),
            ({"bias": 1.0}, "bias", "stepsize bias"), ({"heat": 1.0}, "bias", "a point"),
            ({"virial": 3.0}, "virial", "a virial that is missed"),
        ],
    )  # fmt: skip
    def test_else_it_goes_on_to_the_end_of_its_budget(self, kind, failed, says):
        course, line = self.after(**kind)
        assert failed in line["failed"]
        assert not course.ended
        assert course.stop > course.begun
        ended, _ = self.after(left=0, **kind)
        assert ended.ended == "max_time"
        verdict = judge(ended, TUNER)
        assert not verdict.trusted
        assert says in verdict.text
        assert "RMSE 0.2" in verdict.text
        assert "no posterior is promised" in verdict.text

    def test_a_resumed_one_goes_on_until_it_agrees(self):
        ended, _ = self.after(left=0, spread=1.0)
        assert ended.goes_on(1.0, 10 * MOST), "its error would do, its tests did not"
        good, _ = self.after()
        assert not good.goes_on(TUNER.tolerance, 10 * MOST)


def test_bias_weighs_its_error():
    line = {"bias": 0.3, "bias_error": 0.12, "excess": False}
    assert not biased(line, 0.1)
    assert biased(line | {"bias_error": 0.05}, 0.1)
    assert biased(line | {"excess": True}, 0.1)
    assert not biased({"bias": None, "bias_error": None, "excess": False}, 0.1)
