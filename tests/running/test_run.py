"""The run loop: stores, resumption bit for bit after any stop, kills, in-memory runs, real data, refusals."""

import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpu_thermo.errors import DeviceError, ResourceError, RunError, SpecError, StoreError, StoreExistsError
from gpu_thermo.kernels.toolchain import find_compiler
from gpu_thermo.run import Interrupted, iterate, plan, resume, sample
from gpu_thermo.running import bill as plan_module
from gpu_thermo.running import drive as drive_module
from gpu_thermo.running import resources
from gpu_thermo.running.agenda import Agenda
from gpu_thermo.spec.run import RunSection, RunSpec
from gpu_thermo.store import open_run, read_checkpoint, read_header

SMALL = {
    "data": {"name": "spirals", "turns": 1, "train": 60, "test": 30, "seeds": [0, 1]},
    "model": {"hidden": 6},
    "method": {"name": "adlala", "temperature": 1e-4},
    "run": {"replicas": 10, "steps": 600, "burn_in": 120, "thin": 20, "trace": 50, "batch": 10},
}


def changed(**sections: dict) -> dict:
    """SMALL with some keys changed."""
    return {name: {**section, **sections.get(name, {})} for name, section in SMALL.items()}


def differences(one: Path, other: Path) -> list[str]:
    """Variables whose values differ between two runs, the checkpoint's state included; times are not compared."""
    a, b = open_run(one), open_run(other)
    out = [f"groups {sorted(set(a.children) ^ set(b.children))}"] if set(a.children) != set(b.children) else []
    for group in a.children:
        for name in a[group].variables:
            x, y = a[group][name].to_numpy(), b[group][name].to_numpy()
            if not np.array_equal(x, y, equal_nan=x.dtype.kind == "f"):
                out.append(f"{group}/{name}")
    one_state, other_state = read_checkpoint(one).state, read_checkpoint(other).state
    assert one_state is not None
    assert other_state is not None
    ours, theirs = one_state.arrays(), other_state.arrays()
    out += [f"state/{k}" for k in ours if not np.array_equal(ours[k], theirs[k], equal_nan=ours[k].dtype.kind == "f")]
    return out + (
        []
        if one_state.step == other_state.step and one_state.evaluations == other_state.evaluations
        else ["state/step"]
    )


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The uninterrupted run that all others are compared with."""
    path = tmp_path_factory.mktemp("straight") / "run.zarr"
    sample(SMALL, path).close()
    return path


# -- segments ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("burn_in", "thin", "trace"), [(0, 1, 1), (7, 3, 5), (10, 10, 100), (99, 1, 7), (0, 100, 33)])
def test_segments_record_every_draw_and_trace_point_once(burn_in: int, thin: int, trace: int) -> None:
    run = RunSection(steps=100, burn_in=burn_in, thin=thin if (100 - burn_in) % thin == 0 else 1, trace=trace)
    agenda = Agenda(run)
    wanted = [s for s in range(1, 101) if agenda.is_draw(s) or s % trace == 0]
    for length, ring in itertools.product((1, 3, 17, 1000), (1, 2, 1000)):
        start, seen = 0, []
        while start < 100:
            segment = agenda.segment(start, start + length, ring)
            assert segment.start == start
            assert 1 <= segment.steps <= length
            assert len(segment.record) <= ring
            seen += segment.record
            start += segment.steps
        assert seen == wanted
    assert list(agenda.record_steps(0, 100)) == wanted
    assert sum(agenda.is_draw(s) for s in wanted) == run.draws


# -- what a run leaves -------------------------------------------------------------------------------------------------


def test_store_holds_what_was_asked_for(straight: Path) -> None:
    tree = open_run(straight)
    assert tree["posterior"]["w1"].dims == ("chain", "draw", "hidden", "feature")
    assert tree["posterior"].sizes["draw"] == 24
    assert tree["trace"].sizes["step"] == 12
    assert list(np.unique(tree["posterior"]["ensemble"])) == [0, 1]
    stats = tree["sample_stats"].to_dataset()
    assert np.isfinite(stats["energy"]).all()
    assert np.allclose(stats["lp"], -60 * stats["energy"])
    assert not stats["diverging"].any()
    assert stats["test_accuracy"].mean() > 0.5
    np.testing.assert_array_equal(stats["step"], 120 + 20 * (1 + np.arange(24)))
    assert tree["predictive"]["mean"].shape == (2, 30, 1)


def test_recorded_energy_is_the_full_batch_energy_of_the_stored_parameters(straight: Path) -> None:
    from gpu_thermo.averages.predictive import model_of, restored_data

    tree = open_run(straight)
    model, data = model_of(tree), restored_data(tree)
    group = tree["posterior"].to_dataset()
    position = np.concatenate(
        [group[name].to_numpy()[:, 5].reshape(10, -1) for name in ("w1", "b1", "w2", "b2")], axis=1
    ).astype(float)
    for r in range(10):
        out = model.outputs_at(position[[r]], data.x_train[r % 2])
        assert model.losses(out, data.y_train[[r % 2]]).mean() == pytest.approx(
            float(tree["sample_stats"]["energy"][r, 5]), rel=1e-5
        )


def test_running_average_is_the_average_over_the_stored_chains(straight: Path) -> None:
    from gpu_thermo.averages.predictive import predict

    tree = open_run(straight)
    for e in (0, 1):
        again = predict(tree, tree["constant_data"]["x_test"].to_numpy()[e], ensemble=e)
        for name in ("mean", "variance", "mutual_information"):
            np.testing.assert_allclose(again[name].to_numpy(), tree["predictive"][name].to_numpy()[e], atol=1e-6)


def test_regression_scores_the_averaged_density(tmp_path: Path) -> None:
    """The NLL of the mixture over draws, in the target's own units, against the stored parameters."""
    from gpu_thermo.averages.predictive import model_of, restored_data, scores_on_test

    tree = sample(
        {
            "data": {"name": "diabetes"},
            "model": {"hidden": 4},
            "method": {"name": "sgld", "temperature": 1e-4, "stepsize": 0.01},
            "run": {"replicas": 5, "steps": 60, "burn_in": 20, "thin": 20, "trace": 20},
        },
        tmp_path / "run.zarr",
    )
    model, data, group = model_of(tree), restored_data(tree), tree["posterior"].to_dataset()
    position = np.concatenate(
        [group[name].to_numpy().reshape(10, -1) for name in ("w1", "b1", "w2", "b2")], axis=1
    ).astype(float)
    phi = model.predict(position, data.x_test[0])
    log_density = -model.losses(phi, np.broadcast_to(data.y_test, phi.shape))
    mixture = np.log(np.exp(log_density).mean(axis=0)) - np.log(data.standardisation.target_sd[0]).sum()
    assert scores_on_test(tree)[0]["nll"] == pytest.approx(-mixture.mean(), rel=1e-5)


def test_in_memory_run_and_iterate_equal_the_stored_run(straight: Path) -> None:
    stored, memory = open_run(straight), sample(SMALL)
    snapshots = list(iterate(SMALL))
    draws = [s for s in snapshots if s.is_draw]
    for group in ("posterior", "sample_stats", "trace", "predictive"):
        for name in stored[group].data_vars:
            np.testing.assert_array_equal(memory[group][name], stored[group][name])
    np.testing.assert_array_equal(np.stack([s.energy for s in draws], axis=1), stored["sample_stats"]["energy"])
    np.testing.assert_array_equal(
        np.stack([s.statistics["test_accuracy"] for s in snapshots if s.step % 50 == 0], axis=1),
        stored["trace"]["test_accuracy"],
    )


@pytest.mark.parametrize("keep", [[], ["predictions"], ["parameters"]])
def test_keep_chooses_groups_and_changes_no_number(straight: Path, tmp_path: Path, keep: list[str]) -> None:
    tree = sample(changed(run={"keep": keep}), tmp_path / "run.zarr")
    assert ("posterior" in tree.children) == ("parameters" in keep)
    assert ("probes" in tree.children) == ("predictions" in keep)
    for group in ("sample_stats", "trace", "predictive"):
        assert group in tree.children
    np.testing.assert_array_equal(tree["predictive"]["mean"], open_run(straight)["predictive"]["mean"])


@pytest.mark.parametrize("name", ["breast_cancer", "digits", "wine", "diabetes", "gap", "moons", "circles", "trig"])
def test_every_kind_of_data_runs(name: str, tmp_path: Path) -> None:
    spec = {
        "data": {"name": name}, "model": {"hidden": 5, "init": "pytorch"},
        "method": {"name": "sgld", "temperature": 1e-6, "stepsize": 1e-3},
        "run": {"replicas": 3, "steps": 60, "burn_in": 20, "thin": 20, "trace": 20},
    }  # fmt: skip
    tree = sample(spec, tmp_path / "run.zarr")
    assert np.isfinite(tree["sample_stats"]["energy"]).all()
    assert np.isfinite(tree["predictive"]["mean"]).all()
    score = "test_rmse" if name in ("diabetes", "gap") else "test_accuracy"
    assert score in tree["sample_stats"]


def test_csv_with_a_relative_path_is_resumed_from_the_store_alone(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [f"{a:.4f},{b:.4f},{'yes' if a > b else 'no'}" for a, b in rng.normal(size=(60, 2))]
    (tmp_path / "points.csv").write_text("height,weight,label\n" + "\n".join(rows) + "\n")
    (tmp_path / "spec.toml").write_text(
        '[data]\nname = "csv"\npath = "points.csv"\ntarget = "label"\n[model]\nhidden = 4\n'
        "[run]\nreplicas = 4\nsteps = 40\nburn_in = 0\nthin = 20\nbatch = 10\n"
    )
    sample(tmp_path / "spec.toml", tmp_path / "run.zarr")
    (tmp_path / "points.csv").unlink()
    tree = resume(tmp_path / "run.zarr", draws=3)
    assert tree["posterior"].sizes["draw"] == 5


# -- stopping and going on ---------------------------------------------------------------------------------------------


def test_resume_after_a_time_limit_is_bit_identical(straight: Path, tmp_path: Path) -> None:
    path = tmp_path / "run.zarr"
    sample(SMALL, path, time_limit=0.0)
    stops = [read_header(path).step]
    for _ in range(4):
        resume(path, time_limit=0.0)
        stops.append(read_header(path).step)
    assert stops == sorted(set(stops))
    assert stops[-1] < 600
    resume(path)
    assert differences(straight, path) == []


def test_extension_is_bit_identical_to_a_longer_run(straight: Path, tmp_path: Path) -> None:
    path = tmp_path / "run.zarr"
    sample(changed(run={"steps": 300}), path)
    resume(path, draws=5)
    resume(path, {**changed(run={"steps": 600})})
    assert read_header(path).draws == 24
    assert differences(straight, path) == []


@pytest.mark.parametrize("method", ["adam", "coolmomentum", "sgld"])
def test_updates_with_memory_resume_bit_for_bit(tmp_path: Path, method: str) -> None:
    spec = (
        changed(method={"name": method, "temperature": 1e-5})
        if method == "sgld"
        else {**SMALL, "method": {"name": method}}
    )
    sample(spec, tmp_path / "straight.zarr")
    path = tmp_path / "run.zarr"
    sample(spec, path, time_limit=0.0)
    for _ in range(3):
        resume(path, time_limit=0.0)
    assert 0 < read_header(path).step < 600
    resume(path)
    assert differences(tmp_path / "straight.zarr", path) == []


CHILD = """
import json, sys
from gpu_thermo.run import resume, sample
from gpu_thermo.errors import GpuThermoError
from pathlib import Path
path = Path(sys.argv[1])
try:
    spec, options = json.loads(sys.argv[2]), {"engine": sys.argv[3], "commit_seconds": 0.02}
    options["on_progress"] = lambda progress: print("running", flush=True)
    resume(path, **options) if path.exists() else sample(spec, path, **options)
except GpuThermoError as error:
    print(error, flush=True)
    sys.exit(error.exit_code)
"""


def child(path: Path, engine: str, spec: dict[str, Any] | None = None) -> subprocess.Popen:
    """A process that starts the run, or resumes it."""
    import json

    command = [sys.executable, "-c", CHILD, str(path), json.dumps(spec or LONGER[engine]), engine]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


LONGER = {
    "batched": changed(run={"steps": 6_000, "thin": 20}),
    "fused": changed(run={"steps": 1_200_120, "thin": 5_000, "trace": 20_000}),
}
"""Runs of some seconds on each engine."""
ON_EACH_ENGINE = pytest.mark.parametrize("engine", [
    "batched", pytest.param("fused", marks=pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler")),
])  # fmt: skip


def wait_for_start(path: Path, process: subprocess.Popen) -> None:
    """Until the store is there."""
    while not path.exists() and process.poll() is None:
        time.sleep(0.005)


def committed(path: Path) -> int:
    """Steps the store holds."""
    return read_header(path).step if path.exists() else 0


def wait_for_progress(path: Path, process: subprocess.Popen) -> None:
    """Until the process has committed more steps than there were."""
    before = committed(path)
    while committed(path) <= before and process.poll() is None:
        time.sleep(0.002)


@pytest.mark.slow
@ON_EACH_ENGINE
def test_twenty_kills_at_random_moments_lose_nothing(tmp_path: Path, engine: str) -> None:
    """Kill -9 twenty times while the run starts, advances and commits; then finish, and compare with the straight
    run.
    """
    sample(LONGER[engine], tmp_path / "straight.zarr", engine=engine)
    total = LONGER[engine]["run"]["steps"]
    path, rng, kills, steps = tmp_path / "run.zarr", random.Random(1), 0, []
    while kills < 20:
        process = child(path, engine)
        if (
            kills % 3
        ):  # while it advances and commits; otherwise at any moment after the store was born, recovery included
            wait_for_progress(path, process)
            time.sleep(rng.uniform(0, 0.3))
        else:
            wait_for_start(path, process)
            time.sleep(rng.uniform(0, 1.5))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.communicate()
        steps.append(read_header(path).step)
        if steps[-1] == total:  # finished before all kills were spent: start over
            assert differences(tmp_path / "straight.zarr", path) == []
            shutil.rmtree(path)
    assert len(set(steps)) > 5
    process = child(path, engine)
    process.communicate()
    assert differences(tmp_path / "straight.zarr", path) == []


@ON_EACH_ENGINE
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_commit_and_say_how_to_go_on(tmp_path: Path, signum: int, engine: str) -> None:
    path, total = tmp_path / "run.zarr", LONGER[engine]["run"]["steps"]
    process = child(path, engine)
    wait_for_start(path, process)
    time.sleep(0.5)
    process.send_signal(signum)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 128 + signum, out
    assert f"gpu-thermo resume {path}" in out
    step = read_header(path).step
    assert 0 < step < total
    assert f"step {step} of {total}" in out


def test_a_signal_that_is_ignored_stays_so() -> None:
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with drive_module.stop_signals() as caught:
            os.kill(os.getpid(), signal.SIGHUP)
            assert caught == []
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


# -- trouble -----------------------------------------------------------------------------------------------------------


def test_existing_store_is_never_silently_replaced(straight: Path) -> None:
    before = read_header(straight)
    with pytest.raises(StoreExistsError, match="--overwrite"):
        sample(SMALL, straight)
    assert read_header(straight) == before


def test_overwrite_replaces(tmp_path: Path) -> None:
    sample(changed(run={"steps": 140}), tmp_path / "run.zarr")
    sample(changed(run={"steps": 160}), tmp_path / "run.zarr", overwrite=True)
    assert read_header(tmp_path / "run.zarr").draws == 2


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"model": {"hidden": 7}}, "model.hidden"),
        ({"run": {"thin": 10}}, "run.thin"),
        ({"method": {"temperature": 2e-4}}, "method.temperature"),
        ({"data": {"turns": 2}}, "data.turns"),
    ],
)
def test_resume_refuses_another_spec_naming_the_field(straight: Path, change: dict, field: str) -> None:
    with pytest.raises(SpecError, match=field):
        resume(straight, changed(**change))


def test_resume_refuses_to_shorten_and_to_extend_a_spanning_schedule(straight: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="not shortened"):
        resume(straight, changed(run={"steps": 300}))
    spec = changed(method={"stepsize": {"value": 0.1, "schedule": "cosine"}}, run={"steps": 160})
    sample(spec, tmp_path / "run.zarr")
    with pytest.raises(SpecError, match="spans the run"):
        resume(tmp_path / "run.zarr", draws=1)


def test_resume_of_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        resume(tmp_path / "nothing.zarr")


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


def test_frozen_replicas_are_marked_and_left_out(tmp_path: Path) -> None:
    """Replica 3 gets a stepsize that overflows; all others are the same, bit for bit, as without it."""
    sane = [0.1] * 10
    wild = [0.1] * 3 + [1e30] + [0.1] * 6
    calm = sample(changed(method={"stepsize": sane}, data={"seeds": [0]}), tmp_path / "calm.zarr")
    tree = sample(changed(method={"stepsize": wild}, data={"seeds": [0]}), tmp_path / "wild.zarr")
    status = tree["posterior"]["status"].to_numpy()
    assert status[3] != 0
    assert (np.delete(status, 3) == 0).all()
    assert tree["posterior"]["frozen_step"][3] > 0
    assert np.isnan(tree["posterior"]["w1"][3]).all()
    assert tree["sample_stats"]["diverging"][3].all()
    np.testing.assert_array_equal(
        np.delete(tree["posterior"]["w1"].to_numpy(), 3, 0), np.delete(calm["posterior"]["w1"].to_numpy(), 3, 0)
    )
    assert np.isfinite(tree["predictive"]["mean"].to_numpy()[tree["posterior"]["ensemble"].to_numpy()[0]]).all()


def test_a_run_whose_replicas_all_freeze_fails_with_the_cause(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="Every replica is frozen"):
        sample(changed(method={"stepsize": 1e30}), tmp_path / "run.zarr")
    assert read_header(tmp_path / "run.zarr").step > 0


def test_disk_full_on_the_way_keeps_what_was_committed(
    straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gpu_thermo.store import files

    path, written = tmp_path / "run.zarr", itertools.count()
    real = os.replace

    def failing(src: str, dst: str, **kwargs: object) -> None:
        """Fill the disk some fifty files after the store was born."""
        if path.exists() and next(written) > 50:
            raise OSError(28, "No space left on device")
        real(src, dst, **kwargs)

    monkeypatch.setattr(files.os, "replace", failing)
    with pytest.raises(RunError, match=r"(?i)disk|space"):
        sample(SMALL, path, commit_seconds=0.0)
    monkeypatch.undo()
    assert 0 <= read_header(path).step < 600
    open_run(path).load()
    resume(path)
    assert differences(straight, path) == []


def test_progress_is_reported(tmp_path: Path) -> None:
    seen = []
    sample(SMALL, tmp_path / "run.zarr", on_progress=seen.append)
    assert [p.step for p in seen] == sorted(p.step for p in seen)
    last = seen[-1]
    assert last.step == last.total_steps == 600
    assert last.committed_draws == last.draws == 24
    assert set(last.kinetic_temperature) == {"hidden", "output"}
    assert last.replica_steps_per_second > 0
    assert last.frozen == 0


def test_plan_says_what_a_run_does_and_costs() -> None:
    bill = plan(SMALL)
    assert (bill.replicas, bill.parameters, bill.ensembles, bill.datasets, bill.draws) == (10, 25, 2, 2, 24)
    assert bill.gradients_per_step == 1
    assert bill.words == {"hidden": ("BACDEDCAB", 18), "output": ("BAOAB", 7)}
    assert bill.memory_bytes > 0
    assert bill.disk_bytes > 10 * 24 * 25 * 4


def test_interrupted_is_a_run_error() -> None:
    assert issubclass(Interrupted, RunError)
    assert Interrupted(signal.SIGTERM, "stopped").exit_code == 143
    assert drive_module.COMMIT_SECONDS > 0


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
