"""Reproduced figures on disk: the picture, its numbers, the table of published beside obtained, and a page of all of them."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from gpu_thermo_analysis.drawing import NotWrittenError
from gpu_thermo_analysis.lmv_rows import Row, sentence
from gpu_thermo_analysis.study_figures import markdown, save

if TYPE_CHECKING:
    from gpu_thermo_analysis.lmv import Entry


def write_entry(entry: "Entry", study: xr.Dataset, folder: Path, scale: float, seconds: float) -> str:
    """Draw one figure into `folder`, with its numbers and a JSON of the comparison; returns the table and the sentence as text."""
    rows, claims = entry.rows(study), entry.claims(study)
    said = sentence(rows, claims, scale >= 1)
    name = entry.id if scale >= 1 else f"{entry.id}-{scale:g}"
    save(entry.draw(study), folder / name)
    spent = float(study["seconds"].sum())
    record = {
        "id": entry.id, "title": entry.title, "ours": entry.ours, "scale": scale, "seconds": seconds, "sampling_seconds": spent,
        "runs": study.sizes["chain"], "sentence": said, "picture": f"{name}.png", "table": [_cells(r, scale >= 1) for r in rows],
        "command": f"gpu-thermo figure {entry.id}" + ("" if scale >= 1 else f" --scale {scale:g}"),
    }  # fmt: skip
    try:
        (folder / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise NotWrittenError(f"Cannot write {folder}: {error.strerror or error}.") from None
    return f"{markdown(COLUMNS, record['table'])}\n\n{said}\n"  # type: ignore[arg-type]


COLUMNS = ("what", "published", "obtained", "sd over runs", "runs", "")


def _cells(row: Row, full: bool) -> list[str]:
    obtained = _number(row.obtained) + ("" if math.isnan(row.error) else f" +- {row.error:.2g}")
    published = "picture only" if row.published is None else f"{row.published:g}"
    return [row.what, published, obtained, "" if math.isnan(row.sd) else f"{row.sd:.2g}", str(row.runs), row.verdict if full else ""]


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def write_gallery(folder: Path, page: Path) -> int:
    """Write a Markdown page of every figure in `folder`, full-size ones before smaller; returns their number."""
    import os

    found: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob("fig*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["id"] not in found or record["scale"] > found[record["id"]]["scale"]:
            found[record["id"]] = record
    parts = [
        "# Gallery",
        "Published figures beside ours (LMV: Leimkuhler, Matthews and Vlaar 2019). Every picture has its numbers as CSV beside it.",
    ]
    for record in sorted(found.values(), key=lambda r: int("".join(c for c in r["id"] if c.isdigit()))):
        place = os.path.relpath(folder / record["picture"], page.parent)
        minutes, seconds = divmod(round(max(record["seconds"], record["sampling_seconds"])), 60)
        parts += [
            f"## LMV {record['id']}: {record['title']}", f"![{record['title']}]({place})", markdown(COLUMNS, record["table"]),
            record["sentence"], f"Ours, not the paper's: {record['ours']}.",
            f"`{record['command']}`: {record['runs']:,} runs, {minutes} min {seconds} s.",
        ]  # fmt: skip
    try:
        page.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    except OSError as error:
        raise NotWrittenError(f"Cannot write {page}: {error.strerror or error}.") from None
    return len(found)
