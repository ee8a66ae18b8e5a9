"""RunSpec: what a user writes, validated; TOML and JSON both ways; the fingerprint.

A spec is closed: data, numbers and names only. The sections are [data] (see data) and [model], or [target] (see
potentials) in place of both; [method], [run], and any number of [[moves]] (see moves).
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import (
    BaseModel,
    Field,
    ValidationError,
    model_serializer,
    model_validator,
)

from ..data import DATASETS, DataOptions, Spirals
from ..errors import SpecError
from ..method.named import DEFAULT_METHOD
from ..moves.table import MOVES, AnyMove
from ..targets.options import TARGETS, AnyTarget
from .duration import Duration, check_equal_times, with_duration
from .explain import explain as explain_errors
from .method import AUTO, MethodSpec
from .model import ModelSpec
from .names import elsewhere
from .section import Section
from .superchains import check_starts, check_whole
from .text import apply_overrides, read_toml
from .tuned import check_batch, check_tuned

_EXTRA: list[dict[str, Any]] = [{"unit": unit} for unit in ("replicas", "steps", "points")]
REPLICAS, STEPS, POINTS = _EXTRA
"""Units of keys, for who lists them (keys.py)."""


MOST_STEPS, LEAST_STEPS = 200_000, 1_000
"""Of a run with a tolerance: run.max_steps unless given, and the fewest it can be."""
ORDINARY, FALLING = "ordinary", "falling"
"""Values of run.path: how a run with a tolerance goes about it; None takes the first and, where need be, the second."""
TUNED = ("steps", "burn_in", "thin", "trace")
"""Keys of [run] that a run with a tolerance finds itself."""
FREE = ("steps", "max_steps", "tolerance", "max_time")
"""Keys of [run] in which a run may be continued otherwise than it began."""


Stream = Annotated[int, Field(ge=0, lt=2**32)]


class RunSection(Section):
    """[run]: how many replicas, how long, what is recorded."""

    replicas: int = Field(256, ge=1, description="networks advanced together, R", json_schema_extra=REPLICAS)
    steps: int = Field(100_000, ge=1, lt=2**48, description="all steps, burn-in included", json_schema_extra=STEPS)
    burn_in: int = Field(60_000, ge=0, description="before the first draw's interval", json_schema_extra=STEPS)
    thin: int = Field(2_000, ge=1, description="between draws", json_schema_extra=STEPS)
    batch: Annotated[int, Field(ge=1)] | Literal["auto"] | None = Field(
        None,
        description='minibatch size B; 20 by default, all points for minibatch = full and with tolerance; "auto" with'
        " tolerance: as few as leave variances right at the stepsize that is found, most often all",
        json_schema_extra=POINTS,
    )
    duration: Duration | None = Field(
        None,
        description="stepsize x steps in place of steps, burn_in and thin, or a table of the three as times; a run's"
        " own spec has the steps",
        json_schema_extra={"allowed": "number > 0, or {total = .., burn_in = .., thin = ..}"},
    )
    equal_times: bool | None = Field(
        None,
        description="steps, burn_in, thin and trace are those of the smallest stepsize; replicas of larger ones do as"
        " many fewer as take the same time. A duration with several stepsizes is written so (default false)",
    )
    streams: list[Stream] | None = Field(
        None,
        min_length=1,
        description="stream of each replica, 0 to R - 1 unless given: [3000] is that one of a larger run, alone",
    )
    superchain: int | None = Field(
        None,
        ge=2,
        description="so many neighbours start at one point, each with its own noise: superchains, by which nested R-hat"
        " tells whether starts are forgotten (default: every replica has its own start)",
        json_schema_extra=REPLICAS,
    )
    minibatch: Literal["subset", "epoch", "symmetric", "replacement", "full"] = Field(
        "subset",
        description="a fresh subset each time, epochs in shuffled order, the same in order and then backwards, points"
        " drawn with replacement, or all points",
    )
    seed: int = Field(1, ge=0, lt=2**64, description="seed of the initial state and the dynamics")
    seed_init: int | None = Field(None, ge=0, lt=2**64, description="seed of the initial state, if different")
    seed_dynamics: int | None = Field(None, ge=0, lt=2**64, description="seed of noise and minibatches, if different")
    momenta: Literal["zero", "thermal"] = Field(
        "zero", description="initial momenta: none, or drawn at the temperature"
    )
    trace: int = Field(2_000, ge=1, description="between points of the learning curves", json_schema_extra=STEPS)
    keep: list[Literal["parameters", "predictions", "momenta", "log_likelihood"]] = Field(
        ["parameters", "predictions"],
        description=(
            "what each draw stores: parameters (group posterior), predictions at some 32 points (probes), momenta,"
            " log_likelihood of every training point (for leave-one-out)"
        ),
    )

    work: bool | None = Field(
        None,
        description="count the work of each step of a plain word on all points: acceptance and shadow_work in"
        " sample_stats. Words in braces and runs with a tolerance count it in any case; small networks pay up to a"
        " third for it (default false)",
    )
    tolerance: float | None = Field(
        None,
        gt=0,
        le=1,
        allow_inf_nan=False,
        description="in place of steps, burn_in, thin and trace: tune, burn in, sample, and stop when every average is"
        " known to so many posterior standard deviations",
    )
    max_steps: int | None = Field(
        None,
        ge=LEAST_STEPS,
        lt=2**48,
        description=f"with tolerance: steps at most, {MOST_STEPS:,} by default",
        json_schema_extra=STEPS,
    )
    max_time: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="with tolerance: time at most, after which the run ends with the error it has",
        json_schema_extra={"unit": "seconds"},
    )
    path: Literal["ordinary", "falling"] | None = Field(
        None,
        description='with tolerance: "ordinary" rules alone; or, for stiff networks, "falling" at once: an isokinetic'
        " word whose stepsize falls to a last one, an answer within the budget that may not be trusted. Unless given:"
        " the ordinary ones, and the falling way where burn-in of a stiff network would take over a quarter of the"
        " budget",
    )

    @model_validator(mode="before")
    @classmethod
    def _tuned_length(cls, tree: Any) -> Any:
        """A run with a tolerance finds its own length: what would say another is refused, and max_steps bounds it."""
        if not isinstance(tree, Mapping):
            return tree
        if tree.get("tolerance") is None:
            if tree.get("path") is not None:
                raise ValueError(
                    f"path = {tree['path']!r} is how a run that tunes itself goes about it: give run.tolerance too"
                )
            for key in ("max_steps", "max_time"):
                if tree.get(key) is not None:
                    raise ValueError(
                        f"{key} bounds a run that stops itself: give run.tolerance too, or run.steps instead"
                    )
            return tree
        for key in TUNED:
            if tree.get(key) is not None:
                raise ValueError(
                    f"tolerance = {tree['tolerance']} and {key} = {tree[key]} are both given: a run with a tolerance"
                    f" finds burn-in and length itself (run.max_steps and run.max_time bound it), so leave out {key}"
                )
        most = tree.get("max_steps") or MOST_STEPS
        out = {**tree, "max_steps": most, "steps": most, "burn_in": 0, "thin": 1}
        if tree.get("minibatch") is None and tree.get("batch") is None:
            out["minibatch"] = "full"
        return out

    @model_serializer(mode="wrap")
    def _own_length(self, handler: Any) -> dict[str, Any]:
        """A run with a tolerance has no length of its own to write."""
        left_out = () if self.tolerance is None else TUNED
        return {key: value for key, value in handler(self).items() if value is not None and key not in left_out}

    @model_validator(mode="before")
    @classmethod
    def _one_replica_a_stream(cls, tree: Any) -> Any:
        """As many replicas as streams."""
        if not isinstance(tree, Mapping) or not isinstance(tree.get("streams"), list | tuple):
            return tree
        return {"replicas": len(tree["streams"]), **tree}

    @model_validator(mode="after")
    def _different_streams(self) -> "RunSection":
        if self.duration is not None:
            raise ValueError("duration is for [run] of a run or a study, where there is a stepsize: give steps here")
        if self.streams is None:
            return self
        if len(self.streams) != self.replicas:
            raise ValueError(
                f"replicas = {self.replicas} and {len(self.streams)} streams: leave replicas out, or give one for each"
            )
        twice = next((s for s in self.streams if self.streams.count(s) > 1), None)
        if twice is not None:
            raise ValueError(f"streams has {twice} twice: two replicas would be one and the same")
        return self

    @model_validator(mode="after")
    def _whole_superchains(self) -> "RunSection":
        check_whole(self.superchain, self.replicas, self.streams is not None)
        return self

    @model_validator(mode="after")
    def _whole_draws(self) -> "RunSection":
        if self.burn_in >= self.steps:
            given = "" if "burn_in" in self.model_fields_set else " (its default)"
            raise ValueError(
                f"burn_in = {self.burn_in}{given} leaves no steps of steps = {self.steps} to draw from: set run.burn_in"
                f" below them, such as {self.steps // 2}, and run.thin so that the draws fill the rest"
            )
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
    """A whole run. Without arguments: AdLaLa on the four-turn spirals at LMV's setting, which optimises (default.py has
    the main job).
    """

    data: DataOptions = Field(default_factory=Spirals)
    model: ModelSpec = Field(default_factory=ModelSpec)
    target: AnyTarget | None = Field(None, description="a potential in place of a network and its data")
    method: MethodSpec = Field(default_factory=lambda: MethodSpec.model_validate(DEFAULT_METHOD))
    run: RunSection = Field(default_factory=RunSection)
    moves: list[AnyMove] = Field(default_factory=list, description="ensemble moves")
    registered: dict[str, str] = Field(
        default_factory=dict,
        description="digests of the records registered from Python that a run goes by, written into its own spec",
        json_schema_extra={"allowed": "what a run's own spec says"},
    )

    @model_validator(mode="before")
    @classmethod
    def _by_duration(cls, tree: Any) -> Any:
        """A duration is steps of the run's stepsize."""
        return with_duration(tree)

    @model_validator(mode="after")
    def _alone(self) -> "RunSpec":
        """What a replica does in a larger run it can do alone where it does not depend on others."""
        if self.run.streams is None:
            return self
        together = next((move.kind for move in self.moves if move.kind != "cyclical"), None)
        if self.run.tolerance is not None or self.method.stepsize == AUTO:
            raise ValueError(
                "run.streams are for replicas that go their own way, and a run that tunes itself goes by all of them:"
                " give steps and a stepsize, or leave streams out"
            )
        if together is not None:
            raise ValueError(
                f"run.streams are for replicas that go their own way, and a move of kind {together} makes them depend"
                " on each other: leave out one of the two"
            )
        return self

    @model_validator(mode="wrap")
    @classmethod
    def _as_registered(cls, tree: Any, handler: Any) -> "RunSpec":
        """What was registered where the spec was written is taken by name."""
        names = tree.get("registered") if isinstance(tree, Mapping) else None
        with elsewhere(names if isinstance(names, Mapping) else ()):
            made: RunSpec = handler(tree)
            return made

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

    @model_validator(mode="after")
    def _whole_blocks(self) -> "RunSpec":
        """Draws, and points of the learning curves, stand at the ends of blocks; the default of these moves there."""
        block, run = self.method.block or 1, self.run
        if run.tolerance is not None:
            return self
        if "trace" not in run.model_fields_set and run.trace % block:
            trace = -(-run.trace // block) * block
            object.__setattr__(self, "run", run.model_copy(update={"trace": trace}))
        what = f"method.block = {block}, and a replica may be recorded at the end of a proposal only"
        _check_multiples(self.run, ("burn_in", "thin", "trace"), block, what)
        return self

    @model_validator(mode="after")
    def _whole_periods(self) -> "RunSpec":
        """Draws stand where all partitions have come as far."""
        period = math.lcm(*(self.method.every or {}).values())
        if period > 1 and (self.run.tolerance is not None or self.run.equal_times):
            what = "tolerance" if self.run.tolerance is not None else "equal_times"
            raise ValueError(
                f"run.{what} needs steps that are all alike, and method.every lets some rest: leave one out"
            )
        what = f"the {period} steps after which all partitions of method.every have moved"
        _check_multiples(self.run, ("burn_in", "thin"), period, what)
        return self

    @model_validator(mode="after")
    def _one_time(self) -> "RunSpec":
        """Where partitions have stepsizes of their own, a run has no one time, nor one stepsize to find."""
        if self.method.stepsize_ratio and (self.run.tolerance is not None or self.run.equal_times):
            what, else_ = "tolerance finds one stepsize", "use method.mass, which may differ by partition, too"
            if self.run.tolerance is None:
                what, else_ = "equal_times compares times", "leave one out"
            raise ValueError(f"run.{what}, and with method.stepsize_ratio every partition has its own: {else_}")
        return self

    @model_validator(mode="after")
    def _equal_times(self) -> "RunSpec":
        """Replicas of several stepsizes can keep one time where each goes its own way."""
        if self.run.equal_times:
            check_equal_times(self)
        return self

    @model_validator(mode="after")
    def _superchains(self) -> "RunSpec":
        """Superchains have starts of their own, and replicas that go their own way."""
        if self.run.superchain is not None:
            check_starts(None if self.target else self.model.init, self.target, self.moves, self.run.tolerance)
        return self

    @model_validator(mode="after")
    def _tuned(self) -> "RunSpec":
        """What tunes itself must be free to, and needs somebody who tunes."""
        check_tuned(self.run.tolerance, self.run.replicas, self.method, self.moves, self.run.keep)
        check_batch(self.run.batch, self.run.tolerance, self.moves, self.run.path)
        return self

    @model_serializer(mode="wrap")
    def _subject_only(self, handler: Any) -> dict[str, Any]:
        """Write [target], or [data] and [model]."""
        left_out: tuple[str, ...] = ("target",) if self.target is None else ("data", "model")
        left_out += () if self.registered else ("registered",)
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
        """Identity of the run: everything but how long it is (FREE), and the data's own content."""
        tree = json.loads(self.to_json())
        for key in FREE:
            tree["run"].pop(key, None)
        return hashlib.sha256(f"{json.dumps(tree, sort_keys=True)}\n{data_fingerprint}".encode()).hexdigest()

    def differing_fields(self, other: "RunSpec") -> list[str]:
        """Dotted names of the fields in which `other` differs, those of FREE aside."""
        ours, theirs = _flat(json.loads(self.to_json())), _flat(json.loads(other.to_json()))
        free = {f"run.{key}" for key in FREE}
        return sorted(
            key for key in ours.keys() | theirs.keys() if key not in free and ours.get(key) != theirs.get(key)
        )


def _check_multiples(run: RunSection, keys: Sequence[str], of: int, what: str) -> None:
    """ValueError where a number of steps is no multiple `of` so many, which are `what`."""
    for key in keys:
        steps = getattr(run, key)
        if steps % of:
            raise ValueError(f"run.{key} = {steps} is no multiple of {what}: use {max(1, round(steps / of)) * of}")


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
