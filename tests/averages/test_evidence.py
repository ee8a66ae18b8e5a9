"""Evidence by powers of the likelihood, against closed forms."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from cli_cases import call

from gpu_thermo.averages.evidence import evidence, integrate
from gpu_thermo.errors import SpecError
from gpu_thermo.kernels.toolchain import find_compiler
from gpu_thermo.moves.powers import moved_gradient
from gpu_thermo.run import plan, sample
from gpu_thermo.store import open_run

POINTS, NOISE, PRIOR, HIDDEN = 24, 0.4, 0.8, 3
X = np.random.default_rng(0).uniform(-2, 2, (POINTS, 2))
Y = np.sin(X.sum(axis=1)) + np.random.default_rng(1).normal(size=POINTS) * NOISE
FROZEN = {"w1": np.random.default_rng(2).normal(size=(HIDDEN, 2)), "b1": np.array([0.3, -0.4, 0.9])}
RUNGS = 16
DATA = (X, Y, X[:4], Y[:4])


def spec(ladders: int, **changes: object) -> dict[str, object]:
    """A linear regression on frozen features, on ladders of powers."""
    return {
        "model": {"hidden": HIDDEN, "activation": "tanh", "prior_sd": PRIOR, "noise_sd": NOISE, "dtype": "float64"},
        "data": {"standardise": False},
        "method": {"name": "langevin", "freeze": ["hidden"], "stepsize": 0.5, "friction": 1.0,
                   "posterior_temperature": 1.0},
        "run": {"replicas": RUNGS * ladders, "minibatch": "full", "steps": 1600, "burn_in": 400, "thin": 4,
                "trace": 1600, "keep": ["parameters", "log_likelihood"]},
        "moves": [{"kind": "exchange", "temper": "likelihood", "rungs": RUNGS, "interval": 4} | changes],
    }  # fmt: skip


def exact() -> float:
    """log N(y; 0, noise^2 I + prior^2 F F')."""
    design = np.column_stack([np.tanh(X @ FROZEN["w1"].T + FROZEN["b1"]), np.ones(POINTS)])
    covariance = NOISE**2 * np.eye(POINTS) + PRIOR**2 * design @ design.T
    log_det = np.linalg.slogdet(covariance)[1]
    return float(-0.5 * (Y @ np.linalg.solve(covariance, Y) + log_det + POINTS * math.log(2 * math.pi)))


START = FROZEN | {"w2": np.zeros((1, HIDDEN)), "b2": np.zeros(1)}


def sampled(folder: Path, engine: str) -> Path:
    sample(spec(24), folder / "run.zarr", data=DATA, init=START, device="cpu", engine=engine)
    return folder / "run.zarr"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> object:
    return sampled(tmp_path_factory.mktemp("evidence"), "auto")


@pytest.mark.skipif(find_compiler() is None, reason="no compiler")
def test_both_engines(store: object, tmp_path: Path) -> None:
    """The same closed form from the other engine, and, on minibatches with rungs in the wrong order, the same steps to
    rounding; without powers, far off.
    """
    assert "fused" in str(open_run(store).attrs["engine"])  # type: ignore[arg-type]
    (found,) = evidence(sampled(tmp_path, "batched"))
    assert abs(found.log_evidence - exact()) < min(3 * found.error, 0.1)
    runs = {"replicas": 2 * RUNGS, "batch": 7, "steps": 12, "burn_in": 0, "thin": 2, "trace": 4}
    short = spec(2, interval=4) | {"run": runs}
    one, other, plain = (
        sample(some, data=DATA, init=START, engine=engine)
        for some, engine in ((short, "fused"), (short, "batched"), ({**short, "moves": []}, "fused"))
    )
    rungs = (tree["posterior_rungs"]["w2"].to_numpy() for tree in (one, other))
    ours, theirs = rungs
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)
    assert np.abs(ours[:, 0] - plain["posterior"]["w2"].to_numpy()[:, 0]).max() > 0.01


def test_bayesian_linear_regression(store: object) -> None:
    """Within 3 standard errors and .1 nat of the closed form; with one part wrong, far off."""
    (found,) = evidence(store)
    assert found.ladders == 24
    assert found.error < 0.05
    assert abs(found.log_evidence - exact()) < min(3 * found.error, 0.1), (found.log_evidence, found.error, exact())
    b, m, v = (np.array(a) for a in (found.powers, found.mean, found.variance))
    assert b == pytest.approx((np.arange(RUNGS + 1) / RUNGS) ** 5)
    trapezoid = float(integrate(b, m, v * 0))
    assert abs(trapezoid - exact()) > 5 * found.error, "the second-order term matters here"
    assert abs(float(integrate(b, m, -v)) - exact()) > 10 * found.error
    assert abs(found.halved - found.log_evidence) < 0.5


def test_the_rule_is_exact_for_cubics() -> None:
    """m' = v: the trapezoid with its end correction integrates cubics without error."""
    b = np.linspace(0, 1, 4) ** 2
    m, v = b**3 - 2 * b**2 + 0.5, 3 * b**2 - 4 * b
    assert float(integrate(b, m, v)) == pytest.approx(1 / 4 - 2 / 3 + 0.5, abs=1e-14)


def test_mbar_agrees(store: object) -> None:
    pytest.importorskip("pymbar")
    (found,) = evidence(store)
    assert found.mbar == pytest.approx(exact(), abs=0.1)


def test_rungs_sample_their_power(store: object) -> None:
    """Mean log likelihood of each rung against the closed form at its power; at the next rung's it would be far off."""
    (found,) = evidence(store)
    design = np.column_stack([np.tanh(X @ FROZEN["w1"].T + FROZEN["b1"]), np.ones(POINTS)])

    def mean_log_likelihood(b: float) -> float:
        precision = b * design.T @ design / NOISE**2 + np.eye(HIDDEN + 1) / PRIOR**2
        covariance = np.linalg.inv(precision)
        residual = Y - design @ (covariance @ (b * design.T @ Y / NOISE**2))
        spread = np.trace(design @ covariance @ design.T)
        return float(
            -(residual @ residual + spread) / (2 * NOISE**2) - POINTS * math.log(NOISE * math.sqrt(2 * math.pi))
        )

    for i in (4, 8, 12, 14, 16):
        b, sd = found.powers[i], math.sqrt(found.variance[i])
        assert abs(found.mean[i] - mean_log_likelihood(b)) < 0.08 * sd, i
    assert abs(found.mean[8] - mean_log_likelihood(found.powers[9])) > 0.3 * math.sqrt(found.variance[8])


def test_leave_one_out_on_the_store_as_it_is(store: object) -> None:
    """Against the closed form: y_i given the rest is normal, its moments in the inverse of the covariance of all."""
    from arviz_stats import loo

    design = np.column_stack([np.tanh(X @ FROZEN["w1"].T + FROZEN["b1"]), np.ones(POINTS)])
    inverse = np.linalg.inv(NOISE**2 * np.eye(POINTS) + PRIOR**2 * design @ design.T)
    variance = 1 / np.diag(inverse)
    gap = variance * (inverse @ Y)
    right = float((-0.5 * gap**2 / variance - 0.5 * np.log(2 * math.pi * variance)).sum())
    found = loo(open_run(store))  # type: ignore[arg-type]
    assert found.elpd == pytest.approx(right, abs=0.25)
    log_likelihood = open_run(store)["log_likelihood"]["y"]  # type: ignore[arg-type]
    assert log_likelihood.shape == (24, 300, POINTS)
    fitted = float(log_likelihood.mean(("chain", "draw")).sum())
    assert fitted - right > 1, "leaving a point out costs something here"
    energy = open_run(store)["sample_stats"]["energy_data"]  # type: ignore[arg-type]
    np.testing.assert_allclose(-log_likelihood.mean("point"), energy, rtol=1e-9)


def test_command(store: object, tmp_path: object) -> None:
    done = call("evidence", str(store), "--json", "--out", f"{tmp_path}/e.png")
    assert done.exit_code == 0, done.stderr
    (one,) = json.loads(done.stdout)["ensembles"]
    assert one["log_evidence"] == pytest.approx(exact(), abs=0.2)
    assert (len(one["powers"]), one["ladders"]) == (RUNGS + 1, 24)
    with open(f"{tmp_path}/e.png", "rb") as file:
        assert file.read(4) == b"\x89PNG"
    assert "log evidence" in call("evidence", str(store)).stdout


def test_gradients_follow_a_trade() -> None:
    """What a replica keeps of its last gradient is, after a trade, that of its new power, to rounding."""
    rng = np.random.default_rng(0)
    data, prior = rng.normal(size=(5, 7)), rng.normal(size=(5, 7))
    old, new = rng.uniform(0.1, 1, 5), rng.uniform(0.1, 1, 5)
    found = moved_gradient(prior + old[:, None] * data, prior, old, new)
    np.testing.assert_allclose(found, prior + new[:, None] * data, rtol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": {"name": "langevin", "posterior_temperature": 0.5}}, "posterior_temperature = 1"),
        ({"model": {"hidden": 3, "noise_sd": 0.4}}, "needs a prior"),
        ({"moves": [{"kind": "exchange", "temper": "likelihood", "temperatures": [2.0, 3.0]}]}, "the target's is 1"),
        ({"moves": [{"kind": "exchange", "temper": "likelihood", "rungs": 4, "hottest": 0.5}]}, "hottest = 0.5"),
        ({"method": {"name": "langevin", "word": "{BAOAB}", "posterior_temperature": 1.0}}, "plain words"),
    ],
)
def test_refusals(change: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        plan(spec(1) | {"run": {"replicas": 48, "minibatch": "full"}} | change, data=DATA)


def test_other_runs_have_no_evidence() -> None:
    from move_runs import EXCHANGE
    from move_runs import spec as plain

    with pytest.raises(SpecError, match="no ladder of powers"):
        evidence(sample(plain(EXCHANGE)))
