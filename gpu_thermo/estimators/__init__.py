"""scikit-learn estimators: a table in, an answer with its uncertainty out, without knowing what samples it.

Reading order: defaults (what is chosen where nothing is said), inputs (X and y to a data set), base (fit, what all
answers share), saved (one file of a fitted estimator), regressor, classifier, loaded (that file read), runs (the
estimator of a run), table (a file and its target, made ready for `gpu-thermo fit`).
"""

from .classifier import BayesianMLPClassifier
from .loaded import load
from .regressor import BayesianMLPRegressor
from .runs import from_run

__all__ = ["BayesianMLPClassifier", "BayesianMLPRegressor", "from_run", "load"]
