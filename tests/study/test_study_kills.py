"""kill -9 of studies while their shards commit: in one process, and in several that write into one store, as workers
do. No finished shard is lost or made again, and the study ends as one that was never killed, bit for bit.
"""

import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from kill_children import server, study_on, work_on
from study_cases import changed, same

from gpu_thermo.study import open_study, run_study

KILLS = int(os.environ.get("GPU_THERMO_KILLS", "100"))
"""Of each case."""
STUDY = changed(seeds={"count": 20}, study={"shard": 1}, run={"steps": 100, "batch": 10, "trace": 50})


def parts(store: Path) -> dict[str, int]:
    """Finished shards, and when they were."""
    return {p.name: p.stat().st_mtime_ns for p in (store / "status" / "parts").glob("*.npz")}


def killed(children: list[Any], store: Path, rng: random.Random) -> int:
    """Kill each at a moment of its own, three times in four after a shard was finished; how many still ran."""
    before, count = len(parts(store)), 0
    waits = rng.random() < 0.75
    while waits and len(parts(store)) == before and any(child.exitcode is None for child in children):
        children[0].join(0.01)
    for child in children:
        child.join(rng.expovariate(10))
        if child.exitcode is None:
            child.kill()
            child.join()
            count += 1
        else:
            assert child.exitcode == 0
    return count


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 3])
def test_kills_while_shards_commit(tmp_path: Path, workers: int) -> None:
    """A hundred of them; run with -s for the counts."""
    straight = run_study({**STUDY, "study": {}}, tmp_path / "straight.zarr").load()
    store, rng, context = tmp_path / "s.zarr", random.Random(workers), server()
    kills = within = 0
    while kills < KILLS:
        before = parts(store)
        if workers and store.exists():
            targets = [(work_on, (str(store), STUDY, place, workers)) for place in range(workers)]
        else:
            targets = [(study_on, (str(store), STUDY))]
        children = [context.Process(target=target, args=args) for target, args in targets]
        for child in children:
            child.start()
        ended = killed(children, store, rng)
        after = parts(store)
        assert {name: after.get(name) for name in before} == before
        kills, within = kills + ended, within + (ended if len(before) < len(after) < 60 else 0)
        if len(after) == 60:
            same(straight, run_study(STUDY, store).load())
            assert list((store / "status" / "parts").glob("*.partial")) == []
            shutil.rmtree(store)
    if store.exists():
        same(straight, run_study(STUDY, store).load())
        assert int((open_study(store)["status"] >= 0).sum()) == 60
    print(f"\n{workers or 'no'} workers: {kills} kills, {within} of them of processes that had just finished shards")
    assert within >= KILLS / 4
