"""The user's hyperparameters, or a method's defaults, spread over replicas and partitions.

Here, and only here, temperatures are converted: tau = T / N, tau = sigma^2 / 2 for SGLD.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import SpecError
from ..method.named import Method
from ..method.partition import Partition
from ..method.schedules import Cooling, Every, Schedule
from ..method.words import Program
from ..spec.method import AUTO, MethodSpec
from ..spec.values import Scheduled
from ..state import PARTITIONED, Hyper


def resolve_hyper(
    spec: MethodSpec, method: Method, program: Program, replicas: int, points: int, total: int,
    streams: np.ndarray | None = None,
) -> Hyper:  # fmt: skip
    """Spread the user's values, or the method's defaults, over replicas and partitions; a replica of `streams` [R] has
    what it has in a run of all.

    Raises
    ------
    SpecError
        A hyperparameter that no word uses, a partition named whose word does not use it, an array of the wrong length.
    """
    given, among = _given(spec, method, points), replicas if streams is None else streams
    schedules: dict[tuple[str, int], Schedule] = {}
    stepsize = spec.stepsize if isinstance(spec.stepsize, Scheduled) else Scheduled(value=method.defaults["stepsize"])
    values = {"stepsize": _spread("stepsize", stepsize, among)}
    if stepsize.schedule is not None:
        schedules["stepsize", 0] = stepsize.schedule
    for name in PARTITIONED:
        table = np.full((replicas, len(program.partition.names)), np.nan)
        written = "posterior_temperature" if name == "temperature" and spec.posterior_temperature is not None else name
        for k, scheduled in _by_partition(name, given.get(name), method, program, written).items():
            table[:, k] = _spread(written, scheduled, among)
            if scheduled.schedule is not None:
                schedules[name, k] = scheduled.schedule
        values[name] = table
    if method.update == "coolmomentum":
        schedules |= _cooling(spec, values["momentum"])
    schedules |= {("every", k): Every(period=m) for k, m in enumerate(program.paces) if m > 1}
    for k, m in enumerate(program.paces):
        if m > 1 and np.isinf(values["friction"][:, k]).any():
            raise SpecError(
                f"friction of {program.partition.names[k]} is inf, which forgets the momentum in the shortest step, and"
                " method.every lets that partition rest: give a number."
            )
    block = np.full(replicas, spec.block or 1, np.int64)
    return Hyper(**values, schedules=schedules, total=total, block=block)


def check_positive(program: Program, hyper: Hyper) -> None:
    """SpecError where a hyperparameter in force is or becomes 0 and a letter cannot do without it: K divides by the
    temperature. Moves have had their say by then.
    """
    for k, partition in enumerate(program.partition.names):
        for record in program.operations(k):
            for name in record.positive:
                base, at = getattr(hyper, name)[:, k], f"{name} of {partition}"
                if not (base > 0).all():
                    raise SpecError(
                        f"{at} = {base[~(base > 0)][0]:g}: {record.symbol} divides by it. Give a {name} above 0, or use"
                        " a word of A, B and O, such as BAOAB, which takes 0."
                    )
                zero = first_zero(hyper, name, k)
                if zero is not None:
                    raise SpecError(
                        f"{at} has fallen to 0 at step {zero:,}, and {record.symbol} divides by it: let its schedule"
                        " end, and its cycles explore, above 0."
                    )


_AT_ONCE = 2**20


def first_zero(hyper: Hyper, name: str, k: int) -> int | None:
    """First step at which the schedule of a hyperparameter is 0, or has underflowed."""
    schedule = hyper.schedules.get((name, k))
    if schedule is None:
        return None
    for start in range(0, hyper.total, _AT_ONCE):
        factor = schedule.tabulate(start, min(_AT_ONCE, hyper.total - start), hyper.total)
        if not (factor > 0).all():
            return start + int(np.argmin(factor > 0))
    return None


def _given(spec: MethodSpec, method: Method, points: int) -> dict[str, Mapping[str, Scheduled]]:
    """What the user gave, in tau: T / N for posterior_temperature, sigma^2 / 2 for SGLD's sigma."""
    given = {name: getattr(spec, name) for name in PARTITIONED if getattr(spec, name) not in (None, AUTO)}
    if spec.posterior_temperature is not None:
        given["temperature"] = {place: _map(s, lambda t: t / points) for place, s in spec.posterior_temperature.items()}
    if method.name == "sgld" and spec.sigma is not None:
        if "temperature" in given:
            raise SpecError("method 'sgld' takes temperature or sigma (temperature = sigma^2 / 2), not both.")
        given["temperature"] = {place: _map(s, lambda sigma: sigma**2 / 2) for place, s in given.pop("sigma").items()}
        if any(s.schedule is not None for s in given["temperature"].values()):
            raise SpecError(
                "A schedule on sgld's sigma would act on temperature = sigma^2 / 2: schedule the temperature instead."
            )
    return given


def _map(scheduled: Scheduled, f: Any) -> Scheduled:
    value = [f(v) for v in scheduled.value] if isinstance(scheduled.value, list) else f(scheduled.value)
    return Scheduled(value=value, schedule=scheduled.schedule)


def _uses(program: Program, name: str, k: int) -> bool:
    return program.has_thermostat(k) if name == "thermostat" else name in program.reads(k)


def _by_partition(
    name: str, given: Mapping[str, Scheduled] | None, method: Method, program: Program, written: str
) -> dict[int, Scheduled]:
    """Scheduled value of each partition that uses `name`: the method's default, then the user's general value, then the
    specific ones.

    `written` is the name the user knows it by.
    """
    partition = program.partition
    users = [k for k in range(len(partition.names)) if _uses(program, name, k)]
    out = {k: s for k, s in _defaults(name, method, partition).items() if k in users}
    for place, scheduled in sorted((given or {}).items(), key=lambda item: -len(partition.resolve(item[0]))):
        hit = [k for k in partition.resolve(place) if k in users]
        if not hit:
            raise SpecError(_unused(name, written, place, program))
        out |= dict.fromkeys(hit, scheduled)
    for k in users:
        if k not in out:
            raise SpecError(
                f"Method '{method.name}' needs {name} for partition {partition.names[k]}: give it in [method]."
            )
    return out


def _defaults(name: str, method: Method, partition: Partition) -> dict[int, Scheduled]:
    default = method.defaults.get(name)
    if default is None:
        return {}
    by_name = default if isinstance(default, Mapping) else {"all": default}
    return {k: Scheduled(value=v) for place, v in by_name.items() for k in partition.resolve(place)}


def _unused(name: str, written: str, place: str, program: Program) -> str:
    texts = dict(zip(program.partition.names, program.texts, strict=True))
    if place == "all":
        listed = ", ".join(f"{text or 'frozen'} ({k})" for k, text in texts.items())
        return f"method.{written} is not used by {listed}: leave it out."
    used = [n for k, n in enumerate(texts) if _uses(program, name, k)]
    hint = f" It is used by: {', '.join(used)}." if used else " Leave it out."
    return f"method.{written}.{place} is not used: the word there is {texts.get(place) or 'frozen or split'}.{hint}"


def _spread(name: str, scheduled: Scheduled, replicas: np.ndarray | int) -> np.ndarray:
    """[R] a number, or a list over replicas, a shorter one again and again; `replicas` is how many, or their streams,
    each of which takes what it has in a run of all.
    """
    streams = np.arange(replicas) if isinstance(replicas, int) else replicas.astype(np.int64)
    values = np.asarray(scheduled.value, np.float64).reshape(-1)
    if isinstance(replicas, int) and len(values) > replicas:
        raise SpecError(
            f"method.{name} is a list of {len(values)} values for {replicas} replicas: give one number, one for each"
            " replica, or fewer, which are then taken again and again."
        )
    return values[streams % len(values)].copy()


def _cooling(spec: MethodSpec, rho: np.ndarray) -> dict[tuple[str, int], Schedule]:
    used = rho[:, ~np.isnan(rho).all(axis=0)]
    if (used != used[0, 0]).any() or not 0 < used[0, 0] < 1:
        found = ", ".join(f"{v:g}" for v in np.unique(used)[:5])
        raise SpecError(f"coolmomentum needs one momentum rho_0 between 0 and 1 for all replicas, not {found}.")
    law = Cooling(law=spec.cooling or "published", rho=float(used[0, 0]))
    return {("momentum", k): law for k in range(rho.shape[1]) if not np.isnan(rho[:, k]).all()}
