"""`gpu-thermo targets`."""

from typing import Annotated

import typer

from .arguments import Json

Name = Annotated[str | None, typer.Argument(metavar="NAME", help="Show one target's options.")]


def targets(name: Name = None, as_json: Json = False) -> None:
    """List the targets without data, or show one with its options."""
    from gpu_thermo.targets.options import TARGETS

    from .catalogue import Catalogue

    Catalogue("target", "[target]", "name", "targets", TARGETS).show(name, as_json)
