"""What went on: launches, bytes each way, synchronisations, and how much memory is held on the devices."""

import atexit
import json
import os
import time
from collections import Counter

COUNTS: Counter[str] = Counter()
"""`launches`, `launches_on_DEVICE`, `launch_NAME`, `to_device`, `to_device_bytes`, `to_host`, `to_host_bytes`, `syncs`,
`modules`."""
HELD: Counter[int] = Counter()
"""Bytes held on each device."""
GIGABYTES_A_SECOND = float(os.environ.get("STANDIN_PCIE", "0"))


def copied(way: str, nbytes: int) -> None:
    """Note a copy between host and device, and let it take its time where STANDIN_PCIE says how fast the bus is."""
    COUNTS[way] += 1
    COUNTS[f"{way}_bytes"] += nbytes
    if GIGABYTES_A_SECOND:
        time.sleep(1e-5 + nbytes / GIGABYTES_A_SECOND / 1e9)


@atexit.register
def _write() -> None:
    if path := os.environ.get("STANDIN_LOG"):
        with open(path, "a") as file:
            file.write(json.dumps(dict(COUNTS)) + "\n")
