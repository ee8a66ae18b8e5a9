"""By what rules a run tunes itself: its Tuner, by its spec and what it is about, and whether its words go in braces."""

import numpy as np

from ..engines.base import why_no_work
from ..errors import SpecError
from ..method.words import Program, compile_program, parse_word
from ..spec.method import AUTO
from ..tuning.tuner import Tuner
from .rungs import ladder_rules
from .subject import Setup

_TURNED = str.maketrans("{}", "}{")


def in_braces(ready: Setup) -> Program | None:
    """The run's program with its words in braces; None where that is not exact: words that do not read the same
    backwards, thermostats, minibatches, noisy gradients, several temperatures.
    """
    job, partition = ready.job, ready.program.partition
    if job.program.braces is not None:
        return job.program
    tau = job.hyper.temperature[0][[text is not None for text in job.program.texts]]
    if why_no_work(job.program, job.target, job.batching, job.contour) or not (tau > 0).all() or np.ptp(tau):
        return None
    texts = zip(partition.names, job.program.texts, strict=True)
    try:
        words = {name: None if text is None else parse_word("{" + text + "}") for name, text in texts}
        return compile_program(words, partition)
    except SpecError:
        return None


def make_tuner(ready: Setup, braces: bool) -> Tuner:
    """The rules of a run from its spec and what it is about."""
    job, run, method = ready.job, ready.spec.run, ready.spec.method
    partition, tau = job.program.partition, job.hyper.temperature[0]
    free = tuple(k for k, text in enumerate(job.program.texts) if text is not None)
    words = [text for text in job.program.texts if text]
    outputs, settled = ready.subject.watched
    return Tuner(
        tolerance=float(run.tolerance or 0.0), max_steps=int(run.max_steps or run.steps),
        parameters=tuple(partition.counts[k] if k in free else 0 for k in range(len(tau))),
        temperature=tuple(float(t) for t in np.nan_to_num(tau)), replicas=ready.job.replicas, outputs=outputs,
        settled=settled, braces=braces, isokinetic=any(job.program.has_fixed_length(k) for k in free),
        first_order=any(word != word[::-1].translate(_TURNED) for word in words), proper=ready.subject.proper,
        stepsize=None if method.stepsize in (None, AUTO) else float(job.hyper.stepsize[0]),
        friction=_given_friction(ready), overdamped=job.program.update is not None, masses=method.mass == AUTO,
        seed=int(run.seed if run.seed_dynamics is None else run.seed_dynamics),
        thermostat=any(set(word) & set("CDEF") for word in words), superchain=run.superchain or 0,
        batches=run.batch == AUTO, **ladder_rules(ready),
    )  # fmt: skip


def _given_friction(ready: Setup) -> tuple[float | None, ...] | None:
    """gamma of each partition that the spec names and None of others; None where it names none."""
    given, partition = ready.spec.method.friction, ready.program.partition
    if given is None or given == AUTO:
        return None
    named = {k for place in given for k in partition.resolve(place)}
    values = np.nan_to_num(ready.job.hyper.friction[0], posinf=np.inf)
    return tuple(float(v) if k in named else None for k, v in enumerate(values))
