"""The short look that decides whether a table gets more hidden layers than one."""

import numpy as np
import pytest
from sklearn.neural_network import MLPRegressor

from gpu_thermo.estimators import defaults, look
from gpu_thermo.estimators.inputs import dataset

ONE, SEVERAL = (size.hidden for size in defaults.SIZES)


def data(make, rows=400, inputs=5, labels=0):
    """Of answers, or labels, that `make` makes of inputs and noise of sd 1."""
    rng = np.random.default_rng(4)
    x = rng.uniform(-1, 1, (rows, inputs))
    y = make(x, rng.normal(size=rows))
    names = tuple(f"x{i}" for i in range(inputs))
    if labels:
        return dataset("multiclass", x, y, None, names, tuple("abcdef"[:labels]), ())
    y = y.reshape(rows, -1)
    return dataset("regression", x, y, None, names, (), tuple(f"y{i}" for i in range(y.shape[1])))


def ripple(x, noise):
    return np.sin(4 * x[:, 0] * x[:, 1] + 2 * x[:, 2]) * (1 + x[:, 3]) + 0.5 * x[:, 4] ** 2 + 0.1 * noise


def test_folds_of_a_function_want_layers_and_noise_does_not():
    folded, noisy = data(ripple), data(lambda x, noise: 0.4 * x[:, 0] + noise)
    assert look.gain(folded, ONE, SEVERAL, 0) > 2 * defaults.WORTH
    assert look.gain(noisy, ONE, SEVERAL, 0) < -defaults.WORTH
    assert defaults.size_of(folded).hidden == SEVERAL
    assert defaults.size_of(noisy).hidden == ONE


def test_it_is_the_half_logarithm_of_squares():
    """Of the same network it is none, the other way round the opposite, in any unit of the answers, and repeatable."""
    one = data(ripple, 60)
    assert look.gain(one, (3,), (3,), 1) == 0
    there = look.gain(one, (1,), (8,), 1)
    assert there == look.gain(one, (1,), (8,), 1) == -look.gain(one, (8,), (1,), 1) != 0
    other = data(lambda x, noise: 1e3 * ripple(x, noise) + 7, 60)
    assert look.gain(other, (1,), (8,), 1) == pytest.approx(there, abs=1e-6)


def test_several_answers_and_classes():
    both = data(lambda x, noise: np.stack([ripple(x, noise), x[:, 0]], 1))
    assert look.gain(both, ONE, SEVERAL, 0) > 0
    square = data(lambda x, noise: (x[:, 0] * x[:, 1] > 0) + (x[:, 2] > 0.9).astype(int), labels=3)
    assert np.isfinite(look.gain(square, (1,), (8,), 0))
    assert look.gain(square, (1,), (8,), 0) > 0.05


def test_a_class_that_a_part_misses():
    rare = data(lambda x, noise: np.where(np.arange(len(x)) < 2, [5] * len(x), (x[:, 0] > 0) * 1), 60, labels=6)
    assert np.isfinite(look.gain(rare, (2,), (3,), 0))


def test_ctrl_c_is_no_network_half_trained(monkeypatch):
    """scikit-learn takes it for the end of the training, with a warning."""

    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(MLPRegressor, "_backprop", stopped)
    with pytest.raises(KeyboardInterrupt):
        look.gain(data(ripple, 60), ONE, SEVERAL, 0)


def test_many_inputs_are_for_one_layer(monkeypatch):
    """Of 300 inputs four layers explained 320 rows at will, and others worse than the mean did."""
    monkeypatch.setattr(look, "gain", lambda *_: 1.0)
    one, several = defaults.SIZES
    flat = lambda x, noise: x[:, 0]  # noqa: E731
    assert defaults.size_of(data(flat, 400, 20)) is several
    assert defaults.size_of(data(flat, 399, 20)) is one
    assert defaults.size_of(data(flat, 320, 300), (8, 8)) is one


def test_the_user_decides(monkeypatch):
    """Widths that are given, few rows and many are not looked at."""
    monkeypatch.setattr(look, "gain", lambda *_: pytest.fail("looked"))
    one, several = defaults.SIZES
    flat = lambda x, noise: x[:, 0]  # noqa: E731
    assert defaults.size_of(data(flat, defaults.MANY - 1)) is one
    assert defaults.size_of(data(flat, several.rows)) is several
    assert defaults.size_of(data(flat), 30) is defaults.size_of(data(flat), [30]) is one
    assert defaults.size_of(data(flat), (8, 8)) is several  # layers that are many go the way of many
    assert defaults.size_of(data(flat, 100), (8, 8)) is one
