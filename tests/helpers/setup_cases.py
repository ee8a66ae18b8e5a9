"""Small specs made ready."""

from gpu_thermo.running.setup import prepare
from gpu_thermo.spec.run import RunSpec

N = 40


def build(method=None, replicas=4, data=None, **sections):
    run = {"replicas": replicas, "steps": 20, "burn_in": 10, "thin": 5} | sections.pop("run", {})
    tree = {
        "data": {"train": N, "test": 6} | (data or {}),
        "model": {"hidden": 3} | sections.pop("model", {}),
        "run": run,
    }
    return prepare(RunSpec.from_dict(tree | ({"method": method} if method else {})))


def hyper(method, replicas=4, **sections):
    return build(method, replicas, **sections).job.hyper
