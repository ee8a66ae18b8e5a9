"""What `gpu-thermo predict` writes beside each row: names of columns, and values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import xarray

DIGITS, ALL_DIGITS = 7, 17
"""Of a number in a CSV file: as many as float32 tells apart, in which networks compute; and of every float64."""


@dataclass(frozen=True)
class Wanted:
    """Which columns are written.

    Attributes
    ----------
    full : whether all that is known of an answer is. interval : probability of the interval between low_NAME and
    high_NAME, None for none. levels : of the quantiles among all that is known. digits : of numbers in a CSV file.
    """

    full: bool
    interval: float | None
    levels: tuple[float, ...]
    digits: int = DIGITS

    @property
    def ends(self) -> tuple[float, ...]:
        """Levels of the interval's ends."""
        return () if self.interval is None else (round((1 - self.interval) / 2, 12), round((1 + self.interval) / 2, 12))

    @property
    def asked(self) -> tuple[float, ...]:
        """Levels of quantiles to ask for."""
        return tuple(sorted({*self.ends, *(self.levels if self.full else ())}))


def columns(found: "xarray.Dataset", target: str, wanted: Wanted) -> "dict[str, np.ndarray]":
    """Name -> [point], of one ensemble's answers; `target` is what classes are called, "" where nobody knows."""
    out = _of_classes(found, target) if "entropy" in found else _of_numbers(found, wanted)
    if "outside" in found:
        out["outside"] = found["outside"].to_numpy()
    return out | _all(found, wanted.levels) if wanted.full else out


def _of_classes(found: "xarray.Dataset", target: str) -> "dict[str, np.ndarray]":
    """The most likely class, the probability of each, and what more rows would settle."""
    import numpy as np

    mean = found["mean"].transpose("point", "output").to_numpy()
    classes = np.array(found.attrs["classes"], object)
    p = np.hstack([1 - mean, mean]) if mean.shape[1] == 1 else mean
    out = {f"predicted_{target}" if target else "predicted": classes[p.argmax(axis=1)]}
    out |= {f"probability_{name}": column for name, column in zip(classes, p.T, strict=True)}
    return out | {"epistemic": found["mutual_information"].to_numpy()}


def _of_numbers(found: "xarray.Dataset", wanted: Wanted) -> "dict[str, np.ndarray]":
    """Mean, sd (noise included), the interval that answers fall in, and the sd that more rows would narrow."""
    import numpy as np

    out: dict[str, Any] = {}
    for i, name in enumerate(outputs(found)):
        one = found.isel(output=i)
        out |= {f"mean_{name}": one["mean"].to_numpy(), f"sd_{name}": np.sqrt(one["total_variance"].to_numpy())}
        for end, level in zip(("low", "high"), wanted.ends, strict=False):
            out[f"{end}_{name}"] = one["quantiles"].sel(quantile=level).to_numpy()
        out[f"epistemic_sd_{name}"] = np.sqrt(one["variance"].to_numpy())
    return out


def _all(found: "xarray.Dataset", levels: Sequence[float]) -> "dict[str, np.ndarray]":
    """All that is known of an answer."""
    out: dict[str, Any] = {}
    for name, value in found.data_vars.items():
        if name in ("x", "outside") or "point" not in value.dims:
            continue
        if "quantile" in value.dims:
            for level in levels:
                flat = value.sel(quantile=level).transpose("point", "output").to_numpy()
                kind = str(name).removesuffix("s")
                out |= {f"{kind}_{level:g}_{o}": c for o, c in zip(outputs(found), flat.T, strict=True)}
        elif "output" in value.dims:
            flat = value.transpose("point", "output").to_numpy()
            out |= {f"{name}_{o}": c for o, c in zip(outputs(found), flat.T, strict=True)}
        else:
            out[str(name)] = value.to_numpy()
    return out


def outputs(found: "xarray.Dataset") -> list[str]:
    """Names of the outputs: a class for its probability (binary: the second one's), or a target."""
    from gpu_thermo.data.tasks import TASKS

    names = [str(output) for output in found["output"].values]
    single = TASKS[found.attrs["task"]].most == 2
    return [name.removeprefix("P(").removesuffix(")") for name in names] if single else names


def cells(values: "np.ndarray", digits: int) -> list[str]:
    """Values [rows] as they stand in a file: nothing where they are missing, numbers in so many digits."""
    if values.dtype.kind != "f":
        return ["" if v is None else v if isinstance(v, str) else repr(v) for v in values.tolist()]
    form = repr if digits >= ALL_DIGITS else f"%.{digits}g".__mod__
    return ["" if v != v else form(v) for v in values.tolist()]
