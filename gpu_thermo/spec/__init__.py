"""What a user writes: the run's spec, and errors that name the field, the value and the remedy."""

from .run import RunSpec

__all__ = ["RunSpec"]
