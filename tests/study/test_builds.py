"""Which build made the runs of a study: said by each, and kept unless asked otherwise."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_cases import call, check_refused, listing
from study_cases import ADLALA, SMALL, changed, same

from gpu_thermo.errors import OtherBitsError
from gpu_thermo.kernels.toolchain import find_compiler
from gpu_thermo.study import builds, open_study, run_study, workers
from gpu_thermo.study.parts import part_builds, part_path
from gpu_thermo.study.reading import build_warning
from gpu_thermo.study.work import as_study, make_work

FEWER = {"count": 3}
ONE: dict[str, Any] = {"grid": {"method": [ADLALA]}, "study": {"shard": 2}}
THIS, OTHER = {"engine": "fused", "target": "a", "kernels": "1"}, {"engine": "fused", "target": "b", "kernels": "1"}


def test_a_group_knows_the_build_of_its_shards(small: Path) -> None:
    """Of one run of one cell as of any shard."""
    study, base = as_study(SMALL)
    job = make_work(study, base, "cpu", "auto")
    found = list(part_builds(small, job.shards))
    assert len(found) == len(job.shards) > 1
    for shard, build in found:
        assert build == job.groups[shard.group].build


def test_every_run_names_its_build(small: Path) -> None:
    study = open_study(small)
    made = json.loads(study.attrs["builds"])
    assert "build" in study.coords
    for i, build in enumerate(made):
        assert {"engine", "functions", "precision", "device"} <= set(build), i
    assert set(study["build"].to_numpy()) == set(range(len(made)))
    assert build_warning(study) == ""


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of which the first three of five seeds are done."""
    path = tmp_path_factory.mktemp("begun") / "s.zarr"
    run_study(changed(seeds=FEWER, **ONE), path, device="cpu")
    return path


@pytest.fixture
def half(begun: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(begun, tmp_path / "s.zarr"))


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another build: narrower vectors, or NumPy that answers otherwise."""
    if find_compiler() is None:
        monkeypatch.setattr("gpu_thermo.engines.builds.functions_digest", lambda: "another")
    else:
        monkeypatch.setenv("GPU_THERMO_VECTOR_BITS", "128")


@pytest.mark.usefixtures("elsewhere")
def test_another_build_is_refused_and_insisted_on(half: Path) -> None:
    before = listing(half)
    with pytest.raises(OtherBitsError, match=r"(?s)made by another build.* then, .* now.*--allow-other-bits"):
        run_study(changed(**ONE), half, extend=True, device="cpu")
    assert listing(half) == before
    study = run_study(changed(**ONE), half, extend=True, device="cpu", allow_other_bits=True)
    assert sorted(np.bincount(study["build"].to_numpy())) == [2, 3] or len(json.loads(study.attrs["builds"])) == 2
    assert "Runs of several builds, whose bits differ" in build_warning(study)
    run_study(changed(**ONE), half, device="cpu")  # all of it is done: nothing is to be run


def test_the_same_build_goes_on(half: Path, tmp_path: Path) -> None:
    study = run_study(changed(**ONE), half, extend=True, device="cpu")
    same(study, run_study(changed(**ONE), tmp_path / "straight.zarr", device="cpu"))
    assert build_warning(study) == ""


@pytest.mark.usefixtures("elsewhere")
def test_the_command(half: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tomli_w

    monkeypatch.chdir(tmp_path)
    Path("study.toml").write_text(tomli_w.dumps(changed(**ONE)))
    words = ("study", "study.toml", "--out", str(half), "--extend", "--device", "cpu", "--quiet")
    check_refused(call(*words), ["another build", "--allow-other-bits"])
    assert call(*words, "--allow-other-bits").exit_code == 0
    for command in ("table", "info"):
        assert "Warning: Runs of several builds" in call(command, str(half)).stderr
    known = json.loads(call("info", str(half), "--json").stdout)["builds"]
    assert sorted(one["runs"] for one in known) in ([2, 3], [1, 4])
    assert known[0]["build"] != known[1]["build"]


def test_groups_are_held_to_the_machine_only(tmp_path: Path) -> None:
    """Kernels and engine follow the network; a study's groups differ in them."""
    study, base = as_study(SMALL)
    job = make_work(study, base, "cpu", "auto")
    first, last = job.shards[0], job.shards[-1]
    assert first.group != last.group
    groups = [g for g in job.groups]

    def go_on(then: dict[str, str], now: dict[str, str]) -> None:
        from dataclasses import replace

        builds.check(tmp_path, [(first, then)], [last], [replace(g, build=now) for g in groups], allow=False)

    go_on(THIS, {**THIS, "kernels": "2", "engine": "batched", "blas": "x"})
    go_on({}, THIS)
    with pytest.raises(OtherBitsError, match="target: a then, b now"):
        go_on(THIS, {**OTHER, "kernels": "2"})


def test_workers_of_two_builds(half: Path) -> None:
    """The part of the second is forgotten."""
    study, base = as_study(changed(seeds=FEWER, **ONE))
    shards = make_work(study, base, "cpu", "auto").shards
    known = {shards[0].group: {**dict(next(iter(part_builds(half, shards)))[1]), "target": "another"}}
    with pytest.raises(OtherBitsError, match=r"(?s)worker of another build.*target: another then"):
        workers.agree(half, shards[0], known)
    assert not part_path(half, shards[0].id).exists()
    workers.agree(half, shards[1], {})
    assert part_path(half, shards[1].id).exists()


def test_odd_parts_name_no_build() -> None:
    assert builds.from_part({}) == {}
    assert builds.from_part({"build": np.array("[")}) == {}
    assert builds.from_part({"build": np.array("[1]")}) == {}
    assert builds.from_part({"build": builds.as_array(THIS)}) == THIS


def test_chunks_of_all_arrays_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Along the runs, also where parameters make them few, and after an extension: status alone is never made anew."""
    monkeypatch.setattr("gpu_thermo.study.assembly.ROWS", 4)
    for seeds in (FEWER, {"count": 6}):
        run_study(changed(seeds=seeds, **ONE), tmp_path / "s.zarr", keep=True, extend=True, device="cpu")
        study = open_study(tmp_path / "s.zarr")
        found = {name: v.encoding["preferred_chunks"].get("chain") for name, v in study.variables.items()}
        assert set(found.values()) - {None} == {min(4, seeds["count"])}
        assert (study["status"].to_numpy() == 0).all()
        study.close()
