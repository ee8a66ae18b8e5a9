"""On paper: how much of its time a GPU spends on steps, with draws recorded as by default.

`python -m gpu_thermo.kernels.check --promised --arch sm_90 --json FILE; python -m bench.device.paper FILE [--save]`

Warp instructions a replica-step and registers are those of the compiled kernels; bytes follow from what is recorded.
All else is assumed, and stands in `H100` and `Machine`; nothing here was measured on a GPU.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gpu_thermo.kernels.promised import ARCH
from gpu_thermo.running.drive import COMMIT_SECONDS

from ..cases import Case, spirals
from ..common import human, save

THIN = 500
"""Steps between two draws, and two points of the learning curves, by default."""
CASES = {"d20_B25": spirals(20, 25), "d100_B20": spirals(100, 20)}
REPLICAS = (10**3, 10**5, 10**6)


@dataclass(frozen=True)
class Machine:
    """A GPU and what it stands in; rates a second.

    Attributes
    ----------
    cycles : an instruction of a warp waits so many for the one before it; schedulers issue at most `issue` a cycle.
    bus : bytes from the GPU through pinned memory. disk : bytes that the writer's thread stores. host : seconds that
    the process takes for a draw, whatever R: launches, bookkeeping, hand-over to the writer.
    """

    multiprocessors: int = 132
    schedulers: int = 4
    clock: float = 1.755e9
    cycles: float = 6.0
    issue: float = 0.5
    registers: int = 2**16
    bus: float = 50e9
    disk: float = 0.74e9
    host: float = 0.8e-3


H100 = Machine()
"""SXM, at its boost clock, on PCIe 5 x 16. Cycles and issue are guesses; disk and host were measured where there was no
GPU: a store without compressor at 742 MB/s, and draws of 16 replicas, at which there is next to nothing to look at."""


@dataclass(frozen=True)
class Kernel:
    """A promised kernel: warp instructions a replica-step, registers a thread, threads of a replica."""

    instructions: float
    registers: int
    team: int = 32

    @property
    def warps(self) -> float:
        """Of a replica."""
        return self.team / 32

    @property
    def replicas_of_block(self) -> int:
        """Blocks are of four warps, or of one team."""
        return max(1, 128 // self.team) if self.team <= 32 else 1


def rate(kernel: Kernel, replicas: int, machine: Machine = H100) -> float:
    """Replica-steps a second of the kernel alone: warps issue by turns, each at most every `cycles`, and the
    multiprocessor with most blocks is waited for.
    """
    allocated = 32 * -(-kernel.registers // 8) * 8
    warps = round(kernel.warps * kernel.replicas_of_block)
    room = machine.schedulers * (machine.registers // machine.schedulers // allocated) // warps  # blocks at once
    blocks = -(-replicas // kernel.replicas_of_block)
    whole, rest = divmod(-(-blocks // machine.multiprocessors), room)
    seconds = sum(_wave(kernel, at_once * warps, machine) for at_once in (*[room] * whole, rest) if at_once)
    return replicas / seconds


def _wave(kernel: Kernel, warps: int, machine: Machine) -> float:
    """Seconds of one step of the warps on a multiprocessor at once."""
    each = warps / machine.schedulers
    return kernel.instructions / kernel.warps * each / min(machine.issue, each / machine.cycles) / machine.clock


def share(case: Case, kernel: Kernel, replicas: int, machine: Machine = H100) -> dict[str, float]:
    """Seconds of a draw and the THIN steps before it: of steps, of looking at it on the GPU, of its way down, of the
    host, and of the writer beside all that; and the share of steps in what passes.
    """
    job, points = case.job(), case.points + len(case.setup(1).subject.data.x_test[0])
    steps = replicas * THIN / (alone := rate(kernel, replicas, machine))
    forward = job.target.arithmetic(points)["forward"].instructions / 32
    draw = replicas * (4 * case.parameters + 8 * (2 * len(job.program.partition.names) + 1))
    state = 3 * replicas * 4 * case.parameters
    parts = {"steps": steps, "looking": steps * forward / (THIN * kernel.instructions), "bus": draw / machine.bus,
             "host": machine.host}  # fmt: skip
    passing = sum(parts.values())
    writing = (draw + state * passing / COMMIT_SECONDS) / machine.disk
    return {**parts, "writing": writing, "share": steps / max(passing, writing), "rate": alone,
            "of_issue": alone * kernel.instructions / (machine.multiprocessors * machine.schedulers * machine.clock),
            "draw_bytes": draw}  # fmt: skip


def kernels(checked: dict[str, Any]) -> dict[str, Kernel]:
    """The promised kernels of a check's JSON."""
    found = {}
    for one in checked["kernels"]:
        if one["promise"] in CASES and one["arch"] == ARCH and one["executed"]:
            found[one["promise"]] = Kernel(one["executed"]["instructions"], one["resources"]["registers"], one["team"])
    return found


def table(checked: dict[str, Any], machine: Machine = H100) -> dict[str, Any]:
    """Every case at every number of replicas."""
    found = kernels(checked)
    if missing := CASES.keys() - found.keys():
        raise SystemExit(
            f"{', '.join(sorted(missing))}: not counted. Run python -m gpu_thermo.kernels.check --promised --arch"
            f" {ARCH} --json FILE where nvdisasm is (pip install nvidia-cuda-nvdisasm)."
        )
    return {
        "nvrtc": checked["nvrtc"], "assumed": asdict(machine), "thin": THIN,
        "kernels": {name: asdict(kernel) for name, kernel in found.items()},
        "cases": {name: {str(r): share(case, found[name], r, machine) for r in REPLICAS}
                  for name, case in CASES.items()},
    }  # fmt: skip


def main() -> None:
    """Print, and write the result file where asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checked", type=Path, help="what kernels.check wrote")
    parser.add_argument("--save", action="store_true", help="write bench/results/paper.json")
    given = parser.parse_args()
    result = table(json.loads(given.checked.read_text()))
    for name, by_replicas in result["cases"].items():
        for replicas, r in by_replicas.items():
            print(f"{name:9s} R {replicas:>8s} {human(r['rate']):>7s} replica-steps/s, {r['share']:.0%} of the time")
    if given.save:
        save("paper", result)


if __name__ == "__main__":
    main()
