"""Ensembles against alternatives on real data: accuracy or RMSE, NLL, calibration and out-of-distribution detection,
with standard errors.

The usual protocol of the UCI sets (Hernandez-Lobato and Adams 2015): one hidden layer of 50 relu units, 20 random
splits into 90 % for training and 10 % for testing, scores averaged over splits. The splits are by seed, the same for
every contender, and not stratified.
Splits share rows, so that a standard error over splits is smaller than the uncertainty about new data; contenders are
compared in pairs.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from gpu_thermo.averages.predictive import predict, restored_data, scores_on_test
from gpu_thermo.averages.scores import ood_auroc
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.study.statistics import paired_differences, summarise
from gpu_thermo_analysis.convergence import convergence
from gpu_thermo_analysis.drawing import NotWrittenError
from gpu_thermo_analysis.paper.rows import Claim
from gpu_thermo_analysis.study_figures import Drawn, panels, styled
from gpu_thermo_analysis.style import class_colour

Tree = dict[str, Any]
SPLITS = 20
TEST_FRACTION = 0.1
HIDDEN = 50
PRIOR_SD = 1.0
DATA: Mapping[str, Tree] = {
    "breast_cancer": {"run": {"batch": 100}}, "wine": {"run": {"minibatch": "full"}}, "digits": {"run": {"batch": 100}},
    "diabetes": {"run": {"minibatch": "full"}, "model": {"noise_sd": 0.7}},
}  # fmt: skip
"""Data sets and what they need: all points at once where that is cheap; the noise sd of diabetes is that of a
least-squares fit."""
SCORES = ("error", "nll", "calibration", "shuffled", "far")
"""error: 1 - accuracy, or RMSE in the target's units. calibration: ECE (15 bins), or the mean gap between nominal and
found coverage."""
TITLES = {
    "error": "test error (RMSE for diabetes)", "nll": "negative log-likelihood (nats)",
    "calibration": "calibration error",
    "shuffled": "AUROC, shuffled features", "far": "AUROC, far inputs",
}  # fmt: skip
LEVELS = np.arange(0.1, 0.95, 0.1)
FAR = 3.0


@dataclass(frozen=True)
class Contender:
    """One way to make predictions: a method, how many networks of it, and how long.

    Attributes
    ----------
    members : chains of each split. steps, burn_in, thin : as in [run]. prior : whether U has the Gaussian prior (for
    Adam: MAP).
    """

    label: str
    method: Tree
    members: int = 10
    steps: int = 6_000
    burn_in: int = 2_000
    thin: int = 100
    prior: bool = True

    @property
    def averages(self) -> bool:
        """Whether there is more than one network, and so a spread to speak of."""
        return self.members > 1 or self.steps - self.burn_in > self.thin


def _adam(label: str, members: int, steps: int, prior: bool = False) -> Contender:
    return Contender(label, {"name": "adam", "stepsize": 0.005}, members, steps, 0, steps, prior)


def _bayes(label: str, name: str, temperature: float = 1.0, **rest: Any) -> Contender:
    return Contender(label, {"name": name, "stepsize": 0.1, "posterior_temperature": temperature, **rest})


CONTENDERS = (
    _adam("Adam, one network", 1, 500), _adam("Adam, 10 networks", 10, 500), _adam("Adam, 10 networks, long", 10, 3000),
    _adam("Adam, 10 networks, prior", 10, 3000, True),
    _bayes("SGLD, T 1", "sgld"),
    *(_bayes(f"Langevin, T {t:g}", "langevin", t, friction=0.1) for t in (1.0, 0.1, 0.01)),
    _bayes("LOL, T 1", "lol", friction={"hidden": 0.1, "output": math.inf}),
    _bayes("AdLaLa, T 1", "adlala", friction=0.1, sigma=0.01, epsilon=0.1),
    Contender("LOL, LMV's tau", {"name": "lol", "stepsize": 0.1}),
    Contender("AdLaLa, LMV's tau", {"name": "adlala", "stepsize": 0.1}),
)  # fmt: skip
REFERENCE = "Adam, 10 networks"
OURS = (
    "one hidden layer of 50 relu units, 20 splits by seed into 90 % and 10 %, standardised by the training part; no"
    " setting was tuned on any of these data. Means and standard errors over splits; * and x: NLL clearly below or"
    " above that of Adam's 10 networks (paired by split, Holm). Adam: rate .005, 500 steps; long and with the prior"
    " 3,000. Others: Gaussian prior of sd 1, h .1, friction .1, 10 chains of 40 draws after 2,000 steps of burn-in, 100"
    " steps apart; T 1 is the Bayes posterior. Out-of-distribution detection by mutual information (diabetes: epistemic"
    " variance): `shuffled` permutes every feature of the test inputs by itself, `far` are normal inputs of three times"
    " the training sd. Calibration: ECE (15 bins); diabetes: mean gap between nominal and found coverage"
)


@dataclass(frozen=True)
class Case:
    """One contender on one data set: `id` names its file."""

    id: str
    data: str
    contender: Contender
    spec: Tree


def cases(scale: float = 1.0) -> Iterator[Case]:
    """All runs of the comparison; less than full size has that share of the splits (2 at least) and of the steps."""
    splits = max(2, round(SPLITS * scale))
    for data in DATA:
        for contender in CONTENDERS:
            slug = "".join(c if c.isalnum() else "-" for c in contender.label.lower()).replace("--", "-").strip("-")
            yield Case(f"{data}-{slug}", data, contender, spec_of(data, contender, splits, scale))


def spec_of(data: str, contender: Contender, splits: int = SPLITS, scale: float = 1.0) -> Tree:
    """The run of one contender on all splits of one data set: an ensemble for each split."""
    thin = max(1, round(contender.thin * scale))
    draws, burn_in = (contender.steps - contender.burn_in) // contender.thin, round(contender.burn_in * scale)
    steps = burn_in + draws * thin
    prior = {"prior_sd": PRIOR_SD} if contender.prior else {}
    return {
        "data": {"name": data, "test_fraction": TEST_FRACTION, "seeds": list(range(splits))},
        "model": {"hidden": HIDDEN, "init": "pytorch", **DATA[data].get("model", {}), **prior},
        "method": contender.method,
        "run": {"replicas": contender.members * splits, "steps": steps, "burn_in": burn_in, "thin": thin,
                "trace": steps, **DATA[data]["run"]},
    }  # fmt: skip


# -- scores ------------------------------------------------------------------------------------------------------------


def score(run: xr.DataTree, contender: Contender) -> dict[str, list[float]]:
    """Scores of a run, one number for each split (NaN where there is none), and R-hat of its predictions.

    Out of distribution are: `shuffled`, the split's own test inputs with each feature permuted among them by itself, so
    that every feature keeps its values and loses its company; `far`, as many inputs with independent normal features of
    the training mean and three times the training sd. The detector is the mutual information, for regression the
    epistemic variance.
    """
    data, found = restored_data(run), scores_on_test(run)
    scales: Any = data.standardisation
    ensembles = run["sample_stats"]["ensemble"].to_numpy()
    out: dict[str, list[float]] = {name: [] for name in (*SCORES, "rhat")}
    for e in np.unique(ensembles):
        d = int(run["sample_stats"]["dataset"].to_numpy()[ensembles == e][0])
        inside = data.x_test[d].astype(np.float64) * scales.sd[d] + scales.mean[d]
        one = _scores_of_split(run, int(e), inside, (scales.mean[d], scales.sd[d]), d, contender.averages)
        mine = found.get(int(e), {})
        one["error"] = mine["rmse"] if "rmse" in mine else 1 - mine.get("accuracy", math.nan)
        one["nll"] = mine.get("nll", math.nan)
        one["calibration"] = mine.get("ece", one["calibration"])
        one["rhat"] = (
            _rhat(run, np.flatnonzero(ensembles == e))
            if contender.steps - contender.burn_in > contender.thin
            else math.nan
        )
        for name, values in out.items():
            values.append(float(one[name]))
    return out


def _scores_of_split(
    run: xr.DataTree, ensemble: int, inside: np.ndarray, scale: tuple[np.ndarray, np.ndarray], seed: int, averages: bool
) -> dict[str, float]:
    """Detection of the two kinds of outside points, and calibration of a regression."""
    random = np.random.default_rng(seed)
    shuffled = random.permuted(inside, axis=0)
    far = scale[0] + FAR * scale[1] * random.standard_normal(inside.shape)
    inner, *outer = (predict(run, x, ensemble) for x in (inside, shuffled, far))
    out = {
        name: ood_auroc(_unsure(inner), _unsure(o)) if averages else math.nan
        for name, o in zip(("shuffled", "far"), outer, strict=True)
    }
    return out | {
        "calibration": coverage_gap(_standardised(run, inner, seed)) if "total_variance" in inner else math.nan
    }


def _unsure(answer: xr.Dataset) -> np.ndarray:
    """Epistemic uncertainty of each point."""
    return (
        answer["mutual_information"] if "mutual_information" in answer else answer["variance"].sum("output")
    ).to_numpy()


def _standardised(run: xr.DataTree, answer: xr.Dataset, dataset: int) -> np.ndarray:
    """Test targets less their predictions, over the predictions' total sd."""
    constant = run["constant_data"].to_dataset()
    y = (
        constant["y_test"].to_numpy()[dataset] * constant["target_sd"].to_numpy()[dataset]
        + constant["target_mean"].to_numpy()[dataset]
    )
    return (y.reshape(answer["mean"].shape) - answer["mean"].to_numpy()) / np.sqrt(answer["total_variance"].to_numpy())


def coverage_gap(z: np.ndarray) -> float:
    """Mean over nominal levels 10 % to 90 % of |share of standardised residuals inside the central normal interval -
    level|.
    """
    from scipy.special import erfinv

    return float(np.mean([abs((np.abs(z) <= math.sqrt(2) * erfinv(level)).mean() - level) for level in LEVELS]))


def _rhat(run: xr.DataTree, chains: np.ndarray) -> float:
    """Largest R-hat of the predictions at the probes (equations.md section 10)."""
    values = run["probes"]["predictions"].isel(chain=chains).transpose("chain", "draw", "probe", "output").to_numpy()
    known = RunSpec.from_json(run.attrs["spec"]).model.noise_sd
    scale = known if isinstance(known, float) else 1.0
    return convergence(values.reshape(*values.shape[:2], -1), scale, None).rhat


# -- results on disk ---------------------------------------------------------------------------------------------------


def result_path(folder: Path, case: Case) -> Path:
    """Where a case's scores are kept."""
    return folder / "ensembles" / f"{case.id}.json"


def is_done(folder: Path, case: Case) -> bool:
    """Whether the scores of exactly this run are there."""
    try:
        return bool(
            json.loads(result_path(folder, case).read_text(encoding="utf-8"))["spec"]
            == RunSpec.from_dict(case.spec).to_json()
        )
    except (OSError, ValueError, KeyError):
        return False


def write_result(folder: Path, case: Case, scores: Mapping[str, list[float]], seconds: float) -> None:
    """Keep a case's scores."""
    path = result_path(folder, case)
    record = {"data": case.data, "contender": case.contender.label, "seconds": seconds, "scores": dict(scores)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            json.dumps(record | {"spec": RunSpec.from_dict(case.spec).to_json()}, indent=1) + "\n", encoding="utf-8"
        )
    except OSError as error:
        raise NotWrittenError(f"Cannot write {path}: {error.strerror or error}.") from None


@dataclass(frozen=True)
class Results:
    """values[data][contender][score] is [split]; `seconds` of all runs together."""

    values: dict[str, dict[str, dict[str, np.ndarray]]] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def splits(self) -> int:
        """Splits of each data set."""
        return len(next(iter(next(iter(self.values.values())).values()))["error"])


def read_results(folder: Path, scale: float = 1.0) -> Results:
    """The scores of all cases that are done."""
    values: dict[str, dict[str, dict[str, np.ndarray]]] = {}
    seconds = 0.0
    for case in cases(scale):
        if is_done(folder, case):
            record = json.loads(result_path(folder, case).read_text(encoding="utf-8"))
            values.setdefault(case.data, {})[case.contender.label] = {
                k: np.array(v, np.float64) for k, v in record["scores"].items()
            }
            seconds += record["seconds"]
    return Results(values, seconds)


# -- tables and pictures -----------------------------------------------------------------------------------------------

COLUMNS = ("data", "contender", "error", "NLL", "calibration", "AUROC shuffled", "AUROC far", "R-hat")


def table(results: Results) -> list[list[str]]:
    """Mean and standard error over splits of every score; a star where the NLL is clearly below that of REFERENCE, a
    cross where above.
    """
    marks = _marks(results)
    rows = []
    for data, contenders in results.values.items():
        for label, scores in contenders.items():
            cells = [_cell(scores[name], 100 if name == "error" and data != "diabetes" else 1) for name in SCORES]
            cells[1] += marks.get((data, label), "")
            rhat = np.median(scores["rhat"])
            rows.append([data, label, *cells, "-" if np.isnan(rhat) else f"{rhat:.2f}"])
    return rows


def _cell(values: np.ndarray, unit: float) -> str:
    s = summarise(values * unit)
    if s.count == 0:
        return "-"
    digits = max(0, 1 - math.floor(math.log10(s.error))) if s.error > 0 else 3
    shown = f"{s.mean:.{min(digits, 4)}f} +- {s.error:.{min(digits, 4)}f}"
    return shown + (" %" if unit == 100 else "") + (f" ({s.count} of {s.attempted})" if s.missing else "")


def _marks(results: Results) -> dict[tuple[str, str], str]:
    out = {}
    for data, contenders in results.values.items():
        groups = {label: _worst_where_missing(scores["nll"]) for label, scores in contenders.items()}
        if REFERENCE in groups:
            for c in paired_differences(groups, [(label, REFERENCE) for label in groups if label != REFERENCE]):
                if c.clear:
                    below = c.wins < 0.5 if c.test == "sign" else c.difference < 0
                    out[data, c.first] = " *" if below else " x"
    return out


def _worst_where_missing(values: np.ndarray) -> np.ndarray:
    """A split without a score is worse than any that has one; nothing is said of a contender that has none at all."""
    return np.where(np.isnan(values) & np.isfinite(values).any(), np.inf, values)


def claims(results: Results) -> list[Claim]:
    """Whether sampling at T 1 has the lower NLL: on how many data sets clearly so, by the table's marks."""
    marks, out = _marks(results), []
    for better in ("Langevin, T 1", "AdLaLa, T 1", "LOL, T 1"):
        found = [
            marks.get((data, better), "").strip() for data, contenders in results.values.items() if better in contenders
        ]
        if not found:
            continue
        wins, losses = found.count("*"), found.count("x")
        evidence = f"clearly on {wins} of {len(found)} data sets, clearly higher on {losses}"
        out.append(
            Claim(
                f"{better} has a lower NLL than Adam's 10 networks", evidence, wins > losses if wins != losses else None
            )
        )
    return out


SHOWN = ("error", "nll", "shuffled")
"""Scores in the picture; all of them are in its table."""
FAMILIES = ("Adam", "SGLD", "Langevin", "LOL", "AdLaLa")
"""What labels begin with, each with a colour of its own."""


@styled
def draw(results: Results) -> Drawn:
    """Mean and standard error of the scores SHOWN: a row of panels for each data set, a line for each contender, which
    has the colour of its family; dashed, where REFERENCE is. All scores are among the numbers.
    """
    figure, axes = panels(len(results.values) * len(SHOWN), 2.6, 2.3, sharey=False, across=len(SHOWN))
    numbers: list[tuple[Any, ...]] = []
    for k, (data, contenders) in enumerate(results.values.items()):
        found = {label: {n: summarise(scores[n]) for n in SCORES} for label, scores in contenders.items()}
        numbers += [
            (data, label, n, s.count, s.mean, s.error) for label, each in found.items() for n, s in each.items()
        ]
        for panel, name in zip(axes[k * len(SHOWN) :], SHOWN, strict=False):
            _panel(panel, {label: (each[name].mean, each[name].error) for label, each in found.items()})
            if k == 0:
                panel.set_title(TITLES[name])
            if name == SHOWN[0]:
                panel.set_yticks(range(len(found), 0, -1), list(found))
                panel.set_ylabel(data.replace("_", " "), fontweight="bold")
    return Drawn(figure, ("data", "contender", "score", "splits", "mean", "standard_error"), numbers)


def _panel(panel: Any, found: Mapping[str, tuple[float, float]]) -> None:
    """One score of all contenders on one data set: label -> (mean, standard error)."""
    for i, (label, (mean, error)) in enumerate(found.items()):
        family = next((f for f, name in enumerate(FAMILIES) if label.startswith(name)), len(FAMILIES))
        at = len(found) - i
        if i % 2 == 0:
            panel.axhspan(at - 0.5, at + 0.5, color="0.95", lw=0, zorder=0)
        panel.errorbar(mean, at, xerr=error, fmt="o", ms=4.5, lw=1.6, color=class_colour(family))
    if REFERENCE in found:
        panel.axvline(found[REFERENCE][0], color="0.4", lw=0.8, ls="--", zorder=1)
    panel.set_yticks(range(len(found), 0, -1), [""] * len(found))
    panel.set(ylim=(0.5, len(found) + 0.5))
    panel.ticklabel_format(axis="x", useOffset=False)
    panel.locator_params(axis="x", nbins=4)
