"""The reference posteriors of gpu_thermo/verify/references: small networks by NUTS in float64 (blackjax), sharing no
code with gpu_thermo.

    python tests/reference/nuts.py NAME [--draws 10000] [--chains 32]

NAME is one of CASES below. Writes NAME.json: the data, 50 inputs, and for every quantity its mean and variance over the
posterior at each input, with standard errors over the independent chains, effective sample sizes and split R-hat. Needs
jax and blackjax (pip install "gpu-thermo[bench]"); 5 to 30 minutes of one core each.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import blackjax
import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)

INPUTS, BATCHES = 50, 10
FOLDER = Path(__file__).parents[2] / "gpu_thermo" / "verify" / "references"


# -- data --------------------------------------------------------------------------------------------------------------


def exclusive_or():
    """x [60, 2] standard normal, labels 1 with probability sigmoid(5 x1 x2); 50 inputs on a wider square."""
    draw = np.random.default_rng(251)
    x = draw.normal(size=(60, 2)).round(4)
    y = (draw.random(60) < 1 / (1 + np.exp(-5 * x[:, 0] * x[:, 1]))).astype(int)
    return x, y, draw.uniform(-3, 3, (INPUTS, 2)).round(4)


def waves():
    """x [80, 2] standard normal, labels 1 with probability sigmoid(4 sin 2 x1 - 3 x2); 50 inputs on a wider square."""
    draw = np.random.default_rng(2441)
    x = draw.normal(size=(80, 2)).round(4)
    y = (draw.random(80) < 1 / (1 + np.exp(3 * x[:, 1] - 4 * np.sin(2 * x[:, 0])))).astype(int)
    return x, y, draw.uniform(-3, 3, (INPUTS, 2)).round(4)


def growing_noise():
    """x [80, 1] on (-2, 2), y = sin 1.5 x with noise of sd exp(.4 x - .4); 50 inputs from -4 to 4."""
    draw = np.random.default_rng(1662)
    x = draw.uniform(-2, 2, (80, 1)).round(4)
    y = np.sin(1.5 * x) + np.exp(0.4 * x - 0.4) * draw.normal(size=x.shape)
    return x, y.round(4), np.linspace(-4, 4, INPUTS)[:, None].round(4)


def outliers():
    """x [60, 1] on (-2, 2), y = x/2 + cos 2 x with noise of scale .4 and 3 degrees of freedom; inputs from -4 to 4."""
    draw = np.random.default_rng(181)
    x = draw.uniform(-2, 2, (60, 1)).round(4)
    y = x / 2 + np.cos(2 * x) + 0.4 * draw.standard_t(3, size=x.shape)
    return x, y.round(4), np.linspace(-4, 4, INPUTS)[:, None].round(4)


# -- likelihoods -------------------------------------------------------------------------------------------------------


def bernoulli(out, own, y):
    """Log likelihood of labels y [N] under logits [N, 1]."""
    return (y * out[:, 0] - jnp.logaddexp(0, out[:, 0])).sum()


def log_noise(g):
    """The bent logarithm of a noise sd."""
    return -7 + jax.nn.softplus(g + 7) - jax.nn.softplus(g - 3)


def heteroscedastic(out, own, y):
    """Log likelihood of y [N, 1] under means and raw log noises [N, 2]."""
    eta = log_noise(out[:, 1])
    return (-0.5 * ((y[:, 0] - out[:, 0]) / jnp.exp(eta)) ** 2 - eta - 0.5 * np.log(2 * np.pi)).sum()


def student_t(out, own, y):
    """Log likelihood of y [N, 1] with 4 degrees of freedom and scale exp(own[0]), without its constant."""
    z = (y[:, 0] - out[:, 0]) * jnp.exp(-own[0])
    return (-2.5 * jnp.log1p(z * z / 4) - own[0]).sum()


# -- cases -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A network of `layers` with tanh, N(0, prior_sd^2) for every parameter; `own` log noises with N(centre, 1).

    `quantities` maps a name to a function of outputs [.., n] and own parameters.
    """

    layers: tuple[int, ...]
    prior_sd: float
    likelihood: Callable
    data: Callable
    quantities: dict[str, Callable]
    own: int = 0

    @property
    def size(self):
        """Number of parameters."""
        return sum((m + 1) * n for m, n in zip(self.layers, self.layers[1:], strict=False)) + self.own

    def outputs(self, theta, x):
        """Outputs [B, n] at x [B, m], theta = (W1, b1, .., own)."""
        at = 0
        for i, (m, n) in enumerate(zip(self.layers, self.layers[1:], strict=False)):
            w, b = theta[at : at + m * n].reshape(n, m), theta[at + m * n : at + (m + 1) * n]
            x, at = (jnp.tanh(x) if i else x) @ w.T + b, at + (m + 1) * n
        return x

    def split(self, theta):
        """Network's and own parameters."""
        return theta[: self.size - self.own], theta[self.size - self.own :]


P = {"p": lambda out, own: jax.nn.sigmoid(out[:, 0])}
F = {"f": lambda out, own: out[:, 0]}
ETA = {"eta": lambda out, own: log_noise(out[:, 1])}
SCALE = {"eta": lambda out, own: jnp.full(len(out), own[0])}
CASES = {
    "2_5_1": Case((2, 5, 1), 1.5, bernoulli, exclusive_or, P),
    "2_4_4_1": Case((2, 4, 4, 1), 1.0, bernoulli, waves, P),
    "1_6_6_heteroscedastic": Case((1, 6, 6, 2), 0.7, heteroscedastic, growing_noise, F | ETA),
    "1_8_1_student_t": Case((1, 8, 1), 1.0, student_t, outliers, F | SCALE, 1),
}


def centre(y):
    """Mean of the prior of a learned log noise: half the targets' sd."""
    return float(np.log(0.5 * np.std(y)))


# -- sampling ----------------------------------------------------------------------------------------------------------


def sample(case, x, y, inputs, chains, draws, warm_up, acceptance, seed=1):
    """Means of q and q^2 of the quantities at `inputs` over each batch of each chain, [chains, batches, 2, Q, 50];
    divergent transitions; and mean leapfrog steps of a draw.
    """
    middle = centre(y) if case.own else 0.0

    def log_density(theta):
        net, own = case.split(theta)
        prior = (net**2).sum() / (2 * case.prior_sd**2) + ((own - middle) ** 2).sum() / 2
        return case.likelihood(case.outputs(theta, x), own, y) - prior

    def values(theta):
        out = case.outputs(theta, inputs)
        return jnp.stack([q(out, case.split(theta)[1]) for q in case.quantities.values()])

    def adapt(key):
        key_start, key_warm = jax.random.split(key)
        normal = jax.random.normal(key_start, (case.size,))
        start = jnp.concatenate([case.prior_sd * case.split(normal)[0], middle + case.split(normal)[1]])
        return blackjax.window_adaptation(blackjax.nuts, log_density, target_acceptance_rate=acceptance).run(
            key_warm, start, warm_up
        )[0]

    def one_chain(key, state, parameters):
        step = blackjax.nuts(log_density, **parameters).step

        def draw(carry, key):
            state, sums, divergent, work = carry
            state, info = step(key, state)
            q = values(state.position)
            sums = sums + jnp.stack([q, q * q])
            return (state, sums, divergent + info.is_divergent, work + info.num_integration_steps), None

        def batch(carry, key):
            state, divergent, work = carry
            zero = jnp.zeros((2, len(case.quantities), INPUTS))
            keys = jax.random.split(key, draws // BATCHES)
            (state, sums, divergent, work), _ = jax.lax.scan(draw, (state, zero, divergent, work), keys)
            return (state, divergent, work), sums / (draws // BATCHES)

        (_, divergent, work), means = jax.lax.scan(batch, (state, 0, 0), jax.random.split(key, BATCHES))
        return means, divergent, work

    keys_warm, keys_run = jax.random.split(jax.random.key(seed), (2, chains))
    states, found = jax.jit(jax.vmap(adapt))(keys_warm)
    shared = {  # of all chains: one with a step of its own too small would hold up the others
        "step_size": jnp.median(found["step_size"]),
        "inverse_mass_matrix": found["inverse_mass_matrix"].mean(axis=0),
    }
    run = jax.jit(jax.vmap(one_chain, in_axes=(0, 0, None)))
    means, divergent, work = run(keys_run, states, shared)
    return np.asarray(means), int(divergent.sum()), float(work.mean()) / draws


def summary(means):
    """Of one quantity, `means` [chains, batches, 2, 50]: mean, variance about it, their standard errors and effective
    sample sizes by the spread over chains, and the largest split R-hat.
    """
    moments = means.mean(axis=1)
    mean = moments[:, 0].mean(axis=0)
    spread = moments[:, 1] - 2 * mean * moments[:, 0] + mean**2
    error, spread_error = (v.std(axis=0, ddof=1) / np.sqrt(len(v)) for v in (moments[:, 0], spread))
    halves = means.reshape(len(means), 2, BATCHES // 2, 2, INPUTS).mean(axis=2).reshape(-1, 2, INPUTS)
    within = (halves[:, 1] - halves[:, 0] ** 2).mean(axis=0)
    rhat = np.sqrt(1 + halves[:, 0].var(axis=0, ddof=1) / within).max()
    variance = spread.mean(axis=0)
    columns = {"mean": mean, "variance": variance, "mean_error": error, "variance_error": spread_error}
    return {name: [float(f"{v:.6g}") for v in value] for name, value in columns.items()} | {
        "split_rhat": round(float(rhat), 5),
        "ess": [int(v) for v in np.sort(variance / error**2)[[0, INPUTS // 2]]],
    }


def main():
    """Sample, and write the summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=CASES)
    parser.add_argument("--chains", type=int, default=32)
    parser.add_argument("--draws", type=int, default=10_000)
    parser.add_argument("--warm-up", type=int, default=2_000)
    parser.add_argument("--acceptance", type=float, default=0.9)
    parser.add_argument("--into", type=Path, default=FOLDER)
    options = parser.parse_args()
    case, begin = CASES[options.name], time.time()
    x, y, inputs = case.data()
    means, divergent, work = sample(
        case, x, y, inputs, options.chains, options.draws, options.warm_up, options.acceptance
    )
    out = {
        "sampler": f"NUTS, blackjax {blackjax.__version__}, jax {jax.__version__}, float64",
        "chains": options.chains, "draws": options.draws, "divergent": divergent, "leapfrogs": round(work, 1),
        "prior_sd": case.prior_sd, "hidden": list(case.layers[1:-1]), "likelihood": case.likelihood.__name__,
        "x": x.tolist(), "y": y.tolist(), "inputs": inputs.tolist(),
        "quantities": {name: summary(means[:, :, :, i]) for i, name in enumerate(case.quantities)},
    }  # fmt: skip
    options.into.mkdir(exist_ok=True)
    (options.into / f"{options.name}.json").write_text(json.dumps(out) + "\n")
    print({name: out[name] for name in ("chains", "draws", "divergent", "leapfrogs")}, f"{time.time() - begin:.0f} s")
    for name, q in out["quantities"].items():
        sd = np.sqrt(q["variance"])
        print(name, f"split R-hat {q['split_rhat']}, ESS least and median {q['ess']}", end=", ")
        print(f"largest error of a mean {max(q['mean_error'] / sd):.4f} sd", end=", ")
        print(f"of a variance {max(np.array(q['variance_error']) / q['variance']):.4f} of it")


if __name__ == "__main__":
    main()
