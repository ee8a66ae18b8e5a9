"""[run] duration: a run's length as a time, stepsize x steps, so that stepsizes are compared at equal times."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import Field

from ..clock import Clock
from ..method.named import ALIASES, DEFAULT_METHOD, METHODS
from .section import Section

SHARE, DRAWS, POINTS = 0.5, 100, 50
"""Of the whole is burn-in, draws, and points of the learning curves, unless given."""
REPLACED = ("steps", "burn_in", "thin")


class Duration(Section):
    """Times h x steps: of all steps, of the burn-in, and between draws."""

    total: float = Field(gt=0, allow_inf_nan=False, description="of all steps, burn-in included")
    burn_in: float | None = Field(None, ge=0, allow_inf_nan=False, description="before the first draw; half of it")
    thin: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="between draws; a hundred of them unless given"
    )


def with_duration(tree: Any) -> Any:
    """The sections of a run whose [run] duration is replaced by the steps, burn_in and thin that it is at the run's
    stepsize: draws and their number stay those of the times, each rounded to whole steps. Of several stepsizes it is
    the smallest, and `equal_times` says that the others keep its times.

    Raises
    ------
    ValueError
        Steps are given as well, stepsizes have a schedule, or no whole number of draws fits.
    """
    run = tree.get("run") if isinstance(tree, Mapping) else None
    if not isinstance(run, Mapping) or run.get("duration") is None:
        return tree
    given = [key for key in REPLACED if key in run]
    if given:
        raise ValueError(
            f"run.duration and run.{given[0]} are both given: leave {given[0]} out, or give it as a time, duration ="
            " {total = .., burn_in = .., thin = ..}"
        )
    wanted = run["duration"] if isinstance(run["duration"], Mapping) else {"total": run["duration"]}
    times, stepsizes = Duration.model_validate(wanted), _stepsizes(tree.get("method"))
    lengths = _steps(times, min(stepsizes), max(stepsizes))
    lengths |= {"equal_times": True} if max(stepsizes) > min(stepsizes) else {}
    rest = {key: value for key, value in run.items() if key != "duration"}
    trace = {"trace": max(1, lengths["steps"] // POINTS)}
    return {**tree, "run": trace | rest | lengths}


def _steps(times: Duration, h: float, largest: float) -> dict[str, Any]:
    burn_in = times.total * SHARE if times.burn_in is None else times.burn_in
    if burn_in >= times.total:
        raise ValueError(f"run.duration: burn_in = {burn_in:g} leaves nothing of total = {times.total:g} to draw from")
    most = DRAWS if largest == h else max(1, min(DRAWS, int((times.total - burn_in) / largest)))
    thin = (times.total - burn_in) / most if times.thin is None else times.thin
    exact = (times.total - burn_in) / thin
    draws = round(exact)
    if draws < 1 or abs(exact - draws) > 1e-6 * draws:
        fit = burn_in + max(1, draws) * thin
        raise ValueError(f"run.duration: (total - burn_in) / thin = {exact:g} is not whole: use total = {fit:g}")
    between = round(thin / h)
    if between < 1:
        raise ValueError(
            f"run.duration: draws {thin:g} apart are closer than one step of stepsize {h:g}: raise duration.thin"
        )
    before = round(burn_in / h)
    return {"steps": before + draws * between, "burn_in": before, "thin": between}


def _stepsizes(method: Any) -> list[float]:
    """The stepsizes of a method as it is written, or its default."""
    if method is None:
        return [float(DEFAULT_METHOD["stepsize"])]
    tree = method if isinstance(method, Mapping) else method.model_dump()
    given: Any = tree.get("stepsize")
    if given is None:
        name = str(tree.get("name", "adlala"))
        known = METHODS.get(ALIASES.get(name, (name,))[0])
        given = 0.1 if known is None else known.defaults["stepsize"]  # an unknown name is refused elsewhere
    values = _numbers(given)
    if not values or not all(v > 0 for v in values):
        raise ValueError(
            f"run.duration is stepsize x steps, and method.stepsize = {given!r} is no number above 0 or list of such:"
            " give one, or run.steps"
        )
    return values


def _numbers(given: Any) -> list[float]:
    """A number or a list of them, with or without its name; [] for what is neither."""
    if isinstance(given, Mapping):
        given = given.get("values", given.get("value")) if not given.keys() - {"value", "values", "repeat"} else None
    values = given if isinstance(given, list | tuple) else [given]
    fit = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    return [float(v) for v in values] if fit else []


def smallest_of(spec: Any) -> float | None:
    """The stepsize whose steps a run with equal times counts; None where its stepsizes are all one."""
    value = None if spec.method.stepsize is None else spec.method.stepsize.value
    return min(value) if isinstance(value, list) and len(set(value)) > 1 else None


def clock_of(spec: Any, stepsize: np.ndarray) -> Clock | None:
    """By what clock replicas with the stepsizes [R] go; None where all do as many steps."""
    if not spec.run.equal_times or smallest_of(spec) is None:
        return None
    return Clock.of(spec.run.burn_in, spec.run.thin, stepsize, np.array(spec.method.stepsize.value))


def check_equal_times(spec: Any) -> None:
    """ValueError where replicas of a run cannot keep one time."""
    run, method = spec.run, spec.method
    moves = [move.kind for move in spec.moves]
    if run.tolerance is not None or method.stepsize == "auto":
        raise ValueError("equal_times is for runs whose stepsizes are given, and this one finds its own: leave it out")
    if moves:
        raise ValueError(
            f"equal_times goes with no move, and there is {moves[0]}: moves act after so many steps of all replicas."
            " Give each stepsize a run of its own, as a study over method.stepsize does"
        )
    if method.block is not None and method.block > 1:
        raise ValueError(f"equal_times goes with blocks of one step, not method.block = {method.block}: leave one out")
    if (smallest := smallest_of(spec)) is None:
        return
    if method.stepsize.schedule is not None:
        raise ValueError("equal_times needs stepsizes that stay as they are: leave out their schedule")
    largest = max(method.stepsize.value)
    if round(run.thin * smallest / largest) < 1:
        raise ValueError(
            f"equal_times: draws {run.thin} steps of {smallest:g} apart are closer than one step of stepsize"
            f" {largest:g}: raise run.thin, or duration.thin, to {largest / smallest:.3g} of the smallest, or more"
        )
