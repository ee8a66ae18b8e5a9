"""What is asked of a user's own network before it runs, and the probe by which a later one is recognised."""

from typing import Any

import numpy as np

from ...errors import GpuThermoError, RunError, SpecError
from .base import OwnNetwork, in_words

PROBE = "network_probe"
"""Its name among the constants of a store."""
REPLICAS, POINTS = 3, 6
SCALES = (0.5, 0.1, 0.01, 0.0)
"""Of the probe's parameters: the first at which all outputs are finite."""
STEP, SLACK = 1e-6, 1e-5
"""Of central differences, and how far a slope may be off, relative to the steepest, in float64."""
CLOSE = {"float32": 1e-3, "float64": 1e-7}
"""Relative difference at which two evaluations of the probe are called the same: other builds and threads round
otherwise."""


def check_network(network: OwnNetwork, inputs: int, outputs: int, what: str, dtype: Any) -> np.ndarray:
    """Ask a network for what a run relies on, and evaluate its probe.

    Parameters
    ----------
    inputs : features m. outputs : what the likelihood wants. what : the likelihood, in words. dtype : of the run.

    Returns
    -------
    np.ndarray
        [REPLICAS, POINTS, n] float64, outputs at fixed parameters and inputs.

    Raises
    ------
    SpecError
        It cannot be evaluated, is random, mixes points or replicas, has the wrong number of outputs, or a gradient
        that is not the slope of its outputs.
    """
    kind = np.dtype(dtype)
    if why := network.obstacle(kind):
        raise SpecError(f'model.dtype = "{kind}", and {why}.')
    x = np.random.default_rng(1).normal(size=(REPLICAS, POINTS, inputs)).astype(kind)
    position, out = _probe(network, x[0])
    if out.shape[2] != outputs:
        raise SpecError(
            f"The network has {out.shape[2]} outputs, and {what} wants {outputs}: return [points, {outputs}]."
        )
    again = _outputs(network, position, x[0])
    if not np.array_equal(out, again, equal_nan=True):
        raise SpecError(
            "The network gives other outputs when asked again: it draws random numbers or keeps a state (dropout,"
            " batch normalisation). Put it into the mode it is used in: module.eval()."
        )
    tight = CLOSE[kind.name]
    each = _outputs(network, position, x)
    own = np.stack([_outputs(network, position[r : r + 1], x[r])[0] for r in range(REPLICAS)])
    if not _close(each, own, tight):
        raise SpecError("The network's outputs of a replica depend on the other replicas: axis 0 must not be mixed.")
    alone = np.concatenate([_outputs(network, position, x[0, i : i + 1]) for i in range(POINTS)], axis=1)
    if not _close(out, alone, tight):
        raise SpecError(
            "The network's output at a point depends on the other points of the batch (batch normalisation in training"
            " mode?): points must be independent of one another."
        )
    _check_slope(network, position, x[0])
    return out.astype(np.float64)


def check_same(found: np.ndarray, stored: np.ndarray, dtype: Any) -> None:
    """SpecError unless two evaluations of the probe agree to the precision of the run."""
    if found.shape != stored.shape or not _close(found, stored, CLOSE[np.dtype(dtype).name]):
        off = float(np.nanmax(abs(found - stored))) if found.shape == stored.shape else float("nan")
        raise SpecError(
            f"The network is not the one this run was started with: at the probe its outputs differ by up to {off:.3g}."
            " Give the same function, constants and mode."
        )


def _probe(network: OwnNetwork, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fixed parameters at which outputs are finite, and those outputs."""
    noise = np.random.default_rng(0).normal(size=(REPLICAS, network.size))
    for scale in SCALES:
        position = (scale * noise).astype(x.dtype)
        out = _outputs(network, position, x)
        if np.isfinite(out).all():
            return position, out
    raise SpecError("The network's outputs are not finite even at parameters 0: mend the function.")


def _outputs(network: OwnNetwork, position: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Outputs [R, B, n]; SpecError in place of what the user's function raises."""
    try:
        out = network.outputs(position, x)
    except GpuThermoError as error:
        raise SpecError(str(error)) from error
    except Exception as error:  # whatever a user's function raises
        raise SpecError(
            f"The network cannot be evaluated at {x.shape[-2]} points of {x.shape[-1]} features ({in_words(error)})."
            f"{_hint(error)}"
        ) from error
    if out.dtype != x.dtype or out.ndim != 3:
        raise SpecError(
            f"The network's outputs are {out.dtype} of shape {out.shape}, for inputs in {x.dtype}: compute in the"
            " inputs' precision, constants included (x.dtype)."
        )
    return out


def _hint(error: Exception) -> str:
    text = str(error).lower()
    if any(word in text for word in ("random", "inplace", "in-place", "in place")):
        return " Dropout or batch normalisation in training mode? Use module.eval()."
    return ""


def _check_slope(network: OwnNetwork, position: np.ndarray, x: np.ndarray) -> None:
    """A directional derivative of a weighted sum of outputs against the pull-back, in float64 where that can be."""
    wide = not network.obstacle(np.dtype(np.float64))
    kind, step, slack = (np.dtype(np.float64), STEP, SLACK) if wide else (position.dtype, 1e-2, 5e-2)
    q, points, rng = position.astype(kind), x.astype(kind), np.random.default_rng(2)
    weight = rng.normal(size=_outputs(network, q, points).shape).astype(kind)
    along = rng.normal(size=q.shape).astype(kind)
    try:
        gradient = network.outputs_and_pull(q, points)[1](weight)
    except RunError as error:
        raise SpecError(str(error)) from error
    except Exception as error:  # whatever a user's function raises
        raise SpecError(f"The network cannot be differentiated ({in_words(error)}).{_hint(error)}") from error
    if gradient.shape != q.shape:
        raise SpecError(f"The network's gradient has shape {gradient.shape} for parameters of {q.shape}.")
    shift = (step * along).astype(kind)
    value = [(weight * _outputs(network, q + s * shift, points)).sum(axis=(1, 2)) for s in (1, -1)]
    slope, given = (value[0] - value[1]) / (2 * step), (gradient * along).sum(axis=1)
    size = np.sqrt((gradient**2).sum(axis=1) * (along**2).sum(axis=1))
    wrong = ~(abs(slope - given) <= slack * np.maximum(size, abs(slope)) + 1e-8)
    if wrong.any():
        r = int(wrong.argmax())
        raise SpecError(
            f"The network's gradient is not the slope of its outputs: along a random direction it is {given[r]:.6g},"
            f" and the outputs change by {slope[r]:.6g}. Mend the vjp."
        )


def _close(one: np.ndarray, other: np.ndarray, tight: float) -> bool:
    size = np.nanmax(abs(other)) if np.isfinite(other).any() else 1.0
    return bool(np.allclose(one, other, rtol=tight, atol=tight * max(float(size), 1e-30), equal_nan=True))
