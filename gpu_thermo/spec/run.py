"""RunSpec: what a user writes, validated; TOML and JSON both ways; the fingerprint.

A spec is closed: data, numbers and names only. The sections are [data] (see data) and [model], or [target] (see
potentials) in place of both; [method], [run], and any number of [[moves]] (see moves).
"""

import difflib
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tomli_w
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    WrapSerializer,
    model_serializer,
    model_validator,
)

from ..data import DATASETS, DataOptions, Spirals
from ..data.labels import shorten
from ..data.tasks import TASKS
from ..errors import SpecError
from ..method.named import DEFAULT_METHOD, HYPERPARAMETERS, METHODS, get_method
from ..method.schedules import SCHEDULES, AnySchedule
from ..moves.table import MOVES, AnyMove
from ..targets.activations import ACTIVATIONS
from ..targets.likelihoods import NAMED
from ..targets.networks import INITS, MOST_LAYERS
from ..targets.options import TARGETS, AnyTarget
from ..targets.priors import FAN_IN, PRIORS
from .explain import LONGEST
from .explain import explain as explain_errors
from .mass import Mass
from .text import apply_overrides, read_toml
from .written import PartitionedSchema, ValueSchema

if TYPE_CHECKING:
    ActivationName = str
    TaskName = str
    LikelihoodName = str
    PriorName = str
else:  # whatever has a record
    ActivationName = Literal[*ACTIVATIONS]
    TaskName = Literal[*TASKS]
    LikelihoodName = Literal[*NAMED]
    PriorName = Literal[*PRIORS]
GIVEN = "given"
"""Of model.init: starts that were given as arrays from Python."""
Numbers = float | list[float]
_SCHEDULE: TypeAdapter[Any] = TypeAdapter(AnySchedule)


_EXTRA: list[dict[str, Any]] = [{"unit": unit} for unit in ("replicas", "steps", "points")]
REPLICAS, STEPS, POINTS = _EXTRA
"""Units of keys, for who lists them (keys.py)."""


class Section(BaseModel):
    """Base of all sections: frozen, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")

    @model_serializer(mode="wrap")
    def _leave_out_none(self, handler: Any) -> dict[str, Any]:
        """Leave out what is not set: TOML has no null, and what is left out is what is read back."""
        return {key: value for key, value in handler(self).items() if value is not None}


class Scheduled(Section):
    """A value and its schedule: {value = 0.25, schedule = "cyclical", cycles = 20} in a spec."""

    value: Numbers
    schedule: AnySchedule | None = None

    @model_validator(mode="before")
    @classmethod
    def _split(cls, given: Any) -> Any:
        if not isinstance(given, Mapping) or isinstance(given.get("schedule"), BaseModel):
            return given
        rest = {key: value for key, value in given.items() if key != "value"}
        if "value" not in given:
            raise ValueError(f"{dict(given)} needs a value beside its schedule")
        if any(isinstance(v, bool) for v in (given["value"] if isinstance(given["value"], list) else [given["value"]])):
            raise ValueError(f"{given['value']} is not a number")
        if rest.get("schedule") in (None, "constant"):
            rest.pop("schedule", None)
            if rest:
                raise ValueError(f"a constant takes no {', '.join(map(repr, rest))}; schedules: {', '.join(SCHEDULES)}")
            return {"value": given["value"]}
        return {"value": given["value"], "schedule": _SCHEDULE.validate_python(rest)}

    @model_serializer(mode="plain")
    def _flatten(self) -> Any:
        return (
            self.value
            if self.schedule is None
            else {"value": self.value, **self.schedule.model_dump(exclude_none=True)}
        )


def _parse_value(given: Any) -> Any:
    """A number or list stays short to write: it becomes a Scheduled without schedule."""
    if isinstance(given, Scheduled | Mapping):
        return given
    return {"value": given}


Value = Annotated[Scheduled, BeforeValidator(_parse_value), ValueSchema]


def _parse_partitioned(given: Any) -> Any:
    """One value for all partitions, or {partition: value}; told apart by the key `value`."""
    if isinstance(given, Mapping) and "value" not in given and "schedule" not in given:
        if not given:
            raise ValueError("an empty table names no partition")
        return dict(given)
    return {"all": given}


def _short(values: dict[str, Any]) -> Any:
    """Inverse of `_parse_partitioned`: one value for all is written without a table."""
    return values["all"] if list(values) == ["all"] else values


Partitioned = Annotated[
    dict[str, Value],
    BeforeValidator(_parse_partitioned),
    WrapSerializer(lambda v, handler: _short(handler(v))),
    PartitionedSchema,
]


MOST_UNITS = 2**20
"""Of one hidden layer."""


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
    """A number above 0, "fan_in", or one of them for each layer."""
    for name, scale in given.items() if isinstance(given, Mapping) else [("", given)]:
        number = isinstance(scale, int | float) and not isinstance(scale, bool)
        if scale != FAN_IN and not (number and 0 < scale < math.inf):
            at = f" of {name}" if name else ""
            raise ValueError(
                f'{shorten(repr(scale), 40)}{at} is no scale of a prior: give a number greater than 0, "fan_in", or a'
                ' table with one for each layer, as in {hidden = 1.0, output = "fan_in"}'
            )
    if isinstance(given, Mapping):
        return {name: s if s == FAN_IN else float(s) for name, s in given.items()}
    return given if given == FAN_IN else float(given)


def _parse_noise(given: Any) -> Any:
    """A number above 0, or "learn"."""
    number = isinstance(given, int | float) and not isinstance(given, bool)
    if given != LEARN and not (number and 0 < given < math.inf):
        raise ValueError(
            f'{shorten(repr(given), 40)} is no noise: give a number greater than 0, or "learn", for a parameter'
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
        description='scale of the prior (of normal: its sd): a number, "fan_in" (1/sqrt(fan_in), biases 1), or one of'
        " them for each layer, as in {hidden = 1.0, output = 'fan_in'}; no prior unless set",
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

    @model_serializer(mode="wrap")
    def _leave_out_none(self, handler: Any) -> dict[str, Any]:
        """As all sections, and what only describes our own networks."""
        ours = () if self.network is None else ("hidden", "activation")
        return {key: value for key, value in handler(self).items() if value is not None and key not in ours}

    @model_validator(mode="after")
    def _known_init(self) -> "ModelSpec":
        if self.init not in (*INITS, GIVEN) and not self.init_is_file:
            near = difflib.get_close_matches(self.init, INITS, 1)
            hint = f"did you mean '{near[0]}'? " if near else ""
            raise ValueError(
                f"init = {shorten(repr(self.init), LONGEST)} is unknown; {hint}known: {', '.join(INITS)}, or a file of"
                " weights, 'weights.npz'"
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
        if self.prior is not None and self.prior_sd is None:
            raise ValueError(f'prior = "{self.prior}" needs prior_sd, its scale')
        return self


class MethodSpec(Section):
    """[method]: a named method and its hyperparameters; what is not given takes the method's default."""

    name: str = Field(
        "adlala", description="the method (gpu-thermo methods lists them)", json_schema_extra={"enum": [*METHODS]}
    )
    word: str | dict[str, str] | None = Field(None, description="splitting word, or one per partition")
    partition: Literal["layer", "tensor", "all"] | None = Field(
        None, description="how parameters are grouped; the method's own by default"
    )
    freeze: list[str] = Field(default_factory=list, description="partitions that keep their initial values")
    stepsize: Value | None = Field(None, description=HYPERPARAMETERS["stepsize"])
    temperature: Partitioned | None = Field(None, description=HYPERPARAMETERS["temperature"])
    posterior_temperature: Partitioned | None = Field(None, description=HYPERPARAMETERS["posterior_temperature"])
    friction: Partitioned | None = Field(None, description=HYPERPARAMETERS["friction"])
    sigma: Partitioned | None = Field(None, description=HYPERPARAMETERS["sigma"])
    epsilon: Partitioned | None = Field(None, description=HYPERPARAMETERS["epsilon"])
    thermostat: Partitioned | None = Field(None, description=HYPERPARAMETERS["thermostat"])
    momentum: Partitioned | None = Field(None, description=HYPERPARAMETERS["momentum"])
    mass: Mass | None = Field(None, description="masses of the parameters under a splitting word; 1 unless given")
    convention: Literal["I", "II"] | None = Field(None, description="type of the momentum update; I by default")
    cooling: Literal["published", "exponential", "linear"] | None = Field(
        None, description="CoolMomentum's law; published by default"
    )

    @model_validator(mode="after")
    def _consistent(self) -> "MethodSpec":
        get_method(self.name)
        if self.temperature is not None and self.posterior_temperature is not None:
            raise ValueError("temperature and posterior_temperature are both given: give one (tau, or T = N tau)")
        if self.mass is not None and get_method(self.name).update is not None:
            raise ValueError(f"mass belongs to splitting words, and '{self.name}' is a whole-step update: leave it out")
        for key, owner in (("convention", "momentum"), ("cooling", "coolmomentum")):
            if getattr(self, key) is not None and self.name != owner:
                raise ValueError(f"{key} belongs to method '{owner}', not '{self.name}'")
        for name in HYPERPARAMETERS:
            given = getattr(self, name)
            for place, scheduled in ({"": given} if name == "stepsize" else given or {}).items():
                if scheduled is not None:
                    _check_numbers(name, place, scheduled)
        return self


_LOWEST = {"stepsize": "positive", "thermostat": "any"}


def _check_numbers(name: str, place: str, scheduled: Scheduled) -> None:
    """Refuse what no sampler can use: NaN, infinities (friction aside), negatives."""
    label = f"{name}.{place}" if place not in ("", "all") else name
    values = scheduled.value if isinstance(scheduled.value, list) else [scheduled.value]
    if not values:
        raise ValueError(f"{label} is an empty list")
    for i, v in enumerate(values):
        at = f" (entry {i})" if len(values) > 1 else ""
        if math.isnan(v) or (math.isinf(v) and not (name == "friction" and v > 0)):
            raise ValueError(f"{label} = {v}{at} is not a finite number")
        if math.isinf(v) and scheduled.schedule is not None:
            raise ValueError(f"{label} = {v}{at} takes no schedule: infinity stays infinity")
        if _LOWEST.get(name) == "positive" and v <= 0:
            raise ValueError(f"{label} = {v}{at} must be above 0")
        if name not in _LOWEST and v < 0:
            raise ValueError(f"{label} = {v}{at} must not be negative")
        if name == "momentum" and v >= 1:
            raise ValueError(f"{label} = {v}{at} must be below 1")
    if scheduled.schedule is not None and name in ("thermostat", "momentum"):
        raise ValueError(f"{label} is an initial value and takes no schedule")


class RunSection(Section):
    """[run]: how many replicas, how long, what is recorded."""

    replicas: int = Field(256, ge=1, description="networks advanced together, R", json_schema_extra=REPLICAS)
    steps: int = Field(100_000, ge=1, lt=2**48, description="all steps, burn-in included", json_schema_extra=STEPS)
    burn_in: int = Field(60_000, ge=0, description="before the first draw's interval", json_schema_extra=STEPS)
    thin: int = Field(2_000, ge=1, description="between draws", json_schema_extra=STEPS)
    batch: int | None = Field(
        None,
        ge=1,
        description="minibatch size B; 20 by default, all points for minibatch = full",
        json_schema_extra=POINTS,
    )
    minibatch: Literal["subset", "epoch", "replacement", "full"] = Field(
        "subset",
        description="a fresh subset each time, epochs in shuffled order, points drawn with replacement, or all points",
    )
    seed: int = Field(1, ge=0, lt=2**64, description="seed of the initial state and the dynamics")
    seed_init: int | None = Field(None, ge=0, lt=2**64, description="seed of the initial state, if different")
    seed_dynamics: int | None = Field(None, ge=0, lt=2**64, description="seed of noise and minibatches, if different")
    momenta: Literal["zero", "thermal"] = Field(
        "zero", description="initial momenta: none, or drawn at the temperature"
    )
    trace: int = Field(2_000, ge=1, description="between points of the learning curves", json_schema_extra=STEPS)
    keep: list[Literal["parameters", "predictions"]] = Field(
        ["parameters", "predictions"], description="what each draw stores"
    )

    @model_validator(mode="after")
    def _whole_draws(self) -> "RunSection":
        if self.burn_in >= self.steps:
            raise ValueError(f"burn_in = {self.burn_in} leaves no steps of steps = {self.steps} to draw from")
        if (self.steps - self.burn_in) % self.thin:
            fit = self.burn_in + max(1, round((self.steps - self.burn_in) / self.thin)) * self.thin
            raise ValueError(
                f"(steps - burn_in) / thin = {(self.steps - self.burn_in) / self.thin:g} is not whole: use steps ="
                f" {fit}"
            )
        if self.minibatch == "full" and self.batch is not None:
            raise ValueError(f'minibatch = "full" uses all points: leave out batch = {self.batch}')
        if len(set(self.keep)) != len(self.keep):
            raise ValueError(f"keep = {self.keep} names something twice")
        return self

    @property
    def draws(self) -> int:
        """Draws of the whole run; draw i is recorded after step burn_in + (i + 1) thin."""
        return (self.steps - self.burn_in) // self.thin


class RunSpec(Section):
    """A whole run. Without arguments: AdLaLa on the four-turn spirals, about a minute on two cores."""

    data: DataOptions = Field(default_factory=Spirals)
    model: ModelSpec = Field(default_factory=ModelSpec)
    target: AnyTarget | None = Field(None, description="a potential in place of a network and its data")
    method: MethodSpec = Field(default_factory=lambda: MethodSpec.model_validate(DEFAULT_METHOD))
    run: RunSection = Field(default_factory=RunSection)
    moves: list[AnyMove] = Field(default_factory=list, description="ensemble moves")

    @model_validator(mode="before")
    @classmethod
    def _spirals_by_default(cls, tree: Any) -> Any:
        """[data] without a name is about the spirals, as [method] without one is about adlala."""
        if isinstance(tree, Mapping) and isinstance(tree.get("data"), Mapping) and "name" not in tree["data"]:
            return {**tree, "data": {"name": "spirals", **tree["data"]}}
        return tree

    @model_validator(mode="before")
    @classmethod
    def _one_subject(cls, tree: Any) -> Any:
        """A potential has neither data nor network, and takes a method of its own."""
        if not isinstance(tree, Mapping) or tree.get("target") is None:
            return tree
        for section in ("data", "model"):
            if tree.get(section) is not None:
                raise ValueError(
                    f"target and {section} are both given: a potential takes the place of network and data"
                )
        if tree.get("method") is None:
            raise ValueError('a target needs [method], such as name = "sgld"')
        return tree

    @model_serializer(mode="wrap")
    def _subject_only(self, handler: Any) -> dict[str, Any]:
        """Write [target], or [data] and [model]."""
        left_out = ("target",) if self.target is None else ("data", "model")
        return {key: value for key, value in handler(self).items() if key not in left_out}

    @property
    def tied(self) -> int:
        """Neighbouring replicas that moves let trade places, and that so share a data set; 1 where none do."""
        return math.lcm(*(move.together for move in self.moves))

    @classmethod
    def from_dict(cls, tree: Mapping[str, Any]) -> "RunSpec":
        """Validate nested dictionaries; SpecError names the field, the value and the remedy."""
        try:
            return cls.model_validate(tree)
        except ValidationError as error:
            raise SpecError(explain(error, tree)) from None

    @classmethod
    def from_toml(cls, source: str | Path, overrides: Sequence[str] = ()) -> "RunSpec":
        """Read a TOML file (Path) or text (str), with `--set` style overrides."""
        return cls.from_dict(apply_overrides(read_toml(source), overrides))

    @classmethod
    def from_json(cls, text: str) -> "RunSpec":
        """Inverse of `to_json`; SpecError if the text is not JSON."""
        try:
            tree = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise SpecError(f"The spec is not JSON: {error}.") from None
        return cls.from_dict(tree)

    def to_dict(self) -> dict[str, Any]:
        """Nested plain dictionaries, all defaults filled in."""
        return self.model_dump()

    def to_json(self) -> str:
        """Canonical JSON: keys sorted, infinity as a string."""
        return json.dumps(json.loads(self.model_dump_json()), sort_keys=True)

    def to_toml(self) -> str:
        """TOML text that reads back to the same spec."""
        return tomli_w.dumps(self.to_dict())

    def fingerprint(self, data_fingerprint: str) -> str:
        """Identity of the run: everything but `run.steps`, and the data's own content."""
        tree = json.loads(self.to_json())
        del tree["run"]["steps"]
        return hashlib.sha256(f"{json.dumps(tree, sort_keys=True)}\n{data_fingerprint}".encode()).hexdigest()

    def differing_fields(self, other: "RunSpec") -> list[str]:
        """Dotted names of the fields in which `other` differs, `run.steps` aside."""
        ours, theirs = _flat(json.loads(self.to_json())), _flat(json.loads(other.to_json()))
        return sorted(
            key for key in ours.keys() | theirs.keys() if key != "run.steps" and ours.get(key) != theirs.get(key)
        )


def explain(error: ValidationError, tree: Mapping[str, Any]) -> str:
    """One line per mistake: the field, what is wrong, the value, and the nearest known name."""
    return explain_errors(error, lambda location: _known_keys(location, tree))


def _known_keys(location: Sequence[str], tree: Mapping[str, Any]) -> list[str]:
    """Keys of the section that an unknown key was found in."""
    models: dict[str, type[BaseModel]] = {"model": ModelSpec, "method": MethodSpec, "run": RunSection}
    section = location[0] if len(location) > 1 else ""
    if section == "data":
        name = tree.get("data", {}).get("name", "spirals") if isinstance(tree.get("data"), Mapping) else "spirals"
        return list(DATASETS.get(name, Spirals).model_fields)
    if section in ("target", "moves"):
        named = [part for part in location if part in TARGETS or part in MOVES]
        models |= {section: (TARGETS | MOVES)[named[0]]} if named else {}
    return list(models.get(section, RunSpec).model_fields)


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {prefix: tree}
    return {k: v for key, value in tree.items() for k, v in _flat(value, f"{prefix}.{key}" if prefix else key).items()}


__all__ = ["METHODS", "MethodSpec", "ModelSpec", "RunSection", "RunSpec", "Scheduled"]
