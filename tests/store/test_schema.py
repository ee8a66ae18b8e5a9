"""Headers that contradict themselves, and the schema both ways."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from store_cases import (
    FEATURES,
    HIDDEN,
    make_header,
)

from gpu_thermo.errors import StoreError
from gpu_thermo.store import RunWriter
from gpu_thermo.store.arrays import encode
from gpu_thermo.store.schema import Schema


class TestHeader:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"chain": {"a": np.arange(3), "b": np.arange(4)}}, "common shape"),
            ({"chain": {}}, "common shape"),
            ({"chain": {"w1": np.arange(3)}}, "'w1' has the name"),
            ({"chain": {"thermostat": np.arange(3)}}, "'thermostat' has the name"),
            ({"statistics": {"status": ((), int)}}, "'status' has the name"),
            ({"statistics": {"x": (("nowhere",), float)}}, "axis 'nowhere'"),
            ({"statistics": {"a b": ((), float)}}, "'a b' is not a name"),
            ({"statistics": {"x": ((), object)}}, "object cannot be stored"),
            ({"constant": {"x": (("a",), np.zeros((2, 3)))}}, "axes"),
            ({"constant": {"x": (("a",), np.zeros(2)), "y": (("a",), np.zeros(3))}}, "length 3"),
            ({"keep": ("everything",)}, "everything"),
            ({"tensors": {"x": (("a", "a"), (2, 2))}}, "axes"),
            ({"tensors": {"x": (("feature",), (FEATURES + 1,))}}, "length 3, elsewhere 2"),
            ({"tensors": {"x": (("stepsize",), (2,))}}, "axis 'stepsize'"),
            ({"tensors": {"x": (("x",), (2,))}}, "axis 'x'"),
            *(({"tensors": {n: (("a",), (2,))}}, f"parameter '{n}'") for n in ("chain", "draw", "step", "status")),
            ({"attributes": {"x": [1]}}, "JSON"),
        ],
    )
    def test_contradictions(self, tmp_path: Path, changes: dict[str, Any], message: str) -> None:
        with pytest.raises(StoreError, match=message):
            RunWriter.create(tmp_path / "run.zarr", make_header(**changes))
        assert not list(tmp_path.iterdir())

    def test_schema_round_trip(self) -> None:
        schema = Schema.of(make_header())
        assert Schema.from_json(schema.to_json()).with_dims(schema.dims) == schema

    def test_encoding_is_zarrs(self, tmp_path: Path) -> None:
        """Text coordinates, numbers and truth values, read back by zarr alone."""
        chain = {
            "method": np.array(["BAOAB", "ξ", ""]),
            "on": np.array([True, False, True]),
            "small": np.arange(3, dtype=np.int8),
        }
        RunWriter.create(tmp_path / "run.zarr", make_header(chain=chain)).close()
        root = zarr.open_group(tmp_path / "run.zarr", mode="r")
        for name, value in chain.items():
            np.testing.assert_array_equal(root[f"trace/{name}"][...], value)
        spec = Schema.of(make_header()).arrays()["posterior/w1"]
        block = np.ones((2, 1, HIDDEN, FEATURES), np.float32)
        assert len(encode(block, spec)[0]) + 4 == spec.chunk_bytes
