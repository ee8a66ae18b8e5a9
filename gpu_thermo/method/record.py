"""The record of an operation: everything that the package knows of one letter of splitting words, or of one whole-step
update.

Words, tables of coefficients, both engines, kernels, operation counts and lists for people are made from records, so
that an operation is spelled out in one place. letters.py and updates.py hold them, operations.py the table of all.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..cost import Count

Array = Any
Values = Mapping[str, Array]

VIEWS = ("q", "p", "g", "xi")
"""What operations act on: position, momentum and gradient [R, n] of a partition's n parameters, thermostat [R, 1]."""
PRODUCTS = ("p.p", "g.g", "g.p")
"""Sums over a partition that compiled code forms for an operation."""


def _nothing(step: Array) -> tuple[Array, ...]:
    """No coefficient depends on the step."""
    return ()


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a letter adds to the shadow work w of a step (equations.md section 13): nothing where all is left out, since
    what friction and noise do is heat.

    Attributes
    ----------
    potential, kinetic : whether the change of U, or of p.p/2, that it makes counts.
    act : further work as a function of its operands and coefficients before it acts: [R] in units of tau.
    code : C++ of the same, of coefficients and sums.
    """

    potential: bool = False
    kinetic: bool = False
    act: Callable[..., Array] | None = None
    code: str = ""


@dataclass(frozen=True, kw_only=True)
class Operation:
    """A letter or a whole-step update.

    Its C++ texts may be left out, all of them: then only array code on the CPU carries it out. In them {0}, {1} stand
    for coefficients, {t0} for one of `of_step`, {xi} for the thermostat, {f0} for a factor, {s0} for a sum, {n} for the
    normal ({n0}, {n1} if there are several), and a name of `keeps` for that array.

    Attributes
    ----------
    symbol : a capital letter, or the name of an update. formula, reference : for people.
    summary, defaults : of an update that is a method of its own: a line for people, and hyperparameters not given.
    act : the map on arrays, in place: `act(*operands, *normals, *coefficients, *of_step)`. operands : the views it acts
        on, of VIEWS and `keeps`; normals are [R, n]; coefficients broadcast to [R, 1], in the type of the state, or all
        in float64 where one of `kinds` is.
    coefficients : (h, values) -> float64 arrays that broadcast over replicas; h is the operation's own length, `values`
        has the hyperparameters of `reads` by name, and `count` (n_k).
    of_step : steps done before this one -> further coefficients, that depend on nothing else.
    kinds : type of each of `coefficients` in compiled code, "r" real or "w" float64.
    reads : hyperparameters it reads, the stepsize aside. normals : how many it draws for each parameter.
    code : C++ definitions; records may share one by giving the same text.
    call : C++ on one parameter x (x.q, x.p, x.g).
    factors : C++ expressions of coefficients, {xi} and, in `finish`, sums, formed once for all parameters.
    sums : which of PRODUCTS are summed over the partition after `call`; then follow `settle`, C++ once a replica, which
        may move {xi}, and `finish`, C++ on one parameter.
    keeps : names of arrays [R, P], zero at the start, that it carries from step to step beside the state.
    thermostat : whether it reads or moves xi. drifts, kicks : whether it moves q as A does, or applies the force as B;
        what it adds to q must not depend on q, and is multiplied by m^(-1/2) where parameters have masses.
    several : whether one application may cover several partitions: it draws nothing, and its coefficients are the same
        for all.
    fixed_length : whether it holds p at |p| = sqrt(n), n the free parameters: they are one partition then, and p is a
        direction from the start and no temperature (equations.md section 16).
    velocity : whether p is a velocity, sqrt(h) times a momentum: its variance is h tau.
    positive : those of `reads` that must be above 0.
    apart : letters that it may not share a word with, and `because` says why.
    work : what it adds to the shadow work; None where that is not known, and a word with it is neither counted nor put
        in braces. A letter with one must be reversible: its palindromes undo themselves from flipped momenta.
    count : arithmetic on one parameter, without the normals.
    """

    symbol: str
    formula: str
    reference: str
    summary: str = ""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    act: Callable[..., None]
    operands: tuple[str, ...]
    coefficients: Callable[[Array, Values], tuple[Array, ...]]
    of_step: Callable[[Array], tuple[Array, ...]] = _nothing
    kinds: str
    reads: tuple[str, ...] = ()
    normals: int = 0
    code: tuple[str, ...] = ()
    call: str = ""
    factors: tuple[str, ...] = ()
    sums: tuple[str, ...] = ()
    settle: str = ""
    finish: str = ""
    keeps: tuple[str, ...] = ()
    thermostat: bool = False
    drifts: bool = False
    kicks: bool = False
    several: bool = False
    fixed_length: bool = False
    velocity: bool = False
    positive: tuple[str, ...] = ()
    apart: str = ""
    because: str = ""
    work: Work | None = None
    count: Count

    def __post_init__(self) -> None:
        """ValueError where parts of the record do not fit together."""
        values = {*map(str, range(len(self.kinds))), *(f"t{i}" for i in range(self.ticks))}
        factors = {f"f{i}" for i in range(len(self.factors))}
        sums = {f"s{i}" for i in range(len(self.sums))}
        known = {
            "call": values | factors | {*self.normal_names} | {*self.keeps},
            "factors": values | {"xi"} | sums,
            "settle": values | {"xi"} | sums,
            "finish": values | factors | {*self.keeps},
        }
        for name, names in known.items():
            self._refuse(f"unknown name in {name}", placeholders(getattr(self, name)) - names)
        if self.work is not None:
            self._refuse("unknown name in work", placeholders(self.work.code) - values - sums)
            if (self.compiled and bool(self.work.act) != bool(self.work.code)) or (self.work.code and not self.sums):
                raise ValueError(f"operation {self.symbol}: work of its own is an array function and C++ of its sums")
        self._refuse("unknown operand", {*self.operands} - {*VIEWS, *self.keeps})
        self._refuse("unknown sum", {*self.sums} - {*PRODUCTS})
        self._refuse("a sum of what is no operand", {*".".join(self.sums).split(".")} - {"", *self.operands})
        self._refuse("positive, but not read", {*self.positive} - {*self.reads})
        self._refuse("unknown type of coefficient", {*self.kinds} - {"r", "w"})
        if self.compiled:
            self._refuse("a normal that call does not use", {*self.normal_names} - placeholders(self.call))
        self._refuse("a sum before there is one, in call", placeholders(self.factors_of(self.call)) & sums)
        if self.several:
            self._refuse("for several partitions at once", {*self.reads, *self.normal_names, *self.sums})
        if bool(self.sums) != bool(self.settle or self.finish) or (self.code and not self.compiled):
            raise ValueError(
                f"operation {self.symbol}: give it a call, or sums and what comes of them, or no C++ at all"
            )

    def _refuse(self, what: str, found: set[str]) -> None:
        if found:
            raise ValueError(f"operation {self.symbol}: {what}: {', '.join(sorted(found))}")

    @property
    def compiled(self) -> bool:
        """Whether it has C++ texts."""
        return bool(self.call or self.sums)

    @property
    def ticks(self) -> int:
        """Coefficients that depend on the step alone."""
        return len(self.of_step(0))

    @property
    def wide(self) -> bool:
        """Whether its coefficients stay in float64 on arrays."""
        return "w" in self.kinds

    @property
    def normal_names(self) -> tuple[str, ...]:
        """Placeholders of its normals."""
        return ("n",) if self.normals == 1 else tuple(f"n{i}" for i in range(self.normals))

    def factors_of(self, text: str) -> tuple[str, ...]:
        """The factors that `text` uses."""
        return tuple(factor for i, factor in enumerate(self.factors) if f"f{i}" in placeholders(text))


def placeholders(text: str | tuple[str, ...]) -> set[str]:
    """Names in braces in C++ text of a record."""
    return set(re.findall(r"{(\w+)}", text if isinstance(text, str) else " ".join(text)))
