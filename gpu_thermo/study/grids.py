"""StudySpec: a run spec, a grid over any of its fields, and seeds; validated, TOML and JSON both ways.

    [data]                       # [data], [model] or [target], [method], [run], [[moves]]: the base run
    name = "spirals"
    [grid]                       # every combination of these ...
    model.hidden = [20, 100]
    [[grid.method]]              # (a whole section: a list of tables, each with a label if wanted)
    name = "sgd"
    stepsize = 0.1
    [[grid.method]]
    name = "adlala"
    [[zip]]                      # ... with these, which go in step
    method.temperature = [1e-4, 1e-5]
    method.friction = [0.1, 1.0]
    [seeds]
    count = 100                  # or data, init, dynamics: a number n (0 to n - 1) or a list

Keys of a move are named by its kind, moves.exchange.rungs = [4, 8]; whole moves replaced, moves = [[], [{kind =
"exchange", ...}]]. What is left out of [run] is made for studies: burn_in = 0, one draw at the end, twenty points of
the learning curves, nothing kept.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from pydantic import Field, ValidationError, model_validator

from ..errors import SpecError, did_you_mean
from ..spec.run import RunSpec, explain
from ..spec.section import Section
from ..spec.text import read_toml
from .cells import SECTIONS, label_of, run_of
from .seeds import SeedsSpec

MAX_CELLS = 10**6
_BY_SEEDS = {
    "data.seed": "data", "data.seeds": "data", "data.split_seed": "data", "run.seed_init": "init",
    "run.seed_dynamics": "dynamics",
}  # fmt: skip
_FIXED = ("run.replicas", "run.superchain", "run.keep", "run.streams", *_BY_SEEDS)
"""Fields that a study sets itself."""
_OF_TUNED = ("run.replicas", "run.superchain")
"""Those that are a run's own where each cell and seed is a run that tunes itself."""


class StudyOptions(Section):
    """[study]: what is measured, and how the work is cut."""

    accuracies: list[float] = Field([0.9, 0.95, 0.99], description="test accuracies whose first step is noted")
    keep: bool = Field(False, description="keep every draw's parameters (large)")
    shard: int | None = Field(
        None,
        ge=1,
        le=2**20,
        description="runs of one shard, about ten seconds of work by default; of those with a tolerance how many share"
        " a launch, as many as pay by default",
    )

    @model_validator(mode="after")
    def _fractions(self) -> "StudyOptions":
        if not all(0 < a <= 1 for a in self.accuracies) or len(set(self.accuracies)) != len(self.accuracies):
            raise ValueError(f"accuracies = {self.accuracies} must be different fractions above 0, at most 1")
        return self


@dataclass(frozen=True)
class Cell:
    """One point of the grid: `fields` maps each varied field to its value (a label for a whole section)."""

    index: int
    label: str
    fields: dict[str, Any]
    spec: RunSpec


class StudySpec(Section):
    """A study: the sections of a base run ([data] and [model] or [target], [method], [run], [[moves]]), a grid over any
    of their fields, and seeds.

    `base` holds the sections of the base run as given.
    """

    name: str = Field("", description="of the study, for people")
    base: dict[str, Any] = Field(default_factory=dict)
    grid: dict[str, list[Any]] = Field(
        default_factory=dict, description="field -> values, as in model.hidden = [20, 100]: every combination is a cell"
    )
    zip: list[dict[str, list[Any]]] = Field(
        default_factory=list, description="tables of field -> values that go in step, combined with the grid"
    )
    seeds: SeedsSpec = Field(default_factory=SeedsSpec, description="how many runs each cell has, and their seeds")
    study: StudyOptions = Field(default_factory=StudyOptions, description="what is measured, and how the work is cut")

    registered: dict[str, str] = Field(
        default_factory=dict,
        description="digests of the records registered from Python that its runs go by, written into its own spec",
        json_schema_extra={"allowed": "what a study's own spec says"},
    )

    given: dict[str, str] = Field(
        default_factory=dict,
        description="digests of what its runs were given in Python beside the spec, written into its own spec",
        json_schema_extra={"allowed": "what a study's own spec says"},
    )

    @classmethod
    def from_dict(cls, tree: Mapping[str, Any]) -> "StudySpec":
        """Validate nested dictionaries, every cell included; SpecError names the field, the value and the remedy."""
        known = ("name", *SECTIONS, "grid", "zip", "seeds", "study", "registered", "given")
        for key in tree:
            if key not in known:
                raise SpecError(f"Unknown key '{key}'. {did_you_mean(key, known)}")
        zipped = tree.get("zip", [])
        if not isinstance(zipped, list) or not all(isinstance(z, Mapping) for z in zipped):
            raise SpecError("zip is a list of tables: write [[zip]] above each group of fields that go in step.")
        own = {key: tree[key] for key in ("name", "seeds", "study", "registered", "given") if key in tree}
        own["base"] = {key: tree[key] for key in SECTIONS if key in tree}
        own["grid"] = _axes(tree.get("grid", {}), "grid")
        own["zip"] = [_axes(table, "zip") for table in zipped]
        try:
            spec = cls.model_validate(own)
        except ValidationError as error:
            raise SpecError(_tidy(error, tree)) from None
        spec._check()
        return spec

    @classmethod
    def from_toml(cls, source: str | Path) -> "StudySpec":
        """Read a TOML file (Path) or text (str)."""
        return cls.from_dict(read_toml(source))

    @classmethod
    def from_json(cls, text: str) -> "StudySpec":
        """Inverse of `to_json`."""
        try:
            return cls.from_dict(json.loads(text))
        except (json.JSONDecodeError, RecursionError) as error:
            raise SpecError(f"The study is not JSON: {error}.") from None

    def to_dict(self) -> dict[str, Any]:
        """Nested plain dictionaries, as `from_dict` reads them."""
        out = {
            **self.base,
            "grid": self.grid,
            "zip": self.zip,
            "seeds": self.seeds.model_dump(),
            "study": self.study.model_dump(),
            "registered": self.registered,
            "given": self.given,
        }
        return {key: value for key, value in ({"name": self.name} | out).items() if value not in ("", {}, [])}

    def to_json(self) -> str:
        """JSON; infinity becomes text, which a spec reads as infinity. Keys keep their order, which is that of the
        cells.
        """
        return json.dumps(_finite(self.to_dict()), allow_nan=False)

    def to_toml(self) -> str:
        """TOML text that reads back to the same study; cells may come in another order, since TOML has tables last."""
        return tomli_w.dumps(self.to_dict())

    def cells(self) -> list[Cell]:
        """Every point of the grid, validated; the last field of the grid runs fastest, zipped groups after it.

        Raises
        ------
        SpecError
            A cell is no valid run: what is wrong, and in which cell.
        """
        out: list[Cell] = []
        labels: dict[str, int] = {}
        for point in self._points():
            label = ", ".join(filter(None, (label_of(field, value) for field, value in point.items())))
            label = label or str(self.base.get("method", {}).get("name", "adlala"))
            labels[label] = labels.get(label, 0) + 1
            label = label if labels[label] == 1 else f"{label} ({labels[label]})"
            fields = {
                field: label_of(field, value) if isinstance(value, Mapping | list) else value
                for field, value in point.items()
            }
            try:
                out.append(Cell(len(out), label, fields, run_of(self.base, point, self.registered)))
            except SpecError as error:
                raise SpecError(f"{error}{f' (in the cell {label})' if point else ''}") from None
        return out

    def _points(self) -> Iterator[dict[str, Any]]:
        axes = [[{field: value} for value in values] for field, values in self.grid.items()]
        axes += [
            [dict(zip(group, row, strict=True)) for row in zip(*group.values(), strict=True)] for group in self.zip
        ]
        for parts in product(*axes):
            yield {field: value for part in parts for field, value in part.items()}

    def _tunes(self) -> bool:
        """Whether runs tune and stop themselves."""
        run, axes = self.base.get("run"), (self.grid, *self.zip)
        return (isinstance(run, Mapping) and "tolerance" in run) or any("run.tolerance" in axis for axis in axes)

    def refuse_repeated(self) -> None:
        """SpecError for a value that the grid names twice: two cells would be one, and count twice. Studies of before
        that have one stay readable.
        """
        for field, values in self.grid.items():
            texts = [json.dumps(value, sort_keys=True, default=str) for value in values]
            for value, text in zip(values, texts, strict=True):
                if texts.count(text) > 1:
                    raise SpecError(
                        f"grid.{field} names {value!r} twice: give it once. How many runs a cell has stands in [seeds]."
                    )

    def _check(self) -> None:
        """Refuse what would go wrong later, every cell included."""
        named = [field for group in (self.grid, *self.zip) for field in group]
        for field in named:
            if named.count(field) > 1:
                raise SpecError(f"'{field}' is varied twice: give it once, in [grid] or in one [[zip]].")
        for group in self.zip:
            lengths = {field: len(values) for field, values in group.items()}
            if len(set(lengths.values())) > 1:
                found = ", ".join(f"{n} of {field}" for field, n in lengths.items())
                raise SpecError(f"Fields that go in step need lists of equal length; there are {found}.")
        for key in (f"{s}.{k}" for s, section in self.base.items() if isinstance(section, Mapping) for k in section):
            if key in _FIXED and not (key in _OF_TUNED and self._tunes()):
                raise SpecError(_reserved(key))
        if "run.superchain" in named and not self._tunes():
            raise SpecError(_reserved("run.superchain"))
        count = np.prod(
            [float(len(v)) for v in self.grid.values()] + [float(len(next(iter(g.values())))) for g in self.zip]
        )
        if count > MAX_CELLS:
            raise SpecError(f"The grid has {count:.3g} cells, more than {MAX_CELLS:,}: use fewer values.")
        for cell in self.cells():
            _check_seeds(cell, self.seeds)


def _check_seeds(cell: Cell, seeds: SeedsSpec) -> None:
    """Refuse seeds that mean nothing to a cell."""
    table, spec = seeds.table(), cell.spec
    if spec.target is not None and seeds.data is not None:
        raise SpecError(
            "seeds.data is about data sets, and a [target] has none: give count, or init and dynamics, in [seeds]."
        )
    highest, tied = int(max(table.init.max(), table.dynamics.max())), spec.tied
    if (highest + 1) * tied > 2**32:
        raise SpecError(
            f"Seed {highest} of ladders of {tied} rungs would need the stream {(highest + 1) * tied - 1}, beyond"
            f" 2^32: use seeds below {2**32 // tied}."
        )
    interacting = next((m.kind for m in spec.moves if m.interacts), None)
    if interacting and spec.target is None and len(set(table.data.tolist())) == len(table) > 1:
        raise SpecError(
            f"{interacting}: replicas with one data set share a histogram, and here each has its own: give data = 1"
            " beside count in [seeds], or leave interacting out."
        )


def _axes(tree: Any, where: str, prefix: str = "") -> dict[str, list[Any]]:
    """Dotted fields and their lists from a table whose keys are dotted, nested, or both."""
    if not isinstance(tree, Mapping):
        raise SpecError(f"{where} is a table of fields and lists, as in model.hidden = [20, 100].")
    out: dict[str, list[Any]] = {}
    for key, value in tree.items():
        field = f"{prefix}.{key}" if prefix else str(key)
        section = field.partition(".")[0]
        if section not in SECTIONS:
            remedy = did_you_mean(section, SECTIONS, f"Sections: {', '.join(SECTIONS)}.")
            raise SpecError(f"{where}.{field}: there is no section '{section}' in a run. {remedy}")
        if isinstance(value, Mapping):
            out |= _axes(value, where, field)
        elif not isinstance(value, list):
            raise SpecError(
                f"{where}.{field} = {value!r} is not a list: give the values to run, or put the field into [{section}]."
            )
        elif not value:
            raise SpecError(
                f"{where}.{field} is an empty list, and the study would have no runs: give at least one value."
            )
        elif field in _FIXED and field != "run.superchain":
            raise SpecError(_reserved(field))
        elif field == "moves":
            out[field] = [_moves(v) for v in value]
        elif field in SECTIONS and not all(isinstance(v, Mapping) for v in value):
            raise SpecError(
                f"{where}.{field} replaces a whole section: give tables, or name a field, as in {field}.name."
            )
        else:
            out[field] = value
    if prefix == "" and where == "zip" and not out:
        raise SpecError("A [[zip]] table is empty: give it fields, or remove it.")
    return out


def _moves(value: Any) -> Any:
    """One value of the field moves: a move, or a list of them."""
    if not isinstance(value, Mapping) and not (isinstance(value, list) and all(isinstance(v, Mapping) for v in value)):
        raise SpecError(
            f"grid.moves has {value!r}: each value is a move or a list of moves, as in moves = [[], [{{kind ="
            ' "exchange", ...}]], or name a key, as in moves.exchange.rungs.'
        )
    return value


def _reserved(field: str) -> str:
    if field == "run.replicas":
        return (
            "run.replicas is the number of seeds in a study: give it as count in [seeds]. (Of runs with run.tolerance"
            " it is how many replicas each has: set it in [run].)"
        )
    if field == "run.superchain":
        return (
            "run.superchain shares starts among the replicas of one run, and in a study every replica is a run: give"
            ' init = 32, dynamics = 4 and combine = "product" in [seeds] for 32 starts with four noises each. (Runs'
            " with run.tolerance take it: set it in [run].)"
        )
    if field == "run.streams":
        return "run.streams is set by the study: give init and dynamics in [seeds]."
    if field == "run.keep":
        return (
            "run.keep is for single runs: in a study, keep = true in [study] (or --keep) keeps the parameters of every"
            " draw."
        )
    return f"{field} is set by the study: give {_BY_SEEDS[field]} in [seeds]."


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value


def _tidy(error: ValidationError, tree: Mapping[str, Any]) -> str:
    """The spec's own manner of explaining; unknown keys of [seeds] and [study] with their own nearest names."""
    for mistake in error.errors():
        section = str(mistake["loc"][0])
        if mistake["type"] == "extra_forbidden" and len(mistake["loc"]) > 1:
            known = (SeedsSpec if section == "seeds" else StudyOptions).model_fields
            given = str(mistake["loc"][-1])
            return f"Unknown key '{section}.{given}'. {did_you_mean(given, known)}"
    return explain(error, tree)
