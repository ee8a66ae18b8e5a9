"""Where a study stands while it runs, and how its shards are run."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from .shards import Shard

How = tuple[str, str, int | None]
"""Device, engine, threads."""


@dataclass
class StudyProgress:
    """Where a study stands: `steps` counts replica-steps, those of shards under way in this process included; of runs
    that stop themselves (`at_most`) the most they may take.
    """

    shards: int
    total_shards: int
    runs: int
    total_runs: int
    steps: int
    total_steps: int
    workers: int = 0
    began: float = field(default_factory=time.monotonic)
    earlier: int = 0
    at_most: bool = False

    @property
    def rate(self) -> float:
        """Replica-steps per second since this call began."""
        return (self.steps - self.earlier) / max(time.monotonic() - self.began, 1e-9)

    @property
    def seconds_left(self) -> float:
        """At the rate so far."""
        return (self.total_steps - self.steps) / self.rate if self.steps > self.earlier else float("inf")

    def count(self, shard: Shard) -> None:
        """Another shard is done."""
        self.shards += 1
        self.runs += shard.runs


OnProgress = Callable[[StudyProgress], None]
