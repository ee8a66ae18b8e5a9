"""What goes on inside the runs: distributions of weights and biases over time, and kinetic temperatures of the layers.

Both read studies: the first needs kept parameters (w1, b1, w2 of every draw), the second the learning curves
kinetic_temperature_*.
"""

import json
from typing import Any

import numpy as np
import xarray as xr

from gpu_thermo.study import StudySpec
from gpu_thermo.study.statistics import Summary, summarise
from gpu_thermo_analysis.paper.networks import weights
from gpu_thermo_analysis.paper.rows import Claim, Row
from gpu_thermo_analysis.study_figures import Drawn, band, panels, styled
from gpu_thermo_analysis.style import class_colour

TENSORS = {"w1": "hidden weights", "b1": "hidden biases", "w2": "output weights"}
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_BINS = 120
_LINEAR = 0.1
"""Where the scale of weights goes from linear to logarithmic: methods differ by factors of fifty."""


def rows_of(study: xr.Dataset, cell: int) -> np.ndarray:
    """Places of a cell's finished runs."""
    return np.flatnonzero((study["cell"].to_numpy() == cell) & (study["status"].to_numpy() == 0))


# -- weights -----------------------------------------------------------------------------------------------------------


def draw_steps(study: xr.Dataset, cell: int) -> np.ndarray:
    """Step of each draw of a cell's runs."""
    run = StudySpec.from_json(study.attrs["study"]).cells()[cell].spec.run
    return run.burn_in + run.thin * np.arange(1, run.draws + 1)


def pooled(study: xr.Dataset, cell: int) -> dict[str, np.ndarray]:
    """Every value of each tensor over all runs of a cell, [draw, value]."""
    found = [weights(study, int(row)) for row in rows_of(study, cell)]
    return {
        name: np.concatenate([w[i].reshape(len(w[i]), -1) for w in found], axis=1) for i, name in enumerate(TENSORS)
    }


@styled
def weight_distributions(study: xr.Dataset) -> Drawn:
    """Share of weights and biases in bins of equal width on the axis, against steps, with their 5 %, 50 % and 95 %
    quantiles.
    """
    from matplotlib.colors import LogNorm

    cells = json.loads(study.attrs["cells"])
    values = [pooled(study, i) for i in range(len(cells))]
    figure, axes = panels(len(cells) * len(TENSORS), 2.2, 2.0, sharey="row", across=len(cells))
    numbers: list[tuple[Any, ...]] = []
    for k, (name, title) in enumerate(TENSORS.items()):
        edge = max(np.quantile(np.abs(v[name]), 0.999) for v in values)
        edges = _LINEAR * np.sinh(np.linspace(-1, 1, _BINS + 1) * np.arcsinh(edge / _LINEAR))
        for i, label in enumerate(cells):
            panel, steps = axes[k * len(cells) + i], draw_steps(study, i)
            table = values[i][name]
            share = np.stack([np.histogram(row, edges)[0] / len(row) for row in table])
            sides = np.concatenate([[0], (steps[1:] + steps[:-1]) / 2, [steps[-1]]])
            panel.pcolormesh(
                sides, edges, share.T, cmap="Blues", norm=LogNorm(0.3 / table.shape[1], 0.2), rasterized=True
            )
            quantiles = np.quantile(table, QUANTILES, axis=1)
            for q, lw in ((1, 0.7), (3, 1.0), (5, 0.7)):
                panel.plot(steps, quantiles[q], color="#B2182B", lw=lw)
            panel.set_yscale("asinh", linear_width=_LINEAR)
            numbers += [(label, name, int(s), *map(float, q)) for s, q in zip(steps, quantiles.T, strict=True)]
            panel.set(title=label if k == 0 else "", ylabel=title if i == 0 else "", ylim=(-edge, edge))
            if k == len(TENSORS) - 1:
                panel.set_xlabel("steps")
            else:
                panel.set_xticklabels([])
    return Drawn(figure, ("group", "tensor", "step", *(f"quantile_{100 * q:g}" for q in QUANTILES)), numbers)


def weight_rows(study: xr.Dataset) -> list[Row]:
    """Standard deviation over the units of each tensor at the end, the mean over runs."""
    out = []
    for i, label in enumerate(json.loads(study.attrs["cells"])):
        found = [weights(study, int(row)) for row in rows_of(study, i)]
        for k, name in enumerate(TENSORS):
            s = summarise(np.array([w[k][-1].std() for w in found]))
            what = f"{label}: sd of {TENSORS[name]}"
            out.append(Row(what, None, s.mean, s.error, s.sd, s.count, attempted=s.attempted))
    return out


# -- temperatures ------------------------------------------------------------------------------------------------------

PREFIX = "curve_kinetic_temperature_"


def partitions(study: xr.Dataset, cell: int) -> dict[str, float]:
    """Partitions of a cell's runs whose kinetic temperature was recorded, with the temperature asked for (NaN:
    none).
    """
    row = rows_of(study, cell)[0]
    out = {}
    for name in (str(n).removeprefix(PREFIX) for n in study.data_vars if str(n).startswith(PREFIX)):
        if np.isfinite(study[f"{PREFIX}{name}"][row].to_numpy()).any():
            asked = f"temperature_{name}"
            out[name] = float(study[asked][row]) if asked in study.variables else np.nan
    return out


@styled
def kinetic_temperatures(study: xr.Dataset) -> Drawn:
    """p.p / n of each layer against steps, in units of the temperature asked for: median of the runs, and where 80 % of
    them lie.
    """
    cells = json.loads(study.attrs["cells"])
    figure, axes = panels(len(cells), 2.7, 2.5)
    colours = {"all": class_colour(0), "hidden": class_colour(1), "output": class_colour(2)}
    numbers: list[tuple[Any, ...]] = []
    for i, (panel, label) in enumerate(zip(axes, cells, strict=True)):
        for name, asked in partitions(study, i).items():
            b, unit = band(study, i, f"kinetic_temperature_{name}"), asked if asked > 0 else np.nan
            panel.plot(b.steps, b.median / unit, color=colours[name], lw=1.2, label=name)
            panel.fill_between(b.steps, b.low / unit, b.high / unit, color=colours[name], alpha=0.2, lw=0)
            numbers += [
                (label, name, asked, b.runs, int(n), int(s), *map(float, v))
                for n, s, *v in zip(b.finished, b.steps, b.mean, b.median, b.low, b.high, strict=True)
            ]
        panel.axhline(1, color="0.3", lw=0.8, ls=":")
        panel.set(title=label, xlabel="steps", yscale="log")
        panel.legend(loc="best", handlelength=1.2)
    axes[0].set_ylabel("kinetic / asked temperature")
    return Drawn(
        figure,
        ("group", "partition", "asked", "runs", "finished", "step", "mean", "median", "quantile_10", "quantile_90"),
        numbers,
    )


def temperature_ratios(study: xr.Dataset) -> dict[tuple[str, str], np.ndarray]:
    """(cell, partition) -> kinetic over asked temperature of each run, the mean over the second half; NaN of a run that
    did not get through it.
    """
    half = study["step"].to_numpy() > study["step"].to_numpy()[-1] / 2
    out = {}
    for i, label in enumerate(json.loads(study.attrs["cells"])):
        for name, asked in partitions(study, i).items():
            if asked > 0:
                values = study[f"{PREFIX}{name}"].to_numpy()[rows_of(study, i)][:, half].astype(np.float64)
                recorded = np.isfinite(values).any(axis=0)
                out[label, name] = values[:, recorded].mean(axis=1) / asked
    return out


def temperature_rows(study: xr.Dataset) -> list[Row]:
    """Kinetic over asked temperature of each layer, beside 1."""
    out = []
    for (label, name), values in temperature_ratios(study).items():
        s = summarise(values)
        out.append(Row(f"{label}, {name}: kinetic / asked", 1.0, s.mean, s.error, s.sd, s.count, attempted=s.attempted))
    return out


def temperature_claims(study: xr.Dataset) -> list[Claim]:
    """Gradient noise heats Langevin dynamics by h s^2 / (2 gamma) (equations.md section 2), and a thermostat takes it
    away.
    """
    found = {key: summarise(values) for key, values in temperature_ratios(study).items()}
    some, tenfold = found["Langevin, gamma 1", "all"], found["Langevin, gamma 10", "all"]
    held, free = found["AdLaLa", "hidden"], found["LaLa", "hidden"]
    heat = [_between(s.mean - 1, s) for s in (some, tenfold)]
    low, high = heat[0][0] / heat[1][1], heat[0][1] / max(heat[1][0], 1e-300)
    holding, heated = (_between(abs(s.mean - 1), s) for s in (held, free))
    lost = any(s.missing for s in (some, tenfold, held, free))
    return [
        Claim("ten times the friction leaves a tenth of the gradient noise's heat",
              f"excess {_excess(some)} against {_excess(tenfold)} of tau",
              None if lost else _inside(low, high, 5, 20)),
        Claim("AdLaLa's thermostat holds the hidden layer at its temperature where plain friction does not",
              f"{_shown(held)} against LaLa's {_shown(free)} times tau",
              None if lost else _all_of(_inside(*holding, -1, 0.05), _inside(*heated, 0.05, np.inf))),
    ]  # fmt: skip


def _between(value: float, s: Summary) -> tuple[float, float]:
    """Two standard errors about a value."""
    return value - 2 * s.error, value + 2 * s.error


def _inside(low: float, high: float, least: float, most: float) -> bool | None:
    """Whether what lies between `low` and `high` is between `least` and `most`; None where that is open."""
    if least < low and high < most:
        return True
    return False if high < least or low > most else None


def _all_of(*holds: bool | None) -> bool | None:
    return False if False in holds else None if None in holds else True


def _shown(s: Summary) -> str:
    of = f" ({s.count} of {s.attempted} runs)" if s.missing else ""
    return f"{s.mean:.3g} +- {s.error:.1g}{of}"


def _excess(s: Summary) -> str:
    of = f" ({s.count} of {s.attempted} runs)" if s.missing else ""
    return f"{s.mean - 1:.3g} +- {s.error:.1g}{of}"
