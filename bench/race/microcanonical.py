"""MCLMC and LAPS of blackjax."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .clock import Clock
from .density import log_density, start
from .nuts import shared
from .problems import Problem
from .runs import Chunk

CHUNK, THIN, CHAINS = 2_000, 10, 8
"""Steps between checkpoints, steps between kept draws, chains a core."""
GRADIENTS = 2
"""Of a step of MCLMC with its default integrator (McLachlan)."""
ENSEMBLE = 1024
"""Chains of LAPS."""


def mclmc(p: Problem, seed: int, clock: Clock, tuning: int = 10_000) -> Iterator[Chunk]:
    """blackjax.mclmc with its defaults, tuned chain by chain by mclmc_find_L_and_step_size for a run of `tuning` steps
    (a third of it is spent). Unadjusted: what its stepsize leaves is in its errors.
    """
    import blackjax
    from blackjax.mcmc.mclmc import build_kernel, init

    density, chains, kernel = log_density(p), CHAINS * jax.device_count(), build_kernel()

    def tuned(key: Any) -> Any:
        first, second, third = jax.random.split(key, 3)
        state = init(start(p, first), density, second)
        found = blackjax.mclmc_find_L_and_step_size(
            mclmc_kernel=kernel, num_steps=tuning, state=state, rng_key=third, logdensity_fn=density
        )
        return *found[:2], jnp.asarray(found[2])

    def draw(key: Any, state: Any, parameters: Any) -> Any:
        step = blackjax.mclmc(density, **parameters._asdict()).step

        def one(now: Any, k: Any) -> Any:
            now = jax.lax.fori_loop(0, THIN, lambda i, s: step(jax.random.fold_in(k, i), s)[0], now)
            return now, now.position

        return jax.lax.scan(one, state, jax.random.split(key, CHUNK // THIN))

    keys = jax.random.split(jax.random.key(seed), chains)
    state, parameters, spent = shared(tuned)(keys)
    gradients, run = GRADIENTS * int(np.asarray(spent).sum()), shared(draw)
    while True:
        keys = jax.vmap(lambda k: jax.random.split(k)[0])(keys)
        state, theta = run(keys, state, parameters)
        theta = np.asarray(theta).reshape(-1, p.size)
        gradients += GRADIENTS * CHUNK * chains
        yield Chunk(theta[np.isfinite(theta).all(axis=1)], gradients)


def laps(p: Problem, seed: int, clock: Clock, steps: int = 500) -> Iterator[Chunk]:
    """blackjax.adaptation.laps with its defaults, ENSEMBLE chains: at most `steps` unadjusted steps, then as many
    gradients adjusted. Its answer is where the chains end, one draw each.
    """
    from blackjax.adaptation.laps import laps as sampler
    from jax.sharding import Mesh

    mesh = Mesh(np.array(jax.devices()), "chains")
    density, key = log_density(p), jax.random.key(seed)
    info, _, _, final = sampler(density, lambda k: start(p, k), p.size, steps, steps, ENSEMBLE, mesh, key)
    theta = np.asarray(final.position)
    unadjusted = len(jax.tree.leaves(info["phase_1"])[0])
    good = theta[np.isfinite(theta).all(axis=1)]
    yield Chunk(good, ENSEMBLE * (unadjusted + steps), said={"unadjusted": unadjusted})
