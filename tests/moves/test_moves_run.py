"""Ensemble moves on the run loop: what is stored, weighted, averaged, and that any interruption changes no bit."""

import json

import numpy as np
import pytest
from move_runs import ADL, EXCHANGE, LANGEVIN, MOVES, RUN, same, spec

from gpu_thermo.averages.predictive import predict
from gpu_thermo.errors import SpecError
from gpu_thermo.run import iterate, resume, sample
from gpu_thermo.running.setup import prepare
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.store import read_header

STOPPED = [(kind, "fused") for kind in MOVES]
STOPPED += [(kind, "batched") for kind in MOVES if kind.startswith("contour") or kind == "exchange"]
"""Contours are part of a step, of which each engine has its own; other moves act between the segments of any."""
SLOW = [pytest.param(kind, "batched", marks=pytest.mark.slow) for kind in MOVES if (kind, "batched") not in STOPPED]


@pytest.mark.parametrize(("kind", "engine"), [*STOPPED, *SLOW])
def test_stopping_and_resuming_changes_no_bit(kind, engine, tmp_path):
    """Stopped after every segment: state, rungs, histograms and adapted weights go through the store each time."""
    whole = sample(spec(MOVES[kind]), tmp_path / "whole.zarr", engine=engine)
    path = tmp_path / "cut.zarr"
    sample(spec(MOVES[kind]), path, engine=engine, time_limit=0)
    stops = 1
    while read_header(path).step < RUN["steps"]:
        tree = resume(path, time_limit=0 if stops < 6 else None)
        stops += 1
    assert stops > 3
    same(whole, tree)
    assert tree["sample_stats"].attrs["moves"] == whole["sample_stats"].attrs["moves"]


@pytest.mark.parametrize(
    ("method", "engine"),
    [(LANGEVIN, "batched"), (ADL, "fused"), ({"name": "sgld", "stepsize": 0.05, "temperature": 5e-3}, "fused")],
    ids=lambda x: x if isinstance(x, str) else x["name"],
)
def test_a_contour_that_flattens_nothing_is_the_plain_method(method, engine, tmp_path):
    """Bit for bit, through whole runs; engine by engine in test_contour_engines.py."""
    plain = sample(spec(method=method), tmp_path / "plain.zarr", engine=engine)
    flat = sample(spec(MOVES["contour"] | {"zeta": 0.0}, method), tmp_path / "flat.zarr", engine=engine)
    same(plain, flat)
    assert (flat["sample_stats"]["log_weight"] == 0).all()
    bent = sample(spec(MOVES["contour"] | {"zeta": 1.0}, method), tmp_path / "bent.zarr", engine=engine)
    assert not np.array_equal(bent["posterior"]["w1"], plain["posterior"]["w1"])


def test_a_ladder_that_never_swaps_is_independent_replicas(tmp_path):
    """Replica r is the plain run's replica r at its own rung's temperature."""
    ladder = np.geomspace(5e-3, 0.05, 3)
    move = EXCHANGE | {"acceptance_factor": 1e-300}
    tree = sample(spec(move), tmp_path / "ladder.zarr", engine="fused")
    plain = sample(
        spec(method=LANGEVIN | {"temperature": np.tile(ladder, 4).tolist()}), tmp_path / "plain.zarr", engine="fused"
    )
    assert np.array_equal(tree["posterior_rungs"]["w1"], plain["posterior"]["w1"])
    assert np.array_equal(tree["posterior"]["w1"], plain["posterior"]["w1"][::3])
    assert np.array_equal(tree["sample_stats_rungs"]["rung"].to_numpy()[:, 0], np.arange(12) % 3)


@pytest.mark.parametrize("kind", ["exchange", "tempering", "contour"])
def test_averages_and_predictions_honour_the_weights(kind, tmp_path):
    """The running averages, `predict` from the store, and the weighted mean written out agree."""
    given = spec(MOVES[kind] | ({"interval": 2} if kind == "tempering" else {}), steps=400, burn_in=240)
    tree = sample(given, tmp_path / "run.zarr")
    own = "" if kind == "contour" else "_rungs"
    weight = np.exp(tree[f"sample_stats{own}"]["log_weight"].to_numpy())
    if kind == "contour":
        assert weight.std() > 1e-3
    else:
        assert np.array_equal(weight, (tree["sample_stats_rungs"]["rung"].to_numpy() == 0).astype(float))
    x = tree["constant_data"]["x_test"].to_numpy()[0]
    answer = predict(tree, x)
    assert np.allclose(answer["mean"], tree["predictive"]["mean"], rtol=1e-5, atol=1e-7)
    ready = prepare(RunSpec.from_dict(given))
    names = ("w1", "b1", "w2", "b2")
    held = tree[f"posterior{own}"]
    flat = np.concatenate([held[n].to_numpy().reshape(*weight.shape, -1) for n in names], axis=-1)
    phi = ready.subject.model.predict(flat.reshape(-1, flat.shape[-1]), x.astype(np.float32)).astype(np.float64)
    w = weight.reshape(-1, 1, 1)
    mean = (w * phi).sum(axis=0) / w.sum()
    assert np.allclose(tree["predictive"]["mean"].to_numpy()[0], mean, atol=1e-6)
    assert float(tree["predictive"]["weight_ess"][0]) == pytest.approx(w.sum() ** 2 / (w**2).sum(), rel=1e-9)
    assert float(tree["predictive"]["draws"][0]) == (weight > 0).sum()
    unweighted = phi.mean(axis=0)
    assert np.abs(unweighted - mean).max() > 1e-4, "the weights matter here, or this test shows nothing"


def test_the_report_and_the_coordinates_say_what_happened(tmp_path):
    tree = sample(spec(EXCHANGE), tmp_path / "run.zarr")
    (report,) = json.loads(tree["sample_stats"].attrs["moves"])
    assert report["kind"] == "exchange"
    assert len(report["acceptance"]) == 2
    assert np.allclose(tree["sample_stats"]["temperature_all"], 5e-3)  # the density that the averages are about
    rung = tree["sample_stats_rungs"]["rung"].to_numpy()
    assert (np.sort(rung.reshape(4, 3, -1), axis=1) == np.arange(3)[None, :, None]).all()
    assert "log_weight" not in tree["trace_rungs"]
    assert "rung" in tree["trace_rungs"]


def test_the_order_of_moves_means_nothing():
    """A ladder climbs in cycles whichever is written first."""
    cycles = {"kind": "cyclical", "period": 40, "explore_temperature": 2.0}
    runs = [list(iterate(spec() | {"moves": moves})) for moves in ([EXCHANGE, cycles], [cycles, EXCHANGE])]
    plain = list(iterate(spec(EXCHANGE)))
    for a, b in zip(*runs, strict=True):
        assert np.array_equal(a.position, b.position)
    assert not np.array_equal(runs[0][-1].position, plain[-1].position)


def test_a_broken_ladder_is_diagnosed_not_crashed_on(tmp_path):
    """Each ladder's hottest replica overflows: no whole ladder is left."""
    from gpu_thermo_analysis.diagnostics import diagnose

    hot = EXCHANGE | {"stepsize": [0.2, 0.2, 1e30], "interval": 5}
    verdicts = diagnose(sample(spec(hot), tmp_path / "run.zarr")).ensembles[0].verdicts
    assert any("ladder" in v.text or "froze" in v.text for v in verdicts)


def test_a_contour_whose_bins_miss_says_so(tmp_path):
    tree = sample(spec(MOVES["contour"] | {"lowest": 5.0, "width": 0.1}), tmp_path / "run.zarr")
    (report,) = json.loads(tree["sample_stats"].attrs["moves"])
    assert "outside" in report["warnings"][0]


def test_a_contour_that_clips_says_so(tmp_path):
    tree = sample(spec(MOVES["contour"] | {"clip": [0.99, 1.01]}), tmp_path / "run.zarr")
    (report,) = json.loads(tree["sample_stats"].attrs["moves"])
    assert any("were clipped" in text for text in report["warnings"])


@pytest.mark.parametrize(
    ("moves", "message"),
    [
        ([EXCHANGE | {"interval": 1000}], "longer than the run"),
        ([EXCHANGE | {"temperatures": [1e-3, 1e-2, 1e-1], "rungs": None, "hottest": None}], "rung 0 is the target"),
        ([MOVES["contour"] | {"interacting": True, "zeta": 1.5}], "at most 1"),
        (
            [EXCHANGE, {"kind": "cyclical", "cycles": 2, "explore_temperature": 1.0, "gradient_noise_sd": 0.1}],
            "leave it out",
        ),
        ([{"kind": "contour"}], "lowest and width"),
        ([EXCHANGE, MOVES["contour"]], "takes one"),
        ([EXCHANGE, EXCHANGE], "at most once"),
        ([EXCHANGE, {"kind": "cyclical", "cycles": 2}], "explore_temperature"),
        ([EXCHANGE | {"rungs": 5}], "12|multiple"),
        ([EXCHANGE | {"energy_batch": 1000}], "60 points"),
        ([{"kind": "swap"}], "Known: cyclical"),
        ([EXCHANGE | {"rung": 5}], "Did you mean 'rungs'"),
        ([{"kind": "exchange"}], "rungs and hottest"),
        ([{"kind": "exchange", "temperatures": [2.0, 1.0]}], "must increase"),
        ([EXCHANGE | {"window": "automatic"}], r"moves.0.window = 'automatic': .* integer.*; or 'auto'\.$"),
        (EXCHANGE, r"write \[\[moves\]\]"),
    ],
)
def test_what_cannot_be_is_refused(moves, message):
    with pytest.raises(SpecError, match=message):
        prepare(RunSpec.from_dict(spec() | {"moves": moves}))


def test_a_ladder_stays_on_one_data_set(tmp_path):
    several = {"name": "spirals", "train": 60, "test": 20, "seeds": [1, 2]}
    tree = sample(spec(EXCHANGE) | {"data": several}, tmp_path / "run.zarr")
    stats = tree["sample_stats"]
    assert np.array_equal(stats["dataset"], [0, 1] * 2)
    assert np.array_equal(tree["sample_stats_rungs"]["dataset"], [0, 0, 0, 1, 1, 1] * 2)
    assert np.array_equal(stats["ensemble"], stats["dataset"])
    assert tree["predictive"]["draws"].to_numpy().tolist() == [
        40,
        40,
    ]  # of 12 replicas 4 are on the target rung at each of 20 draws


def test_thermal_momenta_are_those_of_the_rung():
    given = RunSpec.from_dict(spec(EXCHANGE | {"hottest": 500.0}, replicas=1200, momenta="thermal"))
    state = prepare(given).initial_state()
    rung = state.extra["rung"]
    tau = (state.momentum.astype(float) ** 2).mean(axis=1)
    for q, expected in enumerate(np.geomspace(5e-3, 500.0, 3)):
        assert tau[rung == q].mean() == pytest.approx(expected, rel=0.05)


def test_contour_needs_one_temperature_and_bins():
    adlala = {"name": "adlala", "stepsize": 0.1, "temperature": {"hidden": 1e-3, "output": 1e-4}}
    with pytest.raises(SpecError, match="temperature"):
        prepare(RunSpec.from_dict(spec(MOVES["contour"], adlala)))
    target = {
        "target": {"name": "double_well"},
        "method": {"name": "sgld", "stepsize": 0.01, "temperature": 1.0},
        "run": RUN | {"batch": None},
    }
    target["run"].pop("batch")
    with pytest.raises(SpecError, match="lowest and width"):
        prepare(RunSpec.from_dict(target | {"moves": [{"kind": "contour"}]}))
