"""ComparisonSpec: one target, common [run] settings, and an [[entry]] for each method; every entry evaluates as many
gradients.

The unit of all statistics is the *group*: some independent replicas that make one experiment. All entries have as many
groups, and groups of all entries evaluate as many gradients, `group x run.steps`. So

- a ladder of Q rungs is Q of the group's replicas: a group has fewer ladders than it has chains of a method without
rungs;
- an entry that takes more steps than the others has fewer replicas in a group, and the other way round;
- an entry whose step evaluates g gradients takes 1/g of the steps.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from ..errors import SpecError
from ..running.setup import prepare
from ..spec.run import RunSection, RunSpec, explain
from ..spec.section import Section
from ..spec.text import read_toml
from .cells import refuse_tolerance

Tree = dict[str, Any]
ROUNDING = 1e-3
"""Relative difference of gradient evaluations that is called equal: steps are whole."""


class Entry(Section):
    """[[entry]]: one method, and what of [run] it changes.

    `steps`, `burn_in`, `thin` and other keys of [run] may differ; `replicas` follow from the gradients. `watch` records
    histograms, rungs and multipliers of the first group for pictures.
    """

    label: str = Field(min_length=1, description="name in table and pictures")
    method: Tree = Field(description="[method] of a run")
    moves: list[Tree] = Field(default_factory=list, description="[[moves]] of a run")
    run: Tree = Field(default_factory=dict, description="keys of [run] that differ from the file's")
    watch: bool = Field(False, description="record histograms, rungs and multipliers of the first group for pictures")
    note: str = Field("", description="a remark for the page")
    published: dict[str, float] = Field(default_factory=dict, description="measure -> published value")

    @model_validator(mode="after")
    def _replicas_follow(self) -> Self:
        for key in ("replicas", "seed", "seed_init", "seed_dynamics"):
            if key in self.run:
                raise ValueError(
                    f"entry '{self.label}': run.{key} belongs to all entries (replicas follow from steps): set it in"
                    " [run]"
                )
        return self

    @property
    def slug(self) -> str:
        """The label as the name of a file."""
        return re.sub(r"[^a-z0-9]+", "-", self.label.lower()).strip("-") or "entry"


class GridOptions(Section):
    """[grid]: where densities are compared."""

    low: float | None = Field(None, description="lowest coordinate; the target's own box unless given")
    high: float | None = Field(None, description="highest coordinate")
    cells: int = Field(50, ge=4, le=400, description="cells of an axis for distances and pictures")


class ComparisonSpec(Section):
    """A comparison: one target or network, common [run] settings, and an [[entry]] for each method."""

    title: str = Field("Methods at equal numbers of gradient evaluations", description="of the page")
    about: str = Field("", description="a paragraph under the title")
    group: int = Field(1, ge=1, description="replicas of one experiment, at run.steps steps")
    target: Tree | None = Field(None, description="[target] of a run, in place of data and model")
    data: Tree | None = Field(None, description="[data] of a run")
    model: Tree | None = Field(None, description="[model] of a run")
    run: Tree = Field(default_factory=dict, description="[run] of a run, common to all entries")
    grid: GridOptions = Field(default_factory=lambda: GridOptions(), description="where densities are compared")
    entry: list[Entry] = Field(min_length=1, description="one [[entry]] for each method")

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        slugs = [e.slug for e in self.entry]
        twice = sorted({e.label for e in self.entry if slugs.count(e.slug) > 1})
        if twice:
            raise ValueError(
                f"entries {', '.join(twice)} have the same label, or labels that make the same file name: rename them"
            )
        if self.target is not None and (self.data is not None or self.model is not None):
            raise ValueError("target and data or model are both given: a potential takes the place of network and data")
        return self

    @classmethod
    def from_dict(cls, tree: Mapping[str, Any]) -> Self:
        """Validate nested dictionaries; SpecError names the field, the value and the remedy."""
        try:
            return cls.model_validate(tree)
        except ValidationError as error:
            raise SpecError(explain(error, tree)) from None

    @classmethod
    def from_toml(cls, source: str | Path) -> Self:
        """Read a TOML file (Path) or text (str)."""
        return cls.from_dict(read_toml(source))

    @property
    def subject(self) -> Tree:
        """What all entries sample: {target} or {data, model}."""
        if self.target is not None:
            return {"target": self.target}
        return {name: section for name, section in (("data", self.data), ("model", self.model)) if section is not None}

    def plan(self, scale: float = 1.0) -> list["Planned"]:
        """The runs, one for each entry; with `scale` below 1, that share of the groups (two at least) and of the steps.

        Raises
        ------
        SpecError
            An entry that cannot be run, or cannot evaluate as many gradients as the others; the message names it.
        """
        common = self._section({})
        groups, left = divmod(common.replicas, self.group)
        if left:
            raise SpecError(
                f"run.replicas = {common.replicas} is not a multiple of group = {self.group}: give a multiple."
            )
        steps = common.steps if scale >= 1 else max(10, int(common.steps * scale))
        groups = groups if scale >= 1 else max(2, round(groups * scale))
        return [self._planned(e, common, groups, steps) for e in self.entry]

    def _section(self, changed: Tree) -> RunSection:
        try:
            return RunSection.model_validate(self.run | changed)
        except ValidationError as error:
            raise SpecError(explain(error, {"run": self.run | changed})) from None

    def _planned(self, entry: Entry, common: RunSection, groups: int, steps: int) -> "Planned":
        try:
            run = self._section(entry.run)
            rungs = self._spec(entry, run).tied
            g = _gradients_per_step(self._spec(entry, run.model_copy(update={"replicas": rungs})))
            own = steps * run.steps // common.steps if "steps" in entry.run else steps // g
            size = Fraction(self.group * steps, own * g)
            if abs(size - round(size)) > ROUNDING * size or round(size) < 1:
                wanted = f"{self.group} x {common.steps} / ({run.steps} x {g})"
                raise SpecError(
                    f"a group would have {wanted} = {float(size):g} replicas. Change steps, or group, so that it is"
                    " whole."
                )
            if round(size) % rungs:
                raise SpecError(
                    f"a group of {round(size)} replicas does not fill ladders of {rungs} rungs: change group, or rungs."
                )
            run = run.model_copy(update=_lengths(run, own) | {"replicas": groups * round(size)})
            return Planned(entry, self._spec(entry, run), groups, round(size), g)
        except SpecError as error:
            raise SpecError(f"Entry '{entry.label}': {error}") from None

    def _spec(self, entry: Entry, run: RunSection) -> RunSpec:
        refuse_tolerance(run.model_dump())
        return RunSpec.from_dict(
            {**self.subject, "method": entry.method, "run": run.model_dump(), "moves": entry.moves}
        )


@dataclass(frozen=True)
class Planned:
    """The run of one entry.

    Attributes
    ----------
    groups : independent experiments. group : replicas of each. gradients_per_step : of each replica.
    """

    entry: Entry
    spec: RunSpec
    groups: int
    group: int
    gradients_per_step: int

    @property
    def rungs(self) -> int:
        """Replicas that a ladder ties together; 1 where none trade places."""
        return self.spec.tied

    @property
    def chains(self) -> int:
        """Independent chains of the run, a ladder counting as one."""
        return self.groups * self.group // self.rungs

    @property
    def gradients(self) -> int:
        """Gradient evaluations of the whole run, the initial ones aside."""
        return self.spec.run.replicas * self.spec.run.steps * self.gradients_per_step


def _gradients_per_step(spec: RunSpec) -> int:
    """Of the program the run would have."""
    return prepare(spec).program.gradients_per_step


def _lengths(run: RunSection, steps: int) -> dict[str, int]:
    """The same draws in another number of steps: rounding goes to the burn-in, and there are fewer draws where there
    are fewer steps.
    """
    if steps == run.steps:
        return {}
    factor = steps / run.steps
    thin = max(1, int(run.thin * factor))
    draws = max(1, min(run.draws, int((run.steps - run.burn_in) * factor) // thin))
    return {"steps": steps, "burn_in": steps - draws * thin, "thin": thin, "trace": max(1, int(run.trace * factor))}
