"""What the estimators and `gpu-thermo fit` choose where nothing is said: one record of model, method and length of run,
from what the data are and a short look at them. Chosen by `bench.defaults` on generated sets, none of which is scored
elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..data import Dataset
from ..errors import DataError

AUTO = "auto"
MANY = 300
"""Rows from which on the noise of numbers may depend on x, and more layers than one may be worth it."""
ROWS_PER_INPUT = 20
"""With fewer one layer is enough: several find ways to fit these rows by their many inputs that hold for no others."""
WORTH = 0.05
"""Nats a row that more layers have to gain in a look: an error smaller by a twentieth."""
SECONDS = 20.0
"""How long a fit may take two cores."""
GRADIENTS = (3_000, 60_000)
"""Fewest and most gradients of a replica, whatever the work, where no time is asked for."""
MOST_GRADIENTS = 2_000_000
"""Where a time is asked for."""
TOLERANCE = 0.1
"""Standard error of the worst average in posterior sd: .005 of a nat a row at most where all doubt is epistemic."""


@dataclass(frozen=True)
class Size:
    """A network, and how it is sampled (docs/tuning.md, *Large tables*).

    Attributes
    ----------
    rows : to learn from; from so many on it is taken without a look. hidden : widths of the layers. replicas : R.
    path, mass : how the run goes about it (`run.path`), and its masses; None where the path finds them.
    batch : the smallest minibatch, in points; 0 where every step takes all. steps : steps that the budget should have,
    and what is more goes into larger minibatches, as they are less noisy.
    rate : parameters x points x rows of the state x gradients that two idle cores do in a second. beside : rows of the
    state for each replica, the group at half the stepsize with its share of the steps.
    """

    rows: int
    hidden: tuple[int, ...]
    replicas: int
    path: str
    mass: str | None
    batch: int
    steps: int
    rate: float
    beside: float

    def gradients(self, points: int, parameters: int, replicas: int, seconds: float) -> float:
        """Of a replica at so many points in so many seconds."""
        return self.rate * seconds / max(points * parameters * replicas * self.beside, 1)

    def minibatch(self, points: int, parameters: int, replicas: int, seconds: float) -> int:
        """Points of a step: the smallest, doubled while `steps` are left; all where that is more than half."""
        size = self.batch or points
        while 2 * size <= points and self.gradients(2 * size, parameters, replicas, seconds) >= self.steps:
            size *= 2
        return points if 2 * size > points else size


SIZES = (
    Size(0, (16,), 48, "ordinary", "prior", 0, 0, 1e10, 1.0),
    Size(2_000, (16, 16, 16, 16), 32, "falling", None, 256, 16_000, 1.8e10, 1.3),
)
"""Of one layer, and of several. Small tables go the ordinary way: where burn-in does not end the falling way predicts
worse on the sets of `bench.defaults` (`wave`: .17 in place of .10 nats a row). Of large ones the budget pays for too
few gradients of all rows to burn in at all. From MANY rows on, until there are so many, a look decides."""
MOST_INPUTS = 2_000
"""Inputs beyond which a network of units that see all of them is no sensible model of a table."""


def size_of(data: Dataset, hidden: Any = AUTO, seed: int = 0) -> Size:
    """The record for these data, and for the layers that the user says; `seed` is that of a look."""
    one, several = SIZES
    if data.points >= several.rows:
        return several
    if data.points < max(MANY, ROWS_PER_INPUT * data.inputs):
        return one
    if isinstance(hidden, str):
        from .look import gain  # its imports take longer than a small table

        return several if gain(data, one.hidden, several.hidden, seed) > WORTH else one
    return several if len(layers(hidden, one)) > 1 else one


def layers(hidden: Any, size: Size) -> list[int]:
    """Widths of the hidden layers from what the user says."""
    if isinstance(hidden, str):
        return list(size.hidden)
    return [int(d) for d in (hidden if isinstance(hidden, Sequence) or hasattr(hidden, "__len__") else [hidden])]


def likelihood(given: str, data: Dataset) -> str | None:
    """The likelihood: that of the task for classes, else by the number of rows."""
    if given != AUTO:
        return given
    if data.classes:
        return None
    return "heteroscedastic" if data.points >= MANY and data.target_transform is None else "gaussian"


def length(
    data: Dataset, size: Size, parameters: int, replicas: int, seconds: float | None = None, given: Any = AUTO
) -> dict[str, Any]:
    """[run] of how long and by which points: most gradients of a replica are what two cores do in SECONDS, within
    GRADIENTS, or in so many seconds, or as many as are `given`; minibatches where the record has them.
    """
    fewest, most = GRADIENTS if seconds is None else (GRADIENTS[0], MOST_GRADIENTS)
    time = SECONDS if seconds is None else seconds
    batch = size.minibatch(data.points, parameters, replicas, time)
    paid = size.gradients(batch, parameters, replicas, time)
    steps = int(min(max(paid, fewest), most)) // 100 * 100 if given == AUTO else given
    found: dict[str, Any] = {"max_steps": steps, "max_time": seconds}
    return found if batch == data.points else found | {"minibatch": "epoch", "batch": batch}


def sections(
    data: Dataset, *, hidden: Any = AUTO, activation: str = "silu", likelihood_name: str = AUTO, prior: str = "normal",
    prior_sd: Any = AUTO, tolerance: float = TOLERANCE, replicas: Any = AUTO, max_gradients: Any = AUTO,
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
    size = size_of(data, hidden, seed)
    widths, replicas = layers(hidden, size), size.replicas if replicas == AUTO else replicas
    model = {
        "hidden": widths, "activation": activation, "prior": prior, "prior_sd": prior_sd, "init": "prior",
        "likelihood": likelihood(likelihood_name, data),
    }  # fmt: skip
    fans = (data.inputs, *widths)
    parameters = sum((fan + 1) * width for fan, width in zip(fans, (*widths, data.outputs), strict=True))
    run = {
        "replicas": replicas, "seed": seed, "tolerance": tolerance, "keep": ["parameters"], "path": size.path,
        **length(data, size, parameters, replicas, max_seconds, max_gradients),
    }  # fmt: skip
    drop = lambda section: {key: value for key, value in section.items() if value is not None}  # noqa: E731
    return {
        "model": drop(model),
        "method": drop({"name": "langevin", "mass": size.mass, "posterior_temperature": 1.0}),
        "run": drop(run),
    }
