"""
Reading a store with xarray and ArviZ
=====================================

A run is a folder of plain Zarr arrays. Everything here reads it without this library, but for the one call that makes
it: a posterior of small networks on the wine data, three temperatures side by side.
"""

import json
import tempfile
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from arviz_stats import loo, summary

import gpu_thermo as gt

store = Path(tempfile.mkdtemp()) / "wine.zarr"
gt.sample(
    {
        "data": {"name": "wine"},
        "model": {"hidden": 5, "activation": "tanh", "prior_sd": 1.0, "init": "prior"},
        "method": {"name": "langevin", "stepsize": 0.3, "friction": 0.1, "posterior_temperature": [0.1, 0.3, 1.0]},
        "run": {
            "replicas": 48, "steps": 12_000, "burn_in": 2_000, "thin": 200, "minibatch": "full",
            "keep": ["parameters", "predictions", "log_likelihood"],
        },
    },
    store,
).close()  # fmt: skip

# %%
# What is in it
# -------------

run = xr.open_datatree(store, engine="zarr")
for name, group in run.children.items():
    print(f"{name:15} {dict(group.sizes)}")
print(run["posterior"]["w1"])

# %%
# Every variable has a unit and a name for people. Replicas are ArviZ's ``chain``; what they differ in is a coordinate
# of it, so that a comparison is a ``groupby``. A likelihood, a temperature:

stats = run["sample_stats"].to_dataset()
temperature = (142 * stats["temperature_all"]).round(3)
nll = stats["test_nll"].mean("draw").groupby(temperature).mean()
print(nll.rename(temperature_all="T").to_pandas())

# %%
# That was the mean score of single networks. The group ``predictive`` has the average over each ensemble at the test
# points, with its entropies:

print(run["predictive"].to_dataset().data_vars)

# %%
# Have the chains met?
# --------------------
# R-hat of weights says nothing: hidden units trade places, and two chains with the same function may have them in
# another order. The group ``probes`` has predictions at fixed points; R-hat and effective draws are taken of those,
# at T = 1.

KEPT = ("posterior", "probes", "log_likelihood")
chains = np.flatnonzero(temperature == 1.0)
hot = xr.DataTree.from_dict({name: run[name].to_dataset().isel(chain=chains) for name in KEPT})
table = summary(hot["probes"].to_dataset(), kind="diagnostics")
worst_rhat, least_ess = float(table["r_hat"].astype(float).max()), float(table["ess_bulk"].astype(float).min())
print(f"over {len(table)} predictions: largest R-hat {worst_rhat:.3f}, least effective draws {least_ess:.0f}")

# %%
# Leave-one-out
# -------------
# ``keep = ["log_likelihood"]`` in ``[run]`` stores the log likelihood of every training point, which is what ArviZ's
# ``loo`` asks for. It counts points that weigh too much to be left out by weights; their part of the sum is not to be
# relied on.

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "Estimated shape parameter")  # said below
    left_out = loo(hot, pointwise=True)
print(f"expected log density of the 142 points, each from the others: {left_out.elpd:.1f} +- {left_out.se:.1f}")
print(f"points that weigh too much for it (Pareto k above .7): {int((left_out.pareto_k > 0.7).sum())}")

# %%
# A picture of one's own
# ----------------------
# The probability of the first class at a probe, along three chains of each temperature.

p = run["probes"]["predictions"].isel(output=0)
probe = int(np.argmax(p.isel(chain=chains).var(("chain", "draw")).values))
fig, axes = plt.subplots(figsize=(8, 3), layout="constrained")
for chain in range(9):
    label = f"T = {temperature.values[chain]:g}" if chain < 3 else None
    axes.plot(p["step"], p.isel(chain=chain, probe=probe), color=f"C{chain % 3}", lw=0.8, alpha=0.8, label=label)
axes.legend(frameon=False, ncols=3)
axes.set(xlabel="step", ylabel=f"p(class 0) at probe {probe}", ylim=(-0.05, 1.2))
plt.show()

# %%
# The run's spec, versions and device are attributes, as JSON; ``xr.open_zarr(store, group="posterior")`` opens one
# group.

spec = json.loads(run.attrs["spec"])
print(spec["model"]["hidden"], spec["method"]["posterior_temperature"], run.attrs["engine"], run.attrs["device"])

# %%
# What the page says, checked
# ---------------------------

assert run["posterior"]["w1"].dims == ("chain", "draw", "hidden", "feature")
assert "units" in run["posterior"]["w1"].attrs
assert list(nll["temperature_all"]) == [0.1, 0.3, 1.0]
assert worst_rhat < 1.05
assert least_ess > 100
assert -60 < left_out.elpd < 0
assert 0 <= float(p.min()) < 0.5 < float(p.max()) <= 1
