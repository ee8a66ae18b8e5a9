"""Benchmarks: the operation count, the peers' correctness, and that each script runs at a tiny size. Peers that are
missing are skipped.
"""

import json

import numpy as np
import pytest

from gpu_thermo.cost import NORMAL, Count, count, total
from gpu_thermo.errors import SpecError
from gpu_thermo.kernels.toolchain import find_compiler
from gpu_thermo.method import letters
from gpu_thermo.running.setup import prepare
from gpu_thermo.running.speed import bench_spec, measure, multiply_adds
from gpu_thermo.targets.networks import with_ones

bench = pytest.importorskip("bench.cases", reason="the benchmarks are part of the sources, not of the package")
needs_compiler = pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler")
slow = pytest.mark.slow

SPIRALS, DIGITS = bench.spirals(8, 10), bench.Case("small digits", "digits", 64, 6, 10, 1437, 20)
EARLY, LATE = 40, 400


def test_operations_are_those_of_the_equations():
    parts = count(prepare(bench_spec(hidden=20, batch=25, replicas=1)).job)
    d, b, m, n, hidden, output = 20, 25, 2, 1, 60, 21
    assert parts["forward"] == Count(b * d * (m + n), b * d)
    assert parts["backward"].fused == b * d * (m + 2 * n) + 8 * b
    assert parts["normals"] == NORMAL * (2 * hidden + output)  # D twice, O once
    assert parts["letters"] == Count(
        4 * (hidden + output) + 3 * hidden + output, 2 * hidden + output
    )  # A A B B, D E D, O; C C, O
    assert total(parts).operations == pytest.approx(20_300, rel=0.01)


@needs_compiler
def test_speed_of_both_engines():
    speeds = measure(bench_spec(hidden=4, batch=5, replicas=16), "all", "cpu", seconds=0.05, threads=1)
    assert [s.engine for s in speeds] == ["fused", "batched"]
    for s in speeds:
        assert 0 < s.lowest <= s.rate <= s.highest
        assert 0 < s.fraction_of_peak < 4  # neighbours slow one of the two down
        assert s.rate < 4 * s.limit
        assert json.loads(json.dumps(s.to_dict()))["limit"] == s.limit


@needs_compiler
def test_the_peak_is_one_of_this_world():
    assert 1e8 < multiply_adds(0.01, threads=1) < 1e13


def test_other_data_are_refused():
    with pytest.raises(SpecError, match="spirals or digits"):
        bench_spec("wine")


# -- peers -------------------------------------------------------------------------------------------------------------


def batch(case):
    """Positions, a minibatch for each replica, and the gradient that our own network gives."""
    g, (x, y) = np.random.default_rng(0), bench.arrays(case)
    q = (0.3 * g.normal(size=(3, case.parameters))).astype(np.float32)
    index = g.integers(0, case.points, (3, case.batch))
    ones = np.ones((3, case.batch, 1), np.float32)
    labels = y[index] if case.outputs > 1 else y[index].astype(np.float32)
    model = case.setup(1).subject.model
    return q, x[index], y[index], model.mean_loss_and_gradient(q, np.concatenate([x[index], ones], axis=-1), labels)[1]


@pytest.mark.parametrize("case", [SPIRALS, DIGITS], ids=lambda c: c.data)
def test_torch_has_our_gradient(case):
    torch = pytest.importorskip("torch")
    from bench.peers.torch_batched import gradient

    q, x, y, expected = batch(case)
    y = torch.as_tensor(y)
    labels = y.float() if case.outputs == 1 else torch.nn.functional.one_hot(y, case.outputs).float()
    np.testing.assert_allclose(
        gradient(case, torch.as_tensor(q), torch.as_tensor(x), labels).numpy(), expected, atol=2e-6
    )


@pytest.mark.parametrize("case", [SPIRALS, pytest.param(DIGITS, marks=slow)], ids=lambda c: c.data)
def test_jax_has_our_gradient(case):
    jnp = pytest.importorskip("jax.numpy")
    from bench.peers.jax_adlala import gradient

    q, x, y, expected = batch(case)
    labels = jnp.asarray(y, jnp.float32 if case.outputs == 1 else jnp.int32)
    np.testing.assert_allclose(gradient(case, jnp.asarray(q), jnp.asarray(x), labels), expected, atol=2e-6)


def one_step(case, noise, index):
    """A state, and the state after one AdLaLa step by our own letters with the given noise and minibatch."""
    g, (x, y) = np.random.default_rng(1), bench.arrays(case)
    q, p, gradient = (0.3 * g.normal(size=(3, case.parameters)) for _ in range(3))
    before, xi = (q.copy(), p.copy(), gradient.copy(), np.full((3, 1), 0.2)), np.full((3, 1), 0.2)
    h, first, second = bench.H, p[:, : case.hidden_parameters], p[:, case.hidden_parameters :]
    scale, a = bench.SIGMA * np.sqrt(h / 2), np.exp(-bench.GAMMA * h)
    letters.kick(p, gradient, h / 2)
    letters.drift(q, p, h / 2)
    letters.damp(first, xi, h / 2)
    letters.diffuse(first, noise[0], scale)
    letters.regulate(xi, first, h * bench.EPSILON, case.hidden_parameters * bench.TAU)
    letters.diffuse(first, noise[1], scale)
    letters.damp(first, xi, h / 2)
    letters.ornstein_uhlenbeck(second, noise[2], a, np.sqrt(bench.TAU * (1 - a * a)))
    letters.drift(q, p, h / 2)
    gradient = case.setup(1).subject.model.mean_loss_and_gradient(
        q, with_ones(x[index]).astype(np.float64), y[index].astype(np.float64)
    )[1]
    letters.kick(p, gradient, h / 2)
    return before, (q, p, gradient, xi)


def given(case):
    """Noise of a step's three draws, and a minibatch for each replica."""
    g, n1 = np.random.default_rng(2), case.hidden_parameters
    noise = [g.normal(size=(3, n)).astype(np.float32) for n in (n1, n1, case.parameters - n1)]
    return noise, g.integers(0, case.points, (3, case.batch))


def test_torch_makes_our_step():
    torch = pytest.importorskip("torch")
    from bench.peers.torch_batched import step

    noise, index = given(SPIRALS)
    before, after = one_step(SPIRALS, noise, index)
    x, y = (torch.as_tensor(a).float() for a in bench.arrays(SPIRALS))
    tensors = [torch.as_tensor(a).float() for a in before]
    found = step(SPIRALS, x, y, tensors, [torch.as_tensor(n) for n in noise], torch.as_tensor(index))
    for ours, theirs in zip(after, found, strict=True):
        np.testing.assert_allclose(theirs.numpy(), ours, atol=3e-6)


def test_jax_makes_our_step(monkeypatch):
    jax = pytest.importorskip("jax")
    from bench.peers.jax_adlala import TunedJax, data

    noise, index = given(SPIRALS)
    before, after = one_step(SPIRALS, noise, index)
    drawn = iter(noise)
    monkeypatch.setattr(jax.random, "normal", lambda key, shape: next(drawn))
    monkeypatch.setattr(jax.random, "randint", lambda key, shape, low, high: index)
    peer = object.__new__(TunedJax)
    peer.case, peer.replicas, (peer._x, peer._y) = SPIRALS, 3, data(SPIRALS)
    found = peer._step([jax.numpy.asarray(a, "float32") for a in before], jax.random.key(0))
    for ours, theirs in zip(after, found, strict=True):
        np.testing.assert_allclose(theirs, ours, atol=3e-6)


def assert_samples(name, case, steps):
    """The loss falls below its start, and momenta are neither frozen nor hot."""
    from bench import contenders

    peer = contenders.make(name, case, 4)
    peer.advance(steps)
    health = peer.health()
    assert health.loss < np.log(max(2, case.outputs)) - (0.5 if case is DIGITS else 0)
    assert health.kinetic_temperature is None or 1e-6 < health.kinetic_temperature < 0.02


@needs_compiler
def test_fused_samples():
    assert_samples("fused", SPIRALS, LATE)


@pytest.mark.parametrize("name", ["batched", "torch_batched", "torch_loop"])
def test_contenders_sample(name):
    if name.startswith("torch"):
        pytest.importorskip("torch")
    assert_samples(name, DIGITS, EARLY)


@slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name", ["jax_threefry", "jax_rbg", "jax_tuned", "blackjax_sgld", "blackjax_sgnht", "torch_compiled", "torch_loop"]
)
def test_peers_sample(name):
    from bench import peers

    if name not in peers.available():
        pytest.skip(f"{name} needs {peers.PEERS[name][0]}")
    assert_samples(name, DIGITS, LATE)


# -- scripts -----------------------------------------------------------------------------------------------------------


def test_steps_are_adapted_to_the_time_wanted(monkeypatch):
    from bench import common

    now, done = [0.0], []
    monkeypatch.setattr(common.time, "perf_counter", lambda: now[0])

    def advance(steps):
        now[0] += 0.05 + 1e-3 * steps
        done.append(steps)
        return steps

    figure = common.adapted(advance, 3, 0.7)
    assert figure() == pytest.approx(3 * done[-1] / (0.05 + 1e-3 * done[-1]))
    assert 0.5 < 0.05 + 1e-3 * done[-1] < 0.8


@needs_compiler
def test_compare_and_its_table(tmp_path, capsys):
    from bench import compare, tables

    compare.main(["--quick", "--only", "fused", "batched", "--out", str(tmp_path)])
    cases = json.loads((tmp_path / "compare.json").read_text())["cases"]
    for result in (cases["d8_B10"]["32"], cases["2x4_B10"]["32"]):
        assert set(result["replica_steps_per_second"]) == {"fused", "batched"}
        assert result["ratios"]["batched"]["runs"] == 2
    assert "batched" in capsys.readouterr().out
    page = tables.filled("<!-- table: compare -->\n<!-- end -->\n<!-- table: scaling -->\nold\n<!-- end -->", tmp_path)
    assert "| batched |" in page
    assert "Not measured yet: `python -m bench.scaling`." in page


@needs_compiler
def test_breakdown_leaves_parts_out():
    """The parts' variants exist and are different kernels; each is no slower than the whole would be at random."""
    from bench import breakdown

    kinds = breakdown.variants(SPIRALS, 8)
    ends = {}
    for name, ours in kinds.items():
        ours.advance(5)
        assert np.isfinite(ours.state.position).all()
        ends[name] = ours.state.position.tobytes()
    assert len(set(ends.values())) == len(ends)
    advance, size = breakdown.normals_alone()
    assert (advance(10), size > 0) == (10, True)
    found = breakdown.parts(
        kinds["whole"].job,
        {
            "whole": 1e6,
            "no gradient": 2e6,
            "letters only": 8e6,
            "first points": 1.25e6,
            "normals alone": 1e9,
            "peak": 1e11,
        },
    )
    assert found["nanoseconds"] == pytest.approx(
        {"whole": 1000, "gradient": 300, "minibatch": 200, "normals": 375, "letters": 125}
    )
    assert sum(found["share"].values()) == pytest.approx(1)


@slow
@needs_compiler
def test_watching_changes_no_bit():
    pytest.importorskip("zarr")
    from bench import observers

    result = observers.measure(observers.spec_of(1000, 4, 4), "fused", 1)
    assert result["bits_equal"]
    assert set(result["slowdown"]) == {"with averages", "with store", "with store and bar"}


@slow
def test_a_table_is_judged_apart_from_what_it_is_trained_on(tmp_path):
    """The test part is a fifth, untouched by the comparison; every setting is tried, and the best one is tested."""
    from bench import tabular

    g = np.random.default_rng(0)
    x = g.normal(size=(80, 5))
    table = np.column_stack([x, x[:, 0] - x[:, 1] + 0.1 * g.normal(size=80)])
    np.savetxt(tmp_path / "airfoil.csv", table, delimiter=",", header="x1,x2,x3,x4,x5,y", comments="")
    data = tabular.parts(tmp_path / "airfoil.csv")
    fit, tried, test = (len(part[1]) for part in (data["validation"], data["test"], data["test"][2:]))
    assert (fit, len(data["validation"][3]), tried, test) == (51, 13, 64, 16)
    assert abs(data["test"][1].mean()) < 1e-12
    seen = {tuple(row) for row in np.vstack([data["validation"][0], data["validation"][2]]).round(9)}
    assert seen == {tuple(row) for row in data["test"][0].round(9)}
    rows = tabular.compared("airfoil", tabular.TABLES["airfoil"], "4 x 16", "mclmc", data, 0.01, True)
    assert [row["part"] for row in rows] == ["validation"] * 3 + ["test"]
    best = min(rows[:3], key=lambda row: row["nll"])
    assert rows[3]["stepsize"] == best["stepsize"]
    assert rows[3]["steps"] == 250
    assert 0 < rows[3]["rmse"] < 1
    assert 0.5 < rows[3]["covered"] <= 1
    assert all(row["frozen"] == 0 for row in rows)


def test_masses_name_every_tensor():
    from bench import tabular

    for layers in (1, 2, 4):
        assert set(tabular.masses(layers)) == {f"{kind}{i}" for kind in "wb" for i in range(1, layers + 2)}


@slow
def test_methods_at_depth_by_one_command(tmp_path, monkeypatch):
    """The spec is a study of two hidden layers, and its cells are those of the table."""
    import sys

    from bench import common, lmv_depth, tables

    monkeypatch.setattr(lmv_depth, "save", lambda name, result: common.save(name, result, tmp_path))
    monkeypatch.setattr(sys, "argv", ["lmv_depth", "--runs", "4", "--steps", "200"])
    lmv_depth.main()
    result = json.loads((tmp_path / "lmv_depth.json").read_text())
    assert result["study"]["model"]["hidden"] == [20, 20]
    theirs = {f"init {a}, {b}" for a in ("normal", "pytorch") for b in METHODS_AT_DEPTH}
    assert set(result["cells"]) == theirs | {f"init pytorch, {name}, chosen" for name in ("AdLaLa", "LOL", "Adam")}
    assert all(30 < c["lower_quartile"] <= c["median"] <= c["upper_quartile"] < 80 for c in result["cells"].values())
    assert "init pytorch, Adam, chosen" in tables.lmv_depth(result)


METHODS_AT_DEPTH = ("AdLaLa, fig. 9", "LOL, fig. 16", "Langevin, fig. 1", "Adam, fig. 7")
