"""In what ensembles differ, and which chains no longer count."""

import numpy as np
import xarray as xr

from gpu_thermo.averages.ensembles import chain_status, ensemble_labels
from gpu_thermo.errors import Status


def stats(**coords):
    chains = len(coords["ensemble"])
    energy = np.ones((chains, 3))
    out = xr.Dataset({"energy": (("chain", "draw"), energy)}, {"step": ("draw", [10, 20, 30])})
    return out.assign_coords({name: ("chain", np.asarray(values)) for name, values in coords.items()})


def test_labels_name_what_differs():
    found = stats(ensemble=[0, 0, 1, 1], dataset=[0, 0, 0, 0], stepsize=[0.1, 0.1, 0.25, 0.25], seed=[1, 2, 3, 4],
                  temperature_all=[1e-4] * 4, friction_all=[np.nan] * 4)  # fmt: skip
    assert ensemble_labels(found) == {0: "stepsize 0.1", 1: "stepsize 0.25"}
    both = found.assign_coords(dataset=("chain", [0, 0, 3, 3]))
    assert ensemble_labels(both) == {0: "data set 0, stepsize 0.1", 1: "data set 3, stepsize 0.25"}
    assert ensemble_labels(stats(ensemble=[0, 0], stepsize=[0.1, 0.1])) == {0: ""}


def test_a_chain_that_ends_without_a_finite_loss_has_a_status():
    """Since its first such draw of the last ones; one that comes back goes on, one that froze keeps its cause."""
    found = stats(ensemble=[0] * 5, status=[0, 0, 0, 0, 3], frozen_step=[-1, -1, -1, -1, 7])
    found["energy"][:] = [[1, 1, 1], [1, np.inf, np.nan], [np.nan] * 3, [1, np.inf, 1], [np.nan] * 3]
    status, step = chain_status(found)
    lost = int(Status.NONFINITE_LOSS)
    assert status.tolist() == [0, lost, lost, 0, 3]
    assert step.tolist() == [-1, 20, 10, -1, 7]
    assert chain_status(found.isel(draw=slice(0)))[0].tolist() == [0, 0, 0, 0, 3]
