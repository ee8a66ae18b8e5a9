"""What decides the bits of a run on this machine: a Build, as a store keeps it of every stretch of steps.

Runs of equal builds are equal bit for bit, whatever the threads, the segments, the stops, the hour and the host. Two
builds agree in random addresses and integers, to rounding in the first steps, and then in law only: so a run is not
continued by another build than its own unless that is insisted on, and then its store says from which step on.
"""

import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np

from .. import __version__
from ..errors import OtherBitsError
from ..kernels.host import digest
from ..kernels.toolchain import find_compiler, host_build, host_flags


@dataclass(frozen=True)
class Build:
    """What decides bits; empty where a fact decides none.

    Attributes
    ----------
    engine : batched or fused. precision : float32 or float64. device : cpu, or the GPU's name. gpu_thermo : version.
    library : of a target that another one computes.
    kernels : digest of the compiled sources, comments apart. compiler, flags, target, vector_bits : of the host's
    compiler (kernels/host.py), "none" where there is none.
    functions : digest of what NumPy's elementary functions and sums answer: they follow its version, its vector
    instructions and the C library. numpy, blas : versions (and the kind of processor that BLAS chose), where products
    of matrices are NumPy's.
    cuda, nvrtc, cublas, cupy : versions, on a GPU.
    """

    engine: str
    precision: str
    device: str
    gpu_thermo: str = __version__
    library: str = ""
    kernels: str = ""
    compiler: str = ""
    flags: str = ""
    target: str = ""
    vector_bits: str = ""
    functions: str = ""
    numpy: str = ""
    blas: str = ""
    cuda: str = ""
    nvrtc: str = ""
    cublas: str = ""
    cupy: str = ""

    def to_dict(self) -> dict[str, str]:
        """The facts that decide anything, by name."""
        return {name: value for name, value in asdict(self).items() if value}


def make_build(
    engine: str, precision: str, device: str, sources: Iterable[str], arrays: bool, library: str = ""
) -> Build:
    """The build of a run on `device`.

    Parameters
    ----------
    sources : texts of all kernels the run compiles. arrays : whether NumPy (or CuPy) multiplies matrices in it.
    library : whose arithmetic the target is, where it is not ours.
    """
    known = {"kernels": kernels_digest(sources), "functions": functions_digest()}
    facts = _on_host(arrays) if device == "cpu" else _on_gpu(device, arrays)
    return Build(engine, precision, **({"device": device, "library": library} | known | facts))


def _on_host(arrays: bool) -> dict[str, str]:
    compiler = find_compiler()
    if compiler is None:
        facts = {"compiler": "none"}
    else:
        host = host_build(compiler, host_flags(compiler))
        facts = {name: str(value) for name, value in asdict(host).items()}
    return facts | ({"numpy": np.__version__, "blas": blas()} if arrays else {})


def _on_gpu(device: str, arrays: bool) -> dict[str, str]:
    import cupy

    with cupy.cuda.Device(int(device.partition(":")[2] or 0)) as gpu:
        name = cupy.cuda.runtime.getDeviceProperties(gpu.id)["name"].decode()
        cublas = cupy.cuda.cublas.getVersion(gpu.cublas_handle) if arrays else ""
    return {
        "device": f"{name} (compute capability {gpu.compute_capability})",
        "cuda": str(cupy.cuda.runtime.runtimeGetVersion()), "cupy": str(cupy.__version__), "cublas": str(cublas),
        "nvrtc": ".".join(map(str, cupy.cuda.nvrtc.getVersion())),
    }  # fmt: skip


def kernels_digest(sources: Iterable[str]) -> str:
    """Digest of sources, in which comments and spaces do not count; empty without one."""
    texts = [" ".join(re.sub(r"//[^\n]*|/\*.*?\*/", " ", text, flags=re.DOTALL).split()) for text in sources]
    return digest(*texts)[:16] if texts else ""


@cache
def functions_digest() -> str:
    """Digest of the answers of NumPy's and the C library's elementary functions, and of sums."""
    h = hashlib.sha256()
    wide = np.concatenate([np.linspace(-30, 30, 3001), np.geomspace(1e-9, 700, 1000)])
    with np.errstate(all="ignore"):
        for x in (wide, wide.astype(np.float32)):
            for function in (np.exp, np.expm1, np.sin, np.cos, np.tanh, np.sqrt):
                h.update(function(x).tobytes())
            for logarithm in (np.log, np.log1p):
                h.update(logarithm(np.abs(x)).tobytes())
            h.update(np.power(np.abs(x), x.dtype.type(0.55)).tobytes())
            table = x[:4000].reshape(40, 100)
            for axis in (None, 0, 1):
                h.update(np.sum(table, axis=axis).tobytes() + np.mean(table * table, axis=axis).tobytes())
    ours = [f(v) for f in (math.exp, math.log1p, math.log2) for v in wide[3001:].tolist() if v < 700]
    h.update(np.array(ours).tobytes())
    return h.hexdigest()[:16]


@cache
def blas() -> str:
    """NumPy's BLAS, its version and the kind of processor it took its kernels for."""
    from threadpoolctl import threadpool_info  # type: ignore[import-untyped]

    found = [library for library in threadpool_info() if library.get("user_api") == "blas"]
    own = [library for library in found if "numpy" in str(library.get("filepath"))] or found
    if own:
        parts = (own[0].get(key) for key in ("internal_api", "version", "architecture"))
        return " ".join(str(part) for part in parts if part)
    config: Any = np.show_config(mode="dicts")
    built = config.get("Build Dependencies", {}).get("blas", {})
    return f"{built.get('name', 'unknown')} {built.get('version', '')}".strip()


# -- the history of a run ----------------------------------------------------------------------------------------------

Stretch = dict[str, Any]
"""{"step": the step from which on, "build": facts by name}."""


def read_history(attributes: Mapping[str, Any]) -> list[Stretch]:
    """The stretches that a commit's attributes name, in order; what is no stretch is left out."""
    found = attributes.get("history")
    return [
        {"step": one["step"], "build": {str(name): str(value) for name, value in one["build"].items()}}
        for one in (found if isinstance(found, list) else [])
        if isinstance(one, dict) and type(one.get("step")) is int and isinstance(one.get("build"), dict)
    ]


def differing(then: Mapping[str, str], now: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Facts that differ: name -> (then, now); "nothing" where one of them says nothing."""
    names = dict.fromkeys((*then, *now))
    pairs = {name: (then.get(name, "nothing"), now.get(name, "nothing")) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def differences(then: Mapping[str, str], now: Mapping[str, str], first: str = "then", second: str = "now") -> str:
    """One line for each fact that differs, with who has which; of flags, those that do."""
    lines = []
    for name, (old, new) in differing(then, now).items():
        if name == "flags" and "nothing" not in (old, new):
            old, new = _without(old, new), _without(new, old)
        lines.append(f"  {name}: {old} {first}, {new} {second}")
    return "\n".join(lines)


def _without(flags: str, others: str) -> str:
    return " ".join(flag for flag in flags.split() if flag not in others.split()) or "without"


def continued(history: list[Stretch], build: Build, step: int, allow: bool, what: str) -> list[Stretch]:
    """The history of a run that goes on from `step` with `build`.

    Raises
    ------
    OtherBitsError
        The last stretch has another build, and that is not allowed; the message names what differs.
    """
    now = build.to_dict()
    last = history[-1]["build"] if history else {}
    if last == now:
        return history
    if not allow:
        raise OtherBitsError(
            f"{what} was sampled by another build, and would go on with other bits:\n{differences(last, now)}\n"
            "Resume it with the build it has, or insist with --allow-other-bits (in Python allow_other_bits=True): it"
            " is then written down from which step on."
        )
    return [*(one for one in history if one["step"] < step), {"step": step, "build": now}]
