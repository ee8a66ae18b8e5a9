"""Runs of one spec under several seeds as one run of more chains."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from ..errors import SpecError, StoreError
from ..spec.run import RunSpec
from ..store.schema import RUNGS
from .predictive import choices_of
from .resample import draw_weights
from .trees import Run, names_damage, opened

CHAINED = ("posterior", "momenta", "probes", "log_likelihood", "sample_stats", "trace")
OF_ONE_RUN = ("run_id", "fingerprint", "spec_digest", "schema", "engine", "device", "created_at")
"""Attributes that say nothing of several runs."""
SEEDS = ("run.seed", "run.seed_init", "run.seed_dynamics", "run.replicas")


@names_damage
def concat(runs: Sequence[Run]) -> xr.DataTree:
    """Several runs of one spec and the same data as one: their chains side by side, their averages merged.

    Parameters
    ----------
    runs : opened runs or paths of stores, which may differ in seeds and in the number of replicas, and in nothing else.

    Returns
    -------
    xarray.DataTree
        As an opened run, in memory, with a coordinate `run` on chain; `predictive` is that of all draws. It can be read
        (predict, diagnose, map, resample, to_netcdf) and not resumed.

    Raises
    ------
    SpecError
        There are fewer than two, or specs differ: the fields are named.
    StoreError
        Data or draws differ, or two runs have a stream in common, and so the same noise.
    """
    if isinstance(runs, str | xr.DataTree) or len(runs) < 2:
        raise SpecError("concat takes a list of at least two runs: concat([first, second]).")
    trees = [opened(run, "sample_stats") for run in runs]
    specs = [RunSpec.from_json(tree.attrs["spec"]) for tree in trees]
    for i, (tree, spec) in enumerate(zip(trees, specs, strict=True)):
        _check_alike(i, spec, specs[0])
        _check_draws(i, tree, trees[0])
    _check_streams(trees)
    groups: dict[str, xr.Dataset] = {}
    for name in (*CHAINED, *(f"{name}{RUNGS}" for name in CHAINED)):
        if name in trees[0].children:
            parts = [tree[name].to_dataset() for tree in trees]
            groups[name] = _side_by_side(parts, name, [spec.run.replicas for spec in specs])
    groups["sample_stats"].attrs |= _reports(trees)
    if "predictive" in trees[0].children:
        groups["predictive"] = merged(trees)
    if "constant_data" in trees[0].children:
        groups["constant_data"] = trees[0]["constant_data"].to_dataset()
    out = xr.DataTree.from_dict(groups)
    total = specs[0].model_copy(update={"run": _with_replicas(specs)})
    out.attrs = {k: v for k, v in trees[0].attrs.items() if k not in OF_ONE_RUN} | {
        "spec": total.to_json(), "runs": json.dumps([tree.attrs.get("run_id", "") for tree in trees]),
    }  # fmt: skip
    return out


def _with_replicas(specs: Sequence[RunSpec]) -> Any:
    run = specs[0].run
    return run.model_copy(update={"replicas": sum(spec.run.replicas for spec in specs)})


def _check_alike(i: int, spec: RunSpec, first: RunSpec) -> None:
    """SpecError where a run's spec differs from the first one's in more than seeds and replicas."""
    if differing := [name for name in first.differing_fields(spec) if name not in SEEDS]:
        raise SpecError(
            f"Run {i} differs from run 0 in {', '.join(differing)}: runs of one spec under other seeds can be"
            " concatenated. Runs that differ are compared by gpu-thermo study or compare."
        )


def _check_draws(i: int, tree: xr.DataTree, first: xr.DataTree) -> None:
    """StoreError where data, groups or draws are not those of the first run."""
    if set(tree.children) != set(first.children):
        odd = ", ".join(sorted(set(tree.children) ^ set(first.children)))
        raise StoreError(f"Run {i} and run 0 do not have the same groups ({odd}): open both whole.")
    for group in ("sample_stats", "trace"):
        if group in first.children and not _same(tree[group]["step"], first[group]["step"]):
            counts = (tree[group]["step"].size, first[group]["step"].size)
            raise StoreError(
                f"Run {i} has {counts[0]} recorded steps in {group} and run 0 {counts[1]}, or others: resume the"
                " shorter one to the end of the longer (--draws), or take the same from each."
            )
    if "constant_data" not in first.children:
        return
    for name, values in first["constant_data"].to_dataset().data_vars.items():
        if name not in tree["constant_data"] or not _same(tree["constant_data"][str(name)], values):
            raise StoreError(f"Run {i} has other data than run 0 ({name}): concatenate runs on the same data.")


def _same(a: Any, b: Any) -> bool:
    return a.shape == b.shape and bool(np.array_equal(a.to_numpy(), b.to_numpy(), equal_nan=a.dtype.kind == "f"))


def _check_streams(trees: Sequence[xr.DataTree]) -> None:
    """StoreError where two runs have a (seed, stream) in common."""
    seen: dict[tuple[int, int], int] = {}
    for i, tree in enumerate(trees):
        stats = tree[f"sample_stats{RUNGS}" if f"sample_stats{RUNGS}" in tree.children else "sample_stats"]
        for key in zip(stats["seed"].to_numpy().tolist(), stats["stream"].to_numpy().tolist(), strict=True):
            if seen.setdefault(key, i) != i:
                raise StoreError(
                    f"Runs {seen[key]} and {i} both have stream {key[1]} of seed {key[0]}: their noise is the same, and"
                    " their chains are not independent. Sample one of them with another run.seed."
                )


def _side_by_side(parts: Sequence[xr.Dataset], group: str, counts: Sequence[int]) -> xr.Dataset:
    """Chains (or replicas) of all parts, renumbered, with the run that each is of; `counts` are replicas of each."""
    lead = "replica" if group.endswith(RUNGS) else "chain"
    replicas = chains = 0
    moved = []
    for i, part in enumerate(parts):
        count = part.sizes[lead]
        new = part.assign_coords({lead: np.arange(count) + (replicas if lead == "replica" else chains)})
        new = new.assign_coords(run=(lead, np.full(count, i), {"units": "1", "long_name": "run that was concatenated"}))
        if lead == "chain" and "replica" in part.coords:
            new = new.assign_coords(replica=_moved(part["replica"], replicas))
        if "ladder" in part.coords:
            new = new.assign_coords(ladder=_moved(part["ladder"], chains))
        chains += count if lead == "chain" else int(part["ladder"].max()) + 1 if "ladder" in part.coords else 0
        replicas += counts[i]
        moved.append(new.load())
    out = xr.concat(moved, lead, data_vars="minimal", coords="minimal", compat="override", join="override")
    for name, values in out.variables.items():
        values.attrs = {
            k: v for k, v in parts[0].variables.get(name, values).attrs.items() if k not in ("run_id", "crc32c")
        }
    return out


def _moved(numbers: xr.DataArray, by: int) -> tuple[Any, ...]:
    """Numbers of replicas or ladders, counted on from those of earlier runs."""
    return numbers.dims, numbers.to_numpy() + by


def _reports(trees: Sequence[xr.DataTree]) -> dict[str, str]:
    """What moves report of each run, one after the other."""
    said = [tree["sample_stats"].attrs.get("moves") for tree in trees]
    return {"moves": json.dumps([r for text in said for r in json.loads(text or "[]")])} if any(said) else {}


def merged(trees: Sequence[xr.DataTree]) -> xr.Dataset:
    """`predictive` of all draws of runs, from those of each: means by weight, what follows from means anew."""
    parts = [tree["predictive"].to_dataset().load() for tree in trees]
    out, total = parts[0].copy(deep=True), np.stack([_totals(t, p) for t, p in zip(trees, parts, strict=True)])
    share = total / np.where(total.sum(axis=0) > 0, total.sum(axis=0), np.nan)

    def mean(name: str, value: Any = None) -> np.ndarray:
        values = [p[name].transpose("ensemble", ...).to_numpy() if value is None else value(p) for p in parts]
        return np.asarray(sum(_times(share[i], v) for i, v in enumerate(values)))

    found: dict[str, np.ndarray] = {n: mean(n) for n in ("mean", "aleatoric_variance", "expected_entropy") if n in out}
    found["variance"] = np.maximum(mean("variance", lambda p: _square(p)) - found["mean"] ** 2, 0)
    found["draws"] = np.sum([p["draws"].to_numpy() for p in parts], axis=0)
    ess = np.stack([p["weight_ess"].to_numpy() for p in parts])
    with np.errstate(invalid="ignore", divide="ignore"):
        found["weight_ess"] = total.sum(axis=0) ** 2 / np.nansum(np.where(total > 0, total**2 / ess, 0), axis=0)
    if "total_variance" in out:
        found["total_variance"] = found["variance"] + found["aleatoric_variance"]
    if "entropy" in out:
        classes = choices_of(trees[0]).likelihood.classes
        assert classes is not None
        found["entropy"] = classes.entropy(found["mean"])
        found["mutual_information"] = np.maximum(found["entropy"] - found["expected_entropy"], 0)
    if "log_density" in out:
        with np.errstate(divide="ignore"):
            found["log_density"] = np.log(mean("log_density", lambda p: np.exp(p["log_density"].to_numpy())))
    for name, values in found.items():
        out[name] = (out[name].transpose("ensemble", ...).dims, values, out[name].attrs)
    return out


def _square(part: xr.Dataset) -> np.ndarray:
    return np.asarray((part["variance"] + part["mean"] ** 2).transpose("ensemble", ...).to_numpy())


def _times(share: np.ndarray, values: np.ndarray) -> np.ndarray:
    """A run's share [E] of values [E, ...]; nothing of an ensemble without draws."""
    weight = share.reshape(-1, *(1,) * (values.ndim - 1))
    return np.where(weight > 0, weight * np.nan_to_num(values), np.where(np.isnan(weight), np.nan, 0.0))


def _totals(tree: xr.DataTree, part: xr.Dataset) -> np.ndarray:
    """[E] sum of the weights of each ensemble's draws."""
    stats = tree["sample_stats"].to_dataset()
    if "log_weight" not in stats:
        return np.asarray(part["draws"].to_numpy(), np.float64)
    weight, of_chain = draw_weights(stats, relative=False), stats["ensemble"].to_numpy()
    return np.array([weight[of_chain == e].sum() for e in range(part.sizes["ensemble"])])
