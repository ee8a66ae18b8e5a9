"""What a run came to, as one dictionary: where it stands, what it scores, what froze, and how large it is."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .fitted import is_fit, verdict_of
from .tuning import chosen_batch, replaced

if TYPE_CHECKING:
    import xarray

    from gpu_thermo.spec.run import RunSpec
    from gpu_thermo.store import RunInfo
    from gpu_thermo.tuning.told import Told


def summarise(path: Path, tree: "xarray.DataTree | None" = None) -> dict[str, Any]:
    """Where a run stands, what it scores, what froze, and how large it is."""
    from gpu_thermo.averages.claims import check_header, told_of
    from gpu_thermo.averages.ensembles import counted_in
    from gpu_thermo.averages.trees import opened
    from gpu_thermo.engines.builds import read_history
    from gpu_thermo.running.agenda import Agenda
    from gpu_thermo.spec.reports import read_reports
    from gpu_thermo.store import read_header

    header = read_header(path)
    history = read_history(header.attributes)
    spec = check_header(header)
    tree = opened(path) if tree is None else opened(tree)
    total = planned_steps(header, spec)
    stats = tree["sample_stats"].to_dataset()
    told = told_of(header.attributes)
    draws = Agenda.of(spec.model_copy(update={"run": spec.run.model_copy(update={"steps": total})})).draws
    if spec.run.tolerance is not None:
        draws = header.draws
    ended = header.step >= total if spec.run.tolerance is None else told is not None and bool(told.course.ended)
    return {
        "store": str(path), "complete": ended, "step": header.step, "total_steps": total,
        "counted": counted_in(tree),
        "draws": header.draws, "total_draws": draws, "replicas": header.replicas, "parameters": header.parameters,
        "ensembles": int(tree.sizes.get("ensemble", 0) or len(set(stats["ensemble"].values.tolist()))),
        "data": spec.data.name if spec.target is None else None, "target": spec.target.name if spec.target else None,
        "label": spec.data.label if spec.target is None else spec.target.name, "method": spec.method.name,
        "moves": [report.to_dict() for report in read_reports(header.attributes.get("moves"))],
        "kept": list(header.keep),
        "engine": engines(history, str(header.attributes.get("engine", header.engine))),
        "device": engines(history, header.device, "device"),
        "shares": header.attributes.get("shares", []),
        "seconds": header.attributes.get("sampling_time"), "bytes": stored_bytes(path),
        "frozen": frozen(every_replica(tree)), "columns": columns_of(tree, spec), "scores": scores(tree),
        "work": of_work(stats, told),
        "assumptions": assumed(tree), "verdict": None if told is None else told.verdict.to_dict(),
        "said": verdict_of(tree, path) if is_fit(tree) else [],
        "phase": None if told is None else told.course.phase, "weighted": "weight" in stats.coords,
        "minibatches": None if told is None else chosen_batch(told.course.log),
        "replaced": None if told is None else replaced(told.course),
    }  # fmt: skip


def engines(history: list[dict[str, Any]], otherwise: str, fact: str = "engine") -> str:
    """The engine (or device) that sampled, or each in its turn."""
    named = [str(one["build"].get(fact, "?")) for one in history] or [otherwise]
    return ", then ".join(name for i, name in enumerate(named) if not i or name != named[i - 1])


def of_work(stats: "xarray.Dataset", told: "Told | None") -> dict[str, float] | None:
    """Mean acceptance of steps or proposals over draws and replicas, and their shadow work; None where not counted.
    How many steps a proposal has is of each replica, or what a run that tunes itself has `told`.
    """
    import warnings

    import numpy as np

    if "acceptance" not in stats or not stats.sizes["draw"]:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # nothing but NaN: all frozen, or several temperatures
        mean = {name: float(np.nanmean(stats[name])) for name in ("acceptance", "shadow_work", "shadow_work_variance")}
    if told is not None and told.tuner.braces:
        return mean | {"block": told.course.lengths.block}
    return mean | ({"block": int(stats["block"].max())} if "block" in stats.coords else {})


def columns_of(tree: "xarray.DataTree", spec: "RunSpec") -> list[str]:
    """What became of the columns of the run's table, where they are not simply numbers."""
    from gpu_thermo.averages.predictive import data_names

    recipe = None if spec.target is not None else data_names(tree).get("recipe")
    return [] if recipe is None else recipe.lines


def assumed(tree: "xarray.DataTree") -> list[str]:
    """What the run takes for granted, in words; of stores that do not say it, from what they hold."""
    from gpu_thermo.averages.predictive import choices_of, restored_data
    from gpu_thermo.running.model import assumptions

    if "assumptions" in tree.attrs:
        return [str(text) for text in json.loads(tree.attrs["assumptions"])]
    return assumptions(choices_of(tree), restored_data(tree)) if "data" in tree.attrs else []


def planned_steps(header: "RunInfo", spec: "RunSpec") -> int:
    """Steps the run goes to, as last extended."""
    return int(header.attributes.get("steps", spec.run.steps))


def every_replica(tree: "xarray.DataTree") -> "xarray.Dataset":
    """Statistics with every replica as a chain, also of a ladder, of which one chain is its target rung."""
    apart = "sample_stats_rungs"
    return (
        tree[apart].to_dataset().rename(replica="chain")
        if apart in tree.children
        else tree["sample_stats"].to_dataset()
    )


def frozen(stats: "xarray.Dataset") -> list[dict[str, Any]]:
    """One entry a cause: how many replicas, which first ones, from which step on, and what to change."""
    import numpy as np

    from gpu_thermo.averages.ensembles import chain_status
    from gpu_thermo.errors import Status

    status, step = chain_status(stats)
    out = []
    for code in np.unique(status[status != 0]):
        (who,) = np.nonzero(status == code)
        cause, steps = Status(int(code)), step[who]
        when = {"first_step": int(steps.min()), "last_step": int(steps.max())}
        out.append(
            {
                "cause": cause.name.lower(),
                "replicas": len(who),
                "first_replicas": who[:10].tolist(),
                **when,
                "remedy": cause.remedy,
            }
        )
    return out


def scores(tree: "xarray.DataTree") -> dict[str, Any]:
    """Test scores `averaged` over an ensemble's draws and replicas, and of a `single` network (mean at the last draw,
    of `networks` that have one, finished of attempted). Averages are taken within an ensemble: where there are several,
    each has its own in `ensembles`, with the label that says in what it differs. `calibration` is what `held_out` says
    of each.
    """
    from gpu_thermo.averages.ensembles import ensemble_labels
    from gpu_thermo.averages.held_out import held_out
    from gpu_thermo.averages.predictive import scores_on_test

    if "data" not in tree.attrs:
        return {}  # of a potential: nothing is predicted
    averaged, stats = scores_on_test(tree), tree["sample_stats"].to_dataset()
    labels, single, calibrated = ensemble_labels(stats), _single(tree, stats), held_out(tree)
    each = [
        {"ensemble": e, "label": labels[e], "averaged": averaged.get(e, {}), **single.get(e, {"single": {}}),
         "calibration": calibrated.get(e, {})}
        for e in labels
    ]  # fmt: skip
    return each[0] if len(each) == 1 else {"averaged": {}, "single": {}, "ensembles": each}


def _single(tree: "xarray.DataTree", stats: "xarray.Dataset") -> dict[int, dict[str, Any]]:
    """Mean score of the networks of each ensemble at their last draw; nothing where units differ, or no single draw
    stands for the density.
    """
    import numpy as np

    from gpu_thermo.targets.likelihoods import SCORES

    if "target_sd" in tree["constant_data"] or ("log_weight" in stats and "rung" not in stats):
        return {}
    of_chain, last = stats["ensemble"].to_numpy(), stats.isel(draw=slice(-1, None))
    counted = last["rung"].transpose("chain", "draw").to_numpy() == 0 if "rung" in last else None
    named = [name for name in (*SCORES, "nll") if f"test_{name}" in last]
    values = {name: last[f"test_{name}"].transpose("chain", "draw").to_numpy() for name in named}
    out = {}
    for e in np.unique(of_chain).tolist():
        mine = {name: v[of_chain == e] for name, v in values.items()}
        if counted is not None:
            mine = {name: v[counted[of_chain == e]] for name, v in mine.items()}
        finite = {name: v[np.isfinite(v)] for name, v in mine.items()}
        networks = {"finished": min((len(v) for v in finite.values()), default=0),
                    "attempted": max((v.size for v in mine.values()), default=0)}  # fmt: skip
        out[e] = {"single": {name: float(v.mean()) for name, v in finite.items() if len(v)}, "networks": networks}
    return out


def stored_bytes(path: Path) -> int:
    """Bytes of all files of the store."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
