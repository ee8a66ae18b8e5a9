"""`gpu-thermo bench`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from .arguments import Device, Json, Threads

if TYPE_CHECKING:
    from gpu_thermo.running.speed import Speed

EPILOG = """\b
Examples:
  gpu-thermo bench
  gpu-thermo bench --hidden 100 --batch 20 --replicas 10000
  gpu-thermo bench --data digits --hidden 50 --batch 50 --json
"""

Engine = Annotated[str, typer.Option(metavar="ENGINE", help="all, fused, batched, or auto (the one a run would use).")]
Hidden = Annotated[int, typer.Option(min=1, metavar="D", help="Hidden units.")]
Size = Annotated[int, typer.Option("--batch", min=1, metavar="B", help="Points in a minibatch.")]
Replicas = Annotated[int, typer.Option(min=1, metavar="R", help="Networks advanced together.")]
Data = Annotated[str, typer.Option(metavar="NAME", help="spirals or digits.")]
Seconds = Annotated[float, typer.Option(min=0.1, metavar="S", help="Time for each engine.")]


def bench(
    device: Device = "auto", engine: Engine = "all", hidden: Hidden = 20, batch: Size = 25, replicas: Replicas = 1000,
    data: Data = "spirals", seconds: Seconds = 5.0, threads: Threads = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Measure how fast this machine samples.

    AdLaLa on small networks: replica-steps per second of each engine, and how far that is from the machine's own peak.
    """
    from gpu_thermo.running.speed import bench_spec, measure

    from .output import print_json, say

    spec = bench_spec(data, hidden, batch, replicas)
    if not as_json:
        say(
            f"AdLaLa on {data}, {hidden} hidden units, minibatches of {batch}, {replicas:,} replicas, {seconds:g} s for"
            " each engine"
        )
    speeds = measure(spec, engine, device, seconds, threads)
    if as_json:
        print_json({"spec": spec.to_dict(), "engines": [speed.to_dict() for speed in speeds]})
    else:
        _print(speeds)


def _print(speeds: "list[Speed]") -> None:
    from .output import count, facts, say, show, table

    columns = ("engine", "replica-steps/s", "range", "of peak", "of limit", "first step")
    rows = [
        (s.engine, count(s.rate), f"{count(s.lowest)} to {count(s.highest)}", f"{100 * s.fraction_of_peak:.1f} %",
         f"{100 * s.rate / s.limit:.1f} %", f"{s.first_seconds:.2f} s")
        for s in speeds
    ]  # fmt: skip
    say()
    show(table(columns, rows, right=columns[1:], fixed=columns))
    say()
    show(facts(_facts(speeds[0])))


def _facts(speed: "Speed") -> dict[str, Any]:
    """What the columns refer to."""
    from .output import count, size

    parts = ", ".join(f"{part} {count(n)}" for part, n in speed.operations.items())
    return {
        "device": speed.device,
        "state": f"{size(speed.memory)} a replica",
        "peak": f"{count(speed.peak)} operations/s ({speed.peak_by}; a multiply-add is two)",
        "operations": f"{count(sum(speed.operations.values()))} a replica-step: {parts}",
        "limit": f"{count(speed.limit)} replica-steps/s, if every instruction of this mix filled a slot of the peak",
    }
