"""Simulation-based calibration: parameters from the prior, data from the parameters, and the rank of the truth among
posterior draws.

One replica for each (theta, data) pair, each with a data set of its own, through the specification, at the Bayes
temperature. If model, temperature, prior, likelihood and sampler are all right, ranks are uniform for any function of
theta and the data (Talts et al. 2018; functions of the data too: Modrak et al. 2023). Ranks are taken in function
space: outputs at probes, the log likelihood, and lp = -N U.
"""

import math
from dataclasses import dataclass, field, replace
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
from gpu_thermo.targets.posterior import MlpTarget

PAIRS, POINTS, NOISE, PRIOR = 1000, 12, 0.5, 1.0
CENTRE = math.log(NOISE)
"""Of the prior of a learned log noise, N(CENTRE, 1)."""
DRAWS = 19
PROBES = np.array([[0.3, -0.5], [1.5, 1.0], [-2.5, 2.0]])
BAND, SPREAD = 2.6, 5.0
"""Limits: sqrt(pairs) times the largest distance of the ranks' distribution from uniform (p < 3e-6), and z of the
ranks' second moment."""


@dataclass(frozen=True)
class Case:
    """A 2-3-1 network with tanh; `model` is what its likelihood adds to [model], `width` the scale of the output
    layer's prior over that of the others.

    Burn-in and thinning are some correlation times, in function space; `first` factors of the stepsize in the first
    hundreds of steps.
    """

    task: str
    burn: int
    thin: int
    model: dict = field(default_factory=dict)
    stepsize: float = 0.25
    first: tuple = ()
    width: float = 1.0
    frozen: bool = False

    @property
    def kind(self):
        """What is said of the noise."""
        return self.model.get("likelihood", "learned" if self.model.get("noise_sd") == "learn" else self.task)

    def priors(self, prior):
        """Scales by layer."""
        return prior if self.width == 1 else {"hidden": prior, "output": self.width * prior}


SOFT = (0.003, 0.01, 0.03, 0.1, 0.3)
CASES = {
    "linear": Case("regression", 300, 30, {"noise_sd": NOISE}, frozen=True),
    "regression": Case("regression", 1500, 140, {"noise_sd": NOISE}),
    "binary": Case("binary", 1000, 100),
    "learned": Case("regression", 3000, 300, {"noise_sd": "learn"}, 0.05, SOFT),
    "heteroscedastic": Case("regression", 3000, 300, {"likelihood": "heteroscedastic"}, 0.05, SOFT, 0.5),
}


@cache
def pairs(name, prior=PRIOR, seed=0, **model):
    """A run with a replica and a data set for each draw of theta from the prior, and those theta [R, P].

    `prior` and `model` are what the sampler is told; the data come from PRIOR and the case as it is.
    """
    case, draw = CASES[name], np.random.default_rng(5 + seed)
    x = draw.uniform(-2, 2, (PAIRS, POINTS, 2))
    blank = prepare(_spec(case, PRIOR, seed, {}), data=_dataset(case.task, x, np.zeros((PAIRS, POINTS), np.int64)))
    own = _of_prior(blank.subject.model, CENTRE)
    truth = own.initial_position("prior", 0.0, make_keys(np.full(PAIRS, 99 + seed), np.arange(PAIRS)), np.float64)
    out, normal = own.outputs_at(truth, x), draw.normal(size=x.shape[:2])
    if case.task == "binary":
        y = (draw.random(normal.shape) < 1 / (1 + np.exp(-out[..., 0]))).astype(np.int64)
    else:
        y = out[..., 0] + np.exp(log_noise(case, truth, out)) * normal
    return prepare(_spec(case, prior, seed, model), data=_dataset(case.task, x, y)), truth


def log_noise(case, position, out):
    """Logarithm of the noise sd [R, T or 1] of replicas with outputs [R, T, n]."""
    if case.kind == "learned":
        return position[:, -1:]
    if case.kind == "heteroscedastic":
        g = out[..., 1]
        return np.logaddexp(0, g + 7) - np.logaddexp(0, g - 3) - 7
    return np.full((1, 1), math.log(NOISE))


def _of_prior(model, centre):
    """The model with the prior of a learned noise about `centre`, which data say by default."""
    return replace(model, noise_centre=(centre,)) if model.noises else model


def _spec(case, prior, seed, model):
    first = {"schedule": "piecewise", "boundaries": [100 * (i + 1) for i in range(len(case.first))]}
    value = {"value": case.stepsize, **first, "factors": [*case.first, 1.0]} if case.first else case.stepsize
    friction = {"value": 1.0, **first, "factors": [*(1 / f for f in case.first), 1.0]} if case.first else 1.0
    network = {"hidden": 3, "activation": "tanh", "prior_sd": case.priors(prior), "init": "prior", "dtype": "float64"}
    return RunSpec.from_dict(
        {
            "data": {"name": "gap" if case.task == "regression" else "spirals"},
            "model": network | case.model | model,
            "method": {
                "name": "langevin",
                "partition": "layer",
                "stepsize": value,
                "friction": friction,
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


def quantities(case, target, position):
    """What is ranked, [Q, R]: the outputs at the probes, log noises that are not known (heteroscedastic: at the
    probes), the log likelihood of the replica's own data, and lp.
    """
    model = _of_prior(target.model, CENTRE)
    loss = model.losses(model.outputs_at(position, target.x_train), target.y_train, position=position).sum(axis=1)
    at_probes = model.outputs_at(position, PROBES)
    unknown = log_noise(case, position, at_probes).T if case.kind in ("learned", "heteroscedastic") else ()
    inner = position.shape[1] - model.noises
    scale = np.repeat([PRIOR, case.width * PRIOR], [9, inner - 9])
    less = ((position[:, :inner] / scale) ** 2).sum(axis=1) / 2 + ((position[:, inner:] - CENTRE) ** 2).sum(axis=1) / 2
    return np.stack([*at_probes[..., 0].T, *unknown, -loss, -loss - less])


def ranks(name, ready, truth, burn, thin, warmth=1.0, centre=CENTRE):
    """Ranks [Q, R] of the truth's quantities among the draws', 0 to DRAWS.

    A frozen case leaves the hidden layer at the truth; `warmth` spoils tau, `centre` the prior of a learned noise.
    """
    case, state, target = CASES[name], ready.initial_state(), ready.subject.target
    if target.model.noises:
        target = MlpTarget(_of_prior(target.model, centre), ready.subject.data, target.dataset, np.float64)
    hyper = replace(ready.job.hyper, temperature=warmth * ready.job.hyper.temperature)
    job = replace(ready.job, hyper=hyper, target=target)
    if case.frozen:  # linear regression on known features, of each pair its own
        layers = job.program.partition
        job = replace(job, program=make_program(get_method("langevin"), layers, None, ("hidden",)))
        state.position[:, layers.slices[0]] = truth[:, layers.slices[0]]
    engine = make_engine(job, choose_engine(job, "auto", "cpu"), "cpu")
    engine.advance(state, Segment(0, burn))
    true, below = quantities(case, target, truth), 0
    for _ in range(DRAWS):
        engine.advance(state, Segment(state.step, thin))
        below = below + (quantities(case, target, state.position) < true)
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


def sample(name, warmth=1.0, centre=CENTRE, **told):
    """Ranks of a case."""
    return ranks(name, *pairs(name, **told), CASES[name].burn, CASES[name].thin, warmth, centre)


@pytest.mark.parametrize("case", CASES)
def test_ranks_are_uniform(case):
    """Linear-Gaussian (the hidden layer known), and networks with Gaussian noise, with labels, with a noise that is
    learned, and with one for every input.
    """
    assert calibrated(sample(case))


MISTAKES = {
    "tau x 1.5, linear": ("linear", {"warmth": 1.5}),
    "tau x 1.5": ("regression", {"warmth": 1.5}),
    "tau x 1.5, labels": ("binary", {"warmth": 1.5}),
    "tau / 1.5": ("regression", {"warmth": 1 / 1.5}),
    "N/n = 3 in tau": ("regression", {"warmth": 3.0}),
    "sd for variance of the noise": ("regression", {"noise_sd": NOISE**0.5}),
    "a prior N times too strong": ("regression", {"prior": PRIOR / POINTS**0.5}),
    "a prior N times too weak": ("binary", {"prior": PRIOR * POINTS**0.5}),
    "tau x 1.3, learned noise": ("learned", {"warmth": 1.3}),
    "four times the noise a priori": ("learned", {"centre": CENTRE + math.log(4)}),
    "tau x 1.3, heteroscedastic": ("heteroscedastic", {"warmth": 1.3}),
    "a prior 1.5 times too weak, heteroscedastic": ("heteroscedastic", {"prior": 1.5 * PRIOR}),
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
    assert calibrated(ranks(case, *pairs(case), 5 * CASES[case].burn, 5 * CASES[case].thin))
