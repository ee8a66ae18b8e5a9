"""Studies of records of one's own: here and on workers, the same bits; what differs is another study."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import tomli_w
from cli_cases import call, check_refused
from study_cases import changed, same

import gpu_thermo as gt
from gpu_thermo import registration
from gpu_thermo.errors import SpecError, StoreExistsError
from gpu_thermo.method.letters import A, O
from gpu_thermo.study import open_study, records, run_study, summaries
from gpu_thermo.targets.activations import ACTIVATIONS

METHOD = {"name": "splitting", "partition": "all", "stepsize": 0.1, "temperature": 1e-2, "friction": 1.0}
STUDY = changed(
    grid={"method.word": ["BAOAB", "BALAB"], "model.activation": ["tanh", "swish"]}, method=METHOD, seeds={"count": 4},
    study={"shard": 4},
)  # fmt: skip


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    yield
    for label in registration.registered():
        gt.unregister(label.split()[1])


def mine(factor: float = 1.0) -> None:
    """A copy of O whose friction is so many times ours, made of a function that has no module, and a copy of silu."""
    gt.register(replace(O, symbol="L", apart="", coefficients=lambda h, v: O.coefficients(factor * h, v)))
    gt.register(replace(ACTIVATIONS["silu"], name="swish"))


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("own") / "s.zarr"
    mine()
    run_study(STUDY, path).close()
    for label in registration.registered():
        gt.unregister(label.split()[1])
    return path


def test_cells_of_ones_own(straight: Path) -> None:
    """A copy gives the bits of what it is a copy of; a study is read where nothing is registered."""
    found = open_study(straight)
    assert found["loss"].to_numpy()[0:4].tolist() == found["loss"].to_numpy()[8:12].tolist()
    assert found["loss"].to_numpy()[0:4].tolist() != found["loss"].to_numpy()[4:8].tolist()
    assert set(json.loads(found.attrs["study"])["registered"]) == {"letter L", "activation swish"}
    assert len(summaries(found)) == 4


def test_another_record_is_another_study(straight: Path) -> None:
    """Its digest is in the study, and in every shard's id."""
    with pytest.raises(SpecError, match="activation"):
        run_study(STUDY, straight)
    mine(2.0)
    with pytest.raises(StoreExistsError, match=r"differs in registered"):
        run_study(STUDY, straight)
    from gpu_thermo.study import StudySpec

    with pytest.raises(SpecError, match="the one registered here is another"):
        run_study(StudySpec.from_json(open_study(straight).attrs["study"]), straight)


def test_workers_are_sent_what_is_registered(straight: Path, tmp_path: Path) -> None:
    """Functions without a module too, in place of what a worker had before."""
    pytest.importorskip("distributed")
    mine()
    same(open_study(straight), run_study(STUDY, tmp_path / "s.zarr", workers=1))


def test_a_payload_replaces_what_was_there() -> None:
    pytest.importorskip("cloudpickle")
    mine(2.0)
    payload, wanted = records.packed(), registration.registered()
    gt.unregister("L")
    mine()
    assert registration.registered() != wanted
    records.unpack(payload)
    assert registration.registered() == wanted
    gt.unregister("L")
    gt.unregister("swish")
    assert records.packed() == b""
    with pytest.raises(SpecError, match="A worker cannot load the records"):
        records.unpack(b"no pickle")


def test_what_cannot_travel_is_refused() -> None:
    pytest.importorskip("cloudpickle")
    lock = threading.Lock()
    gt.register(replace(A, symbol="J", coefficients=lambda h, v: (h, lock)[:1]))
    with pytest.raises(SpecError, match=r"letter J.*cannot be sent to workers"):
        records.packed()


CODE = """
from dataclasses import replace
import gpu_thermo as gt
from gpu_thermo.method.letters import O
from gpu_thermo.targets.activations import ACTIVATIONS
gt.register(replace(O, symbol="L", apart="", coefficients=lambda h, v: O.coefficients(1.0 * h, v)))
gt.register(replace(ACTIVATIONS["silu"], name="swish"))
"""


def test_the_command(straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--import takes a file; what it cannot import is said."""
    monkeypatch.chdir(tmp_path)
    Path("s.toml").write_text(tomli_w.dumps(STUDY))
    check_refused(call("study", "s.toml", "--import", "nothing.py"), ["--import nothing.py", "cannot be imported"])
    check_refused(call("study", "s.toml"), ["swish"])
    Path("mine.py").write_text(CODE)
    assert call("study", "s.toml", "--import", "mine.py", "--quiet").exit_code == 0
    same(open_study("s.zarr"), open_study(straight))
    assert call("table", "s.zarr").exit_code == 0
