"""MNIST: real files where they are, else files of the exact format; rows, speed, tables."""

import gzip
import json
import struct
from pathlib import Path

import numpy as np
import pytest

from gpu_thermo.data.arrays import read_images

pytest.importorskip("bench.mnist", reason="the benchmarks are part of the sources, not of the package")
from bench import mnist, tables
from bench.common import DATA

REAL = DATA / "mnist"
FASHION = Path("/usr/share/datasets/fashion-mnist")
TRAIN_LABELS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
TEST_LABELS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def write(folder, seed, classes=10):
    """Images in LeCun's format, each with a bright row of its class."""
    folder.mkdir()
    draw = np.random.default_rng(seed)
    for part, many in (("train", 200), ("t10k", 50)):
        labels = (np.arange(many) % classes).astype(np.uint8)
        images = draw.integers(0, 60, (many, 28, 28), dtype=np.uint8)
        images[np.arange(many), 2 * labels + 3] = 250
        for kind, values in (("images", images), ("labels", labels)):
            head = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
            with gzip.open(folder / f"{part}-{kind}-idx{values.ndim}-ubyte.gz", "wb") as file:
                file.write(head + values.tobytes())
    return folder


@pytest.mark.skipif(not REAL.exists(), reason=f"{REAL} is not there")
def test_the_real_files():
    """Labels as often as they are known to be, the mean pixel of the training part."""
    found = read_images(REAL)
    assert found.x_train.shape == (60_000, 784)
    assert found.x_test.shape == (10_000, 784)
    assert np.bincount(found.y_train).tolist() == TRAIN_LABELS
    assert np.bincount(found.y_test).tolist() == TEST_LABELS
    assert found.x_train.mean() == pytest.approx(33.318, abs=1e-3)
    assert found.x_train.max() == 255


@pytest.mark.skipif(not FASHION.exists(), reason=f"{FASHION} is not there")
def test_the_real_files_of_fashion():
    found = read_images(FASHION)
    assert np.bincount(found.y_train).tolist() == [6_000] * 10
    assert found.x_train.mean() == pytest.approx(72.94, abs=0.01)


def test_settings_are_whole():
    """Every cell is a spec whose draws are of its second half."""
    from gpu_thermo.spec.run import RunSpec

    for shape in mnist.SHAPES:
        for method in mnist.METHODS:
            run = RunSpec.from_dict(mnist.spec_of(shape, method, Path("x"), 10_000, 1)).run
            assert run.burn_in >= 5_000
            assert (run.steps - run.burn_in) // run.thin == (1 if method == "Adam" else 10)


@pytest.mark.slow
def test_rows(tmp_path):
    """A class that is a bright row is learned; other images are told apart; a second start does nothing."""
    own, other = write(tmp_path / "own", 0), write(tmp_path / "other", 1, classes=1)
    given = ["--mnist", str(own), "--fashion", str(other), "--shapes", "784-32-32-10", "--seeds", "1", "--steps", "300",
             "--methods", "Adam", "BAOAB, Bayes", "--out", str(tmp_path / "out" / "mnist.json")]  # fmt: skip
    mnist.main(given)
    mnist.main(given)
    rows = json.loads((tmp_path / "out" / "mnist.json").read_text())["rows"]
    assert [r["method"] for r in rows] == ["Adam", "BAOAB, Bayes"]
    assert rows[0]["error"] < 0.2
    for r in rows:
        assert 0 <= r["auroc_entropy"] <= 1
        assert r["nll"] < 3
        assert 200 * 784 < r["bytes"] < 8 * 200 * 784  # the training images are bytes


@pytest.mark.slow
def test_speed_of_ours(tmp_path):
    own = write(tmp_path / "own", 0)
    found = mnist.speed(own, [4], 1, ["batched"], 0.05)
    assert found["4"]["replica_steps_per_second"]["batched"]["median"] > 0
    text = tables.mnist_speed({"machine": {"processor": "x", "cores": 2, "vector": "y", "python": "3"},
                               "date": "2026-01-01", "replicas": found})  # fmt: skip
    assert "| batched |" in text


def test_the_table():
    one = {"shape": "784-100-10", "method": "Adam", "seed": 0, "error": 0.02, "nll": 0.1, "ece": 0.01, "seconds": 9.0}
    rows = [one | {"bytes": 47e6, "auroc_entropy": 0.9, "auroc_information": 0.8},
            {"shape": "784-100-10", "method": "BAOAB", "seed": 0, "failed": "all frozen"}]  # fmt: skip
    machine = {"processor": "x", "cores": 2, "vector": "y", "python": "3"}
    text = tables.mnist({"machine": machine, "date": "2026-01-01", "steps": 100, "rows": rows})
    assert "| 784-100-10 | Adam | 1 of 1 | 2.00 % | 0.1000 | 0.0100 | 0.900 | 0.800 | 9 | 47.0 |" in text
    assert "| 784-100-10 | BAOAB | 0 of 1 |" in text


def test_an_interrupted_run_is_no_row(tmp_path, monkeypatch):
    """Whoever stops the program finds nothing of the run under way, and goes on with it."""
    from gpu_thermo.run import Interrupted

    def stop(*_, **__):
        raise Interrupted(2, "stopped")

    monkeypatch.setattr(mnist.gt, "sample", stop)
    place = tmp_path / "out" / "mnist.json"
    given = ["--mnist", str(write(tmp_path / "own", 0)), "--methods", "Adam", "--out", str(place)]
    with pytest.raises(Interrupted):
        mnist.main(given)
    assert not place.exists()
