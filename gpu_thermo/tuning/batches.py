"""How few points a minibatch may have: a short ladder of sizes, and the smallest whose noise leaves variances right."""

import math
from collections.abc import Mapping

from . import rules

SHARES = (64, 32, 16, 8, 4)
"""Parts of the data that sizes are tried of: with half of it, all points and braces cost no more."""
FEWEST = 16
"""Points of a minibatch, at least."""


def sizes(points: int) -> tuple[int, ...]:
    """Sizes that are tried, the smallest first; none of small data, which take all points."""
    return tuple(size for share in SHARES if (size := math.ceil(points / share)) >= FEWEST)


def smallest(share: Mapping[int, float]) -> int:
    """The smallest size whose noise adds no more than QUIET to the temperature, by the `share` rho of each; 0, for all
    points, where none does.
    """
    return min((size for size, rho in share.items() if rho <= rules.QUIET), default=0)
