"""scikit-learn estimators: a table in, an answer with its uncertainty out, without knowing what samples it.

Reading order: defaults (what is chosen where nothing is said), inputs (X and y to a data set), base (fit, what all
answers share), saved (one file of a fitted estimator), regressor, classifier, loaded (that file read), runs (the
estimator of a run), table (a file and its target, made ready for `gpu-thermo fit`), words (a verdict without physics).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .classifier import BayesianMLPClassifier
    from .loaded import load
    from .regressor import BayesianMLPRegressor
    from .runs import from_run

_HOMES = {
    "BayesianMLPClassifier": "classifier", "BayesianMLPRegressor": "regressor", "from_run": "runs", "load": "loaded"
}  # fmt: skip
__all__ = ["BayesianMLPClassifier", "BayesianMLPRegressor", "from_run", "load"]


def __getattr__(name: str) -> Any:
    """Load a public name from its module: who makes a table ready for `gpu-thermo fit` needs no scikit-learn yet."""
    if name not in _HOMES:
        raise AttributeError(f"module 'gpu_thermo.estimators' has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
