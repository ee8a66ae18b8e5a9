"""The store: layout as xarray and ArviZ see it, the commit protocol under kills and faults, hostile files."""

import errno
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import subprocess
import threading
import time
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import arviz_stats
import numpy as np
import pytest
import xarray as xr
import zarr

from gpu_thermo.errors import RunError, StoreError, StoreExistsError, StoreLockedError
from gpu_thermo.state import State
from gpu_thermo.store import Draws, Header, RunWriter, Trace, disk_bill, open_run, read_checkpoint, read_header, verify_store
from gpu_thermo.store import files as store_files
from gpu_thermo.store.arrays import encode, growing_chunks
from gpu_thermo.store.record import load_record
from gpu_thermo.store.scan import check_files
from gpu_thermo.store.schema import Schema

HIDDEN, FEATURES, OUTPUTS, PROBES = 3, 2, 2, 4
SIZE = HIDDEN * (FEATURES + 1 + OUTPUTS) + OUTPUTS
SHAPES = {"w1": (HIDDEN, FEATURES), "b1": (HIDDEN,), "w2": (OUTPUTS, HIDDEN), "b2": (OUTPUTS,)}
PARTITIONS = ("hidden", "output")


def make_header(replicas: int = 6, **changes: Any) -> Header:
    chain = {
        "ensemble": np.arange(replicas) % 2, "dataset": np.arange(replicas) % 3, "seed": np.full(replicas, 7, np.uint64),
        "stream": np.arange(replicas), "stepsize": np.where(np.arange(replicas) % 2, 0.1, 0.2),
        "temperature_hidden": np.full(replicas, 1e-4),
    }  # fmt: skip
    layer = ("partition",)
    statistics = {"energy": ((), float), "thermostat": (layer, np.float64), "diverging": ((), bool)}
    given: dict[str, Any] = {
        "spec": '{"run": {}}', "fingerprint": "f00d", "engine": "batched", "device": "cpu", "versions": {"gpu_thermo": "0.1", "numpy": "2"},
        "chain": chain, "tensors": SHAPES, "partitions": PARTITIONS, "outputs": ("no", "yes, ξ"), "features": ("x", "length (mm)"),
        "probes": np.arange(PROBES * FEATURES, dtype=float).reshape(PROBES, FEATURES),
        "constant": {"x_train": (("dataset", "point", "feature"), np.ones((3, 5, FEATURES), np.float32))},
        "predictive": {"mean": (("ensemble", "point", "output"), (2, 5, OUTPUTS)), "entropy": (("ensemble", "point"), (2, 5))},
        "statistics": statistics, "trace": {"energy": ((), float)}, "keep": ("parameters", "predictions"), "dtype": np.float32,
        "draws": 12, "trace_steps": 6, "attributes": {"noise_sd": 0.5},
    }  # fmt: skip
    return Header(**(given | changes))


def make_draws(start: int, count: int, replicas: int = 6) -> Draws:
    """Draws that depend on their index alone."""
    each = [np.random.default_rng(i) for i in range(start, start + count)]

    def stack(*shape: int) -> np.ndarray:
        return np.array([rng.normal(size=(replicas, *shape)) for rng in each]).reshape(count, replicas, *shape)

    index = np.arange(start, start + count)
    stats = {"energy": stack(), "thermostat": stack(len(PARTITIONS)), "diverging": stack() > 2}
    return Draws(index, 10 * (index + 1), stack(SIZE).astype("f4"), stack(PROBES, OUTPUTS).astype("f4"), stats)


def make_trace(start: int, count: int, replicas: int = 6) -> Trace:
    steps = 10 * np.arange(start + 1, start + count + 1)
    return Trace(steps, {"energy": np.add.outer(steps.astype(float), np.arange(replicas))})


def make_state(draws: int, replicas: int = 6) -> State:
    """The state after so many draws."""
    rng = np.random.default_rng(1000 + draws)
    state = State.at(*(rng.normal(size=(replicas, SIZE)).astype("f4") for _ in range(2)), rng.normal(size=(replicas, len(PARTITIONS))))
    state.step, state.evaluations = 10 * draws, 10 * draws + 1
    state.extra = {"adam/m": rng.normal(size=(replicas, SIZE)), "θ ..": np.arange(draws % 3 + 1), "count": np.array(draws)}
    if draws > 8:
        state.status[1], state.frozen_step[1] = 2, 85
    return state


def make_sums(draws: int) -> dict[str, np.ndarray]:
    return {"mean": np.full((2, 5), draws / 3), "weights": np.array(float(draws))}


def make_predictive(draws: int) -> dict[str, np.ndarray]:
    return {"mean": np.full((2, 5, OUTPUTS), draws / 7), "entropy": np.full((2, 5), draws / 9)}


def advance(writer: RunWriter, start: int, count: int, wait: bool = True, replicas: int = 6) -> None:
    """Append `count` draws and commit them."""
    writer.append(make_draws(start, count, replicas))
    writer.append_trace(make_trace(start, count, replicas))
    done = start + count
    writer.commit(make_state(done, replicas), make_sums(done), make_predictive(done), {"sampling_time": done / 2, "who": ["a"]}, wait=wait)


def make_store(path: Path, commits: tuple[int, ...] = (3, 4, 5), **changes: Any) -> Path:
    with RunWriter.create(path, make_header(**changes)) as writer:
        done = 0
        for count in commits:
            advance(writer, done, count)
            done += count
    return path


def open_plain(path: Path) -> Any:
    """By zarr alone, which is quicker than xarray, after the checks that open_run makes."""
    check_files(path, load_record(path))
    return zarr.open_group(path, mode="r", use_consolidated=True)


def check_run(path: Path, draws: int, replicas: int = 6, opener: Any = open_plain) -> None:
    """Every group holds what `draws` committed draws must leave."""
    tree, want = opener(path), make_draws(0, draws, replicas)
    flat = [np.asarray(tree[f"posterior/{name}"]).reshape(replicas, draws, np.prod(shape)) for name, shape in SHAPES.items()]
    np.testing.assert_array_equal(np.concatenate(flat, axis=-1), want.position.swapaxes(0, 1))
    np.testing.assert_array_equal(tree["probes/predictions"], want.predictions.swapaxes(0, 1))
    for name, value in want.statistics.items():
        np.testing.assert_array_equal(tree[f"sample_stats/{name}"], value.swapaxes(0, 1))
    for group in ("posterior", "probes", "sample_stats"):
        np.testing.assert_array_equal(tree[f"{group}/draw"], want.draw)
        np.testing.assert_array_equal(tree[f"{group}/step"], want.step)
    np.testing.assert_array_equal(tree["trace/energy"], make_trace(0, draws, replicas).values["energy"].T)
    check_checkpoint(path, draws, make_state(draws, replicas))


def check_checkpoint(path: Path, draws: int, state: State) -> None:
    checkpoint = read_checkpoint(path)
    assert (checkpoint.draws, checkpoint.step, checkpoint.trace_steps) == (draws, 10 * draws, draws)
    if not draws:
        assert checkpoint.state is None
        return
    assert checkpoint.attributes == {"sampling_time": draws / 2, "who": ["a"]}
    assert checkpoint.state is not None
    assert (checkpoint.state.step, checkpoint.state.evaluations) == (state.step, state.evaluations)
    assert_same(checkpoint.state.arrays(), state.arrays())
    assert_same(checkpoint.sums, make_sums(draws))


def check_derived(path: Path, draws: int) -> None:
    """What recovery rewrites fits the checkpoint."""
    tree, state = open_plain(path), make_state(draws)
    for name, value in make_predictive(draws).items():
        np.testing.assert_array_equal(tree[f"predictive/{name}"], value if draws else np.full_like(value, np.nan))
    for group in ("posterior", "probes", "sample_stats", "trace"):
        np.testing.assert_array_equal(tree[f"{group}/status"], state.status)
        np.testing.assert_array_equal(tree[f"{group}/frozen_step"], state.frozen_step)


def assert_same(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> None:
    assert set(found) == set(wanted)
    for name, value in wanted.items():
        assert found[name].dtype == value.dtype
        np.testing.assert_array_equal(found[name], value)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("store") / "run.zarr")


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A store of one's own."""
    return Path(shutil.copytree(finished, tmp_path / "run.zarr"))


class TestLayout:
    def test_contents(self, finished: Path) -> None:
        check_run(finished, 12)
        check_run(finished, 12, opener=open_run)
        check_derived(finished, 12)
        assert verify_store(finished) == []

    def test_plain_xarray_sees_the_same(self, finished: Path) -> None:
        plain, ours = xr.open_datatree(finished, engine="zarr"), open_run(finished)
        assert set(plain.children) == {*ours.children, "checkpoint"}
        for name, group in ours.children.items():
            xr.testing.assert_identical(plain[name].to_dataset(), group.to_dataset())

    def test_record_is_what_zarr_would_write(self, copy: Path) -> None:
        ours = json.loads((copy / "zarr.json").read_text())
        with pytest.warns(UserWarning, match="onsolidated"):
            zarr.consolidate_metadata(copy)
        theirs = json.loads((copy / "zarr.json").read_text())
        assert theirs == ours
        with RunWriter.resume(copy)[0] as writer:  # and so their record is as good as ours
            assert writer.committed == (120, 12)

    def test_zarr_sees_nothing_strange(self, finished: Path) -> None:
        """Without the consolidated copy, too: the lock file lies where zarr does not look. Warnings are errors here."""
        root = zarr.open_group(finished, mode="r", use_consolidated=False)
        assert root["posterior/w1"].shape == (6, 12, HIDDEN, FEATURES)
        assert {name for name, _ in root.members(max_depth=None)} >= {"posterior/w1", "checkpoint/0/position", "trace/step"}

    def test_dims_and_coordinates(self, finished: Path) -> None:
        tree = open_run(finished)
        assert tree["posterior"]["w1"].dims == ("chain", "draw", "hidden", "feature")
        assert tree["posterior"]["w2"].dims == ("chain", "draw", "output", "hidden")
        assert tree["probes"]["predictions"].dims == ("chain", "draw", "probe", "output")
        assert tree["sample_stats"]["thermostat"].dims == ("chain", "draw", "partition")
        assert tree["predictive"]["mean"].dims == ("ensemble", "point", "output")
        assert tree["constant_data"]["x_probe"].dims == ("probe", "feature")
        assert tree["trace"]["energy"].dims == ("chain", "step")
        assert list(tree["sample_stats"]["partition"].values) == list(PARTITIONS)
        assert tree["posterior"]["w1"].sel(feature="length (mm)").shape == (6, 12, HIDDEN)
        assert tree["posterior"]["seed"].dtype == np.uint64
        assert tree["sample_stats"]["diverging"].dtype == bool
        assert tree["posterior"]["w1"].dtype == np.float32

    @pytest.mark.parametrize("group", ["posterior", "probes", "sample_stats", "trace"])
    def test_groupby_hyperparameter(self, finished: Path, group: str) -> None:
        data = open_run(finished)[group].to_dataset()
        name = next(iter(data.data_vars))
        means = data[name].groupby("stepsize").mean("chain")
        np.testing.assert_allclose(means.sel(stepsize=0.1), data[name][1::2].mean("chain"))
        assert set(data.coords) >= {"ensemble", "dataset", "status", "frozen_step", "temperature_hidden"}

    def test_attributes(self, finished: Path) -> None:
        tree = open_run(finished)
        assert tree.attrs["format"] == 1
        assert tree.attrs["noise_sd"] == 0.5
        assert json.loads(tree.attrs["versions"])["numpy"] == "2"
        assert all(isinstance(value, str | int | float) for value in tree.attrs.values())
        for group in ("posterior", "sample_stats"):
            assert tree[group].attrs["sampling_time"] == 6.0
            assert tree[group].attrs["inference_library"] == "gpu_thermo"

    def test_arviz(self, finished: Path) -> None:
        for tree in (xr.open_datatree(finished, engine="zarr"), open_run(finished)):
            table = arviz_stats.summary(tree)
            assert len(table) == SIZE
            assert "w1[0, length (mm)]" in table.index
            assert arviz_stats.rhat(tree)["w1"].shape == (HIDDEN, FEATURES)
            assert arviz_stats.ess(tree, group="probes")["predictions"].shape == (PROBES, OUTPUTS)
            assert len(arviz_stats.summary(tree, group="sample_stats", var_names=["thermostat"])) == 2

    def test_many_data_sets(self, tmp_path: Path) -> None:
        probes = np.arange(3 * PROBES * FEATURES, dtype=float).reshape(3, PROBES, FEATURES)
        tree = open_run(make_store(tmp_path / "run.zarr", probes=probes))
        np.testing.assert_array_equal(tree["constant_data"]["x_probe"], probes)
        picked = tree["constant_data"]["x_train"].sel(dataset=tree["posterior"]["dataset"])
        assert picked.sizes["chain"] == 6

    def test_keep_nothing(self, tmp_path: Path) -> None:
        path = tmp_path / "run.zarr"
        with RunWriter.create(path, make_header(keep=())) as writer:
            draws = make_draws(0, 3)
            draws.position = draws.predictions = None
            writer.append(draws)
            writer.commit(make_state(3), {}, make_predictive(3), {})
        tree = open_run(path)
        assert set(tree.children) == {"sample_stats", "trace", "predictive", "constant_data"}
        assert tree["sample_stats"].sizes["draw"] == 3

    def test_other_targets_get_plain_dims(self, tmp_path: Path) -> None:
        with RunWriter.create(tmp_path / "run.zarr", make_header(tensors={"x": (SIZE,)})) as writer:
            advance(writer, 0, 2)
        assert open_run(tmp_path / "run.zarr")["posterior"]["x"].dims == ("chain", "draw", "x_dim_0")

    def test_many_replicas_few_draws(self, tmp_path: Path) -> None:
        path = tmp_path / "run.zarr"
        with RunWriter.create(path, make_header(replicas=5000, draws=2)) as writer:
            advance(writer, 0, 2, replicas=5000)
        check_run(path, 2, replicas=5000)
        assert disk_bill(make_header(replicas=5000, draws=2)) == pytest.approx(disk_use(path), rel=0.3)

    def test_lazy(self, finished: Path) -> None:
        assert not open_run(finished)["posterior"].to_dataset()["w1"].variable._in_memory


def disk_use(path: Path) -> int:
    return sum(entry.stat().st_blocks * 512 for entry in path.rglob("*"))


def test_disk_bill(tmp_path: Path) -> None:
    header = make_header(replicas=300, draws=40, trace_steps=40)
    with RunWriter.create(tmp_path / "run.zarr", header) as writer:
        for start in range(0, 40, 10):
            advance(writer, start, 10, replicas=300)
    assert disk_bill(header) == pytest.approx(disk_use(tmp_path / "run.zarr"), rel=0.2)
    assert disk_bill(make_header(replicas=3000, draws=400)) > 50 * disk_bill(make_header(replicas=300, draws=40)) / 2


@pytest.mark.parametrize(
    ("lead", "cell", "draws"), [(1, 4, 0), (256, 800, 100), (300, 800, 7), (10_000, 8, 5), (3, 8 << 20, 9), (4096, 1604, 1000)]
)
def test_chunks(lead: int, cell: int, draws: int) -> None:
    chains, length = growing_chunks(lead, cell, draws)
    assert 1 <= chains <= lead
    assert 1 <= length <= max(1, min(32, draws))
    assert chains * length * cell <= max(2 << 20, cell)
    assert chains * -(-lead // chains) - lead < -(-lead // chains)  # evened out: less than one chain a block is padding


class TestWriting:
    @pytest.mark.parametrize("sizes", [(1,) * 45, (45,), (7, 31, 7), (32, 13), (10, 33, 2)])
    def test_any_flush_gives_the_same(self, tmp_path: Path, sizes: tuple[int, ...]) -> None:
        """Rows of chunks are 32 draws here or 12; draws cross them in every way."""
        path = tmp_path / "run.zarr"
        with RunWriter.create(path, make_header(draws=100)) as writer:
            done = 0
            for i, count in enumerate(sizes):
                writer.append(make_draws(done, count))
                writer.append_trace(make_trace(done, count))
                done += count
                if i % 5 == 4:
                    writer.commit(make_state(done), make_sums(done), make_predictive(done), {"sampling_time": done / 2, "who": ["a"]})
            advance(writer, done, 0)
        check_run(path, 45)

    def test_extension(self, copy: Path) -> None:
        for start in (12, 15, 40):
            writer, checkpoint = RunWriter.resume(copy)
            assert checkpoint.draws == start
            with writer:
                advance(writer, start, {12: 3, 15: 25, 40: 1}[start])
        check_run(copy, 41)
        check_derived(copy, 41)

    def test_caller_may_change_state_and_views(self, tmp_path: Path) -> None:
        path, ring, state = tmp_path / "run.zarr", make_draws(0, 4), make_state(3)
        with RunWriter.create(path, make_header()) as writer:
            arrays = (a[:3] for a in (ring.draw, ring.step, ring.position, ring.predictions))
            writer.append(Draws(*arrays, {name: value[:3] for name, value in ring.statistics.items()}))
            writer.append_trace(make_trace(0, 3))
            writer.commit(state, make_sums(3), make_predictive(3), {"sampling_time": np.float64(1.5), "who": ["a"]})
            for array in (ring.position, ring.predictions, *ring.statistics.values(), state.position, state.extra["adam/m"]):
                array[...] = 0
        check_run(path, 3)

    def test_what_is_taken_over_is_read_only(self, tmp_path: Path) -> None:
        with RunWriter.create(tmp_path / "run.zarr", make_header()) as writer:
            draws = make_draws(0, 2)
            draws.position = draws.position.copy()
            writer.append(draws)
            with pytest.raises(ValueError, match="read-only"):
                draws.position[...] = 0

    def test_wrong_draws_are_refused(self, tmp_path: Path) -> None:
        with RunWriter.create(tmp_path / "run.zarr", make_header()) as writer:
            missing = make_draws(0, 2)
            missing.statistics = {}
            with pytest.raises(StoreError, match=r"missing \['sample_stats/diverging'"):
                writer.append(missing)
            with pytest.raises(StoreError, match="shape"):
                writer.append(make_draws(0, 2, replicas=5))
            with pytest.raises(StoreError, match="predictive"):
                writer.commit(make_state(0), {}, {}, {})
            with pytest.raises(StoreError, match="missing"):
                writer.append(Draws(np.arange(1), np.arange(1), None, None, make_draws(0, 1).statistics))

    def test_uncommitted_draws_are_not_seen(self, tmp_path: Path) -> None:
        path = tmp_path / "run.zarr"
        with RunWriter.create(path, make_header()) as writer:
            advance(writer, 0, 3)
            writer.append(make_draws(3, 30))
        check_run(path, 3)
        writer, checkpoint = RunWriter.resume(path)
        writer.close()
        assert checkpoint.draws == 3
        assert not list((path / "posterior" / "w1").glob("c.*.[1-9]*.*.*"))  # the chunks past the commit are gone

    def test_frozen_status_reaches_readers(self, tmp_path: Path) -> None:
        path = make_store(tmp_path / "run.zarr", commits=(3,))
        assert (open_run(path)["trace"]["status"] == 0).all()
        with RunWriter.resume(path)[0] as writer:
            advance(writer, 3, 8)
        assert open_run(path)["trace"]["status"][1] == 2
        assert open_run(path)["posterior"]["frozen_step"][1] == 85

    def test_header_and_progress(self, copy: Path) -> None:
        info = read_header(copy)
        assert (info.spec, info.fingerprint, info.format) == ('{"run": {}}', "f00d", 1)
        assert (info.replicas, info.parameters, info.step, info.draws, info.expected_draws, info.trace_steps) == (6, SIZE, 120, 12, 12, 12)
        assert info.versions["numpy"] == "2"
        assert info.attributes["who"] == ["a"]

    def test_closed_writer(self, copy: Path) -> None:
        writer, _ = RunWriter.resume(copy)
        writer.close()
        writer.close()
        with pytest.raises(RunError, match="closed"):
            writer.append(make_draws(12, 1))

    def test_before_the_first_commit(self, tmp_path: Path) -> None:
        RunWriter.create(tmp_path / "run.zarr", make_header()).close()
        check_run(tmp_path / "run.zarr", 0)
        check_derived(tmp_path / "run.zarr", 0)
        writer, checkpoint = RunWriter.resume(tmp_path / "run.zarr")
        assert checkpoint.state is None
        with writer:
            advance(writer, 0, 5)
        check_run(tmp_path / "run.zarr", 5)

    def test_reading_while_writing(self, tmp_path: Path) -> None:
        """Checkpoints read without the lock are whole, and a tree shows one commit."""
        path, stop, seen = make_store(tmp_path / "run.zarr", commits=(1,)), threading.Event(), set()

        def read() -> None:
            while not stop.is_set():
                checkpoint = read_checkpoint(path)
                assert checkpoint.state is not None
                assert_same(checkpoint.state.arrays(), make_state(checkpoint.draws).arrays())
                seen.add(checkpoint.draws)

        failures: list[BaseException] = []
        reader = threading.Thread(target=lambda: _catch(read, failures))
        writer, _ = RunWriter.resume(path)
        reader.start()
        with writer:
            for done in range(1, 40):
                advance(writer, done, 1)
                if done % 10 == 0:
                    check_run(path, done + 1)
        stop.set()
        reader.join()
        assert not failures
        assert seen


def _catch(work: Any, failures: list[BaseException]) -> None:
    try:
        work()
    except BaseException as error:
        failures.append(error)


class SimulatedKill(BaseException):
    """Stands for a kill between two file operations."""


class Fuse:
    """Counts renames into place; after `limit` of them nothing is written any more. Odd limits leave the partial file, even ones do not."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, limit: int | None) -> None:
        self.count, self._replace = 0, os.replace
        self._limit = limit
        monkeypatch.setattr(store_files.os, "replace", self)

    def __call__(self, source: str, target: str) -> None:
        if self._limit is not None and self.count >= self._limit:
            if self._limit % 2 == 0:
                os.unlink(source)
            raise SimulatedKill
        self.count += 1
        self._replace(source, target)


def _interrupted(monkeypatch: pytest.MonkeyPatch, limit: int | None, work: Any) -> int:
    """Run `work` with a fuse; the number of renames it did."""
    with monkeypatch.context() as patch:
        fuse = Fuse(patch, limit)
        with nullcontext() if limit is None else suppress(RunError, SimulatedKill):
            work()
    return fuse.count


def _one_more_commit(path: Path, start: int, count: int) -> None:
    with RunWriter.resume(path)[0] as writer:
        advance(writer, start, count)


class TestKills:
    """A kill between any two file operations loses nothing that was committed."""

    @pytest.mark.parametrize("count", [2, 35])
    def test_between_writes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
        self._all_limits(tmp_path, monkeypatch, count, stride=29)

    @pytest.mark.slow
    @pytest.mark.parametrize("count", [2, 35])
    def test_between_all_writes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
        self._all_limits(tmp_path, monkeypatch, count, stride=1)

    def _all_limits(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, stride: int) -> None:
        """Kill a commit of `count` draws (35 fill whole rows of chunks before it) after every `stride` writes, and around its end."""
        base = make_store(tmp_path / "base.zarr", commits=(3, 6))
        total = _interrupted(monkeypatch, None, lambda: _one_more_commit(Path(shutil.copytree(base, tmp_path / "try")), 9, count))
        shutil.rmtree(tmp_path / "try")
        for limit in sorted({*range(0, total, stride), *range(total - 3, total + 1)}):
            path = Path(shutil.copytree(base, tmp_path / "try"))
            _interrupted(monkeypatch, limit, lambda path=path: _one_more_commit(path, 9, count))
            done = 9 + count if limit == total else 9
            if limit % 4 == 0:
                check_run(path, done)  # readers need no recovery
            self._recover(path, done, monkeypatch, limit)
            shutil.rmtree(path)

    def _recover(self, path: Path, done: int, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
        """Recover, itself interrupted now and then, and go on."""
        for again in (limit % 7, limit % 23) if limit % 5 == 0 else ():
            _interrupted(monkeypatch, again, lambda: RunWriter.resume(path)[0].close())
        RunWriter.resume(path)[0].close()
        assert verify_store(path) == []
        assert not list(path.rglob("*.partial"))
        if limit % 3 == 0:
            check_run(path, done)
            check_derived(path, done)
        else:
            check_checkpoint(path, done, make_state(done))

    def test_birth(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "run.zarr"
        total = _interrupted(monkeypatch, None, lambda: RunWriter.create(path, make_header()).close())
        shutil.rmtree(path)
        for limit in (*range(0, total, 29), total - 1):
            _interrupted(monkeypatch, limit, lambda: RunWriter.create(path, make_header()))
            assert not path.exists()
        RunWriter.create(path, make_header()).close()
        check_run(path, 0)

    def test_overwriting_keeps_the_old_until_the_new_is_whole(self, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for limit in (0, 1, 50, 100):
            _interrupted(monkeypatch, limit, lambda: RunWriter.create(copy, make_header(), overwrite=True))
            check_run(copy, 12)
            assert [entry.name for entry in copy.parent.iterdir()] == ["run.zarr"]

    def test_kill_9(self, tmp_path: Path) -> None:
        _torture(tmp_path / "run.zarr", kills=20, seed=0)

    @pytest.mark.slow
    @pytest.mark.parametrize("seed", range(1, 6))
    def test_kill_9_more(self, tmp_path: Path, seed: int) -> None:
        _torture(tmp_path / "run.zarr", kills=60, seed=seed)


def _processes() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["gpu_thermo.store", "arviz_stats", "pytest"])
    return context


def _sampler(path: str, seed: int, committed: Any) -> None:
    """Child: resume (or create) and append and commit at random until killed; tells what is durable through shared memory."""
    rng = random.Random(seed)
    if os.path.exists(path):
        writer, checkpoint = RunWriter.resume(path)
        done = checkpoint.draws
        if done:
            assert checkpoint.state is not None
            assert_same(checkpoint.state.arrays(), make_state(done).arrays())
    else:
        writer, done = RunWriter.create(path, make_header()), 0
    while True:
        for _ in range(rng.randrange(3)):
            count = rng.choice((1, 2, 5))
            writer.append(make_draws(done, count))
            writer.append_trace(make_trace(done, count))
            done += count
        advance(writer, done, 1, wait=rng.random() < 0.5)
        done += 1
        committed.value = max(committed.value, writer.committed[1])


def _torture(path: Path, kills: int, seed: int) -> None:
    context, rng = _processes(), random.Random(seed)
    committed = context.RawValue("q", 0)
    progress = []
    for kill in range(kills):
        before = committed.value
        child = context.Process(target=_sampler, args=(str(path), 1000 * seed + kill, committed))
        child.start()
        deadline = time.monotonic() + 30
        while committed.value == before and child.is_alive() and time.monotonic() < deadline and kill % 4:
            time.sleep(0.002)  # every fourth is killed wherever it is, perhaps in its recovery
        time.sleep(rng.uniform(0, 0.08))
        assert child.is_alive(), f"the child failed with {child.exitcode}"
        os.kill(child.pid or 0, signal.SIGKILL)
        child.join()
        child.close()
        if not path.exists():
            continue
        found = read_header(path).draws
        assert found >= committed.value
        check_run(path, found, opener=open_run if kill % 5 == 0 else open_plain)
        progress.append(found)
    writer, checkpoint = RunWriter.resume(path)
    with writer:
        advance(writer, checkpoint.draws, 3)
    check_run(path, checkpoint.draws + 3)
    check_derived(path, checkpoint.draws + 3)
    assert verify_store(path) == []
    assert not list(path.rglob("*.partial"))
    assert len(set(progress)) > kills // 2


class TestOneWriter:
    def test_same_process(self, copy: Path) -> None:
        with RunWriter.resume(copy)[0], pytest.raises(StoreLockedError, match=f"process {os.getpid()} on"):
            RunWriter.resume(copy)
        RunWriter.resume(copy)[0].close()

    def test_new_store_is_locked_too(self, tmp_path: Path) -> None:
        with RunWriter.create(tmp_path / "run.zarr", make_header()):
            with pytest.raises(StoreLockedError):
                RunWriter.resume(tmp_path / "run.zarr")
            with pytest.raises(StoreLockedError):
                RunWriter.create(tmp_path / "run.zarr", make_header(), overwrite=True)

    def test_other_process_and_its_death(self, tmp_path: Path) -> None:
        path, context = tmp_path / "run.zarr", _processes()
        committed = context.RawValue("q", 0)
        child = context.Process(target=_sampler, args=(str(path), 0, committed))
        child.start()
        while not committed.value and child.is_alive():
            time.sleep(0.005)
        try:
            with pytest.raises(StoreLockedError, match=f"process {child.pid} on"):
                RunWriter.resume(path)
        finally:
            os.kill(child.pid or 0, signal.SIGKILL)
            child.join()
            child.close()
        RunWriter.resume(path)[0].close()  # a kill frees the lock

    def test_a_replaced_store_is_not_written(self, copy: Path, tmp_path: Path) -> None:
        writer, _ = RunWriter.resume(copy)
        copy.rename(tmp_path / "aside.zarr")
        make_store(copy, commits=(2,))
        with pytest.raises(RunError, match="vanished"):
            advance(writer, 12, 1)
        writer.close()
        check_run(copy, 2)


class TestPlaces:
    def test_exists(self, copy: Path, tmp_path: Path) -> None:
        with pytest.raises(StoreExistsError, match="--overwrite"):
            RunWriter.create(copy, make_header())
        (tmp_path / "file").write_text("mine")
        (tmp_path / "empty").mkdir()
        for name in ("file", "empty"):
            with pytest.raises(StoreExistsError):
                RunWriter.create(tmp_path / name, make_header())
        assert (tmp_path / "file").read_text() == "mine"

    def test_overwrite(self, copy: Path) -> None:
        with RunWriter.create(copy, make_header(), overwrite=True) as writer:
            advance(writer, 0, 2)
        check_run(copy, 2)
        assert [entry.name for entry in copy.parent.iterdir()] == ["run.zarr"]

    def test_overwrite_without_exchange(self, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gpu_thermo.store.birth._exchange", lambda one, other: False)
        self.test_overwrite(copy)

    def test_overwrite_follows_links(self, copy: Path, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(copy)
        make = RunWriter.create(tmp_path / "link", make_header(), overwrite=True)
        make.close()
        assert (tmp_path / "link").is_symlink()
        check_run(copy, 0)

    def test_overwrite_spares_what_is_not_ours(self, tmp_path: Path) -> None:
        zarr.create_group(tmp_path / "other.zarr", attributes={"format": 1})
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "thesis.tex").write_text("years of work")
        (tmp_path / "file").write_text("mine")
        for name in ("other.zarr", "folder", "file"):
            with pytest.raises(StoreError, match="not replaced"):
                RunWriter.create(tmp_path / name, make_header(), overwrite=True)
        assert (tmp_path / "folder" / "thesis.tex").exists()

    def test_parents(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(StoreError, match="does not exist"):
            RunWriter.create(tmp_path / "no" / "run.zarr", make_header())
        with pytest.raises(StoreError, match="below a file"):
            RunWriter.create(tmp_path / "file" / "run.zarr", make_header())

    @pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
    def test_unwritable_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
        def refuse(self: Path, *args: Any, **kw: Any) -> None:
            raise OSError(number, os.strerror(number), str(self))

        monkeypatch.setattr(Path, "mkdir", refuse)
        with pytest.raises(StoreError, match="disk is full" if number == errno.ENOSPC else "permissions"):
            RunWriter.create(tmp_path / "run.zarr", make_header())
        assert not list(tmp_path.iterdir())

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
    def test_read_only_folder(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o500)
        with pytest.raises(StoreError, match="permissions"):
            RunWriter.create(tmp_path / "run.zarr", make_header())

    @pytest.mark.parametrize("name", ["Läufe ξ прогон 1.zarr", "~run", "a::b:c.zarr", "n" * 250, "-", "50%20.zarr", "a\nb"])
    def test_names(self, tmp_path: Path, name: str) -> None:
        path = make_store(tmp_path / name, commits=(2,))
        _one_more_commit(path, 2, 1)
        check_run(path, 3, opener=open_run)

    def test_relative_path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        make_store(Path("run.zarr"))
        check_run(Path("run.zarr"), 12)

    def test_long_paths(self, tmp_path: Path) -> None:
        deep = tmp_path.joinpath(*["d" * 200] * 8)
        deep.mkdir(parents=True)
        check_run(make_store(deep / "run.zarr"), 12)
        with pytest.raises(StoreError, match="too long"):
            RunWriter.create(tmp_path / ("n" * 300), make_header())
        with pytest.raises(StoreError, match="null"):
            RunWriter.create(tmp_path / "a\0b", make_header())


class TestTrouble:
    """Faults while writing: a RunError in the main thread, and everything committed stays."""

    def _fails(self, writer: RunWriter, start: int) -> str:
        """The message of the first error, within a few calls."""

        def go_on() -> None:
            for i in range(200):
                advance(writer, start + i, 1, wait=False)

        with pytest.raises(RunError) as caught:
            go_on()
        writer.close()  # told already
        return str(caught.value)

    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
    def test_disk_full(self, copy: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
        writer, _ = RunWriter.resume(copy)
        with monkeypatch.context() as patch:
            written = [0]
            real = os.write

            def write(descriptor: int, data: Any) -> int:
                written[0] += len(data)
                if written[0] > 20_000:
                    raise OSError(number, os.strerror(number))
                return real(descriptor, data)

            patch.setattr(store_files.os, "write", write)
            message = self._fails(writer, 12)
        assert ("disk is full" in message) == (number != errno.EIO)
        assert "draws is committed" in message
        done = writer.committed[1]
        check_run(copy, done)
        _one_more_commit(copy, done, 4)
        check_run(copy, done + 4)

    def test_error_is_raised_by_close(self, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gpu_thermo.store.growing.put", _no_space)
        writer, _ = RunWriter.resume(copy)
        writer.append(make_draws(12, 40))
        with pytest.raises(RunError, match="disk is full"):
            writer.close()
        writer.close()

    def test_first_error_is_shown(self, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gpu_thermo.store.growing.put", _no_space)

        def fail_twice() -> None:
            with RunWriter.resume(copy)[0] as writer:
                writer.append(make_draws(12, 40))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail_twice()

    def test_waiting_commit_tells(self, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gpu_thermo.store.slots.put_values", _no_space)
        writer, _ = RunWriter.resume(copy)
        with pytest.raises(RunError, match="Step 120 with 12 draws is committed"):
            advance(writer, 12, 1)
        writer.close()

    def test_vanished_folder(self, copy: Path) -> None:
        writer, _ = RunWriter.resume(copy)
        shutil.rmtree(copy)
        assert "vanished" in self._fails(writer, 12)
        assert not copy.exists()

    def test_vanished_part(self, copy: Path) -> None:
        writer, _ = RunWriter.resume(copy)
        shutil.rmtree(copy / "posterior")
        assert "vanished" in self._fails(writer, 12)

    def test_file_size_limit(self, copy: Path) -> None:
        context = _processes()
        child = context.Process(target=_limited, args=(str(copy),))
        child.start()
        child.join()
        assert child.exitcode == 0
        child.close()
        check_run(copy, 12)
        _one_more_commit(copy, 12, 3)

    @pytest.mark.slow
    @pytest.mark.skipif(os.geteuid() != 0, reason="needs to mount a small file system")
    def test_small_disk(self, tmp_path: Path) -> None:
        disk = tmp_path / "disk"
        disk.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True, check=False).returncode:
            pytest.skip("mounting is not allowed here")
        try:
            path = make_store(disk / "run.zarr")
            writer, _ = RunWriter.resume(path)
            (disk / "ballast").write_bytes(b"\0" * (shutil.disk_usage(disk).free - 50_000))
            assert "disk is full" in self._fails(writer, 12)
            done = writer.committed[1]
            check_run(path, done)
            with pytest.raises(StoreError, match="disk is full"):
                RunWriter.create(disk / "second.zarr", make_header())
            assert {entry.name for entry in disk.iterdir()} == {"run.zarr", "ballast"}
            (disk / "ballast").unlink()
            _one_more_commit(path, done, 5)
            check_run(path, done + 5)
        finally:
            subprocess.run(["umount", str(disk)], check=True)


def _no_space(*args: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _limited(path: str) -> None:
    """Child: a file may have 30 kB at most, which the commit record exceeds."""
    writer, _ = RunWriter.resume(path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
    with pytest.raises(RunError, match="larger than allowed"):
        advance(writer, 12, 1)
    writer.close()


class TestDamage:
    def test_named(self, copy: Path) -> None:
        chunks = sorted((copy / "posterior" / "w1").glob("c.*"))
        data = bytearray(chunks[0].read_bytes())
        data[17] ^= 1
        chunks[0].write_bytes(data)
        truncated = copy / "sample_stats" / "energy" / "c.0.0"
        os.truncate(truncated, 40)
        (copy / "trace" / "step" / "c.0").unlink()
        found = {damage.file: damage.problem for damage in verify_store(copy)}
        assert set(found) == {f"posterior/w1/{chunks[0].name}", "sample_stats/energy/c.0.0", "trace/step/c.0"}
        assert "checksum" in found[f"posterior/w1/{chunks[0].name}"]
        assert "40 bytes" in found["sample_stats/energy/c.0.0"]
        assert found["trace/step/c.0"] == "missing"
        with pytest.raises(StoreError, match=r"sample_stats/energy/c\.0\.0: 40 bytes"):
            open_run(copy)
        with pytest.raises(StoreError, match=r"c\.0"):
            RunWriter.resume(copy)

    def test_corrupt_checkpoint(self, copy: Path) -> None:
        slot = json.loads((copy / "checkpoint" / "zarr.json").read_text())["attributes"]["slot"]
        chunk = copy / "checkpoint" / str(slot) / "momentum" / "c.0.0"
        chunk.write_bytes(bytes(len(chunk.read_bytes())))
        for read in (read_checkpoint, RunWriter.resume):
            with pytest.raises(StoreError, match=f"checkpoint/{slot}/momentum"):
                read(copy)
        RunWriter.create(copy, make_header(), overwrite=True).close()  # the failed resume let go of the lock

    def test_every_corrupted_byte_is_found(self, copy: Path) -> None:
        rng = random.Random(3)
        files = [p for p in copy.rglob("c*") if p.is_file() and "checkpoint" not in p.parts]
        for path in rng.sample(files, 25):
            before = path.read_bytes()
            at = rng.randrange(len(before))
            path.write_bytes(before[:at] + bytes([before[at] ^ (1 << rng.randrange(8))]) + before[at + 1 :])
            assert [damage.file for damage in verify_store(copy)] == [str(path.relative_to(copy))]
            path.write_bytes(before)

    def test_not_a_store(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        (tmp_path / "empty").mkdir()
        zarr.create_group(tmp_path / "other.zarr", attributes={"format": 1})
        words = {"none": "no store at", "file": "a store is a folder", "empty": "no zarr.json", "other.zarr": "another program"}
        for name, message in (words | {"a\0b": "no store at"}).items():
            for read in (open_run, read_header, read_checkpoint, verify_store, RunWriter.resume):
                with pytest.raises(StoreError, match=message):
                    read(tmp_path / name)

    @pytest.mark.parametrize("version", [2, 0, -1, True, "1", None, 1.0])
    def test_other_format(self, copy: Path, version: Any) -> None:
        _edit(copy, lambda root: root["attributes"].update(format=version))
        for read in (open_run, read_header, read_checkpoint, RunWriter.resume):
            with pytest.raises(StoreError, match="Update gpu_thermo" if version == 2 else "Read it with|another program"):
                read(copy)

    def test_lost_record(self, copy: Path) -> None:
        _edit(copy, lambda root: root.pop("consolidated_metadata"))
        with pytest.raises(StoreError, match="consolidate_metadata"):
            open_run(copy)
        with pytest.warns(UserWarning, match="onsolidated"):
            zarr.consolidate_metadata(copy)
        check_run(copy, 12)


def _edit(path: Path, change: Any) -> None:
    root = json.loads((path / "zarr.json").read_text())
    change(root)
    (path / "zarr.json").write_text(json.dumps(root))


def _nodes(root: dict[str, Any]) -> dict[str, Any]:
    return root["consolidated_metadata"]["metadata"]


def _grow_everything(root: dict[str, Any]) -> None:
    """A consistent lie: a billion replicas."""
    schema = json.loads(root["attributes"]["schema"])
    schema["replicas"] = 10**9
    root["attributes"]["schema"] = json.dumps(schema)
    for node in _nodes(root).values():
        if "chain" in node.get("dimension_names", ()):
            node["shape"][0] = 10**9


def _long_chain(root: dict[str, Any]) -> None:
    for node in _nodes(root).values():
        if "draw" in node.get("dimension_names", ()):
            node["shape"][node["dimension_names"].index("draw")] = 10**12
    _nodes(root)["checkpoint"]["attributes"]["draws"] = 10**12


def _set(path: str, **values: Any) -> Any:
    return lambda root: _nodes(root)[path].update(values)


HOSTILE = {
    "replicas": _grow_everything,
    "draws": _long_chain,
    "one shape": _set("posterior/w1", shape=[10**9, 12, HIDDEN, FEATURES]),
    "negative shape": _set("posterior/w1", shape=[6, -1, HIDDEN, FEATURES]),
    "float shape": _set("posterior/w1", shape=[6.0, 12, HIDDEN, FEATURES]),
    "chunks": _set("posterior/w1", chunk_grid={"name": "regular", "configuration": {"chunk_shape": [10**9] * 4}}),
    "zero chunks": _set("posterior/w1", chunk_grid={"name": "regular", "configuration": {"chunk_shape": [0, 1, 1, 1]}}),
    "codec": _set("posterior/w1", codecs=[{"name": "numcodecs.pickle"}]),
    "compressor": _set("posterior/w1", codecs=[{"name": "bytes"}, {"name": "gzip"}, {"name": "crc32c"}]),
    "dtype": _set("posterior/w1", data_type="object"),
    "odd dtype": _set("posterior/w1", data_type=["float32"]),
    "dims": _set("posterior/w1", dimension_names=["chain", "draw", "chain", "draw"]),
    "group for array": _set("posterior/w1", node_type="group"),
    "missing node": lambda root: _nodes(root).pop("posterior/b1"),
    "node is text": lambda root: _nodes(root).update({"posterior/b1": "x"}),
    "path": lambda root: _nodes(root).update({"checkpoint/0/../../../../etc": _nodes(root)["checkpoint/0/energy"]}),
    "dots": lambda root: _nodes(root).update({"checkpoint/0/..": _nodes(root)["checkpoint/0/energy"]}),
    "absolute path": lambda root: _nodes(root).update({"/etc/passwd": _nodes(root)["checkpoint/0/energy"]}),
    "new group": lambda root: _nodes(root).update({"evil": _nodes(root)["posterior"]}),
    "slot": lambda root: _nodes(root)["checkpoint"]["attributes"].update(slot=7),
    "bool slot": lambda root: _nodes(root)["checkpoint"]["attributes"].update(slot=True),
    "slot text": lambda root: _nodes(root)["checkpoint"]["attributes"].update(slot="0"),
    "step": lambda root: _nodes(root)["checkpoint"]["attributes"].update(step=1),
    "commit": lambda root: _nodes(root)["checkpoint"]["attributes"].update(attributes="["),
    "state": _set("checkpoint/0/position", shape=[6, 1]),
    "schema gone": lambda root: root["attributes"].pop("schema"),
    "schema text": lambda root: root["attributes"].update(schema="__import__('os').system('id')"),
    "schema deep": lambda root: root["attributes"].update(schema="[" * 100_000),
    "schema keys": lambda root: root["attributes"].update(schema="{}"),
    "record list": lambda root: root["consolidated_metadata"].update(metadata=[1]),
}


def _schema_edit(**values: Any) -> Any:
    def change(root: dict[str, Any]) -> None:
        root["attributes"]["schema"] = json.dumps(json.loads(root["attributes"]["schema"]) | values)

    return change


HOSTILE |= {
    f"schema {name}": _schema_edit(**values)
    for name, values in {
        "negative": {"replicas": -1}, "huge": {"replicas": 10**400}, "float": {"draws": 1e3}, "infinite": {"draws": float("inf")},
        "names": {"tensors": {"../x": [2]}}, "dunder": {"tensors": {"__x": [2]}}, "dtype": {"dtype": "object"}, "keep": {"keep": ["all"]},
        "labels": {"features": [1, 2]}, "types": {"chain": 7}, "clash": {"chain": {"w1": "int64"}},
        "dims": {"predictive": {"mean": [["a", "a"], [1, 2], "float64"]}}, "stat": {"statistics": {"energy": 3}},
    }.items()
}  # fmt: skip


class TestHostile:
    @pytest.mark.parametrize("kind", HOSTILE)
    def test_metadata(self, copy: Path, kind: str) -> None:
        """Refused at once, by every reader, and without touching anything."""
        _edit(copy, HOSTILE[kind])
        before = {path: path.stat().st_mtime_ns for path in copy.rglob("*")}
        began = time.monotonic()
        for read in (open_run, read_checkpoint, RunWriter.resume):
            if kind in ("draws", "chunks") and read is read_checkpoint:  # it looks at no draws
                continue
            with pytest.raises(StoreError, match=r"damaged|lost its commit record"):
                read(copy)
        assert time.monotonic() - began < 3
        lock = copy / "sample_stats" / "draw" / "lock"
        assert {path for path, when in before.items() if path.stat().st_mtime_ns != when} <= {lock}

    def test_links_and_devices(self, copy: Path, tmp_path: Path) -> None:
        chunk = copy / "posterior" / "b1" / "c.0.0.0"
        chunk.unlink()
        chunk.symlink_to("/dev/zero")
        assert "no plain file" in str(verify_store(copy)[0])
        with pytest.raises(StoreError, match="no plain file"):
            open_run(copy)
        chunk.unlink()
        os.mkfifo(chunk)
        with pytest.raises(StoreError, match="no plain file"):
            RunWriter.resume(copy)

    def test_linked_folder(self, copy: Path, tmp_path: Path) -> None:
        (copy / "posterior" / "b1").rename(tmp_path / "b1")
        (copy / "posterior" / "b1").symlink_to(tmp_path / "b1")
        with pytest.raises(StoreError, match="link"):
            RunWriter.resume(copy)

    def test_text_that_claims_too_much(self, copy: Path) -> None:
        """A right checksum over a wrong count: the decoder would make room for four billion items."""
        path = copy / "posterior" / "feature" / "c.0"
        data = np.frombuffer(b"\xff\xff\xff\xff" + path.read_bytes()[4:-4], np.uint8)
        from gpu_thermo.store.arrays import checksum

        path.write_bytes(data.tobytes() + checksum(data))
        with pytest.raises(StoreError, match="number of texts"):
            open_run(copy)

    @pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"attributes": 3}', b"[" * 200_000])
    def test_root_document(self, copy: Path, text: bytes) -> None:
        (copy / "zarr.json").write_bytes(text)
        with pytest.raises(StoreError, match="damaged"):
            read_header(copy)
        with pytest.raises(StoreError, match="not replaced"):
            RunWriter.create(copy, make_header(), overwrite=True)


class TestHeader:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"chain": {"a": np.arange(3), "b": np.arange(4)}}, "common shape"),
            ({"chain": {}}, "common shape"),
            ({"chain": {"w1": np.arange(3)}}, "'w1' has the name"),
            ({"chain": {"thermostat": np.arange(3)}}, "'thermostat' has the name"),
            ({"statistics": {"status": ((), int)}}, "'status' has the name"),
            ({"statistics": {"x": (("nowhere",), float)}}, "axis 'nowhere'"),
            ({"statistics": {"a b": ((), float)}}, "'a b' is not a name"),
            ({"statistics": {"x": ((), object)}}, "object cannot be stored"),
            ({"constant": {"x": (("a",), np.zeros((2, 3)))}}, "axes"),
            ({"constant": {"x": (("a",), np.zeros(2)), "y": (("a",), np.zeros(3))}}, "length 3"),
            ({"keep": ("everything",)}, "everything"),
            ({"attributes": {"x": [1]}}, "JSON"),
        ],
    )
    def test_contradictions(self, tmp_path: Path, changes: dict[str, Any], message: str) -> None:
        with pytest.raises(StoreError, match=message):
            RunWriter.create(tmp_path / "run.zarr", make_header(**changes))
        assert not list(tmp_path.iterdir())

    def test_schema_round_trip(self) -> None:
        schema = Schema.of(make_header())
        assert Schema.from_json(schema.to_json()) == schema

    def test_encoding_is_zarrs(self, tmp_path: Path) -> None:
        """Text coordinates, numbers and truth values, read back by zarr alone."""
        chain = {"method": np.array(["BAOAB", "ξ", ""]), "on": np.array([True, False, True]), "small": np.arange(3, dtype=np.int8)}
        RunWriter.create(tmp_path / "run.zarr", make_header(chain=chain)).close()
        root = zarr.open_group(tmp_path / "run.zarr", mode="r")
        for name, value in chain.items():
            np.testing.assert_array_equal(root[f"trace/{name}"][...], value)
        spec = Schema.of(make_header()).arrays()["posterior/w1"]
        block = np.ones((2, 1, HIDDEN, FEATURES), np.float32)
        assert len(encode(block, spec)[0]) + 4 == spec.chunk_bytes
