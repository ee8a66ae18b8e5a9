"""Real data with names of their own: what scikit-learn ships, and images in MNIST's layout."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from .. import arrays
from ..bundled import load_bundled
from ..dataset import Dataset, Schema, stack
from ..splits import cut_parts, split_table
from .base import MAX_POINTS, DataSource, Real, Seed, place


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
