"""Gradients that a run which tuned itself has taken in its steps, all rows counted: rungs, and the group at h/2."""

from ..engines import Job
from ..tuning.course import DESCENT, SAMPLING, Course
from .falling import Way
from .launch import Launch


def gradients(launch: Launch, course: Course, step: int) -> int:
    """Of a run that set out with `launch` and has made so many steps by this course."""
    now = {"phase": course.phase, "begun": min(course.begun, step), "temperatures": course.temperatures}
    lines = [*course.log, now]
    ends = [*(line["begun"] for line in lines[1:]), step]
    falls, total = bool(course.path) and not any("turned" in line for line in lines), 0
    for line, end in zip(lines, ends, strict=True):
        falls = falls or "turned" in line
        job = _job(launch, falls, line["phase"])
        made = job.program.gradients_before(end) - job.program.gradients_before(line["begun"])
        total += made * job.replicas * max(1, len(line.get("temperatures", ())))
        launch = launch.in_batches(line.get("batch", 0))
    return total


def _job(launch: Launch, falls: bool, phase: str) -> Job:
    """What went on in a stage, on one rung."""
    if falls:
        way = Way(launch.ready)
        launch = way.held if phase == SAMPLING else way.fall
    return launch.descent if phase == DESCENT else launch.job
