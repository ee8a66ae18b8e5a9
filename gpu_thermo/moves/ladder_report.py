"""What is said of a run on a ladder of temperatures: acceptance, round trips, noise of the energies."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .report import Verdict

NOISY, NOISY_UNCORRECTED = 1.0, 0.1
"""Variance of the noise of a log acceptance from which it is reported: with the correction it costs acceptance, without
it biases."""

RARE = 0.05
"""Acceptance below which a pair of rungs is reported."""

FEW_TRIPS = 1.0
"""Round trips of a replica below which a ladder carries nothing."""


def ratio(part: np.ndarray, whole: np.ndarray) -> list[float | None]:
    """part / whole, None where there is nothing to divide by."""
    return [float(p / w) if w else None for p, w in zip(part, whole, strict=True)]


def noise_warnings(noise: list[float | None], correction: bool) -> list[str]:
    """What to say of log acceptances whose noise has variance `noise`, for each pair of rungs."""
    known = [v for v in noise if v is not None]
    worst = max(known, default=0.0)
    if worst <= (NOISY if correction else NOISY_UNCORRECTED):
        return []
    harm = (
        "costs acceptance, and the correction for it supposes Gaussian noise"
        if correction
        else "biases the draws: correction is off"
    )
    return [
        f"Energies are noisy: the log acceptance has noise of variance {worst:.3g}, which {harm}. Raise energy_batch,"
        " or add rungs."
    ]


def pair_warnings(accepted: np.ndarray, attempts: np.ndarray, temperatures: np.ndarray) -> list[str]:
    """What to say of pairs of rungs that rarely accept, as far as the numbers of their attempts [Q-1] tell."""
    share = accepted / np.maximum(attempts, 1)
    error = np.sqrt(np.maximum(share * (1 - share), 1 / np.maximum(attempts, 1)) / np.maximum(attempts, 1))
    low = (attempts > 0) & (share < RARE)
    rare = [(int(i), float(share[i])) for i in np.flatnonzero(low & (share + 2 * error < RARE))]
    if not rare:
        few = np.flatnonzero(low)
        return [
            f"Rungs {i} and {i + 1} accepted {int(accepted[i])} of {int(attempts[i])} attempts, too few to judge by:"
            " run longer, or attempt more often."
            for i in few[:1]
        ]
    i, worst = min(rare, key=lambda pair: pair[1])
    return [
        f"Rungs {i} and {i + 1} (tau {temperatures[i]:.3g} and {temperatures[i + 1]:.3g}) accept {worst:.2g} of their"
        f" attempts{f', and {len(rare) - 1} other pairs few too' if len(rare) > 1 else ''}: add rungs between them."
    ]


def lines(kind: str, facts: Mapping[str, Any]) -> dict[str, str]:
    """Acceptance of each pair of rungs, round trips, and a window that was found by itself."""
    rates = ", ".join("-" if a is None else f"{a:.2f}" for a in facts["acceptance"])
    trips = facts["round_trips"]
    label = " (heuristic)" if facts.get("heuristic") else ""
    return {kind: f"acceptance {rates}; {trips:,} round trip{'' if trips == 1 else 's'}{label}"} | _window(facts)


def _window(facts: Mapping[str, Any]) -> dict[str, str]:
    """Why a window that is found in burn-in has its length; nothing of others."""
    if "energies_kept" not in facts:
        return {}
    found = facts["energies_kept"]
    seen = "not known yet" if found is None else f"{found[0]:.2g} +- {found[1]:.1g} at most"
    why = "forgotten" if facts["window"] > 1 else "a longer one is right only where they are seen to be forgotten"
    return {"window": f"{facts['window']}; energies keep of themselves between attempts: {seen} ({why})"}


def verdicts(kind: str, facts: Mapping[str, Any], warnings: Sequence[str]) -> tuple[Verdict, ...]:
    """Acceptance, round trips, and whether any density is sampled at all."""
    out = []
    accepted = [a for a in facts.get("acceptance", []) if a is not None]
    if accepted:
        text = f"Neighbouring rungs accept {min(accepted):.0%} to {max(accepted):.0%} of their attempts."
        out.append(Verdict(f"{kind}: acceptance", not warnings, " ".join([text, *warnings])))
    trips = float(facts.get("round_trips_per_replica", 0.0))
    text = f"A replica makes {trips:.3g} round trips between the target and the hottest rung on average"
    if trips >= FEW_TRIPS:
        out.append(Verdict(f"{kind}: round trips", True, f"{text}."))
    else:
        out.append(Verdict(f"{kind}: round trips", False, f"{text}: run longer, add rungs, or attempt more often."))
    if facts.get("heuristic"):
        text = (
            "The ladder is about the temperature of one partition: exchanges are heuristic, and no density is sampled"
            " exactly."
        )
        out.append(Verdict(f"{kind}: heuristic", None, text))
    return tuple(out)
