"""Fixtures for all tests; helpers on exact laws are in laws.py."""

import pytest


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    """Both precisions."""
    import numpy as np

    return np.dtype(request.param).type
