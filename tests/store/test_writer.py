"""Writing and extending; reading while writing."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from store_cases import (
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
from gpu_thermo.store import Draws, RunWriter, open_run, read_checkpoint, read_header


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
        assert (info.spec, info.fingerprint, info.format) == ('{"run": {}}', "f00d", 2)
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
                try:
                    checkpoint = read_checkpoint(path)
                except StoreError as error:  # a reader that hardly comes to its turn is told so
                    if "commits faster" not in str(error):
                        raise
                    continue
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
