"""Data made from formulas, by seed."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AliasChoices, Field, field_validator, model_validator

from .. import generators
from ..dataset import Dataset
from .base import MAX_POINTS, DataSource, Seed

Positive = Annotated[float, Field(gt=0, le=1e6)]
NoiseSd = Annotated[float, Field(ge=0, le=1e6)]


def _letter(letter: str, name: str, default: float, description: str) -> Any:
    """A field that the paper's letter names too: `a = 3` means `length = 3`."""
    return Field(
        default, validation_alias=AliasChoices(name, letter), description=f"{description} (the paper's {letter})"
    )


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
