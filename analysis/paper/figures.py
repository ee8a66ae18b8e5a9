"""The published figures of Leimkuhler, Matthews, Vlaar (2019): each a study, a drawing, and a table of published beside
obtained.

Settings that the paper leaves out are ours, and listed as such. "5 %" of N training points is a minibatch of N / 20.
"""

from collections.abc import Mapping

from gpu_thermo_analysis import study_figures as draw
from gpu_thermo_analysis.paper import networks as nets
from gpu_thermo_analysis.paper.entry import Entry, Tree, method, spirals, study
from gpu_thermo_analysis.paper.rows import at_step, best, claim, final, first_step, rises, spread


def _four(friction: float, sgld_sigma: float = 0.01, sgd: float = 0.2) -> list[Tree]:
    return [
        method("SGD", "sgd", sgd), method("Adam", "adam", 0.005), method("SGLD", "sgld", 0.1, sigma=sgld_sigma),
        method("AdLaLa", "adlala", 0.25, sigma=0.01, temperature=1e-4, epsilon=0.1, friction=friction),
    ]  # fmt: skip


LOL: Tree = {"temperature": {"hidden": 1e-3, "output": 0.0}, "friction": {"hidden": 0.01, "output": float("inf")}}

# -- figures -----------------------------------------------------------------------------------------------------------

FIG1 = Entry(
    "fig1",
    "More temperature, more accuracy: BAOAB on trigonometric data",
    study(
        {"name": "trig", "length": 3, "frequency": 2, "noise": 0.02},
        500,
        20,
        50_000,
        1000,
        10,
        {
            "method": [
                method(f"tau {t:.0e}", "langevin", 0.4, friction=10.0, temperature=t) for t in (1e-8, 1e-7, 1e-6, 1e-5)
            ]
        },
    ),
    lambda s: draw.curves(s),
    lambda s: final(s, {}),
    lambda s: [claim(s, "accuracy rises with tau", "tau 1e-05", ">", "tau 1e-08")],
    "10 runs, each with its own data",
)

_AT = (50, 1000, 10_000)


def _turns(number: str, turns: int, friction: float, published: Mapping[str, tuple[float, float, float]]) -> Entry:
    return Entry(
        f"fig{number}",
        f"{turns}-turn spirals: accuracy against steps",
        study(spirals(turns), 500, 20, 10_000, 50, 20, {"method": _four(friction)}),
        lambda s: draw.curves(s, logarithmic=True, reference=0.5),
        lambda s: at_step(s, "accuracy", _AT, published),
        lambda s: [
            claim(s, f"AdLaLa is above {other} at the end", "AdLaLa", ">", other) for other in ("SGD", "SGLD", "Adam")
        ],
        "20 runs, each with its own data; the paper shows one",
    )


FIG6 = _turns("6", 2, 0.5, {
    "SGD": (0.66, 0.66, 0.96), "Adam": (0.65, 0.89, 0.99), "SGLD": (0.61, 0.68, 0.74), "AdLaLa": (0.62, 0.82, 0.99),
})  # fmt: skip
FIG7 = _turns("7", 4, 0.1, {
    "SGD": (0.50, 0.56, 0.58), "Adam": (0.58, 0.55, 0.67), "SGLD": (0.52, 0.50, 0.54), "AdLaLa": (0.45, 0.62, 0.80),
})  # fmt: skip

_FIG8 = {"SGD": 79.0, "Adam": 83.7, "SGLD": 78.0, "AdLaLa": 93.4, "AdLaLa, gamma 10": 85.5}
FIG8 = Entry(
    "fig8",
    "100 runs on two-turn spirals: test accuracy after 10,000 steps",
    study(
        spirals(2, 500),
        20,
        25,
        10_000,
        1000,
        100,
        {
            "method": [
                *_four(0.5, 0.1, 0.1),
                method("AdLaLa, gamma 10", "adlala", 0.25, sigma=0.01, temperature=1e-4, epsilon=0.1, friction=10.0),
            ]
        },
    ),
    lambda s: draw.distributions(s, published=_FIG8, unit=100),
    lambda s: final(s, {label: value / 100 for label, value in _FIG8.items()}),
    lambda s: [
        claim(s, f"AdLaLa is above {other}", "AdLaLa", ">", other)
        for other in ("SGD", "Adam", "SGLD", "AdLaLa, gamma 10")
    ],
    "1000 test points; every run with its own data; xi per layer, from 0",
)

_SCAN = {
    "SGD": [method(f"SGD h {h:g}", "sgd", h) for h in (0.05, 0.1, 0.2, 0.5)],
    "Adam": [method(f"Adam {h:g}", "adam", h) for h in (0.001, 0.002, 0.005, 0.01)],
    "SGLD": [method(f"SGLD h {h:g} sigma {s:g}", "sgld", h, sigma=s) for h, s in
             ((0.1, 0.0), (0.1, 0.005), (0.1, 0.01), (0.1, 0.05), (0.1, 0.1), (0.2, 0.01))],
}  # fmt: skip
_AD = method("AdLaLa", "adlala", 0.25, temperature=1e-4, friction=0.1, sigma=0.01, epsilon=0.05)
FIG10 = Entry(
    "fig10",
    "Four-turn spirals: AdLaLa against scans of the other methods",
    study(spirals(4), 100, 20, 40_000, 1000, 10, {"method": [*(m for ms in _SCAN.values() for m in ms), _AD]}),
    lambda s: draw.curves(
        s, split=[(k, [*(m["label"] for m in ms), "AdLaLa"]) for k, ms in _SCAN.items()], reference=0.5
    ),
    lambda s: final(s, {}),
    lambda s: [best(s, "AdLaLa")],
    "the values scanned; 40,000 steps; 10 runs",
)

_LOL_NORMAL, _ADLALA_NORMAL, _ADAM_NORMAL, _ADAM_PYTORCH = (
    "LOL, init normal", "AdLaLa, init normal", "Adam, init normal", "Adam, init pytorch",
)  # fmt: skip


def _starts(*methods: Tree) -> list[Tree]:
    """Every method from normal initial values, and the last one from PyTorch's, too."""
    return [{"method": [*methods, methods[-1]], "model.init": ["normal"] * len(methods) + ["pytorch"]}]


FIG11 = Entry(
    "fig11",
    "Trigonometric data: steps to 90 % accuracy",
    study(
        {"name": "trig", "length": 6, "frequency": 1},
        100,
        50,
        40_000,
        200,
        20,
        {},
        zip=_starts(
            method("LOL", "lol", 0.1, **LOL),
            method("AdLaLa", "adlala", 0.2, temperature=1e-4, friction=10.0, sigma=0.001, epsilon=0.1),
            method("Adam", "adam", 0.01),
        ),
    ),
    lambda s: draw.curves(s, reference=0.9),
    lambda s: first_step(s, 0.9, {f"{_ADAM_PYTORCH} / {_LOL_NORMAL}": 3.0}, _ADAM_PYTORCH, _LOL_NORMAL),
    lambda s: [
        claim(s, f"{slow} takes longer to 90 % than {fast}", slow, ">", fast, "steps_to_90")
        for slow in (_ADAM_PYTORCH, _ADAM_NORMAL)
        for fast in (_LOL_NORMAL, _ADLALA_NORMAL)
    ],
    "40,000 steps; 20 runs; Adam also from PyTorch's initialisation",
)

FIG12 = Entry(
    "fig12",
    "Harder trigonometric data over 100,000 steps",
    study(
        {"name": "trig", "length": 10, "frequency": 1},
        100,
        50,
        100_000,
        2000,
        20,
        {},
        zip=_starts(
            method("LOL", "lol", 0.1, **LOL),
            method("AdLaLa", "adlala", 0.1, temperature=1e-4, friction=5.0, sigma=0.001, epsilon=0.1),
            method("SGLD", "sgld", 0.1, sigma=0.01),
            method("Adam", "adam", 0.01),
        ),
    ),
    lambda s: draw.curves(s, reference=0.73),
    lambda s: final(s, {_ADAM_PYTORCH: 0.73}),
    lambda s: [
        claim(s, f"{name} is above {other} at the end", name, ">", other)
        for name in (_LOL_NORMAL, _ADLALA_NORMAL)
        for other in (_ADAM_PYTORCH, _ADAM_NORMAL)
    ],
    "1000 points, minibatch 50; Adam's rate .01, from either initialisation",
)

FIG13 = Entry(
    "fig13",
    "Few noisy points: test loss against steps",
    study(
        spirals(2, 200, 4000, noise=0.1),
        500,
        10,
        200_000,
        2000,
        10,
        {
            "method": [
                method("SGD", "sgd", 0.1),
                method("Adam", "adam", 0.005),
                method(
                    "LOL",
                    "lol",
                    0.1,
                    temperature={"hidden": 1e-6, "output": 0.0},
                    friction={"hidden": 1.0, "output": float("inf")},
                ),
                method(
                    "AdLaLa",
                    "adlala",
                    0.1,
                    temperature={"hidden": 1e-4, "output": 1e-8},
                    friction=1000.0,
                    sigma=0.01,
                    epsilon=0.1,
                ),
            ]
        },
    ),
    lambda s: draw.curves(s, "nll", log_values=True),
    lambda s: spread(s, "nll"),
    lambda s: (
        [
            claim(s, f"{name}'s test loss ends below {other}'s", name, "<", other, "nll")
            for name in ("LOL", "AdLaLa")
            for other in ("SGD", "Adam")
        ]
        + [rises(s, "SGD", "nll"), *(rises(s, name, "nll", False) for name in ("LOL", "AdLaLa"))]
    ),
    "minibatch 10; 200,000 steps; 10 runs",
)

_AD14 = {"sigma": 0.01, "temperature": 1e-4, "epsilon": 0.1, "friction": 0.5}
FIG14 = Entry(
    "fig14",
    "Mean and spread over 100 runs",
    {
        "data": spirals(2, 500),
        "model": {"hidden": 20},
        "run": {"steps": 20_000, "batch": 10, "trace": 1000},
        "seeds": {"count": 100},
        "zip": [
            {
                "method": [
                    method("SGD", "sgd", 0.25),
                    method("Adam", "adam", 0.005),
                    method("Adam", "adam", 0.005),
                    method("LOL", "lol", 0.25, **LOL),
                    *(method("AdLaLa", "adlala", 0.25, **_AD14) for _ in range(2)),
                ],
                "model.init": ["normal", "normal", "pytorch", "normal", "normal", "pytorch"],
            }
        ],
    },
    lambda s: draw.spreads(s, unit=100),
    lambda s: spread(s, "accuracy"),
    lambda s: (
        [
            claim(s, f"{a} has a higher mean than {b}", f"{a}, init normal", ">", f"{b}, init normal")
            for a in ("LOL", "AdLaLa")
            for b in ("SGD", "Adam")
        ]
        + [
            claim(s, f"{a} spreads less than {b}", f"{a}, init normal", "<", f"{b}, init normal", kind="sd")
            for a in ("LOL", "AdLaLa")
            for b in ("SGD", "Adam")
        ]
    ),
    "1000 test points; 20,000 steps",
)

FIG15 = Entry(
    "fig15",
    "AdLaLa over additive noise and temperature",
    study(
        spirals(4),
        100,
        20,
        50_000,
        5000,
        10,
        {
            "method.sigma": [0.0, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32],
            "method.temperature.hidden": [1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3],
        },
        method={"name": "adlala", "stepsize": 0.1, "friction": 0.03, "epsilon": 0.01, "temperature": {"output": 1e-8}},
    ),
    lambda s: draw.heat_map(
        s, "method.sigma", "method.temperature.hidden", labels=("sigma", "tau of the hidden layer")
    ),
    lambda s: spread(s, "accuracy", by=("method.sigma",)),
    lambda s: [
        claim(s, f"accuracy at sigma .02 is above that {what}", "sigma 0.02", ">", other, by=("method.sigma",))
        for what, other in (
            ("without noise", "sigma 0"),
            ("at sigma .005", "sigma 0.005"),
            ("at sigma .32", "sigma 0.32"),
        )
    ],
    "epsilon .01, the SDE form's .1; the values of sigma and tau",
)

FIG16 = Entry(
    "fig16",
    "LOL over temperatures",
    study(
        spirals(4),
        200,
        20,
        50_000,
        1000,
        10,
        {
            "method": [
                method(
                    f"tau {t:.0e}",
                    "lol",
                    0.8,
                    temperature={"hidden": t, "output": 0.0},
                    friction={"hidden": 1.0, "output": float("inf")},
                )
                for t in (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
            ]
        },
    ),
    lambda s: draw.curves(s, reference=0.5),
    lambda s: final(s, {}),
    lambda s: [best(s, "tau 1e-05"), claim(s, "tau 1e-3 is far below 1e-5", "tau 1e-05", ">", "tau 1e-03")],
    "tau of the hidden layer, 0 in the output layer; 1000 points, minibatch 20; 10 runs",
)

_ADAM = {"name": "adam", "stepsize": 0.005}
_LINES = study(spirals(1), 20, 20, 20_000, 2000, 10, {
    "model.init": ["he", "normal"],
    "data": [{"label": "digits", "name": "digits"}, *({"label": f"spirals b {b}", **spirals(b)} for b in (1, 2))],
}, method=_ADAM, study={"keep": True})  # fmt: skip
_LINES["seeds"] = {"count": 10, "data": 1, "init": 1}
FIG3 = Entry(
    "fig3",
    "Loss from the initial state to the minimum",
    _LINES,
    nets.lines,
    nets.barrier_rows,
    nets.barrier_claims,
    "digits for the images; Adam at .005, 20,000 steps; 10 runs from one initial state; He's initialisation beside"
    " normal, sd .01",
)
FIG5 = Entry(
    "fig5",
    "Loss over the plane of the initial state and two minima",
    _LINES,
    nets.planes,
    lambda s: nets.barrier_rows(s, minima=True),
    lambda s: nets.barrier_claims(s, minima=True),
    "as fig3",
)

FIG4 = Entry(
    "fig4",
    "Classifiers from the same initial state",
    study(
        spirals(2, 500, 500), 20, 25, 20_000, 1000, 10, {"method": [_four(0.5)[1], _four(0.5)[3]]}, study={"keep": True}
    ),
    nets.classifiers,
    lambda s: final(s, {"Adam": 0.925, "AdLaLa": 0.985}),
    lambda s: [claim(s, "AdLaLa is above Adam", "AdLaLa", ">", "Adam")],
    "10 runs, of which two are drawn; published is the mean of the paper's two",
)

FIG9 = Entry(
    "fig9",
    "Spirals with p 1: classifiers averaged over the last ten steps",
    {
        "data": spirals(4, exponent=1.0),
        "model": {"hidden": 500},
        "seeds": {"count": 10},
        "study": {"keep": True},
        "run": {"steps": 60_000, "burn_in": 59_990, "thin": 1, "batch": 20, "trace": 2000},
        "zip": [
            {
                "method": [
                    method("Adam", "adam", 0.005),
                    method(
                        "AdLaLa",
                        "adlala",
                        0.1,
                        epsilon=0.1,
                        temperature={"hidden": 1e-4, "output": 1e-5},
                        sigma=0.01,
                        friction=0.03,
                    ),
                ],
                "model.init_sd": [0.5, 0.01],
            }
        ],
    },
    nets.classifiers,
    lambda s: final(s, {}, "average_accuracy"),
    lambda s: [
        claim(s, "AdLaLa is more accurate", "AdLaLa, init_sd 0.01", ">", "Adam, init_sd 0.5", "average_accuracy")
    ],
    "1000 points; AdLaLa from sd .01; 10 runs, of which two are drawn",
)

_ALL = (FIG1, FIG3, FIG4, FIG5, FIG6, FIG7, FIG8, FIG9, FIG10, FIG11, FIG12, FIG13, FIG14, FIG15, FIG16)
ENTRIES: dict[str, Entry] = {entry.id: entry for entry in _ALL}
