"""The four problems: data, network, prior and noise, 50 inputs; parameters lie as w1, b1, w2, b2, .., log noise."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

INPUTS = 50
LEARNED = "learn"


@dataclass(frozen=True)
class Problem:
    """A network with tanh and priors N(0, prior_sd^2) on x [N, m], y [N], looked at `inputs` [50, m].

    Attributes
    ----------
    noise_sd : of numbers: known, or LEARNED, then its logarithm is N(log(sd of y / 2), 1) and the last parameter; None
    of two classes, whose probability is looked at in place of the output.
    """

    name: str
    hidden: tuple[int, ...]
    prior_sd: float
    noise_sd: float | str | None
    x: np.ndarray
    y: np.ndarray
    inputs: np.ndarray

    @property
    def layers(self) -> tuple[int, ...]:
        """m, hidden units, 1."""
        return (self.x.shape[1], *self.hidden, 1)

    @property
    def own(self) -> int:
        """Parameters beside the network's."""
        return int(self.noise_sd == LEARNED)

    @property
    def size(self) -> int:
        """P."""
        return sum((m + 1) * n for m, n in zip(self.layers, self.layers[1:], strict=False)) + self.own

    @property
    def centre(self) -> float:
        """Mean of the prior of a learned log noise."""
        return float(np.log(0.5 * np.std(self.y)))

    def spec(self, tolerance: float, seed: int) -> dict[str, Any]:
        """Our run of it: defaults, but for the problem itself, the tolerance and the seed."""
        model = {"hidden": list(self.hidden), "activation": "tanh", "prior_sd": self.prior_sd, "init": "prior"}
        noise = {} if self.noise_sd is None else {"likelihood": "gaussian", "noise_sd": self.noise_sd}
        task = "binary" if self.noise_sd is None else "regression"
        return {
            "data": {"name": "arrays", "task": task, "standardise": False, "test_fraction": 0.0},
            "model": model | noise,
            "method": {"name": "langevin", "posterior_temperature": 1.0},
            "run": {"tolerance": tolerance, "seed": seed, "minibatch": "full", "keep": ["parameters"]},
        }

    def tensors(self, theta: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Weights [.., n, m] and biases [.., n] of every layer of theta [.., P]."""
        out, at, lead = [], 0, theta.shape[:-1]
        for m, n in zip(self.layers, self.layers[1:], strict=False):
            w, b = theta[..., at : at + m * n], theta[..., at + m * n : at + (m + 1) * n]
            out.append((w.reshape(*lead, n, m), b))
            at += (m + 1) * n
        return out

    def theta(self, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        """[.., P] from tensors by name, as a store has them."""
        names = [f"{kind}{i}" for i in range(1, len(self.layers)) for kind in ("w", "b")] + ["log_noise"] * self.own
        lead = arrays["b1"].shape[:-1]
        return np.concatenate([arrays[name].reshape(*lead, -1) for name in names], axis=-1)

    def values(self, theta: np.ndarray) -> np.ndarray:
        """[.., 50] what is looked at: output, or probability, of networks theta [.., P]."""
        value = np.broadcast_to(self.inputs.T, (*theta.shape[:-1], *self.inputs.T.shape))
        for layer, (w, b) in enumerate(self.tensors(theta.astype(np.float64))):
            value = w @ (np.tanh(value) if layer else value) + b[..., None]
        out = value[..., 0, :]
        return 1 / (1 + np.exp(-out)) if self.noise_sd is None else out


def _classifier() -> Problem:
    """2-5-1, the posterior of verify/references/2_5_1.json: 60 points, exclusive or."""
    text = files("gpu_thermo").joinpath("verify", "references", "2_5_1.json").read_text()
    known = json.loads(text)
    x, y, inputs = (np.array(known[key]) for key in ("x", "y", "inputs"))
    return Problem("classifier", (5,), known["prior_sd"], None, x, y, inputs)


def _stiff() -> Problem:
    """1-8-1, a wave known to .05: curvatures of the likelihood are hundreds of times those of the prior."""
    draw = np.random.default_rng(1818)
    x = draw.uniform(-2, 2, (60, 1)).round(4)
    y = (x[:, 0] / 2 + np.cos(2 * x[:, 0]) + 0.05 * draw.normal(size=60)).round(4)
    return Problem("stiff", (8,), 1.0, 0.05, x, y, np.linspace(-3, 3, INPUTS)[:, None].round(4))


def _diabetes() -> Problem:
    """10-10-1 with a learned noise on the diabetes table of scikit-learn, 50 rows of it looked at and not learned."""
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True)
    order = np.random.default_rng(1010).permutation(len(x))
    x, y = x[order] / x.std(axis=0), (y[order] - y.mean()) / y.std()
    return Problem("diabetes", (10,), 1.0, LEARNED, x[INPUTS:], y[INPUTS:], x[:INPUTS])


def _deep() -> Problem:
    """2-16-16-1, 100 points of two moons; 50 inputs on a wider rectangle."""
    draw = np.random.default_rng(21616)
    y = np.arange(100) % 2
    angle = draw.uniform(0, np.pi, 100)
    x = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    x[y == 1] = np.array([1.0, 0.5]) - x[y == 1]
    x = (x + 0.2 * draw.normal(size=x.shape)).round(4)
    return Problem("deep", (16, 16), 1.0, None, x, y, draw.uniform((-2.5, -2), (3.5, 2.5), (INPUTS, 2)).round(4))


MAKERS = {"classifier": _classifier, "stiff": _stiff, "diabetes": _diabetes, "deep": _deep}


@cache
def problem(name: str) -> Problem:
    """The problem of this name, one of MAKERS."""
    return MAKERS[name]()
