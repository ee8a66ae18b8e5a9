"""
Evidence
========

The evidence of a model is the probability that it gave the data before it had seen them, averaged over its prior.
Ratios of evidences compare models that are not nested, here three activations. It comes from one run for each:
replicas stand on a ladder from the prior to the posterior.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import gpu_thermo as gt

rng = np.random.default_rng(3)
x = np.sort(rng.uniform(-3, 3, (40, 1)), axis=0)
y = np.sin(2.5 * x[:, 0]) + 0.3 * rng.normal(size=40)

# %%
# The ladders
# -----------
# A rung takes the likelihood to a power between 0 and 1; neighbours trade places. Eight ladders of sixteen rungs are
# independent, and give the error. Where the rungs are too few they are added and the run is made again.


def spec(activation):
    """Eight ladders of sixteen rungs, of networks with this activation."""
    return {
        "data": {"standardise": False},
        "model": {"hidden": 8, "activation": activation, "prior_sd": 1.5, "noise_sd": 0.3, "init": "prior"},
        "method": {"name": "langevin", "stepsize": 0.05, "friction": 1.0, "posterior_temperature": 1.0},
        "run": {
            "replicas": 8 * 16, "steps": 4_000, "burn_in": 1_000, "thin": 20, "minibatch": "full", "momenta": "thermal",
        },
        "moves": [{"kind": "exchange", "temper": "likelihood", "rungs": 16, "interval": 10}],
    }  # fmt: skip


folder = Path(tempfile.mkdtemp())
found, runs = {}, {}
for activation in ("tanh", "relu", "sine"):
    runs[activation], (found[activation],) = gt.sample_evidence(
        spec(activation), folder / f"{activation}.zarr", data=(x, y, x, y), most_rungs=64
    )
    one = found[activation]
    print(f"{activation:5} log evidence {one.log_evidence:7.2f} +- {one.error:.2f}, {len(one.powers) - 1} rungs")

# %%
# The data are a sine, and so is one of the models. By how much they prefer it is a ratio of probabilities, whose
# logarithm is the difference of log evidences.

best = found["sine"]
for activation in ("tanh", "relu"):
    gap = best.log_evidence - found[activation].log_evidence
    error = float(np.hypot(best.error, found[activation].error))
    print(f"sine over {activation}: e^({gap:.1f} +- {error:.1f})")

# %%
# What it is made of
# ------------------
# The log evidence is the integral of the mean log likelihood over the power, from the prior (left) to the posterior
# (right); powers are drawn as their fifth root, in which the rungs are even. Right, the posteriors.

fig, panels = plt.subplots(1, 4, figsize=(11, 3), width_ratios=[1.3, 1, 1, 1], layout="constrained")
line = np.linspace(-5, 5, 201)[:, None]
for activation, one in found.items():
    panels[0].plot(np.array(one.powers) ** 0.2, -np.array(one.mean), "o-", ms=3, lw=1, label=activation)
panels[0].set(xlabel="power, fifth root", ylabel="minus log likelihood, mean", yscale="log")
panels[0].legend(frameon=False)
for axes, (activation, run) in zip(panels[1:], runs.items(), strict=True):
    answer = gt.predict(run, line).isel(ensemble=0, output=0)
    low, high = (answer["quantiles"].sel(quantile=q) for q in (0.05, 0.95))
    axes.fill_between(line[:, 0], low, high, alpha=0.3, lw=0)
    axes.plot(line, answer["mean"])
    axes.plot(x, y, "k.", ms=3)
    axes.set(title=activation, ylim=(-4, 4), xlabel="x")
plt.show()

# %%
# On the points the three posteriors look alike. Beyond them only one goes on as the data do, and the evidence, which
# never looked there, chose it: more of its prior's functions are like these data.
#
# On the command line: a spec with this ``[[moves]]``, ``gpu-thermo sample``, and ``gpu-thermo evidence RUN`` (with
# ``--extend NEW`` where rungs are too few).
#
# What the page says, checked
# ---------------------------

assert max(one.error for one in found.values()) < 1
assert best.log_evidence - found["tanh"].log_evidence > 5
assert best.log_evidence - found["relu"].log_evidence > 5
