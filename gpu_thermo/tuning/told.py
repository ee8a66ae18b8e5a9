"""What a store tells of how its run tuned itself: read back and checked, and the verdict judged from it again."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .course import PHASES, Course
from .tuner import Tuner
from .verdict import Verdict, judge

BROKEN = (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError, RecursionError)


@dataclass(frozen=True)
class Told:
    """The course of a run, the rules it decided by, and its verdict."""

    course: Course
    tuner: Tuner
    verdict: Verdict

    @classmethod
    def of(cls, plain: Mapping[Any, Any]) -> "Told":
        """From what a commit says, or from the attributes of a store's group `tuning`, whose values are JSON.

        Raises
        ------
        ValueError
            It is no such thing.
        """
        try:
            parts = {name: json.loads(plain[name]) if isinstance(plain[name], str) else plain[name]
                     for name in ("course", "rules")}  # fmt: skip
            rules: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in parts["rules"].items()}
            course, tuner = Course.of(parts["course"]), Tuner(**rules)
            numbers = (course.stepsize, *course.friction, tuner.tolerance, *tuner.temperature)
            if course.phase not in PHASES or any(math.isnan(float(v)) for v in numbers):
                raise ValueError(f"phase {course.phase!r}")
            return cls(course, tuner, judge(course, tuner))
        except BROKEN as error:
            raise ValueError(f"it is no course of a run ({error})") from None
