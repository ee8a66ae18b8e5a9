"""Few combinations of many choices, with every pair (or triple) of them in at least one."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, product
from typing import Any

Case = dict[str, Any]


def covering(
    factors: Mapping[str, Sequence[Any]], strength: int = 2, most: Sequence[str] = (), apart: Iterable[set[str]] = ()
) -> list[Case]:
    """Combinations such that all values of any `strength` factors meet; all values of the factors `most` meet, too.
    Factors that are `apart`, pairs of names that know nothing of each other, need not.

    Greedy, and the same at every call: the combination that covers most of what is still missing comes next.
    """
    names = list(factors)
    alone = {frozenset(pair) for pair in apart}
    groups = {frozenset(g) for g in combinations(names, strength)} | ({frozenset(most)} if most else set())
    groups = {group for group in groups if not any(pair <= group for pair in alone)}
    missing = {
        tuple(zip(sorted(group), values, strict=True))
        for group in groups
        for values in product(*(range(len(factors[name])) for name in sorted(group)))
    }
    out: list[Case] = []
    while missing:
        chosen: dict[str, int] = dict(min(missing, key=lambda part: (-len(part), part)))
        for name in sorted(names, key=lambda n: -len(factors[n])):
            if name not in chosen:
                size, turn = len(factors[name]), len(out) if alone else 0  # those that need not meet take turns
                best = max(range(size), key=lambda i: (_gain(missing, {**chosen, name: (i + turn) % size}), -i))
                chosen[name] = (best + turn) % size
        missing = {part for part in missing if any(chosen[name] != i for name, i in part)}
        out.append({name: factors[name][chosen[name]] for name in names})
    return out


def _gain(missing: set[tuple[tuple[str, int], ...]], chosen: Mapping[str, int]) -> int:
    """How much of what is missing the choices so far would cover."""
    return sum(all(chosen.get(name) == i for name, i in part) for part in missing)
