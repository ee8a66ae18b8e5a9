"""Inputs kept in their file's own type: fewer bytes, the same bits, whoever reads."""

import gzip
import struct

import numpy as np
import pytest
import xarray

import gpu_thermo as gt
from gpu_thermo.averages.predictive import restored_data
from gpu_thermo.store import open_run
from gpu_thermo.store.narrow import LARGE, LEVEL, narrowed, wide

LEVELS = np.arange(256)
MANY = LARGE // 8 // 256


@pytest.mark.parametrize(
    ("values", "dtype", "unit"),
    [
        (LEVELS / 255, np.uint8, LEVEL),
        (LEVELS.astype(float), np.float32, "1"),
        (np.linspace(0, 1, 256, dtype=np.float32).astype(float), np.float32, "1"),
        (np.linspace(0, 1, 256), np.float64, "1"),
        (np.nextafter(LEVELS / 255, 2), np.float64, "1"),
        (-LEVELS / 255, np.float64, "1"),
        (LEVELS + 1.0, np.float32, "1"),
        (np.append(LEVELS[1:], 1e300), np.float64, "1"),
        (np.append(LEVELS[1:] / 255, np.nan), np.float64, "1"),
        (np.append(LEVELS[1:], np.inf), np.float32, "1"),
        (-0.0 * LEVELS, np.float32, "1"),
    ],
)
def test_the_narrowest_type_with_the_same_bits(values, dtype, unit):
    x = np.tile(values, MANY).reshape(1, -1, 4)
    stored, said = narrowed(x)
    assert (stored.dtype, said) == (dtype, unit)
    again = wide(stored, said)
    assert again.dtype == np.float64
    np.testing.assert_array_equal(again, x)
    np.testing.assert_array_equal(np.signbit(again), np.signbit(x))


def test_small_ones_and_labels_stay():
    for x in (np.zeros((1, 10, 2)), np.zeros((1, 1 << 20), np.int64)):
        stored, said = narrowed(x)
        assert stored is x
        assert said == "1"


def idx(path, values):
    """A file of LeCun's format."""
    head = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
    with gzip.open(path, "wb") as file:
        file.write(head + values.tobytes())


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A folder in MNIST's layout, large enough to be kept as bytes."""
    folder, draw = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for part, many in (("train", 250), ("t10k", 20)):
        idx(folder / f"{part}-images-idx3-ubyte.gz", draw.integers(0, 256, (many, 28, 28), dtype=np.uint8))
        idx(folder / f"{part}-labels-idx1-ubyte.gz", draw.integers(0, 10, many, dtype=np.uint8))
    return folder


@pytest.fixture(scope="module")
def store(images, tmp_path_factory):
    """A short run on them, half done, and what its tree in memory says of its inputs."""
    path = tmp_path_factory.mktemp("run") / "run.zarr"
    gt.sample(spec(images), store=path, engine="batched", threads=1)
    return path


def spec(images):
    return {
        "data": {"name": "mnist", "path": str(images)}, "model": {"hidden": 4},
        "method": {"name": "langevin", "stepsize": 0.1, "temperature": 1e-4, "friction": 0.1},
        "run": {"replicas": 2, "steps": 4, "burn_in": 0, "thin": 2, "trace": 2, "batch": 5},
    }  # fmt: skip


def test_a_store_keeps_bytes_and_reads_numbers(store):
    """An eighth of the bytes; other programs see them with their unit."""
    with xarray.open_zarr(store, group="constant_data", consolidated=False) as raw:
        assert raw["x_train"].dtype == np.uint8
        assert raw["x_train"].attrs["units"] == LEVEL
        held = raw["x_train"].to_numpy()
    with open_run(store) as tree:
        x = tree["constant_data"]["x_train"]
        assert x.dtype == np.float64
        assert x.attrs["units"] == "1"
        np.testing.assert_array_equal(x.to_numpy(), held / 255)
        np.testing.assert_array_equal(x[0, ::50, 3:400:7].to_numpy(), (held / 255)[0, ::50, 3:400:7])
        assert tree["constant_data"]["x_test"].dtype == np.float64  # small: kept as it is
    size = sum(f.stat().st_size for f in (store / "constant_data" / "x_train").rglob("c*"))
    assert size < 1.01 * held.size


def test_chunks_are_dask_arrays_of_the_same_numbers(store):
    pytest.importorskip("dask.array")
    with open_run(store, chunks={"point": 250}) as tree, open_run(store) as plain:
        x = tree["constant_data"]["x_train"]
        assert x.chunksizes["point"] == (250,)
        np.testing.assert_array_equal(x.to_numpy(), plain["constant_data"]["x_train"].to_numpy())


def test_data_are_restored_to_the_bit(images, store):
    """Their hash covers every bit."""
    from gpu_thermo.running.given import Given, as_spec, make_ready

    given = Given(None, None, None, None)
    made = make_ready(as_spec(spec(images), given)[0], None, given).subject.data
    with open_run(store) as tree:
        again = restored_data(tree)
    assert again.fingerprint() == made.fingerprint()


def test_a_run_goes_on_and_predicts(store, images):
    """As one that was never stopped."""
    with gt.resume(store, draws=2) as tree:
        went_on = tree["posterior"]["w1"].to_numpy()
        points = tree["constant_data"]["x_train"].to_numpy()[0, :3]
        seen = gt.predict(tree, points)["mean"].to_numpy()
    longer = spec(images)
    longer["run"]["steps"] = 8
    whole = gt.sample(longer, engine="batched", threads=1)
    np.testing.assert_array_equal(whole["posterior"]["w1"].to_numpy(), went_on)
    np.testing.assert_array_equal(gt.predict(whole, points)["mean"].to_numpy(), seen)


def test_inputs_of_float32_are_kept_so(tmp_path):
    """From a file of them; restored to the bit."""
    draw = np.random.default_rng(1)
    np.savez(tmp_path / "d.npz", x=draw.normal(size=(700, 300)).astype(np.float32), y=draw.integers(0, 2, 700))
    of = spec(tmp_path) | {"data": {"name": "npz", "path": str(tmp_path / "d.npz"), "standardise": False}}
    of["data"]["task"] = "binary"
    gt.sample(of, store=tmp_path / "run.zarr", engine="batched", threads=1).close()
    with open_run(tmp_path / "run.zarr") as tree:
        assert tree["constant_data"]["x_train"].dtype == np.float32
        data = restored_data(tree)
    assert data.x_train.dtype == np.float64
    gt.resume(tmp_path / "run.zarr", draws=1).close()


def test_a_copy_by_another_program_is_read(store, tmp_path):
    """xarray writes numbers, not bytes."""
    with open_run(store) as tree:
        with pytest.warns(UserWarning, match="onsolidated"):
            tree.to_zarr(tmp_path / "copy.zarr")
        with open_run(tmp_path / "copy.zarr") as copy:
            for name in ("x_train", "x_test"):
                np.testing.assert_array_equal(
                    copy["constant_data"][name].to_numpy(), tree["constant_data"][name].to_numpy()
                )
