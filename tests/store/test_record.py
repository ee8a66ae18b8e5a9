"""Damaged, foreign and hostile stores are refused by name."""

import json
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from clocks import at_once
from store_cases import (
    FEATURES,
    HIDDEN,
    check_run,
    make_header,
)

from gpu_thermo.errors import StoreError
from gpu_thermo.store import RunWriter, open_run, read_checkpoint, read_header, verify_store
from gpu_thermo.store.arrays import checksum


class TestDamage:
    def test_named(self, copy: Path) -> None:
        chunks = sorted((copy / "posterior" / "w1").glob("c.*"))
        data = bytearray(chunks[0].read_bytes())
        data[17] ^= 1
        chunks[0].write_bytes(data)
        truncated = copy / "sample_stats" / "energy" / "c.0.0"
        os.truncate(truncated, 40)
        (copy / "trace" / "step" / "c.0").unlink()
        found = {damage.file: damage.problem for damage in verify_store(copy)}
        assert set(found) == {f"posterior/w1/{chunks[0].name}", "sample_stats/energy/c.0.0", "trace/step/c.0"}
        assert "checksum" in found[f"posterior/w1/{chunks[0].name}"]
        assert "40 bytes" in found["sample_stats/energy/c.0.0"]
        assert found["trace/step/c.0"] == "missing"
        with pytest.raises(StoreError, match=r"sample_stats/energy/c\.0\.0: 40 bytes"):
            open_run(copy)
        with pytest.raises(StoreError, match=r"c\.0"):
            RunWriter.resume(copy)

    def test_corrupt_checkpoint(self, copy: Path) -> None:
        slot = json.loads((copy / "checkpoint" / "zarr.json").read_text())["attributes"]["slot"]
        chunk = copy / "checkpoint" / str(slot) / "momentum" / "c.0.0"
        chunk.write_bytes(bytes(len(chunk.read_bytes())))
        for read in (read_checkpoint, RunWriter.resume):
            with pytest.raises(StoreError, match=f"checkpoint/{slot}/momentum"):
                read(copy)
        RunWriter.create(copy, make_header(), overwrite=True).close()  # the failed resume let go of the lock

    def test_every_corrupted_byte_is_found(self, copy: Path) -> None:
        rng = random.Random(3)
        files = [p for p in copy.rglob("c*") if p.is_file() and "checkpoint" not in p.parts]
        for path in rng.sample(files, 25):
            before = path.read_bytes()
            at = rng.randrange(len(before))
            path.write_bytes(before[:at] + bytes([before[at] ^ (1 << rng.randrange(8))]) + before[at + 1 :])
            assert [damage.file for damage in verify_store(copy)] == [str(path.relative_to(copy))]
            path.write_bytes(before)

    def test_not_a_store(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        (tmp_path / "empty").mkdir()
        zarr.create_group(tmp_path / "other.zarr", attributes={"format": 1})
        words = {
            "none": "no store at",
            "file": "a store is a folder",
            "empty": "no zarr.json",
            "other.zarr": "another program",
        }
        for name, message in (words | {"a\0b": "no store at"}).items():
            for read in (open_run, read_header, read_checkpoint, verify_store, RunWriter.resume):
                with pytest.raises(StoreError, match=message):
                    read(tmp_path / name)

    @pytest.mark.parametrize("version", [3, 0, -1, True, "1", None, 1.0])
    def test_other_format(self, copy: Path, version: Any) -> None:
        _edit(copy, lambda root: root["attributes"].update(format=version))
        for read in (open_run, read_header, read_checkpoint, RunWriter.resume):
            with pytest.raises(
                StoreError, match="Update gpu_thermo" if version == 3 else "Read it with|another program"
            ):
                read(copy)

    def test_lost_record(self, copy: Path) -> None:
        _edit(copy, lambda root: root.pop("consolidated_metadata"))
        with pytest.raises(StoreError, match="consolidate_metadata"):
            open_run(copy)
        with pytest.warns(UserWarning, match="onsolidated"):
            zarr.consolidate_metadata(copy)
        check_run(copy, 12)


def _edit(path: Path, change: Any) -> None:
    root = json.loads((path / "zarr.json").read_text())
    change(root)
    (path / "zarr.json").write_text(json.dumps(root))


def _nodes(root: dict[str, Any]) -> dict[str, Any]:
    return root["consolidated_metadata"]["metadata"]


def _grow_everything(root: dict[str, Any]) -> None:
    """A consistent lie: a billion replicas."""
    schema = json.loads(root["attributes"]["schema"])
    schema["replicas"] = 10**9
    root["attributes"]["schema"] = json.dumps(schema)
    for node in _nodes(root).values():
        if "chain" in node.get("dimension_names", ()):
            node["shape"][0] = 10**9


def _long_chain(root: dict[str, Any]) -> None:
    for node in _nodes(root).values():
        if "draw" in node.get("dimension_names", ()):
            node["shape"][node["dimension_names"].index("draw")] = 10**12
    _nodes(root)["checkpoint"]["attributes"]["draws"] = 10**12


def _set(path: str, **values: Any) -> Any:
    return lambda root: _nodes(root)[path].update(values)


HOSTILE = {
    "replicas": _grow_everything,
    "draws": _long_chain,
    "one shape": _set("posterior/w1", shape=[10**9, 12, HIDDEN, FEATURES]),
    "negative shape": _set("posterior/w1", shape=[6, -1, HIDDEN, FEATURES]),
    "float shape": _set("posterior/w1", shape=[6.0, 12, HIDDEN, FEATURES]),
    "chunks": _set("posterior/w1", chunk_grid={"name": "regular", "configuration": {"chunk_shape": [10**9] * 4}}),
    "zero chunks": _set("posterior/w1", chunk_grid={"name": "regular", "configuration": {"chunk_shape": [0, 1, 1, 1]}}),
    "codec": _set("posterior/w1", codecs=[{"name": "numcodecs.pickle"}]),
    "compressor": _set("posterior/w1", codecs=[{"name": "bytes"}, {"name": "gzip"}, {"name": "crc32c"}]),
    "dtype": _set("posterior/w1", data_type="object"),
    "odd dtype": _set("posterior/w1", data_type=["float32"]),
    "dims": _set("posterior/w1", dimension_names=["chain", "draw", "chain", "draw"]),
    "dims of a tensor": _set("posterior/w1", dimension_names=["chain", "draw", "row", "feature"]),
    "dims that are no text": _set("posterior/w1", dimension_names=["chain", "draw", 3, "feature"]),
    "no dims": _set("posterior/w1", dimension_names=None),
    "group for array": _set("posterior/w1", node_type="group"),
    "missing node": lambda root: _nodes(root).pop("posterior/b1"),
    "node is text": lambda root: _nodes(root).update({"posterior/b1": "x"}),
    "path": lambda root: _nodes(root).update({"checkpoint/0/../../../../etc": _nodes(root)["checkpoint/0/energy"]}),
    "dots": lambda root: _nodes(root).update({"checkpoint/0/..": _nodes(root)["checkpoint/0/energy"]}),
    "absolute path": lambda root: _nodes(root).update({"/etc/passwd": _nodes(root)["checkpoint/0/energy"]}),
    "new group": lambda root: _nodes(root).update({"evil": _nodes(root)["posterior"]}),
    "slot": lambda root: _nodes(root)["checkpoint"]["attributes"].update(slot=7),
    "bool slot": lambda root: _nodes(root)["checkpoint"]["attributes"].update(slot=True),
    "slot text": lambda root: _nodes(root)["checkpoint"]["attributes"].update(slot="0"),
    "step": lambda root: _nodes(root)["checkpoint"]["attributes"].update(step=1),
    "commit": lambda root: _nodes(root)["checkpoint"]["attributes"].update(attributes="["),
    "state": _set("checkpoint/0/position", shape=[6, 1]),
    "schema gone": lambda root: root["attributes"].pop("schema"),
    "schema text": lambda root: root["attributes"].update(schema="__import__('os').system('id')"),
    "schema deep": lambda root: root["attributes"].update(schema="[" * 100_000),
    "schema keys": lambda root: root["attributes"].update(schema="{}"),
    "record list": lambda root: root["consolidated_metadata"].update(metadata=[1]),
}


def _schema_edit(**values: Any) -> Any:
    def change(root: dict[str, Any]) -> None:
        root["attributes"]["schema"] = json.dumps(json.loads(root["attributes"]["schema"]) | values)

    return change


HOSTILE |= {
    f"schema {name}": _schema_edit(**values)
    for name, values in {
        "negative": {"replicas": -1}, "huge": {"replicas": 10**400}, "float": {"draws": 1e3},
        "infinite": {"draws": float("inf")},
        "names": {"tensors": {"../x": [2]}}, "dunder": {"tensors": {"__x": [2]}}, "dtype": {"dtype": "object"},
        "keep": {"keep": ["all"]},
        "labels": {"features": [1, 2]}, "types": {"chain": 7}, "clash": {"chain": {"w1": "int64"}},
        "dims": {"predictive": {"mean": [["a", "a"], [1, 2], "float64"]}}, "stat": {"statistics": {"energy": 3}},
    }.items()
}  # fmt: skip


class TestHostile:
    @pytest.mark.parametrize("kind", HOSTILE)
    def test_metadata(self, copy: Path, kind: str) -> None:
        """Refused at once, by every reader, and without touching anything."""
        _edit(copy, HOSTILE[kind])
        before = {path: path.stat().st_mtime_ns for path in copy.rglob("*")}
        for read in (open_run, read_checkpoint, RunWriter.resume):
            if kind in ("draws", "chunks") and read is read_checkpoint:  # it looks at no draws
                continue
            with at_once(1), pytest.raises(StoreError, match=r"damaged|lost its commit record"):
                read(copy)
        lock = copy / "sample_stats" / "draw" / "lock"
        assert {path for path, when in before.items() if path.stat().st_mtime_ns != when} <= {lock}

    def test_links_and_devices(self, copy: Path, tmp_path: Path) -> None:
        chunk = copy / "posterior" / "b1" / "c.0.0.0"
        chunk.unlink()
        chunk.symlink_to("/dev/zero")
        assert "a link, through which nothing is read" in str(verify_store(copy)[0])
        with pytest.raises(StoreError, match="is a link"):
            open_run(copy)
        chunk.unlink()
        os.mkfifo(chunk)
        with pytest.raises(StoreError, match="no plain file"):
            RunWriter.resume(copy)

    def test_linked_folder(self, copy: Path, tmp_path: Path) -> None:
        (copy / "posterior" / "b1").rename(tmp_path / "b1")
        (copy / "posterior" / "b1").symlink_to(tmp_path / "b1")
        with pytest.raises(StoreError, match="link"):
            RunWriter.resume(copy)

    def test_text_that_claims_too_much(self, copy: Path) -> None:
        """A right checksum over a wrong count: the decoder would make room for four billion items."""
        path = copy / "posterior" / "feature" / "c.0"
        data = np.frombuffer(b"\xff\xff\xff\xff" + path.read_bytes()[4:-4], np.uint8)
        path.write_bytes(data.tobytes() + checksum(data))
        with pytest.raises(StoreError, match="number of texts"):
            open_run(copy)

    @pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"attributes": 3}', b"[" * 200_000])
    def test_root_document(self, copy: Path, text: bytes) -> None:
        (copy / "zarr.json").write_bytes(text)
        with pytest.raises(StoreError, match="damaged"):
            read_header(copy)
        with pytest.raises(StoreError, match="not replaced"):
            RunWriter.create(copy, make_header(), overwrite=True)
