"""`gpu-thermo predict`."""

import shlex
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .answer_files import WRITERS, Asked, count_of
from .answers import ALL_DIGITS, DIGITS, Wanted
from .arguments import Device, Ensemble, Overwrite, Quiet, as_store, check_output
from .output import plural, say

if TYPE_CHECKING:
    import xarray

    from gpu_thermo.data.tables import Points
    from gpu_thermo.tuning.verdict import Verdict

MOST_LISTED = 20
"""Ensembles that are named."""
EPILOG = """\b
FILE has the columns of POINTS as they stand there, cell by cell (--columns says
which), and behind them, of a number NAME: mean_NAME, sd_NAME (noise included),
low_NAME and high_NAME, between which the answer lies with probability .9
(--interval), and epistemic_sd_NAME, the part that more rows would narrow; of a
class: predicted_NAME, the most likely one, probability_CLASS of each, and
epistemic, what more rows would settle (in nats). outside says by how many sd
a row lies beyond all that were learned from: 0 inside, 10 for a new category.

\b
--full adds all that is known (the default for runs that gpu-thermo fit did not
make): variance_NAME over draws (epistemic), aleatoric_variance_NAME, the mean of
the draws' own, total_variance_NAME, their sum; quantile_0.05_NAME and others of
an answer, mean_quantile_0.05_NAME and others of its mean; of classes mean_CLASS
(of two: of the second), variance_CLASS, entropy, expected_entropy,
mutual_information. Runs of several ensembles have a column `ensemble` in front.
.npz and .zarr hold what gpu_thermo.predict returns. Numbers of a .csv have the 7
digits that networks compute in (--digits 17: all of the average's); those of
other files are float64.

\b
Examples:
  gpu-thermo predict houses.zarr new.csv --out answers.csv
  gpu-thermo predict houses.zarr new.parquet --out answers.parquet
  gpu-thermo predict houses.npz new.csv --out answers.csv --columns id
"""

LEVELS = "0.05,0.5,0.95"
"""Of quantiles, where none are given."""

Store = Annotated[
    Path,
    typer.Argument(
        metavar="RUN", help="Store of the run, or the .npz that gpu-thermo fit made of it.", callback=as_store
    ),
]
File = Annotated[
    Path,
    typer.Argument(metavar="POINTS", help="CSV or Parquet, a point a row, in the data's own units; columns by name."),
]
Quantiles = Annotated[
    str | None,
    typer.Option(
        metavar="LEVELS",
        help=f"Levels separated by commas, of numbers; implies --full; '' for none.  [default: {LEVELS}]",
        show_default=False,
    ),
]
Out = Annotated[Path, typer.Option(metavar="FILE", help="Where to write: .csv, .parquet, .npz or .zarr.")]
Interval = Annotated[
    float, typer.Option(metavar="P", help="Probability that an answer lies between low_NAME and high_NAME; 0: none.")
]
Kept = Annotated[
    str, typer.Option("--columns", metavar="A,B", help="Columns of POINTS that FILE has: all, none, names.")
]
Digits = Annotated[
    int, typer.Option(metavar="N", min=1, max=ALL_DIGITS, help="Significant digits of numbers in a .csv.")
]
Full = Annotated[
    bool | None, typer.Option("--full/--brief", help="All that is known of an answer.  [default: not of fits]")
]


def predict(
    store: Store, points: File, out: Out, ensemble: Ensemble = None, device: Device = "auto",
    interval: Interval = 0.9, kept: Kept = "all", full: Full = None, quantiles: Quantiles = None,
    digits: Digits = DIGITS,
    overwrite: Overwrite = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Average predictions and uncertainty at points.

    The header of POINTS must name every column that the run uses, in any order, as its own table did; others are of no
    use to it.
    """
    if not quiet:
        say(f"Reading {store} and {points} ...")
    check_output(out, overwrite, tuple(WRITERS))
    _refuse_run(out, store)
    _check_kept(out, kept)
    tree, name, verdict = _opened(store)
    asked = _asked(tree, name, ensemble, device, _wanted(tree, interval, quantiles, full, digits))
    given = _read(points, tree)
    _check_points(asked, given)
    _warn_of_verdict(verdict, store)
    with warnings.catch_warnings():
        for kind in _said():
            warnings.simplefilter("ignore", kind)
        WRITERS[out.suffix.lower()](asked, given, points, out, kept, quiet)
    if text := asked.tally.said("Column outside says by how far."):
        say(f"Warning: {text}")
    if not quiet:
        _tell(asked, given, out)


def _refuse_run(out: Path, store: Path) -> None:
    """StoreError where answers would take the place of the fitted estimator that gives them."""
    from gpu_thermo.errors import StoreError

    if out.exists() and store.exists() and out.samefile(store):
        raise StoreError(f"'{out}' is what answers, and would be replaced by its answers: choose another name.")


def _check_kept(out: Path, kept: str) -> None:
    """SpecError where columns of POINTS are named for a file that has none."""
    from gpu_thermo.errors import SpecError

    if kept not in ("all", "none") and out.suffix.lower() in (".npz", ".zarr"):
        raise SpecError(
            f"--columns goes with .csv and .parquet: {out.suffix} holds answers only, in the order of POINTS."
        )


def _said() -> tuple[type[Warning], ...]:
    """Warnings that are told once, of all rows."""
    from gpu_thermo.averages.claims import Makeshift
    from gpu_thermo.averages.points import NewCategories

    return NewCategories, Makeshift


def _warn_of_verdict(verdict: "Verdict | None", store: Path) -> None:
    """Say where answers are not to be trusted: of a run that tuned itself, and of the file that was made of one."""
    from gpu_thermo.averages.claims import MAKESHIFT

    if verdict is None or verdict.trusted:
        return
    of_run = store.with_suffix(".zarr") if store.suffix.lower() == ".npz" else store
    why = MAKESHIFT if verdict.makeshift else f"gpu-thermo diagnose {shlex.quote(str(of_run))} says why."
    say(f"Warning: these answers are not to be trusted yet. {why}")


def _tell(asked: Asked, given: "Points", out: Path) -> None:
    """What was done, from what."""
    unused = f"; not used by the run: {', '.join(given.left_out)}" if given.left_out else ""
    say(f"{plural(count_of(given), 'point')} written to {out}, answered by {asked.name}{unused}")
    for e, label in list(asked.ensembles.items())[:MOST_LISTED]:
        if label:
            say(f"  ensemble {e}: {label}")


def _opened(store: Path) -> "tuple[xarray.DataTree, str, Verdict | None]":
    """A run, or the networks that `fit` put in a file; what it is called; and its verdict, where it has one. StoreError
    for a file whose run has gone on since.
    """
    from gpu_thermo.averages.claims import told_by
    from gpu_thermo.averages.trees import opened

    if store.suffix.lower() == ".npz":
        return _from_file(store)
    tree = opened(store)
    stats = tree["sample_stats"].sizes
    told = told_by(tree)
    return tree, f"the {stats['chain'] * stats['draw']:,} networks of {store}", None if told is None else told.verdict


def _from_file(file: Path) -> "tuple[xarray.DataTree, str, Verdict | None]":
    from gpu_thermo.errors import StoreError
    from gpu_thermo.estimators.exported import Stale
    from gpu_thermo.estimators.loaded import load

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = load(file)
    for one in caught:
        if issubclass(one.category, Stale):
            raise StoreError(f"{one.message} Predict from the run, or make the file anew.")
    count, source = model.run_["posterior"].sizes["chain"], model.source_
    of = f" of the {source.networks:,} of {source.store} at step {source.step:,}" if source else ""
    return model.run_, f"{count:,} networks in {file}{of}", model.trust_


def _wanted(tree: "xarray.DataTree", interval: float, quantiles: str | None, full: bool | None, digits: int) -> Wanted:
    """Which columns, by the options and the kind of run."""
    from gpu_thermo.errors import SpecError

    if not 0 <= interval < 1:
        raise SpecError(
            f"--interval {interval:g} is no probability: give one between 0 and 1, such as 0.9, or 0 for none."
        )
    levels = _levels(LEVELS if quantiles is None else quantiles)
    if quantiles and full is False:
        raise SpecError(f"--quantiles {quantiles} are not among what --brief writes: leave out one of the two.")
    if full is None:
        full = bool(quantiles) or (tree.attrs.get("remark_made_by") is None and "sample_stats" in tree.children)
    return Wanted(full, interval if interval and (levels or not full) else None, levels, digits)


def _asked(tree: "xarray.DataTree", name: str, ensemble: int | None, device: str, wanted: Wanted) -> Asked:
    from gpu_thermo.averages.ensembles import ensemble_labels
    from gpu_thermo.averages.outside import Reach, Tally, with_reach
    from gpu_thermo.averages.predictive import data_names
    from gpu_thermo.averages.predictive import predict as average
    from gpu_thermo.spec.run import RunSpec

    names, given = data_names(tree), getattr(RunSpec.from_json(tree.attrs["spec"]).data, "target", None)
    labels = ensemble_labels(tree["sample_stats"].to_dataset()) if "sample_stats" in tree.children else {0: ""}
    chosen = {e: label for e, label in labels.items() if ensemble in (None, e)}
    tree = with_reach(tree)
    return Asked(
        tree, name, chosen or {ensemble: ""},  # type: ignore[dict-item]  # there is no such one: averages say so
        ensemble,
        partial(average, tree, device=device, quantiles=wanted.asked, mean_quantiles=wanted.full),
        given if isinstance(given, str) else "",
        tuple(names["classes"]), wanted, Reach.of(tree), Tally.of(names["features"], names.get("recipe")),
    )  # fmt: skip


def _levels(text: str) -> tuple[float, ...]:
    from gpu_thermo.errors import SpecError

    try:
        return tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise SpecError(f"--quantiles {text!r} are no numbers: give levels such as 0.05,0.5,0.95.") from None


def _read(path: Path, tree: "xarray.DataTree") -> "Points":
    """The raw columns that the run asks for."""
    from gpu_thermo.averages.predictive import data_names
    from gpu_thermo.data.beside import PARQUET
    from gpu_thermo.data.recipe import plain

    names = data_names(tree)
    recipe = names.get("recipe") or plain(names["features"])
    if path.suffix.lower() in PARQUET:
        from gpu_thermo.data.frames import read_parquet_points

        return read_parquet_points(path, recipe)
    from gpu_thermo.data.tables import read_points

    return read_points(path, recipe)


def _check_points(asked: Asked, given: "Points") -> None:
    """Every value can be used, of all rows, so that messages count and name them; new categories are told once."""
    from gpu_thermo.averages.points import warn_of_new
    from gpu_thermo.averages.predictive import data_names

    recipe = data_names(asked.tree).get("recipe")
    if recipe is None:
        return
    for column in recipe.columns:
        column.encode(given.raw[column.name])
    warn_of_new(given.raw, recipe)
