"""Everything that wants a GPU, in one command that ends within 5 1/2 minutes: speed, profile, kernels against the CPU,
tests, sanitizer.

`python -m bench.gpu_check --out FILE.json [--size quick] [--device cuda] [--wheels FOLDER] [--parts ...]`

Each part (bench/device/parts.py) runs in a process of its own with its own time limit and writes its reports as it
goes: a crash or a hang ends that part only. Parts that time something have the machine for themselves, the others run
side by side at the end.
Exit code 1 if anything failed. `--device cpu` runs the same parts without a GPU (the fused CPU engine stands in for the
device; tiny sizes). What a machine without network needs is in bench/README.md.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import groupby
from pathlib import Path
from typing import Any

from .device.parts import PARTS
from .device.wheels import ROOT, unpack

NO_TIME = "no time left"
Report = dict[str, Any]


def child(part: str, device: str, size: str, seconds: float, path: Path) -> None:
    """Run one part, appending a line of JSON for each report; other files go beside it."""
    until = time.monotonic() + seconds
    with path.open("a") as file:
        for report in PARTS[part].work(device, size, until, path.parent):
            file.write(json.dumps(report) + "\n")
            file.flush()
        file.write(json.dumps({"finished": True}) + "\n")


class Running:
    """A part in its own process; whatever it had reported when it ended counts."""

    def __init__(self, part: str, device: str, size: str, seconds: float, folder: Path) -> None:
        self._path, self._begin, self._seconds = folder / f"{part}.reports", time.monotonic(), seconds
        self._path.write_text("")
        self._said = tempfile.TemporaryFile("w+")
        own = max(5.0, seconds - 5)
        command = [sys.executable, "-m", "bench.gpu_check", "--part", part, "--device", device]
        command += ["--seconds", str(own), "--size", size, "--out", str(self._path)]
        environment = os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=self._said, env=environment)

    def end(self) -> Report:
        """Wait for it, as long as it may take."""
        error = ""
        try:
            code = self._process.wait(max(1.0, self._seconds - (time.monotonic() - self._begin)))
            self._said.seek(0)
            error = self._said.read()[-3000:] if code else ""
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            error = f"stopped after {self._seconds:.0f} s"
        self._said.close()
        reports = [json.loads(line) for line in self._path.read_text().splitlines() if line.endswith("}")]
        self._path.unlink()
        finished = any(r.pop("finished", False) for r in reports)
        return {
            "reports": [r for r in reports if r],
            "finished": finished,
            "seconds": time.monotonic() - self._begin,
            "error": error,
        }


def run_parts(parts: list[str], device: str, size: str, left: float, folder: Path) -> dict[str, Report]:
    """Some parts side by side, each within its limit and what is left of the time."""
    if left < 8:
        return {part: {"reports": [], "finished": False, "seconds": 0.0, "error": NO_TIME} for part in parts}
    running = {part: Running(part, device, size, min(PARTS[part].seconds, left), folder) for part in parts}
    return {part: each.end() for part, each in running.items()}


def together(parts: list[str]) -> list[list[str]]:
    """Parts that run side by side: neighbours that may, and each other one alone."""
    groups = groupby(enumerate(parts), key=lambda place: place[0] if PARTS[place[1]].alone else -1)
    return [[part for _, part in group] for _, group in groups]


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


def device_name(result: Report) -> str:
    """What the device says it is, else the processor."""
    reports = {r.get("case"): r for r in result["parts"].get("facts", {}).get("reports", [])}
    return str(reports.get("device", {}).get("name") or reports.get("machine", {}).get("processor", "unknown"))


def print_table(result: Report) -> None:
    """The short table at the end."""
    print(f"\n{result['device']['name']}, {result['seconds']:.0f} s")
    for name in ("rates", "end_to_end"):
        for r in result["parts"].get(name, {}).get("reports", []):
            if "rate" in r and "case" in r:
                share = f"{100 * r['fraction_of_peak']:.1f} % of the peak" if "fraction_of_peak" in r else ""
                ratio = f"fused is {r['fused_over_this']:.3g} x" if "fused_over_this" in r else ""
                cell = f"{r['case']:9} R {r['replicas']:>9,} {r['contender']:13}"
                print(f"  {cell} {r['rate'] / 1e6:10.3f} M replica-steps/s  {share}{ratio}")
    for name, part in result["parts"].items():
        print(f"  {name:10} {verdict(part)}  ({part['seconds']:.0f} s)")
        if part["error"]:
            print("    " + part["error"].strip().splitlines()[-1])
        for r in [r for r in part["reports"] if r.get("ok") is False][:5]:
            print(f"    failed: {r['case']}: {str(r.get('why', r.get('said', r.get('worst', ''))))[-600:]}")


def arguments(given: list[str] | None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--size", choices=("full", "quick", "tiny"), help="tiny where there is no GPU, else full")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--wheels", type=Path, help="folder of wheels to unpack first (bench/device/wheels.py)")
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--total", type=float, default=330.0, help="seconds for everything")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=60.0, help=argparse.SUPPRESS)
    return parser.parse_args(given)


def failed(part: Report) -> bool:
    """Whether a part found something wrong, broke or hung: parts end by themselves in their time. One that there was no
    time for did not.
    """
    return any(r.get("ok") is False for r in part["reports"]) or part["error"] not in ("", NO_TIME)


def main(given: list[str] | None = None) -> int:
    """Run all parts, print the table, write the JSON after each part; 1 if anything failed, else 0."""
    args, begin = arguments(given), time.monotonic()
    size = args.size or ("tiny" if args.device == "cpu" else "full")
    if args.part:
        child(args.part, args.device, size, args.seconds, args.out)
        return 0
    if args.wheels:
        before = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(unpack(args.wheels)), str(ROOT), before)))
    result: Report = {"device": {"name": "unknown"}, "size": size, "seconds": 0.0, "parts": {}}
    folder = args.out.parent if args.out else Path(tempfile.mkdtemp(prefix="gpu_check-"))
    folder.mkdir(parents=True, exist_ok=True)
    for parts in together(args.parts):
        left = args.total - (time.monotonic() - begin)
        result["parts"] |= run_parts(parts, args.device, size, left, folder)
        result["seconds"], result["device"]["name"] = time.monotonic() - begin, device_name(result)
        if args.out:
            args.out.write_text(json.dumps(result, indent=1) + "\n")
        for part in parts:
            print(f"{part}: {verdict(result['parts'][part])}", flush=True)
    print_table(result)
    return int(any(failed(part) for part in result["parts"].values()))


if __name__ == "__main__":
    sys.exit(main())
