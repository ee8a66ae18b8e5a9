"""Runs with a tolerance on the NUTS references: one row each, and what its replicas saw at the reference's inputs."""

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import gpu_thermo as gt
from gpu_thermo.verify.references import Reference, load, quantities

Row = dict[str, Any]
REFERENCES = ("2_5_1", "2_4_4_1", "1_6_6_heteroscedastic", "1_8_1_student_t")
STARTS = ("prior", "he")
TOLERANCES = (0.05, 0.02)
SEEDS = range(20)
REPLICAS = 128
SEED_OF_TABLE = 0
ALL = slice(None)


def spec_of(reference: Reference, start: str, seed: int, method: Mapping[str, Any], **run: Any) -> dict[str, Any]:
    """A spec of the reference's posterior at T = 1, its draws kept."""
    plan = {"replicas": REPLICAS, "seed": seed, "keep": ["parameters"]} | run
    return {
        "model": reference.model | {"init": start},
        "method": {"name": "langevin", "posterior_temperature": 1.0} | dict(method),
        "run": plan,
    }


def sampled(reference: Reference, spec: dict[str, Any]) -> tuple[Any, float]:
    """The run's tree, and the seconds of its processor time."""
    begin = time.process_time()
    tree = gt.sample(spec, data=reference.data, threads=1)
    return tree, time.process_time() - begin


def moments(reference: Reference, tree: Any, draws: slice = ALL) -> np.ndarray:
    """[R, 2, Q * 50]: of each replica the means over its draws of the reference's quantities about their mean there,
    and of the squares of that.
    """
    posterior = tree["posterior"].isel(draw=draws)
    names = {str(name) for name in posterior.data_vars}
    depth = sum(name.startswith("w") for name in names)
    arrays = {name: posterior[name].to_numpy().astype(np.float64) for name in names}
    own = arrays["log_noise"][..., 0] if "log_noise" in arrays else None
    found = []
    for r in range(len(arrays["w1"])):
        value = np.broadcast_to(reference.inputs.T, (len(arrays["w1"][r]), *reference.inputs.T.shape))
        for layer in range(1, depth + 1):
            w, b = arrays[f"w{layer}"][r], arrays[f"b{layer}"][r]
            value = w @ (np.tanh(value) if layer > 1 else value) + b[..., None]
        values = quantities(reference, value.swapaxes(-1, -2), None if own is None else own[r])
        about = np.concatenate([values[name] - law.mean for name, law in reference.laws.items()], axis=-1)
        found.append(np.stack([about.mean(axis=0), (about**2).mean(axis=0)]))
    return np.stack(found)


def told(tree: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Course and verdict of a run that tuned itself."""
    attributes = tree["tuning"].attrs
    return json.loads(attributes["course"]), json.loads(attributes["verdict"])


def row_of(name: str, start: str, tolerance: float, seed: int, folder: Path) -> dict[str, Any]:
    """Run, keep the moments in the folder, and tell."""
    reference = load(name)
    tree, seconds = sampled(reference, spec_of(reference, start, seed, {}, tolerance=tolerance))
    course, verdict = told(tree)
    key = f"{name}-{start}-{tolerance:g}-{seed}"
    np.save(folder / f"{key}.npy", moments(reference, tree).astype(np.float32))
    begun = {}
    for line in course["log"]:
        begun.setdefault(line["phase"], line["begun"])
    return {
        "key": key, "reference": name, "start": start, "tolerance": tolerance, "seed": seed,
        "trusted": verdict["trusted"], "text": verdict["text"], "error": verdict["error"], "steps": course["stop"],
        "begun": begun, "stepsize": course["stepsize"], "friction": course["friction"],
        "block": course["lengths"]["block"], "origin": course["origin"], "kept": course["kept"],
        "burned": course["burned"], "windows": sum(line["phase"] == "burn-in" for line in course["log"]),
        "draws": course["log"][-1].get("draws"), "ended": course["ended"], "seconds": round(seconds, 2),
    }  # fmt: skip


def wanted(tolerances: tuple[float, ...] = TOLERANCES) -> Iterator[tuple[str, str, float, int]]:
    """Every cell and seed, all references with one seed before any has the next."""
    for tolerance in tolerances:
        for seed in SEEDS:
            for name in REFERENCES:
                for start in STARTS:
                    yield name, start, tolerance, seed


def rows(folder: Path) -> list[dict[str, Any]]:
    """Those that are there."""
    path = folder / "rows.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def run_all(folder: Path, tolerances: tuple[float, ...] = TOLERANCES) -> None:
    """All that is not there yet; each row is written as it ends."""
    folder.mkdir(parents=True, exist_ok=True)
    done = {row["key"] for row in rows(folder)}
    for name, start, tolerance, seed in wanted(tolerances):
        if f"{name}-{start}-{tolerance:g}-{seed}" in done:
            continue
        row = row_of(name, start, tolerance, seed, folder)
        with (folder / "rows.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(row["key"], row["steps"], "trusted" if row["trusted"] else row["text"], row["seconds"], flush=True)
