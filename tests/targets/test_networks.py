"""The network: losses, gradients, lanes, initial states, data sets per replica (equations.md sections 1, 7, 8)."""

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy import special, stats
from sklearn.metrics import log_loss

from gpu_thermo.data import Dataset
from gpu_thermo.errors import SpecError
from gpu_thermo.streams import Purpose, make_keys, normals
from gpu_thermo.targets.base import Batch
from gpu_thermo.targets.networks import ACTIVATIONS, TASKS, MlpModel
from gpu_thermo.targets.posterior import MlpTarget

OUTPUTS = {"binary": 1, "multiclass": 4, "regression": 2}
ACTIVATE = {
    "relu": lambda z: np.where(z > 0, z, 0),
    "tanh": np.tanh,
    "softplus": special.softplus,
    "silu": lambda z: z * special.expit(z),
    "gelu": lambda z: z / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3))),
    "sine": np.sin,
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "identity": lambda z: z,
}
RNG = np.random.default_rng(7)
R, N, M, D = 3, 12, 3, 5
PAIRS = list(product(TASKS, ACTIVATIONS))


@pytest.fixture(autouse=True)
def _same_numbers_in_any_order():
    RNG.bit_generator.state = np.random.default_rng(7).bit_generator.state


def make_model(task, activation="tanh", **options):
    return MlpModel(M, D, OUTPUTS[task], task, activation, **options)


def make_data(task, sets=1, points=N):
    x = RNG.normal(size=(sets, points, M))
    n = OUTPUTS[task]
    y = RNG.normal(size=(sets, points, n)) if task == "regression" else RNG.integers(0, max(n, 2), (sets, points))
    classes = () if task == "regression" else tuple(map(str, range(max(n, 2))))
    targets = tuple(f"y{i}" for i in range(n)) if task == "regression" else ()
    return Dataset("made", task, x, y, x[:, :0], y[:, :0], tuple(f"x{i}" for i in range(M)), classes, targets)


def make_target(task, activation="tanh", dataset=(0, 0, 0), sets=1, dtype=np.float64, **options):
    return MlpTarget(make_model(task, activation, **options), make_data(task, sets), np.array(dataset), dtype)


def outputs(model, theta, x):
    """W2 act(W1 x + b1) + b2 of one replica, by hand; x [N, m]."""
    m, (d,), n = model.inputs, model.hidden, model.outputs
    w1, b1, w2, b2 = np.split(theta, np.cumsum([m * d, d, n * d]))
    return ACTIVATE[model.activation](x @ w1.reshape(d, m).T + b1) @ w2.reshape(n, d).T + b2


def point_losses(model, out, y):
    """Losses [N] by scipy's densities."""
    if model.task == "binary":
        return -np.where(y == 1, special.log_expit(out[:, 0]), special.log_expit(-out[:, 0]))
    if model.task == "multiclass":
        return -special.log_softmax(out, axis=1)[np.arange(len(y)), y]
    return -stats.norm(out, model.noise_sd).logpdf(y).sum(axis=1)


def energy(target, theta, r=0, index=slice(None)):
    """U of one replica: mean loss over the batch, and the prior over N."""
    model, s = target.model, target.dataset[r]
    losses = point_losses(model, outputs(model, theta, target.x_train[s][index]), target.y_train[s][index])
    prior = 0 if model.prior_sd is None else (theta @ theta) / (2 * model.prior_sd**2 * target.points)
    return losses.mean() + prior


def everything(index=None, replicas=R):
    return Batch(index, np.arange(replicas))


# -- energies and gradients --------


@pytest.mark.parametrize("prior_sd", [None, 0.7])
@pytest.mark.parametrize(("task", "activation"), PAIRS)
def test_energy_and_gradient(task, activation, prior_sd):
    """Energies against scipy's densities, gradients against central differences of them."""
    target = make_target(task, activation, prior_sd=prior_sd, noise_sd=0.6)
    position = RNG.normal(size=(R, target.layout.size))
    got, gradient = target.energy_and_gradient(position, everything())
    step = 1e-6
    for r in range(R):
        assert got[r] == pytest.approx(energy(target, position[r]), rel=1e-12)
        for i, e in enumerate(np.eye(target.layout.size) * step):
            slope = (energy(target, position[r] + e) - energy(target, position[r] - e)) / (2 * step)
            assert gradient[r, i] == pytest.approx(slope, abs=2e-8)


@pytest.mark.parametrize(("task", "activation"), PAIRS)
def test_single_precision(task, activation):
    target = make_target(task, activation, prior_sd=0.7)
    position = RNG.normal(size=(R, target.layout.size))
    exact = target.energy_and_gradient(position, everything())
    single = MlpTarget(target.model, make_like(target), target.dataset, np.float32)
    got = single.energy_and_gradient(position.astype(np.float32), everything())
    assert (got[0].dtype, got[1].dtype) == (np.float64, np.float32)
    np.testing.assert_allclose(got[0], exact[0], rtol=3e-6)
    np.testing.assert_allclose(got[1], exact[1], rtol=2e-5, atol=3e-6)


def make_like(target):
    """The data set a target was made from."""
    task, n = target.model.task, target.model.outputs
    classes = () if task == "regression" else tuple(map(str, range(max(n, 2))))
    targets = tuple(f"y{i}" for i in range(n)) if task == "regression" else ()
    y = target.y_train if task == "regression" else target.y_train.astype(np.int64)
    return Dataset(
        "made",
        task,
        target.x_train,
        y,
        target.x_train[:, :0],
        y[:, :0],
        tuple(f"x{i}" for i in range(M)),
        classes,
        targets,
    )


@pytest.mark.parametrize("task", TASKS)
def test_a_minibatch_replaces_the_mean_and_not_the_prior(task):
    """Own rows for each replica; the mean over B, the prior still over N."""
    target = make_target(task, prior_sd=0.5)
    position = RNG.normal(size=(R, target.layout.size))
    index = np.array([RNG.permutation(N)[:4] for _ in range(R)])
    got, gradient = target.energy_and_gradient(position, everything(index))
    for r in range(R):
        assert got[r] == pytest.approx(energy(target, position[r], r, index[r]), rel=1e-12)
    _, all_of_them = target.energy_and_gradient(position, everything(np.tile(np.arange(N), (R, 1))))
    np.testing.assert_allclose(all_of_them, target.energy_and_gradient(position, everything())[1], atol=1e-14)
    assert abs(gradient - all_of_them).max() > 1e-3


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("batched", [False, True])
def test_data_sets_of_replicas(task, batched):
    """Replica r sees its own data set, wherever it stands in a block of replicas."""
    target = make_target(task, dataset=(1, 0, 1, 2), sets=3)
    position = RNG.normal(size=(4, target.layout.size))
    index = np.array([RNG.permutation(N)[:5] for _ in range(4)])
    got, gradient = target.energy_and_gradient(position, everything(index if batched else None, 4))
    for r in range(4):
        assert got[r] == pytest.approx(energy(target, position[r], r, index[r] if batched else slice(None)), rel=1e-12)
    rows = np.array([2, 3])
    part, part_gradient = target.energy_and_gradient(position[rows], Batch(index[rows] if batched else None, rows))
    np.testing.assert_array_equal(part, got[rows])
    np.testing.assert_array_equal(part_gradient, gradient[rows])


def test_relu_has_slope_zero_at_zero():
    """At theta = 0 of W1 and b1, every unit sits at the kink: its weights get no gradient."""
    target = make_target("binary", "relu")
    position = RNG.normal(size=(R, target.layout.size))
    position[:, : M * D + D] = 0
    _, gradient = target.energy_and_gradient(position, everything())
    assert (gradient[:, : M * D + D] == 0).all()


@pytest.mark.parametrize("size", [50.0, 1e4])
def test_large_logits_lose_nothing(size, dtype):
    """Losses of thousands, and of zero, without overflow; a probability never leaves [0, 1]."""
    for task, out, y, expected in (
        ("binary", [[size], [-size], [size]], [0, 0, 1], [size, 0, 0]),
        ("multiclass", [[size, 0, 0, 0], [0, size, 0, 0], [0, 0, -size, 0]], [0, 0, 1], [0, size, math.log(3)]),
    ):
        model = make_model(task)
        with np.errstate(over="raise", invalid="raise"):
            got = model.losses(np.array([out], dtype), np.array([y], dtype if task == "binary" else int))
        np.testing.assert_allclose(got[0], expected, rtol=1e-6, atol=1e-12)
        assert got.dtype == dtype


def test_losses_against_sklearn():
    for task in ("binary", "multiclass"):
        model, data = make_model(task), make_data(task, points=200)
        position = RNG.normal(size=(1, model.layout.size))
        phi = model.predict(position, data.x_train[0])[0]
        proba = np.column_stack([1 - phi, phi]) if task == "binary" else phi
        np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-12)
        loss = model.losses(model.outputs_at(position, data.x_train[0]), data.y_train[0][None])[0].mean()
        assert loss == pytest.approx(log_loss(data.y_train[0], proba, labels=range(proba.shape[1])), rel=1e-10)


def test_regression_predicts_its_mean():
    model, data = make_model("regression"), make_data("regression")
    position = RNG.normal(size=(2, model.layout.size))
    np.testing.assert_allclose(
        model.predict(position, data.x_train[0])[1], outputs(model, position[1], data.x_train[0]), rtol=1e-12
    )


# -- layout and lanes --------


@pytest.mark.parametrize(("m", "d", "n"), [(2, 3, 1), (2, 3, 2), (3, 4, 1), (1, 1, 1), (64, 5, 10)])
def test_lanes(m, d, n):
    """Unit j has s = 4 ceil((m+1+n)/4) lanes in the order W1[j,:], b1[j], W2[:,j]; b2 starts at d s."""
    layout, s = MlpModel(m, d, n).layout, 4 * math.ceil((m + 1 + n) / 4)
    lanes = layout.split(layout.lanes)
    for j in range(d):
        assert lanes["w1"][j].tolist() == [j * s + i for i in range(m)]
        assert lanes["b1"][j] == j * s + m
        assert lanes["w2"][:, j].tolist() == [j * s + m + 1 + i for i in range(n)]
    assert lanes["b2"].tolist() == [d * s + i for i in range(n)]
    assert len(set(layout.lanes.tolist())) == layout.size == m * d + d + (d + 1) * n


def test_lanes_of_more_layers():
    """Layer by layer; the units of the last hidden layer own their output weights; b4 follows them."""
    layout = MlpModel(2, (3, 5, 2), 4).layout
    lanes, at, expected = layout.split(layout.lanes), 0, {}
    for number, (units, fan, own) in enumerate([(3, 2, 0), (5, 3, 0), (2, 5, 4)], 1):
        for j in range(units):
            for i in range(fan):
                expected[f"w{number}", j, i] = at + i
            expected[f"b{number}", j] = at + fan
            for o in range(own):
                expected["w4", o, j] = at + fan + 1 + o
            at += math.ceil((fan + 1 + own) / 4) * 4
    for o in range(4):
        expected["b4", o] = at + o
    assert {key: int(lanes[key[0]][key[1:]]) for key in expected} == expected
    assert len(expected) == layout.size == MlpModel(2, (3, 5, 2), 4).parameters
    assert list(layout.tensors) == ["w1", "b1", "w2", "b2", "w3", "b3", "w4", "b4"]
    assert layout.dims["w3"] == ("hidden3", "hidden2")
    assert (layout.dims["w1"], layout.dims["w4"]) == (("hidden1", "feature"), ("output", "hidden3"))


def test_one_layer_is_what_it_was():
    """A number and a list of one number are one network, with the names of one hidden layer."""
    one, other = MlpModel(2, 5, 1), MlpModel(2, (5,), 1)
    assert one == other
    assert one.layout.dims == {
        "w1": ("hidden", "feature"), "b1": ("hidden",), "w2": ("output", "hidden"), "b2": ("output",)
    }  # fmt: skip


def test_partitions_of_more_layers():
    """`hidden` is all hidden layers together, whatever the kind."""
    layout = MlpModel(2, (3, 5), 1).layout
    layer, tensor = layout.partition("layer"), layout.partition("tensor")
    assert layer.names == ("hidden1", "hidden2", "output")
    assert layer.counts == (2 * 3 + 3, 3 * 5 + 5, 5 + 1)
    assert layer.resolve("hidden") == (0, 1)
    assert layer.resolve("all") == (0, 1, 2)
    assert tensor.names == ("w1", "b1", "w2", "b2", "w3", "b3")
    assert tensor.resolve("hidden") == (0, 1, 2, 3)
    assert (tensor.resolve("hidden2"), tensor.resolve("output")) == ((2, 3), (4, 5))
    assert layout.partition("all").counts == (layout.size,)


@pytest.mark.parametrize("hidden", [(), (0,), (3, -1), 17 * (2,)])
def test_impossible_layers(hidden):
    with pytest.raises(SpecError, match="are no layers: give the units of each hidden layer"):
        MlpModel(2, hidden, 1)


@pytest.mark.parametrize("init", ["normal", "pytorch", "he", "prior"])
def test_initial_states_of_more_layers(init):
    """Each tensor by the inputs of its own layer."""
    m, hidden = 3, (8, 20)
    model = MlpModel(m, hidden, 1, prior_sd=1.7)
    fans = [m, m, *np.repeat(hidden, 2)]
    expected = {"normal": 6 * [0.01], "prior": 6 * [1.7], "pytorch": [1 / math.sqrt(3 * fan) for fan in fans],
                "he": [math.sqrt(2 / fan) * (i % 2 == 0) for i, fan in enumerate(fans)]}  # fmt: skip
    for sd, values in zip(expected[init], initial(init, model).values(), strict=True):
        assert values.std() == pytest.approx(sd, rel=5 / math.sqrt(2 * values.size))


def test_split_and_join():
    layout = make_model("multiclass").layout
    position = RNG.normal(size=(2, 6, layout.size))
    parts = layout.split(position)
    assert {name: v.shape for name, v in parts.items()} == {
        "w1": (2, 6, D, M),
        "b1": (2, 6, D),
        "w2": (2, 6, 4, D),
        "b2": (2, 6, 4),
    }
    np.testing.assert_array_equal(layout.join(parts), position)
    parts["w2"][...] = 0  # a view
    assert (position == 0).sum() == 2 * 6 * 4 * D


@pytest.mark.parametrize(
    ("kind", "names"), [("layer", ("hidden", "output")), ("tensor", ("w1", "b1", "w2", "b2")), ("all", ("all",))]
)
def test_partitions(kind, names):
    """`layer` has biases beside their weights; `tensor` has all four apart."""
    layout = make_model("multiclass").layout
    partition = layout.partition(kind)
    assert partition.names == names
    assert partition.bounds[0][0] == 0
    assert partition.size == layout.size
    assert all(a[1] == b[0] for a, b in zip(partition.bounds, partition.bounds[1:], strict=False))
    if kind == "layer":
        assert partition.counts == (M * D + D, 4 * D + 4)


# -- initial states --------


def initial(init, model=None, replicas=2000, **options):
    model = model or make_model("multiclass", prior_sd=1.7)
    keys = make_keys(np.full(replicas, 3), np.arange(replicas))
    return model.layout.split(model.initial_position(init, options.get("init_sd", 0.01), keys, np.float64))


SD = {  # of w1, b1, w2, b2
    "normal": (0.01, 0.01, 0.01, 0.01), "prior": (1.7, 1.7, 1.7, 1.7), "zero": (0, 0, 0, 0),
    "he": (math.sqrt(2 / M), 0, math.sqrt(2 / D), 0), "pytorch": tuple(1 / math.sqrt(3 * fan) for fan in (M, M, D, D)),
}  # fmt: skip


@pytest.mark.parametrize("init", SD)
def test_laws_of_initial_states(init):
    """Each tensor's sd; the shape by Kolmogorov-Smirnov: uniform for pytorch, else normal."""
    for sd, (name, values) in zip(SD[init], initial(init).items(), strict=True):
        flat = values.ravel()
        if sd == 0:
            assert (flat == 0).all(), name
            continue
        assert flat.std() == pytest.approx(sd, rel=5 / math.sqrt(2 * flat.size))
        assert abs(flat.mean()) < 5 * sd / math.sqrt(flat.size)
        law = stats.uniform(-math.sqrt(3) * sd, 2 * math.sqrt(3) * sd) if init == "pytorch" else stats.norm(0, sd)
        assert stats.kstest(flat, law.cdf).pvalue > 1e-4


def test_initial_states_are_at_purpose_zero():
    model = make_model("binary")
    got = model.initial_position("normal", 2.0, make_keys([3], [5]), np.float64)[0]
    blocks = np.arange(model.layout.lanes.max() // 4 + 1, dtype=np.uint64)
    noise = normals(make_keys([3], [5]), blocks, Purpose.POSITION, 0, dtype=np.float64)[0]
    np.testing.assert_array_equal(got, 2 * noise[model.layout.lanes])


def test_initial_states_belong_to_the_stream():
    """They do not depend on how many replicas there are; more hidden units keep the first ones."""
    many = initial("normal")["w1"]
    np.testing.assert_array_equal(initial("normal", replicas=3)["w1"], many[:3])
    wide = initial("normal", replace(make_model("multiclass", prior_sd=1.7), hidden=9), 3)
    np.testing.assert_array_equal(wide["w1"][:, :D], many[:3])
    np.testing.assert_array_equal(wide["w2"][..., :D], initial("normal", replicas=3)["w2"])
