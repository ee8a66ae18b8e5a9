"""What child processes do to stores; here, so that they find it by name."""

import os
import random
import resource
from typing import Any

import pytest
from store_cases import advance, assert_same, make_draws, make_header, make_state, make_trace

from gpu_thermo.errors import RunError
from gpu_thermo.store import RunWriter


def sampler(path: str, seed: int, committed: Any) -> None:
    """Resume (or create), append and commit at random until killed; tells what is durable through shared
    memory.
    """
    rng = random.Random(seed)
    if os.path.exists(path):
        writer, checkpoint = RunWriter.resume(path)
        done = checkpoint.draws
        if done:
            assert checkpoint.state is not None
            assert_same(checkpoint.state.arrays(), make_state(done).arrays())
    else:
        writer, done = RunWriter.create(path, make_header()), 0
    while True:
        for _ in range(rng.randrange(3)):
            count = rng.choice((1, 2, 5))
            writer.append(make_draws(done, count))
            writer.append_trace(make_trace(done, count))
            done += count
        advance(writer, done, 1, wait=rng.random() < 0.5)
        done += 1
        committed.value = max(committed.value, writer.committed[1])


def limited(path: str) -> None:
    """A file may have 30 kB at most, which the commit record exceeds."""
    writer, _ = RunWriter.resume(path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
    with pytest.raises(RunError, match="larger than allowed"):
        advance(writer, 12, 1)
    writer.close()
