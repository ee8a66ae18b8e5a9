"""Names of devices, one and several, and what is no device."""

import pytest

from gpu_thermo.engines import devices
from gpu_thermo.engines.devices import each_device, resolve_device, resolve_devices
from gpu_thermo.errors import DeviceError, SpecError


@pytest.fixture
def gpus(monkeypatch):
    """Three GPUs."""
    monkeypatch.setattr(devices, "count_gpus", lambda: (3, ""))


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("auto", "cuda:0"), ("cpu", "cpu"), ("cuda", "cuda:0"), ("cuda:2", "cuda:2"), ("cuda:01", "cuda:1"),
        ("cuda:0,cuda:2", "cuda:0,cuda:2"), ("cuda:2, cuda", "cuda:2,cuda:0"), ("cuda:all", "cuda:0,cuda:1,cuda:2"),
        (["cuda:1", "cuda:0"], "cuda:1,cuda:0"), (("cpu",), "cpu"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("gpus")
def test_names_are_resolved(asked, found):
    assert resolve_devices(asked) == found
    assert [name for name in each_device(found) if resolve_device(name) != name] == []


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        ("cuda:0,cuda:0", SpecError, "names cuda:0 twice: name each device once"),
        ("cuda,cuda:0", SpecError, "names cuda:0 twice"),
        ("cuda:0,cuda:3", DeviceError, "device = 'cuda:3': there are 3 GPUs, numbered from 0"),
        ("cpu,cpu", SpecError, "several devices are GPUs by number, and 'cpu' is none.*--workers N"),
        ("cuda:all,cuda:0", SpecError, "'cuda:all' is none. Write cuda:0,cuda:1"),
        ("cuda:0,", SpecError, "'' is none"),
        ("tpu", SpecError, "device = 'tpu' is unknown. Devices: auto, cpu, .* or cuda:all"),
        ([], SpecError, "device = '' is unknown"),
    ],
)
@pytest.mark.usefixtures("gpus")
def test_what_is_no_device_is_refused_with_the_remedy(asked, error, said):
    with pytest.raises(error, match=said):
        resolve_devices(asked)


@pytest.mark.parametrize("asked", ["cuda:0,cuda:1", "cuda:all"])
@pytest.mark.usefixtures("gpus")
def test_who_takes_one_device_refuses_several(asked):
    with pytest.raises(SpecError, match=r"is several, and one is wanted here: sample, fit and resume"):
        resolve_device(asked)


def test_without_a_gpu_there_is_none_to_share_out(monkeypatch):
    monkeypatch.setattr(devices, "count_gpus", lambda: (0, "CuPy is not installed"))
    assert resolve_devices("auto") == "cpu"
    for asked in ("cuda:all", "cuda:0,cuda:1"):
        with pytest.raises(DeviceError, match=r"CuPy is not installed. Use --device cpu"):
            resolve_devices(asked)


def test_what_another_library_computes_stays_on_the_cpu(monkeypatch):
    monkeypatch.setattr(devices, "count_gpus", lambda: (3, ""))
    assert resolve_devices("auto", "JAX") == "cpu"
    for asked in ("cuda:all", "cuda:0,cuda:1"):
        with pytest.raises(DeviceError, match="what JAX computes runs on the CPU"):
            resolve_devices(asked, "JAX")
