"""The report of a run."""

import base64
import json
import shlex
import tempfile
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from gpu_thermo.averages.ensembles import counted_in
from gpu_thermo.averages.predictive import data_names
from gpu_thermo.errors import GpuThermoError
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.store import open_run, read_header
from gpu_thermo.targets.likelihoods import LEARNED
from gpu_thermo_analysis.baselines import Score, compared, is_comparable
from gpu_thermo_analysis.diagnostics import diagnose

from . import sections
from .answers import Answers
from .page import Part, code, details, page, paragraph, table, verdict

MOST_COORDINATES = 20


def run_report(store: Path, scores: Sequence[Score] | None = None, said: Sequence[str] = ()) -> str:
    """The page; StoreError where there is no such run, or it is damaged."""
    tree = open_run(store)
    spec = RunSpec.from_json(tree.attrs["spec"])
    lead = paragraph(_sentence(tree, spec)) + _verdict(tree, said)
    parts = [Part("How the run went", _of(lambda: sections.energies(tree)))]
    if _answers(tree, spec):
        answers = Answers.of(tree)
        if scores is None:
            scores = compared(tree) if is_comparable(tree) else []
        found = scores
        parts = [
            Part("Scores", _of(lambda: sections.scores(found, answers))),
            Part("Are the intervals right?" if not answers.data.classes else "Are the probabilities right?",
                 _of(lambda: sections.calibrated(tree, answers))),
            Part("Predictions", _of(lambda: sections.predictions(tree, answers))),
            Part("What the answer depends on", _of(lambda: sections.effects(answers))),
            Part("Does it know what it does not know?", _of(lambda: sections.strange(answers))),
            Part("Map", _of(lambda: _map(tree, answers))),
            *parts,
        ]  # fmt: skip
    elif spec.target is not None:
        parts.append(Part("Coordinates", _of(lambda: _coordinates(tree))))
    return page(_title(tree, spec, store), lead, [*parts, Part("How it was made", _made(tree, spec, store))])


def _of(make: Callable[[], str]) -> str:
    """A part, or why it is not there: one that fails must not take the others with it."""
    try:
        return make()
    except GpuThermoError as error:
        return paragraph(f"Not shown: {error}")


def _answers(tree: xr.DataTree, spec: RunSpec) -> bool:
    """Whether there are draws of a network of ours to ask."""
    has = spec.target is None and "posterior" in tree.children and spec.model.network is None
    return bool(has and tree["sample_stats"].sizes["draw"])


def _title(tree: xr.DataTree, spec: RunSpec, store: Path) -> str:
    if spec.target is not None:
        return f"{spec.target.name}: report on {store.name}"
    names = data_names(tree)
    what = names["targets"][0] if names["targets"] else getattr(spec.data, "target", None) or "classes"
    return f"{what} of {spec.data.label}"


def _sentence(tree: xr.DataTree, spec: RunSpec) -> str:
    """Data and network."""
    if spec.target is not None:
        return f"Averages over the potential {spec.target.name} by {counted_in(tree)}."
    names, constant = data_names(tree), tree["constant_data"]
    n, m = constant["x_train"].shape[1:]
    kind = f"one of {len(names['classes'])} classes" if names["classes"] else "a number"
    likelihood = spec.model.likelihood or ("" if names["classes"] else "gaussian")
    noise = f" with {likelihood} noise" if likelihood in LEARNED or likelihood == "heteroscedastic" else ""
    width = " x ".join(map(str, spec.model.layers))
    return (
        f"{n:,} rows of {m} inputs, {constant['x_test'].shape[1]:,} held out; the answer is {kind}. Averages over"
        f" {counted_in(tree)}, of {width} hidden units{noise}."
    )


def _verdict(tree: xr.DataTree, said: Sequence[str]) -> str:
    told = sections.told_of(tree)
    if told is not None:
        good, text = told.verdict.trusted, f"{'; '.join(said) or f'averages {told.verdict.text}'}."
        text = text[:1].upper() + text[1:]
    else:
        try:
            found = diagnose(tree)
        except GpuThermoError as error:
            good, text = False, f"Nothing can be said yet: {error}"
        else:
            good, text = found.trusted, "; ".join(found.lines[:3])
    return verdict("May be trusted." if good else "Not to be trusted yet.", text, good)


def _map(tree: xr.DataTree, answers: Answers) -> str:
    """The uncertainty map of one or two inputs as a picture."""
    if answers.data.inputs > 2 or answers.data.recipe is not None or answers.logarithmic:
        return ""
    from gpu_thermo_analysis.maps import save_map

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "map.png"
        save_map(tree, file, resolution=80)
        data = base64.b64encode(file.read_bytes()).decode()
    text = f"Map of {answers.answer} and its uncertainty over {' and '.join(answers.data.features)}"
    return f'<figure tabindex="0"><img alt="{escape(text)}" src="data:image/png;base64,{data}"></figure>'


def _coordinates(tree: xr.DataTree) -> str:
    """Means and quantiles of a potential's coordinates."""
    rows = []
    for name, values in tree["posterior"].to_dataset().data_vars.items():
        flat = values.transpose("chain", "draw", ...).to_numpy().astype(float)
        flat = flat.reshape(flat.shape[0] * flat.shape[1], -1)[:, :MOST_COORDINATES]
        for i, column in enumerate(flat.T):
            column = column[np.isfinite(column)]
            low, middle, high = np.quantile(column, (0.05, 0.5, 0.95)) if len(column) else (np.nan,) * 3
            rows.append((f"{name}[{i}]", *(f"{v:.4g}" for v in (column.mean(), column.std(), low, middle, high))))
    return table("Coordinates", ("coordinate", "mean", "sd", "5 %", "50 %", "95 %"), rows)


def _made(tree: xr.DataTree, spec: RunSpec, store: Path) -> str:
    """Spec, versions, and the commands that repeat it."""
    header = read_header(store)
    versions: dict[str, Any] = dict(header.versions)
    run, said = shlex.quote(store.name), header.attributes
    seconds = f"{said['sampling_time']:.0f} s of sampling" if "sampling_time" in said else "time not known"
    names = data_names(tree) if spec.target is None else {}
    lines = names["recipe"].lines if names.get("recipe") is not None else []
    again = (
        "# the same run again: save the spec below as spec.toml\n"
        f"gpu-thermo sample spec.toml --out again.zarr\n# more about this one\ngpu-thermo info {run}\n"
        f"gpu-thermo diagnose {run}"
    )
    return (
        paragraph(f"{header.created_at}, {seconds}, {header.step:,} steps, engine {header.engine} on {header.device}.")
        + (
            f"<details><summary>What became of the columns</summary>{code(chr(10).join(lines))}</details>"
            if lines
            else ""
        )
        + code(again)
        + details("Spec", code(spec.to_toml()), shown=True)
        + details("Versions", code(json.dumps(versions, indent=1)))
    )
