"""One of the many parameter vectors that are the same network: hidden units sorted, signs settled.

Units of a hidden layer may be exchanged, and those of an odd activation change sign with all their weights, without a
change of the network: a layer of d units has d! 2^d copies of each network, and the mean of a weight over chains that
are in different ones says nothing. Here each layer's units are put in the order of their biases, and where the
activation is odd each unit has a bias that is not negative (Mueller and Rios Insua, Neural Comput. 10, 1998; Sussmann,
Neural Networks 5, 1992, on there being no other copies of a tanh network). A layer's biases move with its own units
alone, so that layers are settled one by one.
"""

import numpy as np
import xarray as xr

from ..errors import SpecError, StoreError
from ..store.schema import RUNGS
from ..targets.own.check import PROBE
from .predictive import choices_of
from .trees import Run, names_damage, opened

FOLLOWING = ("posterior", "momenta")
Tensors = dict[str, np.ndarray]


@names_damage
def canonical(run: Run) -> xr.DataTree:
    """A run whose draws have their hidden units sorted by bias, layer by layer, and for odd activations (tanh, sine,
    identity) no negative bias.

    Every draw is the same network as before: predictions and energies are as they were, to the rounding of sums in
    another order. Summaries of weights (means, R-hat) then compare like units, where modes are well apart; function
    space needs none of it.

    Parameters
    ----------
    run : an opened run, or the path of its store. Its parameters must be kept; momenta follow them.

    Returns
    -------
    xarray.DataTree
        The run with posterior and momenta (of every rung, too) rearranged, these in memory.

    Raises
    ------
    StoreError
        Parameters are not kept.
    SpecError
        It samples a potential, or a network of the user's own, whose symmetries are not known.
    """
    tree = opened(run)
    model = choices_of(tree)
    if PROBE in tree["constant_data"]:
        raise SpecError("The run's network was given from Python: which of its units may change places is not known.")
    if "posterior" not in tree.children:
        raise StoreError('The run has no stored parameters to sort: sample it with keep = ["parameters"] in [run].')
    groups = {str(name): tree[name].to_dataset() for name in tree.children}
    for ending in ("", RUNGS):
        if f"posterior{ending}" not in groups:
            continue
        lead = "replica" if ending else "chain"
        leading = _tensors(groups[f"posterior{ending}"], tuple(model.layout.tensors), lead)
        moves = settle(leading, model.layers, model.activation_record.odd)
        for name in FOLLOWING:
            if (group := f"{name}{ending}") in groups:
                found = _tensors(groups[group], tuple(model.layout.tensors), lead)
                groups[group] = _with(groups[group], rearranged(found, moves), lead)
    out = xr.DataTree.from_dict(groups)
    out.attrs = dict(tree.attrs)
    return out


def settle(tensors: Tensors, layers: int, odd: bool) -> list[tuple[np.ndarray, np.ndarray]]:
    """Order [.., d] and sign [.., d] of the units of each hidden layer, from tensors w1, b1, ... [.., units, fan]."""
    moves = []
    for l in range(1, layers + 1):
        bias, first = tensors[f"b{l}"], tensors[f"w{l}"][..., 0]
        lead = np.where(bias != 0, bias, first)
        sign = np.where(odd & (lead < 0), -1, 1).astype(bias.dtype)
        moves.append((np.lexsort((first * sign, bias * sign), axis=-1), sign))
    return moves


def rearranged(tensors: Tensors, moves: list[tuple[np.ndarray, np.ndarray]]) -> Tensors:
    """Tensors with each layer's units in their order and sign: rows of its own, columns of the next one's."""
    out = dict(tensors)
    for l, (order, sign) in enumerate(moves, 1):
        out[f"b{l}"] = np.take_along_axis(out[f"b{l}"] * sign, order, -1)
        out[f"w{l}"] = np.take_along_axis(out[f"w{l}"] * sign[..., None], order[..., None], -2)
        out[f"w{l + 1}"] = np.take_along_axis(out[f"w{l + 1}"] * sign[..., None, :], order[..., None, :], -1)
    return out


def _tensors(group: xr.Dataset, names: tuple[str, ...], lead: str) -> Tensors:
    return {name: group[name].transpose(lead, "draw", ...).to_numpy() for name in names}


def _with(group: xr.Dataset, tensors: Tensors, lead: str) -> xr.Dataset:
    """The group with other values of its tensors."""
    new = {n: (group[n].transpose(lead, "draw", ...).dims, v, group[n].attrs) for n, v in tensors.items()}
    return group.assign(new).assign_attrs(canonical="hidden units sorted by bias, signs settled where the law allows")
