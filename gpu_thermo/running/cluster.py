"""A Dask client for studies and runs: of processes that are started and ended here, or of a scheduler that is there."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any

from ..engines.base import cores
from ..errors import DeviceError, ResourceError, SpecError

ANSWER_SECONDS = 5
"""How long a scheduler may take to answer."""


@contextmanager
def cluster(workers: int, scheduler: str | None) -> Iterator[Any]:
    """A Dask client, or None for this process."""
    check_workers(workers, scheduler)
    if not workers and scheduler is None:
        yield None
        return
    try:
        import distributed
    except ImportError:
        raise DeviceError(
            'Dask is not installed: pip install "gpu-thermo[cluster]", or leave out --workers and --scheduler.'
        ) from None
    if scheduler is not None:
        with _client(distributed, scheduler) as client:
            yield client
        return
    options = {
        "n_workers": workers,
        "threads_per_worker": 1,
        "processes": True,
        "dashboard_address": "localhost:0",  # any port that is free: other runs have clusters of their own
        "silence_logs": 50,
    }
    _start_tracker()
    with _local(distributed, options) as local, distributed.Client(local) as client:
        client.register_plugin(_deaf(distributed.WorkerPlugin))
        yield client


def _local(distributed: Any, options: dict[str, Any]) -> Any:
    """Processes of our own; DeviceError where they do not start."""
    try:
        return distributed.LocalCluster(**options)
    except (RuntimeError, OSError, TimeoutError) as error:
        raise DeviceError(
            f"Workers could not be started ({error}). Each is a new Python that imports the script it was started from:"
            ' the script has to be a file, and to call gpu_thermo below `if __name__ == "__main__":`. Or leave out'
            " workers."
        ) from error


def check_workers(workers: int, scheduler: str | None) -> None:
    """SpecError, ResourceError where workers cannot be had as they are asked for."""
    if workers and scheduler:
        raise SpecError("workers and scheduler are both given: start local workers, or use a cluster that is there.")
    if workers < 0:
        raise SpecError(f"workers = {workers} must not be negative: 0 is this process.")
    if workers > 4 * cores():
        raise ResourceError(
            f"workers = {workers} is far more than the {cores()} cores of this machine: use at most {4 * cores()}."
        )


def addresses(client: Any) -> list[str]:
    """Of all workers there are now, as the scheduler says: what the client itself remembers is at times without any."""
    return list(client.sync(client.scheduler.identity, n_workers=-1).get("workers", {}))


def _start_tracker() -> None:
    """Start Python's helper that counts semaphores now, without a SIGHUP in its way, which a closed terminal sends it,
    too: it would die, and complain when processes end.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        resource_tracker.ensure_running()
    finally:
        signal.signal(signal.SIGHUP, before)


def _deaf(plugin: Any) -> Any:
    """Workers that leave signals to the coordinator, which a terminal or a queue sends to all processes at once."""

    class Deaf(plugin):
        name = "gpu-thermo-signals"

        def setup(self, worker: Any) -> None:
            for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(signum, signal.SIG_IGN)

    return Deaf()


@contextmanager
def _client(distributed: Any, address: str) -> Iterator[Any]:
    """A client of an existing scheduler; DeviceError where nothing answers within seconds."""
    _knock(address)
    try:
        client = distributed.Client(address, timeout=ANSWER_SECONDS)
    except (OSError, TimeoutError, ValueError) as error:
        raise DeviceError(
            f"The scheduler '{address}' does not answer as a Dask scheduler ({error}). Check the address."
        ) from None
    try:
        if not addresses(client):
            raise DeviceError(f"The scheduler '{address}' has no workers: start some with dask worker {address}")
        yield client
    finally:
        client.close()


def _knock(address: str) -> None:
    """Whether anything listens at tcp://host:port, asked directly, since Dask would keep trying."""
    import socket

    kind, _, rest = address.rpartition("://")
    host, _, port = rest.rpartition(":")
    if kind not in ("", "tcp", "tls") or not host or not port.isdigit():
        raise SpecError(f"scheduler = '{address}' is no address: write tcp://host:port, as dask scheduler prints it.")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise DeviceError(
            f"The scheduler '{address}' does not answer ({error}). Start it with dask scheduler, or check the address."
        ) from None
