"""The store: chains, averages and checkpoints of a run as plain Zarr v3, which xarray and ArviZ open as it is.

A run may be killed at any moment without losing a committed draw: the root's consolidated metadata is the commit
record, replaced last and in one rename. `writer.py` holds the order of a commit, `checkpoints.py` what follows a kill,
`schema.py` which arrays there are. There is no fsync: a killed process loses nothing, a power cut may lose what the
system had not yet written (`verify_store` finds it).
"""

from .header import FORMAT, Checkpoint, Draws, Header, RunInfo, Trace
from .reader import open_run, read_checkpoint, read_header, require_resumable, verify_store
from .sizes import array_bytes, disk_bill, draw_bytes, gathering_bytes
from .soundness import Damage
from .writer import RunWriter

__all__ = [
    "FORMAT",
    "Checkpoint",
    "Damage",
    "Draws",
    "Header",
    "RunInfo",
    "RunWriter",
    "Trace",
    "array_bytes",
    "disk_bill",
    "draw_bytes",
    "gathering_bytes",
    "open_run",
    "read_checkpoint",
    "read_header",
    "require_resumable",
    "verify_store",
]
