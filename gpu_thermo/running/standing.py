"""Where replicas stand, as if it had been recorded: what a run keeps that stops before its first draw."""

import numpy as np

from ..state import Recorded, State


def as_it_stands(state: State) -> Recorded:
    """A ring of one moment, now; temperatures are not known, and frozen rows are NaN."""
    frozen = np.asarray(state.status) != 0
    position, thermostat = np.array(state.position), np.array(state.thermostat, np.float64)
    position[frozen] = np.nan
    return Recorded(
        steps=(state.step,), position=position[None], thermostat=thermostat[None],
        kinetic_temperature=np.full((1, *thermostat.shape), np.nan), energy=np.array(state.energy, np.float64)[None],
    )  # fmt: skip
