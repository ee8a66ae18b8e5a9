"""A potential as what a run is about, and what is computed of its replicas at each recorded moment: exact energies, and
running averages of the coordinates.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..averages.moments import RunningMoments
from ..engines.base import Needs
from ..errors import SpecError
from ..moves.base import Energies
from ..moves.fold import Weigh
from ..spec.run import RunSpec
from ..state import State
from ..streams import Keys, Purpose, make_keys, normals
from ..targets.base import Potential
from ..targets.options import TargetOptions
from .resources import check_least
from .subject import Observation, Setup, counted

MOST_COORDINATES = 32
"""Coordinates by which a run that tunes itself judges."""


@dataclass(frozen=True)
class PotentialSubject:
    """A potential without data; see Subject. Its coordinates take the place of test points."""

    spec: RunSpec
    options: TargetOptions
    potential: Potential
    dataset: np.ndarray

    energy_range = None
    proper = True
    scores = ()
    parts = ()
    points_seen = 0

    @classmethod
    def make(cls, spec: RunSpec, potential: Potential | None = None) -> "PotentialSubject":
        """The potential that a spec names: its own, or the user's where it says "custom".

        Raises
        ------
        SpecError
            Whatever in the spec is about data, or does not fit the potential, named.
        """
        options = spec.target
        assert options is not None
        if potential is not None and not hasattr(potential, "energy_and_gradient"):
            raise SpecError(
                f"potential is {type(potential).__name__}: give a UserPotential(function, size), or one of ours."
            )
        points = 0 if potential is None else potential.points
        about_data = {
            "run.batch": spec.run.batch is not None, "run.minibatch": spec.run.minibatch not in ("subset", "full"),
            "method.posterior_temperature": spec.method.posterior_temperature is not None,
        }  # fmt: skip
        if not points and (wrong := next((field for field, given in about_data.items() if given), None)):
            raise SpecError(f"{wrong} is about data, and target '{options.name}' has none: leave it out.")
        if potential is not None and options.name != "custom":
            raise SpecError(
                f"A potential is given, and the spec names target '{options.name}': use name = \"custom\", or leave it"
                " out."
            )
        if "log_likelihood" in spec.run.keep:
            raise SpecError(
                f"run.keep = \"log_likelihood\" is about data, and target '{options.name}' has no points whose"
                " likelihood could be told: leave it out."
            )
        potential = options.build() if potential is None else potential
        if options.name == "custom" and potential.layout.size != options.size:
            raise SpecError(
                f"target.size = {options.size}, and the potential has {potential.layout.size} parameters: make them"
                " agree."
            )
        check_least(spec, potential.layout.size, options.dtype)
        return cls(spec, options, potential, np.zeros(spec.run.replicas, np.int64))

    def with_replicas(self, spec: RunSpec) -> "PotentialSubject":
        """The same of as many replicas as the spec has."""
        return replace(self, spec=spec, dataset=np.zeros(spec.run.replicas, np.int64))

    @property
    def watched(self) -> tuple[int, float]:
        """At most 32 coordinates."""
        return min(MOST_COORDINATES, self.potential.layout.size), 0.0

    def with_dataset(self, dataset: np.ndarray) -> "PotentialSubject":
        """Itself: there are no data."""
        return self

    @property
    def target(self) -> Potential:
        """The potential."""
        return self.potential

    @property
    def dtype(self) -> Any:
        """Of the coordinates."""
        return np.dtype(self.options.dtype).type

    @property
    def fingerprint(self) -> str:
        """Identity of the potential, where the spec does not say it all."""
        return self.potential.fingerprint

    def initial_position(self, keys: Keys, xp: Any = np) -> Any:
        """Initial coordinates [R, P] at purpose 0."""
        return self.options.initial_position(keys, self.dtype, xp)

    def moments(self, ensembles: int) -> RunningMoments:
        """Empty running averages of the coordinates."""
        return RunningMoments.empty(ensembles, self.potential.layout.size, 1, "regression", 0.0)

    def observer(
        self, setup: Setup, moments: RunningMoments, device: str, threads: int | None = None
    ) -> "PotentialObserver":
        """Who sees the replicas of a run, and feeds `moments`."""
        return PotentialObserver(self.potential, setup, moments)

    def needs(self, setup: Setup, device: str, threads: int | None) -> Needs:
        """The coordinates in float64, twice, and the energies' temporaries."""
        return Needs(4 * 8 * self.spec.run.replicas * self.potential.layout.size)

    def judge(
        self, mean: np.ndarray, dataset: np.ndarray, log_density: np.ndarray | None = None
    ) -> list[dict[str, float]]:
        """Nothing: there is nothing to predict."""
        return [{} for _ in dataset]

    def header(self) -> dict[str, Any]:
        """Fields of a store's header."""
        names = tuple(self.potential.coordinates)
        return {
            "outputs": ("coordinate",), "features": names, "probes": np.zeros((0, len(names))), "constant": {},
            "tensors": {"position": (("coordinate",), (len(names),))},
            "keep": tuple(k for k in self.spec.run.keep if k in ("parameters", "momenta")), "attributes": {},
        }  # fmt: skip

    def assumptions(self) -> list[str]:
        """Nothing: a potential is what it is."""
        return []

    def columns(self) -> list[str]:
        """None: there is no table."""
        return []

    def notices(self) -> Iterator[str]:
        """None."""
        yield from ()


class PotentialObserver:
    """Evaluates the potential exactly, and feeds the running averages of the coordinates.

    Parameters
    ----------
    setup : the run. moments : running sums whose points are the coordinates, updated at draws.
    """

    def __init__(self, potential: Potential, setup: Setup, moments: RunningMoments) -> None:
        self._potential, self._setup, self._moments = potential, setup, moments

    def __call__(
        self, position: np.ndarray, is_draw: bool, weigh: Weigh | None = None, there: Any = None
    ) -> Observation:
        """Observe the replicas at `position` [R, P]; see Observer."""
        statistics = {"energy": self.energy(position)}
        if is_draw:
            if weigh is not None:
                statistics["log_weight"] = weigh(statistics["energy"], slice(None))
            values, log_weight = position[..., None].astype(np.float64), counted(statistics.get("log_weight"))
            with np.errstate(over="ignore"):  # of what runs away
                self._moments.update(values, self._setup.ensemble, log_weight)
        return Observation(statistics, None)

    def look_at(self, state: State) -> np.ndarray:
        """Positions on the host."""
        return np.asarray(state.position)

    def energy(self, position: np.ndarray) -> np.ndarray:
        """Exact U [R]."""
        with np.errstate(all="ignore"):
            return np.asarray(self._potential.energy(position), np.float64)

    def some(self, there: Any, rows: Any) -> None:
        """See Observer: coordinates are looked at on the host."""

    def watch(self, position: np.ndarray) -> np.ndarray:
        """[R, Q] float64, coordinates, evenly chosen where they are many."""
        size = self._potential.layout.size
        chosen = np.linspace(0, size - 1, min(MOST_COORDINATES, size)).round().astype(int)
        return np.asarray(position[:, chosen], np.float64)

    def energies(self, position: np.ndarray, attempt: int, batch: int | None = None) -> Energies:
        """Energies for a move, with the potential's own noise, fresh at each attempt."""
        value = self.energy(position)
        sd = np.broadcast_to(np.asarray(self._potential.energy_noise_sd, np.float64), value.shape)
        if sd.any():
            keys: Keys = make_keys(self._setup.job.seed, self._setup.job.stream)
            value = (
                value
                + sd * normals(keys, np.zeros(1, np.uint64), Purpose.MOVE_MINIBATCH, attempt, dtype=np.float64)[:, 0]
            )
        return Energies(value, sd**2)
