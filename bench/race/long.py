"""Long references: NUTS of blackjax in float64 on the same log density, chain by chain until its errors are small."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from .judge import FOLDER, MEAN, REFERENCE_SHARE, VARIANCE, Truth, path_of
from .problems import Problem, problem

CHAINS, WARM_UP, BATCH, ACCEPTANCE = 16, 2_000, 500, 0.9
"""Chains; draws of their warm-up, and between looks; target acceptance."""
SHARE = REFERENCE_SHARE / 2
"""Errors at which it stops: half of what a reference may have."""
KNOWN = {"classifier": "2_5_1"}
"""Problems whose reference the package has (tests/reference/nuts.py wrote it)."""


def write(name: str, limit: float, folder: Path = FOLDER) -> Truth:
    """Make the reference of a problem within `limit` seconds, and keep it."""
    found = _known(KNOWN[name]) if name in KNOWN else _long(name, limit)
    folder.mkdir(exist_ok=True)
    arrays = {key: getattr(found, key) for key in ("mean", "variance", "mean_error", "variance_error")}
    np.savez(path_of(name, folder), **arrays, provenance=json.dumps(found.provenance))
    return found


def _known(name: str) -> Truth:
    text = files("gpu_thermo").joinpath("verify", "references", f"{name}.json").read_text()
    stored = json.loads(text)
    law = stored["quantities"]["p"]
    arrays = {key: np.array(law[key]) for key in ("mean", "variance", "mean_error", "variance_error")}
    told = {key: stored[key] for key in ("sampler", "chains", "draws", "divergent")}
    return Truth(**arrays, provenance=told | {"from": f"gpu_thermo/verify/references/{name}.json"})


def summary(moments: np.ndarray) -> dict[str, np.ndarray]:
    """Mean, variance and their standard errors from each chain's averages of a value and its square [chains, 2, 50],
    by the spread over chains.
    """
    mean = moments[:, 0].mean(axis=0)
    spread = moments[:, 1] - 2 * mean * moments[:, 0] + mean**2
    root = np.sqrt(len(moments))
    return {
        "mean": mean, "variance": spread.mean(axis=0), "mean_error": moments[:, 0].std(axis=0, ddof=1) / root,
        "variance_error": spread.std(axis=0, ddof=1) / root,
    }  # fmt: skip


def _long(name: str, limit: float) -> Truth:
    """Warm up, pool step sizes and masses, and draw until errors are SHARE of what is asked for."""
    import jax

    jax.config.update("jax_enable_x64", True)
    from .density import log_density
    from .nuts import shared

    p, begun = problem(name), time.monotonic()
    density = log_density(p)
    keys, state, parameters = _warmed(p, density)
    run, sums, divergent, work = shared(_draws(density)), list[np.ndarray](), 0, 0.0
    while True:
        keys = jax.vmap(lambda k: jax.random.split(k)[0])(keys)
        state, (theta, bad, steps) = run(keys, state, parameters)
        values = p.values(np.asarray(theta))
        sums.append(np.stack([values.mean(axis=1), (values**2).mean(axis=1)], axis=1))
        divergent, work = divergent + int(bad.sum()), work + float(steps.mean())
        told = _told(sums, divergent, work) | {"seconds": round(time.monotonic() - begun, 1)}
        known = Truth(**summary(np.mean(sums, axis=0)), provenance=told)
        print(f"{name}: {told['draws']} draws a chain, errors {known.errors}, R-hat {told['rhat']}", flush=True)
        enough = known.errors[0] <= SHARE * MEAN and known.errors[1] <= SHARE * VARIANCE
        if (enough and len(sums) >= 4) or time.monotonic() - begun > limit:
            return known


def _warmed(p: Problem, density: Callable[[Any], Any]) -> tuple[Any, Any, dict[str, Any]]:
    """Keys and states of all chains behind their warm-up, and one step size and one mass for all."""
    import blackjax
    import jax

    from .density import start
    from .nuts import shared

    def warm(key: Any) -> Any:
        first, second = jax.random.split(key)
        adaptation = blackjax.window_adaptation(blackjax.nuts, density, target_acceptance_rate=ACCEPTANCE)
        return adaptation.run(second, start(p, first), WARM_UP)[0]

    keys = jax.random.split(jax.random.key(1), CHAINS)
    found = shared(warm)(keys)
    pooled = {
        "step_size": jax.numpy.median(found.parameters["step_size"]),
        "inverse_mass_matrix": found.parameters["inverse_mass_matrix"].mean(axis=0),
    }
    return keys, found.state, {key: jax.numpy.broadcast_to(v, (CHAINS, *v.shape)) for key, v in pooled.items()}


def _draws(density: Callable[[Any], Any]) -> Callable[[Any, Any, Any], Any]:
    """BATCH draws of one chain: its state, and positions, divergences and leapfrogs of each."""
    import blackjax
    import jax

    def draw(key: Any, state: Any, parameters: Any) -> Any:
        step = blackjax.nuts(density, **parameters).step

        def one(state: Any, k: Any) -> Any:
            state, info = step(k, state)
            return state, (state.position, info.is_divergent, info.num_integration_steps)

        return jax.lax.scan(one, state, jax.random.split(key, BATCH))

    return draw


def _told(sums: list[np.ndarray], divergent: int, work: float) -> dict[str, Any]:
    """Where the reference is from; `work` is the sum over batches of mean leapfrogs."""
    return {
        "sampler": f"NUTS, blackjax {version('blackjax')}, jax {version('jax')}, float64", "chains": CHAINS,
        "draws": len(sums) * BATCH, "warm_up": WARM_UP, "acceptance": ACCEPTANCE, "divergent": divergent,
        "leapfrogs": round(work / len(sums), 1), "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "rhat": _rhat(np.stack(sums)),
    }  # fmt: skip


def _rhat(sums: np.ndarray) -> float:
    """Largest R-hat of the values over chains, cut in halves, from [batches, chains, 2, 50]."""
    half = max(1, len(sums) // 2)
    halves = np.concatenate([sums[:half].mean(axis=0), sums[half:].mean(axis=0) if len(sums) > 1 else sums[0]])
    within = (halves[:, 1] - halves[:, 0] ** 2).mean(axis=0)
    return round(float(np.sqrt(1 + halves[:, 0].var(axis=0, ddof=1) / within).max()), 5)
