"""A move is one file and its row: one that only this file knows goes through the whole library."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
from move_runs import EXCHANGE, RUN, same, spec
from move_runs import MOVES as CASES
from pydantic import Field
from typer.testing import CliRunner

from gpu_thermo.averages.predictive import predict
from gpu_thermo.errors import SpecError
from gpu_thermo.moves import fold
from gpu_thermo.moves.base import Context, EnergiesOf, Move, MoveOptions, Recording, kind_of
from gpu_thermo.moves.report import Report, Verdict
from gpu_thermo.moves.table import MOVES
from gpu_thermo.run import plan, resume, sample
from gpu_thermo.running.setup import prepare
from gpu_thermo.spec.reports import read_reports
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.state import Hyper, State
from gpu_thermo.store import read_header
from gpu_thermo_analysis.diagnostics import diagnose
from gpu_thermo_cli.main import app


class Late:
    """Draws of the second half of a run only."""

    about = "the second half"

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def sampling(self, step: np.ndarray) -> np.ndarray:
        return step >= self.steps // 2


class KickOptions(MoveOptions):
    """Kicks: momenta change sign now and then, and replicas remember how often.

    Further text.
    """

    takes: ClassVar[str] = "law"

    kind: Literal["kick"]
    interval: int = Field(10, ge=1, description="steps between kicks")
    late: bool = Field(False, description="draws in the second half only")

    def make(self, hyper: Hyper, context: Context) -> "tuple[Kick, Hyper]":
        if self.interval > context.steps:
            raise SpecError(f"kick: interval = {self.interval} is longer than the run: lower it.")
        return Kick(self.interval), hyper

    @property
    def together(self) -> int:
        return 2

    @property
    def bytes_per_replica(self) -> int:
        return 8

    def recording(self, steps: int) -> Recording | None:
        return Late(steps) if self.late else None

    @classmethod
    def report(cls, facts: Mapping[str, Any], warnings: Sequence[str]) -> Report:
        verdicts = (Verdict("kicks", facts["kicks"] > 0, f"There were {facts['kicks']} kicks."),
                    Verdict("kicks elsewhere", False, "Not about this ensemble.", 7))  # fmt: skip
        return Report(kind_of(cls), facts, {"kicked": f"{facts['kicks']} times"}, verdicts, tuple(warnings))


class Kick(Move):
    options: ClassVar[type[MoveOptions]] = KickOptions
    names: ClassVar[tuple[str, ...]] = ("kicks",)
    weighs: ClassVar[bool] = True

    def __init__(self, interval: int) -> None:
        self.interval = interval

    def arrays(self, replicas: int) -> dict[str, tuple[tuple[int, ...], Any]]:
        return {"kick_count": ((replicas,), np.int64), "kick_energy": ((replicas,), np.float64)}

    def next_stop(self, step: int, next_draw: int) -> int:
        return (step // self.interval + 1) * self.interval

    def act(self, state: State, energies: EnergiesOf) -> None:
        if state.step % self.interval == 0:
            found = energies(state.step // self.interval - 1, 20)
            state.extra["kick_energy"][...] = found.value
            state.momentum *= -1
            state.extra["kick_count"] += 1

    def log_weight(self, state: State, energy: np.ndarray, rows: slice) -> np.ndarray:
        """Odd replicas do not count."""
        return np.where(np.arange(state.replicas)[rows] % 2, -np.inf, 0.0)

    def statistics(self, state: State, step: int) -> dict[str, np.ndarray]:
        return {"kicks": state.extra["kick_count"].astype(np.float64)}

    def notices(self) -> list[str]:
        return ["momenta are kicked."]

    def facts(self, state: State) -> dict[str, Any]:
        return {"kicks": int(state.extra["kick_count"].max()), "energy": float(state.extra["kick_energy"].mean())}

    def warnings(self, state: State) -> list[str]:
        return ["kicks hurt."]


KICK = {"kind": "kick", "interval": 9}


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    """The row."""
    monkeypatch.setitem(MOVES, "kick", KickOptions)


def run(*arguments: object) -> Any:
    done = CliRunner().invoke(app, [str(a) for a in arguments], prog_name="gpu-thermo", catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    return done


@pytest.mark.parametrize("engine", ["batched", "fused"])
def test_a_new_move_is_sampled_stored_and_resumed(engine: str, tmp_path: Path) -> None:
    whole = sample(spec(KICK), tmp_path / "whole.zarr", engine=engine)
    path = tmp_path / "cut.zarr"
    sample(spec(KICK), path, engine=engine, time_limit=0)
    assert read_header(path).step < RUN["steps"]
    stops = 0
    while read_header(path).step < RUN["steps"]:
        stops += 1
        tree = resume(path, time_limit=0 if stops < 6 else None)
    assert stops == 6
    same(whole, tree)
    assert tree["sample_stats"].attrs["moves"] == whole["sample_stats"].attrs["moves"]
    kicks = tree["sample_stats"]["kicks"].transpose("draw", "chain").to_numpy()
    expected = (RUN["burn_in"] + RUN["thin"] * (1 + np.arange(20)) - 1) // KICK["interval"]
    assert np.array_equal(kicks, np.broadcast_to(expected[:, None], kicks.shape))
    assert "kicks" in tree["trace"]
    assert float(tree["predictive"]["draws"][0]) == 20 * RUN["replicas"] / 2
    plain = sample(spec(), tmp_path / "plain.zarr", engine=engine)
    assert not np.array_equal(plain["posterior"]["w1"], tree["posterior"]["w1"])
    x = tree["constant_data"]["x_test"].to_numpy()[0]
    assert np.allclose(predict(tree, x)["mean"], tree["predictive"]["mean"], rtol=1e-5, atol=1e-7)


def test_what_it_reports_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "run.zarr"
    sample(spec(KICK), path)
    shown = run("info", path)
    assert "kicked            26 times" in shown.stdout
    assert "Warning: kicks hurt." in shown.stderr
    (report,) = json.loads(run("info", path, "--json").stdout)["moves"]
    assert (report["kind"], report["kicks"], report["lines"]) == ("kick", 26, {"kicked": "26 times"})
    found = diagnose(str(path)).ensembles[0]
    assert [(v.passed, v.text) for v in found.verdicts if "kicks" in v.topic] == [(True, "There were 26 kicks.")]
    assert "There were 26 kicks." in CliRunner().invoke(app, ["diagnose", str(path)]).stdout


def test_what_is_known_of_it_before_a_run(tmp_path: Path) -> None:
    known = plan(spec(KICK))
    assert known.moves == ("kick",)
    assert known.warnings == ("momenta are kicked.",)
    assert known.new_bytes > plan(spec()).new_bytes
    assert plan(spec(KICK | {"late": True})).draws == 15
    several = {"name": "spirals", "train": 60, "test": 20, "seeds": [1, 2]}
    ready = prepare(RunSpec.from_dict(spec(KICK) | {"data": several}))
    assert ready.dataset.tolist() == [0, 0, 1, 1] * 3
    assert "Kicks: momenta change sign" in run("moves").stdout
    assert "steps between kicks" in run("moves", "kick").stdout
    toml = tmp_path / "spec.toml"
    toml.write_text(RunSpec.from_dict(spec(KICK | {"late": True})).to_toml())
    assert RunSpec.from_toml(toml).moves == [KickOptions(kind="kick", interval=9, late=True)]
    assert "of the sampling stages" in run("sample", toml, "--dry-run").stdout


@pytest.mark.parametrize(
    ("moves", "message"),
    [
        ([KICK, EXCHANGE], "of exchange, tempering, contour and kick a run takes one"),
        ([KICK | {"interva": 3}], r"moves\.0\.interva'\. Did you mean 'interval'"),
        ([KICK | {"interval": 0}], r"moves\.0\.interval = 0"),
        ([{"kind": "kic"}], "Did you mean 'kick'"),
        ([KICK | {"interval": 1000}], "longer than the run"),
        ([KICK | {"late": True, "interval": 5}, {"kind": "cyclical", "period": 40}], "goes with no other move"),
    ],
)
def test_it_is_refused_like_any_other(moves: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        prepare(RunSpec.from_dict(spec() | {"moves": moves}))


def test_the_defaults_do_nothing() -> None:
    """A move of defaults, folded over: the run of none."""

    class Idle(Move):
        options = KickOptions

    ready = prepare(RunSpec.from_dict(spec()))
    state, idle = ready.initial_state(), Idle()
    before = state.copy()
    for moves in ((), (idle,)):
        fold.begin(moves, state)
        fold.act(moves, state, lambda attempt, batch: pytest.fail("energies are asked for"))
        assert state.arrays().keys() == before.arrays().keys()
        assert fold.hyper(moves, state) is None
        assert fold.weigh(moves, state) is None
        assert fold.next_stop(moves, 3, 5) > 10**12
        assert not fold.names(moves)
        assert not fold.weighted(moves)
        assert fold.nbytes(moves, 5) == 0
        assert fold.in_gradients(moves) is None
        assert fold.statistics(moves, state, 3) == fold.watched(moves, state) == {}
    assert (idle.kind, idle.pace, idle.notices()) == ("kick", 1, [])


@pytest.mark.parametrize("move", ["exchange", "tempering", "contour"])
def test_arrays_are_those_of_the_state(move: str) -> None:
    ready = prepare(RunSpec.from_dict(spec(CASES[move])))
    extra, (made,) = ready.initial_state().extra, ready.moves
    listed = made.arrays(RUN["replicas"])
    assert {name: (a.shape, a.dtype) for name, a in extra.items()} == {
        name: (shape, np.dtype(dtype)) for name, (shape, dtype) in listed.items()
    }
    assert fold.nbytes(ready.moves, RUN["replicas"]) == sum(a.nbytes for a in extra.values())


def test_reports_round_trip_and_old_ones_are_completed(tmp_path: Path) -> None:
    tree = sample(spec(EXCHANGE), tmp_path / "run.zarr")
    stored = tree["sample_stats"].attrs["moves"]
    (report,) = read_reports(stored)
    assert json.loads(stored) == [report.to_dict()]
    old = [{k: v for k, v in each.items() if k not in ("lines", "verdicts")} for each in json.loads(stored)]
    assert read_reports(old) == read_reports(stored)
    assert read_reports(None) == read_reports([]) == []
    (unknown,) = read_reports([{"kind": "gone", "facts": 3}])
    assert (unknown.kind, unknown.lines, unknown.verdicts) == ("gone", {}, ())
