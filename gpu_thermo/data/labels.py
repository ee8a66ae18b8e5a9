"""From a target column to labels: which task it is, which classes there are, and their numbers.

**Task "auto"** decides by the target column alone, in this order:

1. more than one target column: regression;
2. some value is not a number (`texts` says what is one; True, False and 007 are none): classification, with each
   different text a class (refused where there are more than `MAX_TEXT_CLASSES`, or where most texts occur once: then it
   is a name, or a number mistyped);
3. all values are whole numbers, and there are two different ones, or at most `MAX_NUMBER_CLASSES` with five rows each
   on average: classification;
4. otherwise: regression.

Classification is binary with two classes and multiclass with more. Naming the task overrides all of this. Classes are
ordered by number where all labels are numbers, by text otherwise; the first is label 0.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .tasks import classification

Floats = NDArray[np.float64]

MAX_TEXT_CLASSES = 100
MAX_NUMBER_CLASSES = 20
ROWS_PER_CLASS = 5


class Labels(NamedTuple):
    """Encoded classification target: `task`, labels `y` [rows] int64, and the names of the `classes`."""

    task: str
    y: NDArray[np.int64]
    classes: tuple[str, ...]


def is_classification(numbers: Floats | None) -> bool:
    """Whether task "auto" reads a target column as class labels (rules 2 to 4 above); `numbers` is None where some
    value is not one.
    """
    if numbers is None:
        return True
    if (numbers != np.floor(numbers)).any():
        return False
    different = len(np.unique(numbers))
    return different <= 2 or different <= min(MAX_NUMBER_CLASSES, len(numbers) // ROWS_PER_CLASS)


def encode_labels(numbers: Floats | None, texts: Sequence[str], task: str, where: str) -> Labels:
    """Labels of one target column given as numbers, or as texts where not all are numbers.

    Raises
    ------
    DataError
        If there is one class only, more than two for task binary, or so many texts that task "auto" doubts they are
        classes.
    """
    if numbers is not None:
        values, inverse = np.unique(numbers, return_inverse=True)
        names = [str(int(v)) if v.is_integer() else repr(v) for v in values.tolist()]
        y = inverse.astype(np.int64).reshape(-1)
    else:
        names = sorted(set(texts))
        number = {name: i for i, name in enumerate(names)}
        y = np.array([number[t] for t in texts], dtype=np.int64)
    shown = ", ".join(repr(shorten(n)) for n in names[:5]) + (", ..." if len(names) > 5 else "")
    if len(names) == 1:
        raise DataError(f"{where} has one class only: {shown}. Choose a target with at least two different values.")
    if task == "auto" and numbers is None and len(names) > min(MAX_TEXT_CLASSES, max(2, len(texts) // 2)):
        unasked = ', or say --task multiclass (task = "multiclass")' if 2 * len(names) <= len(texts) else ""
        raise DataError(
            f"{where} has {len(names)} different texts in {len(texts)} rows ({shown}): too many to be taken for classes"
            f" unasked. Correct a mistyped number, or choose another target{unasked}."
        )
    if task == "binary" and len(names) != 2:
        whole = numbers is None or bool((numbers == np.floor(numbers)).all())
        remedy = 'Use task = "multiclass"' if whole else 'They are not whole numbers: use task = "regression"'
        raise DataError(
            f'{where} has {len(names)} classes ({shown}), but task = "binary" (as of likelihood = "bernoulli") wants'
            f" two. {remedy}, or leave rows out."
        )
    chosen = classification(len(names)) if task == "auto" else task
    return Labels(chosen, y, tuple(names))


def shorten(text: str, longest: int = 40) -> str:
    """A value as shown in an error message."""
    return text if len(text) <= longest else text[: longest - 3] + "..."
