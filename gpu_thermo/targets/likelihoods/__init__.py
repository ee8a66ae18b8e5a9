"""Likelihoods: how a network's outputs answer a task, in array code and in C++, one record each (equations.md sections
1, 9 and 12).
"""

from ...errors import SpecError
from ..records import look_up
from .base import Answers, Classes, Code, Likelihood, Score, Values
from .classes import BERNOULLI, CATEGORICAL
from .values import GAUSSIAN, HETEROSCEDASTIC, POISSON, STUDENT_T

__all__ = [
    "DEFAULTS",
    "LIKELIHOODS",
    "SCORES",
    "Answers",
    "Classes",
    "Code",
    "Likelihood",
    "Score",
    "Values",
    "classes_of",
    "get_likelihood",
]

LIKELIHOODS: dict[str, Likelihood] = {
    record.name: record for record in (BERNOULLI, CATEGORICAL, GAUSSIAN, HETEROSCEDASTIC, STUDENT_T, POISSON)
}
DEFAULTS: dict[str, Likelihood] = {}
"""The default likelihood of each task."""
for _record in LIKELIHOODS.values():
    DEFAULTS.setdefault(_record.task, _record)
SCORES: dict[str, Score] = {record.score.name: record.score for record in LIKELIHOODS.values()}


def classes_of(name: str) -> Classes:
    """What holds of a likelihood's or task's classes; SpecError where there are none."""
    classes = get_likelihood(name).classes
    if classes is None:
        raise SpecError(f"'{name}' has no classes: its predictions are values.")
    return classes


def get_likelihood(name: str) -> Likelihood:
    """The likelihood of that name, or a task's default; SpecError says the nearest known one."""
    return look_up("likelihood or task", name, DEFAULTS | LIKELIHOODS)
