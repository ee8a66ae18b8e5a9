"""What the estimators and `gpu-thermo fit` choose where nothing is said: one record of model, method and length of run,
from what the data are. Chosen by `bench.defaults` on generated sets, none of which is scored elsewhere.
"""

from collections.abc import Sequence
from typing import Any

from ..data import Dataset
from ..errors import DataError

AUTO = "auto"
UNITS = 16
"""Hidden units of the one layer."""
REPLICAS = 48
MANY = 300
"""Rows from which on the noise of numbers may depend on x."""
RATE, SECONDS = 1e10, 20.0
"""Parameters x rows x replicas x gradients that two cores do in a second, and how long a fit may take them."""
GRADIENTS = (3_000, 60_000)
"""Fewest and most gradients of a replica, whatever the work, where no time is asked for."""
MOST_GRADIENTS = 2_000_000
"""Where a time is asked for."""
TOLERANCE = 0.1
"""Standard error of the worst average in posterior sd: .005 of a nat a row at most where all doubt is epistemic."""
PATH = "ordinary"
"""How a run goes about it: where burn-in does not end the falling way predicts worse on the sets of `bench.defaults`
(`wave`: .17 in place of .10 nats a row), and neither may be trusted."""
MOST_INPUTS = 2_000
"""Inputs beyond which a network of units that see all of them is no sensible model of a table."""


def layers(hidden: Any) -> list[int]:
    """Widths of the hidden layers from what the user says."""
    if isinstance(hidden, str):
        return [UNITS]
    return [int(d) for d in (hidden if isinstance(hidden, Sequence) or hasattr(hidden, "__len__") else [hidden])]


def likelihood(given: str, data: Dataset) -> str | None:
    """The likelihood: that of the task for classes, else by the number of rows."""
    if given != AUTO:
        return given
    if data.classes:
        return None
    return "heteroscedastic" if data.points >= MANY and data.target_transform is None else "gaussian"


def gradients(data: Dataset, parameters: int, replicas: int, seconds: float | None = None) -> int:
    """Most gradients of a replica: what two cores do in SECONDS, within GRADIENTS; or in so many seconds."""
    fewest, most = GRADIENTS
    if seconds is not None:
        most = MOST_GRADIENTS
    work = RATE * (SECONDS if seconds is None else seconds)
    return int(min(max(work / max(data.points * parameters * replicas, 1), fewest), most)) // 100 * 100


def sections(
    data: Dataset, *, hidden: Any = AUTO, activation: str = "silu", likelihood_name: str = AUTO, prior: str = "normal",
    prior_sd: Any = AUTO, tolerance: float = TOLERANCE, replicas: int = REPLICAS, max_gradients: Any = AUTO,
    max_seconds: float | None = None, seed: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """The sections [model], [method] and [run] of a spec for these data; parameters as of BayesianMLPRegressor.

    Raises
    ------
    DataError
        More inputs than MOST_INPUTS.
    """
    if data.inputs > MOST_INPUTS:
        raise DataError(
            f"The data have {data.inputs:,} inputs, and at most {MOST_INPUTS:,} are taken: choose columns, or sum them"
            " up first (sklearn.decomposition.PCA)."
        )
    widths = layers(hidden)
    model = {
        "hidden": widths, "activation": activation, "prior": prior, "prior_sd": prior_sd, "init": "prior",
        "likelihood": likelihood(likelihood_name, data),
    }  # fmt: skip
    if max_gradients == AUTO:
        fans = (data.inputs, *widths)
        size = sum((fan + 1) * width for fan, width in zip(fans, (*widths, data.outputs), strict=True))
        max_gradients = gradients(data, size, replicas, max_seconds)
    run = {
        "replicas": replicas, "seed": seed, "tolerance": tolerance, "max_steps": max_gradients, "max_time": max_seconds,
        "keep": ["parameters"], "path": PATH,
    }  # fmt: skip
    drop = lambda section: {key: value for key, value in section.items() if value is not None}  # noqa: E731
    return {
        "model": drop(model),
        "method": {"name": "langevin", "mass": "prior", "posterior_temperature": 1.0},
        "run": drop(run),
    }
