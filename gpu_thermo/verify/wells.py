"""Words on harmonic wells at large stepsizes: positions, momenta, kinetic energy, gradient noise, thermostats."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..engines import Batching, Job
from ..state import State
from .linear import TABLE, mean_thermostat, sgld_variance, stationary
from .report import Check, Score, from_scores, score
from .sampling import (
    GROUPS,
    Place,
    Plan,
    average,
    grouped,
    job_of,
    network,
    program_of,
    regression,
    silent_network,
    start,
    well,
)

FIXED_XI = ("BACDEDCAB", "BAEFEAB")
PROGRAMS = (
    {"w1": "BAOAB", "b1": "OBABO", "w2": "BACDEDCAB", "b2": "BAEFEAB"},
    {"w1": "ABOBA", "b1": "OABAO", "w2": "UBU", "b2": "ABOBA"},
    {"w1": "OBA", "b1": "BAOA", "w2": "BAOA", "b2": "OBA"},
)
"""Every word of the table in three programs: words share one where they evaluate the force at the same fractions."""
STIFFNESS = np.repeat([1.0, 0.5, 1.4], 4)
MOMENTS = ("qq", "pp", "qp")


def law(
    word: str, h: float, gamma: float, tau: float, k: float = 1.0, noise: float = 0.0
) -> tuple[float, float, float]:
    """Exact (<q^2>, <p^2>, <qp>) of a Langevin word, or of a thermostat word at constant xi = gamma, sigma = sqrt(2
    gamma tau).
    """
    sigma = float(np.sqrt(2 * gamma * tau))
    return stationary(word, h, gamma=gamma, tau=tau, xi=gamma, sigma=sigma, k=k, noise=noise)


def values_of(groups: np.ndarray, replicas: int) -> tuple[np.ndarray, dict[str, Any]]:
    """Stepsizes [R], and hyperparameters [R, 1] that give every word its friction and temperature; epsilon = 0 holds xi
    still.
    """
    h, gamma, tau = (grouped(column, replicas) for column in groups.T)
    columns = {
        "temperature": tau,
        "friction": gamma,
        "thermostat": gamma,
        "sigma": np.sqrt(2 * gamma * tau),
        "epsilon": 0 * h,
    }
    return h, {name: value[:, None] for name, value in columns.items()}


def second_moments(state: State) -> dict[str, np.ndarray]:
    """q^2, p^2 and q p [R, P]."""
    q, p = state.position.astype(np.float64), state.momentum.astype(np.float64)
    return {"qq": q * q, "pp": p * p, "qp": q * p}


def moment_scores(
    averages: Mapping[str, np.ndarray], columns: Any, group: int, exact: Sequence[float], where: str
) -> list[Score]:
    """Scores of the three moments over some coordinates of one group of replicas."""
    scale = float(np.sqrt(exact[0] * exact[1]))
    return [
        score(
            f"<{name}> {where}",
            averages[name][group :: len(GROUPS), columns].mean(axis=1),
            value,
            scale if name == "qp" else None,
        )
        for name, value in zip(MOMENTS, exact, strict=True)
    ]


def printed_table() -> Check:
    """The linear algebra gives equations.md section 10's table, which all the checks below rest on."""
    worst = max(
        abs(a - b) for word, row in TABLE.items() for a, b in zip(stationary(word, 1.0, gamma=1.0), row, strict=True)
    )
    return Check("table", "of equations.md section 10", "-", "difference", worst, 6e-6, 3 * len(TABLE))


def harmonic(place: Place, word: str, plan: Plan, noise: float = 0.0) -> list[Check]:
    """One word on wells of three stiffnesses for four (h, gamma, tau), with Gaussian noise on the force if asked
    for.
    """
    target = well(STIFFNESS, noise)
    h, values = values_of(GROUPS, plan.replicas)
    program = program_of(word, target.layout.partition("all"))
    job = job_of(place, program, target, Batching(), np.float64, h, plan.replicas, **values)
    averages = average(place, job, plan, second_moments, start(job, np.sqrt(values["temperature"])))
    scores = [
        s
        for g, (step, gamma, tau) in enumerate(GROUPS)
        for k in np.unique(STIFFNESS)
        for s in moment_scores(
            averages, k == STIFFNESS, g, law(word, step, gamma, tau, k, noise), f"k={k:g} h={step:g} tau={tau:g}"
        )
    ]
    return [from_scores("noisy well" if noise else "well", word, place.engine, scores)]


def silent(place: Place, words: Mapping[str, str], plan: Plan) -> list[Check]:
    """Words side by side on the tensors of a network whose data say nothing: their laws, and the kinetic energy of each
    partition.
    """
    target = silent_network(plan.replicas)
    h, values = values_of(GROUPS, plan.replicas)
    program = program_of(words, target.layout.partition("tensor"))
    job = job_of(place, program, target, Batching("subset", 5), np.float32, h, plan.replicas, **values)
    exact = {word: [law(word, *row) for row in GROUPS] for word in words.values()}
    observe = _kinetic_observer(job, words, exact)
    averages = average(place, job, plan, observe, start(job, np.sqrt(values["temperature"])))
    places = dict(zip(program.partition.names, program.partition.slices, strict=True))
    checks = []
    for word in dict.fromkeys(words.values()):
        scores = [
            s
            for name, text in words.items() if text == word for g, row in enumerate(GROUPS)
            for s in moment_scores(averages, places[name], g, exact[word][g], f"{name} h={row[0]:g} tau={row[2]:g}")
        ]  # fmt: skip
        checks.append(from_scores("network", word, place.engine, scores))
    for k, (name, count) in enumerate(zip(program.partition.names, program.partition.counts, strict=True)):
        checks.append(
            _gamma_check(place, f"{name} ({words[name]})", averages["kinetic"][:, k], averages["square"][:, k], count)
        )
    return checks


def _kinetic_observer(
    job: Job, words: Mapping[str, str], exact: Mapping[str, Any]
) -> Callable[[State], dict[str, np.ndarray]]:
    """Moments, and of each partition p.p / <p^2> and the square of its distance from n."""
    partition = job.program.partition
    inverse = [1 / np.resize([row[1] for row in exact[words[name]]], job.replicas) for name in partition.names]
    counts = np.array(partition.counts)

    def observe(state: State) -> dict[str, np.ndarray]:
        """... [R, K], beside the second moments."""
        out = second_moments(state)
        kinetic = np.stack(
            [out["pp"][:, c].sum(axis=1) * i for c, i in zip(partition.slices, inverse, strict=True)], axis=1
        )
        return out | {"kinetic": kinetic, "square": (kinetic - counts) ** 2}

    return observe


def _gamma_check(place: Place, name: str, kinetic: np.ndarray, square: np.ndarray, count: int) -> Check:
    """Kinetic energy p.p / 2 of n Gaussian momenta: Gamma(n/2), so that p.p / <p^2> has mean n and variance 2 n."""
    scores = [score("mean", kinetic, count), score("sd, from its square", square, 2 * count)]
    return from_scores("kinetic", name, place.engine, scores)


def sgld(place: Place, plan: Plan) -> list[Check]:
    """SGLD on a network whose data say nothing."""
    target = silent_network(plan.replicas)
    h, values = values_of(GROUPS, plan.replicas)
    tau = values["temperature"]
    job = job_of(
        place,
        program_of("sgld", target.layout.partition("all")),
        target,
        Batching("subset", 5),
        np.float32,
        h,
        plan.replicas,
        temperature=tau,
    )
    averages = average(place, job, plan, second_moments, start(job, np.sqrt(tau)))
    scores = [
        score(f"<qq> h={step:g}", averages["qq"][g :: len(GROUPS)].mean(axis=1), sgld_variance(step, 1.0, tau))
        for g, (step, _, tau) in enumerate(GROUPS)
    ]
    return [from_scores("network", "sgld", place.engine, scores)]


BIAS_K, BATCH, POINTS, SPREAD = 1.2, 10, 40, 2.0
MINIBATCH = {"h": 0.9, "gamma": 0.7, "tau": 0.1}


def minibatch(place: Place, mode: str, plan: Plan) -> list[Check]:
    """Gradient noise from real minibatches: with dead hidden units the output bias is a well whose force noise is a
    batch mean of y.

    Its variance is known exactly, (1 - B/N) S^2 / B without replacement, S^2 the sample variance of y. The law knows
    that a reused gradient brings its noise along, and that each gradient has a fresh batch: repeated batches, sums for
    means and N/n all fail. The word is OBABO, whose law depends on the friction under gradient noise alone.
    """
    from ..targets.networks import MlpModel

    outputs = 8
    model = MlpModel(1, (1,), outputs, "regression", "relu", (POINTS * (BIAS_K - 1)) ** -0.5, 1.0)
    y = np.random.default_rng(place.seed).normal(size=(POINTS, outputs))
    y = SPREAD * (y - y.mean(axis=0)) / y.std(axis=0, ddof=1)
    target = network(model, regression(y, np.zeros((POINTS, 1))), plan.replicas)
    program = program_of({"hidden": None, "output": "OBABO"}, target.layout.partition("layer"))
    values = {"temperature": MINIBATCH["tau"], "friction": MINIBATCH["gamma"]}
    job = job_of(place, program, target, Batching(mode, BATCH), np.float32, MINIBATCH["h"], plan.replicas, **values)
    state = start(job, 0.5)
    state.position[:, :2] = state.momentum[:, :2] = 0
    averages = average(place, job, plan, lambda s: second_moments(s) | {"q": s.position.astype(np.float64)}, state)
    variance = SPREAD**2 / BATCH * (1 - BATCH / POINTS if mode == "subset" else 1 - 1 / POINTS)
    exact = law("OBABO", **MINIBATCH, k=BIAS_K, noise=float(np.sqrt(variance)))
    bias = slice(2 + outputs, 2 + 2 * outputs)
    scores = [
        score(
            f"<{name}> of the output bias",
            averages[name][:, bias].mean(axis=1),
            value,
            scale=exact[0] if name == "qp" else None,
        )
        for name, value in zip(MOMENTS, exact, strict=True)
    ]
    scores.append(
        score("<q> of the output bias", averages["q"][:, bias].mean(axis=1), 0.0, scale=float(np.sqrt(exact[0])))
    )
    return [from_scores("minibatch", mode, place.engine, scores)]


ADAPTIVE = {"tau": 0.5, "sigma": 1.2, "epsilon": 0.05}


def adaptive(place: Place, word: str, plan: Plan, h: float = 0.04) -> list[Check]:
    """A moving thermostat: E xi = sigma^2 / (2 tau) + O(h^2), Var xi = epsilon tau, <q^2>, <p^2> as at xi = E xi."""
    tau, sigma, epsilon = ADAPTIVE.values()
    mean_xi = mean_thermostat(word, h, tau=tau, sigma=sigma)
    target = silent_network(plan.replicas)
    program = program_of(dict.fromkeys(("w1", "b1", "w2", "b2"), word), target.layout.partition("tensor"))
    values = {"temperature": tau, "sigma": sigma, "epsilon": epsilon, "thermostat": mean_xi}
    job = job_of(place, program, target, Batching("subset", 5), np.float32, h, plan.replicas, **values)

    def observe(state: State) -> dict[str, np.ndarray]:
        """The thermostat, its spread about its mean, and second moments."""
        q, p = state.position.astype(np.float64), state.momentum.astype(np.float64)
        xi = state.thermostat
        return {
            "xi": xi.mean(axis=1),
            "spread": ((xi - mean_xi) ** 2).mean(axis=1),
            "qq": (q * q).mean(axis=1),
            "pp": (p * p).mean(axis=1),
        }

    state = start(job, np.sqrt(tau))
    state.thermostat += np.sqrt(epsilon * tau) * np.random.default_rng(place.seed + 1).normal(
        size=state.thermostat.shape
    )
    averages = average(place, job, plan, observe, state)
    qq, pp, _ = stationary(word, h, xi=mean_xi, sigma=sigma)
    exact = {"xi": mean_xi, "spread": epsilon * tau, "qq": qq, "pp": pp}
    names = {"xi": "E xi", "spread": "Var xi", "qq": "<qq>", "pp": "<pp>"}
    return [from_scores("thermostat", word, place.engine, [score(names[k], averages[k], v) for k, v in exact.items()])]
