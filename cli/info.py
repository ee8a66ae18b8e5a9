"""`gpu-thermo info`, and what `sample` and `resume` say at their end: what a run came to, as text or JSON."""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .arguments import Json, Overwrite, Run
from .output import clock, echo, facts, plural, print_json, say, show, size
from .summary import summarise
from .tuning import show_tuning

if TYPE_CHECKING:
    import xarray

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
        "updated_at": str(found.attrs.get("updated_at", "")), "spec": json.loads(found.attrs["study"]),
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
    lines = {
        "run": f"{store} ({state}, resumable: {info['resumable']}){weighted(info)}",
        "progress": _progress(info),
        "kept" if info["kept"] else "averaged": f"{info['counted']}, of {info['parameters']:,} parameters",
        **({"ensembles": f"{info['ensembles']:,}"} if info["ensembles"] > 1 else {}),
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
        return f"{info['phase']}, step {info['step']:,} of at most {info['total_steps']:,}"
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


def weighted(summary: dict[str, Any]) -> str:
    """What the first line of a run whose draws have weights adds, so that nobody takes a plain mean of them."""
    return (
        "; draws count by their `weight`: gpu_thermo.resample(run, chains=True) makes equal ones" * summary["weighted"]
    )


def work_lines(work: dict[str, float] | None) -> dict[str, str]:
    """The same for people."""
    if work is None or work["acceptance"] != work["acceptance"]:
        return {}
    block = int(work.get("block", 0))
    of = f"proposals of {plural(block, 'step')}" if block else "steps, were they accepted by their work"
    return {"acceptance": f"{work['acceptance']:.3g} of {of}"}


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
    seconds, now = summary["seconds"], summary.get("seconds_now")
    resumed = "" if now in (None, seconds) else f" ({clock(now)} of it now)"
    lines = {
        "run": f"{summary['store']}, {done}{weighted(summary)}",
        "drawn": (
            f"{summary['counted']} in {whole}"
            + (f", sampled in {clock(seconds)}{resumed}" if seconds is not None else "")
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
    if summary["replaced"]:
        out |= {"replaced": summary["replaced"]}
    if summary["verdict"] is None:
        return out
    return out | {"averages": "\n".join(summary["said"]) or summary["verdict"]["text"]}


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


def finish(
    path: Path, tree: "xarray.DataTree", as_json: bool, quiet: bool, map_file: Path | None = None, earlier: float = 0.0
) -> None:  # fmt: skip
    """What `sample` and `resume` print at the end, of a run that had taken `earlier` seconds before."""
    summary = summarise(path, tree) | ({"map": str(map_file)} if map_file else {})
    if summary["seconds"] is not None:
        summary["seconds_now"] = summary["seconds"] - earlier
    warn(summary)
    if as_json:
        print_json(summary)
    elif not quiet:
        print_summary(summary)
        say("\nNext:\n" + "\n".join(f"  {command}" for command in next_commands(summary, map_file is not None)))
