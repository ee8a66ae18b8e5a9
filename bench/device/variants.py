"""Other ways to share a replica among a GPU's threads than kernels/sharing.py chooses: which are faster, by events.

Threads of a team, teams of a block, and the registers that a thread is expected to need, from which follows how many
blocks the compiler makes room for.
"""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

from gpu_thermo.engines import FusedEngine, Job
from gpu_thermo.engines.base import cores
from gpu_thermo.engines.fused import make_emitter
from gpu_thermo.kernels.sharing import Sharing

from ..contenders import Ours
from .facts import PROMISED, kernel_facts
from .rates import free, rate

Report = dict[str, Any]
REPLICAS = {"d100_B20": 10**5, "d20_B25": 10**5, "4x16_B128": 2 * 10**4}
TEAMS = (1, 2, 4, 8)
"""Of a block, where a team is one warp."""
REGISTERS = (40, 48, 56, 64, 80, 96, 128, 168)
"""A thread is allowed; fewer are more warps, and spills."""
WIDER = (64, 128, 256)
"""Threads of a larger team."""


def ways(job: Job) -> list[Sharing]:
    """The chosen one first, then the same with other blocks and registers, then larger teams."""
    emitter = make_emitter(job)
    chosen = emitter.sharing()
    out = [chosen, *(replace(chosen, registers=r) for r in REGISTERS)]
    if chosen.team == 32:
        out += [replace(chosen, teams=t) for t in TEAMS if t != chosen.teams]
    out += [emitter.sharing(team) for team in WIDER if team > chosen.team]
    return list(dict.fromkeys(out))


def variants(device: str, size: str, until: float) -> Iterator[Report]:
    """One report for each way of each promised case, as long as time lasts; kernels compile ahead in threads."""
    if device == "cpu":
        return
    made: list[tuple[str, Sharing, Future[FusedEngine]]] = []
    pool = ThreadPoolExecutor(cores())
    for name, case in list(PROMISED.items())[: 1 if size == "tiny" else None]:
        replicas = 8 if size == "tiny" else REPLICAS[name]
        job = case.ready(replicas)[0]
        for way in ways(job)[: 2 if size == "tiny" else None]:
            made.append((name, way, pool.submit(FusedEngine, job, device, None, way)))
    fastest: dict[str, float] = {}
    for name, way, engine in made:
        if time.monotonic() > until:
            pool.shutdown(wait=False, cancel_futures=True)
            return
        report: Report = {"case": name, "team": way.team, "teams": way.teams, "for_registers": way.registers}
        try:
            ours = Ours(PROMISED[name], engine.result().job.replicas, "fused", device, made=partial(_given, engine))
            report |= rate(ours, device, 0.1, 3) | kernel_facts(ours.engine)
            fastest.setdefault(name, report["rate"])
            report["over_chosen"] = report["rate"] / fastest[name]
        except Exception as trouble:  # one that does not compile or fit
            report["why"] = f"{type(trouble).__name__}: {trouble}"[:500]
        ours = None  # before its memory is given back
        free(device)
        yield report
    pool.shutdown()


def _given(engine: Future[FusedEngine], job: Job) -> FusedEngine:
    return engine.result()
