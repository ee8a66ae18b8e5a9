"""Fill the tables of bench/README.md from bench/results/*.json.

`python -m bench.tables`

A table stands between `<!-- table: NAME -->` and `<!-- end -->`; a result that is missing says how to make it.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .common import RESULTS, human
from .eight_table import eight
from .marks import Result, markdown, where

README = Path(__file__).parent / "README.md"


def span(s: Result, form: Callable[[float], str] = human) -> str:
    """Median and range."""
    return f"{form(s['median'])} ({form(s['lowest'])} to {form(s['highest'])})"


def percent(number: float) -> str:
    """One digit after the point."""
    return f"{100 * number:.1f} %"


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


def lmv_fig14(result: Result) -> str:
    """Accuracies and the time."""
    rows = [(name, f"{r['mean']:.1f}", f"{r['sd']:.1f}", f"{r['worst']:.1f}") for name, r in result["settings"].items()]
    time = (
        f"{len(rows)} x {result['runs']} runs x {result['steps']:,} steps in {result['seconds']:.1f} s, start and"
        " compilation included"
    )
    return f"{where(result)} {time}. Published: {result['published']}.\n\n" + markdown(
        ("setting", "mean %", "sd", "worst"), rows
    )


def lmv_fig8(result: Result) -> str:
    """Accuracies beside the published ones."""
    rows = [
        (name, r["published"], f"{r['mean']:.1f} +- {r['standard_error']:.1f}", f"{r['worst']:.1f}")
        for name, r in result["methods"].items()
    ]
    return f"{where(result)}\n\n" + markdown(("method", "published %", "obtained %", "worst"), rows)


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


def lmv_depth(result: Result) -> str:
    """Mean and quartiles of every cell."""
    rows = [
        (name, f"{c['mean']:.1f} +- {c['standard_error']:.1f}", f"{c['lower_quartile']:.1f}", f"{c['median']:.1f}",
         f"{c['upper_quartile']:.1f}", f"{c['worst']:.1f}", f"{c['best']:.1f}")
        for name, c in result["cells"].items()
    ]  # fmt: skip
    size = f"{result['runs']} runs of each, {result['steps']:,} steps, {result['processor_seconds']:.0f} s of one core"
    head = ("start, method", "mean %", "lower quartile", "median", "upper quartile", "worst", "best")
    return f"{where(result)} {size}.\n\n{markdown(head, rows)}"


def tabular(result: Result) -> str:
    """Scores on the test part, and the settings that were tried on the validation part."""
    tested = [r for r in result["rows"] if r["part"] == "test"]
    rows = [
        (f"{r['shape']} {r['method']}", f"{r['stepsize']:g}", f"{r['rmse']:.3f}", f"{r['nll']:.3f}",
         f"{r['nll_of_moments']:.3f}", percent(r["covered"]), f"{r['frozen']} of {r['replicas']}", f"{r['steps']:,}",
         f"{r['processor_seconds'] / 2:.0f}", f"{r['seconds']:.0f}")
        for r in tested
    ]  # fmt: skip
    head = ("", "h", "RMSE", "NLL", "NLL of moments", "in 90 %", "frozen", "steps", "processor s / 2", "wall s")
    tried: dict[str, list[str]] = {}
    for r in result["rows"]:
        if r["part"] == "validation":
            score = "-" if "error" in r else f"{r['nll']:.3f}" + (f" ({r['frozen']} frozen)" if r["frozen"] else "")
            tried.setdefault(f"{r['shape']} {r['method']}", []).append(f"h {r['stepsize']:g}: {score}")
    lines = [(name, "; ".join(scores)) for name, scores in tried.items()]
    return "\n\n".join(
        (where(result), markdown(head, rows), markdown(("tried, NLL on the validation part", ""), lines))
    )


def answer(result: Result) -> str:
    """Medians over seeds: first draw, answer, gradients, how much sooner ours is there; what failed is not there."""
    from statistics import median

    rows, out = result["rows"], []
    cells: dict[tuple[str, str], list[Result]] = {}
    for r in rows:
        cells.setdefault((r["problem"], r["contender"]), []).append(r)
    there = {key: [r["answer"] for r in of if r.get("answer")] for key, of in cells.items()}
    middle = lambda points, name: median(p[name] for p in points)  # noqa: E731
    for (problem, contender), of in cells.items():
        found, first = there[problem, contender], [r["first_draw"] for r in of if r.get("first_draw")]
        ours = there.get((problem, "ours"), [])
        many = 2 * len(found) > len(of)  # a median over all seeds, those that are not there being late
        ratio = many and ours and not contender.startswith("ours")
        out.append((
            problem, contender, f"{middle(first, 'seconds'):.1f}" if first else "",
            *((f"{middle(found, 'seconds'):.1f}", f"{middle(found, 'processor'):.1f}",
               human(middle(found, "gradients"))) if many else ("", "", "")),
            f"{len(found)} of {len(of)}",
            f"{middle(found, 'seconds') / middle(ours, 'seconds'):.1f}" if ratio else "",
        ))  # fmt: skip
    head = ("problem", "", "s to the first draw", "s to the answer", "processor s", "gradients", "there",
            "ours is there sooner by")  # fmt: skip
    return f"{where(result)}\n\n{markdown(head, out)}"


def pbp(result: Result) -> str:
    """Means over splits with standard errors, published rows beside them, and what was aimed at."""
    rows, published, out = result["rows"], result["published"], []
    cells: dict[tuple[str, str], list[Result]] = {}
    for r in rows:
        cells.setdefault((r["set"], r["method"]), []).append(r)
    mean = {key: {n: sum(r[n] for r in of) / len(of) for n in _PBP} for key, of in cells.items()}
    for name in dict.fromkeys(r["set"] for r in rows):
        for of in (key for key in cells if key[0] == name):
            m, n = mean[of], len(cells[of])
            spread = lambda what, of=of, n=n: _error([r[what] for r in cells[of]]) if n > 1 else ""  # noqa: E731
            trusted = f"{sum(r['trusted'] for r in cells[of])} of {n}" if "trusted" in cells[of][0] else ""
            out.append((name, of[1], str(n), f"{m['rmse']:.3f}{spread('rmse')}",
                        f"{m['log_likelihood']:.3f}{spread('log_likelihood')}", f"{m['coverage']:.3f}",
                        f"{m['seconds']:.1f}", trusted))  # fmt: skip
        for who, of_set in published.items():
            out.append((name, f"{who}, published", "", f"{of_set[name][0]:.2f}", f"{of_set[name][1]:.2f}", "", "", ""))
    head = ("set", "", "splits", "RMSE", "log likelihood", "in 90 %", "s", "trusted")
    return "\n\n".join((where(result), markdown(head, out), markdown(("aim", "met on"), _pbp_aims(mean, published))))


_PBP = ("rmse", "log_likelihood", "coverage", "seconds")


def _error(values: list[float]) -> str:
    middle = sum(values) / len(values)
    return f" +- {(sum((v - middle) ** 2 for v in values) / (len(values) - 1) / len(values)) ** 0.5:.3f}"


def _pbp_aims(mean: Any, published: Any) -> list[tuple[str, str]]:
    """Better log likelihood than dropout on all sets, and than the better of the deep ensembles run here on four."""
    sets, out = list(dict.fromkeys(name for name, _ in mean)), []
    for ours in (method for method in dict.fromkeys(m for _, m in mean) if method.startswith("ours")):
        mine = {name: mean[name, ours]["log_likelihood"] for name in sets if (name, ours) in mean}
        for who in published:
            better = [name for name, value in mine.items() if value > published[who][name][1]]
            out.append((f"{ours}: better than {who}, published", f"{len(better)} of {len(mine)} ({', '.join(better)})"))
        theirs = {
            name: max((m["log_likelihood"] for (n, who), m in mean.items() if n == name and who.startswith("deep")),
                      default=None) for name in mine
        }  # fmt: skip
        known = {name: value for name, value in theirs.items() if value is not None}
        better = [name for name, value in known.items() if mine[name] > value]
        out.append((f"{ours}: better than deep ensembles here", f"{len(better)} of {len(known)} ({', '.join(better)})"))
    return out


def bde(result: Result) -> str:
    """Means over seeds with their spread, published rows and aims beside them."""
    cells: dict[tuple[str, str], list[Result]] = {}
    for r in result["rows"]:
        cells.setdefault((r["table"], r["method"]), []).append(r)
    out = []
    for name in dict.fromkeys(table for table, _ in cells):
        rmse, nll, seconds = result["aims"][name]
        for method, of in ((m, of) for (table, m), of in cells.items() if table == name):
            mean = {k: sum(r[k] for r in of) / len(of) for k in ("rmse", "nll_of_moments", "nll", "seconds", "wall")}
            spread = lambda k, of=of: _error([r[k] for r in of]) if len(of) > 1 else ""  # noqa: E731
            met = (mean["rmse"] <= rmse, mean["nll_of_moments"] <= nll, mean["seconds"] <= seconds)
            out.append((name, method, str(len(of)), f"{mean['rmse']:.4f}{spread('rmse')}",
                        f"{mean['nll_of_moments']:.3f}{spread('nll_of_moments')}", f"{mean['nll']:.3f}",
                        f"{mean['seconds']:.0f}", f"{mean['wall']:.0f}",
                        ", ".join(w for w, ok in zip(("RMSE", "NLL", "time"), met, strict=True) if ok)))  # fmt: skip
        out.append((name, "aim", "", f"{rmse:g}", f"{nll:g}", "", f"{seconds:g}", "", ""))
        for who, (theirs, score) in result["published"][name].items():
            out.append((name, f"{who}, published", "", f"{theirs:g}", "" if score is None else f"{score:g}", *[""] * 4))
    head = ("table", "", "seeds", "RMSE", "NLL of moments", "NLL of the mixture", "s", "wall s", "aims met")
    return f"{where(result)}\n\n{markdown(head, out)}"


def mnist(result: Result) -> str:
    """Means over seeds."""
    cells: dict[tuple[str, str], list[Result]] = {}
    for r in result["rows"]:
        cells.setdefault((r["shape"], r["method"]), []).append(r)
    out = []
    for (shape, method), of in cells.items():
        good = [r for r in of if "failed" not in r]
        if not good:
            out.append((shape, method, f"0 of {len(of)}", *[""] * 7))
            continue
        mean = lambda k, good=good: sum(r[k] for r in good) / len(good)  # noqa: E731
        told = [f"{mean(k):.3f}" if k in good[0] else "" for k in ("auroc_entropy", "auroc_information")]
        out.append((shape, method, f"{len(good)} of {len(of)}", f"{100 * mean('error'):.2f} %", f"{mean('nll'):.4f}",
                    f"{mean('ece'):.4f}", *told, f"{mean('seconds'):.0f}", f"{mean('bytes') / 1e6:.1f}"))  # fmt: skip
    head = ("network", "", "runs", "wrong", "NLL", "ECE", "AUROC, entropy", "AUROC, information", "s", "MB of images")
    return f"{where(result)} {result['steps']:,} steps.\n\n{markdown(head, out)}"


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


def tuned_truth(result: Result) -> str:
    """Pooled figures, cells, and what NUTS needs."""
    pair = lambda v: f"{v[0]:.2f}, {v[1]:.2f}"  # noqa: E731
    cells = [
        (f"{c['reference'].replace('_', '-')}, {c['start']}", c["tolerance"], c["seeds"], pair(c["rms"]),
         f"{c['lowest'][0]:.2f} to {c['highest'][0]:.2f}, {c['lowest'][1]:.2f} to {c['highest'][1]:.2f}",
         percent(c["within_2"]), f"{c['largest_of_trusted']:.1f}", f"{c['trusted']}", f"{c['steps']:,.0f}")
        for c in result["cells"]
    ]  # fmt: skip
    head = ("reference, starts", "tolerance", "seeds", "rms z of means, variances", "perfect samplers, 99.9 %",
            "within 2", "largest error in reported ones", "trusted", "gradients a replica, median")  # fmt: skip
    steps = {(c["reference"], c["tolerance"]): c["steps"] for c in result["cells"] if c["start"] == "prior"}
    nuts = [
        (n["reference"].replace("_", "-"), n["tolerance"], human(128 * steps[n["reference"], n["tolerance"]]),
         f"{steps[n['reference'], n['tolerance']]:,.0f}", human(n["gradients"]),
         "" if n["warm_up"] is None else human(n["warm_up"]))
        for n in result["nuts"]
    ]  # fmt: skip
    told = ("reference", "tolerance", "ours, all 128 replicas", "ours, one after another", "NUTS, draws",
            "NUTS, warm-up of 1,000 draws, a chain")  # fmt: skip
    each = "; ".join(f"tolerance {t}: {pair(v)}" for t, v in result["pooled_by_tolerance"].items())
    parts = (where(result), f"Pooled: **{pair(result['pooled'])}** ({each}).", markdown(head, cells),
             "Gradients, from the prior, for the same error at the worst input:", markdown(told, nuts))  # fmt: skip
    return "\n\n".join(parts)


def tuned_cost(result: Result) -> str:
    """Gradients of a replica, tuned and by hand."""
    rows = [
        (f"{r['reference'].replace('_', '-')}, {r['start']}", r["tolerance"], f"{r['tuned']:,.0f}",
         *(("none works", "", "") if r["cost"] is None else
           (f"{r['burn_in']:,}", f"{r['by_hand']:,}", f"{100 * r['cost']:+.0f} %")))
        for r in result["rows"]
    ]  # fmt: skip
    head = ("reference, starts", "tolerance", "tuned", "shortest burn-in by hand", "by hand, whole", "tuning costs")
    return "\n\n".join((where(result), markdown(head, rows)))


def tuned_table(result: Result) -> str:
    """A row for each target and method."""
    number = lambda v: "" if v is None else f"{v:.3f}"  # noqa: E731
    rows = []
    for r in result["rows"]:
        reached = r.get("ended") == "tolerance"
        state = "trusted" if r.get("trusted") else "not trusted" if reached else "not reached"
        batch = f", minibatches of {r['minibatch']}" if r["minibatch"] else ""
        bias = "" if r.get("bias") is None else f"{r['bias']:.2f} +- {r['bias_error']:.2f}"
        rows.append((
            r["subject"], r["method"] + batch, state, f"{r.get('gradients', 0):,.0f}", f"{r['seconds']:.0f}",
            number(r.get("reported")), bias, number(r.get("true_rms")), number(r.get("true_largest")),
        ))  # fmt: skip
    head = ("target", "method", "", "passes over the data, a replica", "s", "reported", "stepsize bias", "true, rms",
            "true, largest")  # fmt: skip
    return "\n\n".join((where(result), markdown(head, rows)))


TABLES: dict[str, Callable[[Result], str]] = {
    "answer": answer, "pbp": pbp, "bde": bde, "mnist": mnist, "mnist_speed": mnist_speed, "scale": scale,
    "scale_beyond": scale_beyond, "eight": eight, "eight_first": eight,
    "tuned_truth": tuned_truth, "tuned_cost": tuned_cost, "tuned_table": tuned_table,
    "compare": compare, "memory": memory, "scaling": scaling, "breakdown": breakdown, "observers": observers,
    "deep": deep, "sharding": sharding, "paper": paper,
    "lmv_fig14": lmv_fig14, "lmv_fig8": lmv_fig8, "lmv_depth": lmv_depth, "gpu_check": gpu_check,
    "tabular_airfoil": tabular, "tabular_bikesharing": tabular,
}  # fmt: skip


HOW = (
    {f"tabular_{name}": f"tabular {name}.csv" for name in ("airfoil", "bikesharing")}
    | {f"tuned_{name}": f"tuned {name}" for name in ("truth", "cost", "table")}
    | {"paper": "device.paper kernels.json --save", "mnist_speed": "mnist --speed", "scale_beyond": "scale"}
)
"""Commands of results that are not called as their module is."""


SOURCES = {"scale_beyond": "scale"}
"""Files of tables that are not called as they are."""
PAGES = (README, README.parents[1] / "docs" / "scale.md")


def filled(text: str, folder: Path = RESULTS) -> str:
    """`text` with every table made anew."""

    def table(found: re.Match[str]) -> str:
        name = found[1]
        path = folder / f"{SOURCES.get(name, name)}.json"
        body = (
            TABLES[name](json.loads(path.read_text()))
            if path.exists()
            else f"Not measured yet: `python -m bench.{HOW.get(name, name)}`."
        )
        return f"<!-- table: {name} -->\n{body}\n<!-- end -->"

    return re.sub(r"<!-- table: (\w+) -->\n.*?<!-- end -->", table, text, flags=re.DOTALL)


def main() -> None:
    """Rewrite the pages."""
    for page in PAGES:
        page.write_text(filled(page.read_text()))
        print(f"written: {page}")


if __name__ == "__main__":
    main()
