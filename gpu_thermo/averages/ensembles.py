"""What a run says of its chains: which are ensembles, in what these differ, and which chains no longer count."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from ..errors import Status

OF_CHAIN = ("chain", "ensemble", "dataset", "seed", "stream", "status", "frozen_step", "superchain", "thin")
"""Coordinates of a chain that are no hyperparameters."""


def counted(chains: int, draws: int, noun: str = "network") -> str:
    """How many networks a run has kept, for people: "768 networks: 48 chains x 16 draws"; of a potential they are
    points.
    """
    number = chains * draws
    one = lambda n, what: f"{n:,} {what}{'' if n == 1 else 's'}"  # noqa: E731
    return f"{one(number, noun)}: {one(chains, 'chain')} x {one(draws, 'draw')}"


def counted_in(tree: xr.DataTree) -> str:
    """The same of an opened run."""
    sizes = tree["sample_stats"].sizes
    return counted(sizes["chain"], sizes["draw"], "network" if "data" in tree.attrs else "point")


def ensemble_labels(stats: xr.Dataset) -> dict[int, str]:
    """In what each ensemble of a run differs from its others: "data set 3, stepsize 0.1"; "" where there is one.

    Parameters
    ----------
    stats : the group sample_stats, or any group with the coordinates of its chains.
    """
    ensembles = np.unique(stats["ensemble"].to_numpy())
    return dict(zip(ensembles.tolist(), labels(ensemble_columns(stats), len(ensembles)), strict=True))


def ensemble_columns(stats: xr.Dataset) -> dict[str, np.ndarray]:
    """Data set and every hyperparameter of each ensemble, name -> [E], in the order of the ensembles' numbers."""
    of_chain = {str(n): c.to_numpy() for n, c in stats.coords.items() if c.dims == ("chain",)}
    return columns(of_chain, stats["ensemble"].to_numpy())


def columns(of_chain: Mapping[str, np.ndarray], ensemble: np.ndarray) -> dict[str, np.ndarray]:
    """Data set and hyperparameters of each ensemble, name -> [E], from coordinates of chains [C]."""
    first = np.unique(ensemble, return_index=True)[1]
    names = [name for name in of_chain if name not in OF_CHAIN]
    return {name: of_chain[name][first] for name in (*(["dataset"] if "dataset" in of_chain else []), *names)}


def labels(found: Mapping[str, np.ndarray], count: int) -> list[str]:
    """In what each of `count` ensembles differs from the others, in words, from their `columns`."""
    parts: list[list[str]] = [[] for _ in range(count)]
    for name, values in found.items():
        if len({*values.tolist()} - {None}) < 2 or (values != values).all():
            continue
        for some, value in zip(parts, values, strict=True):
            text = f"{value:g}" if np.issubdtype(values.dtype, np.number) else str(value)
            some.append(f"{'data set' if name == 'dataset' else name} {text}")
    return [", ".join(some) for some in parts]


def chain_status(stats: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Status of each chain and the step it stopped at, [chain] each; one that ends with a loss that is not finite has a
    status, too, as of its first such draw of the last ones.
    """
    chains = stats.sizes["chain"]
    status = stats["status"].to_numpy().copy() if "status" in stats else np.zeros(chains, np.int32)
    step = stats["frozen_step"].to_numpy().copy() if "frozen_step" in stats else np.full(chains, -1)
    if "energy" not in stats or stats.sizes["draw"] == 0:
        return status, step
    last = ~np.isfinite(_at(stats, "energy", draw=-1))
    if "log_weight" in stats and "rung" in stats:  # whose energies are those of the target rung alone
        last &= _at(stats, "rung", draw=-1) == 0
    (lost,) = np.nonzero((status == Status.RUNNING) & last)
    if len(lost):
        energy = _at(stats, "energy", chain=lost)
        bad = ~np.isfinite(energy[:, ::-1])
        since = np.where(bad.all(axis=1), bad.shape[1], bad.argmin(axis=1))  # draws at the end without a finite loss
        status[lost], step[lost] = Status.NONFINITE_LOSS, stats["step"].to_numpy()[bad.shape[1] - since]
    return status, step


def _at(stats: xr.Dataset, name: str, **where: Any) -> np.ndarray:
    return np.asarray(stats[name].transpose("chain", "draw").isel(**where).to_numpy())
