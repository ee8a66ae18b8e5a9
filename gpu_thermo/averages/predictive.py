"""The posterior predictive from a store, in bounded memory, and the running sums it shares with the run loop
(`moments`).

Memory: one chunk of draws (`memory` bytes), a few megabytes of work a thread, and the sums, which have the size of the
result. Never an array of replicas x draws x points. Points go to threads in tiles, each with sums of its own, so that
the result does not depend on the threads.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..data import Dataset, Standardisation
from ..data.tasks import TASKS
from ..engines import make_predictor, resolve_device
from ..errors import DataError, SpecError, StoreError
from ..spec.run import RunSpec
from ..targets.base import Layout
from ..targets.likelihoods import get_likelihood
from ..targets.networks import MlpModel
from .moments import BLOCK, RunningMoments
from .scores import scores

__all__ = ["RunningMoments", "data_names", "model_of", "opened", "predict", "restored_data", "scores_on_test"]

Array = Any
Run = xr.DataTree | str | os.PathLike[str]
Phi = Callable[[MlpModel, np.ndarray, np.ndarray], np.ndarray]
"""(model, positions [r, P], inputs [t, m] as the network sees them) -> phi [r, t, n]. The place for a faster kernel."""

MEMORY = 64 * 2**20
_MAX_INPUT = 1e30
_TILE_POINTS = 512
_TILE_BYTES = 3 * 2**20


def predict(
    run: Run, x: Array, ensemble: int | None = None, *, memory: int = MEMORY, threads: int | None = None,
    phi: Phi | None = None,
    device: str = "auto",
) -> xr.Dataset:  # fmt: skip
    """Average the predictions of a run's draws at new inputs, within each ensemble (equations.md section 9).

    Parameters
    ----------
    run
        An opened run, or the path of its store.
    x
        [point, feature] in the data's own units; standardised as the run's data were.
    ensemble
        One ensemble, or None for all.
    memory
        Bytes of draws held at once, copies included.
    threads
        2 by default, or 1 where there is one processor.
    phi
        Replaces `MlpModel.predict`.
    device
        auto (a GPU where there is one), cpu, cuda or cuda:i.

    Returns
    -------
    xarray.Dataset
        mean, variance [ensemble, point, output]; entropy, expected_entropy, mutual_information [ensemble, point] in
        nats for classes, total_variance for regression (in the target's own units); draws and weight_ess [ensemble]; x
        [point, feature]. Without the dimension `ensemble` where one was asked for. Frozen replicas count until they
        froze.

    Raises
    ------
    DataError
        x has the wrong number of features, or values that are not finite.
    SpecError
        There is no such ensemble.
    StoreError
        The run keeps no parameters, or has no draws yet.
    DeviceError
        There is no such GPU.
    """
    tree = opened(run)
    model, data = model_of(tree), _Scales.of(tree)
    source = _Source.of(tree, model.layout, ensemble)
    x = check_inputs(x, model.inputs)
    networks = {d: data.inputs(x, d).astype(source.dtype) for d in np.unique(source.ensemble_dataset)}
    where = resolve_device(device)
    needless = phi is not None or (
        source.weighted and where == "cpu"
    )  # sums of weights are array code's, with NumPy's own predictions
    predictor = None if needless else make_predictor(model, source.dtype, where, threads)
    if predictor is not None and predictor.has_moments and not source.weighted:
        moments = _sum_by_kernel(source, predictor, networks, len(x), memory)
        return _assemble(tree, source, data, x, [moments.to_dataset()], ensemble is not None)
    width = max(16, min(_TILE_POINTS, -(-len(x) // 2)))
    tiles = [slice(i, min(i + width, len(x))) for i in range(0, len(x), width)]
    count = len(source.ensembles)
    sums = [_empty(count, t.stop - t.start, model) for t in tiles]
    workers = min(threads or min(2, os.cpu_count() or 1), max(1, len(tiles)))
    if predictor is not None and where != "cpu":
        phi = lambda m, position, inputs: predictor.phi(position, inputs)  # noqa: E731
        workers = 1
    evaluate = phi or (lambda m, position, inputs: m.predict(position, inputs))
    with _single_threaded_blas(), ThreadPoolExecutor(workers) as pool:
        for chunk in source.chunks(memory):
            for job in [
                pool.submit(_accumulate, m, chunk, model, networks, t, evaluate)
                for m, t in zip(sums, tiles, strict=True)
            ]:
                job.result()
    return _assemble(tree, source, data, x, [moments.to_dataset() for moments in sums], ensemble is not None)


def opened(run: Run) -> xr.DataTree:
    """An opened run from itself or from the path of its store."""
    if isinstance(run, xr.DataTree):
        return run
    from ..store import open_run

    return open_run(Path(run))


def data_names(tree: xr.DataTree) -> dict[str, Any]:
    """Name, task, features, classes and targets of an opened run's data, without reading the data.

    Raises
    ------
    StoreError
        If the group `constant_data` or the attribute `data` is missing.
    """
    if RunSpec.from_json(tree.attrs["spec"]).target is not None:
        raise SpecError(
            "This run samples a potential: there is no network to predict with. Its draws are in the group posterior."
        )
    if "constant_data" not in tree.children or "data" not in tree.attrs:
        raise StoreError(
            "The run does not hold its data (constant_data): it was not written by this program, or is damaged."
        )
    names = json.loads(tree.attrs["data"])
    return names | {name: tuple(names[name]) for name in ("features", "classes", "targets")}


def model_of(tree: xr.DataTree) -> MlpModel:
    """The network of an opened run; StoreError as for `data_names`."""
    model, names = RunSpec.from_json(tree.attrs["spec"]).model, data_names(tree)
    likelihood = get_likelihood(model.likelihood or names["task"])
    outputs = likelihood.outputs(TASKS[names["task"]].outputs(len(names["classes"]) or len(names["targets"])))
    noise_sd = float(tree.attrs.get("noise_sd", model.noise_sd or 1.0))
    return MlpModel(
        len(names["features"]), model.layers, outputs, model.likelihood or names["task"], model.activation,
        model.prior_sd, noise_sd, dof=model.dof or 4.0,
    )  # fmt: skip


def restored_data(tree: xr.DataTree) -> Dataset:
    """The data of an opened run as sampled, from the run itself; StoreError as for `data_names`."""
    names, constant = data_names(tree), tree["constant_data"].to_dataset()
    arrays: dict[str, Any] = {name: constant[name].to_numpy() for name in ("x_train", "y_train", "x_test", "y_test")}
    s, scales = _Scales.of(tree), None
    if s.feature_mean is not None and s.feature_sd is not None:
        scales = Standardisation(s.feature_mean, s.feature_sd, s.target_mean, s.target_sd)
    return Dataset(**names, **arrays, standardisation=scales)


def scores_on_test(run: Run) -> dict[int, dict[str, float]]:
    """Scores of each ensemble's running average on its test set, in the target's own units; empty where there is no
    test set or draw.
    """
    tree = opened(run)
    task, constant, predictive = (
        data_names(tree)["task"],
        tree["constant_data"].to_dataset(),
        tree["predictive"].to_dataset(),
    )
    y_test, means, scales = constant["y_test"].to_numpy(), predictive["mean"].to_numpy(), _Scales.of(tree)
    stats = tree["sample_stats"]
    of_chain, dataset = stats["ensemble"].to_numpy(), stats["dataset"].to_numpy()
    out: dict[int, dict[str, float]] = {}
    for e in np.unique(of_chain):
        d = int(dataset[np.flatnonzero(of_chain == e)[0]])
        mean, y = means[e], y_test[d]
        if len(y) == 0 or np.isnan(mean).any():
            continue
        log_density = predictive["log_density"].to_numpy()[e] if "log_density" in predictive else None
        if scales.target_mean is not None and scales.target_sd is not None:
            mean, y = (v * scales.target_sd[d] + scales.target_mean[d] for v in (mean, y))
            log_density = None if log_density is None else log_density - np.log(scales.target_sd[d]).sum()
        out[int(e)] = scores(task, mean, y, log_density)
    return out


def check_inputs(x: Array, features: int) -> np.ndarray:
    """`x` as float64 [point, feature]; DataError for a wrong width, NaN, or numbers no network can take."""
    try:
        out = np.asarray(x, np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"x is not an array of numbers ({error}). Give [points, {features}] numbers.") from None
    if out.ndim == 1 and features == 1:
        out = out[:, None]
    if out.ndim != 2 or out.shape[1] != features:
        raise DataError(
            f"x has shape {out.shape}; the run was trained on {features} features: give [points, {features}]."
        )
    if len(out) == 0:
        raise DataError("x has no points. Give at least one.")
    with np.errstate(invalid="ignore"):
        bad = np.argwhere(~(np.abs(out) <= _MAX_INPUT))
    if len(bad):
        i, j = bad[0]
        raise DataError(
            f"x[{i}, {j}] is {out[i, j]:g} ({len(bad)} such values); numbers must be finite and at most {_MAX_INPUT:g}"
            " in size. Remove or fill in these points."
        )
    return out


@dataclass(frozen=True)
class _Scales:
    """Standardisation of each data set, all arrays [D, ...] or None."""

    feature_mean: np.ndarray | None
    feature_sd: np.ndarray | None
    target_mean: np.ndarray | None
    target_sd: np.ndarray | None

    @classmethod
    def of(cls, tree: xr.DataTree) -> "_Scales":
        constant = tree["constant_data"].to_dataset()
        names = ("feature_mean", "feature_sd", "target_mean", "target_sd")
        return cls(*(constant[name].to_numpy() if name in constant else None for name in names))

    def inputs(self, x: np.ndarray, dataset: int) -> np.ndarray:
        if self.feature_mean is None or self.feature_sd is None:
            return x
        return (x - self.feature_mean[dataset]) / self.feature_sd[dataset]


@dataclass(frozen=True)
class _Chunk:
    """Draws of some chains: position [rows, P], the place of each row's ensemble among those asked for, its data set
    and log weight.
    """

    position: np.ndarray
    ensemble: np.ndarray
    dataset: np.ndarray
    log_weight: np.ndarray | None


@dataclass(frozen=True)
class _Source:
    """The stored draws of the chosen ensembles."""

    tensors: Sequence[xr.DataArray]
    log_weight: xr.DataArray | None
    weighted: bool
    chain_ensemble: np.ndarray
    chain_dataset: np.ndarray
    ensembles: np.ndarray

    @classmethod
    def of(cls, tree: xr.DataTree, layout: Layout, ensemble: int | None) -> "_Source":
        """The draws of one ensemble or of all, their tensors in the order of a position; refuses what has none."""
        if "posterior" not in tree.children:
            raise StoreError(
                'The run has no stored parameters to predict with: sample it with keep = ["parameters"] in [run].'
            )
        posterior = tree["posterior"].to_dataset()
        tensors = [posterior[name].transpose("chain", "draw", ...) for name in layout.tensors]
        if tensors[0].sizes["draw"] == 0:
            raise StoreError("The run has no draws yet: it is still in its burn-in. Resume it, or wait.")
        chains = tensors[0].sizes["chain"]
        coordinate = lambda name: posterior[name].to_numpy() if name in posterior.coords else np.zeros(chains, np.int64)  # noqa: E731
        known = np.unique(coordinate("ensemble"))
        if ensemble is not None and ensemble not in known:
            shown = ", ".join(map(str, known)) if len(known) <= 10 else f"{known[0]} to {known[-1]}"
            raise SpecError(f"There is no ensemble {ensemble} in the run. Ensembles: {shown}.")
        stats: Any = tree["sample_stats"] if "sample_stats" in tree.children else {}
        weights = stats["log_weight"].transpose("chain", "draw") if "log_weight" in stats else None
        chosen = known if ensemble is None else np.array([ensemble])
        moves = RunSpec.from_json(tree.attrs["spec"]).moves
        weighted = weights is not None and any(move.weighted for move in moves)  # else draws count fully or not at all
        return cls(tensors, weights, weighted, coordinate("ensemble"), coordinate("dataset"), chosen)

    @property
    def dtype(self) -> np.dtype:
        return self.tensors[0].dtype

    @property
    def ensemble_dataset(self) -> np.ndarray:
        """[E] the data set of each chosen ensemble."""
        return np.array([self.chain_dataset[np.flatnonzero(self.chain_ensemble == e)[0]] for e in self.ensembles])

    def chunks(self, memory: int) -> Iterator[_Chunk]:
        """All draws of the chosen chains in blocks of at most 256 chains and about `memory` bytes."""
        draws = self.tensors[0].sizes["draw"]
        per_draw = sum(int(np.prod(t.shape[2:])) for t in self.tensors) * self.dtype.itemsize
        for start in range(0, len(self.chain_ensemble), BLOCK):
            chains = start + np.flatnonzero(np.isin(self.chain_ensemble[start : start + BLOCK], self.ensembles))
            if len(chains) == 0:
                continue
            many = max(1, memory // (2 * per_draw))
            for few in np.array_split(chains, -(-len(chains) // many)):
                step = self._aligned(max(1, many // len(few)))
                for first in range(0, draws, step):
                    yield self._read(few, slice(first, first + step))

    def _aligned(self, step: int) -> int:
        """Draws to read at once: whole stored chunks where `step` allows, so that none is read twice."""
        stored = self.tensors[0].encoding.get("preferred_chunks", {}).get("draw", 1)
        return max(step // stored * stored, 1) if step >= stored else step

    def _read(self, chains: np.ndarray, draws: slice) -> _Chunk:
        span = slice(int(chains[0]), int(chains[-1]) + 1)
        rows = chains - chains[0]
        pick = lambda a: a.isel(chain=span, draw=draws).to_numpy()[rows]  # noqa: E731
        parts = [pick(t).reshape(len(chains), -1, int(np.prod(t.shape[2:]))) for t in self.tensors]
        position = np.concatenate(parts, axis=-1)
        count = position.shape[1]
        place = np.searchsorted(self.ensembles, self.chain_ensemble[chains])
        weights = None if self.log_weight is None else pick(self.log_weight).reshape(-1)
        flat = position.reshape(len(chains) * count, -1)
        alive = np.isfinite(flat).all(axis=1)
        if weights is not None:
            alive &= weights > -np.inf
        chunk = _Chunk(flat, np.repeat(place, count), np.repeat(self.chain_dataset[chains], count), weights)
        return chunk if alive.all() else _Chunk(*(None if v is None else v[alive] for v in vars(chunk).values()))  # type: ignore[arg-type]


def _sum_by_kernel(
    source: "_Source", predictor: Any, networks: Mapping[int, np.ndarray], points: int, memory: int
) -> RunningMoments:
    """All draws at all points through a predictor that sums over replicas itself."""
    model = predictor.model
    moments = _empty(len(source.ensembles), points, model)
    for chunk in source.chunks(memory):
        for start in range(0, len(chunk.position), BLOCK):
            rows = slice(start, min(start + BLOCK, len(chunk.position)))
            for e in np.unique(chunk.ensemble[rows]):
                mine = start + np.flatnonzero(chunk.ensemble[rows] == e)
                sums = predictor.moments(chunk.position[mine], networks[int(chunk.dataset[mine[0]])])
                _refuse_overflow(sums["sum_w_phi"], 0)
                moments.add_sums(int(e), len(mine), sums)
    return moments


def _empty(ensembles: int, points: int, model: MlpModel) -> RunningMoments:
    """Sums of a network's predictions, without draws."""
    return RunningMoments.empty(ensembles, points, model.outputs, model.task, model.noise_sd, dof=model.dof)


def _refuse_overflow(values: np.ndarray, first: int) -> None:
    """DataError that names the first point [first + t] whose values [t, n] are not finite."""
    if not np.isfinite(values).all():
        point = first + int(np.argwhere(~np.isfinite(values))[0, 0])
        raise DataError(
            f"The prediction at point {point} overflows: its inputs are too large for this network. Remove it."
        )


def _accumulate(
    moments: RunningMoments,
    chunk: _Chunk,
    model: MlpModel,
    networks: Mapping[int, np.ndarray],
    tile: slice,
    evaluate: Phi,
) -> None:
    """Add a chunk's draws at the points of one tile."""
    size = max(
        1, _TILE_BYTES // (chunk.position.itemsize * (tile.stop - tile.start) * (sum(model.hidden) + 2 * model.outputs))
    )
    for start in range(0, len(chunk.position), BLOCK):
        rows = slice(start, min(start + BLOCK, len(chunk.position)))
        phi = np.empty((rows.stop - start, tile.stop - tile.start, model.outputs), chunk.position.dtype)
        for d in np.unique(chunk.dataset[rows]):
            mine = np.flatnonzero(chunk.dataset[rows] == d)
            for i in range(0, len(mine), size):
                part = mine[i : i + size]
                with np.errstate(over="ignore", invalid="ignore"):
                    phi[part] = evaluate(model, chunk.position[start + part], networks[int(d)][tile])
        _refuse_overflow(phi.sum(axis=0, dtype=np.float64), tile.start)
        moments.update(phi, chunk.ensemble[rows], None if chunk.log_weight is None else chunk.log_weight[rows])


def _assemble(
    tree: xr.DataTree, source: _Source, data: _Scales, x: np.ndarray, parts: list[xr.Dataset], single: bool
) -> xr.Dataset:
    """Join the tiles, undo the target's standardisation, and name everything."""
    out = xr.concat(parts, "point", data_vars="minimal", coords="minimal", compat="override", join="exact")
    names = data_names(tree)
    if data.target_mean is not None and data.target_sd is not None:
        mean, sd = (
            xr.DataArray(a[source.ensemble_dataset], dims=("ensemble", "output"))
            for a in (data.target_mean, data.target_sd)
        )
        spread = ("variance", "aleatoric_variance", "total_variance")
        out = out.assign({"mean": out["mean"] * sd + mean} | {name: out[name] * sd**2 for name in spread})
        out = out.assign({name: out[name].transpose("ensemble", "point", "output") for name in ("mean", *spread)})
    task = names["task"]
    outputs = get_likelihood(task).names(names["classes"], names["targets"])
    out = out.assign_coords(ensemble=source.ensembles, output=list(outputs), feature=list(names["features"]))
    out["x"] = (("point", "feature"), x)
    out.attrs = {
        "task": task,
        "information_units": "nats",
        "description": "averages over draws and replicas of each ensemble",
    }
    return out.isel(ensemble=0) if single else out


def _single_threaded_blas() -> Any:
    """Our own threads share the cores: matrix products must not start theirs."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    return threadpool_limits(1, user_api="blas")
