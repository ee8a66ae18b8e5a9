"""Colours, marks and type of all figures. Colours are told apart by readers with any colour vision, and classes also by
their marks.
"""

from typing import Any

import numpy as np

CLASS_COLOURS = (
    "#4477AA",
    "#EE6677",
    "#228833",
    "#CCBB44",
    "#AA3377",
    "#66CCEE",
    "#44AA99",
    "#999933",
    "#882255",
    "#777777",
)
"""Paul Tol's bright colours, then his muted ones."""
TWO_COLOURS = ("#0F3A7D", "#8E1420")
"""Classes 0 and 1 where the map shows a probability: the ends of the diverging scale."""
MARKS = ("o", "^", "s", "D", "v", "P", "X", "<", ">", "h")
CURVE = "#0B4F8A"

UNCERTAINTY = "viridis"
VALUE = "cividis"

RC: Any = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "axes.linewidth": 0.6,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "savefig.dpi": 200,
    "figure.dpi": 100,
    "svg.hashsalt": "gpu_thermo",
    "svg.fonttype": "path",
}


def class_colour(index: int) -> str:
    """Colour of a class; they repeat after ten, the marks with them."""
    return CLASS_COLOURS[index % len(CLASS_COLOURS)]


def class_mark(index: int) -> str:
    """Mark of a class; shifted at every repeat of the colours, so that pairs stay distinct."""
    return MARKS[(index + index // len(CLASS_COLOURS)) % len(MARKS)]


def probability_colours() -> Any:
    """Diverging about 1/2, blue to red; without the darkest ends, so that points stand out."""
    from matplotlib import colormaps
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("probability", colormaps["RdBu_r"](np.linspace(0.2, 0.8, 256)))
