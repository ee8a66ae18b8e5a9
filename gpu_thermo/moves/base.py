"""What a move is: the options that a spec gives it, and what a run asks of it on the way.

A move is one file, holding both classes, and one row in the table of moves. Whoever needs to know something of a move
asks it here; the defaults are those of a move that does nothing.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Protocol, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_serializer

from ..method.words import Program
from ..state import Hyper, State
from .report import Report

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
NEVER = 2**62
"""A step that no run gets to."""


@dataclass(frozen=True)
class Energies:
    """Energies of R replicas as a move sees them.

    Attributes
    ----------
    value : [R] float64, U; NaN where frozen. variance : [R] float64, variance of the noise of `value`; 0 for full-batch
    energies. prior : [R] float64, the part of `value` that is the prior's, or 0.
    """

    value: np.ndarray
    variance: np.ndarray
    prior: Any = 0.0


EnergiesOf = Callable[[int, int | None], Energies]
"""(number of the attempt, points of a fresh minibatch or None for all) -> energies of the replicas where they are."""


@dataclass(frozen=True)
class Context:
    """What moves are made for.

    Attributes
    ----------
    program : the method. seed, stream : [R] uint64. group : [R] ensembles. points : N, 0 without data. burn_in, steps :
    of the run.
    energy_range : energies that classification cannot leave downwards and rarely leaves upwards; None where nothing is
    known. alone : whether the run has no other move. prior_gradient : of positions [r, P], the prior's part of the
    gradient as a state holds it; None without a prior or data.
    """

    program: Program
    seed: np.ndarray
    stream: np.ndarray
    group: np.ndarray
    points: int
    burn_in: int
    steps: int
    energy_range: tuple[float, float] | None = None
    alone: bool = True
    prior_gradient: Callable[[np.ndarray], np.ndarray] | None = None


class Recording(Protocol):
    """After which steps draws may be recorded."""

    def sampling(self, step: np.ndarray) -> np.ndarray:
        """Whether step k samples, for each of `step`."""
        ...

    @property
    def about(self) -> str:
        """What to call them: "the cycles of 40 steps"."""
        ...


class MoveOptions(BaseModel):
    """What a move can be told, and what is known of it from that alone: frozen, no unknown keys, and what is not set is
    not written.

    Attributes
    ----------
    order : moves are made and asked in this order, whatever theirs in the spec. takes : what of a run a move takes for
    itself; moves that take the same exclude each other. weighted : whether its draws have importance weights, other
    than 0 and 1.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    order: ClassVar[int] = 1
    takes: ClassVar[str] = ""
    weighted: ClassVar[bool] = False

    kind: str

    @model_serializer(mode="wrap")
    def _leave_out_none(self, handler: Any) -> dict[str, Any]:
        return {key: value for key, value in handler(self).items() if value is not None}

    @abstractmethod
    def make(self, hyper: Hyper, context: Context) -> "tuple[Move, Hyper]":
        """The move of a run with hyperparameters `hyper` [R], and those that the run starts from instead.

        Raises
        ------
        SpecError
            The move does not fit the method, the data or the run.
        """

    @property
    def count(self) -> int:
        """Rungs of its ladder, rung 0 being the target; 1 without one."""
        return 1

    @property
    def together(self) -> int:
        """Neighbouring replicas that trade places, and so share a data set: R must be a multiple."""
        return 1

    @property
    def learns_together(self) -> bool:
        """Whether replicas that never trade places still share what it learns: numbers of each depend on the others."""
        return self.interacts

    @property
    def interacts(self) -> bool:
        """Whether replicas alike in data set and hyperparameters are meant to share something all along."""
        return False

    @property
    def finds_rungs(self) -> bool:
        """Whether the rungs of its ladder are left to a run that tunes itself."""
        return False

    @property
    def bytes_per_replica(self) -> int:
        """About what its largest arrays take, before any is made."""
        return 0

    def recording(self, steps: int) -> Recording | None:
        """After which of a run's steps draws may be recorded; None for all."""
        return None

    @classmethod
    def report(cls, facts: Mapping[str, Any], warnings: Sequence[str]) -> Report:
        """`facts` with the lines and verdicts that follow from them."""
        return Report(kind_of(cls), facts, warnings=tuple(warnings))


def kind_of(options: type[MoveOptions]) -> str:
    """The word by which a spec names the move."""
    return str(get_args(options.model_fields["kind"].annotation)[0])


class Move:
    """What happens to an ensemble beside its steps; by itself, nothing. All that changes is in the state.

    Attributes
    ----------
    options : the class of its options. names : of what `statistics` gives. about : their units and meaning.
    weighs : whether draws get a `log_weight`. wanders : whether replicas leave the target for other densities; their
    statistic `rung` says where they are.
    """

    options: ClassVar[type[MoveOptions]]
    names: ClassVar[tuple[str, ...]] = ()
    about: ClassVar[Mapping[str, tuple[str, str]]] = {}
    weighs: ClassVar[bool] = False
    wanders: ClassVar[bool] = False

    @property
    def kind(self) -> str:
        """The word by which a spec names it."""
        return kind_of(self.options)

    @property
    def weighted(self) -> bool:
        """Whether draws that count have unequal weights."""
        return False

    @property
    def together(self) -> int:
        """Neighbouring replicas of which always one is on the target, so that its draws make one chain; 1 without."""
        return 1

    @property
    def gradient(self) -> Any:
        """What acts inside the step, on every gradient: the engine's `job.contour`, whose arrays it begins and advances
        itself. None for moves between steps.
        """
        return None

    @property
    def pace(self) -> int:
        """Steps after which there is something new of it to see."""
        return 1

    # -- in the run ----------------------------------------------------------------------------------------------------

    def arrays(self, replicas: int) -> dict[str, tuple[tuple[int, ...], Any]]:
        """Shape and type of each array it keeps in `State.extra`."""
        return {}

    def begin(self, state: State) -> None:
        """Add its arrays to a state at step 0."""
        state.extra |= {name: np.zeros(shape, dtype) for name, (shape, dtype) in self.arrays(state.replicas).items()}

    def hyper(self, state: State) -> Hyper | None:
        """Hyperparameters [R] in force, before schedules: the same object until they change. None for the job's own."""
        return None

    def next_stop(self, step: int, next_draw: int) -> int:
        """The step after `step` at which it must be asked again; a draw is recorded after `next_draw`."""
        return NEVER

    def act(self, state: State, energies: EnergiesOf) -> None:
        """Whatever is due after the step just done."""

    # -- of a moment ---------------------------------------------------------------------------------------------------

    def log_weight(self, state: State, energy: np.ndarray, rows: slice) -> np.ndarray:
        """[r] float64, logarithms of the weights as draws of the replicas `rows`, full-batch energies `energy` [r]."""
        return np.zeros(len(energy))

    def statistics(self, state: State, step: int) -> dict[str, np.ndarray]:
        """Numbers [R] float64 of each replica at the moment after `step`, by `names`."""
        return {}

    def watched(self, state: State) -> dict[str, np.ndarray]:
        """Further numbers [R], for pictures of every step."""
        return {}

    def outcomes(self, state: State) -> dict[str, np.ndarray]:
        """What it came to for each independent part of the run [R / together] float64, in numbers: for studies."""
        return {}

    # -- what to say ---------------------------------------------------------------------------------------------------

    def notices(self) -> list[str]:
        """What the user should know before the run."""
        return []

    def facts(self, state: State) -> dict[str, Any]:
        """What it came to so far, as plain data."""
        return {}

    def warnings(self, state: State) -> list[str]:
        """What the user should know of the run so far, one line each."""
        return []

    def report(self, state: State) -> Report:
        """Facts, lines, verdicts and warnings of the run so far."""
        return self.options.report(self.facts(state), self.warnings(state))
