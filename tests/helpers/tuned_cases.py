"""Runs that tune themselves, small ones."""

import json

STIFFNESS = (1.0, 4.0, 25.0)


def well(seed=1, tolerance=0.1, replicas=64, **run):
    """A harmonic well of three frequencies at temperature 1, from starts of twice the widest spread."""
    return {
        "target": {"name": "harmonic", "stiffness": list(STIFFNESS), "start_sd": 2.0},
        "method": {"name": "langevin", "temperature": 1.0},
        "run": {"replicas": replicas, "tolerance": tolerance, "seed": seed, **run},
    }


def told(tree):
    """Course and verdict of an opened run, as plain data."""
    attributes = tree["tuning"].attrs
    return json.loads(attributes["course"]), json.loads(attributes["verdict"])
