"""The order of the checks, and how long each samples."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

from ..engines import Engine, Job, resolve_device
from ..errors import CompileError, GpuThermoError, SpecError
from ..kernels.toolchain import find_compiler
from . import ensembles, posterior, references, sameness, wells
from .report import Check, Report
from .sampling import SEED, Place, Plan

OnCheck = Callable[[Check], None]
Step = Callable[[], list[Check]]

QUICK = {
    "well": Plan(512, 60, 30, 2), "silent": Plan(512, 60, 40, 2), "sgld": Plan(512, 40, 30, 1),
    "minibatch": Plan(512, 60, 60, 2),
    "adaptive": Plan(256, 200, 40, 15), "posterior": Plan(512, 60, 40, 3), "ladder": Plan(400, 120, 60, 2),
    "nuts": Plan(128, 1000, 30, 50),
}  # fmt: skip
FULL = {
    "well": Plan(2048, 100, 100, 2), "silent": Plan(2048, 100, 150, 2), "sgld": Plan(2048, 60, 100, 1),
    "minibatch": Plan(2048, 100, 200, 2), "adaptive": Plan(512, 400, 150, 15), "posterior": Plan(2048, 100, 150, 3),
    "ladder": Plan(2000, 400, 300, 2), "nuts": Plan(256, 1000, 60, 50),
}  # fmt: skip
QUICK_WORDS = ("BAOAB", "OBA", "BAEFEAB")
NETWORKS = ("2_4_4_1", "1_6_6_heteroscedastic")
"""Of the references: one that is deep, and one that is deep with a noise of its own at every input."""
FULL_WORDS = ("BAOAB", "ABOBA", "OBABO", "OABAO", "OBA", "BAOA", "UBU", *wells.FIXED_XI)


def available_engines(device: str, engine: str = "all") -> tuple[list[str], list[str]]:
    """Engines that can be checked on `device`, and sentences on those that cannot.

    Raises
    ------
    SpecError
        If `engine` is no engine, or the one asked for is not there.
    """
    names = ("batched", "fused")
    if engine not in ("all", *names):
        raise SpecError(f"engine = {engine!r} is unknown. Engines to verify: all, batched, fused.")
    if device != "cpu" or _has_compiler():
        return [name for name in names if engine in ("all", name)], []
    if engine == "fused":
        raise SpecError(
            "engine = 'fused' needs a C++ compiler on the CPU, and none was found. Install g++ or clang++, or set CXX."
        )
    return ["batched"], ["The fused engine: no C++ compiler was found."]


def _has_compiler() -> bool:
    try:
        return find_compiler() is not None
    except CompileError:
        return False


def verify(
    device: str = "auto", engine: str = "all", *, full: bool = False, threads: int | None = None, seed: int = SEED,
    on_check: OnCheck | None = None,
) -> Report:  # fmt: skip
    """Check every engine on this device against exact laws, known answers and itself.

    Parameters
    ----------
    device : auto, cpu, cuda or cuda:i. engine : all, batched or fused. full : every word on every target, 16 times the
    samples.
    threads : CPU threads. seed : of the replicas; the default makes a report the same every time. on_check : called
    with each Check.

    Returns
    -------
    Report
        A check that raises an error of this package counts as failed, with the message as its `what`.

    Raises
    ------
    SpecError, DeviceError
        The device or engine asked for is unknown or not there.
    """
    began = time.perf_counter()
    device = resolve_device(device)
    engines, skipped = available_engines(device, engine)
    if device == "cpu":
        skipped.append("GPUs: this report is of the CPU.")
    places = [Place(name, device, threads, seed) for name in engines]
    if "fused" in engines and device == "cpu":
        _compile_ahead(places[engines.index("fused")], full)
    checks: list[Check] = []
    for name, step in steps(places, device, full):
        for check in _run(name, step):
            checks.append(check)
            if on_check:
                on_check(check)
    return Report(device, "full" if full else "quick", tuple(checks), tuple(skipped), time.perf_counter() - began)


def steps(places: list[Place], device: str, full: bool) -> Iterator[tuple[tuple[str, str, str], Step]]:
    """((group, name, engine), what to run), in order."""
    plans = FULL if full else QUICK
    yield ("table", "of equations.md section 10", "-"), lambda: [wells.printed_table()]
    yield ("Philox", "known answers", "-"), partial(sameness.known_answers, device, _has_compiler())
    for place in places:
        for name in list(sameness.JOBS)[: None if full else 2]:
            yield ("rounding", name, place.engine), partial(sameness.agreement, place, name)
        for check in (sameness.pieces, sameness.resumed):
            yield ("bitwise", check.__name__, place.engine), partial(check, place, "adlala, spirals")
        yield ("moves", "contour", place.engine), partial(ensembles.contour, place)
        yield from _laws(place, plans, full)


def _laws(place: Place, plans: dict[str, Plan], full: bool) -> Iterator[tuple[tuple[str, str, str], Step]]:
    """The statistical checks of one engine."""
    engine = place.engine
    if engine == "batched":
        for word in FULL_WORDS if full else QUICK_WORDS:
            yield ("well", word, engine), partial(wells.harmonic, place, word, plans["well"])
        for word in ("BAOAB", "OBABO", "ABOBA")[: None if full else 1]:
            yield ("noisy well", word, engine), partial(wells.harmonic, place, word, plans["well"], 0.8)
        for kind in ("exchange", "tempering"):
            yield ("moves", kind, engine), partial(ensembles.ladder, place, kind, plans["ladder"])
    for words in wells.PROGRAMS:
        yield (
            ("network", ", ".join(dict.fromkeys(words.values())), engine),
            partial(wells.silent, place, words, plans["silent"]),
        )
    yield ("network", "sgld", engine), partial(wells.sgld, place, plans["sgld"])
    for mode in ("subset", "replacement")[: None if full else 1]:
        yield ("minibatch", mode, engine), partial(wells.minibatch, place, mode, plans["minibatch"])
    for word in wells.FIXED_XI[: None if full else 1]:
        yield ("thermostat", word, engine), partial(wells.adaptive, place, word, plans["adaptive"])
    yield ("posterior", "closed form", engine), partial(posterior.closed_form, place, plans["posterior"])
    for name in NETWORKS if full or engine == "fused" else ():  # array code takes ten times as long
        yield ("posterior", name, engine), partial(references.against_nuts, place, name, plans["nuts"])


def _run(name: tuple[str, str, str], step: Step) -> list[Check]:
    """The checks of one step with their time; an expected error is one failed check."""
    begin = time.perf_counter()
    try:
        checks = step()
    except GpuThermoError as error:
        checks = [Check(*name, "difference", float("nan"), 0.0, 1, str(error))]
    seconds = (time.perf_counter() - begin) / len(checks)
    return [Check(**{**vars(check), "seconds": seconds}) for check in checks]


class _Compiled(Exception):
    """Thrown instead of sampling."""


class _Ahead(Place):
    """A place that compiles an engine and goes no further."""

    def make(self, job: Job) -> Engine:
        """Compile, and stop."""
        super().make(job)
        raise _Compiled


def _compile_ahead(place: Place, full: bool) -> None:
    """Compile the kernels of all checks side by side: most of a first run's time would be the compiler's, one kernel
    after another.
    """
    ahead = _Ahead(place.engine, place.device, place.threads, place.seed)
    sampling = [step for (_, name, _), step in steps([ahead], place.device, full) if name != sameness.resumed.__name__]
    with ThreadPoolExecutor() as pool:
        for _ in pool.map(_quietly, sampling):
            pass


def _quietly(step: Step) -> None:
    """Errors are the checks' own to report."""
    with suppress(_Compiled, GpuThermoError):
        step()
