"""A tolerance for every kind of method, on a small network against NUTS and on wells: what is found, what is given."""

import numpy as np
import pytest
from runs import NEEDS_COMPILER
from tuned_cases import STIFFNESS, told, well
from tuned_networks import network, nuts_scores

from gpu_thermo import sample

COLD = {"posterior_temperature": 1.0}
METHODS = [
    {"name": "lala"},
    {"name": "splitting", "word": {"hidden": "BAOAB", "output": "OBABO"}},
    {"name": "splitting", "word": {"hidden": "BACDEDCAB", "output": "BAOAB"}},
    {"name": "adl"},
    {"name": "mclmc"},
    {"name": "sgld"},
]


@NEEDS_COMPILER
@pytest.mark.parametrize("method", METHODS, ids=lambda m: m["name"] + str(m.get("word", "")))
def test_against_nuts(method):
    """32 correlated outputs of one seed: rms z of a perfect sampler is below 2 at 99.9 %. Another temperature is seen
    (next test).
    """
    spec, data = network(3, replicas=64, tolerance=0.1)
    tree = sample(spec | {"method": method | COLD}, data=data)
    course, verdict = told(tree)
    assert verdict["error"] <= 0.1
    assert (np.sqrt(np.square(nuts_scores(tree)).mean(axis=1)) < 2).all()
    braces = method["name"] in ("lala", "mclmc") or ("BACDEDCAB" not in str(method) and method["name"] == "splitting")
    assert (verdict["bias"] is None) == braces
    assert tree["posterior"]["stepsize"].to_numpy()[0] == course["stepsize"]


@NEEDS_COMPILER
def test_its_power():
    """Half as hot again."""
    spec, data = network(3, replicas=64, tolerance=0.1)
    method = {"name": "lala", "posterior_temperature": 1.5}
    z = nuts_scores(sample(spec | {"method": method}, data=data))
    assert np.sqrt(np.square(z).mean(axis=1)).max() > 3


class TestGivenAndFound:
    def found(self, method):
        course, verdict = told(sample(well() | {"method": {"name": "langevin", "temperature": 1.0} | method}))
        assert verdict["trusted"], verdict["text"]
        return course

    def test_a_stepsize_for_a_given_friction(self):
        course = self.found({"stepsize": "auto", "friction": 1.0})
        assert course["friction"] == [1.0]
        assert 0.05 < course["stepsize"] < 0.4
        assert all(line["friction"] == [1.0] for line in course["log"] if "friction" in line)

    def test_a_friction_for_a_given_stepsize(self):
        """gamma is the frequency of the softest of three motions over their mean variance."""
        course = self.found({"stepsize": 0.2, "friction": "auto"})
        assert {line["stepsize"] for line in course["log"][1:] if line["phase"] != "descent"} == {0.2}
        assert course["friction"][0] == pytest.approx(1 / np.sqrt(np.mean(1 / np.array(STIFFNESS))), rel=0.25)

    @NEEDS_COMPILER
    def test_a_friction_of_one_partition(self):
        spec, data = network(1, replicas=32, tolerance=0.2)
        method = {"name": "lala", "friction": {"hidden": 0.3}} | COLD
        course, _ = told(sample(spec | {"method": method}, data=data))
        assert course["friction"][0] == 0.3
        assert course["friction"][1] not in (0.1, 0.3)  # neither lala's default nor the other's


def test_the_noise_of_a_thermostat_follows_the_friction():
    """sigma = sqrt(2 gamma tau), so that the mean of xi is gamma; one that is given stays."""
    tree = sample(well() | {"method": {"name": "adl", "temperature": 1.0}})
    course, _ = told(tree)
    sigma = tree["posterior"]["sigma_all"].to_numpy()
    np.testing.assert_allclose(sigma, np.sqrt(2 * course["friction"][0]))
    xi = tree["sample_stats"]["thermostat"].to_numpy()[..., 0].mean(axis=1)
    assert abs(xi.mean() - course["friction"][0]) < 5 * xi.std(ddof=1) / np.sqrt(len(xi))
    given = sample(well() | {"method": {"name": "adl", "temperature": 1.0, "sigma": 0.5}})
    np.testing.assert_array_equal(given["posterior"]["sigma_all"].to_numpy(), 0.5)


def test_sgld_has_the_stepsize_of_its_bias():
    """Variances of a well are too wide by 1/(1 - h k/2); the group at h/2 sees it, and h is lowered once where it
    matters.
    """
    tree = sample(well(tolerance=0.05, replicas=128) | {"method": {"name": "sgld", "temperature": 1.0}})
    course, verdict = told(tree)
    position = tree["posterior"]["position"].to_numpy()
    k, h = np.array(STIFFNESS), course["stepsize"]
    assert 0.01 < h * k.max() / 2 < 0.4
    m, s = position.mean(axis=1), (position**2).mean(axis=1)
    error = (s - m.mean(0) ** 2).std(axis=0, ddof=1) / np.sqrt(len(m))
    variance = s.mean(0) - m.mean(0) ** 2
    assert (abs(variance - 1 / (k * (1 - h * k / 2))) < 5 * error).all()
    assert (abs(variance - 2 / k) > 5 * error).all()  # power: twice as hot
    assert verdict["bias"] is not None
