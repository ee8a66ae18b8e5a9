"""Networks on their data as what a run is about."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..averages.moments import RunningMoments
from ..averages.scores import scores
from ..data import Dataset
from ..data.tasks import TASKS
from ..engines import make_predictor, predictor_needs
from ..engines.base import Needs, cores
from ..engines.devices import each_device
from ..errors import SpecError
from ..moves import fold
from ..spec.model import LEARN
from ..spec.run import RunSpec
from ..streams import Keys
from ..targets.networks import MlpModel
from ..targets.own import OwnNetwork
from ..targets.own.check import PROBE, check_network
from ..targets.own.model import OwnModel
from ..targets.posterior import MlpTarget
from .model import as_answered, assumptions, make_model, weighted, with_scales
from .resources import check_least
from .seeing import NetworkObserver
from .seeing_shares import ObserverOfShares
from .seeing_there import ObserverThere
from .subject import BLOCK, Setup

Array = Any

MAX_PROBES = 32
_POINT = ("dataset", "point")


@dataclass(frozen=True)
class NetworkSubject:
    """Networks on their data; see Subject. `probe` are outputs of a network of the user's own at fixed points."""

    spec: RunSpec
    data: Dataset
    target: MlpTarget
    probe: np.ndarray | None = None

    potential = None
    parts = ("energy_data", "energy_prior")

    @classmethod
    def make(
        cls, spec: RunSpec, base: Path | None = None, data: Dataset | None = None, network: OwnNetwork | None = None
    ) -> "NetworkSubject":
        """The network and the data that a spec names; relative paths of files start at `base`, and `data` replaces
        reading them (as resume does). `network` is the user's own.

        Raises
        ------
        SpecError, DataError
            Whatever in the model or its data cannot be used, named.
        """
        if data is None:
            _check_sets(spec)
            data = as_answered(spec, spec.data).build(base)
        spec = with_scales(spec, data)
        model = make_model(spec, data)
        dtype, probe = np.dtype(spec.model.dtype).type, None
        if network is not None:
            probe = check_network(network, data.inputs, model.outputs, f"the likelihood of {data.name}", dtype)
            model = OwnModel.of(model, network)
        check_least(spec, model.parameters, spec.model.dtype)
        place = np.arange(spec.run.replicas) if spec.run.streams is None else np.array(spec.run.streams)
        dataset = place.astype(np.int64) // spec.tied % data.count
        return cls(spec, data, MlpTarget(model, weighted(spec, data), dataset, dtype), probe)

    def with_dataset(self, dataset: np.ndarray) -> "NetworkSubject":
        """The same with other data sets of the replicas [R]."""
        return replace(self, target=MlpTarget(self.model, weighted(self.spec, self.data), dataset, self.dtype))

    def with_replicas(self, spec: RunSpec) -> "NetworkSubject":
        """The same of as many replicas as the spec has."""
        dataset = np.arange(spec.run.replicas, dtype=np.int64) // spec.tied % self.data.count
        return replace(self, spec=spec).with_dataset(dataset)

    @property
    def watched(self) -> tuple[int, float]:
        """At most 32 predictions at the probes. Probabilities that differ by less than a thousandth are settled."""
        outputs = min(MAX_PROBES, self.probes.shape[1] * self.model.outputs)
        return outputs, 1e-3 if self.model.likelihood.classes is not None else 0.0

    @property
    def proper(self) -> bool:
        """Whether there is a prior."""
        return self.model.prior_sd is not None

    def with_weights(self, weight: np.ndarray) -> "NetworkSubject":
        """The same with other weights of the training points [D, N]."""
        data = replace(self.data, weight=weight)
        model = replace(self.model, weighted=True)
        return replace(self, data=data, target=MlpTarget(model, data, self.dataset, self.dtype))

    @property
    def model(self) -> MlpModel:
        """The network."""
        return self.target.model

    @property
    def dtype(self) -> Any:
        """Of parameters and data."""
        return self.target.dtype.type

    @property
    def dataset(self) -> np.ndarray:
        """[R] int64, the data set of each replica."""
        return self.target.dataset

    @property
    def fingerprint(self) -> str:
        """Identity of the data."""
        return self.data.fingerprint()

    @property
    def energy_range(self) -> tuple[float, float] | None:
        """What the likelihood expects; with a prior energies have no natural range."""
        top = self.model.likelihood.top if self.model.prior_sd is None else None
        return None if top is None else (0.0, top(self.model.outputs))

    @property
    def scores(self) -> tuple[str, ...]:
        """Test scores, where there is a test set."""
        return (f"test_{self.model.likelihood.score.name}", "test_nll") if self.data.test_points else ()

    @property
    def points_seen(self) -> int:
        """All training and test points."""
        return self.data.points + self.data.test_points

    def needs(self, setup: Setup, device: str, threads: int | None) -> Needs:
        """What the predictor takes; predictions of each block under way, unless they are summed at once, and their
        likelihoods; the prior's terms.
        """
        points = max(self.data.points, self.data.test_points)
        own, sums = predictor_needs(self.model, self.dtype, points, device, threads)
        rows = min(BLOCK, self.spec.run.replicas)
        phi = self.points.shape[1] * self.model.outputs * np.dtype(self.dtype).itemsize
        density = 4 * 8 * self.points.shape[1] if self._has_density else 0
        prior = 0 if self.model.prior_sd is None else 2 * 8 * self.model.parameters
        if device != "cpu":  # all is summed there
            return Needs(own.host + rows * prior, own.device + rows * (3 * phi + density))
        summed = sums and not self._has_density and not fold.weighted(setup.moves)
        blocks = 0 if summed else 1 if sums else (threads or cores()) + 1
        return Needs(own.host + rows * (blocks * phi + density + prior), own.device)

    @property
    def _has_density(self) -> bool:
        """Whether the likelihood of the test targets is averaged."""
        return self.model.likelihood.log_density is not None and self.data.test_points > 0

    @cached_property
    def probes(self) -> np.ndarray:
        """[D, probe, m] at most 32 inputs spread over the test points (the training points where there is no test
        set).
        """
        x = self.data.x_test if self.data.test_points else self.data.x_train
        spread = np.unique(np.linspace(0, x.shape[1] - 1, min(MAX_PROBES, x.shape[1])).round().astype(int))
        return x[:, spread]

    @cached_property
    def points(self) -> np.ndarray:
        """[D, point, m] where running averages are taken: the test inputs, or the probes where there is no test set."""
        return self.data.x_test if self.data.test_points else self.probes

    def initial_position(self, keys: Keys, xp: Any = np) -> Any:
        """Initial parameters [R, P] at purpose 0."""
        model = self.spec.model
        return self.model.initial_position(model.drawn_init, model.init_sd, keys, self.dtype, xp)

    def moments(self, ensembles: int) -> RunningMoments:
        """Empty running averages of the predictions."""
        model = self.model
        shape = self.points.shape[1], model.outputs
        return RunningMoments.empty(ensembles, *shape, model.task, model.noise_sd, self._has_density, model.dof)

    def observer(
        self, setup: Setup, moments: RunningMoments, device: str, threads: int | None = None
    ) -> "NetworkObserver":
        """Who sees the networks of a run, and feeds `moments`."""
        if len(devices := each_device(device)) > 1:
            predictors = [make_predictor(self.model, self.dtype, one, threads) for one in devices]
            return ObserverOfShares(self, setup, moments, predictors, devices)
        predictor = make_predictor(self.model, self.dtype, device, threads)
        if device != "cpu":
            return ObserverThere(self, setup, moments, predictor, device)
        return NetworkObserver(self, setup, moments, predictor, threads or cores())

    def judge(
        self, mean: np.ndarray, dataset: np.ndarray, log_density: np.ndarray | None = None
    ) -> list[dict[str, float]]:
        """Scores of averaged predictions `mean` [E, point, n] on the test points of their data sets [E]; of numbers the
        NLL comes of the averaged likelihood [E, point].
        """
        if not self.data.test_points:
            return [{} for _ in dataset]
        return [
            scores(self.data.task, mean[e], self.data.y_test[d], None if log_density is None else log_density[e])
            if np.isfinite(mean[e]).all()
            else {}
            for e, d in enumerate(dataset)
        ]

    def header(self) -> dict[str, Any]:
        """Fields of a store's header."""
        data = self.data
        return {
            "outputs": self.model.likelihood.axis(data.classes, data.targets),
            "features": data.features, "probes": self.probes, "constant": constant_data(data) | self._probed,
            "keep": tuple(self.spec.run.keep), "about": ABOUT_DATA,
            "attributes": {"data": data_names(data), **noise_facts(self.model),
                           "assumptions": json.dumps(self.assumptions())},
        }  # fmt: skip

    @property
    def _probed(self) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
        """What a later network is held against."""
        return {} if self.probe is None else {PROBE: (("probe_network", "probe_point", "probe_output"), self.probe)}

    def assumptions(self) -> list[str]:
        """What is assumed of answers and parameters, in words."""
        return assumptions(self.model, self.data, self.spec.model.prior_scales is not None)

    def columns(self) -> list[str]:
        """What became of the columns of a table, where they are not simply numbers, in words."""
        return [] if self.data.recipe is None else self.data.recipe.lines

    def notices(self) -> Iterator[str]:
        """What is allowed but rarely meant."""
        spec = self.spec
        if spec.method.posterior_temperature is not None and spec.model.prior_sd is None:
            yield (
                "posterior_temperature without model.prior_sd: without a prior the posterior of this network is not"
                " normalisable."
            )
        at_zero = self.model.activation_record.value(np.zeros(1), np)
        if spec.model.init == "zero" and not self.model.library and not at_zero.any():
            yield (
                f'init = "zero" with {self.model.activation}: all gradients but that of b{self.model.layers + 1} are'
                " zero at the start."
            )
        yield from missing_classes(self.data, spec.data)
        yield from self._noise_without_floor()

    def _noise_without_floor(self) -> Iterator[str]:
        """A noise that a network may push down as far as its prior goes (docs/tuning.md, Learned noise)."""
        spec, model = self.spec, self.model
        learned = bool(model.noises) or model.likelihood.name == "heteroscedastic"
        one_scale = isinstance(spec.model.prior_sd, float) and not model.library
        if spec.run.tolerance is not None and learned and one_scale and model.parameters > self.data.points:
            yield (
                f"{model.parameters} parameters for {self.data.points} points, and the noise is learned: such a network"
                " can pass through every point, its noise may be as small as its prior allows, and burn-in may not end."
                f' model.prior_sd = "fan_in" in place of {spec.model.prior_sd:g} keeps wide layers from it.'
            )


def _check_sets(spec: RunSpec) -> None:
    """Refuse data sets that no replica would use, before any is made."""
    sets, replicas = len(spec.data.all_seeds), spec.run.replicas // spec.tied
    if spec.run.streams is None and sets > max(1, replicas):
        each = f" ({spec.tied} together)" if spec.tied > 1 else ""
        raise SpecError(
            f"data.seeds names {sets:,} data sets, and run.replicas = {spec.run.replicas:,}{each} would use"
            f" {max(1, replicas):,} of them: give as many replicas as data sets, or a multiple, or fewer seeds."
        )


def missing_classes(data: Dataset, options: Any) -> Iterator[str]:
    """Classes that a split leaves out of its training points, or that have a single point in all, by name and seed."""
    if not data.classes:
        return
    classes, seeds = np.arange(len(data.classes)), options.all_seeds
    absent, single = [], []
    for d in range(data.count):
        train, test = (np.bincount(y[d], minlength=len(classes)) for y in (data.y_train, data.y_test))
        name = f"{options.seed_field} {seeds[d]}" if len(seeds) == data.count else f"data set {d}"
        absent += [(data.classes[c], name) for c in classes[train == 0]]
        single += [(data.classes[c], name) for c in classes[(train == 1) & (test == 0)]]
    for found, what in (
        (absent, "has no training point: nothing of it can be learned, and its test points are scored all the same"),
        (single, "has one point in all, which is a training point: nothing tests it"),
    ):
        if found:
            more = f" (and {len(found) - 1} more such classes and splits)" if len(found) > 1 else ""
            yield (
                f"class {found[0][0]!r} of {found[0][1]} {what}{more}. Choose another {options.seed_field}, give more"
                " rows, or leave the class out."
            )


def noise_facts(model: MlpModel) -> dict[str, Any]:
    """What a store says of the noise: its known sd, or "learn" and the mean of its prior, as JSON."""
    if not model.noises:
        return {"noise_sd": model.noise_sd}
    return {"noise_sd": LEARN, "noise_centre": json.dumps(list(model.centre))}


ABOUT_DATA = {
    "x_train": ("1", "inputs of the training points, as sampled (standardised, where they are)"),
    "y_train": ("1", "answers of the training points: numbers of classes, or values as sampled"),
    "x_test": ("1", "inputs of the test points, as sampled"),
    "y_test": ("1", "answers of the test points"),
    "weight_train": ("1", "weights of the training points"),
    "feature_mean": ("1", "mean that was taken off each feature, in its own unit"),
    "feature_sd": ("1", "standard deviation that each feature was divided by, in its own unit"),
    "target_mean": ("1", "mean that was taken off each answer, in its own unit"),
    "target_sd": ("1", "standard deviation that each answer was divided by, in its own unit"),
    PROBE: ("1", "outputs of the network at fixed points, that a later one is held against"),
}
"""Units and meaning of the data."""


def constant_data(data: Dataset) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    """The data as sampled, and what they were standardised by: name -> (dims, values)."""
    values = ("target",) if TASKS[data.task].numeric else ()
    out: dict[str, Any] = {} if data.weight is None else {"weight_train": (_POINT, data.weight)}
    out |= {
        "x_train": ((*_POINT, "feature"), data.x_train), "y_train": ((*_POINT, *values), data.y_train),
        "x_test": (("dataset", "test_point", "feature"), data.x_test),
        "y_test": (("dataset", "test_point", *values), data.y_test),
    }  # fmt: skip
    if (s := data.standardisation) is not None:
        out |= {"feature_mean": (("dataset", "feature"), s.mean), "feature_sd": (("dataset", "feature"), s.sd)}
        if s.target_mean is not None and s.target_sd is not None:
            out |= {
                "target_mean": (("dataset", "target"), s.target_mean),
                "target_sd": (("dataset", "target"), s.target_sd),
            }
    return out


def data_names(data: Dataset) -> str:
    """JSON of the names along the data's axes, for the store's attributes."""
    names: dict[str, Any] = {name: getattr(data, name) for name in ("name", "task", "features", "classes", "targets")}
    if data.recipe is not None:
        names["recipe"] = data.recipe.model_dump()
    if data.target_transform is not None:
        names["target_transform"] = data.target_transform
    return json.dumps(names)
