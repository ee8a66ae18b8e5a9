"""What a store tells of its tuning, read back, and refused where it is damaged."""

import json

import pytest

from gpu_thermo.tuning.course import Course
from gpu_thermo.tuning.told import Told
from gpu_thermo.tuning.tuner import Tuner

TUNER = Tuner(0.05, 100_000, (10, 3), (1.0, 0.5), 128, 32, 0.0, friction=(1.0, 2.0))
COURSE = Course(stepsize=0.1 + 0.2, friction=(1 / 3, 2.0))


def plain():
    return {"course": COURSE.to_dict(), "rules": vars(TUNER)}


def test_comes_back_from_commits_and_from_attributes():
    for given in (json.loads(json.dumps(plain())), {k: json.dumps(v) for k, v in plain().items()}):
        told = Told.of(given)
        assert (told.course, told.tuner) == (COURSE, TUNER)
        assert not told.verdict.trusted


@pytest.mark.parametrize(
    "broken",
    [
        {}, {"course": "{", "rules": "{}"}, {"course": {}, "rules": {}}, {"course": None, "rules": None},
        plain() | {"course": COURSE.to_dict() | {"phase": "rest"}}, plain() | {"rules": vars(TUNER) | {"more": 1}},
        plain() | {"course": COURSE.to_dict() | {"stepsize": float("nan")}},
        plain() | {"course": COURSE.to_dict() | {"log": [3]}},
    ],
)  # fmt: skip
def test_damage_is_refused(broken):
    with pytest.raises(ValueError, match="course of a run"):
        Told.of(broken)
