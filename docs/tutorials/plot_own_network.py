"""
Your own network, in JAX and in PyTorch
=======================================

Sometimes one knows something about the function. Here the answer can only grow with x, and we build a network that
cannot do otherwise, once as a JAX function and once as a PyTorch module. Likelihood, prior, sampler and store are the
library's. The cells below say so where one of the two is not installed.
"""

from importlib.util import find_spec

import matplotlib.pyplot as plt
import numpy as np

import gpu_thermo as gt

rng = np.random.default_rng(1)
x = np.sort(rng.uniform(0, 10, (15, 1)), axis=0)
y = 2 / (1 + np.exp(-2 * (x[:, 0] - 5))) + 0.4 * rng.normal(size=15)
line = np.linspace(-2, 12, 141)[:, None]
SPEC = {
    "model": {"prior_sd": 1.0, "noise_sd": "learn"},
    "method": {"name": "langevin", "stepsize": 0.1, "friction": 1.0, "posterior_temperature": 1.0},
    "run": {"replicas": 64, "steps": 2_000, "burn_in": 800, "thin": 40, "minibatch": "full", "seed": 5},
}
UNITS = 6
found, runs = {}, {}

# %%
# The plain network
# -----------------
# For comparison: tanh units, which may go up and down.

plain = SPEC | {"model": SPEC["model"] | {"hidden": UNITS, "activation": "tanh"}}
runs["plain"] = gt.sample(plain, data=(x, y))
found["plain"] = gt.predict(runs["plain"], line)

# %%
# JAX
# ---
# A function ``apply(params, x)`` of one network, x [points, inputs] to outputs [points, outputs], and a tree of
# example parameters. Weights go through exp, so that every unit rises. The first level of the tree's names are the
# partitions.

start = {
    "inner": {"w": np.zeros(UNITS), "b": np.linspace(-1.5, 1.5, UNITS)},
    "outer": {"w": np.full(UNITS, -1.0), "b": np.zeros(1)},
}
if find_spec("jax"):
    import jax.numpy as jnp

    def rising(params, x):
        """Outputs of one network, which grow with x."""
        units = jnp.tanh(jnp.exp(params["inner"]["w"]) * (x - params["inner"]["b"]))
        return units @ jnp.exp(params["outer"]["w"])[:, None] + params["outer"]["b"]

    name = "rising, in JAX"
    runs[name] = gt.sample(SPEC, data=(x, y), network=(rising, start))
    found[name] = gt.predict(runs[name], line, network=(rising, start))
    print(list(runs[name]["posterior"].data_vars))
else:
    print("JAX is not installed where this page was built.")

# %%
# PyTorch
# -------
# The same as a module. Its parameters that require a gradient are sampled; the module itself is not changed.

if find_spec("torch"):
    import torch

    class Side(torch.nn.Module):
        """Weights and offsets of one side of the units."""

        def __init__(self, w, b):
            super().__init__()
            self.w = torch.nn.Parameter(torch.tensor(w, dtype=torch.float32))
            self.b = torch.nn.Parameter(torch.tensor(b, dtype=torch.float32))

    class Rising(torch.nn.Module):
        """The same function as a module."""

        def __init__(self):
            super().__init__()
            self.inner, self.outer = (Side(start[name]["w"], start[name]["b"]) for name in ("inner", "outer"))

        def forward(self, x):
            units = torch.tanh(torch.exp(self.inner.w) * (x - self.inner.b))
            return units @ torch.exp(self.outer.w)[:, None] + self.outer.b

    name = "rising, in PyTorch"
    runs[name] = gt.sample(SPEC, data=(x, y), network=Rising())
    found[name] = gt.predict(runs[name], line, network=Rising())
    print(list(runs[name]["posterior"].data_vars))
else:
    print("PyTorch is not installed where this page was built.")

# %%
# The picture
# -----------
# ``predict`` takes the network again; what a store holds are numbers, never code. The network is held against a probe
# that was stored with the run.

fig, panels = plt.subplots(
    1, len(found), figsize=(3.5 * len(found), 3), sharey=True, layout="constrained", squeeze=False
)
for axes, (name, answer) in zip(panels[0], found.items(), strict=True):
    one = answer.isel(ensemble=0, output=0)
    low, high = (one["mean_quantiles"].sel(quantile=q) for q in (0.05, 0.95))
    axes.fill_between(line[:, 0], low, high, alpha=0.3, lw=0)
    axes.plot(line, one["mean"])
    axes.plot(x, y, "k.", ms=4)
    axes.set(title=name, xlabel="x", ylim=(-1, 3))
plt.show()

# %%
# How many of the networks that were drawn fall from one point to the next, if a little? A store has predictions of
# every draw at fixed points (``probes``), here those of the data.

falls = {}
for name, run in runs.items():
    order = np.argsort(run["constant_data"]["x_probe"].to_numpy().ravel())
    steps = np.diff(run["probes"]["predictions"].isel(output=0).to_numpy()[..., order])
    falls[name] = float(np.mean((steps < -0.01).any(axis=-1)))
    print(f"{name:20} {falls[name]:.0%} of the networks fall")

# %%
# What the page says, checked
# ---------------------------

assert falls["plain"] > 0.05
assert all(falls[name] == 0 for name in set(falls) - {"plain"})
if len(found) == 3:
    apart = found["rising, in JAX"]["mean"] - found["rising, in PyTorch"]["mean"]
    assert float(np.abs(apart).max()) < 0.2
