"""`gpu-thermo diagnose`."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .arguments import Ensemble, Json, Run
from .fitted import is_fit, verdict_of

if TYPE_CHECKING:
    import xarray
    from rich.console import RenderableType

    from gpu_thermo_analysis.diagnostics import Diagnosis, EnsembleDiagnosis
    from gpu_thermo_analysis.temperatures import Temperature

EPILOG = """\b
--json: trusted, and for each of `ensembles` its number, chains, frozen, draws,
headline, verdicts (topic, passed, text), convergence (rhat, ess_bulk, ...),
temperatures, weight_ess, and
calibration, on the points held out. Of numbers: coverage (level of a central
interval -> share of answers inside), expected (what right predictions have),
coverage_error (standard errors of that),
pit_mean, pit_sd, pit_deciles (right: 0.5, 0.289, 0.1 each), crps (units of the
target), nll (of the mixture over draws, nats), noise (learned, by target),
points and draws looked at, of the held_out points. Of classes: nll, brier, ece,
ece_by_chance (what right probabilities would have), points. `reason` where
nothing can be said.
"""
_MARKS = {True: "ok", False: "!!", None: "--"}


Physics = Annotated[
    bool, typer.Option("--physics", help="Of a fit: R-hat, effective draws and temperatures, as of any other run.")
]


def diagnose(store: Run, ensemble: Ensemble = None, physics: Physics = False, as_json: Json = False) -> None:
    """Judge whether the averages of a run may be trusted.

    Of what gpu-thermo fit made: whether answers may be trusted, what to do where not, and whether intervals are right
    on the rows held out. Of other runs, and with --physics: R-hat, nested R-hat and effective draws of the predictions
    at probe points, the temperatures of each partition against those asked for, and calibration on the points held
    out. Verdicts: ok, !! (do not trust yet), -- (for information).
    """
    from gpu_thermo.averages.ensembles import counted_in
    from gpu_thermo.averages.trees import opened
    from gpu_thermo_analysis.diagnostics import diagnose as judge

    from .output import echo, print_json, show

    tree = opened(store)
    of_fit = is_fit(tree) and not physics
    if of_fit and not tree["sample_stats"].sizes["draw"]:
        said = _of_fit(tree, store)
        print_json({"trusted": False, "said": said}) if as_json else _show_words(said, False, "")
        return
    found = judge(tree, ensemble)
    if as_json:
        more = {"said": _of_fit(tree, store)} if is_fit(tree) else {}
        print_json(found.to_dict() | more)
        return
    if of_fit:
        _show_words([*_of_fit(tree, store), *_of_rows(found)], found.trusted, f" ({counted_in(tree)})")
        return
    show(_convergence(found))
    echo()
    show(_temperatures(found))
    for one in found.ensembles:
        echo()
        _print_verdicts(one)


def _of_fit(tree: "xarray.DataTree", store: Path) -> list[str]:
    """The verdict in the words of fit."""
    return verdict_of(tree, store)


def _of_rows(found: "Diagnosis") -> list[str]:
    """What the rows held out say of intervals and probabilities, and networks that were lost."""
    from gpu_thermo.averages.held_out import sentence

    (one,) = found.ensembles
    lost = [f"{one.frozen} of {one.chains} chains of networks were lost to numbers without bound"] * bool(one.frozen)
    return [*lost, *([sentence(dict(one.calibration), one.calibration.get("ece"))] if one.calibration else [])]


def _show_words(lines: list[str], trusted: bool, count: str) -> None:
    """Lines for people, the verdict in front, with the `count` of networks."""
    from .output import console, echo, fill, say

    width = min(console().width, 100)
    echo(f"Its answers {'may be trusted' if trusted else 'are not to be trusted yet'}{count}.")
    for line in lines:
        echo(fill(line[:1].upper() + line[1:], width, "  - "))
    say("\nR-hat, effective draws and temperatures: --physics. All of it as a page: gpu-thermo report.")


def _convergence(found: "Diagnosis") -> "RenderableType":
    from .output import table

    columns = ("ensemble", "chains", "frozen", "draws", "R-hat", "nested R-hat", "ESS bulk", "ESS tail")
    rows = []
    for one in found.ensembles:
        c = one.convergence
        numbers = (c.rhat, c.nested_rhat, c.ess_bulk, c.ess_tail) if c else (math.nan,) * 4
        rows.append((one.ensemble, one.chains, one.frozen, one.draws, *map(_number, numbers)))
    return table(columns, rows, right=columns)


def _temperatures(found: "Diagnosis") -> "RenderableType":
    from .output import table

    columns = ("ensemble", "partition", "asked for", "kinetic", "configurational")
    rows = [
        (one.ensemble, t.partition, _number(t.target), _measured(t, "kinetic"), _measured(t, "configurational"))
        for one in found.ensembles
        for t in one.temperatures
    ]
    return table(columns, rows, right=("ensemble", *columns[2:]))


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4g}"


def _measured(temperature: "Temperature", kind: str) -> str:
    """Mean and standard error."""
    value, error = getattr(temperature, kind), getattr(temperature, f"{kind}_error")
    return _number(value) if math.isnan(error) else f"{value:.3g} +- {error:.1g}"


def _print_verdicts(one: "EnsembleDiagnosis") -> None:
    from .output import console, echo, fill

    width = min(console().width, 100)
    echo(one.headline)
    for verdict in one.verdicts:
        echo(fill(verdict.text, width, f"  {_MARKS[verdict.passed]} "))
