"""The host's C++ compiler: found, asked, its libraries cached, its errors with the source around them (CUDA: nvrtc.py).

The cache is a private folder (`GPU_THERMO_CACHE`, else
`XDG_CACHE_HOME`/gpu_thermo, else ~/.cache/gpu_thermo); a library's name is the digest of what decides its bits
(host.py), of the compiler's path, the processor and the whole source. `GPU_THERMO_VECTOR_BITS` narrows the vectors of
x86 processors; `GPU_THERMO_QUICK_KERNELS=1` has kernels compiled by fewer passes.
"""

import contextlib
import ctypes
import functools
import hashlib
import os
import platform
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import astuple
from pathlib import Path

from ..errors import CompileError, DeviceError
from .host import ANSWER_SECONDS, WIDTHS, Compiler, digest, host_build, processor
from .once import Once

FLAGS = (
    "-std=c++17", "-O2", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast", "-fPIC", "-shared",
    "-fno-exceptions", "-fno-rtti", "-w",
)  # fmt: skip
"""No -ffast-math, which removes NaN checks, and no -fassociative-math, which undoes compensated sums."""
_QUICK = ("-O1", "-fexpensive-optimizations", "-fstrict-aliasing")
"""In place of -O2: a quarter less to compile, as fast to a few per cent, the same bits. Among GCC's expensive
optimisations is the fusing of products with sums, without which bits are others."""
_X86 = platform.machine().lower() in ("x86_64", "amd64", "i386", "i686")
TIMEOUT = 600.0
"""Seconds a compiler may take before it is taken for hung."""
_CONTEXT = 4
_BUILD, _LONG_AGO = ".build-", 3600.0
"""Folders in which libraries are made, and seconds after which nobody makes one there any more."""
_AT_WORK: set["subprocess.Popen[str]"] = set()
"""Compilers that somebody waits for."""
NO_COMPILER = "no C++ compiler"
_TROUBLES: list[str] = []
"""What `find_compiler` found wrong with those it passed over."""
_PROBE = 'extern "C" int probe(void) { return 1; }\n'


@functools.cache
def find_compiler() -> Compiler | None:
    """The compiler named by CXX, or the first of c++, g++, clang++ that compiles; None if there is none.

    Raises
    ------
    CompileError
        If CXX names something that cannot be run or does not compile: falling back silently would hide the mistake.
    """
    found, troubles = _search()
    _TROUBLES[:] = troubles
    if found is None and (named := os.environ.get("CXX")):
        why = f" ({troubles[0]})" if troubles else ""
        raise CompileError(
            f"CXX = {named!r} is no C++ compiler that can be run{why}. Unset CXX, or set it to the path of one."
        )
    return found


def missing_compiler() -> str:
    """Why there is none: nothing was found, or what is there fails, by its name and first error."""
    failing = failing_compilers()
    return f"{NO_COMPILER} works: {'; '.join(failing)}" if failing else f"{NO_COMPILER} was found"


def failing_compilers() -> list[str]:
    """Compilers that were looked at and do not work, each with its first error."""
    find_compiler()
    return list(_TROUBLES)


def _search() -> tuple[Compiler | None, list[str]]:
    """The first compiler that works, and what is wrong with those before it."""
    named, seen = os.environ.get("CXX"), set()
    troubles: list[str] = []
    for name in [named] if named else ["c++", "g++", "clang++"]:
        path = shutil.which(name)
        if not path or (real := os.path.realpath(path)) in seen:
            continue
        seen.add(real)
        answer, trouble = _answer([path, "--version"], ANSWER_SECONDS)
        compiler = Compiler(path, answer.splitlines()[0]) if not trouble and answer.strip() else None
        trouble = trouble or ("" if compiler else "it does not say its version")
        if compiler and not (trouble := _probe(compiler)):
            return compiler, troubles
        troubles.append(f"{path}: {trouble}")
    return None, troubles


def _answer(command: list[str], seconds: float, folder: str | None = None) -> tuple[str, str]:
    """What a command prints, and what is wrong with it, by its first line that says so."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=seconds, check=False, cwd=folder
        )
    except subprocess.TimeoutExpired:
        return "", f"it did not finish within {seconds:g} s"
    except OSError as error:
        return "", f"it cannot be run ({error.strerror})"
    if done.returncode == 0:
        return done.stdout, ""
    said = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    first = next((line for line in said if "error" in line.lower()), said[0] if said else "it says nothing")
    return "", f"exit status {done.returncode}, {first[:300]}"


def _probe(compiler: Compiler) -> str:
    """What is wrong with a compiler that cannot make a library; asked once, and kept beside the kernels."""
    flags = (*FLAGS, *_native(compiler))
    mark = cache_folder() / f"{digest(compiler.path, compiler.version, _changed(compiler.path), *flags, _PROBE)}.works"
    if mark.exists():
        return ""
    with tempfile.TemporaryDirectory(prefix="gpu_thermo-") as folder:
        (Path(folder) / "kernel.cpp").write_text(_PROBE)
        _, trouble = _answer([compiler.path, *flags, "-o", "kernel.so", "kernel.cpp"], TIMEOUT, folder)
        if not trouble:
            with contextlib.suppress(OSError):  # it is asked again next time
                mark.touch()
    return trouble


def _changed(path: str) -> str:
    """When a compiler was installed: one that was mended, or broken, since is asked again."""
    info = os.stat(path)
    return f"{info.st_mtime_ns} {info.st_size}"


# -- the cache ---------------------------------------------------------------------------------------------------------


@functools.cache
def cache_folder() -> Path:
    """A folder only this user can write to; a private temporary one where the usual place is not to be trusted or
    written.
    """
    named = os.environ.get("GPU_THERMO_CACHE")
    try:
        usual = (
            Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gpu_thermo"
        )
        base = usual.absolute()  # compilers run in folders of their own
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _is_private(base) and os.access(base, os.W_OK | os.X_OK):
            return base
    except (OSError, RuntimeError):  # RuntimeError: there is no home
        pass
    import atexit

    private = tempfile.mkdtemp(prefix="gpu_thermo-")
    atexit.register(shutil.rmtree, private, ignore_errors=True)
    return Path(private)


def _is_private(folder: Path) -> bool:
    """A library loaded from a folder that others can write to would be their code run as us."""
    info = folder.stat()
    mine = not hasattr(os, "getuid") or info.st_uid == os.getuid()
    return mine and not info.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _publish(temporary: Path, final: Path) -> None:
    """Rename into place: readers see nothing or all of it, and of two writers the last one wins with equal content."""
    temporary.chmod(0o700)
    if final.is_dir():
        _discard(final)
    os.replace(temporary, final)


# -- libraries --------------------------------------------------------------------------------------------------------


def host_library(source: str, flags: tuple[str, ...] = ()) -> ctypes.CDLL:
    """Compile C++ `source` for this processor, or find it in the cache, and load it.

    Raises
    ------
    DeviceError
        If there is no C++ compiler.
    CompileError
        If the source does not compile; the message shows it around the error. If GPU_THERMO_VECTOR_BITS is no width.
    """
    compiler = find_compiler()
    if compiler is None:
        why = missing_compiler()
        raise DeviceError(f"{why[0].upper()}{why[1:]}. Install one, set CXX, or use the batched engine.")
    return _load(compiler, source, (*host_flags(compiler), *flags))


def host_flags(compiler: Compiler) -> tuple[str, ...]:
    """FLAGS and those for this very processor; GPU_THERMO_VECTOR_BITS, if set, keeps vectors to so many bits, and
    GPU_THERMO_QUICK_KERNELS=1 has fewer passes made.

    Raises
    ------
    CompileError
        If the first is not 128, 256 or 512, or the second not 0 or 1.
    """
    named = os.environ.get("GPU_THERMO_VECTOR_BITS") or str(max(WIDTHS))
    if named not in map(str, WIDTHS):
        raise CompileError(
            f"GPU_THERMO_VECTOR_BITS = {named!r} is no width of vectors. Unset it, or set it to one of"
            f" {', '.join(map(str, WIDTHS))}."
        )
    quick = os.environ.get("GPU_THERMO_QUICK_KERNELS") or "0"
    if quick not in ("0", "1"):
        raise CompileError(f"GPU_THERMO_QUICK_KERNELS = {quick!r} is neither 0 nor 1. Unset it, or set it to either.")
    return (*FLAGS, *_native(compiler), *(WIDTHS[int(named)] if _X86 else ()), *(_QUICK if quick == "1" else ()))


@functools.cache
def _native(compiler: Compiler) -> tuple[str, ...]:
    """The flag for this very processor: -march=native on x86; elsewhere some compilers know that, some -mcpu=native."""
    if _X86:
        return ("-march=native",)
    for flag in ("-march=native", "-mcpu=native"):
        command = [compiler.path, flag, "-E", "-x", "c++", os.devnull]
        try:
            if subprocess.run(command, capture_output=True, timeout=TIMEOUT, check=False).returncode == 0:
                return (flag,)
        except (OSError, subprocess.TimeoutExpired):
            break
    return ()


@Once
def _load(compiler: Compiler, source: str, flags: tuple[str, ...]) -> ctypes.CDLL:
    build = host_build(compiler, flags)
    name = digest(compiler.path, compiler.version, *map(str, astuple(build)), processor(), source)
    folder = cache_folder()
    for kept in sorted(folder.glob(f"{name}-*.so")):
        with suppress(OSError):
            if kept.is_file() and kept.name == _sealed(name, kept.read_bytes()):
                return ctypes.CDLL(str(kept))
        _discard(kept)
    try:
        final = _compile_host(compiler, source, flags, folder / name)
    except OSError as error:
        raise CompileError(
            f"The folder of compiled kernels, '{folder}', cannot be written ({error.strerror or error}). Free space, or"
            " name another in GPU_THERMO_CACHE."
        ) from error
    try:
        return ctypes.CDLL(str(final))
    except OSError as error:
        raise CompileError(
            f"What {compiler.path} ({compiler.version}) made cannot be loaded: {error}. Try another compiler through"
            " CXX, or the batched engine."
        ) from None


def _sealed(name: str, content: bytes) -> str:
    """File name of a library: a digest over its own bytes and its name is part of it, since loading one that is cut
    short, or another's, ends the process or goes on with other numbers.
    """
    return f"{name}-{hashlib.sha256(name.encode() + content).hexdigest()[:16]}.so"


def _discard(path: Path) -> None:
    """Remove what is no library of ours, whatever it is."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _compile_host(compiler: Compiler, source: str, flags: tuple[str, ...], final: Path) -> Path:
    """Compile and publish; returns where the library is: at `final`, its seal added."""
    _discard_left_behind(final.parent)
    with tempfile.TemporaryDirectory(prefix=_BUILD, dir=final.parent) as folder:
        text, library = Path(folder) / "kernel.cpp", Path(folder) / "kernel.so"
        text.write_text(source)
        command = [compiler.path, *flags, "-pipe", "-o", str(library), str(text)]
        try:
            done = _compiled(command, folder)
        except subprocess.TimeoutExpired:
            raise CompileError(
                f"The compiler {compiler.path} did not finish within {TIMEOUT:g} s and was stopped. "
                f"Source: {keep_source(source, final)}. Try another compiler through CXX, or the batched engine."
            ) from None
        if done.returncode < 0:
            raise CompileError(f"The compiler {compiler.path} was stopped by signal {-done.returncode}. Try again.")
        if done.returncode != 0:
            raise refusal(
                f"{compiler.path} ({compiler.version})", source, done.stdout + done.stderr, keep_source(source, final)
            )
        sealed = final.with_name(_sealed(final.name, library.read_bytes()))
        _publish(library, sealed)
    return sealed


def _compiled(command: list[str], folder: str) -> subprocess.CompletedProcess[str]:
    """Run a compiler in a group of its own, so that Ctrl-C is for who started it, and all of it ends with who waits."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder, start_new_session=True
    ) as process:
        _AT_WORK.add(process)
        try:
            out, err = process.communicate(timeout=TIMEOUT)
        except BaseException:
            _kill(process)
            raise
        finally:
            _AT_WORK.discard(process)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def _kill(process: subprocess.Popen[str]) -> None:
    """A compiler, and what it has started."""
    with suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL) if hasattr(os, "killpg") else process.kill()


def stop_compilers() -> None:
    """Kill those that other threads wait for: nobody will want what they make."""
    for process in list(_AT_WORK):
        _kill(process)


def _discard_left_behind(folder: Path) -> None:
    """Remove what killed processes were compiling in, long ago."""
    for place in folder.glob(f"{_BUILD}*"):
        with suppress(OSError):
            if time.time() - place.stat().st_mtime > _LONG_AGO:
                _discard(place)


def keep_source(source: str, final: Path) -> Path:
    """Keep a source that failed beside where its library would be, if that can be."""
    path = final.with_suffix(".failed.cpp")
    with suppress(OSError):
        _discard(path)
        path.write_text(source)
    return path


def refusal(compiler: str, source: str, output: str, saved: Path) -> CompileError:
    """The error of a source that does not compile: where, what was said, and where the whole of it is."""
    return CompileError(
        f"{compiler} refused a kernel.\n{excerpt(source, output)}\n{output.strip()[:4000]}\nThe whole source: {saved}"
    )


def excerpt(source: str, output: str) -> str:
    """The numbered lines of `source` around the first error that `output` names."""
    found = re.search(r"(?:kernel\.cpp|kernel\.cu|default_program)[:(](\d+)", output)
    at = int(found.group(1)) if found else 1
    lines = source.splitlines()
    first = max(0, at - 1 - _CONTEXT)
    rows = enumerate(lines[first : at + _CONTEXT], first + 1)
    return "\n".join(f"{'>' if i == at else ' '}{i:6d} | {line}" for i, line in rows)
