"""Numbers of benchmarks that pages tell are those of bench/results and of the gallery; a wrong digit is found."""

import csv
import json
import re
from statistics import mean, median

import pytest
from site_pages import ROOT

from bench import tables
from bench.eight_table import as_one, beside_linear
from bench.eight_table import ranks as ranks_of

RESULTS = ROOT / "bench" / "results"
FIG8 = {
    "SGD": "SGD h .1", "Adam": "Adam h .005", "SGLD": "SGLD h .1 sigma .1", "AdLaLa, gamma .5": "AdLaLa gamma .5",
    "AdLaLa, gamma 10": "AdLaLa gamma 10",
}  # fmt: skip


def result(name):
    return json.loads((RESULTS / f"{name}.json").read_text())


def page(name):
    """Its text with line ends as spaces."""
    return " ".join((ROOT / name).read_text().split())


def said_of_fig8():
    """Sentences of pages, with the numbers of `bench.lmv_fig8`."""
    found = result("lmv_fig8")["methods"]
    sgd, adam, adlala = (f"{found[FIG8[name]]['mean']:.1f} %" for name in ("SGD", "Adam", "AdLaLa, gamma .5"))
    for name, of in FIG8.items():
        f = found[of]
        yield "README.md", (
            f"| {name} | {f['published']:g} % | {f['mean']:.1f} +- {f['standard_error']:.1f} % |"
        )  # fmt: skip
    most = max(found[FIG8[name]]["standard_error"] for name in ("SGD", "Adam", "AdLaLa, gamma .5"))
    yield (
        "docs/explain/partition.md",
        (
            f"SGD {sgd}, Adam {adam}, and `adlala` {adlala} at friction .5, with standard errors of"
            f" {most:.1f} % at most".replace(" 0.", " .")
        ),
    )
    yield "docs/explain/temperatures.md", f"`adlala` comes to {adlala}, Adam to {adam} (`python -m bench.lmv_fig8`)"


def said_of_eight():
    """Of the estimators beside others."""
    rows = as_one([row for row in result("eight")["rows"] if "failed" not in row])
    ranks = {name: mean(rank for _, rank in ranks_of(rows, name)) for name in {row["model"] for row in rows}}
    assert min(ranks, key=ranks.get) == "BayesianMLP"
    ours, networks, boosting = (f"{ranks[name]:.1f}" for name in ("BayesianMLP", "MLP ensemble", "boosting"))
    seconds = median(row["seconds"] for row in rows if row["model"] == "BayesianMLP")
    models = {8: "eight"}[len(ranks)]
    yield (
        "README.md",
        (
            f"the best mean rank by likelihood of {models} models ({ours}; five networks {networks}, boosting"
            f" {boosting}), in {seconds:.1f} s a fit"
        ),
    )
    gaps = beside_linear(rows, "BayesianMLP")
    worse = [
        f"`{name}` ({gaps[name][0]:.3f} +- {gaps[name][1]:.3f})".replace("0.", ".")
        for name in ("breast cancer", "wine")
    ]
    yield "bench/README.md", f"worse on {worse[0]} and {worse[1]}"


def said_of_turns():
    """Of runs that stop themselves, in one launch and one after another."""
    well, *networks = (case["clock"]["takes less by"]["median"] for case in result("turns")["cases"].values())
    longer = sorted(1 / ratio for ratio in networks)
    yield "docs/studies.md", f"take **{well:.2f} times less in one launch**"
    yield "docs/studies.md", f"take {longer[0]:.2f} to {longer[-1]:.2f} times *longer*"


def short(value):
    """As pages write it: .98, 1.01."""
    return f"{value:.2f}".removeprefix("0")


def said_of_truth():
    """Sentences with the numbers of `bench.tuned truth`."""
    found = result("tuned_truth")
    cells, (means, variances) = found["cells"], map(short, found["pooled"])
    runs, trusted = sum(c["seeds"] for c in cells), sum(c["trusted"] for c in cells)
    largest = max(c["largest_of_trusted"] for c in cells)
    yield (
        "docs/explain/tuning.md",
        (
            f"{runs} runs: errors over reported errors have a root mean square of {means} for means and {variances}"
            f" for variances, {trusted} runs were trusted, and no mean of a trusted run was more than"
            f" {largest:.1f} reported"
        ),
    )
    yield (
        "docs/equations.md",
        (
            f"Pooled over all {runs} runs: **{means}, {variances}**; {trusted} are trusted, and the largest error of a"
            f" mean in a trusted run is {largest:.1f} reported ones"
        ),
    )
    names = {"heteroscedastic": "1-6-6, heteroscedastic", "student": "1-8-1, student_t"}
    for tight, loose in ((c, d) for c in cells for d in cells if c["tolerance"] == 0.02 and d["tolerance"] == 0.05):
        if (tight["reference"], tight["start"]) == (loose["reference"], loose["start"]):
            name = next((told for part, told in names.items() if part in tight["reference"]), None)
            name = name or tight["reference"].replace("_", "-")
            told = [f"{', '.join(map(short, c['rms']))} | {c['steps']:,.0f} | {c['trusted']}" for c in (loose, tight)]
            start = {"prior": "prior", "he": "He"}[tight["start"]]
            yield "docs/equations.md", f"| {name} | {start} | {told[0]} | {told[1]} |"


def said_of_temperatures():
    """What `gpu-thermo figure temperatures` found of hidden layers: means over the second half of the run."""
    with (ROOT / "analysis" / "gallery" / "temperatures.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["partition"] == "hidden" and int(row["step"]) > 10_000]
    lala, adlala = (
        f"{mean(float(r['mean']) / float(r['asked']) for r in rows if r['group'] == group):.3g}"
        for group in ("LaLa", "AdLaLa")
    )
    yield (
        "docs/explain/thermostats.md",
        (f"asked for is {lala} for `lala` (friction .1) and {adlala} for `adlala`".replace(" 0.", " .")),
    )


SAID = [*said_of_fig8(), *said_of_truth(), *said_of_eight(), *said_of_turns(), *said_of_temperatures()]


@pytest.mark.parametrize(("name", "sentence"), SAID, ids=[f"{name} {i}" for i, (name, _) in enumerate(SAID)])
def test_a_page_says_what_was_measured(name, sentence):
    assert sentence in page(name)
    digit = re.search(r"\d", sentence)[0]
    assert sentence.replace(digit, str((int(digit) + 1) % 10)) not in page(name)  # or it would prove nothing


@pytest.mark.parametrize("path", tables.PAGES, ids=lambda path: path.name)
def test_tables_are_made_of_the_results(path):
    """As `python -m bench.tables` writes them."""
    assert tables.filled(path.read_text()) == path.read_text()
