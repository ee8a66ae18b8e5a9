"""`gpu-thermo predict`."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .arguments import Device, Ensemble, Overwrite, Quiet, Run, check_output
from .progress import INTERVAL

if TYPE_CHECKING:
    import numpy as np
    import xarray

BLOCK = 20_000
"""Points that are predicted and written at once."""
MOST_LISTED = 20
"""Ensembles that are named."""
EPILOG = """\b
Columns of a .csv output: those of POINTS.csv, then mean_NAME and variance_NAME for
each output NAME, and entropy, expected_entropy, mutual_information in nats.
An output is a class and its mean the probability (of the second class where
there are two). In regression it is a target: variance_NAME is that over draws
(epistemic), aleatoric_variance_NAME the mean of the draws' own, and
total_variance_NAME their sum; quantile_0.05_NAME and others are of an answer
(the interval that answers fall in), mean_quantile_0.05_NAME and others of its
mean (what more data would narrow). Runs of several ensembles have a column
`ensemble` in front.

\b
Example:
  gpu-thermo predict run.zarr points.csv --out predictions.csv
"""

Points = Annotated[
    Path,
    typer.Argument(metavar="POINTS.csv", help="A point a row, in the data's own units; the header names the features."),
]
Quantiles = Annotated[
    str, typer.Option(metavar="LEVELS", help="Levels of quantiles in regression, separated by commas; '' for none.")
]
Out = Annotated[Path, typer.Option(metavar="FILE", help="Where to write: .csv, .npz or .zarr.")]


def predict(
    store: Run, points: Points, out: Out, ensemble: Ensemble = None, device: Device = "auto",
    quantiles: Quantiles = "0.05,0.5,0.95", overwrite: Overwrite = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Average predictions and uncertainty at points.

    The header of POINTS.csv must name every column that the run uses, in any order, as its own table did; others are
    left out.
    """
    from functools import partial

    from gpu_thermo.averages.ensembles import ensemble_labels
    from gpu_thermo.averages.predictive import data_names
    from gpu_thermo.averages.predictive import predict as average
    from gpu_thermo.averages.trees import opened
    from gpu_thermo.data.recipe import plain
    from gpu_thermo.data.tables import read_points

    from .output import plural, say

    check_output(out, overwrite, tuple(_WRITERS))
    tree = opened(store)
    names = data_names(tree)
    raw, left_out = read_points(points, names.get("recipe") or plain(names["features"]))
    ask = partial(average, tree, ensemble=ensemble, device=device, quantiles=_levels(quantiles))
    labels = ensemble_labels(tree["sample_stats"].to_dataset())
    points_given = len(next(iter(raw.values())))
    if out.suffix.lower() == ".csv" and (ensemble is not None or len(labels) == 1):
        _write_blocks(ask, out, raw, quiet)
    else:
        _WRITERS[out.suffix.lower()](ask(raw), out, raw)
    if not quiet:
        say(
            f"{plural(points_given, 'point')} written to {out}"
            + (f"; columns left out: {', '.join(left_out)}" if left_out else "")
        )
        for e, label in list(labels.items())[:MOST_LISTED]:
            if ensemble in (None, e) and label:
                say(f"  ensemble {e}: {label}")


def _levels(text: str) -> tuple[float, ...]:
    from gpu_thermo.errors import SpecError

    try:
        return tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise SpecError(f"--quantiles {text!r} are no numbers: give levels such as 0.05,0.5,0.95.") from None


def columns(result: "xarray.Dataset", raw: "Mapping[str, np.ndarray]") -> "dict[str, np.ndarray]":
    """Name -> [rows], one row a point (and ensemble, where there are several): the columns `raw` that were given, then
    what was found there.
    """
    import numpy as np

    several = "ensemble" in result.dims
    ensembles = result.sizes["ensemble"] if several else 1
    count = result.sizes["point"]
    out: dict[str, Any] = (
        {"ensemble": np.repeat(result["ensemble"].to_numpy(), count)} if several and ensembles > 1 else {}
    )
    out |= {name: np.tile(values, ensembles) for name, values in raw.items()}
    for name, value in result.data_vars.items():
        if name == "x" or "point" not in value.dims:
            continue
        if "quantile" in value.dims:
            for level in value["quantile"].values.tolist():
                flat = value.sel(quantile=level).to_numpy().reshape(ensembles * count, -1)
                kind = str(name).removesuffix("s")
                out |= {f"{kind}_{level:g}_{o}": c for o, c in zip(_outputs(result), flat.T, strict=True)}
            continue
        flat = value.to_numpy().reshape(ensembles * count, -1)
        names = [f"{name}_{output}" for output in _outputs(result)] if "output" in value.dims else [str(name)]
        out |= dict(zip(names, flat.T, strict=True))
    return out


def _outputs(result: "xarray.Dataset") -> list[str]:
    """Names of the outputs: a class for its probability (binary: the second one's), or a target."""
    from gpu_thermo.data.tasks import TASKS

    names = [str(output) for output in result["output"].values]
    single = TASKS[result.attrs["task"]].most == 2
    return [name.removeprefix("P(").removesuffix(")") for name in names] if single else names


def _write_csv(result: "xarray.Dataset", path: Path, raw: "Mapping[str, np.ndarray]") -> None:
    import csv

    table = columns(result, raw)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(table)
        writer.writerows(zip(*(_cells(column) for column in table.values()), strict=True))


def _write_blocks(
    ask: "Callable[[Mapping[str, np.ndarray]], xarray.Dataset]",
    path: Path,
    raw: "Mapping[str, np.ndarray]",
    quiet: bool,
) -> None:
    """BLOCK points at a time, so that memory does not grow with them beside what was read; the file has its name once
    it is whole.
    """
    import csv

    points, shown = len(next(iter(raw.values()))), Shown(quiet)
    unfinished = path.with_name(f"{path.name}.partial")
    try:
        with unfinished.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            for start in range(0, max(points, 1), BLOCK):
                part = {name: values[start : start + BLOCK] for name, values in raw.items()}
                table = columns(ask(part), part)
                if not start:
                    writer.writerow(table)
                writer.writerows(zip(*(_cells(column) for column in table.values()), strict=True))
                shown(min(start + BLOCK, points), points)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


class Shown:
    """A line every ten seconds: points done, and the time that is left."""

    def __init__(self, quiet: bool) -> None:
        self.quiet, self.begun = quiet, time.monotonic()
        self.last = self.begun

    def __call__(self, done: int, of: int) -> None:
        """After so many of all points."""
        from .output import clock, say

        now = time.monotonic()
        if self.quiet or done >= of or now - self.last < INTERVAL:
            return
        self.last = now
        say(f"{done:,} of {of:,} points, {clock((now - self.begun) * (of - done) / done)} left")


def _cells(column: "np.ndarray") -> list[Any]:
    """Values as they stand in a file: nothing where they are missing, and dates without an idle time."""
    if column.dtype.kind == "M":
        return [str(v).removesuffix("T00:00:00").replace("NaT", "") for v in column]
    return ["" if v is None or v != v else v for v in column.tolist()]


def _write_npz(result: "xarray.Dataset", path: Path, raw: "Mapping[str, np.ndarray]") -> None:
    import numpy as np

    arrays: dict[str, Any] = {str(name): value.to_numpy() for name, value in result.variables.items()}
    np.savez(path, **{name: value.astype(str) if value.dtype == object else value for name, value in arrays.items()})


def _write_zarr(result: "xarray.Dataset", path: Path, raw: "Mapping[str, np.ndarray]") -> None:
    texts = {
        name: value.astype(object) for name, value in result.coords.items() if value.dtype.kind == "U"
    }  # text of fixed width warns
    result.assign_coords(texts).to_zarr(path, mode="w-", zarr_format=3, consolidated=False)


_WRITERS = {".csv": _write_csv, ".npz": _write_npz, ".zarr": _write_zarr}
