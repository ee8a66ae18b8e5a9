"""Partitions with steps of their own: one that rests between its steps, or has another stepsize (equations.md section
16).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..errors import SpecError
from .words import Evaluate, Program, Substep


def with_paces(program: Program, paces: tuple[int, ...]) -> Program:
    """The program whose partition k moves in every `paces[k]`-th step only: substeps of
    several partitions come apart where these differ.

    Raises
    ------
    SpecError
        Nothing would move in some steps, or the word says more of a step than that it moves.
    """
    free = [k for k, text in enumerate(program.texts) if text is not None]
    if all(paces[k] == 1 for k in free):
        return program
    names = ", ".join(program.partition.names[k] for k in free)
    if program.braces is not None or any(record.fixed_length for record in program.records):
        why = (
            "the steps of a proposal in braces would differ, and backwards it would be another one"
            if program.braces is not None else "K and S turn one momentum of all parameters"
        )  # fmt: skip
        raise SpecError(f"method.every lets partitions rest, and {program.texts[free[0]]} cannot: {why}. Leave it out.")
    if all(paces[k] > 1 for k in free):
        raise SpecError(
            f"method.every lets each of {names} rest, and in some steps nothing would move: let one move in every step,"
            " and give a larger stepsize."
        )
    return replace(_apart(program, [{"pace": m} for m in paces]), paces=paces)


def with_ratios(program: Program, ratios: tuple[float, ...]) -> Program:
    """The program whose partition k has `ratios[k]` times the replica's stepsize: substeps of
    several partitions come apart where these differ.

    Raises
    ------
    SpecError
        The word moves all partitions by one momentum.
    """
    free = [k for k, text in enumerate(program.texts) if text is not None]
    if all(ratios[k] == 1 for k in free):
        return program
    if any(record.fixed_length for record in program.records):
        raise SpecError(
            f"method.stepsize_ratio gives a partition a stepsize of its own, and {program.texts[free[0]]} has one"
            " partition: K and S turn one momentum of all parameters. Leave it out; masses may differ by tensor"
            " (method.mass)."
        )
    return _apart(program, [{"ratio": r} for r in ratios])


def _apart(program: Program, own: Sequence[Mapping[str, Any]]) -> Program:
    """The program whose substeps have what is their partition's `own` [K]; one of several partitions becomes one for
    each that differs in it, and braces stay where they were among them.
    """
    pieces: list[list[Evaluate | Substep]] = []
    for s in program.substeps:
        groups: dict[tuple[Any, ...], tuple[int, ...]] = {}
        for k in s.partitions if isinstance(s, Substep) else ():
            of = tuple(own[k].items())
            groups[of] = (*groups.get(of, ()), k)
        pieces.append(
            [replace(s, partitions=ks, **dict(of)) for of, ks in groups.items()] if isinstance(s, Substep) else [s]
        )
    braces = program.braces
    if braces is not None:
        begin, end = (sum(map(len, pieces[:place])) for place in braces)
        braces = begin, end
    return replace(program, substeps=tuple(s for piece in pieces for s in piece), braces=braces)
