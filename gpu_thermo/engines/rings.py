"""What a segment records on a device comes down beside the next part of it: two sets of buffers there, two here.

Rings are never uploaded. Buffers on the host are pinned, so that copies run beside kernels. Positions of a whole
segment stay on the device until the next one begins, where there is room, for those who look at them there.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

Array = Any
Rings = Mapping[str, np.ndarray]
_ALIGNED = 64
WHOLE = "ring_position"
"""What stays on the device for as long as a segment."""


class RingBuffers:
    """Buffers of one device, taken in turn.

    Parameters
    ----------
    xp : CuPy. place : makes the device current.
    """

    def __init__(self, xp: Any, place: Any) -> None:
        self._xp, self._turn = xp, 0
        with place:
            self._copies = xp.cuda.Stream(non_blocking=True)
        self._there: list[dict[str, Array]] = [{}, {}]
        self._pinned: list[tuple[Any, int]] = [(None, 0), (None, 0)]
        self._under_way: list[tuple[Any, list[tuple[np.ndarray, np.ndarray]]] | None] = [None, None]
        self._held: Array | None = None
        self._whole: Array | None = None
        self._used = 0
        self._taken: dict[str, Array] = {}

    def open(self, position: np.ndarray) -> None:
        """Before a segment that records `position` [D, R, P]: room for all of it, unless memory is short."""
        self._whole, self._used = None, 0
        if not position.size:
            return
        try:
            if self._held is None or self._held.size < position.size or self._held.dtype != position.dtype:
                self._held = None  # before the next is asked for
                self._held = self._xp.empty(position.size, position.dtype)
            self._whole = self._held[: position.size].reshape(position.shape)
        except MemoryError:
            self._xp.get_default_memory_pool().free_all_blocks()

    @property
    def there(self) -> tuple[Array, ...] | None:
        """The positions [R, P] of each moment of the segment, on the device; None where there was no room for them."""
        return None if self._whole is None else tuple(self._whole)

    def take(self, rings: Rings) -> dict[str, Array]:
        """Buffers on the device for `rings` [D, R, ...]; what they held before has arrived."""
        self._arrive(self._turn)
        held, taken = self._there[self._turn], {}
        for name, ring in rings.items():
            if name == WHOLE and self._whole is not None:
                taken[name] = self._whole[self._used : self._used + len(ring)]
                self._used += len(ring)
                continue
            if name not in held or held[name].size < ring.size:
                held.pop(name, None)  # before the next is asked for
                held[name] = self._xp.empty(max(1, ring.size), ring.dtype)
            taken[name] = held[name][: ring.size].reshape(ring.shape)
        size = sum(_rounded(ring.nbytes) for ring in rings.values())
        if self._pinned[self._turn][1] < size:
            self._pinned[self._turn] = None, 0  # before the next is asked for
            self._pinned[self._turn] = self._xp.cuda.alloc_pinned_memory(size), size
        self._taken = taken
        return taken

    def send(self, rings: Rings) -> None:
        """Copy the buffers just taken into `rings`, once the kernel that was launched last is done."""
        ready, copied, pairs, at = self._xp.cuda.Event(), self._xp.cuda.Event(), [], 0
        ready.record()
        self._copies.wait_event(ready)
        for name, ring in rings.items():
            if ring.size:
                here = np.frombuffer(self._pinned[self._turn][0], ring.dtype, ring.size, at).reshape(ring.shape)
                self._taken[name].get(stream=self._copies, out=here, blocking=False)
                pairs.append((ring, here))
                at += _rounded(ring.nbytes)
        copied.record(self._copies)
        self._under_way[self._turn] = copied, pairs
        self._turn = 1 - self._turn

    def finish(self) -> None:
        """Wait until all rings have arrived."""
        for turn in (self._turn, 1 - self._turn):
            self._arrive(turn)

    def drop(self) -> None:
        """Give back all memory, once what is under way has arrived."""
        self.finish()
        self._there, self._pinned = [{}, {}], [(None, 0), (None, 0)]
        self._held = self._whole = None
        self._taken = {}

    def _arrive(self, turn: int) -> None:
        if (under_way := self._under_way[turn]) is not None:
            copied, pairs = under_way
            copied.synchronize()
            for ring, here in pairs:
                ring[...] = here
            self._under_way[turn] = None


def _rounded(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED
