"""Our engines and all peers under one roof: `make(name, case, replicas)` gives something with `advance` and
`health`.
"""

from typing import Any

from gpu_thermo.engines import make_engine
from gpu_thermo.kernels.toolchain import find_compiler
from gpu_thermo.state import Segment

from . import peers
from .cases import Case, Health, kinetic, loss_of
from .peers import Peer

OURS = ("fused", "batched")


class Ours:
    """One of our engines."""

    def __init__(self, case: Case, replicas: int, engine: str, device: str = "cpu", threads: int | None = None) -> None:
        self.case, self.replicas = case, replicas
        ready = case.setup(replicas)
        self.job, self.state = ready.job, ready.initial_state()
        self.engine: Any = make_engine(ready.job, engine, device, threads)
        self.advance(1)

    def advance(self, steps: int) -> int:
        """Advance by `steps` steps in one segment."""
        self.engine.advance(self.state, Segment(self.state.step, steps))
        return steps

    def health(self) -> Health:
        """Loss and kinetic temperature now."""
        return Health(loss_of(self.case, self.state.position), kinetic(self.case, self.state.momentum))


def names() -> list[str]:
    """Every contender this machine can run, ours first."""
    return [*(n for n in OURS if n == "batched" or find_compiler() is not None), *peers.available()]


def make(name: str, case: Case, replicas: int) -> Peer:
    """The contender of that name, warm."""
    return Ours(case, replicas, name) if name in OURS else peers.make(name, case, replicas)
