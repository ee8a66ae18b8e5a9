"""LMV fig. 14 end to end: two-turn spirals, 20 hidden units, six settings x 100 runs x 20,000 steps = 12 M
replica-steps.

`python -m bench.lmv_fig14 [--runs 100] [--steps 20000] [--warm]`

The time is that of the whole process, from its start: imports, data, compilation (into an empty cache unless --warm),
sampling, test accuracies. Kernels compile in threads while the first runs go. Each run has its own data realisation,
the same for all settings.
"""

import argparse
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

PUBLISHED = (
    "LOL and AdLaLa: higher mean, much lower variance than SGD and Adam (means and variances exist as a picture only)"
)
ADLALA = {"name": "adlala", "stepsize": 0.25, "temperature": 1e-4, "friction": 0.5, "sigma": 0.01, "epsilon": 0.1}
LOL = {
    "name": "lol", "stepsize": 0.25, "friction": {"hidden": 0.01, "output": "inf"},
    "temperature": {"hidden": 1e-3, "output": 0.0},
}  # fmt: skip
SETTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "SGD h .25": ({"name": "sgd", "stepsize": 0.25}, "normal"),
    "Adam .005": ({"name": "adam", "stepsize": 0.005}, "normal"),
    "Adam .005, PyTorch start": ({"name": "adam", "stepsize": 0.005}, "pytorch"),
    "LOL h .25": (LOL, "normal"),
    "AdLaLa h .25": (ADLALA, "normal"),
    "AdLaLa h .25, PyTorch start": (ADLALA, "pytorch"),
}


def process_seconds() -> float:
    """Seconds since this process was started; since the import of this module where the system does not tell."""
    try:
        started = float(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
        return float(Path("/proc/uptime").read_text().split()[0]) - started
    except (OSError, ValueError, IndexError):
        return time.perf_counter() - _IMPORTED


_IMPORTED = time.perf_counter()


def spec_of(method: dict[str, Any], init: str, runs: int, steps: int) -> dict[str, Any]:
    """One setting's run: nothing but the last step is looked at."""
    return {
        "data": {"name": "spirals", "turns": 2, "train": 500, "test": 1000, "seeds": list(range(runs))},
        "model": {"hidden": 20, "init": init}, "method": method,
        "run": {"replicas": runs, "steps": steps, "burn_in": 0, "thin": steps, "trace": steps, "batch": 10, "keep": []},
    }  # fmt: skip


def compiled(spec: dict[str, Any]) -> None:
    """Compile the kernel that `spec` needs; the number of replicas and data sets does not matter."""
    from gpu_thermo.engines import choose_engine, make_engine
    from gpu_thermo.running.setup import prepare
    from gpu_thermo.spec.run import RunSpec

    small = {"data": {"name": "spirals", "train": 500, "test": 2}, "run": spec["run"] | {"replicas": 1}}
    job = prepare(RunSpec.from_dict(spec | small)).job
    make_engine(job, choose_engine(job, "auto", "cpu"), "cpu")


def run_all(runs: int, steps: int) -> dict[str, "np.ndarray"]:
    """Test accuracies [runs] in percent of every setting; later kernels compile while earlier settings run."""
    from gpu_thermo.run import iterate

    specs = {name: spec_of(method, init, runs, steps) for name, (method, init) in SETTINGS.items()}
    different = {spec["method"]["name"]: spec for spec in specs.values()}
    out = {}
    with ThreadPoolExecutor(2) as pool:
        ready = {method: pool.submit(compiled, spec) for method, spec in different.items()}
        for name, spec in specs.items():
            ready[spec["method"]["name"]].result()
            (last,) = iterate(spec, device="cpu")
            out[name] = 100 * last.statistics["test_accuracy"]
    return out


def main() -> None:
    """Run, print the table, write the result file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--warm", action="store_true", help="use the compile cache as it is")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if not given.warm:
            os.environ["GPU_THERMO_CACHE"] = folder
        accuracies = run_all(given.runs, given.steps)
        seconds = process_seconds()
    from .common import save

    rows = {}
    print(f"{'setting':28} {'mean':>6} {'sd':>6} {'worst':>6}")
    for name, a in accuracies.items():
        rows[name] = {"mean": float(a.mean()), "sd": float(a.std(ddof=1)), "worst": float(a.min())}
        print(f"{name:28} {a.mean():6.1f} {a.std(ddof=1):6.1f} {a.min():6.1f}")
    print(f"published: {PUBLISHED}")
    work = len(SETTINGS) * given.runs * given.steps
    print(f"{work / 1e6:g} M replica-steps in {seconds:.1f} s from process start to accuracies")
    sizes = {"runs": given.runs, "steps": given.steps, "warm_cache": given.warm}
    save(
        "lmv_fig14",
        {"unit": "test accuracy, percent", **sizes, "published": PUBLISHED, "settings": rows, "seconds": seconds},
    )


if __name__ == "__main__":
    main()
