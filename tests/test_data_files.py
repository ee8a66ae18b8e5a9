"""Data from files: CSV, npz and MNIST's layouts, good and bad."""

import gzip
import io
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_thermo.data import Csv, Dataset, Mnist, Npz
from gpu_thermo.data.addresses import shuffled
from gpu_thermo.errors import DataError, SpecError


def csv_file(folder: Path, text: str | bytes) -> Path:
    """Write a CSV file and return its path."""
    path = folder / "table.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def read(folder: Path, text: str | bytes, **options) -> Dataset:
    """Dataset of a CSV text with target y, unsplit and in its own units unless told otherwise."""
    options = {"target": "y", "test_fraction": 0, "standardise": False} | options
    return Csv(path=str(csv_file(folder, text)), **options).build()


def rows_of(data: Dataset) -> np.ndarray:
    """Features of the first training set in sorted row order."""
    x = data.x_train[0]
    return x[np.lexsort(x.T[::-1])]


# ---------------------------------------------------------------- CSV

PLAIN = "a,b,y\n1,2,0\n3,4.5,1\n-5,6e2,0\n7,8,1\n"


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r"),
        "\ufeff" + PLAIN,
        "\n  \n" + PLAIN.replace("\n", "\n\n"),
        PLAIN.rstrip("\n"),
        PLAIN.replace("a,b", '"a","b"').replace("4.5", '" 4.5 "'),
    ],
)
def test_csv_dialects(tmp_path, text):
    """Delimiters, line ends, byte order mark, quotes, empty lines: the same numbers."""
    data = read(tmp_path, text)
    assert (data.task, data.features, data.classes) == ("binary", ("a", "b"), ("0", "1"))
    np.testing.assert_array_equal(rows_of(data), [[-5, 600], [1, 2], [3, 4.5], [7, 8]])


def test_csv_round_trip(tmp_path):
    """Numbers written with repr come back exactly, in the seed's shuffled order."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((50, 3)), rng.standard_normal(50)
    text = "a,b,c,y\n" + "\n".join(",".join(map(repr, [*map(float, row), float(t)])) for row, t in zip(x, y, strict=True))
    data = read(tmp_path, text, split_seed=8, test_fraction=0.3)
    order = shuffled(8, 50)
    np.testing.assert_array_equal(data.x_train[0], x[order[:35]])
    np.testing.assert_array_equal(data.x_test[0], x[order[35:]])
    np.testing.assert_array_equal(data.y_train[0, :, 0], y[order[:35]])
    assert (data.task, data.targets) == ("regression", ("y",))


def test_csv_path_is_relative_to_the_base(tmp_path):
    """A relative path starts at the spec's folder, an absolute one does not care."""
    path = csv_file(tmp_path, PLAIN)
    assert Csv(path="table.csv", target="y").build(tmp_path).inputs == 2
    assert Csv(path=str(path), target="y").build(Path("/nowhere")).inputs == 2


def column(values) -> str:
    """CSV text with the target values given."""
    return "a,y\n" + "".join(f"{i},{v}\n" for i, v in enumerate(values))


@pytest.mark.parametrize(
    ("values", "task", "classes"),
    [
        ([0, 1, 1, 0], "binary", ("0", "1")),
        ([-1, 1, 1.0, "1.00"], "binary", ("-1", "1")),
        (["yes", "no", "no", "yes"], "binary", ("no", "yes")),
        (["b", "a", "c"] * 4, "multiclass", ("a", "b", "c")),
        ([10, 9, 2] * 5, "multiclass", ("2", "9", "10")),
        ([10, 9, 2] * 4, "regression", ()),  # 12 rows for three whole numbers: fewer than five rows each
        (list(range(21)) * 10, "regression", ()),
        (list(range(20)) * 10, "multiclass", tuple(map(str, range(20)))),
        ([0.5, 1.5, 0.5, 1.5], "regression", ()),
        (["1", "2", "x", "x", "1", "2"], "multiclass", ("1", "2", "x")),
    ],
)
def test_csv_task_auto(tmp_path, values, task, classes):
    """The documented rules."""
    data = read(tmp_path, column(values))
    assert (data.task, data.classes) == (task, classes)


def test_csv_task_can_be_named(tmp_path):
    """Naming the task overrides the rules."""
    two = column([0, 1, 1, 0])
    assert read(tmp_path, two, task="regression").task == "regression"
    assert read(tmp_path, two, task="multiclass").outputs == 2
    assert read(tmp_path, column([0.5, 2.5, 0.5]), task="binary").classes == ("0.5", "2.5")
    assert read(tmp_path, column(range(30)), task="multiclass").outputs == 30
    names = [f"n{i}" for i in range(30)]
    assert read(tmp_path, column(names), task="multiclass").classes == tuple(sorted(names))


def test_csv_several_targets_and_chosen_features(tmp_path):
    """Columns in the asked order."""
    data = read(tmp_path, "a,b,c,d\n1,2,3,4\n5,6,7,8\n", target=["d", "a"], features=["c"])
    assert (data.task, data.targets, data.features, data.outputs) == ("regression", ("d", "a"), ("c",), 2)
    assert sorted(data.y_train[0].tolist()) == [[4, 1], [8, 5]]


def test_unused_columns_may_hold_text(tmp_path):
    """Only the columns asked for are read."""
    data = read(tmp_path, "id,a,y\nx1,1,0\n,2,1\n", features=["a"])
    assert data.features == ("a",)


def test_constant_feature_keeps_sd_one(tmp_path):
    """No division by zero, and exactly 0 after standardisation, although 0.1 has no exact mean."""
    text = "a,b,y\n" + "".join(f"0.1,{i},{i % 2}\n" for i in range(10))
    data = read(tmp_path, text, standardise=True, test_fraction=0.3)
    assert data.standardisation.sd[0, 0] == 1
    assert (data.x_train[..., 0] == 0).all()
    assert (data.x_test[..., 0] == 0).all()


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("", {}, "is empty"),
        ("\n \n", {}, "is empty"),
        ("\ufeff", {}, "is empty"),
        ("a,y\n", {}, "a header and no rows"),
        ("1,2\n3,4\n", {}, "line 1 is all numbers"),
        ("a,,y\n1,2,3\n", {}, "column 2 has no name"),
        ("a,y,a\n1,2,3\n", {}, "'a' occurs twice"),
        ("a,target\n1,2\n", {"target": "tarlet"}, "no column 'tarlet'. Did you mean 'target'"),
        ("a,b\n1,2\n", {}, "no column 'y'. Columns: a, b"),
        ("a,y\n1,2\n", {"features": ["c"]}, "no column 'c'"),
        ("y\n1\n2\n", {}, "no column besides the target 'y'"),
        ("a,y\n1,0\n2\n", {}, "line 3 has 1 fields, but the header has 2"),
        ("a,y\n1,0\n\n2,1,5\n", {}, "line 4 has 3 fields"),
        ("a,y\n1,0\n,1\n", {}, "line 3, column 'a': the value is missing"),
        ("a,y\n1,0\nNA,1\n", {}, "line 3, column 'a': the value is missing \\('NA'\\)"),
        ("a,y\n1,0\n1,\n", {}, "line 3, column 'y': the value is missing"),
        ('a,c,y\n1,"x\ny",0\n1,z,1\n', {"features": ["c"]}, "line 2, column 'c': 'x\ny' is not a number"),
        ('a,c,y\n1,"x\ny",0\nz,1,1\n', {"features": ["a"]}, "line 4, column 'a': 'z' is not a number"),
        ("a;y\n1,5;0\n2;1\n", {}, "'1,5' is not a number. Write decimals with a point"),
        ("a,y\n1_000,0\n2,1\n", {}, "'1_000' is not a number"),
        ("a,y\ninf,0\n2,1\n", {}, "line 2, column 'a': 'inf' is not a finite number"),
        ("a,y\n1e400,0\n2,1\n", {}, "line 2, column 'a': '1e400' is not a finite number"),
        ("a,y\n1e31,0\n2,1\n", {}, "not a finite number up to 1e\\+30"),
        ("a,y\n1,0.5\n2,-inf\n", {}, "line 3, column 'y': '-inf' is not a finite number"),
        ("a,y\n1,0.5\n2,x\n", {"task": "regression"}, "line 3, column 'y': 'x' is not a number"),
        ("a,y\n1,1\n2,1\n", {}, "one class only: '1'"),
        ("a,y\n1,x\n2,x\n", {}, "one class only: 'x'"),
        (column("abc"), {"task": "binary"}, "3 classes"),
        (column(f"n{i}" for i in range(300)), {}, "300 different texts"),
        (column([1.5, 2.5, 3.5, "4.s5", 5.5, 6.5]), {}, "6 different texts in 6 rows"),
        ('a,y\n1,0\n"2,1\n', {}, "line 3: this row is not valid CSV"),
        ('a,y\n1,0\n"2"x,1\n', {}, "line 3: this row is not valid CSV"),
        (b"a,y\n\xff\xfe,1\n", {}, "not UTF-8"),
        (PLAIN.encode("utf-16"), {}, "not UTF-8"),
        ("a,y\n1,0\n", {"test_fraction": 0.9, "task": "regression"}, "leaves none for training"),
        ("a,y\n0,0\n1e-150,1\n1e30,1\n", {"standardise": True, "test_fraction": 0.34, "split_seed": 1}, "x_test has the value"),
    ],
)
def test_bad_csv_is_explained(tmp_path, text, options, said):
    """What was wrong, where, and the remedy."""
    with pytest.raises(DataError, match=said) as caught:
        read(tmp_path, text, **options)
    assert str(caught.value).endswith((".", "'?"))


@pytest.mark.parametrize("path", ["missing.csv", ".", "bad\0name.csv", "~nobody_at_all/x.csv"])
def test_unreadable_csv(tmp_path, path):
    """No file, a folder, an impossible name."""
    with pytest.raises(DataError):
        Csv(path=path, target="y").build(tmp_path)


def never_another_exception(folder: Path, content: bytes, options: dict) -> None:
    """Either a Dataset or an error of ours."""
    path = csv_file(folder, content)
    try:
        data = Csv(path=str(path), **options).build()
    except (DataError, SpecError):
        return
    assert np.isfinite(data.x_train).all()
    assert data.points >= 1


CELL = st.one_of(
    st.sampled_from(["", "0", "1", "1.5", "-2e3", "nan", "inf", "a", "y", '"', '""', "1e-320", "1e30", "-1e30", "0.1", "\u0661", "\0"]),
    st.floats(allow_nan=True).map(repr),
    st.text(max_size=4),
)
OPTIONS = st.fixed_dictionaries(
    {
        "target": st.sampled_from(["y", ["y"], ["y", "a"]]),
        "task": st.sampled_from(["auto", "regression"]),
        "test_fraction": st.sampled_from([0, 0.3, 0.9]),
        "standardise": st.booleans(),
        "split_seed": st.integers(0, 2),
    }
)


@settings(max_examples=200, deadline=None)
@given(rows=st.lists(st.lists(CELL, min_size=3, max_size=3), max_size=12), delimiter=st.sampled_from(",;\t"), options=OPTIONS)
def test_fuzz_csv_cells(tmp_path_factory, rows, delimiter, options):
    """Tables of odd cells."""
    text = "\n".join(delimiter.join(row) for row in [["a", "b", "y"], *rows])
    never_another_exception(tmp_path_factory.mktemp("fuzz"), text.encode(errors="surrogatepass"), options)


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.floats(-1e30, 1e30), st.sampled_from([0.0, 5e-324, 1e-160, 1.0, 1e30]), st.integers(0, 2)), min_size=1, max_size=12
    ),
    options=OPTIONS,
)
def test_fuzz_csv_numbers(tmp_path_factory, rows, options):
    """Tables of extreme but allowed numbers: standardisation neither divides by zero nor overflows with a warning."""
    text = "a,b,y\n" + "\n".join(",".join(map(repr, row)) for row in rows)
    never_another_exception(tmp_path_factory.mktemp("fuzz"), text.encode(), options)


@settings(max_examples=150, deadline=None)
@given(content=st.one_of(st.binary(max_size=60), st.text(alphabet='ay01,;"\n\r\t. \0', max_size=60).map(str.encode)), options=OPTIONS)
def test_fuzz_csv_bytes(tmp_path_factory, content, options):
    """Anything at all."""
    never_another_exception(tmp_path_factory.mktemp("fuzz"), content, options)


# ---------------------------------------------------------------- npz


def npz(folder: Path, **arrays) -> str:
    """Write an .npz file and return its path."""
    np.savez(folder / "data.npz", **arrays)
    return str(folder / "data.npz")


X = np.arange(40.0).reshape(20, 2)


def test_npz_whole_is_split(tmp_path):
    """Arrays x and y, of any plain number type."""
    path = npz(tmp_path, x=X.astype(np.float32), y=np.arange(20) % 2 == 0, other=np.zeros(3))
    data = Npz(path=path, standardise=False, split_seed=3).build()
    assert (data.task, data.points, data.test_points, data.features) == ("binary", 16, 4, ("x0", "x1"))
    np.testing.assert_array_equal(data.x_train[0], X[shuffled(3, 20)[:16]])
    several = Npz(path=path, seeds=[3, 4], test_fraction=0.5).build()
    assert (several.count, several.points) == (2, 10)


def test_npz_given_split_is_kept(tmp_path):
    """Parts x_train and so on stay in order; classes are those of both parts; moments of the training part."""
    path = npz(tmp_path, x_train=X[:15], y_train=np.array(["b", "a", "b"] * 5), x_test=X[15:], y_test=np.array(["c"] * 5))
    data = Npz(path=path).build()
    assert (data.task, data.classes, data.test_points) == ("multiclass", ("a", "b", "c"), 5)
    assert data.y_train[0, :3].tolist() == [1, 0, 1]
    np.testing.assert_allclose(data.standardisation.mean[0], X[:15].mean(axis=0))
    for options in ({"seeds": [0, 1]}, {"test_fraction": 0.2}, {"split_seed": 1}):
        with pytest.raises(SpecError, match="split already"):
            Npz(path=path, **options).build()


def test_npz_without_test_part(tmp_path):
    """The test pair may be left out."""
    data = Npz(path=npz(tmp_path, x_train=X, y_train=X[:, :1] + 0.5)).build()
    assert (data.task, data.points, data.test_points, data.targets) == ("regression", 20, 0, ("y",))


def test_npz_several_targets(tmp_path):
    """A y of two dimensions is regression."""
    data = Npz(path=npz(tmp_path, x=X, y=X), standardise=False).build()
    assert (data.task, data.outputs, data.targets) == ("regression", 2, ("y0", "y1"))


BAD = X.copy()
BAD[3, 1] = np.nan


@pytest.mark.parametrize(
    ("arrays", "options", "said"),
    [
        ({"x": X}, {}, "it has x"),
        ({"a": X}, {}, "none of them"),
        ({"x": X, "y": X[:, 0], "x_train": X, "y_train": X[:, 0]}, {}, "either x and y, or"),
        ({"x": X[:, 0], "y": X[:, 0]}, {}, r"x has shape \(20,\)"),
        ({"x": np.zeros((20, 4, 4)), "y": X[:, 0]}, {}, "Reshape"),
        ({"x": X, "y": X[:5, 0]}, {}, "equally many points"),
        ({"x": X[:, :0], "y": X[:, 0]}, {}, "shape"),
        ({"x": X[:0], "y": X[:0, 0]}, {}, "at least one training point"),
        ({"x": np.float64(3), "y": np.float64(3)}, {}, "shape"),
        ({"x": BAD, "y": X[:, 0]}, {}, r"x\[3, 1\] is nan"),
        ({"x": X, "y": np.full(20, np.inf)}, {}, r"y\[0\] is inf"),
        ({"x": X * 1e30, "y": X[:, 0]}, {}, "at most 1e\\+30"),
        ({"x": X.astype(complex), "y": X[:, 0]}, {}, "complex128"),
        ({"x": X.astype(str), "y": X[:, 0]}, {}, "x holds text"),
        ({"x": X, "y": X.astype("datetime64[s]")[:, 0]}, {}, "datetime64"),
        ({"x": X, "y": np.array(["a", ""] * 10)}, {}, "label 1 of y is missing"),
        ({"x": X, "y": np.array(["a", "b"] * 10)}, {"task": "regression"}, "y holds text"),
        ({"x": X, "y": np.zeros(20)}, {}, "one class only"),
        ({"x": X, "y": np.eye(20)}, {"task": "multiclass"}, "argmax"),
        ({"x_train": X, "y_train": X[:, 0], "x_test": X[:, :1], "y_test": X[:, 0]}, {}, "do not fit"),
    ],
)
def test_bad_npz_is_explained(tmp_path, arrays, options, said):
    """What was wrong, the value, the remedy."""
    with pytest.raises(DataError, match=said):
        Npz(path=npz(tmp_path, **arrays), **options).build()


class Bomb:
    """Raises when unpickled."""

    def __reduce__(self):
        """Pickle as a call that raises."""
        return (exec, ("raise SystemError('unpickled')",))


def test_pickles_are_refused(tmp_path):
    """Object arrays are never unpickled, nor is a bare pickle."""
    bombs = np.empty(20, dtype=object)
    bombs[:] = Bomb()
    for arrays in ({"x": X, "y": bombs}, {"x": np.stack([bombs, bombs], axis=1), "y": X[:, 0]}):
        with pytest.raises(DataError, match="object values"):
            Npz(path=npz(tmp_path, **arrays)).build()
    path = tmp_path / "data.npz"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(DataError, match=r"cannot be read as \.npz"):
        Npz(path=str(path)).build()


def npz_with_header(folder: Path, header: str, magic: bytes = b"\x93NUMPY\x01\x00", data: bytes = b"\0" * 64) -> str:
    """An .npz whose x has the header text given."""
    path = folder / "data.npz"
    y = io.BytesIO()
    np.save(y, X[:, 0])
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", magic + struct.pack("<H", len(header)) + header.encode() + data)
        archive.writestr("y.npy", y.getvalue())
    return str(path)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 4), }\n", "4,000,000,000,000 values"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 4), }\n", "The file is damaged"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 4), }\n", "The file is damaged"),
        ("{'descr': '<U100000000', 'fortran_order': False, 'shape': (1000,), }\n", "50,000,000,000 values"),
        ("{'descr': '|O', 'fortran_order': False, 'shape': (4,), }\n", "object"),
        ("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (4,), }\n", "only numbers"),
        ("{'descr': 'oops', 'fortran_order': False, 'shape': (4,), }\n", "cannot be read"),
        ("__import__('os').getcwd()\n", "cannot be read"),
        ("{'descr'\n", "cannot be read"),
        ("((((((((\n", "cannot be read"),
        ("", "cannot be read"),
    ],
)
def test_hostile_npz_headers(tmp_path, header, said):
    """Judged before anything is allocated, and never executed."""
    with pytest.raises(DataError, match=said):
        Npz(path=npz_with_header(tmp_path, header)).build()


def test_damaged_npz(tmp_path):
    """Every truncation, and many flipped bytes, give an error of ours or, where padding was hit, the data."""
    good = Path(npz(tmp_path, x=X, y=X[:, 0])).read_bytes()
    rng = np.random.default_rng(1)
    for trial in range(150):
        broken = bytearray(good)
        if trial % 2:
            del broken[rng.integers(len(good)) :]
        else:
            broken[rng.integers(len(good))] ^= 1 << int(rng.integers(8))
        path = tmp_path / "broken.npz"
        path.write_bytes(broken)
        try:
            Npz(path=str(path)).build()
        except DataError:
            continue


@pytest.mark.parametrize("magic", [b"\x93NUMPY\x03\x00", b"\x93NUMPZ\x01\x00"])
def test_other_npy_versions(tmp_path, magic):
    """Refused, not guessed."""
    with pytest.raises(DataError):
        Npz(path=npz_with_header(tmp_path, "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 4), }\n", magic)).build()


@pytest.mark.parametrize("path", ["missing.npz", "."])
def test_unreadable_npz(tmp_path, path):
    """No file, a folder."""
    with pytest.raises(DataError, match="cannot be read"):
        Npz(path=path).build(tmp_path)


# ---------------------------------------------------------------- MNIST's layouts

IMAGES = np.random.default_rng(3).integers(0, 256, (30, 4, 5), dtype=np.uint8)
NUMBERS = (np.arange(30) % 10).astype(np.uint8)


def idx_bytes(values: np.ndarray) -> bytes:
    """An array of bytes in the IDX format."""
    return bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


def idx_folder(folder: Path, dash: str = "-", end: str = "") -> Path:
    """Write the four IDX files: 20 training and 10 test images."""
    for part, images, labels in (("train", IMAGES[:20], NUMBERS[:20]), ("t10k", IMAGES[20:], NUMBERS[20:])):
        for kind, values in (("images", images), ("labels", labels)):
            content = idx_bytes(values)
            (folder / f"{part}-{kind}{dash}idx{values.ndim}-ubyte{end}").write_bytes(gzip.compress(content) if end else content)
    return folder


@pytest.mark.parametrize("layout", [("-", ""), (".", ""), ("-", ".gz"), (".", ".gz"), "npz"])
def test_mnist_layouts(tmp_path, layout):
    """IDX files under either name, gzipped or not, and Keras' npz: the same data, in [0, 1], shuffled by seed."""
    if layout == "npz":
        np.savez(tmp_path / "mnist.npz", x_train=IMAGES[:20], y_train=NUMBERS[:20], x_test=IMAGES[20:], y_test=NUMBERS[20:])
        path = tmp_path / "mnist.npz"
    else:
        path = idx_folder(tmp_path, *layout)
    data = Mnist(path=str(path), split_seed=6).build()
    assert (data.task, data.outputs, data.inputs, data.points, data.test_points) == ("multiclass", 10, 20, 20, 10)
    order = shuffled(6, 20)
    np.testing.assert_array_equal(data.x_train[0], IMAGES[:20].reshape(20, 20)[order] / 255)
    np.testing.assert_array_equal(data.y_train[0], NUMBERS[:20][order])
    np.testing.assert_array_equal(data.x_test[0], IMAGES[20:].reshape(10, 20)[shuffled(6, 10)] / 255)


def test_mnist_limits(tmp_path):
    """A limit keeps the first of the same order; more than there are is refused."""
    folder = str(idx_folder(tmp_path))
    whole, some = Mnist(path=folder, seeds=[1, 2]).build(), Mnist(path=folder, seeds=[1, 2], train=7, test=0).build()
    np.testing.assert_array_equal(some.x_train, whole.x_train[:, :7])
    assert some.test_points == 0
    assert Mnist(path=folder, train=5, test=5, standardise=True).build().standardisation is not None
    with pytest.raises(DataError, match="20 points to train with, and train = 21"):
        Mnist(path=folder, train=21).build()


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("train-images-idx3-ubyte", b"", "starts with nothing"),
        ("train-images-idx3-ubyte", b"\x00\x00\x08\x01" + b"\0" * 40, "starts with 00000801"),
        ("train-images-idx3-ubyte", idx_bytes(IMAGES[:20])[:-1], "has only 399 bytes"),
        ("train-images-idx3-ubyte", idx_bytes(IMAGES[:20]) + b"x", "has more bytes"),
        ("train-images-idx3-ubyte", b"\0\0\x08\x03" + b"\xff" * 12, "would hold"),
        ("train-labels-idx1-ubyte", idx_bytes(NUMBERS[:19]), "y_train uint8"),
        ("train-labels-idx1-ubyte", idx_bytes(NUMBERS[:20] + 1), "labels 0 to 9"),
        ("t10k-images-idx3-ubyte", idx_bytes(IMAGES[20:, :3]), "equal image sizes"),
        ("t10k-images-idx3-ubyte", None, "has none of t10k-images-idx3-ubyte, t10k-images.idx3-ubyte"),
    ],
)
def test_bad_idx_is_explained(tmp_path, file, content, said):
    """Sizes are judged before anything is allocated."""
    idx_folder(tmp_path)
    (tmp_path / file).unlink()
    if content is not None:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(DataError, match=said):
        Mnist(path=str(tmp_path)).build()


def test_damaged_gzip(tmp_path):
    """A truncated or foreign .gz file."""
    idx_folder(tmp_path, end=".gz")
    path = tmp_path / "train-images-idx3-ubyte.gz"
    whole = path.read_bytes()
    for content in (whole[:-20], b"not gzip", whole[:40] + b"\xff\xff\xff" + whole[43:]):
        path.write_bytes(content)
        with pytest.raises(DataError):
            Mnist(path=str(tmp_path)).build()


def test_mnist_path_that_is_neither(tmp_path):
    """No such path, an empty folder, an npz without the arrays."""
    for path in ("missing", "."):
        with pytest.raises(DataError):
            Mnist(path=path).build(tmp_path)
    with pytest.raises(DataError, match="Keras"):
        Mnist(path=npz(tmp_path, x_train=IMAGES)).build()
