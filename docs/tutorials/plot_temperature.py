"""
What temperature does
=====================

A sampler at temperature T draws networks with a density proportional to likelihood times prior, to the power 1/T. T =
1 is the posterior that Bayes' rule gives; T = 0 would be the best network alone; above 1 the data count for less.
Five temperatures are one run: hyperparameters may be lists over replicas.
"""

import matplotlib.pyplot as plt
import numpy as np

import gpu_thermo as gt

rng = np.random.default_rng(0)
x = rng.uniform(-2, 2, (30, 1))
y = np.sin(2 * x[:, 0]) + 0.3 * rng.normal(size=30)
x_test = rng.uniform(-2, 2, (500, 1))
y_test = np.sin(2 * x_test[:, 0]) + 0.3 * rng.normal(size=500)

# %%
# One run, five ensembles
# -----------------------
# The list of five values is given to the replicas in turn, so that 160 replicas are five *ensembles* of 32. Averages
# are taken within one, never across. A run of several ensembles takes its stepsize and length from you.

TEMPERATURES = [0.03, 0.1, 0.3, 1.0, 3.0]
SPEC = {
    "data": {"standardise": False},
    "model": {"hidden": 20, "activation": "tanh", "prior_sd": 1.0, "noise_sd": 0.3, "init": "prior"},
    "method": {"name": "langevin", "stepsize": 0.05, "friction": 1.0, "posterior_temperature": TEMPERATURES},
    "run": {"replicas": 160, "steps": 24_000, "burn_in": 8_000, "thin": 400, "minibatch": "full", "seed": 2},
}
run = gt.sample(SPEC, data=(x, y, x_test, y_test))
line = np.linspace(-4, 4, 161)[:, None]
found = gt.predict(run, line)
print(found[["mean", "variance", "aleatoric_variance"]].sizes)

# %%
# The picture
# -----------

fig, panels = plt.subplots(1, 5, figsize=(11, 2.7), sharey=True, layout="constrained")
for e, (axes, temperature) in enumerate(zip(panels, TEMPERATURES, strict=True)):
    one = found.isel(ensemble=e, output=0)
    for levels, alpha, of in (((0.05, 0.95), 0.15, "quantiles"), ((0.05, 0.95), 0.35, "mean_quantiles")):
        low, high = (one[of].sel(quantile=level) for level in levels)
        axes.fill_between(line[:, 0], low, high, color="C0", alpha=alpha, lw=0)
    axes.plot(line, one["mean"], lw=1.2)
    axes.plot(x, y, "k.", ms=3)
    axes.set(title=f"T = {temperature:g}", ylim=(-5, 5), xlabel="x")
plt.show()

# %%
# The dark band holds the networks' means, the light one answers, noise and all (the noise has sd 0.3 at every T).
# Cold networks agree with each other, also where there are no points: that is false certainty. Hot ones forget the
# data.
#
# Spread and score
# ----------------
# How much networks differ at the points, how much two units beyond them, and the score on 500 fresh points.

at = gt.predict(run, x)["variance"].isel(output=0).mean("point") ** 0.5
far = gt.predict(run, [[-4.0], [4.0]])["variance"].isel(output=0).mean("point") ** 0.5
nll = -run["predictive"]["log_density"].mean("point")
print("     T   sd at points   sd far away   negative log density")
for e, temperature in enumerate(TEMPERATURES):
    print(f"{temperature:6g} {float(at[e]):12.3f} {float(far[e]):13.2f} {float(nll[e]):16.3f}")

# %%
# On points like those seen the score hardly tells T = 0.03 from T = 1: the data decide, and the noise hides the rest.
# The difference is where nobody looked. A spec's other key is ``temperature``, in units of the mean loss (T = N
# temperature): optimisers and the paper's methods are set by it.
#
# Is it at the temperature asked for?
# -----------------------------------
# Momenta have a temperature that can be measured. The store keeps it for each draw, beside the one that was asked
# for. In units of the mean loss that is T/N, with N = 30 points.


def kinetic(run):
    """Mean kinetic temperature of each ensemble, by the temperature asked for."""
    stats = run["sample_stats"]
    return stats["kinetic_temperature"].isel(partition=0).mean("draw").groupby("temperature_all").mean()


measured = kinetic(run)
for asked, value in zip(measured["temperature_all"].values, measured.values, strict=True):
    print(f"asked {30 * asked:6.2f}, measured {30 * value:6.3f}")

# %%
# A thermometer averages over all parameters, and a stepsize may be too long in a corner. The hottest networks have
# the largest weights, and so the steepest energies. At twice the stepsize, T = 3 once more:

hot = SPEC | {
    "method": SPEC["method"] | {"stepsize": 0.1, "posterior_temperature": 3.0},
    "run": SPEC["run"] | {"replicas": 32, "steps": 12_000, "burn_in": 4_000, "thin": 200},
}
long_steps = gt.sample(hot, data=(x, y, x_test, y_test))
too_hot = 30 * float(kinetic(long_steps)[0])
wider = float(gt.predict(long_steps, x)["variance"].mean() ** 0.5)
print(
    f"at twice the stepsize: asked 3, measured {too_hot:.2f}; sd at points {wider:.3f} in place of {float(at[4]):.3f}"
)

# %%
# The momenta notice next to nothing, and the networks differ by a quarter too much. A run with ``tolerance`` in place
# of a stepsize accepts or rejects its steps, which leaves no such error.
#
# What the page says, checked
# ---------------------------

assert found.sizes["ensemble"] == len(TEMPERATURES)
assert np.all(np.diff(at) > 0)
assert np.all(np.diff(far) > 0)
assert float(far[3] / far[0]) > 3
assert abs(float(nll[0] - nll[3])) < 0.1
assert np.allclose(measured, measured["temperature_all"], rtol=0.02)
assert 2.85 < too_hot < 3.3
assert wider > 1.12 * float(at[4])
