"""The batched engine's kernels for a GPU, compiled as C++, and a small job for them."""

import numpy as np
from guarded import call

from gpu_thermo.data import Dataset
from gpu_thermo.engines.base import Batching, Job
from gpu_thermo.engines.operations.device import KernelOperations
from gpu_thermo.kernels.elementwise import elementwise_source
from gpu_thermo.kernels.toolchain import host_library
from gpu_thermo.method.named import get_method, make_program
from gpu_thermo.state import Hyper
from gpu_thermo.targets.networks import MlpModel
from gpu_thermo.targets.posterior import MlpTarget


class HostOperations(KernelOperations):
    """The CUDA kernels of the batched engine, compiled as C++ and run as plain loops over NumPy arrays."""

    xp = np

    def _launch(self, name, work, *arguments):
        call(getattr(host_library(elementwise_source(self._dtype.itemsize * 8, 1)), name), *arguments)


def small_job(method, word=None, mode="subset", dtype=np.float32, partition=None, freeze=()):
    g, replicas = np.random.default_rng(0), 6
    x = g.normal(size=(1, 50, 3))
    y = (x.sum(-1) > 0).astype(np.int64)
    data = Dataset("test", "binary", x, y, x[:, :5], y[:, :5], ("a", "b", "c"), ("no", "yes"))
    model = MlpModel(3, 5, 1)
    split = model.layout.partition(partition or get_method(method).partition)
    values = {"temperature": 0.02, "friction": 1.5, "sigma": 0.3, "epsilon": 0.4, "momentum": 0.9, "thermostat": 0.2}
    hyper = Hyper.constant(replicas, len(split.names), 0.1 * (1 + g.random(replicas)), **values)
    program = make_program(get_method(method), split, word, freeze)
    target = MlpTarget(model, data, np.zeros(replicas, np.int64), dtype)
    return Job(
        program,
        target,
        hyper,
        Batching(mode, 7),
        np.arange(replicas, dtype=np.uint64),
        np.arange(replicas, dtype=np.uint64),
        dtype,
    )
