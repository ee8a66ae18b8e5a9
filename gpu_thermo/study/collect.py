"""What a study keeps of the moments of a shard: learning curves, the last numbers of each run, draws where wanted."""

from typing import Any

import numpy as np

from ..errors import Status
from ..running.subject import Setup
from ..targets.likelihoods import SCORES
from .seen import Arrays, Seen
from .shards import Shard

WORKED = "acceptance"
"""Of steps or proposals since the moment before, where their work is counted: kept as a curve, and its mean over the
draws.
"""


class Collector:
    """Gathers learning curves, and what is kept of draws, moment by moment.

    Parameters
    ----------
    runs : how many there are in the shard.
    """

    def __init__(self, ready: Setup, shard: Shard) -> None:
        run = ready.spec.run
        self._ready, self._shard, self._trace = ready, shard, run.trace
        self._energy = "loss" if ready.spec.target is None else "energy"
        self._worked = WORKED if WORKED in ready.statistics else ""
        self._steps = np.arange(run.trace, run.steps + 1, run.trace)
        self._curves: dict[str, np.ndarray] = {}
        self._draws: list[np.ndarray] = []
        self._log_weights: list[np.ndarray] = []
        self._acceptance: list[np.ndarray] = []
        self._last: Seen | None = None

    def __call__(self, seen: Seen) -> None:
        """Take what is wanted of one recorded moment."""
        self._last = seen.after(self._last)
        if seen.is_draw:
            self._draw(seen)
        if seen.step % self._trace:
            return
        values = self._scores(seen) | {f"rms_{name}": rms for name, rms in self._weights(seen.position, "rms").items()}
        for k, name in enumerate(self._ready.program.partition.names):
            values[f"kinetic_temperature_{name}"] = seen.kinetic_temperature[:, k]
        if self._worked:
            values[self._worked] = seen.statistics[self._worked]
        at = seen.step // self._trace - 1
        for name, column in values.items():
            table = self._curves.setdefault(name, np.full((len(column), len(self._steps)), np.nan, np.float32))
            table[:, at] = column

    def _draw(self, seen: Seen) -> None:
        """What is kept of a draw."""
        if self._worked:
            self._acceptance.append(seen.statistics[self._worked])
        if self._shard.keep:
            self._draws.append(seen.position.copy())
            if "log_weight" in seen.statistics:
                self._log_weights.append(seen.statistics["log_weight"])

    def status(self, status: np.ndarray, frozen_step: np.ndarray) -> Arrays:
        """Of each run, one that ended without a finite loss among those that stopped: at the first recorded step from
        which on it has none.
        """
        status, frozen_step = status.copy(), frozen_step.copy()
        if self._last is None:
            return {"status": status, "frozen_step": frozen_step}
        (lost,) = np.nonzero((status == 0) & ~self._last.whole)
        steps = np.append(self._steps, self._last.step)
        loss = self._curves.get(self._energy, np.full((len(status), len(self._steps)), np.nan))
        for r in lost:
            (good,) = np.nonzero(np.isfinite(loss[r]))
            status[r], frozen_step[r] = Status.NONFINITE_LOSS, steps[good[-1] + 1 if len(good) else 0]
        return {"status": status, "frozen_step": frozen_step}

    def arrays(self, initial: np.ndarray) -> Arrays:
        """Everything gathered."""
        if self._last is None:  # every run was frozen before the first recorded step
            return self._nothing(len(initial))
        finished = self._last.step == self._ready.spec.run.steps
        position = self._last.position if finished else np.full_like(initial, np.nan)
        out = {
            name: values if finished else np.full(len(initial), np.nan)
            for name, values in self._scores(self._last).items()
        }
        for kind in ("mean", "rms", "max"):
            out |= {f"{kind}_{name}": values for name, values in self._weights(position, kind).items()}
        out |= (
            self._first_steps()
            | {"steps": self._steps}
            | {f"curve_{name}": table for name, table in self._curves.items()}
        )
        if self._acceptance:
            out[WORKED] = np.mean(self._acceptance, axis=0)
        return out | (self._kept(initial) if self._shard.keep else {})

    def _kept(self, initial: np.ndarray) -> Arrays:
        """Every draw of every tensor, its log weight where weights differ, and where runs started."""
        split, empty = self._ready.job.target.layout.split, np.empty((len(initial), 0, initial.shape[1]), initial.dtype)
        draws = np.stack(self._draws, axis=1) if self._draws else empty
        out = {name: _tensor(values) for name, values in split(draws).items()}
        out |= {f"initial_{name}": _tensor(values) for name, values in split(initial).items()}
        return out | ({"log_weight": np.stack(self._log_weights, axis=1)} if self._log_weights else {})

    def _nothing(self, runs: int) -> Arrays:
        scores = [name.removeprefix("test_") for name in self._ready.subject.scores]
        weights = [
            f"{kind}_{name}" for kind in ("mean", "rms", "max") for name in self._ready.job.target.layout.tensors
        ]
        steps = [accuracy_name(level) for level in self._shard.accuracies] if "accuracy" in scores else []
        nothing = {name: np.full(runs, np.nan) for name in (self._energy, *scores, *weights, *steps)}
        return nothing | {"steps": self._steps}

    def _scores(self, seen: Seen) -> Arrays:
        found = {name.removeprefix("test_"): np.asarray(v, np.float64) for name, v in seen.statistics.items()}
        return {self._energy: np.asarray(seen.energy, np.float64)} | {
            k: found[k] for k in (*SCORES, "nll") if k in found
        }

    def _weights(self, position: np.ndarray, kind: str) -> Arrays:
        """Mean, root mean square or largest magnitude of each tensor, [R]."""
        flat = {
            name: v.reshape(len(v), -1).astype(np.float64)
            for name, v in self._ready.job.target.layout.split(position).items()
        }
        with np.errstate(all="ignore"):
            if kind == "mean":
                return {name: v.mean(axis=1) for name, v in flat.items()}
            return {
                name: np.abs(v).max(axis=1) if kind == "max" else np.sqrt((v * v).mean(axis=1))
                for name, v in flat.items()
            }

    def _first_steps(self) -> Arrays:
        accuracy = self._curves.get("accuracy")
        if accuracy is None:
            return {}
        out = {}
        for level in self._shard.accuracies:
            reached = accuracy >= np.float32(level - 1e-9)
            out[accuracy_name(level)] = np.where(reached.any(axis=1), self._steps[reached.argmax(axis=1)], np.nan)
        return out


def accuracy_name(level: float) -> str:
    """Name of the first step at an accuracy: steps_to_90, steps_to_99.5."""
    return f"steps_to_{100 * level:g}"


def _tensor(values: Any) -> np.ndarray:
    return np.ascontiguousarray(values)
