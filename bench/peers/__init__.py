"""Contenders in other frameworks: each module makes objects with `advance(steps) -> steps done` and `health() ->
Health`.

All are warm when made, keep their state where they compute, and wait for the device before `advance` returns.
"""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Protocol

from ..cases import Case, Health


class Peer(Protocol):
    """R replicas of AdLaLa (or a nearest relative) in another framework."""

    replicas: int

    def advance(self, steps: int) -> int:
        """Advance by about `steps` steps and return how many were done."""
        ...

    def health(self) -> Health:
        """Loss and kinetic temperature now."""
        ...


def _jax(generator: str, tuned: bool = False) -> Callable[[Case, int], Peer]:
    def make(case: Case, replicas: int) -> Peer:
        from .jax_adlala import JaxAdlala, TunedJax

        return (TunedJax if tuned else JaxAdlala)(case, replicas, generator)

    return make


def _torch(compiled: bool) -> Callable[[Case, int], Peer]:
    def make(case: Case, replicas: int) -> Peer:
        from .torch_batched import TorchBatched

        return TorchBatched(case, replicas, compiled)

    return make


def _blackjax(kernel: str) -> Callable[[Case, int], Peer]:
    def make(case: Case, replicas: int) -> Peer:
        from .blackjax_relatives import Blackjax

        return Blackjax(case, replicas, kernel)

    return make


def _loop(case: Case, replicas: int) -> Peer:
    from .torch_loop import TorchLoop

    return TorchLoop(case)


PEERS: dict[str, tuple[str, Callable[[Case, int], Peer]]] = {
    "jax_threefry": ("jax", _jax("threefry2x32")),
    "jax_rbg": ("jax", _jax("rbg")),
    "jax_tuned": ("jax", _jax("threefry2x32", tuned=True)),
    "torch_batched": ("torch", _torch(False)),
    "torch_compiled": ("torch", _torch(True)),
    "torch_loop": ("torch", _loop),
    "blackjax_sgld": ("blackjax", _blackjax("sgld")),
    "blackjax_sgnht": ("blackjax", _blackjax("sgnht")),
}
"""Name -> (package it needs, maker of (case, replicas)); torch_loop always has one replica."""


def available() -> list[str]:
    """Peers whose package is installed."""
    return [name for name, (package, _) in PEERS.items() if find_spec(package) is not None]


def make(name: str, case: Case, replicas: int) -> Peer:
    """The peer of that name."""
    return PEERS[name][1](case, replicas)
