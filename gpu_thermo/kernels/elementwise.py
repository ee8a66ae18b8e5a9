"""Kernels of the batched engine's operations for a GPU, written from the operations' records: one for each, and one for
each two that share a pass. elementwise.cu has what they stand on.

A kernel works on [rows, columns] views of [R, P] arrays; coefficients are one number a row.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from ..method.operations import LETTERS, compiled_operations
from ..method.record import Operation, placeholders
from .emit import inline, library, prologue

_NOISE = (
    "i64 rows", "i64 blocks", "i64 stride", "const u32* low", "const u32* high", "const u32* stream",
    "const u32* block", "const i32* column", "i64 step", "i64 sub",
)  # fmt: skip
_PLAIN = ("i64 rows", "i64 columns", "i64 stride")


def elementwise_source(bits: int, team: int = 32, records: Iterable[Operation] = ()) -> str:
    """Complete text of the batched engine's kernels: CUDA with warps for rows, or C++ with `team` 1; for all operations
    of the package, and the user's own among `records`.
    """
    records = compiled_operations(records)
    kernels = "\n".join(text for group in groups(records) for text in kernel_texts(group))
    return "\n".join((prologue(bits, team, 1), library(records), inline("elementwise.cu"), kernels))


def groups(records: Iterable[Operation] | None = None) -> Iterator[tuple[Operation, ...]]:
    """Every operation of `records` (all of the package by default) alone, and every two letters that share a pass."""
    records = compiled_operations() if records is None else (*records,)
    letters = [record for record in records if record.symbol in LETTERS]
    yield from ((record,) for record in records)
    yield from ((a, b) for a in letters for b in letters if joined(a, b))


def joined(first: Operation, second: Operation) -> bool:
    """Whether `second` right after `first` takes `first` into its own pass over the parameters: it draws noise, `first`
    does not, and needs no array [R, P] that `second` does not read anyway.
    """
    if first.sums or second.sums or first.ticks or first.normals or not second.normals:
        return False
    if first.symbol in second.apart or second.symbol in first.apart:
        return False
    return {*first.operands} - {"xi"} <= {*second.operands}


def operands(group: Sequence[Operation]) -> tuple[str, ...]:
    """Arrays that the kernels of `group` are given, in order; xi comes with the number of partitions."""
    needed = {name for record in group for name in record.operands}
    kept = dict.fromkeys(name for record in group for name in record.keeps)
    return tuple(name for name in ("q", "p", "g", *kept, "xi") if name in needed)


def kernel_name(group: Sequence[Operation], part: str = "") -> str:
    """Name of the kernel of `group`; `part` "sums" is the one that follows sums over rows."""
    return "_".join([*(record.symbol for record in group), *([part] if part else []), "kernel"])


def kernel_texts(group: Sequence[Operation]) -> Iterator[str]:
    """The kernels of `group`: over elements where it has calls, and over rows where it asks for sums."""
    if any(record.call for record in group):
        yield _over_blocks(group) if any(record.normals for record in group) else _over_elements(group)
    if group[0].sums:
        (record,) = group
        yield _over_rows(record)


def _signature(name: str, first: Sequence[str], group: Sequence[Operation]) -> str:
    given = [*first]
    for array in operands(group):
        given += ["double* xi", "i64 partitions"] if array == "xi" else [f"{'const ' * (array == 'g')}scalar* {array}"]
    kinds = ["double" if record.wide else "scalar" for record in group for _ in record.kinds]
    given += [f"const {kind}* c{i}" for i, kind in enumerate(kinds)]
    given += [f"double t{i}" for i in range(group[-1].ticks)]
    return f"KERNEL {name}({', '.join(given)}) {{"


class _Text:
    """C++ of one operation with everything filled in; its coefficients are c<first>, c<first + 1>, ..."""

    def __init__(self, record: Operation, first: int) -> None:
        self._record = record
        values = [f"c{i}[row]" for i in range(first, first + len(record.kinds))]
        narrowed = [record.wide and kind == "r" for kind in record.kinds]  # given in double, wanted as the state's type
        self._c = [f"scalar({c})" if narrow else c for c, narrow in zip(values, narrowed, strict=True)]
        self._names = {"xi": "xi[row * partitions]", **{name: f"{name}[at]" for name in record.keeps}}
        self._names |= {name: f"noise{i}.n[l]" for i, name in enumerate(record.normal_names)}
        self._names |= {f"t{i}": f"scalar(t{i})" for i in range(record.ticks)}
        self._names |= {f"s{i}": f"sum{i}" for i in range(len(record.sums))}
        self._names |= {f"f{i}": f"f{first}_{i}" for i in range(len(record.factors))}

    def factors(self, text: str) -> str:
        """Declarations of the factors that `text` needs."""
        used = placeholders(text)
        return "".join(
            f"    const scalar {self._names[f'f{i}']} = {self.filled(factor)};\n"
            for i, factor in enumerate(self._record.factors)
            if f"f{i}" in used
        )

    def filled(self, text: str) -> str:
        """`text` of the record on the element `at` of row `row`."""
        return re.sub(r"\bx\.([qpg])\b", r"\1[at]", text.format(*self._c, **self._names))


def _texts(group: Sequence[Operation]) -> tuple[str, str]:
    """Factors and calls of `group`."""
    factors, calls, first = "", "", 0
    for record in group:
        text = _Text(record, first)
        factors += text.factors(record.call)
        calls += f" {text.filled(record.call)}"
        first += len(record.kinds)
    return factors, calls


def _over_elements(group: Sequence[Operation]) -> str:
    factors, calls = _texts(group)
    return f"""\
{_signature(kernel_name(group), _PLAIN, group)}
  GRID(i, rows * columns) {{
    ELEMENT(i);
{factors}   {calls}
  }}
}}
"""


def _over_blocks(group: Sequence[Operation]) -> str:
    factors, calls = _texts(group)
    normals = sum(record.normals for record in group)
    noise = "".join(
        f"    const Noise noise{i}(low, high, stream, row, block[b], step, sub + {i});\n" for i in range(normals)
    )
    return f"""\
{_signature(kernel_name(group), _NOISE, group)}
  GRID(i, rows * blocks) {{
    const i64 row = i / blocks, b = i % blocks;
{factors}{noise}    UNROLL for (int l = 0; l < 4; ++l) {{
      if (column[4 * b + l] < 0) continue;
      const i64 at = row * stride + column[4 * b + l];
     {calls}
    }}
  }}
}}
"""


def _over_rows(record: Operation) -> str:
    text = _Text(record, 0)
    products = [product.split(".") for product in record.sums]
    walk = "for (i64 c = member, at = row * stride + c; c < columns; c += TEAM, at += TEAM)"
    zero = ", ".join(f"sum{i} = 0" for i in range(len(products)))
    add = " ".join(f"sum{i} += double({a}[at] * {b}[at]);" for i, (a, b) in enumerate(products))
    total = " ".join(f"sum{i} = team.sum(sum{i});" for i in range(len(products)))
    settle = f"    if (member == 0) {text.filled(record.settle)}\n" if record.settle else ""
    settle += "    team.sync();\n" if record.settle and record.finish else ""
    finish = f"{text.factors(record.finish)}    {walk} {{ {text.filled(record.finish)} }}\n" if record.finish else ""
    return f"""\
{_signature(kernel_name((record,), "sums"), _PLAIN, (record,))}
  GRID_ROWS(row, rows) {{
    Team team(member, nullptr);
    double {zero};
    {walk} {{ {add} }}
    {total}
{settle}{finish}  }}
}}
"""
