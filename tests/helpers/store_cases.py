"""Stores whose contents follow from the number of draws alone: what the tests of the store make and check."""

import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from gpu_thermo.state import State
from gpu_thermo.store import Draws, Header, RunWriter, Trace, read_checkpoint
from gpu_thermo.store.record import load_record
from gpu_thermo.store.soundness import check_files

HIDDEN, FEATURES, OUTPUTS, PROBES = 3, 2, 2, 4
SIZE = HIDDEN * (FEATURES + 1 + OUTPUTS) + OUTPUTS
SHAPES = {"w1": (HIDDEN, FEATURES), "b1": (HIDDEN,), "w2": (OUTPUTS, HIDDEN), "b2": (OUTPUTS,)}
DIMS = {"w1": ("hidden", "feature"), "b1": ("hidden",), "w2": ("output", "hidden"), "b2": ("output",)}
PARTITIONS = ("hidden", "output")


def make_header(replicas: int = 6, **changes: Any) -> Header:
    chain = {
        "ensemble": np.arange(replicas) % 2, "dataset": np.arange(replicas) % 3,
        "seed": np.full(replicas, 7, np.uint64),
        "stream": np.arange(replicas), "stepsize": np.where(np.arange(replicas) % 2, 0.1, 0.2),
        "temperature_hidden": np.full(replicas, 1e-4),
    }  # fmt: skip
    layer = ("partition",)
    statistics = {"energy": ((), float), "thermostat": (layer, np.float64), "diverging": ((), bool)}
    given: dict[str, Any] = {
        "spec": '{"run": {}}', "fingerprint": "f00d", "engine": "batched", "device": "cpu",
        "versions": {"gpu_thermo": "0.1", "numpy": "2"},
        "chain": chain, "tensors": {name: (DIMS[name], shape) for name, shape in SHAPES.items()},
        "partitions": PARTITIONS, "outputs": ("no", "yes, ξ"), "features": ("x", "length (mm)"),
        "probes": np.arange(PROBES * FEATURES, dtype=float).reshape(PROBES, FEATURES),
        "constant": {"x_train": (("dataset", "point", "feature"), np.ones((3, 5, FEATURES), np.float32))},
        "predictive": {"mean": (("ensemble", "point", "output"), (2, 5, OUTPUTS)),
            "entropy": (("ensemble", "point"), (2, 5))},
        "statistics": statistics, "trace": {"energy": ((), float)}, "keep": ("parameters", "predictions"),
        "dtype": np.float32,
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
    state = State.at(
        *(rng.normal(size=(replicas, SIZE)).astype("f4") for _ in range(2)),
        rng.normal(size=(replicas, len(PARTITIONS))),
    )
    state.step, state.evaluations = 10 * draws, 10 * draws + 1
    state.extra = {
        "adam/m": rng.normal(size=(replicas, SIZE)),
        "θ ..": np.arange(draws % 3 + 1),
        "count": np.array(draws),
    }
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
    writer.commit(
        make_state(done, replicas),
        make_sums(done),
        make_predictive(done),
        {"sampling_time": done / 2, "who": ["a"]},
        wait=wait,
    )


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
    flat = [
        np.asarray(tree[f"posterior/{name}"]).reshape(replicas, draws, np.prod(shape)) for name, shape in SHAPES.items()
    ]
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


def one_more_commit(path: Path, start: int, count: int) -> None:
    with RunWriter.resume(path)[0] as writer:
        advance(writer, start, count)


def processes() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["gpu_thermo.store", "arviz_stats", "pytest"])
    return context
