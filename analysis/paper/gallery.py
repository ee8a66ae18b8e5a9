"""Reproduced figures on disk: the picture, its numbers, the table of published beside obtained, and a page of all of
them.
"""

import json
import math
import os
import resource
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from gpu_thermo_analysis.drawing import NotWrittenError
from gpu_thermo_analysis.paper import ensembles
from gpu_thermo_analysis.paper.rows import Row, sentence
from gpu_thermo_analysis.study_figures import markdown, save

if TYPE_CHECKING:
    from gpu_thermo_analysis.paper.entry import Entry

LARGEST = 200_000
"""Bytes of one picture on the page."""
ENSEMBLES = "ensembles"
"""Id of the comparison of ensembles, which is no study."""


def write_entry(entry: "Entry", study: xr.Dataset, folder: Path, scale: float, seconds: float) -> str:
    """Draw one figure into `folder`, with its numbers and a JSON of the comparison; returns the table and the sentence
    as text.

    `seconds` is the time it took just now; a study that was there already keeps the time that its making took.
    """
    rows, claims = entry.rows(study), entry.claims(study)
    record = {
        "title": entry.title, "ours": entry.ours, "sampling_seconds": float(study["seconds"].sum()),
        "runs": study.sizes["chain"],
        "sentence": sentence(rows if entry.beside == "published" else [], claims, scale >= 1),
        "columns": ["what", entry.beside, "obtained", "sd over runs", "runs", ""],
        "table": [_cells(r, scale >= 1) for r in rows],
    }  # fmt: skip
    return _write(entry.id, record, folder, scale, seconds, entry.draw(study))


def write_ensembles(folder: Path, scale: float, seconds: float) -> str:
    """The same for the comparison of ensembles, from the scores in `folder`."""
    results = ensembles.read_results(folder, scale)
    members = {contender.label: contender.members for contender in ensembles.CONTENDERS}
    runs = sum(members[label] * results.splits for contenders in results.values.values() for label in contenders)
    record = {
        "title": "Ensembles against alternatives on real data", "ours": ensembles.OURS,
        "sampling_seconds": results.seconds, "runs": runs,
        "sentence": sentence([], ensembles.claims(results), scale >= 1), "columns": list(ensembles.COLUMNS),
        "table": ensembles.table(results),
    }  # fmt: skip
    return _write(ENSEMBLES, record, folder, scale, seconds, ensembles.draw(results))


def _write(name: str, made: dict[str, Any], folder: Path, scale: float, seconds: float, drawn: Any) -> str:
    suffix = "" if scale >= 1 else f"-{scale:g}"
    path = folder / f"{name}{suffix}.json"
    record: dict[str, Any] = {"id": name, "scale": scale, "picture": f"{name}{suffix}.png"} | made
    record["command"] = f"gpu-thermo figure {name}" + ("" if scale >= 1 else f" --scale {scale:g}")
    record |= _spent(path, seconds, record["sampling_seconds"])
    save(drawn, path.with_suffix("").parent / f"{name}{suffix}")
    try:
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise NotWrittenError(f"Cannot write {folder}: {error.strerror or error}.") from None
    return f"{markdown(record['columns'], record['table'])}\n\n{record['sentence']}\n"


def _spent(path: Path, seconds: float, sampling: float) -> dict[str, float]:
    """Wall-clock seconds and the process's peak memory in bytes, of the call that did the sampling: a later one only
    draws.
    """
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    now = {"seconds": seconds, "peak_memory": peak}
    if seconds >= sampling or not path.exists():
        return now
    before = json.loads(path.read_text(encoding="utf-8"))
    return {key: before.get(key, value) for key, value in now.items()}


def _cells(row: Row, full: bool) -> list[str]:
    obtained = f"{row.bound} {_number(row.obtained)}".strip() + (
        "" if math.isnan(row.error) else f" +- {row.error:.2g}"
    )
    published = "picture only" if row.published is None else f"{row.published:g}"
    return [
        row.what,
        published,
        obtained,
        "" if math.isnan(row.sd) else f"{row.sd:.2g}",
        row.counted,
        row.verdict if full else "",
    ]


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


# -- the page ----------------------------------------------------------------------------------------------------------


def write_gallery(folder: Path, page: Path) -> int:
    """Write a Markdown page of every figure in `folder`, full-size ones before smaller; returns their number.

    Pictures and their numbers are copied into a folder beside the page, of the page's own name. Paragraphs on the page
    that begin with "Remarks:", of the whole or of one figure, are kept.
    """
    found = _records(folder)
    place = page.parent / page.stem.lower()
    remarks = _remarks(page)
    total = sum(max(r["seconds"], r["sampling_seconds"]) for r in found)
    parts = [
        "# Published figures",
        (
            "Published figures beside ours (LMV: Leimkuhler, Matthews and Vlaar 2019), and more. Every picture has its"
            f" numbers as CSV beside it. All of it: `gpu-thermo figure all --out figures --gallery {page}`,"
            f" {_duration(total)}."
        ),
        *([f"{_MARK} {remarks['']}"] if "" in remarks else []),
    ]
    try:
        place.mkdir(exist_ok=True)
        for record in found:
            _shrunk(folder / record["picture"], place / record["picture"])
            shutil.copyfile(
                (folder / record["picture"]).with_suffix(".csv"), (place / record["picture"]).with_suffix(".csv")
            )
            parts += _section(
                record, os.path.relpath(place / record["picture"], page.parent), remarks.get(record["id"], "")
            )
        page.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    except OSError as error:
        raise NotWrittenError(f"Cannot write {page}: {error.strerror or error}.") from None
    return len(found)


def _records(folder: Path) -> list[dict[str, Any]]:
    """The largest record of each figure: the paper's in its order, then the others."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["id"] not in found or record["scale"] > found[record["id"]]["scale"]:
            found[record["id"]] = record
    return sorted(found.values(), key=lambda r: (int(r["id"][3:]) if r["id"].startswith("fig") else 1000, r["id"]))


def _shrunk(picture: Path, to: Path) -> None:
    """A copy with a palette, as wide as fits into LARGEST."""
    from PIL import Image

    with Image.open(picture) as image:
        for width in (1600, 1300, 1000, 800):
            small = image.convert("RGB")
            small.thumbnail((width, width), Image.Resampling.LANCZOS)
            small.quantize(128, dither=Image.Dither.NONE).save(to, optimize=True)
            if to.stat().st_size <= LARGEST:
                return


def _section(record: dict[str, Any], picture: str, remark: str) -> Sequence[str]:
    paper = f"LMV {record['id']}: " if record["id"].startswith("fig") else ""
    said = f"{OWN if paper else 'Settings'}: {record['ours']}."
    seconds = max(record["seconds"], record["sampling_seconds"])
    cost = (
        f"`{record['command']}`: {record['runs']:,} runs, {_duration(seconds)}, {record['peak_memory'] / 2**20:,.0f} MB"
        " at most."
    )
    parts = [f"## {paper}{record['title']}", f"<!-- {record['id']} -->", f"![{record['title']}]({picture})"]
    parts += [markdown(record["columns"], record["table"]), record["sentence"]] + (
        [f"{_MARK} {remark}"] if remark else []
    )
    return [p for p in (*parts, said, cost) if p]


_MARK = "Remarks:"
OWN = "Ours, not the paper's"


def _remarks(page: Path) -> dict[str, str]:
    """What a person wrote about each figure, and about all ("")."""
    if not page.exists():
        return {}
    out = {}
    for part in page.read_text(encoding="utf-8").split("\n## "):
        name = part.partition("<!-- ")[2].partition(" -->")[0]
        for paragraph in part.split("\n\n"):
            if paragraph.startswith(_MARK):
                out[name] = paragraph.removeprefix(_MARK).strip()
    return out


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
