"""kill -9 at random moments of runs with ensemble moves: rungs, histograms and adapted weights come back bit for bit."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
from test_moves_run import ADL, LANGEVIN, MOVES, same, spec
from test_run import CHILD

from gpu_thermo.run import sample
from gpu_thermo.store import open_run, read_header

STEPS = {"batched": 6_000, "fused": 40_000}


def longer(kind, engine):
    """A run of some seconds."""
    method = ADL if kind == "exchange_adapted" else LANGEVIN
    return spec(MOVES[kind], method, steps=STEPS[engine], burn_in=STEPS[engine] // 2, thin=20, trace=1000)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["batched", "fused"])
@pytest.mark.parametrize("kind", MOVES)
def test_kills_lose_nothing(kind, engine, tmp_path):
    """Five kills while the run advances and commits every 20 ms, in its adaptation and after; then it ends, equal to the straight run."""
    given = longer(kind, engine)
    begin = time.monotonic()
    whole = sample(given, tmp_path / "whole.zarr", engine=engine)
    seconds = time.monotonic() - begin
    path, rng, kills, seen = tmp_path / "cut.zarr", random.Random(kind + engine), 0, []
    command = [sys.executable, "-c", CHILD, str(path), json.dumps(given), engine]
    while True:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        if kills < 5:
            process.stdout.readline()
            time.sleep(rng.uniform(0, seconds / 4))
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.communicate()
        seen.append(read_header(path).step)
        if kills == 5 and seen[-1] == STEPS[engine]:
            break
        if seen[-1] == STEPS[engine]:  # finished before all kills were spent
            shutil.rmtree(path)
    assert len(set(seen)) > 2
    same(whole, open_run(path))
