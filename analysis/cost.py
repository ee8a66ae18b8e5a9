"""What effective draws cost: integrated autocorrelation times, and effective draws per gradient and per second.

In function space: of predictions at the probe points (of a potential: its coordinates). tau_int = 1 + 2 sum of the
autocorrelations of one chain, in draws; `ess` is that of the mean over all chains (arviz-stats, Geyer's initial
sequences, Vehtari et al. 2021), so that tau_int = chains x draws / ess. A gradient is one evaluation for one replica,
of every rung of a ladder; steps of the burn-in are left out, of the time too.
"""

import math
from dataclasses import dataclass
from typing import Any

import xarray as xr

from gpu_thermo.spec.run import RunSpec
from gpu_thermo_analysis.convergence import MIN_DRAWS, Convergence


@dataclass(frozen=True)
class Cost:
    """What the effective draws of one ensemble cost; NaN where it is not known.

    Attributes
    ----------
    ess, median_ess : of the mean, of the worst and of the middle quantity. autocorrelation, median_autocorrelation :
    tau_int in steps. gradients, seconds : of the ensemble after the burn-in. ess_per_gradient, ess_per_second : of the
    worst quantity.
    """

    ess: float
    median_ess: float
    autocorrelation: float
    median_autocorrelation: float
    gradients: float
    seconds: float

    @property
    def ess_per_gradient(self) -> float:
        """Effective draws for each gradient of each replica."""
        return self.ess / self.gradients if self.gradients else math.nan

    @property
    def ess_per_second(self) -> float:
        """Effective draws for each second that the ensemble took."""
        return self.ess / self.seconds if self.seconds else math.nan

    def to_dict(self) -> dict[str, float]:
        """All numbers by name."""
        return {**vars(self), "ess_per_gradient": self.ess_per_gradient, "ess_per_second": self.ess_per_second}


def cost(
    tree: xr.DataTree, spec: RunSpec, found: Convergence | None, chains: int, thin: float | None = None
) -> dict[str, float]:
    """What the draws of an ensemble of `chains` of a run cost, `thin` of its own steps apart (the run's unless given);
    {} where its autocorrelations are not known, or the run tuned itself, whose steps before the draws were of another
    kind.
    """
    stats = tree["sample_stats"]
    known = found is not None and found.draws >= MIN_DRAWS and not math.isnan(found.ess_mean)
    if found is None or not known or "step" not in stats.coords or spec.run.tolerance is not None:
        return {}
    steps = int(stats["step"].to_numpy()[-1])
    sampling = steps - spec.run.burn_in
    own = 1.0 if thin is None else thin / spec.run.thin
    thin = sampling * own / stats.sizes["draw"]
    every = (
        tree["sample_stats_rungs"].sizes["replica"] if "sample_stats_rungs" in tree.children else stats.sizes["chain"]
    )
    share = chains / stats.sizes["chain"]
    used = chains / found.chains  # of many chains some are looked at
    total = found.chains * found.draws
    gradients = float(tree.attrs.get("gradients_per_step", math.nan)) * sampling * own * every * share
    seconds = float(stats.attrs.get("sampling_time", math.nan)) * share * sampling / steps
    times = (total / found.ess_mean * thin, total / found.ess_mean_median * thin)
    return Cost(found.ess_mean * used, found.ess_mean_median * used, *times, gradients, seconds).to_dict()


def lines(cost: dict[str, Any]) -> str:
    """A sentence on it."""
    if not cost:
        return ""
    rate = (
        f", {cost['ess_per_gradient'] * 1e6:.3g} effective draws a million gradients" if cost["gradients"] > 0 else ""
    )
    time = f", {cost['ess_per_second']:.3g} a second" if cost["seconds"] > 0 else ""
    return f"Autocorrelation time {cost['autocorrelation']:.3g} steps at the worst{rate}{time}."
