"""What the options of all data have in common: seeds, splits, and how a `Dataset` comes of them."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from ...errors import DataError
from ..dataset import Dataset
from ..tasks import TASKS

MAX_POINTS = 10**8
MAX_SETS = 2**16
TEST_FRACTION = 0.2

Seed = Annotated[int, Field(ge=0, le=2**64 - 1)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Standardise = bool | Literal["features"]
if TYPE_CHECKING:
    Task = str
else:
    Task = Literal["auto", *TASKS]


class DataSource(BaseModel, ABC):
    """Base of all data options."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    seed_field: ClassVar[str] = "seed"

    name: str
    seeds: list[Seed] | None = Field(
        None, min_length=1, max_length=MAX_SETS, description="several seeds, one data set for each"
    )

    @model_validator(mode="after")
    def _one_kind_of_seed(self) -> Self:
        if self.seeds is not None and self.seed_field in self.model_fields_set:
            raise ValueError(
                f"{self.seed_field} = {getattr(self, self.seed_field)} and seeds = {self.seeds[:5]} are both given:"
                f" give {self.seed_field} for one data set, or seeds for several"
            )
        return self

    @model_serializer(mode="wrap")
    def _only_what_was_meant(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is None (TOML has no word for it), and the one seed where there are several: the result can be
        read back.
        """
        values = {key: value for key, value in handler(self).items() if value is not None}
        if self.seeds is not None:
            values.pop(self.seed_field, None)
        return values

    @property
    def all_seeds(self) -> list[int]:
        """The seed of each data set, [D]."""
        return list(self.seeds) if self.seeds is not None else [getattr(self, self.seed_field)]

    @property
    def label(self) -> str:
        """What titles call the data."""
        return self.name

    @abstractmethod
    def build(self, base: Path | None = None) -> Dataset:
        """Make or read the data; relative paths of files start at `base` (by default the current folder).

        Raises
        ------
        DataError
            If a file, or what is in it, cannot be used.
        """


class Real(DataSource):
    """Base of real data: `seeds` gives several splits of the same rows."""

    seed_field: ClassVar[str] = "split_seed"

    split_seed: Seed = Field(0, description="seed of the split into training and test part")
    test_fraction: Fraction = Field(TEST_FRACTION, description="part of the rows kept for testing")
    standardise: Standardise = Field(
        True,
        description="shift and scale to mean 0 and sd 1 over the training part (regression: targets too, unless"
        ' "features")',
    )


def place(path: str, base: Path | None) -> Path:
    """Where a file is: `~` is the user's home, and a relative path starts at `base`."""
    given = Path(path)
    try:
        given = given.expanduser()
    except RuntimeError as error:
        raise DataError(f"Path '{path}' has an unknown home folder ({error}). Write it in full.") from error
    return given if base is None else base / given
