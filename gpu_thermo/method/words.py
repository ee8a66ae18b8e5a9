"""Text to Word; words on partitions to a Program (equations.md section 2)."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from ..errors import SpecError
from .letters import LETTERS
from .partition import Partition

MOST_NOISY = 256
"""Noise indices that a random address has room for (equations.md section 7)."""
_OPENMM = str.maketrans("VRO", "BAO")


@dataclass(frozen=True)
class Word:
    """A splitting word in our alphabet A B C D E F O; a letter that occurs c times takes 1/c of the step each time."""

    text: str

    @property
    def reads(self) -> frozenset[str]:
        """Names of the hyperparameters the word's letters read."""
        return frozenset(name for letter in self.text for name in LETTERS[letter].reads)

    @property
    def has_thermostat(self) -> bool:
        """Whether any letter reads or moves xi."""
        return any(LETTERS[letter].thermostat for letter in self.text)

    @property
    def force_fractions(self) -> tuple[Fraction, ...]:
        """The ordered distinct A-fractions at which the word's B's stand; 0 and 1 stay distinct."""
        return tuple(dict.fromkeys(fraction for fraction, _ in self._timeline() if fraction is not None))

    def chunks(self) -> list[list[tuple[str, Fraction, int]]]:
        """(letter, fraction of the step, noise index) in order, split before the first B at each force fraction.

        Chunk 0 holds what precedes the first force evaluation and may be empty.
        """
        out: list[list[tuple[str, Fraction, int]]] = [[]]
        current, sub = None, 0
        for at, letter in self._timeline():
            if at is not None and at != current:
                out.append([])
                current = at
            out[-1].append((letter, Fraction(1, self.text.count(letter)), sub if LETTERS[letter].noise else 0))
            sub += LETTERS[letter].noise
        return out

    def _timeline(self) -> list[tuple[Fraction | None, str]]:
        """Each letter with the A-fraction done before it, given for B's only."""
        total, done, out = self.text.count("A"), 0, []
        for letter in self.text:
            out.append((Fraction(done, total) if letter == "B" else None, letter))
            done += letter == "A"
        return out


def parse_word(text: str) -> Word:
    """Validate `text`; openmmtools' alphabet V R O is translated (V = our B, R = our A).

    Raises
    ------
    SpecError
        An unknown letter (with its position), a word without A or B, or O beside C, D, E or F.
    """
    if not isinstance(text, str) or not text:
        raise SpecError(f'A splitting word is a text such as "BAOAB", not {text!r}.')
    ours = text.translate(_OPENMM) if set(text) <= set("VRO") else text
    for position, letter in enumerate(ours, 1):
        if letter not in LETTERS:
            hint = {"R": " (openmmtools' R is our A.)", "V": " (openmmtools' V is our B.)"}.get(letter, "")
            raise SpecError(
                f"Word '{text}' has unknown letter '{letter}' at position {position}. Letters:"
                f" {' '.join(LETTERS)}.{hint}"
            )
    for letter, what in (("A", "moves the position"), ("B", "applies the force")):
        if letter not in ours:
            raise SpecError(f"Word '{text}' has no {letter}: nothing {what}. Add one, as in BAOAB.")
    mixed = sorted(set(ours) & set("CDEF"))
    if "O" in ours and mixed:
        raise SpecError(
            f"Word '{text}' has O together with {', '.join(mixed)}: O carries its own friction and noise. "
            "The literature's BADODAB (D = thermostat, O = exact step with friction xi) is BAEFEAB here."
        )
    if sum(LETTERS[letter].noise for letter in ours) > MOST_NOISY:
        raise SpecError(
            f"A word has at most {MOST_NOISY} letters that draw noise (O, D, F), or they would share it: shorten this"
            " one."
        )
    return Word(ours)


@dataclass(frozen=True)
class Evaluate:
    """Evaluate energy and gradient at the current positions, on the next minibatch."""


@dataclass(frozen=True)
class Substep:
    """Apply `operation` (a letter, or a whole-step update's name) for `fraction` of the step to the ranges
    `partitions`.

    Only A and B ever cover several ranges at once; `sub` is the noise index of equations.md section 7.
    """

    operation: str
    partitions: tuple[int, ...]
    fraction: Fraction = Fraction(1)
    sub: int = 0


@dataclass(frozen=True)
class Program:
    """One step of a method, ready for an engine.

    Attributes
    ----------
    substeps : the ordered Evaluate and Substep entries of every step.
    texts : for each partition its word, the update's name, or None where frozen.
    leading_gradient : True if the step opens with a B that reuses the last gradient of the step before; the first step
    of a run
        then needs one evaluation beforehand, which is gradient ordinal 0.
    update : name of the whole-step update, or None for splitting words.
    """

    partition: Partition
    substeps: tuple[Evaluate | Substep, ...]
    texts: tuple[str | None, ...]
    leading_gradient: bool
    update: str | None = None

    @property
    def gradients_per_step(self) -> int:
        """Evaluations in each step, the initial one not counted."""
        return sum(isinstance(s, Evaluate) for s in self.substeps)

    def gradients_before(self, step: int) -> int:
        """Evaluations made before `step` begins: the ordinal of its first own one."""
        return step * self.gradients_per_step + self.leading_gradient

    def describe(self) -> list[str]:
        """One line per substep, for people."""
        lines = []
        for s in self.substeps:
            if isinstance(s, Evaluate):
                lines.append("evaluate energy and gradient on the next minibatch")
                continue
            where = ", ".join(self.partition.names[k] for k in s.partitions)
            what = LETTERS[s.operation].formula if s.operation in LETTERS else f"{s.operation} update"
            length = "" if s.fraction == 1 else f"  ({s.fraction} of the step)"
            lines.append(f"{s.operation}  {where}: {what}{length}")
        return lines

    def reads(self, k: int) -> frozenset[str]:
        """Hyperparameters that partition k's word or update reads, the stepsize aside."""
        text = self.texts[k]
        if text is None:
            return frozenset()
        return UPDATES[text] if self.update else Word(text).reads

    def has_thermostat(self, k: int) -> bool:
        """Whether partition k has a moving or damping xi."""
        return self.update is None and self.texts[k] is not None and Word(self.texts[k] or "").has_thermostat


UPDATES: dict[str, frozenset[str]] = {
    "sgd": frozenset(),
    "sgld": frozenset({"temperature"}),
    "momentum": frozenset({"momentum"}),
    "momentum2": frozenset({"momentum"}),
    "adam": frozenset(),
    "coolmomentum": frozenset({"momentum"}),
}
"""Whole-step updates (equations.md section 3) and the hyperparameters they read; `momentum2` is the type II
convention."""


def compile_program(words: Mapping[str, Word | None], partition: Partition) -> Program:
    """Program of one word per partition (None = frozen), evaluating the force once for all of them at each A-fraction.

    Raises
    ------
    SpecError
        If the words evaluate the force at different A-fractions, or every partition is frozen.
    """
    texts = tuple(w.text if (w := words[name]) else None for name in partition.names)
    active = {k: Word(text) for k, text in enumerate(texts) if text is not None}
    if not active:
        raise SpecError("Every partition is frozen: nothing would move. Leave at least one free.")
    fractions = _common_fractions(active, partition)
    substeps: list[Evaluate | Substep] = []
    reuse = fractions[0] == 0 and fractions[-1] == 1
    chunks = {k: word.chunks() for k, word in active.items()}
    for i in range(len(fractions) + 1):
        if i > (1 if reuse else 0):
            substeps.append(Evaluate())
        substeps += _side_by_side({k: c[i] for k, c in chunks.items()})
    return Program(partition, tuple(substeps), texts, reuse)


def compile_update(update: str, partition: Partition, frozen: tuple[int, ...] = ()) -> Program:
    """Program of a whole-step update on every range but the frozen ones."""
    active = tuple(k for k in range(len(partition.names)) if k not in frozen)
    if not active:
        raise SpecError("Every partition is frozen: nothing would move. Leave at least one free.")
    texts = tuple(update if k in active else None for k in range(len(partition.names)))
    substeps: tuple[Evaluate | Substep, ...] = (Evaluate(), *(Substep(update, (k,)) for k in active))
    return Program(partition, substeps, texts, False, update)


def _common_fractions(active: Mapping[int, Word], partition: Partition) -> tuple[Fraction, ...]:
    (first, word), *others = active.items()
    for k, other in others:
        if other.force_fractions != word.force_fractions:
            ours, theirs = (", ".join(map(str, w.force_fractions)) for w in (word, other))
            raise SpecError(
                f"Words '{word.text}' ({partition.names[first]}) and '{other.text}' ({partition.names[k]}) evaluate the"
                f" force at different times: after {ours} and after {theirs} of the drift. Choose words with the same:"
                " BAOAB, BACDEDCAB and OBABO go together."
            )
    return word.force_fractions


def _side_by_side(chunk: Mapping[int, list[tuple[str, Fraction, int]]]) -> list[Substep]:
    """Substeps of one chunk: common leading and trailing A's and B's once for all ranges, the rest range by range.

    Ranges do not see each other between force evaluations, so the order among them is free.
    """
    queues = {k: list(letters) for k, letters in chunk.items()}
    head, tail = [], []
    while (op := _common(queues, 0)) is not None:
        head.append(Substep(op[0], tuple(queues), op[1]))
        queues = {k: q[1:] for k, q in queues.items()}
    while (op := _common(queues, -1)) is not None:
        tail.append(Substep(op[0], tuple(queues), op[1]))
        queues = {k: q[:-1] for k, q in queues.items()}
    middle = [Substep(letter, (k,), fraction, sub) for k, q in queues.items() for letter, fraction, sub in q]
    return head + middle + tail[::-1]


def _common(queues: Mapping[int, list[tuple[str, Fraction, int]]], end: int) -> tuple[str, Fraction, int] | None:
    ends = {q[end] if q else None for q in queues.values()}
    op = ends.pop()
    return op if not ends and op is not None and op[0] in "AB" else None
