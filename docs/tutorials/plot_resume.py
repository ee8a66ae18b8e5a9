"""
Resuming and extending
======================

A run commits what it has every few seconds. It may be stopped at any moment, by Ctrl-C, a time limit, a queue or
``kill -9``, and goes on as if nothing had happened: bit for bit. And a run that is over may be made longer.
"""

import json
import signal
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import gpu_thermo as gt

folder = Path(tempfile.mkdtemp())
SPEC = {
    "data": {"name": "moons", "train": 100, "test": 200},
    "model": {"hidden": 10, "activation": "tanh", "prior_sd": 2.0},
    "method": {"name": "langevin", "stepsize": 0.1, "friction": 0.5, "posterior_temperature": 1.0},
    "run": {"replicas": 64, "steps": 25_000, "burn_in": 5_000, "thin": 200, "minibatch": "full", "seed": 4},
}

# %%
# Stopped and resumed
# -------------------
# The same run twice: once as it is, and once with a Ctrl-C on the way. ``on_progress`` is called after every segment;
# here it presses the keys.


def press(progress):
    """Ctrl-C, as soon as 10,000 steps are done."""
    if progress.step > 10_000:
        signal.raise_signal(signal.SIGINT)


whole = gt.sample(SPEC, folder / "whole.zarr")
try:
    gt.sample(SPEC, folder / "stopped.zarr", on_progress=press)
except gt.Interrupted as interrupted:
    print(str(interrupted).replace(str(folder), "FOLDER"))
with gt.open_run(folder / "stopped.zarr") as stopped:
    then = stopped["posterior"].sizes["draw"]
resumed = gt.resume(folder / "stopped.zarr")

same = all(
    np.array_equal(whole["posterior"][name], resumed["posterior"][name]) for name in whole["posterior"].data_vars
)
print(f"{then} draws at the stop; all {whole['posterior'].sizes['draw']} are equal bit for bit: {same}")

# %%
# On the command line that is ``gpu-thermo sample spec.toml --out run.zarr``, Ctrl-C, ``gpu-thermo resume run.zarr``.
# What decides bits is recorded (compiler, processor, versions); another machine of another kind is refused, unless
# one insists with ``--allow-other-bits``.
#
# More draws
# ----------
# ``draws`` adds to a run that is over. Nothing is done again: the first draws stay where they are.

before = whole["posterior"]["w1"].to_numpy()
longer = gt.resume(folder / "whole.zarr", draws=100)
after = longer["posterior"]["w1"].to_numpy()
print(
    f"{before.shape[1]} draws, then {after.shape[1]}; the old ones untouched: {np.array_equal(before, after[:, :100])}"
)

# %%
# A smaller error
# ---------------
# A run with a ``tolerance`` ends when its averages are known well enough. It goes on to a smaller one in the same
# way.

TUNED = {
    **{name: SPEC[name] for name in ("data", "model")},
    "method": {"name": "langevin", "posterior_temperature": 1.0},
    "run": {"replicas": 64, "tolerance": 0.1, "minibatch": "full", "seed": 4},
}


def told(run):
    """The reported error, how many draws a chain has, and the last step."""
    verdict = json.loads(run["tuning"].attrs["verdict"])
    return verdict["error"], run["posterior"].sizes["draw"], int(run["posterior"]["step"][-1])


found = [(0.1, *told(gt.sample(TUNED, folder / "tuned.zarr")))]
found += [(t, *told(gt.resume(folder / "tuned.zarr", tolerance=t))) for t in (0.02, 0.01)]
for row in found:
    print("asked for {}: error {:.3f} after {} draws, {} steps".format(*row))

# %%
# The draws of the window that ended burn-in count, and here they gave more than was asked for. From there on the error
# falls about as one over the root of the draws.

fig, axes = plt.subplots(figsize=(5.5, 3.3), layout="constrained")
tolerances, errors, draws, steps = map(np.array, zip(*found, strict=True))
axes.loglog(draws, errors, "o-", label="reported error")
axes.loglog(draws, tolerances, "kx", label="asked for")
axes.loglog(draws, errors[0] * np.sqrt(draws[0] / draws), "k--", lw=0.8, label="1 / sqrt(draws)")
axes.set(xlabel="draws of each of 64 chains", ylabel="error, in posterior sd")
axes.set_xticks(draws, draws)
axes.set_yticks([0.01, 0.02, 0.05, 0.1], ["0.01", "0.02", "0.05", "0.1"])
axes.minorticks_off()
axes.legend(frameon=False)
plt.show()

# %%
# What the page says, checked
# ---------------------------

assert then < 100
assert same
assert after.shape[1] == 200
assert np.array_equal(before, after[:, :100])
assert [asked for asked, *_ in found] == [0.1, 0.02, 0.01]
assert np.all(errors <= tolerances)
assert np.all(np.diff(steps) > 0)
