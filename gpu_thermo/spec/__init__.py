"""What a user writes: the run's spec, and errors that name the field, the value and the remedy."""

from .run import RunSpec
from .told import tell

tell(RunSpec)

__all__ = ["RunSpec"]
