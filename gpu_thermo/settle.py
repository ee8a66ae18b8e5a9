"""An evidence on a ladder that is long enough: rungs are added where the integral asks for them, and all runs again.

Each round is a run of its own from its first step, on the data of the one before; the last one stays.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import xarray

from .averages.evidence import Evidence, evidence
from .errors import SpecError
from .run import restore_setup, sample, start
from .running.drive import Limits, OnProgress
from .running.given import SpecLike
from .spec.run import RunSpec
from .store import open_run
from .store.files import as_path

MOST_RUNGS, ROUNDS = 256, 6
Said = Callable[[str], None]


def sample_evidence(
    spec: SpecLike, store: str | Path, *, most_rungs: int = MOST_RUNGS, network: Any = None,
    on_progress: OnProgress | None = None, on_round: Said | None = None, **more: Any,
) -> tuple[xarray.DataTree, list[Evidence]]:  # fmt: skip
    """Sample a ladder of powers of the likelihood, add rungs until the evidence does not ask for more, and give both.

    Parameters
    ----------
    spec : of a run with [[moves]] kind = "exchange", temper = "likelihood". store : where the last round stays.
    most_rungs : of a ladder. on_round : told what each round came to. Others are those of `sample`.

    Raises
    ------
    SpecError
        There is no such ladder, or replicas of one ladder cannot be multiplied.
    """
    told = on_round or logging.getLogger("gpu_thermo").info
    tree = sample(spec, store, on_progress=on_progress, network=network, **more)
    passed = {key: more[key] for key in ("device", "engine", "threads") if key in more}
    return extend(tree, store, as_path(store), most_rungs, network, on_progress, told, **passed)


def extend(
    tree: xarray.DataTree, store: str | Path, out: Path, most_rungs: int = MOST_RUNGS, network: Any = None,
    on_progress: OnProgress | None = None, on_round: Said | None = None, overwrite: bool = False, **passed: Any,
) -> tuple[xarray.DataTree, list[Evidence]]:  # fmt: skip
    """Make a run again with more rungs, into `out`, until its evidence does not ask for more."""
    path = as_path(store)
    for _ in range(ROUNDS):
        found = evidence(tree, network)
        if on_round:
            on_round(_told(found))
        wanted = sorted({t for one in found for t in one.temperatures})
        if not wanted or len(wanted) > most_rungs:
            break
        ready = restore_setup(path, with_temperatures(RunSpec.from_json(tree.attrs["spec"]), wanted), network=network)
        tree.close()
        limits = Limits(on_progress)
        start(ready, out, limits, overwrite=overwrite or out == path, **passed).close()
        path, tree = out, open_run(out)
    return tree, found


def with_temperatures(spec: RunSpec, temperatures: list[float]) -> RunSpec:
    """The spec with another ladder and as many ladders as before.

    Raises
    ------
    SpecError
        Rungs have stepsizes or the like of their own, replicas have lists, or ladders have starts of their own.
    """
    tree = spec.to_dict()
    (place,) = [i for i, move in enumerate(spec.moves) if getattr(move, "of_powers", False)]
    move = tree["moves"][place]
    own = [name for name in ("stepsize", "friction", "sigma", "epsilon") if move.get(name) is not None]
    lists = [name for name, value in tree["method"].items() if _has_list(value)]
    if own or lists or spec.run.streams is not None:
        what = f"moves.{own[0]}" if own else f"method.{lists[0]}" if lists else "run.streams"
        raise SpecError(
            f"{what} names rungs or replicas one by one, and a ladder with more rungs has others: give one value for"
            " all, or temperatures of your own (gpu-thermo evidence says which)."
        )
    ladders = spec.run.replicas // spec.moves[place].count
    kept = {key: value for key, value in move.items() if key not in ("rungs", "hottest")}
    tree["moves"][place] = {**kept, "temperatures": temperatures}
    tree["run"]["replicas"] = ladders * len(temperatures)
    return RunSpec.from_dict(tree)


def _has_list(value: Any) -> bool:
    if isinstance(value, dict):
        return "schedule" not in value and any(_has_list(v) for v in value.values())
    return isinstance(value, list) and any(isinstance(v, int | float) for v in value)


def _told(found: list[Evidence]) -> str:
    each = "; ".join(
        f"{one.label + ': ' if one.label else ''}{one.log_evidence:.3f} +- {one.error:.3f}, half the rungs"
        f" {one.halved:.3f}" for one in found
    )  # fmt: skip
    return f"{len(found[0].powers) - 1} rungs: {each}"
