"""Runs: what they leave, resumption bit for bit after any stop, in-memory runs, real data, refusals."""

import errno
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs import SMALL, changed, differences

from gpu_thermo.averages.predictive import predict
from gpu_thermo.errors import RunError, SpecError, StoreError, StoreExistsError
from gpu_thermo.run import Interrupted, iterate, resume, sample
from gpu_thermo.running import drive as drive_module
from gpu_thermo.store import RunWriter, open_run, read_header
from gpu_thermo.store.writer import _trouble

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
            "model": {"hidden": 4, "noise_sd": 0.5},
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


def test_options_of_a_run_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan is told, commits come as often as asked for, and there is nothing to overwrite."""
    commits, plans = [], []
    commit = RunWriter.commit
    monkeypatch.setattr(RunWriter, "commit", lambda writer, *a, **k: commits.append(1) or commit(writer, *a, **k))
    sample(SMALL, on_plan=plans.append, commit_seconds=1e9)
    assert (len(plans), plans[0].draws, len(commits)) == (1, 24, 1)
    sample(SMALL, commit_seconds=0.0)
    assert len(commits) > 3
    with pytest.raises(SpecError, match=r"overwrite = True is about a store.*name the store"):
        sample(SMALL, overwrite=True)


TROUBLE = {"signal": "Stopped by SIGINT", "disk": "the disk is full", "frozen": "Every replica is frozen"}


@pytest.mark.parametrize("trouble", TROUBLE)
def test_errors_of_a_run_in_memory_promise_nothing_that_is_gone(monkeypatch: pytest.MonkeyPatch, trouble: str) -> None:
    """No word of a folder that is removed: what was drawn until then is the error's `run`."""
    spec = changed(run={"steps": 50_000, "burn_in": 0, "thin": 50})
    append, appended = RunWriter.append, []

    def full(writer: RunWriter, draws: Any) -> None:
        appended.append(1)
        if len(appended) > 3:
            raise _trouble(writer.path, OSError(errno.ENOSPC, "No space left on device"), writer.committed)
        append(writer, draws)

    def stop(progress: Any) -> None:
        if trouble == "signal" and progress.draws > 3:
            signal.raise_signal(signal.SIGINT)

    if trouble == "disk":
        monkeypatch.setattr(RunWriter, "append", full)
    if trouble == "frozen":
        spec = changed(
            run={"steps": 2000, "burn_in": 0, "thin": 1}, method={"name": "langevin", "stepsize": 1e20},
            model={"hidden": 6, "activation": "identity", "prior_sd": 1.0},
        )  # fmt: skip
    with pytest.raises(RunError) as caught:
        sample(spec, on_progress=stop, commit_seconds=0.0)
    text = str(caught.value)
    assert TROUBLE[trouble] in text
    assert "gpu_thermo_" not in text
    assert "gpu-thermo resume" not in text
    assert "committed" not in text
    assert caught.value.run["sample_stats"].sizes["draw"] > 0
    assert caught.value.exit_code == (130 if trouble == "signal" else 1)


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


def test_a_deep_network_is_stored_and_resumed_like_any_other(tmp_path: Path) -> None:
    """Tensors, axes and partitions of each layer; a resumed run has every bit of the whole one; predictions agree."""
    spec = {
        "data": {"name": "spirals", "train": 60, "test": 20}, "model": {"hidden": [5, 4, 3], "activation": "tanh"},
        "method": {"name": "adlala", "temperature": {"hidden": 1e-4, "hidden2": 2e-4, "output": 0.0}},
        "run": {"replicas": 5, "steps": 60, "burn_in": 20, "thin": 10, "trace": 20},
    }  # fmt: skip
    whole = sample(spec, tmp_path / "whole.zarr")
    sample({**spec, "run": {**spec["run"], "steps": 40}}, tmp_path / "part.zarr")
    longer = resume(tmp_path / "part.zarr", draws=2)
    posterior = whole["posterior"]
    assert posterior["w3"].dims == ("chain", "draw", "hidden3", "hidden2")
    assert posterior["w4"].dims == ("chain", "draw", "output", "hidden3")
    assert whole["sample_stats"]["thermostat"].dims == ("chain", "draw", "partition")
    assert list(whole["sample_stats"]["partition"].to_numpy()) == ["hidden1", "hidden2", "hidden3", "output"]
    assert [float(whole["posterior"][f"temperature_hidden{i}"][0]) for i in (1, 2, 3)] == [1e-4, 2e-4, 1e-4]
    for name in posterior.data_vars:
        np.testing.assert_array_equal(posterior[name], longer["posterior"][name])
    x = whole["constant_data"]["x_test"][0].to_numpy()
    found = predict(tmp_path / "whole.zarr", x)["mean"].to_numpy()
    np.testing.assert_allclose(found[0], whole["predictive"]["mean"].to_numpy()[0], atol=1e-6)


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


def test_interrupted_is_a_run_error() -> None:
    assert issubclass(Interrupted, RunError)
    assert Interrupted(signal.SIGTERM, "stopped").exit_code == 143
    assert drive_module.COMMIT_SECONDS > 0
