"""What the run loop gives to a move between temperatures."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Energies:
    """Energies of R replicas as a move sees them.

    Attributes
    ----------
    value : [R] float64, U; NaN where frozen. variance : [R] float64, variance of the noise of `value`; 0 for full-batch
    energies.
    """

    value: np.ndarray
    variance: np.ndarray
