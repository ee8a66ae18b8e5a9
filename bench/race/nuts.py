"""NUTS of numpyro and of blackjax: a chain a core, starts at the prior, float32, no draws of the warm-up counted."""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from .clock import Clock
from .density import log_density, start
from .problems import Problem
from .runs import Chunk

CHUNK = 50
"""Draws of a chain between checkpoints."""


def numpyro_nuts(p: Problem, seed: int, clock: Clock, warm_up: int = 1000) -> Iterator[Chunk]:
    """numpyro.infer.MCMC with its defaults, chains in parallel; `warm_up` steps, of which its tutorials take 1,000."""
    from numpyro.infer import MCMC, NUTS

    density, chains = log_density(p), jax.device_count()
    kernel = NUTS(potential_fn=lambda theta: -density(theta))
    run = MCMC(
        kernel, num_warmup=warm_up, num_samples=CHUNK, num_chains=chains, chain_method="parallel", progress_bar=False
    )
    keys = jax.random.split(jax.random.key(seed), chains + 1)
    begin, key, gradients = jax.vmap(lambda k: start(p, k))(keys[1:]), keys[0], 0
    run.warmup(key, init_params=begin, extra_fields=("num_steps",), collect_warmup=True)
    gradients += int(np.asarray(run.get_extra_fields()["num_steps"]).sum())
    while True:
        run.post_warmup_state = run.last_state
        run.run(run.post_warmup_state.rng_key, extra_fields=("num_steps",))
        theta = np.asarray(run.get_samples())
        gradients += int(np.asarray(run.get_extra_fields()["num_steps"]).sum())
        yield Chunk(theta, gradients)


def blackjax_nuts(p: Problem, seed: int, clock: Clock, warm_up: int = 1000) -> Iterator[Chunk]:
    """blackjax.window_adaptation and nuts with their defaults, a chain a core."""
    import blackjax

    density, chains = log_density(p), jax.device_count()

    def warm(key: Any) -> Any:
        first, second = jax.random.split(key)
        adaptation = blackjax.window_adaptation(blackjax.nuts, density)
        found, info = adaptation.run(second, start(p, first), warm_up)
        return found, info.info.num_integration_steps.sum()

    def draw(key: Any, found: Any) -> Any:
        step = blackjax.nuts(density, **found.parameters).step

        def one(state: Any, k: Any) -> Any:
            state, info = step(k, state)
            return state, (state.position, info.num_integration_steps)

        state, (theta, work) = jax.lax.scan(one, found.state, jax.random.split(key, CHUNK))
        return found._replace(state=state), theta, work.sum()

    keys = jax.random.split(jax.random.key(seed), chains)
    found, work = shared(warm)(keys)
    gradients, run = int(np.asarray(work).sum()), shared(draw)
    while True:
        keys = jax.vmap(lambda k: jax.random.split(k)[0])(keys)
        found, theta, work = run(keys, found)
        gradients += int(np.asarray(work).sum())
        yield Chunk(np.asarray(theta).reshape(-1, p.size), gradients)


def shared(function: Any) -> Any:
    """`function` of one chain over the leading axis, chains shared out over the devices, none waiting for others."""
    from jax.sharding import Mesh, PartitionSpec

    mesh, spec = Mesh(np.array(jax.devices()), "chains"), PartitionSpec("chains")
    mapped = jax.shard_map(jax.vmap(function), mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False)
    return jax.jit(mapped)
