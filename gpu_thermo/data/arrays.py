"""Arrays from NumPy's .npz and from IDX files. Headers are judged before anything is allocated; nothing is ever
unpickled.
"""

import gzip
import math
import tokenize
import zipfile
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

from ..errors import DataError
from .dataset import MAX_MAGNITUDE, Floats, Part, Schema, Values, refuse_absurd
from .files import require_file
from .labels import encode_labels, is_classification
from .splits import Table
from .texts import MISSING, text_in, too_large

_DAMAGED = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    RuntimeError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
    tokenize.TokenError,
)
_LARGE, _MOST_PACKED = 2**28, 200
"""Bytes from which, and how many times over, an array may not be packed."""
_SPLIT_KEYS = ("x_train", "y_train", "x_test", "y_test")
_IDX_PARTS = ("train-images", "train-labels", "t10k-images", "t10k-labels")


def read_npz(
    path: Path, wanted: Collection[str] | None, what: str = ".npz", remedy: str = "Write it with numpy.savez"
) -> dict[str, Values]:
    """The `wanted` arrays of an .npz file, those of them that are there (None: all), without unpickling. `what` it is
    and the `remedy` are for the message of a file that is damaged.

    Raises
    ------
    DataError
        If the file is not an .npz, or an array holds Python objects, is damaged, or claims an absurd size.
    """
    require_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = {m.filename.removesuffix(".npy"): m for m in archive.infolist() if m.filename.endswith(".npy")}
            return {key: _read_member(path, archive, members[key]) for key in wanted or members if key in members}
    except DataError:
        raise
    except _DAMAGED as error:
        raise DataError(f"{path} cannot be read as {what} ({type(error).__name__}: {error}). {remedy}.") from error


def _read_member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Values:
    """One array; its header must be of a plain type, and agree with the size the archive gives."""
    where = f"{path}, array '{member.filename.removesuffix('.npy')}'"
    if member.file_size > max(_LARGE, _MOST_PACKED * member.compress_size):
        raise DataError(
            f"{where} unpacks to {member.file_size:,} bytes from {member.compress_size:,}: no data are so empty. Write"
            " the file anew."
        )
    with archive.open(member) as handle:
        version = npy.read_magic(handle)
        read_header: Any = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
        if read_header is None:
            raise DataError(
                f"{where} is of .npy version {version}; versions 1.0 and 2.0 are read. Write plain arrays with"
                " numpy.savez."
            )
        shape, _, dtype = read_header(handle)
        if dtype.kind not in "biufU":
            raise DataError(
                f"{where} holds {dtype} values; only numbers, and text for labels, are read. Convert it:"
                " array.astype(float)."
            )
        size = math.prod(shape)
        refuse_absurd(size * max(1, dtype.itemsize // 8), where)
        if min(shape, default=0) < 0 or size * dtype.itemsize > member.file_size:
            raise DataError(
                f"{where} claims the shape {shape} of {dtype}, more than the {member.file_size:,} bytes it has. The"
                " file is damaged."
            )
    with archive.open(member) as handle:
        return npy.read_array(handle, allow_pickle=False)


def npz_arrays(path: Path) -> dict[str, Values]:
    """The arrays of a data .npz: either x and y, or x_train and y_train with both or none of x_test and y_test."""
    arrays = read_npz(path, ("x", "y", "weight", *_SPLIT_KEYS, "weight_train"))
    whole, parts = {"x", "y"}, set(_SPLIT_KEYS)
    held = set(arrays) - {"weight" if "x" in arrays else "weight_train"}
    if held not in (whole, parts, parts - {"x_test", "y_test"}):
        found = ", ".join(sorted(arrays)) or "none of them"
        raise DataError(
            f"{path} must hold either x and y, or x_train, y_train, x_test, y_test (the test pair may be left out), and"
            f" may hold weight or weight_train; it has {found}."
        )
    return arrays


def npz_table(path: Path, arrays: Mapping[str, Values], task: str) -> tuple[Table, int]:
    """All rows as one table, training before test, and the number of training rows (all of them for x, y).

    Encoding both parts together gives them the same task and classes.
    """
    pairs = [("x", "y")] if "x" in arrays else [("x_train", "y_train"), ("x_test", "y_test")][: len(arrays) // 2]
    table, train = encoded_table(path, arrays, pairs, task), len(arrays[pairs[0][0]])
    for name in {"weight", "weight_train"} & set(arrays):
        table = replace(table, weight=weights(path, name, arrays[name], train))
    return table, train


def weights(path: Path | str, name: str, values: Values, points: int) -> Floats:
    """Weights [points] as numbers; DataError for another shape."""
    if values.shape != (points,):
        raise DataError(
            f"{path}: {name} has shape {values.shape} for {points} training points: give one weight for each,"
            f" [{points}]."
        )
    return _numbers(path, name, values)


def encoded_table(
    path: Path | str, arrays: Mapping[str, Values], pairs: Sequence[tuple[str, str]], task: str, may_miss: bool = False
) -> Table:
    """The rows of all pairs (name of x, name of y) as one table, in order; `path` is what messages call the data, and
    `may_miss` says whether features may be NaN.

    Raises
    ------
    DataError
        Shapes that do not fit, values that are no finite numbers, or answers that do not fit the task.
    """
    xs, ys = [], []
    for x_key, y_key in pairs:
        x, y = arrays[x_key], arrays[y_key]
        if x.ndim != 2 or x.shape[1] == 0 or y.ndim not in (1, 2) or len(x) != len(y) or 0 in y.shape[1:]:
            raise DataError(
                f"{path}: {x_key} has shape {x.shape} and {y_key} {y.shape}; they must be [points, features] and"
                " [points] or [points, targets], with equally many points. Reshape them: x.reshape(len(x), -1)."
            )
        xs.append(_numbers(path, x_key, x, may_miss))
        ys.append(y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y)
    if any(part.shape[1:] != parts[0].shape[1:] for parts in (xs, ys) for part in parts) or len(xs[0]) == 0:
        shapes = ", ".join(f"{key} {arrays[key].shape}" for pair in pairs for key in pair)
        raise DataError(
            f"{path}: the shapes {shapes} do not fit. Give at least one training point, and both parts the same"
            " columns."
        )
    return _npz_encode(path, [y for _, y in pairs], np.concatenate(xs), ys, task)


def _npz_encode(path: Path | str, keys: Sequence[str], x: Floats, ys: list[Values], task: str) -> Table:
    """Decide the task and turn y into labels or targets."""
    features = tuple(f"x{i}" for i in range(x.shape[1]))
    texts = _texts(path, ys) if ys[0].ndim == 1 and _are_texts(ys, task) else []
    numbers = None if texts else np.concatenate([_numbers(path, k, y) for k, y in zip(keys, ys, strict=True)])
    wide = numbers is not None and numbers.ndim == 2
    if wide and task not in ("auto", "regression"):
        raise DataError(
            f'{path}: y has shape {ys[0].shape}, but task = "{task}" wants one label for each point. One-hot? Use'
            " y.argmax(axis=1)."
        )
    if task == "regression" and numbers is None:
        raise DataError(
            f'{path}: y holds text, but task = "regression" wants numbers. Use task = "multiclass", or convert y.'
        )
    if numbers is not None and (task == "regression" or wide or (task == "auto" and not is_classification(numbers))):
        y = numbers.reshape(len(numbers), -1)
        targets = tuple(f"y{i}" for i in range(y.shape[1])) if wide else ("y",)
        return Table(Schema("npz", "regression", features, targets=targets), x, y)
    labels = encode_labels(numbers, texts, task, f"{path}, y")
    return Table(Schema("npz", labels.task, features, classes=labels.classes), x, labels.y)


def _are_texts(ys: list[Values], task: str) -> bool:
    """Whether answers are texts, or are labels that are called so: truth values, and whole numbers that float64 takes
    for their neighbours.
    """
    kinds = {y.dtype.kind for y in ys}
    if "U" in kinds or task == "regression":
        return "U" in kinds
    return kinds == {"b"} or (kinds <= {"i", "u"} and any(np.any(too_large(y)) for y in ys))


def _texts(path: Path | str, ys: list[Values]) -> list[str]:
    """All labels as texts, none of them missing."""
    try:
        texts = [text_in(text) or text.strip() for y in ys for text in map(str, y.tolist())]
    except ValueError as error:
        raise DataError(f"{path}: y holds damaged text ({error}). Write it again.") from error
    for i, text in enumerate(texts):
        if text in MISSING:
            raise DataError(f"{path}: label {i} of y is missing ('{text}'). Leave the point out.")
    return texts


def _numbers(path: Path | str, key: str, values: Values, may_miss: bool = False) -> Floats:
    """An array as float64, all of it finite (or NaN, where some may be missing) and of sane size."""
    if values.dtype.kind == "U":
        raise DataError(
            f"{path}: {key} holds text; only a y of one dimension may, as class labels. Encode it as numbers."
        )
    with np.errstate(invalid="ignore", over="ignore"):
        out = values.astype(np.float64)
        bad = np.argwhere(~(np.abs(out) <= MAX_MAGNITUDE) & ~(may_miss & np.isnan(out)))
    if len(bad):
        at = tuple(int(i) for i in bad[0])
        raise DataError(
            f"{path}: {key}[{', '.join(map(str, at))}] is {out[at]:g} ({len(bad)} such values); numbers must be finite"
            f" and at most {MAX_MAGNITUDE:g} in size. Remove or rescale them."
        )
    return out


def read_images(path: Path) -> Part:
    """Images and labels in MNIST's layouts: a folder with the four IDX files (gzipped or not), or an .npz as Keras has
    it.

    Images come flattened, [images, pixels] uint8, labels [images] int64.

    Raises
    ------
    DataError
        If files are missing or damaged, or shapes, types and labels are not those of such a data set.
    """
    if path.is_dir():
        arrays = dict(
            zip(("x_train", "y_train", "x_test", "y_test"), (_read_idx(path, name) for name in _IDX_PARTS), strict=True)
        )
    else:
        arrays = read_npz(path, _SPLIT_KEYS)
        if set(arrays) != set(_SPLIT_KEYS):
            raise DataError(
                f"{path} has of x_train, y_train, x_test, y_test only {sorted(arrays)}. Give a folder of IDX files, or"
                " Keras' mnist.npz."
            )
    for x_key, y_key in (("x_train", "y_train"), ("x_test", "y_test")):
        x, y = arrays[x_key], arrays[y_key]
        same_size = x.shape[1:] == arrays["x_train"].shape[1:]
        if x.ndim != 3 or x.dtype != np.uint8 or not same_size or y.shape != x.shape[:1] or y.dtype.kind not in "iu":
            raise DataError(
                f"{path}: {x_key} is {x.dtype} {x.shape} and {y_key} {y.dtype} {y.shape}; they must be uint8 [images,"
                " rows, columns] and whole numbers [images], with equal image sizes in both parts."
            )
        if x.size == 0 or y.min() < 0 or y.max() > 9:
            raise DataError(
                f"{path}: {y_key} must have labels 0 to 9, one for each of at least one image; it has"
                f" {np.unique(y)[:20]}."
            )
    flat = [arrays[key].reshape(len(arrays[key]), -1) for key in ("x_train", "x_test")]
    labels = [arrays[key].astype(np.int64) for key in ("y_train", "y_test")]
    return Part(flat[0], labels[0], flat[1], labels[1])


def _read_idx(folder: Path, part: str) -> Values:
    """One IDX file of unsigned bytes: magic number, big-endian sizes, values (LeCun's format)."""
    rank = 3 if part.endswith("images") else 1
    names = [f"{part}{dash}idx{rank}-ubyte{end}" for end in ("", ".gz") for dash in ("-", ".")]
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    if path is None:
        raise DataError(f"{folder} has none of {', '.join(names)}. Put the four MNIST files there.")
    try:
        require_file(path)
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as handle:
            return _parse_idx(path, handle, rank)
    except DataError:
        raise
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}). Fetch it again.") from error


def _parse_idx(path: Path, handle: BinaryIO | gzip.GzipFile, rank: int) -> Values:
    """Header and values of an open IDX file."""
    header = handle.read(4 + 4 * rank)
    if len(header) < 4 + 4 * rank or header[:4] != bytes([0, 0, 8, rank]):
        raise DataError(
            f"{path} starts with {header[:4].hex() or 'nothing'}; an IDX file of {rank} dimensions starts with"
            f" 0000080{rank}. Fetch it again."
        )
    shape = tuple(int(n) for n in np.frombuffer(header[4:], dtype=">u4"))
    size = math.prod(shape)
    refuse_absurd(size, str(path))
    values = handle.read(size + 1)
    if len(values) != size:
        raise DataError(
            f"{path} says {shape} and has {'more' if len(values) > size else f'only {len(values):,}'} bytes of values."
            " Fetch it again."
        )
    return np.frombuffer(values, dtype=np.uint8).reshape(shape)
