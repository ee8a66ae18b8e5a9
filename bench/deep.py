"""Networks of several hidden layers: our engines and JAX (vmap, scan, jit; plain and tuned), interleaved in one run.

`python -m bench.deep [--hidden 16 16 16 16] [--replicas 64 1000] [--batch 1202 128] [--pairs 5] [--seconds .7]`

BAOAB with a normal prior on 1,202 points of 5 inputs and one target, the size of the airfoil data; silu, Gaussian noise
of known sd. Minibatches are subsets of ours and JAX's cheapest, drawn with replacement.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from gpu_thermo.cost import count, total
from gpu_thermo.data import Dataset
from gpu_thermo.engines import Batching, Engine, Job, initial_state
from gpu_thermo.method.named import get_method, make_program
from gpu_thermo.running.speed import multiply_adds
from gpu_thermo.state import Hyper, State
from gpu_thermo.targets.networks import MlpModel
from gpu_thermo.targets.posterior import MlpTarget

from .common import adapted, human, interleave, ratios, save, summary
from .contenders import Ours

POINTS, INPUTS, H, NOISE_SD = 1202, 5, 0.003, 0.3
TAU = 1 / POINTS


def arrays() -> tuple[np.ndarray, np.ndarray]:
    """Inputs [N, m] and targets [N, 1]."""
    x = np.random.default_rng(0).normal(size=(POINTS, INPUTS)).astype(np.float32)
    return x, np.sin(x.sum(axis=1, keepdims=True))


def job_of(hidden: tuple[int, ...], replicas: int, batch: int) -> Job:
    """Our run: as a spec would make it, from arrays."""
    x, y = (a.astype(np.float64) for a in arrays())
    names = tuple(f"x{i}" for i in range(INPUTS))
    data = Dataset("sine", "regression", x[None], y[None], x[None, :8], y[None, :8], names, (), ("y",))
    model = MlpModel(INPUTS, hidden, 1, "regression", "silu", 1.0, NOISE_SD)
    target = MlpTarget(model, data, np.zeros(replicas, np.int64), np.float32)
    program = make_program(get_method("langevin"), model.layout.partition("all"))
    hyper = Hyper.constant(replicas, 1, np.full(replicas, H), temperature=TAU, friction=1.0)
    batching = Batching("full", POINTS) if batch == POINTS else Batching("subset", batch)
    return Job(program, target, hyper, batching, np.ones(replicas, np.uint64), np.arange(replicas, dtype=np.uint64))


@dataclass(frozen=True)
class Deep:
    """One configuration among those of `bench.compare`."""

    name: str
    hidden: tuple[int, ...]
    batch: int

    def job(self) -> Job:
        """Our run of it, of one replica."""
        return job_of(self.hidden, 1, self.batch)

    def ready(self, replicas: int) -> tuple[Job, Callable[[Engine], State]]:
        """The job, and what makes its start where an engine has its states."""
        job = job_of(self.hidden, replicas, self.batch)
        start = 0.3 * np.random.default_rng(1).normal(size=(replicas, job.target.layout.size))
        return job, lambda engine: engine.load(initial_state(job, start))

    def contenders(self, replicas: int) -> dict[str, Callable[[], Any]]:
        """What makes each contender."""
        return contenders(self.hidden, replicas, self.batch)


class DeepOurs(Ours):
    """One of our engines at such a configuration."""

    def loss(self) -> float:
        """Mean squared error over all points and replicas, in units of the noise."""
        x, y = arrays()
        out = self.job.target.fused.outputs_at(self.state.position, x)
        return float((((out - y) / NOISE_SD) ** 2).mean())


def contenders(hidden: tuple[int, ...], replicas: int, batch: int) -> dict[str, Callable[[], Any]]:
    """What makes each of those that this machine can run, warm."""
    out: dict[str, Callable[[], Any]] = {
        name: partial(DeepOurs, Deep("", hidden, batch), replicas, name) for name in ("fused", "batched")
    }
    try:
        from .peers.jax_deep import FORMS
    except ImportError as error:
        print(f"without JAX: {error}", file=sys.stderr)
        return out
    for name, (form, generator) in FORMS.items():
        out[name] = partial(form, *arrays(), hidden, replicas, batch, H, TAU, NOISE_SD, generator)
    return out


CASES = {c.name: c for c in (Deep("4x16_full", (16,) * 4, POINTS), Deep("4x16_B128", (16,) * 4, 128))}


def measure(hidden: tuple[int, ...], replicas: int, batch: int, pairs: int, seconds: float) -> dict[str, Any]:
    """One configuration: rates, ratios of the fused engine to each other contender, fraction of the machine's peak."""
    peers = {name: make() for name, make in contenders(hidden, replicas, batch).items()}
    figures: dict[str, Callable[[], float]] = {name: adapted(p.advance, replicas, seconds) for name, p in peers.items()}
    figures["peak"] = lambda: multiply_adds(0.1)
    found = interleave(figures, pairs)
    operations = total(count(peers["fused"].job)).operations
    rates = {name: f for name, f in found.items() if name != "peak"}
    return {
        "hidden": hidden, "replicas": replicas, "batch": batch, "operations": operations,
        "replica_steps_per_second": {name: summary(f) for name, f in rates.items()},
        "ratios": {name: ratios(rates["fused"], f) for name, f in rates.items() if name != "fused"},
        "fraction_of_peak": summary([operations * a / b for a, b in zip(rates["fused"], found["peak"], strict=True)]),
        "loss": {name: p.loss() for name, p in peers.items()},
    }  # fmt: skip


def show(result: dict[str, Any]) -> None:
    """One configuration's table."""
    shape = " x ".join(map(str, result["hidden"]))
    print(f"\n{shape}, R {result['replicas']}, B {result['batch']}: {result['fraction_of_peak']['median']:.0%} of peak")
    for name, rate in result["replica_steps_per_second"].items():
        ratio = result["ratios"].get(name)
        beside = (
            f"  fused is {ratio['median']:.1f} ({ratio['lowest']:.1f} to {ratio['highest']:.1f}) x" if ratio else ""
        )
        print(f"  {name:16s} {human(rate['median']):>7s}/s  loss {result['loss'][name]:.2f}{beside}")


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.deep", description=__doc__)
    parser.add_argument("--hidden", type=int, nargs="+", default=[16, 16, 16, 16])
    parser.add_argument("--replicas", type=int, nargs="+", default=[64, 1000])
    parser.add_argument("--batch", type=int, nargs="+", default=[POINTS, 128])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.7)
    parser.add_argument("--save", action="store_true", help="write bench/results/deep.json")
    given = parser.parse_args(arguments)
    results = []
    for replicas in given.replicas:
        for batch in given.batch:
            results.append(measure(tuple(given.hidden), replicas, batch, given.pairs, given.seconds))
            show(results[-1])
    if given.save:
        save("deep", {"cases": results})
    return 0


if __name__ == "__main__":
    sys.exit(main())
