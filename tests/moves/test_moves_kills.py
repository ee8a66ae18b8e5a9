"""kill -9 at random moments of runs with ensemble moves: rungs, histograms and adapted weights come back bit for
bit.
"""

import random
import signal
import time

import pytest
from move_runs import ADL, LANGEVIN, MOVES, same, spec
from runs import child, committed, wait_for_progress

from gpu_thermo.run import sample
from gpu_thermo.store import open_run

STEPS = {"batched": 6_000, "fused": 40_000}


def longer(kind, engine):
    """A run of some seconds."""
    method = ADL if kind == "exchange_adapted" else LANGEVIN
    return spec(MOVES[kind], method, steps=STEPS[engine], burn_in=STEPS[engine] // 2, thin=20, trace=1000)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["batched", "fused"])
@pytest.mark.parametrize("kind", MOVES)
def test_kills_lose_nothing(kind, engine, tmp_path):
    """Five kills while the run advances and commits every 20 ms, in its adaptation and after; then it ends, equal to
    the straight run.
    """
    given = longer(kind, engine)
    whole = sample(given, tmp_path / "whole.zarr", engine=engine)
    path, rng, seen = tmp_path / "cut.zarr", random.Random(kind + engine), [0]
    while len(seen) < 6:
        process = child(path, engine, given)
        wait_for_progress(path, process)
        time.sleep(rng.uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        seen.append(committed(path))
        assert seen[-2] < seen[-1] < STEPS[engine], "the run is too short to be killed five times"
    child(path, engine, given).communicate()
    assert committed(path) == STEPS[engine]
    same(whole, open_run(path))
