"""Targets whose laws are known for words in braces, and a plain recursion of such words, written from equations.md
section 13.
"""

from dataclasses import replace

import numpy as np
from linear_maps import job_of

from gpu_thermo import streams
from gpu_thermo.data import Dataset
from gpu_thermo.engines.base import Batching, Job, initial_state
from gpu_thermo.method.letters import LETTERS
from gpu_thermo.method.words import compile_program, parse_word
from gpu_thermo.state import Hyper
from gpu_thermo.targets.analytic.base import Analytic
from gpu_thermo.targets.base import Batch
from gpu_thermo.targets.networks import MlpModel
from gpu_thermo.targets.posterior import MlpTarget
from gpu_thermo.targets.priors import Code, Prior


class Quartic(Analytic):
    """U = q^4/4 - q^2/2 in each of P coordinates."""

    def __init__(self, size=1):
        super().__init__(size, 0.0, 0.0)

    def _evaluate(self, position, replica):
        square = position * position
        energy = (square * square / 4 - square / 2).sum(axis=-1, dtype=np.float64)
        return energy, position * (square - 1)


def quartic_law(points, tau=1.0):
    """Quantiles of the law of one coordinate at (i + 1/2) / points, and <q^2>."""
    q = np.linspace(-6, 6, 200_001)
    density = np.exp(-(q**4 / 4 - q**2 / 2) / tau)
    below = np.cumsum(density)
    return np.interp((np.arange(points) + 0.5) / points, below / below[-1], q), (density * q * q).sum() / density.sum()


def braced(word, target, stepsize, replicas, *, block=1, work=False, **hyper):
    """A job as job_of makes it, with proposals of `block` steps."""
    job = job_of(word, target, stepsize, replicas, **hyper)
    blocks = np.broadcast_to(np.asarray(block, np.int64), (replicas,)).copy()
    return replace(job, hyper=replace(job.hyper, block=blocks), work=work)


def quartic_start(job, tau=1.0, seed=1):
    """A state of the exact law, each coordinate's quantiles shuffled."""
    rng, size = np.random.default_rng(seed), job.target.layout.size
    q = np.stack([rng.permutation(quartic_law(job.replicas, tau)[0]) for _ in range(size)], axis=1)
    return initial_state(job, q, rng.normal(size=q.shape) * np.sqrt(tau))


class Recursion:
    """A word of A, B and O, in braces, on one target: letter by letter, work as the letters
    do it. U and gradient are evaluated wherever they are wanted.

    Parameters
    ----------
    before, inside, behind : letters of the word. block : [R], 0 for steps without acceptance.
    """

    def __init__(self, job, before, inside, behind, state):
        self.job, self.parts, self.block = job, (before, inside, behind), job.hyper.block
        self.q, self.p = state.position.copy(), state.momentum.copy()
        self.keys = streams.make_keys(job.seed, job.stream)
        self.steps, self.work = np.zeros(len(self.q), int), np.zeros(len(self.q))
        self.start = self.q.copy(), self.p.copy()
        self.ended = []

    def _evaluate(self):
        batch = Batch(None, np.arange(len(self.q)), self.keys)
        return self.job.target.energy_and_gradient(self.q, batch)

    @np.errstate(all="ignore")
    def step(self, number):
        """One step; what ended in it goes to `ended` as (replicas, works, acceptances)."""
        before, inside, behind = self.parts
        text = before + inside + behind
        sub = 0
        for place, letter in enumerate(text):
            if place == len(before):
                fresh = self.steps == 0
                self.work[fresh] = 0
                for kept, now in zip(self.start, (self.q, self.p), strict=True):
                    kept[fresh] = now[fresh]
            if place == len(before) + len(inside):
                self._close(number)
            sub += self._letter(letter, text.count(letter), number, sub)
        if not behind:
            self._close(number)

    def _letter(self, letter, count, number, sub):
        hyper, h = self.job.hyper, self.job.hyper.stepsize[:, None] / count
        if letter == "A":
            energy = self._evaluate()[0]
            self.q = self.q + h * self.p
            self.work += self._evaluate()[0] - energy
        elif letter == "B":
            kinetic = (self.p**2).sum(axis=1) / 2
            self.p = self.p - h * self._evaluate()[1]
            self.work += (self.p**2).sum(axis=1) / 2 - kinetic
        else:
            blocks = np.arange(-(-self.q.shape[1] // 4), dtype=np.uint64)
            noise = streams.normals(self.keys, blocks, streams.Purpose.STEP, number, sub, np.float64)
            a = np.exp(-hyper.friction * h)
            self.p = a * self.p + np.sqrt(hyper.temperature * (1 - a * a)) * noise[:, : self.q.shape[1]]
        return LETTERS[letter].normals

    def _close(self, number):
        self.steps += 1
        tau = self.job.hyper.temperature[:, 0]
        ended = self.steps >= self.block
        chance = np.where(np.isfinite(self.work), np.minimum(1, np.exp(-self.work / tau)), 0)
        word = streams.words(self.keys, np.zeros(1, np.uint64), 9, number)[0][:, 0]
        back = ended & (self.block > 0) & ((word + 0.5) / 2**32 >= chance)
        self.q = np.where(back[:, None], self.start[0], self.q)
        self.p = np.where(back[:, None], -self.start[1], self.p)
        self.steps[ended] = 0
        self.ended.append((ended, self.work.copy(), chance, back))


def quartic_prior():
    """That law as the prior of a weight."""
    return Prior(
        "quartic", "q^4/4 - q^2/2", "equations.md section 13",
        constants=lambda scale, points: {"factor": 1 / points},
        term=lambda theta, c: (theta * theta / 4 - 0.5) * theta * theta,
        slope=lambda theta, c: c["factor"] * (theta * theta - 1) * theta,
        normals=1, draw=lambda n: n[0],
        code=Code(
            term="return (q * q * scalar(0.25) - scalar(0.5)) * q * q;",
            slope="return scalar(c[FACTOR]) * (q * q - scalar(1)) * q;",
        ),
    )  # fmt: skip


def quartic_network(word, stepsize, replicas):
    """A job of `word` on a network whose only free parameter, w2, is multiplied by 0 and so has the quartic law of its
    prior, for engines that take networks alone; the prior is registered by then. And a state of the exact law.
    """
    model = MlpModel(1, 1, 1, "binary", "tanh", 1.0, 0.7, prior="quartic")
    x = np.ones((1, 1, 1))
    data = Dataset("point", "binary", x, np.zeros((1, 1), np.int64), x, np.zeros((1, 1), np.int64), ("x",),
                   ("no", "yes"), ())  # fmt: skip
    words = {"w1": None, "b1": None, "w2": parse_word(word), "b2": None}
    program = compile_program(words, model.layout.partition("tensor"))
    hyper = Hyper.constant(replicas, 4, stepsize, 1_000, temperature=1.0, friction=1.0)
    hyper = replace(hyper, block=np.ones(replicas, np.int64))
    seed, stream = np.full(replicas, 5, np.uint64), np.arange(replicas, dtype=np.uint64)
    target = MlpTarget(model, data, np.zeros(replicas, np.int64), np.float64)
    job = Job(program, target, hyper, Batching("full", 1), seed, stream, np.float64)
    rng, position, momentum = np.random.default_rng(1), np.zeros((replicas, 4)), np.zeros((replicas, 4))
    position[:, 2], momentum[:, 2] = rng.permutation(quartic_law(replicas)[0]), rng.normal(size=replicas)
    return job, initial_state(job, position, momentum)


class LogisticNetwork:
    """A network of one frozen hidden unit on two classes: of two free parameters, output weight and bias, whose law is
    had by quadrature.

    Parameters
    ----------
    replicas, dtype : of its jobs.
    """

    TAU = 0.25

    def __init__(self, replicas, dtype):
        self.replicas, self.dtype = replicas, dtype
        self.model = MlpModel(1, 1, 1, "binary", "tanh", 1.5, 0.7)
        x = np.linspace(-2, 2, 9)[None, :, None]
        y = (x[..., 0] + 0.7 * np.cos(7 * x[..., 0]) > 0.2).astype(np.int64)
        self.data = Dataset("line", "binary", x, y, x[:, :1], y[:, :1], ("x",), ("no", "yes"), ())
        self.hidden = np.array([1.5, -0.5])  # w1, b1
        axis = np.linspace(-14, 14, 801)
        w, b = (v.ravel() for v in np.meshgrid(axis, axis, indexing="ij"))
        logit = np.tanh(1.5 * x[0, :, 0] - 0.5)[:, None] * w + b
        energy = np.mean(np.logaddexp(0, logit) - y[0][:, None] * logit, axis=0) + (w * w + b * b) / (2 * 1.5**2 * 9)
        density = np.exp(-(energy - energy.min()) / self.TAU)
        self.below = np.cumsum(density) / density.sum()
        self.grid, self.gap = np.stack([w, b], axis=1), axis[1] - axis[0]
        density /= density.sum()
        self.moments = np.array([(density * v).sum() for v in (w, b, w * w, b * b)])

    def job(self, word, stepsize, block):
        """`word` on the output layer."""
        program = compile_program({"hidden": None, "output": parse_word(word)}, self.model.layout.partition("layer"))
        target = MlpTarget(self.model, self.data, np.zeros(self.replicas, np.int64), self.dtype)
        hyper = Hyper.constant(self.replicas, 2, stepsize, 100, temperature=self.TAU, friction=0.5)
        hyper = replace(hyper, block=np.full(self.replicas, block))
        seed, stream = np.full(self.replicas, 5, np.uint64), np.arange(self.replicas, dtype=np.uint64)
        return Job(program, target, hyper, Batching("full", 9), seed, stream, self.dtype)

    def start(self, job):
        """A state of the exact law."""
        rng = np.random.default_rng(6)
        free = self.grid[np.searchsorted(self.below, rng.random(self.replicas))]
        free = free + self.gap * (rng.random(free.shape) - 0.5)
        still = np.zeros((self.replicas, 2))
        position = np.column_stack([still + self.hidden, free])
        return initial_state(job, position, np.column_stack([still, np.sqrt(self.TAU) * rng.normal(size=free.shape)]))
