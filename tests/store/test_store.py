"""The store as xarray, zarr and ArviZ see it; writing, extending, reading while writing."""

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import arviz_stats
import numpy as np
import pytest
import xarray as xr
import zarr
from store_cases import (
    FEATURES,
    HIDDEN,
    OUTPUTS,
    PARTITIONS,
    PROBES,
    SIZE,
    advance,
    assert_same,
    check_derived,
    check_run,
    make_draws,
    make_header,
    make_predictive,
    make_state,
    make_store,
    make_sums,
    make_trace,
)

from gpu_thermo.errors import RunError, StoreError
from gpu_thermo.store import Draws, RunWriter, disk_bill, open_run, read_checkpoint, read_header, verify_store
from gpu_thermo.store.arrays import encode, growing_chunks
from gpu_thermo.store.schema import Schema


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
        assert {name for name, _ in root.members(max_depth=None)} >= {
            "posterior/w1",
            "checkpoint/0/position",
            "trace/step",
        }

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
        with RunWriter.create(tmp_path / "run.zarr", make_header(tensors={"x": (("x_dim_0",), (SIZE,))})) as writer:
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
    ("lead", "cell", "draws"),
    [(1, 4, 0), (256, 800, 100), (300, 800, 7), (10_000, 8, 5), (3, 8 << 20, 9), (4096, 1604, 1000)],
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
                    writer.commit(
                        make_state(done),
                        make_sums(done),
                        make_predictive(done),
                        {"sampling_time": done / 2, "who": ["a"]},
                    )
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
            for array in (
                ring.position,
                ring.predictions,
                *ring.statistics.values(),
                state.position,
                state.extra["adam/m"],
            ):
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
        assert (info.replicas, info.parameters, info.step, info.draws, info.expected_draws, info.trace_steps) == (
            6,
            SIZE,
            120,
            12,
            12,
            12,
        )
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
            ({"tensors": {"x": (("a", "a"), (2, 2))}}, "axes"),
            ({"tensors": {"x": (("feature",), (FEATURES + 1,))}}, "length 3, elsewhere 2"),
            ({"tensors": {"x": (("stepsize",), (2,))}}, "axis 'stepsize'"),
            ({"tensors": {"x": (("x",), (2,))}}, "axis 'x'"),
            ({"attributes": {"x": [1]}}, "JSON"),
        ],
    )
    def test_contradictions(self, tmp_path: Path, changes: dict[str, Any], message: str) -> None:
        with pytest.raises(StoreError, match=message):
            RunWriter.create(tmp_path / "run.zarr", make_header(**changes))
        assert not list(tmp_path.iterdir())

    def test_schema_round_trip(self) -> None:
        schema = Schema.of(make_header())
        assert Schema.from_json(schema.to_json()).with_dims(schema.dims) == schema

    def test_encoding_is_zarrs(self, tmp_path: Path) -> None:
        """Text coordinates, numbers and truth values, read back by zarr alone."""
        chain = {
            "method": np.array(["BAOAB", "ξ", ""]),
            "on": np.array([True, False, True]),
            "small": np.arange(3, dtype=np.int8),
        }
        RunWriter.create(tmp_path / "run.zarr", make_header(chain=chain)).close()
        root = zarr.open_group(tmp_path / "run.zarr", mode="r")
        for name, value in chain.items():
            np.testing.assert_array_equal(root[f"trace/{name}"][...], value)
        spec = Schema.of(make_header()).arrays()["posterior/w1"]
        block = np.ones((2, 1, HIDDEN, FEATURES), np.float32)
        assert len(encode(block, spec)[0]) + 4 == spec.chunk_bytes
