"""Memory a replica takes: growth of the process's peak between two numbers of replicas, each contender in fresh
processes.

`python -m bench.memory [--case d20_B25] [--replicas 2000 12000]`
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from .cases import CASES
from .common import RESULTS, save

STEPS = 4


def peak_bytes() -> int:
    """Largest resident size of this process so far."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(next(line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM"))) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def in_fresh_process(name: str, case: str, replicas: int) -> int:
    """Peak bytes of a process that runs a few steps."""
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "bench.memory",
        "--child",
        name,
        "--case",
        case,
        "--replicas",
        str(replicas),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    return int(json.loads(done.stdout.splitlines()[-1]))


def per_replica(name: str, case: str, few: int, many: int) -> float | None:
    """Bytes a replica; None where a contender cannot say."""
    if name == "torch_loop":
        return None
    try:
        return (in_fresh_process(name, case, many) - in_fresh_process(name, case, few)) / (many - few)
    except (subprocess.SubprocessError, ValueError, IndexError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return None


def measure(case: str, few: int, many: int) -> dict[str, float | None]:
    """Bytes a replica of every contender."""
    from .contenders import names

    return {name: per_replica(name, case, few, many) for name in names()}


def main() -> None:
    """Measure, print, write the result file; as a child, run one contender and print its peak."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", default="d20_B25", choices=CASES)
    parser.add_argument("--replicas", type=int, nargs="+", default=[2000, 12_000])
    parser.add_argument("--child")
    given = parser.parse_args()
    if given.child:
        from .contenders import make

        make(given.child, CASES[given.case], given.replicas[0]).advance(STEPS)
        print(json.dumps(peak_bytes()))
        return
    few, many = given.replicas
    figures: dict[str, Any] = measure(given.case, few, many)
    for name, size in figures.items():
        print(f"{name:16} {'-' if size is None else f'{size / 1000:8.2f} kB a replica'}")
    held = json.loads((RESULTS / "memory.json").read_text())["cases"] if (RESULTS / "memory.json").exists() else {}
    save("memory", {"unit": "bytes a replica, peak of the process", "cases": {**held, given.case: figures}})


if __name__ == "__main__":
    main()
