"""
A cluster with Dask
===================

The replicas of a run, or the cells of a study, can be carried by the workers of a Dask cluster. The store is bit for
bit that of one machine. Here a scheduler and two workers are started on this one; on a cluster of yours only the
address is another. Where Dask is not installed (``pip install "gpu-thermo[cluster]"``) the cells below say so and do
nothing.
"""

import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import gpu_thermo as gt

DASK = find_spec("distributed") is not None
folder = Path(tempfile.mkdtemp())

# %%
# A scheduler and two workers
# ---------------------------
# In a shell: ``dask scheduler`` on one machine, ``dask worker tcp://HOST:8786`` on each of the others. Every worker
# needs this library, in the same version, and a compiler.


def launch(*words):
    """A process of Dask's: scheduler or worker, with its options."""
    log = open(folder / f"{words[0]}.log", "a")
    return subprocess.Popen(
        [sys.executable, "-m", f"distributed.cli.dask_{words[0]}", *words[1:]], stdout=log, stderr=log
    )


if DASK:
    place = folder / "scheduler.json"
    quiet = ["--scheduler-file", str(place)]
    started = [launch("scheduler", *quiet, "--host", "127.0.0.1", "--port", "0", "--no-dashboard")]
    started += [launch("worker", *quiet, "--nthreads", "1", "--no-dashboard") for _ in range(2)]
    from distributed import Client

    with Client(scheduler_file=str(place)) as client:
        client.wait_for_workers(2, timeout=60)
        ADDRESS = client.scheduler.address
    print(f"{len(started) - 1} workers")
else:
    print("Dask is not installed where this page was built.")

# %%
# One run, shared out
# -------------------
# Each worker advances a share of the replicas, and what is recorded comes together here at the end of every segment.
# So moves, averages and runs that stop themselves see all replicas.

SPEC = {
    "data": {"name": "moons", "train": 100, "test": 200},
    "model": {"hidden": 10, "activation": "tanh", "prior_sd": 2.0},
    "method": {"name": "langevin", "posterior_temperature": 1.0},
    "run": {"replicas": 64, "tolerance": 0.05, "minibatch": "full", "seed": 4},
}
runs = {"here": gt.sample(SPEC, folder / "here.zarr")}
if DASK:
    runs["two workers"] = gt.sample(SPEC, folder / "there.zarr", scheduler=ADDRESS)
for name, run in runs.items():
    weights = run["posterior"]["w1"][0, 0].values.ravel()
    print(f"{name:12} {run['posterior'].sizes['draw']} draws; first weights {weights[:3]}")
one, *other = [run["posterior"].to_dataset() for run in runs.values()]
equal = [all(np.array_equal(one[name], two[name]) for name in one.data_vars) for two in other]
print("equal bit for bit:", equal)

# %%
# A study, shared out
# -------------------
# The shards of a study are independent. A worker that dies loses the shards it was at, and others take them.
# ``gpu-thermo study STUDY.toml --scheduler tcp://HOST:8786`` is the same on the command line; ``--workers 4`` starts
# local processes.

STUDY = {
    "data": {"name": "moons", "train": 60, "test": 200},
    "model": {"hidden": 10, "prior_sd": 2.0},
    "method": {"name": "langevin", "temperature": 0.02, "friction": 0.5},
    "run": {"steps": 1_000, "burn_in": 500, "thin": 50, "batch": 20},
    "grid": {"method.stepsize": [0.05, 0.2]},
    "seeds": {"count": 32},
    "study": {"shard": 32},
}
found = gt.study(STUDY, folder / "study.zarr", scheduler=ADDRESS if DASK else None)
print(f"{found.sizes['chain']} runs, {int((found['status'] == 0).sum())} done")

fig, axes = plt.subplots(figsize=(5.5, 3.2), layout="constrained")
for stepsize, values in found["average_nll"].groupby("method.stepsize"):
    axes.plot(np.sort(values), (np.arange(values.size) + 0.5) / values.size, label=f"h = {stepsize:g}")
axes.set(xlabel="negative log likelihood of the average", ylabel="share of the seeds below")
axes.legend(frameon=False)
plt.show()

# %%
# Put the workers away
# --------------------

if DASK:
    for process in reversed(started):
        process.terminate()
    for process in started:
        process.wait(timeout=30)

# %%
# What the page says, checked
# ---------------------------

assert not DASK or [process.poll() is None for process in started] == [False] * 3
assert equal == [True] * DASK
assert found.sizes["chain"] == 64
assert bool((found["status"] == 0).all())
