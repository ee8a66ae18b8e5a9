"""Records of one's own: a letter, an update, an activation, a prior or a likelihood joins its table from Python.

A spec then names it as it names ours, on both engines where it has C++ texts. Specs and stores hold no code: a run's
own spec says by a digest which records it went by (`registered`), and going on asks for the same ones again. A digest
is of a record's texts and numbers and of what its functions answer on fixed points, to six digits: names of variables,
comments and Python's version do not count.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np

from .data.tasks import TASKS
from .errors import SpecError
from .method.letters import LETTERS
from .method.named import ALIASES, HYPERPARAMETERS, METHODS, method_of
from .method.operations import OWN
from .method.record import Operation
from .method.updates import UPDATES
from .targets.activations import ACTIVATIONS, Activation
from .targets.likelihoods import DEFAULTS, LIKELIHOODS, SCORES, Likelihood
from .targets.priors import PRIORS, Prior

Record = Operation | Activation | Prior | Likelihood
ANY_WORD = ("splitting", "adl")
"""Methods whose words take every letter."""


@dataclass(frozen=True)
class Kind:
    """One kind of record: its table, the attribute that names it, and what a name looks like, in words and as a
    pattern.
    """

    table: MutableMapping[str, Any]
    named: str
    wanted: str
    pattern: str


_NAME = "a name of small letters, digits and _ that begins with a letter", r"[a-z][a-z0-9_]*"
KINDS: dict[str, Kind] = {
    "letter": Kind(LETTERS, "symbol", "one capital letter, V and R aside (openmmtools' B and A)", "[A-QS-UW-Z]"),
    "update": Kind(UPDATES, "symbol", *_NAME),
    "activation": Kind(ACTIVATIONS, "name", *_NAME),
    "prior": Kind(PRIORS, "name", *_NAME),
    "likelihood": Kind(LIKELIHOODS, "name", *_NAME),
}
_DIGESTS: dict[str, str] = {}
"""Digest of each registered record, by "kind name"."""


def register(record: Record) -> Record:
    """Put a record of one's own into its table, so that specs may name it; the record, for use as it is.

    Registering an equal one again does nothing. Each process registers for itself; workers of a study are sent what is
    registered here.

    Parameters
    ----------
    record : an Operation (a letter where its symbol is one capital, else an update, which is a method of that name and
        needs `summary` and `defaults`), Activation, Prior or Likelihood; docs/adding.md has an example of each.

    Raises
    ------
    SpecError
        It is no record, its name is taken or no name, what it reads is no hyperparameter, or its functions fail on the
        points that they are tried on.
    """
    kind, name = identify(record)
    _check_name(kind, name)
    if isinstance(record, Operation):
        _check_operation(kind, record)
    if isinstance(record, Likelihood):
        _check_likelihood(record)
    label, found = f"{kind} {name}", digest(record)
    if label in _DIGESTS:
        if _DIGESTS[label] == found:
            return record
        raise SpecError(
            f"Another {kind} '{name}' is registered already: choose another name, or gpu_thermo.unregister('{name}')"
            " first."
        )
    _check_free(kind, name)
    _add(kind, name, record)
    _DIGESTS[label] = found
    return record


def unregister(name: str) -> None:
    """Take the records registered under a name out of their tables again.

    Raises
    ------
    SpecError
        Nothing is registered under that name; the package's own records stay.
    """
    labels = [label for label in _DIGESTS if label.split()[1] == name]
    if not labels:
        known = ", ".join(_DIGESTS) or "none"
        raise SpecError(f"Nothing is registered as {name!r}. Registered: {known}.")
    for label in labels:
        _remove(*label.split())
        del _DIGESTS[label]


def registered() -> dict[str, str]:
    """Digest of each registered record, by kind and name: {"letter L": "..."}."""
    return dict(_DIGESTS)


def records() -> list[Record]:
    """The registered records themselves, as they were given."""
    return [KINDS[kind].table[name] for kind, name in (label.split() for label in _DIGESTS)]


@contextmanager
def present(record: Record) -> Iterator[Record]:
    """`record` as registered, within a block; one that is in its table already stays as it is."""
    kind, name = identify(record)
    if KINDS[kind].table.get(name) is record or _DIGESTS.get(f"{kind} {name}") == digest(record):
        yield record
        return
    register(record)
    try:
        yield record
    finally:
        unregister(name)


def check_registered(wanted: Mapping[str, str], kinds: Iterable[str] = tuple(KINDS)) -> None:
    """SpecError unless the records of those kinds that a run went by are registered here, and are the same."""
    for label, found in wanted.items():
        kind, _, name = label.partition(" ")
        if kind not in kinds or _DIGESTS.get(label) == found:
            continue
        what = f"This run goes by the {kind} '{name}', registered from Python (specs and stores hold no code)"
        if label not in _DIGESTS:
            raise SpecError(f"{what}: gpu_thermo.register(...) the same record first.")
        raise SpecError(
            f"{what}, and the one registered here is another: its texts or what it answers differ. Register the one"
            " that the run was made with."
        )


def identify(record: Any) -> tuple[str, str]:
    """Kind and name of a record; SpecError for what is none."""
    if isinstance(record, Operation):
        return ("letter" if len(record.symbol) == 1 and record.symbol.isupper() else "update"), record.symbol
    for kind, of in (("activation", Activation), ("prior", Prior), ("likelihood", Likelihood)):
        if isinstance(record, of):
            return kind, record.name
    raise SpecError(
        f"{type(record).__name__} is no record: give an Operation, Activation, Prior or Likelihood (adding.md)."
    )


# -- tables ------------------------------------------------------------------------------------------------------------


def _check_name(kind: str, name: str) -> None:
    wanted = KINDS[kind]
    if not re.fullmatch(wanted.pattern, name):
        raise SpecError(f"{name!r} is no name of a{'n' * (kind[0] in 'aeiou')} {kind}: give {wanted.wanted}.")


def _check_free(kind: str, name: str) -> None:
    taken = KINDS[kind].table.keys() | (METHODS.keys() | ALIASES.keys() if kind == "update" else set())
    taken |= DEFAULTS.keys() if kind == "likelihood" else set()
    if name in taken:
        raise SpecError(f"There is a{'n' * (kind[0] in 'aeiou')} {kind} '{name}' in the package already: choose another"
                        f" name. Taken: {', '.join(sorted(taken))}.")  # fmt: skip


def _add(kind: str, name: str, record: Any) -> None:
    if kind == "likelihood":
        SCORES.setdefault(record.score.name, record.score)
    KINDS[kind].table[name] = record
    if kind == "update":
        METHODS[name] = method_of(record)
    if kind == "letter":
        _spell(lambda letters: letters + name)
    if kind in ("letter", "update"):
        OWN.add(name)


def _remove(kind: str, name: str) -> None:
    del KINDS[kind].table[name]
    OWN.discard(name)
    if kind == "update":
        del METHODS[name]
    if kind == "letter":
        _spell(lambda letters: letters.replace(name, ""))


def _spell(change: Callable[[str], str]) -> None:
    """Change the alphabet of the methods that take every letter."""
    for name in ANY_WORD:
        METHODS[name] = replace(METHODS[name], letters=change(METHODS[name].letters))


def _check_operation(kind: str, record: Operation) -> None:
    for name in record.keeps:
        if not re.fullmatch(_NAME[1], name) or re.fullmatch(r"xi|[qpgnsft]\d*", name):
            raise SpecError(
                f"{record.symbol} keeps an array {name!r}: give it {_NAME[0]} and is none of the texts' own (q, p, g,"
                " xi, n0, s0, f0, t0)."
            )
    _check_definitions(record)
    known = {*HYPERPARAMETERS} - {"stepsize", "posterior_temperature", "thermostat"}
    if unknown := {*record.reads} - known:
        raise SpecError(
            f"{record.symbol} reads {', '.join(sorted(unknown))}, which is no hyperparameter of a method:"
            f" {', '.join(sorted(known))}."
        )
    if kind == "update":
        needed = {"stepsize", *record.reads}
        if not record.summary or not needed <= {*record.defaults}:
            raise SpecError(
                f"Update '{record.symbol}' is a method of that name: give it a summary, and defaults of"
                f" {', '.join(sorted(needed))}."
            )


_DEFINED = re.compile(r"^(?:template *<[^>]*> *)?(?:HD|SLOW|inline|static)[\w\s&*]*?(\w+) *\(", re.MULTILINE)


def _check_definitions(record: Operation) -> None:
    """SpecError where the record's C++ defines a name that another operation's defines otherwise."""
    theirs = {
        name: (other.symbol, text)
        for other in (*LETTERS.values(), *UPDATES.values())
        for text in other.code for name in _DEFINED.findall(text) if other.symbol != record.symbol
    }  # fmt: skip
    for text in record.code:
        for name in _DEFINED.findall(text):
            symbol, known = theirs.get(name, ("", text))
            if known != text:
                raise SpecError(
                    f"The C++ of {record.symbol} defines {name}(), and that of {symbol} defines it otherwise: in one"
                    " word they could not be compiled. Give the function another name."
                )


def _check_likelihood(record: Likelihood) -> None:
    if record.own is not None:
        raise SpecError(
            f"Likelihood '{record.name}' has parameters of its own, which cannot be registered: own = None."
        )
    if record.task not in TASKS:
        raise SpecError(
            f"Likelihood '{record.name}' is for the unknown task {record.task!r}. Tasks: {', '.join(TASKS)}."
        )


# -- digests -----------------------------------------------------------------------------------------------------------


def digest(record: Record) -> str:
    """SHA-256 of a record's texts and numbers, and of what its functions answer, to six digits.

    Raises
    ------
    SpecError
        A function fails on the points it is tried on.
    """
    kind, name = identify(record)
    try:
        with np.errstate(all="ignore"):
            found = [_rounded(answer) for answer in _ANSWERS[kind](record)]
    except Exception as error:
        raise SpecError(
            f"{kind} '{name}' was tried on arrays, and it failed: {type(error).__name__}: {error}. Its functions are"
            " called as the record's own documentation says (adding.md)."
        ) from error
    return hashlib.sha256(json.dumps([kind, _said(record), found], sort_keys=True).encode()).hexdigest()


def _said(value: Any) -> Any:
    """What a record says in text and numbers, functions left out."""
    if is_dataclass(value):
        return {f.name: _said(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _said(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_said(each) for each in value]
    return (
        value if isinstance(value, str | int | float | bool | None) else str(value) if isinstance(value, slice) else ""
    )


def _rounded(value: Any) -> list[str]:
    """Numbers as text of six digits; zeros of both signs are one."""
    return [f"{x + 0.0:.5e}" for x in np.asarray(value, np.float64).ravel()]


def _of_operation(record: Operation) -> Iterator[Any]:
    """Coefficients for three replicas, and what `act` makes of arrays of four parameters."""
    given = {name: np.array([[0.7, 0.2, 0.9]]) for name in record.reads}
    formed = record.coefficients(np.array([[0.3, 0.05, 1.0]]), given | {"count": 4})
    if len(formed) != len(record.kinds):
        raise ValueError(
            f"coefficients gives {len(formed)} arrays, and kinds = '{record.kinds}' says {len(record.kinds)}"
        )
    yield from formed
    arrays = sample_arrays(record)
    noise = [np.random.default_rng(9 + i).normal(size=(3, 4)) for i in range(record.normals)]
    values = [np.broadcast_to(np.asarray(c, np.float64), (1, 3)).T for c in formed]
    if record.work is not None and record.work.act is not None:
        yield record.work.act(*arrays, *values)
    record.act(*arrays, *noise, *values, *record.of_step(5))
    yield from arrays


def sample_arrays(record: Operation, rows: int = 3, columns: int = 4) -> list[np.ndarray]:
    """Operands of a record, of ordinary numbers: positive for what it keeps, [rows, 1] for xi."""
    rng = np.random.default_rng(1)
    drawn = {name: rng.normal(size=(rows, 1 if name == "xi" else columns)) for name in ("q", "p", "g", "xi")}
    return [drawn[name] if name in drawn else abs(rng.normal(size=(rows, columns))) for name in record.operands]


def _of_activation(record: Activation) -> Iterator[Any]:
    z = np.linspace(-4, 4, 33)
    value = record.value(z.copy(), np)
    yield value
    yield 1.0 if record.slope is None else record.slope(z, value, np)


def _of_prior(record: Prior) -> Iterator[Any]:
    theta, several = np.linspace(-3, 3, 25), np.linspace(0.3, 2, 25)
    for scale in (0.7, several):
        c = record.constants(scale, 10)
        yield from (np.broadcast_to(value, (25,)) for value in c.values())
        yield from (record.term(theta, c), record.slope(theta, c))
    yield record.draw([*np.random.default_rng(2).normal(size=(record.normals, 1, 50))])


def _of_likelihood(record: Likelihood) -> Iterator[Any]:
    c = record.constants(dict.fromkeys(record.settings, 0.7))
    yield list(c.values())
    for outputs, answers in sample_answers(record):
        yield from (record.losses(outputs, answers, c, np), record.residual(outputs.copy(), answers, c, np))
        phi = record.respond(outputs.copy(), np)
        yield phi
        yield record.score.sums(outputs, answers, np)
        if record.log_density is not None:
            yield record.log_density(phi, answers, c)


def sample_answers(record: Likelihood) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Outputs [2, 12, n] and answers [2, 12] or [12, n] that a likelihood can have."""
    rng, task = np.random.default_rng(3), TASKS[record.task]
    for classes in (2, 3) if task.most > 2 or task.numeric else (2,):
        outputs = rng.normal(size=(2, 12, record.outputs(task.outputs(classes))))
        yield (
            outputs,
            (rng.integers(0, 4, (12, classes)).astype(float) if task.numeric else rng.integers(0, classes, (2, 12))),
        )


_ANSWERS: dict[str, Callable[[Any], Iterator[Any]]] = {
    "letter": _of_operation, "update": _of_operation, "activation": _of_activation, "prior": _of_prior,
    "likelihood": _of_likelihood,
}  # fmt: skip
