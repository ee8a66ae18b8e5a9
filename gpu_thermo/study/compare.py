"""Run the entries of a comparison, measure them, and write what came out."""

import csv
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..averages.predictive import opened
from ..errors import SpecError, StoreError, StoreExistsError
from ..run import resume, sample
from ..running.setup import prepare
from ..spec.run import RunSpec
from ..store import read_header
from ..store.files import as_path, refuse_links
from ..store.record import is_ours
from ..targets.base import Potential
from .entries import ComparisonSpec, Planned
from .measures import Exact, exact_density, on_networks, on_potential, read_draws
from .watch import watch

FORMAT = 1
MARGIN = 4.0
"""sd beyond the outermost mode where a box without bounds ends."""
RECORDS = ("comparison.json", "comparison.csv")
FILES = (("", ".zarr"), ("density-", ".npz"), ("watch-", ".npz"), ("watch-", ".partial.npz"))
"""What is written of all entries, and of each: what stands before and behind its name."""
OnEntry = Callable[[str, Any], None]
"""(label, Progress) while an entry runs; (label, None) when it is done."""


@dataclass(frozen=True)
class Comparison:
    """What came out: `record` is comparison.json, a plain tree; see `compare_methods`."""

    folder: Path
    record: dict[str, Any]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One for each entry."""
        return list(self.record["rows"])

    def columns(self) -> list[str]:
        """Names of the measures that any entry has, in order."""
        return list(dict.fromkeys(name for row in self.rows for name in row["measures"]))


def compare_methods(
    spec: ComparisonSpec | Mapping[str, Any] | str | Path, out: str | Path, *, scale: float = 1.0, device: str = "auto",
    engine: str = "auto", threads: int | None = None, overwrite: bool = False, on_progress: OnEntry | None = None,
    name: str = "", allow_other_bits: bool = False,
) -> Comparison:  # fmt: skip
    """Run every entry into OUT/<label>.zarr and write OUT/comparison.json and comparison.csv, anew after each entry.

    A complete store of the same run is used as it is, an unfinished one is resumed.

    Parameters
    ----------
    spec
        A ComparisonSpec, nested dictionaries, or a TOML file (Path or its name).
    scale
        Less than 1: that share of the groups and of the steps.
    overwrite
        Replace stores of other runs that have the same name.
    on_progress
        Called as ``(label, progress)`` while an entry runs, with None when it is done.
    name
        What the comparison is called in the record.
    allow_other_bits
        Resume unfinished runs with another build than theirs (engine, compiler, processor type, ...), too.

    Raises
    ------
    SpecError
        An entry that cannot be run, or not at as many gradients as the others; nothing was written.
    StoreExistsError
        OUT has a store of that name from another run.
    """
    spec = _as_spec(spec)
    planned = spec.plan(scale)
    exact = _exact(spec, planned)
    folder = as_path(out)
    folder.mkdir(parents=True, exist_ok=True)
    _refuse_links(folder, planned)
    for p in planned:
        _check_store(_store(folder, p), p.spec, overwrite)
    how = {"device": device, "engine": engine, "threads": threads, "allow_other_bits": allow_other_bits}
    record: dict[str, Any] = {
        "format": FORMAT, "name": name, "title": spec.title, "about": spec.about, "scale": scale,
        "subject": spec.subject, "groups": planned[0].groups,
        "exact": None if exact is None else _exact_record(exact), "entries": len(planned), "rows": [],
    }  # fmt: skip
    done = Comparison(folder, record)
    for p in planned:
        _run(p, folder, how, on_progress)
        if p.entry.watch:
            watch(p, folder / f"watch-{p.entry.slug}.npz", exact)
        record["rows"].append(_row(p, folder, exact))
        _write(done)
        if on_progress:
            on_progress(p.entry.label, None)
    return done


def _as_spec(spec: Any) -> ComparisonSpec:
    if isinstance(spec, ComparisonSpec):
        return spec
    return ComparisonSpec.from_dict(spec) if isinstance(spec, Mapping) else ComparisonSpec.from_toml(Path(spec))


# -- runs --------------------------------------------------------------------------------------------------------------


def _store(folder: Path, p: Planned) -> Path:
    return folder / f"{p.entry.slug}.zarr"


def _refuse_links(folder: Path, planned: Sequence[Planned]) -> None:
    """The folder is the user's, and may hold what they like; what is written here goes through no link."""
    names = [f"{before}{p.entry.slug}{behind}" for p in planned for before, behind in FILES]
    for name in (*names, *RECORDS):
        path = folder / name
        if path.is_symlink():
            raise StoreError(
                f"'{path}' is a link, and nothing is written through one. Remove it, or choose another folder."
            )
        if path.is_dir():
            refuse_links(path)


def _check_store(path: Path, spec: RunSpec, overwrite: bool) -> None:
    """Remove a store of another run where that was asked for, and refuse it otherwise."""
    if not path.exists():
        return
    import shutil

    try:
        same = read_header(path).spec == spec.to_json()
    except StoreError:
        same = False
    if same:
        return
    if not overwrite:
        raise StoreExistsError(
            f"'{path}' is of another run than this comparison's. Choose another folder, or replace it (--overwrite)."
        )
    if not is_ours(path):
        raise StoreError(f"'{path}' is no store of gpu_thermo and is not replaced. Remove it yourself.")
    shutil.rmtree(path)


def _run(p: Planned, folder: Path, how: Mapping[str, Any], on_progress: OnEntry | None) -> None:
    """Sample one entry, or what is missing of it."""
    path = _store(folder, p)
    report = (lambda progress: on_progress(p.entry.label, progress)) if on_progress else None
    if not path.exists():
        started = {name: value for name, value in how.items() if name != "allow_other_bits"}
        sample(p.spec, path, on_progress=report, **started).close()
        return
    header = read_header(path)
    if header.step < p.spec.run.steps and header.step >= 0:
        resumed = {name: value for name, value in how.items() if name != "engine"}
        resume(path, on_progress=report, **resumed).close()


# -- measures ----------------------------------------------------------------------------------------------------------


def _exact(spec: ComparisonSpec, planned: list[Planned]) -> Exact | None:
    """The exact density of a potential in one or two dimensions."""
    ready = prepare(
        planned[0].spec.model_copy(
            update={"run": planned[0].spec.run.model_copy(update={"replicas": planned[0].rungs})}
        )
    )
    potential = ready.subject.potential
    if potential is None:
        return None
    if potential.layout.size > 2:
        raise SpecError(
            f"The target has {potential.layout.size} coordinates: densities are compared in one or two dimensions."
        )
    tau = float(np.nanmin(ready.job.hyper.temperature))
    low, high = _box(spec, potential)
    return exact_density(potential, tau, low, high, spec.grid.cells)


def _box(spec: ComparisonSpec, potential: Potential) -> tuple[float, float]:
    bounds = potential.bounds
    low = spec.grid.low if spec.grid.low is not None else -bounds if bounds else -10.0
    high = spec.grid.high if spec.grid.high is not None else bounds if bounds else 10.0
    return float(low), float(high)


def _row(p: Planned, folder: Path, exact: Exact | None) -> dict[str, Any]:
    """What is known of an entry, as plain numbers."""
    path = _store(folder, p)
    header = read_header(path)
    with opened(path) as tree:
        every = "sample_stats_rungs" if "sample_stats_rungs" in tree.children else "sample_stats"
        frozen = int((tree[every]["status"].to_numpy() != 0).sum())
        found = (
            on_networks(tree, p.groups) if exact is None else on_potential(read_draws(tree, p.groups, p.rungs), exact)
        )
    together = found.pop("all")
    if exact is not None:
        np.savez_compressed(
            folder / f"density-{p.entry.slug}.npz", weighted=found.pop("weighted"), raw=found.pop("raw")
        )
    measures = {name: _mean_and_error(values) for name, values in found.items()}
    if "mean_error" in measures:
        worth = 1 / measures["mean_error"]["mean"] if measures["mean_error"]["mean"] > 0 else math.inf
        together["worth"] = math.nan if measures["mean_error"]["missing"] else worth * p.groups  # none of survivors
    moves = list(header.attributes.get("moves") or [])
    run = p.spec.run
    return {
        "label": p.entry.label, "slug": p.entry.slug, "note": p.entry.note, "store": path.name,
        "method": p.spec.method.name, "moves": [m.kind for m in p.spec.moves], "replicas": run.replicas,
        "chains": p.chains, "group": p.group, "rungs": p.rungs, "steps": run.steps, "burn_in": run.burn_in,
        "thin": run.thin, "gradients": p.gradients, "gradients_per_group": p.gradients // p.groups, "frozen": frozen,
        "engine": header.engine,
        "seconds": float(header.attributes.get("sampling_time", math.nan)), "measures": measures, "all": together,
        "per_million_gradients": {
            name: together[name] / p.gradients * 1e6 for name in ("ess", "worth") if name in together
        },
        "round_trips_per_replica": _round_trips(moves), "report": moves, "published": dict(p.entry.published),
    }  # fmt: skip


def _round_trips(moves: list[Mapping[str, Any]]) -> float | None:
    trips = [m["round_trips_per_replica"] for m in moves if "round_trips_per_replica" in m]
    return float(trips[0]) if trips else None


def _mean_and_error(values: np.ndarray) -> dict[str, float]:
    """Mean over the groups and its standard error; groups without a value are left out and counted."""
    known = values[np.isfinite(values)]
    n = len(known)
    error = float(known.std(ddof=1) / math.sqrt(n)) if n > 1 else math.nan
    return {"mean": float(known.mean()) if n else math.nan, "error": error, "missing": len(values) - n}


def _exact_record(exact: Exact) -> dict[str, Any]:
    return {
        "edges": exact.edges[0].tolist(), "dimensions": len(exact.edges), "probability": exact.probability.tolist(),
        "mean": exact.grid.mean.tolist(), "variance": exact.variance.tolist(), "modes": exact.modes.tolist(),
        "mode_sd": exact.mode_sd.tolist(), "mode_weight": exact.mode_weight.tolist(),
    }  # fmt: skip


# -- what is written ---------------------------------------------------------------------------------------------------


def _write(done: Comparison) -> None:
    path = done.folder / "comparison.json"
    try:
        path.write_text(json.dumps(_plain(done.record), indent=1, allow_nan=False) + "\n", encoding="utf-8")
        with open(done.folder / "comparison.csv", "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            columns = done.columns()
            fixed = (
                "label",
                "method",
                "replicas",
                "chains",
                "steps",
                "gradients",
                "seconds",
                "round_trips_per_replica",
            )
            together = list(dict.fromkeys(name for row in done.rows for name in row["all"]))
            writer.writerow(
                [*fixed, *(f"{c}{s}" for c in columns for s in ("", "_error")), *(f"{name}_all" for name in together)]
            )
            for row in done.rows:
                measured = [row["measures"].get(c, {}).get(key, "") for c in columns for key in ("mean", "error")]
                cells = [*(row[name] for name in fixed), *measured, *(row["all"].get(name, "") for name in together)]
                writer.writerow([f"{v:.8g}" if isinstance(v, float) else "" if v is None else v for v in cells])
    except OSError as error:
        raise StoreError(f"Cannot write {done.folder}: {error.strerror or error}.") from None


def _plain(value: Any) -> Any:
    """Strict JSON: NaN and infinity become null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
