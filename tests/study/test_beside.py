"""Data, networks, potentials and starts given to a study from Python: the runs of `sample`, gone on with, refused."""

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
import xarray as xr
from cli_cases import call
from own_cases import OURS, forward, numpy_network
from study_cases import same

import gpu_thermo as gt
from gpu_thermo.engines import devices
from gpu_thermo.errors import DataError, SpecError, StoreExistsError
from gpu_thermo.study import StudySpec, open_study, plan_study, run_study
from gpu_thermo.study.beside import NOTHING, Beside
from gpu_thermo.study.launch import run_shard
from gpu_thermo.study.parts import part_path
from gpu_thermo.study.work import make_work

RNG = np.random.default_rng(3)
X = RNG.normal(size=(60, 2))
Y = (X[:, 0] * X[:, 1] > 0).astype(int)
TEST = (RNG.normal(size=(20, 2)), RNG.integers(0, 2, 20))
METHOD = {"name": "langevin", "stepsize": 0.1, "friction": 1.0, "temperature": 0.01}
RUN = {"steps": 40, "burn_in": 20, "thin": 5, "batch": 10, "trace": 20}
STUDY: dict[str, Any] = {
    "model": {"hidden": 4, "prior_sd": 1.0}, "method": METHOD, "run": RUN, "grid": {"method.stepsize": [0.05, 0.1]},
    "seeds": {"count": 4},
}  # fmt: skip
OWN = {key: value for key, value in STUDY.items() if key != "model"} | {"model": {"prior_sd": 1.0}}


def sampled(spec: dict[str, Any], replicas: int = 4, **given: Any) -> xr.DataTree:
    """The study's second cell as a single run."""
    tree = {key: spec[key] for key in ("data", "model", "method", "run", "target") if key in spec}
    tree["run"] = {**RUN, "replicas": replicas, "keep": ["parameters"]}
    return gt.sample(tree, **given)


def last(found: xr.Dataset, name: str, cell: int = 1) -> np.ndarray:
    return found[name].to_numpy()[found["cell"].to_numpy() == cell]


# -- what is computed --------------------------------------------------------------------------------------------------


def test_rows_are_split_by_the_data_seeds() -> None:
    """Seed s is replica s of `sample` on those splits, bit for bit; other data are other runs."""
    found = gt.study({**STUDY, "study": {"keep": True}}, data=(X, Y))
    run = sampled({**STUDY, "data": {"seeds": [0, 1, 2, 3]}}, data=(X, Y))
    np.testing.assert_array_equal(last(found, "w1"), run.posterior["w1"].to_numpy())
    np.testing.assert_array_equal(last(found, "accuracy"), run.sample_stats["test_accuracy"].to_numpy()[:, -1])
    assert (last(gt.study({**STUDY, "study": {"keep": True}}, data=(X, 1 - Y)), "w1") != last(found, "w1")).all()


@pytest.mark.parametrize("how", ["split", "sets"])
def test_each_data_set_chooses_the_scales_of_its_prior(how: str) -> None:
    """prior_sd = "auto": each seed's own, beside the runs; a single run of that data set does the same."""
    given: Any = (X, Y) if how == "split" else [(X, Y, *TEST), (X, 1 - Y * (X[:, 0] > 0), *TEST)]
    study = {**STUDY, "model": {"hidden": 4, "prior_sd": "auto"}, "study": {"keep": True}}
    study["seeds"] = {"data": [0, 1], "init": [1, 2]}
    found = gt.study(study, data=given)
    assert found["prior_sd_hidden"].attrs["units"] == "1"
    chosen = found["prior_sd_hidden"].to_numpy()
    np.testing.assert_array_equal(chosen[:2], chosen[2:])
    assert chosen[0] != chosen[1]
    for s in (0, 1):
        one: Any = (X, Y) if how == "split" else given[s]
        spec = {**study, "data": {"seeds": [s]}} if how == "split" else study
        model = gt.RunSpec.from_json(sampled(spec, 1, data=one).attrs["spec"]).model
        assert model.prior_scales is not None
        assert model.prior_scales["hidden"] == chosen[s]


@pytest.mark.parametrize("how", ["test part", "Dataset", "sets", "stacked"])
def test_sets_that_are_given_whole(how: str) -> None:
    """Seed s has set s mod D, as replicas of `sample` have."""
    several = [(X + d * X**2, Y, *TEST) for d in range(2)]  # different after standardising, too
    given: Any = {
        "test part": (X, Y, *TEST), "sets": several, "stacked": tuple(np.stack(p) for p in zip(*several, strict=True)),
        "Dataset": gt.RunSpec.from_dict({"data": {"name": "moons", "train": 40, "test": 20}}).data.build(),
    }[how]  # fmt: skip
    found, run = gt.study({**STUDY, "study": {"keep": True}}, data=given), sampled(STUDY, data=given)
    np.testing.assert_array_equal(last(found, "w2"), run.posterior["w2"].to_numpy())
    if how in ("sets", "stacked"):
        assert (run.posterior["w2"].to_numpy()[0] != run.posterior["w2"].to_numpy()[1]).any()


def test_a_table_with_names(tmp_path: Path) -> None:
    """A DataFrame and [data] of a TOML file without a name; the grid may vary how it is split."""
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "kind": np.where(Y, "yes", "no")})
    spec = tmp_path / "s.toml"
    spec.write_text(tomli_w.dumps({**STUDY, "data": {"target": "kind"}, "grid": {"data.test_fraction": [0.2, 0.5]}}))
    grid = {"data": [{"target": "kind", "test_fraction": 0.2}, {"target": "kind", "test_fraction": 0.5}]}
    found = gt.study(spec, tmp_path / "s.zarr", data=frame)
    tree = {**STUDY, "data": {"target": "kind", "test_fraction": 0.5, "seeds": [0, 1, 2, 3]}}
    run = sampled(tree, data=frame)
    np.testing.assert_array_equal(last(found, "accuracy"), run.sample_stats["test_accuracy"].to_numpy()[:, -1])
    whole = gt.study({**STUDY, "grid": grid}, data=frame)
    np.testing.assert_array_equal(whole["accuracy"].to_numpy(), found["accuracy"].to_numpy())
    assert set(json.loads(found.attrs["study"])["given"]) == {"data"}


@pytest.mark.parametrize(
    "run", [RUN, {"tolerance": 0.5, "replicas": 32, "max_steps": 1000}], ids=["steps", "tolerance"]
)
def test_networks_of_another_library_stay_on_the_cpu(run: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is a GPU, too, and nobody said which device: shards of one length and of several, and a plan."""
    monkeypatch.setattr(devices, "count_gpus", lambda: (1, ""))
    study = {**OWN, "run": run, "seeds": {"count": 2}}
    study |= {"method": {key: value for key, value in METHOD.items() if run is RUN or key != "stepsize"}}
    study |= {"grid": {"run.steps": [40, 60]} if run is RUN else {"method.friction": [0.5, 1.0]}}
    given: dict[str, Any] = {"data": (X, Y), "network": numpy_network()}
    assert plan_study(study, **given).device == "cpu"
    assert (gt.study(study, **given)["status"] == 0).all()


def test_a_network_and_where_it_starts() -> None:
    """All runs start at the network's own parameters, or where model.init draws them; both as `sample` does."""
    network = numpy_network()
    found = gt.study({**OWN, "study": {"keep": True}}, data=(X, Y, *TEST), network=network)
    run = sampled(OWN, data=(X, Y, *TEST), network=network)
    np.testing.assert_array_equal(last(found, "hidden_w"), run.posterior["hidden_w"].to_numpy())
    np.testing.assert_array_equal(found["initial_hidden_w"].to_numpy(), np.tile(OURS["w1"].astype("f4"), (8, 1, 1)))
    drawn = {**OWN, "model": {"prior_sd": 1.0, "init": "prior"}}
    found = gt.study({**drawn, "study": {"keep": True}}, data=(X, Y, *TEST), network=network)
    run = sampled(drawn, data=(X, Y, *TEST), network=network)
    np.testing.assert_array_equal(last(found, "output_w"), run.posterior["output_w"].to_numpy())
    assert len(np.unique(found["initial_hidden_w"].to_numpy()[:, 0, 0])) == 4


def test_starts_of_our_networks(tmp_path: Path) -> None:
    """Tensors, or a file of them, that every run starts from."""
    spec = {**STUDY, "model": {"hidden": 10}}
    given = gt.study({**spec, "study": {"keep": True}}, data=(X, Y), init=OURS)
    np.savez(tmp_path / "w.npz", **OURS)
    file = {**spec, "model": {"hidden": 10, "init": str(tmp_path / "w.npz")}, "study": {"keep": True}}
    np.testing.assert_array_equal(given["w1"].to_numpy(), gt.study(file, data=(X, Y))["w1"].to_numpy())
    np.testing.assert_array_equal(given["initial_w1"].to_numpy(), np.tile(OURS["w1"].astype("f4"), (8, 1, 1)))


def test_a_potential() -> None:
    well = gt.UserPotential(lambda q: ((q**2).sum(axis=1) / 2, q), 2)
    spec: dict[str, Any] = {
        "target": {"name": "custom", "size": 2}, "method": METHOD, "run": {"steps": 40, "burn_in": 20, "thin": 5},
        "grid": {"method.stepsize": [0.05, 0.1]}, "seeds": {"count": 3}, "study": {"keep": True},
    }  # fmt: skip
    found = gt.study(spec, potential=well)
    tree = {"target": spec["target"], "method": METHOD, "run": {**spec["run"], "replicas": 3}}
    run = gt.sample(tree, potential=well)
    np.testing.assert_array_equal(last(found, "position"), run.posterior["position"].to_numpy())


def test_runs_that_tune_themselves() -> None:
    """Each is `sample` of the set that its seed has."""
    sets = [(X, Y, *TEST), (X + 1, 1 - Y, *TEST)]
    method = {"name": "langevin", "posterior_temperature": 1.0}
    tree: dict[str, Any] = {"model": {"hidden": 3, "prior_sd": 1.0}, "method": method}
    tree["run"] = {"tolerance": 0.5, "replicas": 64, "max_steps": 1000, "seed": 3}
    found = gt.study({**tree, "seeds": {"count": 2}}, data=sets)
    run = gt.sample({**tree, "run": {**tree["run"], "seed": 4}}, data=sets[1])
    assert float(found["stepsize"][1]) == float(run.sample_stats["stepsize"][0]) != float(found["stepsize"][0])


# -- gone on with ------------------------------------------------------------------------------------------------------


def test_a_study_is_gone_on_with(tmp_path: Path) -> None:
    """Bit for bit, by who gives the same again; parts that are done are not run again."""
    spec = {**OWN, "study": {"shard": 2}}
    given: dict[str, Any] = {"data": (X, Y, *TEST), "network": numpy_network()}
    whole = run_study(spec, tmp_path / "a.zarr", **given).load()
    run_study(spec, tmp_path / "b.zarr", **given).close()
    work = make_work(StudySpec.from_dict({"data": {"name": "arrays"}, **spec}), None, "auto", "auto", Beside(**given))
    assert plan_study(spec, tmp_path / "b.zarr", **given).done == len(work.shards) == 4
    kept = [part_path(tmp_path / "b.zarr", s.id) for s in work.shards]
    kept[1].unlink()
    times = [p.stat().st_mtime_ns for p in (kept[0], *kept[2:])]
    again = run_study(spec, tmp_path / "b.zarr", data=given["data"], network=numpy_network())
    same(whole, again)
    assert [p.stat().st_mtime_ns for p in (kept[0], *kept[2:])] == times
    assert len(open_study(tmp_path / "b.zarr")["accuracy"]) == 8


def test_what_is_not_the_same_is_refused(tmp_path: Path) -> None:
    store, given = tmp_path / "s.zarr", {"data": (X, Y, *TEST), "network": numpy_network()}
    run_study(OWN, store, **given).close()
    with pytest.raises(StoreExistsError, match="the data given in Python is not the same"):
        run_study(OWN, store, **{**given, "data": (X, 1 - Y, *TEST)})
    wider = numpy_network(forward=lambda p, x: 2 * forward(p, x), vjp=lambda p, x, d: _pulled(p, x, d))
    for extend in (False, True):
        with pytest.raises(StoreExistsError, match="the network given in Python is not the same"):
            run_study(OWN, store, extend=extend, **{**given, "network": wider})
    held = StudySpec.from_json(open_study(store).attrs["study"]).to_dict()
    with pytest.raises(SpecError, match=r"data are arrays given from Python.*gpu_thermo.study\(spec, out, data="):
        run_study(held, store)
    text = tmp_path / "held.toml"
    text.write_text(tomli_w.dumps(held))
    found = call("study", str(text), "--out", str(store))
    assert found.exit_code == 2
    assert "gpu_thermo.study(" in found.stderr
    assert call("table", str(store)).exit_code == 0
    more = run_study({**OWN, "seeds": {"count": 5}}, store, extend=True, **given)
    assert more.sizes["chain"] == 10


def _pulled(p: Any, x: np.ndarray, d: np.ndarray) -> Any:
    from own_cases import vjp

    return vjp(p, x, 2 * d)


# -- refused -----------------------------------------------------------------------------------------------------------

SETS = [(X, Y, *TEST), (X**2, Y, *TEST)]
REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "other data in the spec": ({"data": {"name": "moons"}}, {"data": (X, Y)}, "leave out one of the two"),
    "data and a target": ({"target": {"name": "double_well"}, "model": None, "run": {"steps": 10}}, {"data": (X, Y)},
                          "leave out one of the two"),
    "no data": ({"data": {"name": "arrays"}}, {}, "given from Python"),
    "sets that were not given": ({"seeds": {"data": 3}}, {"data": SETS}, "names data set 2, and 2 data sets are given"),
    "a seed that splits nothing": ({"seeds": {"data": [0, 1]}}, {"data": SETS[0]}, "one data set is given"),
    "widths of a network of one's own": ({}, {"data": (X, Y), "network": numpy_network()}, "model.hidden = 4"),
    "a network for a target": ({"target": {"name": "double_well"}, "model": None, "run": {"steps": 10}},
                               {"network": numpy_network()}, "leave out one of the two"),
    "a network of other inputs": ({"model": {}}, {"data": (X[:, :1], Y), "network": numpy_network()}, "cannot be eval"),
    "no network": ({}, {"data": (X, Y), "network": 3}, "network is int"),
    "seeds of starts that are given": ({"model": {"hidden": 10}, "seeds": {"init": 4}}, {"data": (X, Y), "init": OURS},
                                       "seeds.init draws the starts"),
    "starts for each replica": ({"model": {"hidden": 10}},
                                {"data": (X, Y), "init": {n: np.stack([v]) if n != "w1" else np.stack([v, v])
                                                          for n, v in OURS.items()}}, "has shape"),
    "a potential without a target": ({}, {"data": (X, Y), "potential": object()}, "no \\[target\\]"),
    "a potential that is none": ({"target": {"name": "custom", "size": 2}, "model": None, "run": {"steps": 10}},
                                 {"potential": 3}, "potential is int"),
    "a custom target without one": ({"target": {"name": "custom", "size": 2}, "model": None, "run": {"steps": 10}}, {},
                                    "potential"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused_before_anything_is_written(case: str, tmp_path: Path) -> None:
    changes, given, message = REFUSED[case]
    spec = {key: value for key, value in {**STUDY, **changes}.items() if value is not None}
    for act in (lambda: run_study(spec, tmp_path / "s.zarr", **given), lambda: plan_study(spec, **given)):
        with pytest.raises((SpecError, DataError), match=message):
            act()
    assert not list(tmp_path.iterdir())


def test_starts_of_each_replica_are_not_those_of_a_study() -> None:
    """Where they happen to be as many as a launch has runs."""
    each = {name: np.stack([value] * 4) for name, value in OURS.items()}
    with pytest.raises(SpecError, match=r"starts of its own for each replica|has shape"):
        gt.study({**STUDY, "model": {"hidden": 10}, "study": {"shard": 4}}, data=(X, Y), init=each)


# -- elsewhere ---------------------------------------------------------------------------------------------------------


def test_it_travels_by_value() -> None:
    """What a worker unpacks runs to the same bits; what cannot travel is named."""
    pytest.importorskip("cloudpickle")
    from gpu_thermo.study.records import pack_beside, unpack_beside

    beside = Beside(data=(X, Y), network=numpy_network())
    study = StudySpec.from_dict(beside.complete(OWN))
    shard = make_work(study, None, "auto", "auto", beside).shards[0]
    there = unpack_beside(pack_beside(beside))
    one, other = (run_shard(_with(shard, b), threads=1) for b in (beside, there))
    np.testing.assert_array_equal(one["loss"], other["loss"])
    assert pack_beside(NOTHING) == b""
    assert unpack_beside(b"") is NOTHING
    with pytest.raises(SpecError, match=r"given in Python beside the study cannot be sent to workers: .*lock"):
        pack_beside(Beside(data=threading.Lock()))
    with pytest.raises(SpecError, match="A worker cannot load"):
        unpack_beside(b"nothing")


def _with(shard: Any, beside: Beside) -> Any:
    from dataclasses import replace

    return replace(shard, beside=beside)


@pytest.mark.slow
def test_workers_have_it_too(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    given: dict[str, Any] = {"data": (X, Y, *TEST), "network": numpy_network()}
    spec = {**OWN, "study": {"shard": 4}}
    here = run_study(spec, tmp_path / "a.zarr", **given).load()
    same(here, run_study(spec, tmp_path / "b.zarr", workers=2, **given))
