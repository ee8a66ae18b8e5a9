"""The posterior predictive from a store, in bounded memory, and the running sums it shares with the run loop
(`moments`).

Memory: one chunk of draws (`memory` bytes), a few megabytes of work a thread, and the sums, which have the size of the
result. Never an array of replicas x draws x points. Points go to threads in tiles, each with sums of its own, so that
the result does not depend on the threads.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import xarray as xr

from ..data import Dataset, Standardisation
from ..data.dataset import LOG, own_name
from ..data.tasks import TASKS
from ..engines import make_predictor, resolve_device
from ..errors import DataError, SpecError, StoreError
from ..registration import check_registered
from ..spec.model import LEARN
from ..spec.own import with_network
from ..spec.run import RunSpec
from ..store.narrow import NAMES as NARROW
from ..targets.likelihoods import LEARNED, get_likelihood
from ..targets.networks import MlpModel
from ..targets.own.check import PROBE, check_network, check_same
from ..targets.own.model import OwnModel
from .claims import learned_centre, names_of, warn_of_verdict
from .draws import Chunk, Evaluate, Scales, Source, mixtures
from .ensembles import ensemble_columns, labels
from .logarithms import in_own_units
from .moments import BLOCK, RunningMoments
from .outside import Reach
from .points import points_of
from .scores import in_own_unit, scores
from .trees import Run, names_damage, opened

__all__ = ["RunningMoments", "data_names", "model_of", "opened", "predict", "restored_data", "scores_on_test"]

Array = Any
Phi = Callable[[MlpModel, np.ndarray, np.ndarray], np.ndarray]
"""(model, positions [r, P], inputs [t, m] as the network sees them) -> phi [r, t, n]. The place for a faster kernel."""

MEMORY = 64 * 2**20
QUANTILES = (0.05, 0.5, 0.95)
_QUANTILES = ("quantiles", "mean_quantiles")
"""Of an answer, and of its mean over draws."""
_TILE_POINTS = 512
_TILE_BYTES = 3 * 2**20


@names_damage
def predict(
    run: Run, x: Array, ensemble: int | None = None, *, memory: int = MEMORY, threads: int | None = None,
    phi: Phi | None = None,
    device: str = "auto", quantiles: Sequence[float] = QUANTILES, quantile_draws: int | None = None,
    mean_quantiles: bool = True, network: Array = None,
) -> xr.Dataset:  # fmt: skip
    """Average the predictions of a run's draws at new inputs, within each ensemble (equations.md section 9).

    Parameters
    ----------
    run
        An opened run, or the path of its store.
    x
        [point, feature] in the data's own units; standardised as the run's data were. The columns of a DataFrame, or
        of a mapping from names to columns, are matched by name; those of an array are in the order of the run's own.
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
    quantiles
        Levels of the quantiles of an answer, where answers are numbers; () saves their time.
    quantile_draws
        Quantiles take at most so many draws, spread evenly; None takes all.
    mean_quantiles
        Whether those of the draws' means are wanted, too.
    network
        The network again, of a run whose network was given from Python; it is held against the stored probe.

    Returns
    -------
    xarray.Dataset
        mean, variance [ensemble, point, output], the variance over draws (epistemic); entropy, expected_entropy,
        mutual_information [ensemble, point] in nats for classes. For numbers aleatoric_variance, the mean of the draws'
        own, total_variance, their sum, and [ensemble, quantile, point, output] quantiles of the mixture over draws, an
        answer's, and mean_quantiles of the draws' means (epistemic), all in the target's own units. draws and
        weight_ess [ensemble]; x [point, feature]; outside [point], by how many standard deviations a point's farthest
        input lies beyond all training rows (0 inside; 10 for a category that none of them has). Without the dimension
        `ensemble` where one was asked for. Frozen replicas count until they froze.

    Raises
    ------
    DataError
        x has the wrong number of features, lacks one by name, or has values that are not finite.
    SpecError
        There is no such ensemble, or a level of a quantile is not between 0 and 1.
    StoreError
        The run keeps no parameters, or has no draws yet.
    DeviceError
        There is no such GPU.
    """
    tree, levels = opened(run), _checked_levels(quantiles)
    warn_of_verdict(tree)
    model, data = model_of(tree, network), Scales.of(tree)
    source = Source.of(tree, model.layout, ensemble)
    names = data_names(tree)
    x = points_of(x, names["features"], _targets(tree), names.get("recipe"))
    networks = {d: data.inputs(x, d).astype(source.dtype) for d in np.unique(source.ensemble_dataset)}
    where = resolve_device(device, model.library)
    needless = phi is not None or (
        source.weighted and where == "cpu"
    )  # sums of weights are array code's, with NumPy's own predictions
    predictor = None if needless else make_predictor(model, source.dtype, where, threads)
    evaluate = (lambda position, inputs: phi(model, position, inputs)) if phi else model.predict
    if predictor is not None and predictor.has_moments and not source.weighted:
        evaluate = predictor.phi
        parts = [_sum_by_kernel(source, predictor, networks, len(x), memory)]
    else:
        if predictor is not None and where != "cpu":
            evaluate, threads = predictor.phi, 1
        parts = _sum_by_arrays(source, model, evaluate, networks, len(x), memory, threads)
    out = xr.concat(
        [m.to_dataset() for m in parts], "point", data_vars="minimal", coords="minimal", compat="override", join="exact"
    )
    if levels and model.likelihood.values is not None:
        found = np.full((2, len(source.ensembles), len(levels), len(x), model.targets), np.nan)
        every = source.every(quantile_draws)
        for tile, e, mixture in mixtures(source, model, evaluate, networks, len(x), memory, every):
            found[0, e, :, tile] = mixture.close_quantiles(levels)
            if mean_quantiles:
                found[1, e, :, tile] = mixture.location_quantiles(levels)
        for name, values in zip(_QUANTILES, found[: 1 + mean_quantiles], strict=False):
            out[name] = (("ensemble", "quantile", "point", "output"), values)
        out = out.assign_coords(quantile=list(levels))
    out = _assemble(tree, source, data, x, out)
    if (reach := Reach.of(tree)) is not None:
        out["outside"] = ("point", reach.beyond(x).max(axis=1))
    if names.get("target_transform") == LOG:
        tiles = mixtures(source, model, evaluate, networks, len(x), memory, source.every(quantile_draws))
        out = in_own_units(out, tiles, data, source.ensemble_dataset)
    return out.isel(ensemble=0) if ensemble is not None else out


def _checked_levels(quantiles: Sequence[float]) -> tuple[float, ...]:
    levels = tuple(float(level) for level in quantiles)
    for level in levels:
        if not 0 < level < 1:
            raise SpecError(f"quantiles has the level {level:g}: levels are between 0 and 1, as in (0.05, 0.5, 0.95).")
    return levels


def _sum_by_arrays(
    source: Source, model: MlpModel, evaluate: Evaluate, networks: Mapping[int, np.ndarray], points: int,
    memory: int, threads: int | None,
) -> list[RunningMoments]:  # fmt: skip
    """All draws by array code: sums of tiles of points, each a thread's own."""
    width = max(16, min(_TILE_POINTS, -(-points // 2)))
    tiles = [slice(i, min(i + width, points)) for i in range(0, points, width)]
    sums = [_empty(len(source.ensembles), t.stop - t.start, model) for t in tiles]
    workers = min(threads or min(2, os.cpu_count() or 1), max(1, len(tiles)))
    with _single_threaded_blas(), ThreadPoolExecutor(workers) as pool:
        for chunk in source.chunks(memory):
            for job in [
                pool.submit(_accumulate, m, chunk, model, networks, t, evaluate)
                for m, t in zip(sums, tiles, strict=True)
            ]:
                job.result()
    return sums


def _targets(tree: xr.DataTree) -> tuple[str, ...]:
    """Names that a table of points may give to what is predicted."""
    given = getattr(RunSpec.from_json(tree.attrs["spec"]).data, "target", None)
    return (*map(own_name, data_names(tree)["targets"]), *([given] if isinstance(given, str) else given or ()))


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
    return names_of(tree.attrs["data"])


def model_of(tree: xr.DataTree, network: Array = None) -> MlpModel:
    """The network of an opened run; StoreError as for `data_names`.

    Raises
    ------
    SpecError
        The run's network was given from Python and is not given, or is another one.
    """
    spec, made = RunSpec.from_json(tree.attrs["spec"]), choices_of(tree)
    _, own, _ = with_network(spec, network, None)
    if own is None:
        return made
    probe = check_network(own, made.inputs, made.outputs, "this run", spec.model.dtype)
    check_same(probe, tree["constant_data"][PROBE].to_numpy(), spec.model.dtype)
    return OwnModel.of(made, own)


def choices_of(tree: xr.DataTree) -> MlpModel:
    """What the spec of an opened run chooses for its network: likelihood, prior, sizes of ours; StoreError as for
    `data_names`.
    """
    spec, names = RunSpec.from_json(tree.attrs["spec"]), data_names(tree)
    check_registered(spec.registered, ("activation", "likelihood", "prior"))
    model = spec.model
    likelihood = get_likelihood(model.likelihood or names["task"])
    outputs = likelihood.outputs(TASKS[names["task"]].outputs(len(names["classes"]) or len(names["targets"])))
    noise_sd, task = tree.attrs.get("noise_sd", model.noise_sd or 1.0), model.likelihood or names["task"]
    centre: tuple[float, ...] = ()
    if noise_sd == LEARN:
        centre = learned_centre(tree, len(names["targets"]))
        noise_sd, task = 1.0, LEARNED[likelihood.name]
    return MlpModel(
        len(names["features"]), model.layers, outputs, task, model.activation, model.scales, float(noise_sd),
        model.prior or "normal", dof=model.dof or 4.0, noise_centre=centre,
        weighted="weight_train" in tree["constant_data"] or model.class_weight is not None,
    )  # fmt: skip


def restored_data(tree: xr.DataTree) -> Dataset:
    """The data of an opened run as sampled, from the run itself; StoreError as for `data_names`."""
    names, constant = data_names(tree), tree["constant_data"].to_dataset()
    arrays: dict[str, Any] = {name: constant[name].to_numpy() for name in ("x_train", "y_train", "x_test", "y_test")}
    arrays |= {name: arrays[name].astype(np.float64) for name in NARROW if arrays[name].dtype == np.float32}
    s, scales = Scales.of(tree), None
    if s.feature_mean is not None and s.feature_sd is not None:
        scales = Standardisation(s.feature_mean, s.feature_sd, s.target_mean, s.target_sd)
    weight = constant["weight_train"].to_numpy() if "weight_train" in constant else None
    return Dataset(**names, **arrays, standardisation=scales, weight=weight)


@names_damage
def scores_on_test(run: Run) -> dict[int, dict[str, float]]:
    """Scores of each ensemble's running average on its test set, in the target's own units; empty where there is no
    test set or draw.
    """
    tree = opened(run, "sample_stats", "predictive")
    task, constant, predictive = (
        data_names(tree)["task"],
        tree["constant_data"].to_dataset(),
        tree["predictive"].to_dataset(),
    )
    y_test, means, scales = constant["y_test"].to_numpy(), predictive["mean"].to_numpy(), Scales.of(tree)
    stats = tree["sample_stats"]
    of_chain, dataset = stats["ensemble"].to_numpy(), stats["dataset"].to_numpy()
    out: dict[int, dict[str, float]] = {}
    for e in np.unique(of_chain):
        d = int(dataset[np.flatnonzero(of_chain == e)[0]])
        mean, y = means[e], y_test[d]
        if len(y) == 0 or np.isnan(mean).any():
            continue
        log_density = predictive["log_density"].to_numpy()[e] if "log_density" in predictive else None
        units = (None if a is None else a[d] for a in (scales.target_mean, scales.target_sd))
        out[int(e)] = scores(task, *in_own_unit(mean, y, log_density, *units))
    return out


def _sum_by_kernel(
    source: Source, predictor: Any, networks: Mapping[int, np.ndarray], points: int, memory: int
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
                noise = model.noise_variance(chunk.position[mine])
                sums |= {} if noise is None else {"sum_w_noise": noise.sum(axis=0)}
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
    chunk: Chunk,
    model: MlpModel,
    networks: Mapping[int, np.ndarray],
    tile: slice,
    evaluate: Evaluate,
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
                    phi[part] = evaluate(chunk.position[start + part], networks[int(d)][tile])
        _refuse_overflow(phi.sum(axis=0, dtype=np.float64), tile.start)
        log_w = None if chunk.log_weight is None else chunk.log_weight[rows]
        moments.update(phi, chunk.ensemble[rows], log_w, noise=model.noise_variance(chunk.position[rows]))


def _assemble(tree: xr.DataTree, source: Source, data: Scales, x: np.ndarray, out: xr.Dataset) -> xr.Dataset:
    """Undo the target's standardisation, and name everything."""
    names = data_names(tree)
    if data.target_mean is not None and data.target_sd is not None:
        mean, sd = (
            xr.DataArray(a[source.ensemble_dataset], dims=("ensemble", "output"))
            for a in (data.target_mean, data.target_sd)
        )
        spread = ("variance", "aleatoric_variance", "total_variance")
        scaled = {name: out[name] * sd + mean for name in ("mean", *_QUANTILES) if name in out}
        scaled |= {name: out[name] * sd**2 for name in spread}
        out = out.assign({name: value.transpose(*out[name].dims) for name, value in scaled.items()})
    task = names["task"]
    outputs = get_likelihood(task).names(names["classes"], names["targets"])
    out = out.assign_coords(ensemble=source.ensembles, output=list(outputs), feature=list(names["features"]))
    out = out.assign_coords({name: ("ensemble", values) for name, values in _differences(tree, source).items()})
    out["x"] = (("point", "feature"), x)
    out.attrs = {
        "task": task,
        "information_units": "nats",
        "description": "averages over draws and replicas of each ensemble",
    }
    return out


def _differences(tree: xr.DataTree, source: Source) -> dict[str, np.ndarray]:
    """Data set, hyperparameters and label of each ensemble asked for, name -> [E]."""
    stats = tree["sample_stats"].to_dataset() if "sample_stats" in tree.children else None
    if stats is None or "ensemble" not in stats.coords:
        return {}
    known = np.unique(stats["ensemble"].to_numpy())
    found = ensemble_columns(stats)
    found["label"] = np.array(labels(found, len(known)))
    place = np.searchsorted(known, source.ensembles)
    return {name: values[place] for name, values in found.items() if name not in ("output", "feature", "point")}


def _single_threaded_blas() -> Any:
    """Our own threads share the cores: matrix products must not start theirs."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    return threadpool_limits(1, user_api="blas")
