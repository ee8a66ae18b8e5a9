"""Data given from Python: arrays, several sets of arrays, a table with named columns (pandas), or a Dataset as it is.

They are judged as files are: what is no number, missing, or of a wrong shape is named with its place. Nothing here
imports pandas: a table is what has `columns`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ..errors import DataError, SpecError
from . import arrays
from .dataset import Dataset, Part, Values, stack
from .frames import encode_frame, frame_recipe, frame_targets, is_table, plain_array, with_answers
from .labels import shorten
from .recipe import Recipe
from .sources import TEST_FRACTION, Arrays
from .splits import Table, split_parts
from .tables import Asked

WHERE = "data"
"""What messages call it."""
_FORMS = (
    "Give (X, y), (X, y, X_test, y_test), a list of such tuples for several data sets, a DataFrame with [data] target,"
    " or a gpu_thermo.Dataset"
)
_PARTS = ("x", "y", "x_test", "y_test")
_WEIGHT = "weight"


class _Names(NamedTuple):
    """Names of columns where what was given has them, and how those of a table became features."""

    features: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    recipe: Recipe | None = None


def build_given(given: Any, options: Arrays) -> Dataset:
    """The data set that was given, split and standardised as the options say.

    Parameters
    ----------
    given : (X [N, m], y [N] or [N, n]); the same with test parts (X, y, X_test, y_test); a list of such tuples, or
    arrays with a first axis of data sets, for several of equal size; a mapping of x, y, x_test, y_test, and weight [N]
    of the points of x; a DataFrame, whose target column `options` names, and that of weights; or a Dataset, which is
    taken as it is.

    Raises
    ------
    DataError
        What cannot be used, with its place. SpecError : an option that does not go with what was given.
    """
    if isinstance(given, Dataset):
        of_no_use = ("target", "features", "split_seed", "seeds", _WEIGHT, "target_transform")
        _refuse_options(options, "a Dataset is complete", of_no_use)
        if options.task not in ("auto", given.task):
            raise SpecError(f"The Dataset's task is {given.task}, and {options.task} is asked for: give another one.")
        return given
    given, weight = _weighted(given, options)
    sets, names = _sets(given, options)
    if len(sets) > 1 and options.seeds is not None:
        raise SpecError(f"{WHERE} has {len(sets)} data sets, and seeds splits one of them: leave out data.seeds.")
    if len(sets[0]) == 4:
        _refuse_options(options, "the test part is given", ("test_fraction", "split_seed", "seeds"))
    _check_sizes(sets)
    recipe = None if names.recipe is None or names.recipe.is_plain else names.recipe
    table, lengths = _encoded(sets, options.task, recipe is not None and bool(recipe.may_miss.any()))
    table = replace(table, schema=replace(table.schema, recipe=recipe, target_transform=options.target_transform))
    if weight is not None:
        if len(sets) > 1:
            raise DataError(f"{WHERE} has {len(sets)} data sets and weights: give weights of one, or a Dataset of all.")
        table = replace(table, weight=arrays.weights(WHERE, _WEIGHT, _array(weight, _WEIGHT), lengths[0]))
    return _stacked(_renamed(table, names), lengths, len(sets[0]) == 4, options)


def takes_splits(given: Any, options: Arrays) -> bool:
    """Whether a seed splits what was given: it is one set of rows, without a test part of its own."""
    if isinstance(given, Dataset):
        return False
    sets, _ = _sets(_weighted(given, options)[0], options)
    return len(sets) == 1 and len(sets[0]) == 2


def _weighted(given: Any, options: Arrays) -> tuple[Any, Any]:
    """What was given without its weights, and these; None where there are none."""
    if is_table(given):
        if options.target is not None:
            given = with_answers(given, _asked(options), WHERE)
        if options.weight is None:
            return given, None
        columns = [str(name) for name in given.columns]
        if columns.count(options.weight) != 1:
            raise DataError(
                f"{WHERE} has no column '{options.weight}' of weights. Columns: {shorten(', '.join(columns), 200)}."
            )
        (name,) = (c for c in given.columns if str(c) == options.weight)
        return given.drop(columns=[name]), _array(given[name], f"column '{options.weight}'")
    if options.weight is not None:
        raise SpecError(
            f"data.weight names a column of a DataFrame; this is {_kind(given)}: give a mapping with weight."
        )
    if isinstance(given, Mapping) and _WEIGHT in given:
        return {key: value for key, value in given.items() if key != _WEIGHT}, given[_WEIGHT]
    return given, None


def _sets(given: Any, options: Arrays) -> tuple[list[tuple[Values, ...]], _Names]:
    """(x, y) or (x, y, x_test, y_test) of each data set, every x [N, m] and y [N] or [N, n]; and names of columns."""
    if is_table(given):
        return _from_table(given, options)
    named = ("target", "features", "drop_missing_target", *(() if _has_table(given) else ("drop", "kinds")))
    if of_columns := [name for name in named if getattr(options, name)]:
        raise SpecError(f"data.{of_columns[0]} names columns of a DataFrame, and this is {_kind(given)}: leave it out.")
    if isinstance(given, Mapping):
        if set(given) not in (set(_PARTS[:2]), set(_PARTS)):
            raise DataError(f"{WHERE} has the keys {', '.join(map(str, given))[:200]}. Known: {', '.join(_PARTS)}.")
        given = tuple(given[key] for key in _PARTS if key in given)
    if not isinstance(given, Sequence) or isinstance(given, str | bytes) or not len(given):
        raise DataError(f"{WHERE} is {_kind(given)}. {_FORMS}.")
    several = isinstance(given, list) and all(isinstance(one, tuple) for one in given)
    tuples = given if several else [tuple(given)]
    for d, one in enumerate(tuples):
        if len(one) not in (2, 4) or len(one) != len(tuples[0]):
            where = f"Set {d} of {WHERE}" if several else WHERE
            raise DataError(f"{where} has {len(one)} parts. {_FORMS}.")
    first = tuples[0]
    recipe = frame_recipe(first[0], _asked(options), WHERE) if is_table(first[0]) else None
    tuples = [
        tuple(_inputs(v, recipe, n) if n[0] == "x" else v for n, v in zip(_PARTS, one, strict=False)) for one in tuples
    ]
    names = _Names(_columns(first[0]) if recipe is None else recipe.features, _columns(first[1]), recipe)
    out = [_arrays(one, f"set {d}, " if several else "") for d, one in enumerate(tuples)]
    if out[0][0].ndim == 3 and not several:
        out = _unstacked(out[0])
    return out, names


def _from_table(table: Any, options: Arrays) -> tuple[list[tuple[Values, ...]], _Names]:
    """Columns of a DataFrame as x and y."""
    if options.target is None:
        columns = ", ".join(str(name) for name in table.columns)
        raise SpecError(
            f"A DataFrame needs [data] target, the name of the target column. Columns: {shorten(columns, 200)}."
        )
    asked = _asked(options)
    recipe = frame_recipe(table, asked, WHERE)
    y = frame_targets(table, asked.target, WHERE)
    return [(encode_frame(table, recipe, WHERE), y)], _Names(recipe.features, tuple(asked.target), recipe)


def _has_table(given: Any) -> bool:
    """Whether x is a table."""
    return isinstance(given, Sequence) and len(given) > 0 and is_table(given[0])


def _asked(options: Arrays) -> Asked:
    """What the options say of columns, those of the target aside."""
    target = [options.target] if isinstance(options.target, str) else options.target or []
    encode, drop, missing = options.encode or "auto", options.drop or (), bool(options.drop_missing_target)
    return Asked(target, options.features, options.task, None, encode, options.kinds or {}, drop, missing)


def _inputs(x: Any, recipe: Recipe | None, part: str) -> Any:
    """The features of a table as numbers; what is no table as it is."""
    if recipe is None:
        return x
    if not is_table(x):
        raise DataError(f"{WHERE}: x is a table and {part} is {_kind(x)}: give both as tables with the same columns.")
    return encode_frame(x, recipe, f"{WHERE}, {part}")


def _arrays(one: tuple[Any, ...], where: str) -> tuple[Values, ...]:
    """Plain arrays of one set; text only in y."""
    out = tuple(_array(v, where + n) for n, v in zip(_PARTS, one, strict=False))
    for name, values in zip(_PARTS[::2], out[::2], strict=False):
        if values.dtype.kind == "U":
            raise DataError(f"{WHERE}: {where}{name} holds text; only y may, as class labels. Encode it as numbers.")
    return out


def _array(values: Any, what: str) -> Values:
    """`values` as an array of numbers or of text; None and mixed kinds are refused with a reason."""
    return plain_array(values, f"{WHERE}: {what}", _FORMS)


def _unstacked(one: tuple[Values, ...]) -> list[tuple[Values, ...]]:
    """Arrays with a first axis of data sets as one tuple for each."""
    sets = len(one[0])
    for name, values in zip(_PARTS, one, strict=False):
        if values.ndim < (3 if name.startswith("x") else 2) or len(values) != sets or not sets:
            raise DataError(
                f"{WHERE}: x has shape {one[0].shape}, [sets, points, features], and {name} {values.shape}: give every"
                " part a first axis of as many data sets."
            )
    return [tuple(values[d] for values in one) for d in range(sets)]


def _check_sizes(sets: list[tuple[Values, ...]]) -> None:
    """One shape in all sets."""
    for d, one in enumerate(sets):
        for name, values, first in zip(_PARTS, one, sets[0], strict=False):
            if values.shape == first.shape:
                continue
            if values.shape[1:] == first.shape[1:]:
                raise DataError(
                    f"{WHERE}: {name} of set 0 has {len(first)} points, that of set {d} {len(values)}. All data sets of"
                    " a run need equally many: replicas advance together, and the energy is a mean over N points, the"
                    f" same N for all. Cut them to {min(len(first), len(values))}, or sample them in runs of their own."
                )
            raise DataError(f"{WHERE}: {name} of set 0 has shape {first.shape}, that of set {d} {values.shape}.")


def _encoded(sets: list[tuple[Values, ...]], task: str, may_miss: bool) -> tuple[Table, list[int]]:
    """All rows of all sets as one table, so that classes are theirs together; and the lengths of its pieces. `may_miss`
    says whether features may be NaN.
    """
    held: dict[str, Values] = {}
    pairs: list[tuple[str, str]] = []
    for d, one in enumerate(sets):
        of = f" of set {d}" if len(sets) > 1 else ""
        for i in range(0, len(one), 2):
            pairs.append((_PARTS[i] + of, _PARTS[i + 1] + of))
            held |= dict(zip(pairs[-1], one[i : i + 2], strict=True))
    return arrays.encoded_table(WHERE, held, pairs, task, may_miss), [len(held[x]) for x, _ in pairs]


def _renamed(table: Table, names: _Names) -> Table:
    """The table under its columns' own names."""
    features = names.features if len(names.features) == table.x.shape[1] else table.schema.features
    targets = names.targets if len(names.targets) == len(table.schema.targets) else table.schema.targets
    schema = replace(table.schema, name="arrays", features=features, targets=targets)
    return replace(table, schema=schema)


def _stacked(table: Table, lengths: list[int], split: bool, options: Arrays) -> Dataset:
    """The sets from their pieces; rows are split by seed where no test part was given."""
    ends = np.cumsum(lengths)
    pieces = [slice(stop - n, stop) for stop, n in zip(ends, lengths, strict=True)]
    if split:
        parts = [
            Part(table.x[a], table.y[a], table.x[b], table.y[b], table.weight)
            for a, b in zip(pieces[::2], pieces[1::2], strict=True)
        ]
        return stack(table.schema, parts, options.standardise)
    fraction = TEST_FRACTION if options.test_fraction is None else options.test_fraction
    parts = [
        part
        for p in pieces
        for part in split_parts(Table(table.schema, table.x[p], table.y[p], table.weight), fraction, options.all_seeds)
    ]
    return stack(table.schema, parts, options.standardise)


def _refuse_options(options: Arrays, why: str, names: tuple[str, ...]) -> None:
    given = [name for name in names if name in options.model_fields_set and getattr(options, name) is not None]
    if given:
        raise SpecError(f"{why}, and the spec has data.{given[0]} = {getattr(options, given[0])}: leave it out.")


def _columns(given: Any) -> tuple[str, ...]:
    """Names of the columns of a table or of a named column, () of arrays."""
    if is_table(given):
        return tuple(str(name) for name in given.columns)
    name = getattr(given, "name", None)
    return (name,) if isinstance(name, str) and name else ()


def _kind(given: Any) -> str:
    return f"{type(given).__name__}" + (f" of shape {np.shape(given)}" if hasattr(given, "shape") else "")
