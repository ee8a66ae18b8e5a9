"""`gpu-thermo info RUN --tuning`: what a run that tunes itself decided, window by window."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .output import echo, plural, print_json, say

if TYPE_CHECKING:
    from gpu_thermo.tuning.course import Course
    from gpu_thermo.tuning.told import Told

COLUMNS = ("step", "phase", "h", "accepted", "p", "ratio", "virial", "error", "then")
MOST_STEPS = 5
"""Windows in which replicas were lost that are named."""
_WIDTHS = (9, -10, 7, 8, 5, 5, 9, 6, -1)
"""Of the columns; negative: aligned to the left."""


def show_tuning(store: Path, picture: Path | None, overwrite: bool, as_json: bool) -> None:
    """The windows as a table or JSON, the verdict, and, where it is asked for, the picture."""
    from gpu_thermo.averages.claims import check_header, told_of
    from gpu_thermo.errors import SpecError
    from gpu_thermo.store import read_header

    from .arguments import MAP_SUFFIXES, check_output

    header = read_header(store)
    check_header(header)
    told = told_of(header.attributes)
    if told is None:
        raise SpecError(
            f"{store} did not tune itself: that takes run.tolerance in its spec, such as --set run.tolerance=0.05."
        )
    if picture:
        check_output(picture, overwrite, MAP_SUFFIXES)
    if as_json:
        print_json({"course": told.course.to_dict(), "rules": vars(told.tuner), "verdict": told.verdict.to_dict()})
    else:
        for cells in (COLUMNS, *map(_row, told.course.log)):
            echo(_aligned(cells))
        for line in _found(told):
            echo(f"\n{line}")
    if picture:
        from gpu_thermo_analysis.tuning import save_tuning

        save_tuning(told, picture)
        say(f"{picture} drawn")


def _found(told: "Told") -> Iterator[str]:
    """What came of the windows, the verdict last."""
    course, latest = told.course, told.course.log[::-1]
    if course.mass:
        yield f"masses of {', '.join(f'{name} {m:.3g}' for name, m in course.mass.items())}"
    if chosen := chosen_batch(course.log):
        yield f"minibatches {chosen}"
    if gone := replaced(course):
        yield f"replaced {gone}"
    if ladder := next((line for line in latest if "attempts" in line), None):
        yield f"ladder {_ladder(ladder)}"
    if nested := next((line["nested"] for line in latest if line.get("nested")), None):
        size = told.tuner.superchain
        yield f"{told.tuner.replicas // size} superchains of {size}, nested R-hat {nested:.3f}"
    yield f"averages {told.verdict.text}"


def replaced(course: "Course") -> str | None:
    """How many replicas were lost while the run tuned itself, and when; None where none were."""
    found = course.replaced
    if not found:
        return None
    count = len({row for _, rows in found for row in rows})
    steps = ", ".join(f"{step:,}" for step, _ in found[:MOST_STEPS]) + ", ..." * (len(found) > MOST_STEPS)
    return (
        f"{plural(count, 'replica')} lay far outside where the others are, and went on from where others were"
        f" (windows from step {steps})"
    )


def chosen_batch(log: Sequence[Mapping[str, Any]]) -> str | None:
    """What a run with batch = "auto" chose, and why; None of others, and before it has."""
    from gpu_thermo.tuning.rules import QUIET

    line = next((line for line in reversed(log) if "batches" in line), None)
    if line is None:
        return None
    if not line["batches"]:
        return "all points, as they are few"
    size = line["batch"]
    noise = ", ".join(f"{b}: {rho:.2g}" for b, rho in line["batches"])
    chosen = f"{size} points each" if size else "none: all points at once"
    return f"{chosen} (gradient noise over temperature by size {noise}; at most {QUIET:g} leaves variances right)"


def _row(line: dict[str, Any]) -> tuple[str, ...]:
    """One window."""
    virial = " ".join(f"{v:.2f}" for v in line.get("virial") or ())
    numbers = [_number(line.get(name), form) for name, form in (("acceptance", ".3f"), ("p", ".2f"), ("ratio", ".2f"))]
    h = _number(line["stepsize"] or None, ".3g")
    return f"{line['begun']:,}", line["phase"], h, *numbers, virial, _number(line.get("error"), ".3f"), _then(line)


def _ladder(line: dict[str, Any]) -> str:
    """Rungs, what neighbours accept, and what it carries."""
    from gpu_thermo.tuning.ladder import shares

    tau, share = line["temperatures"], shares(line["accepted"], line["attempts"])
    return (
        f"of {len(tau)} rungs for each replica, tau {', '.join(f'{t:.3g}' for t in tau)}; neighbours accept"
        f" {min(share):.2f} to {max(share):.2f}; {line['trips']:.1f} round trips each"
    )


def _aligned(cells: tuple[str, ...]) -> str:
    """One line of the table."""
    pairs = zip(cells, _WIDTHS, strict=True)
    return "  ".join(f"{cell:>{width}}" if width > 0 else f"{cell:<{-width}}" for cell, width in pairs).rstrip()


def _then(line: dict[str, Any]) -> str:
    """What was made of it."""
    lost = line.get("replaced")
    said = _decided(line)
    return ", ".join(filter(None, (said, f"{plural(len(lost), 'replica')} replaced"))) if lost else said


def _decided(line: dict[str, Any]) -> str:
    """Of the stepsize, the masses, the next window."""
    if line.get("again"):
        return "again, h halved"
    if "turned" in line:
        return f"the falling way: {line['turned']}"
    if "mass" in line:
        return "masses" if line["phase"] == "fall" else "again, with masses"
    if "swaps" in line:
        return f"{len(line['temperatures'])} rungs accept {min(line['swaps']):.2f} to {max(line['swaps']):.2f}"
    if line.get("failed"):
        return f"on: {', '.join(line['failed'])}"
    if "factor" in line:
        return f"h x {line['factor']:.2f}"
    if line.get("counted"):
        return "over, and its draws count"
    return "over" if line.get("passed") else f"{line['draws']:,} draws" if "draws" in line else ""


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
