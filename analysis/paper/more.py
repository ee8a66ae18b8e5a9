"""Figures beside the paper's: 10,000 runs in one study, distributions of weights and biases over time, kinetic
temperatures.
"""

from gpu_thermo_analysis import study_figures as draw
from gpu_thermo_analysis.paper import inside
from gpu_thermo_analysis.paper.entry import Entry, Tree, method, spirals, study
from gpu_thermo_analysis.paper.figures import FIG8, LOL
from gpu_thermo_analysis.paper.rows import claim, spread

RUNS = Entry(
    "runs10000",
    "10,000 runs: five methods on two-turn spirals, 2,000 seeds each",
    {**FIG8.study, "seeds": {"count": 2000}},
    lambda s: draw.densities(s, unit=100),
    lambda s: spread(s, "accuracy"),
    lambda s: [
        claim(s, f"AdLaLa spreads less than {other}", "AdLaLa", "<", other, kind="sd")
        for other in ("SGD", "Adam", "SGLD")
    ],
    "the study of fig8 with twenty times the seeds",
)

_WEIGHTS = study(
    spirals(4),
    100,
    20,
    20_000,
    1000,
    10,
    {
        "method": [
            method("SGD", "sgd", 0.2),
            method("Adam", "adam", 0.005),
            method("SGLD", "sgld", 0.1, sigma=0.01),
            method("LOL", "lol", 0.25, **LOL),
            method(
                "AdLaLa",
                "adlala",
                0.1,
                temperature={"hidden": 1e-4, "output": 1e-8},
                sigma=0.02,
                epsilon=0.01,
                friction=0.03,
            ),
        ]
    },
    study={"keep": True},
)
_WEIGHTS["run"] |= {"burn_in": 0, "thin": 200}
WEIGHTS = Entry(
    "weights", "Weights and biases over time: four-turn spirals, 100 hidden units",
    _WEIGHTS, inside.weight_distributions, inside.weight_rows, lambda s: [],
    "all: methods, 20,000 steps, 10 runs; colour is the density (logarithmic), lines the 5 %, 50 % and 95 % quantiles",
)  # fmt: skip

_TAU: Tree = {"temperature": 1e-4}
TEMPERATURES = Entry(
    "temperatures", "Kinetic temperatures of the layers: two-turn spirals, 100 hidden units",
    study(spirals(2), 100, 20, 20_000, 200, 20, {"method": [
        *(method(f"Langevin, gamma {g:g}", "langevin", 0.1, friction=g, **_TAU) for g in (0.1, 1.0, 10.0)),
        method("LaLa", "lala", 0.1, friction=0.1, **_TAU),
        method("LOL", "lol", 0.1, friction={"hidden": 0.1, "output": float("inf")}, **_TAU),
        method("ADL", "adl", 0.1, sigma=0.01, epsilon=0.1, **_TAU),
        method("AdLaLa", "adlala", 0.1, sigma=0.01, epsilon=0.1, friction=0.1, **_TAU),
    ]}),
    inside.kinetic_temperatures, inside.temperature_rows, inside.temperature_claims,
    "all: tau 1e-4 in every layer, h .1, 20 runs; the mean is over the second half", beside="asked for",
)  # fmt: skip

MORE: dict[str, Entry] = {entry.id: entry for entry in (RUNS, WEIGHTS, TEMPERATURES)}
