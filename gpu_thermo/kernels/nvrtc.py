"""CUDA source through NVRTC, to look at without a GPU or to run through CuPy; what ptxas says of its resources.

Importing this never imports CuPy, whose own disk cache keeps what it compiles.
"""

import ctypes
import functools
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import CompileError, DeviceError
from .host import digest
from .toolchain import cache_folder, keep_source, refusal

CUPY_FLAGS = ("-ftz=true",)
"""What CuPy adds to the flags that it is given."""


@dataclass(frozen=True)
class Resources:
    """What ptxas says of one kernel: registers a thread, bytes spilled (stores and loads), stack and static shared
    memory.
    """

    registers: int
    spill_stores: int
    spill_loads: int
    stack: int
    shared: int

    @property
    def local(self) -> int:
        """Bytes of local memory, which is the device's: spilled registers, and arrays that are indexed."""
        return max(self.stack, self.spill_stores, self.spill_loads)


@functools.cache
def _nvrtc() -> ctypes.CDLL:
    """NVRTC from the wheel nvidia-cuda-nvrtc, else from the system."""
    for path in _nvrtc_candidates():
        try:
            for beside in sorted(Path(path).parent.glob("libnvrtc-builtins.so.*")):
                ctypes.CDLL(str(beside))  # which not every wheel finds by itself (13.0.88 does not)
            return ctypes.CDLL(path)
        except OSError:
            continue
    raise DeviceError(
        "NVRTC was not found. Install it: pip install nvidia-cuda-nvrtc (part of the extras cuda12 and cuda13)."
    )


def _nvrtc_candidates() -> list[str]:
    wheels = [p for folder in sys.path if folder for p in sorted(Path(folder).glob("nvidia/*/lib/libnvrtc.so.*"))]
    return [str(p) for p in wheels if "builtins" not in p.name and "alt" not in p.name] + [
        "libnvrtc.so.13",
        "libnvrtc.so.12",
        "libnvrtc.so",
    ]


def nvrtc_version() -> str:
    """What NVRTC says its version is, as "13.0".

    Raises
    ------
    DeviceError
        If there is none.
    """
    major, minor, lib = ctypes.c_int(), ctypes.c_int(), _nvrtc()
    _checked(lib, lib.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)))
    return f"{major.value}.{minor.value}"


def has_nvrtc() -> bool:
    """Whether CUDA source can be compiled here, GPU or not."""
    try:
        _nvrtc()
    except DeviceError:
        return False
    return True


def nvrtc_compile(source: str, arch: str = "sm_90", options: tuple[str, ...] = ()) -> tuple[bytes, str]:
    """Compile CUDA `source` for `arch`, with no GPU needed.

    Returns
    -------
    (cubin, log); with "--ptxas-options=-v" among the options the log lists registers and spills, see `resources`.

    Raises
    ------
    CompileError
        If the source does not compile.
    """
    lib, program = _nvrtc(), ctypes.c_void_p()
    _checked(lib, lib.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"kernel.cu", 0, None, None))
    try:
        flags = [o.encode() for o in ("-std=c++17", "-w", f"-arch={arch}", *options)]
        failed = lib.nvrtcCompileProgram(program, len(flags), (ctypes.c_char_p * len(flags))(*flags))
        log = _nvrtc_text(lib, program, "ProgramLog").decode(errors="replace").rstrip("\0")
        if failed:
            raise refusal(f"NVRTC for {arch}", source, log, keep_source(source, cache_folder() / digest(source)))
        return _nvrtc_text(lib, program, "CUBIN"), log
    finally:
        lib.nvrtcDestroyProgram(ctypes.byref(program))


def _nvrtc_text(lib: ctypes.CDLL, program: ctypes.c_void_p, what: str) -> bytes:
    size = ctypes.c_size_t()
    _checked(lib, getattr(lib, f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
    buffer = ctypes.create_string_buffer(size.value)
    _checked(lib, getattr(lib, f"nvrtcGet{what}")(program, buffer))
    return buffer.raw


def _checked(lib: ctypes.CDLL, code: int) -> None:
    if code:
        lib.nvrtcGetErrorString.restype = ctypes.c_char_p
        raise CompileError(f"NVRTC failed: {lib.nvrtcGetErrorString(code).decode()}.")


def resources(log: str) -> dict[str, Resources]:
    """Resources of each kernel, from a log written with --ptxas-options=-v."""
    out = {}
    for part in re.split(r"Compiling entry function '", log)[1:]:
        name = part.split("'")[0]
        numbers = {key: int(m.group(1)) if (m := re.search(pattern, part)) else 0 for key, pattern in _PTXAS.items()}
        out[name] = Resources(**numbers)
    return out


_PTXAS = {
    "registers": r"Used (\d+) registers", "spill_stores": r"(\d+) bytes spill stores",
    "spill_loads": r"(\d+) bytes spill loads",
    "stack": r"(\d+) bytes stack frame", "shared": r"(\d+) bytes smem",
}  # fmt: skip


def cupy_module(source: str, options: tuple[str, ...] = ()) -> Any:
    """`source` as a CuPy module. Headers must be in the text already: CuPy's disk cache does not look into included
    ones.
    """
    import cupy

    try:
        module = cupy.RawModule(code=source, options=("-std=c++17", *options), backend="nvrtc")
        module.compile()
    except cupy.cuda.compiler.CompileException as error:
        raise refusal(
            "NVRTC through CuPy", source, str(error), keep_source(source, cache_folder() / digest(source))
        ) from None
    return module
