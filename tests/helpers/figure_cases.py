"""A small study over two parameters."""

STUDY = {
    "data": {"name": "spirals", "turns": 1, "train": 40, "test": 40},
    "model": {"hidden": 6},
    "run": {"steps": 300, "batch": 10, "trace": 50},
    "method": {"name": "adlala"},
    "grid": {"method.sigma": [0.0, 0.01], "method.temperature.hidden": [1e-6, 1e-4]},
    "seeds": {"count": 6},
}
