"""Files that users name: looked at before they are opened, so that a pipe or a device never hangs a run."""

import stat
from pathlib import Path

from ..errors import DataError, GpuThermoError


def require_file(path: Path, most: int | None = None, error: type[GpuThermoError] = DataError) -> None:
    """Refuse what is no regular file, and what has more than `most` bytes; `error` is raised.

    A path where nothing is passes: opening it says so in the system's words.
    """
    try:
        found = path.stat()
    except (OSError, ValueError):
        return
    if stat.S_ISDIR(found.st_mode):
        raise error(f"{path} cannot be read: it is a folder. Name the file in it.")
    if not stat.S_ISREG(found.st_mode):
        raise error(
            f"{path} cannot be read: it is a pipe or a device, whose end nobody knows. Write it to a file first."
        )
    if most is not None and found.st_size > most:
        raise error(f"{path} has {found.st_size:,} bytes; at most {most:,} are read. Is it the right file?")
