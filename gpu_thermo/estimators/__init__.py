"""scikit-learn estimators: a table in, an answer with its uncertainty out, without knowing what samples it.

Reading order: inputs (X and y to a data set), base (fit, what all answers share), saved (one file
of a fitted estimator), regressor, classifier, loaded (that file read).
"""

from .classifier import BayesianMLPClassifier
from .loaded import load
from .regressor import BayesianMLPRegressor

__all__ = ["BayesianMLPClassifier", "BayesianMLPRegressor", "load"]
