"""How fast a machine samples: replica-steps per second of an engine, beside what the machine could do at most.

The arithmetic of a replica-step is counted from the mathematics, not from any implementation (cost.py). The peak is
what the machine reaches with nothing but independent multiply-adds. `limit` is the rate at which this mix of
instructions would fill every slot of that peak: integers and single sums fill a slot with one operation, so no
implementation reaches the peak itself.
"""

import ctypes
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

import numpy as np

from ..cost import count
from ..engines import Engine, Job, choose_engine, make_engine, resolve_device
from ..engines.base import cores
from ..errors import SpecError
from ..kernels.emit import prologue
from ..kernels.toolchain import find_compiler, host_library
from ..method.named import DEFAULT_METHOD
from ..spec.run import RunSpec
from ..state import Segment, State
from .pace import SEGMENT_SECONDS, Pace
from .setup import prepare
from .subject import Setup

# -- what the machine can do -------------------------------------------------------------------------------------------

CHAINS, LEAST_BURSTS = 12, 5
"""Independent chains a core: more than latency times units of any processor of today, few enough for 16 registers; and
tries of which the best counts, since a first one may wait for its threads longer than it runs."""

_PEAK = (
    f"""
constexpr int CHAINS = {CHAINS};
"""
    + """
extern "C" i64 peak_lanes() { return LANES; }
extern "C" float peak_chains(i64 rounds) {
  real x[CHAINS];
  const real a = splat(0.999999f), b = splat(1e-7f);
  UNROLL for (int i = 0; i < CHAINS; ++i) x[i] = splat(float(i));
  for (i64 r = 0; r < rounds; ++r) {
    UNROLL for (int i = 0; i < CHAINS; ++i) x[i] = x[i] * a + b;
  }
  real sum = zero();
  UNROLL for (int i = 0; i < CHAINS; ++i) sum += x[i];
  return get(sum, 0);
}
"""
)


@cache
def _peak_library() -> ctypes.CDLL:
    library = host_library(prologue(32) + _PEAK)
    library.peak_lanes.restype, library.peak_chains.restype = ctypes.c_int64, ctypes.c_float
    library.peak_chains.argtypes = (ctypes.c_int64,)
    return library


def multiply_adds(seconds: float = 0.1, threads: int | None = None) -> float:
    """Operations per second of independent float32 multiply-add chains on all threads at once: the best burst within
    `seconds`.
    """
    library, workers = _peak_library(), threads or cores()
    work = 2 * CHAINS * int(library.peak_lanes()) * workers
    rounds, best, bursts, until = 1 << 16, 0.0, 0, time.perf_counter() + seconds
    with ThreadPoolExecutor(workers) as pool:
        while bursts < LEAST_BURSTS or time.perf_counter() < until:
            begin = time.perf_counter()
            for _ in pool.map(library.peak_chains, [rounds] * workers):
                pass
            elapsed = time.perf_counter() - begin
            best, bursts = max(best, work * rounds / elapsed), bursts + 1
            rounds = max(1 << 16, int(rounds * min(8.0, seconds / 4 / elapsed)))
    return best


def _products(xp: Any, size: int, device: Any = None) -> float:
    """Operations per second of a square float32 matrix product, the best of five."""
    a, best = xp.ones((size, size), xp.float32), 0.0
    wait = xp.cuda.Stream.null.synchronize if hasattr(xp, "cuda") else lambda: None
    for i in range(6):
        begin = time.perf_counter()
        xp.matmul(a, a)
        wait()
        if i:
            best = max(best, 2 * size**3 / (time.perf_counter() - begin))
    return best


def measured_peak(device: str = "cpu", threads: int | None = None, product: int = 8192) -> tuple[float, str]:
    """Operations per second of float32 multiply-adds, the best of a few tries, and how it was measured; on a GPU by
    matrices of `product` rows.
    """
    if device != "cpu":
        import cupy

        with cupy.cuda.Device(int(device.partition(":")[2] or 0)):
            return _products(cupy, product), "CuPy matrix product, float32"
    if find_compiler() is None:
        return _products(np, 1024), "NumPy matrix product, float32"
    return max(multiply_adds(0.1, threads) for _ in range(5)), "compiled multiply-add chains, float32"


# -- what an engine does -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Speed:
    """One engine's figures.

    Attributes
    ----------
    rate, lowest, highest : replica-steps per second, median and range over segments. first_seconds : the first step,
    compilation included. operations, instructions : of one replica-step by part. peak : operations per second. limit :
    replica-steps per second if every instruction slot of the peak were filled. memory : bytes a replica.
    """

    engine: str
    device: str
    replicas: int
    rate: float
    lowest: float
    highest: float
    segments: int
    first_seconds: float
    memory: float
    peak: float
    peak_by: str
    operations: dict[str, float] = field(default_factory=dict)
    instructions: dict[str, float] = field(default_factory=dict)

    @property
    def fraction_of_peak(self) -> float:
        """Operations done per second over the peak."""
        return self.rate * sum(self.operations.values()) / self.peak

    @property
    def limit(self) -> float:
        """Replica-steps per second with every instruction slot filled."""
        return self.peak / 2 / sum(self.instructions.values())

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary, derived numbers included."""
        return asdict(self) | {"fraction_of_peak": self.fraction_of_peak, "limit": self.limit}


def bench_spec(data: str = "spirals", hidden: int = 20, batch: int = 25, replicas: int = 1000) -> RunSpec:
    """AdLaLa with LMV's fig. 10 settings, prepared for timing: no draws before a million steps.

    Raises
    ------
    SpecError
        For data other than spirals or digits.
    """
    if data not in ("spirals", "digits"):
        raise SpecError(f"data = '{data}' is not among the benchmarks: use spirals or digits.")
    source = {"name": "spirals", "train": 500 if hidden < 50 else 1000} if data == "spirals" else {"name": "digits"}
    run = {
        "replicas": replicas,
        "batch": batch,
        "steps": 10**9,
        "burn_in": 0,
        "thin": 10**9,
        "trace": 10**9,
        "keep": [],
    }
    return RunSpec.from_dict({"data": source, "model": {"hidden": hidden}, "method": DEFAULT_METHOD, "run": run})


def engines_for(job: Job, engine: str, device: str) -> list[str]:
    """Names of the engines to time: the one asked for, or with "all" every one that can carry out `job`, the faster
    expected first.
    """
    if engine != "all":
        return [choose_engine(job, engine, device)]
    names = []
    for name in ("fused", "batched"):
        try:
            names.append(choose_engine(job, name, device))
        except SpecError:
            continue
    return names


def measure(
    spec: RunSpec, engine: str = "all", device: str = "auto", seconds: float = 5.0, threads: int | None = None
) -> list[Speed]:
    """Time engines on `spec` for `seconds` each.

    Raises
    ------
    SpecError, DeviceError
        The engine cannot carry out the spec, or the device is missing.
    """
    job = (ready := prepare(spec)).job
    device = resolve_device(device)
    peak = measured_peak(device, threads)
    return [_measure(ready, name, device, seconds, threads, peak) for name in engines_for(job, engine, device)]


def _measure(
    ready: Setup, name: str, device: str, seconds: float, threads: int | None, peak: tuple[float, str]
) -> Speed:
    parts = count(job := ready.job)
    begin = time.perf_counter()
    engine = make_engine(job, name, device, threads)
    made = time.perf_counter() - begin
    state, begin = ready.begin(engine), time.perf_counter()
    engine.advance(state, Segment(0, 1))
    first = made + time.perf_counter() - begin
    rates = timed_segments(engine, state, seconds)
    return Speed(
        engine=name,
        device=device,
        replicas=job.replicas,
        rate=statistics.median(rates),
        lowest=min(rates),
        highest=max(rates),
        segments=len(rates),
        first_seconds=first,
        memory=memory_per_replica(state, device),
        peak=peak[0],
        peak_by=peak[1],
        operations={part: c.operations for part, c in parts.items()},
        instructions={part: c.instructions for part, c in parts.items()},
    )


def timed_segments(engine: Engine, state: State, seconds: float) -> list[float]:
    """Replica-steps per second of segments of about SEGMENT_SECONDS, until `seconds` have passed; shorter ones before
    are not counted.
    """
    target = min(SEGMENT_SECONDS, seconds / 4)
    rates: list[float] = []
    pace, until = Pace(target), time.perf_counter() + seconds
    while not rates or time.perf_counter() < until:
        begin, length = time.perf_counter(), pace.next()
        engine.advance(state, Segment(state.step, length))
        elapsed = time.perf_counter() - begin
        if elapsed >= target / 2 or time.perf_counter() >= until:
            rates.append(length * state.replicas / elapsed)
        pace.saw(length, elapsed)
    return rates


def memory_per_replica(state: State, device: str = "cpu") -> float:
    """Bytes of state a replica takes; on a GPU all that CuPy's pool holds, divided by the replicas."""
    if device != "cpu":
        import cupy

        with cupy.cuda.Device(int(device.partition(":")[2] or 0)):
            return float(cupy.get_default_memory_pool().total_bytes()) / state.replicas
    return sum(a.nbytes for a in state.arrays().values()) / state.replicas
