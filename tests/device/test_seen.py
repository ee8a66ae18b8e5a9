"""What is seen of networks on a GPU, without their positions crossing the bus for it: against the host, and bytes."""

from collections import Counter

import numpy as np
import pytest
from move_runs import EXCHANGE, MOVES, spec

from gpu_thermo.engines import FusedEngine, make_engine
from gpu_thermo.running.loop import Loop
from gpu_thermo.running.pace import Pace
from gpu_thermo.running.setup import prepare
from gpu_thermo.running.tuned import _head
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.state import Segment

pytestmark = pytest.mark.gpu
R = 300
"""More than a block of 256, of which the last is not full."""
SHORT = {"steps": 48, "burn_in": 0, "thin": 4, "trace": 12}
SETS = {"data": {"name": "spirals", "train": 60, "test": 20, "seeds": [1, 2]}}
HE = {"hidden": 6, "prior_sd": 1.0, "init": "he"}
CASES = {
    "sums": {},
    "data sets": SETS,
    "densities": {
        "data": {"name": "diabetes"},
        "model": {"hidden": 6, "prior_sd": 1.0, "likelihood": "heteroscedastic"},
    },
    "all that is kept": {"keep": ["predictions", "log_likelihood"]},
    "array code": {
        "data": {"name": "breast_cancer"},
        "model": {"hidden": 4, "prior_sd": 1.0, "init": "he"},
    },
    "array code, densities": {
        "data": {"name": "diabetes"},
        "model": {"hidden": [70, 2], "prior_sd": 1.0, "noise_sd": "learn"},
    },
}
WEIGHTED = {
    "weights": {"model": HE},
    "weights and data sets": SETS | {"model": HE},
    "weights and densities": {"data": {"name": "diabetes"}, "model": HE},
    "weights by array code": CASES["array code"],
}


def made(move=None, replicas=R, keep=None, **sections):
    """A run made ready."""
    run = SHORT | {"replicas": replicas} | ({"keep": keep} if keep else {})
    return prepare(RunSpec.from_dict(spec(move, **run) | sections))


def ring(setup):
    """An engine on the device, its state, and a ring of two moments, in which two replicas are frozen."""
    model = setup.subject.model
    fused = model.inputs <= 16 and max(model.hidden) <= 64
    engine = make_engine(setup.job, "fused" if fused else "batched", "cuda:0")
    state = setup.initial_state()
    state.momentum[[3, 260], 1] = np.inf
    state = engine.load(state)
    return engine.advance(state, Segment(0, 3, (1, 3))), state


def observe(setup, device, recorded, there, weigh=None):
    """What an observer sees of the last moment, and its sums."""
    moments = setup.moments()
    seen = setup.subject.observer(setup, moments, device, 1)(recorded.position[1], True, weigh, there)
    kept = {"predictions": seen.predictions, "log_likelihood": seen.log_likelihood}
    return seen.statistics | {name: value for name, value in kept.items() if value is not None}, moments.sums


@pytest.mark.parametrize("case", CASES)
def test_what_is_seen_there_is_what_the_host_sees(case):
    """Statistics, averages and what is kept; frozen replicas give NaN and do not count."""
    setup = made(**CASES[case])
    recorded, _ = ring(setup)
    there, again, here = (
        observe(setup, device, recorded, at)
        for device, at in (("cuda:0", recorded.there[1]), ("cuda:0", None), ("cpu", None))
    )
    assert here[1]["draws"].sum() == R - 2
    assert np.isnan(there[0]["energy"][[3, 260]]).all()
    for found, wanted, told in zip(there, here, again, strict=True):
        assert set(found) == set(wanted) == set(told)
        for name, value in wanted.items():
            for other in (found[name], told[name]):
                np.testing.assert_allclose(other, value, rtol=2e-5, atol=2e-5 * np.nanmax(np.abs(value)), err_msg=name)


@pytest.mark.parametrize("case", WEIGHTED)
def test_weighted_averages_are_the_hosts(case, monkeypatch):
    """Of weights that spread over e^12, some of them 0 and some larger than all before; predictions stay there."""
    setup = made(**WEIGHTED[case])
    recorded, _ = ring(setup)
    given = np.random.default_rng(1).normal(0, 4, R)
    given[[0, 7, 290]] = -np.inf, np.nan, 30.0
    monkeypatch.setattr("gpu_thermo.running.seeing.fold.weighted", lambda moves: True)
    there, again, here = (
        observe(setup, device, recorded, at, lambda energy, rows: given[rows] + 0 * energy)[1]
        for device, at in (("cuda:0", recorded.there[1]), ("cuda:0", None), ("cpu", None))
    )
    assert here["draws"].sum() == R - 4
    for name, value in here.items():
        scale = np.abs(value).max() or 1
        np.testing.assert_allclose(there[name], value, rtol=2e-5, atol=2e-5 * scale, err_msg=name)
        np.testing.assert_allclose(again[name], value, rtol=2e-5, atol=2e-5 * scale, err_msg=name)
    plain = observe(setup, "cuda:0", recorded, recorded.there[1])[1]
    assert abs(plain["sum_w_phi"] / R - there["sum_w_phi"] / there["sum_w"].max()).max() > 1e-2  # power


def test_contours_are_read_where_they_are(counts):
    """Of a draw's weight only the energies go up and the weights come down, however many bins there are."""
    spent = []
    for bins in (20, 200):
        setup = made(MOVES["contour"] | {"bins": bins, "width": 0.6 / bins})
        engine = make_engine(setup.job, "batched", "cuda:0")
        state = setup.begin(engine)
        engine.advance(state, Segment(0, 20))
        contour, energy = setup.moves[0], np.linspace(0.5, 0.9, R)
        energy[3] = np.nan
        before = dict(counts)
        found = contour.log_weight(state, energy, slice(None))
        spent.append([counts[name] - before.get(name, 0) for name in ("to_device_bytes", "to_host_bytes")])
        wanted = contour.zeta * contour.log_psi({n: np.array(v) for n, v in state.extra.items()}, energy)
        np.testing.assert_allclose(found, wanted, rtol=1e-12)
        assert np.nanstd(found) > 1e-3
    assert spent[0] == spent[1] == [8 * R, 8 * R]


def test_sums_do_not_know_how_they_were_made():
    """Whole blocks of 256 in order: all replicas at once on the device, or block by block from the host."""
    setup = made(replicas=2 * 256)
    engine = FusedEngine(setup.job, "cuda:0")
    recorded = engine.advance(engine.load(setup.initial_state()), Segment(0, 2, (1, 2)))
    (_, there), (_, here) = (observe(setup, "cuda:0", recorded, at) for at in (recorded.there[1], None))
    for name, value in here.items():
        np.testing.assert_array_equal(there[name], value, err_msg=name)


@pytest.mark.parametrize("batch", [None, 30])
def test_energies_for_moves_are_those_of_the_host(batch):
    setup = made(MOVES["exchange_noisy"])
    _, state = ring(setup)
    there, here = (setup.subject.observer(setup, setup.moments(), device, 1) for device in ("cuda:0", "cpu"))
    found, wanted = there.energies(there.look_at(state), 2, batch), here.energies(state.position, 2, batch)
    for name in ("value", "variance", "prior"):
        np.testing.assert_allclose(getattr(found, name), getattr(wanted, name), rtol=2e-5, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("rows", [slice(5, 290), np.r_[280:3:-7]], ids=["neighbours", "those on the target"])
def test_some_of_a_ring_are_the_same_on_both_sides(rows):
    """As a run that tunes itself looks at them: on its ladders' target rungs, without the group at h/2."""
    setup = made(**SETS)
    recorded, _ = ring(setup)
    there, here = (setup.subject.observer(setup, setup.moments(), device, 1) for device in ("cuda:0", "cpu"))
    head = _head(recorded, 1, rows, False, there)
    assert head.steps == (3,)
    np.testing.assert_array_equal(head.position, recorded.position[1:, rows])
    np.testing.assert_array_equal(head.there[0].get(), head.position[0])
    assert _head(recorded, 1, rows, False, here).there is None
    found, wanted = there.watch(recorded.there[1]), here.watch(recorded.position[1])
    np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=2e-5)


# -- bytes -------------------------------------------------------------------------------------------------------------


class Even(Pace):
    """Segments do not depend on the hour."""

    def next(self):
        return 8


def traffic(counts, replicas, move=None, sections=None, **run):
    """Bytes each way of the loop's later segments; moments they recorded; bytes of one moment in the ring."""
    setup = prepare(RunSpec.from_dict(spec(move, replicas=replicas, keep=[], **(SHORT | run)) | (sections or {})))
    loop = Loop.make(setup, FusedEngine(setup.job, "cuda:0"), setup.initial_state(), setup.moments())
    loop.pace = Even()
    segments, moments = loop.segments(), 0
    while loop.state.step < 16:
        next(segments)
    before = counts.copy()
    for found in segments:
        moments += len(found)
    spent = Counter({name: counts[name] - before[name] for name in counts})
    return spent["to_device_bytes"], spent["to_host_bytes"], moments, loop.moment_bytes


def test_what_a_recording_segment_takes_down_is_the_ring_and_numbers_of_each_replica(counts):
    """Nothing that grows with the replicas goes up; down come the ring once, and of each replica at a recorded moment
    losses and scores of training and test points, the prior, and at a draw whether it counts.
    """
    small, large = (traffic(counts, replicas) for replicas in (256, 512))
    assert small[2] == large[2] > 5
    assert small[0] == large[0]
    ring = large[2] * (large[3] - small[3])
    assert large[1] - small[1] == ring + 256 * large[2] * (5 * 8 + 1)


def test_likelihoods_of_answers_are_averaged_there(counts):
    """Of numbers: the same bytes, and the learned noise, but no prediction."""
    regression = {"data": {"name": "diabetes"}, "model": HE}
    small, large = (traffic(counts, replicas, sections=regression, steps=24) for replicas in (256, 512))
    assert small[0] == large[0]
    assert large[1] - small[1] == large[2] * (large[3] - small[3]) + 256 * large[2] * (6 * 8 + 1)


def test_weighted_draws_take_energies_up_and_weights_down_and_up(counts):
    """Of a contour, at a draw; its histograms, 13 bytes a bin, stay."""
    small, large = (traffic(counts, replicas, MOVES["contour"], steps=32) for replicas in (256, 512))
    assert large[0] - small[0] == 256 * large[2] * (8 + 8)
    assert large[1] - small[1] == large[2] * (large[3] - small[3]) + 256 * large[2] * (6 * 8 + 1)


def test_without_recording_nothing_moves(counts):
    """But at the end, where a draw is."""
    small, large = (traffic(counts, replicas, burn_in=44, trace=48) for replicas in (256, 512))
    assert small[0] == large[0]
    assert small[2] == large[2] == 1
    assert large[1] - small[1] == large[3] - small[3] + 256 * (5 * 8 + 1)


def test_exchange_asks_for_energies_and_scales_momenta_there(counts):
    """An attempt takes down energies, and sends up which replicas moved and by how much: no momentum, no position."""
    small, large = (traffic(counts, replicas, EXCHANGE | {"interval": 4}) for replicas in (255, 510))
    assert small[2] == large[2]
    attempts, thermostat = (48 - 16) // 4, 8 * 2
    kept = 255 * attempts * (thermostat + 2 * (8 + 4) + 1)  # xi; rows and factors of two partitions; who counts
    assert 0 < large[0] - small[0] <= kept
    ring = large[2] * (large[3] - small[3])
    numbers = 255 * (large[2] * (5 * 8 + 1) + attempts * (3 * 8 + thermostat))
    assert ring < large[1] - small[1] <= ring + numbers
