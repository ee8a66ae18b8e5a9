"""The ordinary way of a run that tunes itself: what its rules (tuning/tuner.py) are asked after each stage, and where
the next one begins.
"""

import numpy as np

from ..tuning.course import ADAPTATION, BURN_IN, DESCENT, LADDER, SAMPLING, Course
from ..tuning.ladder import hot_enough
from .budget import Budget
from .rungs import spread
from .stage import Stage

Next = tuple[Course, np.ndarray | None]
"""The next course, and the positions from which it begins anew, where it does."""


def after(seen: Stage, budget: Budget) -> Next:
    """What comes after a stage."""
    if seen.course.hurried and seen.course.phase == BURN_IN:
        return seen.launch.tuner.hurry(seen.course, seen.step, budget.left(seen.step)), None
    decide = {
        DESCENT: _after_descent, ADAPTATION: _after_adaptation, LADDER: _after_ladder, BURN_IN: _after_burn_in,
        SAMPLING: _after_sampling,
    }[seen.course.phase]  # fmt: skip
    return decide(seen)


def _after_descent(seen: Stage) -> Next:
    course, step, launch, tuner = seen.course, seen.step, seen.launch, seen.launch.tuner
    found = tuner.descend(course, step, seen.energy)
    if not tuner.descended(course, step, seen.energy, bool(seen.lost.any())):
        return found, None
    position = seen.mended
    found = tuner.adapt(found, step, launch.curvature(position), launch.variances(position))
    return found.replacing(seen.lost), position


def _after_adaptation(seen: Stage) -> Next:
    course, step, launch, tuner, lost = seen.course, seen.step, seen.launch, seen.launch.tuner, seen.lost
    position = launch.replaced(seen.position, lost)
    found, again = tuner.after_adaptation(
        course, step, seen.acceptance(lost), seen.median(seen.window.part_mean(0)), launch.variances(position),
        seen.sound, launch.noise(position, seen.state.evaluations),
    )  # fmt: skip
    if again:
        lost = launch.lost(seen.held)
        return found.replacing(lost), launch.replaced(seen.held, lost)
    found = found.replacing(lost)
    if tuner.weighs(course, found, step):
        return _weighed(seen, found, position), position
    if tuner.chooses(course, found):
        return _chosen(seen, found, position)
    if tuner.climbs(course, found):
        found = tuner.climb(found, step)
        return found, spread(position, (max(tuner.temperature),), found.temperatures)
    return found, position if lost.any() else None


def _weighed(seen: Stage, course: Course, position: np.ndarray) -> Course:
    """The course with masses."""
    mass = seen.launch.masses(position)
    launch = seen.launch.with_masses(mass)
    curvature, variances = launch.curvature(position), launch.variances(position)
    return launch.tuner.weigh(course, seen.step, mass, curvature, variances)


def _chosen(seen: Stage, course: Course, position: np.ndarray) -> Next:
    """The course by minibatches where these will do, and where it begins then."""
    launch = seen.launch
    shares = launch.shares(course, position, seen.state.evaluations)
    found = launch.tuner.choose(course, seen.step, shares, launch.variances(position))
    return found, launch.in_batches(found.batch).filled(position) if found.batch else None


def _after_ladder(seen: Stage) -> Next:
    course, launch, rungs = seen.course, seen.launch, seen.launch.rungs
    position = seen.position[rungs.ordered(seen.state)]
    facts, variances = rungs.facts(seen.state, rungs.ladders), launch.variances(position[:: rungs.count])
    found, again = launch.tuner.after_ladder(
        course, seen.step, facts["accepted"], facts["attempts"], variances, seen.sound
    )
    if found.temperatures != course.temperatures:
        return found, spread(position, course.temperatures, found.temperatures)
    return found, seen.held if again else None


def _after_burn_in(seen: Stage) -> Next:
    launch, lost = seen.launch, seen.lost
    position = launch.replaced(seen.position[launch.rungs.target(seen.state)], lost)
    counts = seen.waiting == seen.window.draws and not lost.any()
    found, again = launch.tuner.after_burn_in(
        seen.course, seen.step, seen.window, launch.variances(position), seen.sound, counts
    )
    if {"ratio", "starts"} & set(found.log[-1].get("failed", ())) and found.phase == SAMPLING:
        found = _barred(seen, found)
    if again or not lost.any() or launch.exchange is not None:
        return found, seen.held if again else None
    return found.replacing(lost), position


def _after_sampling(seen: Stage) -> Next:
    found = seen.launch.tuner.after_sampling(seen.course, seen.step, seen.window)
    return _barred(seen, found) if found.ended and found.log[-1].get("apart") else found, None


def _barred(seen: Stage, course: Course) -> Course:
    """The course, which says how hot a ladder would have to be for replicas to cross what is between them."""
    if seen.launch.exchange is not None or course.path:
        return course
    tau = max(seen.launch.tuner.temperature)
    return course.noted({"hottest": hot_enough(tau, seen.launch.barrier(seen.position))})
