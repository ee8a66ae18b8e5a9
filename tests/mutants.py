"""Mutants must die: plant each classical mistake in a copy of the sources, and show which tests fail.

    python tests/mutants.py [NAME ...] [--table FILE.md] [--most N] [--check]

Each mutant is a list of exact text replacements, in both engines where both hold the line, so that comparing engines
cannot give it away.
Its tests are named; a mutant that none of them kills is printed as SURVIVED, and the exit code is 1. Killers are run
once more without any mutant: one that fails then does not count. A text that is no longer in the sources stops the
script: the table must follow the code. The sources themselves are never touched.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from helpers.mutants_of_networks import OF_NETWORKS
from helpers.mutants_of_predictions import OF_PREDICTIONS
from helpers.mutants_of_the_desk import OF_THE_DESK

ROOT = Path(__file__).resolve().parents[1]
BATCHED, FUSED, NATIVE = (
    "gpu_thermo/engines/batched.py",
    "gpu_thermo/engines/fused.py",
    "gpu_thermo/engines/operations/native.py",
)
LETTERS, UPDATES, WORDS, RUN, SHLP = (
    "gpu_thermo/method/letters.py",
    "gpu_thermo/method/updates.py",
    "gpu_thermo/method/words.py",
    "gpu_thermo/run.py",
    "gpu_thermo/targets/networks.py",
)
ACTIVATIONS, LIKELIHOODS, PRIORS = (
    f"gpu_thermo/targets/{name}" for name in ("activations.py", "likelihoods", "priors.py")
)
HYPER, STREAMS = "gpu_thermo/running/hyperparameters.py", "gpu_thermo/streams.py"
LAWS, VERIFY, BAYES = (
    "tests/laws/test_stationary_laws.py",
    "tests/verify/test_suite.py",
    "tests/laws/test_bayes_linear.py",
)
TRANSIENTS = "tests/laws/test_transients.py"
RESUME = ("tests/test_run.py", "tests/verify/test_suite.py")
LADDER, EXCHANGE, TEMPERING = (f"gpu_thermo/moves/{name}.py" for name in ("ladder", "exchange", "tempering"))
CONTOUR, CONTOUR_KERNEL = "gpu_thermo/moves/contour.py", "gpu_thermo/kernels/contour.h"
ON_CONTOUR = tuple(f"tests/moves/test_contour{name}.py" for name in ("", "_engines", "_laws"))
ON_TEMPERING = ("tests/moves/test_tempering.py", "tests/moves/test_tempering_laws.py")
ON_SPHERES = ("tests/laws/test_isokinetic.py", "tests/contracts/test_operations.py")
MASS = "gpu_thermo/spec/mass.py"
OWN, USER, STARTS = "gpu_thermo/targets/own/model.py", "gpu_thermo/targets/user.py", "gpu_thermo/running/starts.py"
ON_LADDERS = ("tests/moves/test_exchange.py", "tests/moves/test_ladder.py", *ON_TEMPERING)


@dataclass(frozen=True)
class Mutant:
    """`edits` are (file, text, replacement); `tests` the files that should notice; `pick` an optional pytest -k
    expression.
    """

    edits: tuple[tuple[str, str, str], ...]
    tests: tuple[str, ...]
    pick: str = ""


MUTANTS: dict[str, Mutant] = {
    "gradient of an own network in the wrong order": Mutant(
        ((OWN, "self.own.split(gradient), strict", "self.own.split(gradient[:, ::-1]), strict"),),
        ("tests/targets/own/test_model.py",), "numpy",
    ),
    "a potential of data sees all points always": Mutant(
        ((USER, "self._raw(position, batch.index)", "self._raw(position, None)"),),
        ("tests/targets/own/test_partitions.py",),
    ),
    "given momenta lost": Mutant(
        ((STARTS, "(momentum, self.momentum))", "(momentum, {}))"),), ("tests/running/test_starts.py",), "told",
    ),
    "starts lost on resume": Mutant(
        ((RUN, "init=stored_starts(constants) or None", "init=None"),), ("tests/running/test_starts.py",), "goes_on",
    ),
    "sqrt h for sqrt 2h in SGLD": Mutant(
        ((UPDATES, "np.sqrt(2 * h * ", "np.sqrt(h * "),), (LAWS, VERIFY), "sgld or machine"),
    "sd for variance in O": Mutant(
        ((LETTERS, 'np.sqrt(-values["temperature"] * np.expm1(-2 * rate))',
            '-values["temperature"] * np.expm1(-2 * rate)'),),
        (LAWS, VERIFY), "langevin or machine or posterior"),
    "h for sqrt h in D": Mutant(((LETTERS, '(values["sigma"] * np.sqrt(h),)', '(values["sigma"] * h,)'),),
        (LAWS, VERIFY), "thermostat or machine"),
    "T / N twice": Mutant(((HYPER, "lambda t: t / points", "lambda t: t / points / points"),),
        ("tests/running/test_hyperparameters.py", BAYES)),
    "T not divided by N": Mutant(((HYPER, "lambda t: t / points", "lambda t: t"),),
        ("tests/running/test_hyperparameters.py", BAYES)),
    "sigma for its square in SGLD": Mutant(((HYPER, "sigma**2 / 2", "sigma**2"),),
        ("tests/running/test_hyperparameters.py",)),
    "missing N/n: the gradient is a sum over the batch": Mutant(
        ((SHLP, "        delta *= share\n", ""),),
        ("tests/targets/test_networks.py", "tests/engines/test_fused.py", BAYES)),
    "missing N in the prior": Mutant(
        ((PRIORS, "1 / (scale**2 * points)", "1 / scale**2"),),
     ("tests/targets/test_networks.py", BAYES, VERIFY)),
    "noise sd for variance in the likelihood": Mutant(
        ((f"{LIKELIHOODS}/values.py", 'out.dtype.type(c["noise_sd"] ** 2)', 'out.dtype.type(c["noise_sd"])'),),
        ("tests/targets/test_networks.py", "tests/engines/test_fused.py")),
    "wrong half step in B": Mutant(
        ((WORDS, "Fraction(1, self.text.count(letter))",
            'Fraction(1, 1 if letter == "B" else self.text.count(letter))'),),
        (LAWS, "tests/method/test_words.py"), "langevin or chunks or program"),
    "wrong half step in O": Mutant(
        ((WORDS, "Fraction(1, self.text.count(letter))",
            'Fraction(1, 1 if letter == "O" else self.text.count(letter))'),),
        (LAWS, TRANSIENTS, VERIFY), "OBABO or OABAO or machine"),
    "thermostat sign": Mutant(
        ((LETTERS, "xi += rate * (square_sum(p)[:, None] - target)", "xi -= rate * (square_sum(p)[:, None] - target)"),
         (LETTERS, "xi += rate * (square_sum - target)", "xi -= rate * (square_sum - target)")),
        (LAWS, VERIFY, "tests/method/test_letters.py"), "adaptive or thermostat or regulate or machine"),
    "thermostat without n": Mutant(
        ((LETTERS, 'values["count"] * values["temperature"]', 'values["temperature"]'),), (LAWS, VERIFY),
        "adaptive or thermostat or machine"),
    "xi not saved": Mutant(
        ((RUN, "    return checkpoint.state",
            "    checkpoint.state.thermostat[:] = 0\n    return checkpoint.state"),),
        RESUME, "resume or identical or machine"),
    "momentum lost on resume": Mutant(
        ((RUN, "    return checkpoint.state",
            "    checkpoint.state.momentum[:] = 0\n    return checkpoint.state"),),
        RESUME, "resume or identical or machine"),
    "cached gradient lost on resume": Mutant(
        ((RUN, "    return checkpoint.state",
            "    checkpoint.state.gradient[:] = 0\n    return checkpoint.state"),),
        RESUME, "resume or identical or machine"),
    "running averages lost on resume": Mutant(((RUN, "    moments.load(checkpoint.sums)\n", ""),),
        RESUME, "resume or identical or machine"),
    "noise shared across replicas": Mutant(
        ((STREAMS, "dtype=np.uint64)) & _MASK", "dtype=np.uint64)) & _MASK & np.uint64(0)"),
         (FUSED, "np.asarray(job.stream).astype(np.uint32)", "np.zeros_like(job.stream).astype(np.uint32)")),
        ("tests/test_streams.py", LAWS, VERIFY), "replica or stream or langevin or machine"),
    "noise shared across sites": Mutant(
        ((STREAMS, "philox4x32(blocks, keys.stream,", "philox4x32(blocks * np.uint64(0), keys.stream,"),
         (NATIVE, "return blocks.astype(np.uint32), where", "return 0 * blocks.astype(np.uint32), where")),
        ("tests/test_streams.py", "tests/engines/operations/test_native.py", LAWS),
        "block or normal or langevin or lane"),
    "noise repeated every step": Mutant(
        ((NATIVE, "int(Purpose.STEP),\n                self._step,", "int(Purpose.STEP),\n                0,"),
         ("gpu_thermo/engines/operations/arrays.py", "Purpose.STEP, self._step, sub", "Purpose.STEP, 0, sub")),
         (LAWS, VERIFY), "langevin or sgld or machine"),
    "one noise for both O's of a word": Mutant(
        ((WORDS, "sub if normals else 0", "0"),),
        (LAWS, "tests/method/test_words.py", VERIFY), "OBABO or OABAO or noise or machine"),
    "sine twice in Box-Muller": Mutant(
        ((STREAMS, "xp.multiply(radius, xp.cos(angle)", "xp.multiply(radius, xp.sin(angle)"),),
        ("tests/test_streams.py", "tests/engines/operations/test_native.py")),
    "stale gradient: evaluated after the kick": Mutant(
        ((WORDS, "            substeps.append(Evaluate())\n"
          "        substeps += _side_by_side({k: c[i] for k, c in chunks.items()})",
          "            pass\n        substeps += _side_by_side({k: c[i] for k, c in chunks.items()})\n"
          "        if i > (1 if reuse else 0):\n            substeps.append(Evaluate())"),),
          (LAWS, "tests/method/test_words.py"), "langevin or program or compile"),
    "gradient not reused": Mutant(
        ((WORDS, "reuse = fractions[0] == 0 and fractions[-1] == 1", "reuse = False"),),
        (LAWS, "tests/method/test_words.py"), "noise or gradient or reuse"),
    "minibatch repeated": Mutant(
        ((NATIVE, "ctypes.byref(grid), ordinal, batching.size", "ctypes.byref(grid), 0, batching.size"),
         ("gpu_thermo/engines/operations/arrays.py", "batching.size, ordinal)", "batching.size, 0)")),
        (VERIFY, "tests/engines/operations/test_native.py", "tests/engines/test_fused.py"),
        "machine or minibatch or agrees or gradient_noise"),
    "minibatch with a fixed first half": Mutant(
        ((STREAMS, "for j in range(FEISTEL_ROUNDS)", "for j in range(2)"),), ("tests/test_streams.py",)),
    "relu'(0) = 1": Mutant(((ACTIVATIONS, "value > 0,", "value >= 0,"),),
        ("tests/targets/test_networks.py", "tests/engines/test_fused.py")),
    "recorded energy doubled": Mutant(
        ((BATCHED, "r.energy[slot, at] = _host(s.energy[some])", "r.energy[slot, at] = 2 * _host(s.energy[some])"),),
        ("tests/engines/test_batched.py", "tests/engines/test_fused.py", "tests/test_run.py")),
    "kinetic temperature by the wrong n": Mutant(
        ((BATCHED, "s.momentum[some, columns])) / count", "s.momentum[some, columns])) / (count + 1)"),),
        ("tests/engines/test_batched.py", "tests/engines/test_fused.py", "tests/laws/test_stationary_laws.py")),
    "friction doubled": Mutant(((LETTERS, 'values["friction"] * h)', '2 * values["friction"] * h)'),),
        (LAWS, TRANSIENTS, VERIFY)),
    "digests without answers": Mutant(
        (("gpu_thermo/registration.py", "[_rounded(answer) for answer in _ANSWERS[kind](record)]", "[]"),),
        ("tests/test_registration.py",), "gone_on or fingerprints"),
    "root 2 in SGHMC": Mutant(
        ((UPDATES, 'np.sqrt(2 * (1 - values["momentum"])', 'np.sqrt((1 - values["momentum"])'),),
        ("tests/laws/test_noisy_updates.py", "tests/contracts/test_operations.py"), "sghmc"),
    "root of the preconditioner forgotten": Mutant(
        ((UPDATES, "theta += scale * np.sqrt(m) * noise", "theta += scale * m * noise"),
         (UPDATES, "theta += scale * root(m) * noise", "theta += scale * m * noise")),
        ("tests/laws/test_noisy_updates.py", "tests/contracts/test_operations.py"), "psgld"),
    "symmetric order goes forward twice": Mutant(
        ((STREAMS, "min(place, 2 * batches - 1 - place)", "place % batches"),
         ("gpu_thermo/kernels/minibatch.h", "2 * per_epoch - 1 - place", "place - per_epoch")),
        ("tests/laws/test_minibatch_order.py",)),
    "wrong half step in U": Mutant(
        ((WORDS, "Fraction(1, self.text.count(letter))",
            'Fraction(1, 1 if letter == "U" else self.text.count(letter))'),), (LAWS, TRANSIENTS), "UBU"),
    "noises of U apart": Mutant(((LETTERS, "reach * np.sqrt(tau * t), h", "0 * reach * np.sqrt(tau * t), h"),),
        (LAWS, TRANSIENTS, "tests/method/test_letters.py"), "UBU or test_u"),
    "root 2 in the friction of U": Mutant(
        ((LETTERS, "np.sqrt(-tau * np.expm1(-2 * x))", "np.sqrt(-tau * np.expm1(-x))"),),
        (LAWS, TRANSIENTS, "tests/method/test_letters.py"), "UBU or test_u"),
    "root of n dropped in K": Mutant(((LETTERS, "h * np.sqrt(n) / ((n - 1)", "h / ((n - 1)"),), ON_SPHERES),
    "n for n - 1 in K": Mutant(((LETTERS, "np.sqrt(n) / ((n - 1) *", "np.sqrt(n) / (n *"),), ON_SPHERES),
    "noise of S without n": Mutant(
        ((LETTERS, "return a, b, _length(h, values)", 'return a, b * np.sqrt(values["count"]), _length(h, values)'),),
        ON_SPHERES),
    "directions rescaled in exchange": Mutant(
        ((LADDER, "if not np.isnan(self.share[k]) and not self.program.has_fixed_length(k):",
          "if not np.isnan(self.share[k]):"),), ("tests/laws/test_isokinetic_runs.py",), "exchange"),
    "masses for their roots": Mutant(((MASS, "scale = 1 / np.sqrt(out)", "scale = 1 / out"),),
        ("tests/laws/test_mass.py", "tests/spec/test_mass.py")),
    "gradients without the mass": Mutant(
        ((BATCHED, "local.gradient *= self.scale", "pass"),
         ("gpu_thermo/kernels/step.h", "s.g[i] *= s.kept[SCALE][i]", "s.g[i] *= scalar(1)")),
        ("tests/laws/test_mass.py",)),
    "sign in replica exchange": Mutant(
        ((EXCHANGE, "d * (value[:, :-1] - value[:, 1:])", "d * (value[:, 1:] - value[:, :-1])"),),
        ("tests/moves/test_exchange.py",)),
    "correction dropped in replica exchange": Mutant(
        ((EXCHANGE, "log_ratio -= d**2 * (v[:, :-1] + v[:, 1:]) / 2", "pass"),), ("tests/moves/test_exchange.py",)),
    "correction of one energy only in replica exchange": Mutant(
        ((EXCHANGE, "(v[:, :-1] + v[:, 1:]) / 2", "v[:, :-1] / 2"),), ("tests/moves/test_exchange.py",)),
    "xi stays with the replica in exchange": Mutant(
        ((EXCHANGE, "thermostat[rows] = thermostat[back]", "pass"),), ("tests/moves/test_exchange.py",)),
    "even and odd pairs do not alternate": Mutant(
        ((EXCHANGE, "(1 - window[2] if self.ladder.count > 2 else 0)", "0"),), ("tests/moves/test_exchange.py",)),
    "the same uniforms at every attempt": Mutant(
        ((EXCHANGE, "Purpose.EXCHANGE, number", "Purpose.EXCHANGE, 0"),
            (TEMPERING, "Purpose.TEMPERING, number", "Purpose.TEMPERING, 0")),
        ON_LADDERS),
    "momenta not rescaled between rungs": Mutant(((LADDER, 'state.scale("momentum", rows, columns, scale)', "pass"),),
        ON_LADDERS),
    "momenta rescaled by tau, not its root": Mutant(
        ((LADDER, "np.sqrt(temperature[new] / temperature[old])", "(temperature[new] / temperature[old])"),),
        ON_LADDERS),
    "draws from every rung count": Mutant(
        ((LADDER, 'state.extra["rung"][rows] == 0', 'state.extra["rung"][rows] >= 0'),), ON_LADDERS),
    "sign in simulated tempering": Mutant(((TEMPERING, "-d * value + g", "d * value + g"),),
        ON_TEMPERING),
    "sign of the weights in simulated tempering": Mutant(
        ((TEMPERING, "+ g[proposed] - g[rung]", "- g[proposed] + g[rung]"),), ON_TEMPERING),
    "correction dropped in simulated tempering": Mutant(
        ((TEMPERING, "return log_ratio - d**2 * variance / 2 if self.correction else log_ratio", "return log_ratio"),),
        ON_TEMPERING),
    "xi keeps its spread in simulated tempering": Mutant(
        ((TEMPERING, "(thermostat[rows, k] - before) * stretch", "(thermostat[rows, k] - before)"),),
        ON_TEMPERING),
    "weights of simulated tempering never frozen": Mutant(
        ((TEMPERING, "if state.step <= self.burn_in and running.any():", "if running.any():"),),
        ON_TEMPERING),
    "sign of contour's multiplier": Mutant(
        ((CONTOUR, "1 + self.zeta * tau", "1 - self.zeta * tau"),
            (CONTOUR_KERNEL, "1 + c.zeta * tau", "1 - c.zeta * tau")),
        ON_CONTOUR),
    "tau missing in contour's multiplier": Mutant(
        ((CONTOUR, "self.zeta * tau[rows] * slope", "self.zeta * slope"),
            (CONTOUR_KERNEL, "c.zeta * tau * slope", "c.zeta * slope")),
        ON_CONTOUR),
    "w_J for Psi in contour": Mutant(
        ((CONTOUR, "if not self.published:", "if False:"), (CONTOUR_KERNEL, "sloped && !c.published ?", "false ?")),
        ON_CONTOUR),
    "weights of contour's draws inverted": Mutant(
        ((CONTOUR, "return self.zeta * state.read(", "return -self.zeta * state.read("),),
        ON_CONTOUR),
    "a contour that never stops learning": Mutant(
        ((CONTOUR, "np.where(k < self.learn, out, -np.inf)", "out"),), ON_CONTOUR),
    "frozen replica spreads": Mutant(
        (("gpu_thermo/engines/operations/arrays.py", "array[fresh] = np.nan", "array[:] = np.nan"),),
        ("tests/engines/test_batched.py", "tests/test_run.py")),
} | {name: Mutant(*row) for name, row in (OF_NETWORKS | OF_PREDICTIONS | OF_THE_DESK).items()}  # fmt: skip


def main() -> int:
    """Run the mutants asked for, all of them by default; exit code 1 if one survives."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", help="parts of mutants' names")
    parser.add_argument("--table", type=Path, help="write the kill table there")
    parser.add_argument("--most", type=int, default=4, help="stop a mutant's tests after this many failures")
    parser.add_argument("--check", action="store_true", help="see whether the sources and test files are there")
    options = parser.parse_args()
    chosen = {n: m for n, m in MUTANTS.items() if not options.names or any(part in n for part in options.names)}
    if options.check:
        gone = stale(chosen)
        print("\n".join(gone) or f"All texts of {len(chosen)} mutants are in the sources, and their tests are there.")
        return int(bool(gone))
    kills: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory(prefix="mutants_") as folder:
        for name, mutant in chosen.items():
            began = time.monotonic()
            kills[name], summary = _try(mutant, Path(folder), options.most)
            print(
                f"{'killed  ' if kills[name] else 'SURVIVED'} {name}  [{summary}; {time.monotonic() - began:.0f} s]",
                flush=True,
            )
            for killer in kills[name]:
                print(f"           {killer}", flush=True)
        broken = _failing_anyway(Path(folder), sorted({k for killers in kills.values() for k in killers}))
    if broken:
        print("These fail without any mutant and do not count:", *broken, sep="\n           ")
    kills = {name: [k for k in killers if k not in broken] for name, killers in kills.items()}
    rows = [f"| {name} | {'<br>'.join(f'`{k}`' for k in killers) or '**none**'} |" for name, killers in kills.items()]
    if options.table:
        options.table.write_text("\n".join(["| mutant | killed by |", "|---|---|", *rows]) + "\n")
    survivors = [name for name, killers in kills.items() if not killers]
    print(
        f"{len(chosen) - len(survivors)} of {len(chosen)} killed.",
        *(f"SURVIVED {name}" for name in survivors),
        sep="\n",
    )
    return int(bool(survivors))


def stale(mutants: dict[str, Mutant]) -> list[str]:
    """Texts that are no longer in the sources, and test files that are no longer there."""
    texts = [
        f"{file}: {text!r} ({name})"
        for name, m in mutants.items()
        for file, text, _ in m.edits
        if not (ROOT / file).exists() or text not in (ROOT / file).read_text()
    ]
    return texts + [f"{t} ({name})" for name, m in mutants.items() for t in m.tests if not (ROOT / t).exists()]


def _try(mutant: Mutant, folder: Path, most: int) -> tuple[list[str], str]:
    """Failing tests of a mutant, and pytest's last line."""
    tree = folder / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    _copy(tree)
    for file, text, replacement in mutant.edits:
        source = (tree / file).read_text()
        if text not in source:
            raise SystemExit(f"{file} no longer holds {text!r}: bring tests/mutants.py up to date.")
        (tree / file).write_text(source.replace(text, replacement))
    pick = ("-k", mutant.pick) if mutant.pick else ()
    return _pytest(tree, f"--maxfail={most}", *mutant.tests, *pick)


def _failing_anyway(folder: Path, tests: list[str]) -> list[str]:
    """Those of `tests` that fail on the sources as they are: no evidence of anything."""
    if not tests:
        return []
    tree = folder / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    _copy(tree)
    return _pytest(tree, *(f"tests/{name}" for name in tests))[0]


def _pytest(tree: Path, *arguments: str) -> tuple[list[str], str]:
    """Failing tests, and the last line."""
    command = [sys.executable, "-m", "pytest", "-q", "--tb=no", "-rfE", "-p", "no:cacheprovider", *arguments]
    environment = {
        **os.environ,
        "PYTHONPATH": str(tree),
        "GPU_THERMO_CACHE": str(tree.parent / "cache"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, timeout=1800, check=False)
    lines = done.stdout.strip().splitlines()
    if done.returncode not in (0, 1):
        raise SystemExit(f"pytest itself failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    killers = [m[1] for line in lines if (m := re.match(r"(?:FAILED|ERROR) (?:tests/)?(.+?)(?: - .*)?$", line))]
    return killers, lines[-1].strip("= ") if lines else ""


def _copy(tree: Path) -> None:
    """The sources and tests, with the packages under their import names."""
    for name in ("gpu_thermo", "cli", "analysis", "tests"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__", "gallery", "*.zarr"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, tree / name)
    (tree / "gpu_thermo_cli").symlink_to("cli")
    (tree / "gpu_thermo_analysis").symlink_to("analysis")


if __name__ == "__main__":
    sys.exit(main())
