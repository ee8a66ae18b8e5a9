"""Abuse through the command line: any spec, file, size or path gives a run or one clean message; a refusal writes
nothing.

The fuzz through `RunSpec` itself is in spec/test_run.py; hostile stores are in store/test_record.py.
"""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from gpu_thermo.moves.table import MOVES
from gpu_thermo_cli.main import app

VALID: dict[str, Any] = {
    "data": {"name": "spirals", "turns": 1, "train": 20, "test": 10, "seeds": [0, 1]},
    "model": {"hidden": 4, "activation": "tanh", "prior_sd": 1.0},
    "method": {"name": "adlala", "stepsize": {"value": 0.1, "schedule": "cosine"}, "temperature": {"hidden": 1e-4}},
    "run": {"replicas": 4, "steps": 40, "burn_in": 20, "thin": 5, "batch": 5, "seed": 1},
}
SECTIONS = {
    "data": ["name", "turns", "train", "test", "seed", "seeds", "noise", "path", "target", "features", "test_fraction",
        "standardise", "weight", "task"],
    "model": ["hidden", "activation", "task", "init", "init_sd", "prior", "prior_sd", "noise_sd", "dtype", "likelihood",
        "dof", "class_weight"],
    "method": ["name", "stepsize", "temperature", "posterior_temperature", "sigma", "epsilon", "friction", "thermostat",
        "momentum", "word",
               "partition", "freeze", "convention", "cooling"],
    "run": ["replicas", "steps", "burn_in", "thin", "batch", "minibatch", "seed", "seed_init", "seed_dynamics", "trace",
        "keep", "momenta"],
}  # fmt: skip
DEEP: dict[str, Any] = {
    "data": {"name": "gap", "train": 20, "test": 10},
    "model": {
        "hidden": [3, 2],
        "activation": "silu",
        "likelihood": "student_t",
        "dof": 5.0,
        "prior": "laplace",
        "prior_sd": {"hidden": 1.0, "output": "fan_in"},
    },
    "method": {"name": "adlala"},
    "run": {"replicas": 4, "steps": 40, "burn_in": 20, "thin": 5, "batch": 5, "seed": 1},
}
POTENTIAL: dict[str, Any] = {
    "target": {"name": "mixture", "means": [-2.0, 2.0], "sd": 0.5},
    "method": {"name": "langevin", "stepsize": 0.1, "temperature": 1.0},
    "run": {"replicas": 6, "steps": 40, "burn_in": 20, "thin": 5},
}
ENSEMBLE_MOVES: dict[str, dict[str, Any]] = {
    "cyclical": {"kind": "cyclical", "cycles": 2, "explore_temperature": 1.0},
    "exchange": {"kind": "exchange", "rungs": 3, "hottest": 5.0, "interval": 2},
    "tempering": {"kind": "tempering", "temperatures": [1.0, 2.0], "interval": 2},
    "contour": {"kind": "contour", "bins": 10, "lowest": 0.0, "width": 1.0},
}
TARGET_KEYS = ["name", "means", "sd", "weights", "preset", "size", "stiffness", "start", "start_sd", "start_range",
    "dtype",
               "gradient_noise_sd",
               "energy_noise_sd", "height", "width", "tilt"]  # fmt: skip
NUMBERS = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-2, 50),
    st.floats(),
    st.sampled_from([0, 1, -1, 10**9, 10**12, 2**31, 2**32, 1e308, 5e-324]),
)
WORDS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    st.text("ABCDEFOVR", max_size=9),
    st.sampled_from(
        [
            "spirals",
            "gap",
            "wine",
            "csv",
            "npz",
            "mnist",
            "sgld",
            "lol",
            "splitting",
            "BACDEDCAB",
            "inf",
            "../../etc/passwd",
            "/dev/zero",
            "cyclical",
            "linear",
            "table",
            "regression",
            *("gaussian", "heteroscedastic", "student_t", "poisson", "bernoulli", "categorical"),
            *("laplace", "fan_in", "learn", "balanced", "prior", "silu", "sine"),
            "float64",
            "epoch",
            "all",
            "hidden",
        ]
    ),
)
VALUES = st.recursive(
    st.one_of(st.booleans(), NUMBERS, WORDS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["value", "schedule", "cycles", "final", "hidden", "hidden2", "output", "likelihood", "all", "w1"]
            ),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=5,
)
CHANGES = st.lists(
    st.sampled_from(list(SECTIONS)).flatmap(lambda s: st.tuples(st.just(s), st.sampled_from(SECTIONS[s]), VALUES)),
    min_size=1,
    max_size=3,
)


def fuzz(examples: int) -> Any:
    """Settings that suit a function that runs a command."""
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=examples < 1000,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


def invoke(*arguments: object) -> Any:
    """A command whose only exceptions are exits; 0 or 2, with a message for people."""
    done = CliRunner().invoke(app, [str(a) for a in arguments], prog_name="gpu-thermo")
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code in (0, 2), (done.exit_code, done.stderr)
    if done.exit_code:
        assert done.stderr.strip()
        assert "Traceback" not in done.stderr
    return done


def dry_run(folder: Path, text: str | bytes) -> Any:
    spec = folder / "spec.toml"
    spec.write_bytes(text if isinstance(text, bytes) else text.encode(errors="surrogateescape"))
    before = sorted(folder.iterdir())
    done = invoke("sample", spec, "--out", folder / "run.zarr", "--dry-run", "--device", "cpu")
    assert sorted(folder.iterdir()) == before
    return done


def check_changes(folder: Path, changes: list[tuple[str, str, Any]], valid: dict[str, Any] = VALID) -> None:
    tree = {name: dict(section) for name, section in valid.items()}
    for section, key, value in changes:
        tree[section][key] = value
    dry_run(folder, tomli_w.dumps(tree))


# -- specs --------


def test_the_valid_spec_is_valid(tmp_path: Path) -> None:
    assert dry_run(tmp_path, tomli_w.dumps(VALID)).exit_code == 0


@fuzz(120)
@given(CHANGES)
def test_any_change_of_a_spec(tmp_path: Path, changes: list[tuple[str, str, Any]]) -> None:
    check_changes(tmp_path, changes)


def test_the_valid_deep_spec_is_valid(tmp_path: Path) -> None:
    assert dry_run(tmp_path, tomli_w.dumps(DEEP)).exit_code == 0


@fuzz(60)
@given(CHANGES)
def test_any_change_of_a_deep_regression(tmp_path: Path, changes: list[tuple[str, str, Any]]) -> None:
    check_changes(tmp_path, changes, DEEP)


@pytest.mark.slow
@fuzz(3000)
@given(CHANGES)
def test_any_change_of_a_deep_regression_at_length(tmp_path: Path, changes: list[tuple[str, str, Any]]) -> None:
    check_changes(tmp_path, changes, DEEP)


def check_move(folder: Path, kind: str, changes: list[tuple[str, Any]], target: list[tuple[str, Any]]) -> None:
    move = ENSEMBLE_MOVES[kind] | dict(changes)
    tree = POTENTIAL | {"target": POTENTIAL["target"] | dict(target), "moves": [move]}
    dry_run(folder, tomli_w.dumps(tree))


MOVE_CHANGES = st.sampled_from(list(ENSEMBLE_MOVES)).flatmap(
    lambda kind: st.tuples(
        st.just(kind), st.lists(st.tuples(st.sampled_from(list(MOVES[kind].model_fields)), VALUES), max_size=2),
        st.lists(st.tuples(st.sampled_from(TARGET_KEYS), VALUES), max_size=2),
    )
)  # fmt: skip


@pytest.mark.parametrize("kind", ENSEMBLE_MOVES)
def test_the_valid_moves_are_valid(tmp_path: Path, kind: str) -> None:
    tree = POTENTIAL | {"moves": [ENSEMBLE_MOVES[kind]]}
    assert dry_run(tmp_path, tomli_w.dumps(tree)).exit_code == 0


@fuzz(120)
@given(MOVE_CHANGES)
def test_any_change_of_a_target_or_a_move(
    tmp_path: Path, changes: tuple[str, list[tuple[str, Any]], list[tuple[str, Any]]]
) -> None:
    check_move(tmp_path, *changes)


@pytest.mark.slow
@fuzz(3000)
@given(MOVE_CHANGES)
def test_any_change_of_a_target_or_a_move_at_length(tmp_path: Path, changes: Any) -> None:
    check_move(tmp_path, *changes)


@pytest.mark.slow
@fuzz(3000)
@given(CHANGES)
def test_any_change_of_a_spec_at_length(tmp_path: Path, changes: list[tuple[str, str, Any]]) -> None:
    check_changes(tmp_path, changes)


@fuzz(60)
@given(st.integers(0, 400), st.integers(0, 6), st.binary(max_size=4))
def test_any_damage_to_the_text_of_a_spec(tmp_path: Path, at: int, cut: int, put: bytes) -> None:
    text = tomli_w.dumps(VALID).encode()
    dry_run(tmp_path, text[:at] + put + text[at + cut :])


ABSURD = [
    "run.replicas=1000000000", "run.replicas=9223372036854775807", "model.hidden=1000000000000",
    "data.train=1000000000000",
    "data.test=1000000000000", "run.steps=9223372036854775807", "run.thin=1", "run.trace=1",
    "data.seeds=[0, 18446744073709551616]",
    "method.stepsize=1e308", "method.temperature=1e308", "run.seed=-1", "run.seed=18446744073709551616",
    "data.turns=1e300", "model.hidden=[1000000, 1000000, 1000000]", "model.prior_sd=1e308", "model.noise_sd=1e308",
    "model.dof=1e308",
]  # fmt: skip


@pytest.mark.parametrize("change", ABSURD)
def test_absurd_sizes(tmp_path: Path, change: str) -> None:
    spec = tmp_path / "spec.toml"
    spec.write_text(tomli_w.dumps(VALID))
    invoke("sample", spec, "--out", tmp_path / "run.zarr", "--dry-run", "--device", "cpu", "--set", change)
    assert [entry.name for entry in tmp_path.iterdir()] == ["spec.toml"]


# -- files --------

CSV = b"a,b,y\n" + b"".join(b"%d,%.2f,%d\n" % (i, i / 7, i % 2) for i in range(12))


def npz() -> bytes:
    out, x = io.BytesIO(), np.arange(24.0).reshape(12, 2)
    np.savez(out, x=x, y=np.arange(12) % 2)
    return out.getvalue()


def data_run(folder: Path, name: str, content: bytes) -> Any:
    """A dry run on a file of the user's."""
    (folder / f"data.{name}").write_bytes(content)
    data = {"name": name, "path": f"data.{name}"} | ({"target": "y"} if name == "csv" else {})
    return dry_run(folder, tomli_w.dumps({**VALID, "data": data, "run": {**VALID["run"], "batch": 2}}))


@pytest.mark.parametrize(("name", "content"), [("csv", CSV), ("npz", npz())])
def test_whole_files_are_read(tmp_path: Path, name: str, content: bytes) -> None:
    done = data_run(tmp_path, name, content)
    assert done.exit_code == 0, done.stderr


@fuzz(80)
@given(st.sampled_from(["csv", "npz"]), st.integers(0, 1200), st.integers(0, 40), st.binary(max_size=12))
def test_any_damage_to_a_file(tmp_path: Path, name: str, at: int, cut: int, put: bytes) -> None:
    content = CSV if name == "csv" else npz()
    at = at % (len(content) + 1)
    data_run(tmp_path, name, content[:at] + put + content[at + cut :])


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("kind", ["object array", "bare pickle", "pickle in a zip"])
def test_no_pickle_is_ever_loaded(tmp_path: Path, kind: str) -> None:
    mark, out = tmp_path.parent / f"{tmp_path.name}.mark", io.BytesIO()
    bomb = Bomb(mark)
    if kind == "object array":
        np.savez(out, x=np.array([[bomb, bomb]], object), y=np.zeros(1, int))
        content = out.getvalue()
    elif kind == "bare pickle":
        content = pickle.dumps(bomb)
    else:
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr("x.npy", pickle.dumps(bomb))
            archive.writestr("y.npy", pickle.dumps(bomb))
        content = out.getvalue()
    assert data_run(tmp_path, "npz", content).exit_code == 2
    assert not mark.exists()


def test_a_header_that_claims_too_much(tmp_path: Path) -> None:
    """An array of 8 TB in a few hundred bytes."""
    out = io.BytesIO()
    header = str({"descr": "<f8", "fortran_order": False, "shape": (10**9, 1000)}).ljust(117) + "\n"
    with zipfile.ZipFile(out, "w") as archive:
        for name in ("x.npy", "y.npy"):
            archive.writestr(name, b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
    assert data_run(tmp_path, "npz", out.getvalue()).exit_code == 2


# -- paths --------

NAMES = [
    "lauf-å-北京-🌀.zarr",
    "with space.zarr",
    "-dash.zarr",
    "a'b\"c.zarr",
    "new\nline.zarr",
    "x" * 240 + ".zarr",
    "%s{0}.zarr",
    ".zarr",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A run of that name, or a refusal before anything is written."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spec.toml").write_text(tomli_w.dumps(VALID))
    done = invoke("sample", "spec.toml", "--quiet", f"--out={name}", "--device", "cpu", "--engine", "batched")
    if done.exit_code == 0:
        assert sorted(p.name for p in tmp_path.iterdir()) == sorted([name, "spec.toml"])
        assert invoke("info", "--", name).exit_code == 0
    else:
        assert [p.name for p in tmp_path.iterdir()] == ["spec.toml"]


def test_a_path_beyond_the_system(tmp_path: Path) -> None:
    (tmp_path / "spec.toml").write_text(tomli_w.dumps(VALID))
    done = invoke("sample", tmp_path / "spec.toml", "--out", tmp_path / ("y" * 300 + ".zarr"), "--device", "cpu")
    assert done.exit_code == 2
