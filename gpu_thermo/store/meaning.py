"""Units and meaning of every variable of a store, as attributes `units` and `long_name`.

What the store itself lays out is named here; statistics, data and averages come with their own words (Header.about). A
unit of "1" is a number without one; "nat" is of logarithms of densities and of entropies.
"""

from collections.abc import Mapping

from .schema import RUNGS, Schema

About = tuple[str, str]
"""Units and long name."""

COORDINATES: dict[str, About] = {
    "chain": ("1", "number of the chain: a replica, or the target rung of a ladder of replicas"),
    "replica": ("1", "number of the replica"),
    "ladder": ("1", "ladder that the replica belongs to"),
    "draw": ("1", "number of the draw"),
    "step": ("step", "steps done"),
    "weight": ("1", "weight of the draw within its ensemble, not normalised"),
    "ensemble": ("1", "ensemble: chains alike in data set and hyperparameters"),
    "dataset": ("1", "data set"),
    "seed": ("1", "seed of noise and minibatches"),
    "stream": ("1", "stream of random numbers"),
    "superchain": ("1", "chains that share a start"),
    "status": ("1", "0 while running, else why the chain froze"),
    "frozen_step": ("step", "step that the chain froze at, -1 while running"),
    "thin": ("step", "steps of the chain between two draws, where chains of different stepsizes keep one time"),
    "stepsize": ("1", "stepsize, or learning rate"),
    "partition": ("1", "partition of the parameters"),
    "output": ("1", "output of the network"),
    "feature": ("1", "input of the network"),
    "coordinate": ("1", "coordinate of the potential"),
    "probe": ("1", "input that predictions are stored at"),
    "point": ("1", "point of the data"),
    "label": ("1", "in what the ensemble differs from the others"),
}
BY_PARTITION: dict[str, str] = {
    "temperature": "temperature tau",
    "friction": "friction",
    "sigma": "amplitude of the noise",
    "epsilon": "coupling of the thermostat",
    "momentum": "momentum parameter",
    "thermostat": "initial thermostat variable xi",
}
OF_GROUPS: dict[str, About] = {
    "probes/predictions": ("1", "prediction at the probe: a probability, or an answer as the network gives it"),
    "log_likelihood/y": ("nat", "log likelihood of the training point, times its weight"),
    "constant_data/x_probe": ("1", "inputs of the group probes"),
}


def meaning(path: str, schema: Schema, about: Mapping[str, About]) -> About:
    """Units and long name of the array at a path of a store; ("", "") of what nobody named."""
    group, _, name = path.partition("/")
    own = group.removesuffix(RUNGS)
    if own in ("posterior", "momenta") and name in schema.tensors:
        return "1", f"{'parameter' if own == 'posterior' else 'momentum of parameter'} {name}"
    if f"{own}/{name}" in OF_GROUPS:
        return OF_GROUPS[f"{own}/{name}"]
    if name in about:
        return about[name]
    if name in COORDINATES:
        return COORDINATES[name]
    word, _, partition = name.partition("_")
    if name in (*schema.chain, *schema.ensembles) and word in BY_PARTITION:
        return "1", f"{BY_PARTITION[word]} of partition {partition}"
    axes = {dim for dims in schema.dims.values() for dim in dims}
    axes |= {dim for dims, _, _ in (*schema.constant.values(), *schema.predictive.values()) for dim in dims}
    return ("1", f"number along the axis {name}") if name in axes else ("", "")
