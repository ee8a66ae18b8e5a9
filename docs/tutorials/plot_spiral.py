"""
Maps of a spiral
================

Two spirals wind around each other. Where does a posterior of networks draw the border between them, how sure is it,
and what does it say where there are no points? Two runs, of 60 and of 600 points, and their maps.
"""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

import gpu_thermo as gt
from gpu_thermo_analysis import uncertainty_map
from gpu_thermo_analysis.drawing import draw_panels
from gpu_thermo_analysis.style import RC

# %%
# The runs
# --------
# A spec is a nested dictionary, or the same as a TOML file. ``tolerance`` asks a run to tune itself and to go on
# until every average is known to a tenth of its posterior spread; ``posterior_temperature = 1`` is the Bayes
# posterior.


def spec(points):
    """A run of one turn and so many points."""
    return {
        "data": {"name": "spirals", "turns": 1.0, "train": points, "test": 1000},
        "model": {"hidden": 20, "activation": "tanh", "prior_sd": 3.0},
        "method": {"name": "langevin", "posterior_temperature": 1.0},
        "run": {"replicas": 64, "tolerance": 0.1, "minibatch": "full", "seed": 1},
    }


runs = {points: gt.sample(spec(points)) for points in (60, 600)}

# %%
# The maps
# --------
# ``gpu-thermo map RUN.zarr --out map.png`` draws one. In Python its numbers are an ``xarray.Dataset``.

maps = {points: uncertainty_map(run, resolution=100, margin=0.3) for points, run in runs.items()}
with mpl.rc_context(RC):
    fig, panels = plt.subplots(2, 3, figsize=(9.6, 6.2), sharex=True, sharey=True, layout="constrained")
    for row, (points, found) in zip(panels, maps.items(), strict=True):
        draw_panels(fig, row, found, 0)
        row[0].set_ylabel(f"{points} points")
    for legend in list(fig.legends):
        legend.remove()
plt.show()

# %%
# Left, the averaged probability. In the middle, the mutual information between answer and weights: how much the
# networks *disagree*, which more points would settle. Right, the entropy of the averaged probability: all of the
# doubt. Both are in nats; a fair coin has ln 2 = 0.69.
#
# The doubt is in two places: along the border between the arms, and beyond their ends, where each network goes on in
# its own way. More points of the same spirals lie on the same arms, so that they settle what happens *there*, and
# little elsewhere. Mutual information at 1,000 test points, which are on the arms, and over the whole map:


def information(run, points):
    """Mean mutual information at these points, in nats."""
    return float(gt.predict(run, points)["mutual_information"].mean())


on_arms = {n: information(run, run["constant_data"]["x_test"][0].to_numpy()) for n, run in runs.items()}
everywhere = {n: float(found["epistemic"].mean()) for n, found in maps.items()}
for n in runs:
    print(f"{n:3} points: {on_arms[n]:.3f} nat on the arms, {everywhere[n]:.3f} over the map")

# %%
# The average against its members
# -------------------------------
# The run scores single networks as it goes (``sample_stats``), and their average at its end (``predictive``).
# Averaging probabilities is what Bayes asks for, and it pays.


def scores(run):
    """Negative log likelihood of the average, and of single networks in the mean."""
    p, label = run["predictive"]["mean"].to_numpy().ravel(), run["constant_data"]["y_test"].to_numpy().ravel()
    averaged = float(-np.log(np.where(label == 1, p, 1 - p)).mean())
    return averaged, float(run["sample_stats"]["test_nll"].mean())


found = {points: scores(run) for points, run in runs.items()}
for points, (averaged, single) in found.items():
    print(f"{points:3} points: negative log likelihood {single:.3f} of one network, {averaged:.3f} of the average")

# %%
# What the page says, checked
# ---------------------------

assert on_arms[600] < on_arms[60] / 3
assert everywhere[600] > everywhere[60] / 2
assert all(averaged < single for averaged, single in found.values())
