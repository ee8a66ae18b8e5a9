"""Names of devices: "cpu", "cuda:1", and several of them, "cuda:0,cuda:1", among which the replicas of a run are shared
out (sharded.py).
"""

from collections.abc import Sequence

from ..errors import DeviceError, SpecError

ALL = "cuda:all"
"""Every GPU there is."""


def resolve_device(device: str, library: str = "") -> str:
    """Device "cpu" or "cuda:i" from what the user asked for; "auto" takes a GPU where there is one, but for what is
    computed by another `library`.

    Raises
    ------
    DeviceError
        If a GPU is asked for and CuPy or the GPU is missing.
    SpecError
        If it is no name of a device, or names several.
    """
    if isinstance(device, str) and ("," in device or device == ALL):
        raise SpecError(
            f"device = {device!r} is several, and one is wanted here: sample, fit and resume alone share out."
        )
    kind, _, index = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (index and (kind != "cuda" or not index.isdigit())):
        raise SpecError(
            f"device = {device!r} is unknown. Devices: auto, cpu, cuda, cuda:0, cuda:1, ...; of a run also several,"
            " cuda:0,cuda:1 or cuda:all."
        )
    if library and kind == "cuda":
        raise DeviceError(f"device = {device!r}: what {library} computes runs on the CPU here. Use --device cpu.")
    if kind == "cpu" or library:
        return "cpu"
    count, why = count_gpus()
    if count > int(index or 0):
        return f"cuda:{int(index or 0)}"
    if kind == "auto":
        return "cpu"
    why = why or f"there are {count} GPUs, numbered from 0"
    raise DeviceError(f"device = {device!r}: {why}. Use --device cpu, or see gpu-thermo doctor.")


def resolve_devices(device: str | Sequence[str], library: str = "") -> str:
    """As `resolve_device`, of one or several, which are joined by commas: a sequence, "cuda:0,cuda:1", or "cuda:all".

    Raises
    ------
    DeviceError, SpecError
        As for one; and where one of several is no GPU, or named twice.
    """
    names = device.split(",") if isinstance(device, str) else [str(name) for name in device]
    asked = [name.strip() for name in names] or [""]
    if asked == [ALL]:
        count = 0 if library else count_gpus()[0]
        asked = [f"cuda:{i}" for i in range(count)] or ["cuda"]  # of which it is said that there is none
    if len(asked) == 1:
        return resolve_device(asked[0], library)
    shown = ",".join(asked)
    if wrong := [name for name in asked if name.partition(":")[0] != "cuda" or name == ALL]:
        raise SpecError(
            f"device = {shown!r}: several devices are GPUs by number, and {wrong[0]!r} is none. Write cuda:0,cuda:1, or"
            " cuda:all; one process uses all cores of the CPU, and --workers N starts several."
        )
    names = ["cuda:0" if name == "cuda" else name for name in asked]
    if twice := [name for name in names if names.count(name) > 1]:
        raise SpecError(f"device = {shown!r} names {twice[0]} twice: name each device once.")
    return ",".join(resolve_device(name, library) for name in names)


def each_device(device: str) -> tuple[str, ...]:
    """The devices that a resolved name is of, in order."""
    return tuple(device.split(","))


def count_gpus() -> tuple[int, str]:
    """Number of usable GPUs, and why there is none."""
    try:
        import cupy
    except ImportError:
        return 0, 'CuPy is not installed: pip install "gpu-thermo[cuda13]" (or cuda12)'
    try:
        return int(cupy.cuda.runtime.getDeviceCount()), ""
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return 0, f"CUDA finds no GPU ({error})"
