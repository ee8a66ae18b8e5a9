"""A network that is a harmonic well, so that both engines can be held to exact linear algebra.

With the hidden layer frozen and a Gaussian likelihood U is quadratic in the output weights and bias, U = (x - x0)' H
(x - x0) / 2 + const. In the eigenvectors of H every letter acts on each coordinate alone, on a well of stiffness k.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gpu_thermo.data import Dataset
from gpu_thermo.engines.base import Batching, Job, initial_state
from gpu_thermo.method.words import compile_program, compile_update, parse_word
from gpu_thermo.state import Hyper, State
from gpu_thermo.targets.networks import MlpModel
from gpu_thermo.targets.posterior import MlpTarget

HIDDEN, POINTS, NOISE_SD = 2, 7, 0.8


@dataclass(frozen=True)
class NetworkWell:
    """R replicas of one small network with its hidden layer frozen, and what is known of it exactly."""

    replicas: int
    dtype: type

    @cached_property
    def model(self) -> MlpModel:
        """One input, two hidden units, one output."""
        return MlpModel(1, HIDDEN, 1, "regression", "tanh", None, NOISE_SD)

    @cached_property
    def data(self) -> Dataset:
        """Seven points on a line."""
        x = np.linspace(-2, 2, POINTS)[None, :, None]
        y = np.cos(x)
        return Dataset("line", "regression", x, y, x[:, :1], y[:, :1], ("x",), (), ("y",))

    @cached_property
    def hidden(self) -> np.ndarray:
        """w1 and b1 of the frozen layer, exact in float32."""
        return np.array([1.5, -0.75, 0.5, 1.0])

    @cached_property
    def design(self) -> np.ndarray:
        """[N, d + 1] hidden values and a column of ones."""
        w1, b1 = self.hidden[:HIDDEN], self.hidden[HIDDEN:]
        return np.column_stack([np.tanh(self.data.x_train[0] * w1 + b1), np.ones(POINTS)])

    @cached_property
    def stiffness(self) -> np.ndarray:
        """[d + 1] eigenvalues k of the Hessian."""
        return np.linalg.eigh(self.design.T @ self.design / (POINTS * NOISE_SD**2))[0]

    @cached_property
    def axes(self) -> np.ndarray:
        """[d + 1, d + 1] eigenvectors in columns."""
        return np.linalg.eigh(self.design.T @ self.design / (POINTS * NOISE_SD**2))[1]

    @cached_property
    def minimum(self) -> np.ndarray:
        """[d + 1] output weights and bias of least energy."""
        return np.linalg.lstsq(self.design, self.data.y_train[0, :, 0], rcond=None)[0]

    def job(self, method: str, stepsize: float, **hyper) -> Job:
        """`method`, a word or an update, on the output layer; hyperparameters as for Hyper.constant."""
        partition = self.model.layout.partition("layer")
        if method.islower() or method[-1].isdigit():
            program = compile_update(method, partition, frozen=(0,))
        else:
            program = compile_program({"hidden": None, "output": parse_word(method)}, partition)
        target = MlpTarget(self.model, self.data, np.zeros(self.replicas, np.int64), self.dtype)
        values = Hyper.constant(self.replicas, 2, stepsize, 100, **hyper)
        seed, stream = np.full(self.replicas, 5, np.uint64), np.arange(self.replicas, dtype=np.uint64)
        return Job(program, target, values, Batching("full", POINTS), seed, stream, self.dtype)

    def start(self, job: Job, x: np.ndarray, p: np.ndarray) -> State:
        """A state at coordinates x [R, d + 1] and momenta p [R, d + 1] along the axes."""
        still = np.zeros((self.replicas, len(self.hidden)))
        position = np.column_stack([still + self.hidden, self.minimum + x @ self.axes.T])
        return initial_state(job, position, np.column_stack([still, p @ self.axes.T]))

    def coordinates(self, state: State) -> tuple[np.ndarray, np.ndarray]:
        """x and p [R, d + 1] float64 of a state, along the axes."""
        free = slice(len(self.hidden), None)
        x = (state.position[:, free].astype(np.float64) - self.minimum) @ self.axes
        return x, state.momentum[:, free].astype(np.float64) @ self.axes
