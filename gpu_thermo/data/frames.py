"""DataFrames, or anything else with named columns, and Parquet files. pandas is imported for the latter only."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, SpecError, did_you_mean
from . import arrays
from .dataset import Floats, Values
from .fields import without_targets
from .files import require_file
from .kinds import recipe_of
from .labels import shorten
from .recipe import Raw, Recipe, as_texts, number_text
from .splits import Table
from .tables import Asked, Points
from .texts import MISSING, number_in, text_in, too_large


def is_table(given: Any) -> bool:
    """Whether it has named columns."""
    return hasattr(given, "columns") and hasattr(given, "__getitem__") and not isinstance(given, Mapping)


def read_parquet(path: Path, asked: Asked) -> Table:
    """A table from a Parquet file, read by pandas.

    Raises
    ------
    DataError
        There is no pandas or no reader of Parquet, or whatever in the file cannot be used.
    """
    return frame_table(_parquet(path), asked, str(path))


def raw_parquet(path: Path) -> dict[str, Raw]:
    """All columns of a Parquet file, raw; DataError as for `read_parquet`."""
    frame = _parquet(path)
    return raw_columns(frame, [str(name) for name in frame.columns], str(path))


def read_parquet_points(path: Path, recipe: Recipe) -> Points:
    """Points at which something is asked, from a Parquet file with every column of `recipe`, in any order.

    Raises
    ------
    DataError
        The file cannot be read, or a column is missing.
    """
    frame = _parquet(path)
    names = [str(name) for name in frame.columns]
    _check_columns(frame, recipe.names, str(path))
    if not len(frame):
        raise DataError(f"{path} has no rows. Add at least one.")
    raw = raw_columns(frame, recipe.names, str(path), recipe.kinds)
    return Points(raw, tuple(n for n in names if n not in recipe.names))


def texts_of(path: Path, name: str) -> list[str | None]:
    """One column of a Parquet file as texts, None where it is missing; DataError as for `read_parquet`."""
    frame = _parquet(path)
    if name not in map(str, frame.columns):
        raise no_column(str(path), name, [*map(str, frame.columns)])
    return list(raw_columns(frame, [name], str(path), {name: "category"})[name].tolist())


def no_column(where: str, name: str, names: Sequence[str]) -> DataError:
    """The error of a column that is not there."""
    remedy = did_you_mean(name, names, f"Columns: {shorten(', '.join(names), 200)}.", always=True)
    return DataError(f"{where} has no column '{shorten(name)}'. {remedy}")


def _parquet(path: Path) -> Any:
    require_file(path)
    try:
        from pyarrow import parquet

        table = parquet.read_table(path)
        return table.to_pandas(integer_object_nulls=_has_ids(table), split_blocks=True, self_destruct=True)
    except ImportError as error:
        raise DataError(
            f"{path}: Parquet files are read by pandas and pyarrow, and one of them is not there"
            f" ({str(error).splitlines()[0]}). pip install pandas pyarrow, or save the table as CSV."
        ) from None
    except Exception as error:  # pyarrow has errors of its own kind
        raise DataError(f"{path} cannot be read as Parquet ({type(error).__name__}: {error}).") from error


def _has_ids(table: Any) -> bool:
    """Whether a pyarrow table has whole numbers of which float64 takes neighbours for one, and a missing one beside
    them: then pandas would make float64 of them.
    """
    from pyarrow import compute, types

    holed = [column for column in table.columns if types.is_integer(column.type) and column.null_count]
    ends = [end for column in holed for end in compute.min_max(column).as_py().values()]
    return any(end is not None and too_large(end) for end in ends)


def frame_table(frame: Any, asked: Asked, where: str) -> Table:
    """A DataFrame's features, targets and weights as a table."""
    frame = with_answers(frame, asked, where)
    recipe = frame_recipe(frame, asked, where)
    held = {"x": encode_frame(frame, recipe, where), "y": frame_targets(frame, asked.target, where)}
    table = arrays.encoded_table(where, held, [("x", "y")], asked.task, bool(recipe.may_miss.any()))
    names = tuple(asked.target) if table.schema.targets else ()
    schema = replace(
        table.schema, name="parquet", features=recipe.features, targets=names,
        recipe=None if recipe.is_plain else recipe,
    )  # fmt: skip
    weight = None
    if asked.weight is not None:
        _check_columns(frame, [asked.weight], where)
        values = plain_array(_column(frame, asked.weight), f"{where}: column '{asked.weight}'")
        weight = arrays.weights(where, asked.weight, values, len(table.x))
    return replace(table, schema=schema, weight=weight)


def frame_recipe(frame: Any, asked: Asked, where: str) -> Recipe:
    """What the feature columns of a DataFrame become.

    Raises
    ------
    DataError
        A column that is not there or there twice, or of values of no known kind. SpecError : `kinds` names another.
    """
    names = [str(name) for name in frame.columns]
    left_out = (*asked.target, asked.weight, *asked.drop)
    features = asked.features or [name for name in names if name not in left_out]
    _check_columns(frame, (*asked.target, *features, *asked.drop), where)
    if not features:
        raise DataError(f"{where} has no column beside the target: give features.")
    if unknown := [name for name in asked.kinds if name not in features]:
        remedy = did_you_mean(unknown[0], features, f"Features: {shorten(', '.join(features), 200)}.", always=True)
        raise SpecError(f"kinds names '{unknown[0]}', no feature of {where}. {remedy}")
    kinds = categories_of(frame, features) | dict(asked.kinds)
    raw = raw_columns(frame, features, where, kinds)
    return recipe_of(raw, asked.features is not None, kinds, asked.encode, where)


def categories_of(frame: Any, names: Iterable[str]) -> dict[str, str]:
    """Kinds of the columns that pandas holds as categories, whatever these are: {name: "category"}."""
    own = {str(name): name for name in frame.columns}
    return {name: "category" for name in names if hasattr(getattr(frame[own[name]], "dtype", None), "categories")}


def encode_frame(frame: Any, recipe: Recipe, where: str) -> Floats:
    """Inputs [rows, m] of a DataFrame, NaN where a value is missing that counts as the mean."""
    _check_columns(frame, recipe.names, where)
    return recipe.encode(raw_columns(frame, recipe.names, where, recipe.kinds))


def with_answers(frame: Any, asked: Asked, where: str) -> Any:
    """A DataFrame without the rows that have no answer; DataError where there are some and they are not to be left
    out.
    """
    _check_columns(frame, asked.target, where)
    absent: Any = False
    for name in asked.target:
        values = _column(frame, name)
        _refuse_masked(values, f"{where}: column '{name}'", "rows")
        absent = absent | absent_answers(np.asarray(values))
    if not np.any(absent):
        return frame
    rows = (np.flatnonzero(absent) + 1).tolist()
    without_targets(where, asked.target, rows, len(absent), "row", asked.drop_missing_target)
    return frame[~absent]


def absent_answers(values: Values, texts: bool = True) -> NDArray[np.bool_]:
    """[rows] whether an answer is missing, of values [rows] or [rows, n]; `texts` says whether NA and the like do."""
    if values.dtype.kind == "f":
        absent = np.isnan(values)
    elif values.dtype.kind in "biu":
        absent = np.zeros(values.shape, bool)
    else:
        every = values.astype(object).ravel().tolist()
        flat = [(texts or not isinstance(v, str)) and _is_absent(v) for v in every]
        absent = np.array(flat, bool).reshape(values.shape)
    return np.asarray(absent.reshape(len(values), -1).any(axis=1))


def frame_targets(frame: Any, target: Sequence[str], where: str) -> Values:
    """Target columns [rows], or [rows, n] of several, which must be numbers."""
    ys = [plain_array(_column(frame, name), f"{where}: column '{name}'") for name in target]
    for name, y in zip(target, ys, strict=True):
        if len(ys) > 1 and y.dtype.kind == "U":
            raise DataError(
                f"{where}: column '{name}' holds text ('{shorten(str(y[0]))}'), and several targets are regression:"
                " name one target, or those that are numbers."
            )
    return ys[0] if len(ys) == 1 else np.column_stack(ys)


def _check_columns(frame: Any, wanted: Iterable[str], where: str) -> None:
    names = [str(name) for name in frame.columns]
    for name in wanted:
        if names.count(name) != 1:
            if name not in names:
                raise no_column(where, name, names)
            raise DataError(f"{where} has {names.count(name)} columns '{name}': rename one, or leave it out.")


def _column(frame: Any, name: str) -> Any:
    return frame[next(own for own in frame.columns if str(own) == name)]


def plain_array(values: Any, what: str, remedy: str = "Convert it") -> Values:
    """`values` as an array of numbers or of text; None and mixed kinds are refused with a reason."""
    _refuse_masked(values, what, "points")
    try:
        out = np.asarray(values)
        if out.dtype.kind in "OT":
            out = _plain(out)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"{what} is no array of numbers ({error}). {remedy}.") from None
    if out.dtype.kind not in "biufU":
        raise DataError(f"{what} holds {out.dtype} values; numbers are wanted (or text, as labels). Convert it.")
    return out


def _refuse_masked(values: Any, what: str, of: str) -> None:
    """asarray drops a mask, and what stands under it would be taken for data; pandas' own masks it heeds."""
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise DataError(
            f"{what} has {np.ma.count_masked(values)} masked values: fill them in, or leave their {of} out."
        )


def _plain(values: Values) -> Values:
    """Objects as text where one of them is text, else as truth values, whole numbers or numbers; missing text is
    empty.
    """
    flat = values.ravel().tolist()
    if any(isinstance(v, str) for v in flat):
        texts = ["" if v is None or v != v else str(v) for v in flat]
        return np.array(texts, np.str_).reshape(values.shape)
    if all(isinstance(v, bool | np.bool_) for v in flat):
        return values.astype(np.bool_)
    if _are_ids(flat):
        return np.array([str(v) for v in flat], np.str_).reshape(values.shape)
    return values.astype(np.float64)


def _are_ids(values: Sequence[Any]) -> bool:
    """Whether these are whole numbers, and float64 would take neighbours among them for one."""
    return all(isinstance(v, int | np.integer) for v in values) and any(too_large(int(v)) for v in values)


def raw_columns(table: Any, names: Iterable[str], where: str, kinds: Mapping[str, str] = {}) -> dict[str, Raw]:
    """Raw columns [rows] of those names, some of them of known `kinds`; DataError for values of no kind that is
    known.
    """
    at = {str(name): name for name in (table if isinstance(table, Mapping) else table.columns)}
    what = f"{where}: column"
    return {name: raw_column(table[at[name]], f"{what} '{shorten(name)}'", kinds.get(name, "")) for name in names}


def raw_column(values: Any, what: str, kind: str = "") -> Raw:
    """One column [rows]: numbers and truth values as float64, dates as datetime64, all else as texts; whole numbers too
    large for float64 as texts, too, and of `kind` "category" everything.

    Raises
    ------
    DataError
        Masked, complex or nested values, or spans of time.
    """
    _refuse_masked(values, what, "rows")
    try:
        array = np.asarray(values)
        if array.dtype.kind == "f" and getattr(getattr(values, "dtype", array.dtype), "kind", "f") in "iu":
            array = np.asarray(values, object)  # pandas' whole numbers, one of them missing
    except (TypeError, ValueError) as error:
        raise DataError(f"{what} is no column of numbers, texts or dates ({error}).") from None
    if array.ndim != 1:
        raise DataError(f"{what} has shape {array.shape}: a column has one value for each row.")
    if array.dtype.kind in "biuf":
        return _of_numbers(array, kind)
    if array.dtype.kind == "M":
        return array.astype("datetime64[s]")
    if array.dtype.kind in "OUST":
        return _objects(array.tolist(), what, kind)
    raise DataError(f"{what} holds {array.dtype} values; numbers, texts and dates are wanted. Convert it.")


def _of_numbers(values: Values, kind: str) -> Raw:
    """An array of numbers or truth values as float64 or texts."""
    large = values.dtype.kind in "iu" and np.any(too_large(values))
    if kind == "category" or (large and not kind):
        return as_texts(values)
    return values.astype(np.float64)


def _objects(values: Sequence[Any], what: str, kind: str) -> Raw:
    """Objects as numbers where all are, else as texts; None and NaN of any kind are missing."""
    if set(map(type, values)) <= {str, type(None), float}:  # most are; each text is looked at once
        meant = {v: None if _is_absent(v) else _text(v) for v in set(values)}
        numbers = any(isinstance(v, float) and text is not None for v, text in meant.items())
        if not numbers and any(text is not None for text in meant.values()):
            return np.array([*map(meant.__getitem__, values), None], object)[:-1]
    absent = [_is_absent(v) for v in values]
    present = [v for v, a in zip(values, absent, strict=True) if not a]
    numbers = all(isinstance(v, bool | int | float | np.number | np.bool_ | Decimal) for v in present)
    if numbers and kind != "category" and (kind or not _are_ids(present)):
        return np.array([np.nan if a else float(v) for v, a in zip(values, absent, strict=True)], np.float64)
    if kind != "category":
        _refuse_mistyped(values, present, what)
    odd = next((v for v in present if isinstance(v, list | tuple | dict | set | np.ndarray | complex)), None)
    if odd is not None:
        raise DataError(f"{what} holds a {type(odd).__name__}: each value is one number, text or date.")
    return np.array([*(None if a else _text(v) for v, a in zip(values, absent, strict=True)), None], object)[:-1]


def _refuse_mistyped(values: Sequence[Any], present: Sequence[Any], what: str) -> None:
    """A column that is mostly numbers, and holds a text, is one mistyped, as in a CSV file."""
    numbers = sum(isinstance(v, int | float | np.number) and not isinstance(v, bool) for v in present)
    text = next((v for v in present if isinstance(v, str) and number_in(v) is None), None)
    if text is not None and numbers * 2 >= len(values):
        row = next(i for i, v in enumerate(values) if v is text) + 1
        raise DataError(
            f"{what}, row {row}: '{shorten(text)}' is not a number, and {numbers:,} of {len(values):,} values are."
            " Correct it, or say that the column is a category (kinds)."
        )


def _text(value: Any) -> str | None:
    if isinstance(value, float | np.floating):
        return number_text(float(value))
    return value.isoformat() if hasattr(value, "isoformat") else text_in(str(value))


def _is_absent(value: Any) -> bool:
    if value is None or isinstance(value, str):
        return value is None or value.strip() in MISSING
    if isinstance(value, np.ndarray):
        return False
    try:
        return bool(value != value)
    except (TypeError, ValueError):  # pandas.NA has no truth value
        return True
