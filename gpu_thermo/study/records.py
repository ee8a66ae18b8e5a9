"""Records of one's own (registration.py) on their way to the workers of a study.

They travel as they are, functions by value, so that a worker needs no module of the user's; what arrives is held to the
digests in the specs of its runs.
"""

import pickle
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import fields, is_dataclass
from typing import Any

from ..errors import SpecError
from ..registration import digest, identify, records, register, registered, unregister


def packed() -> bytes:
    """What is registered here; b"" where nothing is.

    Raises
    ------
    SpecError
        A record that cannot travel.
    """
    own = records()
    if not own:
        return b""
    import cloudpickle  # type: ignore[import-untyped]  # of Dask

    with ExitStack() as stack:
        known = {"__main__", *cloudpickle.list_registry_pickle_by_value()}
        for module in {name: None for record in own for name in _modules(record)}:
            if module in sys.modules and module not in known:
                cloudpickle.register_pickle_by_value(sys.modules[module])
                stack.callback(cloudpickle.unregister_pickle_by_value, sys.modules[module])
        try:
            return bytes(cloudpickle.dumps(own))
        except Exception as error:
            names = ", ".join(" ".join(identify(record)) for record in own)
            raise SpecError(
                f"What is registered from Python ({names}) cannot be sent to workers: {type(error).__name__}: {error}."
                " Give the functions of a record nothing to hold on to (open files, locks), or leave out --workers."
            ) from error


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
