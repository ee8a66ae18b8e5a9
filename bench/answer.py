"""Time to an answer: how long from process start, everything compiled on the way, until the predictive mean at 50
inputs is within .05 posterior sd (rms) of a long reference and its variance within 10 % (rms), and stays so.

`python -m bench.answer [run] [--problems classifier ...] [--contenders "numpyro NUTS" ...] [--seeds 5] [--limit 300]`
goes on where its result ends; `python -m bench.answer reference NAME [--limit 1500]` makes a reference.

Problems (bench/race/problems.py): 2-5-1 classifier, 1-8-1 regression with little noise, diabetes 10-10-1 with a learned
noise, 2-16-16-1 classifier; tanh, normal priors. Contenders (bench/race/child.py), all on the very same density
(tests/bench/test_answer.py), float32, starts at the prior, all cores: our run with a tolerance of .05 at its defaults,
with an empty compile cache as on the first day, with a warm one, and with a tolerance of .025; NUTS of numpyro and of
blackjax with warm-ups of 1,000 and 300; MCLMC of blackjax tuned by its own rule; LAPS, 1,024 chains, three lengths. The
best length of each peer counts: nobody would know it before.

Each is a process of its own, one after another, all contenders of a problem and seed before the next. Every few draws a
checkpoint compares the running averages with the reference, the clock stopped meanwhile; the answer is there at the
first checkpoint from which on all are within, and a run goes on for half as many draws again, or until it ends itself.
Gradients are those of all chains, warm-up and the group at h/2 counted. Predictions at the inputs are nobody's time.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from .common import RESULTS
from .race.child import CONTENDERS, WARM
from .race.judge import FOLDER, MEAN, VARIANCE, truth
from .race.problems import MAKERS
from .rows import grow

SEEDS = 5
PLACE = RESULTS / "answer.json"


def lap(key: dict[str, Any], limit: float) -> dict[str, Any]:
    """One process: what a row says, or why there is nothing to say."""
    if key["contender"] == WARM:
        _lap(key, limit)
    return _lap(key, limit)


def _lap(key: dict[str, Any], limit: float) -> dict[str, Any]:
    start = time.monotonic()
    told = (key["contender"], key["problem"], str(key["seed"]), str(limit))
    command = [sys.executable, "-W", "ignore", "-m", "bench.race.child", *told]
    try:
        done = subprocess.run([*command, repr(start)], capture_output=True, text=True, timeout=2 * limit + 60)
    except subprocess.TimeoutExpired:
        return {"failed": f"no end in {2 * limit + 60:g} s"}
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or ["?"])[-1][:300]}
    return json.loads(done.stdout.strip().splitlines()[-1])


def line(row: dict[str, Any]) -> str:
    """For reading."""
    head = f"{row['problem']:11} {row['contender']:22} seed {row['seed']} "
    if "failed" in row:
        return head + row["failed"]
    end, there = row["end"], row["answer"]
    off = f"errors {end['mean']:.3f}, {end['variance']:.3f} at the end ({end['seconds']:.1f} s)"
    if there is None:
        return f"{head} not there: {off}"
    return (
        f"{head} {there['seconds']:7.1f} s (processor {there['processor']:.1f}), {there['gradients']:,} gradients;"
        f" first draw {row['first_draw']['seconds']:.1f} s; {off}"
    )


def run(asked: argparse.Namespace, place: Path) -> None:
    """All that is missing, seed after seed; written after every row."""
    references = {name: truth(name).provenance for name in asked.problems}
    told = {"within": {"mean": MEAN, "variance": VARIANCE}, "limit": asked.limit, "references": references}
    keys = (
        {"problem": name, "contender": contender, "seed": seed}
        for seed in range(asked.seeds) for name in asked.problems for contender in asked.contenders
    )  # fmt: skip
    grow(place, keys, lambda key: lap(key, asked.limit), told, line)


def main(given: list[str] | None = None) -> None:
    """Run, or make a reference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", default="run", choices=["run", "reference"])
    parser.add_argument("name", nargs="?", choices=[*MAKERS], help="of the reference")
    parser.add_argument("--problems", nargs="+", default=[*MAKERS], choices=[*MAKERS])
    parser.add_argument("--contenders", nargs="+", default=[*CONTENDERS], choices=[*CONTENDERS])
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--limit", type=float, default=300.0, help="seconds of a run")
    parser.add_argument("--out", type=Path, default=PLACE)
    asked = parser.parse_args(given)
    if asked.what == "run":
        run(asked, asked.out)
        return
    from .race.child import one_device_a_core

    one_device_a_core()
    from .race.long import write

    found = write(asked.name, asked.limit, FOLDER)
    print(f"{asked.name}: {found.provenance}, errors {found.errors}")


if __name__ == "__main__":
    main()
