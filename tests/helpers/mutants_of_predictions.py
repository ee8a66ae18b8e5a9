"""Mistakes in mixtures, likelihoods, cycles and noisy energies: name -> edits, tests, and which ones (mutants.py)."""

MIXTURES, CALIBRATION = "gpu_thermo/averages/mixtures.py", "gpu_thermo/averages/calibration.py"
VALUES = "gpu_thermo/targets/likelihoods/values.py"
ON_MIXTURES = ("tests/averages/test_mixtures.py", "tests/averages/test_calibration.py")
ON_NETWORKS = ("tests/contracts/test_networks.py",)

LETTERS = "gpu_thermo/method/letters.py"
PROPOSALS, WORK = "gpu_thermo/engines/proposals.py", "gpu_thermo/kernels/work.h"
ON_BRACES = (
    "tests/laws/test_metropolised.py",
    "tests/engines/test_fused_work.py",
    "tests/engines/test_proposals.py",
)
CYCLICAL, OBSERVE = "gpu_thermo/moves/cyclical.py", "gpu_thermo/running/seeing.py"

OF_PREDICTIONS: dict[str, tuple] = {
    "half dropped in the CRPS": (((MIXTURES, "distance(gap, sd)) / 2", "distance(gap, sd))"),), ON_MIXTURES),
    "PIT of counts at the end of its step": (
        ((MIXTURES, "return (self.cdf(y) + self.cdf(np.asarray(y) - 1)) / 2 if", "return self.cdf(y) if"),),
        ON_MIXTURES),
    "means of draws without weights": (
        ((MIXTURES, "self.weight[order], axis=0)", "np.full(order.shape, 1 / len(order)), axis=0)"),),
        ON_MIXTURES, "means"),
    "NLL in the network's units": (
        ((CALIBRATION, "np.log(unit) - mixture.log_density(y)", "-mixture.log_density(y)"),), ON_MIXTURES, "scores"),
    "predictions of the prior not scaled back": (
        (("gpu_thermo/running/prior.py", "out[n] * np.square(sd)", "out[n]"),), ("tests/running/test_prior.py",)),
    "slope of eta forgotten": (
        ((VALUES, "(1 - gap * gap * precision) * slope]", "1 - gap * gap * precision]"),
            (VALUES, "gap * gap * precision) * slope * share", "gap * gap * precision) * share")),
        ON_NETWORKS, "heteroscedastic"),
    "nu for nu + 1 in student_t": (
        ((VALUES, 'real(c["dof"] + 1) / (scaled', 'real(c["dof"]) / (scaled'),
            (VALUES, "more = scalar(c[DOF] + 1)", "more = scalar(c[DOF])")),
        ON_NETWORKS, "student_t"),
    "log y! dropped": (
        ((VALUES, "- y * out + log_factorial(y, xp)", "- y * out"), (VALUES, " + log_factorial_of(y[o])", "")),
        ON_NETWORKS, "poisson"),
    "draws while exploring": (
        ((CYCLICAL, "phase(step, self.length) >= self.explore", "phase(step, self.length) >= 0"),),
        ("tests/moves/test_cyclical.py",)),
    "exploring keeps its noise": (
        ((CYCLICAL, "Exploring(options, factors[name])", "Exploring(options, 1.0)"),),
        ("tests/moves/test_cyclical.py",)),
    "gradient noise taken off twice": (((CYCLICAL, "h[0] * sd**2 / (2 * tau[0])", "h[0] * sd**2 / tau[0]"),),
        ("tests/moves/test_cyclical.py",)),
    "weights of draws ignored in averages": (
        ((OBSERVE, 'counted(statistics.get("log_weight"))', "None"),
            (OBSERVE, 'r, statistics.get("log_weight"))', "r, None)")),
        ("tests/moves/test_moves_run.py",), "averages"),
    "N/n: energy noise as with replacement": (((OBSERVE, "share * losses.var", "losses.var"),),
        ("tests/moves/test_move_energies.py",)),
    "prior missing in a move's energy": (
        ((OBSERVE, "losses.mean(axis=1) + prior, share", "losses.mean(axis=1), share"),),
        ("tests/moves/test_move_energies.py",)),
    "a move's minibatch repeated": (
        ((OBSERVE, "Purpose.MOVE_MINIBATCH, attempt", "Purpose.MOVE_MINIBATCH, 0"),),
        ("tests/moves/test_move_energies.py",)),
    "flights left out of shadow work": (
        ((PROPOSALS, "forces + (self.state.energy - start)", "forces + 0 * start"),
         (WORK, "w + (get_wide(run.s.energy, l) - get_wide(of_lane(p.inside, l) ? p.start : p.before, l))", "w")),
        ON_BRACES,
        "double_well or (law_of_a_network and float64)"),
    "momenta not turned round on rejection": (
        ((PROPOSALS, '-start if name == "momentum" else start', "start"), (WORK, "l, scalar(-1));", "l, scalar(1));")),
        ON_BRACES, "double_well or (law_of_a_network and float64)"),
    "work of forces twice": (
        ((PROPOSALS, "(self._kinetic - before) / 2", "self._kinetic - before"),
         ("gpu_thermo/kernels/step.h", "gain * scalar(0.5)", "gain")), ON_BRACES,
        "double_well or (law_of_a_network and float64)"),
    "work of K without its dimension": (
        ((LETTERS, "(length * length - 1) *", "(length * length - 2) *"),
         (LETTERS, "widen(length * length - one)", "widen(length * length - one - one)")),
        ON_BRACES, "many_widths"),
    "one uniform for all proposals": (
        ((PROPOSALS, "Purpose.ACCEPTANCE, step)", "Purpose.ACCEPTANCE, 0)"),
         (WORK, "PURPOSE_ACCEPTANCE, run.now, 0", "PURPOSE_ACCEPTANCE, 0, 0")), ON_BRACES,
        "double_well or recursion"),
}  # fmt: skip
