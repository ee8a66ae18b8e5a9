"""Harmonic wells."""

import numpy as np

from gpu_thermo.targets.analytic.wells import Harmonic
from gpu_thermo.targets.analytic.wells import Harmonic as OldHarmonic


def test_harmonic_is_where_it_was():
    assert OldHarmonic is Harmonic
    per_replica = Harmonic(np.array([1.0, 4.0]), 3)
    q = np.ones((2, 3))
    assert per_replica.energy(q).tolist() == [1.5, 6.0]
    assert per_replica.energy(q[:1], np.array([1])).tolist() == [6.0]
    assert per_replica.gradient(q)[1].tolist() == [4.0] * 3
