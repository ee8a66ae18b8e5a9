"""
Escaping modes
==============

A sampler that stays in the mode it started in gives one answer with false certainty. The target here is a mixture of
two narrow normals, of which the one on the left holds 40 %. Plain Langevin cannot leave either; three moves help it
out.
"""

import json

import matplotlib.pyplot as plt
import numpy as np

import gpu_thermo as gt

# %%
# Stuck
# -----
# All 256 replicas begin at 3, in the right-hand mode.

SPEC = {
    "target": {"name": "mixture", "preset": "two_narrow", "start": [3.0]},
    "method": {"name": "langevin", "stepsize": 0.2, "temperature": 1.0, "friction": 1.0},
    "run": {"replicas": 256, "steps": 10_000, "burn_in": 4_000, "thin": 25, "seed": 3},
}
MOVES = {
    "plain": [],
    "exchange": [{"kind": "exchange", "rungs": 4, "hottest": 10.0, "interval": 5}],
    "tempering": [{"kind": "tempering", "rungs": 4, "hottest": 10.0, "interval": 5}],
    "contour": [
        {"kind": "contour", "zeta": 1.0, "lowest": 0.0, "width": 0.5, "bins": 40, "omega_max": 0.05, "learn": 4_000}
    ],
}
runs = {name: gt.sample(SPEC | {"moves": moves}) for name, moves in MOVES.items()}

# %%
# * *Exchange*: replicas form ladders of four temperatures, and neighbours trade places. What is hot crosses the barrier
#   and hands what it finds down. The store's chains are the 64 target rungs.
# * *Tempering*: each replica walks the ladder alone. Its draws count where it stands on the target.
# * *Contour*: a histogram of the energies that were seen flattens the energy; a weight on each draw takes it back.
#
# Where a run has weights they are a coordinate of every draw. Averages, ``predict`` and ``diagnose`` honour them.


def left(run):
    """Share of the draws in the left-hand mode and its standard error over chains."""
    draws = run["posterior"]
    inside = (draws["position"].isel(coordinate=0) < -0.5).to_numpy()
    weight = draws["weight"].to_numpy() if "weight" in draws.coords else np.ones(inside.shape)
    weight = np.nan_to_num(weight)
    inside, weight = (inside * weight).sum(axis=1), weight.sum(axis=1)
    share = inside.sum() / weight.sum()
    return share, np.sqrt(((inside - share * weight) ** 2).sum()) / weight.sum()


shares = {name: left(run) for name, run in runs.items()}
for name, (share, error) in shares.items():
    print(f"{name:9} {share:.3f} +- {error:.3f} on the left")


# %%
# The picture
# -----------
# What the draws say, weights honoured, beside the density that is known.

grid = np.linspace(-7, 6, 400)
normal = lambda m, s: np.exp(-0.5 * ((grid - m) / s) ** 2) / (s * np.sqrt(2 * np.pi))  # noqa: E731
truth = 0.4 * normal(-4, 0.7) + 0.6 * normal(3, 0.5)
fig, panels = plt.subplots(1, 4, figsize=(11, 2.7), sharey=True, layout="constrained")
for axes, (name, run) in zip(panels, runs.items(), strict=True):
    draws = run["posterior"]["position"].isel(coordinate=0).to_numpy().ravel()
    weights = run["posterior"].coords.get("weight")
    weight = np.ones(draws.shape) if weights is None else np.nan_to_num(weights.to_numpy().ravel())
    seen = np.isfinite(draws)
    axes.hist(draws[seen], bins=80, range=(-7, 6), weights=weight[seen], density=True, color="C0", alpha=0.5)
    axes.plot(grid, truth, "k", lw=1)
    axes.set(title=name, xlabel="position")
panels[0].set_ylabel("density")
plt.show()

# %%
# Plain Langevin is sure of a wrong answer. The contour's chains count least: most of their draws weigh little. What a
# move did is in the run, and ``gpu-thermo info RUN`` prints it:

(report,) = json.loads(runs["exchange"]["posterior"].attrs["moves"])
print(report["lines"]["exchange"])

# %%
# A network is no different, but needs more rungs the more parameters it has. A run with a ``tolerance`` finds them
# itself: ``moves = [{kind = "exchange", hottest = 10.0}]`` says how hot, no more.
#
# What the page says, checked
# ---------------------------

assert shares["plain"][0] == 0
for name in ("exchange", "tempering", "contour"):
    share, error = shares[name]
    assert abs(share - 0.4) < 4 * error
    assert error < 0.05
assert min(report["acceptance"]) > 0.5
