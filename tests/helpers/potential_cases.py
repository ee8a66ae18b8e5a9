"""Every potential, positions and batches to ask them at, and slopes by differences."""

import numpy as np
from pydantic import TypeAdapter

from gpu_thermo.streams import make_keys
from gpu_thermo.targets.analytic.mixture import GaussianMixture
from gpu_thermo.targets.analytic.plane import Plane
from gpu_thermo.targets.analytic.wells import DoubleWell, Harmonic, Quartic
from gpu_thermo.targets.base import Batch
from gpu_thermo.targets.options import AnyTarget
from gpu_thermo.targets.user import UserPotential

OPTIONS = TypeAdapter(AnyTarget)
TWO = {"means": [-6.0, 4.0], "weights": [0.4, 0.6]}


def ripple(q, xp):
    return (q * q / 2 + xp.cos(q)).sum(axis=-1)


def ripple_slope(q, xp):
    return q - xp.sin(q)


POTENTIALS = {
    "harmonic": lambda **noise: Harmonic([[0.5, 1.0, 2.0]], 3, **noise),
    "mixture_1": lambda **noise: GaussianMixture(**TWO, **noise),
    "mixture_2": lambda **noise: OPTIONS.validate_python({"name": "mixture", "preset": "twenty_five", **noise}).build(),
    "mixture_6": lambda **noise: GaussianMixture(
        np.linspace(-1, 2, 18).reshape(3, 6), np.linspace(0.5, 1, 18).reshape(3, 6), [0.2, 0.3, 0.5], **noise
    ),
    "plane": lambda **noise: Plane(**noise),
    "double_well": lambda **noise: DoubleWell(3.0, 1.5, 0.2, 3, **noise),
    "quartic": lambda **noise: Quartic(2.0, -1.5, 5, **noise),
    "user": lambda **noise: UserPotential(ripple, 2, ripple_slope, **noise),
}


def spread(potential, replicas, seed=3):
    """Positions [R, P] over the interesting region, clear of the plane's kink at r^2 = 7."""
    q = np.random.default_rng(seed).uniform(-2.4, 2.4, (replicas, potential.layout.size))
    return q[abs((q * q).sum(axis=-1) - 7) > 0.01]


def batch(replicas, seed=5, evaluation=0, stream=None):
    stream = np.arange(replicas) if stream is None else stream
    return Batch(None, np.arange(replicas), make_keys(np.full(replicas, seed), stream), evaluation)


def differences(potential, q, step=1e-5):
    """Central differences of the energy [R, P]."""
    steps = step * np.eye(q.shape[1])
    return np.stack([(potential.energy(q + s) - potential.energy(q - s)) / (2 * step) for s in steps], axis=-1)
