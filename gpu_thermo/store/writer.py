"""RunWriter: a background thread that writes draws and commits in the order they were given."""

import errno
import json
import os
import queue
import shutil
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ..errors import GpuThermoError, RunError, StoreError
from ..state import State
from .arrays import Growing, put_values
from .birth import create_store
from .checkpoints import Commit, changing, recover, truncate, write_slot
from .files import LOCK, Lock, put_document
from .header import Checkpoint, Draws, Header, Trace
from .record import Record, group_document, load_record, located, read_root, refuse_earlier, to_key
from .schema import CHANGING, SLOTS, TUNING
from .targets import apart, of_draws

QUEUE_BYTES = 8 * 2**20
"""What may wait for the disk before the caller waits too, one call at least, however large: it stays in memory until
then."""
_CALL_BYTES = 8 * 2**10
"""About what a call takes beside the numbers of its arrays."""


class RunWriter:
    """The one writer of a store.

    Everything is written by a thread; an error there stops the writing and is raised as RunError by the next call, and
    by `close`. What was committed by then stays readable and can be resumed.

    Use `create` or `resume`, and close it, best as a context manager.
    """

    def __init__(
        self,
        path: Path,
        record: Record,
        lock: Lock,
        growing: dict[str, Growing],
        step: int,
        shown: dict[str, np.ndarray],
    ) -> None:
        self.path, self.schema = path, record.schema
        self._record, self._lock, self._growing, self._shown = record, lock, growing, shown
        self._committed = (step, record.draws)
        self._dropped: list[str] = []
        self._error: BaseException | None = None
        self._told = False
        self._queue: queue.SimpleQueue[tuple[Callable[[], None], int] | None] = queue.SimpleQueue()
        self._waiting, self._moved = 0, threading.Condition()
        self._thread = threading.Thread(target=self._work, name="gpu-thermo-store", daemon=True)
        self._thread.start()

    @classmethod
    def create(cls, path: str | os.PathLike[str], header: Header, overwrite: bool = False) -> "RunWriter":
        """A new store at `path`, at step 0.

        Raises
        ------
        StoreExistsError
            The path exists and `overwrite` is not set.
        StoreLockedError
            Another process is writing to the store that would be replaced.
        StoreError
            Nothing can be written there, or what would be replaced is not a store of ours.
        """
        real, record, lock = create_store(Path(path), header, overwrite)
        growing = {name: Growing(real, name, spec) for name, spec in record.arrays.items() if spec.grows is not None}
        return cls(real, record, lock, growing, 0, {})

    @classmethod
    def resume(cls, path: str | os.PathLike[str]) -> tuple["RunWriter", Checkpoint]:
        """Continue a store: lock it, undo what was not committed, load the checkpoint.

        Raises
        ------
        StoreLockedError
            Another process is writing to it.
        StoreError
            It is not a store of ours, of another format, or damaged.
        """
        real = located(path)
        refuse_earlier(real, read_root(real)["attributes"]["format"])
        if not (real / LOCK).parent.is_dir():
            load_record(real)
            raise StoreError(
                f"Store '{real}' is damaged: the folder '{Path(LOCK).parent}' is missing. Restore it from a copy."
            )
        lock = Lock(real)
        try:
            record = load_record(real)  # only now: the previous writer may have committed until it let go
            checkpoint, growing = recover(real, record)
        except OSError as error:
            lock.release()
            raise StoreError(
                f"Store '{real}' cannot be continued ({error.strerror}). Check its permissions and the free space."
            ) from error
        except BaseException:
            lock.release()
            raise
        shown = {} if checkpoint.state is None else {name: getattr(checkpoint.state, name) for name in CHANGING}
        return cls(real, record, lock, growing, checkpoint.step, shown), checkpoint

    @property
    def committed(self) -> tuple[int, int]:
        """(step, draws) of the last commit that is on the disk."""
        return self._committed

    def drop_draws(self) -> None:
        """Begin the draws anew. Those that are there are so until the next commit, which has to come before any others
        are handed over: it takes their files away.
        """
        self._send(self._drop, 0)

    def append(self, draws: Draws) -> None:
        """Hand over draws, which count from the next commit on.

        Arrays that own their memory are taken over and made read-only; views (of a ring that is used again, say) are
        copied.

        Raises
        ------
        RunError
            An earlier write failed.
        StoreError
            The arrays do not fit the header.
        """
        self.make_room(draws.nbytes)
        draw, step, schema = _own(draws.draw), _own(draws.step), self.schema
        statistics = {name: _own(value) for name, value in draws.statistics.items()}
        self._check_ladder(statistics)
        marks = of_draws(schema, statistics)
        values: dict[str, np.ndarray] = {}
        for group, own in self._groups(draws).items():
            values |= apart(schema, group, own, statistics.get("rung"))
        values |= apart(schema, "sample_stats", statistics, statistics.get("rung"))
        for group in schema.sampled:
            values |= {f"{group}/draw": draw, f"{group}/step": step}
            values |= {f"{group}/{name}": marks[name] for name in schema.of_draws(group)}
        self._send_values(values, schema.sampled, len(draw))

    def _groups(self, draws: Draws) -> dict[str, dict[str, np.ndarray]]:
        """What draws keep, by group, statistics aside."""
        out: dict[str, dict[str, np.ndarray]] = {}
        kept = self.schema.sampled
        if draws.position is not None and "posterior" in kept:
            out["posterior"] = self._tensors(_own(draws.position), "position")
        if draws.momentum is not None and "momenta" in kept:
            out["momenta"] = self._tensors(_own(draws.momentum), "momentum")
        if draws.predictions is not None and "probes" in kept:
            out["probes"] = {"predictions": _own(draws.predictions)}
        if draws.log_likelihood is not None and "log_likelihood" in kept:
            out["log_likelihood"] = {"y": _own(draws.log_likelihood)}
        return out

    def _check_ladder(self, statistics: Mapping[str, np.ndarray]) -> None:
        """StoreError where statistics do not say what tells draws of the target from others."""
        wanted = (*(["rung"] if self.schema.apart else []), *(["log_weight"] if self.schema.weighted else []))
        for name in wanted:
            if np.shape(statistics.get(name, ())) != (len(statistics.get(name, ())), self.schema.replicas):
                raise StoreError(f"Draws do not fit the store: statistic {name} is missing or of another shape.")

    def append_trace(self, trace: Trace) -> None:
        """Hand over points of the learning curves; arrays and errors as for `append`."""
        self.make_room(trace.nbytes)
        step, own = _own(trace.step), {name: _own(value) for name, value in trace.values.items()}
        values = {f"{group}/step": step for group in self.schema.traced}
        values |= apart(self.schema, "trace", own, own.get("rung"))
        self._send_values(values, self.schema.traced, len(trace.step))

    def commit(
        self,
        state: State,
        sums: Mapping[str, np.ndarray],
        predictive: Mapping[str, np.ndarray],
        attributes: Mapping[str, Any],
        wait: bool = False,
    ) -> None:
        """Make everything handed over so far durable, with the state to go on from.

        All arrays are copied. `attributes` (JSON values; sampling_time, ...) come back in the checkpoint;
        `sampling_time` is also set where ArviZ looks for it. With `wait`, returns when the commit is on the disk.
        """
        if set(predictive) != set(self.schema.predictive):
            raise StoreError(
                f"The commit has predictive {sorted(predictive)}; the store was created for"
                f" {sorted(self.schema.predictive)}."
            )
        for name, value in predictive.items():
            if np.shape(value) != self.schema.predictive[name][1]:
                raise StoreError(
                    f"predictive/{name} has shape {np.shape(value)}, not {self.schema.predictive[name][1]}."
                )
        plain = json.loads(json.dumps(dict(attributes), default=_plain))
        size = sum(np.asarray(a).nbytes for a in (*state.arrays().values(), *sums.values(), *predictive.values()))
        self.make_room(size)
        done = threading.Event()
        self._send(partial(self._commit, Commit.of(state, sums, predictive, plain)), size, done)
        if wait:
            done.wait()
            self._raise()

    def make_room(self, size: int) -> None:
        """Wait until `size` more bytes may be handed over: QUEUE_BYTES may wait for the disk, or one call."""
        with self._moved:
            self._moved.wait_for(lambda: not self._waiting or self._waiting + size <= QUEUE_BYTES)

    def close(self) -> None:
        """Write what is queued, join the thread, let go of the lock; raises RunError if a write failed and that was not
        raised yet.

        Draws after the last commit are dropped by the next recovery.
        """
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()
        self._lock.release()
        if not self._told:
            self._raise()

    def __enter__(self) -> "RunWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._told = True  # the first error is the one to show
        self.close()

    def _tensors(self, position: np.ndarray, what: str) -> dict[str, np.ndarray]:
        """Views of the tensors in `position` [D, R, P] (or momenta), by name."""
        if position.shape[1:] != (self.schema.replicas, self.schema.parameters):
            raise StoreError(
                f"{what} has shape {position.shape}, not (D, {self.schema.replicas}, {self.schema.parameters})."
            )
        out, start = {}, 0
        for name, shape in self.schema.tensors.items():
            stop = start + int(np.prod(shape))
            out[name] = position[..., start:stop].reshape(*position.shape[:2], *shape)
            start = stop
        return out

    def _send_values(self, values: dict[str, np.ndarray], groups: tuple[str, ...], count: int) -> None:
        """Check that each growing array of `groups` gets `count` entries, and queue them."""
        due = {path for path in self._growing if path.partition("/")[0] in groups}
        if set(values) != due:
            missing, extra = sorted(due - set(values)), sorted(set(values) - due)
            raise StoreError(
                f"Draws do not fit the store: missing {missing}, unknown {extra}. They are fixed when the store is"
                " created."
            )
        for path, value in values.items():
            spec = self._growing[path].spec
            rest = (spec.shape[0], *spec.shape[2:]) if spec.grows else ()
            if np.shape(value) != (count, *rest):
                raise StoreError(f"{path} was given shape {np.shape(value)}, not {(count, *rest)}.")
        self._send(partial(self._append, values), sum(value.nbytes for value in values.values()))

    def _send(self, task: Callable[[], None], size: int, done: threading.Event | None = None) -> None:
        self._raise()
        if not self._thread.is_alive():
            raise RunError(f"The writer of store '{self.path}' is closed. Resume the store to write more.")

        def run() -> None:
            """The task, unless one before it failed."""
            try:
                if self._error is None:  # after an error nothing may be written: the queue is only drained
                    self._lock.check(self.path)
                    task()
            except BaseException as error:  # the main thread raises it
                self._error = error
            finally:
                if done is not None:
                    done.set()

        size += _CALL_BYTES
        with self._moved:
            self._waiting += size
        self._queue.put((run, size))

    def _work(self) -> None:
        while (entry := self._queue.get()) is not None:
            task, size = entry
            task()
            del entry, task  # and what it held, before anybody is told that there is room
            with self._moved:
                self._waiting -= size
                self._moved.notify_all()

    def _raise(self) -> None:
        """Raise the thread's error in the caller's."""
        if self._error is None:
            return
        self._told = True
        if isinstance(self._error, GpuThermoError):
            raise self._error
        raise _trouble(self.path, self._error, self._committed) from self._error

    def _drop(self) -> None:
        self._dropped = [path for path in self._growing if path.partition("/")[0] in self.schema.sampled]
        for path in self._dropped:
            spec = self._growing[path].spec.at(0)
            self._growing[path] = Growing(self.path, path, replace(spec, crc=None if spec.crc is None else 0))

    def _append(self, values: dict[str, np.ndarray]) -> None:
        for path, value in values.items():
            self._growing[path].append(value)

    def _commit(self, commit: Commit) -> None:
        """The order matters: the record last, and nothing before it that the last record's commit needs."""
        record = self._record.copy()
        for path, end in self._growing.items():
            end.flush()
            if record.arrays[path] != end.spec:
                record.arrays[path] = end.spec
                put_document(self.path, path, end.spec.document())
        slot = 1 if record.slot == 0 else 0
        write_slot(self.path, record, SLOTS[slot], commit)
        self._show(record, commit)
        draws = record.draws
        record.groups["checkpoint"] = {
            "slot": slot,
            "step": commit.step,
            "draws": draws,
            "attributes": json.dumps(commit.attributes),
        }
        put_document(self.path, "checkpoint", group_document(record.groups["checkpoint"]))
        put_document(self.path, "", record.document())
        self._record, self._committed = record, (commit.step, draws)
        while self._dropped:
            path = self._dropped.pop()
            truncate(self.path / path, record.arrays[path])

    def _show(self, record: Record, commit: Commit) -> None:
        """Write what readers see beside the draws: `predictive`, status coordinates that changed, the moves' report,
        sampling_time.
        """
        for name, value in commit.predictive.items():
            put_values(self.path, f"predictive/{name}", record.arrays[f"predictive/{name}"], value)
        moved = [name for name in CHANGING if not np.array_equal(self._shown.get(name, ()), commit.arrays[name])]
        for group in record.schema.chained if moved else ():
            values = changing(record.schema, group, commit.arrays)
            for name in moved:
                put_values(self.path, f"{group}/{name}", record.arrays[f"{group}/{name}"], values[name])
        self._shown |= {name: commit.arrays[name] for name in moved}
        if record.schema.tuned:
            self._show_tuning(record, commit)
        shown = {
            name: commit.attributes[name]
            for name in ("sampling_time", "moves")
            if commit.attributes.get(name) is not None
        }
        if "moves" in shown:
            shown["moves"] = json.dumps(shown["moves"])
        for group in record.schema.chained if shown else ():
            record.groups[group] = record.groups[group] | shown
            put_document(self.path, group, group_document(record.groups[group]))

    def _show_tuning(self, record: Record, commit: Commit) -> None:
        """What a run that tunes itself has found, on every chain, and its course as JSON."""
        for name in record.schema.tuned:
            value = commit.arrays[f"extra/{to_key(f'tuned_{name}')}"]
            for group in record.schema.chained:
                put_values(self.path, f"{group}/{name}", record.arrays[f"{group}/{name}"], value)
        record.groups[TUNING] = {name: json.dumps(value) for name, value in commit.attributes["tuning"].items()}
        put_document(self.path, TUNING, group_document(record.groups[TUNING]))


def _own(array: Any) -> np.ndarray:
    """The array itself, made read-only, if it owns its memory; else a copy."""
    array = np.asarray(array)
    if array.base is not None:
        return array.copy()
    array.flags.writeable = False
    return array


def _plain(value: Any) -> Any:
    """NumPy's numbers and arrays as JSON."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"attribute value {value!r} is not JSON")


def _trouble(path: Path, error: BaseException, committed: tuple[int, int]) -> RunError:
    """What went wrong with the writing, what is safe, and what to do."""
    safe = f"Step {committed[0]} with {committed[1]} draws is committed and readable"
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        try:
            free = f"{shutil.disk_usage(path).free / 1e6:.0f} MB free"
        except OSError:
            free = "free space unknown"
        why = "a file would be larger than allowed" if number == errno.EFBIG else f"the disk is full ({free})"
        return RunError(f"Writing store '{path}' failed: {why}. {safe}: free space, then resume.")
    if number == errno.ENOENT:
        return RunError(
            f"Writing store '{path}' failed: a part of it vanished. Do not move or delete a store that is being"
            " written."
        )
    return RunError(
        f"Writing store '{path}' failed: {getattr(error, 'strerror', None) or error!r}. {safe}: mend the cause, then"
        " resume."
    )
