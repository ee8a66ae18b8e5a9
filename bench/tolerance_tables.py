"""Tables of runs with a tolerance: whether their errors are true, what tuning costs, target by target."""

from .common import human
from .marks import Result, markdown, percent, where


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
    """Gradients of a replica, tuned and by hand; older results do not have the last column."""
    share = lambda v: "" if v is None else f"{100 * v:+.0f} %"  # noqa: E731
    rows = [
        (f"{r['reference'].replace('_', '-')}, {r['start']}", r["tolerance"], f"{r['tuned']:,.0f}",
         *(("none works", "", "", "") if r["cost"] is None else
           (f"{r['burn_in']:,}", f"{r['by_hand']:,}", share(r["cost"]), share(r.get("cost_to_tolerance")))))
        for r in result["rows"]
    ]  # fmt: skip
    head = ("reference, starts", "tolerance", "tuned", "shortest burn-in by hand", "by hand, as many draws",
            "tuning costs", "against draws for the tolerance alone")  # fmt: skip
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
