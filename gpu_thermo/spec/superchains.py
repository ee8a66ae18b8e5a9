"""Superchains of a run: neighbours that start at one point (Margossian et al. 2024); what does not go with them."""

from typing import Any


def check_whole(superchain: int | None, replicas: int, alone: bool) -> None:
    """ValueError where replicas do not fill two superchains or more, or are of a larger run (`alone`)."""
    if superchain is None:
        return
    if alone:
        raise ValueError(
            f"superchain = {superchain} and streams: neighbours of the larger run shared their start, and these are"
            " others; leave out one of the two"
        )
    if replicas % superchain or replicas < 2 * superchain:
        fit = [m for m in range(2, replicas // 2 + 1) if replicas % m == 0]
        remedy = f"use {min(fit, key=lambda m: abs(m - superchain))}" if fit else "use other replicas, such as 128"
        raise ValueError(
            f"superchain = {superchain} neighbours with one start do not fill two superchains or more of replicas ="
            f" {replicas}: {remedy}"
        )


def check_starts(init: str | None, target: Any, moves: list[Any], tolerance: float | None) -> None:
    """ValueError where all replicas start at one point in any case, have given starts, or are moved about: `init` is of
    networks, None with a `target`.
    """
    if init is not None and init not in ("normal", "pytorch", "he", "prior"):
        raise ValueError(
            f'run.superchain shares out starts that are drawn, and model.init = "{init}" draws none: leave out one of'
            ' the two, or use init = "prior"'
        )
    if target is not None and "start" in target.start_in_force:
        raise ValueError(
            "run.superchain shares out starts that are drawn, and target.start is one for all: leave out superchain, or"
            " give start_sd"
        )
    together = next((move.kind for move in moves if move.kind != "cyclical"), None)
    if together is not None and tolerance is None:
        raise ValueError(
            f"run.superchain is for replicas that go their own way, and a move of kind {together} makes them depend on"
            " each other: leave out one of the two"
        )
