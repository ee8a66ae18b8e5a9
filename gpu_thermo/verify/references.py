"""Posteriors of small networks by long runs of NUTS in float64, which share no code with this package
(tests/reference/nuts.py wrote the summaries in references/), and the distance of samples from them.

A reference has means and variances over the Bayes posterior (T = 1) of quantities in function space at 50 inputs, on
the data and away from them: `p`, a class probability; `f`, a mean; `eta`, the logarithm of the noise sd.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from ..data import Dataset
from ..running.setup import prepare
from ..running.subject import Setup
from ..spec.run import RunSpec
from ..state import State
from ..targets.functions import sigmoid
from ..targets.likelihoods.values import log_noise
from ..targets.posterior import MlpTarget
from .report import LIMIT, Check, Score, from_scores
from .sampling import Observe, Place, Plan, average

PACE = {
    "2_5_1": (0.5, 0.15), "2_4_4_1": (0.4, 0.2), "1_6_6_heteroscedastic": (0.08, 0.3), "1_8_1_student_t": (0.12, 0.2),
}  # fmt: skip
"""Stepsize and friction at which BAOAB's own error is far below that of a check, by the name of a reference."""
SOFT = {"boundaries": (100, 200, 300, 400), "factors": (0.002, 0.01, 0.05, 0.3, 1.0)}
"""Factors of the stepsize over the first steps, and of 1 / friction: draws of a prior may say that the noise is next to
none, and fall down walls a thousand times steeper than where they end."""


@dataclass(frozen=True)
class Law:
    """Mean and variance [50] of one quantity over the posterior, with the standard errors of both."""

    mean: np.ndarray
    variance: np.ndarray
    mean_error: np.ndarray
    variance_error: np.ndarray
    split_rhat: float
    ess: tuple[int, int]
    """Effective draws for the mean: at the worst of the inputs, and the median over them."""


@dataclass(frozen=True)
class Reference:
    """A network with tanh and a prior N(0, prior_sd^2), its data x [N, m], y [N] or [N, 1], and laws at `inputs` [50,
    m].
    """

    name: str
    hidden: tuple[int, ...]
    likelihood: str
    prior_sd: float
    x: np.ndarray
    y: np.ndarray
    inputs: np.ndarray
    laws: Mapping[str, Law]
    chains: int
    draws: int
    divergent: int

    @property
    def model(self) -> dict[str, Any]:
        """[model] of a spec."""
        return {
            "hidden": list(self.hidden), "activation": "tanh", "likelihood": self.likelihood,
            "prior_sd": self.prior_sd, "init": "prior",
        }  # fmt: skip

    @property
    def method(self) -> dict[str, Any]:
        """[method] of a spec: BAOAB at the Bayes temperature, soft at first."""
        stepsize, friction = PACE[self.name]
        soft = {"schedule": "piecewise", "boundaries": SOFT["boundaries"]}
        return {
            "name": "langevin", "posterior_temperature": 1.0,
            "stepsize": {"value": stepsize, **soft, "factors": SOFT["factors"]},
            "friction": {"value": friction, **soft, "factors": [1 / factor for factor in SOFT["factors"]]},
        }  # fmt: skip

    @property
    def data(self) -> Dataset:
        """The training points, as they are."""
        names = tuple(f"x{i}" for i in range(self.x.shape[1]))
        x, y = self.x[None], self.y[None]
        if self.likelihood == "bernoulli":
            return Dataset("reference", "binary", x, y, x[:, :0], y[:, :0], names, ("0", "1"))
        return Dataset("reference", "regression", x, y, x[:, :0], y[:, :0], names, (), ("y",))


@cache
def load(name: str) -> Reference:
    """The reference of this name, one of PACE."""
    stored = json.loads(files("gpu_thermo").joinpath("verify", "references", f"{name}.json").read_text())
    laws = {
        quantity: Law(
            **{key: np.array(law[key]) for key in ("mean", "variance", "mean_error", "variance_error")},
            split_rhat=law["split_rhat"], ess=tuple(law["ess"]),
        ) for quantity, law in stored["quantities"].items()
    }  # fmt: skip
    x, y, inputs = (np.array(stored[key]) for key in ("x", "y", "inputs"))
    return Reference(
        name, tuple(stored["hidden"]), stored["likelihood"], stored["prior_sd"], x, y, inputs, laws,
        stored["chains"], stored["draws"], stored["divergent"],
    )  # fmt: skip


def quantities(reference: Reference, out: np.ndarray, own: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """What the reference has laws of, [.., 50] each, from outputs [.., 50, n] at its inputs, and `own` [..], the log
    noise that a network learns for all inputs.
    """
    if reference.likelihood == "bernoulli":
        return {"p": sigmoid(out[..., 0], np)}
    eta = log_noise(out[..., 1], np) if own is None else np.broadcast_to(own[..., None], out.shape[:-1])
    return {"f": out[..., 0], "eta": eta}


def scores(first: np.ndarray, second: np.ndarray, law: Law) -> np.ndarray:
    """z [2, 50] of mean and variance of a quantity, from each replica's averages of it and of its square, [R, 50].

    The errors of both sides count; ours are by the jackknife over replicas, which for the variance takes in that the
    mean is estimated too.
    """
    count = len(first)
    centre = law.mean  # squares about it, so that nothing cancels
    moment, about = first - centre, second - 2 * centre * first + centre**2
    without = [(v.sum(axis=0) - v) / (count - 1) for v in (moment, about)]
    ours = np.stack([moment.mean(axis=0), about.mean(axis=0) - moment.mean(axis=0) ** 2])
    left_out = np.stack([without[0], without[1] - without[0] ** 2])
    error = np.sqrt((count - 1) * left_out.var(axis=1))
    theirs = np.stack([law.mean_error, law.variance_error])
    return (ours - np.stack([np.zeros_like(centre), law.variance])) / np.hypot(error, theirs)


def against_nuts(place: Place, name: str, plan: Plan) -> list[Check]:
    """Mean and variance of every quantity at every input, sampled from starts at the prior."""
    reference = load(name)
    steps = plan.burn + plan.draws * plan.thin
    run = {
        "replicas": plan.replicas, "steps": steps, "burn_in": plan.burn, "thin": plan.thin, "minibatch": "full",
        "seed": place.seed,
    }  # fmt: skip
    ready = prepare(
        RunSpec.from_dict({"model": reference.model, "method": reference.method, "run": run}), data=reference.data
    )
    averages = average(place, ready.job, plan, _observer(reference, ready), ready.initial_state())
    listed = [
        found
        for quantity, law in reference.laws.items()
        for found in _listed(reference, quantity, law, averages[quantity], averages[f"{quantity}^2"])
    ]
    return [from_scores("posterior", f"{name.replace('_', '-')}, NUTS", place.engine, listed)]


def _listed(reference: Reference, quantity: str, law: Law, first: np.ndarray, second: np.ndarray) -> list[Score]:
    """A score for each input and moment; what means see is in standard deviations of the quantity."""
    sees = LIMIT * float((first.std(axis=0, ddof=1) / np.sqrt(len(first) * law.variance)).max())
    return [
        Score(f"{moment} of {quantity} at {', '.join(f'{v:g}' for v in x)}", float(z), sees)
        for moment, row in zip(("mean", "variance"), scores(first, second, law), strict=True)
        for x, z in zip(reference.inputs, row, strict=True)
    ]


def _observer(reference: Reference, ready: Setup) -> Observe:
    """Quantities and their squares of a state."""
    target = ready.subject.target
    assert isinstance(target, MlpTarget)
    model = target.model

    def observe(state: State) -> dict[str, np.ndarray]:
        """... at the reference's inputs."""
        position = state.position.astype(np.float64)
        own = position[:, -1] if model.noises else None
        found = quantities(reference, model.outputs_at(position, reference.inputs), own)
        return found | {f"{name}^2": value**2 for name, value in found.items()}

    return observe
