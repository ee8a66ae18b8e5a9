"""`gpu-thermo datasets`."""

from typing import Annotated

import typer

from .arguments import Json

Name = Annotated[str | None, typer.Argument(metavar="NAME", help="Show one data set's options.")]


def datasets(name: Name = None, as_json: Json = False) -> None:
    """List the data sets, or show one with its options."""
    from gpu_thermo.data import DATASETS

    from .catalogue import Catalogue

    Catalogue("data set", "[data]", "name", "datasets", DATASETS).show(name, as_json)
