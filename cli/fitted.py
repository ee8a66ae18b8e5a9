"""The end of a fit, of a new one and of one that was resumed: the estimator's file, scores, verdict and report."""

import math
import shlex
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .output import clock, echo, print_json, say, show, table
from .writing import stopped_in_order

if TYPE_CHECKING:
    import xarray

    from gpu_thermo.estimators.words import Ways
    from gpu_thermo.store import RunInfo
    from gpu_thermo.tuning.told import Told
    from gpu_thermo_analysis.baselines import Score

MADE_BY = "gpu-thermo fit"


def remarks(report: bool) -> dict[str, str]:
    """What the store of a fit says of itself: that it is one, and whether a report goes with it."""
    return {"made_by": MADE_BY, "report": "yes" if report else "no"}


def is_fit(tree: "xarray.DataTree") -> bool:
    """Whether `gpu-thermo fit` made an opened run."""
    return bool(tree.attrs.get("remark_made_by") == MADE_BY and "tuning" in tree.children)


def made_by_fit(info: "RunInfo") -> bool:
    """The same of a store at a glance."""
    return info.remarks.get("made_by") == MADE_BY and "tuning" in info.attributes


def places_of(store: Path, report: bool = True) -> dict[str, Path]:
    """The things that a fit leaves, by the name of its store."""
    out = {"run": store, "model": store.with_suffix(".npz"), "report": store.with_suffix(".html")}
    return out if report else {key: out[key] for key in ("run", "model")}


def ways_of(store: Path) -> "Ways":
    """How the user of the command line does what a verdict proposes."""
    from gpu_thermo.estimators.words import FIT

    return FIT.of(shlex.quote(str(store)))


def seconds_of(tree: "xarray.DataTree") -> float:
    """Seconds that a run was sampled in all, over every resume; NaN where it does not say."""
    return float(tree["sample_stats"].attrs.get("sampling_time", math.nan))


def verdict_of(tree: "xarray.DataTree", store: Path) -> list[str]:
    """What a fit is worth and what to do, in words that need no physics."""
    from gpu_thermo.estimators.words import in_words

    return in_words(_told(tree), seconds_of(tree), ways_of(store))


def finish(
    tree: "xarray.DataTree", store: Path, quiet: bool, as_json: bool, earlier: float = 0.0,
    more: Mapping[str, Any] | None = None,
) -> None:  # fmt: skip
    """Write what belongs to a fit's run, and say what it came to; `more` is printed as JSON beside it. It had taken
    `earlier` seconds before it was resumed.

    Raises
    ------
    RunError
        There is no network yet.
    """
    from gpu_thermo.averages.predictive import restored_data
    from gpu_thermo.errors import RunError
    from gpu_thermo_analysis.baselines import columns, rows

    run, seconds = shlex.quote(str(store)), seconds_of(tree)
    if not tree["sample_stats"].sizes["draw"]:
        raise RunError(
            "There was no time for a single network. What was done is kept, and goes on where it stopped: gpu-thermo"
            f" resume {run} --minutes 1"
        )
    places = places_of(store, tree.attrs.get("remark_report") != "no")
    if not quiet:
        say("Judging it by the rows held out ...")
    with stopped_in_order(f"the networks are kept, and not judged yet. Judge them: gpu-thermo resume {run}"):
        said, scores, apart = _judged(tree, store, places)
    verdict = _told(tree).verdict
    if as_json:
        judged = verdict.to_dict() | {"said": said}
        print_json({**(more or {}), "verdict": judged, "scores": [s.to_dict() for s in scores],
                    "seconds": seconds, "seconds_now": seconds - earlier, **places, "model_apart": apart})  # fmt: skip
    else:
        heads = columns(restored_data(tree))
        echo()
        show(table(heads, rows(scores), right=heads[1:]))
        echo()
    for i, line in enumerate(said):
        good = verdict.trusted and i == 0
        if not (good and quiet):
            say(f"{'' if good else 'Warning: '}{line}")
    if not quiet:
        _tell_what_is_there(tree, places, apart, earlier)


def _judged(tree: "xarray.DataTree", store: Path, places: Mapping[str, Path]) -> "tuple[list[str], list[Score], float]":
    """Make the estimator's file and the report: what they say of the run, scores, and how far the file's answers are
    from the run's.
    """
    from gpu_thermo.averages.claims import Makeshift
    from gpu_thermo.estimators.exported import export
    from gpu_thermo_analysis.baselines import behind, compared

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Makeshift)  # the verdict says it
        apart, scores = export(store, places["model"]), compared(tree, seconds_of(tree))
        said = [*verdict_of(tree, store), *behind(scores)]
        if "report" in places:
            from gpu_thermo_analysis.report import write_report

            write_report(store, places["report"], overwrite=True, scores=scores, said=said)
    return said, scores, apart


def _tell_what_is_there(tree: "xarray.DataTree", places: Mapping[str, Path], apart: float, earlier: float) -> None:
    """Networks, files, and what to do next."""
    from gpu_thermo.averages.ensembles import counted_in

    seconds, close = seconds_of(tree), {"model": f" (answers as the run to {apart:.2g} of its spread)"}
    now = f" ({clock(seconds - earlier)} of it now)" if earlier else ""
    say(f"\nSampled in {clock(seconds)}{now}, {counted_in(tree)}")
    say("Written: " + ", ".join(f"{place}{close.get(key, '')}" for key, place in places.items()))
    say(f"Next:\n  gpu-thermo predict {shlex.quote(str(places['run']))} POINTS.csv --out predictions.csv")


def _told(tree: "xarray.DataTree") -> "Told":
    """How a fit tuned itself, and what that is worth."""
    from gpu_thermo.tuning.told import Told

    return Told.of(tree["tuning"].attrs)
