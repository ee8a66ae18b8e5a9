"""The data layer: `Dataset`, the options of every data name, and what builds one from the other.

Reading order: dataset (what a run gets), addresses (randomness), generators, splits, bundled, labels,
arrays (.npz, IDX), texts (what is a number), recipe and kinds (what columns of a table become), tables (CSV),
frames (DataFrames, Parquet), sources (the options of every name), given (what comes from Python).
"""

from .dataset import Dataset, Standardisation
from .generators import gap_function
from .sources import (
    DATASETS,
    BreastCancer,
    Circles,
    Csv,
    DataOptions,
    DataSource,
    Diabetes,
    Digits,
    Gap,
    Mnist,
    Moons,
    Npz,
    Parquet,
    Spirals,
    Trig,
    Wine,
)

__all__ = [
    "DATASETS",
    "BreastCancer",
    "Circles",
    "Csv",
    "DataOptions",
    "DataSource",
    "Dataset",
    "Diabetes",
    "Digits",
    "Gap",
    "Mnist",
    "Moons",
    "Npz",
    "Parquet",
    "Spirals",
    "Standardisation",
    "Trig",
    "Wine",
    "gap_function",
]
