"""Several shards in one launch: runs that do the same at every step, but for hyperparameters, and differ in length.

All go on step by step from the first one; each is recorded after steps of its own, and leaves when it has done its own.
So the stepsizes of a word share its launch at equal times, too, where their numbers of steps differ. What a shard gives
is what it gives alone, bit for bit.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from ..engines import choose_engine, make_engine, resolve_device
from ..engines.base import moment_bytes
from ..engines.gpu import is_out_of_memory
from ..errors import ResourceError, RunError
from ..running.loop import ring_slots
from ..running.pace import Pace
from ..state import Segment, Track
from .launch import Arrays, OnSteps, Watch
from .progress import How
from .shards import Shard, initial_state, joined, make_launch
from .tuned import keep_part, make_part
from .turns import Turns

OnPart = Callable[[Shard], None]


def make_parts(
    launch: Sequence[Shard], store: Path, how: How, on_steps: OnSteps | None = None, allow_other_bits: bool = False,
    on_part: OnPart = lambda shard: None,
) -> None:  # fmt: skip
    """Carry out the shards of a launch, and write each one's part as soon as it is done: what here and on workers is
    done with one. `on_steps` is told replica-steps, `on_part` whose part was written. What does not fit a GPU together
    goes one by one.
    """
    left = {shard.id: shard for shard in launch}
    if len(left) > 1:
        try:
            for shard, arrays in _side_by_side(launch, store, how, on_steps, allow_other_bits):
                keep_part(shard, store, arrays)
                on_part(left.pop(shard.id))
        except (ResourceError, RunError) as error:
            if not isinstance(error, ResourceError) and not is_out_of_memory(error.__cause__ or error):
                raise
    done = sum(shard.replica_steps for shard in launch if shard.id not in left)
    for shard in left.values():
        report = None if on_steps is None else _after(on_steps, done, shard)
        make_part(shard, store, *how, report, allow_other_bits)
        on_part(shard)
        done += shard.replica_steps


def _side_by_side(
    launch: Sequence[Shard], store: Path, how: How, on_steps: OnSteps | None, allow_other_bits: bool
) -> Iterator[tuple[Shard, Arrays]]:
    """The shards as they end. Nothing holds the launch but what is returned, so that its memory goes with it."""
    if launch[0].tuned:
        return Turns(launch, store, how, allow_other_bits).run(on_steps)
    return Together(launch, how).run(on_steps)


def _after(on_steps: OnSteps, done: int, shard: Shard) -> OnSteps:
    """What is told the steps of one shard, after `done` replica-steps of others."""
    return lambda step: on_steps(done + step * shard.replicas)


class Together:
    """A launch of shards whose groups are `steady`, those of the longest runs first.

    Those that have ended are the last rows of the state, so that what is left is its beginning.
    """

    def __init__(self, launch: Sequence[Shard], how: How) -> None:
        device, engine, self._threads = how
        self._began = time.perf_counter()
        shards = sorted(launch, key=lambda shard: -shard.steps)
        whole = make_launch(joined(shards))
        self._job, self._device = whole.setup.job, resolve_device(device, whole.setup.job.target.library)
        self._chosen = choose_engine(self._job, engine, self._device)
        self._engine = make_engine(self._job, self._chosen, self._device, self._threads)
        self._state = initial_state(whole, self._engine)
        ends = np.cumsum([0, *(shard.replicas for shard in shards)]).tolist()
        self._rows = [slice(first, last) for first, last in pairwise(ends)]
        self._watches = [
            Watch(shard, make_launch(shard).setup, self._engine, self._state.rows(rows), self._threads)
            for shard, rows in zip(shards, self._rows, strict=True)
        ]
        self._total = sum(shard.replica_steps for shard in shards)
        self._pace, self._sampling = Pace(), time.perf_counter()

    def run(self, on_steps: OnSteps | None = None) -> Iterator[tuple[Shard, Arrays]]:
        """Each shard and what the study keeps of it (`run_shard`), as they end."""
        done = 0
        while self._watches:
            segment = self._next()
            begin = time.perf_counter()
            recorded = self._engine.advance(self._state, segment)
            self._pace.saw(segment.steps, time.perf_counter() - begin)
            for watch, track in zip(self._watches, segment.tracks, strict=True):
                watch.loop.state = self._state.rows(track.rows)
                watch(watch.loop.see(recorded.of(track)))
            done += segment.steps * self._state.replicas
            if on_steps is not None:
                on_steps(done)
            yield from self._leave()

    def _next(self) -> Segment:
        """To the end of the shortest run, and as far as the ring has room for each shard's records."""
        start, slots = self._state.step, ring_slots(moment_bytes(self._job), self._device)
        stop = min(start + self._pace.next(), self._watches[-1].shard.steps)
        for watch in self._watches:
            stop = start + watch.loop.agenda.segment(start, stop, slots).steps
        records = (watch.loop.agenda.record_steps(start, stop) for watch in self._watches)
        return Segment(start, stop - start, (), tuple(map(Track, self._rows, records)))

    def _leave(self) -> Iterator[tuple[Shard, Arrays]]:
        """Shards that have done their steps, or all where nobody is left to go on."""
        ended, nobody = [], not self._state.running
        while self._watches and (nobody or self._watches[-1].shard.steps <= self._state.step):
            ended.append(self._watches.pop())
            self._rows.pop()
        for watch in ended:
            share = watch.shard.replica_steps / self._total
            watch.sampled = share * (time.perf_counter() - self._sampling)
            yield watch.shard, watch.arrays(share * (time.perf_counter() - self._began))
        if ended and self._watches:
            rows = slice(0, self._rows[-1].stop)
            self._state, self._job = self._state.rows(rows), self._job.take(rows)
            self._engine = make_engine(self._job, self._chosen, self._device, self._threads)
