"""What a run says of its chains: which are ensembles, in what these differ, and which chains no longer count."""

import numpy as np
import xarray as xr

from ..errors import Status

OF_CHAIN = ("chain", "ensemble", "dataset", "seed", "stream", "status", "frozen_step", "superchain")
"""Coordinates of a chain that are no hyperparameters."""


def ensemble_labels(stats: xr.Dataset) -> dict[int, str]:
    """In what each ensemble of a run differs from its others: "data set 3, stepsize 0.1"; "" where there is one.

    Parameters
    ----------
    stats : the group sample_stats, or any group with the coordinates of its chains.
    """
    ensembles, first = np.unique(stats["ensemble"].to_numpy(), return_index=True)
    parts: dict[int, list[str]] = {int(e): [] for e in ensembles}
    hyper = [str(n) for n, c in stats.coords.items() if c.dims == ("chain",) and n not in OF_CHAIN]
    for name in (*(["dataset"] if "dataset" in stats.coords else []), *hyper):
        values = stats[name].to_numpy()[first]
        if len({*values.tolist()} - {None}) < 2 or (values != values).all():
            continue
        for e, value in zip(ensembles, values, strict=True):
            text = f"{value:g}" if np.issubdtype(values.dtype, np.number) else str(value)
            parts[int(e)].append(f"{'data set' if name == 'dataset' else name} {text}")
    return {e: ", ".join(some) for e, some in parts.items()}


def chain_status(stats: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Status of each chain and the step it stopped at, [chain] each; one that ends with a loss that is not finite has a
    status, too, as of its first such draw of the last ones.
    """
    chains = stats.sizes["chain"]
    status = stats["status"].to_numpy().copy() if "status" in stats else np.zeros(chains, np.int32)
    step = stats["frozen_step"].to_numpy().copy() if "frozen_step" in stats else np.full(chains, -1)
    if "energy" not in stats or stats.sizes["draw"] == 0:
        return status, step
    last = stats["energy"].transpose("chain", "draw").isel(draw=-1).to_numpy()
    (lost,) = np.nonzero((status == Status.RUNNING) & ~np.isfinite(last))
    if len(lost):
        energy = stats["energy"].transpose("chain", "draw").isel(chain=lost).to_numpy()
        bad = ~np.isfinite(energy[:, ::-1])
        since = np.where(bad.all(axis=1), bad.shape[1], bad.argmin(axis=1))  # draws at the end without a finite loss
        status[lost], step[lost] = Status.NONFINITE_LOSS, stats["step"].to_numpy()[bad.shape[1] - since]
    return status, step
