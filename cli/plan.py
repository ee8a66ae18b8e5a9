"""A run's plan and bill as `sample` prints them."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from .output import facts, plural, print_json, say, show, size, table

if TYPE_CHECKING:
    from gpu_thermo.run import RunPlan


def print_bill(plan: "RunPlan", store: Path, quiet: bool = False) -> None:
    """What is about to run, where, and what it costs; and the warnings, which `quiet` keeps. On stderr."""
    if not quiet:
        replicas, draws = plural(plan.replicas, "replica"), plural(plan.draws, "draw")
        say(f"{replicas} of {plan.parameters:,} parameters, {plan.steps:,} steps, {draws} each")
        say(
            f"engine {plan.engine} on {plan.device}, about {size(plan.memory_bytes)} of memory, {size(plan.disk_bytes)}"
            f" in {store}"
        )
    for warning in plan.warnings:
        say(f"Warning: {warning}")


def print_plan(plan: "RunPlan", as_json: bool) -> None:
    """The whole plan on stdout: sizes, partitions, one step of the program, the bill."""
    if as_json:
        print_json(plan.to_dict())
        return
    ensembles = f" in {plan.ensembles:,} ensembles" if plan.ensembles > 1 else ""
    datasets = f" on {plan.datasets:,} data sets" if plan.datasets > 1 else ""
    show(
        facts(
            {
                "replicas": f"{plan.replicas:,}{ensembles}{datasets}, {plan.parameters:,} parameters each",
                "steps": f"{plan.steps:,}, of these {plan.burn_in:,} burn-in",
                "draws": (
                    f"{plan.draws:,}, one every {plural(plan.thin, 'step')}"
                    + (" of the sampling stages" if plan.draws < (plan.steps - plan.burn_in) // plan.thin else "")
                ),
                "gradients": f"{plan.gradients_per_step} a step",
                "moves": ", ".join(plan.moves) or None,
                "engine": f"{plan.engine} on {plan.device}",
                "memory": f"about {size(plan.memory_bytes)}",
                "disk": f"about {size(plan.disk_bytes)}",
            }
        )
    )
    rows = [(name, word or "frozen", f"{parameters:,}") for name, (word, parameters) in plan.words.items()]
    typer.echo()
    show(table(("partition", "word or update", "parameters"), rows, right=("parameters",)))
    typer.echo("\nOne step:\n" + "\n".join(f"  {line}" for line in plan.substeps))
    for warning in plan.warnings:
        say(f"Warning: {warning}")
    say("Nothing was run or written.")
