"""What a run of a word in braces needs: one temperature above 0, all points, and nothing that moves within a proposal
(equations.md section 13).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..engines.base import Job, why_no_work
from ..errors import SpecError
from ..spec.method import MethodSpec
from ..spec.run import RunSection
from .hyperparameters import first_zero


def with_work(job: Job, run: RunSection) -> Job:
    """`job` with the work of a plain word's steps counted, where it is asked for or a run that tunes itself can use it;
    that of a word in braces must be.

    Raises
    ------
    SpecError
        It cannot be counted, and is asked for or needed.
    """
    why = why_no_work(job.program, job.target, job.batching, job.contour)
    if job.program.braces is not None:
        if why:
            raise SpecError(
                f"{_named(job)} accepts a step by its change of energy, and {why}; or leave out the braces."
            )
        return job
    if job.hyper.power is not None:
        why = 'temper = "likelihood" goes by a part of the energy'
    if run.work and why:
        raise SpecError(f"run.work = true counts the change of energy of each step, and {why}; or leave out work.")
    return replace(job, work=not why and (bool(run.work) or run.tolerance is not None))


def check_braces(method: MethodSpec, job: Job, moves: Sequence[Any]) -> None:
    """Refuse what would make a word in braces wrong.

    Parameters
    ----------
    moves : their options.

    Raises
    ------
    SpecError
        `block` without braces; temperatures that differ between partitions, or fall to 0; schedules within blocks of
        several steps; moves that act within them.
    """
    program, hyper = job.program, job.hyper
    if program.braces is None:
        if method.block is not None:
            raise SpecError(
                f"method.block = {method.block} is the length of a proposal, and the word has no braces: write"
                " {BAOAB}, or leave block out."
            )
        return
    if hyper.power is not None:
        raise SpecError(
            f'{_named(job)} accepts a step by the whole energy: temper = "likelihood" goes with plain words.'
        )
    _check_temperature(job)
    block = int(hyper.block.max())
    if block > 1 and hyper.schedules:
        names = ", ".join(sorted({name for name, _ in hyper.schedules}))
        raise SpecError(
            f"{_named(job)} with block = {block} proposes so many steps at once, which undo themselves only where all"
            f" are alike, and {names} has a schedule (a cyclical move is one): leave it out, or use block = 1."
        )
    for move in moves:
        interval = getattr(move, "interval", block)
        if interval % block:
            raise SpecError(
                f"A move of kind {move.kind} every interval = {interval} steps would act within a proposal of block ="
                f" {block}: make the interval a multiple of it, such as {-(-interval // block) * block}."
            )


def _check_temperature(job: Job) -> None:
    program, hyper = job.program, job.hyper
    ks = [k for k in range(len(program.partition.names)) if "temperature" in program.reads(k)]
    names, tau = [program.partition.names[k] for k in ks], hyper.temperature[:, ks]
    for k, name in enumerate(names):
        if (tau[:, k] != tau[:, 0]).any():
            row = int(np.argmax(tau[:, k] != tau[:, 0]))
            raise SpecError(
                f"{_named(job)} is accepted at one temperature, and replica {row} has {tau[row, 0]:g} in {names[0]} and"
                f" {tau[row, k]:g} in {name}: give one for all partitions, or leave out the braces."
            )
        schedule, first = (hyper.schedules.get(("temperature", j)) for j in (ks[k], ks[0]))
        if schedule != first:
            raise SpecError(
                f"{_named(job)} is accepted at one temperature, and the schedules of {names[0]} and {name} differ: give"
                " one for all partitions, or leave out the braces."
            )
    if not (tau > 0).all():
        raise SpecError(
            f"{_named(job)} is accepted at a temperature above 0, not at {tau.min():g}: raise it, or leave out the"
            " braces to descend."
        )
    zero = first_zero(hyper, "temperature", ks[0])
    if zero is not None:
        raise SpecError(
            f"{_named(job)} is accepted at a temperature above 0, which falls to 0 at step {zero:,}: let its schedule"
            " end, and its cycles explore, above 0."
        )


def _named(job: Job) -> str:
    return " and ".join(dict.fromkeys(text for text in job.program.texts if text is not None))
