"""Program to C++: the constants, passes and step function that complete the headers of this folder for one job.

Between two gradient evaluations partitions do not see each other, so their letters are applied parameter by parameter
in one *pass* over the units, all partitions at once; noise with one index is drawn once for all of them. A pass ends
where a word has E, which needs p.p.
Text is made from enumerations and integers only.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from ..method.operations import definitions, operation
from ..method.words import Evaluate, InForce, Program, Substep
from ..moves.contour import active_partition
from ..targets.networks import ACTIVATIONS, TASKS, ShlpModel

FOLDER = Path(__file__).parent
MODES = ("subset", "epoch", "replacement", "full")
_TILE = 128
"""Points a prediction kernel has at hand at once."""
_REGISTERS = 96
"""Registers a GPU thread may spend on position, momentum and gradient of its units."""


@dataclass(frozen=True)
class Coefficient:
    """Value number `index` of a substep's coefficients, or a hyperparameter, in table `kind` ("r" or "w")."""

    of: Substep | InForce
    index: int
    kind: str


@dataclass
class Pass:
    """Operations of each partition, in order, without a sum between them; `after` are those that ask for the sums."""

    letters: dict[int, list[Substep]] = field(default_factory=dict)
    after: list[Substep] = field(default_factory=list)

    @property
    def subs(self) -> list[int]:
        """Noise indices drawn in this pass."""
        return sorted({s.sub for letters in self.letters.values() for s in letters if operation(s.operation).normals})


@dataclass
class Plan:
    """One step: passes and evaluations (None) in order, and the coefficients they read."""

    actions: list[Pass | None]
    coefficients: list[Coefficient]

    def count(self, kind: str) -> int:
        """Coefficients of one table."""
        return sum(c.kind == kind for c in self.coefficients)


def make_plan(program: Program) -> Plan:
    """Group the program's substeps into passes."""
    actions: list[Pass | None] = []
    chunk: list[Substep] = []
    for s in (*program.substeps, None):
        if isinstance(s, Substep):
            chunk.append(s)
            continue
        actions += _passes(chunk)
        chunk = []
        if isinstance(s, Evaluate):
            actions.append(None)
    found: dict[tuple[object, ...], Substep] = {}
    for a in actions:
        for s in () if a is None else (*(s for letters in a.letters.values() for s in letters), *a.after):
            found.setdefault(_key(s), s)
    records = {s: operation(s.operation) for s in found.values()}
    kinds = {s: record.kinds + "r" * record.ticks for s, record in records.items()}
    return Plan(actions, [Coefficient(s, i, kind) for s in found.values() for i, kind in enumerate(kinds[s])])


def _key(of: Substep | InForce) -> tuple[object, ...]:
    """Substeps with one key have equal coefficients."""
    if isinstance(of, InForce):
        return (of,)
    same = operation(of.operation).several
    return (of.operation, of.fraction) if same else (of.operation, of.fraction, of.partitions[0])


def _passes(chunk: list[Substep]) -> list[Pass]:
    per_partition: dict[int, list[Substep]] = {}
    for s in chunk:
        for k in s.partitions:
            per_partition.setdefault(k, []).append(s)
    passes: list[Pass] = []
    for k, letters in per_partition.items():
        at = 0
        for s in letters:
            if at == len(passes):
                passes.append(Pass())
            if operation(s.operation).sums:
                passes[at].letters.setdefault(k, [])
                passes[at].after.append(s)
                at += 1
            else:
                passes[at].letters.setdefault(k, []).append(s)
    return passes


class Emitter:
    """Writes one job's source.

    Parameters
    ----------
    program, model : what a step does, on which network. batch : B, or N in mode "full". mode : minibatch mode. bits :
    32 or 64.
    contour : whether gradients are scaled by a learned histogram (contour.h).
    """

    def __init__(
        self, program: Program, model: ShlpModel, mode: str, batch: int, bits: int, contour: bool = False
    ) -> None:
        self.program, self.model, self.mode, self.batch, self.bits, self.contour = (
            program,
            model,
            mode,
            batch,
            bits,
            contour,
        )
        self.plan = make_plan(program)
        self._tau = InForce("temperature", active_partition(program))
        if contour:
            self.plan.coefficients.append(Coefficient(self._tau, 0, "w"))
        counters = {"r": 0, "w": 0}
        self._place: dict[tuple[object, ...], str] = {}
        for c in self.plan.coefficients:
            self._place[(*_key(c.of), c.index)] = f"c.{c.kind}[{counters[c.kind]}]"
            counters[c.kind] += 1
        self._factors = 0

    def source(self, entry: str, team: int = 1, lanes: int | None = None) -> str:
        """Complete text for `entry`: "host", "device" (teams_per_block = 4 warps at most) or "members" (the team
        test).
        """
        self._factors = 0
        step = self._step()
        headers = library() + "\n" + inline("shlp.h", "wide.h", "contour.h", "step.h")
        return "\n".join((self._constants(team, lanes), headers, step, ENTRIES[entry], ""))

    def _constants(self, team: int, lanes: int | None) -> str:
        values = _sizes(self.model, self.batch) | {
            "MODE": MODES.index(self.mode), "PRIOR": self.model.prior_sd is not None,
            "PARTITIONS": len(self.program.partition.names), "ADAM": bool(self.program.keeps),
            "CONTOUR": self.contour, "TAU": int(self._coefficient(self._tau, 0)[4:-1]) if self.contour else 0,
            "COEFFICIENTS": self.plan.count("r"), "WIDE_COEFFICIENTS": self.plan.count("w"), "FACTORS": self._factors,
        } | {f"PART_{name.upper()}": k for name, k in _tensor_partitions(self.program).items()}  # fmt: skip
        return "\n".join((prologue(self.bits, team, lanes), _constants(values)))

    def _step(self) -> str:
        passes: list[str] = []
        calls: list[str] = []
        for action in self.plan.actions:
            if action is None:
                calls.append("run.evaluate();")
                continue
            calls.append(f"run.visit<Pass{len(passes)}>();")
            for s in action.after:
                rate, target = (self._coefficient(s, i)[4:-1] for i in (0, 1))
                calls.append(f"run.thermostat({s.partitions[0]}, {rate}, {target});")
            passes.append(self._pass(len(passes), action))
        body = "\n".join(f"    {c}" for c in calls)
        return "\n".join(passes) + f"\nstruct Step {{\n  HD static void run(Run& run) {{\n{body}\n  }}\n}};\n"

    def _pass(self, number: int, action: Pass) -> str:
        subs = action.subs
        self._damping: list[str] = []
        cases = []
        for k, letters in action.letters.items():
            lines = "".join(f"      {self._call(s, k, subs)}\n" for s in letters)
            cases.append(f"    if constexpr (K == {k}) {{\n{lines}    }}")
        draws = {
            (k, subs.index(s.sub))
            for k, letters in action.letters.items()
            for s in letters
            if operation(s.operation).normals
        }
        summed = {s.partitions[0] for s in action.after}
        return "\n".join(
            (
                f"struct Pass{number} {{",
                f"  static constexpr int SLOTS = {len(subs)};",
                f"  HD static constexpr u32 sub(int slot) {{ return {_choose(dict(enumerate(subs)))}; }}",
                f"  HD static constexpr bool sums(int k) {{ return {_any_of(summed)}; }}",
                (
                    "  HD static constexpr bool moves(int k) { return"
                    f" {_any_of(k for k, v in action.letters.items() if v)}; }}"
                ),
                f"  HD static constexpr bool draws(int k, int slot) {{ return {_any_pair(draws)}; }}",
                (
                    "  HD static void factors(const Coefficients& c, const wide* xi, real* f) {"
                    f" {' '.join(self._damping)} }}"
                ),
                (
                    "  template <int K> HD static void apply(Parameter& x, const real* n, const Coefficients& c, const"
                    " real* f) {"
                ),
                *cases,
                "  }",
                "};",
            )
        )

    def _coefficient(self, s: Substep | InForce, i: int) -> str:
        return self._place[(*_key(s), i)]

    def _factor(self, expression: str) -> str:
        self._damping.append(f"f[{self._factors}] = {expression};")
        self._factors += 1
        return f"f[{self._factors - 1}]"

    def _call(self, s: Substep, k: int, subs: list[int]) -> str:
        record = operation(s.operation)
        c = [self._coefficient(s, i) for i in range(len(record.kinds))]
        names = {f"t{i}": self._coefficient(s, len(c) + i) for i in range(record.ticks)}
        names |= {"n": f"n[{subs.index(s.sub)}]"} if record.normals else {}
        names |= {f"f{i}": self._factor(text.format(*c, xi=f"xi[{k}]")) for i, text in enumerate(record.factors)}
        names |= {name: f"x.{moment}" for name, moment in zip(record.keeps, "mv", strict=False)}
        return record.call.format(*c, **names)


def team_size(emitter: Emitter) -> int:
    """Threads per replica on a GPU: a warp, or more where a thread's units would not fit its registers."""
    model = emitter.model
    values = 3 * (model.inputs + 1 + model.outputs) * emitter.bits // 32
    team = 32
    while team < 512 and -(-model.hidden // team) * values > _REGISTERS:
        team *= 2
    return team


def predict_source(model: ShlpModel, bits: int) -> str:
    """Complete host text of the prediction kernels of `model` (kernels/predict.h)."""
    return "\n".join(
        (
            prologue(bits),
            _constants(_sizes(model, _TILE)),
            inline("math.h", "shlp.h", "wide.h", "respond.h", "predict.h"),
        )
    )


def predict_device_source(model: ShlpModel, bits: int, team: int = 32) -> str:
    """Complete text of the same on a GPU (kernels/predict.cu): CUDA with warps for the scores, or C++ with `team` 1."""
    return "\n".join(
        (prologue(bits, team, 1), _constants(_sizes(model, 1)), inline("math.h", "shlp.h", "respond.h", "predict.cu"))
    )


def _sizes(model: ShlpModel, batch: int) -> dict[str, int | bool]:
    """What shlp.h asks for."""
    return {
        "INPUTS": model.inputs, "HIDDEN": model.hidden, "OUTPUTS": model.outputs, "BATCH": batch, "TASK": list(TASKS).index(model.task),
        "ACTIVATION": list(ACTIVATIONS).index(model.activation),
    }  # fmt: skip


def _constants(values: Mapping[str, int | bool]) -> str:
    return "\n".join(
        f"constexpr {'bool' if isinstance(v, bool) else 'int'} {name} = {str(v).lower()};" for name, v in values.items()
    )


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


def library() -> str:
    """What every kernel of the engines starts from: mathematics, random numbers, and the operations of all records."""
    headers = inline("math.h", "philox.h", "normals.h", "minibatch.h")
    return f"{headers}\n// ==== operations\n{definitions()}\n"


def _tensor_partitions(program: Program) -> Mapping[str, int]:
    """Partition of each tensor: w1, b1, w2, b2."""
    layered = {"all": (0, 0, 0, 0), "layer": (0, 0, 1, 1), "tensor": (0, 1, 2, 3)}
    return dict(zip(("w1", "b1", "w2", "b2"), layered[program.partition.kind], strict=True))


def _any_of(ks: Iterable[int]) -> str:
    return " || ".join(f"k == {k}" for k in sorted(ks)) or "false"


def _any_pair(pairs: Iterable[tuple[int, int]]) -> str:
    return " || ".join(f"(k == {k} && slot == {slot})" for k, slot in sorted(pairs)) or "false"


def _choose(values: Mapping[int, int]) -> str:
    return "".join(f"slot == {i} ? {v}u : " for i, v in values.items()) + "0u"


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
constexpr int THREADS = TEAM > 128 ? TEAM : 128, TEAMS = THREADS / TEAM;
extern "C" __global__ void __launch_bounds__(THREADS, 1) advance(const Arguments* a) {
  __shared__ Shared shared[TEAMS];
  const int place = threadIdx.x / TEAM;
  const i64 r = i64(blockIdx.x) * TEAMS + place;
  if (r >= a->replicas) return;
  Replica replica;
  Run run(*a, replica, shared[place], threadIdx.x % TEAM);
  run.segment<Step>(r);
}
"""
    ),
}
"""Entry points by kind of machine."""
