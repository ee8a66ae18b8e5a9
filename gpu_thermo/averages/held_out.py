"""Whether the predictions of a run are right about the points held out, in a few numbers for people and tables: how
often intervals hold the answer, how probability integral transforms spread, CRPS; of classes how far probabilities are
from frequencies (equations.md section 9).
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import xarray as xr

from ..errors import SpecError
from ..targets.likelihoods import classes_of
from .calibration import calibration
from .draws import Scales
from .predictive import choices_of, data_names, model_of
from .scores import chance_error
from .trees import Run, names_damage, opened

MOST_POINTS, MOST_DRAWS = 2_000, 200
"""Held-out points (as many as `gpu-thermo fit` holds out at most) and draws that are looked at unless asked for more,
spread evenly: a second or two.
"""
MOST_ENSEMBLES = 20
"""Ensembles that are judged, the first ones: of more a table is no reading."""
SURE = 3.0
"""Standard errors from which on a coverage is called too small or too large."""


@names_damage
def held_out(
    run: Run, ensembles: Iterable[int] | None = None, *, points: int = MOST_POINTS, draws: int = MOST_DRAWS,
    network: Any = None,
) -> dict[int, dict[str, Any]]:  # fmt: skip
    """Calibration of each ensemble on the test points of its run; of what keeps nothing to judge by, the reason.

    Parameters
    ----------
    run : an opened run, or the path of its store. ensembles : some of them, the first MOST_ENSEMBLES by default.
    points, draws : at most so many, spread evenly. network : given again, of a run whose network was given from Python.

    Returns
    -------
    dict
        By ensemble. Of numbers:

        - coverage : {"0.5": share of answers inside the central 50 % interval, ...}, expected, what right predictions
          would have (of counts more than the level: their intervals end at whole numbers), and coverage_error, its
          standard error, answers at different points being independent;
        - pit_mean, pit_sd : of the probability integral transforms, and pit_deciles, how many of each tenth (of 1);
          right predictions have 1/2, 0.289 and ten times 0.1;
        - crps : mean, in the target's own units (several targets: of them all, [n] in crps_by_target);
        - points, draws : how many were looked at; held_out : points that there are. noise : learned noise of each
          target, mean over draws, own units.

        Of classes: ece_by_chance, the calibration error that right probabilities would have on so many points, and
        points. Of both `reason` alone where nothing can be said. A potential has no entry.
    """
    tree = opened(run)
    if "data" not in tree.attrs:
        return {}
    of_chain = np.unique(tree["sample_stats"]["ensemble"].to_numpy())
    chosen = [int(e) for e in (of_chain[:MOST_ENSEMBLES] if ensembles is None else ensembles)]
    if choices_of(tree).likelihood.values is None:
        return _of_classes(tree, chosen)
    if reason := _nothing_by(tree, network):
        return {e: {"reason": reason} for e in chosen}
    return {e: _of_numbers(tree, e, points, draws, network) for e in chosen}


def _nothing_by(tree: xr.DataTree, network: Any) -> str:
    """Why a run of numbers cannot be judged, or nothing."""
    if not tree["constant_data"]["x_test"].shape[1]:
        return "no test points"
    if "posterior" not in tree.children:
        return 'the draws were not kept (keep = ["parameters"] in [run])'
    if not tree["sample_stats"].sizes["draw"]:
        return "no draws yet"
    try:
        model_of(tree, network)
    except SpecError:
        return "the run's network was given from Python: gt.held_out(run, network=...)"
    return ""


def _of_numbers(tree: xr.DataTree, ensemble: int, points: int, draws: int, network: Any) -> dict[str, Any]:
    found = calibration(tree, ensemble, points=points, draws=draws, network=network)
    pit = found["pit"].to_numpy()
    if np.isnan(pit).all():
        return {"reason": "no finished draws"}
    crps = found["crps"].mean("point").to_numpy()
    levels = [f"{level:g}" for level in found["coverage"].values]
    by_level = {
        key: dict(zip(levels, found[name].values.tolist(), strict=True))
        for key, name in (("coverage", "covered"), ("expected", "expected"), ("coverage_error", "covered_error"))
    }
    out: dict[str, Any] = by_level | {
        "pit_mean": float(pit.mean()), "pit_sd": float(pit.std()),
        "pit_deciles": (np.histogram(pit, np.linspace(0, 1, 11))[0] / pit.size).tolist(),
        "crps": float(crps.mean()), "points": int(found.attrs["points"]), "draws": int(found.attrs["draws"]),
        "held_out": tree["constant_data"]["x_test"].shape[1],
    }  # fmt: skip
    names = [str(name) for name in found["output"].values]
    if len(names) > 1:
        out["crps_by_target"] = dict(zip(names, crps.tolist(), strict=True))
    if noise := learned_noise(tree, ensemble):
        out["noise"] = dict(zip(names, noise, strict=True))
    return out


def learned_noise(tree: xr.DataTree, ensemble: int) -> list[float]:
    """Learned noise sd (of student_t its scale) of each target, mean over the draws of an ensemble, in the targets' own
    units; empty where it is not learned, or not kept.
    """
    posterior = tree["posterior"].to_dataset() if "posterior" in tree.children else {}
    if "log_noise" not in posterior:
        return []
    (chains,) = np.nonzero(tree["sample_stats"]["ensemble"].to_numpy() == ensemble)
    eta = posterior["log_noise"].transpose("chain", "draw", ...).isel(chain=chains).to_numpy().astype(np.float64)
    eta = eta.reshape(-1, eta.shape[-1])
    eta = eta[np.isfinite(eta).all(axis=1)]
    unit = Scales.of(tree).target_unit(int(tree["sample_stats"]["dataset"].to_numpy()[chains[0]]))
    return [] if not len(eta) else (np.exp(eta).mean(axis=0) * unit).tolist()


def _of_classes(tree: xr.DataTree, ensembles: list[int]) -> dict[int, dict[str, Any]]:
    """From the running averages: nothing else is needed. A tree without them has no entry."""
    if "predictive" not in tree.children:
        return {}
    classes, stats = classes_of(data_names(tree)["task"]), tree["sample_stats"]
    of_chain, dataset = stats["ensemble"].to_numpy(), stats["dataset"].to_numpy()
    y_test, means = tree["constant_data"]["y_test"].to_numpy(), tree["predictive"]["mean"].to_numpy()
    out: dict[int, dict[str, Any]] = {}
    for e in ensembles:
        y = y_test[int(dataset[np.flatnonzero(of_chain == e)[0]])]
        if not len(y):
            out[e] = {"reason": "no test points"}
        elif np.isnan(means[e]).any():
            out[e] = {"reason": "no draws yet"}
        else:
            top = classes.probabilities(means[e].astype(np.float64)).max(axis=1)
            out[e] = {"ece_by_chance": chance_error(top), "points": len(y)}
    return out


def sentence(found: dict[str, Any], ece: float | None = None) -> str:
    """What was found in words, for people; `ece` of classes stands beside what chance makes of it."""
    if "reason" in found:
        return f"Calibration cannot be told: {found['reason']}."
    if "coverage" not in found:
        beside = "" if ece is None else f"Calibration error {ece:.3f} on {found['points']:,} held-out points; "
        return f"{beside}right probabilities would have about {found['ece_by_chance']:.3f} by chance."
    shares = ", ".join(f"the {float(c):.0%} interval {share:.1%}" for c, share in found["coverage"].items())
    worst = max(found["coverage_error"].values())
    more = found.get("held_out", 0) > found["points"]
    of = f"{found['points']:,} of {found['held_out']:,}" if more else f"{found['points']:,}"
    return (
        f"Central intervals hold, of the answers at {of} held-out points: {shares} (+- {worst:.1%});"
        f" {_judgement(found)}. CRPS {found['crps']:.4g}."
    )


def too_far(found: dict[str, Any]) -> float:
    """By how many standard errors the coverage differs from what it should be, at the worst level; positive where
    intervals hold too much.
    """
    z = [(share - found["expected"][c]) / found["coverage_error"][c] for c, share in found["coverage"].items()]
    return max(z, key=abs)


def _judgement(found: dict[str, Any]) -> str:
    z = too_far(found)
    if math.isnan(z) or abs(z) < SURE:
        return "right within these errors"
    return f"too {'wide' if z > 0 else 'narrow'} ({abs(z):.1f} standard errors)"
