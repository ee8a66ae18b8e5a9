"""Draws that wait for the verdict on their window of burn-in; what becomes of them is seen in test_tuned.py."""

import numpy as np
import pytest
from tuned_cases import well

from gpu_thermo.running.setup import prepare
from gpu_thermo.running.waiting import MOST_BYTES, Waiting, waiting_bytes
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.state import Recorded

R, P = 5, 3


def draw(step, work=True):
    rng = np.random.default_rng(step)
    wide, narrow = rng.normal(size=(1, R, P)).astype(np.float32), rng.normal(size=(4, 1, R))
    more = dict(zip(("acceptance", "shadow_work", "shadow_work_variance", "proposals"), narrow, strict=True))
    of_partition = rng.normal(size=(2, 1, R, 1))
    return Recorded((step,), wide, *of_partition, narrow[0], **more if work else {})


@pytest.mark.parametrize("work", [True, False])
def test_go_into_a_checkpoint_and_back(work):
    waiting = Waiting()
    assert Waiting.of(waiting.arrays()) == waiting
    for step in (12, 24, 36):
        waiting.add(draw(step, work))
    found = Waiting.of(waiting.arrays())
    assert len(found) == 3
    for mine, theirs in zip(waiting.draws, found.draws, strict=True):
        assert mine.steps == theirs.steps
        for name, value in vars(mine).items():
            np.testing.assert_array_equal(value, getattr(theirs, name))


def test_are_copies():
    """The ring that they were recorded in is written again."""
    waiting, one = Waiting(), draw(12)
    waiting.add(one)
    one.position[...] = 0
    assert waiting.draws[0].position.all()


def test_only_as_many_as_a_checkpoint_has_room_for():
    """A window of 32 draws; a well of three coordinates takes about 30 bytes a replica."""
    few, many = (prepare(RunSpec.from_dict(well(replicas=n))).job for n in (64, 64_000))
    assert waiting_bytes(many) == 0
    assert 32 * 64 * 3 * 4 < waiting_bytes(few) < MOST_BYTES
