"""Classical mistakes in what a paper rests on: evidence, moments of a target, times, stepsizes, studies; see
mutants.py.
"""

EVIDENCE, POWERS = "gpu_thermo/averages/evidence.py", "gpu_thermo/moves/powers.py"
TARGETS, RESAMPLE, CANONICAL = (
    "gpu_thermo/store/targets.py",
    "gpu_thermo/averages/resample.py",
    "gpu_thermo/averages/canonical.py",
)
PACES, COEFFICIENTS, CLOCK = (
    "gpu_thermo/method/paces.py",
    "gpu_thermo/engines/coefficients.py",
    "gpu_thermo/clock.py",
)
TOGETHER = ("tests/study/test_together.py",)
MIXING, SHARDS, BESIDE = (f"gpu_thermo/study/{name}.py" for name in ("mixing", "shards", "beside"))
ON_PACES, ON_EVIDENCE, ON_BESIDE = (
    ("tests/laws/test_multirate.py",),
    ("tests/averages/test_evidence.py",),
    ("tests/study/test_beside.py",),
)

OF_THE_DESK = {
    "evidence by the trapezoid alone": (
        ((EVIDENCE, " - d * d * np.diff(v, axis=-1) / 12", ""),), ON_EVIDENCE, "not mbar and not command"),
    "evidence: the second term's sign": (
        ((EVIDENCE, "/ 2 - d * d", "/ 2 + d * d"),), ON_EVIDENCE, "not mbar and not command"),
    "powers that temper the prior, too": (
        ((POWERS, "return np.asarray(prior + (new / old).astype(gradient.dtype)[:, None] * (gradient - prior))",
          "return np.asarray((new / old).astype(gradient.dtype)[:, None] * gradient)"),),
        ON_EVIDENCE, "not mbar and not command"),
    "the first replica for the target rung": (
        ((TARGETS, "each.argmax(axis=2) + together", "0 * each.argmax(axis=2) + together"),),
        ("tests/store/test_targets.py",)),
    "resampling without weights": (
        ((RESAMPLE, "_systematic(weight[chains].ravel(),", "_systematic((weight[chains] > 0).astype(float).ravel(),"),),
        ("tests/averages/test_resample.py",)),
    "signs of units without their output weights": (
        ((CANONICAL, 'out[f"w{l + 1}"] * sign[..., None, :]', 'out[f"w{l + 1}"]'),),
        ("tests/averages/test_canonical.py",)),
    "a partition that rests moves by one h": (
        (("gpu_thermo/method/schedules.py", "np.where(last, float(self.period), 0.0)", "np.where(last, 1.0, 0.0)"),),
        ON_PACES, "moments"),
    "a partition's own stepsize forgotten": (
        ((COEFFICIENTS, "h if what.ratio == 1 else h * what.ratio", "h"),), ON_PACES, "gaussian or masses"),
    "braces where they were before substeps came apart": (
        ((PACES, "sum(map(len, pieces[:place])) for place in braces", "place for place in braces"),),
        ON_PACES, "braces"),
    "equal steps for equal times": (
        ((CLOCK, "np.rint(n * (np.min(every) / h))", "np.rint(n + 0 * h)"),),
        ("tests/test_clock.py", "tests/engines/test_timed.py")),
    "effective draws of a chain that is not cut in halves": (
        ((MIXING, "half = chains.shape[-1] // 2\n    x = np.stack([chains[..., :half], chains[..., chains.shape[-1] - "
          "half :]], axis=-2)", "half = chains.shape[-1]\n    x = np.stack([chains, chains], axis=-2)"),),
        ("tests/study/test_mixing.py",)),
    "gradients of the burn-in counted, those of other rungs not": (
        ((MIXING, "gradients = sampling * setup.program.gradients_per_step * self._speak.tied",
          "gradients = run.steps * setup.program.gradients_per_step"),), ("tests/study/test_mixing.py",)),
    "ladders of a study share their streams": (
        ((SHARDS, "seeds.astype(np.uint64)[:, None] * np.uint64(tied)", "seeds.astype(np.uint64)[:, None]"),),
        ("tests/study/test_launch.py",)),
    "tracks of a launch recorded at one's steps": (
        (("gpu_thermo/engines/fused.py", "zip(slot, records, strict=True)",
          "zip(slot, [records[0]] * len(records), strict=True)"),), TOGETHER),
    "work forgotten when another track is recorded": (
        (("gpu_thermo/engines/batched.py", "s.extra[SUMS][some] = 0", "s.extra[SUMS][...] = 0"),), TOGETHER),
    "chains resampled in random order": (
        (("gpu_thermo/averages/resample.py", "_systematic(weight[c], count, rng) for c in kept",
          "rng.permutation(_systematic(weight[c], count, rng)) for c in kept"),),
        ("tests/averages/test_resample.py",)),
    "every seed of a study has the first of the sets given": (
        ((BESIDE, "which = (seeds % np.uint64(data.count)).astype(np.int64)", "which = np.zeros(len(seeds), int)"),),
        ON_BESIDE, "sets"),
    "starts given to a study lost": (
        ((SHARDS, ", starts=made.starts)", ")"),), ON_BESIDE, "starts"),
    "another network is taken for the first": (
        ((BESIDE, "except (SpecError, ValueError, TypeError):\n        return False",
          "except (SpecError, ValueError, TypeError):\n        return True"),), ON_BESIDE, "not_the_same"),
}  # fmt: skip
"""name -> (edits, tests, pytest -k where it helps), as Mutant has them."""
