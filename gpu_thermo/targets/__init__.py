"""Targets: what is sampled. A target gives energies and gradients of many replicas at once.

The network on data is shlp.py; analytic targets are the package `potentials`.
"""

from ..potentials import Batch, Harmonic, Layout, Potential, Target
from .shlp import ShlpModel, ShlpTarget

__all__ = ["Batch", "Harmonic", "Layout", "Potential", "ShlpModel", "ShlpTarget", "Target"]
