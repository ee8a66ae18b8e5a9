"""A picture of an evidence: the integrand of thermodynamic integration over the powers of the likelihood."""

from pathlib import Path

import numpy as np

from gpu_thermo.averages.evidence import Evidence
from gpu_thermo_analysis.style import RC, class_colour


def save_evidence(found: list[Evidence], out: Path) -> None:
    """A picture: mean log L against the power, with its spread, of each ensemble."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(RC):
        figure = Figure(figsize=(5, 3.5), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        for i, one in enumerate(found):
            b, m, s = (np.array(a) for a in (one.powers, one.mean, np.sqrt(one.variance)))
            text = f"{one.label or 'log evidence'}: {one.log_evidence:.2f}"
            axes.errorbar(b ** (1 / 5), m, yerr=s, marker="o", markersize=3, color=class_colour(i), label=text)
        axes.set(xlabel="fifth root of the power of the likelihood", ylabel="log likelihood, mean and sd")
        axes.set_yscale("symlog")
        axes.legend()
        figure.savefig(out)
