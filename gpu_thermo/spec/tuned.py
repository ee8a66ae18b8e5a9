"""What a spec may say beside run.tolerance: whatever tunes itself is free, and everything else is fixed."""

from typing import Any

from ..method.named import HYPERPARAMETERS, get_method
from .method import AUTO, MethodSpec

FEWEST = 32
"""Replicas that a run with a tolerance needs: errors come from the spread over them."""


def check_tuned(tolerance: float | None, replicas: int, method: MethodSpec, moves: list[str], keep: list[Any]) -> None:
    """ValueError where [method] or [[moves]] do not go with the tolerance, or with none."""
    if tolerance is None:
        for name in ("stepsize", "friction", "mass"):
            if getattr(method, name) == AUTO:
                raise ValueError(
                    f'{name} = "auto" needs run.tolerance, as only a run that tunes itself finds one: give'
                    f" run.tolerance = 0.05, or {'numbers' if name == 'mass' else 'a number'} for {name}"
                )
        return
    if replicas < FEWEST:
        raise ValueError(
            f"run.replicas = {replicas} with run.tolerance: errors come from the spread over replicas, and need"
            f" {FEWEST} of them at least; 128 or more are better"
        )
    if get_method(method.name).update not in (None, "sgld"):
        raise ValueError(
            f"method '{method.name}' is a whole-step update that descends, or whose law is not that of its temperature:"
            " run.tolerance tunes samplers, so use a splitting word, such as method langevin, or sgld; or give"
            " run.steps in place of run.tolerance"
        )
    if moves:
        raise ValueError(f"run.tolerance goes without moves, and there is '{moves[0]}': give run.steps in its place")
    if "momenta" in keep:
        raise ValueError('run.keep names "momenta", which a run with run.tolerance does not keep: leave them out')
    if method.block is not None:
        raise ValueError(
            f"method.block = {method.block} is what run.tolerance finds itself: leave it out, or give run.steps"
        )
    for name in HYPERPARAMETERS:
        given = getattr(method, name)
        if given is None or given == AUTO:
            continue
        for place, value in ({"": given} if name == "stepsize" else given).items():
            at = f"method.{name}" + (f".{place}" if place not in ("", "all") else "")
            if value.schedule is not None:
                raise ValueError(f"{at} has a schedule, and run.tolerance samples one law: give a number")
            if isinstance(value.value, list) and len(set(value.value)) > 1:
                raise ValueError(
                    f"{at} is a list, and run.tolerance tunes one ensemble of replicas alike: give one number, or"
                    " compare numbers in a study"
                )
