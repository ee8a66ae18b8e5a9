"""How long segments are: as many steps as take a quarter of a second, and more where a segment costs something beside.

A segment of n steps takes a + b n seconds. What the steps cost, b, sets how soon a signal is answered; what a segment
costs, a (launches, transfers), is paid the less often the longer segments are. Neither follows from one total: a is
taken from two lengths, and lengths are such that it stays a small part. Lengths change no number.
"""

import statistics
from collections import deque

SEGMENT_SECONDS = 0.25
"""Steps of a segment: the longest wait for a signal to be answered where segments cost next to nothing."""
LEAST_SHARE, LONGEST = 12, 15.0
"""Steps of a segment take at least so many times what it costs beside, and at most so many seconds."""
GROWTH, PROBE_EVERY = 4, 32
"""Factor between two lengths; and segments after which one is that much shorter, to see again what a segment costs."""


class Pace:
    """Lengths of segments, from what the ones before took.

    Attributes
    ----------
    overhead : seconds a segment costs beside its steps, as far as is known.
    """

    def __init__(self, seconds: float = SEGMENT_SECONDS) -> None:
        self._seconds, self._length, self._since = seconds, 8, 0
        self._before: tuple[int, float] | None = None
        self._found: deque[float] = deque(maxlen=5)
        self.overhead = 0.0

    def next(self) -> int:
        """Steps of the next segment."""
        probes = self._since >= PROBE_EVERY
        return max(1, self._length // GROWTH if probes else self._length)

    def saw(self, steps: int, seconds: float) -> None:
        """A segment of so many steps took so long."""
        if steps < 1 or not seconds > 0:  # clocks may be set
            return
        self._learn(steps, seconds)
        each = max(seconds - self.overhead, seconds / 10) / steps
        wanted = min(max(self._seconds, LEAST_SHARE * self.overhead), LONGEST)
        self._length = max(1, min(int(wanted / each), GROWTH * self._length))

    def _learn(self, steps: int, seconds: float) -> None:
        """Where two lengths differ enough, the straight line through both says what a segment of no steps takes. Each
        segment serves once, and the middle of a few estimates counts, so that a slow one does not.
        """
        self._since += 1
        if self._before is not None:
            (short, fast), (long, slow) = sorted((self._before, (steps, seconds)))
            if long >= 2 * short:
                at_none = (fast * long - slow * short) / (long - short)
                self._found.append(min(max(at_none, 0.0), fast))
                self.overhead = statistics.median_low(self._found)
                self._before, self._since = None, 0
                return
        self._before = (steps, seconds)
