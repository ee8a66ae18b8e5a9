"""What a spec cannot hold, given beside it in Python: data, a potential, a network, starts. And how a spec says so."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data import Dataset
from ..data.given import build_given
from ..data.sources import Arrays
from ..errors import SpecError
from ..spec.default import default_spec
from ..spec.model import GIVEN, ModelSpec
from ..spec.run import RunSpec
from ..spec.text import read_toml
from ..targets.base import Potential
from ..targets.priors import AUTO
from .model import as_answered
from .setup import prepare
from .subject import Setup

SpecLike = RunSpec | Mapping[str, Any] | str | Path | None


@dataclass(frozen=True)
class Given:
    """What the user gave beside the spec; None where nothing.

    Attributes
    ----------
    data : arrays, a DataFrame or a Dataset (data/given.py). potential : of a spec with target = {name = "custom"}.
    init : tensors to start from, by name (running/starts.py).
    network : in place of ours (targets/own).
    """

    data: Any = None
    potential: Potential | None = None
    init: Any = None
    network: Any = None


def as_spec(spec: SpecLike, given: Given | None = None) -> tuple[RunSpec, Path | None]:
    """A RunSpec from what the user gave (None: the embedded default; str and Path: a TOML file), and the folder its
    paths start at. A section [data] without a name is about arrays, where such are given.
    """
    arrays = given is not None and given.data is not None
    if spec is None:
        return default_spec(), None
    if isinstance(spec, RunSpec):
        return spec, None
    folder = None
    if not isinstance(spec, Mapping):
        path = Path(spec)
        spec, folder = read_toml(path), path.parent
    if arrays and isinstance(spec.get("data"), Mapping):
        spec = {**spec, "data": {"name": "arrays", **spec["data"]}}
    return RunSpec.from_dict(spec), folder


def make_ready(spec: RunSpec, base: Path | None, given: Given) -> Setup:
    """The run of a spec and of what was given beside it; its own spec says what that was, by hashes.

    Raises
    ------
    SpecError, DataError
        What was given cannot be used, or the spec says something else.
    """
    data = None
    if given.data is not None:
        spec, data = with_data(spec, given.data)
    return prepare(spec, base, data, given.potential, given.init, given.network)


def with_data(spec: RunSpec, given: Any) -> tuple[RunSpec, Dataset]:
    """The data that were given, and the spec that says so: data = {name = "arrays", sha256 = ...}."""
    if spec.target is not None:
        raise SpecError(f"Data are given, and the spec has target '{spec.target.name}': leave out one of the two.")
    options = spec.data
    if not isinstance(options, Arrays):
        if "data" in spec.model_fields_set:
            raise SpecError(f"Data are given, and the spec has data.name = '{options.name}': leave out one of the two.")
        options = Arrays()
    complete = isinstance(given, Dataset)  # nothing is left to settle for the likelihood
    data = build_given(given, options if complete else as_answered(spec, options))
    found = data.fingerprint()
    if options.sha256 not in (None, found):
        raise SpecError(
            f"data.sha256 in the spec is {options.sha256[:16]}..., that of the data given {found[:16]}...: give the"
            " same data, or leave sha256 out."
        )
    return spec.model_copy(update={"data": options.model_copy(update={"sha256": found})}), data


def completed(given: RunSpec, recorded: RunSpec) -> RunSpec:
    """A spec given for a resume, with what its run was given in Python filled in from the run's own spec."""
    if not given.registered:
        given = given.model_copy(update={"registered": recorded.registered})
    if given.target is not None or recorded.target is not None:
        return given
    return given.model_copy(update={"data": _same_data(given, recorded), "model": _same_model(given.model, recorded)})


def _same_data(given: RunSpec, recorded: RunSpec) -> Any:
    ours = recorded.data
    if isinstance(ours, Arrays) and "data" not in given.model_fields_set:
        return ours
    if isinstance(ours, Arrays) and isinstance(given.data, Arrays) and given.data.sha256 is None:
        return given.data.model_copy(update={"sha256": ours.sha256})
    return given.data


def _same_model(given: ModelSpec, recorded: RunSpec) -> ModelSpec:
    ours = recorded.model
    same: dict[str, Any] = {}
    if ours.init == GIVEN and "init" not in given.model_fields_set:
        same["init"] = GIVEN
    if given.init_sha256 is None:
        same["init_sha256"] = ours.init_sha256
    if given.prior_sd == AUTO and given.prior_scales is None and ours.prior_sd == AUTO:
        same["prior_scales"] = ours.prior_scales
    if given.network is None and not given.model_fields_set & {"hidden", "activation"}:
        same["network"] = ours.network
    return given.model_copy(update=same)
