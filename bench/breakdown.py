"""Where a fused step's time goes: normals, minibatch, gradient, letters, and how far each is from the multiply-add
peak.

`python -m bench.breakdown [--case d20_B25 ...] [--rounds 5]`

The kernel is compiled in variants from the same headers: without gradients, without gradients and noise, with the first
B points in place of a random minibatch. Differences give the parts; a small loop of nothing but normals is timed beside
them. Interleaved with the peak.
"""

import argparse
import ctypes
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from gpu_thermo.cost import NORMAL, count
from gpu_thermo.engines.base import cores
from gpu_thermo.engines.fused import FusedEngine, _Host, make_emitter
from gpu_thermo.kernels.emit import Emitter, inline, prologue
from gpu_thermo.kernels.toolchain import host_library
from gpu_thermo.method.operations import operation
from gpu_thermo.method.words import Substep
from gpu_thermo.running.speed import multiply_adds

from .cases import CASES, Case
from .common import adapted, human, interleave, save, summary
from .contenders import Ours

NORMALS = """
extern "C" i64 normals_of_a_round() { return i64(4 * COUNT) * LANES; }
extern "C" float draw(i64 rounds) {
  Keys keys;
  keys.open(splat_word(1), splat_word(2), splat_word(3));
  real sum = zero();
  for (i64 r = 0; r < rounds; ++r) {
    const Address at = address(keys, PURPOSE_STEP, u64(r >> 6), 0);
    u32 block[COUNT];
    real n[COUNT][4];
    UNROLL for (int i = 0; i < COUNT; ++i) block[i] = u32(r & 63) * COUNT + i;
    normals(at, block, n);
    UNROLL for (int i = 0; i < COUNT; ++i) UNROLL for (int l = 0; l < 4; ++l) sum += n[i][l];
  }
  return get(sum, 0);
}
"""


class Variant(Emitter):
    """The kernel with parts left out.

    Parameters
    ----------
    base : the whole kernel's emitter. gradients, noise : whether to keep them. mode : minibatch mode; "full" takes the
    first B points.
    """

    def __init__(self, base: Emitter, gradients: bool = True, noise: bool = True, mode: str | None = None) -> None:
        super().__init__(base.program, base.model, mode or base.mode, base.batch, base.bits)
        self._gradients, self._noise = gradients, noise

    @property
    def _points(self) -> int:
        return self.batch  # in place of all N points in mode "full"

    def _step(self) -> str:
        text = super()._step()
        if not self._gradients:
            text = _must_replace(r"run\.evaluate\(\);", "", text)
        if not self._noise:
            text = _must_replace(r"SLOTS = \d+", "SLOTS = 0", _must_replace(r"\bn\[\d+\]", "splat(scalar(0.5))", text))
        return text


def _must_replace(pattern: str, by: str, text: str) -> str:
    out, times = re.subn(pattern, by, text)
    if not times:
        raise RuntimeError(f"The kernel's text has no {pattern!r} any more: adapt bench/breakdown.py to it.")
    return out


def variants(case: Case, replicas: int) -> dict[str, Ours]:
    """Our engine with each variant of the kernel."""
    base = Ours(case, 1, "fused").engine
    assert isinstance(base, FusedEngine)
    whole = make_emitter(base.job)
    kinds = {
        "whole": Variant(whole), "no gradient": Variant(whole, gradients=False),
        "letters only": Variant(whole, gradients=False, noise=False), "first points": Variant(whole, mode="full"),
    }  # fmt: skip
    out = {}
    for name, emitter in kinds.items():
        out[name] = Ours(case, replicas, "fused")
        out[name].engine._launch = _Host(emitter, None)
        out[name].advance(1)
    return out


def normals_alone(blocks: int = 2) -> Any:
    """A function (seconds wanted) -> normals per second on all threads."""
    names = ("math.h", "philox.h", "normals.h")
    text = "\n".join((prologue(32), f"constexpr int COUNT = {blocks};", inline(*names), NORMALS))
    library = host_library(text)
    library.normals_of_a_round.restype, library.draw.restype = ctypes.c_int64, ctypes.c_float
    library.draw.argtypes = (ctypes.c_int64,)
    pool, size = ThreadPoolExecutor(cores()), int(library.normals_of_a_round())

    def advance(rounds: int) -> int:
        for _ in pool.map(library.draw, [rounds] * cores()):
            pass
        return rounds

    return advance, size * cores()


def measure(case: Case, replicas: int, rounds: int, seconds: float) -> dict[str, Any]:
    """Parts of one configuration's step, in nanoseconds a replica-step of the whole machine."""
    kinds = variants(case, replicas)
    contenders = {name: adapted(o.advance, o.replicas, seconds) for name, o in kinds.items()}
    advance, size = normals_alone()
    contenders["normals alone"] = adapted(advance, size, seconds)
    contenders["peak"] = lambda: multiply_adds(0.1)
    medians = {name: summary(f)["median"] for name, f in interleave(contenders, rounds).items()}
    return parts(kinds["whole"].job, medians)


def parts(job: Any, medians: dict[str, float]) -> dict[str, Any]:
    """Differences of the variants' times, each part's operations, and its fraction of the peak."""
    time = {name: 1e9 / rate for name, rate in medians.items()}
    minibatch = time["whole"] - time["first points"]
    nanoseconds = {
        "gradient": time["whole"] - time["no gradient"] - minibatch, "minibatch": minibatch,
        "normals": time["no gradient"] - time["letters only"], "letters": time["letters only"],
    }  # fmt: skip
    counted = count(job)
    arithmetic = {
        "gradient": counted["forward"] + counted["backward"],
        **{n: counted[n] for n in ("minibatch", "normals", "letters")},
    }
    drawn = sum(operation(s.operation).normals * job.program.partition.counts[k]
                for s in job.program.substeps if isinstance(s, Substep) for k in s.partitions)  # fmt: skip
    return {
        "nanoseconds": {"whole": time["whole"], **nanoseconds},
        "share": {name: t / time["whole"] for name, t in nanoseconds.items()},
        "operations": {name: c.operations for name, c in arithmetic.items()},
        "fraction_of_peak": {
            n: c.operations / max(nanoseconds[n], 1e-3) * 1e9 / medians["peak"] for n, c in arithmetic.items()
        },
        "fraction_of_slots": {
            n: c.instructions / max(nanoseconds[n], 1e-3) * 2e9 / medians["peak"] for n, c in arithmetic.items()
        },
        "peak": medians["peak"],
        "normals_alone": {
            "nanoseconds": time["normals alone"], "in_the_step": nanoseconds["normals"] / drawn,
            "fraction_of_peak": NORMAL.operations * medians["normals alone"] / medians["peak"],
            "fraction_of_slots": 2 * NORMAL.instructions * medians["normals alone"] / medians["peak"],
        },
    }  # fmt: skip


def show(name: str, result: dict[str, Any]) -> None:
    """One configuration's table."""
    print(f"\n{name}: {result['nanoseconds']['whole']:.0f} ns a replica-step; peak {human(result['peak'])}op/s")
    for part, share in result["share"].items():
        peak, slots = (100 * result[f"fraction_of_{what}"][part] for what in ("peak", "slots"))
        line = (
            f"  {part:10} {result['nanoseconds'][part]:9.0f} ns {100 * share:5.1f} %"
            f" {result['operations'][part]:9.0f} op"
        )
        print(f"{line}, {peak:5.1f} % of the peak, {slots:5.1f} % of its slots")
    alone = result["normals_alone"]
    print(
        f"  a normal: {alone['nanoseconds']:.2f} ns alone, {alone['in_the_step']:.2f} ns in the step (whole machine)",
        flush=True,
    )


def main() -> None:
    """Measure all configurations, print them, write the result file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--replicas", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.4)
    given = parser.parse_args()
    results = {}
    for name in given.case:
        results[name] = measure(CASES[name], given.replicas, given.rounds, given.seconds)
        show(name, results[name])
        save("breakdown", {"replicas": given.replicas, "cases": results})


if __name__ == "__main__":
    main()
