"""
Choosing a prior by looking at its predictions
==============================================

A prior over weights says little to anybody; the functions that it makes say a lot. Here they are drawn before any
data are seen: nothing is sampled, and each look takes a fraction of a second. ``gpu-thermo map spec.toml --prior
--out prior.png`` draws one from the command line.
"""

import matplotlib.pyplot as plt
import numpy as np

import gpu_thermo as gt

rng = np.random.default_rng(0)
x = np.sort(rng.uniform(-1, 1, (40, 1)), axis=0)
y = 20 + 5 * np.tanh(3 * x[:, 0]) + rng.normal(size=40)
line = np.linspace(-1.5, 1.5, 151)[:, None]

# %%
# What a scale means
# ------------------
# ``prior_sd`` is the scale of every weight; the network sees inputs and answers scaled to sd 1. The data give the
# units, and are not used otherwise. First a number for all weights, at three scales, then ``"fan_in"``: the scale of
# a weight falls with the number of inputs of its unit, so that a wide layer says as much as a narrow one.


def spec(prior_sd):
    """A network of 50 units with this prior."""
    return {
        "model": {"hidden": 50, "activation": "silu", "prior_sd": prior_sd},
        "method": {"name": "langevin", "posterior_temperature": 1.0},
        "run": {"replicas": 64, "tolerance": 0.1, "minibatch": "full"},
    }


CHOICES = {"0.2": 0.2, "1": 1.0, "5": 5.0, "fan_in": "fan_in"}
found = {name: gt.predict_prior(spec(sd), line, data=(x, y), draws=400) for name, sd in CHOICES.items()}

fig, panels = plt.subplots(1, 4, figsize=(11, 3), sharey=True, layout="constrained")
for axes, (name, one) in zip(panels, found.items(), strict=True):
    axes.plot(line, one["phi"].isel(draw=slice(0, 25), output=0).T, color="C0", lw=0.6, alpha=0.6)
    axes.plot(x, y, "k.", ms=3)
    axes.set(title=f"prior_sd = {name}", xlabel="x", ylim=(-60, 100))
panels[0].set_ylabel("answer")
plt.show()

# %%
# The draws are functions that the model would have believed. At .2 they are flat; at 5 they leave the answers far
# behind. Numbers say the same: how far a function goes over the inputs that there are, in units of the range of the
# answers (1 is about what these answers do).

inside = np.abs(line[:, 0]) <= 1


def range_of(one):
    """How far the median function goes over the inputs that there are, in units of the range of the answers."""
    phi = one["phi"].isel(output=0).to_numpy()[:, inside]
    return float(np.median(phi.max(axis=1) - phi.min(axis=1)) / (y.max() - y.min()))


ranges = {name: range_of(one) for name, one in found.items()}
for name, value in ranges.items():
    print(f"prior_sd = {name:7} a function goes over {value:6.2f} times the range of the answers")

# %%
# The likelihood has priors of its own. What is assumed about the noise is printed with every run; here is what the
# prior thinks of an answer, noise included.

low, middle, high = (found["1"]["quantiles"].sel(quantile=q).isel(output=0).to_numpy()[75] for q in (0.05, 0.5, 0.95))
print(f"at x = 0, prior_sd = 1: an answer between {low:.0f} and {high:.0f} with 90 %; the data have {y.mean():.0f}")

# %%
# Or let the data choose
# ----------------------
# ``prior_sd = "auto"`` takes the scales under which a very wide network explains the rows best
# (``docs/equations.md``, section 12). It is what ``BayesianMLPRegressor`` does. The plan says what was chosen.

plan = gt.plan(spec("auto"), data=(x, y))
print(*[line for line in plan.assumptions if "prior" in line], sep="\n")

# %%
# What the page says, checked
# ---------------------------

assert float(found["5"]["phi"].std()) > 20 * float(found["0.2"]["phi"].std())
assert ranges["0.2"] < 0.3
assert 1 < ranges["1"] < 6
assert ranges["5"] > 30
assert ranges["fan_in"] < ranges["1"]
assert high - low > 2 * (y.max() - y.min())
assert "chosen by the data" in plan.assumptions[-1]
