"""A program as passes over the parameters, in C++: what emit.py puts at the end of a fused kernel's source.

Between two gradient evaluations partitions do not see each other, so their operations are applied parameter by
parameter in one *pass* over the units, all partitions at once; noise with one index is drawn once for all of them. A
pass ends where an operation needs sums over its partition, such as E's p.p. Text comes from the operations' records.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

from ..method.operations import operation
from ..method.record import Work, placeholders
from ..method.words import Evaluate, InForce, Program, Substep

SCALE = "scale"
"""Name of the array m^(-1/2) of the parameters' masses m, beside what operations keep."""


@dataclass(frozen=True)
class Coefficient:
    """Value number `index` of a substep's coefficients, or a hyperparameter, in table `kind` ("r" or "w")."""

    of: Substep | InForce
    index: int
    kind: str


@dataclass(frozen=True)
class Part:
    """What a substep does to each parameter in one pass: `text` is its record's call, or what follows its sums."""

    substep: Substep
    text: str

    @property
    def subs(self) -> tuple[int, ...]:
        """Noise indices it draws at."""
        record = operation(self.substep.operation)
        drawn = record.normals if self.text == record.call else 0
        return tuple(range(self.substep.sub, self.substep.sub + drawn))


@dataclass
class Pass:
    """Parts of each partition, in order, without a sum between them; `ends` are the substeps whose sums end it."""

    parts: dict[int, list[Part]] = field(default_factory=dict)
    ends: list[Substep] = field(default_factory=list)

    @property
    def subs(self) -> list[int]:
        """Noise indices drawn in this pass."""
        return sorted({sub for parts in self.parts.values() for part in parts for sub in part.subs})


class Brace(Enum):
    """Where a proposal begins, and where a proposal or a plain step whose work is counted ends."""

    OPEN = "open_proposal(run);"
    CLOSE = "close_step(run);"


@dataclass
class Plan:
    """One step: passes, evaluations (None) and braces in order, the coefficients they read, the products they sum."""

    actions: list[Pass | Brace | None]
    coefficients: list[Coefficient]
    sums: tuple[str, ...]
    energy_at: int | None = None
    """With work: which evaluation is made where the step ends, and is asked for its energy; -1 where none is."""

    def __post_init__(self) -> None:
        counters = {"r": 0, "w": 0}
        self._place: dict[tuple[object, ...], int] = {}
        for c in self.coefficients:
            self._place[(*_key(c.of), c.index, c.kind)] = counters[c.kind]
            counters[c.kind] += 1
        self._counters = counters

    def count(self, kind: str) -> int:
        """Coefficients of one table."""
        return self._counters[kind]

    def place(self, of: Substep | InForce, index: int, kind: str) -> int:
        """Where a coefficient stands in its table."""
        return self._place[(*_key(of), index, kind)]


def make_plan(program: Program, reads: Iterable[InForce] = (), work: bool = False) -> Plan:
    """Group the program's substeps into passes; `reads` are hyperparameters that the kernel needs besides. With `work`
    that of each step or proposal is counted.
    """
    actions: list[Pass | Brace | None] = []
    chunk: list[Substep] = []
    for s in (*_with_braces(program, work), None):
        if isinstance(s, Substep):
            chunk.append(s)
            continue
        actions += _passes(chunk)
        chunk = []
        if isinstance(s, Evaluate):
            actions.append(None)
        elif s is not None:
            actions.append(s)
    found: dict[tuple[object, ...], Substep] = {}
    for a in (a for a in actions if isinstance(a, Pass)):
        for s in (*(part.substep for parts in a.parts.values() for part in parts), *a.ends):
            found.setdefault(_key(s), s)
    coefficients = [Coefficient(s, i, kind) for s in found.values() for i, kind in enumerate(_kinds(s))]
    sums = dict.fromkeys(product for record in program.records for product in record.sums)
    last = program.gradients_per_step - 1 if program.ends_at_evaluation else -1
    return Plan(actions, coefficients + [Coefficient(r, 0, "w") for r in reads], tuple(sums), last if work else None)


def _with_braces(program: Program, work: bool) -> Iterator[Evaluate | Substep | Brace]:
    """The program's substeps, with braces where they stand; where the work of a plain step is counted it ends with
    one.
    """
    begin, end = program.braces or (None, len(program.substeps) if work else None)
    for i, s in enumerate((*program.substeps, None)):
        if i == begin:
            yield Brace.OPEN
        if i == end:
            yield Brace.CLOSE
        if s is not None:
            yield s


def _kinds(s: Substep) -> str:
    record = operation(s.operation)
    return record.kinds + "r" * record.ticks


def _key(of: Substep | InForce) -> tuple[object, ...]:
    """Substeps with one key have equal coefficients."""
    if isinstance(of, InForce):
        return (of,)
    same = operation(of.operation).several
    return (of.operation, of.fraction, of.pace, of.ratio) if same else (of.operation, of.fraction, of.partitions[0])


def _passes(chunk: list[Substep]) -> list[Pass]:
    per_partition: dict[int, list[Substep]] = {}
    for s in chunk:
        for k in s.partitions:
            per_partition.setdefault(k, []).append(s)
    passes: list[Pass] = []

    def parts_of(number: int, k: int) -> list[Part]:
        if number == len(passes):
            passes.append(Pass())
        return passes[number].parts.setdefault(k, [])

    for k, substeps in per_partition.items():
        at = 0
        for s in substeps:
            record, parts = operation(s.operation), parts_of(at, k)
            if record.call:
                parts.append(Part(s, record.call))
            if record.sums:
                passes[at].ends.append(s)
                at += 1
            if record.finish:
                parts_of(at, k).append(Part(s, record.finish))
    return passes


class StepText:
    """C++ of a plan's passes and of the step that makes them.

    Attributes
    ----------
    text : the whole. factors : how many values the passes form before they walk the parameters.
    """

    def __init__(self, plan: Plan, keeps: tuple[str, ...]) -> None:
        self._plan, self._kept, self.factors = plan, {name: f"x.kept[{i}]" for i, name in enumerate(keeps)}, 0
        passes: list[str] = []
        calls: list[str] = []
        evaluations = 0
        for action in plan.actions:
            if action is None:
                if plan.energy_at is not None:
                    wanted = "wants_energy(run)" if evaluations == plan.energy_at else "false"
                    calls.append(f"run.want_energy = {wanted};")
                calls.append("run.evaluate();")
                evaluations += 1
            elif isinstance(action, Brace):
                calls.append(action.value)
            else:
                calls.append(f"run.visit<Pass{len(passes)}>();")
                passes.append(self._pass(len(passes), action))
        body = "\n".join(f"    {c}" for c in calls)
        step = f"struct Step {{\n  HD static void run(Run& run) {{\n{body}\n  }}\n}};\n"
        self.text = "\n".join((*passes, "")) + step

    def _pass(self, number: int, action: Pass) -> str:
        self._factors: list[str] = []
        subs = action.subs
        cases = "".join(self._case(k, parts, subs) for k, parts in action.parts.items())
        draws = {(k, subs.index(sub)) for k, parts in action.parts.items() for part in parts for sub in part.subs}
        summed = {(s.partitions[0], product) for s in action.ends for product in operation(s.operation).sums}
        factors = "".join(f"    {line}\n" for line in self._factors)
        turned = [self._turned(s) for s in action.ends if _work(s).code]
        kicks = any(_work(part.substep).kinetic for parts in action.parts.values() for part in parts)
        return f"""\
struct Pass{number} {{
  static constexpr int SLOTS = {len(subs)};
  static constexpr bool KICKS = {str(kicks).lower()}, TURNS = {str(bool(turned)).lower()};
  HD static constexpr u32 sub(int slot) {{ return {_choose(dict(enumerate(subs)))}; }}
  HD static constexpr bool sums(int k) {{ return {_any_of({k for k, _ in summed})}; }}
  HD static constexpr bool moves(int k) {{ return {_any_of(k for k, v in action.parts.items() if v)}; }}
  HD static constexpr bool draws(int k, int slot) {{ return {_any_pair(draws)}; }}
  HD static void factors(const Coefficients& c, const wide* xi, const Sums* sum, real* f) {{
{factors}  }}
  template <int K> HD static void apply(Parameter& x, const real* n, const Coefficients& c, const real* f) {{
{cases}  }}
  HD static void add(int k, real p, real g, real* part) {{
{self._added(summed)}  }}
  HD static wide turned(const Coefficients& c, const Sums* sum) {{ return {" + ".join(turned) or "splat_wide(0)"}; }}
  HD static void settle(const Coefficients& c, const Sums* sum, wide* xi) {{
{self._settled(action)}  }}
}};"""

    def _case(self, k: int, parts: list[Part], subs: list[int]) -> str:
        lines = "".join(f"      {self._call(part, k, subs)}\n" for part in parts)
        return f"    if constexpr (K == {k}) {{\n{lines}    }}\n"

    def _call(self, part: Part, k: int, subs: list[int]) -> str:
        record = operation(part.substep.operation)
        names = {name: f"n[{subs.index(sub)}]" for name, sub in zip(record.normal_names, part.subs, strict=False)}
        for i, factor in enumerate(record.factors):
            if f"f{i}" in placeholders(part.text):
                self._factors.append(f"f[{self.factors}] = {self._filled(factor, part.substep, k)};")
                names[f"f{i}"] = f"f[{self.factors}]"
                self.factors += 1
        text = self._filled(part.text, part.substep, k, names)
        if _work(part.substep).kinetic and self._plan.energy_at is not None:
            return f"{{ const real p = x.p; {text} x.gain += (x.p - p) * (x.p + p); }}"
        if record.drifts and SCALE in self._kept:  # what it adds to theta, times m^(-1/2)
            return f"{{ const real q = x.q; x.q = zero(); {text} x.q = q + {self._kept[SCALE]} * x.q; }}"
        return text

    def _filled(self, text: str, s: Substep, k: int, names: Mapping[str, str] | None = None) -> str:
        """`text` of a record with its coefficients, xi, sums, kept arrays and `names`."""
        record, kinds = operation(s.operation), _kinds(s)
        c = [f"c.{kind}[{self._plan.place(s, i, kind)}]" for i, kind in enumerate(kinds)]
        ticks = {f"t{i}": c[len(record.kinds) + i] for i in range(record.ticks)}
        sums = {f"s{i}": f"sum[{k}].of[{self._plan.sums.index(product)}]" for i, product in enumerate(record.sums)}
        return text.format(*c, xi=f"xi[{k}]", **ticks, **sums, **self._kept, **names or {})

    def _turned(self, s: Substep) -> str:
        """Work of its own of a substep whose sums end a pass, in units of tau."""
        return self._filled(_work(s).code, s, s.partitions[0])

    def _added(self, summed: Iterable[tuple[int, str]]) -> str:
        terms = ((k, self._plan.sums.index(product), product.split(".")) for k, product in summed)
        return "".join(f"    if (k == {k}) part[{i}] += {a} * {b};\n" for k, i, (a, b) in sorted(terms))

    def _settled(self, action: Pass) -> str:
        ends = [(s, operation(s.operation).settle) for s in action.ends]
        return "".join(f"    {self._filled(settle, s, s.partitions[0])}\n" for s, settle in ends if settle)


def _work(s: Substep) -> Work:
    """Of the substep's letter, nothing where that is not known."""
    return operation(s.operation).work or Work()


def _any_of(ks: Iterable[int]) -> str:
    return " || ".join(f"k == {k}" for k in sorted(ks)) or "false"


def _any_pair(pairs: Iterable[tuple[int, int]]) -> str:
    return " || ".join(f"(k == {k} && slot == {slot})" for k, slot in sorted(pairs)) or "false"


def _choose(values: Mapping[int, int]) -> str:
    return "".join(f"slot == {i} ? {v}u : " for i, v in values.items()) + "0u"
