"""Text to Word; words on partitions to a Program (equations.md section 2)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from ..cost import Count
from ..errors import SpecError
from .letters import LETTERS
from .operations import operation
from .partition import Partition
from .record import Operation

Chunks = list[list[tuple[str, Fraction, int]]]
MOST_NOISY = 256
"""Noise indices that a random address has room for (equations.md section 7)."""
OPEN, CLOSE = "{", "}"
"""What is between them is one proposal (equations.md section 13)."""
_OPENMM = str.maketrans("VRO", "BAO")
_BARE = str.maketrans("", "", OPEN + CLOSE)


@dataclass(frozen=True)
class Word:
    """A splitting word in our alphabet; a letter that occurs c times takes 1/c of the step each time.

    Attributes
    ----------
    text : its letters. inside : where those in braces begin and end, (first, behind the last), or None without braces.
    """

    text: str
    inside: tuple[int, int] | None = None

    @classmethod
    def of(cls, written: str) -> "Word":
        """Inverse of `written`, unchecked."""
        if OPEN not in written:
            return cls(written)
        return cls(written.translate(_BARE), (written.index(OPEN), written.index(CLOSE) - 1))

    @property
    def written(self) -> str:
        """Letters and braces."""
        if self.inside is None:
            return self.text
        first, end = self.inside
        return f"{self.text[:first]}{OPEN}{self.text[first:end]}{CLOSE}{self.text[end:]}"

    @property
    def outside(self) -> tuple[int, int]:
        """How many letters stand before the braces, and how many behind."""
        return (0, 0) if self.inside is None else (self.inside[0], len(self.text) - self.inside[1])

    @property
    def records(self) -> tuple[Operation, ...]:
        """Records of its letters, each once, in order of appearance."""
        return tuple(LETTERS[letter] for letter in dict.fromkeys(self.text))

    @property
    def reads(self) -> frozenset[str]:
        """Names of the hyperparameters the word's letters read."""
        return frozenset(name for record in self.records for name in record.reads)

    @property
    def has_thermostat(self) -> bool:
        """Whether any letter reads or moves xi."""
        return any(LETTERS[letter].thermostat for letter in self.text)

    @property
    def force_fractions(self) -> tuple[Fraction, ...]:
        """The ordered distinct fractions of the flight at which the word's kicks stand; 0 and 1 stay distinct."""
        return tuple(dict.fromkeys(fraction for fraction, _ in self._timeline() if fraction is not None))

    def chunks(self) -> Chunks:
        """(letter, fraction of the step, noise index) in order, split before the first kick at each force fraction.

        Chunk 0 holds what precedes the first force evaluation and may be empty.
        """
        out: Chunks = [[]]
        current, sub = None, 0
        for at, letter in self._timeline():
            if at is not None and at != current:
                out.append([])
                current = at
            normals = LETTERS[letter].normals
            out[-1].append((letter, Fraction(1, self.text.count(letter)), sub if normals else 0))
            sub += normals
        return out

    def _timeline(self) -> list[tuple[Fraction | None, str]]:
        """Each letter with the fraction of the flight done before it, given for kicks only."""
        total, done, out = sum(LETTERS[letter].drifts for letter in self.text), 0, []
        for letter in self.text:
            out.append((Fraction(done, total) if LETTERS[letter].kicks else None, letter))
            done += LETTERS[letter].drifts
        return out


def parse_word(text: str) -> Word:
    """Validate `text`; openmmtools' alphabet V R O is translated (V = our B, R = our A), with or without its spaces.

    Raises
    ------
    SpecError
        An unknown letter (with its position), a word that never moves the position or applies the force, letters that
        may not stand together, too many that draw noise, or braces that cannot make the word exact.
    """
    if not isinstance(text, str) or not text:
        raise SpecError(f'A splitting word is a text such as "BAOAB", not {text!r}.')
    ours = text.replace(" ", "").translate(_OPENMM) if set(text) <= set("VRO " + OPEN + CLOSE) else text
    for position, letter in enumerate(ours, 1):
        if letter not in LETTERS and letter not in (OPEN, CLOSE):
            hint = {"R": " (openmmtools' R is our A.)", "V": " (openmmtools' V is our B.)"}.get(letter, "")
            raise SpecError(
                f"Word '{text}' has unknown letter '{letter}' at position {position}. Letters:"
                f" {' '.join(LETTERS)}.{hint}"
            )
    _check_together(text, [LETTERS[letter] for letter in ours.translate(_BARE)])
    if OPEN in ours or CLOSE in ours:
        _check_braces(text, ours)
    return Word.of(ours)


def _check_braces(text: str, ours: str) -> None:
    """SpecError unless accepting what is in the braces of a word makes it exact."""
    if ours.count(OPEN) != 1 or ours.count(CLOSE) != 1 or ours.index(OPEN) > ours.index(CLOSE):
        raise SpecError(f"Word '{text}' needs one pair of braces around one stretch of letters, as in {{BAOAB}}.")
    word = Word.of(ours)
    first, end = word.inside or (0, 0)
    inner, outer = word.text[first:end], word.text[:first] + word.text[end:]
    unknown = [letter for letter in dict.fromkeys(word.text) if LETTERS[letter].work is None]
    if unknown:
        known = " ".join(letter for letter, record in LETTERS.items() if record.work is not None)
        raise SpecError(
            f"Word '{text}' has {', '.join(unknown)} and braces: a step is accepted by its work, which is known for"
            f" {known}. Leave out the braces, or use these letters."
        )
    moving = [letter for letter in dict.fromkeys(outer) if LETTERS[letter].drifts or LETTERS[letter].kicks]
    if moving:
        raise SpecError(
            f"Word '{text}' has {', '.join(moving)} outside its braces, where nothing is accepted or rejected: put all"
            f" that moves inside, such as {{{word.text}}} where that is a palindrome."
        )
    if inner != inner[::-1]:
        raise SpecError(
            f"Word '{text}' has '{inner}' in braces, which read backwards is '{inner[::-1]}': only palindromes undo"
            " themselves from flipped momenta, which accepting takes. Use one, such as {BAOAB} or O{BAB}O."
        )
    if not any("temperature" in record.reads for record in word.records):
        raise SpecError(
            f"Word '{text}' has no temperature to accept at, and nothing changes its energy: let O refresh the"
            f" momenta, such as O{text}O."
        )


def _check_together(text: str, letters: Sequence[Operation]) -> None:
    """SpecError unless the letters of the word `text` can be one step."""
    for is_there, have, what in (
        (any(r.drifts for r in letters), [r.symbol for r in LETTERS.values() if r.drifts], "moves the position"),
        (any(r.kicks for r in letters), [r.symbol for r in LETTERS.values() if r.kicks], "applies the force"),
    ):
        if not is_there:
            raise SpecError(f"Word '{text}' has no {' or '.join(have)}: nothing {what}. Add one, as in BAOAB.")
    for record in letters:
        mixed = sorted({r.symbol for r in letters} & set(record.apart))
        if mixed:
            raise SpecError(f"Word '{text}' has {record.symbol} together with {', '.join(mixed)}: {record.because}")
    if sum(r.normals for r in letters) > MOST_NOISY:
        noisy = ", ".join(r.symbol for r in LETTERS.values() if r.normals)
        raise SpecError(
            f"A word has at most {MOST_NOISY} letters that draw noise ({noisy}), or they would share it: shorten this"
            " one."
        )


@dataclass(frozen=True)
class Evaluate:
    """Evaluate energy and gradient at the current positions, on the next minibatch."""


@dataclass(frozen=True)
class Substep:
    """Apply `operation` (a letter, or a whole-step update's name) for `fraction` of the step to the ranges
    `partitions`.

    Only operations that say so (`several`) ever cover several ranges at once; `sub` is the noise index of equations.md
    section 7. In every `pace`-th step only it moves, by as many steps; all its lengths are `ratio` times those of the
    replica's stepsize.
    """

    operation: str
    partitions: tuple[int, ...]
    fraction: Fraction = Fraction(1)
    sub: int = 0
    pace: int = 1
    ratio: float = 1.0


@dataclass(frozen=True)
class InForce:
    """Hyperparameter `name` of partition k as it is in force: what a kernel reads besides coefficients. Without k it is
    the temperature of all partitions together.
    """

    name: str
    k: int | None


@dataclass(frozen=True)
class Program:
    """One step of a method, ready for an engine.

    Attributes
    ----------
    substeps : the ordered Evaluate and Substep entries of every step.
    texts : for each partition its word as written, the update's name, or None where frozen.
    leading_gradient : True if the step opens with a B that reuses the last gradient of the step before; the first step
    of a run
        then needs one evaluation beforehand, which is gradient ordinal 0.
    update : name of the whole-step update, or None for splitting words.
    paces : for each partition the m of which it moves in every m-th step only, by m h; () where all move in each.
    braces : where in `substeps` a proposal begins and where it ends (before which entries), or None without braces.
    """

    partition: Partition
    substeps: tuple[Evaluate | Substep, ...]
    texts: tuple[str | None, ...]
    leading_gradient: bool
    update: str | None = None
    braces: tuple[int, int] | None = None
    paces: tuple[int, ...] = ()

    @property
    def gradients_per_step(self) -> int:
        """Evaluations in each step, the initial one not counted."""
        return sum(isinstance(s, Evaluate) for s in self.substeps)

    @property
    def has_work(self) -> bool:
        """Whether the shadow work of a step is known (equations.md section 13)."""
        return all(record.work is not None for record in self.records)

    @property
    def ends_at_evaluation(self) -> bool:
        """Whether the last evaluation of a step is made where the step ends: nothing moves positions after it."""
        last = max(i for i, s in enumerate(self.substeps) if isinstance(s, Evaluate))
        return not any(operation(s.operation).drifts for s in self.substeps[last:] if isinstance(s, Substep))

    def arithmetic(self, masses: bool = False) -> tuple[Count, int]:
        """Arithmetic of the letters or the update in one step, and the normals it draws.

        With `masses`, gradients and what moves positions are multiplied once more.
        """
        counted, normals = Count(), 0
        for s in self.substeps:
            if isinstance(s, Substep):
                size, record = sum(self.partition.counts[k] for k in s.partitions), operation(s.operation)
                counted, normals = counted + record.count * size, normals + size * record.normals
                counted += Count(0, 1) * (size * (masses and record.drifts))
            else:
                counted += Count(0, 1) * (self.partition.size * masses)
        return counted, normals

    def gradients_before(self, step: int) -> int:
        """Evaluations made before `step` begins: the ordinal of its first own one."""
        return step * self.gradients_per_step + self.leading_gradient

    def describe(self) -> list[str]:
        """One line per substep, for people."""
        lines = []
        for i, s in enumerate((*self.substeps, None)):
            if self.braces is not None and i == self.braces[0]:
                lines.append("{  a proposal of `block` steps begins")
            if self.braces is not None and i == self.braces[1]:
                lines.append("}  it is accepted with probability min(1, exp(-w / tau)), else undone and p flipped")
            if s is None:
                break
            if isinstance(s, Evaluate):
                lines.append("evaluate energy and gradient on the next minibatch")
                continue
            where = ", ".join(self.partition.names[k] for k in s.partitions)
            length = "" if s.fraction == 1 else f"  ({s.fraction} of the step)"
            rare = "" if s.pace == 1 else f"  (in the last of {s.pace} steps, by {s.pace} h)"
            other = "" if s.ratio == 1 else f"  (h there is {s.ratio:g} stepsizes)"
            lines.append(f"{s.operation}  {where}: {operation(s.operation).formula}{length}{rare}{other}")
        return lines

    def operations(self, k: int) -> tuple[Operation, ...]:
        """Records of partition k's letters, or of its update; none where it is frozen."""
        text = self.texts[k]
        if text is None:
            return ()
        return tuple(operation(symbol) for symbol in ((self.update,) if self.update else Word.of(text).text))

    def reads(self, k: int) -> frozenset[str]:
        """Hyperparameters that partition k's word or update reads, the stepsize aside."""
        return frozenset(name for record in self.operations(k) for name in record.reads)

    def has_thermostat(self, k: int) -> bool:
        """Whether partition k has a moving or damping xi."""
        return any(record.thermostat for record in self.operations(k))

    def has_fixed_length(self, k: int) -> bool:
        """Whether partition k's momentum is a direction, held at |p| = sqrt(n_k): then p.p is no temperature."""
        return any(record.fixed_length for record in self.operations(k))

    def has_velocity(self, k: int) -> bool:
        """Whether partition k's momentum is a velocity, of variance h tau."""
        return any(record.velocity for record in self.operations(k))

    @property
    def records(self) -> tuple[Operation, ...]:
        """Records of all its operations, each once."""
        return tuple(operation(o) for o in dict.fromkeys(s.operation for s in self.substeps if isinstance(s, Substep)))

    @property
    def keeps(self) -> tuple[str, ...]:
        """Names of the arrays its operations carry beside the state."""
        return tuple(dict.fromkeys(name for record in self.records for name in record.keeps))


def compile_program(words: Mapping[str, Word | None], partition: Partition) -> Program:
    """Program of one word per partition (None = frozen), evaluating the force once for all of them at each A-fraction.

    Raises
    ------
    SpecError
        If the words evaluate the force at different A-fractions, every partition is frozen, a momentum of fixed length
        is not that of all free parameters, or braces are around some words only.
    """
    active = {k: w for k, name in enumerate(partition.names) if (w := words[name])}
    texts = tuple(active[k].written if k in active else None for k in range(len(partition.names)))
    if not active:
        raise SpecError("Every partition is frozen: nothing would move. Leave at least one free.")
    fractions = _common_fractions(active, partition)
    _check_length(active, partition)
    _check_all_in_braces(active, partition)
    reuse = fractions[0] == 0 and fractions[-1] == 1
    chunks = {k: word.chunks() for k, word in active.items()}
    before, after = _outside(active, chunks)
    substeps: list[Evaluate | Substep] = [*before]
    for i in range(len(fractions) + 1):
        if i > (1 if reuse else 0):
            substeps.append(Evaluate())
        substeps += _side_by_side({k: c[i] for k, c in chunks.items()})
    in_braces = any(word.inside for word in active.values())
    braces = (len(before), len(substeps)) if in_braces else None
    return Program(partition, (*substeps, *after), texts, reuse, braces=braces)


def _outside(active: Mapping[int, Word], chunks: dict[int, Chunks]) -> tuple[list[Substep], list[Substep]]:
    """Substeps before and behind the braces, which are taken out of the first and last of each word's `chunks`."""
    before, after = {}, {}
    for k, word in active.items():
        leading, trailing = word.outside
        first, last = chunks[k][0], chunks[k][-1]
        before[k], chunks[k][0] = first[:leading], first[leading:]
        after[k], chunks[k][-1] = last[len(last) - trailing :], last[: len(last) - trailing]
    return _side_by_side(before), _side_by_side(after)


def _check_all_in_braces(active: Mapping[int, Word], partition: Partition) -> None:
    """SpecError where some free partitions are in braces and some are not."""
    without = [f"{partition.names[k]} ({word.text})" for k, word in active.items() if word.inside is None]
    if without and len(without) < len(active):
        raise SpecError(
            f"Braces accept a step of all free partitions or of none, and {', '.join(without)} has none: put braces"
            " around every word, or freeze what should stay."
        )


def compile_update(update: str, partition: Partition, frozen: tuple[int, ...] = ()) -> Program:
    """Program of a whole-step update on every range but the frozen ones."""
    operation(update)
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


def _check_length(active: Mapping[int, Word], partition: Partition) -> None:
    """SpecError unless a momentum of fixed length is that of all free parameters, two at least."""
    fixed = {letter for word in active.values() for letter in word.text if LETTERS[letter].fixed_length}
    if not fixed:
        return
    names = " and ".join(sorted(fixed))
    if len(active) > 1:
        free = ", ".join(f"{partition.names[k]} ({word.text})" for k, word in active.items())
        raise SpecError(
            f"{names} hold the momentum of all free parameters together at one length, and here several partitions are"
            f' free: {free}. Use partition = "all", or freeze all of them but one.'
        )
    (count,) = (partition.counts[k] for k in active)
    if count < 2:
        raise SpecError(
            f"{names} turn a momentum of fixed length, and of {count} free parameter it has no direction to turn to:"
            " use a word of A, B and O, such as BAOAB."
        )


def _side_by_side(chunk: Mapping[int, list[tuple[str, Fraction, int]]]) -> list[Substep]:
    """Substeps of one chunk: common leading and trailing ones once for all ranges where they may, the rest range by
    range.

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
    return op if not ends and op is not None and operation(op[0]).several else None
