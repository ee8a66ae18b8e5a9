"""The network that a spec and its data make together: the likelihood in force, its noise, its prior, weights of points.

What a spec leaves open is settled here, and said (`assumptions`).
"""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from ..data import Dataset
from ..errors import DataError, SpecError
from ..spec.model import LEARN
from ..spec.run import RunSpec
from ..targets import wide
from ..targets.likelihoods import LEARNED, LIKELIHOODS, Likelihood, get_likelihood, named
from ..targets.likelihoods.laws import NORMAL
from ..targets.likelihoods.values import ETA_BOUNDS
from ..targets.networks import OWN_TENSOR, MlpModel
from ..targets.priors import AUTO

DEFAULT_DOF = 4.0


def as_answered(spec: RunSpec, data: Any) -> Any:
    """Options of data for the likelihood: of its task, and with answers left as they are where they have units of their
    own, such as counts.
    """
    if spec.model.likelihood is None:
        return data
    likelihood = get_likelihood(spec.model.likelihood)
    update: dict[str, Any] = {}
    if getattr(data, "task", None) == "auto":
        update["task"] = likelihood.task
    if likelihood.answers is not None and getattr(data, "standardise", False):
        update["standardise"] = "features"
    return data.model_copy(update=update)


def make_model(spec: RunSpec, data: Dataset) -> MlpModel:
    """The network of a spec on its data.

    Raises
    ------
    SpecError, DataError
        Whatever of the model does not fit the data, named.
    """
    model = spec.model
    if model.task not in (None, data.task):
        raise SpecError(f"model.task = '{model.task}' does not fit {data.name}, which is {data.task}: leave task out.")
    likelihood = _likelihood(spec, data)
    weighted(spec, data)
    if data.target_transform is not None and (likelihood.values is None or likelihood.values.law is not NORMAL):
        raise SpecError(
            f'data.target_transform = "log" goes with gaussian and heteroscedastic noise, and the likelihood is'
            f" {likelihood.name}: means of its answers do not exist, or its answers are counts. Leave one of them out."
        )
    learned = learns(spec, likelihood)
    known = 1.0 if learned or model.noise_sd is None else float(model.noise_sd)
    return MlpModel(
        data.inputs, model.layers, likelihood.outputs(data.outputs),
        LEARNED[likelihood.name] if learned else model.likelihood or data.task, model.activation, model.scales,
        known, model.prior or "normal", dof=model.dof or DEFAULT_DOF,
        noise_centre=_centre(data) if learned else (),
        weighted=data.weight is not None or model.class_weight is not None,
    )  # fmt: skip


def with_scales(spec: RunSpec, data: Dataset) -> RunSpec:
    """The spec that says which scales prior_sd = "auto" chooses on its data; SpecError where it cannot."""
    model = spec.model
    if model.prior_sd != AUTO or model.prior_scales is not None:
        return spec
    if model.network is not None or data.count > 1:
        what = "a network of your own" if model.network is not None else f"{data.count} data sets at once"
        raise SpecError(
            f'model.prior_sd = "auto" asks one data set for the scales of our networks\' layers, and this is {what}:'
            " give a number, or one for each layer."
        )
    likelihood = _likelihood(spec, data)
    kind = wide.CLASSES if data.classes else wide.NUMBERS if likelihood.answers is None else wide.COUNTS
    if kind == wide.NUMBERS and likelihood.outputs(1) > 1:
        kind = wide.NOISY
    weight = weighted(spec, data).weight
    y, sd = data.y_train[0], None if data.classes else target_sds(data)
    if kind in (wide.NUMBERS, wide.NOISY):
        y = y / sd
    found = wide.choose(data.x_train[0], y, kind, model.layers, model.activation, None if weight is None else weight[0])
    scales = {name: float(f"{sd:.3g}") for name, sd in wide.by_layer(found[:2], data.inputs, model.layers).items()}
    return spec.model_copy(update={"model": model.model_copy(update={"prior_scales": scales})})


def learns(spec: RunSpec, likelihood: Likelihood) -> bool:
    """Whether the noise is a parameter: where there is one, and no number is given for it."""
    return likelihood.name in LEARNED and spec.model.noise_sd in (None, LEARN)


def target_sds(data: Dataset) -> np.ndarray:
    """[n] standard deviation of each target over the training points of all sets, in the units the network sees; 1 of
    standardised targets, and of a constant one.
    """
    if data.standardisation is not None and data.standardisation.target_sd is not None:
        return np.ones(len(data.targets))
    sd = np.sqrt(data.y_train.var(axis=1).mean(axis=0))
    return np.where(sd > 0, sd, 1.0)


def _centre(data: Dataset) -> tuple[float, ...]:
    """Mean of the prior of eta: half a target's sd."""
    return tuple(float(v) for v in math.log(0.5) + np.log(target_sds(data)))


def weighted(spec: RunSpec, data: Dataset) -> Dataset:
    """The data with the weights of classes, where the spec asks for them, times those of points; mean 1 in each set."""
    if spec.model.class_weight is None:
        return data
    if not data.classes:
        raise SpecError(f"model.class_weight is for classes, and {data.name} is {data.task}: leave it out.")
    weight = np.ones(data.y_train.shape) if data.weight is None else data.weight
    out = np.empty_like(weight)
    for d, y in enumerate(data.y_train):
        share = np.bincount(y, weights=weight[d], minlength=len(data.classes))
        out[d] = weight[d] / np.where(share > 0, share, 1.0)[y]
    return replace(data, weight=out / out.mean(axis=1, keepdims=True))


def assumptions(model: MlpModel, data: Dataset, chosen: bool = False) -> list[str]:
    """What the model takes for granted of answers and parameters, in words, with numbers in the targets' own units;
    `chosen` where the data chose the prior's scales.
    """
    return [
        f"{_of_answers(model, data)}{'; points weighted' if model.weighted else ''}",
        f"{_of_parameters(model)}{' (chosen by the data)' if chosen else ''}",
    ]


def _of_answers(model: MlpModel, data: Dataset) -> str:
    """The likelihood, and what is known of the noise."""
    likelihood, unit = model.likelihood, _units(data)
    if likelihood.values is None:
        return likelihood.name
    out = likelihood.name if likelihood.own is None else likelihood.own.of
    spread = "sd" if likelihood.values.law is NORMAL else "scale"
    if model.noises:
        out += f", noise {spread} learned: a priori within a factor e of"
        out += f" {_listed(np.exp(model.centre) * unit, data.targets)}"
    elif "noise_sd" in likelihood.settings:
        out += f", noise {spread} known: {_listed(model.noise_sd * unit, data.targets)}"
    elif likelihood.values.law is NORMAL:  # of the network's outputs, bent into these bounds
        low, high = (_listed(math.exp(eta) * unit, data.targets) for eta in ETA_BOUNDS)
        out += f", noise sd an output of the network, between {low} and {high}"
    else:
        out += ", counts whose mean and variance are exp of the output"
    return out + (f"; {model.dof:g} degrees of freedom" if "dof" in likelihood.settings else "")


def _of_parameters(model: MlpModel) -> str:
    """The prior and its scales, by tensor where they differ."""
    if model.prior_record is None:
        return "no prior of the network's parameters"
    of: dict[str, list[str]] = {}
    tensors = [name for name in model.layout.tensors if name != OWN_TENSOR]
    for tensor, scale in zip(tensors, model.prior_scales, strict=True):
        of.setdefault(f"{scale:.3g}", []).append(tensor)
    one = len(of) == 1
    scales = [scale if one else f"{scale} ({', '.join(names)})" for scale, names in of.items()]
    return f"prior {model.prior_record.name}, scale {', '.join(scales[:6])}{' and others' if len(scales) > 6 else ''}"


def _units(data: Dataset) -> np.ndarray:
    """[n] what one unit of the network's targets is in their own; of several sets the mean."""
    s = data.standardisation
    return np.ones(len(data.targets)) if s is None or s.target_sd is None else s.target_sd.mean(axis=0)


def _listed(values: np.ndarray, names: tuple[str, ...]) -> str:
    """At most four numbers with the names they belong to."""
    shown = [f"{value:.3g} ({name})" for value, name in zip(values, names, strict=True)]
    return ", ".join(shown[:4]) + (f" and {len(shown) - 4} more" if len(shown) > 4 else "")


def _likelihood(spec: RunSpec, data: Dataset) -> Likelihood:
    """The likelihood in force; SpecError or DataError where the data, or its settings, do not fit it."""
    likelihood = get_likelihood(spec.model.likelihood or data.task)
    if likelihood.task != data.task:
        fitting = ", ".join(name for name in named() if LIKELIHOODS[name].task == data.task)
        raise SpecError(
            f"model.likelihood = '{likelihood.name}' is for {likelihood.task}, and {data.name} is {data.task}: use"
            f" {fitting}, or leave it out."
        )
    for key in ("noise_sd", "dof"):
        given = getattr(spec.model, key)
        if given is not None and key not in likelihood.settings:
            fitting = " and ".join(name for name in named() if key in LIKELIHOODS[name].settings)
            raise SpecError(
                f"model.{key} = {given} is for {fitting}; the likelihood of {data.name} is {likelihood.name}: leave it"
                " out."
            )
    if likelihood.answers is not None:
        _refuse_impossible(likelihood, data)
    return likelihood


def _refuse_impossible(likelihood: Likelihood, data: Dataset) -> None:
    """DataError that names the first answer which this likelihood cannot give."""
    assert likelihood.answers is not None
    for part, y in (("train", data.y_train), ("test", data.y_test)):
        bad = np.argwhere(~likelihood.answers.possible(y))
        if len(bad):
            d, i, k = bad[0]
            raise DataError(
                f"y_{part} of {data.name} has the value {y[d, i, k]:g} in '{data.targets[k]}' (set {d}, point {i};"
                f" {len(bad)} such values); likelihood = '{likelihood.name}' answers with {likelihood.answers.wanted}."
                " Correct the data, or choose another likelihood."
            )
