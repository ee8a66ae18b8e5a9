"""What a likelihood is made of: one frozen record, in array code and in C++ (equations.md sections 1, 9 and 12).

Axes: R replicas, T points, n outputs, C classes. Outputs f are [R, T, n], labels [R, T] or [T], targets [.., T, n].
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...cost import Count
from ..records import CONSTANTS, check_bodies
from .laws import Law

Array = Any
Constants = Mapping[str, Any]


@dataclass(frozen=True)
class Code:
    """C++ bodies over `real`, a number or a vector of them: `out[OUTPUTS]` of one point, its answer `y[TARGETS]`.

    A constant NAME of the record is `c[NAME]`, a double. Where the likelihood has parameters eta [OWN] of its own,
    `noise[k]` is eta and `noise[OWN + k]` exp(-eta), and a residual adds share d loss / d eta to `back[k]`.

    Attributes
    ----------
    loss : minus the log likelihood of the point. residual : writes share d loss / d out over `out`.
    respond : writes Phi over `out` and returns its entropy (anything where Phi is no probability).
    right : 1 where the guess is right, or the squared error; what Score.of sums.
    """

    loss: str
    residual: str
    respond: str
    right: str


@dataclass(frozen=True)
class Score:
    """What says in one number how good a network is.

    Attributes
    ----------
    name, label : in stores (test_NAME) and for people. lower_is_better : as it says.
    sums : (outputs, answers, xp) -> each replica's sum over points [R].
    of : (those sums, points, outputs, mean NLL [R]) -> the score [R].
    """

    name: str
    label: str
    lower_is_better: bool
    sums: Callable[[Array, Array, Any], Array]
    of: Callable[[Array, int, int, Array], Array]


@dataclass(frozen=True)
class Classes:
    """What holds where Phi is probabilities of classes.

    Attributes
    ----------
    probabilities : Phi [.., n] -> of all classes [.., C]. entropy : Phi float64 -> nats [..]; 0 log 0 = 0.
    brier : the classes whose squared errors the Brier score sums.
    """

    probabilities: Callable[[np.ndarray], np.ndarray]
    entropy: Callable[[np.ndarray], np.ndarray]
    brier: slice


@dataclass(frozen=True)
class Values:
    """What holds where answers are numbers: the law of an answer under one draw, with a location and a scale.

    Attributes
    ----------
    law : of an answer (laws.py). location : Phi [.., outputs] -> [.., n], the mean of an answer.
    scale : (Phi, noise sd [.., n] or a number) -> [.., n], or a number.
    """

    law: Law
    location: Callable[[Array], Array]
    scale: Callable[[Array, Any], Array]


@dataclass(frozen=True)
class Own:
    """Parameters of the likelihood itself: eta = log s of each target's noise, with the prior N(centre, 1).

    Attributes
    ----------
    residual : (outputs, answers, constants, xp) -> d loss / d eta [R, T, n]; eta [R, 1, n] is the constant `log_noise`.
    of : name of the likelihood whose noise is known.
    """

    residual: Callable[[Array, Array, Constants, Any], Array]
    of: str


@dataclass(frozen=True)
class Answers:
    """What answers a likelihood can have at all, where the task does not say it.

    Attributes
    ----------
    possible : answers -> whether each can be. wanted : in words.
    """

    possible: Callable[[np.ndarray], np.ndarray]
    wanted: str


@dataclass(frozen=True)
class Likelihood:
    """One likelihood.

    Attributes
    ----------
    task : the task it serves; the first of a task is its default. settings : options of the model it reads.
    constants : settings by name -> numbers by name that losses and residuals take.
    outputs : of the network, from those that the task alone would ask for. targets : values of a point's answer, from
    the number of outputs. labels : dtype of labels, None for the network's.
    losses : (outputs, answers, constants, xp) -> minus log likelihood of each point [R, T], all constants included.
    residual : the same arguments -> d loss / d outputs. respond : (outputs, xp) -> Phi, what is averaged over draws.
    score, classes, values : see there; of the last two the one is None where the other is not.
    log_density : (Phi, answers, constants) -> [R, T], where the likelihood itself is averaged too; None where the
    average of Phi says it all. top : number of outputs -> an energy that is rarely exceeded, None where there is none.
    axis, names : (classes, targets) -> names of Phi's values in a store, and of what is averaged for people.
    answers : what can be answered, where not all of the task's answers can: they are then taken as they are, in their
    own units. own : the likelihood's own parameters, None where it has none.
    code : C++ bodies, or None where array code alone carries it out, on the batched engine.
    count : arithmetic of the residual of one output of one point.
    """

    name: str
    task: str
    formula: str
    reference: str
    settings: tuple[str, ...]
    constants: Callable[[Mapping[str, float]], dict[str, float]]
    outputs: Callable[[int], int]
    targets: Callable[[int], int]
    labels: Any
    losses: Callable[[Array, Array, Constants, Any], Array]
    residual: Callable[[Array, Array, Constants, Any], Array]
    respond: Callable[[Array, Any], Array]
    score: Score
    classes: Classes | None
    values: Values | None
    log_density: Callable[[Array, Array, Constants], Array] | None
    top: Callable[[int], float] | None
    axis: Callable[[Sequence[str], Sequence[str]], tuple[str, ...]]
    names: Callable[[Sequence[str], Sequence[str]], tuple[str, ...]]
    code: Code | None
    count: Count
    answers: Answers | None = None
    own: Own | None = None

    def __post_init__(self) -> None:
        """Refuse what one of the engines could not carry out."""
        check_bodies(f"likelihood '{self.name}'", self.code)
        if len(names := self.constant_names) > CONSTANTS:
            raise ValueError(f"likelihood '{self.name}' has the constants {names}: {CONSTANTS} at most.")
        if (self.classes is None) == (self.values is None):
            raise ValueError(f"likelihood '{self.name}': give `classes` or `values`, and not both.")

    @property
    def constant_names(self) -> tuple[str, ...]:
        """Names of the constants, in the order in which kernels are given them."""
        return tuple(self.constants(dict.fromkeys(self.settings, 1.0)))
