"""What a point of a study's grid makes of the base run: fields set, sections and moves replaced, the rest filled in."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import SpecError
from ..moves.table import MOVES
from ..registration import registered
from ..spec.run import RunSpec

SECTIONS = ("data", "model", "target", "method", "run", "moves")
"""Sections of a run, any field of which a study may vary."""
TRACE_POINTS = 20
BY_REPLICA = (
    "stepsize", "temperature", "posterior_temperature", "friction", "sigma", "epsilon", "thermostat", "momentum",
)  # fmt: skip
"""Keys of [method] that a single run may list by replica."""


def refuse_tolerance(run: Any) -> None:
    """SpecError for what stops itself: the runs of a comparison share one clock."""
    if isinstance(run, Mapping) and run.get("tolerance") is not None:
        raise SpecError(
            f"run.tolerance = {run['tolerance']} is for runs that tune and stop themselves, and the entries of a"
            " comparison share one clock: give run.steps in its place, or make it a study, whose cells stop each by"
            " itself."
        )


def run_of(base: Mapping[str, Any], point: Mapping[str, Any], known: Mapping[str, str] | None = None) -> RunSpec:
    """The run of one cell: the base, whole sections replaced first, single fields set then, and what studies leave out
    filled in. Its replicas are those of one run of the study: a ladder's rungs, else one. It says by which registered
    records it goes: of those `known` where the study was made, or of those that are registered here.

    Raises
    ------
    SpecError
        What is wrong with it as a run, or as one of a study.
    """
    tree = {name: _copied(section) for name, section in base.items()}
    for field, value in sorted(point.items(), key=lambda item: item[0].count(".")):
        section, *path = field.split(".")
        if section == "moves":
            tree["moves"] = _with_move(tree.get("moves", []), path, value)
        elif not path:
            tree[section] = {key: v for key, v in value.items() if key != "label"}
        else:
            _set(tree, field, [section, *path], value)
    _fill_in(tree)
    known = known or registered()
    spec = RunSpec.from_dict(tree | ({"registered": dict(known)} if known else {}))
    if known:
        spec = spec.model_copy(update={"registered": {n: d for n, d in known.items() if _names(spec, *n.split())}})
    _refuse_lists(spec)
    if spec.tied > 1 and spec.run.tolerance is None:
        spec = spec.model_copy(update={"run": spec.run.model_copy(update={"replicas": spec.tied})})
    return spec


def _names(spec: RunSpec, kind: str, name: str) -> bool:
    """Whether a spec names a registered record."""
    if kind == "letter":
        words = spec.method.word
        return name in "".join(words.values() if isinstance(words, Mapping) else [words or ""])
    if kind == "update":
        return spec.method.name == name
    return spec.target is None and getattr(spec.model, kind) == name


def _copied(section: Any) -> Any:
    if isinstance(section, list):
        return [_copied(each) for each in section]
    return dict(section) if isinstance(section, Mapping) else section


def _set(tree: dict[str, Any], field: str, path: Sequence[str], value: Any) -> None:
    """Set a nested key, with the tables on its way made anew; a number by partition becomes {all = number} first."""
    node = tree
    for i, part in enumerate(path[:-1]):
        inner = node.get(part, {})
        inner = dict(inner) if isinstance(inner, Mapping) else {"all": inner} if i else inner
        if not isinstance(inner, dict):
            raise SpecError(f"{field}: {part} is a value, not a section.")
        node[part] = inner
        node = inner
    node[path[-1]] = value


def _with_move(moves: Any, path: Sequence[str], value: Any) -> list[Any]:
    """[[moves]] of a cell: all of them replaced, or one key of the move of a kind."""
    if not path:
        given = [value] if isinstance(value, Mapping) else value
        return [{key: v for key, v in move.items() if key != "label"} for move in given]
    kind, *inner = path
    field = ".".join(["moves", *path])
    if kind not in MOVES or not inner:
        raise SpecError(
            f"{field}: name the move and its key, as in moves.exchange.rungs. Moves: {', '.join(MOVES)}; or give whole"
            ' ones, moves = [[], [{kind = "exchange", ...}]].'
        )
    there = [dict(move) if isinstance(move, Mapping) else move for move in (moves if isinstance(moves, list) else [])]
    mine = next((move for move in there if isinstance(move, dict) and move.get("kind") == kind), None)
    if mine is None:
        raise SpecError(f'{field}: the base run has no move of that kind. Add [[moves]] with kind = "{kind}" to it.')
    _set(mine, field, inner, value)
    return there


def _fill_in(tree: dict[str, Any]) -> None:
    """What [run] leaves out: no burn-in, one draw at the end, twenty points of the learning curves, nothing kept."""
    run = tree.setdefault("run", {})
    if isinstance(run, dict) and run.get("tolerance") is not None:
        run["keep"] = []
    elif isinstance(run, dict) and run.get("duration") is not None:
        run |= {"replicas": 1, "keep": []}
    elif isinstance(run, dict) and isinstance(steps := run.get("steps", 10_000), int) and steps > 0:
        run.setdefault("steps", steps)
        burn_in = run.setdefault("burn_in", 0)
        if isinstance(burn_in, int) and 0 <= burn_in < steps:
            run.setdefault("thin", steps - burn_in)
        run.setdefault("trace", max(1, steps // TRACE_POINTS))
        run |= {"replicas": 1, "keep": []}


def _refuse_lists(spec: RunSpec) -> None:
    for name in BY_REPLICA:
        given = getattr(spec.method, name)
        for scheduled in given.values() if isinstance(given, dict) else [given]:
            if scheduled is not None and isinstance(scheduled.value, list):
                raise SpecError(f"method.{name} is a list over replicas: in a study, vary it in [grid] or [[zip]].")


def label_of(field: str, value: Any) -> str:
    """How a value is named: "hidden 20", or the own label or name of a section or of moves."""
    if field == "moves":
        moves = [value] if isinstance(value, Mapping) else value
        return " + ".join(str(move.get("label") or move.get("kind")) for move in moves) or "no moves"
    if field in SECTIONS and isinstance(value, Mapping):
        given = value.get("label") or value.get("name")
        return str(given) if given else ", ".join(f"{k} {v}" for k, v in value.items())
    short = field.partition(".")[2] or field
    if isinstance(value, float):
        shown = f"{value:g}"
    else:
        shown = json.dumps(value) if isinstance(value, Mapping | list) else str(value)
    return shown if short == "name" else f"{short} {shown}"
