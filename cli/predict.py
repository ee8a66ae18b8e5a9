"""`gpu-thermo predict`."""

import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .answer_files import WRITERS, Asked, count_of
from .answers import Wanted
from .arguments import Device, Ensemble, Overwrite, Quiet, as_store, check_output
from .output import plural, say

if TYPE_CHECKING:
    import xarray

    from gpu_thermo.data.tables import Points

MOST_LISTED = 20
"""Ensembles that are named."""
EPILOG = """\b
FILE has the columns of POINTS as they stand there, cell by cell (--columns says
which), and behind them, of a number NAME: mean_NAME, sd_NAME (noise included),
low_NAME and high_NAME, between which the answer lies with probability .9
(--interval), and epistemic_sd_NAME, the part that more rows would narrow; of a
class: predicted_NAME, the most likely one, probability_CLASS of each, and
epistemic, what more rows would settle (in nats). outside says by how many sd
a row lies beyond all that were learned from: 0 inside.

\b
--full adds all that is known (the default for runs that gpu-thermo fit did not
make): variance_NAME over draws (epistemic), aleatoric_variance_NAME, the mean of
the draws' own, total_variance_NAME, their sum; quantile_0.05_NAME and others of
an answer, mean_quantile_0.05_NAME and others of its mean; of classes mean_CLASS
(of two: of the second), variance_CLASS, entropy, expected_entropy,
mutual_information. Runs of several ensembles have a column `ensemble` in front.
.npz and .zarr hold what gpu_thermo.predict returns.

\b
Examples:
  gpu-thermo predict houses.zarr new.csv --out answers.csv
  gpu-thermo predict houses.zarr new.parquet --out answers.parquet
  gpu-thermo predict houses.npz new.csv --out answers.csv --columns id
"""

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
    str,
    typer.Option(metavar="LEVELS", help="With --full, of numbers: levels separated by commas; '' for none."),
]
Out = Annotated[Path, typer.Option(metavar="FILE", help="Where to write: .csv, .parquet, .npz or .zarr.")]
Interval = Annotated[
    float, typer.Option(metavar="P", help="Probability that an answer lies between low_NAME and high_NAME; 0: none.")
]
Kept = Annotated[
    str, typer.Option("--columns", metavar="A,B", help="Columns of POINTS that FILE has: all, none, names.")
]
Full = Annotated[
    bool | None, typer.Option("--full/--brief", help="All that is known of an answer.  [default: not of fits]")
]


def predict(
    store: Store, points: File, out: Out, ensemble: Ensemble = None, device: Device = "auto",
    interval: Interval = 0.9, kept: Kept = "all", full: Full = None, quantiles: Quantiles = "0.05,0.5,0.95",
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
    tree, name = _opened(store)
    asked = _asked(tree, name, ensemble, device, _wanted(tree, interval, quantiles, full))
    given = _read(points, tree)
    _check_points(asked, given)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", _new())  # said of all rows at once
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


def _new() -> type[Warning]:
    from gpu_thermo.averages.points import NewCategories

    return NewCategories


def _tell(asked: Asked, given: "Points", out: Path) -> None:
    """What was done, from what."""
    unused = f"; not used by the run: {', '.join(given.left_out)}" if given.left_out else ""
    say(f"{plural(count_of(given), 'point')} written to {out}, answered by {asked.name}{unused}")
    for e, label in list(asked.ensembles.items())[:MOST_LISTED]:
        if label:
            say(f"  ensemble {e}: {label}")


def _opened(store: Path) -> "tuple[xarray.DataTree, str]":
    """A run, or the networks that `fit` put in a file; and what it is called. StoreError for a file whose run has gone
    on since.
    """
    from gpu_thermo.averages.trees import opened

    if store.suffix.lower() == ".npz":
        return _from_file(store)
    tree = opened(store)
    stats = tree["sample_stats"].sizes
    return tree, f"the {stats['chain'] * stats['draw']:,} networks of {store}"


def _from_file(file: Path) -> "tuple[xarray.DataTree, str]":
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
    return model.run_, f"{count:,} networks in {file}{of}"


def _wanted(tree: "xarray.DataTree", interval: float, quantiles: str, full: bool | None) -> Wanted:
    """Which columns, by the options and the kind of run."""
    from gpu_thermo.errors import SpecError

    if not 0 <= interval < 1:
        raise SpecError(
            f"--interval {interval:g} is no probability: give one between 0 and 1, such as 0.9, or 0 for none."
        )
    levels = _levels(quantiles)
    if full is None:
        full = tree.attrs.get("remark_made_by") is None and "sample_stats" in tree.children
    return Wanted(full, interval if interval and (levels or not full) else None, levels)


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
        partial(average, tree, device=device, quantiles=wanted.asked), given if isinstance(given, str) else "",
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
