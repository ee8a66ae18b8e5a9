"""One table split by several seeds."""

import numpy as np
import pytest

from gpu_thermo.data import (
    DATASETS,
)


def test_split_seeds_stack():
    """Several splits are the single splits, stacked."""
    pytest.importorskip("sklearn")
    both = DATASETS["wine"](seeds=[4, 5]).build()
    for d, seed in enumerate((4, 5)):
        one = DATASETS["wine"](split_seed=seed).build()
        np.testing.assert_array_equal(both.x_train[d], one.x_train[0])
        np.testing.assert_array_equal(both.y_test[d], one.y_test[0])
        np.testing.assert_array_equal(both.standardisation.sd[d], one.standardisation.sd[0])
    assert not np.array_equal(both.y_train[0], both.y_train[1])
