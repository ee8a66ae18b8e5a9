"""Targets: what is sampled. A target gives energies and gradients of many replicas at once."""

from .base import Batch, Layout, Target
from .harmonic import Harmonic
from .shlp import ShlpModel, ShlpTarget

__all__ = ["Batch", "Harmonic", "Layout", "ShlpModel", "ShlpTarget", "Target"]
