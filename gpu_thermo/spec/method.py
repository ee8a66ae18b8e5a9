"""[method] of a spec: a named method and its hyperparameters."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    model_validator,
)

from ..method.named import ALIASES, HYPERPARAMETERS, METHODS, get_method
from .mass import AUTO, Mass
from .names import is_elsewhere
from .section import RealNumber, Section, WholeNumber
from .values import Partitioned, Scheduled, Value

__all__ = ["AUTO", "MethodSpec"]


class MethodSpec(Section):
    """[method]: a named method and its hyperparameters; what is not given takes the method's default."""

    name: str = Field(
        "adlala",
        description="the method (gpu-thermo methods lists them)",
        json_schema_extra=lambda schema: schema.update(enum=[*METHODS, *ALIASES]),
    )
    word: str | dict[str, str] | None = Field(None, description="splitting word, or one per partition")
    partition: Literal["layer", "tensor", "all"] | None = Field(
        None, description="how parameters are grouped; the method's own by default"
    )
    freeze: list[str] = Field(default_factory=list, description="partitions that keep their initial values")
    stepsize: Value | Literal["auto"] | None = Field(None, description=HYPERPARAMETERS["stepsize"])
    temperature: Partitioned | None = Field(None, description=HYPERPARAMETERS["temperature"])
    posterior_temperature: Partitioned | None = Field(None, description=HYPERPARAMETERS["posterior_temperature"])
    friction: Partitioned | Literal["auto"] | None = Field(None, description=HYPERPARAMETERS["friction"])
    sigma: Partitioned | None = Field(None, description=HYPERPARAMETERS["sigma"])
    epsilon: Partitioned | None = Field(None, description=HYPERPARAMETERS["epsilon"])
    thermostat: Partitioned | None = Field(None, description=HYPERPARAMETERS["thermostat"])
    momentum: Partitioned | None = Field(None, description=HYPERPARAMETERS["momentum"])
    mass: Mass | None = Field(None, description="masses of the parameters under a splitting word")
    every: dict[str, Annotated[WholeNumber, Field(ge=1)]] | None = Field(
        None,
        description="multirate: a partition with m here moves in the last of every m steps only, by m stepsizes",
        json_schema_extra={"allowed": "{partition = steps, ..}", "unit": "steps"},
    )
    stepsize_ratio: dict[str, Annotated[RealNumber, Field(ge=1e-6, le=1e6)]] | None = Field(
        None,
        description="a stepsize of its own for a partition, as a multiple of stepsize, between 1e-6 and 1e6; the others"
        " have 1",
        json_schema_extra={"allowed": "{partition = number, ..}"},
    )
    block: int | None = Field(
        None,
        ge=1,
        description="steps of a proposal of a word in braces, 1 by default; draws stand at the ends of blocks",
        json_schema_extra={"unit": "steps"},
    )
    convention: Literal["I", "II"] | None = Field(None, description="type of the momentum update; I by default")
    cooling: Literal["published", "exponential", "linear"] | None = Field(
        None, description="CoolMomentum's law; published by default"
    )

    @model_validator(mode="before")
    @classmethod
    def _by_its_own_name(cls, tree: Any) -> Any:
        """Another name of a method is replaced by its own, and by the word that it stands for."""
        if not isinstance(tree, Mapping) or str(tree.get("name")) not in ALIASES:
            return tree
        name, word = ALIASES[tree["name"]]
        if word is not None and tree.get("word") not in (None, word):
            raise ValueError(
                f"'{tree['name']}' is '{name}' with word = '{word}', and word = {tree['word']!r} is given: leave it"
                f' out, or use name = "{name}"'
            )
        return {**tree, "name": name} | ({} if word is None else {"word": word})

    @model_validator(mode="before")
    @classmethod
    def _one_stepsize(cls, tree: Any) -> Any:
        """A replica has one stepsize; what partitions have of it is told apart."""
        given = tree.get("stepsize") if isinstance(tree, Mapping) else None
        if isinstance(given, Mapping) and given and not {"value", "values", "schedule", "repeat"} & given.keys():
            if all(isinstance(v, int | float) and not isinstance(v, bool) and v > 0 for v in given.values()):
                first, *others = given.items()
                ratios = ", ".join(f"{name} = {v / first[1]:g}" for name, v in others) or f"{first[0]} = 1"
                raise ValueError(
                    f"stepsize = {dict(given)} is by partition, and a replica has one stepsize, of which partitions"
                    f" have multiples: stepsize = {first[1]:g}, stepsize_ratio = {{{ratios}}}"
                )
        return tree

    @model_validator(mode="after")
    def _consistent(self) -> "MethodSpec":
        if is_elsewhere("update", self.name):
            return self
        get_method(self.name)
        if self.temperature is not None and self.posterior_temperature is not None:
            raise ValueError("temperature and posterior_temperature are both given: give one (tau, or T = N tau)")
        if self.mass is not None and get_method(self.name).update is not None:
            raise ValueError(f"mass belongs to splitting words, and '{self.name}' is a whole-step update: leave it out")
        if self.every is not None and get_method(self.name).update is not None:
            raise ValueError(
                f"every belongs to splitting words, and '{self.name}' is a whole-step update, which moves all at once:"
                " leave it out"
            )
        if self.stepsize_ratio is not None and get_method(self.name).update is not None:
            raise ValueError(
                f"stepsize_ratio belongs to splitting words, and '{self.name}' is a whole-step update: leave it out"
            )
        for key, owner in (("convention", "momentum"), ("cooling", "coolmomentum")):
            if getattr(self, key) is not None and self.name != owner:
                raise ValueError(f"{key} belongs to method '{owner}', not '{self.name}'")
        for name in HYPERPARAMETERS:
            given = getattr(self, name)
            if given == AUTO:
                continue
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
