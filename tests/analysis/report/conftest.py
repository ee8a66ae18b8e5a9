"""Runs that reports are about, sampled once."""

import pytest
from fitted import fitted

from gpu_thermo.store import open_run


@pytest.fixture(scope="session")
def numbers_run(tmp_path_factory):
    """Of numbers."""
    return fitted(tmp_path_factory.mktemp("numbers"))


@pytest.fixture(scope="session")
def classes_run(tmp_path_factory):
    """Of two classes."""
    return fitted(tmp_path_factory.mktemp("classes"), classes=True)


@pytest.fixture(scope="session")
def log_run(tmp_path_factory):
    """Of logarithms."""
    return fitted(tmp_path_factory.mktemp("log"), positive=True)


@pytest.fixture
def tree(numbers_run):
    """Of numbers, opened."""
    return open_run(numbers_run)
