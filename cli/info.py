"""`gpu-thermo info`."""

from pathlib import Path
from typing import Any

import typer

from .arguments import Json, Run


def info(store: Run, as_json: Json = False) -> None:
    """Show where a run stands and what it is.

    Progress, scores, sizes, frozen replicas with their remedies, spec, versions.

    Reads committed draws only, so it is safe while the run goes on.
    """
    from gpu_thermo.store import open_run, read_header

    from .output import print_json
    from .summary import next_commands, summarise

    tree, header = open_run(store), read_header(store)
    facts = summarise(store, tree) | {
        "created_at": header.created_at, "format": header.format, "fingerprint": header.fingerprint, "versions": header.versions,
        "resumable": resumable(store), "sizes": {group: dict(node.sizes) for group, node in tree.children.items()},
    }  # fmt: skip
    if as_json:
        print_json(facts | {"spec": _spec(header.spec), "next": next_commands(facts)})
        return
    _show(store, facts, header.spec)


def resumable(store: Path) -> str:
    """yes, or why not."""
    import os

    from gpu_thermo.errors import StoreError
    from gpu_thermo.store import read_checkpoint

    if not os.access(store, os.W_OK):
        return "no: the folder is read-only"
    try:
        read_checkpoint(store)
    except StoreError as error:
        return f"no: {error}"
    return "yes"


def _spec(text: str) -> Any:
    from gpu_thermo.spec.run import RunSpec

    return RunSpec.from_json(text).to_dict()


def _show(store: Path, info: dict[str, Any], spec: str) -> None:
    from gpu_thermo.spec.run import RunSpec

    from . import output
    from .summary import move_lines, next_commands, score_lines, warn

    state = "complete" if info["complete"] else "unfinished"
    network = f"{output.plural(info['replicas'], 'replica')} of {info['parameters']:,} parameters"
    lines = {
        "run": f"{store} ({state}, resumable: {info['resumable']})",
        "progress": (
            f"step {info['step']:,} of {info['total_steps']:,}, {info['draws']:,} of"
            f" {output.plural(info['total_draws'], 'draw')}"
        ),
        "ensembles": f"{info['ensembles']:,}; {network}",
        **score_lines(info["scores"]),
        **move_lines(info["moves"]),
        "size": f"{output.size(info['bytes'])}, kept: {', '.join(info['kept']) or 'averages only'}",
        "sampled": (
            f"by {info['engine']} on {info['device']}, created {info['created_at']}"
            + (f", {output.clock(info['seconds'])} of sampling" if info["seconds"] is not None else "")
        ),
        "versions": ", ".join(f"{name} {version}" for name, version in info["versions"].items()),
        "fingerprint": info["fingerprint"][:16],
    }
    output.show(output.facts(lines))
    typer.echo("\n" + RunSpec.from_json(spec).to_toml().strip())
    warn(info)
    output.say("\nNext:\n" + "\n".join(f"  {command}" for command in next_commands(info)))
