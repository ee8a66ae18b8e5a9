"""diagnose: may the averages of a run be trusted? Numbers per ensemble, and verdicts in plain words."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import xarray as xr

from gpu_thermo.averages.claims import claim
from gpu_thermo.averages.ensembles import chain_status, ensemble_labels
from gpu_thermo.averages.held_out import held_out, sentence
from gpu_thermo.averages.predictive import choices_of, opened, scores_on_test
from gpu_thermo.averages.trees import Run, names_damage
from gpu_thermo.errors import SpecError, Status, StoreError
from gpu_thermo.spec.reports import read_reports
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.tuning.lost import ENOUGH, NEVER
from gpu_thermo.tuning.told import Told
from gpu_thermo_analysis.convergence import (
    ESS_LIMIT,
    MIN_DRAWS,
    RHAT_LIMIT,
    SETTLED,
    Convergence,
    convergence,
    used_chains,
)
from gpu_thermo_analysis.cost import cost, lines
from gpu_thermo_analysis.multimodal_draws import Counted, counted_draws, visits_verdict
from gpu_thermo_analysis.temperatures import (
    Temperature,
    configurational_verdict,
    kinetic_verdict,
    partition_temperatures,
)

_PROPER = ("nll", "brier", "ece")
"""Scores that stand beside the calibration."""
TOLERANCE, LOST = "tolerance", "lost chains"
"""Topic of what a run that tunes itself says of its averages."""
MOST_FROZEN = 0.1
LEAST_ACCEPTED = 0.3
WEIGHT_ESS_LIMIT = 0.1


@dataclass(frozen=True)
class Verdict:
    """One sentence; `passed` is None where it informs and judges nothing."""

    topic: str
    passed: bool | None
    text: str


@dataclass(frozen=True)
class EnsembleDiagnosis:
    """All about one ensemble.

    Attributes
    ----------
    chains, frozen, draws : all chains, those that froze and are left out, stored draws of each. label : chains that
    were
        judged; a ladder is one, its target rung.
    differs : in what the ensemble differs from the run's others. cost : what effective draws cost (cost.py).
    convergence : None where there are no predictions or no running chains. weight_ess : effective draws of importance
    weights, or NaN. calibration : what `held_out` says of it; empty of a potential.
    """

    ensemble: int
    chains: int
    frozen: int
    draws: int
    convergence: Convergence | None
    temperatures: tuple[Temperature, ...]
    weight_ess: float
    verdicts: tuple[Verdict, ...]
    label: str = ""
    differs: str = ""
    calibration: Mapping[str, Any] = field(default_factory=dict)
    cost: Mapping[str, float] = field(default_factory=dict)

    @property
    def trusted(self) -> bool:
        """Nothing failed, and something passed."""
        passed = [v.passed for v in self.verdicts]
        return False not in passed and True in passed

    @property
    def headline(self) -> str:
        """One line: whether to trust the averages, and what stands against it."""
        chains = self.label or f"{self.chains - self.frozen} chains"
        finished = f" of {self.chains}, the others froze" if self.frozen and not self.label else ""
        which = f"{self.differs}; " if self.differs else ""
        name = f"Ensemble {self.ensemble} ({which}{chains}{finished}, {self.draws} draws each)"
        failed = [v.topic for v in self.verdicts if v.passed is False]
        if failed:
            return f"{name}: do not trust yet: {', '.join(failed)}."
        return f"{name}: nothing speaks against its averages." if self.trusted else f"{name}: cannot be judged."


@dataclass(frozen=True)
class Diagnosis:
    """What `diagnose` found; `str()` is the report."""

    ensembles: tuple[EnsembleDiagnosis, ...]

    @property
    def trusted(self) -> bool:
        """Whether all ensembles are."""
        return all(e.trusted for e in self.ensembles)

    @property
    def lines(self) -> list[str]:
        """The report: per ensemble a headline, then its verdicts."""
        marks = {True: "ok", False: "!!", None: "--"}
        return [
            line
            for e in self.ensembles
            for line in (e.headline, *(f"  {marks[v.passed]} {v.text}" for v in e.verdicts))
        ]

    def __str__(self) -> str:
        return "\n".join(self.lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries for JSON; NaN and infinity become None and a string."""
        rows = [{**asdict(e), "trusted": e.trusted, "headline": e.headline} for e in self.ensembles]
        return {"trusted": self.trusted, "ensembles": _plain(rows)}


@names_damage
def diagnose(run: Run, ensemble: int | None = None, network: Any = None) -> Diagnosis:
    """Judge a run: convergence in function space (of a potential: of its coordinates), temperatures, frozen chains,
    weights and moves.

    On a ladder of temperatures only draws on the target rung are judged.

    Parameters
    ----------
    run
        An opened run, or the path of its store.
    ensemble
        One ensemble, or None for all.
    network
        Given again, of a run whose network was given from Python, for its calibration.

    Raises
    ------
    SpecError
        There is no such ensemble.
    StoreError
        The run has no draws yet.
    """
    tree = opened(run, "sample_stats")
    stats = tree["sample_stats"]
    if stats.sizes["draw"] == 0:
        raise StoreError("The run has no draws yet: it is still in its burn-in. Resume it, or wait.")
    of_chain = stats["ensemble"].to_numpy()
    known = np.unique(of_chain)
    if ensemble is not None and ensemble not in known:
        raise SpecError(f"There is no ensemble {ensemble} in the run. Ensembles: {known[0]} to {known[-1]}.")
    spec = RunSpec.from_json(tree.attrs["spec"])
    chosen = [int(e) for e in (known if ensemble is None else [ensemble])]
    judged = _with_scores(tree, held_out(tree, None if ensemble is None else chosen, network=network))
    found = (_diagnose_one(tree, spec, e, np.flatnonzero(of_chain == e)) for e in chosen)
    return Diagnosis(tuple(_calibrated(one, judged.get(one.ensemble, {})) for one in found))


def _with_scores(tree: xr.DataTree, judged: dict[int, dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """What was found of each ensemble, with the proper scores of its averages."""
    scores = scores_on_test(tree) if judged and "predictive" in tree.children else {}
    return {e: {k: v for k, v in scores.get(e, {}).items() if k in _PROPER} | one for e, one in judged.items()}


def _calibrated(one: EnsembleDiagnosis, found: dict[str, Any]) -> EnsembleDiagnosis:
    """With a sentence on the points held out. It judges the model, not the sampling, and so passes or fails nothing."""
    if not found:
        return one
    verdict = Verdict("calibration", None, sentence(found, found.get("ece")))
    return replace(one, calibration=found, verdicts=(*one.verdicts, verdict))


def _diagnose_one(tree: xr.DataTree, spec: RunSpec, ensemble: int, chains: np.ndarray) -> EnsembleDiagnosis:
    stats = tree["sample_stats"].to_dataset()
    all_status, all_steps = chain_status(stats)
    status, steps = all_status[chains], all_steps[chains]
    running = chains[status == Status.RUNNING]
    verdicts = [*_tuned_verdict(tree), *_frozen_verdict(steps, status), *_acceptance_verdict(stats, running)]
    tuned = spec.run.tolerance is not None
    if not tuned:
        verdicts += _still_verdict(stats, running)
    found, temperatures, weight_ess = None, [], math.nan
    every = tree["sample_stats_rungs"].to_dataset() if "sample_stats_rungs" in tree.children else None
    counted = counted_draws(stats, spec, running, every)
    if len(running) and not counted.chain.size:
        text = (
            "No whole ladder is left, or none met its target rung often enough to judge: gpu-thermo info says what"
            " froze."
        )
        verdicts.append(Verdict("target rung", False, text))
    elif len(running):
        found = _convergence(tree, spec, counted)
        verdicts += _convergence_verdicts(found, spec)
        weighted = "log_weight" in stats and counted.visits is None
        if weighted:
            weight_ess, verdict = _weights(stats["log_weight"].transpose("chain", "draw").to_numpy()[running])
            verdicts.append(verdict)
        verdicts += _moves_verdicts(stats, counted, ensemble)
        temperatures = partition_temperatures(tree, counted, int(stats["dataset"].to_numpy()[running[0]]))
        thermostats = {t.partition: f"thermostat_{t.partition}" in stats.coords for t in temperatures}
        for t in temperatures:
            verdicts.append(
                Verdict(f"kinetic temperature of {t.partition}", *kinetic_verdict(t, spec, thermostats[t.partition]))
            )
        verdicts.append(Verdict("configurational temperature", *configurational_verdict(temperatures, spec, weighted)))
    thin = float(stats["thin"].to_numpy()[chains[0]]) if "thin" in stats.coords else None
    spent = cost(tree, spec, found, len(chains), thin)
    if spent:
        verdicts.append(Verdict("cost", None, lines(spent)))
    if tuned:  # its verdict weighs every error; fixed limits only inform
        verdicts = [v if v.topic in (TOLERANCE, LOST) else replace(v, passed=None) for v in verdicts]
    return EnsembleDiagnosis(
        ensemble,
        len(chains),
        len(chains) - len(running),
        stats.sizes["draw"],
        found,
        tuple(temperatures),
        weight_ess,
        tuple(verdicts),
        counted.label,
        ensemble_labels(stats)[ensemble],
        cost=spent,
    )


def _tuned_verdict(tree: xr.DataTree) -> list[Verdict]:
    """What a run that tunes itself says of its averages; nothing for others."""
    if "tuning" not in tree.children or "course" not in tree["tuning"].attrs:
        return []
    try:
        told = Told.of({str(name): value for name, value in tree["tuning"].attrs.items()})
    except ValueError as error:
        raise claim("group tuning", f"is damaged ({error})") from None
    found = [Verdict(TOLERANCE, told.verdict.trusted, f"Averages {told.verdict.text}.")]
    if told.verdict.lost:
        text = (
            f"{told.verdict.lost} of {told.tuner.replicas} chains are lost: far outside where the others are, or"
            " without one proposal accepted. Start again; nothing that is averaged over them means anything."
        )
        found.append(Verdict(LOST, False, text))
    return found


def _moves_verdicts(stats: xr.Dataset, counted: Counted, ensemble: int) -> list[Verdict]:
    """What the draws say of a ladder, and what the moves themselves report of the ensemble or the whole run."""
    visits = (
        [] if counted.visits is None else [Verdict(*visits_verdict(counted.visits, counted.rungs, stats.sizes["draw"]))]
    )
    said = [v for report in read_reports(stats.attrs.get("moves")) for v in report.verdicts]
    return visits + [Verdict(v.topic, v.passed, v.text) for v in said if v.ensemble in (None, ensemble)]


def _frozen_verdict(steps: np.ndarray, status: np.ndarray) -> list[Verdict]:
    """How many chains froze, why, since when, and what to change."""
    causes = Counter(int(s) for s in status if s != Status.RUNNING)
    if not causes:
        return []
    frozen = sum(causes.values())
    why = "; ".join(f"{n} since step {steps[status == s].min()}: {Status(s).remedy}" for s, n in causes.most_common())
    text = f"{frozen} of {len(status)} chains froze and are left out. {why}."
    return [Verdict("frozen chains", False if frozen > MOST_FROZEN * len(status) else None, text)]


def _acceptance_verdict(stats: xr.Dataset, running: np.ndarray) -> list[Verdict]:
    """How much of what a word in braces proposed was accepted; below LEAST_ACCEPTED most steps went for nothing."""
    if "block" not in stats.coords or "acceptance" not in stats or not len(running):
        return []
    mean = float(np.nanmean(stats["acceptance"].to_numpy()[running]))
    block = int(stats["block"].to_numpy()[running].max())
    low = mean < LEAST_ACCEPTED
    text = f"Proposals of {block} {'steps' if block > 1 else 'step'} are accepted at {mean:.3g}."
    return [Verdict("acceptance", False if low else None, text + " Lower stepsize or block." * low)]


def _still_verdict(stats: xr.Dataset, running: np.ndarray) -> list[Verdict]:
    """Chains of a word in braces that never accept anything: from where they are they do not come back."""
    if "block" not in stats.coords or "acceptance" not in stats or stats.sizes["draw"] < ENOUGH:
        return []
    each = stats["acceptance"].to_numpy()[running]
    moves = np.nanmax(np.where(np.isfinite(each), each, 0.0), axis=1, initial=0.0) >= NEVER
    if moves.all() or not moves.any():
        return []
    text = (
        f"{(~moves).sum()} of {len(running)} chains are lost: none of their proposals is accepted, and they stay where"
        " they are. Start again from other starts, or with a smaller stepsize."
    )
    return [Verdict(LOST, False, text)]


def _convergence(tree: xr.DataTree, spec: RunSpec, counted: Counted) -> Convergence | None:
    """Of predictions at probes, or of a potential's coordinates; None where they were not kept."""
    values, scale = _predictions(tree) if spec.target is None else _coordinates(tree)
    if values is None:
        return None
    length, quantities = (
        counted.chain.shape[1],
        math.prod(n for d, n in values.sizes.items() if d not in ("chain", "draw")),
    )
    counted = counted.some(len(used_chains(np.arange(len(counted.chain)), length, quantities)))
    found = counted.take(values).reshape(*counted.chain.shape, -1)
    named = tree["sample_stats"].coords
    superchain = (
        named["superchain"].to_numpy()[counted.chain[:, 0]]
        if "superchain" in named and counted.visits is None
        else None
    )
    judged = convergence(found[np.isfinite(found).all(axis=(1, 2))], scale, superchain)
    constants = tree["constant_data"].sizes if "constant_data" in tree.children else {}
    return replace(judged, common_start="start" in constants and "start_chain" not in constants)


def _predictions(tree: xr.DataTree) -> tuple[xr.DataArray | None, float]:
    """Predictions at probes, and on what scale they vary."""
    if "probes" not in tree.children:
        return None, 1.0
    model = choices_of(tree)
    scale = model.noise_sd if "noise_sd" in model.likelihood.settings else 0.0 if model.likelihood.values else 1.0
    return tree["probes"].to_dataset()["predictions"], scale


def _coordinates(tree: xr.DataTree) -> tuple[xr.DataArray | None, float]:
    """Positions on a potential; on whatever scale they vary at all."""
    if "posterior" not in tree.children:
        return None, 0.0
    tensors = tree["posterior"].to_dataset().data_vars.values()
    (position,) = tensors  # a potential has one
    return position, 0.0


def _convergence_verdicts(c: Convergence | None, spec: RunSpec) -> list[Verdict]:
    topic, network = "convergence", spec.target is None
    what, where = ("predictions at probes", "function space") if network else ("coordinates", "their coordinates")
    if c is None:
        kept = "predictions" if network else "parameters"
        return [Verdict(topic, None, f'R-hat and ESS in {where} need stored {kept} (keep = ["{kept}"]).')]
    if c.draws < MIN_DRAWS or c.chains == 0:
        return [
            Verdict(
                topic,
                None,
                f"{c.draws} draws are too few for R-hat and ESS, which need {MIN_DRAWS}: resume with more draws.",
            )
        ]
    if c.settled == c.quantities:
        text = (
            f"All {c.quantities} {what} vary by less than {SETTLED:g}: chains agree, and there is no spread to"
            " speak of."
        )
        return [Verdict(topic, True, text)]
    left_out = (
        f" {c.settled} of {c.quantities} predictions vary by less than {SETTLED:g} and are left out."
        if c.settled
        else ""
    )
    if math.isnan(c.rhat):
        out = [Verdict(topic, None, f"One chain alone cannot be compared (R-hat needs two).{left_out}")]
    elif c.rhat <= RHAT_LIMIT:
        out = [Verdict(topic, True, f"Chains agree in {where} (R-hat {c.rhat:.3f} <= {RHAT_LIMIT}).{left_out}")]
    else:
        remedy = "run longer, or treat them as separate modes" + (
            "" if spec.moves else ", or let moves carry them across"
        )
        text = f"Chains disagree in {where} (R-hat {c.rhat:.3f} > {RHAT_LIMIT}): {remedy}.{left_out}"
        out = [Verdict("chains disagree", False, text)]
    return [*out, *_nested_verdict(c, spec), _ess_verdict(c, "probe" if network else "coordinate")]


def _nested_verdict(c: Convergence, spec: RunSpec) -> list[Verdict]:
    zero = spec.target is None and spec.model.init == "zero"
    if zero or c.common_start or (spec.target is not None and "start" in spec.target.start_in_force):
        place, other = "zero" if zero else "one place", "init" if spec.target is None else "start"
        text = (
            f"All chains start at {place}: no R-hat can tell whether they have forgotten it. Use another {other} to"
            " find out."
        )
        return [Verdict("shared start", None, text)]
    if math.isnan(c.nested_rhat):
        return []
    groups = f"{c.groups} groups of {c.group_size} chains"
    if c.shared_start:
        passed = c.nested_rhat <= RHAT_LIMIT
        text = (
            f"Nested R-hat {c.nested_rhat:.3f} over {groups} with one start each:"
            f" {'they have' if passed else 'not yet'} forgotten it."
        )
        return [Verdict("nested R-hat", passed, text)]
    text = (
        f"Nested R-hat {c.nested_rhat:.3f} over {groups}. Every chain has its own start, so this tells how far averages"
        f" repeat: the one over all chains to about {c.average_error:.2g} sd of the draws."
    )
    return [Verdict("nested R-hat", None, text)]


def _ess_verdict(c: Convergence, at: str) -> Verdict:
    low = min(c.ess_bulk, c.ess_tail)
    numbers = f"bulk {c.ess_bulk:.0f}, tail {c.ess_tail:.0f} of {c.chains * c.draws} draws at the worst {at}"
    if low >= ESS_LIMIT:
        return Verdict("effective draws", True, f"Enough effective draws ({numbers}).")
    text = f"Too few effective draws ({numbers}; {ESS_LIMIT} wanted): run longer or add replicas."
    return Verdict("too few effective draws", False, text)


def _weights(log_weight: np.ndarray) -> tuple[float, Verdict]:
    """Effective sample size (sum w)^2 / sum w^2 of importance weights [chain, draw]."""
    values = log_weight[~np.isnan(log_weight)]
    w = np.exp(values - values.max()) if np.isfinite(values).any() else np.zeros(1)
    ess = float(w.sum() ** 2 / max((w * w).sum(), 1e-300))
    share = ess / max(1, len(values))
    left = f"Importance weights leave {ess:.0f} effective of {len(values)} draws ({share:.0%})."
    text = f"{left} R-hat and ESS above are of unweighted chains."
    return ess, Verdict("importance weights", share >= WEIGHT_ESS_LIMIT, text)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value
