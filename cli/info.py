"""`gpu-thermo info`, and what a run came to: one dictionary, shown as text or JSON by `sample` and `resume` too."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .arguments import Json, Overwrite, Run
from .output import clock, echo, facts, plural, print_json, say, show, size
from .tuning import chosen_batch, show_tuning

if TYPE_CHECKING:
    import xarray

    from gpu_thermo.spec.run import RunSpec
    from gpu_thermo.store import RunInfo

EPILOG = """\b
--json: step, total_steps, draws, total_draws, complete, resumable, replicas,
parameters, ensembles, frozen, moves, kept, bytes, seconds, spec, versions,
history, sizes; assumptions (likelihood, noise and prior in words); and
scores: averaged (rmse or accuracy, nll, brier, ece of the average over draws
and replicas), single (of one network), and calibration, whose keys
gpu-thermo diagnose --help lists; of several ensembles each in its own entry.
"""
MOST_ENSEMBLES = 20
"""Ensembles whose scores are shown one by one."""
FEW = 4
"""Frozen replicas that a warning names."""


Tuning = Annotated[bool, typer.Option("--tuning", help="How a run with run.tolerance tuned itself, window by window.")]
Picture = Annotated[Path | None, typer.Option("--picture", metavar="FILE.png", help="With --tuning: draw it, too.")]


def info(
    store: Run, tuning: Tuning = False, picture: Picture = None, overwrite: Overwrite = False, as_json: Json = False
) -> None:
    """Show where a run stands and what it is; of a study how much of it is done, and what has its numbers.

    Progress, scores, sizes, frozen replicas with their remedies, spec, versions. With --tuning instead: what a run that
    tunes itself decided, when, and from what.

    Reads committed draws only, so it is safe while the run goes on.
    """
    from gpu_thermo.engines.builds import read_history
    from gpu_thermo.store import open_run, read_header
    from gpu_thermo.study.birth import is_study

    if is_study(store):
        _show_study(store, as_json)
        return
    if tuning or picture:
        show_tuning(store, picture, overwrite, as_json)
        return
    tree, header = open_run(store), read_header(store)
    summary = summarise(store, tree) | {
        "created_at": header.created_at, "format": header.format, "fingerprint": header.fingerprint,
        "versions": header.versions, "resumable": resumable(store),
        "history": read_history(header.attributes),
        "sizes": {group: dict(node.sizes) for group, node in tree.children.items()},
    }  # fmt: skip
    if as_json:
        print_json(summary | {"spec": _spec(header.spec), "next": next_commands(summary)})
        return
    _show(store, summary, header.spec)


def _show_study(store: Path, as_json: bool) -> None:
    """A study at a glance, and the commands that are about studies."""
    from gpu_thermo.study import labels, open_study
    from gpu_thermo.study.reading import builds_of, notices_of
    from gpu_thermo.study.tables import failures, outcomes

    from .study import say_warnings

    found = open_study(store)
    status = found["status"].to_numpy()
    done, run = int((status >= 0).sum()), shlex.quote(str(store))
    failed = failures(found)
    summary = {
        "study": str(store), "runs": len(status), "done": done, "failed": failed, "cells": labels(found),
        "seeds": int(found["seed_index"].to_numpy().max()) + 1, "outcomes": outcomes(found),
        "updated_at": str(found.attrs.get("updated_at", "")), "spec": _plain_json(found.attrs["study"]),
        "next": [f"gpu-thermo table {run}"], "builds": builds_of(found), "notices": notices_of(found),
    }  # fmt: skip
    if as_json:
        print_json(summary)
        return
    cells = summary["cells"]
    shown = ", ".join(cells[:MOST_ENSEMBLES]) + (
        f", and {len(cells) - MOST_ENSEMBLES:,} more" * (len(cells) > MOST_ENSEMBLES)
    )
    show(facts({
        "study": f"{store} ({'complete' if done == len(status) else 'unfinished'})",
        "runs": f"{done:,} of {len(status):,} done ({plural(len(cells), 'cell')} x {plural(summary['seeds'], 'seed')})",
        "cells": shown, "outcomes": ", ".join(summary["outcomes"]), "updated": summary["updated_at"],
    }))  # fmt: skip
    say_warnings(found, failed)
    say(f"\nNext:\n  gpu-thermo table {run}")
    if done < len(status):
        say(f"  gpu-thermo study STUDY.toml --out {run}     (the same study: it goes on)")


def _plain_json(text: Any) -> Any:
    import json

    return json.loads(text)


def resumable(store: Path) -> str:
    """yes, or why not."""
    import os

    from gpu_thermo.errors import StoreError
    from gpu_thermo.store import read_checkpoint, read_header, require_resumable

    if not os.access(store, os.W_OK):
        return "no: the folder is read-only"
    try:
        require_resumable(store, read_header(store))
        read_checkpoint(store)
    except StoreError as error:
        return f"no: {error}"
    return "yes"


def _spec(text: str) -> Any:
    from gpu_thermo.spec.run import RunSpec

    return RunSpec.from_json(text).to_dict()


def _show(store: Path, info: dict[str, Any], spec: str) -> None:
    from gpu_thermo.spec.run import RunSpec

    state = "complete" if info["complete"] else "unfinished"
    network = f"{plural(info['replicas'], 'replica')} of {info['parameters']:,} parameters"
    lines = {
        "run": f"{store} ({state}, resumable: {info['resumable']}){weighted(info)}",
        "progress": _progress(info),
        "ensembles": f"{info['ensembles']:,}; {network}",
        "data" if info["target"] is None else "target": info["label"],
        **({"assumed": "; ".join(info["assumptions"])} if info["assumptions"] else {}),
        **({"columns": "\n".join(info["columns"])} if info["columns"] else {}),
        **score_lines(info["scores"]),
        **work_lines(info["work"]),
        **move_lines(info["moves"]),
        **verdict_lines(info),
        "size": f"{size(info['bytes'])}, kept: {', '.join(info['kept']) or 'averages only'}",
        "sampled": (
            f"by {info['engine']} on {info['device']}{shared_among(info['shares'])}, created {info['created_at']}"
            + (f", {clock(info['seconds'])} of sampling" if info["seconds"] is not None else "")
        ),
        **build_lines(info["history"]),
        "versions": ", ".join(f"{name} {version}" for name, version in info["versions"].items()),
        "fingerprint": info["fingerprint"][:16],
    }
    show(facts(lines))
    echo("\n" + RunSpec.from_json(spec).to_toml().strip())
    warn(info)
    say("\nNext:\n" + "\n".join(f"  {command}" for command in next_commands(info)))


def _progress(info: dict[str, Any]) -> str:
    """Steps and draws of how many; of a run that tunes itself also its phase."""
    if info["phase"] is not None:
        most, draws = info["total_steps"], plural(info["draws"], "draw")
        return f"{info['phase']}, step {info['step']:,} of at most {most:,}, {draws}"
    return (
        f"step {info['step']:,} of {info['total_steps']:,}, {info['draws']:,} of {plural(info['total_draws'], 'draw')}"
    )


def build_lines(history: list[dict[str, Any]]) -> dict[str, str]:
    """The build of a run, or its builds and from which step on each: in full the first, then what differs."""
    from gpu_thermo.engines.builds import differing

    facts = lambda build: "; ".join(f"{name} {value}" for name, value in build.items())  # noqa: E731
    if len(history) < 2:
        return {"build": facts(history[0]["build"])} if history else {}
    out = {"builds": f"{len(history)}, whose bits differ"}
    before: dict[str, str] = {}
    for one in history:
        changes = {name: new for name, (_, new) in differing(before, one["build"]).items()}
        out[f"  step {one['step']:,} on"] = facts(changes)
        before = one["build"]
    return out


def shared_among(shares: list[tuple[str, int]]) -> str:
    """Among whom a run's replicas were shared out last."""
    if not shares:
        return ""
    kind = "devices" if str(shares[0][0]).startswith("cuda") else plural(len(shares), "worker").partition(" ")[2]
    return f", shared out among {len(shares)} {kind}"


def engines(history: list[dict[str, Any]], otherwise: str, fact: str = "engine") -> str:
    """The engine (or device) that sampled, or each in its turn."""
    named = [str(one["build"].get(fact, "?")) for one in history] or [otherwise]
    return ", then ".join(name for i, name in enumerate(named) if not i or name != named[i - 1])


def summarise(path: Path, tree: "xarray.DataTree | None" = None) -> dict[str, Any]:
    """Where a run stands, what it scores, what froze, and how large it is."""
    from gpu_thermo.averages.claims import check_header, told_of
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
        "work": of_work(stats),
        "assumptions": assumed(tree), "verdict": None if told is None else told.verdict.to_dict(),
        "phase": None if told is None else told.course.phase, "weighted": "weight" in stats.coords,
        "minibatches": None if told is None else chosen_batch(told.course.log),
    }  # fmt: skip


def weighted(summary: dict[str, Any]) -> str:
    """What the first line of a run whose draws have weights adds, so that nobody takes a plain mean of them."""
    return "; draws count by their `weight`, and gpu_thermo.resample makes equal ones" * summary["weighted"]


def of_work(stats: "xarray.Dataset") -> dict[str, float] | None:
    """Mean acceptance of steps or proposals over draws and replicas, and their shadow work; None where not counted."""
    import warnings

    import numpy as np

    if "acceptance" not in stats or not stats.sizes["draw"]:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # nothing but NaN: all frozen, or several temperatures
        mean = {name: float(np.nanmean(stats[name])) for name in ("acceptance", "shadow_work", "shadow_work_variance")}
    return mean | ({"block": int(stats["block"].max())} if "block" in stats.coords else {})


def work_lines(work: dict[str, float] | None) -> dict[str, str]:
    """The same for people."""
    if work is None or work["acceptance"] != work["acceptance"]:
        return {}
    block = int(work.get("block", 0))
    of = f"proposals of {plural(block, 'step')}" if block else "steps, were they accepted by their work"
    return {"acceptance": f"{work['acceptance']:.3g} of {of}"}


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
        return [str(text) for text in _plain_json(tree.attrs["assumptions"])]
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


def print_summary(summary: dict[str, Any]) -> None:
    """The end of `sample` and `resume` on stdout: where the run is, and what it scores."""
    tuned = summary["phase"] is not None
    whole = f"{summary['step' if tuned else 'total_steps']:,} steps"
    most = "at most " if tuned else ""
    done = (
        "complete"
        if summary["complete"]
        else f"stopped at step {summary['step']:,} of {most}{summary['total_steps']:,}"
    )
    seconds = summary["seconds"]
    lines = {
        "run": f"{summary['store']}, {done}{weighted(summary)}",
        "drawn": (
            f"{plural(summary['draws'], 'draw')} of {plural(summary['replicas'], 'replica')} in {whole}"
            + (f", {clock(seconds)}" if seconds is not None else "")
        ),
        **score_lines(summary["scores"]),
        **move_lines(summary["moves"]),
        "size": size(summary["bytes"]),
        "map": summary.get("map"),
        **verdict_lines(summary),
    }
    show(facts(lines))


def verdict_lines(summary: dict[str, Any]) -> dict[str, str]:
    """What a run that tunes itself chose, and whether its averages may be trusted."""
    out = {} if summary["minibatches"] is None else {"minibatches": summary["minibatches"]}
    return out if summary["verdict"] is None else out | {"averages": summary["verdict"]["text"]}


def score_lines(all_scores: dict[str, Any]) -> dict[str, str]:
    """One line a score: of the average, beside a single network's; of several ensembles, a line for each and score."""
    if "ensembles" not in all_scores:
        return {f"test {label}": text for label, text in _scored(all_scores).items()} | calibration_lines(all_scores)
    out: dict[str, str] = {}
    for one in all_scores["ensembles"][:MOST_ENSEMBLES]:
        found = ", ".join(f"{label} {text}" for label, text in _scored(one).items())
        out[f"ensemble {one['ensemble']}"] = f"{one['label'] or 'alike'}: {found or 'nothing scored yet'}"
    if (rest := len(all_scores["ensembles"]) - MOST_ENSEMBLES) > 0:
        out["more"] = f"{plural(rest, 'ensemble')} (--json has all)"
    return out


def calibration_lines(one: dict[str, Any]) -> dict[str, str]:
    """What learned noise came to, and whether intervals and probabilities are right; of one ensemble."""
    from gpu_thermo.averages.held_out import sentence

    found = one.get("calibration", {})
    if not found or ("reason" in found and not one.get("averaged")):
        return {}
    noise = ", ".join(f"{value:.3g} ({name})" for name, value in found.get("noise", {}).items())
    return ({"noise learned": noise} if noise else {}) | {"calibration": sentence(found, one["averaged"].get("ece"))}


def _scored(one: dict[str, Any]) -> dict[str, str]:
    """Name of a score -> its numbers, of one ensemble."""
    from gpu_thermo.targets.likelihoods import SCORES

    averaged, single = one.get("averaged", {}), one.get("single", {})
    networks = one.get("networks", {"finished": 0, "attempted": 0})
    short = networks["finished"] < networks["attempted"]
    of = f" ({networks['finished']:,} of {networks['attempted']:,})" if short else ""
    out = {}
    for name in averaged | single:
        parts = [f"{averaged[name]:.4g} averaged"] if name in averaged else []
        parts += [f"{single[name]:.4g} for a single network{of}"] if name in single else []
        out[SCORES[name].label if name in SCORES else _LABELS.get(name, name)] = ", ".join(parts)
    return out


def move_lines(moves: list[dict[str, Any]]) -> dict[str, str]:
    """The lines of their reports: what they came to so far."""
    return {label: text for move in moves for label, text in move["lines"].items()}


_LABELS = {"nll": "NLL", "ece": "ECE", "brier": "Brier score"}


def warn(summary: dict[str, Any]) -> None:
    """Say on stderr which replicas froze, why, and what to change; and what the moves found wrong."""
    for text in (text for move in summary["moves"] for text in move["warnings"]):
        say(f"Warning: {text}")
    for cause in summary["frozen"]:
        many = "" if cause["replicas"] <= FEW else ", ..."
        who = ", ".join(map(str, cause["first_replicas"][:FEW])) + many
        steps = f"step {cause['first_step']:,}" + (
            f" to {cause['last_step']:,}" if cause["last_step"] != cause["first_step"] else ""
        )
        replicas = f"{plural(cause['replicas'], 'replica')} of {summary['replicas']:,} frozen"
        say(f"Warning: {replicas} ({who}; {steps}): {cause['remedy']}.")


def next_commands(summary: dict[str, Any], mapped: bool = False) -> list[str]:
    """Commands that make sense now."""
    run = shlex.quote(summary["store"])
    out = [] if summary["complete"] else [f"gpu-thermo resume {run}"]
    if summary["draws"] and "parameters" in summary["kept"] and not mapped and summary["target"] is None:
        out.append(f"gpu-thermo map {run} --out map.png")
    if summary["draws"] and "predictions" in summary["kept"]:
        out.append(f"gpu-thermo diagnose {run}")
    return [*out, f"gpu-thermo info {run}"]


def finish(path: Path, tree: "xarray.DataTree", as_json: bool, quiet: bool, map_file: Path | None = None) -> None:
    """What `sample` and `resume` print at the end."""
    summary = summarise(path, tree) | ({"map": str(map_file)} if map_file else {})
    warn(summary)
    if as_json:
        print_json(summary)
    elif not quiet:
        print_summary(summary)
        say("\nNext:\n" + "\n".join(f"  {command}" for command in next_commands(summary, map_file is not None)))
