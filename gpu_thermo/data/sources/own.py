"""The user's own data: tables in files, arrays in files, and what is given from Python."""

from abc import abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ...errors import SpecError
from .. import arrays, frames, tables
from ..dataset import Dataset, Part, stack
from ..kinds import Inspected, inspected
from ..recipe import Raw
from ..splits import Table, split_table
from .base import TEST_FRACTION, DataSource, Fraction, Real, Seed, Standardise, Task, place

Column = Annotated[str, Field(min_length=1)]
Kind = Literal["number", "category", "date", "day-first", "month-first"]
_ENCODE = '"auto" (default): what each column holds decides; "numbers": all are numbers, taken as they are'
_TRANSFORM = '"log": the logarithm of a positive target is learned; predictions are in its own units'
_KINDS = (
    'by column "number", "category" or "date" where "auto" would take it for something else; "day-first" or'
    ' "month-first" are dates, and how they are written'
)
_DROP = "names of columns that are not used"
_DROP_MISSING = "leave out rows without a value of the target, with a warning, in place of refusing them"


def check_drop(drop: list[str] | None, features: list[str], needed: tuple[str | None, ...]) -> None:
    """ValueError where a column is both left out and used."""
    for name in drop or ():
        if name in needed or name in features:
            use = "a feature" if name in features else "the target, or the weight"
            raise ValueError(f"drop names '{name}', which is {use}: leave it out of one of the two")


class TableFile(Real):
    """Base of files that hold a table."""

    path: str = Field(min_length=1, description="the file, relative to the spec")
    target: Column | list[Column] = Field(
        description="name of the target column, or a list of names for regression on several"
    )
    features: list[Column] | None = Field(
        None, min_length=1, description="names of the feature columns (default all others)"
    )
    task: Task = Field("auto", description="auto, binary, multiclass or regression")
    weight: Column | None = Field(
        None, description="name of the column of the points' weights, scaled to mean 1 over the training part"
    )
    encode: Literal["auto", "numbers"] | None = Field(None, description=_ENCODE)
    kinds: dict[Column, Kind] | None = Field(None, description=_KINDS)
    target_transform: Literal["log"] | None = Field(None, description=_TRANSFORM)
    drop: list[Column] | None = Field(None, min_length=1, description=_DROP)
    drop_missing_target: bool | None = Field(None, description=_DROP_MISSING)

    @model_validator(mode="after")
    def _columns_make_sense(self) -> Self:
        targets, features = self.all_targets, self.features or []
        if self.weight in (*targets, *features):
            raise ValueError(f"column '{self.weight}' is the weight, and a target or a feature: leave it out of one")
        if not targets:
            raise ValueError("target = [] names no column: name at least one")
        for what, names in (("target", targets), ("features", features)):
            if len(set(names)) != len(names):
                raise ValueError(f"{what} = {names[:10]} names a column twice: name each once")
        both = set(targets) & set(features)
        if both:
            raise ValueError(f"column '{min(both)}' is both a target and a feature: leave it out of one")
        check_drop(self.drop, features, (*targets, self.weight))
        if len(targets) > 1 and self.task not in ("auto", "regression"):
            raise ValueError(f'{len(targets)} targets with task = "{self.task}": several targets are regression')
        return self

    @property
    def label(self) -> str:
        """The file's own name."""
        return Path(self.path).name

    @property
    def all_targets(self) -> list[str]:
        """Names of the target columns."""
        return [self.target] if isinstance(self.target, str) else list(self.target)

    @property
    def asked(self) -> tables.Asked:
        """What to read of the file."""
        encode, kinds = self.encode or "auto", self.kinds or {}
        drop, missing = self.drop or (), bool(self.drop_missing_target)
        return tables.Asked(self.all_targets, self.features, self.task, self.weight, encode, kinds, drop, missing)

    @staticmethod
    @abstractmethod
    def raw(path: Path) -> dict[str, Raw]:
        """All columns of a file of this kind."""

    @staticmethod
    @abstractmethod
    def column(path: Path, name: str) -> list[str | None]:
        """One column of a file of this kind as texts, None where it is missing."""

    @classmethod
    def inspect(cls, path: Path) -> Inspected:
        """What each column of a file would become, as a feature and as a target.

        Raises
        ------
        DataError
            If the file cannot be used.
        """
        return inspected(cls.raw(path), str(path))

    def _split(self, table: Table) -> Dataset:
        schema = replace(table.schema, target_transform=self.target_transform)
        return split_table(replace(table, schema=schema), self.test_fraction, self.all_seeds, self.standardise)


class Csv(TableFile):
    """A CSV file with a header. Numbers, texts and dates become inputs, missing values are filled in; columns that tell
    nothing are left out, with a line that says so. The target may be text labels.

    With task "auto", a target with text in it is classification, and so is one of whole numbers with two different
    values, or at most 20 that occur five times each on average; all else, and more than one target, is regression.
    """

    name: Literal["csv"] = "csv"

    def build(self, base: Path | None = None) -> Dataset:
        """Read and split the file."""
        return self._split(tables.read_csv(place(self.path, base), self.asked))

    @staticmethod
    def raw(path: Path) -> dict[str, Raw]:
        """All columns of a CSV file."""
        return tables.raw_table(path)

    @staticmethod
    def column(path: Path, name: str) -> list[str | None]:
        """One column of a CSV file."""
        return tables.texts_of(path, name)


class Parquet(TableFile):
    """A Parquet file, taken as a CSV file with the same columns is; pandas and pyarrow read it."""

    name: Literal["parquet"] = "parquet"

    def build(self, base: Path | None = None) -> Dataset:
        """Read and split the file."""
        return self._split(frames.read_parquet(place(self.path, base), self.asked))

    @staticmethod
    def raw(path: Path) -> dict[str, Raw]:
        """All columns of a Parquet file."""
        return frames.raw_parquet(path)

    @staticmethod
    def column(path: Path, name: str) -> list[str | None]:
        """One column of a Parquet file."""
        return frames.texts_of(path, name)


class Npz(DataSource):
    """A NumPy .npz file with x [points, features] and y, which are then split; or x_train, y_train, x_test, y_test.
    Never unpickled.

    y holds labels (numbers or text) or numbers to regress on, [points] or [points, targets]; task "auto" decides as for
    CSV files. An array `weight` [points] beside x and y (`weight_train` beside x_train) holds weights of the points.
    """

    seed_field: ClassVar[str] = "split_seed"

    name: Literal["npz"] = "npz"
    path: str = Field(min_length=1, description="the file, relative to the spec")
    task: Task = Field("auto", description="auto, binary, multiclass or regression")
    target_transform: Literal["log"] | None = Field(None, description=_TRANSFORM)
    test_fraction: Fraction | None = Field(
        None, description=f"part of the rows of x, y kept for testing (default {TEST_FRACTION})"
    )
    split_seed: Seed = Field(0, description="seed of the split of x, y")
    standardise: Standardise = Field(
        True,
        description="shift and scale to mean 0 and sd 1 over the training part (regression: targets too, unless"
        ' "features")',
    )

    @property
    def label(self) -> str:
        """The file's own name."""
        return Path(self.path).name

    def build(self, base: Path | None = None) -> Dataset:
        """Read the file, and split it if it is not split yet."""
        path = place(self.path, base)
        held = arrays.npz_arrays(path)
        table, train = arrays.npz_table(path, held, self.task)
        table = replace(table, schema=replace(table.schema, target_transform=self.target_transform))
        if "x" in held:
            fraction = TEST_FRACTION if self.test_fraction is None else self.test_fraction
            return split_table(table, fraction, self.all_seeds, self.standardise)
        if self.test_fraction is not None or self.all_seeds != [0]:
            raise SpecError(
                f"{path} is split already (x_train, y_train): leave out test_fraction, split_seed and seeds, or give x"
                " and y."
            )
        part = Part(table.x[:train], table.y[:train], table.x[train:], table.y[train:], table.weight)
        return stack(table.schema, [part], self.standardise)


class Arrays(DataSource):
    """Arrays or a DataFrame given from Python, `gt.sample(spec, data=(X, y))`; a spec holds none, only how to split
    them.
    """

    seed_field: ClassVar[str] = "split_seed"

    name: Literal["arrays"] = "arrays"
    split_seed: Seed = Field(0, description="seed of the split into training and test part")
    standardise: Standardise = Field(
        True, description="shift and scale to mean 0 and sd 1 over the training part (regression: targets too)"
    )
    test_fraction: Fraction | None = Field(
        None, description=f"part of the rows kept for testing (default {TEST_FRACTION})"
    )
    target: Column | list[Column] | None = Field(
        None, description="DataFrame: name of the target column, or a list of names for regression on several"
    )
    features: list[Column] | None = Field(
        None, min_length=1, description="DataFrame: names of the feature columns (default all others)"
    )
    weight: Column | None = Field(None, description="DataFrame: name of the column of the points' weights")
    encode: Literal["auto", "numbers"] | None = Field(None, description=f"DataFrame: {_ENCODE}")
    kinds: dict[Column, Kind] | None = Field(None, description=f"DataFrame: {_KINDS}")
    drop: list[Column] | None = Field(None, min_length=1, description=f"DataFrame: {_DROP}")
    drop_missing_target: bool | None = Field(None, description=f"DataFrame: {_DROP_MISSING}")
    target_transform: Literal["log"] | None = Field(None, description=_TRANSFORM)
    task: Task = Field("auto", description="auto, binary, multiclass or regression")
    sha256: str | None = Field(
        None, pattern="^[0-9a-f]{64}$", description="hash of the data as sampled, written into a run's own spec"
    )

    def build(self, base: Path | None = None) -> Dataset:
        """Refuse: a spec holds no arrays."""
        raise SpecError(
            "This spec's data are arrays given from Python, and a spec holds none: gpu_thermo.sample(spec, data=(X,"
            " y))."
        )
