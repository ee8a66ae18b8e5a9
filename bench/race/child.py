"""One contender on one problem with one seed: `python -m bench.race.child CONTENDER PROBLEM SEED LIMIT START`, a row as
the last line of its output.
"""

import json
import os
import sys
import time
from functools import partial
from typing import Any

from .clock import Clock
from .judge import Trail, truth
from .problems import problem


def one_device_a_core() -> None:
    """For JAX, before it is imported."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={count}"


def _ours(**options: Any) -> Any:
    from . import ours

    return partial(ours.run, **options)


def _nuts(name: str, warm_up: int) -> Any:
    one_device_a_core()
    from . import nuts

    return partial(getattr(nuts, name), warm_up=warm_up)


def _microcanonical(name: str, **options: Any) -> Any:
    one_device_a_core()
    from . import microcanonical

    return partial(getattr(microcanonical, name), **options)


WARM = "ours, compiled before"
"""Who has run once before the clock starts."""
CONTENDERS: dict[str, Any] = {
    "ours": lambda: _ours(),
    WARM: lambda: _ours(cold=False),
    "ours, tolerance .025": lambda: _ours(tolerance=0.025),
    "numpyro NUTS": lambda: _nuts("numpyro_nuts", 1000),
    "numpyro NUTS, 300": lambda: _nuts("numpyro_nuts", 300),
    "blackjax NUTS": lambda: _nuts("blackjax_nuts", 1000),
    "blackjax NUTS, 300": lambda: _nuts("blackjax_nuts", 300),
    "MCLMC": lambda: _microcanonical("mclmc", tuning=10_000),
    "MCLMC, 2000": lambda: _microcanonical("mclmc", tuning=2_000),
    "LAPS, 200": lambda: _microcanonical("laps", steps=200),
    "LAPS, 1000": lambda: _microcanonical("laps", steps=1_000),
    "LAPS, 5000": lambda: _microcanonical("laps", steps=5_000),
}
"""Names -> what makes them; numbers are steps of warm-up, of tuning, of either phase."""


def race(contender: str, name: str, seed: int, limit: float, start: float) -> dict[str, Any]:
    """Run it until its answer is there and stays, it ends, or `limit` seconds are over."""
    clock, p = Clock(start), problem(name)
    trail, said, load = Trail(truth(name)), {}, os.getloadavg()[0]
    for chunk in CONTENDERS[contender]()(p, seed, clock):
        at = clock.now() if chunk.at is None else chunk.at
        said |= chunk.said
        with clock.stopped():
            trail.add(*at, chunk.gradients, p.values(chunk.theta))
            over = chunk.at is None and (trail.settled() or at[0] > limit)
        if over:
            break
    return {"problem": name, "contender": contender, "seed": seed, "load": load, **trail.told(), **said}


def main() -> None:
    """Run, print the row."""
    contender, name, seed, limit, start = sys.argv[1:]
    print(json.dumps(race(contender, name, int(seed), float(limit), float(start) or time.monotonic())))


if __name__ == "__main__":
    main()
