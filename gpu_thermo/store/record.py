"""The commit record: the root document with a copy of every node's document (zarr's consolidated metadata).

It is replaced in one rename, so that it names a whole commit or the one before. It is what zarr.consolidate_metadata
would write, but made from the documents in memory: re-reading a hundred files at every commit would be slower and no
safer.
"""

import functools
import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from ..errors import StoreError
from .arrays import DTYPES, ArraySpec, codecs
from .files import DOCUMENT, as_path, read, refuse_links
from .foreign import ForeignStoreError, is_foreign
from .header import FORMAT, READABLE
from .schema import SLOT_PARTS, SLOTS, Schema

MAKER = "gpu_thermo"
_MAX_RECORD, _MAX_TEXT = 64 << 20, 1000
_EMPTY = {"kind": "inline", "must_understand": False, "metadata": {}}


class Record:
    """Root attributes and all documents.

    Attributes
    ----------
    attributes : of the root, never changed after creation: setting them through zarr would drop the record.
    schema : from the attribute `schema`.
    groups : path -> attributes. arrays : path -> ArraySpec, those of the checkpoint slots included.
    """

    def __init__(
        self,
        attributes: Mapping[str, Any],
        schema: Schema,
        groups: dict[str, dict[str, Any]],
        arrays: dict[str, ArraySpec],
    ) -> None:
        self.attributes, self.schema, self.groups, self.arrays = dict(attributes), schema, groups, arrays

    def copy(self) -> "Record":
        """Tables of its own; what they hold is never changed in place."""
        return Record(self.attributes, self.schema, dict(self.groups), dict(self.arrays))

    @property
    def run(self) -> str:
        """Id of the run; empty before format 2."""
        return str(self.attributes.get("run_id", ""))

    @property
    def slot(self) -> int:
        """The committed checkpoint slot, or -1 before the first commit."""
        return self.groups["checkpoint"]["slot"]

    @property
    def step(self) -> int:
        """Committed steps."""
        return self.groups["checkpoint"]["step"]

    @property
    def draws(self) -> int:
        """Committed draws."""
        return self.arrays["sample_stats/draw"].shape[0]

    @property
    def trace_steps(self) -> int:
        """Committed points of the learning curves."""
        return self.arrays["trace/step"].shape[0]

    @property
    def commit_attributes(self) -> dict[str, Any]:
        """What the last commit was given as attributes."""
        return json.loads(self.groups["checkpoint"]["attributes"])

    def document(self) -> dict[str, Any]:
        """The root's zarr.json."""
        groups = {
            path: group_document(attributes) | {"consolidated_metadata": _EMPTY}
            for path, attributes in self.groups.items()
        }
        nodes = groups | {path: _node(spec) for path, spec in self.arrays.items()}
        inside = {"kind": "inline", "must_understand": False, "metadata": {path: nodes[path] for path in sorted(nodes)}}
        return group_document(self.attributes) | {"consolidated_metadata": inside}


@functools.lru_cache(1024)
def _node(spec: ArraySpec) -> dict[str, Any]:
    """An array's document, made once: most are as they were at the last commit. Not to be changed."""
    return spec.document()


def group_document(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """A group's zarr.json."""
    return {"attributes": dict(attributes), "zarr_format": 3, "node_type": "group"}


def to_key(name: str) -> str:
    """A node name for any text: what is not a plain letter, digit or _ is percent-encoded."""
    return quote(name, safe="").replace(".", "%2E").replace("-", "%2D").replace("~", "%7E")


def from_key(key: str) -> str:
    """Inverse of `to_key`."""
    return unquote(key)


def require_assertions() -> None:
    """StoreError where Python leaves assertions out: zarr's own reading rests on them."""
    if not __debug__:
        raise StoreError(
            "Python runs without assertions (-O, or PYTHONOPTIMIZE is set), and zarr, which reads and writes stores,"
            " does not work so. Run Python without -O, and unset PYTHONOPTIMIZE."
        )


def located(path: str | os.PathLike[str]) -> Path:
    """The path without links; StoreError for what can be no path, and where no store can be read."""
    require_assertions()
    try:
        return Path(os.path.realpath(as_path(path)))
    except (OSError, ValueError) as error:
        raise StoreError(f"There is no store at {str(path)!r}: {error}. Check the path.") from None


def read_root(path: Path) -> dict[str, Any]:
    """The root document of one of our stores; StoreError that says why it is none."""
    try:
        if not path.is_dir():
            raise StoreError(
                f"There is no store at '{path}'. Check the path{'; a store is a folder' if path.exists() else ''}."
            )
        refuse_links(path)
        raw = read(path, DOCUMENT, _MAX_RECORD + 1)
    except FileNotFoundError:
        what = _known_folder(path) or f"no store of {MAKER}: it has no {DOCUMENT}. Check the path"
        raise StoreError(f"'{path}' is {what}.") from None
    except (OSError, ValueError) as error:
        raise StoreError(
            f"Store '{path}' cannot be read: {getattr(error, 'strerror', None) or error}. Check the path."
        ) from None
    try:
        root = json.loads(raw) if len(raw) <= _MAX_RECORD else None
    except (ValueError, RecursionError):
        root = None
    if not isinstance(root, dict) or not isinstance(root.get("attributes"), dict):
        raise StoreError(f"'{path}/{DOCUMENT}' is damaged or no Zarr document. Restore it from a copy.")
    _check_origin(path, root["attributes"])
    return root


def _known_folder(path: Path) -> str:
    """What a folder without a document may be, of what this package writes; "" where it knows no more."""
    if (path / "comparison.json").is_file():
        return "the folder of a comparison, with a store for each entry in it. Name one of these"
    inside = next((child for child in path.glob("*.zarr") if child.is_dir()), None)
    return f"no store, but has one in it: name that, {inside.name}" if inside else ""


def _check_origin(path: Path, attributes: Mapping[str, Any]) -> None:
    version = attributes.get("format")
    if "study_format" in attributes:
        raise StoreError(
            f"'{path}' is a study, not one run. Its numbers: gpu-thermo table {path}, or gpu_thermo.study.open_study;"
            " what it is: gpu-thermo info; more of it: gpu-thermo study."
        )
    if attributes.get("inference_library") != MAKER or type(version) is not int:
        raise StoreError(
            f"Store '{path}' was written by another program. Only stores made by {MAKER} can be opened here."
        )
    if version != FORMAT and version not in READABLE:
        remedy = f"Update {MAKER}." if version > FORMAT else f"Read it with the version of {MAKER} that wrote it."
        raise StoreError(f"Store '{path}' has format {version}; this version reads format {FORMAT}. {remedy}")


def refuse_earlier(path: Path, version: int) -> None:
    """StoreError for a store of an earlier format: it lacks what going on needs."""
    if version in READABLE:
        known = READABLE[version]
        raise StoreError(
            f"Store '{path}' has format {version}, which is read here (info, diagnose, predict, map) and not continued:"
            f" go on with {MAKER} {known} (pip install 'gpu-thermo=={known}.*'), or start a new run."
        )


def load_record(path: Path) -> Record:
    """Read the commit record and check every document against the schema; StoreError."""
    root = read_root(path)
    schema = Schema.from_json(root["attributes"].get("schema"))
    consolidated = root.get("consolidated_metadata")
    nodes = consolidated.get("metadata") if isinstance(consolidated, dict) else None
    if not isinstance(nodes, dict):
        raise StoreError(
            f"Store '{path}' has lost its commit record (another program rewrote {DOCUMENT}). "
            f"If its run had ended normally, zarr.consolidate_metadata({str(path)!r}) brings it back."
        )
    if is_foreign(nodes):
        raise ForeignStoreError(path, root["attributes"], schema, nodes)
    try:
        record = _parse(root["attributes"], _named(schema, nodes), nodes)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
        raise StoreError(
            f"The commit record of store '{path}' is damaged: {error}. Restore the store from a copy."
        ) from None
    return record


def _named(schema: Schema, nodes: dict[str, Any]) -> Schema:
    """The schema with the names of the tensors' axes, which only the documents of their groups have."""
    group = next((group for group in ("posterior", "momenta") if group in schema.sampled), None)
    if group is None:
        return schema
    axes = {name: nodes[f"{group}/{name}"]["dimension_names"] for name in schema.tensors}
    return schema.with_dims({name: tuple(dims[2:]) for name, dims in axes.items()})


def _parse(attributes: dict[str, Any], schema: Schema, nodes: dict[str, Any]) -> Record:
    """Every group and array the schema asks for, no others but in the slots; lengths of growing arrays agree with each
    other.
    """
    groups = {path: _attributes(nodes.pop(path)) for path in schema.groups()}
    arrays: dict[str, ArraySpec] = {}
    lengths: dict[bool, int] = {}
    for path, spec in schema.arrays().items():
        stored = _array(path, nodes.pop(path))
        if spec.grows is not None:
            length = stored.shape[spec.grows] if len(stored.shape) > spec.grows else -1
            traced = path.partition("/")[0] in schema.traced
            if lengths.setdefault(traced, length) != length:
                raise ValueError(f"{path} has {length} draws, the others {lengths[traced]}")
            spec = spec.at(length)
        if (stored.shape, stored.dims, stored.dtype) != (spec.shape, spec.dims, spec.dtype):
            raise ValueError(f"{path} is {stored.dtype} {stored.shape}, not {spec.dtype} {spec.shape}")
        arrays[path] = replace(stored, grows=spec.grows)
    for path, node in nodes.items():
        arrays[_slot_path(path)] = _array(path, node)
    record = Record(attributes, schema, groups, arrays)
    _check_belonging(record)
    _check_commit(record)
    return record


def _attributes(node: dict[str, Any]) -> dict[str, Any]:
    if node["node_type"] != "group" or not isinstance(node["attributes"], dict):
        raise ValueError("a group is no group")
    return node["attributes"]


def _array(path: str, node: dict[str, Any]) -> ArraySpec:
    """An array's document, reduced to what we write; ValueError for any other codec, dtype or chunk grid."""
    dtype, dims = node["data_type"], tuple(node["dimension_names"])
    shape, chunks = tuple(node["shape"]), tuple(node["chunk_grid"]["configuration"]["chunk_shape"])
    if node["node_type"] != "array" or dtype not in DTYPES or not len(shape) == len(chunks) == len(dims):
        raise ValueError(f"{path} is not an array of ours")
    if any(type(n) is not int or n < 0 for n in shape) or any(type(n) is not int or n < 1 for n in chunks):
        raise ValueError(f"{path} has shape {shape} and chunks {chunks}")
    run, crc = node["attributes"].get("run_id", ""), node["attributes"].get("crc32c")
    if not isinstance(run, str) or not (crc is None or type(crc) is int):
        raise ValueError(f"{path} has run_id {run!r} and crc32c {crc!r}")
    about = node["attributes"].get("units", ""), node["attributes"].get("long_name", "")
    if not all(isinstance(text, str) and len(text) <= _MAX_TEXT for text in about):
        raise ValueError(f"{path} has odd units or long_name")
    spec = ArraySpec(dims, shape, dtype, chunks, run=run, crc=crc, about=about)
    stored, ours = (
        [{key: value for key, value in codec.items() if value} for codec in some]
        for some in (node["codecs"], codecs(dtype))
    )
    if (
        stored != ours
        or node["chunk_key_encoding"] != spec.document()["chunk_key_encoding"]
        or node.get("storage_transformers")
    ):
        raise ValueError(f"{path} has codecs or keys that we do not write")
    return spec


def _slot_path(path: str) -> str:
    """A path inside a checkpoint slot that leads nowhere else; ValueError."""
    head, _, name = path.rpartition("/")
    if (
        head not in (*SLOTS, *(f"{slot}/{part}" for slot in SLOTS for part in SLOT_PARTS))
        or to_key(from_key(name)) != name
        or not name
    ):
        raise ValueError(f"{path!r} does not belong here")
    return path


def _check_belonging(record: Record) -> None:
    """All of a store of format 2 is of one run, and what never changes has a checksum."""
    if record.attributes["format"] in READABLE:
        return
    if not re.fullmatch(r"[0-9a-f]{32}", record.run):
        raise ValueError(f"run_id is {record.run!r}, not 32 hexadecimal digits")
    derived = record.schema.derived()
    for path, spec in record.arrays.items():
        if spec.run != record.run:
            raise ValueError(f"{path} belongs to run {spec.run or 'none'}, not {record.run}")
        if (spec.crc is None) != (path in derived or path.startswith("checkpoint/")):
            raise ValueError(f"{path} has crc32c {spec.crc}")


def _check_commit(record: Record) -> None:
    commit = record.groups["checkpoint"]
    if record.slot not in (-1, 0, 1) or type(record.step) is not int or not isinstance(record.commit_attributes, dict):
        raise ValueError("group checkpoint does not name a commit")
    if commit["draws"] != record.draws or (
        record.slot == -1 and (record.step, record.draws, record.trace_steps) != (0, 0, 0)
    ):
        raise ValueError("group checkpoint does not fit the arrays")
    if record.slot >= 0:
        _check_slot(record)


def _check_slot(record: Record) -> None:
    """The State's own arrays have the shapes that the schema gives them."""
    slot, schema = SLOTS[record.slot], record.schema
    if record.groups[slot]["step"] != record.step or type(record.groups[slot]["evaluations"]) is not int:
        raise ValueError(f"{slot} is of another step")
    if record.run and record.groups[slot]["run_id"] != record.run:
        raise ValueError(f"{slot} belongs to run {record.groups[slot]['run_id']}, not {record.run}")
    flat, wide = (schema.replicas,), (schema.replicas, schema.parameters)
    expected = {
        "position": wide,
        "momentum": wide,
        "gradient": wide,
        "energy": flat,
        "status": flat,
        "frozen_step": flat,
    }
    for name, shape in expected.items():
        if record.arrays[f"{slot}/{name}"].shape != shape:
            raise ValueError(f"{slot}/{name} has shape {record.arrays[f'{slot}/{name}'].shape}, not {shape}")
    if record.arrays[f"{slot}/thermostat"].shape[0] != schema.replicas:
        raise ValueError(f"{slot}/thermostat has not {schema.replicas} rows")


def is_ours(path: Path) -> bool:
    """Whether a folder is a store of this package, of any format."""
    try:
        attributes = json.loads(read(path, DOCUMENT, _MAX_RECORD))["attributes"]
        return attributes["inference_library"] == MAKER and type(attributes["format"]) is int
    except (OSError, ValueError, KeyError, TypeError, RecursionError, StoreError):
        return False
