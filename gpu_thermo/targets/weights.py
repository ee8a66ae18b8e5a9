"""Weights of networks that other libraries trained, as tensors by our names: w1, b1, w2, b2, ... of any depth.

Layer l has w_l [units, inputs] and b_l [units]; the last one is the output's. Nothing here imports the libraries.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ..errors import SpecError
from .activations import ACTIVATIONS


def weights_from_sklearn(model: Any) -> dict[str, np.ndarray]:
    """Tensors of a fitted MLPClassifier or MLPRegressor, or of a list of them, stacked with one for each replica.

    The network has to be told the same activation, hidden sizes and precision, and the data the same scaling: a model
    that was fitted on numbers as they are wants [data] standardise = false.

    Raises
    ------
    SpecError
        It is no fitted MLP, or its activation is none of ours.
    """
    if isinstance(model, list | tuple):
        return _stacked([weights_from_sklearn(one) for one in model])
    weights, biases = getattr(model, "coefs_", None), getattr(model, "intercepts_", None)
    if not isinstance(weights, list) or not isinstance(biases, list):
        raise SpecError(
            f"{type(model).__name__} is no fitted MLPClassifier or MLPRegressor of scikit-learn: fit it first, and of a"
            " Pipeline give the step itself."
        )
    if len(weights) > 1 and model.activation not in ACTIVATIONS:
        raise SpecError(
            f"The model's activation '{model.activation}' is none of ours ({', '.join(ACTIVATIONS)}): fit it with one"
            " of them."
        )
    return _named([(np.asarray(w).T, np.asarray(b)) for w, b in zip(weights, biases, strict=True)])


def weights_from_torch(model: Any) -> dict[str, np.ndarray]:
    """Tensors of a PyTorch Sequential of Linear layers, or of a list of them, stacked with one for each replica.

    What stands between the layers is not looked at, as long as it has no parameters: give the same activation in
    [model]. A layer without bias gets the bias 0.

    Raises
    ------
    SpecError
        The module has parameters outside Linear layers, or layers that do not follow one another.
    """
    if isinstance(model, list | tuple):
        return _stacked([weights_from_torch(one) for one in model])
    if not hasattr(model, "named_modules"):
        raise SpecError(f"{type(model).__name__} is no module of PyTorch: give a Sequential of Linear layers.")
    layers = []
    for name, part in _leaves(model):
        if type(part).__name__ == "Linear":
            weight = part.weight.detach().cpu().numpy()
            bias = np.zeros(len(weight), weight.dtype) if part.bias is None else part.bias.detach().cpu().numpy()
            layers.append((weight.copy(), bias.copy()))
        elif any(True for _ in part.parameters(recurse=False)):
            raise SpecError(
                f"The module's part '{name}' ({type(part).__name__}) has parameters and is no Linear layer. Give the"
                " whole module as your own network: sample(spec, network=module)."
            )
    if not layers:
        raise SpecError("The module has no Linear layer.")
    for (before, _), (after, _) in pairwise(layers):
        if after.shape[1] != before.shape[0]:
            raise SpecError(
                f"A layer of {before.shape[0]} units is followed by one of {after.shape[1]} inputs: the layers are no"
                " plain sequence. Give the whole module as your own network: sample(spec, network=module)."
            )
    return _named(layers)


def _leaves(model: Any) -> Iterator[tuple[str, Any]]:
    """Modules without children or with parameters of their own, in order."""
    for name, part in model.named_modules():
        if not any(True for _ in part.children()) or any(True for _ in part.parameters(recurse=False)):
            yield name, part


def _named(layers: Sequence[tuple[np.ndarray, np.ndarray]]) -> dict[str, np.ndarray]:
    return {
        f"{letter}{i}": values for i, pair in enumerate(layers, 1) for letter, values in zip("wb", pair, strict=True)
    }


def _stacked(models: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """One for each replica: [R, ...]."""
    shapes = [{name: value.shape for name, value in one.items()} for one in models]
    if not models or any(other != shapes[0] for other in shapes):
        raise SpecError("The models have different sizes, or there is none: one for each replica needs equal ones.")
    return {name: np.stack([one[name] for one in models]) for name in models[0]}
