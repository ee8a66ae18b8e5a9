"""scikit-learn estimators: a table in, an answer with its uncertainty out, without knowing what samples it.

Reading order: inputs (X and y to a data set), base (fit, what all answers share), regressor, classifier, saved (one
file of a fitted estimator).
"""

from .classifier import BayesianMLPClassifier
from .regressor import BayesianMLPRegressor
from .saved import load

__all__ = ["BayesianMLPClassifier", "BayesianMLPRegressor", "load"]
