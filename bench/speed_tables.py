"""Tables of speed, memory and what things cost."""

import json

from .common import RESULTS, human
from .marks import Result, markdown, percent, span, where


def compare(result: Result) -> str:
    """One table for each configuration."""
    parts = [where(result)]
    for case, by_replicas in result["cases"].items():
        for replicas, r in by_replicas.items():
            rates, runs = r["replica_steps_per_second"], next(iter(r["replica_steps_per_second"].values()))["runs"]
            rows = [
                (name, span(s), span(r["ratios"][name], lambda x: f"{x:.3g}") if name in r["ratios"] else "",
                 percent(r["fraction_of_peak"][name]["median"]) if "fraction_of_peak" in r else "")
                for name, s in rates.items()
            ]  # fmt: skip
            peak = (
                f"; peak {human(r['peak']['median'])}op/s, limit {human(r['limit'])} replica-steps/s"
                if "peak" in r
                else ""
            )
            parts.append(f"**{case}, R {replicas}** ({runs} rounds{peak})")
            parts.append(markdown(("contender", "replica-steps/s", f"{r['ratios_of']} is faster by", "of peak"), rows))
    parts += [memory({"cases": result["memory"]})] if result.get("memory") else []
    return "\n\n".join(parts)


def memory(result: Result) -> str:
    """Bytes a replica."""
    names = sorted({name for figures in result["cases"].values() for name in figures})
    rows = [
        (
            name,
            *(
                "-" if (v := result["cases"][case].get(name)) is None else f"{v / 1000:.2f} kB"
                for case in result["cases"]
            ),
        )
        for name in names
    ]
    return markdown(("memory a replica", *result["cases"]), rows)


def scaling(result: Result) -> str:
    """One table for each axis."""
    base = result["base"]
    parts = [f"{where(result)} Base: d {base['hidden']}, B {base['batch']}, R {base['replicas']}."]
    for axis, points in result["sweeps"].items():
        rows = [
            (
                value,
                human(p["replica_steps_per_second"]["median"]),
                f"{p['nanoseconds']:,.0f}",
                human(p["operations_per_second"]),
            )
            for value, p in points.items()
        ]
        parts.append(markdown((axis, "replica-steps/s", "ns", "operations/s"), rows))
    return "\n\n".join(parts)


def breakdown(result: Result) -> str:
    """Parts of a step of every configuration."""
    rows = []
    for case, r in result["cases"].items():
        for part, share in r["share"].items():
            rows.append((
                f"{case} {part}", f"{r['nanoseconds'][part]:,.0f}", percent(share), f"{r['operations'][part]:,.0f}",
                percent(r["fraction_of_peak"][part]), percent(r["fraction_of_slots"][part]),
            ))  # fmt: skip
        alone = r["normals_alone"]
        rows.append(
            (
                f"{case} one normal alone",
                f"{alone['nanoseconds']:.2f}",
                "",
                "54.5",
                percent(alone["fraction_of_peak"]),
                percent(alone["fraction_of_slots"]),
            )
        )
    head = ("part", "ns a replica-step", "share", "operations", "of peak", "of its slots")
    return f"{where(result)} R {result['replicas']}.\n\n{markdown(head, rows)}"


def observers(result: Result) -> str:
    """Slowdowns."""
    cost = lambda x: f"{100 * (x - 1):+.1f} %"  # noqa: E731
    rows = [
        (name, span(s), span(result["slowdown"][name], cost) if name in result["slowdown"] else "")
        for name, s in result["replica_steps_per_second"].items()
    ]
    sizes = f"R {result['replicas']}, d {result['hidden']}, {result['steps']:,} steps, recorded every 500"
    bits = "All end in the same bits." if result["bits_equal"] else "**The bits differ.**"
    return f"{where(result)} {sizes}. {bits}\n\n" + markdown(("", "replica-steps/s", "costs"), rows)


def sharding(result: Result) -> str:
    """One table for each network: rates by the clock, costs by the processor, and the start."""
    cost = lambda x: f"{100 * (x - 1):+.0f} %"  # noqa: E731
    parts = [f"{where(result)} Load {result['load']['before']:.1f} before, {result['load']['after']:.1f} after."]
    for case, ways in result["cases"].items():
        rows = [
            (name, span(r["replica_steps_per_second"]), span(r["replica_steps_per_processor_second"]),
             span(r["processor_cost"], cost) if name != next(iter(ways)) else "", f"{r['start_seconds']:.1f}")
            for name, r in ways.items()
        ]  # fmt: skip
        head = (case, "replica-steps/s", "a second of the processor", "costs of it", "s until the first segment")
        parts.append(markdown(head, rows))
    return "\n\n".join(parts)


def turns(result: Result) -> str:
    """Seconds of all runs of a case both ways, and their ratio."""
    seconds = lambda x: f"{x:.2f}"  # noqa: E731
    rows = [
        (name, str(case["launches"]), *(span(case[kind][way], seconds) for kind in ("processor", "clock")
         for way in ("one after another", "in one launch", "takes less by")))
        for name, case in result["cases"].items()
    ]  # fmt: skip
    every = all(case["bits_equal"] for case in result["cases"].values())
    head = ("", "launches", "s of the processor, one by one", "together", "ratio", "s of the clock, one by one",
            "together", "ratio")  # fmt: skip
    bits = "The bits are equal." if every else "**The bits differ.**"
    return f"{where(result)} {bits}\n\n{markdown(head, rows)}"


def paper(result: Result) -> str:
    """Shares of a GPU by replicas, and what was assumed."""
    milli = lambda x: f"{1000 * x:,.2f}"  # noqa: E731
    rows = [
        (name, f"{int(replicas):,}", human(r["rate"]), percent(r["of_issue"]), milli(r["steps"]), milli(r["looking"]),
         milli(r["bus"]), milli(r["host"]), milli(r["writing"]), percent(r["share"]))
        for name, by_replicas in result["cases"].items() for replicas, r in by_replicas.items()
    ]  # fmt: skip
    counts = "; ".join(
        f"{name} {k['instructions']:,.0f} warp instructions a replica-step, {k['registers']} registers"
        for name, k in result["kernels"].items()
    )
    m = result["assumed"]
    assumed = (
        f"{m['multiprocessors']} multiprocessors of {m['schedulers']} schedulers at {m['clock'] / 1e9:g} GHz that issue"
        f" {m['issue']:g} a cycle at most, a warp every {m['cycles']:g} cycles; {human(m['bus'])}B/s over the bus,"
        f" {human(m['disk'])}B/s to the disk beside the rest, {1000 * m['host']:g} ms of the host a draw"
    )
    head = ("", "R", "replica-steps/s of the kernel", "of issue slots", f"ms of {result['thin']} steps", "looking",
            "bus", "host", "writing", "share of steps")  # fmt: skip
    return f"NVRTC {result['nvrtc']}: {counts}. Assumed: {assumed}.\n\n{markdown(head, rows)}"


def deep(result: Result) -> str:
    """Networks of several hidden layers, one table for each shape."""
    parts = [where(result)]
    for r in result["cases"]:
        shape = " x ".join(map(str, r["hidden"]))
        times = lambda name, r=r: span(r["ratios"][name], lambda x: f"{x:.1f}") if name in r["ratios"] else ""  # noqa: E731
        rows = [(name, span(s), times(name)) for name, s in r["replica_steps_per_second"].items()]
        peak = percent(r["fraction_of_peak"]["median"])
        parts.append(f"**{shape}, R {r['replicas']}, B {r['batch']}** (fused at {peak} of peak)")
        parts.append(markdown(("contender", "replica-steps/s", "fused is faster by"), rows))
    return "\n\n".join(parts)


def gpu_check(result: Result) -> str:
    """Rates on the GPU, alone and beside JAX, and the verdicts."""
    from .gpu_check import verdict

    def measured(part: str) -> list[Result]:
        return [r for r in result["parts"].get(part, {}).get("reports", []) if "rate" in r and "case" in r]

    rows = [
        (r["case"], f"{r['replicas']:,}", human(r["rate"]), percent(r["fraction_of_peak"]), f"{r['steps']:,}")
        for r in measured("rates")
    ]
    beside = [
        (r["case"], f"{r['replicas']:,}", r["contender"], human(r["rate"]), f"{r['fused_over_this']:.3g}")
        for r in measured("end_to_end")
    ]
    verdicts = "\n".join(f"- {name}: {verdict(part)}" for name, part in result["parts"].items())
    tables = (
        markdown(("kernel alone", "R", "replica-steps/s", "of peak", "steps of a launch"), rows),
        markdown(("whole runs", "R", "contender", "replica-steps/s", "fused is so many times as fast"), beside),
    )
    return "\n\n".join((f"{result['device']['name']}.", verdicts, *tables))


def mnist_speed(result: Result) -> str:
    """A table for each number of replicas."""
    parts = [where(result)]
    for replicas, r in result["replicas"].items():
        times = lambda name, r=r: span(r["ratios"][name], lambda x: f"{x:.1f}") if name in r["ratios"] else ""  # noqa: E731
        rows = [(name, span(s), times(name)) for name, s in r["replica_steps_per_second"].items()]
        parts += [f"**784-100-10, AdLaLa, R {replicas}, B 100**",
                  markdown(("contender", "replica-steps/s", f"{r['ratios_of']} is faster by"), rows)]  # fmt: skip
    return "\n\n".join(parts)


def scale(result: Result) -> str:
    """Points of every axis, and the power of each cost."""
    from .scale import medians, slope

    named = {"replicas": "replicas", "points": "points, all of them", "minibatches": "points, minibatches",
             "workers": "workers"}  # fmt: skip
    rows, powers = [], []
    for axis, words in named.items():
        found = medians(result["rows"], axis)
        rows += [
            (words, f"{value:,}", human(r["rate"]), f"{1e9 * r['busy']:,.0f}", f"{r['start']:.2f}",
             f"{r['memory'] / 1e6:,.0f}") for value, r in found.items()
        ]  # fmt: skip
        if axis != "workers" and len(found) > 1:
            each = f"{slope(found, lambda v, r: 1 / r['rate']):.2f}"
            powers.append((words, each, f"{slope(found, lambda v, r: r['busy']):.2f}",
                           f"{slope(found, lambda v, r: r['start']):.2f}"))  # fmt: skip
    head = ("axis", "value", "replica-steps/s", "processor ns a replica-step", "start, s", "memory, MB")
    of = ("axis", "time of a replica-step grows by the power", "processor time", "start")
    return "\n\n".join((where(result), markdown(head, rows), markdown(of, powers)))


def scale_beyond(result: Result) -> str:
    """Clusters by the measured worker, eight GPUs by the figures on paper."""
    from .scale import ASSUMED, cluster, gpus

    rows = []
    for workers in (8, 64, 512):
        for replicas in (100_000, 1_000_000):
            if found := cluster(result["rows"], workers, replicas):
                limit = "writing" if found["writing"] > found["computing"] else "computing"
                rows.append((f"{workers} workers of {ASSUMED['cores']} cores", "20 units", f"{replicas:,}",
                             human(found["rate"]), limit))  # fmt: skip
    path = RESULTS / "paper.json"
    if path.exists():
        paper_result = json.loads(path.read_text())
        for case in paper_result["cases"]:
            for each in (1_000, 100_000, 1_000_000):
                found = gpus(paper_result, case, each)
                limit = "writing" if found["writing"] > found["computing"] else "computing"
                rows.append((f"{ASSUMED['gpus']} GPUs (H100, on paper)", case, f"{found['replicas']:,}",
                             human(found["rate"]), limit))  # fmt: skip
    return markdown(("machine", "network", "replicas", "replica-steps/s", "limited by"), rows)
