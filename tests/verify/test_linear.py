"""Laws of words on wells: the package's linear algebra against the tests' own."""

import linear_maps as laws
import numpy as np
import pytest

from gpu_thermo.verify import suite
from gpu_thermo.verify.linear import mean_thermostat, stationary


@pytest.mark.parametrize("word", suite.FULL_WORDS)
def test_laws_agree_with_the_tests_own(word: str) -> None:
    """Two derivations of the same algebra, with gradient noise."""
    values = {"gamma": 0.7, "tau": 0.3, "k": 0.9, "xi": 0.7, "sigma": 0.5, "noise": 0.4}
    np.testing.assert_allclose(
        stationary(word, 0.8, **values), laws.moments(word, 0.8, **values), rtol=1e-12, atol=1e-15
    )


def test_an_unknown_letter_has_no_law() -> None:
    """BAZOAB is not BAOAB."""
    with pytest.raises(ValueError, match="'BAZOAB' has Z, whose law is not known"):
        stationary("BAZOAB", 0.5, gamma=1.0)
    with pytest.raises(ValueError, match="'Z' is not known"):
        laws.moments("BAZOAB", 0.5, gamma=1.0)


def test_an_unstable_word_has_no_law() -> None:
    with pytest.raises(ValueError, match="unstable"):
        stationary("BAOAB", 2.1, gamma=1.0)


@pytest.mark.parametrize(("word", "rotated"), [("BACDEDCAB", "DCABBACD"), ("BAEFEAB", "FABBA")])
def test_thermostats_settle_where_their_momenta_have_the_temperature(word: str, rotated: str) -> None:
    """At that xi <p^2> = tau at E, by the tests' own linear algebra; sigma^2 / (2 tau) is off by 0.1 % at h = .04 in
    BACDEDCAB.
    """
    shift = []
    for h in (0.04, 0.02):
        xi = mean_thermostat(word, h, tau=0.5, sigma=1.2)
        assert laws.moments(rotated, h, xi=xi, sigma=1.2)[1] == pytest.approx(0.5, rel=1e-12)
        shift.append(xi / 1.44 - 1)
    expected = [1.108e-3, 0.277e-3] if word == "BACDEDCAB" else [0, 0]
    assert shift == pytest.approx(expected, rel=2e-3, abs=1e-12)
