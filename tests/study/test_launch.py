"""Runs of a study are single runs: of every move, potential and word, bit for bit."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from study_cases import changed

from gpu_thermo.errors import SpecError
from gpu_thermo.run import sample
from gpu_thermo.study import StudySpec, plan_study, run_study
from gpu_thermo.study.work import make_work

LADDER = {"rungs": 4, "hottest": 0.3, "interval": 5}
EXCHANGE = {"kind": "exchange", **LADDER}
ADAPTED = {**EXCHANGE, "target_acceptance": 0.5, "window": "auto"}
TEMPERING = {"kind": "tempering", "rungs": 2, "hottest": 0.05, "interval": 5}
CONTOUR = {"kind": "contour", "lowest": 0.0, "width": 1.0, "bins": 40}
SHARED = {**CONTOUR, "interacting": True, "interval": 5}
CYCLES = {"kind": "cyclical", "cycles": 2}
NETWORK = {
    "data": {"name": "moons", "train": 30, "test": 30}, "model": {"hidden": 4, "prior_sd": 1.0},
    "method": {"name": "langevin", "stepsize": 0.05, "temperature": 0.03, "friction": 1.0},
    "run": {"steps": 200, "burn_in": 100, "thin": 10, "trace": 20, "batch": 10},
}  # fmt: skip
WELL = {
    "target": {"name": "double_well"}, "method": {"name": "langevin", "stepsize": 0.2, "temperature": 0.3},
    "run": NETWORK["run"] | {"batch": None},
}  # fmt: skip


def single(study: dict[str, Any], replicas: int, datasets: int, **method: Any) -> xr.DataTree:
    """The one run that a cell of a study is."""
    sections = ("data", "model", "target", "method", "run", "moves")
    spec = {name: study[name] for name in sections if name in study} | {"method": study["method"] | method}
    if datasets:
        spec["data"] = spec["data"] | {"seeds": list(range(datasets))}
    spec["run"] = spec["run"] | {"replicas": replicas, "keep": ["parameters"]}
    return sample(spec)


def values(tree: xr.DataTree, group: str, name: str) -> np.ndarray:
    return tree[group][name].transpose("chain", "draw", ...).to_numpy()


@pytest.mark.parametrize(
    ("moves", "tied", "seeds"),
    [
        ([EXCHANGE], 4, {"count": 3}), ([ADAPTED], 4, {"count": 3}), ([TEMPERING], 1, {"count": 3}),
        ([CONTOUR], 1, {"count": 3}), ([SHARED], 1, {"data": 1, "count": 3}), ([CYCLES], 1, {"count": 3}),
        ([CYCLES | {"explore_temperature": 1}, EXCHANGE], 4, {"data": 1, "count": 3}),
    ],
)  # fmt: skip
def test_moves(tmp_path: Path, moves: list[dict[str, Any]], tied: int, seeds: dict[str, int]):
    """A cell of S seeds is `sample` of S runs, whatever other cells there are and however shards are cut."""
    study = {**NETWORK, "moves": moves, "seeds": seeds, "study": {"shard": 2, "keep": True}}
    found = run_study(study | {"grid": {"method.friction": [1.0, 3.0]}}, tmp_path / "s.zarr")
    for cell, friction in enumerate((1.0, 3.0)):
        tree = single(study, 3 * tied, seeds.get("data", 3), friction=friction)
        mine = found.isel(chain=slice(3 * cell, 3 * cell + 3))
        for name in ("w1", "b2"):
            np.testing.assert_array_equal(mine[name], values(tree, "posterior", name).astype(np.float32))
        energy = values(tree, "sample_stats", "energy")
        if moves == [TEMPERING]:
            assert np.isnan(energy).any()
            assert np.isfinite(mine["loss"]).all()  # of the last network on the target, whenever that was
        else:
            np.testing.assert_array_equal(mine["loss"], energy[:, -1])
    of_move = {"exchange": "swap_acceptance", "tempering": "round_trips", "contour": "contour_clipped"}
    assert all(of_move[m["kind"]] in found for m in moves if m["kind"] in of_move)


def test_ladders_are_counted_by_their_target(tmp_path: Path):
    """One row for each ladder; averages over its own draws, and swaps as the single run reports them."""
    study = {**NETWORK, "moves": [EXCHANGE], "seeds": {"count": 3}}
    found = run_study(study, tmp_path / "s.zarr")
    tree = single(study, 12, 3)
    assert found.sizes["chain"] == 3
    predicted = tree["predictive"]["mean"].to_numpy()[..., 0]
    y = tree["constant_data"]["y_test"].to_numpy()
    np.testing.assert_allclose(found["average_accuracy"], ((predicted > 0.5) == (y > 0.5)).mean(axis=1))
    assert ((found["swap_acceptance"] >= 0) & (found["swap_acceptance"] <= 1)).all()
    assert plan_study(study).replica_steps == 3 * 4 * 200


@pytest.mark.parametrize("moves", [[], [{"kind": "exchange", "rungs": 3, "hottest": 2.0, "interval": 5}]])
def test_potentials(tmp_path: Path, moves: list[dict[str, Any]]):
    """Averages of coordinates are those of the run's own draws; there is nothing of data."""
    study = {**WELL, "moves": moves, "seeds": {"count": 3}, "study": {"keep": True}}
    found = run_study(study | {"grid": {"method.stepsize": [0.1, 0.2]}}, tmp_path / "s.zarr")
    tree = single(study, 3 * (3 if moves else 1), 0)
    position = values(tree, "posterior", "position").reshape(3, 10, -1)
    mine = found.isel(chain=slice(3, 6))
    np.testing.assert_array_equal(mine["position"].to_numpy().reshape(3, 10, -1), position)
    np.testing.assert_array_equal(mine["energy"], values(tree, "sample_stats", "energy")[:, -1])
    first = next(name for name in found.data_vars if str(name).startswith("average_"))
    np.testing.assert_allclose(mine[first], position[..., 0].mean(axis=1), rtol=1e-12)
    assert "loss" not in found
    assert "curve_energy" in found


def test_words_in_braces_tell_their_acceptance(tmp_path: Path):
    """The mean over the draws of what the single run records."""
    method = {"name": "splitting", "word": "{BAOAB}", "stepsize": 0.4, "temperature": 1.0, "friction": 1.0}
    study = {**NETWORK, "method": method, "run": NETWORK["run"] | {"batch": None, "minibatch": "full"}}
    found = run_study(study | {"seeds": {"count": 3}}, tmp_path / "s.zarr")
    acceptance = values(single(study, 3, 3), "sample_stats", "acceptance")
    np.testing.assert_allclose(found["acceptance"], acceptance.mean(axis=1), rtol=1e-12)
    assert found["curve_acceptance"].dims == ("chain", "step")


def test_what_learns_together_is_one_shard():
    """All seeds of a cell, and no other cell; ladders of other temperatures are other launches."""
    grid = {"grid": {"method.friction": [1.0, 2.0]}, "seeds": {"data": 1, "count": 5}, "study": {"shard": 2}}

    def cut(moves: list[dict[str, Any]], **more: Any) -> list[tuple[int, int]]:
        job = make_work(StudySpec.from_dict({**NETWORK, **grid, "moves": moves, **more}), Path.cwd(), "cpu", "auto")
        return [(len(s.cells), s.runs) for s in job.shards]

    assert cut([EXCHANGE]) == [(1, 2), (1, 2), (1, 1)] * 2
    for together in ([ADAPTED], [TEMPERING], [SHARED]):
        assert cut(together) == [(1, 5)] * 2
    hot = {"grid": {"method.temperature": [0.03, 0.04]}, "study": {}}
    assert cut([EXCHANGE], **hot) == [(1, 5)] * 2
    assert cut([CONTOUR], **hot) == [(2, 10)]


@pytest.mark.parametrize(
    ("study", "says"),
    [
        ({**NETWORK, "moves": [SHARED], "seeds": {"count": 3}}, "give data = 1 beside count"),
        ({**WELL, "seeds": {"data": 3}}, r"a \[target\] has none"),
        ({**WELL, "data": {"name": "moons"}}, "takes the place of network and data"),
        ({**NETWORK, "moves": [EXCHANGE], "seeds": {"init": [2**31]}}, r"ladders of 4 rungs.*below 1073741824"),
        ({**NETWORK, "grid": {"moves.exchange.rungs": [2, 3]}}, "the base run has no move of that kind"),
        ({**NETWORK, "moves": [EXCHANGE], "grid": {"moves.rungs": [2, 3]}}, "moves.exchange.rungs"),
        ({**NETWORK, "moves": [EXCHANGE], "grid": {"moves.exchange.rugns": [2]}}, "Did you mean 'rungs'"),
        ({**NETWORK, "grid": {"moves": ["exchange"]}}, "a move or a list of moves"),
        ({**NETWORK, "moves": [EXCHANGE, EXCHANGE]}, "each kind at most once"),
        ({**NETWORK, "run": NETWORK["run"] | {"streams": [3]}}, r"init and dynamics in \[seeds\]"),
        ({**WELL, "target": {"name": "custom", "size": 2}}, "custom"),
    ],
)
def test_what_has_no_meaning_is_refused(tmp_path: Path, study: dict[str, Any], says: str):
    """Before anything is written, with what to do."""
    with pytest.raises(SpecError, match=says):
        run_study(study, tmp_path / "s.zarr")
    assert not list(tmp_path.iterdir())


def test_moves_are_axes():
    """Whole moves, and keys of one, by name."""
    spec = StudySpec.from_dict(changed(**NETWORK, grid={"moves": [[], EXCHANGE, [CYCLES]]}, seeds=None))
    assert [c.label for c in spec.cells()] == ["no moves", "exchange", "cyclical"]
    assert [c.spec.run.replicas for c in spec.cells()] == [1, 4, 1]
    spec = StudySpec.from_dict({**NETWORK, "moves": [EXCHANGE], "grid": {"moves": {"exchange": {"rungs": [2, 3]}}}})
    assert [c.label for c in spec.cells()] == ["exchange.rungs 2", "exchange.rungs 3"]
    assert [c.spec.run.replicas for c in spec.cells()] == [2, 3]
    assert StudySpec.from_toml(spec.to_toml()).cells() == spec.cells()
    assert StudySpec.from_json(spec.to_json()).to_json() == spec.to_json()
