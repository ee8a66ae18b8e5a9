"""Networks and jobs of every activation, likelihood and prior, with or without weights of points, on random data."""

from dataclasses import replace

import numpy as np

from gpu_thermo.data import Dataset
from gpu_thermo.engines.base import Batching, Job
from gpu_thermo.method.named import get_method, make_program
from gpu_thermo.moves.contour import Contour
from gpu_thermo.state import Hyper
from gpu_thermo.targets.likelihoods import LIKELIHOODS
from gpu_thermo.targets.networks import MlpModel
from gpu_thermo.targets.posterior import MlpTarget

SCALE, NOISE_SD, DOF = 1.3, 0.7, 2.5
SHAPES = {"narrow": (2, 6), "wide": (11, 5), "deep": (3, (5, 4, 7))}
"""Inputs and hidden units."""
SCALES = {"one": SCALE, "by layer": {"hidden": SCALE, "output": "fan_in"}}
"""Scales of priors."""
STIFF = {"heteroscedastic": 0.05, "poisson": 0.05}
"""Factors of the stepsize where random data make gradients so steep that rounding grows tenfold in a few steps."""
SPREAD = {"heteroscedastic": 0.15, "poisson": 0.15}
"""Of random parameters, where it is not .5: outputs are exponents there."""


def make_data(likelihood, inputs, outputs, points=40, sets=2):
    """`sets` data sets for a likelihood, standard normal inputs."""
    g, record = np.random.default_rng(0), LIKELIHOODS[likelihood]
    task = record.task
    x = g.normal(size=(sets, points, inputs))
    labels = g.integers(0, max(2, outputs), (sets, points))
    y = g.normal(size=(sets, points, outputs)) if task == "regression" else labels
    y = g.poisson(2.0, y.shape).astype(np.float64) if likelihood == "poisson" else y
    names = tuple(f"x{i}" for i in range(max(inputs, outputs, 2)))
    classes = () if task == "regression" else names[: max(2, outputs)]
    return Dataset(
        "made", task, x, y, x[:, :8], y[:, :8], names[:inputs], classes, names[:outputs] if not classes else ()
    )


def make_target(activation, likelihood, prior, shape, dtype, replicas, scale="one", weighted=False):
    """R networks of some shape on their data sets."""
    outputs = {"bernoulli": 1}.get(likelihood, 2 if shape == "wide" else 3)
    inputs, hidden = SHAPES[shape]
    data = make_data(likelihood, inputs, outputs)
    weight = np.random.default_rng(4).exponential(size=data.x_train.shape[:2])
    data = replace(data, weight=weight / weight.mean(axis=1, keepdims=True))
    raw = LIKELIHOODS[likelihood].outputs(outputs)
    model = MlpModel(
        inputs, hidden, raw, likelihood, activation, SCALES[scale] if prior else None, NOISE_SD, prior or "normal",
        dof=DOF, noise_centre=tuple(-0.1 * i for i in range(outputs)), weighted=weighted,
    )  # fmt: skip
    return MlpTarget(model, data, np.arange(replicas) % 2, dtype)


def make_job(activation, likelihood, prior, shape, dtype, mode, method, scale="one", weighted=False, replicas=9,
             masses=False, contour=False):  # fmt: skip
    """A job of R replicas, each with its own hyperparameters; with random masses, with a contour."""
    target = make_target(activation, likelihood, prior, shape, dtype, replicas, scale, weighted)
    named, g = get_method(method), np.random.default_rng(1)
    program = make_program(named, target.layout.partition(named.partition))
    shape = (replicas, len(program.partition.names))
    values = {"temperature": 0.01, "friction": 1.0, "sigma": 0.2, "epsilon": 0.3}
    hyper = Hyper.constant(
        replicas, shape[1], STIFF.get(likelihood, 1) * (0.05 + 0.1 * g.random(replicas)), total=100, thermostat=0.1,
        **{name: value * (1 + g.random(shape)) for name, value in values.items()},
    )  # fmt: skip
    seed, stream = np.full(replicas, 2**40 + 1, np.uint64), np.arange(replicas, dtype=np.uint64)
    batching = Batching(mode, target.points if mode == "full" else 10)
    scale_of_mass = 0.3 + g.random((replicas, target.layout.size)) if masses else None
    learned = Contour(zeta=0.8, bins=20, lowest=0.0, width=0.2, omega_max=0.2, learn=7) if contour else None
    return Job(program, target, hyper, batching, seed, stream, dtype, learned, scale_of_mass)
