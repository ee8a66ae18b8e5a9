"""Likelihoods: how a network's outputs answer a task, in array code and in C++, one record each (equations.md sections
1, 9 and 12).
"""

from ...errors import SpecError
from ..records import look_up
from .base import Answers, Classes, Code, Likelihood, Own, Score, Values
from .classes import BERNOULLI, CATEGORICAL
from .values import GAUSSIAN, GAUSSIAN_LEARNED, HETEROSCEDASTIC, POISSON, STUDENT_T, STUDENT_T_LEARNED

__all__ = [
    "DEFAULTS",
    "LEARNED",
    "LIKELIHOODS",
    "SCORES",
    "Answers",
    "Classes",
    "Code",
    "Likelihood",
    "Own",
    "Score",
    "Values",
    "classes_of",
    "get_likelihood",
    "named",
]

LIKELIHOODS: dict[str, Likelihood] = {
    record.name: record
    for record in (
        *(BERNOULLI, CATEGORICAL, GAUSSIAN, HETEROSCEDASTIC, STUDENT_T, POISSON),
        *(GAUSSIAN_LEARNED, STUDENT_T_LEARNED),
    )
}
LEARNED: dict[str, str] = {record.own.of: name for name, record in LIKELIHOODS.items() if record.own is not None}
"""Likelihoods of known noise, and the same with learned noise."""
DEFAULTS: dict[str, Likelihood] = {}
"""The default likelihood of each task."""
for _record in LIKELIHOODS.values():
    DEFAULTS.setdefault(_record.task, _record)
SCORES: dict[str, Score] = {record.score.name: record.score for record in LIKELIHOODS.values()}


def named() -> tuple[str, ...]:
    """What a spec may name; the others come of noise_sd = "learn"."""
    return tuple(name for name, record in LIKELIHOODS.items() if record.own is None)


def classes_of(name: str) -> Classes:
    """What holds of a likelihood's or task's classes; SpecError where there are none."""
    classes = get_likelihood(name).classes
    if classes is None:
        raise SpecError(f"'{name}' has no classes: its predictions are values.")
    return classes


def get_likelihood(name: str) -> Likelihood:
    """The likelihood of that name, or a task's default; SpecError says the nearest known one."""
    return look_up("likelihood or task", name, DEFAULTS | LIKELIHOODS)
