"""Program to C++: the constants and the step (passes.py) that complete the headers of this folder for one job.

Text is made from records of operations, enumerations and integers only.
"""

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from ..errors import SpecError
from ..method.operations import compiled_operations, definitions
from ..method.record import Operation
from ..method.words import InForce, Program
from ..moves.contour import active_partition
from ..targets.networks import MlpModel
from . import network
from .passes import SCALE, StepText, make_plan
from .sharing import SHARED, Network, Sharing

FOLDER = Path(__file__).parent
MODES = ("subset", "epoch", "replacement", "full", "symmetric")
MOST_KEPT = 4
"""Arrays that the operations of one program may keep beside the state: a kernel's arguments have room for so many."""
_TILE = 128
"""Points a prediction kernel has at hand at once."""
_DEEP_TILE = 20
"""The same of a step through several layers, measured: a multiple of both block sizes of deep.h, few enough for its
activations to stay in cache."""


class Emitter:
    """Writes one job's source.

    Parameters
    ----------
    program, model : what a step does, on which network. batch : B, or N in mode "full". mode : minibatch mode. bits :
    32 or 64.
    work : whether the work of steps or proposals is counted (work.h).
    power : whether the likelihood has powers.
    contour : whether gradients are scaled by a learned histogram (contour.h). scaled : whether parameters have masses,
    whose m^(-1/2) then stand behind what the operations keep.

    Attributes
    ----------
    kept : names of the arrays beside the state.
    """

    def __init__(
        self, program: Program, model: MlpModel, mode: str, batch: int, bits: int, contour: bool = False,
        scaled: bool = False, work: bool = False, power: bool = False,
    ) -> None:  # fmt: skip
        self.program, self.model, self.mode, self.batch, self.bits, self.contour = (
            program,
            model,
            mode,
            batch,
            bits,
            contour,
        )
        self.scaled, self.kept = scaled, (*program.keeps, *((SCALE,) if scaled else ()))
        if len(self.kept) > MOST_KEPT:
            raise SpecError(
                f"This method keeps {', '.join(self.kept)} beside the state; the fused engine has room for"
                f" {MOST_KEPT}"
                " such arrays. Use the batched engine."
            )
        self.work, self.power = work, power
        self._tau = (InForce("temperature", active_partition(program)),) if contour else ()
        self._heat = (InForce("temperature", None),) if work else ()
        self.plan = make_plan(program, self._tau + self._heat, work)
        self._written = StepText(self.plan, self.kept)

    def source(self, entry: str, team: int | Sharing = 1, lanes: int | None = None) -> str:
        """Complete text for `entry`: "host", "device" (with `team` threads a replica, or shared out as a Sharing says)
        or "members" (the team test).
        """
        step = self._step()
        functions = network.functions(self.model)
        threads = team.team if isinstance(team, Sharing) else team
        headers = inline(*network.headers(self.model, threads), "contour.h", "work.h", "step.h")
        operations = library(self.program.records)
        return "\n".join((self._constants(team, lanes), operations, functions, headers, step, ENTRIES[entry], ""))

    def sharing(self, team: int | Sharing | None = None) -> Sharing:
        """How a GPU's threads share a replica: the best known way, that of so many threads, or the one given."""
        if isinstance(team, Sharing):
            return team
        return Network(self.model, self.bits, len(self.kept), self._points, self.contour).sharing(team)

    def _constants(self, team: int | Sharing, lanes: int | None) -> str:
        sharing = self.sharing(team) if team != 1 else None
        values = {
            "MODE": MODES.index(self.mode),
            "PARTITIONS": len(self.program.partition.names), "KEPT": len(self.kept), "SCALED": self.scaled,
            "MOST_KEPT": MOST_KEPT, "SUMS": len(self.plan.sums),
            "MOST_POINTS": sharing.tile if sharing else _DEEP_TILE, "TEAMS": sharing.teams if sharing else 1,
            "AT_LEAST": sharing.blocks if sharing else 1,
            "MOST_SHARED": SHARED,
            "CONTOUR": self.contour, "POWER": self.power,
            "TAU": self.plan.place(self._tau[0], 0, "w") if self._tau else 0,
            "WORK": self.work, "BRACES": self.program.braces is not None, "LEADING": self.program.leading_gradient,
            "ENDS_AT_EVALUATION": self.program.ends_at_evaluation,
            "HEAT": self.plan.place(self._heat[0], 0, "w") if self._heat else 0,
            "COEFFICIENTS": self.plan.count("r"), "WIDE_COEFFICIENTS": self.plan.count("w"),
            "FACTORS": self._written.factors,
        }  # fmt: skip
        sizes, parts = network.sizes(self.model, self._points), _parts(self.program, self.model)
        return "\n".join(
            (prologue(self.bits, sharing.team if sharing else 1, lanes), sizes, network.constants(values), *parts)
        )

    @property
    def _points(self) -> int:
        """Of a minibatch, as kernels are written for them: 0 where they are asked for N, which no kernel knows."""
        return 0 if self.mode == "full" else self.batch

    def _step(self) -> str:
        return self._written.text


def predict_source(model: MlpModel, bits: int) -> str:
    """Complete host text of the prediction kernels of `model` (kernels/predict.h)."""
    return _network_source(model, _TILE, prologue(bits), *network.headers(model), "predict.h")


def predict_device_source(model: MlpModel, bits: int, team: int = 32) -> str:
    """Complete text of the same on a GPU (kernels/predict.cu): CUDA with warps for the scores, or C++ with `team` 1."""
    return _network_source(model, 1, prologue(bits, team, 1), "layers.h", "predict.cu")


def _network_source(model: MlpModel, batch: int, first: str, *headers: str) -> str:
    numbers = network.sizes(model, batch)
    most = network.constants({"MOST_POINTS": _TILE})
    return "\n".join((first, numbers, most, inline("math.h"), network.functions(model), inline(*headers)))


def prologue(bits: int, team: int = 1, lanes: int | None = None) -> str:
    """The macros portable.h asks for."""
    lines = [f"#define REAL_BITS {bits}", f"#define TEAM {team}"]
    if lanes is not None:
        lines.append(f"#define LANES {lanes}")
    return "\n".join((*lines, inline("portable.h")))


@cache
def header(name: str) -> str:
    """Text of one kernel source file."""
    return (FOLDER / name).read_text()


def inline(*names: str) -> str:
    """Headers one after another, without their `#pragma once` and includes of each other."""
    text = "\n".join(f"// ==== {name}\n{header(name)}" for name in names)
    return re.sub(r'^#(pragma once|include ".*")\n', "", text, flags=re.MULTILINE)


def library(records: Iterable[Operation] | None = None) -> str:
    """What every kernel of the engines starts from: mathematics, random numbers, and the operations of `records`, all
    of the package by default.
    """
    records = compiled_operations() if records is None else records
    headers = inline("math.h", "philox.h", "normals.h", "minibatch.h")
    return f"{headers}\n// ==== operations\n{definitions(records)}\n"


def _parts(program: Program, model: MlpModel) -> tuple[str, ...]:
    """Partition of each tensor as compile-time functions: weights and biases of each layer, tensors of the tail."""
    ends, place, stop = [stop for _, stop in program.partition.bounds], {}, 0
    for name, size in model.layout.sizes.items():
        stop += size
        place[name] = next(k for k, end in enumerate(ends) if stop <= end)
    weights, biases = ([place[f"{kind}{l}"] for l in range(1, model.layers + 2)] for kind in "wb")
    tail = [place[t.name] for t in model.tail]
    return network.table("part_w", weights), network.table("part_b", biases), network.table("part_tail", tail)


ENTRIES = {
    "host": (
        """
struct alignas(64) Workspace {
  Replica replica;
  Shared shared;
};
extern "C" {
i64 workspace_bytes() { return sizeof(Workspace); }
i64 arguments_bytes() { return sizeof(Arguments); }
i64 lanes() { return LANES; }
void advance(const Arguments* a, void* workspace, i64 first, i64 last) {
  Workspace& w = *static_cast<Workspace*>(workspace);
  for (i64 r = first; r < last; r += LANES) {
    Run run(*a, w.replica, w.shared, 0);
    run.segment<Step>(r);
  }
}
}
"""
    ),
    "members": (
        """
struct alignas(64) Workspace {
  Replica replica[TEAM];
  Shared shared;
};
extern "C" {
i64 workspace_bytes() { return sizeof(Workspace); }
i64 arguments_bytes() { return sizeof(Arguments); }
i64 lanes() { return LANES; }
void advance_member(const Arguments* a, void* workspace, i64 first, i64 last, i64 member) {
  Workspace& w = *static_cast<Workspace*>(workspace);
  for (i64 r = first; r < last; ++r) {
    Run run(*a, w.replica[member], w.shared, int(member));
    run.segment<Step>(r);
  }
}
}
"""
    ),
    "device": (
        """
static_assert(TEAMS == 1 || TEAM <= 32, "barriers of a block are one team's alone");
struct Place {
  Shared shared;
  u32 gap[sizeof(Shared) / 8 % 2 ? 4 : 2];  // an odd number of eights: teams of one warp read from different banks
};
static_assert(sizeof(Place) * TEAMS <= MOST_SHARED, "more shared memory than sharing.py counts");
extern "C" __global__ void __launch_bounds__(TEAM * TEAMS, AT_LEAST) advance(const __grid_constant__ Arguments a) {
  __shared__ Place places[TEAMS];
  const int place = threadIdx.x / TEAM;
  const i64 r = i64(blockIdx.x) * TEAMS + place;
  if (r >= a.replicas) return;
  Replica replica;
  Run run(in_memory(a), replica, places[place].shared, threadIdx.x % TEAM);
  run.segment<Step>(r);
}
"""
    ),
}
"""Entry points by kind of machine."""
