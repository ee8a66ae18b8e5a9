"""`gpu-thermo doctor`."""

import os
import platform
import sys
from pathlib import Path
from typing import Any

from .arguments import Json

PACKAGES = (
    "gpu-thermo",
    "numpy",
    "scipy",
    "xarray",
    "zarr",
    "pydantic",
    "scikit-learn",
    "matplotlib",
    "arviz-stats",
    "typer",
    "rich",
)
OPTIONAL = ("cupy-cuda13x", "cupy-cuda12x", "nvidia-cuda-nvrtc", "dask", "distributed", "jax", "torch")


def doctor(as_json: Json = False) -> None:
    """Show devices, compilers and versions.

    Also what `gpu-thermo sample` would use here.
    """
    from .output import facts, print_json, show

    found = {
        "python": f"{platform.python_version()} ({sys.executable})",
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "processor": _processor(),
        "memory": _memory(),
        "packages": _versions(PACKAGES),
        "optional": _versions(OPTIONAL),
        "gpus": _gpus(),
        "workers": _workers(),
        "compiler": _compiler(),
        "default_run": _planned(None),
        "deep_run": _planned({"model": {"hidden": [16] * 4, "activation": "silu"}}),
        "documentation": str(documentation() or "missing: install gpu-thermo again"),
    }
    if as_json:
        print_json(found)
        return
    show(facts({name.replace("_", " "): _text(value) for name, value in found.items()}))


def _text(value: Any) -> str:
    """Dictionaries on one line, lists one item a line."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {item or 'missing'}" for name, item in value.items())
    return "\n".join(value) if isinstance(value, list) else str(value)


def _versions(names: tuple[str, ...]) -> dict[str, str | None]:
    from importlib.metadata import PackageNotFoundError, version

    out: dict[str, str | None] = {}
    for name in names:
        try:
            out[name] = version(name)
        except PackageNotFoundError:
            out[name] = None
    return out


def _processor() -> str:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    model = platform.processor()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            model = next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), model)
    return f"{usable} of {os.cpu_count()} cores usable, {model or 'unknown model'}"


def _memory() -> str:
    from gpu_thermo.running.resources import available_memory

    from .output import size

    free = available_memory()
    return "unknown" if free is None else f"{size(free)} available"


def _gpus() -> list[str]:
    """One line a GPU, or why there is none."""
    from .output import size

    try:
        import cupy
    except ImportError:
        return [
            'none: CuPy is not installed; on a machine with an NVIDIA GPU: pip install "gpu-thermo[cuda13]" (or cuda12)'
        ]
    runtime = cupy.cuda.runtime
    try:
        driver = _cuda_version(runtime.driverGetVersion())
        lines = [f"CUDA driver {driver}, runtime {_cuda_version(runtime.runtimeGetVersion())}, CuPy {cupy.__version__}"]
        for i in range(runtime.getDeviceCount()):
            p = runtime.getDeviceProperties(i)
            memory = size(p["totalGlobalMem"])
            lines.append(f"cuda:{i} {p['name'].decode()}, {memory}, compute capability {p['major']}.{p['minor']}")
        if len(lines) > 2:
            lines.append("--device cuda:all shares the replicas of a run out among them")
    except runtime.CUDARuntimeError as error:
        return [f"none: CuPy {cupy.__version__} is installed, but CUDA finds no GPU ({error})"]
    return lines


def _workers() -> str:
    """Whether runs and studies can be shared out among processes."""
    from importlib.util import find_spec

    from gpu_thermo.engines.base import cores

    if find_spec("distributed") is None:
        return 'none: Dask is not installed: pip install "gpu-thermo[cluster]"'
    return f"sample, resume and study take --workers N (of this machine, {cores()} cores) and --scheduler ADDRESS"


def _cuda_version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def _compiler() -> str:
    """The host's C++ compiler, and where compiled kernels are kept."""
    from gpu_thermo.errors import CompileError
    from gpu_thermo.kernels.toolchain import cache_folder, failing_compilers, find_compiler, missing_compiler

    try:
        found = find_compiler()
    except CompileError as error:
        return str(error)
    if found is None:
        return f"{missing_compiler()}: the fused engine needs one on the CPU (c++, g++, clang++, or CXX)"
    aside = "".join(f"; not used: {trouble}" for trouble in failing_compilers())
    return f"{found.version} ({found.path}), kernels kept in {cache_folder()}{aside}"


def documentation() -> Path | None:
    """The folder of equations.md and the other pages that messages and docstrings name: of the installation, or of the
    sources; None where they are missing.
    """
    import gpu_thermo

    home = Path(gpu_thermo.__file__).resolve().parents[1]
    found = [folder for folder in (home / "gpu_thermo_docs", home / "docs") if (folder / "equations.md").is_file()]
    return found[0] if found else None


def _planned(spec: dict[str, Any] | None) -> str:
    """What `gpu-thermo sample` would do here, by default or with a spec."""
    from gpu_thermo.errors import GpuThermoError
    from gpu_thermo.run import plan

    from .output import size

    try:
        bill = plan(spec)
    except GpuThermoError as error:
        return f"refused: {error}"
    return (
        f"engine {bill.engine} on {bill.device}, {size(bill.memory_bytes)} of memory, {size(bill.disk_bytes)} of disk"
    )
