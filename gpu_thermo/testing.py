"""Contract tests of records, one's own or the package's: `check_operation(record)`.

What each kind is asked is what the package's own records are asked in its tests, as far as it can be asked without
knowing the equation: that both engines do the same, that slopes are those of values, that laws are normalised, that
normals are used, and that replicas do not see each other.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats
from scipy.integrate import quad

from .data import Dataset
from .data.tasks import TASKS
from .engines import BatchedEngine, Batching, FusedEngine, Job, initial_state
from .errors import GpuThermoError
from .kernels.toolchain import find_compiler
from .method.letters import LETTERS
from .method.record import Operation
from .method.words import Program, compile_program, compile_update, parse_word
from .registration import Record, identify, present, sample_answers, sample_arrays
from .state import Hyper, Segment
from .streams import make_keys
from .targets.activations import Activation
from .targets.base import Batch
from .targets.likelihoods import Likelihood
from .targets.networks import MlpModel
from .targets.posterior import MlpTarget
from .targets.priors import Prior

REPLICAS, POINTS, STEPS = 5, 24, 6
TOLERANCE = {np.float32: 2e-4, np.float64: 1e-9}
VALUES = {"temperature": 0.02, "friction": 1.5, "sigma": 0.3, "epsilon": 0.4, "momentum": 0.9, "thermostat": 0.2}


class ContractError(GpuThermoError, AssertionError):
    """A record does not do what it says; the message lists every check that failed."""


@dataclass(frozen=True)
class Finding:
    """One check: what was asked, whether it holds (None: it does not apply), and the number or the reason."""

    what: str
    holds: bool | None
    found: str

    def __str__(self) -> str:
        """One line for people."""
        return f"{ {True: 'holds', False: 'FAILS', None: 'left out'}[self.holds]:8} {self.what}: {self.found}"


def check_operation(record: Record) -> list[Finding]:
    """Ask a record all that can be asked without knowing its equation; it need not be registered.

    Parameters
    ----------
    record : an Operation (letter or update), Activation, Prior or Likelihood.

    Returns
    -------
    list of Finding
        All checks, those that do not apply among them.

    Raises
    ------
    ContractError
        A check fails; all findings are in the message.
    SpecError
        The record cannot be registered at all.
    CompileError
        Its C++ texts do not compile; the message shows the numbered source.
    """
    kind, name = identify(record)
    with present(record):
        found = list(_CHECKS[kind](record))
    if any(each.holds is False for each in found):
        raise ContractError(f"{kind} '{name}':\n" + "\n".join(map(str, found)))
    return found


def _number(what: str, value: Any, most: float) -> Finding:
    worst = float(np.max(np.abs(value))) if np.size(value) else 0.0
    return Finding(what, bool(worst <= most), f"{worst:.2g} (at most {most:g})")


# -- letters and updates -----------------------------------------------------------------------------------------------


def _of_operation(record: Operation) -> Iterator[Finding]:
    yield from _arrays(record)
    yield from _noise(record)
    if record.drifts:
        yield _flight(record)
    if identify(record)[0] == "letter":
        yield from _flow(record)
    program = program_with(record)
    yield from _engines(_target(_model()), program, "" if record.compiled else "it has no C++ text")


def _acted(record: Operation, arrays: list[np.ndarray], noise: list[np.ndarray], h: float = 0.3) -> list[np.ndarray]:
    """What the record makes of arrays [R, n], with h for every replica."""
    rows, count = arrays[0].shape[0], max(a.shape[1] for a in arrays)
    given = {name: np.full((1, rows), VALUES[name]) for name in record.reads}
    formed = record.coefficients(np.full((1, rows), h), given | {"count": count})
    dtype = np.float64 if record.wide else arrays[0].dtype
    out, own = [a.copy() for a in arrays], next((a.dtype for a in arrays if a.dtype != np.float64), np.float64)
    values = [np.broadcast_to(np.asarray(c, np.float64), (1, rows)).T.astype(dtype) for c in formed]
    with np.errstate(all="ignore"):
        record.act(*out, *noise, *values, *(np.dtype(own).type(t) for t in record.of_step(4)))
    return out


def _normals(record: Operation, rows: int = 3, columns: int = 4) -> list[np.ndarray]:
    return [np.random.default_rng(20 + i).normal(size=(rows, columns)) for i in range(record.normals)]


def _arrays(record: Operation) -> Iterator[Finding]:
    arrays, noise = sample_arrays(record), _normals(record)
    whole = _acted(record, arrays, noise)
    moved = max(float(np.abs(a - b).max()) for a, b in zip(whole, arrays, strict=True))
    yield Finding("it changes something, in place", moved > 0, f"by {moved:.2g}")
    alone = [_acted(record, [a[r : r + 1] for a in arrays], [n[r : r + 1] for n in noise]) for r in range(3)]
    apart = max(float(np.abs(w[r] - a[0]).max()) for r in range(3) for w, a in zip(whole, alone[r], strict=True))
    yield Finding("replicas do not see each other, bit for bit", apart == 0, f"{apart:.2g}")
    narrow = [a if name == "xi" else a.astype(np.float32) for name, a in zip(record.operands, arrays, strict=True)]
    single = _acted(record, narrow, [n.astype(np.float32) for n in noise])
    kept = all(a.dtype == b.dtype for a, b in zip(single, narrow, strict=True))
    yield Finding("arrays keep their type", kept, "float32" if kept else "changed")
    size = max(float(np.abs(w).max()) for w in whole)
    yield _number("float32 as float64", [np.abs(a - b).max() / size for a, b in zip(single, whole, strict=True)], 1e-4)


def _noise(record: Operation) -> Iterator[Finding]:
    arrays, noise = sample_arrays(record), _normals(record)
    if not noise:
        yield Finding("normals", None, "it draws none")
        return
    plain = _acted(record, arrays, noise)
    for i in range(len(noise)):
        other = [n + (j == i) for j, n in enumerate(noise)]
        moved = max(float(np.abs(a - b).max()) for a, b in zip(_acted(record, arrays, other), plain, strict=True))
        yield Finding(f"normal {i} is used", moved > 0, f"one more of it moves by {moved:.2g}")


def _flight(record: Operation) -> Finding:
    arrays, noise, at = sample_arrays(record), _normals(record), record.operands.index("q")
    moved = [a + 1.0 if i == at else a for i, a in enumerate(arrays)]
    first, second = (_acted(record, some, noise)[at] - some[at] for some in (arrays, moved))
    return _number("what it adds to q does not depend on q", first - second, 1e-12)


def _flow(record: Operation) -> Iterator[Finding]:
    """A letter of no length does nothing; one without noise that is its own flow comes back with -h."""
    arrays, noise = sample_arrays(record), _normals(record)
    if record.fixed_length:
        at = record.operands.index("p")
        arrays[at] *= np.sqrt(arrays[at].shape[1] / (arrays[at] ** 2).sum(axis=1, keepdims=True))
    still = _acted(record, arrays, noise, 0.0)
    yield _number("h = 0 does nothing", [np.abs(a - b).max() for a, b in zip(still, arrays, strict=True)], 1e-12)
    if noise:
        yield Finding("reversible", None, "it draws noise")
        return
    back = _acted(record, _acted(record, arrays, noise), noise, -0.3)
    worst = max(float(np.abs(a - b).max()) for a, b in zip(back, arrays, strict=True))
    allowed = False if record.work is not None else None
    yield Finding("reversible: h and then -h is nothing", worst < 1e-10 or allowed, f"{worst:.2g}" + (
        "" if worst < 1e-10 else ", it is no flow, and has no inverse for braces"))  # fmt: skip


def program_with(record: Operation) -> Program:
    """A step that has the operation in it, on one partition: an update alone, or a letter among A, B and K."""
    partition = _model().layout.partition("all")
    if record.symbol not in LETTERS:
        return compile_update(record.symbol, partition)
    apart = {*record.apart} | {s for s, other in LETTERS.items() if record.symbol in other.apart}
    flight = "" if record.drifts or "A" in apart else "A"
    force = "" if record.kicks else "K" if record.fixed_length or "B" in apart else "B"
    return compile_program({"all": parse_word(f"{force}{record.symbol}{flight}{record.symbol}{force}")}, partition)


# -- engines and networks ----------------------------------------------------------------------------------------------


def _model(task: str = "binary", activation: str = "tanh", prior: str = "normal", outputs: int = 1) -> MlpModel:
    return MlpModel(2, (4,), outputs, task, activation, 1.5, 0.7, prior)


def _target(model: MlpModel, dtype: Any = np.float64) -> MlpTarget:
    """The network on random data that say something."""
    g, likelihood = np.random.default_rng(0), model.likelihood
    y: Any
    x = g.normal(size=(1, POINTS, 2))
    if TASKS[likelihood.task].numeric:
        y = x[..., :1] + g.normal(size=(1, POINTS, 1))
        if likelihood.answers is not None:
            y = np.floor(abs(2 * y))
        kind, names = "regression", {"classes": (), "targets": ("y",)}
    else:
        y = np.where(x[..., 0] > 0, 1, 0) + np.where(x[..., 1] > 0, model.outputs > 2, 0)
        labels = ("no", "yes", "more")[: max(2, model.outputs)]
        kind, names = likelihood.task, {"classes": labels, "targets": ()}
    data = Dataset("made", kind, x, y, x[:, :4], y[:, :4], ("a", "b"), **names)  # type: ignore[arg-type]
    return MlpTarget(model, data, np.zeros(REPLICAS, np.int64), dtype)


def _engines(target: MlpTarget, program: Program, arrays_only: str) -> Iterator[Finding]:
    what = "the fused engine does as array code"
    if arrays_only or find_compiler() is None:
        yield Finding(what, None, arrays_only or "there is no C++ compiler here")
        return
    for dtype in (np.float64, np.float32):
        with_type = _target(target.model, dtype)
        batched, fused = (_advanced(engine, with_type, program, dtype) for engine in (BatchedEngine, FusedEngine))
        size = np.abs(batched).max() or 1.0
        yield _number(f"{what}, {STEPS} steps in {np.dtype(dtype).name}", (fused - batched) / size, TOLERANCE[dtype])


def _advanced(engine: Any, target: MlpTarget, program: Program, dtype: Any) -> np.ndarray:
    """Positions and momenta after some steps of an engine."""
    streams = np.arange(REPLICAS, dtype=np.uint64)
    hyper = Hyper.constant(REPLICAS, 1, 0.05, STEPS, **VALUES)
    job = Job(program, target, hyper, Batching("subset", 8), np.full(REPLICAS, 3, np.uint64), streams, dtype)
    start = target.model.initial_position("normal", 0.5, make_keys(job.seed, streams), dtype)
    state = initial_state(job, start, np.ones_like(start))
    engine(job).advance(state, Segment(0, STEPS))
    return np.concatenate([state.position, state.momentum], axis=1).astype(np.float64)


def _network(model: MlpModel, arrays_only: str) -> Iterator[Finding]:
    """The gradient of a network's energy, and both engines."""
    target, h = _target(model), 1e-6
    at, whole = np.random.default_rng(1).normal(size=(REPLICAS, model.parameters)), Batch(None, np.arange(REPLICAS))
    gradient, slopes = target.energy_and_gradient(at, whole)[1], np.empty_like(at)
    for i in range(at.shape[1]):
        step = h * (np.arange(at.shape[1]) == i)
        above, below = (target.energy_and_gradient(at + sign * step, whole)[0] for sign in (1, -1))
        slopes[:, i] = (above - below) / (2 * h)
    size = np.abs(slopes).max()
    yield _number("the gradient is the slope of the energy, in a network", (gradient - slopes) / size, 1e-6)
    program = compile_program({"all": parse_word("BAOAB")}, model.layout.partition("all"))
    yield from _engines(target, program, arrays_only)


NO_TEXT = "it has no C++ text"


def _of_activation(record: Activation) -> Iterator[Finding]:
    z, h = np.linspace(-5, 5, 402), 1e-5  # 0 is not among them
    value = record.value(z.copy(), np)
    slope = np.ones_like(z) if record.slope is None else record.slope(z, value, np) * np.ones_like(z)
    above, below = record.value(z + h, np) - value, value - record.value(z - h, np)
    smooth = np.abs(above - below) < 1e-3 * h  # not across a kink
    central = ((above + below) / (2 * h))[smooth]
    yield _number("the slope is that of the value", (slope[smooth] - central) / (1 + np.abs(central)), 1e-6)
    if record.homogeneous:
        yield _number("homogeneous: value = slope z", value - slope * z, 1e-12)
    yield from _network(_model(activation=record.name), "" if record.code else NO_TEXT)


def _of_prior(record: Prior) -> Iterator[Finding]:
    points = 10
    for scale in (0.7, 2.0):
        c = record.constants(scale, points)
        zero, theta, h = np.zeros(1), np.linspace(-3, 3, 61) + 0.01, 1e-6
        yield _number(f"term and slope are 0 at 0, scale {scale:g}", [record.term(zero, c), record.slope(zero, c)], 0)
        central = c["factor"] * (record.term(theta + h, c) - record.term(theta - h, c)) / (2 * h)
        yield _number("the slope is factor times that of the term", (record.slope(theta, c) - central), 1e-6)
    c = record.constants(1.0, points)

    def density(x: float) -> float:
        return float(np.exp(-points * c["factor"] * record.term(np.array([x]), c)[0]))

    mass = 2 * quad(density, 0, np.inf, limit=200)[0]
    yield Finding("its density can be normalised", bool(np.isfinite(mass) and mass > 0), f"the integral is {mass:.4g}")
    draws = record.draw([*np.random.default_rng(5).normal(size=(record.normals, 1, 4000))]).ravel()
    at = np.quantile(np.abs(draws), np.linspace(0, 1, 100))
    below = np.array([2 * quad(density, 0, edge, limit=200)[0] / mass for edge in at])
    p = stats.kstest(np.abs(draws), lambda x: np.interp(x, at, below)).pvalue
    yield Finding("its draws of scale 1 have that law", bool(p > 1e-4), f"p = {p:.2g} (above 1e-4)")
    p = stats.binomtest(int((draws > 0).sum()), len(draws)).pvalue
    yield Finding("its draws have both signs", bool(p > 1e-4), f"p = {p:.2g} (above 1e-4)")
    yield from _network(_model(prior=record.name), "" if record.code else NO_TEXT)


def _of_likelihood(record: Likelihood) -> Iterator[Finding]:
    c, h = record.constants(dict.fromkeys(record.settings, 0.7)), 1e-6
    for outputs, answers in sample_answers(record):
        slopes = np.empty_like(outputs)
        for o in range(outputs.shape[-1]):
            step = h * (np.arange(outputs.shape[-1]) == o)
            above, below = (record.losses(outputs + sign * step, answers, c, np) for sign in (1, -1))
            slopes[..., o] = (above - below) / (2 * h)
        found = record.residual(outputs.copy(), answers, c, np)
        yield _number("the residual is the slope of the loss", (found - slopes) / (1 + np.abs(slopes)), 1e-6)
        phi = record.respond(outputs.copy(), np)
        if record.classes is not None:
            each = record.classes.probabilities(phi)
            yield _number("probabilities add up to 1", each.sum(axis=-1) - 1, 1e-12)
    yield _normalised(record, c)
    task = TASKS[record.task]
    model = _model(record.name, outputs=record.outputs(task.outputs(2 if task.most == 2 else 3 if task.most else 1)))
    yield from _network(model, "" if record.code else NO_TEXT)


def _normalised(record: Likelihood, c: Any) -> Finding:
    """The densities of all answers to one output add up to 1."""
    outputs, _ = next(sample_answers(record))
    one = outputs[:1, :1]
    if record.classes is not None:
        count = record.classes.probabilities(record.respond(one.copy(), np)).shape[-1]
        mass = sum(float(np.exp(-record.losses(one, np.array([[y]]), c, np))[0, 0]) for y in range(count))
        return _number("the likelihoods of all classes add up to 1", mass - 1, 1e-9)
    one = np.random.default_rng(3).normal(size=(1, 1, record.outputs(1)))

    def density(y: float) -> float:
        return float(np.exp(-record.losses(one, np.array([[y]]), c, np))[0, 0])

    if record.answers is not None and not record.answers.possible(np.array([0.5])).all():
        return _number(
            "the likelihoods of all whole numbers add up to 1", sum(density(float(y)) for y in range(500)) - 1, 1e-6
        )
    mass = quad(density, -np.inf, one[0, 0, 0], limit=300)[0] + quad(density, one[0, 0, 0], np.inf, limit=300)[0]
    return _number("the density of an answer integrates to 1", mass - 1, 1e-5)


_CHECKS: dict[str, Callable[[Any], Iterator[Finding]]] = {
    "letter": _of_operation, "update": _of_operation, "activation": _of_activation, "prior": _of_prior,
    "likelihood": _of_likelihood,
}  # fmt: skip
