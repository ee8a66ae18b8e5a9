"""What is kept and recorded of shadow work (equations.md section 13)."""

import numpy as np
import pytest
from linear_maps import job_of, well

from gpu_thermo.engines.base import empty_record, initial_state, own_arrays, state_bytes
from gpu_thermo.engines.work import SUMS, block_rows, is_kept, kept_arrays, write_record
from gpu_thermo.state import Segment


@pytest.mark.parametrize(
    ("word", "rows"),
    [("{BAOAB}", {"position", "momentum", "gradient"}), ("{ABOBA}", {"position", "momentum"}), ("BAOAB", set())],
)
def test_a_block_starts_from_what_the_word_goes_on_from(word, rows):
    """A gradient is part of it only where a step opens with the last one."""
    job = job_of(word, well(1.0, 3), 0.1, 4, temperature=1.0, friction=1.0)
    assert set(block_rows(job.program)) == rows
    names = set(kept_arrays(job.program, 4, 3, np.float64))
    assert names == {SUMS} | ({f"block_{n}" for n in (*rows, "energy", "work", "steps")} if rows else set())
    assert all(map(is_kept, names))
    assert not is_kept("rung")


def test_states_hold_what_is_counted_and_engines_own_it():
    plain = job_of("BAOAB", well(1.0, 3), 0.1, 4, temperature=1.0, friction=1.0)
    bracing = job_of("{BAOAB}", well(1.0, 3), 0.1, 4, temperature=1.0, friction=1.0)
    assert not initial_state(plain, np.zeros((4, 3))).extra
    state = initial_state(bracing, np.zeros((4, 3)))
    own = own_arrays(state)
    assert {f"extra/{name}" for name in state.extra} <= set(own)
    assert state_bytes(bracing) == sum(a.nbytes for a in own.values())
    assert empty_record(state, Segment(0, 4, (2, 4))).acceptance.shape == (2, 4)
    assert empty_record(initial_state(plain, np.zeros((4, 3))), Segment(0, 1, (1,))).acceptance is None


def test_what_is_recorded_are_means_and_variances():
    """Of works drawn here, one of them not finite; NaN where nothing ended, and where a replica has stopped."""
    w = np.array([0.3, -0.2, np.inf, 1.0])
    chance = np.array([np.exp(-0.3), 1.0, 0.0, np.exp(-1.0)])
    safe = np.where(np.isfinite(w), w, 0)
    sums = np.array([[4, chance.sum(), 3, safe.sum(), (safe**2).sum()], [0, 0, 0, 0, 0], [1, 1, 1, 0, 0]], float)
    job = job_of("{BAOAB}", well(1.0, 1), 0.1, 3, temperature=1.0, friction=1.0)
    recorded = empty_record(initial_state(job, np.zeros((3, 1))), Segment(0, 1, (1,)))
    write_record(recorded, 0, slice(0, 3), sums, np.array([True, True, False]))
    np.testing.assert_allclose(recorded.acceptance[0], [chance.mean(), np.nan, np.nan])
    np.testing.assert_allclose(recorded.shadow_work[0], [w[[0, 1, 3]].mean(), np.nan, np.nan])
    np.testing.assert_allclose(recorded.shadow_work_variance[0], [w[[0, 1, 3]].var(), np.nan, np.nan])
    np.testing.assert_array_equal(recorded.proposals[0], [4, 0, np.nan])
