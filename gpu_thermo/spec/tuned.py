"""What a spec may say beside run.tolerance: whatever tunes itself is free, and everything else is fixed."""

from typing import Any

from ..method.named import HYPERPARAMETERS, get_method
from .method import AUTO, MethodSpec

FEWEST = 32
"""Replicas that a run with a tolerance needs: errors come from the spread over them."""


def check_tuned(tolerance: float | None, replicas: int, method: MethodSpec, moves: list[Any], keep: list[Any]) -> None:
    """ValueError where [method] or [[moves]] do not go with the tolerance, or with none."""
    if tolerance is None:
        _check_given(method, moves)
        return
    if replicas < FEWEST:
        raise ValueError(
            f"run.replicas = {replicas} with run.tolerance: errors come from the spread over replicas, and need"
            f" {FEWEST} of them at least; 128 or more are better"
        )
    _check_method(method)
    _check_moves(moves)
    if "momenta" in keep:
        raise ValueError('run.keep names "momenta", which a run with run.tolerance does not keep: leave them out')
    if method.block is not None:
        raise ValueError(
            f"method.block = {method.block} is what run.tolerance finds itself: leave it out, or give run.steps"
        )
    _check_numbers(method)


def _check_given(method: MethodSpec, moves: list[Any]) -> None:
    """ValueError where a run with run.steps leaves something to be found."""
    if any(move.finds_rungs for move in moves):
        raise ValueError(
            "moves.hottest without rungs leaves the rungs to a run that tunes itself: give rungs too, or"
            " run.tolerance in place of run.steps"
        )
    for name in ("stepsize", "friction", "mass"):
        if getattr(method, name) == AUTO:
            raise ValueError(
                f'{name} = "auto" needs run.tolerance, as only a run that tunes itself finds one: give'
                f" run.tolerance = 0.05, or {'numbers' if name == 'mass' else 'a number'} for {name}"
            )


def _check_method(method: MethodSpec) -> None:
    """ValueError unless it samples the law of its temperature."""
    if get_method(method.name).update not in (None, "sgld"):
        raise ValueError(
            f"method '{method.name}' is a whole-step update that descends, or whose law is not that of its temperature:"
            " run.tolerance tunes samplers, so use a splitting word, such as method langevin, or sgld; or give"
            " run.steps in place of run.tolerance"
        )


def _check_numbers(method: MethodSpec) -> None:
    """ValueError unless hyperparameters that are given are one number each."""
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


def check_batch(batch: Any, tolerance: float | None, moves: list[Any], path: str | None) -> None:
    """ValueError where nobody would choose the size of minibatches, or nobody could use them."""
    if batch != AUTO:
        return
    if tolerance is None:
        raise ValueError(
            'run.batch = "auto" needs run.tolerance, as only a run that tunes itself measures what minibatches do: give'
            " run.tolerance = 0.05, or a number"
        )
    if moves:
        raise ValueError(
            'run.batch = "auto" does not go with moves, which swap by the energy of all points: leave batch out, which'
            " takes all, or give a number"
        )
    if path == "falling":
        raise ValueError(
            'run.batch = "auto" and run.path = "falling", which asks nobody how many points will do: give a number, or'
            " leave batch out, which takes all"
        )


_WHY_NOT = {
    "cyclical": "its stepsize goes up and down for ever, so that no law is sampled at rest, and nothing tells when a"
    " cycle has forgotten the last",
    "contour": "its weights change the law while they are learned, and weighted draws have other errors than the spread"
    " of plain means",
    "tempering": "its weights change the law while they are learned, and a replica is on the target by chance only",
}
"""Moves that run.tolerance does not take."""
_FOUND = {"stepsize": None, "friction": None, "sigma": None, "epsilon": None, "interval": 100, "window": 1,
          "energy_batch": None, "reference": None, "acceptance_factor": 1.0, "temper": "temperature"}  # fmt: skip
"""Keys of an exchange that a run with a tolerance finds itself or goes without, with their defaults."""


def _check_moves(moves: list[Any]) -> None:
    """ValueError unless there are none, or one exchange whose rungs are given or left to the run."""
    for move in moves:
        if move.kind != "exchange":
            raise ValueError(
                f"run.tolerance does not go with moves of kind {move.kind}: {_WHY_NOT[move.kind]}. Use kind ="
                ' "exchange" with hottest = .., whose ladder the run finds, or give run.steps in place of run.tolerance'
            )
        for name, default in _FOUND.items():
            given = getattr(move, name)
            if given != default:
                raise ValueError(
                    f"moves.{name} = {given!r} does not go with run.tolerance, which lets neighbours swap at the ends"
                    " of blocks, by the energy of all points, in a stepsize it finds: leave it out, or give run.steps"
                )
