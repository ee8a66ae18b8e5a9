"""The [target] section of a spec: one model of options for each name, and how each builds its potential and its start.

The docstring of a model and the descriptions of its fields are what the command line shows. Of `start`, `start_sd` and
`start_range` one is given; random starts are addressed (purpose 0), so that a replica's identity decides, never its
place in the run.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from ..errors import SpecError
from ..streams import Keys, Purpose, normals, uniforms
from .analytic.base import MAX_SIZE
from .analytic.mixture import GaussianMixture
from .analytic.plane import BOX, Plane
from .analytic.wells import DoubleWell, Harmonic, Quartic
from .base import Array, Potential

MAX_MODES = 10_000

Positive = Annotated[float, Field(gt=0, le=1e9)]
NonNegative = Annotated[float, Field(ge=0, le=1e9)]
Size = Annotated[int, Field(ge=1, le=MAX_SIZE)]
Modes = Annotated[list[float], Field(min_length=1, max_length=MAX_MODES)]
Points = Annotated[
    list[Annotated[list[float], Field(min_length=1, max_length=MAX_SIZE)]], Field(min_length=1, max_length=MAX_MODES)
]


class TargetOptions(BaseModel, ABC):
    """Base of all targets: noise, precision, and where replicas start."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    default_start: ClassVar[Mapping[str, Any]] = {"start_sd": 1.0}

    name: str
    gradient_noise_sd: NonNegative = Field(
        0.0, description="sd of independent normal noise on every gradient component"
    )
    energy_noise_sd: NonNegative = Field(0.0, description="sd of independent normal noise on the energy")
    dtype: Literal["float32", "float64"] = Field("float64", description="precision of positions, momenta and gradients")
    start: list[float] | None = Field(
        None, min_length=1, max_length=MAX_SIZE, description="where all replicas start, one number for each coordinate"
    )
    start_sd: NonNegative | None = Field(None, description="replicas start normally distributed around 0 with this sd")
    start_range: NonNegative | None = Field(None, description="replicas start uniformly within plus and minus this")

    @model_validator(mode="after")
    def _usable(self) -> Self:
        given = [
            f"{name} = {getattr(self, name)}"
            for name in ("start", "start_sd", "start_range")
            if getattr(self, name) is not None
        ]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)}: give one of start, start_sd and start_range")
        self._check()
        start = self.start_in_force.get("start")
        if start is not None and len(start) != self.coordinates:
            raise ValueError(f"start has {len(start)} numbers for {self.coordinates} coordinates: give one for each")
        return self

    @model_serializer(mode="wrap")
    def _leave_out_none(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in handler(self).items() if value is not None}

    @property
    @abstractmethod
    def coordinates(self) -> int:
        """P."""

    @property
    def box(self) -> float | None:
        """Half the side of the box positions stay in, or None."""
        return None

    @property
    def start_in_force(self) -> Mapping[str, Any]:
        """The one start that counts, {field: value}; the target's own where none is given."""
        given = {
            name: getattr(self, name)
            for name in ("start", "start_sd", "start_range")
            if getattr(self, name) is not None
        }
        return given or self.default_start

    @abstractmethod
    def build(self) -> Potential:
        """The potential.

        Raises
        ------
        SpecError
            If the numbers define none.
        """

    def initial_position(self, keys: Keys, dtype: Any = None, xp: Any = np) -> Array:
        """Initial positions [R, P] at purpose 0, in the target's precision by default; random starts are clipped to the
        box.
        """
        kind = np.dtype(self.dtype if dtype is None else dtype).type
        ((how, value),) = self.start_in_force.items()
        if how == "start":
            return xp.tile(xp.asarray(value, kind), (keys.stream.shape[0], 1))
        blocks = xp.arange(-(-self.coordinates // 4), dtype=np.uint64)
        draw = normals if how == "start_sd" else uniforms
        position = draw(keys, blocks, Purpose.POSITION, 0, dtype=kind, xp=xp)[:, : self.coordinates]
        position = kind(value) * (position if how == "start_sd" else kind(2) * position - kind(1))
        return xp.ascontiguousarray(
            position if self.box is None else xp.clip(position, -kind(self.box), kind(self.box))
        )

    @property
    def _noise(self) -> dict[str, float]:
        return {"gradient_noise_sd": self.gradient_noise_sd, "energy_noise_sd": self.energy_noise_sd}

    def _check(self) -> None:
        """Refuse numbers that build nothing: the potentials themselves know (SpecError is a ValueError)."""
        self.build()


@dataclass(frozen=True)
class Preset:
    """A published mixture and where its replicas start, as keyword arguments; `noise` is what was published with it,
    for the reader.
    """

    mixture: Mapping[str, Any]
    start: Mapping[str, Any]
    noise: Mapping[str, float]


_GRID = (-4.0, -2.0, 0.0, 2.0, 4.0)
PRESETS: dict[str, Preset] = {
    "two_modes": Preset({"weights": [0.4, 0.6], "means": [-6.0, 4.0], "sd": 1.0}, {"start_sd": 1.0}, {}),
    "two_narrow": Preset(
        {"weights": [0.4, 0.6], "means": [-4.0, 3.0], "sd": [0.7, 0.5]}, {"start_sd": 1.0}, {"gradient_noise_sd": 0.1}
    ),
    "twenty_five": Preset(
        {"means": [[x, y] for x in _GRID for y in _GRID], "sd": 0.03**0.5},
        {"start_range": 10.0},
        {"gradient_noise_sd": 1.0},
    ),
}
"""Published demonstrations: .4 N(-6, 1) + .6 N(4, 1); .4 N(-4, .7^2) + .6 N(3, .5^2); 25 Gaussians of covariance .03 I
on {-4..4}^2."""


class Mixture(TargetOptions):
    """Mixture of normal distributions with U = -log density: temperature 1 samples the mixture itself.

    Presets are published demonstrations: "two_modes" .4 N(-6, 1) + .6 N(4, 1) (contour SGLD); "two_narrow" .4 N(-4,
    .7^2) + .6 N(3, .5^2) (replica exchange, published with gradient_noise_sd .1); "twenty_five", 25 Gaussians of
    covariance .03 I at {-4, -2, 0, 2, 4}^2 (cyclical SGLD, with gradient_noise_sd 1 and start_range 10, this preset's
    default).
    """

    name: Literal["mixture"] = "mixture"
    preset: Literal["two_modes", "two_narrow", "twenty_five"] | None = Field(
        None, description="a published mixture, instead of numbers"
    )
    means: Points | Modes | None = Field(
        None, description="mean of each mode: a number, or a list with one number for each coordinate"
    )
    weights: Modes | None = Field(None, description="weight of each mode, of sum 1; equal unless given")
    sd: Positive | Points | Modes | None = Field(
        None, description="sd of all modes, of each, or of each in each coordinate; 1 unless given"
    )

    @property
    def coordinates(self) -> int:
        """P."""
        first = self.numbers["means"][0]
        return len(first) if isinstance(first, list) else 1

    @property
    def start_in_force(self) -> Mapping[str, Any]:
        """As in the base; a preset has a start of its own."""
        given = super().start_in_force
        return PRESETS[self.preset].start if self.preset is not None and given is self.default_start else given

    @property
    def numbers(self) -> Mapping[str, Any]:
        """Means, sd and weights in force, as keyword arguments of GaussianMixture."""
        own = {name: getattr(self, name) for name in ("means", "weights", "sd") if getattr(self, name) is not None}
        if self.preset is not None:
            if own:
                raise SpecError(f'preset = "{self.preset}" and {", ".join(own)} are both given: leave out one.')
            return PRESETS[self.preset].mixture
        if self.means is None:
            raise SpecError(f"A mixture needs means, or a preset: {', '.join(PRESETS)}.")
        return own

    def build(self) -> GaussianMixture:
        """The potential."""
        return GaussianMixture(**self.numbers, **self._noise)


class PlaneOptions(TargetOptions):
    """Contour SGLD's plane (Deng et al. 2020): nine wells in a box, deepest in the middle; published with noise sd
    .32.
    """

    default_start: ClassVar[Mapping[str, Any]] = {"start": [2.0, 2.0]}

    name: Literal["plane"] = "plane"
    bounds: Positive = Field(BOX, description="half the side of the box; steps out of it are rejected")

    @model_validator(mode="after")
    def _inside(self) -> Self:
        start = self.start_in_force
        far = max(abs(v) for v in start["start"]) if "start" in start else start.get("start_range", 0.0)
        if far > self.bounds:
            raise ValueError(
                f"replicas would start at {far:g}, outside the box of +-{self.bounds:g}: start inside, or set larger"
                " bounds"
            )
        return self

    @property
    def coordinates(self) -> int:
        """P."""
        return 2

    @property
    def box(self) -> float:
        """Half the side of the box positions stay in."""
        return self.bounds

    def build(self) -> Plane:
        """The potential."""
        return Plane(self.bounds, **self._noise)


class DoubleWellOptions(TargetOptions):
    """Double well: U = height (q^2/width^2 - 1)^2 + tilt q, summed over coordinates."""

    name: Literal["double_well"] = "double_well"
    height: Positive = Field(1.0, description="height of the barrier")
    width: Positive = Field(1.0, description="distance of the wells from 0")
    tilt: float = Field(0.0, ge=-1e9, le=1e9, description="slope added everywhere: positive favours the left well")
    size: Size = Field(1, description="coordinates P")

    @property
    def coordinates(self) -> int:
        """P."""
        return self.size

    def build(self) -> DoubleWell:
        """The potential."""
        return DoubleWell(self.height, self.width, self.tilt, self.size, **self._noise)


class QuarticOptions(TargetOptions):
    """Quartic well: U = quartic q^4/4 + quadratic q^2/2, summed over coordinates."""

    name: Literal["quartic"] = "quartic"
    quartic: Positive = Field(1.0, description="factor of q^4/4")
    quadratic: float = Field(0.0, ge=-1e9, le=1e9, description="factor of q^2/2; negative makes two wells")
    size: Size = Field(1, description="coordinates P")

    @property
    def coordinates(self) -> int:
        """P."""
        return self.size

    def build(self) -> Quartic:
        """The potential."""
        return Quartic(self.quartic, self.quadratic, self.size, **self._noise)


class HarmonicOptions(TargetOptions):
    """Harmonic well: U = stiffness q^2/2, summed over coordinates; every stationary law is known exactly."""

    name: Literal["harmonic"] = "harmonic"
    stiffness: Positive | Annotated[list[Positive], Field(min_length=1, max_length=MAX_SIZE)] = Field(
        1.0, description="k of all coordinates, or of each"
    )
    size: Size | None = Field(None, description="coordinates P; 1, or as many as stiffness has values")

    @property
    def coordinates(self) -> int:
        """P."""
        many = len(self.stiffness) if isinstance(self.stiffness, list) else None
        if many is not None and self.size not in (None, many):
            raise SpecError(
                f"stiffness has {many} values for size = {self.size}: leave out size, or give one value for each."
            )
        return many or self.size or 1

    def build(self) -> Harmonic:
        """The potential."""
        return Harmonic(
            np.broadcast_to(np.asarray(self.stiffness, np.float64), (1, self.coordinates)),
            self.coordinates,
            **self._noise,
        )


class Custom(TargetOptions):
    """A potential of the user's own, given in Python as `potential=`; a spec holds no code, only its size and a
    label.
    """

    name: Literal["custom"] = "custom"
    size: Size = Field(description="coordinates P")
    label: str = Field("custom", min_length=1, max_length=200, description="name of the potential in reports")

    @property
    def coordinates(self) -> int:
        """P."""
        return self.size

    def build(self) -> Potential:
        """Refuse: a spec holds no code."""
        raise SpecError(
            f"Target '{self.label}' is custom, and a spec holds no code: pass potential= (a UserPotential) in Python,"
            " to sample as well as to resume."
        )

    def _check(self) -> None:
        """Nothing to build."""


AnyTarget = Annotated[
    Mixture | PlaneOptions | DoubleWellOptions | QuarticOptions | HarmonicOptions | Custom, Field(discriminator="name")
]

_ALL: tuple[type[TargetOptions], ...] = (
    Mixture,
    PlaneOptions,
    DoubleWellOptions,
    QuarticOptions,
    HarmonicOptions,
    Custom,
)
TARGETS: dict[str, type[TargetOptions]] = {model.model_fields["name"].default: model for model in _ALL}
