"""gpu_thermo: sample the parameters of thousands of small neural networks at once.

    import gpu_thermo as gt

    run = gt.sample({"run": {"replicas": 64}}, "run.zarr")     # or a TOML file, or nothing for the embedded default
    answer = gt.predict(run, [[0.5, -0.2]])                    # mean, variance, entropy, mutual information
    for snapshot in gt.iterate("spec.toml"):                   # or step through it
        print(snapshot.step, snapshot.energy.mean())
    table = gt.study("study.toml", "study.zarr")               # grids of anything times seeds, as an xarray.Dataset

Public names are loaded when first used, so that the import itself stays light: it never imports CuPy, Dask, matplotlib
or zarr.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .averages.calibration import calibration
    from .averages.canonical import canonical
    from .averages.concat import concat
    from .averages.evidence import evidence
    from .averages.held_out import held_out
    from .averages.predictive import predict
    from .averages.resample import resample
    from .data import Dataset
    from .errors import GpuThermoError, Status
    from .estimators import BayesianMLPClassifier, BayesianMLPRegressor
    from .registration import register, registered, unregister
    from .run import Interrupted, Progress, iterate, plan, resume, sample
    from .running.prior import predict_prior
    from .settle import sample_evidence
    from .spec.run import RunSpec
    from .state import Snapshot
    from .store import open_run
    from .study.conduct import study
    from .study.reading import open_study
    from .targets.own import JaxNetwork, NumpyNetwork, TorchNetwork
    from .targets.user import UserPotential
    from .targets.weights import weights_from_sklearn, weights_from_torch
    from .watching import live

__version__ = "0.2.0.dev0"

_HOMES = {
    "BayesianMLPClassifier": "estimators", "BayesianMLPRegressor": "estimators",
    "Dataset": "data", "GpuThermoError": "errors", "Status": "errors", "predict": "averages.predictive",
    "canonical": "averages.canonical", "concat": "averages.concat", "resample": "averages.resample",
    "calibration": "averages.calibration", "held_out": "averages.held_out", "predict_prior": "running.prior",
    "evidence": "averages.evidence", "sample_evidence": "settle", "live": "watching",
    "register": "registration", "registered": "registration", "unregister": "registration",
    "Interrupted": "run", "Progress": "run", "iterate": "run", "plan": "run", "resume": "run", "sample": "run",
    "open_study": "study.reading",
    "RunSpec": "spec", "Snapshot": "state", "open_run": "store", "UserPotential": "targets.user",
    "JaxNetwork": "targets.own", "NumpyNetwork": "targets.own", "TorchNetwork": "targets.own",
    "weights_from_sklearn": "targets.weights", "weights_from_torch": "targets.weights",
}  # fmt: skip

__all__ = [
    "BayesianMLPClassifier", "BayesianMLPRegressor",
    "Dataset", "GpuThermoError", "Interrupted", "JaxNetwork", "NumpyNetwork", "Progress", "RunSpec", "Snapshot",
    "Status", "TorchNetwork", "UserPotential",
    "__version__", "calibration", "canonical", "concat", "evidence", "held_out", "iterate", "live",
    "open_run", "open_study", "plan", "predict", "predict_prior", "register", "registered", "resample", "resume",
    "sample", "sample_evidence", "study", "unregister",
    "weights_from_sklearn", "weights_from_torch",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Load a public name from its module; `study` is a package that can be called."""
    if name == "study":
        return import_module(".study", __name__)
    if name not in _HOMES:
        raise AttributeError(f"module 'gpu_thermo' has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
