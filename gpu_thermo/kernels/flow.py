"""The control flow of a compiled kernel: its basic blocks, who follows whom, and its loops, from what nvdisasm prints.

A warp is taken to stay together: where it would diverge (`BRA.DIV`) it goes straight on, and calls come back.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

_INSTRUCTION = re.compile(r"^\s*/\*[0-9a-f]{4,}\*/\s+(@!?U?P[T\d]+\s+)?([A-Z][A-Z0-9_.]*)\s*(.*?);")
_LABEL = re.compile(r"^(\.?\$?[\w$.]+):\s*$")
_LINE = re.compile(r'//## File "[^"]*", line (\d+)')
_TARGET = re.compile(r"`\((\S+?)\)")
_PREDICATE = re.compile(r"!?U?P\d")


class Instruction(NamedTuple):
    """One machine instruction: `guard` is its predicate, `lines` those of the source it is of, the innermost first."""

    guard: str
    name: str
    operands: str
    lines: tuple[int, ...]

    @property
    def kind(self) -> str:
        """The name without modifiers."""
        return self.name.partition(".")[0]


@dataclass
class Loop:
    """A natural loop: its `header` block, all `blocks`, and the `latch` that goes back."""

    header: int
    latch: int
    blocks: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Flow:
    """Blocks of instructions as they stand, successors of each, the loops among what can be reached, and an `order` of
    that in which blocks come after those that lead to them, ways back aside.
    """

    blocks: tuple[tuple[Instruction, ...], ...]
    after: tuple[tuple[int, ...], ...]
    loops: tuple[Loop, ...]
    order: tuple[int, ...]

    def size(self, blocks: Sequence[int] | set[int]) -> int:
        """Instructions in some blocks."""
        return sum(len(self.blocks[b]) for b in blocks)

    def before(self) -> dict[int, list[int]]:
        """Who leads to each block that can be reached."""
        found: dict[int, list[int]] = {b: [] for b in self.order}
        for b in sorted(self.order):
            for c in self.after[b]:
                found[c].append(b)
        return found


def read(text: str, kernel: str) -> tuple[list[Instruction], dict[str, int]]:
    """Instructions of a kernel from what `nvdisasm -c -gi` prints, and where its labels stand among them."""
    found, labels = list[Instruction](), dict[str, int]()
    lines, begun = list[int](), True
    for line in _section(text, kernel):
        if source := _LINE.search(line):
            lines = [*([] if begun else lines), int(source[1])]
            begun = False
        elif label := _LABEL.match(line):
            labels[label[1]] = len(found)
        elif one := _INSTRUCTION.match(line):
            found.append(Instruction((one[1] or "").strip(), one[2], one[3].strip(), tuple(lines)))
            begun = True
    return found, labels


def _section(text: str, kernel: str) -> list[str]:
    start = re.search(rf"^\s*\.section\s+\.text\.{kernel}\b", text, re.MULTILINE)
    if start is None:
        return []
    rest = text[start.end() :]
    stop = re.search(r"^\s*\.section\s", rest, re.MULTILINE)
    return rest[: stop.start() if stop else None].splitlines()


def flow(instructions: Sequence[Instruction], labels: dict[str, int]) -> Flow:
    """Blocks and loops of a kernel's instructions."""
    starts = {0, *labels.values()} | {i + 1 for i, one in enumerate(instructions) if one.kind in _ENDS}
    heads = sorted(s for s in starts if s < len(instructions))
    number = {s: b for b, s in enumerate(heads)}
    blocks = tuple(tuple(instructions[a:z]) for a, z in zip(heads, [*heads[1:], len(instructions)], strict=True))
    after = tuple(tuple(_after(b, block, labels, number, len(blocks))) for b, block in enumerate(blocks))
    order = tuple(_preorder(after))
    return Flow(blocks, after, tuple(_loops(after, order)), order)


_ENDS = {"BRA", "EXIT", "RET", "BRX", "CALL"}


def _after(
    b: int, block: Sequence[Instruction], labels: dict[str, int], number: dict[int, int], count: int
) -> Iterator[int]:
    """Blocks that may follow block b."""
    last, target = block[-1], _TARGET.search(block[-1].operands)
    here = b + 1 < count
    if last.kind == "BRA" and last.name != "BRA.DIV" and target is not None:
        yield number[labels[target[1]]]
        here &= bool(last.guard or _PREDICATE.match(last.operands))
    elif last.kind in ("EXIT", "RET", "BRX"):
        here &= bool(last.guard)
    if here:
        yield b + 1


def _loops(after: Sequence[Sequence[int]], order: Sequence[int]) -> Iterator[Loop]:
    """Natural loops of what block 0 leads to; several ways back to one header are one loop."""
    before: dict[int, list[int]] = {b: [] for b in order}
    for b in order:
        for c in after[b]:
            before[c].append(b)
    above = _dominators(order, before)
    found: dict[int, Loop] = {}
    for b in order:
        for header in after[b]:
            if not _dominates(header, b, above):
                continue
            loop = found.setdefault(header, Loop(header, b, {header}))
            loop.latch, waiting = max(loop.latch, b), [b]
            while waiting:
                if (one := waiting.pop()) not in loop.blocks:
                    loop.blocks.add(one)
                    waiting += before[one]
    yield from sorted(found.values(), key=lambda loop: loop.header)


def _preorder(after: Sequence[Sequence[int]]) -> list[int]:
    """Blocks that block 0 leads to, each after whoever dominates it (reverse postorder)."""
    seen, done, waiting = {0}, [], [(0, iter(after[0]))]
    while waiting:
        rest = waiting[-1][1]
        following = next((c for c in rest if c not in seen), None)
        if following is None:
            done.append(waiting.pop()[0])
        else:
            seen.add(following)
            waiting.append((following, iter(after[following])))
    return done[::-1]


def _dominators(order: Sequence[int], before: dict[int, list[int]]) -> dict[int, int]:
    """The next block that every way to a block passes (Cooper, Harvey and Kennedy 2001)."""
    place, above, changed = {b: i for i, b in enumerate(order)}, {0: 0}, True
    while changed:
        changed = False
        for b in order[1:]:
            known = [c for c in before[b] if c in above]
            found = known[0]
            for c in known[1:]:
                while c != found:
                    if place[c] > place[found]:
                        c = above[c]
                    else:
                        found = above[found]
            changed |= above.get(b) != found
            above[b] = found
    return above


def _dominates(a: int, b: int, above: dict[int, int]) -> bool:
    while b != a and b != above[b]:
        b = above[b]
    return a == b
