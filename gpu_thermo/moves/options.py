"""[[moves]] of a spec: what each ensemble move can be told (equations.md section 5)."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Ladder = Annotated[list[Positive], Field(min_length=2)]
Values = Annotated[list[NonNegative], Field(min_length=2)]


class MoveOptions(BaseModel):
    """Base of all moves: frozen, no unknown keys, and what is not set is not written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_serializer(mode="wrap")
    def _leave_out_none(self, handler: Any) -> dict[str, Any]:
        return {key: value for key, value in handler(self).items() if value is not None}


class Cyclical(MoveOptions):
    """Stepsize in cycles, each an exploration at another temperature and then sampling (Zhang et al. 2020); draws while
    sampling only.
    """

    kind: Literal["cyclical"]
    cycles: int | None = Field(None, ge=1, description="cycles in the run")
    period: int | None = Field(
        None, ge=2, description="steps of a cycle, instead of cycles: such a run can be extended"
    )
    explore: float = Field(0.5, ge=0, lt=1, description="beta, the part of each cycle that explores")
    explore_temperature: NonNegative = Field(
        0.0, description="factor on the temperature while exploring; 0 is plain descent, 1 the sampling temperature"
    )
    gradient_noise_sd: NonNegative | None = Field(
        None, description="known sd of the gradient noise, taken off sgld's own noise: 2 h tau - (h sd)^2"
    )

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.cycles is None) == (self.period is None):
            raise ValueError("give either cycles (of the whole run) or period (in steps)")
        return self


class LadderOptions(MoveOptions):
    """What moves between temperatures share: the ladder, rung 0 being the target, and where energies come from."""

    temperatures: Ladder | None = Field(None, description="tau of every rung, the target first, increasing")
    rungs: int | None = Field(
        None, ge=2, le=1000, description="Q of a geometric ladder from the method's temperature to `hottest`"
    )
    hottest: Positive | None = Field(None, description="last tau of a geometric ladder")
    stepsize: Ladder | None = Field(None, description="stepsize of every rung; the method's for all")
    friction: Values | None = Field(None, description="friction of every rung")
    sigma: Values | None = Field(None, description="sigma of every rung")
    epsilon: Values | None = Field(None, description="epsilon of every rung")
    interval: int = Field(100, ge=1, description="steps between attempts")
    energy_batch: int | None = Field(
        None,
        ge=2,
        description="points of a fresh minibatch for each energy, its noise corrected for; all points unless set",
    )
    correction: bool = Field(True, description="whether acceptances are corrected for noisy energies")
    reference: str | None = Field(
        None,
        description="partition whose temperature is the ladder's, where partitions differ; the run is then heuristic",
    )

    @model_validator(mode="after")
    def _one_ladder(self) -> Self:
        geometric = (self.rungs is not None, self.hottest is not None)
        if self.temperatures is not None:
            if any(geometric):
                raise ValueError("temperatures gives the whole ladder: leave out rungs and hottest")
            if any(b <= a for a, b in zip(self.temperatures, self.temperatures[1:], strict=False)):
                raise ValueError(f"temperatures = {self.temperatures} must increase: rung 0 is the target")
        elif not all(geometric):
            raise ValueError("give temperatures (one for each rung), or rungs and hottest for a geometric ladder")
        for name in ("stepsize", "friction", "sigma", "epsilon"):
            given = getattr(self, name)
            if given is not None and len(given) != self.count:
                raise ValueError(f"{name} has {len(given)} values for {self.count} rungs: give one for each")
        return self

    @property
    def count(self) -> int:
        """Q, the number of rungs."""
        return self.rungs if self.temperatures is None else len(self.temperatures)  # type: ignore[return-value]


class Exchange(LadderOptions):
    """Replica exchange: neighbours on a ladder of temperatures trade rungs (Deng et al. 2020, 2023)."""

    kind: Literal["exchange"]
    target_acceptance: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="adapt the rungs between the first and the last to this acceptance, during burn-in",
    )
    window: int | Literal["auto"] = Field(
        1,
        description=(
            "attempts with the same pairs before even and odd ones alternate; auto: by the acceptance measured in"
            " burn-in"
        ),
    )
    acceptance_factor: float = Field(1.0, gt=0, le=1, description="factor on every acceptance probability")

    @model_validator(mode="after")
    def _whole_window(self) -> Self:
        if isinstance(self.window, int) and self.window < 1:
            raise ValueError(f"window = {self.window} must be at least 1")
        return self


class Tempering(LadderOptions):
    """Simulated tempering: each replica walks the ladder by itself; weights adapt during burn-in and are frozen
    then.
    """

    kind: Literal["tempering"]


class Contour(MoveOptions):
    """Contour SGLD: energies are flattened on the way, and draws are weighted back (Deng et al. 2020, 2022; mended,
    equations.md).
    """

    kind: Literal["contour"]
    zeta: NonNegative = Field(0.75, description="how much is flattened; 0 changes nothing")
    bins: int = Field(100, ge=2, le=100_000, description="m")
    lowest: float | None = Field(
        None, allow_inf_nan=False, description="u_0, lower end of the first bin; 0 for classification"
    )
    width: Positive | None = Field(
        None, description="du, energy width of a bin; several times a step's change of energy, or its edges are felt"
    )
    omega_max: float = Field(3e-3, gt=0, lt=1, description="largest step of the histogram")
    omega: tuple[Positive, NonNegative, NonNegative] = Field(
        (10.0, 0.8, 100.0), description="c, a, b of the step c / (k^a + b)"
    )
    learn: int | None = Field(
        None,
        ge=1,
        description=(
            "steps during which the histogram learns; then it is fixed, and so is the law of the draws. Not given:"
            " always"
        ),
    )
    clip: tuple[float, float] = Field((-5.0, 5.0), description="bounds of the gradient's multiplier")
    interacting: bool = Field(False, description="one histogram for each ensemble instead of one for each replica")
    interval: int = Field(
        1, ge=1, description="steps between merges of an interacting histogram; 1 is the published form"
    )
    published: bool = Field(False, description="the published step function w_J for Psi, biased by O(du)")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.interacting and self.zeta > 1:
            raise ValueError(
                f"zeta = {self.zeta} is for histograms of single replicas: an interacting one takes at most 1"
            )
        if not self.clip[0] < 1 < self.clip[1]:
            raise ValueError(f"clip = {list(self.clip)} must enclose 1")
        return self


AnyMove = Annotated[Cyclical | Exchange | Tempering | Contour, Field(discriminator="kind")]
MOVES: dict[str, type[MoveOptions]] = {
    "cyclical": Cyclical,
    "exchange": Exchange,
    "tempering": Tempering,
    "contour": Contour,
}
