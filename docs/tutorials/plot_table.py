"""
Uncertainty for a table
=======================

A table has words, gaps and noise that is not the same everywhere. We make one whose truth we know, fit it with
nothing chosen, and check what the answers say about themselves: are intervals as wide as they should be, and does the
model know where it has seen nothing?
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from gpu_thermo import BayesianMLPRegressor


def make(rows, seed):
    """Hours of a job: a curve in its size, a shift by site, noise that grows with size. No job of size 4 to 6."""
    rng = np.random.default_rng(seed)
    size = rng.uniform(0, 10, 3 * rows)
    size = size[(size < 4) | (size > 6)][:rows]
    site = rng.choice(["north", "south"], rows)
    truth = 10 + 4 * np.sin(size / 2) + 2 * (site == "south")
    sd = 0.3 + 0.1 * size
    return pd.DataFrame({"size": size, "site": site}), truth + sd * rng.normal(size=rows), truth, sd


X, y, _, _ = make(400, seed=0)
print(X.assign(hours=y).head(3).round(2))

# %%
# Fit
# ---
# The estimator is scikit-learn's in manner. Texts become categories, numbers are scaled, the scale of the prior is
# chosen by the data, and the run stops when its averages are known well enough. With 300 rows or more the noise may
# depend on the inputs, and a short look decides whether the network has one hidden layer or four.

model = BayesianMLPRegressor(random_state=0).fit(X, y)
print(model.trust_.text)
print(*model.recipe_.lines, sep="\n")

# %%
# That first line is the verdict. It is about the *sampler*: how far averages over the networks that were drawn are
# those of the posterior, in units of the posterior's own spread. It does not say that the model is right; the rest of
# this page asks that.
#
# Two kinds of doubt
# ------------------
# Noise stays however many rows come; what the networks do not agree on would shrink. ``uncertainty`` has both, as
# standard deviations.

grid = pd.DataFrame({"size": np.linspace(0, 10, 201), "site": "north"})
doubt = model.uncertainty(grid)
mean = model.predict(grid)
low, high = model.predict_interval(grid, 0.9).T

fig, (top, bottom) = plt.subplots(2, 1, figsize=(7, 5.5), sharex=True, height_ratios=[3, 2], layout="constrained")
north = X["site"] == "north"
top.plot(X["size"][north], y[north], ".", ms=3, color="0.6", label="rows, north")
top.fill_between(grid["size"], low, high, alpha=0.25, lw=0, label="90 % of answers")
top.plot(grid["size"], mean, label="mean")
top.plot(grid["size"], 10 + 4 * np.sin(grid["size"] / 2), "k--", lw=1, label="truth")
top.set(ylabel="hours")
top.legend(frameon=False, ncols=2)
bottom.plot(grid["size"], doubt.aleatoric, label="noise")
bottom.plot(grid["size"], 0.3 + 0.1 * grid["size"], "k--", lw=1, label="noise, truth")
bottom.plot(grid["size"], doubt.epistemic, label="what networks do not agree on")
bottom.set(xlabel="size", ylabel="standard deviation")
bottom.legend(frameon=False)
plt.show()

# %%
# The noise grows with size, as it was made to. Between 4 and 6, where there is no row, the networks part: that is the
# part of the doubt which more rows would settle.

inside = (grid["size"] > 4.5) & (grid["size"] < 5.5)
beside = (grid["size"] > 2) & (grid["size"] < 3)
gap, seen = doubt.epistemic[inside].mean(), doubt.epistemic[beside].mean()
print(f"networks differ by {gap:.2f} h in the gap, by {seen:.2f} h beside it")

# %%
# Are the intervals right?
# ------------------------
# We can make as many fresh jobs as we like. Of 5,000 nine in ten should fall into their 90 % interval.

X_new, y_new, _, sd_new = make(5000, seed=1)
low, high = model.predict_interval(X_new, 0.9).T
coverage = float(np.mean((low <= y_new) & (y_new <= high)))
best = float(np.mean(0.5 * np.log(2 * np.pi * sd_new**2) + 0.5))
score = -float(model.log_predictive(X_new, y_new).mean())
print(f"inside: {coverage:.1%}")
print(f"mean negative log density: {score:.3f}; who knows the truth has {best:.3f} on average")

# %%
# Nobody can do better than who knows the truth. What is lost to 400 rows is about two hundredths of a nat for each
# answer.
#
# What the page says, checked
# ---------------------------

assert X.shape == (400, 2)
assert not X["size"].between(4, 6).any()
assert model.trust_.trusted
assert gap > 1.5 * seen
assert 0.87 < coverage < 0.95
assert 0 < score - best < 0.04
assert np.corrcoef(doubt.aleatoric, grid["size"])[0, 1] > 0.9
