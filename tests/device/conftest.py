"""What tests of a GPU ask of it, or of the stand-in for CuPy."""

from collections import Counter

import pytest

from gpu_thermo.engines.devices import count_gpus


@pytest.fixture
def counts():
    """The stand-in's counts: CuPy keeps none."""
    import cupy

    if not hasattr(cupy, "COUNTS"):
        pytest.skip("only the stand-in counts bytes")
    return cupy.COUNTS


@pytest.fixture
def spent(counts):
    """Does some work: what that adds to the counts, and what it returns."""

    def of(work):
        before = counts.copy()
        out = work()
        return Counter({name: counts[name] - before[name] for name in counts}), out

    return of


@pytest.fixture
def two_gpus(monkeypatch):
    """There are two, or the stand-in plays them."""
    import cupy

    if hasattr(cupy, "COUNTS"):
        monkeypatch.setenv("STANDIN_GPUS", "2")
    if count_gpus()[0] < 2:
        pytest.skip("one GPU")
