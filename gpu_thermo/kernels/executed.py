"""Warp instructions that a promised kernel executes for one replica-step, counted from its machine code without a GPU.

Static text, weighed: each basic block of the loop over steps (flow.py) counts as often as a plain step comes through
it. How often that is follows from the lines of source that its instructions are of, which the compiler notes without
changing an instruction (`--generate-line-info`): loops are known by their headers (`_LOOPS`), and what a plain step
leaves out (recording, freezing, slow paths of roots and quotients) by `_NEVER`. Unrolled loops are seen by what their
counters add. Walks of minibatch positions count with their expectation; where some warps of a team work, they alone do.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from ..errors import CompileError
from .flow import Flow, Instruction, Loop, flow, read

LINES = "--generate-line-info"
"""NVRTC's option that lets instructions be known by their source."""


@dataclass(frozen=True)
class Launch:
    """What decides how often loops go round: points of an evaluation (`batch`) among `points`; `team` threads a
    replica, `tile` points at hand at once; inputs, widths of the hidden layers and outputs.
    """

    batch: int
    points: int
    team: int
    tile: int
    inputs: int
    hidden: tuple[int, ...]
    outputs: int

    @property
    def warps(self) -> int:
        """Of a team, or the one of which it is a part."""
        return max(1, self.team // 32)

    @property
    def replicas(self) -> int:
        """Of a warp, where teams are parts of one."""
        return max(1, 32 // self.team)

    @property
    def at_once(self) -> int:
        """Points whose outputs are summed at once with one hidden layer."""
        return max(1, min(32, self.team) // 2 ** math.ceil(math.log2(self.outputs)))

    @property
    def tiles(self) -> int:
        """Of an evaluation."""
        return -(-self.batch // self.tile)

    @property
    def count(self) -> int:
        """Points of a tile; all are taken to be whole."""
        return self.batch // self.tiles

    @property
    def parts(self) -> int:
        """Members to a point, at depth."""
        return max(1, self.team // self.tile)

    @property
    def width(self) -> int:
        """Of every hidden layer."""
        return self.hidden[0]

    @property
    def walks(self) -> float:
        """Expected turns of the walk that brings positions back into [0, N): of the longest in a warp."""
        a = math.isqrt(self.points - 1) + 1
        out, lanes = 1 - self.points / (a * -(-self.points // a)), min(32, self.count * self.replicas)
        return sum(1 - (1 - out**turn) ** lanes for turn in range(1, 60))

    @property
    def members(self) -> float:
        """Share of a team's warps that have points of a tile, a member each."""
        return min(1.0, -(-self.count // 32) / self.warps)

    def owners(self, layer: int, piece: int) -> float:
        """Share of a team's warps that have a Philox block of a layer as their piece of that number (layers.h)."""
        fans = (self.inputs, *self.hidden[:-1])
        last = len(self.hidden) - 1
        each = [d * -(-(f + 1 + (i == last) * self.outputs) // 4)
                for i, (d, f) in enumerate(zip(self.hidden, fans, strict=True))]  # fmt: skip
        first = sum(each[:layer])
        warps = (range(piece * self.team + 32 * w, piece * self.team + 32 * w + 32) for w in range(self.warps))
        return sum(any(first <= block < first + each[layer] for block in warp) for warp in warps) / self.warps

    def begin(self, layer: int) -> int:
        """A member's first piece of a layer."""
        fans = (self.inputs, *self.hidden[:-1])
        return sum(d * -(-(f + 1) // 4) for d, f in list(zip(self.hidden, fans, strict=True))[:layer]) // self.team


@dataclass(frozen=True)
class Executed:
    """Warp instructions for one replica-step: in all, by kind; and of its loops, (source, turns, instructions)."""

    instructions: float
    kinds: dict[str, float]
    loops: tuple[tuple[str, float, int], ...]


_Turns = Callable[[Launch], float]
_LOOPS: tuple[tuple[str, _Turns, _Turns], ...] = (
    (r"while \(any\(x >= n\)\)", lambda w: w.walks, lambda w: 0),
    (r"int start = 0; start < points; start \+= TILE", lambda w: w.tiles, lambda w: w.tile),
    (r"int start = TILE; start < points; start \+= TILE", lambda w: w.tiles - 1, lambda w: w.tile),
    (r"int start = 0; start < count; start \+= AT_ONCE", lambda w: -(-w.count // w.at_once), lambda w: w.at_once),
    (r"int t = team\.member; t < count; t \+= TEAM", lambda w: -(-w.count // w.team), lambda w: w.team),
    (r"t \+ \(COUNT - 1\) \* TEAM < count", lambda w: -(-w.count // w.team), lambda w: w.team),
    (r"int t = 0; t < count; \+\+t", lambda w: w.count, lambda w: 1),
    (r"; t \+ 4 <= count; t \+= 4", lambda w: w.count // 4, lambda w: 4),
    (r"; t < count; \+\+t", lambda w: w.count % 4, lambda w: 1),
    (r"int j = mine\.first; j < L::HIDDEN", lambda w: -(-w.width // (4 * w.parts)), lambda w: 4 * w.parts),
    (r"; k \+ 4 <= LENGTH; k \+= 4", lambda w: w.width // 4, lambda w: 4),
    (r"; k < LENGTH; \+\+k", lambda w: w.width % 4, lambda w: 1),
    (r"int j = 0; j < Last::HIDDEN|int i = 0; i < Next::HIDDEN", lambda w: w.width, lambda w: 1),
    (r"int o = 0; o < OUTPUTS", lambda w: w.outputs, lambda w: 1),
)  # fmt: skip
"""Headers of loops that may stay loops: how often a warp comes through, and what the source adds to the counter."""
_NEVER = re.compile(r"\) freeze\(\);|\(recorded\) record\(i\);|if \(want_energy\)|a\.scheduled\) load_coefficients")
"""Calls that a plain step leaves out: nothing is recorded, no energy asked for, nobody frozen."""
_STEPS = "i < a.steps"
_POINTS_OF_MEMBERS = re.compile(r"t \+ \(COUNT - 1\) \* TEAM < count|int t = team\.member; t < count|fetch_some<")
_PIECE, _LAYER = re.compile(r"<(?:Pass, )?L, I \+ 1>\("), re.compile(r"add_blocks<Next, |visit_layers<Pass, L \+ 1>\(")
_BLOCK = re.compile(r"owns<?.*\(I\b.*(?:visit_block<|add_block<)|owns\(I, team\.member\)\) add_block<")


def count(text: str, source: str, launch: Launch, kernel: str = "advance") -> Executed:
    """What a step executes, from what `nvdisasm -c -gi` prints of a kernel that was compiled with LINES.

    Raises
    ------
    CompileError
        There is no loop over steps, or one in it whose turns are not known: `_LOOPS` has to learn it.
    """
    return _Counting(flow(*read(text, kernel)), source.splitlines(), launch).result()


class _Counting:
    def __init__(self, graph: Flow, source: Sequence[str], launch: Launch) -> None:
        self.graph, self.source, self.launch = graph, source, launch

    def result(self) -> Executed:
        """What is executed, by kind."""
        inside = self.steps.blocks
        share = self._followed()
        kinds = defaultdict[str, float](float)
        turns = self._turns(share)
        for b in inside:
            times = share[b] * math.prod(t for loop, t in turns if b in loop.blocks)
            times *= self.launch.warps / self.launch.replicas
            for one in self.graph.blocks[b]:
                kinds[one.kind] += times
        loops = tuple((self._header(loop) or "", t, self.graph.size(loop.blocks)) for loop, t in turns)
        found = {kind: round(kinds[kind], 2) for kind in sorted(kinds, key=lambda kind: -kinds[kind]) if kinds[kind]}
        return Executed(round(sum(kinds.values()), 1), found, loops)

    @cached_property
    def steps(self) -> Loop:
        """The loop over steps."""
        for loop in self.graph.loops:
            if _STEPS in (self._header(loop) or ""):
                return loop
        raise CompileError(f"The kernel has no loop over steps that can be counted: compile it with {LINES}.")

    # -- how often a block is come through -----------------------------------------------------------------------------

    def _share(self, blocks: Sequence[int]) -> float:
        """Of the steps, and of a team's warps, that come through blocks one after another: what most of their
        instructions say.
        """
        instructions = [one for b in blocks for one in self.graph.blocks[b]]
        if any(one.kind == "CALL" for one in instructions):
            return 0.0
        return Counter(self._share_of(one) for one in instructions).most_common(1)[0][0]

    def _share_of(self, one: Instruction) -> float:
        texts = [self._text(line) for line in one.lines]
        if any(_NEVER.search(text) for text in texts[1:]):  # the innermost line is the question itself
            return 0.0
        found = 1.0
        if any(_POINTS_OF_MEMBERS.search(text) for text in texts):
            found *= self.launch.members
        if any("q.all[Last::row(j)" in text for text in texts):
            found /= self.launch.parts
        return found * self._owners(texts[::-1])

    def _owners(self, texts: Iterable[str]) -> float:
        """Of what is done to a member's Philox blocks one after another (team.h, step.h), by recursion."""
        layer, piece, inside = 0, self.launch.begin(0), False
        for text in texts:
            if _LAYER.search(text):
                layer += 1
                piece = self.launch.begin(min(layer, len(self.launch.hidden) - 1))
            elif _PIECE.search(text):
                piece += 1
            elif _BLOCK.search(text):
                inside = True
        return self.launch.owners(layer, piece) if inside and len(self.launch.hidden) > 1 else 1.0

    def _followed(self) -> dict[int, float]:
        """Shares of the blocks of the loop over steps. A block that only left-out blocks lead to is left out, too; and
        somebody follows each that counts: where all who might are left out, the jump past them is taken.
        """
        inside, before = self.steps.blocks, self.graph.before()
        found, taken = dict.fromkeys(inside, 0.0), dict[int, float]()
        own = {b: share for run in self._runs() for share in [self._share(run)] for b in run}
        for b in (b for b in self.graph.order if b in inside):
            if b == self.steps.header or any(found.get(a) for a in before[b]):
                found[b] = own[b] or taken.get(b, 0.0)
            following = [c for c in self.graph.after[b] if c in inside]
            if found[b] and following and not any(own[c] or c in taken for c in following):
                taken[max(following)] = found[b]
        return found

    def _runs(self) -> list[list[int]]:
        """Blocks of the loop over steps, in order, those together of which each alone leads to the next."""
        before, found = self.graph.before(), list[list[int]]()
        place: dict[int, list[int]] = {}
        for b in (b for b in self.graph.order if b in self.steps.blocks):
            alone = before[b][0] if len(before[b]) == 1 else None
            if alone in place and len(self.graph.after[alone]) == 1 and b != self.steps.header:
                place[b] = place[alone]
            else:
                found.append(place.setdefault(b, []))
            place[b].append(b)
        return found

    # -- how often a loop goes round -----------------------------------------------------------------------------------

    def _turns(self, share: dict[int, float]) -> list[tuple[Loop, float]]:
        """Of every loop inside that a plain step comes through. Copies of one loop, unrolled and the rest, share its
        turns.
        """
        inner = [loop for loop in self.graph.loops
                 if loop.header in self.steps.blocks and loop is not self.steps and share[loop.header]]  # fmt: skip
        left: dict[tuple[int, ...], float] = {}
        found = []
        for loop in sorted(inner, key=lambda loop: -self._unrolled(loop)):
            turns, _ = self._rule(loop)
            copies, key = self._unrolled(loop), self._place(loop)
            rest = left.setdefault(key, turns(self.launch))
            times = rest if copies == 1 else rest // copies
            left[key] = rest - times * copies
            found.append((loop, times))
        return sorted(found, key=lambda pair: pair[0].header)

    def _rule(self, loop: Loop) -> tuple[_Turns, _Turns]:
        header = self._header(loop)
        for pattern, turns, adds in _LOOPS:
            if header is not None and re.search(pattern, header):
                return turns, adds
        lines = self.graph.blocks[loop.latch][-1].lines
        raise CompileError(
            f"A loop of {self.graph.size(loop.blocks)} instructions goes round an unknown number of times:"
            f" {header or [self._text(line).strip() for line in lines]}. kernels/executed.py has to learn it."
        )

    def _unrolled(self, loop: Loop) -> int:
        """Turns of the source's loop in one of the machine's: by what the counter that ends it adds."""
        adds = self._rule(loop)[1](self.launch)
        if not adds or "ROLLED" in (self._header(loop) or ""):
            return 1
        steps = [step for register in self._compared(loop) if (step := self._added(loop, register))]
        steps = steps or self._increments(loop, adds)  # the comparison was made before, and kept
        if not steps or abs(steps[0]) % adds:
            raise CompileError(f"The counter of a loop is not understood: {self._header(loop)}, which adds {steps}.")
        return round(abs(steps[0]) / adds)

    def _compared(self, loop: Loop) -> list[str]:
        """The registers that the branch at the loop's end looks at."""
        *rest, last = self.graph.blocks[loop.latch]
        predicate = last.guard.removeprefix("@").removeprefix("!")
        for one in reversed(rest):
            given = [part.strip() for part in one.operands.split(",")]
            if one.kind in ("ISETP", "UISETP") and given and given[0] == predicate:
                return [r.removesuffix(".reuse") for r in given[2:] if re.match(r"U?R\d+", r)]
        return []

    def _increments(self, loop: Loop, adds: float) -> list[int]:
        """What a loop adds to any register, multiples of `adds` alone, the least first: bytes of addresses are more."""
        registers = {r for b in loop.blocks for one in self.graph.blocks[b] if (r := one.operands.split(",")[0])}
        found = {abs(step) for r in registers if (step := self._added(loop, r))}
        return sorted(step for step in found if step % adds == 0)

    def _added(self, loop: Loop, register: str) -> int | None:
        """What a loop adds to a register."""
        for b in loop.blocks:
            for one in self.graph.blocks[b]:
                given = [part.strip().removesuffix(".reuse") for part in one.operands.split(",")]
                known = len(given) > 2 and re.fullmatch(r"-?0x[0-9a-f]+", given[2])
                if known and one.kind in ("IADD3", "VIADD", "UIADD3", "IADD") and given[:2] == [register, register]:
                    value = int(given[2], 16)
                    return value - 2**32 if value >= 2**31 else value
        return None

    # -- the source ----------------------------------------------------------------------------------------------------

    def _text(self, line: int) -> str:
        return self.source[line - 1] if 0 < line <= len(self.source) else ""

    def _header(self, loop: Loop) -> str | None:
        """The source's header of a loop: the innermost in the lines of the branch that ends it."""
        lines = self.graph.blocks[loop.latch][-1].lines
        texts = (self._text(line).strip() for line in lines)
        return next((text for text in texts if re.search(r"\b(for|while) \(", text) and "UNROLL" not in text), None)

    def _place(self, loop: Loop) -> tuple[int, ...]:
        """Which loop of the source it is, and where that was inlined."""
        lines = self.graph.blocks[loop.latch][-1].lines
        return lines[next(i for i, line in enumerate(lines) if self._text(line).strip() == self._header(loop)) :]
