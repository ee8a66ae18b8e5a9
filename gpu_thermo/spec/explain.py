"""Pydantic's complaints about a spec as one line each: the field, what is wrong, the value, and the nearest known
name.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

from pydantic import ValidationError

from ..data import DATASETS
from ..data.labels import shorten
from ..errors import did_you_mean
from ..method.schedules import SCHEDULES, AnySchedule
from ..moves.table import MOVES
from ..targets.options import TARGETS

MOST_LINES, LONGEST = 20, 80
"""Mistakes that are listed, and characters of a value that are shown."""
KnownKeys = Callable[[Sequence[str]], list[str]]
"""Location of an unknown key -> the keys known there."""
_SCHEDULE_KEYS: dict[str, list[str]] = {
    get_args(model.model_fields["schedule"].annotation)[0]: list(model.model_fields)
    for model in get_args(get_args(AnySchedule)[0])
}
_UNIONS: dict[str, tuple[Mapping[str, Any], str]] = {
    "data": (DATASETS, "name"),
    "target": (TARGETS, "name"),
    "moves": (MOVES, "kind"),
}
"""Sections that are one of several models, and the key that tells which."""


def explain(error: ValidationError, known_keys: KnownKeys) -> str:
    """One line per mistake, of the first MOST_LINES places."""
    lines: dict[str, str] = {}
    others = set()
    for mistake in error.errors():
        where = ".".join(_location(mistake))
        if where in lines:
            if mistake["type"] == "literal_error":  # a word that would do where the first line asks for a number
                lines[where] = f"{lines[where].removesuffix('.')}; or {mistake['ctx']['expected']}."
        elif len(lines) < MOST_LINES:
            lines[where] = _explain_one(mistake, known_keys)
        else:
            others.add(where)
    more = [f"And {len(others)} more such mistakes."] if others else []
    return "\n".join([*lines.values(), *more])


_NOISE = {"all", "value", "float", "int", "list[float]"}
_UNIONS_OF = ("literal[", "function-", "dict[", "constrained-")
"""Parts of a location that are about our models, not about what the user wrote."""


def _location(mistake: Any) -> list[str]:
    return [text for text in map(str, mistake["loc"]) if text not in _NOISE and not text.startswith(_UNIONS_OF)]


def _explain_one(mistake: Any, known_keys: KnownKeys) -> str:
    location = _location(mistake)
    section = location[0] if location else ""
    member = 2 if section == "moves" else 1
    if len(location) > member and location[member] in _UNIONS.get(section, ((), ""))[0]:
        location.pop(member)  # pydantic names the union's member
    field = ".".join(location)
    tags = [part for part in location if part in _SCHEDULE_KEYS] if section == "method" else []
    if tags:
        location.remove(tags[-1])  # as above
        field = ".".join(location)
    if mistake["type"] == "extra_forbidden":
        known = _SCHEDULE_KEYS[tags[-1]] if tags else known_keys([str(part) for part in mistake["loc"]])
        return f"Unknown key '{shorten(field, LONGEST)}'. {did_you_mean(location[-1], known)}"
    if mistake["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return _explain_tag(field, mistake)
    if location == ["moves"] and mistake["type"] == "list_type":
        return "moves is a list: write [[moves]], once for each move."
    message = mistake["msg"].removeprefix("Value error, ")
    message = (message[0].lower() + message[1:] if not message[:2].isupper() else message).rstrip(".")
    value = mistake.get("input")
    shown = f" = {shorten(repr(value), LONGEST)}" if isinstance(value, str | int | float | bool) else ""
    if mistake["type"] in ("value_error", "missing"):
        shown = ""
    return f"{field}{shown}: {message}." if field else f"{message}."


def _explain_tag(field: str, mistake: Any) -> str:
    tag = str(mistake.get("ctx", {}).get("tag", ""))
    members, key = _UNIONS.get(field.split(".")[0], (SCHEDULES, "schedule"))
    what = f"{field}.{key} = {tag!r} is unknown" if tag else f"{field} needs a {key}"
    return f"{what}. {did_you_mean(tag, members, always=True)}"
