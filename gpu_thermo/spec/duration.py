"""[run] duration: a run's length as a time, stepsize x steps, so that stepsizes are compared at equal times."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

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
    stepsize: draws and their number stay those of the times, each rounded to whole steps.

    Raises
    ------
    ValueError
        Steps are given as well, there is no one stepsize, or no whole number of draws fits.
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
    times, h = Duration.model_validate(wanted), _stepsize(tree.get("method"))
    lengths = _steps(times, h)
    rest = {key: value for key, value in run.items() if key != "duration"}
    trace = {"trace": max(1, lengths["steps"] // POINTS)}
    return {**tree, "run": trace | rest | lengths}


def _steps(times: Duration, h: float) -> dict[str, int]:
    burn_in = times.total * SHARE if times.burn_in is None else times.burn_in
    if burn_in >= times.total:
        raise ValueError(f"run.duration: burn_in = {burn_in:g} leaves nothing of total = {times.total:g} to draw from")
    thin = (times.total - burn_in) / DRAWS if times.thin is None else times.thin
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


def _stepsize(method: Any) -> float:
    """The one stepsize of a method as it is written, or its default."""
    if method is None:
        return float(DEFAULT_METHOD["stepsize"])
    tree = method if isinstance(method, Mapping) else method.model_dump()
    given: Any = tree.get("stepsize")
    if given is None:
        name = str(tree.get("name", "adlala"))
        known = METHODS.get(ALIASES.get(name, (name,))[0])
        given = 0.1 if known is None else known.defaults["stepsize"]  # an unknown name is refused elsewhere
    if isinstance(given, Mapping) and set(given) == {"value"}:
        given = given["value"]
    if isinstance(given, bool) or not isinstance(given, int | float) or not given > 0:
        raise ValueError(
            f"run.duration is stepsize x steps, and method.stepsize = {given!r} is no one number above 0: give one, or"
            " run.steps; a study over method.stepsize gives each its own number of steps"
        )
    return float(given)
