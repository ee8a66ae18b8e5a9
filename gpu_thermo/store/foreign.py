"""Copies of a store that another program wrote (xarray's to_zarr, say): the same variables in other chunks, under other
keys, maybe without the checkpoints.

They can be read, and not resumed: the commit record, checksums and slots are not ours. What they claim is bounded by
what they take on the disk before anything is read.
"""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import StoreError
from .arrays import DTYPES, STRING, ArraySpec

CODECS = ("bytes", "crc32c", "vlen-utf8", "zstd", "gzip", "blosc", "transpose", "sharding_indexed")
"""What may stand between a file's bytes and an array; none of them executes anything."""
_RATIO, _SPARE = 1024, 64 << 20
"""Most that an array may be larger than all files of the store: compression, and chunks left out that are all fill."""


class ForeignStoreError(StoreError):
    """A copy of one of our stores that another program wrote: it can be read, not resumed."""

    def __init__(
        self, path: str | os.PathLike[str], attributes: Any = None, schema: Any = None, nodes: Any = None
    ) -> None:
        super().__init__(
            f"Store '{path}' was not written by gpu_thermo: another program copied it (xarray, say). It can be read"
            " (info, diagnose, predict, map), not resumed or verified. To move a store, copy its folder as it is."
        )
        self.attributes: dict[str, Any] = attributes or {}
        self.schema, self.nodes = schema, nodes or {}


def is_foreign(nodes: Mapping[str, Any]) -> bool:
    """Whether none of the arrays is stored as we store arrays: under flat keys, in a node of a consolidated record."""
    arrays = [node for node in nodes.values() if isinstance(node, dict) and node.get("node_type") == "array"]
    ours = ArraySpec.fixed((), (), "int64").document()["chunk_key_encoding"]
    return bool(arrays) and all(node.get("chunk_key_encoding") != ours for node in arrays)


def check_foreign(path: Path, nodes: Mapping[str, Any]) -> None:
    """StoreError where a document asks for what a copy of ours never has, or for more than its files can hold."""
    most = _RATIO * _stored(path) + _SPARE
    for name, node in nodes.items():
        try:
            if node["node_type"] == "array":
                _check_array(node, most)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            raise StoreError(f"Store '{path}' is damaged: {name}: {error!r}. Restore it from a copy.") from None


def _check_array(node: Mapping[str, Any], most: int) -> None:
    dtype, shape = node["data_type"], node["shape"]
    chunks = node["chunk_grid"]["configuration"]["chunk_shape"]
    if dtype not in DTYPES or not all(type(n) is int and n >= 0 for n in (*shape, *chunks)):
        raise ValueError(f"dtype {dtype}, shape {shape}, chunks {chunks}")
    item = 16 if dtype == STRING else np.dtype(dtype).itemsize
    if max(math.prod(shape), math.prod(chunks)) * item > most:
        raise ValueError(f"shape {shape} is more than its files can hold")
    if unknown := [c["name"] for c in _codecs(node["codecs"]) if c["name"] not in CODECS]:
        raise ValueError(f"codec {unknown[0]}")


def _codecs(codecs: list[Any]) -> list[dict[str, Any]]:
    """All codecs, those inside of shards too."""
    inner = [c for codec in codecs for c in (codec.get("configuration") or {}).get("codecs", [])]
    return [*codecs, *(_codecs(inner) if inner else [])]


def _stored(path: Path) -> int:
    return sum(entry.stat().st_size for entry in path.rglob("*") if entry.is_file())


def committed(nodes: Mapping[str, Any]) -> tuple[int, str]:
    """Step and attributes of the last commit that the copy still has, or (-1, "{}")."""
    attributes = (nodes.get("checkpoint") or {}).get("attributes") or {}
    step, text = attributes.get("step"), attributes.get("attributes")
    return (step, text) if type(step) is int and isinstance(text, str) else (-1, "{}")


def length(nodes: Mapping[str, Any], path: str) -> int:
    """Length of a coordinate; 0 without it."""
    return int((nodes.get(path) or {}).get("shape", [0])[0])
