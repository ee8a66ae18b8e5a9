"""Simulation-based calibration: parameters from the prior, data from the parameters, and the rank of the truth among
posterior draws.

One replica for each (theta, data) pair, each with a data set of its own, through the specification, at the Bayes
temperature. If model, temperature, prior, likelihood and sampler are all right, ranks are uniform for any function of
theta and the data (Talts et al. 2018; functions of the data too: Modrak et al. 2023). Ranks are taken in function
space: outputs at probes, the log likelihood, and lp = -N U.
"""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from gpu_thermo.data import Dataset
from gpu_thermo.engines import choose_engine, make_engine
from gpu_thermo.method.named import get_method, make_program
from gpu_thermo.running.setup import prepare
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.state import Segment
from gpu_thermo.streams import make_keys

PAIRS, POINTS, NOISE, PRIOR = 1000, 12, 0.5, 1.0
DRAWS = 19
PROBES = np.array([[0.3, -0.5], [1.5, 1.0], [-2.5, 2.0]])
BAND, SPREAD = 2.6, 5.0
"""Limits: sqrt(pairs) times the largest distance of the ranks' distribution from uniform (p < 3e-6), and z of the
ranks' second moment."""


@cache
def pairs(task, noise=NOISE, prior=PRIOR, seed=0):
    """A run of a 2-3-1 network with a replica and a data set for each draw of theta from the prior, and those theta [R,
    P].

    `noise` and `prior` are what the sampler is told; the data come from NOISE and PRIOR.
    """
    draw = np.random.default_rng(5 + seed)
    x = draw.uniform(-2, 2, (PAIRS, POINTS, 2))
    blank = prepare(_spec(task, noise, prior, seed), data=_dataset(task, x, np.zeros((PAIRS, POINTS), np.int64)))
    truth = blank.subject.model.initial_position(
        "normal", PRIOR, make_keys(np.full(PAIRS, 99 + seed), np.arange(PAIRS)), np.float64
    )
    phi = blank.subject.model.predict(truth, x)[..., 0]
    y = (
        phi + NOISE * draw.normal(size=phi.shape)
        if task == "regression"
        else (draw.random(phi.shape) < phi).astype(np.int64)
    )
    return prepare(blank.spec, data=_dataset(task, x, y)), truth


def _spec(task, noise, prior, seed):
    return RunSpec.from_dict(
        {
            "data": {"name": "gap" if task == "regression" else "spirals"},
            "model": {"hidden": 3, "activation": "tanh", "prior_sd": prior, "init": "prior", "dtype": "float64"}
            | ({"noise_sd": noise} if task == "regression" else {}),
            "method": {
                "name": "langevin",
                "partition": "layer",
                "stepsize": 0.25,
                "friction": 1.0,
                "posterior_temperature": 1.0,
            },
            "run": {
                "replicas": PAIRS,
                "minibatch": "full",
                "steps": 10,
                "burn_in": 0,
                "thin": 10,
                "seed_init": 1000 + seed,
                "seed_dynamics": 2000 + seed,
            },
        }
    )


def _dataset(task, x, y):
    """One data set for each pair."""
    if task == "regression":
        y = y.astype(np.float64)[..., None]
        return Dataset("gap", task, x, y, x[:, :0], y[:, :0], ("a", "b"), targets=("y",))
    return Dataset("spirals", task, x, y, x[:, :0], y[:, :0], ("a", "b"), ("0", "1"))


def quantities(ready, position):
    """What is ranked, [Q, R]: the outputs at the probes, the log likelihood of the replica's own data, and lp."""
    target, model = ready.subject.target, ready.subject.model
    loss = model.losses(model.outputs_at(position, target.x_train), target.y_train).sum(axis=1)
    return np.stack(
        [*model.outputs_at(position, PROBES)[..., 0].T, -loss, -loss - (position**2).sum(axis=1) / (2 * PRIOR**2)]
    )


def ranks(ready, truth, burn, thin, warmth=1.0, frozen=False):
    """Ranks [Q, R] of the truth's quantities among the draws', 0 to DRAWS.

    `frozen` leaves the hidden layer at the truth; `warmth` spoils tau.
    """
    state, job = (
        ready.initial_state(),
        replace(ready.job, hyper=replace(ready.job.hyper, temperature=warmth * ready.job.hyper.temperature)),
    )
    if frozen:  # linear regression on known features, of each pair its own
        layers = job.program.partition
        job = replace(job, program=make_program(get_method("langevin"), layers, None, ("hidden",)))
        state.position[:, layers.slices[0]] = truth[:, layers.slices[0]]
    engine = make_engine(job, choose_engine(job, "auto", "cpu"), "cpu")
    engine.advance(state, Segment(0, burn))
    true, below = quantities(ready, truth), 0
    for _ in range(DRAWS):
        engine.advance(state, Segment(state.step, thin))
        below = below + (quantities(ready, state.position) < true)
    assert (state.status == 0).all()
    return below


def departures(found):
    """(distance from uniform times sqrt(pairs), |z| of the second moment) of each quantity, [2, Q]."""
    levels = np.arange(DRAWS + 1)
    ecdf = (found[:, :, None] <= levels).mean(axis=1)
    distance = abs(ecdf - (levels + 1) / (DRAWS + 1)).max(axis=1)
    squares = (levels - DRAWS / 2) ** 2
    z = (((found - DRAWS / 2) ** 2).mean(axis=1) - squares.mean()) / (squares.std() / np.sqrt(PAIRS))
    return np.array([distance * np.sqrt(PAIRS), abs(z)])


def calibrated(found):
    """Whether all ranks are within both limits."""
    distance, z = departures(found).max(axis=1)
    return distance < BAND and z < SPREAD


CASES = {
    "linear": ("regression", 300, 30, True),
    "regression": ("regression", 1500, 140, False),
    "binary": ("binary", 1000, 100, False),
}
"""Task, burn-in and thinning: some correlation times, in function space."""


def sample(case, warmth=1.0, **told):
    """Ranks of a case."""
    task, burn, thin, frozen = CASES[case]
    return ranks(*pairs(task, **told), burn, thin, warmth, frozen)


@pytest.mark.parametrize("case", CASES)
def test_ranks_are_uniform(case):
    """Linear-Gaussian (the hidden layer known), a 2-3-1 network with Gaussian noise, and one with labels."""
    assert calibrated(sample(case))


MISTAKES = {
    "tau x 1.5, linear": ("linear", {"warmth": 1.5}),
    "tau x 1.5": ("regression", {"warmth": 1.5}),
    "tau x 1.5, labels": ("binary", {"warmth": 1.5}),
    "tau / 1.5": ("regression", {"warmth": 1 / 1.5}),
    "N/n = 3 in tau": ("regression", {"warmth": 3.0}),
    "sd for variance of the noise": ("regression", {"noise": NOISE**0.5}),
    "a prior N times too strong": ("regression", {"prior": PRIOR / POINTS**0.5}),
    "a prior N times too weak": ("binary", {"prior": PRIOR * POINTS**0.5}),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_power(mistake):
    """Each classical mistake breaks the band by far."""
    case, wrong = MISTAKES[mistake]
    assert departures(sample(case, **wrong))[0].max() > 1.5 * BAND


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_ranks_do_not_depend_on_the_thinning(case):
    """Five times the burn-in and the thinning: what is left of autocorrelation does not make the ranks uniform."""
    task, burn, thin, frozen = CASES[case]
    assert calibrated(ranks(*pairs(task), 5 * burn, 5 * thin, frozen=frozen))
