"""The place of a run among others that are carried out in one launch."""

from typing import Protocol

from ..engines import Engine, Job


class Seat(Protocol):
    """What a run asks of who leads the launch, in place of what it has alone (study/turns.py).

    Attributes
    ----------
    caught : signals that came since the launch began, the same list for all.
    """

    @property
    def caught(self) -> list[int]: ...

    def engine(self, job: Job, engine: str, device: str) -> Engine:
        """Who advances a job of this run, together with those of others that are on the same device."""
        ...

    def clock(self) -> float:
        """Seconds that this run has taken: its own, and its share of what was done together."""
        ...
