"""What several GPUs see of one run: each looks at its own replicas, and all numbers are those of one GPU."""

import numpy as np
import pytest
from move_runs import EXCHANGE, MOVES, spec

from gpu_thermo.engines import make_engine
from gpu_thermo.engines.sharded import Spread
from gpu_thermo.running.loop import Loop
from gpu_thermo.running.pace import Pace
from gpu_thermo.running.setup import prepare
from gpu_thermo.running.tuned import _head
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.state import Segment

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("two_gpus")]
SHORT = {"steps": 48, "burn_in": 0, "thin": 4, "trace": 12}
BOTH = "cuda:0,cuda:1"
HE = {"hidden": 6, "prior_sd": 1.0, "init": "he"}
SETS = {"data": {"name": "spirals", "train": 60, "test": 20, "seeds": [1, 2]}}
KEPT = {"keep": ["predictions", "log_likelihood"]}
CASES = {
    "a block of both": (600, {}, {}),
    "less than a block": (20, {}, KEPT),
    "whole blocks, all that is kept": (512, {}, KEPT),
    "data sets": (600, SETS | {"model": HE}, {}),
    "densities": (600, {"data": {"name": "diabetes"}, "model": HE}, {}),
    "array code": (600, {"data": {"name": "breast_cancer"}, "model": HE}, {}),
}


PLAIN = ("a block of both", "whole blocks, all that is kept")
"""Cases that are taken without weights by default, the others with them; the rest are slow."""


def made(replicas, move=None, sections=None, **run):
    tree = spec(move, **(SHORT | {"replicas": replicas, "keep": []} | run)) | (sections or {})
    return prepare(RunSpec.from_dict(tree))


def ring(setup, device, lost=()):
    """An engine on some devices, its state, and a ring of two moments, in which some replicas are frozen."""
    engine = make_engine(setup.job, "batched", device, together=3)
    state = setup.begin(engine)
    state.edit("momentum")[list(lost), 1] = np.inf
    return engine.advance(state, Segment(0, 3, (1, 3))), state


def observe(setup, device, recorded, weigh=None):
    """What an observer sees of the last moment, by name, and its sums."""
    moments = setup.moments()
    seen = setup.subject.observer(setup, moments, device, 1)(recorded.position[1], True, weigh, recorded.there[1])
    kept = {"predictions": seen.predictions, "log_likelihood": seen.log_likelihood}
    return seen.statistics | {name: value for name, value in kept.items() if value is not None} | moments.sums


@pytest.mark.parametrize(("case", "weighted"), [
    *[pytest.param(case, w, id=f"{case}{', weighted' * w}", marks=[pytest.mark.slow] * (w == (case in PLAIN)))
      for case in CASES for w in (False, True)],
])  # fmt: skip
def test_two_see_what_one_sees(case, weighted):
    """Statistics, averages and what is kept, bit for bit, also where a share ends within a block of 256."""
    replicas, sections, run = CASES[case]
    given = np.random.default_rng(1).normal(0, 4, replicas)
    given[[0, 7]] = -np.inf, 30.0
    setup = made(replicas, None, sections, **run)
    lost = (3, replicas - 2)
    found, wanted = (
        observe(setup, d, ring(setup, d, lost)[0], (lambda e, rows: given[rows] + 0 * e) if weighted else None)
        for d in (BOTH, "cuda:0")
    )
    assert wanted["draws"].sum() == replicas - 2 - weighted
    assert set(found) == set(wanted)
    for name, value in wanted.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


@pytest.mark.parametrize("batch", [None, 30])
def test_energies_for_moves_are_those_of_one(batch):
    setup = made(600, EXCHANGE)
    found, wanted = (
        observer.energies(observer.look_at(state), 2, batch)
        for observer, state in (
            (setup.subject.observer(setup, setup.moments(), d, 1), ring(setup, d, (5,))[1]) for d in (BOTH, "cuda:0")
        )
    )
    for name in ("value", "variance", "prior"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name), err_msg=name)
    assert np.isnan(found.value[5])


def test_momenta_are_scaled_where_they_are():
    setup = made(600, EXCHANGE)
    rows, factor = np.r_[590:3:-40], np.linspace(0.5, 2, 15)[:, None]
    found = []
    for d in (BOTH, "cuda:0"):
        _, state = ring(setup, d)
        before = np.array(state.momentum)
        state.scale("momentum", rows, slice(2, 9), factor)
        assert not state._edited
        found.append(state.momentum)
        changed = before.copy()
        changed[rows, 2:9] *= factor
        np.testing.assert_array_equal(state.momentum, changed)
    np.testing.assert_array_equal(*found)


def test_contours_are_read_by_each():
    setup, energy = made(600, MOVES["contour"]), np.linspace(0.5, 0.9, 600)
    (_, both), (_, one) = (ring(setup, d) for d in (BOTH, "cuda:0"))
    for rows in (slice(None), slice(256, 512), slice(512, 600), slice(3, 9)):
        found, wanted = (setup.moves[0].log_weight(s, energy[rows], rows) for s in (both, one))
        np.testing.assert_array_equal(found, wanted)


def test_rings_spread_and_are_cut():
    """As runs that tune themselves look at them: rows that count, and all at the probes."""
    setup = made(600)
    recorded, _ = ring(setup, BOTH)
    there = setup.subject.observer(setup, setup.moments(), BOTH, 1)
    assert isinstance(recorded.there[1], Spread)
    for count in (100, 400):
        head = _head(recorded, 1, slice(count), False, there)
        whole = np.concatenate([a.get() for a in head.there[0].arrays])
        np.testing.assert_array_equal(whole, head.position[0])
        few = head.there[0][90:99]
        np.testing.assert_array_equal(few.get(), head.position[0][90:99])
    assert _head(recorded, 1, np.array([4, 300]), False, there).there is None
    one = setup.subject.observer(setup, setup.moments(), "cuda:0", 1)
    seen = one.watch(recorded.position[1])
    np.testing.assert_array_equal(there.watch(recorded.there[1]), seen)
    np.testing.assert_array_equal(there.watch(recorded.position[1]), seen)


class Even(Pace):
    """Segments do not depend on the hour."""

    def next(self):
        return 8


def test_nothing_that_grows_goes_up():
    """Of rings whose shares are whole blocks; down come the ring and numbers of each replica, as on one device."""
    import cupy

    if not hasattr(cupy, "COUNTS"):
        pytest.skip("only the stand-in counts bytes")
    spent = []
    for replicas in (512, 1024):
        setup = made(replicas, steps=24)
        engine = make_engine(setup.job, "fused", BOTH)
        loop = Loop.make(setup, engine, setup.begin(engine), setup.moments())
        loop.pace = Even()
        segments = loop.segments()
        next(segments), next(segments)
        before, moments = dict(cupy.COUNTS), 0
        for found in segments:
            moments += len(found)
        up, down = (cupy.COUNTS[f"{way}_bytes"] - before[f"{way}_bytes"] for way in ("to_device", "to_host"))
        spent.append((up, down - moments * (loop.moment_bytes + replicas * (5 * 8 + 1))))
    assert moments > 1
    assert spent[0][0] == spent[1][0]
    assert abs(spent[0][1] - spent[1][1]) <= 512 * 2 * 4  # status, by which a share counts who runs
