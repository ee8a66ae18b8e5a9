"""The rules by which a run tunes itself: each a function of numbers, with its constants (equations.md section 14)."""

import math
from dataclasses import dataclass

import numpy as np

DESCENT_STEPS, DESCENT_RATE, DESCENT_MOST = 25, 0.02, 2_000
"""Steps between looks at the descent, its learning rate in units of the prior's sd, and the most steps of it."""
PATIENCE = 4
"""Looks at which the energy has to stand where somebody lies far outside."""
FALL, DESCENDED = 0.1, 0.5
"""Of P tau / 2: what the median energy may change when h and gamma stand; and still fall between two looks when the
descent ends: heat brings P tau / 2 back, so that more is wasted.
"""
FIRST = 0.3
"""h_0 sqrt(lambda), and m gamma h of a block."""
WINDOW, DOUBLE_EVERY, LONGEST = 25, 6, 400
"""Steps of the first window of the adaptation; windows after which they are doubled, up to the longest."""
NOISY, OF_MEDIAN = 2.5, 1.25
"""Errors of a median within which three of them lie, as a rule; that error over the one of a mean."""
AIM, AIM_OVERDAMPED, LEAST, SMALL = 0.035, 0.02, 0.5, 0.08
"""1 - acceptance of a single step aimed at, and of sgld, whose bias nothing takes off; the acceptance below which a
window is done again; |ln factor| of h that is no more than noise."""
SLOWER, FASTER = 0.5, 2.0
"""By what h is multiplied after a window, at least and at most."""
FEWEST, MOST = 4, 60
"""Windows of the adaptation."""
WARM = 11
"""Windows of the adaptation before masses are estimated, at least: soft directions heat up last."""
WEIGHED = 6
"""Windows of the adaptation once masses were estimated, at least: the ensemble is warm by then."""
QUIET = 0.01
"""rho = h s^2 / (2 gamma tau) that minibatches are to keep below: variances are too wide by 3 to 4 of it."""
BLOCK_AIM = 0.05
"""1 - acceptance of a block aimed at."""
QUARTER, TIMES, DRAWS = 64, 4.0, 8
"""Steps of a quarter at least; its length in 1/(gamma h); its draws."""
SIZE, RATIO, VIRIAL = 0.1, 0.25, 3.5
"""Burn-in is over when p is above the first, the ratio of variances below the second, virials within so many errors."""
MOST_WINDOWS, MODES = 8, 3
"""Windows of burn-in; how often the ratio may fail while nothing drifts before several modes are suspected."""
MOST_DRAWS = 512
"""Draws that sampling is laid out for."""
MARGIN = 1.05
"""By how much more is sampled than the error asks for."""


def first_stepsize(curvature: float, temperature: float, isokinetic: bool) -> float:
    """h_0 from the largest curvature lambda: .3 / sqrt(lambda); with momenta of length sqrt(n) in place of sqrt(n tau),
    times sqrt(tau).
    """
    return FIRST / math.sqrt(curvature) * (math.sqrt(temperature) if isokinetic else 1.0)


def friction(variance: float, temperature: float, stepsize: float, isokinetic: bool) -> float:
    """gamma: the frequency of the softest motion, sqrt(tau / mean over parameters of their variance over replicas), and
    at most .5 / h.
    """
    if not variance > 0:
        return 0.5 / stepsize
    return min(math.sqrt((1.0 if isokinetic else temperature) / variance), 0.5 / stepsize)


def relaxation(variance: float, temperature: float, stepsize: float, isokinetic: bool) -> float:
    """Rate at which the softest coordinate forgets without momenta, tau / variance, and at most .5 / h."""
    return 0.5 / stepsize if not variance > 0 else min(temperature / variance, 0.5 / stepsize)


def overdamped(stepsize: float) -> float:
    """Stepsize of sgld that makes the same step as B A B of fresh momenta at `stepsize`: h^2 / 2."""
    return stepsize**2 / 2


def adapted_factor(acceptance: float, aim: float = AIM) -> float:
    """By what h is multiplied after a window of single steps: 1 - acceptance grows about as h^2.5."""
    return float(np.clip((aim / max(1 - acceptance, 1e-9)) ** 0.4, SLOWER, FASTER))


def overdamped_factor(acceptance: float) -> float:
    """The same of sgld, for the stepsize of `overdamped`."""
    return adapted_factor(acceptance, AIM_OVERDAMPED) ** 2


def noise_share(stepsize: float, noise: float, gamma: float) -> float:
    """rho of gradients with a noise of s^2 = noise tau in each component: what they add to the temperature."""
    return stepsize * noise / (2 * gamma)


def block_factor(acceptance: float) -> float:
    """By what h is multiplied after a window of blocks that were accepted so often; 1 where it need not change."""
    factor = (BLOCK_AIM / max(1 - acceptance, 1e-9)) ** 0.4
    return 1.0 if 0.8 <= factor <= 1.25 else float(np.clip(factor, 0.7, 1.2))


def window_steps(window: int) -> int:
    """Steps of the adaptation's window of that number, from 0."""
    return int(min(WINDOW * 2 ** (window // DOUBLE_EVERY), LONGEST))


def is_adapted(factors: list[float], energies: list[float], allowed: float, fewest: int = FEWEST) -> bool:
    """Whether h stands: its last two changes were small, and the median energy of the last three windows, too."""
    if len(factors) < fewest:
        return False
    steady = all(abs(math.log(f)) < SMALL for f in factors[-2:])
    last = energies[-3:]
    return steady and max(last) - min(last) < allowed


@dataclass(frozen=True)
class Lengths:
    """Steps of blocks and windows.

    Attributes
    ----------
    block : m, steps of a proposal; 1 for plain words. stride : steps between draws. quarter : n, steps of a quarter.
    """

    block: int
    stride: int
    quarter: int

    @classmethod
    def of(cls, stepsize: float, gamma: float, braces: bool, doubled: int = 0) -> "Lengths":
        """From m = .3 / (gamma h) and n = max(64, 4 / (gamma h)), doubled so often; n is a whole number of draws, and
        draws stand at the ends of blocks: at the nearest of them.
        """
        rate = max(gamma * stepsize, 1e-6)
        block = max(1, round(FIRST / rate)) if braces else 1
        wanted = max(QUARTER, TIMES / rate) * 2**doubled
        stride = block * max(1, round(wanted / (DRAWS * block)))
        return cls(block, stride, DRAWS * stride)

    def within(self, steps: int) -> "Lengths":
        """The same, or so much shorter, blocks included, that a window of four quarters fits into so many steps."""
        most = max(1, steps // (4 * DRAWS))
        if self.stride <= most:
            return self
        block = min(self.block, most)
        stride = block * (most // block)
        return Lengths(block, stride, DRAWS * stride)


def kept_stride(stride: int, steps: int) -> int:
    """Steps between kept draws, a multiple of `stride`, where about so many steps are to be sampled."""
    return stride * max(1, math.ceil(steps / (stride * MOST_DRAWS)))


def more_steps(done: int, error: float, tolerance: float) -> float:
    """Steps that are still to be sampled after `done`, as the square of the error falls with their number."""
    return done * ((error / tolerance) ** 2 * MARGIN - 1)


def next_segment(done: int, error: float, tolerance: float, quarter: int, stride: int) -> int:
    """Steps of the next segment of sampling: those that are left, n/2 at least, twice those done at most."""
    wanted = float(np.clip(more_steps(done, error, tolerance), quarter / 2, 2 * done))
    return stride * max(1, math.ceil(wanted / stride))


def lowered(stepsize: float, worst: float, tolerance: float, first_order: bool) -> float:
    """A stepsize at which a bias of `worst` posterior sd comes to half the tolerance, a quarter of it at least."""
    share = tolerance / (2 * worst)
    return stepsize * float(np.clip(share if first_order else math.sqrt(share), 0.25, 0.8))
