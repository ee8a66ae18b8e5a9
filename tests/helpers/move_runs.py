"""Small runs with each kind of move, and their stores compared bit for bit."""

import numpy as np

DATA = {"name": "spirals", "train": 60, "test": 20}
MODEL = {"hidden": 6, "prior_sd": 1.0}
LANGEVIN = {"name": "langevin", "stepsize": 0.2, "temperature": 5e-3, "friction": 1.0}
ADL = {"name": "adl", "stepsize": 0.1, "temperature": 5e-3, "sigma": 0.05, "epsilon": 0.1}
RUN = {"replicas": 12, "steps": 240, "burn_in": 80, "thin": 8, "trace": 40, "batch": 10}
EXCHANGE = {"kind": "exchange", "rungs": 3, "hottest": 0.05, "interval": 10}
MOVES = {
    "exchange": EXCHANGE,
    "exchange_adapted": EXCHANGE | {"target_acceptance": 0.4, "window": "auto"},
    "exchange_noisy": EXCHANGE | {"energy_batch": 30},
    "tempering": {"kind": "tempering", "temperatures": [5e-3, 6e-3, 7e-3], "interval": 7},
    "contour": {"kind": "contour", "zeta": 0.5, "bins": 20, "lowest": 0.5, "width": 0.03},
    "contour_interacting": {
        "kind": "contour",
        "zeta": 0.5,
        "bins": 20,
        "lowest": 0.5,
        "width": 0.03,
        "interacting": True,
        "interval": 3,
    },
    "contour_learned": {"kind": "contour", "zeta": 0.5, "bins": 20, "lowest": 0.5, "width": 0.03, "learn": 50},
    "cyclical": {"kind": "cyclical", "period": 40},
}


def spec(move=None, method=None, **run):
    return {
        "data": DATA,
        "model": MODEL,
        "method": method or LANGEVIN,
        "run": RUN | run,
        "moves": [move] if move else [],
    }


def same(a, b):
    """Two opened runs hold the same numbers, bit for bit."""
    for group in ("posterior", "sample_stats", "trace", "predictive", "probes"):
        for name, values in a[group].data_vars.items():
            assert np.array_equal(values.to_numpy(), b[group][name].to_numpy(), equal_nan=values.dtype.kind == "f"), (
                group,
                name,
            )
