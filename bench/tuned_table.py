"""Twelve data sets and targets by langevin, {BAOAB} and adl with minibatches: how long to a tolerance of .05.

Laws are known of seven of them by closed forms, quadrature or NUTS: what was reported stands beside what is true.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

import gpu_thermo as gt
from gpu_thermo.errors import RunError
from gpu_thermo.targets.analytic.grid import Grid
from gpu_thermo.targets.analytic.wells import DoubleWell
from gpu_thermo.targets.user import UserPotential
from gpu_thermo.verify.references import load

from .tuned_runs import REFERENCES, REPLICAS, SEED_OF_TABLE, moments, told

TOLERANCE, SECONDS, SHARE = 0.05, 60.0, 4
"""What is asked for, the longest a run may take, and by how much smaller than the data a minibatch is."""
METHODS: dict[str, dict[str, Any]] = {
    "langevin": {"name": "langevin"},
    "{BAOAB}": {"name": "langevin", "word": "{BAOAB}"},
    "adl": {"name": "adl", "sigma": 0.01, "epsilon": 0.1},
    "sgld": {"name": "sgld"},
}
Offsets = Callable[[Any], np.ndarray]
"""From a run: (mean found - true mean) / true sd of everything whose law is known."""


@dataclass(frozen=True)
class Subject:
    """A row: a spec without method and run, what else `sample` is given, and what is known.

    Attributes
    ----------
    points : N, 0 where there are no data and so no minibatches. bayes : whether the temperature is that of Bayes (T 1),
    else tau. known : the true errors of a run; None where no law is known.
    """

    spec: dict[str, Any]
    points: int = 0
    temperature: dict[str, float] = field(default_factory=lambda: {"posterior_temperature": 1.0})
    given: dict[str, Any] = field(default_factory=dict)
    known: Offsets | None = None


def positions(mean: np.ndarray, sd: np.ndarray, tree: Any) -> np.ndarray:
    """True errors of the coordinates of a potential."""
    return np.asarray((tree["posterior"]["position"].to_numpy().mean(axis=(0, 1)) - mean) / sd)


# -- potentials --------------------------------------------------------------------------------------------------------


def gaussian() -> Subject:
    """Three independent normal coordinates."""
    stiffness = np.array([1.0, 4.0, 25.0])
    target = {"name": "harmonic", "stiffness": stiffness.tolist(), "start_sd": 2.0}
    known = partial(positions, np.zeros(3), stiffness**-0.5)
    return Subject({"target": target}, 0, {"temperature": 1.0}, known=known)


def on_grid(grid: Grid) -> Offsets:
    """Of a law in one or two dimensions."""
    axes = [(e[1:] + e[:-1]) / 2 for e in grid.edges]
    weight = np.exp(-(grid.energy - grid.energy.min()) / grid.temperature)
    weight /= weight.sum()
    mean, sd = [], []
    for values in np.meshgrid(*axes, indexing="ij"):
        mean.append((weight * values).sum())
        sd.append(np.sqrt((weight * values**2).sum() - mean[-1] ** 2))
    return partial(positions, np.array(mean), np.array(sd))


def double_well() -> Subject:
    """A barrier of 2 tau between two wells, one of them lower by 1."""
    shape = {"height": 2.0, "tilt": 0.5}
    grid = Grid.of(DoubleWell(**shape), extent=(-4, 4))
    target = {"name": "double_well", **shape, "start_sd": 1.0}
    return Subject({"target": target}, 0, {"temperature": 1.0}, known=on_grid(grid))


MUELLER = np.array(
    [
        (-200, -1, 0, -10, 1, 0),
        (-100, -1, 0, -10, 0, 0.5),
        (-170, -6.5, 11, -6.5, -0.5, 1.5),
        (15, 0.7, 0.6, 0.7, -1, 1),
    ]
)


def mueller_brown() -> Subject:
    """The plane of Mueller and Brown (1979) at a temperature of 30, a third of its barrier."""

    def function(q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        size, a, b, c, x, y = MUELLER.T.astype(q.dtype)
        dx, dy = q[:, :1] - x, q[:, 1:] - y
        with np.errstate(over="ignore"):
            term = size * np.exp(a * dx**2 + b * dx * dy + c * dy**2)
            slope = [(term * (2 * a * dx + b * dy)).sum(axis=1), (term * (b * dx + 2 * c * dy)).sum(axis=1)]
        return term.sum(axis=1, dtype=np.float64), np.stack(slope, axis=1)

    potential = UserPotential(function, 2, coordinates=("x", "y"))
    grid = Grid.of(potential, extent=((-2.5, 2.0), (-1.5, 3.0)), temperature=30.0)
    target = {"name": "custom", "size": 2, "start_sd": 0.5}
    return Subject({"target": target}, 0, {"temperature": 30.0}, {"potential": potential}, on_grid(grid))


def linear_regression() -> Subject:
    """Bayes: 100 points of 6 correlated inputs, noise of sd .5, normal priors of sd 1."""
    rng, noise = np.random.default_rng(6), 0.5
    x = rng.normal(size=(100, 6)) @ (np.eye(6) + 0.4)
    y = x @ rng.normal(size=6) + noise * rng.normal(size=100)

    def function(q: np.ndarray, batch: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        rows, answers = (x[None], y[None]) if batch is None else (x[batch], y[batch])
        off = (rows @ q[:, :, None].astype(np.float64))[..., 0] - answers
        energy = (off**2).mean(axis=1) / (2 * noise**2) + (q.astype(np.float64) ** 2).sum(axis=1) / 200
        slope = (rows * off[..., None]).mean(axis=1) / noise**2 + q / 100
        return energy, slope.astype(q.dtype)

    potential = UserPotential(function, 6, points=100)
    precision = x.T @ x / noise**2 + np.eye(6)
    mean = np.linalg.solve(precision, x.T @ y / noise**2)
    sd = np.sqrt(np.diag(np.linalg.inv(precision)))
    spec = {"target": {"name": "custom", "size": 6}}
    return Subject(spec, 100, {"temperature": 0.01}, {"potential": potential}, partial(positions, mean, sd))


# -- networks ----------------------------------------------------------------------------------------------------------


def reference(name: str) -> Subject:
    """Of a posterior known by NUTS."""
    known = load(name)
    sd = np.sqrt(np.concatenate([law.variance for law in known.laws.values()]))

    def offsets(tree: Any) -> np.ndarray:
        return np.asarray(moments(known, tree)[:, 0].mean(axis=0) / sd)

    return Subject({"model": known.model}, len(known.x), given={"data": known.data}, known=offsets)


def bundled(data: dict[str, Any], points: int, **model: Any) -> Subject:
    """Of a data set that comes with the package."""
    return Subject({"data": data, "model": {"activation": "tanh", "prior_sd": 1.0, **model}}, points)


SUBJECTS: dict[str, Callable[[], Subject]] = {
    "normal, 3 widths": gaussian,
    "double well": double_well,
    "Mueller-Brown": mueller_brown,
    "Bayesian linear regression": linear_regression,
    **{name.replace("_", "-", name.count("_")): partial(reference, name) for name in REFERENCES},
    "moons, 10 units": lambda: bundled({"name": "moons", "train": 200}, 200, hidden=10, prior_sd=2.0),
    "spirals, 50 units": lambda: bundled({"name": "spirals", "turns": 2, "train": 500}, 500, hidden=50, prior_sd=3.0),
    "gap, 20 units": lambda: bundled({"name": "gap", "train": 100}, 100, hidden=20),
    "wine, 8 units": lambda: bundled({"name": "wine"}, 124, hidden=8),
}


def rows() -> Iterator[dict[str, Any]]:
    """Every subject by every method."""
    for name, make in SUBJECTS.items():
        for method in METHODS:
            subject = make()
            if subject.points or method not in ("{BAOAB}", "sgld"):  # langevin goes in braces by itself there
                yield row(name, subject, method)


def row(name: str, subject: Subject, method: str, seed: int = SEED_OF_TABLE) -> dict[str, Any]:
    """One run to the tolerance, or to its last second: gradients of a replica in passes over the data, the group at h/2
    counted.
    """
    batch = max(1, subject.points // SHARE)
    small = subject.points > 0 and method != "{BAOAB}"
    run = {"replicas": REPLICAS, "tolerance": TOLERANCE, "max_time": SECONDS, "seed": seed}
    run |= {"keep": ["parameters"]} if "model" in subject.spec and subject.known else {}
    run |= {"batch": batch} if small else {"minibatch": "full"} if subject.points else {}
    spec = subject.spec | {"method": METHODS[method] | subject.temperature, "run": run}
    entry: dict[str, Any] = {"subject": name, "method": method, "minibatch": batch if small else 0}
    begin = time.perf_counter()
    try:
        tree = gt.sample(spec, **subject.given)
    except RunError as error:
        return entry | {"refused": str(error), "seconds": time.perf_counter() - begin}
    course, verdict = told(tree)
    braces = verdict["bias"] is None
    passes = course["stop"] * (1 if braces else 1 + max(32, REPLICAS // 4) / REPLICAS)
    offsets = None if subject.known is None or verdict["error"] is None else subject.known(tree)
    return entry | {
        "seconds": time.perf_counter() - begin, "steps": course["stop"],
        "gradients": passes * (batch / subject.points if small else 1), "ended": course["ended"],
        "reported": verdict["error"], "bias": verdict["bias"], "bias_error": verdict["bias_error"],
        "trusted": verdict["trusted"], "text": verdict["text"],
        "true_rms": None if offsets is None else float(np.sqrt((offsets**2).mean())),
        "true_largest": None if offsets is None else float(abs(offsets).max()),
    }  # fmt: skip
