"""diagnose: may the averages of a run be trusted? Numbers per ensemble, and verdicts in plain words."""

import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from gpu_thermo.averages.claims import claim
from gpu_thermo.averages.ensembles import chain_status, ensemble_labels
from gpu_thermo.averages.held_out import held_out, sentence
from gpu_thermo.averages.predictive import opened, scores_on_test
from gpu_thermo.averages.trees import Run, names_damage
from gpu_thermo.errors import SpecError, Status, StoreError
from gpu_thermo.spec.reports import read_reports
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.tuning.lost import ENOUGH, NEVER
from gpu_thermo.tuning.told import Told
from gpu_thermo_analysis.agreement import converged, convergence_verdicts
from gpu_thermo_analysis.convergence import Convergence
from gpu_thermo_analysis.cost import cost, lines
from gpu_thermo_analysis.multimodal_draws import Counted, counted_draws, visits_verdict
from gpu_thermo_analysis.temperatures import (
    Temperature,
    configurational_verdict,
    kinetic_verdict,
    partition_temperatures,
)
from gpu_thermo_analysis.verdicts import Diagnosis, EnsembleDiagnosis, Verdict

_PROPER = ("nll", "brier", "ece")
"""Scores that stand beside the calibration."""
TOLERANCE, LOST = "tolerance", "lost chains"
"""Topics of what a run that tunes itself says of its averages, and of chains that are lost."""
MOST_FROZEN, LEAST_ACCEPTED, WEIGHT_ESS_LIMIT = 0.1, 0.3, 0.1
"""Share of chains that may freeze; acceptance, and effective share of weighted draws, below which a verdict fails."""


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


@dataclass(frozen=True)
class _Seen:
    """What the draws of an ensemble say; nothing where none count."""

    verdicts: tuple[Verdict, ...] = ()
    convergence: Convergence | None = None
    temperatures: tuple[Temperature, ...] = ()
    weight_ess: float = math.nan


def _diagnose_one(tree: xr.DataTree, spec: RunSpec, ensemble: int, chains: np.ndarray) -> EnsembleDiagnosis:
    stats = tree["sample_stats"].to_dataset()
    all_status, all_steps = chain_status(stats)
    status, steps = all_status[chains], all_steps[chains]
    running = chains[status == Status.RUNNING]
    tuned = spec.run.tolerance is not None
    verdicts = [*_tuned_verdict(tree), *_frozen_verdict(steps, status), *_acceptance_verdict(stats, running)]
    verdicts += [] if tuned else _still_verdict(stats, running)
    every = tree["sample_stats_rungs"].to_dataset() if "sample_stats_rungs" in tree.children else None
    counted = counted_draws(stats, spec, running, every)
    seen = _of_draws(tree, spec, ensemble, running, counted)
    verdicts += seen.verdicts
    thin = float(stats["thin"].to_numpy()[chains[0]]) if "thin" in stats.coords else None
    spent = cost(tree, spec, seen.convergence, len(chains), thin)
    if spent:
        verdicts.append(Verdict("cost", None, lines(spent)))
    if tuned:  # its verdict weighs every error; fixed limits only inform
        verdicts = [v if v.topic in (TOLERANCE, LOST) else replace(v, passed=None) for v in verdicts]
    return EnsembleDiagnosis(
        ensemble, len(chains), len(chains) - len(running), stats.sizes["draw"], seen.convergence, seen.temperatures,
        seen.weight_ess, tuple(verdicts), counted.label, ensemble_labels(stats)[ensemble], cost=spent,
    )  # fmt: skip


def _of_draws(tree: xr.DataTree, spec: RunSpec, ensemble: int, running: np.ndarray, counted: Counted) -> _Seen:
    """Convergence, weights, moves and temperatures of the draws that count."""
    stats = tree["sample_stats"].to_dataset()
    if not len(running):
        return _Seen()
    if not counted.chain.size:
        text = (
            "No whole ladder is left, or none met its target rung often enough to judge: gpu-thermo info says what"
            " froze."
        )
        return _Seen((Verdict("target rung", False, text),))
    found, weight_ess = converged(tree, spec, counted), math.nan
    verdicts = convergence_verdicts(found, spec)
    weighted = "log_weight" in stats and counted.visits is None
    if weighted:
        weight_ess, verdict = _weights(stats["log_weight"].transpose("chain", "draw").to_numpy()[running])
        verdicts.append(verdict)
    verdicts += _moves_verdicts(stats, counted, ensemble)
    temperatures = partition_temperatures(tree, counted, int(stats["dataset"].to_numpy()[running[0]]))
    for t in temperatures:
        judged = kinetic_verdict(t, spec, f"thermostat_{t.partition}" in stats.coords)
        verdicts.append(Verdict(f"kinetic temperature of {t.partition}", *judged))
    verdicts.append(Verdict("configurational temperature", *configurational_verdict(temperatures, spec, weighted)))
    return _Seen(tuple(verdicts), found, tuple(temperatures), weight_ess)


def _tuned_verdict(tree: xr.DataTree) -> list[Verdict]:
    """What a run that tunes itself says of its averages; nothing for others."""
    if "tuning" not in tree.children or "course" not in tree["tuning"].attrs:
        return []
    try:
        told = Told.of(tree["tuning"].attrs)
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


def _weights(log_weight: np.ndarray) -> tuple[float, Verdict]:
    """Effective sample size (sum w)^2 / sum w^2 of importance weights [chain, draw]."""
    values = log_weight[~np.isnan(log_weight)]
    w = np.exp(values - values.max()) if np.isfinite(values).any() else np.zeros(1)
    ess = float(w.sum() ** 2 / max((w * w).sum(), 1e-300))
    share = ess / max(1, len(values))
    left = f"Importance weights leave {ess:.0f} effective of {len(values)} draws ({share:.0%})."
    text = f"{left} R-hat and ESS above are of unweighted chains."
    return ess, Verdict("importance weights", share >= WEIGHT_ESS_LIMIT, text)
