"""What decides the bits of code compiled on this machine: the compiler, its flags, and what these amount to here.

A library's name in the cache and the record of a run's build are made from this one record.
"""

import functools
import hashlib
import itertools
import os
import platform
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

WIDTHS = {128: ("-mno-avx",), 256: ("-mno-avx512f",), 512: ()}
"""Flags that keep the vectors of an x86 processor to so many bits; those of 128 bits have no fused multiply-add."""

ANSWER_SECONDS = 120.0
"""How long a compiler may take to say what it is."""


@dataclass(frozen=True)
class Compiler:
    """A host C++ compiler: its path, and the first line of its --version."""

    path: str
    version: str


@dataclass(frozen=True)
class HostBuild:
    """What decides the bits of a library compiled here, its source apart. Where the compiler is, and how many threads
    call the library, does not.

    Attributes
    ----------
    compiler : name and version. flags : as given. target : the processor type that these amount to, and a digest of
    every option and macro in effect, so that what a wrapper adds is seen. vector_bits : of the vectors the kernels
    take (kernels/portable.h).
    """

    compiler: str
    flags: str
    target: str
    vector_bits: int


@functools.cache
def host_build(compiler: Compiler, flags: tuple[str, ...]) -> HostBuild:
    """What `compiler` makes of `flags`: it is asked for its own options and macros, once a process."""
    command = [compiler.path, *flags, "-E", "-dM", "-v", "-x", "c++", os.devnull]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=ANSWER_SECONDS, check=False
        )
        macros, options = _macros(done.stdout), _options(done.stderr)
    except (OSError, subprocess.TimeoutExpired):
        macros, options = [], []
    if not macros:  # it does not say: the processor as the system describes it stands for what the flags amount to
        options = [processor()]
    defined = {line.split()[1] for line in macros}
    bits = next((n for n, macro in ((512, "__AVX512F__"), (256, "__AVX2__")) if macro in defined), min(WIDTHS))
    target = f"{platform.machine()} {_cpu(options)}".strip() + f" ({digest(*options, *macros)[:8]})"
    return HostBuild(_named(compiler.version, defined), " ".join(flags), target, bits)


def _named(version: str, macros: set[str]) -> str:
    """The version without the name that GCC was called by: c++ and g++ are one compiler."""
    gcc = macros and "__clang__" not in macros
    return re.sub(r"^\S+ (?=\()", "gcc ", version) if gcc else version


def _macros(text: str) -> list[str]:
    """Predefined macros, sorted, without those of the C library's version."""
    return sorted(line for line in text.splitlines() if re.match(r"#define (?!_?_STDC)\w", line))


def _options(text: str) -> list[str]:
    """Options of the compiler proper, from what -v prints: no paths, no sizes of caches, nothing of the terminal."""
    line = next((line for line in text.splitlines() if re.search(r"cc1plus\"? |\"? \"?-cc1\"? ", line)), "")
    try:
        words = shlex.split(line)[1:]
    except ValueError:
        words = []
    idle = re.compile(r".*/|l[12]-cache|--param$|-fmessage-length|-f(no-)?(color-diagnostics|ansi-escape)")
    return [word for word in words if not idle.match(word)]


def _cpu(options: list[str]) -> str:
    """Name of the processor type that options name: -march=znver3 of GCC, -target-cpu znver3 of Clang."""
    named = [o.partition("=")[2] for o in options if o.startswith(("-march=", "-mcpu="))]
    named += [after for word, after in itertools.pairwise(options) if word == "-target-cpu"]
    return named[0] if named else ""


@functools.cache
def processor() -> str:
    """What the native flags depend on: machine, model and feature flags, as far as the system tells."""
    parts = [platform.machine(), platform.system(), platform.processor()]
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
        parts += [
            line for line in lines if re.match(r"(vendor_id|cpu family|model|stepping|flags|Features|CPU )", line)
        ]
    except OSError:
        pass
    return "\n".join(parts)


def digest(*parts: str) -> str:
    """Name of a cached result: 32 hexadecimal digits over all parts and their lengths."""
    h = hashlib.sha256()
    for part in parts:
        data = part.encode()
        h.update(len(data).to_bytes(8, "little") + data)
    return h.hexdigest()[:32]
