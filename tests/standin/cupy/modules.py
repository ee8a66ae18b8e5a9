"""Kernels: CUDA source completed by cuda.h, compiled by the host's compiler, launched block by block."""

import ctypes
import hashlib
import os
import re
import subprocess
import tempfile
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from .arrays import POISON, ndarray
from .counts import COUNTS
from .devices import CompileException, CUDADriverError, CUDARuntimeError, current, current_stream

HERE = Path(__file__).parent
FLAGS = (
    "-std=c++17", "-O1", "-march=native", "-ffp-contract=fast", "-fno-math-errno", "-fPIC", "-shared", "-w",
    "-Wl,-Bsymbolic",
)  # fmt: skip
ORDER = int(os.environ.get("STANDIN_ORDER", "0"))
KERNELS = r"^\s*(?:KERNEL|extern \"C\" __global__ void(?: __launch_bounds__\([^)]*\))?) (\w+)\("
CALL = """
extern "C" int standin_launch_{name}(void** values, const long long* sizes, int count, unsigned grid, unsigned block) {{
  return standin::launch(&{name}, values, sizes, count, grid, block);
}}"""


_ONE = threading.Lock()
"""Kernels of several devices run one after another: a library's fibers and shared memory are there once."""


class RawModule:
    """A module of kernels, compiled once for each source and kept."""

    def __init__(
        self, code: str | None = None, options: tuple[str, ...] = (), backend: str = "nvrtc", **_: Any
    ) -> None:
        self._code, self._device, self._library = code or "", current(), None
        self._functions: dict[str, Function] = {}

    def compile(self, log_stream: Any = None) -> None:
        """Compile, unless that is done."""
        if self._library is None:
            self._library = ctypes.CDLL(str(_compiled(self._code)))
            self._library.standin_options(ORDER, POISON)
            COUNTS["modules"] += 1

    def get_function(self, name: str) -> "Function":
        """The kernel of that name."""
        self.compile()
        if name not in self._functions:
            self._functions[name] = Function(self._library, name, self._device)
        return self._functions[name]


def _compiled(code: str) -> Path:
    """The library of a source, from the cache where it is there."""
    cuda = (HERE / "cuda.h").read_text()
    names = re.findall(KERNELS, code, re.MULTILINE)
    text = f'{cuda}\n#line 1 "kernel.cu"\n{code}\n' + "".join(CALL.format(name=name) for name in dict.fromkeys(names))
    usual = Path(os.environ.get("GPU_THERMO_CACHE") or Path.home() / ".cache" / "gpu_thermo") / "standin"
    folder = Path(os.environ.get("STANDIN_CACHE") or usual)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    final = folder / (hashlib.sha256((text + " ".join(FLAGS)).encode()).hexdigest()[:32] + ".so")
    if not final.exists():
        with tempfile.TemporaryDirectory(dir=folder) as build:
            source, library = Path(build) / "kernel.cpp", Path(build) / "kernel.so"
            source.write_text(text)
            command = ["g++", *FLAGS, "-o", str(library), str(source)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise CompileException(done.stderr[:6000])
            os.replace(library, final)
    return final


class Function:
    """A kernel. It has no registers; what is asked of its resources is made up."""

    num_regs, local_size_bytes, shared_size_bytes = 32, 0, 0

    @property
    def kernel(self) -> Any:
        """What the driver knows it by."""
        return SimpleNamespace(ptr=id(self))

    def __init__(self, library: Any, name: str, device: int) -> None:
        self._name, self._device, self._library = name, device, library
        self._run = getattr(library, f"standin_launch_{name}")
        self._run.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_uint, ctypes.c_uint)
        library.standin_trouble.restype = ctypes.c_char_p

    def __call__(self, grid: Any, block: Any, arguments: Any, *, shared_mem: int = 0, stream: Any = None) -> None:
        """Run all blocks, one after another."""
        if self._device != current():
            raise CUDADriverError(f"CUDA_ERROR_INVALID_HANDLE: {self._name} is of device {self._device}")
        if not 1 <= grid[0] < 2**31 or not 1 <= block[0] <= 1024:
            raise CUDADriverError(f"CUDA_ERROR_INVALID_VALUE: grid {grid}, block {block}")
        values = [np.array([_value(a)]) for a in arguments]
        pointers = (ctypes.c_void_p * len(values))(*[v.ctypes.data for v in values])
        sizes = (ctypes.c_longlong * len(values))(*[v.itemsize for v in values])
        with _ONE:
            failed = self._run(pointers, sizes, len(values), grid[0], block[0])
        if failed:
            raise CUDARuntimeError(f"cudaErrorLaunchFailure: {self._name}: {self._library.standin_trouble().decode()}")
        (stream or current_stream()).launches += 1
        COUNTS["launches"] += 1
        COUNTS[f"launches_on_{current()}"] += 1
        COUNTS[f"launch_{self._name}"] += 1


def _value(argument: Any) -> Any:
    """An argument as a kernel gets it; Python's numbers are 64 bits wide, as CuPy hands them over."""
    if isinstance(argument, ndarray):
        if argument.device_id != current():
            raise CUDADriverError(f"an array of device {argument.device_id} for a kernel on device {current()}")
        return np.uint64(argument.a.ctypes.data)
    if isinstance(argument, np.ndarray) and argument.size == 1:  # a value, as CuPy hands it over
        return argument.reshape(())[()]
    kinds = {bool: np.bool_, int: np.int64, float: np.float64}
    if isinstance(argument, np.generic) or type(argument) in kinds:
        return kinds.get(type(argument), lambda x: x)(argument)
    raise TypeError(f"Unsupported type {type(argument)}")
