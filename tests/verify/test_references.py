"""Shipped references: what is read of them, distances from them, and that wrong samplers fail."""

import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gpu_thermo.kernels.toolchain import find_compiler
from gpu_thermo.verify import LIMIT, references, suite
from gpu_thermo.verify.sampling import Place

ENGINE = "fused" if find_compiler() else "batched"


@pytest.mark.parametrize("name", references.PACE)
def test_what_is_read(name):
    """Data fit the network, laws are laws at 50 inputs, and those of data sets are of the right kind."""
    reference = references.load(name)
    data = reference.data
    assert data.points == len(reference.x) == len(reference.y)
    assert data.task == ("binary" if reference.likelihood == "bernoulli" else "regression")
    assert list(reference.laws) == (["p"] if data.task == "binary" else ["f", "eta"])
    for law in reference.laws.values():
        assert all(v.shape == (50,) for v in (law.mean, law.variance, law.mean_error, law.variance_error))
        assert (law.variance > 0).all()
        assert (law.mean_error > 0).all()


def test_scores_are_those_of_leaving_one_replica_out():
    """Against the jackknife written out, one replica at a time."""
    rng = np.random.default_rng(3)
    draws = rng.normal(size=(12, 30, 50)) + rng.normal(size=(12, 1, 50)) + 5
    first, second = draws.mean(axis=1), (draws**2).mean(axis=1)
    law = references.Law(np.full(50, 5.2), np.full(50, 1.9), np.full(50, 0.03), np.full(50, 0.04), 1.0, (1, 1))
    found = references.scores(first, second, law)
    moments = lambda kept: np.stack([kept.mean(axis=(0, 1)), kept.var(axis=(0, 1))])  # noqa: E731
    left = np.stack([moments(np.delete(draws, r, axis=0)) for r in range(12)])
    error = np.sqrt(11 / 12 * ((left - left.mean(axis=0)) ** 2).sum(axis=0))
    wanted = (moments(draws) - [[5.2], [1.9]]) / np.hypot(error, [[0.03], [0.04]])
    np.testing.assert_allclose(found, wanted, rtol=1e-9)


def test_errors_are_those_of_repeated_samples():
    """z of right samples have spread 1, for variances too."""
    rng = np.random.default_rng(4)
    draws = rng.normal(size=(60, 200, 5, 50)) + 0.5 * rng.normal(size=(60, 200, 1, 50))
    law = references.Law(np.zeros(50), np.full(50, 1.25), np.zeros(50), np.zeros(50), 1.0, (1, 1))
    z = np.stack([references.scores(d.mean(axis=1), (d**2).mean(axis=1), law) for d in draws])
    np.testing.assert_allclose(z.std(axis=(0, 2)), 1, atol=0.06)
    np.testing.assert_allclose(z.mean(axis=(0, 2)), 0, atol=0.2)


@pytest.mark.parametrize("name", suite.NETWORKS)
@pytest.mark.parametrize("mistake", [None, "tau x 1.5", "prior sd 20 % too large"])
def test_a_wrong_sampler_fails(name, mistake, monkeypatch):
    """At the length of a quick report; the engine's own is right."""
    load = references.load
    if mistake == "tau x 1.5":
        right = references.Reference.method
        wrong = property(lambda self: right.fget(self) | {"posterior_temperature": 1.5})
        monkeypatch.setattr(references.Reference, "method", wrong)
    elif mistake:
        monkeypatch.setattr(references, "load", lambda n: replace(load(n), prior_sd=1.2 * load(n).prior_sd))
    (check,) = references.against_nuts(Place(ENGINE), name, suite.QUICK["nuts"])
    assert check.passed == (mistake is None), check
    assert check.count == 100 * len(load(name).laws)
    if mistake:
        assert check.value > 1.5 * LIMIT
    else:
        assert check.sees < 0.2


def test_references_ship():
    """A wheel has what pyproject.toml lists as the data of this package."""
    folder = Path(references.__file__).parent
    settings = tomllib.loads((folder.parents[1] / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    listed = {path for pattern in settings["gpu_thermo.verify"] for path in folder.glob(pattern)}
    assert listed == {folder / "references" / f"{name}.json" for name in references.PACE}
