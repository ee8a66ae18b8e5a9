"""Files of arrays, good and bad: npz, and MNIST's layouts."""

import gzip
import io
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from clocks import at_once

from gpu_thermo.data import Mnist, Npz
from gpu_thermo.data.addresses import shuffled
from gpu_thermo.errors import DataError, SpecError


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
    path = npz(
        tmp_path, x_train=X[:15], y_train=np.array(["b", "a", "b"] * 5), x_test=X[15:], y_test=np.array(["c"] * 5)
    )
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
    refused = 0
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
            refused += 1
    assert refused > 100


@pytest.mark.parametrize("magic", [b"\x93NUMPY\x03\x00", b"\x93NUMPZ\x01\x00"])
def test_other_npy_versions(tmp_path, magic):
    """Refused, not guessed."""
    with pytest.raises(DataError):
        Npz(
            path=npz_with_header(tmp_path, "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 4), }\n", magic)
        ).build()


@pytest.mark.parametrize("path", ["missing.npz", "."])
def test_unreadable_npz(tmp_path, path):
    """No file, a folder."""
    with pytest.raises(DataError, match="cannot be read"):
        Npz(path=path).build(tmp_path)


def test_an_archive_that_unpacks_to_gigabytes_is_refused_before(tmp_path):
    """3 GiB of zeros in 3 MB."""
    chunk = b"\0" * 2**24
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("x.npy", "y.npy"):
            with archive.open(name, "w", force_zip64=True) as handle:
                header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({24 * 2**21}, 4), }}"
                handle.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
                for _ in range(24):
                    handle.write(chunk)
    with at_once(1), pytest.raises(DataError, match="unpacks to"):
        Npz(path="bomb.npz").build(tmp_path)


def test_what_is_no_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("/dev/zero", "pipe"):
        for source in (Npz, Mnist):
            with pytest.raises(DataError, match="cannot be read: it is a pipe or a device"):
                source(path=name).build(tmp_path)


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
            (folder / f"{part}-{kind}{dash}idx{values.ndim}-ubyte{end}").write_bytes(
                gzip.compress(content) if end else content
            )
    return folder


@pytest.mark.parametrize("layout", [("-", ""), (".", ""), ("-", ".gz"), (".", ".gz"), "npz"])
def test_mnist_layouts(tmp_path, layout):
    """IDX files under either name, gzipped or not, and Keras' npz: the same data, in [0, 1], shuffled by seed."""
    if layout == "npz":
        np.savez(
            tmp_path / "mnist.npz", x_train=IMAGES[:20], y_train=NUMBERS[:20], x_test=IMAGES[20:], y_test=NUMBERS[20:]
        )
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
