"""Harmonic wells, the targets of the exact laws; they live with the other analytic targets."""

from ..potentials.wells import Harmonic

__all__ = ["Harmonic"]
