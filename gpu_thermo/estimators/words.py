"""A verdict in the words of who has a table and knows nothing of samplers: what stands against the answers, what it
means for them, and what to do, in options of `gpu-thermo fit` and parameters of the estimators.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

from ..tuning import rules
from ..tuning.course import BURN_IN, SAMPLING
from ..tuning.told import Told
from ..tuning.verdict import DRIFT, LOST, NOISY, Verdict, noise_of, up

MORE = 3
"""By how much more time a fit is to be tried whose networks still change."""
MOST_MINUTES = 60
"""More than so many are not proposed: then the goal is."""


class Ways(NamedTuple):
    """How one says what is to be done: with {minutes} or {seconds}, {value}, and the {run} of a command."""

    longer: str
    anew: str
    content: str
    log: str
    again: str
    smaller: str
    go_on: str

    def of(self, run: str) -> "Ways":
        """With the name of the run."""
        return Ways(*(text.replace(STORE, run) for text in self))


STORE = "NAME.zarr"
FIT = Ways(
    f"gpu-thermo resume {STORE} --minutes {{minutes}}", "fit anew with --minutes {minutes} --overwrite",
    f"gpu-thermo resume {STORE} --tolerance {{value}}",
    "fit anew with --log", "--seed", "an estimator with hidden=8", f"gpu-thermo resume {STORE}",
)  # fmt: skip
ESTIMATOR = Ways(
    "max_seconds={seconds}",
    "max_seconds={seconds}",
    "tolerance={value}",
    'target_transform="log"',
    "random_state",
    "hidden=8",
    "fit",
)


NOT_YET = "not yet: "
LEARNED_NOTHING = (
    "the networks explain the rows that they learned from worse than a model that looks at no column: use none of their"
    " answers, and try fewer columns, a smaller network (hidden=8) or another random_state"
)


@dataclass(frozen=True)
class Trust(Verdict):
    """The verdict of an estimator: `text` proposes parameters of its own.

    Attributes
    ----------
    said : what stands against the answers, each with what to do; reasons and remedies say the same of the run.
    """

    said: tuple[str, ...] = ()

    @classmethod
    def of(cls, told: Told, seconds: float, most: int | None = None) -> "Trust":
        """From how the run went, the seconds it took, and the `most` gradients it was allowed, where somebody said."""
        verdict, ways = told.verdict, ESTIMATOR
        plain = {field.name: getattr(verdict, field.name) for field in fields(verdict)}
        if most is not None:
            ways = ways._replace(longer=(more := f"a larger max_gradients than {most:,}"), anew=more)
        return cls(**plain, said=() if verdict.trusted else tuple(_against(told, seconds, ways)))

    def against(self, line: str) -> "Trust":
        """With one more thing that stands against the answers, and is said first."""
        reason, _, remedy = line.partition(": ")
        return replace(
            self, trusted=False, said=(line, *self.said), reasons=(reason, *self.reasons),
            remedies=(remedy, *self.remedies),
        )  # fmt: skip

    @property
    def text(self) -> str:
        """One line."""
        return NOT_YET + "; ".join(self.said) if self.said else super().text


def in_words(told: Told, seconds: float = math.nan, ways: Ways = FIT) -> list[str]:
    """Lines that say what the averages are worth and, where they may not be trusted, what to do.

    Parameters
    ----------
    told : of the run. seconds : what it took, from which the time is judged that it would take; NaN where not known.
    ways : how options are called.
    """
    verdict = told.verdict
    if verdict.trusted:
        return [f"averages over the networks are known to {verdict.size:.2g} of their spread: they may be trusted"]
    return [NOT_YET + line for line in _against(told, seconds, ways)]


def _against(told: Told, seconds: float, ways: Ways) -> Iterator[str]:
    """What stands against the answers, each with what to do."""
    if not told.course.ended:
        yield f"the fit was interrupted; go on with {ways.go_on}"
    elif not told.course.latest(SAMPLING):
        yield f"{_unjudged(told)}: {_longer(seconds, MORE, ways.longer)}"
    elif told.verdict.lost:
        yield (
            f"{told.verdict.lost} of {told.tuner.replicas} chains of networks ran away and spoil every answer: use none"
            f" of them, and try another {ways.again}; if it comes again, look for wild values in the columns"
        )
    else:
        yield from _unsettled(told, seconds, ways)
        yield from _uncertain(told, seconds, ways)
        if told.verdict.reasons and not _known(told):
            yield f"{told.verdict.reasons[0]}: try another {ways.again}, and report it if it comes again"


def _unjudged(told: Told) -> str:
    """What there is of networks where time was over too early."""
    if told.course.makeshift:
        return (
            f"time was over before a network could be collected. Kept are the {told.tuner.replicas} networks as they"
            " stood at that moment: their answers are a first look, and how sure they seem to be means nothing"
        )
    if told.course.phase == SAMPLING and told.course.ended == "max_time":
        return "time was over before there were networks enough to judge by. How wide intervals are may be far off"
    return "no network was collected in the time there was"


def _unsettled(told: Told, seconds: float, ways: Ways) -> Iterator[str]:
    """Networks of several kinds, or that still change."""
    course, line = told.course, told.course.latest(SAMPLING)
    if course.stuck >= rules.MODES and not course.burned:
        yield (
            "several kinds of networks explain the table about equally well and do not turn into each other: each is"
            " counted as often as it came up, so that averages may lean to one of them. More time will hardly help;"
            f" more rows do, or a smaller network ({ways.smaller})"
        )
    elif _only_drifts(told):
        more = ways.content.format(value=up(told.tuner.tolerance / 2))
        yield (
            "averages drift over the networks that were collected, as they do by chance in one good fit of a hundred:"
            f" try another {ways.again}, or ask for more ({more})"
        )
    elif (course.path and line.get("failed")) or _changes(told):
        way = ways.anew if course.burned else ways.longer  # burn-in goes on, and nothing else begins later
        yield (
            "the networks still change. Scores on rows held out hold as they are, and how wide intervals are may"
            f" change: {_longer(seconds, MORE, way)}"
        )


def _uncertain(told: Told, seconds: float, ways: Ways) -> Iterator[str]:
    """Networks shaken by minibatches, too few of them, or lost."""
    line = told.course.latest(SAMPLING)
    if noise_of(told.course) > NOISY:
        yield (
            "each step looked at some of the rows only, and their choice shakes the networks. Scores on rows held out"
            " hold as they are, and how wide intervals are may be off; more time takes more rows a step:"
            f" {_longer(seconds, MORE, ways.anew)}"
        )
    if line["error"] > told.tuner.tolerance:
        factor = 1.2 * (line["error"] / told.tuner.tolerance) ** 2
        yield (
            f"averages are known to {up(line['error'])} of their spread, and the goal was {told.tuner.tolerance:g}:"
            f" {_longer(seconds, factor, ways.longer)}, or be content with it"
            f" ({ways.content.format(value=up(line['error']))})"
        )
    if line["frozen"] > LOST * told.tuner.replicas:
        yield (
            f"{line['frozen']} of {told.tuner.replicas} chains of networks were lost to numbers without bound: look for"
            f" wild values in the columns, or learn the logarithm of the target ({ways.log})"
        )


def _only_drifts(told: Told) -> bool:
    """Whether burn-in was over, and nothing but a drift that may be chance speaks against the averages."""
    course, line = told.course, told.course.latest(SAMPLING)
    return course.burned and not course.path and DRIFT / 10 < line["p"] < DRIFT and line["ratio"] <= 2 * rules.RATIO


def _changes(told: Told) -> bool:
    """Whether what is seen of the networks moves, or remembers its start."""
    course, line = told.course, told.course.latest(SAMPLING)
    failed = set(course.latest(BURN_IN).get("failed", ())) if not course.burned else set()
    return bool(failed) or not course.burned or line["p"] < DRIFT or line["ratio"] > 2 * rules.RATIO


def _known(told: Told) -> bool:
    """Whether `_unsettled` or `_uncertain` says why."""
    line, tuner = told.course.latest(SAMPLING), told.tuner
    fell = bool(told.course.path and line.get("failed"))
    short = line["error"] > tuner.tolerance or line["frozen"] > LOST * tuner.replicas
    return short or fell or _changes(told) or noise_of(told.course) > NOISY


def _longer(seconds: float, factor: float, way: str) -> str:
    """What to give for so many times the work, and by which `way`."""
    minutes = 1 if math.isnan(seconds) else max(1, math.ceil(seconds * factor / 60))
    if minutes > MOST_MINUTES:
        return "it would take more than an hour"
    return f"give it more time ({way.format(minutes=minutes, seconds=60 * minutes)})"
