"""Replica exchange: neighbours on a ladder of temperatures trade rungs (equations.md section 5).

R replicas are R / Q ladders: replica r belongs to ladder r div Q and starts on rung r mod Q. Ladders know nothing of
each other, but for the adaptation of the temperatures, which pools their acceptances during burn-in.

References: Deng, Feng, Gao, Liang, Lin, ICML 2020 (noisy energies); Ceperley and Dewing, J. Chem. Phys. 110, 1999 (the
correction); Okabe et al., Chem. Phys. Lett. 335, 2001, and Syed et al., J. R. Stat. Soc. B 84, 2022 (even and odd pairs
alternate); Deng, Zhang, Feng, Lin, Liang, AAAI 2023 (windows).

Window 1 is exact. In longer windows a pair stops after its first acceptance, and a stopping time is not a stationary
one: what goes on trying is biased towards refusals. That is harmless only as far as energies are forgotten between two
attempts. Measured on harmonic wells of 4 dimensions at tau .5, 1, 2.5, with positions that keep a part .9 of themselves
from one attempt to the next, the mean energy on the target rung is 8 % too high for W = 2 and 12 % for W = 3; with
independent positions it is right (tests/moves/test_exchange_windows.py). `window = "auto"` therefore measures in
burn-in what energies keep of themselves between attempts (kept.py), and stays at 1 unless that is known to be next to
nothing.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from ..errors import SpecError
from ..method.words import Program
from ..state import PARTITIONED, Hyper, State
from ..streams import Keys, Purpose, make_keys, uniform, words
from . import kept
from .base import Context, Energies, MoveOptions
from .ladder import LadderOptions, OnLadder, follow_trips, make_ladder, smooth
from .ladder_report import noise_warnings, pair_warnings, ratio
from .powers import likelihood_ladder, moved_gradient

ADAPTATION_POWER = 0.6
"""Gains of the temperatures' stochastic approximation are (n + 1)^-0.6."""


class ExchangeOptions(LadderOptions):
    """Replica exchange: neighbours on a ladder of temperatures trade rungs (Deng et al. 2020, 2023)."""

    kind: Literal["exchange"]
    target_acceptance: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="adapt the rungs between the first and the last to this acceptance, during burn-in",
    )
    window: int | Literal["auto"] = Field(
        1,
        description=(
            "attempts with the same pairs before even and odd ones alternate; auto: by the acceptance measured in"
            " burn-in, and 1 unless energies are seen to be forgotten between attempts"
        ),
    )
    acceptance_factor: float = Field(1.0, gt=0, le=1, description="factor on every acceptance probability")
    temper: Literal["temperature", "likelihood"] = Field(
        "temperature",
        description=(
            "what a rung softens: all of the energy, or the likelihood alone, whose power is then 1/T (for"
            " gpu-thermo evidence); by default its powers are (i/Q)^5"
        ),
    )

    @model_validator(mode="after")
    def _whole_window(self) -> Self:
        if isinstance(self.window, int) and self.window < 1:
            raise ValueError(f"window = {self.window} must be at least 1")
        return self

    @property
    def finds_rungs(self) -> bool:
        """Whether only the hottest rung is given."""
        return self.temperatures is None and self.rungs is None and not self.of_powers

    @property
    def of_powers(self) -> bool:
        """Whether the likelihood alone is tempered."""
        return self.temper == "likelihood"

    @property
    def together(self) -> int:
        """A ladder is Q neighbouring replicas."""
        return self.count

    @property
    def learns_together(self) -> bool:
        """Temperatures and windows are found by all ladders together."""
        return self.target_acceptance is not None or self.window == "auto"

    def on_ladder(self, hyper: Hyper, context: Context) -> "Exchange":
        """The move itself."""
        ladders = context.stream[:: self.count] // np.uint64(self.count)
        return Exchange.make(
            self, hyper, context.program, context.seed, context.burn_in, context.points, context.prior_gradient, ladders
        )


@dataclass
class Exchange(OnLadder):
    """Replica exchange as an ensemble move.

    `state.extra` holds, with L = R / Q ladders: `rung` [R] int32; `ladder_temperature` [Q]; `exchange_attempts` and
    `exchange_accepted` [L, Q-1] int64, counted anew after half of the burn-in and after all of it; `exchange_direction`
    [R] int8 and `exchange_round_trips` [R] int32, of the whole run; `exchange_variance` [L, Q], smoothed;
    `exchange_window` [3] int64: W, attempts made in the window, parity of its pairs; `exchange_stopped` [L, Q-1] bool,
    pairs that have accepted in this window; `exchange_occupation` [Q, Q] int64, how often replicas that started on one
    rung were on another after an attempt past burn-in. Where W is found in burn-in, `exchange_last` [R], energies at
    the last attempt, NaN of who moved in it, and `exchange_kept` [Q, 8], sums over pairs of attempts (kept.py).

    Attributes
    ----------
    keys : who draws: the ladders [L]. window : W, or "auto". target : acceptance to adapt to. acceptance_factor : on
    every acceptance.
    """

    options: ClassVar[type[MoveOptions]] = ExchangeOptions
    about: ClassVar[Mapping[str, tuple[str, str]]] = {
        **OnLadder.about, "power": ("1", "power of the likelihood on the rung"),
    }  # fmt: skip

    keys: Keys
    window: int | str
    target: float | None
    acceptance_factor: float
    prior_gradient: Callable[[np.ndarray], np.ndarray] | None = None

    @classmethod
    def make(
        cls, options: ExchangeOptions, hyper: Hyper, program: Program, seed: np.ndarray, burn_in: int, points: int = 0,
        prior_gradient: Callable[[np.ndarray], np.ndarray] | None = None, ladders: np.ndarray | None = None,
    ) -> "Exchange":  # fmt: skip
        """The move for `hyper` of R replicas with dynamics seeds `seed` [R] uint64, its ladders numbered `ladders` [L]
        or as they stand; see `make_ladder` for more errors.

        Raises
        ------
        SpecError
            Replicas that do not fill whole ladders, or differ within one in what no rung sets; nothing to measure by
            during burn-in.
        """
        if options.of_powers:
            ladder = likelihood_ladder(options, hyper, program, points, prior_gradient is not None)
        else:
            ladder = make_ladder(options, hyper, program)
        count = options.count
        _require_whole_ladders(hyper, count, ladder.values)
        adapting = [
            f"{name} = {value!r}"
            for name, value in (("window", options.window), ("target_acceptance", options.target_acceptance))
            if value == "auto" or isinstance(value, float)
        ]
        if adapting and burn_in < 2 * options.interval:
            raise SpecError(
                f"exchange: {' and '.join(adapting)} is measured during burn-in, and run.burn_in = {burn_in} has fewer"
                f" than two attempts (interval = {options.interval}): give more burn-in."
            )
        numbers = np.arange(hyper.replicas // count) if ladders is None else ladders
        keys = make_keys(np.asarray(seed)[::count], numbers)
        return cls(
            ladder, options.interval, burn_in, options.correction, options.energy_batch, keys, options.window,
            options.target_acceptance, options.acceptance_factor, prior_gradient,
        )  # fmt: skip

    @property
    def together(self) -> int:
        """A ladder."""
        return self.ladder.count

    @property
    def names(self) -> tuple[str, ...]:  # type: ignore[override]
        """The rung, and the power of its likelihood where these differ."""
        return ("rung", "power") if self.ladder.points else ("rung",)

    def statistics(self, state: State, step: int) -> dict[str, np.ndarray]:
        """Rung, and power, of each replica [R] float64."""
        power = {"power": 1 / state.extra["ladder_temperature"][state.extra["rung"]]} if self.ladder.points else {}
        return super().statistics(state, step) | power

    def arrays(self, replicas: int) -> dict[str, tuple[tuple[int, ...], Any]]:
        """Shape and type of each array in `State.extra`."""
        count = self.ladder.count
        each, pairs = (replicas,), (replicas // count, count - 1)
        measured = {"exchange_last": (each, np.float64), "exchange_kept": ((count, kept.COLUMNS), np.float64)}
        return (measured if self.window == "auto" else {}) | {
            "rung": (each, np.int32), "ladder_temperature": ((count,), np.float64),
            "exchange_attempts": (pairs, np.int64), "exchange_accepted": (pairs, np.int64),
            "exchange_direction": (each, np.int8),
            "exchange_round_trips": (each, np.int32), "exchange_variance": ((replicas // count, count), np.float64),
            "exchange_window": ((3,), np.int64), "exchange_stopped": (pairs, np.bool_),
            "exchange_occupation": ((count, count), np.int64),
        }  # fmt: skip

    def begin(self, state: State) -> None:
        """Replica r on rung r mod Q, and all counts at 0."""
        super().begin(state)
        extra = state.extra
        extra["rung"][...] = np.arange(state.replicas) % self.ladder.count
        extra["ladder_temperature"][...] = self.ladder.temperature
        extra["exchange_direction"][...] = extra["rung"] == 0
        extra["exchange_variance"][...] = np.nan
        extra["exchange_window"][0] = 1 if self.window == "auto" else self.window
        if self.window == "auto":
            extra["exchange_last"][...] = np.nan
            self._forget(extra)

    def attempt(self, state: State, energies: Energies) -> None:
        """Try this attempt's pairs on every ladder; adapt the temperatures during burn-in."""
        extra, number = state.extra, state.step // self.interval - 1
        self._count_anew(state)
        who = self._occupants(extra["rung"])
        running = np.isfinite(energies.value[who]) & (state.status[who] == 0)
        extra["exchange_variance"][...] = smooth(
            extra["exchange_variance"], np.where(running, energies.variance[who], np.nan), number
        )
        if self.window == "auto" and state.step <= self.burn_in:
            kept.add(extra["exchange_kept"], extra["rung"], extra["exchange_last"], energies.value, energies.variance)
            extra["exchange_last"][...] = energies.value
        value = energies.value - energies.prior if self.ladder.points else energies.value
        log_acceptance = self._log_acceptance(state, value[who])
        both = running[:, :-1] & running[:, 1:] & ~np.isnan(log_acceptance)
        tried = self._pairs(extra) & both
        w = words(self.keys, np.arange(self.ladder.count - 1, dtype=np.uint64), Purpose.EXCHANGE, number)
        accepted = tried & (np.log(uniform(w[0], np.float64)) < log_acceptance)
        extra["exchange_attempts"] += tried
        extra["exchange_accepted"] += accepted
        extra["exchange_stopped"] |= accepted
        self._swap(state, who[:, :-1][accepted], who[:, 1:][accepted])
        if self.target is not None and state.step <= self.burn_in and both.any():
            self._adapt(extra["ladder_temperature"], log_acceptance, both, number)
        self._follow(state)

    def _occupants(self, rung: np.ndarray) -> np.ndarray:
        """[L, Q] the replica on each rung."""
        who, count = np.empty(len(rung), np.int64), self.ladder.count
        replica = np.arange(len(rung))
        who[replica // count * count + rung] = replica
        return who.reshape(-1, count)

    def _log_acceptance(self, state: State, value: np.ndarray) -> np.ndarray:
        """min(0, D (U1 - U2) - D^2 (v1 + v2) / 2) + log(factor) of all pairs [L, Q-1], D = 1/tau_1 - 1/tau_2."""
        inverse, v = (
            self.ladder.inverse(state.extra["ladder_temperature"], state.step),
            state.extra["exchange_variance"],
        )
        with np.errstate(invalid="ignore", over="ignore"):
            d = inverse[:-1] - inverse[1:]
            log_ratio = d * (value[:, :-1] - value[:, 1:])
            if self.correction:
                log_ratio -= d**2 * (v[:, :-1] + v[:, 1:]) / 2
            return np.minimum(log_ratio, 0) + math.log(self.acceptance_factor)

    def _pairs(self, extra: dict[str, Any]) -> np.ndarray:
        """[L, Q-1] pairs whose turn it is; a new window takes the other parity, which two rungs have not."""
        window = extra["exchange_window"]
        if window[1] >= window[0]:
            window[1:] = 0, (1 - window[2] if self.ladder.count > 2 else 0)
            extra["exchange_stopped"][...] = False
        window[1] += 1
        return (np.arange(self.ladder.count - 1) % 2 == window[2]) & ~extra["exchange_stopped"]

    def _swap(self, state: State, low: np.ndarray, high: np.ndarray) -> None:
        """Replicas `low` go one rung up and `high` one down; xi belongs to the rung, everything else to the replica."""
        rung = state.extra["rung"]
        rows, back = np.concatenate([low, high]), np.concatenate([high, low])
        old, new = rung[rows], rung[back]
        rung[rows] = new
        thermostat = state.edit("thermostat")
        thermostat[rows] = thermostat[back]
        self.ladder.rescale_momenta(state, rows, old, new)
        if self.ladder.points and self.prior_gradient is not None:
            gradient, power = state.edit("gradient"), 1 / state.extra["ladder_temperature"]
            gradient[rows] = moved_gradient(
                gradient[rows], self.prior_gradient(state.position[rows]), power[old], power[new]
            )
        if self.window == "auto":
            state.extra["exchange_last"][rows] = np.nan

    def _adapt(self, temperature: np.ndarray, log_acceptance: np.ndarray, both: np.ndarray, number: int) -> None:
        """One step of stochastic approximation on the logarithms of the spacings of log tau; both ends stay.

        With the ends and Q fixed all acceptances become equal; how far from the target that is, is Q's to settle
        (`warnings`).
        """
        found = both.sum(axis=0)
        mean = np.where(both, np.exp(np.where(both, log_acceptance, 0)), 0).sum(axis=0) / np.maximum(found, 1)
        gain = (number + 1.0) ** -ADAPTATION_POWER
        spacing = np.diff(np.log(temperature)) * np.exp(gain * np.where(found > 0, mean - self.target, 0))
        part = np.cumsum(spacing)[:-1] / spacing.sum()
        temperature[1:-1] = temperature[0] * (temperature[-1] / temperature[0]) ** part

    def _count_anew(self, state: State) -> None:
        """Drop counts made under other temperatures: after half of the burn-in, and after all of it, which also settles
        the window.
        """
        extra = state.extra
        if self._passes(state, self.burn_in) and self.window == "auto" and kept.forgotten(extra["exchange_kept"]):
            length = window_length(
                self.ladder.count, extra["exchange_accepted"].sum(), extra["exchange_attempts"].sum()
            )
            extra["exchange_window"][:2] = length  # the window under way ends here
        if self.window == "auto" and state.step <= self.burn_in and self._passes(state, self.burn_in // 2):
            self._forget(extra)
        if self._passes(state, self.burn_in) or self._passes(state, self.burn_in // 2):
            extra["exchange_attempts"][...] = 0
            extra["exchange_accepted"][...] = 0

    @staticmethod
    def _forget(extra: dict[str, Any]) -> None:
        """Nothing is known yet of what energies keep."""
        extra["exchange_kept"][...] = 0
        extra["exchange_kept"][:, 0] = np.nan

    def _follow(self, state: State) -> None:
        extra, count = state.extra, self.ladder.count
        rung = extra["rung"]
        follow_trips(rung, count - 1, extra["exchange_direction"], extra["exchange_round_trips"])
        if state.step > self.burn_in:
            start = np.arange(len(rung)) % count
            extra["exchange_occupation"] += np.bincount(start * count + rung, minlength=count**2).reshape(count, count)

    # -- what to report ------------------------------------------------------------------------------------------------

    def outcomes(self, state: State) -> dict[str, np.ndarray]:
        """Of each ladder [L]: accepted swaps of all tried ones of its worst pair, and round trips of its replicas."""
        extra, count = state.extra, self.ladder.count
        with np.errstate(invalid="ignore", divide="ignore"):
            accepted = (extra["exchange_accepted"] / extra["exchange_attempts"]).min(axis=1)
        trips = extra["exchange_round_trips"].reshape(-1, count).sum(axis=1)
        return {"swap_acceptance": accepted, "round_trips": trips.astype(np.float64)}

    def _acceptance(self, state: State) -> list[float | None]:
        """Of each pair of rungs, over all ladders."""
        return ratio(state.extra["exchange_accepted"].sum(axis=0), state.extra["exchange_attempts"].sum(axis=0))

    def _noise(self, state: State) -> list[float | None]:
        """D^2 (v1 + v2) of each pair, mean over the ladders."""
        v = state.extra["exchange_variance"]
        inverse = self.ladder.inverse(state.extra["ladder_temperature"], max(state.step, 1))
        with np.errstate(invalid="ignore", over="ignore"):
            noise = (inverse[:-1] - inverse[1:]) ** 2 * (v[:, :-1] + v[:, 1:])
        known = np.isfinite(noise)
        return ratio(np.where(known, noise, 0).sum(axis=0), known.sum(axis=0))

    def facts(self, state: State) -> dict[str, Any]:
        """What to report; lists go by rung, or by pair of neighbouring rungs.

        `occupation` has a row for each starting rung: the part of its attempts a replica from there spent on each rung.
        """
        extra = state.extra
        trips, seen = extra["exchange_round_trips"], extra["exchange_occupation"]
        return self._measured(extra) | {
            "ladders": len(extra["exchange_variance"]),
            "temperatures": extra["ladder_temperature"].tolist(),
            "acceptance": self._acceptance(state),
            "attempts": extra["exchange_attempts"].sum(axis=0).tolist(),
            "round_trips": int(trips.sum()),
            "round_trips_per_replica": float(trips.mean()),
            "occupation": (seen / np.maximum(seen.sum(axis=1, keepdims=True), 1)).tolist(),
            "window": int(extra["exchange_window"][0]),
            "target_acceptance": self.target,
            "energy_noise": self._noise(state),
            "heuristic": self.ladder.heuristic,
        }

    def _measured(self, extra: dict[str, Any]) -> dict[str, Any]:
        """What energies were seen to keep between attempts of a window that is found by it: correlation and error, or
        None.
        """
        if self.window != "auto":
            return {}
        found = kept.worst(extra["exchange_kept"])
        return {"energies_kept": None if math.isnan(found[0]) else list(found)}

    def warnings(self, state: State) -> list[str]:
        """What the user should know of the run so far, one line each."""
        acceptance = self._acceptance(state)
        out = (
            self.ladder.warnings()
            + pair_warnings(
                state.extra["exchange_accepted"].sum(axis=0),
                state.extra["exchange_attempts"].sum(axis=0),
                state.extra["ladder_temperature"],
            )
            + noise_warnings(self._noise(state), self.correction)
        )
        window = int(state.extra["exchange_window"][0])
        if window > 1 and self.window != "auto":  # which was seen to be right
            out.append(
                f"Windows of {window} attempts are right only if energies are forgotten between attempts: pairs stop"
                " once they have accepted. Raise interval, or use window = 1, which is exact."
            )
        reached = [a for a in acceptance if a is not None]
        if self.target is not None and reached and np.mean(reached) < self.target - 0.1:
            needed = (
                math.ceil(sum(1 - a for a in reached) / (1 - self.target)) + 1
            )  # rejections add up along a ladder (Syed et al. 2022)
            out.append(
                f"Pairs of rungs accept {np.mean(reached):.2g} on average where {self.target:g} was asked: with these"
                f" ends that takes at least {max(needed, self.ladder.count + 1)} rungs, not {self.ladder.count}."
            )
        return out


def window_length(count: int, accepted: int, attempts: int) -> int:
    """W = ceil((ln Q + ln ln Q) / (-ln(1 - r))), r = accepted / attempts; 1 where none or all were accepted (Deng et
    al. 2023).
    """
    if not 0 < accepted < attempts:
        return 1
    return max(1, math.ceil((math.log(count) + math.log(math.log(count))) / -math.log1p(-accepted / attempts)))


def _require_whole_ladders(hyper: Hyper, count: int, values: Any) -> None:
    """SpecError unless R is a multiple of Q and replicas of one ladder differ in nothing but what the rungs set."""
    replicas = hyper.replicas
    if replicas % count:
        near = sorted({max(count, replicas // count * count), (replicas // count + 1) * count})
        raise SpecError(
            f"exchange: {replicas} replicas do not fill ladders of {count} rungs: take run.replicas ="
            f" {' or '.join(map(str, near))}, or any multiple of {count}."
        )
    for name in ("stepsize", *PARTITIONED):
        if name in values or name == "temperature":
            continue
        rows = getattr(hyper, name).reshape(replicas // count, count, -1)
        if not np.array_equal(rows, np.broadcast_to(rows[:, :1], rows.shape), equal_nan=True):
            by_rung = name in ("stepsize", "friction", "sigma", "epsilon")
            hint = f" Give one number, or {name} by rung in the move." if by_rung else " Give one number."
            raise SpecError(
                f"exchange: {name} is listed by replica and differs within a ladder, where replicas trade places.{hint}"
            )
