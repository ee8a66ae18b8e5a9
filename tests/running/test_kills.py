"""kill -9 at random moments, many times: births, runs, resumption, extension, moves. What was said to be committed is
there, and the run that is gone on with ends as one that was never killed, bit for bit.
"""

import os
import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from kill_children import go_on, server
from runs import NEEDS_COMPILER, changed, differences

from gpu_thermo.store import open_run, read_header

KILLS = int(os.environ.get("GPU_THERMO_KILLS", "100"))
"""Of each case."""
STEPS = {"batched": 1_500, "fused": 30_000}
LANGEVIN = {"name": "langevin", "stepsize": 0.1, "temperature": 1e-3, "friction": 1.0}
LADDER = {"kind": "exchange", "rungs": 5, "hottest": 1e-1, "interval": 10}


def run(engine: str, share: float = 1.0, **sections: Any) -> dict[str, Any]:
    """A run of about a second on one core, or a part of it."""
    every = STEPS[engine] // 30
    run = {"steps": int(STEPS[engine] * share), "burn_in": 0, "thin": every, "trace": every}
    given = changed(run=run) | {"method": LANGEVIN}
    return given | sections


class Killed:
    """A run whose processes are killed."""

    def __init__(self, path: Path, spec: dict[str, Any], engine: str, seed: int) -> None:
        self.path, self.spec, self.engine = path, spec, engine
        self.rng, self.context, self.counts = random.Random(seed), server(), Counter()
        self._told = self.context.Value("q", 0)

    def life(self, kind: str, kills: int) -> None:
        """Some kills, and the end."""
        for _ in range(kills):
            found = kind if self.path.exists() else "sample"
            if not self._kill():
                break
            self.counts[found] += 1
        child = self._child()
        child.join(120)
        assert child.exitcode == 0

    def _child(self) -> Any:
        self._told.value = 0
        child = self.context.Process(target=go_on, args=(str(self.path), self.spec, self.engine, self._told))
        child.start()
        return child

    def _kill(self) -> bool:
        """Whether the process was still running at a random moment, and is killed: one time in four whenever it be,
        else soon after it was heard to commit.
        """
        before = read_header(self.path).draws if self.path.exists() else 0
        child = self._child()
        if self.rng.random() < 0.75:
            while child.exitcode is None and not self._told.value:
                child.join(0.002)
        child.join(self.rng.expovariate(10))
        if child.exitcode is not None:
            assert child.exitcode == 0
            return False
        child.kill()
        child.join()
        if self.path.exists():
            assert read_header(self.path).draws >= max(before, self._told.value)
            open_run(self.path).close()
        else:
            assert not self._told.value
        return True


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["batched", pytest.param("fused", marks=NEEDS_COMPILER)])
@pytest.mark.parametrize("kind", ["resume", "extension", "moves"])
def test_a_hundred_kills_lose_nothing(kind: str, engine: str, tmp_path: Path) -> None:
    """Births among them; run with -s for the counts."""
    moves: dict[str, Any] = {"moves": [LADDER]} if kind == "moves" else {}
    whole = Killed(tmp_path / "straight.zarr", run(engine, **moves), engine, 0)
    whole.life(kind, 0)
    cut = Killed(tmp_path / "cut.zarr", whole.spec, engine, hash_of(kind + engine))
    if kind == "extension":
        Killed(tmp_path / "short.zarr", run(engine, 0.2, **moves), engine, 0).life(kind, 0)
    while sum(cut.counts.values()) < KILLS:
        if kind == "extension":
            shutil.copytree(tmp_path / "short.zarr", cut.path)
        cut.life(kind, cut.rng.randint(2, 8))
        assert differences(whole.path, cut.path) == []
        shutil.rmtree(cut.path)
    print(f"\n{kind}, {engine}: {dict(cut.counts)}")
    assert cut.counts[kind] >= KILLS / 2


def hash_of(text: str) -> int:
    """A seed of its own for every case, the same in every process."""
    return int.from_bytes(text.encode(), "little")
