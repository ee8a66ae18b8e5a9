"""Runs whose replicas are shared out: among engines of this process, and among workers that are only played."""

import pickle
from contextlib import contextmanager
from types import SimpleNamespace

from gpu_thermo.engines import make_engine
from gpu_thermo.engines.sharded import ShardedEngine
from gpu_thermo.running import hosting, places, workers


def share_out(monkeypatch, parts):
    """Runs on the CPU are of so many engines, from now on; each has one thread."""

    def make(job, engine, device, threads, together):
        one = lambda share, where: make_engine(share, engine, where, 1)  # noqa: E731
        found = ShardedEngine.on(job, ["cpu"] * parts, one, engine, together)
        found.device = "cpu"
        return found

    monkeypatch.setattr(places, "make_engine", make)


class Future:
    """What was asked, answered at once; or never, where the worker is gone."""

    def __init__(self, client, address, call):
        self._client, self._address = client, address
        self._value = self._error = None
        self._answered = address in client.registries
        if self._answered:
            try:
                self._value = client.at(address, call)
            except Exception as error:
                self._error = error

    @property
    def status(self):
        if not self._answered or self._address not in self._client.registries:
            return "pending"
        return "finished" if self._error is None else "error"

    def add_done_callback(self, call):
        if self._answered:
            call(self)

    def result(self, timeout=None):
        if self._error is not None:
            raise self._error
        return self._value


class PlayedClient:
    """A Dask client as runs use it, whose workers live in this process and are killed on demand: each has shares of
    its own, and gets copies of what it is sent. `before(address, name, count)` is called before each task.
    """

    def __init__(self, count):
        self.registries = {f"tcp://worker:{i}": {} for i in range(count)}
        self.tasks, self.before = 0, lambda address, name, count: None

    def kill(self, address):
        self.registries.pop(address, None)

    @property
    def scheduler(self):
        return SimpleNamespace(identity=lambda n_workers: {"workers": dict.fromkeys(self.registries)})

    def sync(self, call, **options):
        return call(**options)

    def at(self, address, call):
        here, hosting._RUNNERS = hosting._RUNNERS, self.registries[address]
        try:
            return call()
        finally:
            hosting._RUNNERS = here

    def submit(self, function, *arguments, workers=(), allow_other_workers=True, key="", pure=True, retries=0):
        (address,) = workers
        assert not allow_other_workers
        assert not pure
        self.tasks += 1
        what = arguments[1] if function.__name__ == "do" else function.__name__
        self.before(address, what, self.tasks)
        import cloudpickle

        sent = cloudpickle.dumps(arguments)
        return Future(self, address, lambda: function(*pickle.loads(sent)))

    def scatter(self, values, workers=(), hash=True):
        if workers[0] not in self.registries:
            raise OSError("no such worker")
        return values

    def cancel(self, futures):
        pass


def played(monkeypatch, client):
    """Runs with workers use this client from now on."""

    @contextmanager
    def cluster(count, scheduler):
        yield client

    monkeypatch.setattr(places, "cluster", cluster)
    monkeypatch.setattr(workers, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(workers, "PATIENCE_SECONDS", 0.2)
    return SimpleNamespace(client=client)
