"""Mode weights of a two-mode mixture through whole runs: every move against quadrature, replicas or ladders as the
unit.

.4 N(-4, .7^2) + .6 N(3, .5^2) (preset two_narrow): plain Langevin keeps the mode it falls into.
"""

import numpy as np
import pytest

from gpu_thermo.run import sample
from gpu_thermo.targets.analytic.grid import Grid
from gpu_thermo.targets.analytic.mixture import GaussianMixture

LEFT = 0.4
LANGEVIN = {"name": "langevin", "stepsize": 0.2, "temperature": 1.0, "friction": 1.0}
LADDER = {"rungs": 4, "hottest": 10.0, "interval": 5}
RUN = {"replicas": 256, "steps": 5000, "burn_in": 2000, "thin": 25, "trace": 5000}


def sampled(move, noise=0.0, target=None, stepsize=0.2, **run):
    """(left-mode weight, its error over chains, the run)."""
    target = (target or {"preset": "two_narrow"}) | {"name": "mixture", "energy_noise_sd": noise}
    spec = {"target": target, "method": LANGEVIN | {"stepsize": stepsize}, "run": RUN | run}
    tree = sample(spec | ({"moves": [move]} if move else {}))
    x, stats = tree["posterior"]["position"].to_numpy()[..., 0], tree["sample_stats"]
    w = np.exp(stats["log_weight"].to_numpy()) if "log_weight" in stats else np.ones(x.shape)
    left, total = ((w * kept).sum(axis=1) for kept in (x < 0, np.ones(x.shape)))
    fold = (left.sum() - left) / (total.sum() - total)
    n = len(fold)
    return left.sum() / total.sum(), np.sqrt((n - 1) / n * ((fold - fold.mean()) ** 2).sum()), tree


def test_plain_langevin_is_trapped():
    """The weight of a mode is that of its basin at the start, N(0, 1): far from .4, or this target would show
    nothing.
    """
    weight, error, tree = sampled(None)
    x = tree["posterior"]["position"].to_numpy()[..., 0]
    crossings = (np.diff((x < 0).astype(int), axis=1) != 0).any(axis=1).mean()
    assert crossings < 0.05
    assert abs(weight - LEFT) > 3 * error


@pytest.mark.parametrize("kind", ["exchange", "tempering"])
def test_moves_between_temperatures_weigh_the_modes_right(kind):
    weight, error, tree = sampled({"kind": kind} | LADDER)
    assert error < 0.02
    assert abs(weight - LEFT) < 4 * error, (weight, error)
    mean = float(tree["predictive"]["mean"].to_numpy()[0, 0, 0])
    assert abs(mean - (0.4 * -4 + 0.6 * 3)) < 4 * 7 * error  # the modes stand 7 apart


@pytest.mark.parametrize("corrected", [True, False])
def test_noisy_energies_need_the_correction(corrected):
    """Noise of sd 3: with the correction the modes' widths are right; without it hot states reach the target rung
    unhindered.
    """
    move = {"kind": "exchange"} | LADDER | {"interval": 2, "correction": corrected}
    _, _, tree = sampled(move, noise=3.0)
    x = tree["posterior"]["position"].to_numpy()[..., 0]
    sd = np.where(x < 0, 0.7, 0.5)
    square = ((x - np.where(x < 0, -4.0, 3.0)) / sd) ** 2
    each = square.mean(axis=1)
    z = (each.mean() - 1) / (each.std(ddof=1) / np.sqrt(len(each)))
    assert abs(z) < 4 if corrected else z > 6, (each.mean(), z)


def test_cyclical_weighs_modes_as_its_exploration_does():
    """Its known bias: each cycle starts from the hot density's basins (tau 10), and no cycle is long enough to forget
    them.
    """
    move = {"kind": "cyclical", "period": 500, "explore": 0.5, "explore_temperature": 10.0}
    weight, error, _ = sampled(move)
    grid = Grid.of(GaussianMixture(means=[[-4.0], [3.0]], sd=[0.7, 0.5], weights=[0.4, 0.6]), (-40.0, 40.0))
    hot = float(grid.at(10.0).probability[grid.at(10.0).axes[0] < 0].sum())
    assert abs(hot - LEFT) > 0.08
    assert abs(weight - hot) < 4 * error + 0.02
    assert abs(weight - LEFT) > 4 * error


@pytest.mark.slow
def test_an_interacting_contour_weighs_the_modes_right():
    """From a flat histogram that 256 replicas learn together."""
    move = {
        "kind": "contour",
        "zeta": 0.9,
        "bins": 60,
        "lowest": 0.5,
        "width": 0.5,
        "interacting": True,
        "interval": 10,
    }
    weight, error, _ = sampled(move, steps=30_000, burn_in=10_000, thin=50)
    assert error < 0.03
    assert abs(weight - LEFT) < 4 * error, (weight, error)


@pytest.mark.slow
def test_a_contour_of_one_replica_weighs_the_modes_right_once_it_has_learned():
    """From a flat histogram, modes 4.5 apart. One that never stops learning follows the mode it is in: .46 for .40."""
    target = {"means": [[-2.5], [2.0]], "sd": [0.7, 0.5], "weights": [0.4, 0.6]}
    move = {"kind": "contour", "zeta": 0.75, "bins": 15, "lowest": 0.5, "width": 1.0}
    run = {"stepsize": 0.05, "steps": 60_000, "burn_in": 30_000, "target": target}
    weight, error, _ = sampled(move | {"learn": 20_000}, **run)
    assert error < 0.01
    assert abs(weight - LEFT) < 4 * error, (weight, error)
    weight, error, _ = sampled(move, **run)
    assert weight - LEFT > 4 * error, (weight, error)
