"""Analytic targets: potentials given by a formula, with exact answers to compare with.

Reading order: base (the protocols), analytic (noise, shared once), wells, mixture, plane, user (your own function), options (the [target]
section of a spec), grid (the exact answers).
"""

from .analytic import Analytic
from .base import Batch, Layout, Potential, Target
from .grid import Grid, mode_of, mode_weights
from .mixture import GaussianMixture
from .options import TARGETS, AnyTarget, TargetOptions
from .plane import Plane
from .user import UserPotential
from .wells import DoubleWell, Harmonic, Quartic

__all__ = [
    "TARGETS",
    "Analytic",
    "AnyTarget",
    "Batch",
    "DoubleWell",
    "GaussianMixture",
    "Grid",
    "Harmonic",
    "Layout",
    "Plane",
    "Potential",
    "Quartic",
    "Target",
    "TargetOptions",
    "UserPotential",
    "mode_of",
    "mode_weights",
]
