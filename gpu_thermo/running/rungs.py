"""The ladders of a run that tunes itself: replicas of a launch trade rungs, and those on the target are what is seen.

A run of R replicas has R ladders then, L with the group at h/2 behind them: rows l Q to l Q + Q - 1 of the launch are
the rungs of ladder l. Q is the run's to find; no store knows of the others.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..engines import Job
from ..errors import SpecError
from ..moves.base import Energies
from ..moves.exchange import Exchange, ExchangeOptions
from ..moves.ladder import make_ladder
from ..spec.run import RunSpec
from ..state import Hyper, State
from ..tuning.ladder import SWAP, first_count
from .subject import Setup


@dataclass(frozen=True)
class Rungs:
    """Who stands where. Without an `exchange` every row is a ladder of its own.

    Attributes
    ----------
    ladders : L. exchange : the move; its interval is 1, so that attempts are numbered by steps.
    """

    ladders: int
    exchange: Exchange | None = None

    @property
    def count(self) -> int:
        """Q."""
        return 1 if self.exchange is None else self.exchange.ladder.count

    def begin(self, state: State) -> None:
        """Row r on rung r mod Q, all counts at 0."""
        if self.exchange is not None:
            self.exchange.begin(state)

    def target(self, state: State) -> Any:
        """Rows [L] on the target, or all."""
        return slice(None) if self.exchange is None else np.flatnonzero(state.extra["rung"] == 0)

    def ordered(self, state: State) -> Any:
        """Rows in the order of their rungs, ladder by ladder, or all."""
        if self.exchange is None:
            return slice(None)
        rows = np.arange(state.replicas)
        return np.lexsort((state.extra["rung"], rows // self.count))

    def hyper(self, base: Hyper, state: State) -> Hyper:
        """`base` with the temperature of each one's rung."""
        if self.exchange is None:
            return base
        tau = state.extra["ladder_temperature"][state.extra["rung"]]
        return replace(base, temperature=tau[:, None] * self.exchange.ladder.share)

    def attempt(self, state: State, energies: Callable[[int], Energies]) -> None:
        """Neighbours try to swap, by energies where they are, of an attempt's number."""
        if self.exchange is not None:
            self.exchange.attempt(state, energies(state.step - 1))

    def by_ladder(self, values: np.ndarray) -> np.ndarray:
        """[L] mean over the rungs of values [L Q]."""
        return np.asarray(values if self.exchange is None else values.reshape(self.ladders, self.count).mean(axis=1))

    def forget(self, state: State) -> None:
        """Count swaps anew."""
        if self.exchange is not None:
            for name in ("attempts", "accepted"):
                state.extra[f"exchange_{name}"][...] = 0

    def facts(self, state: State, replicas: int) -> dict[str, Any]:
        """Of the ladders that count, as plain data: temperatures, attempts and swaps of each pair, round trips of a
        ladder.
        """
        if self.exchange is None:
            return {}
        extra = state.extra
        sums = {name: extra[f"exchange_{name}"][:replicas].sum(axis=0).tolist() for name in ("attempts", "accepted")}
        trips = extra["exchange_round_trips"][: replicas * self.count].sum() / replicas
        return {"temperatures": extra["ladder_temperature"].tolist(), "trips": float(trips), **sums}


def ladder_of(options: ExchangeOptions, temperatures: Sequence[float], job: Job) -> Exchange:
    """The move of a job whose rows fill whole ladders, all of them at the target's temperature."""
    found = {"temperatures": list(temperatures), "rungs": None, "hottest": None, "target_acceptance": None}
    return Exchange.make(options.model_copy(update={**found, "interval": 1}), job.hyper, job.program, job.seed, -1)


def exchange_of(spec: RunSpec) -> ExchangeOptions | None:
    """The exchange of a spec, or None."""
    return next((move for move in spec.moves if isinstance(move, ExchangeOptions)), None)


def ladder_rules(ready: Setup) -> dict[str, Any]:
    """What a spec's exchange leaves to the run, and what it says; nothing without one.

    Raises
    ------
    SpecError
        A ladder that does not begin at the temperature of the method, or several temperatures.
    """
    options = exchange_of(ready.spec)
    if options is None:
        return {}
    given = make_ladder(options if options.count > 1 else options.model_copy(update={"rungs": 2}), ready.job.hyper,
                        ready.program)  # fmt: skip
    if given.heuristic:
        raise SpecError("run.tolerance samples one law, and moves.reference makes a ladder heuristic: leave it out.")
    if options.count > 1:
        return {"rungs": tuple(given.temperature.tolist())}
    aim = {} if options.target_acceptance is None else {"swap": options.target_acceptance}
    return {"hottest": float(given.temperature[-1]), **aim}


def expected_rungs(ready: Setup) -> int:
    """About how many rungs a replica has."""
    rules = ladder_rules(ready)
    if "hottest" not in rules:
        return max(1, len(rules.get("rungs", ())))
    tau = float(np.nanmax(ready.job.hyper.temperature))
    return first_count(tau, rules["hottest"], ready.job.target.layout.size, rules.get("swap", SWAP))


def spread(position: np.ndarray, old: Sequence[float], new: Sequence[float]) -> np.ndarray:
    """[L Q', P] where the rungs `new` begin: at the positions [L Q, P] of the rungs `old` nearest in log tau."""
    near = [int(np.argmin(abs(np.log(old) - np.log(t)))) for t in new]
    by_ladder = position.reshape(-1, len(old), position.shape[1])
    return np.ascontiguousarray(by_ladder[:, near].reshape(-1, position.shape[1]))
