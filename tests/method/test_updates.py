"""Whole-step updates against their equations (equations.md section 3)."""

import numpy as np
import pytest
from linear_maps import advance, job_of, start, well

# -- whole-step updates --------


def reference(update, gradient, theta, lr, steps, mu=0.9, rho=None):
    """Positions after each step, in plain float64, as printed in equations.md section 3."""
    v, m, s, out = 0.0, 0.0, 0.0, []
    for k in range(1, steps + 1):
        g = -gradient(theta)  # G of the equations
        if update == "sgd":
            theta = theta + lr * g
        elif update == "momentum":
            v = mu * v + lr * g
            theta = theta + v
        elif update == "momentum2":
            v = mu * v + (1 - mu) * g
            theta = theta + lr * v
        elif update == "adam":
            m, s = 0.9 * m - 0.1 * g, 0.999 * s + 0.001 * g * g
            theta = theta - lr * (m / (1 - 0.9**k)) / (np.sqrt(s / (1 - 0.999**k)) + 1e-8)
        elif update == "coolmomentum":
            v = rho[k - 1] * v + lr * (1 + rho[k - 1]) / 2 * g
            theta = theta + v
        out.append(theta)
    return np.array(out)


@pytest.mark.parametrize("update", ["sgd", "momentum", "momentum2", "adam", "coolmomentum"])
def test_updates_against_their_equations(update, dtype):
    from gpu_thermo.method.schedules import Cooling

    stiffness, lr = np.array([1.0, 0.3, 2.0]), np.array([0.1, 0.02])
    cooling = Cooling(law="published", rho=0.9)
    schedules = {("momentum", 0): cooling} if update == "coolmomentum" else None
    job = job_of(
        update, well(np.tile(stiffness, (2, 1)), 3), lr, 2, dtype=dtype, total=30, schedules=schedules, momentum=0.9
    )
    state = start(job)
    first = state.position.astype(float)
    ring = advance(job, state, 30, range(1, 31))
    for r in range(2):
        expected = reference(
            update, lambda q: stiffness * q, first[r], lr[r], 30, rho=0.9 * cooling.tabulate(0, 30, 30)
        )
        np.testing.assert_allclose(ring.position[:, r], expected, rtol=0, atol=1e-5 if dtype == np.float32 else 1e-13)
