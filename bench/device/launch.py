"""A few launches of one promised kernel, for tools that look at programs from outside.

`python -m bench.device.launch NAME REPLICAS STEPS [--engine fused] [--device cuda]`
"""

import argparse

from ..contenders import Ours
from .facts import PROMISED


def main() -> None:
    """One launch of a single step, then one of STEPS."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=PROMISED)
    parser.add_argument("replicas", type=int)
    parser.add_argument("steps", type=int)
    parser.add_argument("--engine", default="fused")
    parser.add_argument("--device", default="cuda")
    given = parser.parse_args()
    Ours(PROMISED[given.name], given.replicas, given.engine, given.device).advance(given.steps)
    print("done")


if __name__ == "__main__":
    main()
