"""`gpu-thermo info`, and what a run came to: one dictionary, shown as text or JSON by `sample` and `resume` too."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from .arguments import Json, Run
from .output import clock, facts, plural, print_json, say, show, size

if TYPE_CHECKING:
    import xarray

    from gpu_thermo.spec.run import RunSpec
    from gpu_thermo.store import RunInfo

FEW = 4
"""Frozen replicas that a warning names."""


def info(store: Run, as_json: Json = False) -> None:
    """Show where a run stands and what it is.

    Progress, scores, sizes, frozen replicas with their remedies, spec, versions.

    Reads committed draws only, so it is safe while the run goes on.
    """
    from gpu_thermo.engines.builds import read_history
    from gpu_thermo.store import open_run, read_header

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


def resumable(store: Path) -> str:
    """yes, or why not."""
    import os

    from gpu_thermo.errors import StoreError
    from gpu_thermo.store import read_checkpoint, read_header
    from gpu_thermo.store.record import refuse_earlier

    if not os.access(store, os.W_OK):
        return "no: the folder is read-only"
    try:
        refuse_earlier(store, read_header(store).format)
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
        "run": f"{store} ({state}, resumable: {info['resumable']})",
        "progress": (
            f"step {info['step']:,} of {info['total_steps']:,}, {info['draws']:,} of"
            f" {plural(info['total_draws'], 'draw')}"
        ),
        "ensembles": f"{info['ensembles']:,}; {network}",
        **score_lines(info["scores"]),
        **move_lines(info["moves"]),
        "size": f"{size(info['bytes'])}, kept: {', '.join(info['kept']) or 'averages only'}",
        "sampled": (
            f"by {info['engine']} on {info['device']}, created {info['created_at']}"
            + (f", {clock(info['seconds'])} of sampling" if info["seconds"] is not None else "")
        ),
        **build_lines(info["history"]),
        "versions": ", ".join(f"{name} {version}" for name, version in info["versions"].items()),
        "fingerprint": info["fingerprint"][:16],
    }
    show(facts(lines))
    typer.echo("\n" + RunSpec.from_json(spec).to_toml().strip())
    warn(info)
    say("\nNext:\n" + "\n".join(f"  {command}" for command in next_commands(info)))


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


def engines(history: list[dict[str, Any]], otherwise: str, fact: str = "engine") -> str:
    """The engine (or device) that sampled, or each in its turn."""
    named = [str(one["build"].get(fact, "?")) for one in history] or [otherwise]
    return ", then ".join(name for i, name in enumerate(named) if not i or name != named[i - 1])


def summarise(path: Path, tree: "xarray.DataTree | None" = None) -> dict[str, Any]:
    """Where a run stands, what it scores, what froze, and how large it is."""
    from gpu_thermo.engines.builds import read_history
    from gpu_thermo.running.agenda import Agenda
    from gpu_thermo.spec.reports import read_reports
    from gpu_thermo.spec.run import RunSpec
    from gpu_thermo.store import open_run, read_header

    header = read_header(path)
    history = read_history(header.attributes)
    tree = open_run(path) if tree is None else tree
    spec = RunSpec.from_json(header.spec)
    total = planned_steps(header, spec)
    stats = tree["sample_stats"].to_dataset()
    draws = Agenda.of(spec.model_copy(update={"run": spec.run.model_copy(update={"steps": total})})).draws
    return {
        "store": str(path), "complete": header.step >= total, "step": header.step, "total_steps": total,
        "draws": header.draws, "total_draws": draws, "replicas": header.replicas, "parameters": header.parameters,
        "ensembles": int(tree.sizes.get("ensemble", 0) or len(set(stats["ensemble"].values.tolist()))),
        "data": spec.data.name if spec.target is None else None, "target": spec.target.name if spec.target else None,
        "method": spec.method.name,
        "moves": [report.to_dict() for report in read_reports(header.attributes.get("moves"))],
        "kept": list(header.keep),
        "engine": engines(history, str(header.attributes.get("engine", header.engine))),
        "device": engines(history, header.device, "device"),
        "seconds": header.attributes.get("sampling_time"), "bytes": stored_bytes(path), "frozen": frozen(stats),
        "scores": scores(tree),
    }  # fmt: skip


def planned_steps(header: "RunInfo", spec: "RunSpec") -> int:
    """Steps the run goes to, as last extended."""
    return int(header.attributes.get("steps", spec.run.steps))


def frozen(stats: "xarray.Dataset") -> list[dict[str, Any]]:
    """One entry a cause: how many replicas, which first ones, from which step on, and what to change."""
    import numpy as np

    from gpu_thermo.errors import Status

    status, step = stats["status"].to_numpy(), stats["frozen_step"].to_numpy()
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


def scores(tree: "xarray.DataTree") -> dict[str, dict[str, float]]:
    """Test scores `averaged` over draws and replicas (mean over ensembles), and of a `single` network (mean at the last
    draw).
    """
    import numpy as np

    from gpu_thermo.averages.predictive import scores_on_test
    from gpu_thermo.targets.likelihoods import SCORES

    if "data" not in tree.attrs:
        return {}  # of a potential: nothing is predicted
    each = list(scores_on_test(tree).values())
    averaged = {name: float(np.mean([one[name] for one in each])) for name in each[0]} if each else {}
    single: dict[str, float] = {}
    stats = tree["sample_stats"].to_dataset().isel(draw=slice(-1, None))
    weighted = "log_weight" in stats and "rung" not in stats
    if (
        "target_sd" not in tree["constant_data"] and not weighted
    ):  # else units differ, or no single draw stands for the density
        counted = (
            stats["rung"].to_numpy() == 0
            if "rung" in stats
            else np.ones((len(stats["chain"]), stats.sizes["draw"]), bool)
        )
        last = {name: stats[f"test_{name}"].to_numpy()[counted] for name in (*SCORES, "nll") if f"test_{name}" in stats}
        single = {name: float(np.nanmean(values)) for name, values in last.items() if np.isfinite(values).any()}
    return {"averaged": averaged, "single": single}


def stored_bytes(path: Path) -> int:
    """Bytes of all files of the store."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def print_summary(summary: dict[str, Any]) -> None:
    """The end of `sample` and `resume` on stdout: where the run is, and what it scores."""
    whole = f"{summary['total_steps']:,} steps"
    done = "complete" if summary["complete"] else f"stopped at step {summary['step']:,} of {summary['total_steps']:,}"
    seconds = summary["seconds"]
    lines = {
        "run": f"{summary['store']}, {done}",
        "drawn": (
            f"{plural(summary['draws'], 'draw')} of {plural(summary['replicas'], 'replica')} in {whole}"
            + (f", {clock(seconds)}" if seconds is not None else "")
        ),
        **score_lines(summary["scores"]),
        **move_lines(summary["moves"]),
        "size": size(summary["bytes"]),
        "map": summary.get("map"),
    }
    show(facts(lines))


def score_lines(all_scores: dict[str, dict[str, float]]) -> dict[str, str]:
    """One line a score: of the average, beside a single network's."""
    from gpu_thermo.targets.likelihoods import SCORES

    averaged, single = all_scores.get("averaged", {}), all_scores.get("single", {})
    out = {}
    for name in averaged | single:
        parts = [f"{averaged[name]:.4g} averaged"] if name in averaged else []
        parts += [f"{single[name]:.4g} for a single network"] if name in single else []
        label = SCORES[name].label if name in SCORES else _LABELS.get(name, name)
        out[f"test {label}"] = ", ".join(parts)
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
