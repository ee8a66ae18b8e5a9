"""[model] of a spec: the network, its likelihood and prior, and its initial state."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    model_serializer,
    model_validator,
)

from ..data.labels import shorten
from ..data.tasks import TASKS
from ..errors import did_you_mean
from ..targets.activations import ACTIVATIONS
from ..targets.likelihoods import named
from ..targets.networks import INITS, MOST_LAYERS
from ..targets.priors import AUTO, FAN_IN, PRIORS
from .explain import LONGEST
from .names import OneOf
from .section import Section

if TYPE_CHECKING:
    TaskName = str
else:
    TaskName = Literal[*TASKS]
ActivationName = Annotated[str, OneOf("activation", lambda: ACTIVATIONS)]
LikelihoodName = Annotated[str, OneOf("likelihood", named)]
PriorName = Annotated[str, OneOf("prior", lambda: PRIORS)]
GIVEN = "given"
"""Of model.init: starts that were given as arrays from Python."""
MOST_UNITS = 2**20
"""Of one hidden layer."""
SMALLEST, LARGEST = 1e-15, 1e15
"""Of scales: their squares are numbers of float32, too."""


def _parse_layers(given: Any) -> Any:
    """Units of one hidden layer, or a list of them from the first layer to the last."""
    layers = given if isinstance(given, list | tuple) else [given]
    if not 1 <= len(layers) <= MOST_LAYERS:
        raise ValueError(
            f"a network has 1 to {MOST_LAYERS} hidden layers, and these are {len(layers)}: give a number of units, or a"
            " list with one for each layer, as in [16, 16]"
        )
    for i, units in enumerate(layers):
        whole = isinstance(units, int | float) and not isinstance(units, bool) and units in range(1, MOST_UNITS + 1)
        if not whole:
            at = f" (layer {i + 1})" if len(layers) > 1 else ""
            raise ValueError(
                f"{shorten(repr(units), 40)}{at} is no number of hidden units: give a whole number from 1 to"
                f" {MOST_UNITS}, or a list with one for each layer, as in [16, 16]"
            )
    return int(layers[0]) if len(layers) == 1 else [int(units) for units in layers]


class NetworkOptions(Section):
    """A network given from Python, gt.sample(spec, network=...); a run's own spec says which, and holds no code."""

    library: Literal["jax", "torch", "numpy"] = Field(description="what computes it")
    label: str = Field(max_length=200, description="its name in reports")
    parameters: int = Field(ge=1, description="numbers of one replica")
    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="hash of the names and shapes of its tensors")


LEARN = "learn"
"""Of model.noise_sd: the noise is a parameter."""


def _parse_scale(given: Any) -> Any:
    """A number above 0, "fan_in", or one of them for each layer; or "auto" for all."""
    if given == AUTO:
        return given
    for name, scale in given.items() if isinstance(given, Mapping) else [("", given)]:
        number = isinstance(scale, int | float) and not isinstance(scale, bool)
        if scale != FAN_IN and not (number and SMALLEST <= scale <= LARGEST):
            at = f" of {name}" if name else ""
            raise ValueError(
                f"{shorten(repr(scale), 40)}{at} is no scale of a prior: give a number greater than 0"
                f' ({SMALLEST:g} to {LARGEST:g}), "fan_in", a table with one for each layer, as in'
                ' {hidden = 1.0, output = "fan_in"}, or "auto" for all layers, chosen by the data'
            )
    if isinstance(given, Mapping):
        return {name: s if s == FAN_IN else float(s) for name, s in given.items()}
    return given if given == FAN_IN else float(given)


def _parse_noise(given: Any) -> Any:
    """A number above 0, or "learn"."""
    number = isinstance(given, int | float) and not isinstance(given, bool)
    if given != LEARN and not (number and SMALLEST <= given <= LARGEST):
        raise ValueError(
            f"{shorten(repr(given), 40)} is no noise: give a number greater than 0 ({SMALLEST:g} to {LARGEST:g}), or"
            ' "learn", for a parameter'
        )
    return given if given == LEARN else float(given)


class ModelSpec(Section):
    """[model]: the network, its prior and its initial state."""

    hidden: Annotated[int | list[int], BeforeValidator(_parse_layers)] = Field(
        100, description="hidden units d; a list has one number for each hidden layer, as in [16, 16]"
    )
    activation: ActivationName = Field("relu", description="what a hidden unit does (equations.md section 12)")
    network: NetworkOptions | None = Field(
        None,
        description="a network given from Python in place of hidden and activation, written into a run's own spec",
        json_schema_extra={"allowed": "what a run's own spec says"},
    )
    task: TaskName | None = Field(None, description="as the data say, unless given")
    likelihood: LikelihoodName | None = Field(
        None, description="how outputs answer the task; the task's own unless given (equations.md section 12)"
    )
    init: str = Field(
        "normal",
        description="initial parameters: normal, pytorch, he, zero, prior (equations.md section 8), or a file of"
        " weights by tensor, weights.npz",
        json_schema_extra={"allowed": ", ".join(f'"{name}"' for name in INITS) + ' or the path of a file "....npz"'},
    )
    init_sha256: str | None = Field(
        None, pattern="^[0-9a-f]{64}$", description="hash of given starts, written into a run's own spec"
    )
    init_sd: float = Field(0.01, ge=0, allow_inf_nan=False, description="standard deviation of init = normal")
    prior: PriorName | None = Field(
        None, description="law of the prior of every parameter, where prior_sd is set: normal unless given"
    )
    prior_sd: Annotated[float | str | dict[str, float | str], BeforeValidator(_parse_scale)] | None = Field(
        None,
        description='scale of the prior (of normal: its sd): a number, "fan_in" (1/sqrt(fan_in), biases 1), one of'
        " them for each layer, as in {hidden = 1.0, output = 'fan_in'}, or \"auto\", chosen by the data (equations.md"
        " section 12); no prior unless set",
    )
    prior_scales: dict[str, float] | None = Field(
        None,
        description='what prior_sd = "auto" chose, written into a run\'s own spec',
        json_schema_extra={"allowed": "what a run's own spec says"},
    )
    noise_sd: Annotated[float | str, BeforeValidator(_parse_noise)] | None = Field(
        None,
        description='noise of a regression target: "learn" (the default), a parameter of its own for each target, or'
        " its known sd in the units the network sees (student_t: its scale)",
    )
    class_weight: Literal["balanced"] | None = Field(
        None, description='"balanced" weighs the points of a class by 1 / its share, to mean 1'
    )
    dof: float | None = Field(
        None, gt=0, le=1e6, allow_inf_nan=False, description="degrees of freedom of student_t (default 4)"
    )
    dtype: Literal["float32", "float64"] = Field("float32", description="precision of positions, momenta and gradients")

    @property
    def layers(self) -> tuple[int, ...]:
        """Units of each hidden layer."""
        return (self.hidden,) if isinstance(self.hidden, int) else tuple(self.hidden)

    @property
    def scales(self) -> Any:
        """The prior's scales in force: `prior_sd`, or what "auto" chose."""
        return self.prior_sd if self.prior_scales is None else self.prior_scales

    @model_serializer(mode="wrap")
    def _leave_out_none(self, handler: Any) -> dict[str, Any]:
        """As all sections, and what only describes our own networks."""
        ours = () if self.network is None else ("hidden", "activation")
        return {key: value for key, value in handler(self).items() if value is not None and key not in ours}

    @model_validator(mode="after")
    def _known_init(self) -> "ModelSpec":
        if self.init not in (*INITS, GIVEN) and not self.init_is_file:
            listed = f"Known: {', '.join(INITS)}, or a file of weights, 'weights.npz'"
            raise ValueError(
                f"init = {shorten(repr(self.init), LONGEST)} is unknown."
                f" {did_you_mean(self.init, INITS, listed, always=True)}"
            )
        return self

    @property
    def init_is_file(self) -> bool:
        """Whether starts come from a file."""
        return self.init.endswith(".npz")

    @property
    def drawn_init(self) -> str:
        """How tensors start that no file and no caller gives."""
        return self.init if self.init in INITS else "normal"

    @model_validator(mode="after")
    def _prior_needs_sd(self) -> "ModelSpec":
        if self.init == "prior" and self.prior_sd is None:
            raise ValueError('init = "prior" needs prior_sd')
        if self.prior_scales is not None and self.prior_sd != AUTO:
            raise ValueError('prior_scales is what prior_sd = "auto" chose: leave it out, and write it as prior_sd')
        if self.prior is not None and self.prior_sd is None:
            raise ValueError(f'prior = "{self.prior}" needs prior_sd, its scale')
        return self
