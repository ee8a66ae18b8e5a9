"""Fill the tables of bench/README.md from bench/results/*.json.

`python -m bench.tables`

A table stands between `<!-- table: NAME -->` and `<!-- end -->`; a result that is missing says how to make it.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path

from .common import RESULTS
from .eight_table import eight
from .marks import Result
from .score_tables import answer, bde, lmv_depth, lmv_fig8, lmv_fig14, mnist, pbp, tabular
from .speed_tables import (
    breakdown,
    compare,
    deep,
    gpu_check,
    memory,
    mnist_speed,
    observers,
    paper,
    scale,
    scale_beyond,
    scaling,
    sharding,
    turns,
)
from .tolerance_tables import tuned_cost, tuned_table, tuned_truth

README = Path(__file__).parent / "README.md"

TABLES: dict[str, Callable[[Result], str]] = {
    "answer": answer, "answer_first": answer, "pbp": pbp, "bde": bde, "mnist": mnist, "mnist_speed": mnist_speed,
    "scale": scale,
    "scale_beyond": scale_beyond, "eight": eight, "eight_first": eight,
    "tuned_truth": tuned_truth, "tuned_cost": tuned_cost, "tuned_table": tuned_table,
    "compare": compare, "compare_avx512": compare, "memory": memory, "scaling": scaling, "breakdown": breakdown,
    "observers": observers,
    "deep": deep, "sharding": sharding, "paper": paper, "turns": turns,
    "lmv_fig14": lmv_fig14, "lmv_fig8": lmv_fig8, "lmv_depth": lmv_depth, "gpu_check": gpu_check,
    "tabular_airfoil": tabular, "tabular_bikesharing": tabular,
}  # fmt: skip
"""How each table is made of its result."""
HOW = (
    {f"tabular_{name}": f"tabular {name}.csv" for name in ("airfoil", "bikesharing")}
    | {f"tuned_{name}": f"tuned {name}" for name in ("truth", "cost", "table")}
    | {
        "paper": "device.paper kernels.json --save",
        "mnist_speed": "mnist --speed",
        "compare_avx512": "compare",
        "scale_beyond": "scale",
    }
)
"""Commands of results that are not called as their module is."""
SOURCES = {"scale_beyond": "scale"}
"""Files of tables that are not called as they are."""
PAGES = (README, README.parents[1] / "docs" / "scale.md")


def filled(text: str, folder: Path = RESULTS) -> str:
    """`text` with every table made anew."""

    def table(found: re.Match[str]) -> str:
        name = found[1]
        path = folder / f"{SOURCES.get(name, name)}.json"
        body = (
            TABLES[name](json.loads(path.read_text()))
            if path.exists()
            else f"Not measured yet: `python -m bench.{HOW.get(name, name)}`."
        )
        return f"<!-- table: {name} -->\n{body}\n<!-- end -->"

    return re.sub(r"<!-- table: (\w+) -->\n.*?<!-- end -->", table, text, flags=re.DOTALL)


def main() -> None:
    """Rewrite the pages."""
    for page in PAGES:
        page.write_text(filled(page.read_text()))
        print(f"written: {page}")


if __name__ == "__main__":
    main()
