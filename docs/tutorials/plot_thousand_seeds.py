"""
A study of a thousand seeds
===========================

Two ways of training one small network are compared on a thousand seeds each: Langevin dynamics in layers (``lala``),
and the same with a thermostat on the hidden layer (``adlala``). With so many runs we can ask what a paper with five
cannot: how often would five seeds have told us the wrong thing?
"""

import matplotlib.pyplot as plt
import numpy as np

import gpu_thermo as gt
from gpu_thermo.study import comparisons, summaries
from gpu_thermo.study.tables import paired

# %%
# The study
# ---------
# A run's spec, a grid over any of its fields, and seeds. Each seed decides data, start and noise, and has the same
# ones in both cells, so that differences are *paired*. Two thousand runs go as few large launches.

STUDY = {
    "name": "lala and adlala",
    "data": {"name": "spirals", "turns": 1, "train": 100, "test": 300},
    "model": {"hidden": 10, "activation": "relu"},
    "run": {"steps": 3_000, "batch": 20, "trace": 500},
    "grid": {
        "method": [
            {"name": "lala", "stepsize": 0.25, "friction": 0.5},
            {"name": "adlala", "stepsize": 0.25, "friction": 0.5},
        ]
    },
    "seeds": {"count": 1000},
}
plan = gt.study.plan_study(STUDY)
print(f"{plan.runs:,} runs, {plan.replica_steps / 1e6:.0f} million steps, {plan.launches} launches")
found = gt.study(STUDY)
print(found["accuracy"].sizes)

# %%
# Means, spreads, worst seeds
# ---------------------------

rows = summaries(found, "accuracy")
for name, s in rows.items():
    print(f"{name:8} mean {s.mean:.4f} ({s.mean_low:.4f} to {s.mean_high:.4f}), sd {s.sd:.3f}, worst {s.worst:.3f}")
(test,) = comparisons(found, "accuracy")
print(
    f"{test.first} - {test.second}: {test.difference:+.4f} ({test.low:+.4f} to {test.high:+.4f}), p {test.p_holm:.0e}"
)
print(f"pairs that would be enough to see it: {test.seeds_needed}")

# %%
# The distributions
# -----------------
# Means hide that most runs of either are nearly perfect; the two differ in how many are not.

pairs = paired(found, "accuracy")
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.3), layout="constrained")
left.set(xlabel="test accuracy", ylabel="share of the seeds below", yscale="log")
for name, values in pairs.items():
    left.plot(np.sort(values), np.arange(1, len(values) + 1) / len(values), label=name)

# %%
# Five seeds
# ----------
# Draw so many of the thousand pairs at random, ten thousand times: in what share has the worse method the better
# mean?

gap = pairs["adlala"] - pairs["lala"]
rng = np.random.default_rng(0)
counts = np.array([1, 2, 5, 10, 20, 50, 100])
wrong = np.array([np.mean(rng.choice(gap, (10_000, n)).mean(axis=1) < 0) for n in counts])
left.legend(frameon=False)
right.plot(counts, wrong, "o-")
right.set(xscale="log", xlabel="seeds, paired", ylabel="share that finds the wrong order")
right.set_xticks(counts, counts)
plt.show()
for n, share in zip(counts, wrong, strict=True):
    print(f"{n:3} seeds: {share:.1%} wrong")

# %%
# Five seeds find the wrong order about once in five times, and nothing in them warns of it. The study's own answer to
# how many it takes, for a clear difference with 90 % power, stands above; ``gpu-thermo table STUDY`` prints it for
# every pair of methods.
#
# What the page says, checked
# ---------------------------

assert plan.runs == found.sizes["chain"] == 2000
assert plan.launches == 2
assert test.low > 0 or test.high < 0
assert gap.mean() > 0
assert 0.1 < wrong[2] < 0.3
assert wrong[-1] < 0.01
assert 40 < test.seeds_needed < 200
assert rows["lala"].worst < rows["lala"].mean - 0.1
