"""What makes the site, for its tests: it is no installed package, and stands at the top of the sources."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))

from docs.site import (  # noqa: E402
    docstrings,
    formulas,
    gallery,
    inventories,
    library,
    links,
    made,
    playground,
    shown,
    staging,
    tutorials,
)

__all__ = [
    "ROOT", "docstrings", "formulas", "gallery", "inventories", "library", "links", "made", "playground", "shown",
    "staging", "tutorials",
]  # fmt: skip
