"""What a worker carries of a run shared out: engines with the states of its shares, from segment to segment; and what
they are sent as.

These are the functions that a worker is asked to call; Team and WorkerPart (workers.py) ask.
"""

import pickle
from typing import Any

import numpy as np

from ..engines import describe_build, make_engine, resolve_devices
from ..engines.base import Job
from ..engines.devices import each_device
from ..engines.parts import Runner
from ..errors import SpecError
from ..state import Hyper

_RUNNERS: dict[str, tuple[Runner, list[Hyper | None]]] = {}
"""Shares this process carries, and the hyperparameters last sent to each."""


def examine(asked: str, number: int, everything: bool, library: str) -> str:
    """The device of worker `number`, of those that it is `asked` to use; of `everything` each takes one in turn."""
    if everything and asked in ("auto", "cuda") and resolve_devices(asked, library) != "cpu":
        asked = "cuda:all"
    names = each_device(resolve_devices(asked, library))
    return names[number % len(names)]


def build_there(job: bytes, engine: str, device: str) -> dict[str, str]:
    """What decides bits at this worker."""
    return describe_build(pickle.loads(job), engine, device).to_dict()


def open_share(key: str, job: bytes, engine: str, device: str, threads: int | None) -> None:
    """Make the engine of a share, in place of one of that name."""
    _RUNNERS.pop(key, None)
    _RUNNERS[key] = Runner(make_engine(pickle.loads(job), engine, device, threads)), [None]


def do(key: str, what: str, arguments: tuple[Any, ...], hyper: tuple[Hyper | None] | None, silent: bool) -> Any:
    """A method of a share's runner; `hyper` where other ones are in force from now on; with `silent` nothing is sent
    back.
    """
    runner, held = _RUNNERS[key]
    if what == "advance":
        if hyper is not None:
            held[0] = hyper[0]
        arguments = (arguments[0], held[0], arguments[1])
    found = getattr(runner, what)(*arguments)
    if what == "advance":
        found[0].there = None  # who looks at all replicas is elsewhere
    return None if silent else found


def forget(name: str) -> None:
    """Drop a share, or all shares of a run."""
    for key in [key for key in _RUNNERS if key == name or key.startswith(f"{name}-")]:
        del _RUNNERS[key]


def pack(job: Job) -> bytes:
    """A job for another process.

    Raises
    ------
    SpecError
        It holds something of the user's own that cannot be sent.
    """
    import cloudpickle  # type: ignore[import-untyped]  # of Dask

    try:
        return bytes(cloudpickle.dumps(job))
    except Exception as error:
        raise SpecError(
            f"The run cannot be sent to workers: {error}. Define potentials and records of your own in a module that"
            " workers can import, or leave out --workers and --scheduler."
        ) from error


def size_of(value: Any) -> int:
    """About how many bytes an argument takes."""
    if isinstance(value, np.ndarray | bytes):
        return value.nbytes if isinstance(value, np.ndarray) else len(value)
    if isinstance(value, dict):
        return sum(map(size_of, value.values()))
    if isinstance(value, tuple | list):
        return sum(map(size_of, value))
    return value.replicas * 100 if isinstance(value, Hyper) else 0
