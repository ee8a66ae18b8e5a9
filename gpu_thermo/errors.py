"""The error tree, and the status codes of replicas that stop early.

Every message says what was wrong, the value, and the remedy. The command line turns an error into its `exit_code`.
"""

from collections.abc import Iterable
from enum import IntEnum


class GpuThermoError(Exception):
    """Root of all errors this package raises on purpose; `exit_code` 2 means refused before anything was written.

    `page` is the page that tells more, by the name that `gpu-thermo docs` takes; "" where there is none.
    """

    exit_code = 2
    page = ""


class SpecError(GpuThermoError, ValueError):
    """A spec, word, hyperparameter or schedule that cannot be run."""

    page = "spec"


class DataError(GpuThermoError, ValueError):
    """Data that cannot be read, or cannot be used with the spec."""

    page = "datasets"


class DeviceError(GpuThermoError, RuntimeError):
    """The asked device or engine is not there."""

    page = "doctor"


class CompileError(GpuThermoError, RuntimeError):
    """A kernel did not compile; the message shows the numbered source."""

    page = "doctor"


class ResourceError(GpuThermoError, RuntimeError):
    """A run that cannot fit in memory or on disk."""

    page = "sample"


class StoreError(GpuThermoError, RuntimeError):
    """A store that cannot be created, opened, or continued."""

    page = "files"


class DiskError(StoreError):
    """A store that its disk does not take: it is full, or fails."""

    exit_code = 1


class StoreExistsError(StoreError):
    """The output exists already and `overwrite` was not asked for."""

    page = ""


class StoreLockedError(StoreError):
    """Another process is writing to this store."""


class OtherBitsError(StoreError):
    """A run or study that would go on with other bits than it was begun with."""

    page = "equations.7"


class RunError(GpuThermoError, RuntimeError):
    """Trouble in the middle of a run: what was committed stays readable and can be resumed.

    Attributes
    ----------
    run : of a run in memory, the tree (xarray.DataTree) drawn until then, or None.
    """

    exit_code = 1
    page = "resume"
    run: object = None


class DivergedError(RunError):
    """A run that tunes itself found no stepsize at which positions stay finite, or was given one where they do not."""

    page = "tuning"


def did_you_mean(name: str, known: Iterable[str], listed: str | None = None, always: bool = False) -> str:
    """The remedy for an unknown name: "Did you mean 'near'?" where one of `known` is near, else what there is.

    Parameters
    ----------
    listed : the sentence that says what there is; "Known: a, b." by default. always : whether it follows a near name,
    too.
    """
    import difflib

    known = [*known]
    near = difflib.get_close_matches(name, known, 1)
    listed = f"Known: {', '.join(known)}." if listed is None else listed
    if not near:
        return listed
    return f"Did you mean '{near[0]}'?{f' {listed}' if always else ''}"


class Status(IntEnum):
    """Why a replica was frozen; 0 is running."""

    RUNNING = 0
    NONFINITE_GRADIENT = 1
    NONFINITE_MOMENTUM = 2
    NONFINITE_POSITION = 3
    NONFINITE_THERMOSTAT = 4
    NONFINITE_LOSS = 5
    """Parameters are finite and the loss is not: found where it is recorded, not by the steps."""

    @property
    def remedy(self) -> str:
        """One line for the user: what happened and what to change."""
        return _REMEDIES[self]


_REMEDIES = {
    Status.RUNNING: "running",
    Status.NONFINITE_GRADIENT: "the gradient overflowed: use a smaller stepsize, or standardise the data",
    Status.NONFINITE_MOMENTUM: "the momentum overflowed: use a smaller stepsize or more friction",
    Status.NONFINITE_POSITION: "the position overflowed: use a smaller stepsize or a prior",
    Status.NONFINITE_THERMOSTAT: "the thermostat overflowed: use a smaller stepsize or epsilon",
    Status.NONFINITE_LOSS: "the loss overflowed: use a smaller stepsize, smaller initial weights or a prior",
}
