"""Bytes that the arrays of a run take when it is finished: on the disk, in memory, for one draw."""

from .arrays import ArraySpec
from .header import Header
from .schema import CHANGING, SLOTS, Schema

_NODE, _DISK_BLOCK = 900, 4096


def disk_bill(header: Header, extra: int = 0) -> int:
    """Bytes that the finished store takes, in disk blocks; `extra` is what the running sums and State.extra need,
    once.
    """
    schema = Schema.of(header)
    total = 0
    for path, spec in schema.arrays().items():
        grown = _grown(schema, path, spec)
        total += _blocks(_NODE) + _DISK_BLOCK + (grown.stored_bytes // grown.chunk_bytes) * _blocks(grown.chunk_bytes)
    wide = 3 * schema.replicas * schema.parameters * (8 if schema.dtype == "float64" else 4)
    narrow = schema.replicas * (8 * len(schema.partitions) + 8 + 4 + 8)
    shown = sum(_blocks(spec.stored_bytes) for path, spec in schema.arrays().items() if path.startswith("predictive/"))
    small = (len(schema.groups()) + len(SLOTS) * (5 + len(CHANGING) + len(schema.predictive))) * 3 * _DISK_BLOCK
    constant = len(header.spec) + len(schema.arrays()) * _NODE
    return total + len(SLOTS) * (wide + narrow + shown + extra) + small + constant


def array_bytes(header: Header) -> int:
    """Bytes of all arrays of the finished store in memory, checkpoints aside."""
    schema = Schema.of(header)
    return sum(_grown(schema, path, spec).nbytes for path, spec in schema.arrays().items())


def draw_bytes(header: Header) -> dict[str, int]:
    """Bytes of one draw as it is handed over, by group: posterior, probes, sample_stats."""
    schema = Schema.of(header)
    each = {group: 0 for group in schema.sampled}
    for path, spec in schema.arrays().items():
        group = path.partition("/")[0]
        if group in each and spec.grows is not None:
            each[group] += spec.at(1).nbytes
    return each


def gathering_bytes(header: Header) -> int:
    """Bytes of the rows of chunks that draws gather in until they are full, while the store is written."""
    schema = Schema.of(header)
    growing = {path: spec for path, spec in schema.arrays().items() if spec.grows is not None}
    lengths = {path: min(spec.chunks[spec.grows or 0], _length(schema, path)) for path, spec in growing.items()}
    return sum(spec.at(lengths[path]).nbytes for path, spec in growing.items() if lengths[path] > 1)


def _grown(schema: Schema, path: str, spec: ArraySpec) -> ArraySpec:
    return spec.at(_length(schema, path))


def _length(schema: Schema, path: str) -> int:
    """Of an array that grows, when the run is done."""
    return schema.trace_steps if path.partition("/")[0] in schema.traced else schema.draws


def _blocks(size: int) -> int:
    return -(-size // _DISK_BLOCK) * _DISK_BLOCK
