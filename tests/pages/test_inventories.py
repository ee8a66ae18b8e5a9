"""Other projects' names are packed as Sphinx reads them."""

import zlib
from pathlib import Path

from site_pages import inventories


def test_packed(tmp_path):
    mapping = inventories.pack(tmp_path)
    assert set(mapping) >= {"xarray", "sklearn", "numpy", "arviz", "python"}
    for address, packed in mapping.values():
        assert address.startswith("https://")
        head, body = Path(packed).read_bytes().split(b"zlib.\n", 1)
        assert head.startswith(b"# Sphinx inventory version 2\n# Project: ")
        assert head.count(b"\n") == 3
        for line in zlib.decompress(body).decode().splitlines():
            assert len(line.split(" ")) == 5
            assert "$" not in line
