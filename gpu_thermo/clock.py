"""One time for replicas of different stepsizes: how many steps each has done when the run has done so many.

A run counts the steps of its smallest stepsize. Burn-in and the time between draws are as many steps of each replica as
come nearest to the run's, so that all are recorded at equal times; between two such times each goes ahead evenly.
"""

from dataclasses import dataclass

import numpy as np

from .state import alike


@dataclass(frozen=True)
class Clock:
    """Steps of replicas that keep one time.

    Attributes
    ----------
    burn_in, thin : steps of the run, which are those of its smallest stepsize.
    before, between : [R] int64, steps of each replica in the burn-in, and between draws.
    parts : equal parts of the burn-in after which all replicas of the run meet: in each the slowest takes about as many
        steps as between draws. 0 where its burn-in is shorter than that.
    """

    burn_in: int
    thin: int
    before: np.ndarray
    between: np.ndarray
    parts: int

    @classmethod
    def of(cls, burn_in: int, thin: int, stepsize: np.ndarray, every: np.ndarray) -> "Clock":
        """Of replicas with the stepsizes [R], in a run that has the stepsizes `every`."""

        def steps(n: int, h: np.ndarray) -> np.ndarray:
            return np.rint(n * (np.min(every) / h)).astype(np.int64)

        parts = int((steps(burn_in, every) // steps(thin, every)).min())
        return cls(burn_in, thin, steps(burn_in, stepsize), steps(thin, stepsize), parts)

    def take(self, rows: slice | np.ndarray) -> "Clock":
        """The same for some replicas."""
        return Clock(self.burn_in, self.thin, self.before[rows], self.between[rows], self.parts)

    def groups(self) -> list[np.ndarray]:
        """Rows of the replicas that take as many steps, for each number of steps."""
        _, group = alike([self.before, self.between])
        return [np.flatnonzero(group == g) for g in range(int(group.max()) + 1)]

    def own(self, step: int) -> np.ndarray:
        """[R] int64, steps that each replica has done after `step` steps of the run.

        Each does its last step before a meeting with the run's, so that nobody waits there.
        """
        if step >= self.burn_in:
            draws, rest = divmod(step - self.burn_in, self.thin)
            return np.asarray(self.before + draws * self.between + rest * self.between // self.thin)
        parts = max(1, self.parts)
        part = min(parts - 1, step * parts // self.burn_in)
        while (part + 1) * self.burn_in // parts <= step:  # parts are not of equal length to the step
            part += 1
        first, end = part * self.burn_in // parts, (part + 1) * self.burn_in // parts
        start, stop = part * self.before // parts, (part + 1) * self.before // parts
        return np.asarray(start + (step - first) * (stop - start) // (end - first))

    def at(self, replica: int, own: int, first: int, last: int) -> int:
        """The run's step in (first, last] after which `replica` has first done `own` steps; `last` if none."""
        alone = self.take(np.array([replica]))
        while last - first > 1:
            middle = (first + last) // 2
            first, last = (first, middle) if alone.own(middle)[0] >= own else (middle, last)
        return last

    def meetings(self, steps: int) -> np.ndarray:
        """Steps of the run, up to `steps`, after which all replicas have just done a step at one time: ends of parts of
        the burn-in, then draws.
        """
        before = np.arange(1, self.parts + 1) * self.burn_in // max(1, self.parts)
        return np.concatenate([before, np.arange(self.burn_in + self.thin, steps + 1, self.thin)]).astype(np.int64)
