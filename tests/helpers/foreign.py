"""Kernels of other compilers and processors: compiled as the library compiles them, called in a process of their own.

A call puts its arrays, with guard bytes around each, into a file that the other process maps at a fixed address
(foreign.cpp), under an emulator where the processor is another one, and takes back what was written.
"""

import ctypes
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from guarded import Guarded

from gpu_thermo.errors import CompileError
from gpu_thermo.kernels import toolchain

ADDRESS = 0x2000000000
"""Where arrays lie in the other process: far from its program and its libraries on Linux."""
DRIVER = Path(__file__).with_name("foreign.cpp")
TIMEOUT = 300.0
_LINKED = ("-Wl,--no-as-needed", "-ldl")


@dataclass(frozen=True)
class Machine:
    """A compiler with its flags, the program its results run under, and the packages (of Debian) that have them.

    Attributes
    ----------
    tools : programs that it takes to compile, the compiler first. target : flags beside the library's own, None for
    those of this very processor. emulator : command before the program, empty for this processor. packages : where to
    get all that.
    """

    tools: tuple[str, ...]
    target: tuple[str, ...] | None
    emulator: tuple[str, ...]
    packages: str

    @cache  # noqa: B019 - there are three machines
    def missing(self, run: bool = True) -> str:
        """Why it cannot compile here, or compile and run; empty where it can."""
        tools = (*self.tools, *(self.emulator[:1] if run else ()))
        absent = [tool for tool in tools if shutil.which(tool) is None]
        if absent or platform.system() != "Linux":
            return f"no {', '.join(absent)} here; Debian has it in {self.packages}" if absent else "not on Linux"
        try:
            program = self._built("#include <dlfcn.h>\nint main() { return 0; }\n", _LINKED, ".program")
        except CompileError as error:
            return f"{self.tools[0]} compiles nothing: {str(error)[:400]}"
        failed = run and subprocess.run([*self.emulator, program], timeout=TIMEOUT).returncode != 0
        return f"what {self.tools[0]} compiles does not run" if failed else ""

    @cached_property
    def compiler(self) -> toolchain.Compiler:
        """The compiler."""
        path = shutil.which(self.tools[0])
        assert path is not None
        said, _ = toolchain._answer([path, "--version"], 20.0)
        return toolchain.Compiler(path, said.splitlines()[0])

    def library(self, source: str) -> Path:
        """Path of `source` as a shared library, in the library's cache."""
        return self._built(source, toolchain.FLAGS, ".so")

    @property
    def driver(self) -> Path:
        """Path of foreign.cpp as a program."""
        return self._built(DRIVER.read_text(), ("-std=c++17", "-O1", *_LINKED), ".program")

    def _built(self, source: str, flags: tuple[str, ...], suffix: str) -> Path:
        here = toolchain.host_flags(self.compiler)[len(toolchain.FLAGS) :]
        flags = (*flags, *(here if self.target is None else self.target))
        name = toolchain.digest(
            self.compiler.path, self.compiler.version, " ".join(flags), toolchain.processor(), source
        )
        final = toolchain.cache_folder() / f"{name}{suffix}"
        if not final.exists():
            os.replace(toolchain._compile_host(self.compiler, source, flags, final.with_suffix("")), final)
        return final


_ARM = ("qemu-aarch64", "-L", "/usr/aarch64-linux-gnu")
MACHINES = {
    "gcc-arm": Machine(("aarch64-linux-gnu-g++",), (), _ARM, "g++-aarch64-linux-gnu and qemu-user"),
    "clang-arm": Machine(
        ("clang++", "aarch64-linux-gnu-ld"),
        ("--target=aarch64-linux-gnu",),
        _ARM,
        "clang, g++-aarch64-linux-gnu and qemu-user",
    ),
    "clang-here": Machine(("clang++",), None, (), "clang"),
}


@dataclass(frozen=True)
class Fields:
    """A structure whose pointers are to `arrays`, by name."""

    kind: type[ctypes.Structure]
    arrays: Mapping[str, np.ndarray]
    numbers: Mapping[str, Any]


class Library:
    """`source` compiled for `machine`."""

    def __init__(self, machine: Machine, source: str) -> None:
        self._machine, self._path = machine, machine.library(source)

    def call(self, function: str, *arguments: Any) -> int:
        """Call `function` on integers, numpy arrays, ctypes' integers and Fields; arrays are changed in place.

        Returns what the function returns, if that is an integer.
        """
        image = _Image()
        numbers = [image.placed(a) for a in arguments]
        with tempfile.NamedTemporaryFile(prefix="arrays-") as file:
            file.write(image.bytes())
            file.flush()
            program = (
                *self._machine.emulator,
                str(self._machine.driver),
                str(self._path),
                function,
                file.name,
                str(ADDRESS),
            )
            done = subprocess.run([*program, *map(str, numbers)], capture_output=True, text=True, timeout=TIMEOUT)
            assert done.returncode == 0, f"{function} ended with {done.returncode}: {done.stderr[-2000:]}"
            image.take(Path(file.name).read_bytes())
        return int(done.stdout)


class _Image:
    """The other process's memory from ADDRESS on: guarded arrays, one after another."""

    def __init__(self) -> None:
        self._parts: list[tuple[np.ndarray, Guarded]] = []
        self._size = 0

    def placed(self, argument: Any) -> int:
        """`argument` as an integer of the call."""
        if isinstance(argument, Fields):
            pointers = {name: self._put(a) for name, a in argument.arrays.items()}
            block = argument.kind(**pointers, **argument.numbers)
            return self._put(np.frombuffer(bytes(block), np.uint8))
        if isinstance(argument, np.ndarray):
            return self._put(argument)
        return int(getattr(argument, "value", argument))

    def _put(self, array: np.ndarray) -> int:
        part = Guarded(array, aligned=array.dtype == np.uint8)  # a structure or a workspace
        self._parts.append((array, part))
        place = ADDRESS + self._size + part.offset
        self._size += len(part.bytes)
        return place

    def bytes(self) -> bytes:
        """What the file holds before the call."""
        return b"".join(part.bytes.tobytes() for _, part in self._parts) or bytes(1)

    def take(self, content: bytes) -> None:
        """Back into the arrays what the file holds after the call."""
        at = 0
        for i, (array, part) in enumerate(self._parts):
            part.bytes[:] = np.frombuffer(content, np.uint8, len(part.bytes), at)
            part.check(f"array {i}")
            at += len(part.bytes)
            if array.flags.writeable:
                array[...] = part.array


def running(machine: Machine, source: str) -> Library:
    """`source` on `machine`; the test is skipped where that cannot run."""
    if reason := machine.missing():
        pytest.skip(reason)
    return Library(machine, source)
