"""Names of other projects' pages, kept as text in inventories/, packed as Sphinx reads them: no network is asked.

A file's first line is the project's address; then a line a name as Sphinx has it (name, role, priority, place, shown),
`$` in a place being the name.
"""

import zlib
from pathlib import Path

FOLDER = Path(__file__).parent / "inventories"
HEAD = """\
# Sphinx inventory version 2
# Project: {name}
# Version:
# The remainder of this file is compressed using zlib.
"""


def pack(target: Path) -> dict[str, tuple[str, str]]:
    """Write every inventory into `target`; what `intersphinx_mapping` wants."""
    target.mkdir(parents=True, exist_ok=True)
    out = {}
    for path in sorted(FOLDER.glob("*.txt")):
        address, *lines = path.read_text().splitlines()
        body = "\n".join(" ".join(_expanded(line)) for line in lines) + "\n"
        packed = target / f"{path.stem}.inv"
        packed.write_bytes(HEAD.format(name=path.stem).encode() + zlib.compress(body.encode()))
        out[path.stem] = (address, str(packed))
    return out


def _expanded(line: str) -> list[str]:
    name, role, priority, place, shown = line.split(" ")
    return [name, role, priority, place.replace("$", name), shown]
