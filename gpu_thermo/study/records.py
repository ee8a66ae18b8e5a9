"""Records of one's own (registration.py), and what is given beside a study, on their way to its workers.

They travel as they are, functions by value, so that a worker needs no module of the user's; what arrives is held to the
digests in the specs of its runs.
"""

import pickle
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import fields, is_dataclass
from typing import Any

from ..errors import SpecError
from ..registration import digest, identify, records, register, registered, unregister
from .beside import NOTHING, Beside


def packed() -> bytes:
    """What is registered here; b"" where nothing is.

    Raises
    ------
    SpecError
        A record that cannot travel.
    """
    own = records()
    names = ", ".join(" ".join(identify(record)) for record in own)
    return _by_value(own, own, f"registered from Python ({names})") if own else b""


def pack_beside(beside: Beside) -> bytes:
    """What a study was given in Python; b"" where nothing is.

    Raises
    ------
    SpecError
        It cannot travel.
    """
    if not beside.anything:
        return b""
    given = [value for value in (beside.network, beside.potential) if value is not None]
    return _by_value(beside, [part for value in given for part in _parts(value)], "given in Python beside the study")


def unpack_beside(payload: bytes) -> Beside:
    """What was packed by `pack_beside`.

    Raises
    ------
    SpecError
        It cannot be made here.
    """
    try:
        return pickle.loads(payload) if payload else NOTHING
    except Exception as error:
        raise SpecError(
            f"A worker cannot load what was given in Python beside the study: {type(error).__name__}: {error}. What a"
            " network or potential imports must be installed where workers run."
        ) from error


def _by_value(own: Any, within: Iterable[Any], what: str) -> bytes:
    """`own` with functions of the user's modules as they are; SpecError, which says `what` it is, where it cannot be
    sent. Modules are found `within` its parts.
    """
    import cloudpickle  # type: ignore[import-untyped]  # of Dask

    with ExitStack() as stack:
        known = {"__main__", *cloudpickle.list_registry_pickle_by_value()}
        for module in {name: None for record in within for name in _modules(record)}:
            if module in sys.modules and module not in known:
                cloudpickle.register_pickle_by_value(sys.modules[module])
                stack.callback(cloudpickle.unregister_pickle_by_value, sys.modules[module])
        try:
            return bytes(cloudpickle.dumps(own))
        except Exception as error:
            raise SpecError(
                f"What is {what} cannot be sent to workers: {type(error).__name__}: {error}. Give its functions nothing"
                " to hold on to (open files, locks), or leave out --workers."
            ) from error


def _parts(value: Any) -> Iterator[Any]:
    """A network's or potential's own functions, and its class where that is the user's."""
    yield from value if isinstance(value, tuple) else vars(value).values()
    yield type(value).forward if hasattr(type(value), "forward") else None


def unpack(payload: bytes) -> None:
    """Register what was packed, in place of what a worker had of an earlier study.

    Raises
    ------
    SpecError
        A record cannot be made here.
    """
    if not payload:
        return
    try:
        own = pickle.loads(payload)
    except Exception as error:
        raise SpecError(
            f"A worker cannot load the records registered from Python: {type(error).__name__}: {error}. What their"
            " functions import must be installed where workers run."
        ) from error
    for record in own:
        label = " ".join(identify(record))
        if label in registered() and registered()[label] != digest(record):
            unregister(label.split()[1])
        register(record)


def _modules(value: Any) -> Iterator[str]:
    """Names of the user's modules that the functions of a record are from."""
    if is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from _modules(getattr(value, field.name))
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _modules(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _modules(each)
    elif callable(value) and not isinstance(value, type):
        name = str(getattr(value, "__module__", "") or "")
        if name and name.partition(".")[0] not in ("gpu_thermo", "numpy", "builtins", *sys.stdlib_module_names):
            yield name
