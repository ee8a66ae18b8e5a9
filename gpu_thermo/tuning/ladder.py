"""Rungs of a ladder between the target and the hottest temperature: how many, where, and whether they carry.

Rejections add up along a ladder, whatever its rungs (Syed, Bouchard-Cote, Deligiannidis, Doucet, J. R. Stat. Soc. B
84, 2022): their sum, as a function of log tau, says where rungs have to stand for all neighbours to swap alike.
equations.md section 14.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

SWAP, LEAST = 0.4, 0.2
"""Share of attempts that neighbours are to accept, unless the spec says another; what any pair may lack of it."""
MOST_RUNGS, MOST_LOOKS = 64, 8
"""Rungs of a ladder, and looks at it, at most."""
RARE, ERRORS, FEWEST = 0.05, 3.0, 20
"""A pair that accepts less by so many errors carries nothing; attempts below which nothing is said."""
OVER = 3.0
"""By how many tau of the last rung a barrier is crossed."""
TRIPS = 1.0
"""Round trips of a ladder's replicas between target and top, below which it has carried nothing."""


def first_count(target: float, hottest: float, parameters: int, aim: float) -> int:
    """Rungs of a geometric ladder whose neighbours would swap with probability `aim` if U were quadratic in so many
    parameters: the log ratio has mean -m and variance 2m, m = P/2 (ln r)^2, and erfc(sqrt(m)/2) is accepted.
    """
    low, high = 0.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if math.erfc(middle) > aim else (low, middle)
    log_ratio = 2 * low * math.sqrt(2 / max(parameters, 1))
    return int(min(MOST_RUNGS, 1 + max(1, math.ceil(math.log(hottest / target) / log_ratio))))


def hot_enough(target: float, barrier: float) -> float:
    """tau of a last rung from which replicas cross a barrier of U: a third of it, twice the target's at least; two
    digits.
    """
    return float(f"{max(barrier / OVER, 2 * target):.1e}")


def offer(log: Sequence[Mapping[str, Any]], target: float, parameters: int) -> str:
    """What to add to the spec of a run, whose course has this log, so that moves carry replicas across; its cost."""
    if any("attempts" in line for line in log):
        return "raise moves.hottest, so that replicas cross on the last rung, or count each mode for itself"
    hottest = next((line["hottest"] for line in reversed(log) if "hottest" in line), None)
    if hottest is None:
        return (
            'let moves carry replicas across ([[moves]] kind = "exchange" and hottest), or count each mode for itself'
        )
    count = first_count(target, hottest, parameters, SWAP)
    return (
        f'let moves carry replicas across: add moves = [{{kind = "exchange", hottest = {hottest:.3g}}}] at the top of'
        f" the spec (some {count} rungs, and as many times the gradients); or count each mode for itself"
    )


def shares(accepted: Sequence[int], attempts: Sequence[int]) -> list[float]:
    """What each pair of rungs accepts of its attempts; 0 where there were none."""
    return [a / max(t, 1) for a, t in zip(accepted, attempts, strict=True)]


def geometric(target: float, hottest: float, count: int) -> tuple[float, ...]:
    """tau of so many rungs, the target first."""
    return (target, *(float(t) for t in np.geomspace(target, hottest, count)[1:-1]), hottest)


def spaced(temperature: Sequence[float], acceptance: Sequence[float], aim: float) -> tuple[float, ...]:
    """Rungs between the same ends whose neighbours all swap with probability `aim`, as far as the `acceptance` of each
    pair of `temperature` tells: equal shares of the rejections along log tau, interpolated.
    """
    rejected = np.maximum(1 - np.asarray(acceptance, np.float64), 1e-3)
    total = np.concatenate([[0.0], np.cumsum(rejected)])
    count = int(np.clip(math.ceil(total[-1] / (1 - aim) - 0.25) + 1, 2, MOST_RUNGS))
    logs = np.interp(np.linspace(0, total[-1], count), total, np.log(temperature))
    return (float(temperature[0]), *(float(t) for t in np.exp(logs[1:-1])), float(temperature[-1]))


def settled(temperature: Sequence[float], acceptance: Sequence[float], aim: float) -> bool:
    """Whether these rungs will do: no pair swaps much less than it should, and not many fewer rungs would do."""
    return min(acceptance) > aim - LEAST and len(spaced(temperature, acceptance, aim)) >= len(temperature) - 1


def against(line: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What speaks against a ladder, by the last line of a course that tells of it: the reason and what to do."""
    tau, tried = line["temperatures"], line["attempts"]
    share = shares(line["accepted"], tried)
    error = [math.sqrt(max(s * (1 - s), 1 / max(t, 1)) / max(t, 1)) for s, t in zip(share, tried, strict=True)]
    rare = [i for i, s in enumerate(share) if tried[i] >= FEWEST and s + ERRORS * error[i] < RARE]
    if rare:
        i = min(rare, key=lambda k: share[k])
        yield (
            f"the ladder does not swap: rungs {i} and {i + 1} (tau {tau[i]:.3g} and {tau[i + 1]:.3g}) accept"
            f" {share[i]:.2g} of their attempts",
            "give moves hottest alone, so that the run finds its rungs, or put rungs between them",
        )
    elif line["trips"] < TRIPS:
        yield (
            f"the ladder has carried nothing yet: {line['trips']:.2g} round trips between target and top for each",
            "resume with a smaller tolerance, or lower hottest",
        )
