"""One run against the clock, the signals and a store: advance, write, commit, stop in good order."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from ..errors import RunError, Status
from ..state import State
from ..store import RunWriter
from .loop import Loop, Moment, Progress
from .seat import Seat
from .stored import pack

COMMIT_SECONDS = 5.0
"""Time between commits: what a kill can lose of a run; of each of those in one launch so much of its own."""
OnProgress = Callable[[Progress], None]


class Interrupted(RunError):
    """The run was stopped by a signal, after a commit; `exit_code` is 130, 143 or 129."""

    def __init__(self, signum: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = 128 + signum


@dataclass
class Limits:
    """When to speak, commit and stop; times in seconds. `seat` : of a run that goes on beside others in one launch."""

    on_progress: OnProgress | None = None
    time_limit: float | None = None
    commit_seconds: float = COMMIT_SECONDS
    began: float = field(default_factory=time.monotonic)
    seat: Seat | None = None

    def over(self) -> bool:
        """Whether the time limit has passed."""
        return self.time_limit is not None and time.monotonic() - self.began >= self.time_limit

    @property
    def clock(self) -> Callable[[], float]:
        """Seconds that go by for this run."""
        return time.monotonic if self.seat is None else self.seat.clock

    def signals(self) -> AbstractContextManager[list[int]]:
        """Signals that are caught while it runs, by itself or by who leads the others, too."""
        return stop_signals() if self.seat is None else nullcontext(self.seat.caught)


def drive(
    loop: Loop, writer: RunWriter, path: Path, limits: Limits, attributes: Mapping[str, Any], anew: bool = False
) -> None:
    """Run `loop` to its end, a signal or the time limit, with everything committed to `writer`. `anew` : the loop goes
    on without the draws that are stored.

    Raises
    ------
    Interrupted
        After SIGINT, SIGTERM or SIGHUP, once the commit is durable; a second signal leaves at once.
    RunError
        If every replica was frozen, or the disk is full.
    """
    already = float(attributes.get("sampling_time", 0.0))
    began = last_commit = limits.clock()  # what was compiled before is no sampling

    def sampled() -> float:
        """Seconds that sampling took so far, in earlier calls too."""
        return already + limits.clock() - began

    def commit(wait: bool) -> None:
        """Hand over what is due."""
        timed = {**attributes, "sampling_time": sampled(), **loop.said()}
        shown = loop.moments.variables()  # of them those that the store was created for: an older one has fewer
        shown = {name: value for name, value in shown.items() if name in writer.schema.predictive}
        writer.commit(loop.saved(), loop.moments.sums, shown, timed, wait=wait)

    with limits.signals() as caught:
        if anew:
            writer.drop_draws()
            commit(wait=True)
        for moments in loop.segments():
            if moments:
                _append(loop, writer, moments)
            if limits.clock() - last_commit >= limits.commit_seconds:
                commit(wait=False)
                last_commit = limits.clock()
            if caught:
                break  # nothing is shown any more: after SIGHUP there may be nobody to show it to
            if limits.on_progress:
                limits.on_progress(loop.progress(moments, writer.committed[1]))
            if limits.over() or loop.overdue(sampled()):
                break
            del moments  # what they hold goes before the next segment is recorded
        if not caught and (kept := loop.last_resort()):
            _append(loop, writer, kept)
        commit(wait=True)
    if limits.on_progress and not caught:
        limits.on_progress(loop.progress([], writer.committed[1]))
    _report(loop, path, caught)


def _append(loop: Loop, writer: RunWriter, moments: list[Moment]) -> None:
    """Hand recorded moments over, once there is room for a copy of them."""
    writer.make_room(len(moments) * loop.moment_bytes)
    draws, trace = pack(loop.setup, moments)
    if draws:
        writer.append(draws)
    if trace:
        writer.append_trace(trace)


def raise_if_frozen(state: State) -> None:
    """RunError where no replica is left."""
    if not state.running:
        causes = ", ".join(sorted({Status(int(s)).remedy for s in np.unique(state.status)}))
        raise RunError(f"Every replica is frozen, the last at step {int(state.frozen_step.max())}: {causes}.")


def _report(loop: Loop, path: Path, caught: list[int]) -> None:
    """Turn how the run ended into an exception, where it is one."""
    state, run = loop.state, loop.setup.spec.run
    raise_if_frozen(state)
    if caught and not loop.finished:
        name, most = signal.Signals(caught[0]).name, "at most " if run.tolerance is not None else ""
        raise Interrupted(
            caught[0],
            f"Stopped by {name} at step {state.step} of {most}{run.steps}; all of it is committed. Continue with:"
            f" gpu-thermo resume {path}",
        )


class _Collecting:
    """What is done with signals in place of what they do: the first is kept, a second one exits at once."""

    def __init__(self) -> None:
        self.caught: list[int] = []

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        if self.caught:
            os._exit(128 + signum)
        self.caught.append(signum)


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Collect SIGINT, SIGTERM and SIGHUP instead of acting on them; a second one exits at once. Outside the main thread
    nothing is caught, and a signal that is ignored (as under nohup) stays so.

    Within another it is the same list, so that a signal that comes while a part is done is known to the whole, too, and
    one that came before it to the part.
    """
    if threading.current_thread() is not threading.main_thread():
        yield []
        return
    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    if (around := next((h for h in before.values() if isinstance(h, _Collecting)), None)) is not None:
        yield around.caught
        return
    collecting = _Collecting()
    for signum, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(signum, collecting)
    try:
        yield collecting.caught
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
