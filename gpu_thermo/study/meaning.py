"""Units and meaning of every variable of a study, as attributes `units` and `long_name`, as stores of runs have them
(store/meaning.py); a unit of "1" is a number, or a name, without one.
"""

from ..spec.keys import keys_of
from ..spec.run import RunSection
from ..store.meaning import BY_PARTITION, COORDINATES, About
from .cells import SECTIONS

PRIOR_SD = "prior_sd_"
"""What coordinates of scales that the data chose begin with."""
OWN: dict[str, About] = {
    "cell": ("1", "number of the cell"),
    "label": ("1", "the cell's label"),
    "seed_index": ("1", "number of the seed: equal ones pair across cells"),
    "data_seed": ("1", "seed of the data set, or of its split"),
    "init_seed": ("1", "stream of the start"),
    "dynamics_seed": ("1", "stream of noise and minibatches"),
    "build": ("1", "which of the attribute builds made the run, -1 of one that is not done"),
    "status": ("1", "0 done, -1 not yet, else why the run failed"),
    "frozen_step": ("step", "step that the run stopped at, -1 of one that did not"),
    "step": ("step", "steps done, of learning curves"),
    "block": ("step", "steps of a proposal"),
    "seconds": ("s", "wall time of the run: its share of its shard's"),
    "accuracy": ("1", "test accuracy"),
    "rmse": ("1", "root mean square test error"),
    "nll": ("nat", "mean negative log likelihood of the test set"),
    "loss": ("nat", "mean loss of the training set, prior included"),
    "energy": ("1", "energy U"),
    "brier": ("1", "Brier score of the averaged prediction"),
    "ece": ("1", "expected calibration error of the averaged prediction"),
    "coverage_50": ("1", "test points within the central half of the predictive law"),
    "coverage_90": ("1", "test points within the central 90 % of the predictive law"),
    "miscalibration": ("1", "distance of the predictive law's quantiles from right ones"),
    "crps": ("1", "continuous ranked probability score, in the network's units"),
    "acceptance": ("1", "mean acceptance of steps, or of proposals"),
    "swap_acceptance": ("1", "acceptance of the worst pair of rungs"),
    "round_trips": ("1", "round trips between the target and the hottest rung"),
    "contour_outside": ("1", "share of the energies outside all bins"),
    "contour_clipped": ("1", "share of the gradient's multipliers that were clipped"),
    "autocorrelation": ("step", "integrated autocorrelation time of the slowest quantity"),
    "ess": ("1", "effective draws of the mean of the slowest quantity"),
    "ess_per_gradient": ("1", "effective draws for each gradient after the burn-in"),
    "ess_per_second": ("1/s", "effective draws for each second after the burn-in"),
    "weight_ess": ("1", "draws that weights leave, (sum w)^2 / sum w^2"),
    "log_weight": ("1", "logarithm of the draw's weight"),
    "steps_to_tolerance": ("step", "steps after which the tolerance was reached"),
    "gradients_to_tolerance": ("1", "gradients of all replicas until the tolerance was reached"),
    "seconds_to_tolerance": ("s", "time until the tolerance was reached"),
    "error": ("1", "largest standard error of an average, in posterior sd"),
    "bias": ("1", "bias of the stepsize, in posterior sd"),
    "trusted": ("1", "1 where the run's own verdict trusts its averages"),
    "burn_in_steps": ("step", "steps until burn-in had ended"),
    "draws": ("1", "draws of the run"),
}
_KINDS = {"mean": "mean of the last", "rms": "root mean square of the last", "max": "largest magnitude of the last"}


def meaning(name: str) -> dict[str, str]:
    """The attributes of a variable of a study."""
    units, long_name = _about(name)
    return {"units": units, "long_name": long_name}


def _about(name: str) -> About:
    if name in OWN:
        return OWN[name]
    if name in COORDINATES:
        return COORDINATES[name]
    if name.partition(".")[0] in SECTIONS:
        unit = {key.name: key.unit for key in keys_of(RunSection)}.get(name.removeprefix("run."), "")
        return unit or "1", f"{name} of the cell's run"
    if name.startswith(PRIOR_SD):
        return "1", f"scale of the prior of layer {name.removeprefix(PRIOR_SD)}, as the data chose it"
    word, _, rest = name.partition("_")
    if word == "curve":
        units, long_name = _curve(rest)
        return units, f"{long_name}, along step"
    if word == "steps":
        return "step", f"first recorded step at a test accuracy of {name.rpartition('_')[2]} %"
    if word in BY_PARTITION:
        return "1", f"{BY_PARTITION[word]} of partition {rest}"
    if word in _KINDS:
        return "1", f"{_KINDS[word]} values of {rest}"
    if word == "average":
        units, long_name = OWN.get(rest, ("1", f"mean of coordinate {rest} over the draws"))
        return units, f"{long_name}, of the averaged prediction" if rest in OWN else long_name
    if word == "variance":
        return "1", f"variance of coordinate {rest} over the draws"
    return "1", f"parameter {rest} at the start" if word == "initial" else f"parameter {name}"


def _curve(rest: str) -> About:
    if rest.startswith("kinetic_temperature_"):
        return "1", f"kinetic temperature of partition {rest.removeprefix('kinetic_temperature_')}"
    if rest.startswith("rms_"):
        return "1", f"root mean square of {rest.removeprefix('rms_')}"
    return OWN.get(rest, ("1", rest))
