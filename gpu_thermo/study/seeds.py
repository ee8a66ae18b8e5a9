"""[seeds] of a study: numbers for data, initial state and dynamics, in step or in all combinations."""

from typing import Literal, NamedTuple

import numpy as np
from pydantic import Field, model_validator

from ..spec.section import Section

MAX_SEEDS = 2**32


class SeedTable(NamedTuple):
    """The seeds of a study, one row for each seed index: data seeds, and the stream ids of initial state and dynamics,
    [S] uint64.
    """

    data: np.ndarray
    init: np.ndarray
    dynamics: np.ndarray

    def __len__(self) -> int:
        return self.data.shape[0]


class SeedsSpec(Section):
    """[seeds]: numbers for data, initial state and dynamics; `count` for those not given.

    A number s of `data` is the data seed (the split seed of real data); s of `init` and `dynamics` is a stream id of
    the base run's seed (equations.md section 7), so that the seed index alone decides, and equal numbers pair across
    methods.
    """

    count: int | None = Field(None, ge=1, le=MAX_SEEDS, description="n seeds, 0 to n - 1, for whatever is not given")
    data: int | list[int] | None = Field(None, description="data seeds: so many from 0 on, or these")
    init: int | list[int] | None = Field(None, description="streams of the initial state: so many, or these")
    dynamics: int | list[int] | None = Field(None, description="streams of noise and minibatches: so many, or these")
    combine: Literal["zip", "product"] = Field("zip", description="whether the three go in step, or all combinations")

    @model_validator(mode="after")
    def _usable(self) -> "SeedsSpec":
        for name in ("data", "init", "dynamics"):
            given = getattr(self, name)
            if given is None:
                continue
            if isinstance(given, int) and not 1 <= given <= MAX_SEEDS:
                raise ValueError(f"{name} = {given} is no number of seeds: use 1 or more, or a list of seeds")
            if isinstance(given, list) and (not given or len(set(given)) != len(given)):
                raise ValueError(f"{name} = {given[:10]} must name at least one seed, and none twice")
            highest = 2**64 if name == "data" else 2**32
            if isinstance(given, list) and not all(0 <= s < highest for s in given):
                raise ValueError(f"{name} has a seed outside 0 to {highest - 1}")
        lengths = self.lengths()
        if self.combine == "zip" and len({n for n in lengths.values() if n > 1}) > 1:
            found = ", ".join(f"{n} of {name}" for name, n in lengths.items())
            raise ValueError(
                f'{found} cannot go in step: give equal numbers (or one, shared by all), or combine = "product"'
            )
        return self

    def lengths(self) -> dict[str, int]:
        """Number of seeds of each kind."""
        given = {name: getattr(self, name) for name in ("data", "init", "dynamics")}
        own = {name: 0 if g is None else g if isinstance(g, int) else len(g) for name, g in given.items()}
        rest = self.count or (1 if self.combine == "product" else max(1, *own.values()))
        return {name: n or rest for name, n in own.items()}

    def table(self) -> SeedTable:
        """All seeds, in order of the seed index."""
        lists = []
        for name, n in self.lengths().items():
            given = getattr(self, name)
            lists.append(np.asarray(given if isinstance(given, list) else np.arange(n), np.uint64))
        if self.combine == "product":
            grids = np.meshgrid(*lists, indexing="ij")
            return SeedTable(*(g.ravel() for g in grids))
        longest = max(len(values) for values in lists)
        return SeedTable(*(np.repeat(v, longest) if len(v) == 1 else v for v in lists))
