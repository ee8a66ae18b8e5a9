"""The [data] section of a spec: one model of options for each name, and how each builds its `Dataset`.

The docstring of a model and the descriptions of its fields are what `gpu-thermo datasets` shows. `seeds` asks for
several data sets of one shape: replica r trains on set r mod D.
"""

from abc import ABC, abstractmethod
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from ..errors import DataError, SpecError
from . import arrays, frames, generators, tables
from .bundled import load_bundled
from .dataset import Dataset, Part, Schema, stack
from .kinds import Inspected, inspected
from .recipe import Raw
from .splits import Table, cut_parts, split_table
from .tasks import TASKS

MAX_POINTS = 10**8
MAX_SETS = 2**16
TEST_FRACTION = 0.2

Seed = Annotated[int, Field(ge=0, le=2**64 - 1)]
Positive = Annotated[float, Field(gt=0, le=1e6)]
NoiseSd = Annotated[float, Field(ge=0, le=1e6)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Standardise = bool | Literal["features"]
Column = Annotated[str, Field(min_length=1)]
Kind = Literal["number", "category", "date"]
_ENCODE = '"auto" (default): what each column holds decides; "numbers": all are numbers, taken as they are'
_KINDS = 'by column "number", "category" or "date", where "auto" would take it for something else'
if TYPE_CHECKING:
    Task = str
else:
    Task = Literal["auto", *TASKS]


def _letter(letter: str, name: str, default: float, description: str) -> Any:
    """A field that the paper's letter names too: `a = 3` means `length = 3`."""
    return Field(
        default, validation_alias=AliasChoices(name, letter), description=f"{description} (the paper's {letter})"
    )


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

    @abstractmethod
    def build(self, base: Path | None = None) -> Dataset:
        """Make or read the data; relative paths of files start at `base` (by default the current folder).

        Raises
        ------
        DataError
            If a file, or what is in it, cannot be used.
        """


class Generated(DataSource):
    """Base of data made from formulas."""

    seed: Seed = Field(0, description="seed of the one data set")
    train: int = Field(1000, ge=1, le=MAX_POINTS, description="training points, all classes together")
    test: int = Field(1000, ge=0, le=MAX_POINTS, description="test points, all classes together")


class TwoClasses(Generated):
    """Base of generated data with two classes of equal size."""

    @field_validator("train", "test")
    @classmethod
    def _half_each(cls, points: int) -> int:
        if points % 2:
            raise ValueError(
                f"{points} points is odd, but the set has two classes of equal size: use {points - 1} or {points + 1}"
            )
        return points


class Spirals(TwoClasses):
    """Two-armed spiral in the plane, binary (Leimkuhler, Matthews, Vlaar 2019): more turns are harder."""

    name: Literal["spirals"] = "spirals"
    turns: Positive = _letter("b", "turns", 4.0, "turns of each arm")
    radius: Positive = _letter("a", "radius", 2.0, "radius of the outer end")
    exponent: Positive = _letter(
        "p", "exponent", 0.5, "power of t in radius and angle; 1/2 spreads points evenly over the disc"
    )
    noise: NoiseSd = _letter("c", "noise", 0.02, "sd of the noise on both coordinates")

    def build(self, base: Path | None = None) -> Dataset:
        """Make the data sets."""
        shape = partial(
            generators.spirals, turns=self.turns, radius=self.radius, exponent=self.exponent, noise=self.noise
        )
        return generators.two_class(self.name, self.all_seeds, self.train, self.test, shape)


class Trig(TwoClasses):
    """Points near a cosine and a sine, binary (Leimkuhler, Matthews, Vlaar 2019): more crossings are harder."""

    name: Literal["trig"] = "trig"
    length: Positive = _letter("a", "length", 6.0, "largest x1")
    frequency: Positive = _letter("b", "frequency", 1.0, "half periods per unit of the angle's variable")
    noise: NoiseSd = _letter("c", "noise", 0.02, "sd of the noise on x2")
    form: Literal["x1", "printed"] = Field(
        "x1",
        description='variable of the angle: "x1", or "printed" for t as in the paper\'s text, which is much easier',
    )

    def build(self, base: Path | None = None) -> Dataset:
        """Make the data sets."""
        shape = partial(generators.trig, length=self.length, frequency=self.frequency, noise=self.noise, form=self.form)
        return generators.two_class(self.name, self.all_seeds, self.train, self.test, shape)


class Moons(TwoClasses):
    """Two interleaved half circles, binary, the shapes of scikit-learn's make_moons."""

    name: Literal["moons"] = "moons"
    noise: NoiseSd = Field(0.1, description="sd of the noise on both coordinates")

    def build(self, base: Path | None = None) -> Dataset:
        """Make the data sets."""
        shape = partial(generators.moons, noise=self.noise)
        return generators.two_class(self.name, self.all_seeds, self.train, self.test, shape)


class Circles(TwoClasses):
    """A circle inside another, binary, the shapes of scikit-learn's make_circles."""

    name: Literal["circles"] = "circles"
    factor: float = Field(0.5, gt=0, lt=1, description="radius of the inner circle; the outer has 1")
    noise: NoiseSd = Field(0.1, description="sd of the noise on both coordinates")

    def build(self, base: Path | None = None) -> Dataset:
        """Make the data sets."""
        shape = partial(generators.circles, factor=self.factor, noise=self.noise)
        return generators.two_class(self.name, self.all_seeds, self.train, self.test, shape)


class Gap(Generated):
    """Regression of sin(2x) + x/2 on one input, no training inputs in the middle: uncertainty should grow there; test
    points cover all.
    """

    name: Literal["gap"] = "gap"
    train: int = Field(100, ge=1, le=MAX_POINTS, description="training points, all outside the gap")
    test: int = Field(500, ge=0, le=MAX_POINTS, description="test points, over the whole interval")
    extent: Positive = Field(3.0, description="inputs lie within plus and minus this")
    gap: NoiseSd = Field(2.0, description="width of the gap around 0")
    noise: NoiseSd = Field(0.1, description="sd of the noise on the target")

    @model_validator(mode="after")
    def _gap_inside(self) -> Self:
        if self.gap >= 2 * self.extent:
            raise ValueError(
                f"gap = {self.gap:g} leaves no inputs within +-extent = {self.extent:g}: use less than"
                f" {2 * self.extent:g}"
            )
        return self

    def build(self, base: Path | None = None) -> Dataset:
        """Make the data sets."""
        return generators.gap_regression(
            self.name, self.all_seeds, self.train, self.test, self.extent, self.gap, self.noise
        )


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


class Bundled(Real):
    """Base of the sets that scikit-learn ships."""

    def build(self, base: Path | None = None) -> Dataset:
        """Read and split the data."""
        return split_table(load_bundled(self.name), self.test_fraction, self.all_seeds, self.standardise)


class Digits(Bundled):
    """Handwritten digits of 8 x 8 pixels, 10 classes, 1797 images (scikit-learn's copy of the UCI set)."""

    name: Literal["digits"] = "digits"


class BreastCancer(Bundled):
    """Breast cancer Wisconsin, binary (malignant or benign), 30 features, 569 rows."""

    name: Literal["breast_cancer"] = "breast_cancer"


class Wine(Bundled):
    """Wines of three growers, 3 classes, 13 features, 178 rows."""

    name: Literal["wine"] = "wine"


class Diabetes(Bundled):
    """Regression of a disease's progression on 10 features, 442 rows (Efron et al. 2004), read unscaled."""

    name: Literal["diabetes"] = "diabetes"


class Mnist(DataSource):
    """MNIST or a set in its layout, 10 classes: a folder with the four IDX files (gzipped or not), or Keras' mnist.npz.

    Nothing is downloaded.
    """

    seed_field: ClassVar[str] = "split_seed"

    name: Literal["mnist"] = "mnist"
    path: str = Field(min_length=1, description="folder of IDX files, or .npz file")
    train: int | None = Field(
        None, ge=1, le=MAX_POINTS, description="training images, the first after the shuffle (default all)"
    )
    test: int | None = Field(
        None, ge=0, le=MAX_POINTS, description="test images, the first after the shuffle (default all)"
    )
    split_seed: Seed = Field(0, description="seed of the shuffle")
    standardise: bool = Field(
        False, description="shift and scale each pixel by the training part; otherwise values are in [0, 1]"
    )

    def build(self, base: Path | None = None) -> Dataset:
        """Read, shuffle and cut the images."""
        given = arrays.read_images(place(self.path, base))
        features = tuple(f"pixel{i}" for i in range(given.x_train.shape[1]))
        schema = Schema(self.name, "multiclass", features, classes=tuple("0123456789"))
        return stack(
            schema, cut_parts(schema, given, (self.train, self.test), self.all_seeds, scale=255.0), self.standardise
        )


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
        if len(targets) > 1 and self.task not in ("auto", "regression"):
            raise ValueError(f'{len(targets)} targets with task = "{self.task}": several targets are regression')
        return self

    @property
    def all_targets(self) -> list[str]:
        """Names of the target columns."""
        return [self.target] if isinstance(self.target, str) else list(self.target)

    @property
    def asked(self) -> tables.Asked:
        """What to read of the file."""
        encode, kinds = self.encode or "auto", self.kinds or {}
        return tables.Asked(self.all_targets, self.features, self.task, self.weight, encode, kinds)

    @staticmethod
    @abstractmethod
    def raw(path: Path) -> dict[str, Raw]:
        """All columns of a file of this kind."""

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
        return split_table(table, self.test_fraction, self.all_seeds, self.standardise)


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
    test_fraction: Fraction | None = Field(
        None, description=f"part of the rows of x, y kept for testing (default {TEST_FRACTION})"
    )
    split_seed: Seed = Field(0, description="seed of the split of x, y")
    standardise: Standardise = Field(
        True,
        description="shift and scale to mean 0 and sd 1 over the training part (regression: targets too, unless"
        ' "features")',
    )

    def build(self, base: Path | None = None) -> Dataset:
        """Read the file, and split it if it is not split yet."""
        path = place(self.path, base)
        held = arrays.npz_arrays(path)
        table, train = arrays.npz_table(path, held, self.task)
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


def place(path: str, base: Path | None) -> Path:
    """Where a file is: `~` is the user's home, and a relative path starts at `base`."""
    given = Path(path)
    try:
        given = given.expanduser()
    except RuntimeError as error:
        raise DataError(f"Path '{path}' has an unknown home folder ({error}). Write it in full.") from error
    return given if base is None else base / given


DataOptions = Annotated[
    Spirals
    | Trig
    | Moons
    | Circles
    | Gap
    | Digits
    | BreastCancer
    | Wine
    | Diabetes
    | Mnist
    | Csv
    | Parquet
    | Npz
    | Arrays,
    Field(discriminator="name"),
]

_ALL: tuple[type[DataSource], ...] = (
    Spirals,
    Trig,
    Moons,
    Circles,
    Gap,
    Digits,
    BreastCancer,
    Wine,
    Diabetes,
    Mnist,
    Csv,
    Parquet,
    Npz,
    Arrays,
)
DATASETS: dict[str, type[DataSource]] = {model.model_fields["name"].default: model for model in _ALL}
