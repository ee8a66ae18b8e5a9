"""How long a run goes on that is resumed: what may change of its spec, and to what."""

import math
from collections.abc import Mapping
from typing import Any

from ..averages.claims import told_of
from ..errors import SpecError
from ..spec.run import RunSpec
from ..store import RunInfo
from ..tuning.course import Course
from .agenda import Agenda
from .given import SpecLike, as_spec, completed
from .subject import Setup


def as_extended(spec: RunSpec, attributes: Mapping[str, Any]) -> RunSpec:
    """The spec of a run as it was last extended, by what its commits say."""
    if spec.run.tolerance is None:
        return _with_run(spec, steps=int(attributes.get("steps", spec.run.steps)))
    of_run = {"max_steps": "steps", "tolerance": "tolerance", "max_time": "max_time"}
    said = {key: attributes.get(name, getattr(spec.run, name)) for key, name in of_run.items()}
    return _with_run(spec, **said)


MOST_MORE = 2_000_000
"""Steps that a run may take in the time it is given, which then ends it."""


def longer(planned: RunSpec, info: RunInfo, seconds: float) -> dict[str, Any]:
    """Changes of a run that stops itself and gets so many more seconds than it has taken."""
    if planned.run.tolerance is None:
        raise SpecError("Time is for runs that stop themselves (run.tolerance), and this one has steps: ask for draws.")
    if not 0 < seconds < math.inf:
        raise SpecError(f"seconds = {seconds} is no time that could pass: give a number above 0.")
    spent = float(info.attributes.get("sampling_time", 0.0))
    return {"max_time": spent + seconds, "max_steps": max(planned.run.steps, info.step + MOST_MORE)}


def _with_run(spec: RunSpec, **changes: Any) -> RunSpec:
    """The spec with these fields of [run], checked as a user's are."""
    run = type(spec.run).model_validate({**spec.run.model_dump(), **changes})
    return spec.model_copy(update={"run": run})


def _given(planned: RunSpec, spec: SpecLike, may_change: str) -> RunSpec:
    """The user's spec of a run that goes on, which may differ from the planned one in how long it takes alone."""
    given = completed(as_spec(spec)[0], planned)
    if differing := planned.differing_fields(given):
        raise SpecError(
            f"The spec differs from the run's in {', '.join(differing)}: only {may_change} may change. Start a new run"
            " instead."
        )
    return given


def tuned_target(
    planned: RunSpec, spec: SpecLike, draws: int, tolerance: float | None, more: dict[str, Any] | None
) -> RunSpec | None:
    """The spec that a run which stops itself goes on to, with `more` time where that is given; None for others."""
    if planned.run.tolerance is None:
        if tolerance is not None:
            raise SpecError(
                "tolerance is for runs that stop themselves (run.tolerance), and this one has run.steps: ask for more"
                " draws."
            )
        return None
    if draws:
        raise SpecError("This run stops itself (run.tolerance): give a smaller tolerance in place of draws.")
    changes: dict[str, Any] = {} if tolerance is None else {"tolerance": tolerance}
    if spec is not None:
        given = _given(planned, spec, "run.tolerance, max_steps and max_time")
        of_spec = {name: getattr(given.run, name) for name in ("tolerance", "max_steps", "max_time")}
        changes = {name: value for name, value in of_spec.items() if value is not None} | changes
    changes |= more or {}
    if changes.get("max_steps", planned.run.steps) < planned.run.steps:
        raise SpecError(
            f"run.max_steps = {changes['max_steps']} is below the {planned.run.steps} of the run: it can be extended,"
            " not shortened."
        )
    try:
        return _with_run(planned, **changes)
    except ValueError as error:
        raise SpecError(f"tolerance = {changes.get('tolerance')} cannot be used: {error}") from None


def is_over(target: RunSpec, step: int, attributes: Mapping[str, Any], planned: RunSpec) -> bool:
    """Whether nothing is left to do at this step of a run that was `planned` so far."""
    if target.run.tolerance is None:
        return target.run.steps <= step
    told = told_of(attributes)
    if told is None or _burns_on(told.course, target, planned):
        return False
    return not told.course.goes_on(target.run.tolerance, target.run.steps)


def draws_anew(target: RunSpec, attributes: Mapping[str, Any], planned: RunSpec) -> bool:
    """Whether a run that goes on does so without the draws it has: they are makeshift, or burn-in goes on."""
    told = None if target.run.tolerance is None else told_of(attributes)
    return told is not None and (bool(told.course.makeshift) or _burns_on(told.course, target, planned))


def _burns_on(course: Course, target: RunSpec, planned: RunSpec) -> bool:
    """Whether burn-in, which did not end, has got more than it had, and room for it."""
    had, has = planned.run, target.run
    more = has.steps > had.steps or (has.max_time or math.inf) > (had.max_time or math.inf)
    return more and course.may_burn_on and course.stop < has.steps // 2


def target_spec(planned: RunSpec, spec: SpecLike, draws: int) -> RunSpec:
    """The spec to run to: the planned one, the user's (which may differ in steps), and `draws` more."""
    steps = planned.run.steps
    if spec is not None:
        steps = _given(planned, spec, "run.steps").run.steps
    if draws < 0:
        raise SpecError(f"draws = {draws} must not be negative.")
    steps = _steps_with(planned, steps, draws)
    if steps < planned.run.steps:
        raise SpecError(
            f"run.steps = {steps} is below the {planned.run.steps} of the run: a run can be extended, not shortened."
        )
    return _with_run(planned, steps=steps)


def _steps_with(planned: RunSpec, steps: int, draws: int) -> int:
    """Steps, a multiple of thin more than `steps`, in which at least `draws` more draws are recorded; cycles have some
    in each only.
    """
    count = lambda n: Agenda.of(_with_run(planned, steps=n)).draws if draws else 0  # noqa: E731
    wanted = count(steps) + draws
    while (missing := wanted - count(steps)) > 0:
        steps += missing * planned.run.thin
    return steps


def check_extension(ready: Setup) -> None:
    """A schedule that spans the run would have been another one all along."""
    spanning = sorted({name for (name, _), s in ready.job.hyper.schedules.items() if s.spans_run})
    if spanning:
        raise SpecError(
            f"The schedule of {', '.join(spanning)} spans the run and cannot be extended: start a new run with the"
            " steps you want, or use a constant or periodic schedule."
        )
