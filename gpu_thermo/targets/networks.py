"""Perceptrons with one or more hidden layers: forward, backward, prior, initial states (equations.md sections 1, 8 and
12).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..data.tasks import TASKS
from ..errors import SpecError
from ..streams import Keys, Purpose, normals, uniforms
from .activations import ACTIVATIONS, Activation, get_activation
from .base import Layout
from .likelihoods import Likelihood, get_likelihood
from .priors import Prior, Scale, get_prior, scale_of
from .records import Tail

__all__ = ["ACTIVATIONS", "INITS", "MOST_LAYERS", "TASKS", "MlpModel", "with_ones"]

Array = Any

OWN_LAYER, OWN_TENSOR = "likelihood", "log_noise"
"""Layer and tensor of the parameters of a likelihood itself."""
INITS = ("normal", "pytorch", "he", "zero", "prior")
MOST_LAYERS = 16
"""Hidden layers of the deepest network: each takes its own copy of a kernel's code."""


@dataclass(frozen=True)
class MlpModel:
    """Sizes and choices of a perceptron: a_l = act(W_l a_{l-1} + b_l) for the hidden layers l = 1..L, a_0 = x, and
    out = W_{L+1} a_L + b_{L+1}.

    Attributes
    ----------
    inputs, hidden, outputs : m, (d_1, .., d_L), n; one number is one layer. task : names the likelihood.
    prior_sd : scale of the prior of the network's parameters: a number, "fan_in", one of them by layer, or None for no
    prior. noise_centre : mean of the prior of the logarithm of a learned noise, target by target; log .5 without.
    weighted : whether points have weights. noise_sd : known noise sd of a
    regression target. prior : name of the prior. dof : degrees of freedom of student_t.

    Raises
    ------
    SpecError
        If there is no such activation, task or prior, or no network has such layers.
    """

    inputs: int
    hidden: tuple[int, ...]
    outputs: int
    task: str = "binary"
    activation: str = "relu"
    prior_sd: Scale = None
    noise_sd: float = 1.0
    prior: str = "normal"
    dof: float = 4.0
    noise_centre: tuple[float, ...] = ()
    weighted: bool = False

    library = ""

    @property
    def has_kernels(self) -> bool:
        """Whether kernels/ can write this network: all its records have C++ texts."""
        return None not in [r.code for r in (self.activation_record, self.likelihood, self.prior_record) if r]

    def __post_init__(self) -> None:
        """Refuse unknown names and impossible layers at once; a number of hidden units is one layer."""
        widths = (self.hidden,) if isinstance(self.hidden, int | np.integer) else self.hidden
        object.__setattr__(self, "hidden", tuple(int(d) for d in widths))
        get_activation(self.activation), get_likelihood(self.task), get_prior(self.prior)
        if not 1 <= len(self.hidden) <= MOST_LAYERS or min(self.hidden) < 1:
            raise SpecError(
                f"hidden = {list(self.hidden)} are no layers: give the units of each hidden layer, 1 or more, 1 to"
                f" {MOST_LAYERS} layers."
            )

    @property
    def activation_record(self) -> Activation:
        """What the hidden units do."""
        return get_activation(self.activation)

    @property
    def likelihood(self) -> Likelihood:
        """How outputs answer the task."""
        return get_likelihood(self.task)

    @property
    def prior_record(self) -> Prior | None:
        """The prior in force."""
        return None if self.prior_sd is None else get_prior(self.prior)

    @cached_property
    def constants(self) -> dict[str, float]:
        """Numbers of the likelihood by name."""
        return self.likelihood.constants(self.settings)

    @property
    def settings(self) -> dict[str, float]:
        """What the likelihood may read."""
        return {"noise_sd": self.noise_sd, "dof": self.dof}

    @property
    def targets(self) -> int:
        """Values of a point's answer."""
        return self.likelihood.targets(self.outputs)

    @cached_property
    def prior_scales(self) -> tuple[float, ...]:
        """Scale of the prior of each of the network's own tensors, in order; () without prior.

        Raises
        ------
        SpecError
            A layer is named that is none, or one is left out.
        """
        if self.prior_sd is None:
            return ()
        layout = self.layout
        names = [name for name in layout.layers if name != OWN_LAYER]
        given = self.prior_sd if isinstance(self.prior_sd, Mapping) else dict.fromkeys(names, self.prior_sd)
        of: dict[str, float | str] = {}
        for name, scale in sorted(given.items(), key=lambda item: item[0] in names):  # one layer before several
            held = (name,) if name in names else layout.groups.get(name, ())
            if not held:
                known = ", ".join(dict.fromkeys((*layout.groups, *names)))
                raise SpecError(f"prior_sd.{name}: there is no layer '{name}'. Layers: {known}.")
            of |= dict.fromkeys(held, scale)
        if missing := [name for name in names if name not in of]:
            raise SpecError(f"prior_sd has no scale for {', '.join(missing)}: give one for each layer.")
        where = {tensor: layer for layer in names for tensor in layout.layers[layer]}
        return tuple(self._scale(t, of[where[t]]) for t in layout.tensors if t in where)

    def _scale(self, tensor: str, given: float | str) -> float:
        """Scale of the prior of one of the network's own tensors."""
        fan = {name: fan for i, fan in enumerate(self.fans) for name in (f"w{i + 1}", f"b{i + 1}")}[tensor]
        return scale_of(given, fan, tensor.startswith("b"))

    def prior_constants(self, points: int) -> tuple[dict[str, float], ...]:
        """Numbers of the prior in force by name, for N training points: one set of them where all parameters share a
        scale, else one for each of the network's own tensors.
        """
        scales = self.prior_scales
        shared = scales[:1] if len(set(scales)) == 1 else scales
        return tuple(get_prior(self.prior).constants(scale, points) for scale in shared)

    def _spread_scales(self) -> Any:
        """The prior's scale, or one for each parameter of the network's own [P - own]."""
        scales = self.prior_scales
        if len(set(scales)) == 1:
            return scales[0]
        sizes = [size for name, size in self.layout.sizes.items() if name != OWN_TENSOR]
        return np.repeat(scales, sizes)

    @property
    def prior_spread(self) -> np.ndarray | None:
        """[P] scales of the prior, 1 of the likelihood's own parameters; None without prior."""
        if self.prior_sd is None:
            return None
        own = np.broadcast_to(self._spread_scales(), self.parameters - self.noises)
        return np.concatenate([own, np.ones(self.noises)])

    def prior_terms(self, points: int, xp: Any = np) -> dict[str, Any]:
        """Numbers of the prior by name: floats, or arrays over the network's own parameters."""
        c = get_prior(self.prior).constants(self._spread_scales(), points)
        return {name: xp.asarray(value) if isinstance(value, np.ndarray) else value for name, value in c.items()}

    @property
    def noises(self) -> int:
        """Parameters of the likelihood itself, the last ones."""
        return self.targets if self.likelihood.own is not None else 0

    @cached_property
    def centre(self) -> np.ndarray:
        """[own] where the prior of the likelihood's own parameters has its mean: log .5 target sds."""
        return np.asarray(self.noise_centre or self.noises * (math.log(0.5),), np.float64)

    def prior_energy(self, position: Array, points: int, xp: Any = np) -> Any:
        """The prior's part of U [R], computed in float64, or 0 without prior."""
        inner, energy = position.shape[-1] - self.noises, 0.0
        if self.prior_record is not None:
            scale = self._spread_scales()
            scale = xp.asarray(scale) if isinstance(scale, np.ndarray) else scale
            energy = self.prior_record.energy(position[..., :inner].astype(np.float64), scale, points)
        if self.noises:
            gap = position[..., inner:].astype(np.float64) - xp.asarray(self.centre)
            energy = energy + (gap * gap).sum(axis=-1) / (2 * points)
        return energy

    @property
    def layers(self) -> int:
        """L, the hidden layers."""
        return len(self.hidden)

    @property
    def fans(self) -> tuple[int, ...]:
        """Inputs of a unit of each layer, the output layer last: m, d_1, .., d_L."""
        return (self.inputs, *self.hidden)

    @cached_property
    def weight_fans(self) -> np.ndarray:
        """[P] inputs of the unit of each weight; 1 for biases and what the likelihood itself has."""
        sizes = list(self.layout.sizes.values())
        fans = [number for fan in self.fans for number in (fan, 1)]
        return np.repeat([*fans, *[1] * (len(sizes) - len(fans))], sizes)

    @property
    def tail(self) -> tuple[Tail, ...]:
        """What stands behind the units: the output layer's biases, then parameters of the likelihood itself, if any."""
        biases = Tail(f"b{self.layers + 1}", (self.outputs,), "output", ("output",))
        return (biases, Tail(OWN_TENSOR, (self.noises,), OWN_LAYER, ("output",))) if self.noises else (biases,)

    @property
    def parameters(self) -> int:
        """P, without laying them out."""
        weights = sum(units * fan for units, fan in zip((*self.hidden, self.outputs), self.fans, strict=True))
        return weights + sum(self.hidden) + sum(t.size for t in self.tail)

    @cached_property
    def layout(self) -> Layout:
        """w1, b1, .., w_{L+1}, then the tail, b_{L+1} first; lanes as in equations.md section 12."""
        tensors: dict[str, tuple[int, ...]] = {}
        dims: dict[str, tuple[str, ...]] = {}
        axes = ("feature", *self._names, "output")
        for i, (units, fan) in enumerate(zip((*self.hidden, self.outputs), self.fans, strict=True)):
            tensors |= {f"w{i + 1}": (units, fan), f"b{i + 1}": (units,)}
            dims |= {f"w{i + 1}": (axes[i + 1], axes[i]), f"b{i + 1}": (axes[i + 1],)}
        behind = {t.name for t in self.tail}
        layers: dict[str, tuple[str, ...]] = {
            name: tuple(t for t in (f"w{i}", f"b{i}") if t not in behind) for i, name in enumerate(axes[1:], 1)
        }
        for t in self.tail:
            tensors[t.name], dims[t.name] = t.shape, t.dims
            layers[t.partition] = (*layers.get(t.partition, ()), t.name)
        groups = {"hidden": self._names} if self.layers > 1 else {}
        groups |= {"output": ("output", OWN_LAYER)} if self.noises else {}
        return Layout(tensors, layers, self._lanes(), dims, groups)

    @property
    def _names(self) -> tuple[str, ...]:
        """Of the hidden layers."""
        return ("hidden",) if self.layers == 1 else tuple(f"hidden{l}" for l in range(1, self.layers + 1))

    def _lanes(self) -> np.ndarray:
        """[P] lanes: unit j of a hidden layer owns W_l[j, :], b_l[j], and in the last one the column W_{L+1}[:, j], all
        from a multiple of 4 on; the tail follows.
        """
        lanes: list[np.ndarray] = []
        start = 0
        for units, fan in zip(self.hidden, self.fans, strict=False):
            last = len(lanes) == 2 * (self.layers - 1)
            stride = 4 * -(-(fan + 1 + last * self.outputs) // 4)
            unit = start + stride * np.arange(units)[:, None]
            lanes += [(unit + np.arange(fan)).ravel(), unit.ravel() + fan]
            start += units * stride
        lanes.append((unit + fan + 1 + np.arange(self.outputs)).T.ravel())
        return np.concatenate([*lanes, start + np.arange(sum(t.size for t in self.tail))])

    def outputs_at(self, position: Array, x: Array, xp: Any = np) -> Array:
        """Raw outputs [R, B, n] of replicas [R, P] at inputs [B, m] or [R, B, m]."""
        return self.forward(position, with_ones(x, xp), xp)[0]

    def forward(self, position: Array, x1: Array, xp: Any = np) -> tuple[Array, Any]:
        """Raw outputs [R, B, n], and what `backward` wants: preactivations and activations [R, B, d_l] of the hidden
        layers. `x1` ends in a column of ones, so that b1 rides in the matrix product. Preactivations may be
        overwritten, where slopes do not read them.
        """
        w, value = self.layout.split(position), self.activation_record.value
        w1b1 = xp.concatenate([w["w1"], w["b1"][..., None]], axis=-1)
        z = [xp.matmul(x1, w1b1.swapaxes(-1, -2))]
        hidden = [value(z[0], xp)]
        for l in range(2, self.layers + 2):
            out = xp.matmul(hidden[-1], w[f"w{l}"].swapaxes(-1, -2))
            out += w[f"b{l}"][:, None, :]
            if l <= self.layers:
                z.append(out)
                hidden.append(value(out, xp))
        return out, (z, hidden)

    def predict(self, position: Array, x: Array, xp: Any = np) -> Array:
        """Phi [R, B, n]: the class probability (binary: of class 1), or the regression mean."""
        return self.likelihood.respond(self.outputs_at(position, x, xp), xp)

    def noise(self, position: Array) -> Any:
        """Noise sd of replicas [R, P], a number, or [R, 1, n] float64 where it is theirs."""
        if not self.noises:
            return self.noise_sd
        return np.exp(position[:, None, position.shape[1] - self.noises :].astype(np.float64))

    def noise_variance(self, position: Array) -> Array | None:
        """Square of the learned noise [R, n] float64; None where the noise is known."""
        if not self.noises:
            return None
        with np.errstate(over="ignore"):  # of a replica that ran away
            return np.square(self.noise(position)[:, 0])

    def constants_at(self, position: Array | None) -> dict[str, Any]:
        """`constants`, with the likelihood's own parameters `log_noise` [R, 1, n] of replicas [R, P], if any."""
        if not self.noises:
            return self.constants
        if position is None:
            raise ValueError("the noise is learned: give the position")
        return self.constants | {OWN_TENSOR: position[:, None, position.shape[1] - self.noises :]}

    def location(self, phi: Array) -> Array:
        """What of Phi [.., outputs] answers are compared with: all of it, or where it holds more, their means."""
        values = self.likelihood.values
        return phi if values is None else values.location(phi)

    def losses(self, out: Array, y: Array, xp: Any = np, position: Array | None = None) -> Array:
        """Negative log likelihood of each point [R, B], summed over outputs; `y` [R, B] labels or [R, B, n] values.
        Where noise is learned it is that of `position` [R, P].
        """
        return self.likelihood.losses(out, y, self.constants_at(position), xp)

    def mean_loss_and_gradient(
        self, position: Array, x1: Array, y: Array, xp: Any = np, weight: Array | None = None
    ) -> tuple[Array, Array]:
        """Mean loss [R] float64 over the B points `x1` (with ones, [R, B, m + 1]), each times its `weight` [R, B], and
        its gradient [R, P]; no prior.
        """
        out, kept = self.forward(position, x1, xp)
        c, share = self.constants_at(position), position.dtype.type(1 / out.shape[1])
        losses = self.likelihood.losses(out, y, c, xp)
        delta = self.likelihood.residual(out, y, c, xp)
        delta *= share
        gradient = xp.empty_like(position)
        g = self.layout.split(gradient)
        own = None if self.likelihood.own is None else self.likelihood.own.residual(out, y, c, xp) * share
        if weight is not None:
            losses, delta = losses * weight, delta * weight[..., None]
            own = None if own is None else own * weight[..., None]
        if own is not None:
            g[OWN_TENSOR][...] = own.sum(axis=1)
        self.backward(position, x1, kept, delta, g, xp)
        return losses.mean(axis=-1, dtype=np.float64), gradient

    def backward(self, position: Array, x1: Array, kept: Any, delta: Array, g: dict[str, Array], xp: Any = np) -> None:
        """Write the gradient of the network's own tensors to the views `g`, from that of the outputs, `delta`
        [R, B, n], and what `forward` kept.
        """
        (z, hidden), w = kept, self.layout.split(position)
        for l in range(self.layers + 1, 1, -1):
            g[f"w{l}"][...] = xp.matmul(delta.swapaxes(-1, -2), hidden[l - 2])
            g[f"b{l}"][...] = delta.sum(axis=1)
            weights = w[f"w{l}"]
            delta = delta * weights if delta.shape[-1] == 1 else xp.matmul(delta, weights)
            if (slope := self.activation_record.slope) is not None:
                delta *= slope(z[l - 2], hidden[l - 2], xp)
        g_first = xp.matmul(x1.swapaxes(-1, -2), delta)
        g["w1"][...] = g_first[:, :-1].swapaxes(-1, -2)
        g["b1"][...] = g_first[:, -1]

    def initial_position(self, init: str, init_sd: float, keys: Keys, dtype: Any, xp: Any = np) -> Array:
        """Initial parameters [R, P] at purpose 0 (equations.md section 8); the likelihood's own start about the mean of
        their prior.
        """
        position = self._initial(init, init_sd, keys, dtype, xp)
        if self.noises:
            position[:, position.shape[1] - self.noises :] += xp.asarray(self.centre, dtype)
        return position

    def _initial(self, init: str, init_sd: float, keys: Keys, dtype: Any, xp: Any) -> Array:
        layout = self.layout
        replicas = keys.stream.shape[0]
        if init == "zero":
            return xp.zeros((replicas, layout.size), dtype)
        blocks = xp.arange(int(layout.lanes.max()) // 4 + 1, dtype=np.uint64)
        draw = uniforms if init == "pytorch" else normals
        position = draw(keys, blocks, Purpose.POSITION, 0, dtype=dtype, xp=xp)[:, xp.asarray(layout.lanes)]
        sizes = list(layout.sizes.values())
        more = (len(sizes) - 2 * len(self.fans)) * (1,)  # parameters of the likelihood itself
        fan_in = np.repeat([*np.repeat(self.fans, 2), *more], sizes)
        bias = np.repeat([*len(self.fans) * (False, True), *map(bool, more)], sizes)
        if init == "pytorch":
            return (2 * position - 1) * xp.asarray(1 / np.sqrt(fan_in), dtype)
        if init == "he":
            return position * xp.asarray(np.where(bias, 0.0, np.sqrt(2 / fan_in)), dtype)
        if init == "prior":
            return self._prior_draw(position, keys, blocks, xp)
        if init == "normal":
            return position * dtype(init_sd)
        raise SpecError(f"init = '{init}' is unknown. Known: {', '.join(INITS)}.")

    def _prior_draw(self, first: Array, keys: Keys, blocks: Array, xp: Any) -> Array:
        """Draws of the prior [R, P] out of standard normals: `first` are those at sub 0 of purpose 0, others follow at
        subs 1, 2, ...
        """
        if self.prior_record is None:
            raise SpecError('init = "prior" needs prior_sd.')
        lanes, inner = xp.asarray(self.layout.lanes), first.shape[1] - self.noises
        more = (
            normals(keys, blocks, Purpose.POSITION, 0, sub=i, dtype=first.dtype.type, xp=xp)[:, lanes]
            for i in range(1, self.prior_record.normals)
        )
        own = first[:, inner:]
        drawn = self.prior_record.draw([n[:, :inner] for n in (first, *more)])
        scale = self._spread_scales()
        drawn = drawn * (xp.asarray(scale, drawn.dtype) if isinstance(scale, np.ndarray) else drawn.dtype.type(scale))
        return xp.concatenate([drawn, own], axis=1) if self.noises else drawn


def with_ones(x: Array, xp: Any = np) -> Array:
    """`x` [..., m] with a last column of ones."""
    return xp.concatenate([x, xp.ones((*x.shape[:-1], 1), x.dtype)], axis=-1)
