"""Shares of a run on the workers of a Dask client: handed out, held to one build, and begun anew elsewhere when a
worker is lost.

A worker keeps the engine and the state of its share from segment to segment. Here is kept what its state was at the
last commit, and what was asked of it since: another worker does that again, to the same bits, and goes on.
"""

import itertools
import logging
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..engines.base import Job
from ..engines.builds import differences
from ..engines.parts import Arrays
from ..engines.sharded import ShardedEngine, cut_rows
from ..errors import DeviceError, GpuThermoError, OtherBitsError, RunError, SpecError
from ..state import Hyper, Segment
from . import hosting
from .cluster import addresses

POLL_SECONDS = 0.5
"""Between two looks at whether a worker that is waited for is still there."""
PATIENCE_SECONDS = 60.0
"""How long to wait for another worker where none is left: those of this machine are started again."""
MOST_TRIES = 5
"""Times that an answer is asked for which does not arrive, of a worker that is there."""
_LARGE = 2**18
"""Bytes from which on arguments travel as data, not in the graph."""


class Lost(Exception):
    """A worker is gone."""


class Asked(NamedTuple):
    """Something a worker was asked: Dask's future, and whether it is over."""

    future: Any
    over: threading.Event


class Team:
    """The workers of one run.

    Parameters
    ----------
    client : of Dask. own : whether they were started for this run, on this machine. most : take no more of them.

    Attributes
    ----------
    addresses : of the worker that carries each share; one may carry several, after others were lost.
    """

    def __init__(self, client: Any, own: bool, most: int | None = None) -> None:
        self.client, self.own = client, own
        self.addresses = sorted(self.alive())[:most]
        self._run, self._numbers = uuid.uuid4().hex[:12], itertools.count()
        self._asked: tuple[str, str] = "auto", ""
        self._devices: dict[str, str] = {}
        self._check: Callable[[str], None] = lambda address: None
        self._refused: dict[str, GpuThermoError] = {}

    def alive(self) -> list[str]:
        """Addresses of the workers there are; RunError where the scheduler itself is gone."""
        try:
            return addresses(self.client)
        except (OSError, TimeoutError, RuntimeError, AttributeError) as error:
            raise RunError(
                f"The Dask scheduler does not answer any more ({error!r}). What was committed can be resumed."
            ) from error

    def resolve(self, device: str, library: str) -> str:
        """The kind of device that all workers have, "cpu" or "cuda".

        Raises
        ------
        DeviceError, SpecError
            A worker has no such device, or no gpu_thermo like this one; or some have GPUs and some not.
        """
        if library:
            raise SpecError(
                f"What {library} computes stays in the process it was made in: leave out --workers and --scheduler."
            )
        self._asked = device, library
        for number, address in enumerate(self.addresses):
            self._devices[address] = self._device(address, number)
        kinds = {one.partition(":")[0]: address for address, one in self._devices.items()}
        if len(kinds) > 1:
            raise DeviceError(
                f"Workers have different devices: {kinds['cpu']} has no GPU, {kinds['cuda']} has one. Use --device cpu,"
                " or workers that are alike."
            )
        return next(iter(kinds))

    def _device(self, address: str, number: int) -> str:
        return str(self.ask(address, hosting.examine, self._asked[0], number, self.own, self._asked[1]))

    def agree(self, job: Job, engine: str, here: dict[str, str]) -> None:
        """Hold the workers, and those that come later, to the build of this process, which looks at what they do.

        Raises
        ------
        OtherBitsError
            A worker has another build; the message names what differs.
        """
        packed = hosting.pack(job)

        def check(address: str) -> None:
            """One worker's build against ours."""
            there = self.ask(address, hosting.build_there, self._large(packed, address), engine, self._devices[address])
            if text := differences(here, there, "here", "there"):
                raise OtherBitsError(
                    f"Worker {address} has another build than this process, and would give other bits:\n{text}\nUse"
                    " workers that are alike, and start the run on a machine like theirs."
                )

        self._check = check
        for address in self.addresses:
            check(address)

    def engine(self, job: Job, name: str, device: str, threads: int | None, together: int) -> ShardedEngine:
        """The engine that is made of the workers' engines; `device` is that of this process."""
        rows = cut_rows(job.replicas, len(self.addresses), together)
        parts = [WorkerPart(self, i, hosting.pack(job.take(r)), name, threads) for i, r in enumerate(rows)]
        for part in parts:
            part.begun.result()
        return ShardedEngine(job, rows, parts, name, device)

    def close(self) -> None:
        """Let workers that live on forget the run."""
        if not self.own:
            for address in {*self.alive()} & {*self.addresses}:
                self.begin(address, hosting.forget, self._run)

    # -- calls ---------------------------------------------------------------------------------------------------------

    def key(self, number: int) -> str:
        """Name of a share at workers."""
        return f"{self._run}-{number}"

    def device_of(self, address: str) -> str:
        """The device that a worker computes on."""
        return self._devices[address]

    def begin(self, address: str, function: Callable[..., Any], *arguments: Any) -> "Asked":
        """Ask a worker; its answer is waited for later."""
        key = f"gpu-thermo-{self._run}-{next(self._numbers)}"
        where = {"workers": [address], "allow_other_workers": False}
        future = self.client.submit(function, *arguments, key=key, pure=False, retries=0, **where)
        asked = Asked(future, threading.Event())
        future.add_done_callback(lambda _: asked.over.set())
        return asked

    def wait(self, asked: "Asked", address: str) -> Any:
        """What a worker answers, or its error; Lost where it is gone."""
        future, trouble, tries = asked.future, None, 0
        while True:
            asked.over.wait(POLL_SECONDS)
            if (status := future.status) != "pending":
                try:
                    return future.result(timeout=PATIENCE_SECONDS)
                except GpuThermoError:
                    raise
                except Exception as error:  # the task's, or that of its result's way here, which may go better
                    trouble, tries = error, tries + 1
            if address not in self.alive():
                self.client.cancel([future])
                raise Lost from trouble
            if trouble is not None and (status == "error" or tries > MOST_TRIES):
                raise RunError(
                    f"Worker {address} failed: {trouble!r}. What was committed can be resumed; see the worker's own"
                    " log."
                ) from trouble
            if asked.over.is_set():
                time.sleep(POLL_SECONDS / 10)

    def ask(self, address: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """What a worker answers before the run; DeviceError where it cannot."""
        try:
            return self.wait(self.begin(address, function, *arguments), address)
        except Lost as error:
            raise DeviceError(
                f"Worker {address} was lost before it had a share. Give the same command again; see the worker's own"
                " log."
            ) from error
        except RunError as error:
            raise DeviceError(
                f"Worker {address} cannot take part: {error.__cause__!r}. Start workers with the same gpu_thermo,"
                " Python and Dask as this process."
            ) from error

    def large(self, value: Any, address: str) -> Any:
        """An argument for a worker: itself, or a future of it where it is large; Lost where the worker is gone."""
        try:
            return self._large(value, address)
        except (OSError, TimeoutError, ValueError) as error:
            if address not in self.alive():
                raise Lost from error
            raise

    def _large(self, value: Any, address: str) -> Any:
        if hosting.size_of(value) < _LARGE:
            return value
        return self.client.scatter([value], workers=[address], hash=False)[0]

    def another(self, number: int, step: int) -> str:
        """The worker that takes over a share whose own is lost: another of the same build, the least burdened."""
        end, lost = time.monotonic() + PATIENCE_SECONDS, self.addresses[number]
        what = f"its share, from step {step} on,"
        while time.monotonic() < end:
            there = [address for address in self.alive() if address not in self._refused and address != lost]
            if there:
                found = min(there, key=lambda address: (self.addresses.count(address), address))
                if self._take(number, found):
                    logging.getLogger("gpu_thermo").warning("Worker %s is lost: %s goes on at %s.", lost, what, found)
                    return found
                continue
            time.sleep(POLL_SECONDS)
        why = "".join(f" {error}" for error in self._refused.values())
        raise RunError(
            f"Worker {lost} is lost, and no other can take over {what}.{why} What was committed can be resumed."
        )

    def idle(self, number: int) -> str | None:
        """A worker without a share that takes this one, where its own has others, too: a lost one may be back."""
        if self.addresses.count(self.addresses[number]) < 2:
            return None
        there = sorted({*self.alive()} - {*self.addresses} - {*self._refused})
        return next((address for address in there if self._take(number, address)), None)

    def _take(self, number: int, address: str) -> bool:
        """Whether the worker at `address` is of the same build, and so has the share from now on."""
        try:
            if address not in self._devices:
                self._devices[address] = self._device(address, number)
                self._check(address)
        except GpuThermoError as error:
            self._devices.pop(address, None)
            self._refused[address] = error
            return False
        self.addresses[number] = address
        return True


class WorkerPart:
    """A share carried by a worker: see engines.parts.Part."""

    def __init__(self, team: Team, number: int, job: bytes, engine: str, threads: int | None) -> None:
        self._team, self._number, self._job, self._how = team, number, job, (engine, threads)
        self.where, self.burden = team.addresses[number], 0
        self._anchor: tuple[Arrays, int, int] | None = None
        self._since: list[tuple[Segment, Hyper | None, Arrays]] = []
        self._sent: Any = self  # hyperparameters last sent; nothing yet
        self.begun = _Call(self, "open", ())

    def load(self, arrays: Arrays, step: int, evaluations: int) -> "_Call":
        self.anchor(arrays, step, evaluations)
        return _Call(self, "load", (dict(arrays), step, evaluations))

    def advance(self, segment: Segment, hyper: Hyper | None, edits: Arrays) -> "_Call":
        return _Call(self, "advance", (segment, hyper, dict(edits)))

    def fetch(self, names: Sequence[str]) -> "_Call":
        return _Call(self, "fetch", (tuple(names),))

    def anchor(self, arrays: Arrays, step: int, evaluations: int) -> None:
        """The state from which another worker may begin anew; it is also the moment to leave a worker with others."""
        self._anchor, self._since, self.burden = (dict(arrays), step, evaluations), [], 0
        if (before := self.where) and (found := self._team.idle(self._number)) is not None:
            self._team.begin(before, hosting.forget, self._team.key(self._number))
            self.where, self._sent = found, self
            try:
                self._begin_again()
            except Lost:
                self.move()

    def did(self, arguments: tuple[Segment, Hyper | None, Arrays]) -> None:
        """The share was advanced: another worker would have to do this, too."""
        self._since.append(arguments)
        self.burden += sum(value.nbytes for value in arguments[2].values()) + 1000

    def start(self, what: str, arguments: tuple[Any, ...], silent: bool = False) -> Asked:
        """Ask something of the share's worker; Lost where it is gone."""
        team, key = self._team, self._team.key(self._number)
        if what == "open":
            engine, threads = self._how
            job = team.large(self._job, self.where)
            return team.begin(self.where, hosting.open_share, key, job, engine, team.device_of(self.where), threads)
        hyper = None
        if what == "advance":
            segment, wanted, edits = arguments
            if wanted is not self._sent:
                hyper, self._sent = (wanted,), wanted
            arguments = segment, edits
        hyper = team.large(hyper, self.where)
        return team.begin(self.where, hosting.do, key, what, team.large(arguments, self.where), hyper, silent)

    def move(self) -> None:
        """Another worker begins where the last commit was, and does again what was done since."""
        step = 0 if self._anchor is None else self._anchor[1]
        while True:
            self.where, self._sent = self._team.another(self._number, step), self
            try:
                return self._begin_again()
            except Lost:
                continue

    def _begin_again(self) -> None:
        self._again("open", ())
        if self._anchor is not None:
            self._again("load", self._anchor)
        for arguments in self._since:
            self._again("advance", arguments)

    def _again(self, what: str, arguments: tuple[Any, ...]) -> None:
        self._team.wait(self.start(what, arguments, silent=True), self.where)

    def answer(self, asked: Asked | None) -> Any:
        """What was asked of the share comes to."""
        if asked is None:
            raise Lost
        return self._team.wait(asked, self.where)


class _Call:
    """Something asked of a share's worker, and asked again of another one where it is lost."""

    def __init__(self, part: WorkerPart, what: str, arguments: tuple[Any, ...]) -> None:
        self._part, self._what, self._arguments = part, what, arguments
        self._asked = self._start()

    def _start(self) -> Asked | None:
        try:
            return self._part.start(self._what, self._arguments)
        except Lost:
            return None

    def result(self) -> Any:
        """What the worker answers."""
        while True:
            try:
                found = self._part.answer(self._asked)
            except Lost:
                self._part.move()
                self._asked = self._start()
                continue
            if self._what == "advance":
                self._part.did(self._arguments)
            self._asked = None
            return found
