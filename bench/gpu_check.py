"""Everything that wants a GPU, in one command that ends within 8 minutes: kernels against the CPU, tests, sanitizer,
speed, profile.

`python -m bench.gpu_check --out FILE.json [--quick] [--device cuda]`

Each part runs in a process of its own with its own time limit and writes its reports as it goes: a crash or a hang ends
that part only.
Exit code 1 if anything failed. `--device cpu` runs the same parts without a GPU (the fused CPU engine stands in for the
device; a tiny sweep). What a machine without network needs is in bench/README.md.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PARTS = ("addresses", "promises", "kernels", "sweep", "sanitizer", "pytest", "profile")
SECONDS = {"addresses": 40, "promises": 40, "kernels": 100, "sweep": 120, "sanitizer": 70, "pytest": 60, "profile": 40}
"""Limits of the parts; 470 s in all."""
METRICS = (
    "gpu__time_duration.sum,sm__throughput.avg.pct_of_peak_sustained_elapsed,sm__warps_active.avg.pct_of_peak_sustained_active,"
    "smsp__inst_executed.sum,launch__registers_per_thread,gpu__compute_memory_throughput.avg.pct_of_peak_sustained_elapsed"
)
NO_TIME = "no time left"
Report = dict[str, Any]


# -- parts: each yields reports ----------------------------------------------------------------------------------------


def addresses(device: str, quick: bool, until: float) -> Iterator[Report]:
    """Words, minibatches, normals."""
    from .device.addresses import check

    yield {"case": "words, minibatches, normals"} | check(device, quick)


def promises(device: str, quick: bool, until: float) -> Iterator[Report]:
    """Bits, freezing, predictions."""
    from .device.kernels import promises as each

    yield from each(device)


def kernels(device: str, quick: bool, until: float) -> Iterator[Report]:
    """Every pair of choices."""
    from .device.kernels import check

    yield from check(device, quick or device == "cpu", until)


def sweep(device: str, quick: bool, until: float) -> Iterator[Report]:
    """Speed and memory."""
    from .device.sweep import run

    yield from run(device, quick, until)


def sanitizer(device: str, quick: bool, until: float) -> Iterator[Report]:
    """compute-sanitizer's memcheck and racecheck on a few steps."""
    tool = shutil.which("compute-sanitizer")
    if tool is None or device == "cpu":
        yield {"case": "compute-sanitizer", "why": "not on the PATH" if tool is None else "no GPU asked for"}
        return
    for kind in ("memcheck", "racecheck"):
        command = [
            tool,
            "--tool",
            kind,
            "--error-exitcode",
            "9",
            sys.executable,
            "-m",
            "bench.gpu_check",
            "--small",
            "--device",
            device,
        ]
        yield _tool(f"compute-sanitizer {kind}", command, until)


def pytest(device: str, quick: bool, until: float) -> Iterator[Report]:
    """The tests that need a GPU (the fused engine's own on a CPU)."""
    chosen = (
        ["-m", "gpu and not slow"] if device != "cpu" else ["tests/engines/test_fused.py", "-k", "bits_do_not_depend"]
    )
    yield _tool("pytest", [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *chosen], until)


def profile(device: str, quick: bool, until: float) -> Iterator[Report]:
    """Nsight Compute's figures of one launch."""
    tool = shutil.which("ncu")
    if tool is None or device == "cpu":
        yield {"case": "ncu", "why": "not on the PATH" if tool is None else "no GPU asked for"}
        return
    options = [
        "--kernel-name",
        "advance",
        "--launch-skip",
        "1",
        "--launch-count",
        "1",
        "--csv",
        "--metrics",
        METRICS,
        "--clock-control",
        "none",
    ]
    yield _tool(
        "ncu, d 100 R 20000",
        [tool, *options, sys.executable, "-m", "bench.gpu_check", "--small", "--large", "--device", device],
        until,
    )


def _tool(what: str, command: list[str], until: float, good: tuple[int, ...] = (0,)) -> Report:
    """A program's exit code and the end of what it said."""
    seconds = max(5.0, until - time.monotonic())
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as late:
        said = late.stdout.decode(errors="replace") if isinstance(late.stdout, bytes) else late.stdout or ""
        return {"case": what, "why": f"not done after {seconds:.0f} s", "said": said[-2000:]}
    return {
        "case": what,
        "ok": done.returncode in good,
        "code": done.returncode,
        "said": (done.stdout + done.stderr)[-4000:],
    }


def small(device: str, large: bool) -> None:
    """A few steps of both engines for the tools above."""
    from .cases import spirals
    from .contenders import Ours

    case, replicas = (spirals(100, 20), 20_000) if large else (spirals(20, 25), 37)
    for name in ("fused",) if large else ("fused", "batched"):
        Ours(case, replicas, name, device).advance(50 if large else 3)
    print("done")


# -- the driver --------------------------------------------------------------------------------------------------------


def child(part: str, device: str, quick: bool, seconds: float, path: Path) -> None:
    """Run one part, appending a line of JSON for each report."""
    until = time.monotonic() + seconds
    with path.open("a") as file:
        for report in globals()[part](device, quick, until):
            file.write(json.dumps(report) + "\n")
            file.flush()
        file.write(json.dumps({"finished": True}) + "\n")


def run_part(part: str, device: str, quick: bool, seconds: float) -> Report:
    """One part in its own process; whatever it had reported when it ended counts."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "reports"
        path.touch()
        own = max(5.0, seconds - 10)
        command = [
            sys.executable,
            "-m",
            "bench.gpu_check",
            "--part",
            part,
            "--device",
            device,
            "--seconds",
            str(own),
            "--out",
            str(path),
        ]
        begin = time.monotonic()
        environment = os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        error = ""
        try:
            done = subprocess.run(
                command + ["--quick"] * quick,
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
                env=environment,
            )
            error = done.stderr[-3000:] if done.returncode else ""
        except subprocess.TimeoutExpired:
            error = f"stopped after {seconds:.0f} s"
        reports = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
    finished = any(r.pop("finished", False) for r in reports)
    return {
        "reports": [r for r in reports if r],
        "finished": finished,
        "seconds": time.monotonic() - begin,
        "error": error,
    }


def device_name(device: str) -> Report:
    """What the device is, asked for in a process of its own."""
    if device == "cpu":
        from .common import machine

        return {"name": machine()["processor"]}
    text = (
        "import cupy, json; r = cupy.cuda.runtime; p = r.getDeviceProperties(0); print(json.dumps({'name':"
        " p['name'].decode(), 'capability': [p['major'], p['minor']], 'memory': p['totalGlobalMem'], 'driver':"
        " r.driverGetVersion(), 'runtime': r.runtimeGetVersion(), 'cupy': cupy.__version__}))"
    )
    try:
        done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60, check=True)
        return dict(json.loads(done.stdout))
    except (subprocess.SubprocessError, ValueError) as error:
        return {"name": f"unknown ({error})"}


def verdict(part: Report) -> str:
    """Passed, failed or unfinished, with numbers."""
    reports = part["reports"]
    good, bad = (sum(r.get("ok") is wanted for r in reports) for wanted in (True, False))
    state = "FAILED" if bad or part["error"] else "ok" if part["finished"] else "cut short"
    worst = max((r["worst"] for r in reports if isinstance(r.get("worst"), float)), default=None)
    notes = [f"{good} passed", f"{bad} failed"] if good or bad else [f"{len(reports)} reports"]
    notes += [f"worst difference {worst:.1e}"] if worst is not None else []
    notes += [str(r["why"])[:100] for r in reports if r.get("why") and r.get("ok") is not False][:2]
    return f"{state:10} {', '.join(notes)}"


def print_table(result: Report) -> None:
    """The short table at the end."""
    print(f"\n{result['device']['name']}, {result['seconds']:.0f} s")
    for r in result["parts"].get("sweep", {}).get("reports", []):
        if "rate" in r and "case" in r:
            memory = f"{r['memory_per_replica'] / 1000:.2f} kB a replica" if r.get("memory_per_replica") else ""
            share = f"{100 * r['fraction_of_peak']:.1f} % of the peak" if "fraction_of_peak" in r else ""
            print(
                f"  {r['case']:9} R {r['replicas']:>9,} {r['contender']:13} {r['rate'] / 1e6:10.3f} M replica-steps/s "
                f" {share:20} {memory}"
            )
    for name, part in result["parts"].items():
        print(f"  {name:10} {verdict(part)}  ({part['seconds']:.0f} s)")
        if part["error"]:
            print("    " + part["error"].strip().splitlines()[-1])
        for r in [r for r in part["reports"] if r.get("ok") is False][:5]:
            print(f"    failed: {r['case']}: {str(r.get('why', r.get('worst', r.get('said', ''))))[-300:]}")


def arguments(given: list[str] | None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--total", type=float, default=470.0, help="seconds for everything")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=60.0, help=argparse.SUPPRESS)
    parser.add_argument("--small", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--large", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(given)


def failed(part: Report) -> bool:
    """Whether a part found something wrong, broke or hung: parts end by themselves in their time. One that there was no
    time for did not.
    """
    return any(r.get("ok") is False for r in part["reports"]) or part["error"] not in ("", NO_TIME)


def main(given: list[str] | None = None) -> int:
    """Run all parts, print the table, write the JSON after each part; 1 if anything failed, else 0."""
    args = arguments(given)
    if args.small:
        small(args.device, args.large)
        return 0
    if args.part:
        child(args.part, args.device, args.quick, args.seconds, args.out)
        return 0
    begin = time.monotonic()
    result: Report = {"device": device_name(args.device), "quick": args.quick, "seconds": 0.0, "parts": {}}
    for part in args.parts:
        left = args.total - (time.monotonic() - begin)
        if left < 8:
            result["parts"][part] = {"reports": [], "finished": False, "seconds": 0.0, "error": NO_TIME}
            continue
        result["parts"][part] = run_part(part, args.device, args.quick, min(SECONDS[part], left))
        result["seconds"] = time.monotonic() - begin
        if args.out:
            args.out.write_text(json.dumps(result, indent=1) + "\n")
        print(f"{part}: {verdict(result['parts'][part])}", flush=True)
    print_table(result)
    return int(any(failed(part) for part in result["parts"].values()))


if __name__ == "__main__":
    sys.exit(main())
