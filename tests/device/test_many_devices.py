"""Several GPUs in one run: its bits are those of one; a second one is there, or played by the stand-in."""

import numpy as np
import pytest
from move_runs import ADL, EXCHANGE, MOVES, same, spec
from typer.testing import CliRunner

from gpu_thermo.averages.predictive import predict
from gpu_thermo.engines import describe_build
from gpu_thermo.errors import DeviceError, SpecError
from gpu_thermo.run import plan, resume, sample
from gpu_thermo.running.setup import prepare
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.store import read_header
from gpu_thermo_cli.main import app

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("two_gpus")]
SHORT = {"steps": 24, "burn_in": 8, "thin": 8, "trace": 8}


@pytest.mark.parametrize(
    ("move", "engine"),
    [(None, "fused"), (None, "batched"), (EXCHANGE | {"interval": 4}, "fused"),
     (MOVES["contour_interacting"], "fused"),
     pytest.param(MOVES["tempering"] | {"interval": 4}, "batched", marks=pytest.mark.slow)],
    ids=["fused", "batched", "exchange", "interacting contour", "tempering"],
)  # fmt: skip
def test_a_run_on_two_is_that_on_one(move, engine, tmp_path):
    """Both have work, and it is stopped and resumed on one, where its bits go on."""
    import cupy

    given = spec(move, method=None if move else ADL, **SHORT)
    whole = sample(given, tmp_path / "whole.zarr", device="cuda:0", engine=engine)
    before = dict(getattr(cupy, "COUNTS", {}))
    same(whole, sample(given, device=["cuda:0", "cuda:1"], engine=engine))
    if before:
        assert all(cupy.COUNTS[f"launches_on_{i}"] > before.get(f"launches_on_{i}", 0) for i in (0, 1))
    path = tmp_path / "cut.zarr"
    sample(given, path, device="cuda:all", engine=engine, time_limit=0).close()
    header = read_header(path)
    assert header.step < SHORT["steps"]
    assert header.attributes["shares"] == [["cuda:0", 6], ["cuda:1", 6]]
    same(whole, resume(path))
    assert read_header(path).attributes["shares"] == []
    x = np.linspace(-1, 1, 14).reshape(7, 2)
    for name, value in predict(whole, x, device="cuda:0").data_vars.items():
        np.testing.assert_array_equal(predict(path, x, device="cuda:1")[name].to_numpy(), value.to_numpy())


def test_a_run_on_one_goes_on_on_two(tmp_path):
    given, path = spec(method=ADL, **SHORT), tmp_path / "cut.zarr"
    sample(given, path, device="cuda:0", engine="fused", time_limit=0).close()
    same(sample(given, device="cuda:0", engine="fused"), resume(path, device="cuda:0,cuda:1"))


def test_plans_are_of_each_device():
    """Half of the state on each of two; and what both take is said."""
    given = spec(**(SHORT | {"replicas": 4000}))
    one, both = plan(given, device="cuda:0"), plan(given, device="cuda:all")
    assert both.shares == (("cuda:0", 2000), ("cuda:1", 2000))
    assert both.device == "cuda:0,cuda:1"
    assert both.device_bytes < one.device_bytes
    assert both.memory["shares"] > 0


def test_command_line_says_where_and_refuses_what_is_not_there(tmp_path):
    runner, path = CliRunner(), tmp_path / "s.toml"
    path.write_text(RunSpec.from_dict(spec(**SHORT)).to_toml())
    done = runner.invoke(app, ["sample", str(path), "--device", "cuda:all", "--dry-run"])
    assert "on cuda:0,cuda:1, at most 6 replicas each" in done.stdout
    for device, said in (("cuda:0,cuda:7", "there are 2 GPUs"), ("cuda:1,cuda:1", "names cuda:1 twice")):
        with pytest.raises((DeviceError, SpecError), match=said):
            sample(spec(**SHORT), device=device)
    with pytest.raises(SpecError, match="1 replicas cannot be shared out among 2 devices or workers: use at most 1"):
        sample(spec(**(SHORT | {"replicas": 1})), tmp_path / "no.zarr", device="cuda:all")
    with pytest.raises(SpecError, match="1 ladders of 3 replicas cannot"):
        sample(spec(EXCHANGE, **(SHORT | {"replicas": 3})), tmp_path / "no.zarr", device="cuda:all")
    with pytest.raises(SpecError, match="is several, and one is wanted here"):
        predict(sample(spec(**SHORT), device="cpu"), np.zeros((1, 2)), device="cuda:all")
    assert not (tmp_path / "no.zarr").exists()


def test_devices_that_are_not_alike_are_refused(monkeypatch):
    import cupy

    runtime = cupy.cuda.runtime
    name = lambda i: {"name": b"A" if i == 0 else b"B"}  # noqa: E731
    monkeypatch.setattr(runtime, "getDeviceProperties", name)
    job = prepare(RunSpec.from_dict(spec(**SHORT))).job
    with pytest.raises(DeviceError, match=r"cuda:0 and cuda:1 are not alike.*\n  device: A .* cuda:0, B .* cuda:1"):
        describe_build(job, "fused", "cuda:0,cuda:1")
