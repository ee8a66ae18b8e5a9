"""The store as xarray, zarr and ArviZ see it."""

import json
import pickle
from pathlib import Path

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
    check_derived,
    check_run,
    make_draws,
    make_header,
    make_predictive,
    make_state,
    make_store,
)

from gpu_thermo.store import RunWriter, open_run, verify_store


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

    @pytest.mark.parametrize("group", ["posterior", "probes", "sample_stats", "trace"])
    def test_one_grid_a_group(self, tmp_path: Path, group: str) -> None:
        """Arrays of any size, and coordinates: Dask's chunks along an axis must agree."""
        big = {"w1": (("hidden", "feature"), (400, 2)), "b1": (("hidden",), (400,))}
        RunWriter.create(tmp_path / "run.zarr", make_header(900, tensors=big, draws=70, trace_steps=3)).close()
        data = xr.open_zarr(tmp_path / "run.zarr", group=group, chunks=None)
        lengths: dict[str, set[int]] = {}
        for name, variable in data.variables.items():
            if name not in data.indexes:
                for dim, length in variable.encoding["preferred_chunks"].items():
                    lengths.setdefault(dim, set()).add(length)
        assert {dim: len(found) for dim, found in lengths.items()} == dict.fromkeys(lengths, 1)
        if group == "posterior":
            assert max(lengths["chain"]) < 900

    @pytest.mark.parametrize("group", ["posterior", "probes", "sample_stats", "trace"])
    def test_chunks_and_slices_with_dask(self, finished: Path, tmp_path: Path, group: str) -> None:
        pytest.importorskip("dask")
        data = xr.open_zarr(finished, group=group)
        assert data.chunks["chain"] == (6,)
        time = "step" if group == "trace" else "draw"
        with pytest.warns(UserWarning, match="onsolidated"):
            data.isel({time: slice(0, 7)}).to_zarr(tmp_path / "slice.zarr")

    @pytest.mark.parametrize("group", ["posterior", "probes", "sample_stats", "trace"])
    def test_any_slice_can_be_saved(self, finished: Path, tmp_path: Path, group: str) -> None:
        time = "step" if group == "trace" else "draw"
        part = open_run(finished)[group].to_dataset().isel({time: slice(1, 8, 2), "chain": slice(2, 5)})
        with pytest.warns(UserWarning, match="onsolidated"):
            part.to_zarr(tmp_path / "slice.zarr")
        back = xr.open_zarr(tmp_path / "slice.zarr", chunks=None)
        name = next(iter(part.data_vars))
        np.testing.assert_array_equal(back[name], part[name])

    def test_checkpoints_are_not_opened(self, finished: Path) -> None:
        """Nor is the record another one for it; and what is opened can be sent to other processes."""
        assert "checkpoint" in xr.open_datatree(finished, engine="zarr").children
        tree = pickle.loads(pickle.dumps(open_run(finished)))
        assert "checkpoint" not in tree.children
        assert tree.identical(open_run(finished).load())

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
        assert tree.attrs["format"] == 2
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

    def test_lazy(self, finished: Path) -> None:
        assert not open_run(finished)["posterior"].to_dataset()["w1"].variable._in_memory
