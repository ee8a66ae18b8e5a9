"""Simulated tempering: each replica walks the ladder of temperatures by itself (equations.md section 5).

Every replica starts on rung 0. The weights g of the rungs are common to all replicas. They start from the replicas'
mean energy; during burn-in the rung a replica is on loses weight, averaged over the replicas, so that all rungs come to
be visited alike; then they are frozen.

References: Marinari and Parisi, Europhys. Lett. 19, 1992; the weights' rule is that of Wang and Landau with gains Q/t
(Belardinelli and Pereyra, Phys. Rev. E 75, 2007; Tan, J. Comput. Graph. Stat. 26, 2017).
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from ..errors import SpecError
from ..method.words import Program
from ..state import Hyper, State
from ..streams import Keys, Purpose, make_keys, uniform, words
from .base import Context, Energies, MoveOptions
from .ladder import LadderOptions, OnLadder, follow_trips, make_ladder, smooth
from .ladder_report import noise_warnings, pair_warnings, ratio


class TemperingOptions(LadderOptions):
    """Simulated tempering: each replica walks the ladder by itself; weights adapt during burn-in and are frozen
    then.
    """

    kind: Literal["tempering"]

    @property
    def bytes_per_replica(self) -> int:
        """A variance and a count for each rung."""
        return 12 * self.count

    @property
    def learns_together(self) -> bool:
        """The weights of the rungs are found by all replicas together."""
        return True

    def on_ladder(self, hyper: Hyper, context: Context) -> "Tempering":
        """The move itself."""
        return Tempering.make(self, hyper, context.program, context.seed, context.stream, context.burn_in)


@dataclass
class Tempering(OnLadder):
    """Simulated tempering as an ensemble move.

    `state.extra` holds: `rung` [R] int32; `ladder_temperature` [Q]; `tempering_weight` [Q], g; `tempering_attempts` and
    `tempering_accepted` [Q-1] int64, both ways over each pair of rungs, and `tempering_occupation` [Q] int64, counted
    anew after burn-in; `tempering_direction` [R] int8 and `tempering_round_trips` [R] int32, of the whole run;
    `tempering_variance` [R, Q], smoothed, and `tempering_seen` [R, Q] int32, the estimates in it.

    Attributes
    ----------
    keys : who draws: the replicas [R].
    """

    options: ClassVar[type[MoveOptions]] = TemperingOptions

    keys: Keys

    @classmethod
    def make(
        cls,
        options: TemperingOptions,
        hyper: Hyper,
        program: Program,
        seed: np.ndarray,
        stream: np.ndarray,
        burn_in: int,
    ) -> "Tempering":
        """The move for `hyper` of R replicas with dynamics seeds `seed` [R] uint64 and streams `stream` [R]; see
        `make_ladder` for errors.

        Raises
        ------
        SpecError
            Also where burn-in leaves no attempt to find the weights by, and where a rung has epsilon 0.
        """
        ladder = make_ladder(options, hyper, program)
        if burn_in < options.interval:
            raise SpecError(
                f"tempering finds the weights of its rungs during burn-in, and run.burn_in = {burn_in} has no attempt "
                f"(interval = {options.interval}): give more burn-in, some hundred attempts for each rung."
            )
        if options.epsilon is not None and 0 in options.epsilon:
            raise SpecError(
                f"tempering: epsilon = {options.epsilon} must be above 0 on every rung: xi is carried over in"
                " proportion."
            )
        keys = make_keys(seed, stream)
        return cls(ladder, options.interval, burn_in, options.correction, options.energy_batch, keys)

    def arrays(self, replicas: int) -> dict[str, tuple[tuple[int, ...], Any]]:
        """Shape and type of each array in `State.extra`."""
        count = self.ladder.count
        each, pairs, both = (replicas,), (count - 1,), (replicas, count)
        return {
            "rung": (each, np.int32), "ladder_temperature": ((count,), np.float64),
            "tempering_weight": ((count,), np.float64),
            "tempering_attempts": (pairs, np.int64), "tempering_accepted": (pairs, np.int64),
            "tempering_occupation": ((count,), np.int64), "tempering_direction": (each, np.int8),
            "tempering_round_trips": (each, np.int32), "tempering_variance": (both, np.float64),
            "tempering_seen": (both, np.int32),
        }  # fmt: skip

    def begin(self, state: State) -> None:
        """Everyone on rung 0, g = 0, and all counts at 0."""
        super().begin(state)
        state.extra["ladder_temperature"][...] = self.ladder.temperature
        state.extra["tempering_direction"][...] = 1
        state.extra["tempering_variance"][...] = np.nan

    def attempt(self, state: State, energies: Energies) -> None:
        """Propose a neighbouring rung to every replica; adapt g during burn-in."""
        extra, number, top = state.extra, state.step // self.interval - 1, self.ladder.count - 1
        if self._passes(state, self.burn_in):
            for name in ("attempts", "accepted", "occupation"):
                extra[f"tempering_{name}"][...] = 0
        rung = extra["rung"]
        running = np.isfinite(energies.value) & (state.status == 0)
        if number == 0 and running.any():
            self._first_weights(state, float(energies.value[running].mean()))
        variance = self._smoothed(extra, np.where(running, energies.variance, np.nan))
        w = words(self.keys, np.zeros(1, np.uint64), Purpose.TEMPERING, number)
        proposed = rung + np.where(w[0][:, 0] >> np.uint64(31), 1, -1).astype(np.int32)
        tried = running & (proposed >= 0) & (proposed <= top)
        proposed = proposed.clip(0, top)
        log_acceptance = self._log_acceptance(state, proposed, energies.value, variance)
        accepted = tried & (np.log(uniform(w[1][:, 0], np.float64)) < log_acceptance)  # a NaN is never below
        pair = np.minimum(rung, proposed)
        extra["tempering_attempts"] += np.bincount(pair[tried], minlength=top)
        extra["tempering_accepted"] += np.bincount(pair[accepted], minlength=top)
        self._move(state, np.flatnonzero(accepted), proposed[accepted])
        self._follow(state, running, number)

    def _first_weights(self, state: State, energy: float) -> None:
        """g_q = <U> / tau_q, under which the mean energy of the start takes all rungs alike: Q/t alone would be long in
        getting there.
        """
        inverse = self.ladder.inverse(state.extra["ladder_temperature"], state.step)
        with np.errstate(invalid="ignore", over="ignore"):
            g = energy * (inverse - inverse[0])
        if np.isfinite(g).all():
            state.extra["tempering_weight"][...] = g

    def _smoothed(self, extra: dict[str, Any], variance: np.ndarray) -> np.ndarray:
        """[R] variance of the noise of the energy of each replica on its rung, `variance` taken in."""
        at = np.arange(len(variance)), extra["rung"]
        seen = extra["tempering_seen"]
        smoothed = smooth(extra["tempering_variance"][at], variance, seen[at])
        extra["tempering_variance"][at] = smoothed
        seen[at] += ~np.isnan(variance)
        return smoothed

    def _log_acceptance(
        self, state: State, proposed: np.ndarray, value: np.ndarray, variance: np.ndarray
    ) -> np.ndarray:
        """-D U + g' - g - D^2 v / 2, D = 1/tau' - 1/tau, [R]."""
        rung, g = state.extra["rung"], state.extra["tempering_weight"]
        inverse = self.ladder.inverse(state.extra["ladder_temperature"], state.step)
        with np.errstate(invalid="ignore", over="ignore"):
            d = inverse[proposed] - inverse[rung]
            log_ratio = -d * value + g[proposed] - g[rung]
            return log_ratio - d**2 * variance / 2 if self.correction else log_ratio

    def _move(self, state: State, rows: np.ndarray, new: np.ndarray) -> None:
        """Replicas `rows` go to rungs `new`, with p and xi as likely there as they were."""
        rung = state.extra["rung"]
        old = rung[rows]
        self.ladder.rescale_momenta(state, rows, old, new)
        self._carry_thermostat(state, rows, old, new)
        rung[rows] = new

    def _carry_thermostat(self, state: State, rows: np.ndarray, old: np.ndarray, new: np.ndarray) -> None:
        """xi' = m' + (xi - m) sqrt(epsilon' tau' / (epsilon tau)), m = sigma^2 / (2 tau), or 0 without sigma, where E
        moves xi.
        """
        ladder, temperature = self.ladder, state.extra["ladder_temperature"]
        spread = temperature * ladder.values.get("epsilon", 1.0)
        stretch = np.sqrt(spread[new] / spread[old])
        for k in range(len(ladder.share)):
            if not {"epsilon", "temperature"} <= ladder.program.reads(k):
                continue
            tau = temperature * (ladder.share[k] * ladder.factor("temperature", k, state.step))
            before, after = (
                self._mean_thermostat(k, rows, old, tau, state.step),
                self._mean_thermostat(k, rows, new, tau, state.step),
            )
            thermostat = state.edit("thermostat")
            thermostat[rows, k] = after + (thermostat[rows, k] - before) * stretch

    def _mean_thermostat(self, k: int, rows: np.ndarray, rung: np.ndarray, tau: np.ndarray, step: int) -> np.ndarray:
        """sigma^2 / (2 tau) of partition k for replicas `rows` on `rung` of a ladder with `tau` [Q] in force."""
        if "sigma" not in self.ladder.program.reads(k):
            return np.zeros(len(rows))
        sigma = self.ladder.values["sigma"][rung] if "sigma" in self.ladder.values else self.ladder.base.sigma[rows, k]
        return (sigma * self.ladder.factor("sigma", k, step)) ** 2 / (2 * tau[rung])

    def _follow(self, state: State, running: np.ndarray, number: int) -> None:
        """Adapt g by where the replicas are now, or count it; follow round trips."""
        extra, count = state.extra, self.ladder.count
        visits = np.bincount(extra["rung"][running], minlength=count)
        if state.step <= self.burn_in and running.any():
            g = extra["tempering_weight"]
            g -= min(1.0, count / (number + 1)) * visits / visits.sum()
            g -= g[0]
        extra["tempering_occupation"] += visits
        follow_trips(extra["rung"], count - 1, extra["tempering_direction"], extra["tempering_round_trips"])

    # -- what to report ------------------------------------------------------------------------------------------------

    def outcomes(self, state: State) -> dict[str, np.ndarray]:
        """Round trips of each replica [R]."""
        return {"round_trips": state.extra["tempering_round_trips"].astype(np.float64)}

    def _noise(self, state: State) -> list[float | None]:
        """D^2 v of each pair of rungs, v the larger of both, mean over the replicas."""
        v = state.extra["tempering_variance"]
        known = np.isfinite(v)
        mean = np.where(known, v, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        inverse = self.ladder.inverse(state.extra["ladder_temperature"], max(state.step, 1))
        with np.errstate(invalid="ignore", over="ignore"):
            noise = (inverse[:-1] - inverse[1:]) ** 2 * np.maximum(mean[:-1], mean[1:])
        return ratio(noise, np.isfinite(noise))

    def facts(self, state: State) -> dict[str, Any]:
        """What to report; lists go by rung, or by pair of neighbouring rungs. `occupation` is the part of attempts
        ending on each rung.
        """
        extra = state.extra
        trips, seen = extra["tempering_round_trips"], extra["tempering_occupation"]
        return {
            "temperatures": extra["ladder_temperature"].tolist(),
            "acceptance": ratio(extra["tempering_accepted"], extra["tempering_attempts"]),
            "attempts": extra["tempering_attempts"].tolist(),
            "round_trips": int(trips.sum()),
            "round_trips_per_replica": float(trips.mean()),
            "occupation": (seen / max(seen.sum(), 1)).tolist(),
            "weights": extra["tempering_weight"].tolist(),
            "energy_noise": self._noise(state),
            "heuristic": self.ladder.heuristic,
        }

    def warnings(self, state: State) -> list[str]:
        """What the user should know of the run so far, one line each."""
        extra = state.extra
        out = (
            self.ladder.warnings()
            + pair_warnings(extra["tempering_accepted"], extra["tempering_attempts"], extra["ladder_temperature"])
            + noise_warnings(self._noise(state), self.correction)
        )
        seen = extra["tempering_occupation"]
        if state.step > self.burn_in and seen.sum() and seen[0] < seen.sum() / (4 * len(seen)):
            out.append(
                f"Only {seen[0] / seen.sum():.2g} of the attempts ended on the target rung, where {1 / len(seen):.2g}"
                " was aimed at: the weights had not settled by the end of burn-in. Give more of it."
            )
        return out
