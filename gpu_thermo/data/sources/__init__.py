"""The [data] section of a spec: one model of options for each name, and how each builds its `Dataset`.

The docstring of a model and the descriptions of its fields are what `gpu-thermo datasets` shows. `seeds` asks for
several data sets of one shape: replica r trains on set r mod D.
"""

from typing import Annotated

from pydantic import Field

from .base import TEST_FRACTION, DataSource, Real, place
from .bundled import BreastCancer, Bundled, Diabetes, Digits, Mnist, Wine
from .generated import Circles, Gap, Generated, Moons, Spirals, Trig, TwoClasses
from .own import Arrays, Csv, Npz, Parquet, TableFile

__all__ = [
    "DATASETS", "TEST_FRACTION", "Arrays", "BreastCancer", "Bundled", "Circles", "Csv", "DataOptions", "DataSource",
    "Diabetes", "Digits", "Gap", "Generated", "Mnist", "Moons", "Npz", "Parquet", "Real", "Spirals", "TableFile",
    "Trig", "TwoClasses", "Wine", "place",
]  # fmt: skip

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
