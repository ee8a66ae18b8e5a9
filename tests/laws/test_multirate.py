"""Partitions that move in every m-th step only, or have stepsizes of their own: exact moments of a Gaussian by a linear
map of one's own.
"""

import numpy as np
import pytest

import gpu_thermo as gt
from gpu_thermo.errors import SpecError
from gpu_thermo.kernels.toolchain import find_compiler
from gpu_thermo.method.letters import LETTERS
from gpu_thermo.running.setup import prepare
from gpu_thermo.spec.run import RunSpec

ENGINES = ("batched", pytest.param("fused", marks=pytest.mark.skipif(find_compiler() is None, reason="no compiler")))
HIDDEN, NOISE, POINTS = 3, 0.5, 12
X = np.random.default_rng(0).uniform(-2, 2, (POINTS, 2))
Y = np.sin(X.sum(axis=1))
FROZEN = {"w1": np.random.default_rng(2).normal(size=(HIDDEN, 2)), "b1": np.array([0.3, -0.4, 0.9])}
START = FROZEN | {"w2": np.full((1, HIDDEN), 0.4), "b2": np.full(1, -0.3)}
H, GAMMA, PACE, REPLICAS = 0.25, 0.7, 3, 8192


def spec(word="BAOAB", every=None, own=(), **run):
    """A linear regression on frozen features, w2 and b2 partitions of their own; `own` keys of [method]."""
    method = {
        "name": "langevin", "word": word, "partition": "tensor", "freeze": ["hidden"], "stepsize": H, "friction": GAMMA,
        "posterior_temperature": 1.0,
    } | ({} if every is None else {"every": every}) | dict(own)  # fmt: skip
    return {
        "model": {"hidden": HIDDEN, "activation": "tanh", "prior_sd": 1.0, "noise_sd": NOISE, "dtype": "float64"},
        "data": {"standardise": False},
        "method": method,
        "run": {
            "replicas": REPLICAS, "minibatch": "full", "steps": 36, "burn_in": 0, "thin": PACE, "trace": 36, **run,
        },
    }  # fmt: skip


def sampled(engine, word="BAOAB", every=None, own=(), **run):
    """[R, draw, 4] of w2 and b2."""
    tree = gt.sample(spec(word, every, own, **run), data=(X, Y, X[:3], Y[:3]), init=START, engine=engine)
    p = tree["posterior"]
    w2 = p["w2"].transpose("chain", "draw", ...).to_numpy()
    return np.concatenate([w2.reshape(*w2.shape[:2], -1), p["b2"].transpose("chain", "draw", ...).to_numpy()], axis=2)


def well():
    """Stiffness [4, 4] and force [4] at 0 of the regression: U = q.A q/2 - c.q."""
    features = np.column_stack([np.tanh(X @ FROZEN["w1"].T + FROZEN["b1"]), np.ones(POINTS)])
    return (features.T @ features / NOISE**2 + np.eye(4)) / POINTS, features.T @ Y / NOISE**2 / POINTS


def exact(word, paces, steps, ratios=(1, 1, 1, 1)):
    """Mean and covariance of the positions after so many steps: letter by letter on means [8] and covariances [8, 8] of
    (q, p), U = q.A q/2 - c.q, each parameter with its own length of step.
    """
    a, c = well()
    mean, cov, one = np.concatenate([[0.4] * 3, [-0.3], np.zeros(4)]), np.zeros((8, 8)), np.eye(8)
    for k in range(steps):
        h = np.array([H * r * m * (k % m == m - 1) for m, r in zip(paces, ratios, strict=True)])
        for letter in word:
            part, shift, noise = h / word.count(letter), np.zeros(8), np.zeros(8)
            map_ = one.copy()
            if letter == "A":
                map_[:4, 4:] = np.diag(part)
            elif letter == "B":
                map_[4:, :4] = -part[:, None] * a
                shift[4:] = part * c
            else:
                eta = np.exp(-GAMMA * part)
                map_[4:, 4:] = np.diag(eta)
                noise[4:] = (1 - eta**2) / POINTS
            mean, cov = map_ @ mean + shift, map_ @ cov @ map_.T + np.diag(noise)
    return mean[:4], cov[:4, :4]


def score(q, mean, cov):
    """Largest |z| of means and covariances [4] of draws q [R, 4]."""
    found, n = np.cov(q.T), len(q)
    sd = np.sqrt(np.diag(cov))
    of_mean = np.abs(q.mean(axis=0) - mean) / (sd / np.sqrt(n))
    of_cov = np.abs(found - cov) / (np.sqrt((np.outer(sd, sd) ** 2 + cov**2) / n))
    return max(of_mean.max(), of_cov.max())


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("word", ["BAOAB", "OBABO"])
def test_moments_on_a_gaussian(word, engine):
    """After 3, 9, 18 and 36 steps; with the paces forgotten, or given to the other partition, far off."""
    q = sampled(engine, word, {"b2": PACE})
    for draw in (0, 2, 5, 11):
        steps = PACE * (draw + 1)
        assert score(q[:, draw], *exact(word, (1, 1, 1, PACE), steps)) < 4.5, steps
    assert score(q[:, 2], *exact(word, (1, 1, 1, 1), 9)) > 10
    assert score(q[:, 2], *exact(word, (PACE, PACE, PACE, 1), 9)) > 10


@pytest.mark.parametrize("engine", ENGINES)
def test_one_is_the_plain_word(engine):
    few = {"replicas": 5}
    np.testing.assert_array_equal(sampled(engine, every={"b2": 1}, **few), sampled(engine, **few))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_partition_rests_between(engine):
    """It stands still, bit for bit, for m - 1 steps, whatever letters it has; segments and resumes change nothing."""
    for word in ("BAOAB", "BACDEDCAB", "BUB", "BAFAB"):
        values = {"BACDEDCAB": {"sigma": 0.1, "epsilon": 0.5}, "BAFAB": {"sigma": 0.1}}.get(word, {"friction": 1.0})
        tree = spec("BAOAB", {"output": 4}, replicas=4, steps=16, thin=4, trace=1)
        del tree["method"]["posterior_temperature"], tree["method"]["friction"]
        tree["method"] |= {"name": "splitting", "partition": "layer", "freeze": [], "word": word} | values
        if word != "BAFAB":
            tree["method"]["temperature"] = 1 / POINTS
        tree["run"]["momenta"] = "zero"
        moved = {"hidden": [], "output": []}
        last = None
        for snapshot in gt.iterate(tree, data=(X, Y, X[:3], Y[:3]), init=START, engine=engine):
            assert np.isfinite(snapshot.position).all()
            if last is not None:
                moved["hidden"].append((snapshot.position[:, :9] != last[:, :9]).any())
                moved["output"].append((snapshot.position[:, 9:] != last[:, 9:]).any())
            last = snapshot.position
        assert all(moved["hidden"]), word
        assert moved["output"] == [(k + 1) % 4 == 3 for k in range(15)], word


RATIO = 1.8
OTHERS = {"b2": RATIO}


@pytest.mark.parametrize("engine", ENGINES)
def test_stepsizes_of_partitions_on_a_gaussian(engine):
    """b2 by 1.8 h: after 3 and 36 steps; with it forgotten, or given to the other partition, far off."""
    q = sampled(engine, "OBABO", own={"stepsize_ratio": OTHERS})
    for draw in (0, 11):
        steps = PACE * (draw + 1)
        assert score(q[:, draw], *exact("OBABO", (1,) * 4, steps, (1, 1, 1, RATIO))) < 4.5, steps
    assert score(q[:, 0], *exact("OBABO", (1,) * 4, 3)) > 10
    assert score(q[:, 0], *exact("OBABO", (1,) * 4, 3, (RATIO, RATIO, RATIO, 1))) > 10


def test_they_go_with_partitions_that_rest():
    """b2 in every third step, by 3 x .5 h."""
    q = sampled("batched", "BAOAB", {"b2": PACE}, {"stepsize_ratio": {"b2": 0.5}})
    assert score(q[:, 3], *exact("BAOAB", (1, 1, 1, PACE), 12, (1, 1, 1, 0.5))) < 4.5
    assert score(q[:, 3], *exact("BAOAB", (1, 1, 1, PACE), 12)) > 10


@pytest.mark.parametrize("engine", ENGINES[1:])
def test_words_in_braces_stay_exact_with_them(engine):
    """Where the plain word is far off: OBABO's variances at 3 h."""
    a, c = well()
    law = np.linalg.solve(a, c), np.linalg.inv(a) / POINTS
    run = {"replicas": 4096, "steps": 240, "thin": 240, "trace": 240}
    q = [sampled(engine, word, own={"stepsize_ratio": {"b2": 3.0}}, **run)[:, 0] for word in ("{OBABO}", "OBABO")]
    assert score(q[0], *law) < 4.5
    assert score(q[1], *law) > 6


AS_MASSES = {
    "BAOAB": ({"friction": 0.7}, {"friction": {"hidden": 0.7, "output": RATIO * 0.7}}),
    "BUB": ({"friction": 0.7}, {"friction": {"hidden": 0.7, "output": RATIO * 0.7}}),
    "BACDEDCAB": (
        {"sigma": 0.2, "epsilon": 0.3},
        {"sigma": {"hidden": 0.2, "output": RATIO**0.5 * 0.2}, "epsilon": {"hidden": 0.3, "output": RATIO**2 * 0.3}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("word", AS_MASSES)
def test_they_are_masses(word):
    """To rounding: a stepsize r times as long is a mass of 1/r^2, friction r, sigma root of r, epsilon r^2 times as
    large; and no other mass.
    """

    def positions(method):
        tree = spec(replicas=5, steps=30, thin=30, trace=30, momenta="zero")
        del tree["method"]["posterior_temperature"], tree["method"]["friction"]
        tree["method"] |= {"name": "splitting", "partition": "layer", "freeze": [], "word": word} | method
        tree["method"] |= {"temperature": 1 / POINTS}
        last = list(gt.iterate(tree, data=(X, Y, X[:3], Y[:3]), init=START, engine="batched"))[-1]
        return last.position

    plain, scaled = AS_MASSES[word]
    found = positions(plain | {"stepsize_ratio": {"output": RATIO}})
    np.testing.assert_allclose(found, positions(scaled | {"mass": {"output": RATIO**-2}}), rtol=1e-9, atol=1e-11)
    assert abs(found - positions(scaled | {"mass": {"output": 1 / RATIO}})).max() > 1e-2


def test_every_letter_of_length_0_does_nothing():
    """So that a partition at rest is where it was; letters of one's own are asked by check_operation."""
    values = {"temperature": 0.3, "friction": 0.8, "sigma": 0.2, "epsilon": 0.4, "momentum": 0.5, "count": 4}
    for letter, record in LETTERS.items():
        for value in record.coefficients(np.zeros(1), values):
            assert np.isfinite(value).all(), letter


def test_plans_say_so():
    lines = prepare(RunSpec.from_dict({"method": {"name": "langevin", "partition": "layer", "every": {"hidden": 2}},
                                       "run": {"steps": 8, "burn_in": 4, "thin": 2}})).program.describe()  # fmt: skip
    assert any("hidden" in line and "in the last of 2 steps, by 2 h" in line for line in lines)
    assert not any("output" in line and "last" in line for line in lines)
    other = {"name": "langevin", "partition": "layer", "stepsize_ratio": {"output": 2.5}}
    lines = prepare(RunSpec.from_dict({"method": other})).program.describe()
    assert any("output" in line and "(h there is 2.5 stepsizes)" in line for line in lines)


@pytest.mark.parametrize(
    ("method", "run", "message"),
    [
        ({"word": "{BAOAB}"}, {}, "BAOAB} cannot: the steps of a proposal in braces would differ"),
        ({"word": "KASAK", "name": "splitting", "partition": "all", "every": {"all": 2}}, {}, "K and S turn one mom"),
        ({"every": {"hidden": 2, "output": 2}}, {}, "in some steps nothing would move"),
        ({"name": "adam"}, {}, "every belongs to splitting words, and 'adam'"),
        ({"every": {"outputs": 2}}, {}, "no partition 'outputs'"),
        ({"every": {"output": 0}}, {}, "every.output"),
        ({"freeze": ["output"]}, {}, "method.every.output: that is frozen"),
        ({"every": None, "stepsize": {"hidden": 0.1, "output": 0.3}}, {}, "= 0.1, stepsize_ratio = .output = 3"),
        ({"every": None, "stepsize_ratio": {"output": 0}}, {}, "stepsize_ratio.output"),
        ({"every": None, "stepsize_ratio": {"outputs": 2.0}}, {}, "no partition 'outputs'"),
        ({"every": None, "stepsize_ratio": {"output": 2.0}, "freeze": ["output"]}, {}, "ratio.output: that is frozen"),
        ({"every": None, "name": "adam", "stepsize_ratio": {"output": 2.0}}, {}, "stepsize_ratio belongs to splitting"),
        ({"every": None, "stepsize_ratio": {"all": 2.0}, "word": "KASAK", "name": "splitting", "partition": "all"}, {},
         "gives a partition a stepsize of its own"),
        ({"every": None, "stepsize_ratio": {"output": 2.0}}, {"equal_times": True, "replicas": 2}, "leave one out"),
        ({"every": None, "stepsize_ratio": {"output": 2.0}},
         {"tolerance": 0.1, "steps": None, "burn_in": None, "thin": None}, "finds one stepsize.*use method.mass"),
        ({"friction": {"hidden": 1.0, "output": float("inf")}}, {}, "friction of output is inf"),
        ({}, {"thin": 3}, "thin = 3 is no multiple of the 2 steps .* use 4"),
        ({}, {"tolerance": 0.1, "steps": None, "burn_in": None, "thin": None}, "tolerance needs steps that are all"),
    ],
)  # fmt: skip
def test_refused(method, run, message):
    base = {"name": "langevin", "partition": "layer", "every": {"output": 2}, "temperature": 1e-3} | method
    if base["name"] == "adam":
        del base["temperature"]
    lengths = {"replicas": 64, "steps": 14, "burn_in": 2, "thin": 2} | run
    with pytest.raises(SpecError, match=message):
        prepare(RunSpec.from_dict({"method": base, "run": {k: v for k, v in lengths.items() if v is not None}}))
