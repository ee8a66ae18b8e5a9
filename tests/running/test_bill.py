"""What a run costs, and runs that are refused for their size."""

from pathlib import Path

import pytest
from runs import SMALL, changed

from gpu_thermo.errors import DeviceError, ResourceError, SpecError
from gpu_thermo.run import iterate, plan, sample
from gpu_thermo.running import bill as plan_module
from gpu_thermo.running import resources
from gpu_thermo.spec.run import RunSpec


def test_refusals_write_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "available_memory", lambda: 10 * 2**20)
    with pytest.raises(ResourceError, match="GiB of memory"):
        sample(SMALL, tmp_path / "run.zarr")
    with pytest.raises(ResourceError, match="GiB"):
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
    assert RunSpec().data.name == "spirals"
    assert bill.replicas >= 100
    assert bill.disk_bytes < 200 * 2**20


def test_gpu_memory_is_counted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    bill = plan(SMALL, device="cpu")
    monkeypatch.setattr(resources, "device_memory", lambda device: 2**20)
    with pytest.raises(ResourceError, match="memory on cpu"):
        plan_module.check_resources(bill, None)
