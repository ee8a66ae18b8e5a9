"""Our engines and all peers under one roof: `make(name, case, replicas)` gives something with `advance` and
`health`.
"""

from collections.abc import Callable
from typing import Any, Protocol

from gpu_thermo.engines import Engine, Job, make_engine
from gpu_thermo.kernels.toolchain import find_compiler
from gpu_thermo.state import Segment, State

from . import peers
from .cases import Case, Health, kinetic, loss_of
from .peers import Peer

OURS = ("fused", "batched")


class Ready(Protocol):
    """A case of ours: what to compute, and where so many replicas start."""

    def ready(self, replicas: int) -> tuple[Job, Callable[[Engine], State]]:
        """The job of that many replicas, and what makes its start where an engine has its states."""
        ...


class Ours:
    """One of our engines, by name or as `made` makes it, whose state stays where it computes."""

    def __init__(
        self,
        case: Ready,
        replicas: int,
        engine: str,
        device: str = "cpu",
        threads: int | None = None,
        made: Callable[[Job], Any] | None = None,
    ) -> None:
        self.case, self.replicas = case, replicas
        self.job, begin = case.ready(replicas)
        self.engine: Any = made(self.job) if made else make_engine(self.job, engine, device, threads)
        self.state = begin(self.engine)
        self.advance(1)

    def advance(self, steps: int) -> int:
        """Advance by `steps` steps in one segment."""
        self.engine.advance(self.state, Segment(self.state.step, steps))
        return steps

    def health(self) -> Health:
        """Loss and kinetic temperature now."""
        assert isinstance(self.case, Case)
        return Health(loss_of(self.case, self.state.position), kinetic(self.case, self.state.momentum))


def names() -> list[str]:
    """Every contender this machine can run, ours first."""
    return [*(n for n in OURS if n == "batched" or find_compiler() is not None), *peers.available()]


def make(name: str, case: Case, replicas: int) -> Peer:
    """The contender of that name, warm."""
    return Ours(case, replicas, name) if name in OURS else peers.make(name, case, replicas)
