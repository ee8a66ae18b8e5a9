"""Runs that tune and stop themselves, side by side in one launch.

Each is carried out as it is alone, in a thread of its own, and they take turns: one goes on until it asks its engine
for steps; when all have asked, those that are furthest behind are advanced together (asks.py), at most to where the
next one stands. So all have one step counter, whatever stage each is in, and one that was resumed from an earlier step
catches up first. Whoever has stopped leaves; what a run gives is what it gives alone, bit for bit.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ..engines import Engine, Job
from ..engines.base import Start
from ..engines.resident import ResidentState, begun
from ..running.drive import Interrupted, stop_signals
from ..state import Hyper, Recorded, Segment, State
from .asks import Ask, Launches, Stage
from .launch import Arrays, OnSteps
from .progress import How
from .shards import Shard
from .tuned import run_tuned

Body = Callable[["Turn"], Arrays]
"""All that a run does, asking for steps on the way; what a study keeps of it."""


class _Left(BaseException):
    """The launch is given up: a run goes no further than its last commit."""


class Turn:
    """One run, and its place in the launch (running/seat.py): it goes on while all others wait, or waits.

    Attributes
    ----------
    ask : what it waits for; None once it is over. found : what it gave. error : what it raised.
    """

    def __init__(self, shard: Shard, body: Body, caught: list[int], threads: int | None) -> None:
        self.shard, self.caught = shard, caught
        self.ask: Ask | None = None
        self.found: Arrays | None = None
        self.error: BaseException | None = None
        self._threads, self._leaves = threads, False
        self._spent, self._since = 0.0, time.perf_counter()
        self._mine, self._theirs = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, args=(body,), daemon=True)

    # -- for who leads -------------------------------------------------------------------------------------------------

    def go(self) -> None:
        """Let it go on until it asks or is over. After a signal none begins."""
        if self._is_new and self.caught:
            self.error = Interrupted(
                self.caught[0], f"Stopped by {signal.Signals(self.caught[0]).name} before the run began."
            )
            return
        self._since = time.perf_counter()
        if self._is_new:
            self._thread.start()
        else:
            self._mine.release()
        self._theirs.acquire()
        self._spent += time.perf_counter() - self._since

    def leave(self) -> None:
        """End it where it is. What it raised is not kept: that holds all which the run did."""
        if self.ask is not None:
            self._leaves = True
            self.go()
        self.error = None

    @property
    def _is_new(self) -> bool:
        """Whether it has not begun."""
        return self._thread.ident is None

    # -- for the run ---------------------------------------------------------------------------------------------------

    def engine(self, job: Job, engine: str, device: str) -> Engine:
        """See Seat."""
        return _Asking(self, Stage(job, engine, device, self._threads))

    def clock(self) -> float:
        """See Seat; it is asked for in turn."""
        return self._spent + time.perf_counter() - self._since

    def wait(self, ask: Ask) -> Recorded:
        """Until the steps are done."""
        self.ask = ask
        self._theirs.release()
        self._mine.acquire()
        if self._leaves:
            raise _Left
        self._spent += ask.seconds
        return ask.recorded

    def _run(self, body: Body) -> None:
        try:
            self.found = body(self)
        except BaseException as error:  # who leads is to raise it
            self.error = error
        finally:
            self.ask = None
            self._theirs.release()


class _Asking:
    """The engine of a run that takes turns."""

    def __init__(self, turn: Turn, stage: Stage) -> None:
        self._turn, self._stage = turn, stage
        self.name, self.device = stage.engine, stage.device

    def load(self, state: State) -> State:
        """See Engine."""
        return state if isinstance(state, ResidentState) else self.begin(lambda xp, rows: state)

    def begin(self, make: Start) -> State:
        """See Engine."""
        return begun(self.device, self._stage.job.replicas, make)

    def advance(self, state: State, segment: Segment, hyper: Hyper | None = None) -> Recorded:
        """See Engine; others go on meanwhile."""
        return self._turn.wait(Ask(self._stage, state, segment, hyper or self._stage.job.hyper))


class Turns:
    """A launch of runs that stop themselves, of the study in `store`. `caught` : signals that came while it runs."""

    def __init__(self, launch: Sequence[Shard], store: Path, how: How, allow_other_bits: bool = False) -> None:
        self._threads, self._shards = how[2], launch

        def body(turn: Turn) -> Arrays:
            return run_tuned(turn.shard, store, *how, allow_other_bits=allow_other_bits, seat=turn)

        self._body = body
        self._launches = Launches()
        self.caught: list[int] = []

    def run(self, on_steps: OnSteps | None = None) -> Iterator[tuple[Shard, Arrays]]:
        """Each shard and what the study keeps of it (`run_tuned`), as they end.

        Raises
        ------
        Interrupted
            By a signal, with what each has done committed.
        """
        with stop_signals() as self.caught:
            turns = [Turn(shard, self._body, self.caught, self._threads) for shard in self._shards]
            try:
                yield from self._ends(list(turns), on_steps)
            finally:
                for turn in turns:
                    turn.leave()

    def _ends(self, turns: list[Turn], on_steps: OnSteps | None) -> Iterator[tuple[Shard, Arrays]]:
        """As `run`, with everyone's turns."""
        stopped: Interrupted | None = None
        ended, ready = 0, list(turns)
        while turns:
            for turn in ready:
                turn.go()
            for turn in [turn for turn in ready if turn.ask is None]:
                turns.remove(turn)
                ended += turn.shard.replica_steps
                if isinstance(turn.error, Interrupted):
                    stopped = stopped or turn.error  # the others are to commit, too
                elif turn.error is not None:
                    raise turn.error
                else:
                    assert turn.found is not None
                    yield turn.shard, turn.found
            ready = self._advance(turns)
            if on_steps is not None:
                on_steps(ended + sum(t.ask.step * t.shard.replicas for t in turns if t.ask is not None))
        if stopped is not None:
            raise stopped

    def _advance(self, turns: list[Turn]) -> list[Turn]:
        """Bring those that are furthest behind on; who of them has what it asked for."""
        asks = [turn.ask for turn in turns if turn.ask is not None]
        if not asks:
            return []
        step = min(ask.step for ask in asks)
        behind = [ask for ask in asks if ask.step == step]
        self._launches.advance(behind, min(ask.stop if ask.step == step else ask.step for ask in asks))
        return [turn for turn in turns if turn.ask in behind and turn.ask.step == turn.ask.stop]
