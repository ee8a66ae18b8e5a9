"""Which build made each run of a study: every part says, and a study is not continued by another without being asked.

Shards of one launch group must agree in all that decides bits; those of others in what is the machine's, since kernels
and engine follow the network.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ..engines.builds import differences, differing
from ..errors import OtherBitsError
from .shards import Group, Shard

Facts = Mapping[str, str]
NAME = "build"
"""The array of a part that holds its build, as JSON."""
_OF_A_GROUP = ("kernels", "engine", "precision")


def as_array(build: Facts) -> np.ndarray:
    """A build as a part holds it."""
    return np.array(json.dumps(dict(build)))


def from_part(part: Mapping[str, np.ndarray]) -> dict[str, str]:
    """The build that an opened part names; {} where it names none."""
    try:
        found = json.loads(str(part[NAME]))
        return {str(name): str(value) for name, value in found.items()}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def check(
    store: Path, done: Iterable[tuple[Shard, Facts]], todo: Sequence[Shard], groups: Sequence[Group], allow: bool
) -> None:
    """Refuse to go on with another build than that of the parts which are `done`.

    Raises
    ------
    OtherBitsError
        What differs is named, and how to insist.
    """
    if allow:
        return
    due = {shard.group: groups[shard.group].build for shard in todo}
    for shard, then in done:
        for group, now in due.items():
            if text := _against(then, now, shard.group == group):
                raise OtherBitsError(
                    f"The runs in '{store}' were made by another build, and the others would have other bits:\n{text}\n"
                    "Continue it with the build it has, or insist with --allow-other-bits (in Python"
                    " allow_other_bits=True): each run then says which build made it."
                )


def check_part(store: Path, then: Facts, now: Facts, worker: str) -> None:
    """OtherBitsError where two workers have different builds."""
    if text := differences(then, now) if then else "":
        raise OtherBitsError(
            f"Shard {worker} came from a worker of another build than the runs in '{store}':\n{text}\nIt is not kept."
            " Use workers that are alike, or insist with --allow-other-bits (in Python allow_other_bits=True)."
        )


def _against(then: Facts, now: Facts, same_group: bool) -> str:
    """What differs, as lines; between groups, of what both name and neither owes to its network."""
    if not then or not now:
        return ""
    if same_group:
        return differences(then, now)
    names = [name for name in then if name in now and name not in _OF_A_GROUP]
    then, now = ({name: facts[name] for name in names} for facts in (then, now))
    return differences(then, now) if differing(then, now) else ""


def table(parts: Iterable[tuple[Shard, Facts]], runs: int) -> tuple[list[dict[str, str]], np.ndarray]:
    """The distinct builds, and for each run [runs] the number of its own; -1 for one that is not done."""
    builds: list[dict[str, str]] = []
    column = np.full(runs, -1, np.int64)
    for shard, facts in parts:
        if facts not in builds:
            builds.append(dict(facts))
        column[shard.rows] = builds.index(dict(facts))
    return builds, column


def warning(made: Sequence[tuple[Facts, int]]) -> str:
    """What to say of a study whose runs have several builds, each with how many; empty where their bits agree."""
    lines = []
    for build, runs in made[1:]:
        first, of_first = made[0]
        if text := _against(first, build, build.get("kernels") == first.get("kernels")):
            lines.append(f"{runs:,} runs differ from the first {of_first:,}:\n{text}")
    return "Runs of several builds, whose bits differ. " + "\n".join(lines) if lines else ""
