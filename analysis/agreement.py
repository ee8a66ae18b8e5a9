"""Do chains agree, have they forgotten their starts, are draws enough: verdicts on the convergence of a run."""

import math
from dataclasses import replace

import numpy as np
import xarray as xr

from gpu_thermo.averages.predictive import choices_of
from gpu_thermo.spec.run import RunSpec
from gpu_thermo_analysis.convergence import (
    ESS_LIMIT,
    MIN_DRAWS,
    RHAT_LIMIT,
    SETTLED,
    Convergence,
    convergence,
    used_chains,
)
from gpu_thermo_analysis.multimodal_draws import Counted
from gpu_thermo_analysis.verdicts import Verdict


def converged(tree: xr.DataTree, spec: RunSpec, counted: Counted) -> Convergence | None:
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


def convergence_verdicts(c: Convergence | None, spec: RunSpec) -> list[Verdict]:
    """Whether chains agree, nested R-hat and effective draws; or what is missing to say so."""
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
