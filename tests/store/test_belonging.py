"""What belongs to another run, or to another time of this one, is found and named; a spec that was edited is told from
data that were changed.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs import SMALL, differences
from store_cases import advance, check_run, make_header, make_store, one_more_commit

from gpu_thermo.errors import StoreError
from gpu_thermo.run import resume, sample
from gpu_thermo.store import RunWriter, open_run, read_checkpoint, read_header, verify_store
from gpu_thermo.store.arrays import ArraySpec, encode


def slot_of(store: Path) -> str:
    attributes = json.loads((store / "checkpoint" / "zarr.json").read_text())["attributes"]
    return f"checkpoint/{attributes['slot']}"


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Another run of the same shapes and as many draws, whose files are all sound."""
    return make_store(tmp_path / "other.zarr", commits=(4, 5, 3))


def replace_files(source: Path, target: Path, pattern: str) -> int:
    """As a copy that stops half way: only some files arrive."""
    files = [file for file in source.glob(pattern) if file.is_file()]
    for file in files:
        shutil.copy2(file, target / file.relative_to(source))
    return len(files)


def test_every_store_has_an_id_of_its_own(copy: Path, other: Path) -> None:
    ids = {read_header(path).run_id for path in (copy, other)}
    assert len(ids) == 2
    assert all(len(id_) == 32 for id_ in ids)
    mine = read_header(copy).run_id
    for document in copy.rglob("zarr.json"):
        node = json.loads(document.read_text())
        if node["node_type"] == "array":
            assert node["attributes"]["run_id"] == mine, document
    assert json.loads((copy / slot_of(copy) / "zarr.json").read_text())["attributes"]["run_id"] == mine


def test_the_id_stays(copy: Path) -> None:
    before = read_header(copy).run_id
    one_more_commit(copy, 12, 3)
    assert read_header(copy).run_id == before
    check_run(copy, 15)
    assert verify_store(copy) == []


def test_a_slot_of_another_run(copy: Path, other: Path) -> None:
    slot = slot_of(copy)
    shutil.rmtree(copy / slot)
    shutil.copytree(other / slot_of(other), copy / slot)
    assert all(damage.file.startswith(slot) for damage in verify_store(copy))
    assert "of another run" in str(verify_store(copy)[0])
    for read in (read_checkpoint, RunWriter.resume):
        with pytest.raises(StoreError, match=rf"{slot}.*of another run.*{read_header(copy).run_id}"):
            read(copy)


@pytest.mark.parametrize("pattern", ["c*", "position/c*"])
def test_chunks_of_a_slot_of_another_run(copy: Path, tmp_path: Path, pattern: str) -> None:
    """Each file is sound; which run it is of, no file says."""
    slot, stranger = slot_of(copy), make_stranger(tmp_path / "stranger.zarr")
    assert replace_files(stranger, copy, f"{slot}/**/{pattern}")
    assert [damage.file for damage in verify_store(copy)] == [slot]
    for read in (read_checkpoint, RunWriter.resume):
        with pytest.raises(StoreError, match=rf"{slot}: this checkpoint is not the one that was committed"):
            read(copy)


def test_a_slot_of_an_earlier_commit(copy: Path, tmp_path: Path) -> None:
    """The same run, an older copy of it."""
    older = Path(shutil.copytree(copy, tmp_path / "older.zarr"))
    one_more_commit(copy, 12, 2)
    one_more_commit(copy, 14, 2)
    assert replace_files(older, copy, f"{slot_of(older)}/position/c*")
    assert slot_of(copy) == slot_of(older)
    with pytest.raises(StoreError, match="another commit"):
        RunWriter.resume(copy)


def test_an_array_of_another_run(copy: Path, other: Path) -> None:
    shutil.rmtree(copy / "posterior" / "w1")
    shutil.copytree(other / "posterior" / "w1", copy / "posterior" / "w1")
    assert [damage.file for damage in verify_store(copy)] == ["posterior/w1"]
    for read in (open_run, RunWriter.resume):
        with pytest.raises(StoreError, match=r"posterior/w1: of another run"):
            read(copy)


@pytest.mark.parametrize("path", ["constant_data/x_train", "sample_stats/energy", "posterior/step", "trace/energy"])
def test_chunks_of_another_run(tmp_path: Path, path: str) -> None:
    """Whole rows of draws, and what never changes: sound chunks with other numbers."""
    mine = make_store(tmp_path / "mine.zarr", commits=(40, 30), draws=70, trace_steps=70)
    chunk = min((mine / path).glob("c.*"))
    document = json.loads((mine / path / "zarr.json").read_text())
    shape = document["chunk_grid"]["configuration"]["chunk_shape"]
    spec = ArraySpec(tuple("abcd"[: len(shape)]), tuple(shape), document["data_type"], tuple(shape))
    data, check = encode(np.ones(shape, spec.little), spec)
    before = chunk.read_bytes()
    assert len(before) == data.nbytes + len(check)
    chunk.write_bytes(data.tobytes() + check)
    if chunk.read_bytes() == before:
        data, check = encode(np.zeros(shape, spec.little), spec)
        chunk.write_bytes(data.tobytes() + check)
    assert [damage.file for damage in verify_store(mine)] == [path]
    with pytest.raises(StoreError, match=rf"{path}: sound chunks that are not those of this run"):
        RunWriter.resume(mine)


def make_stranger(path: Path) -> Path:
    """A run of the same shapes whose checkpoint has other numbers, in the same slot."""
    with RunWriter.create(path, make_header()) as writer:
        advance(writer, 0, 3)
        advance(writer, 3, 3)
        advance(writer, 6, 6)
    chunk = path / slot_of(path) / "position" / "c.0.0"
    spec = ArraySpec(("a", "b"), (6, 17), "float32", (6, 17))
    data, check = encode(np.full((6, 17), 3, "f4"), spec)
    chunk.write_bytes(data.tobytes() + check)
    return path


def test_kills_leave_rows_that_fit(copy: Path) -> None:
    """Draws past the commit fill the last row: recovery forgets them, and the row is written and counted again."""
    writer = RunWriter.resume(copy)[0]
    writer.append(_draws(12, 60))
    writer.append_trace(_trace(12, 60))
    writer.close()  # nothing committed
    one_more_commit(copy, 12, 30)
    one_more_commit(copy, 42, 3)
    check_run(copy, 45)
    assert verify_store(copy) == []


def _draws(start: int, count: int) -> Any:
    from store_cases import make_draws

    return make_draws(start, count)


def _trace(start: int, count: int) -> Any:
    from store_cases import make_trace

    return make_trace(start, count)


@pytest.fixture(scope="module")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sampled") / "run.zarr"
    sample(SMALL, path, engine="batched").close()
    return path


def edited(source: Path, target: Path, **attributes: str) -> Path:
    shutil.copytree(source, target)
    root = json.loads((target / "zarr.json").read_text())
    root["attributes"].update(attributes)
    (target / "zarr.json").write_text(json.dumps(root))
    return target


def test_an_edited_spec_is_told_from_changed_data(sampled: Path, tmp_path: Path) -> None:
    header = read_header(sampled)
    spec = json.loads(header.spec)
    spec["run"]["batch"] = 20
    by_spec = edited(sampled, tmp_path / "spec.zarr", spec=json.dumps(spec))
    with pytest.raises(StoreError, match=r"spec in store.*was edited after the run began"):
        resume(by_spec, draws=2)
    nonsense = edited(sampled, tmp_path / "nonsense.zarr", spec="{}")
    with pytest.raises(StoreError, match="was edited after the run began"):
        resume(nonsense, draws=2)
    by_mark = edited(sampled, tmp_path / "mark.zarr", fingerprint="0" * 64)
    with pytest.raises(StoreError, match=r"fingerprint in store.*fits neither"):
        resume(by_mark, draws=2)


def test_changed_data_are_told_from_an_edited_spec(sampled: Path, tmp_path: Path) -> None:
    """Changed with their checksums, as zarr would."""
    store = Path(shutil.copytree(sampled, tmp_path / "data.zarr"))
    path = "constant_data/x_train"
    document = json.loads((store / path / "zarr.json").read_text())
    shape = tuple(document["shape"])
    spec = ArraySpec(("a", "b", "c"), shape, document["data_type"], shape)
    data, check = encode(np.ones(shape, spec.little), spec)
    (store / path / "c.0.0.0").write_bytes(data.tobytes() + check)
    with pytest.raises(StoreError, match=r"data in it were changed.*its spec was not"):
        resume(store, draws=2)


def test_a_copied_folder_is_as_good(sampled: Path, tmp_path: Path) -> None:
    one, two = (Path(shutil.copytree(sampled, tmp_path / name)) for name in ("one.zarr", "two.zarr"))
    for path in (one, two):
        resume(path, draws=3).close()
    assert not differences(one, two)


@pytest.mark.parametrize("stride", [3, pytest.param(1, marks=pytest.mark.slow)])
def test_any_one_file_of_another_run(tmp_path: Path, stride: int) -> None:
    """Each file of another run in turn, under its own name, where it differs: found, or of no consequence, as what the
    checkpoint says again, the idle slot, the lock, documents that recovery puts right, and the last row of draws, which
    later draws fill.
    """
    mine, theirs = tmp_path / "mine.zarr", tmp_path / "theirs.zarr"
    for path, shift in ((mine, 0), (theirs, 1000)):
        _shifted(path, shift)
    idle = {"checkpoint/0": "checkpoint/1", "checkpoint/1": "checkpoint/0"}[slot_of(mine)]
    last = ("posterior", "probes", "sample_stats", "trace")
    found = missed = 0
    for file in sorted(file for file in theirs.rglob("*") if file.is_file())[::stride]:
        key = str(file.relative_to(theirs))
        before = (mine / key).read_bytes()
        if before == file.read_bytes() or file.name in ("lock", "zarr.json") or key.startswith(idle):
            continue
        (mine / key).write_bytes(file.read_bytes())
        named = [damage.file for damage in verify_store(mine)]
        derived = key.startswith("predictive/") or file.parent.name in ("status", "frozen_step")
        if derived or (key.startswith(last) and _row(mine, key) >= 70 // _length(mine, key)):
            missed += 1
        else:
            assert named, key
            assert key.startswith(tuple(named)), key
            found += 1
        (mine / key).write_bytes(before)
    assert found > 20 // stride
    assert verify_store(mine) == []


def _shifted(path: Path, shift: int) -> None:
    """70 draws whose numbers depend on `shift`, in two commits."""
    from dataclasses import replace

    from store_cases import make_predictive, make_state, make_sums

    with RunWriter.create(path, make_header(draws=70, trace_steps=70)) as writer:
        for start, count in ((0, 40), (40, 30)):
            draws, trace = _draws(start + shift, count), _trace(start + shift, count)
            index = np.arange(start, start + count)
            writer.append(replace(draws, draw=index + shift, step=10 * (index + shift + 1)))
            writer.append_trace(trace)
            state = make_state(start + count + shift)
            state.extra = {"adam/m": np.full((6, 17), 1.0 + shift)}
            sums = make_sums(start + count + shift)
            writer.commit(state, sums, make_predictive(start + count + shift), {}, wait=True)


def _length(store: Path, key: str) -> int:
    """Draws of one chunk."""
    document = json.loads((store / key).with_name("zarr.json").read_text())
    chunks, dims = document["chunk_grid"]["configuration"]["chunk_shape"], document["dimension_names"]
    axis = next((i for i, dim in enumerate(dims) if dim in ("draw", "step")), None)
    return 10**9 if axis is None else int(chunks[axis])


def _row(store: Path, key: str) -> int:
    """Which row of chunks a file is in; -1 where the array does not grow."""
    document = json.loads((store / key).with_name("zarr.json").read_text())
    axis = next((i for i, dim in enumerate(document["dimension_names"]) if dim in ("draw", "step")), None)
    return -1 if axis is None else int(key.rpartition("/")[2].split(".")[1 + axis])
