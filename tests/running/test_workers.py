"""Shares on workers that are only played here: handed out, lost, begun anew. Real ones are in test_real_workers.py."""

import dataclasses
import logging

import numpy as np
import pytest
from move_runs import MOVES, same, spec
from shared_runs import PlayedClient, played
from tuned_cases import well

import gpu_thermo as gt
from gpu_thermo.errors import DeviceError, OtherBitsError, ResourceError, RunError, SpecError
from gpu_thermo.run import plan, resume, sample
from gpu_thermo.running import hosting, workers
from gpu_thermo.running.workers import Team
from gpu_thermo.store import read_header
from gpu_thermo.targets.priors import get_prior

SHORT = {"steps": 60, "burn_in": 20, "thin": 8, "trace": 20, "replicas": 12}
HOW = {"device": "cpu", "engine": "batched", "commit_seconds": 0.0}


@pytest.fixture
def client(monkeypatch):
    """Three workers that are played."""
    return played(monkeypatch, PlayedClient(3)).client


@pytest.mark.parametrize("move", [None, "exchange", "contour_interacting", "tempering"])
def test_a_run_is_that_of_one_process(move, client):
    given = spec(MOVES.get(move), **SHORT)
    same(sample(given, device="cpu", engine="batched"), sample(given, scheduler="x", **HOW))
    assert client.tasks > 10


@pytest.mark.parametrize("commit_seconds", [0.0, 1e9], ids=["from the last commit", "from the start"])
@pytest.mark.parametrize("move", [None, "exchange", "contour_interacting"])
def test_a_lost_workers_share_goes_on_elsewhere(move, commit_seconds, client, caplog):
    """One worker dies when it is asked for the second time to advance, another one when it is asked for its state."""
    given = spec(MOVES.get(move), **SHORT)
    seen = {}

    def before(address, what, count):
        seen[address, what] = seen.get((address, what), 0) + 1
        if (address, what, seen[address, what]) in (("tcp://worker:1", "advance", 2), ("tcp://worker:0", "fetch", 3)):
            client.kill(address)

    client.before = before
    with caplog.at_level(logging.WARNING, "gpu_thermo"):
        found = sample(given, scheduler="x", **(HOW | {"commit_seconds": commit_seconds}))
    same(sample(given, device="cpu", engine="batched"), found)
    assert list(client.registries) == ["tcp://worker:2"]
    assert len(client.registries["tcp://worker:2"]) in (0, 3)  # all shares, forgotten at the end
    assert "Worker tcp://worker:1 is lost: its share, from step" in caplog.text


@pytest.mark.parametrize("dies", [False, True], ids=["stays", "dies, too"])
def test_a_worker_that_comes_back_has_a_share_again(dies, client):
    """From the next commit on: nobody carries two while another one is idle."""
    given, seen = spec(None, **SHORT), []

    def before(address, what, count):
        seen.append((address, what))
        if address == "tcp://worker:1" and what == "advance":
            client.kill(address)
        came = "tcp://back" in client.registries or ("tcp://back", "load") in seen
        if len(client.registries) == 2 and what == "advance" and not came:
            client.registries["tcp://back"] = {}
        if dies and address == "tcp://back" and what == "load":
            client.kill(address)

    client.before = before
    same(sample(given, device="cpu", engine="batched"), sample(given, scheduler="x", **HOW))
    assert ("tcp://back", "load") in seen
    assert (("tcp://back", "advance") in seen) != dies


def test_a_worker_that_takes_over_may_be_lost_as_well(client):
    given = spec(None, **SHORT)
    seen = []

    def before(address, what, count):
        seen.append((address, what))
        if address == "tcp://worker:1" and what == "advance":
            client.kill(address)
        if address == "tcp://worker:0" and what == "open_share" and seen.count((address, what)) == 2:
            client.kill(address)

    client.before = before
    same(sample(given, device="cpu", engine="batched"), sample(given, scheduler="x", **HOW))
    assert list(client.registries) == ["tcp://worker:2"]


def test_with_the_last_worker_a_run_ends_and_can_be_resumed(client, tmp_path):
    given, path = spec(None, **SHORT), tmp_path / "run.zarr"

    def before(address, what, count):
        if what == "advance" and count > 25:
            client.registries.clear()

    client.before = before
    with pytest.raises(RunError, match=r"Worker .* is lost, and no other can take over its share, from step \d+"):
        sample(given, path, scheduler="x", **HOW)
    assert 0 < read_header(path).step < SHORT["steps"]
    same(sample(given, device="cpu", engine="batched"), resume(path))


def test_a_new_worker_takes_a_share_only_with_the_same_build(client, monkeypatch):
    """It is asked what its build is, and passed over where that differs."""
    given, real = spec(None, **SHORT), hosting.build_there
    monkeypatch.setattr(workers, "PATIENCE_SECONDS", 5.0)

    def build_there(job, engine, device):
        strange = any(registry is hosting._RUNNERS for name, registry in client.registries.items() if "new" in name)
        return real(job, engine, device) | ({"compiler": "another"} if strange else {})

    monkeypatch.setattr(hosting, "build_there", build_there)

    def before(address, what, count):
        if what == "advance" and address == "tcp://worker:1":
            client.kill(address)
            client.registries |= {"tcp://a new one": {}}

    client.before = before
    same(sample(given, device="cpu", engine="batched"), sample(given, scheduler="x", **HOW))
    assert client.registries["tcp://a new one"] == {}


def test_workers_of_other_builds_are_refused_before_anything_is_written(client, monkeypatch, tmp_path):
    real = hosting.build_there

    def build_there(job, engine, device):
        second = hosting._RUNNERS is client.registries["tcp://worker:1"]
        return real(job, engine, device) | ({"compiler": "another"} if second else {})

    monkeypatch.setattr(hosting, "build_there", build_there)
    with pytest.raises(OtherBitsError, match=r"Worker tcp://worker:1 has another build (.|\n)*another there"):
        sample(spec(None, **SHORT), tmp_path / "run.zarr", scheduler="x", **HOW)
    assert not (tmp_path / "run.zarr").exists()


def test_a_worker_without_the_library_is_refused(client, monkeypatch):
    def examine(*_):
        raise ModuleNotFoundError("No module named 'gpu_thermo'")

    monkeypatch.setattr(hosting, "examine", examine)
    with pytest.raises(DeviceError, match=r"cannot take part: ModuleNotFoundError.*the same gpu_thermo, Python"):
        sample(spec(None, **SHORT), scheduler="x", **HOW)


def test_what_is_asked_in_vain_is_refused_with_the_remedy(client, monkeypatch):
    with pytest.raises(SpecError, match="2 replicas cannot be shared out among 3 devices or workers: use at most 2"):
        sample(spec(None, **(SHORT | {"replicas": 2})), workers=3, **HOW)
    with pytest.raises(SpecError, match="workers and scheduler are both given"):
        sample(spec(None, **SHORT), workers=2, scheduler="x", **HOW)
    kinds = {"tcp://worker:0": "cpu", "tcp://worker:1": "cuda:0", "tcp://worker:2": "cpu"}
    monkeypatch.setattr(Team, "_device", lambda self, address, number: kinds[address])
    with pytest.raises(DeviceError, match=r"Workers have different devices: .* has no GPU, tcp://worker:1 has one"):
        sample(spec(None, **SHORT), scheduler="x")


def test_a_scheduler_gives_as_many_shares_as_there_are_ladders(client):
    """And as many replicas a share as the run has ladders for; the others wait for one that is lost."""
    given = spec(MOVES["exchange"], **(SHORT | {"replicas": 6}))
    plans = []
    same(
        sample(given, device="cpu", engine="batched"),
        sample(given, scheduler="x", on_plan=plans.append, **HOW),
    )
    assert plans[0].shares == (("tcp://worker:0", 3), ("tcp://worker:1", 3))


def test_each_worker_of_our_own_has_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setattr(hosting, "resolve_devices", lambda asked, library: {
        "auto": "cuda:0", "cuda": "cuda:0", "cuda:all": "cuda:0,cuda:1"}.get(asked, asked))  # fmt: skip
    assert [hosting.examine("auto", i, True, "") for i in range(3)] == ["cuda:0", "cuda:1", "cuda:0"]
    assert [hosting.examine("cuda", i, False, "") for i in range(3)] == ["cuda:0"] * 3
    assert [hosting.examine("cuda:1,cuda:3", i, True, "") for i in range(3)] == ["cuda:1", "cuda:3", "cuda:1"]
    assert hosting.examine("cuda:1", 1, True, "") == "cuda:1"


def test_plans_count_workers_without_starting_any():
    """Shares, what a worker takes, and what all take here; refusals as those of the run."""
    given = spec(MOVES["exchange"], **(SHORT | {"replicas": 3000}))
    one, two = plan(given, device="cpu"), plan(given, device="cpu", workers=2)
    assert two.shares == (("worker 0", 1488), ("worker 1", 1512))
    assert one.shares == ()
    assert one.worker_bytes == 0
    assert two.memory["workers"] == 2 * two.worker_bytes > 2 * 100 * 2**20
    assert two.memory["engine"] == 0
    for asked, said in ((-1, "must not be negative"), (1000, "far more than the")):
        with pytest.raises((SpecError, ResourceError), match=said):
            plan(given, device="cpu", workers=asked)
    with pytest.raises(SpecError, match="1 ladders of 3 replicas cannot be shared out among 2"):
        plan(spec(MOVES["exchange"], **(SHORT | {"replicas": 3})), device="cpu", workers=2)


@pytest.mark.parametrize("how", [{"workers": 2}, {"scheduler": "tcp://x:1"}])
def test_records_of_ones_own_stay_here(how):
    record = dataclasses.replace(get_prior("normal"), name="heavy")
    gt.register(record)
    try:
        given = spec(None, **SHORT)
        given = given | {"model": given["model"] | {"prior": "heavy"}}
        with pytest.raises(SpecError, match=r"prior heavy: records of your own .* Leave out --workers"):
            sample(given, device="cpu", **how)
    finally:
        gt.unregister("heavy")


def test_a_run_that_stops_itself_survives_a_loss(client):
    given = well(replicas=48, max_steps=3000)
    expected = sample(given, device="cpu")

    def before(address, what, count):
        if count == 60:
            client.kill("tcp://worker:2")

    client.before = before
    found = sample(given, device="cpu", scheduler="x")
    assert len(client.registries) == 2
    for name, value in expected["posterior"].data_vars.items():
        np.testing.assert_array_equal(found["posterior"][name].to_numpy(), value.to_numpy(), err_msg=str(name))
