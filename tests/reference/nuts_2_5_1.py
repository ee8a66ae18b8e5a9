"""The reference posterior of tests/laws/test_reference.py: a 2-5-1 tanh network by NUTS in float64 (blackjax), sharing
no code with gpu_thermo.

    python tests/reference/nuts_2_5_1.py [--draws 20000] [--chains 32]

Writes nuts_2_5_1.json beside itself: the data, 50 inputs, mean and variance of the class probability over the posterior
at each, with standard errors over the independent chains. Needs jax and blackjax (pip install "gpu-thermo[bench]");
some minutes on two cores.
"""

import argparse
import json
from pathlib import Path

import blackjax
import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)

POINTS, HIDDEN, PRIOR_SD, INPUTS = 60, 5, 1.5, 50
P = 4 * HIDDEN + 1


def data():
    """Noisy exclusive or: x [60, 2] standard normal, labels 1 with probability sigmoid(5 x1 x2); and 50 inputs on a
    wider square.
    """
    draw = np.random.default_rng(251)
    x = draw.normal(size=(POINTS, 2)).round(4)
    y = (draw.random(POINTS) < 1 / (1 + np.exp(-5 * x[:, 0] * x[:, 1]))).astype(int)
    return x, y, draw.uniform(-3, 3, (INPUTS, 2)).round(4)


def logits(theta, x):
    """Outputs [B] of the network theta = (w1 [5, 2], b1 [5], w2 [5], b2) at x [B, 2]."""
    w1, b1, w2, b2 = theta[:10].reshape(HIDDEN, 2), theta[10:15], theta[15:20], theta[20]
    return jnp.tanh(x @ w1.T + b1) @ w2 + b2


def sample(x, y, inputs, chains, draws, warm_up, seed=1):
    """Sums of p and p^2 at `inputs` of each chain, [chains, 2 halves, 2, 50], and the number of divergent
    transitions.
    """

    def log_density(theta):
        out = logits(theta, x)
        return (y * out - jnp.logaddexp(0, out)).sum() - (theta**2).sum() / (2 * PRIOR_SD**2)

    def one_chain(key):
        key_start, key_warm, key_run = jax.random.split(key, 3)
        start = PRIOR_SD * jax.random.normal(key_start, (P,))
        adapted, _ = blackjax.window_adaptation(blackjax.nuts, log_density, target_acceptance_rate=0.9).run(
            key_warm, start, warm_up
        )
        step = blackjax.nuts(log_density, **adapted.parameters).step

        def draw(carry, key):
            state, sums, divergent = carry
            state, info = step(key, state)
            p = jax.nn.sigmoid(logits(state.position, inputs))
            return (state, sums + jnp.stack([p, p * p]), divergent + info.is_divergent), None

        halves, state, divergent = [], adapted.state, 0
        for key_half in jax.random.split(key_run):
            begin = (state, jnp.zeros((2, INPUTS)), divergent)
            (state, sums, divergent), _ = jax.lax.scan(draw, begin, jax.random.split(key_half, draws // 2))
            halves.append(sums)
        return jnp.stack(halves), divergent

    sums, divergent = jax.jit(jax.vmap(one_chain))(jax.random.split(jax.random.key(seed), chains))
    return np.asarray(sums), int(divergent.sum())


def summary(sums, draws):
    """Mean, variance about it, their standard errors over chains, and the largest split R-hat of the 50
    probabilities.
    """
    moments = sums.sum(axis=1) / (draws // 2 * 2)
    mean = moments[:, 0].mean(axis=0)
    spread = moments[:, 1] - 2 * mean * moments[:, 0] + mean**2
    error = [v.std(axis=0, ddof=1) / np.sqrt(len(v)) for v in (moments[:, 0], spread)]
    halves = sums.reshape(-1, 2, INPUTS) / (draws // 2)
    within = (halves[:, 1] - halves[:, 0] ** 2).mean(axis=0)
    rhat = np.sqrt(1 + halves[:, 0].var(axis=0, ddof=1) / within).max()
    columns = {"mean": mean, "variance": spread.mean(axis=0), "mean_error": error[0], "variance_error": error[1]}
    return {name: [float(f"{v:.6g}") for v in value] for name, value in columns.items()} | {
        "split_rhat": round(float(rhat), 5)
    }


def main():
    """Sample, and write the summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chains", type=int, default=32)
    parser.add_argument("--draws", type=int, default=20_000)
    parser.add_argument("--warm-up", type=int, default=2_000)
    options = parser.parse_args()
    x, y, inputs = data()
    sums, divergent = sample(x, y, inputs, options.chains, options.draws, options.warm_up)
    out = {
        "sampler": f"NUTS, blackjax {blackjax.__version__}, jax {jax.__version__}, float64",
        "chains": options.chains, "draws": options.draws, "divergent": divergent, "prior_sd": PRIOR_SD,
        "hidden": HIDDEN,
        "x": x.tolist(), "y": y.tolist(), "inputs": inputs.tolist(), **summary(sums, options.draws),
    }  # fmt: skip
    Path(__file__).with_suffix(".json").write_text(json.dumps(out) + "\n")
    print(
        {name: out[name] for name in ("chains", "draws", "divergent", "split_rhat")},
        f"largest error {max(out['mean_error']):.1e}",
    )


if __name__ == "__main__":
    main()
