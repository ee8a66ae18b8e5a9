"""Random addresses of the data layer: shuffles and noise, the same in any chunk."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from data_cases import GENERATED

from gpu_thermo.data import (
    DATASETS,
)
from gpu_thermo.data.addresses import PAIRS_AT_ONCE, Stream, point_noise, shuffled

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "data.json").read_text())


def test_golden_shuffles():
    """Shuffles never change; they are integers, so exactly."""
    assert shuffled(0, 10).tolist() == REFERENCE["shuffled"]["0, 10"]
    assert shuffled(7, 1797)[:8].tolist() == REFERENCE["shuffled"]["7, 1797 (first 8)"]
    assert sorted(shuffled(3, 1001)) == list(range(1001))
    assert shuffled(3, 1).tolist() == [0]


@pytest.mark.parametrize("name", GENERATED)
def test_more_points_extend_a_set(name):
    """The first points do not depend on how many are asked for, and training points not on the test set; training and
    test differ.
    """
    options = DATASETS[name]
    small, large = options(train=20, test=4, seed=5).build(), options(train=70, test=40, seed=5).build()
    np.testing.assert_array_equal(small.x_train, large.x_train[:, :20])
    np.testing.assert_array_equal(small.y_train, large.y_train[:, :20])
    np.testing.assert_array_equal(small.x_test, large.x_test[:, :4])
    assert not np.isin(large.x_test, large.x_train).any()


def test_noise_is_the_same_in_any_chunk():
    """Working through many points in chunks changes none."""
    points = 2 * PAIRS_AT_ONCE + 6
    many, few = point_noise(9, Stream.TRAIN, points), point_noise(9, Stream.TRAIN, 7)
    assert many.uniform.shape == many.normal.shape == (points, 2)
    np.testing.assert_array_equal(many.normal[:7], few.normal)
    assert len(np.unique(many.uniform)) > 2 * points - 10
    assert abs(many.normal.mean()) < 5 / math.sqrt(2 * points)
    assert abs(many.normal.std() - 1) < 5 / math.sqrt(4 * points)
    together = np.concatenate(
        [many.uniform, many.normal, many.normal**2], axis=1
    )  # normals share no word with uniforms
    assert np.abs(np.corrcoef(together, rowvar=False) - np.eye(6)).max() < 5 / math.sqrt(points)
