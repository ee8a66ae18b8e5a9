"""What a run that tunes itself is worth: may its averages be trusted, to what error, and if not, why and what to do.

One function for the last line of `sample`, for `diagnose` and for JSON. Every threshold weighs its error.
"""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from . import ladder, rules
from .course import BURN_IN, HURRIED, SAMPLING, Course
from .tuner import Tuner

DRIFT = 0.01
"""p of a drift over the kept draws below which they are not trusted: a hundredth of good runs."""
SHOWN = ("rmse", "nll", "accuracy")
"""Scores that the verdict on a fall shows."""
NOISY = 2 * rules.QUIET
"""rho of minibatches from which it speaks against a run."""
LOST = 0.01
"""Share of replicas that may freeze."""


@dataclass(frozen=True)
class Verdict:
    """Whether the averages may be trusted.

    Attributes
    ----------
    trusted : whether they may. size : to how many posterior sd: error, bias and the bias's own error together; NaN
    before anything is known.
    error : largest over probes of one standard error of a mean, in posterior sd. tolerance : what was asked for.
    bias, bias_error : of the stepsize over all probes, NaN where steps are accepted or rejected. reasons : what stands
    against it. remedies : what to do about each. lost : replicas that spoil every average (lost.py).
    makeshift : whether there are no draws, and in their place replicas as they stood when the run stopped.
    """

    trusted: bool
    size: float
    error: float
    tolerance: float
    bias: float
    bias_error: float
    reasons: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ()
    lost: int = 0
    makeshift: bool = False

    @property
    def text(self) -> str:
        """One line."""
        if self.trusted:
            return f"may be trusted to {up(self.size)} sd ({self.numbers})"
        why = "; ".join(f"{reason}: {remedy}" for reason, remedy in zip(self.reasons, self.remedies, strict=True))
        known = f" ({self.numbers})" if math.isfinite(self.error) else ""
        return f"not yet, because {why}{known}"

    @property
    def numbers(self) -> str:
        """The errors."""
        error = f"largest standard error over probes {self.error:.2g}"
        if math.isnan(self.bias):
            return f"{error}; steps are accepted or rejected, so that the stepsize leaves no bias"
        return f"{error}; stepsize bias {self.bias:.2g} +- {self.bias_error:.1g} over all probes"

    def to_dict(self) -> dict[str, Any]:
        """Plain data; NaN becomes None."""
        plain = asdict(self) | {"text": self.text}
        return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in plain.items()}


def judge(course: Course, tuner: Tuner) -> Verdict:
    """The verdict on a run from what it decided and by what rules."""
    line = course.latest(SAMPLING)
    found = list(_against(course, tuner))
    error = float(line.get("error", math.nan))
    bias, bias_error = (math.nan if line.get(name) is None else float(line[name]) for name in ("bias", "bias_error"))
    size = error if math.isnan(bias) else math.hypot(error, bias, bias_error)
    return Verdict(
        not found,
        size,
        error,
        tuner.tolerance,
        bias,
        bias_error,
        tuple(r for r, _ in found),
        tuple(d for _, d in found),
        int(line.get("lost", 0)),
        bool(course.makeshift),
    )


def _against(course: Course, tuner: Tuner) -> Iterator[tuple[str, str]]:
    """What stands against a run, each with what to do."""
    line = course.latest(SAMPLING)
    if not course.ended:
        doing = {SAMPLING: "it still samples", BURN_IN: "burn-in is not over"}.get(
            course.phase, "it still tunes itself"
        )
        yield f"the run has not ended ({doing})", "resume it"
    if not line:
        yield from _unjudged(course)
        return
    if line.get("lost"):
        yield (
            f"{line['lost']} of {tuner.replicas} replicas are lost, far outside where the others are or without one"
            " proposal accepted, and spoil every average",
            "use none of them, whatever their error; start again from other starts, or with a smaller method.stepsize",
        )
        return
    yield from _fallen(course, tuner) if course.path else _unburned(course, tuner)
    yield from _apart(course, tuner)
    if not course.path:
        yield from _drifting(line, tuner)
    if "attempts" in line:
        yield from ladder.against(line)
    yield from _short(course, tuner)
    yield from _noisy(course, tuner)
    if not course.path:
        yield from _biased(course, tuner)


def _unjudged(course: Course) -> Iterator[tuple[str, str]]:
    """No draws that could be judged."""
    if course.makeshift:
        when = f"{course.ended} came" if course.ended else "it stopped"
        yield (
            f"{when} before the first draw: what is kept is where each replica stood at step {course.makeshift:,}, and"
            " no draw of the posterior",
            "resume with more, or start from better values",
        )
    elif course.ended == "max_time" and course.phase == SAMPLING:
        yield "max_time came before there were draws enough to judge by", "resume with more"
    elif course.ended:
        yield f"{course.ended} came before the first draw", "resume with more, or start from better values"


def noise_of(course: Course) -> float:
    """rho of the minibatches, as it was last measured; 0 where there are none."""
    return float(next((entry["rho"] for entry in reversed(course.log) if entry.get("rho")), 0.0))


def _short(course: Course, tuner: Tuner) -> Iterator[tuple[str, str]]:
    """Too few draws, or too few replicas of them."""
    line = course.latest(SAMPLING)
    if line["error"] > tuner.tolerance:
        yield (
            f"the tolerance {tuner.tolerance:g} was not reached by {course.ended or 'now'}, and the largest error is"
            f" {up(line['error'])}",
            f"resume with more, or be content with it (--tolerance {up(line['error'])})",
        )
    if line["frozen"] > LOST * tuner.replicas:
        yield f"{line['frozen']} of {tuner.replicas} replicas froze", "give a smaller method.stepsize"


def _noisy(course: Course, tuner: Tuner) -> Iterator[tuple[str, str]]:
    """Minibatches that heat, or that a thermostat hides."""
    rho = noise_of(course)
    if rho > NOISY:
        yield (
            f"gradient noise of the minibatches is {rho:.2g} of the temperature, and variances are too wide by 3 to 4"
            " times that",
            'raise run.batch, or use minibatch = "full"',
        )
    if rho and tuner.thermostat:
        yield (
            "the thermostat takes up the minibatches' noise of a partition as a whole, and not where in it it is:"
            " variances may be far off, and nothing here sees it",
            'use minibatch = "full", or method langevin',
        )


def _biased(course: Course, tuner: Tuner) -> Iterator[tuple[str, str]]:
    """A stepsize that is too large."""
    line = course.latest(SAMPLING)
    seen = line["bias"] is not None and line["bias"] - 2 * line["bias_error"] > tuner.tolerance
    if line["excess"] or seen:
        yield (
            f"the stepsize {course.stepsize:.3g} biases averages by {line['bias']:.2g} +- {line['bias_error']:.1g} sd",
            f"start again with method.stepsize = {course.stepsize / 2:.2g}",
        )


def _fallen(course: Course, tuner: Tuner) -> Iterator[tuple[str, str]]:
    """What stands against draws at the last stepsize of a fall, and what they are worth all the same."""
    line, why = course.latest(SAMPLING), []
    failed = set(line["failed"])
    if {"ratio", "drift"} & failed:
        drift = f", and they drift (p {line['p']:.2g})" if "drift" in failed else ""
        why.append(f"slow modes (variance of the replicas' means {line['ratio']:.2f} of all there is{drift})")
    if "bias" in failed:
        heat = f"U {line['heat']:.2g} +- {line['heat_error']:.1g} a point" if line.get("heat_excess") else ""
        means = "" if line["bias"] is None else f"{line['bias']:.2g} +- {line['bias_error']:.1g} sd"
        why.append(
            f"a stepsize bias (at {course.stepsize:.3g} from half of it: {', '.join(filter(None, (means, heat)))})"
        )
    if "virial" in failed:
        why.append("a virial that is missed")
    if not why:
        return
    scores = ", ".join(f"{name.upper()} {value:.3g}" for name, value in line["scores"].items() if name in SHOWN)
    yield (
        f"the network is stiff, with {' and '.join(why)}",
        f"its predictions are worth what held-out points say{f' ({scores})' if scores else ''}, and no posterior is"
        " promised: spreads and intervals may be off; resume with more (run.max_steps, run.max_time), or ask it of a"
        " smaller network or a tighter prior",
    )


def _offer(course: Course, tuner: Tuner) -> str:
    """Moves that would carry replicas across."""
    return ladder.offer(course.log, max(tuner.temperature), sum(tuner.parameters))


def _apart(course: Course, tuner: Tuner) -> Iterator[tuple[str, str]]:
    """Superchains that still differ."""
    line = course.latest(SAMPLING)
    if line.get("apart"):
        yield (
            f"superchains disagree (nested R-hat {line['nested']:.3f}): replicas that started at one point are still"
            " more alike than others, in modes that do not mix or by motion too slow",
            _offer(course, tuner),
        )


def _unburned(course: Course, tuner: Tuner) -> Iterator[tuple[str, str]]:
    """Burn-in that did not end by its own rules."""
    if course.burned:
        return
    last = course.latest(BURN_IN)
    if course.stuck >= rules.MODES and "ratio" in last.get("failed", ()):
        yield (
            f"nothing drifts and replicas stay apart (variance of their means {last['ratio']:.2f} of all there is):"
            " several modes that do not mix, or motion too slow to tell",
            _offer(course, tuner),
        )
        return
    if not last:
        yield "there was no time for burn-in", "resume with more (run.max_steps, run.max_time)"
        return
    names = {
        "drift": f"averages drift (p {last.get('p', math.nan):.2g})",
        "ratio": f"replicas remember their starts ({last.get('ratio', math.nan):.2f})",
        "virial": "the virial theorem is missed",
        "lost": f"{last.get('lost')} replicas lay far outside where the others are",
        HURRIED: "half of run.max_time was gone",
        "starts": f"superchains disagree (nested R-hat {last.get('nested') or math.nan:.3f})",
    }
    why = " and ".join(names[name] for name in last.get("failed", ()))
    why = why or "its stepsize was lowered, and there was no time for another window"
    yield (
        f"burn-in did not end: {why}",
        "resume with more (run.max_steps, run.max_time), which goes on with it, or start from better values",
    )


def _drifting(line: dict[str, Any] | Any, tuner: Tuner) -> Iterator[tuple[str, str]]:
    """What the kept draws themselves say."""
    if line["p"] < DRIFT:
        yield f"averages drift over the kept draws (p {line['p']:.2g})", "start again: these draws came too early"
    if line["ratio"] > 2 * rules.RATIO:
        yield (
            f"replicas have not seen the same (variance of their means {line['ratio']:.2f} of all there is)",
            "resume with a smaller tolerance",
        )
    for value, error in zip(line["virial"], line["virial_error"], strict=True):
        if abs(value - 1) > max(rules.VIRIAL * error, tuner.tolerance):
            yield (
                f"the virial is {value:.3g} +- {error:.1g} where 1 is due: the law is not that of the temperature asked"
                " for",
                "lower the stepsize, or raise the batch (gradient noise heats)",
            )


def up(value: float) -> str:
    """Two digits, not rounded down."""
    if not value > 0 or not math.isfinite(value):
        return f"{value:.2g}"
    digits = 1 - math.floor(math.log10(value))
    return f"{math.ceil(value * 10**digits - 1e-9) / 10**digits:.2g}"
