"""What a run costs, and runs that are refused for their size."""

from dataclasses import replace
from pathlib import Path

import pytest
from runs import SMALL, changed

from gpu_thermo.engines import engine_needs
from gpu_thermo.engines.base import empty_record, moment_bytes, state_bytes
from gpu_thermo.errors import DeviceError, ResourceError, SpecError
from gpu_thermo.run import iterate, plan, sample
from gpu_thermo.running import bill as plan_module
from gpu_thermo.running import resources
from gpu_thermo.running.setup import prepare
from gpu_thermo.running.stored import make_header
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.state import Segment


def test_refusals_write_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "available_memory", lambda: 2**10)
    with pytest.raises(ResourceError, match=r"needs about [\d.]+ KiB of memory, 1\.0 KiB are"):
        sample(SMALL, tmp_path / "run.zarr")
    with pytest.raises(ResourceError, match=r"1\.0 KiB are available"):
        list(iterate(SMALL))
    monkeypatch.undo()
    monkeypatch.setattr(resources.shutil, "disk_usage", lambda path: type("usage", (), {"free": 1000})())
    with pytest.raises(ResourceError, match="free in"):
        sample(SMALL, tmp_path / "run.zarr")
    monkeypatch.undo()
    with pytest.raises(DeviceError, match="cuda:9"):
        sample(SMALL, tmp_path / "run.zarr", device="cuda:9")
    for device, engine in (("gpu", "auto"), ("cpu", "turbo")):
        with pytest.raises(SpecError):
            sample(SMALL, tmp_path / "run.zarr", device=device, engine=engine)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("hidden", "replicas"), [(100_000, 200_000), (6, 10**12), (2**20, 10**9)])
def test_absurd_sizes_are_refused_with_numbers(tmp_path: Path, hidden: int, replicas: int) -> None:
    too_large = changed(model={"hidden": hidden}, run={"replicas": replicas})
    with pytest.raises(ResourceError, match="GiB"):
        sample(too_large, tmp_path / "run.zarr")
    assert list(tmp_path.iterdir()) == []


def test_plan_says_what_a_run_does_and_costs() -> None:
    bill = plan(SMALL)
    assert (bill.replicas, bill.parameters, bill.ensembles, bill.datasets, bill.draws) == (10, 25, 2, 2, 24)
    assert bill.gradients_per_step == 1
    assert bill.words == {"hidden": ("BACDEDCAB", 18), "output": ("BAOAB", 7)}
    assert bill.memory_bytes > 0
    assert bill.disk_bytes > 10 * 24 * 25 * 4


def test_the_embedded_default_is_valid_and_small_enough() -> None:
    bill = plan(None, device="cpu")
    assert bill.replicas >= 100
    assert bill.tolerance == 0.05
    assert bill.disk_bytes < 200 * 2**20


def test_gpu_memory_is_counted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    bill = replace(plan(SMALL, device="cpu"), device="cuda:0", device_bytes=2**21)
    monkeypatch.setattr(resources, "device_memory", lambda device: 2**20)
    with pytest.raises(ResourceError, match="memory on cuda:0"):
        plan_module.check_resources(bill, None)


@pytest.mark.parametrize("engine", ["batched", "fused"])
def test_engines_say_what_they_take_of_a_gpu(engine: str) -> None:
    """At least a copy of the state, beside the ring; it grows with the replicas."""
    small, large = (prepare(RunSpec.from_dict(changed(run={"replicas": n}))) for n in (10, 1000))
    needs = [engine_needs(ready.job, engine, "cuda:0") for ready in (small, large)]
    assert needs[1].device > state_bytes(large.job)
    assert needs[1].device - needs[0].device >= state_bytes(large.job) - state_bytes(small.job)


def test_the_state_is_counted_as_it_is() -> None:
    """Bytes of the state and of a slot of the ring are those of the arrays."""
    ready = prepare(RunSpec.from_dict(SMALL))
    state = ready.initial_state()
    assert state_bytes(ready.job) == sum(a.nbytes for a in state.arrays().values())
    ring = empty_record(state, Segment(0, 3, (1, 2, 3)))
    assert moment_bytes(ready.job) * 3 == sum(
        a.nbytes for a in (ring.position, ring.thermostat, ring.kinetic_temperature, ring.energy)
    )


def test_each_part_of_the_bill_grows_with_what_it_is_about() -> None:
    """More replicas, what is kept of draws, a result that stays in memory."""

    def terms(outcome: str = "store", **sections: dict) -> dict[str, int]:
        ready = prepare(RunSpec.from_dict(changed(**sections)))
        moments = ready.moments()
        header = make_header(ready, "batched", "cpu", moments)
        return plan_module.memory_bill(ready, header, moments, outcome)[0]

    one, many = terms(run={"replicas": 20_000}), terms(run={"replicas": 80_000})
    for term in ("state", "recording", "writing"):
        assert many[term] > 2 * one[term], term
    assert terms(run={"replicas": 20_000, "keep": []})["writing"] < 0.8 * one["writing"]
    assert "writing" not in terms("none")
    assert terms("memory", run={"steps": 120 + 20 * 20_000, "replicas": 100})["result"] > 100 * 20_000 * 25 * 4 / 2
