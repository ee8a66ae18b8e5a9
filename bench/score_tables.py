"""Tables of how good answers are: accuracies, scores beside published ones, time until they are right."""

from typing import Any

from .common import human
from .marks import Result, markdown, percent, where


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
    problems = list(dict.fromkeys(problem for problem, _ in cells))
    in_order = sorted(cells, key=lambda key: (problems.index(key[0]), not key[1].startswith("ours")))
    for problem, contender in in_order:
        of = cells[problem, contender]
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
