"""What is in force in a stage of a run that tunes itself: its launch, its job, its sums, and the way that it goes."""

from dataclasses import replace
from typing import Any

from ..engines import Job
from ..errors import SpecError
from ..spec.run import FALLING, ORDINARY
from ..tuning.course import BURN_IN, DESCENT, SAMPLING, Course
from ..tuning.falling import Falling
from ..tuning.windows import Window
from .falling import Way, why_not
from .launch import Launch


def in_force(first: Launch, way: Way | None, course: Course) -> Launch:
    """What goes on in this stage of a run that set out with `first`."""
    if not course.path or way is None:
        return first.in_batches(course.batch).with_masses(course.mass).on_ladder(course.temperatures)
    return way.launch(course)


def kind_of(course: Course) -> tuple[Any, ...]:
    """Stages of one kind have one launch and one engine."""
    draws = bool(course.path) and course.phase == SAMPLING
    return course.path, course.phase == DESCENT, draws, bool(course.mass), course.batch, course.temperatures


def job_of(launch: Launch, course: Course) -> Job:
    """The descent, or the main dynamics."""
    return launch.descent if course.phase == DESCENT else launch.job


def way_of(launch: Launch) -> Way | None:
    """The falling way of a run; None where it has none, SpecError where it is asked for."""
    ready = launch.ready
    path = ready.spec.run.path
    why = why_not(ready) if path != ORDINARY else "it is not asked for"
    if why and path == FALLING:
        raise SpecError(f'run.path = "{FALLING}" cannot be gone: {why}.')
    return None if why else Way(ready, launch.kernel)


def reopened(course: Course, launch: Launch) -> Course:
    """The course of a run that goes on, maybe for another tolerance than it stopped for."""
    if course.path and course.ended and course.latest(SAMPLING):
        run = launch.ready.spec.run
        left = int(run.max_steps or run.steps) - course.stop
        return Falling(launch.tuner).go_on(course, course.stop, left, "max_steps")
    if course.ended in ("", "max_time") and course.stop > course.begun:
        return replace(course, ended="")
    return launch.tuner.go_on(course, course.stop)


def empty_window(launch: Launch, course: Course) -> Window:
    """No draws of a stage yet."""
    full = course.phase in (BURN_IN, SAMPLING)
    quantities = launch.tuner.outputs + 1 if full else 1
    return Window.empty(4 if full else 1, launch.rungs.ladders, quantities, len(launch.job.program.texts))
