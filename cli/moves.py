"""`gpu-thermo moves`."""

from typing import Annotated

import typer

from .arguments import Json

Name = Annotated[str | None, typer.Argument(metavar="NAME", help="Show one move's options.")]


def moves(name: Name = None, as_json: Json = False) -> None:
    """List the ensemble moves, or show one with its options."""
    from gpu_thermo.moves.table import MOVES

    from .catalogue import Catalogue

    Catalogue("move", "[[moves]]", "kind", "moves", MOVES).show(name, as_json)
