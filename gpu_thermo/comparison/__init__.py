"""Comparison of methods on one target at equal numbers of gradient evaluations: spec, runs, measures."""

from .execute import Comparison, compare_methods
from .spec import ComparisonSpec, Entry, Planned

__all__ = ["Comparison", "ComparisonSpec", "Entry", "Planned", "compare_methods"]
