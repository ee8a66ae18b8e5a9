"""A small study, and data sets of studies compared."""

import numpy as np
import xarray as xr

ADLALA = {"name": "adlala", "stepsize": 0.2, "temperature": 1e-4, "friction": 0.5}
SMALL = {
    "data": {"name": "spirals", "turns": 1, "train": 40, "test": 40},
    "model": {"hidden": 6},
    "run": {"steps": 200, "batch": 10, "trace": 50},
    "grid": {"method": [{"name": "sgd", "stepsize": 0.1}, ADLALA, {**ADLALA, "friction": 2.0, "label": "thick"}]},
    "seeds": {"count": 5},
}


def changed(**sections: object) -> dict:
    """SMALL with whole sections replaced; None leaves one out."""
    return {key: value for key, value in {**SMALL, **sections}.items() if value is not None}


def same(one: xr.Dataset, other: xr.Dataset) -> None:
    """Equal in all but times."""
    assert set(one.variables) == set(other.variables)
    for name in set(one.variables) - {"seconds", "ess_per_second"}:
        np.testing.assert_array_equal(one[name].to_numpy(), other[name].to_numpy(), err_msg=str(name))
