"""A network of the user's own beside ours of the same shape: energies, gradients, noise and laws are the same."""

from dataclasses import replace

import numpy as np
import pytest
from own_cases import LIBRARIES, NAMES, OURS, D, dtype_of, network, to_ours

import gpu_thermo as gt
from gpu_thermo.engines import BatchedEngine
from gpu_thermo.errors import DeviceError, SpecError
from gpu_thermo.running.given import Given, make_ready, with_data
from gpu_thermo.running.setup import prepare
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.state import Segment
from gpu_thermo.targets.base import Batch
from gpu_thermo.targets.own.model import OwnModel

RNG = np.random.default_rng(8)
R, TIGHT = 7, {"float32": 2e-5, "float64": 1e-12}
SPIRALS = {"name": "spirals", "turns": 1, "train": 60, "test": 20, "seeds": [0, 1]}
RUN = {"replicas": R, "steps": 40, "burn_in": 20, "thin": 10, "trace": 20, "batch": 9}
OWN_WORDS = {"hidden": "BACDEDCAB", "output": "BAOAB"}


def data(task):
    """Two inputs and one output, also for the regression on one input."""
    if task == "binary":
        return None
    x = RNG.normal(size=(60, 2))
    return x, np.sin(x[:, 0]) + x[:, 1]


def both(library, task, **model):
    """The run with their network and with ours, from the same starts."""
    tree = {"run": RUN, "method": {"name": "sgd", "stepsize": 0.1}}
    tree["model"] = {"prior_sd": 1.3, "dtype": dtype_of(library), **model}
    given = data(task)
    if task == "regression":
        tree["model"]["noise_sd"] = 0.5
    if given is None:
        tree["data"] = SPIRALS
    own = RunSpec.from_dict(tree)
    ours = RunSpec.from_dict({**tree, "model": {**tree["model"], "hidden": D, "activation": "tanh"}})
    held = None
    if given is not None:
        own, held = with_data(own, given)
        ours, _ = with_data(ours, given)
    theirs = network(library)
    return prepare(own, data=held, network=theirs), prepare(ours, data=held, init=OURS)


@pytest.mark.parametrize("task", ["binary", "regression"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_energy_and_gradient_are_those_of_our_network(library, task):
    """On all points and on minibatches, with a prior and two data sets."""
    own, ours = both(library, task)
    kind = own.job.dtype
    here = RNG.normal(size=(R, own.job.target.layout.size)).astype(kind)
    for index in (None, RNG.integers(0, own.job.target.points, (R, 9))):
        batch = Batch(index, np.arange(R))
        energy, gradient = own.job.target.energy_and_gradient(here, batch)
        wanted, slope = ours.job.target.energy_and_gradient(to_ours(library, here), batch)
        tight = TIGHT[np.dtype(kind).name]
        np.testing.assert_allclose(energy, wanted, rtol=tight)
        np.testing.assert_allclose(to_ours(library, gradient), slope, rtol=tight, atol=tight)


@pytest.mark.parametrize("word", ["BAOAB", OWN_WORDS], ids=["one word", "one for each part"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_first_steps_are_those_of_our_network(library, word, monkeypatch):
    """With the noise of our lanes, their trajectory is ours to rounding."""
    method = {"name": "splitting", "word": word, "stepsize": 0.05, "temperature": 0.01, "friction": 1.0}
    if word is OWN_WORDS:
        method |= {"friction": {"output": 1.0}, "sigma": {"hidden": 0.1}, "epsilon": {"hidden": 0.1}}
    own, ours = both(library, "binary")
    lanes = ours.job.target.layout.split(ours.job.target.layout.lanes)
    layout = replace(
        own.job.target.layout, lanes=np.concatenate([lanes[name].ravel() for name in NAMES[library].values()])
    )
    monkeypatch.setattr(OwnModel, "layout", layout)
    starts = {"init": network(library).start}, {"init": OURS}
    ends = []
    for ready, given in zip((own, ours), starts, strict=True):
        spec = RunSpec.from_dict({**ready.spec.to_dict(), "method": method})
        with_noise = prepare(spec, network=network(library) if ready is own else None, **given)
        state = with_noise.initial_state()
        BatchedEngine(with_noise.job).advance(state, Segment(0, 10))
        ends.append(state)
    tight = 10 * TIGHT[np.dtype(own.job.dtype).name]
    np.testing.assert_allclose(to_ours(library, ends[0].position), ends[1].position, rtol=tight, atol=tight)
    np.testing.assert_allclose(ends[0].thermostat, ends[1].thermostat, rtol=1e-3 if tight > 1e-6 else 1e-9)
    assert abs(ends[1].position - ours.initial_state().position).max() > 0.01


@pytest.mark.parametrize("library", LIBRARIES)
def test_predictions_are_those_of_our_network_at_the_same_positions(library):
    """Averages of the run itself, and at new points."""
    spec = {"data": SPIRALS, "run": RUN, "method": {"name": "sgd", "stepsize": 0.1}}
    kind = {"dtype": dtype_of(library)}
    theirs, tight = network(library), TIGHT[dtype_of(library)]
    own = gt.sample({**spec, "model": kind}, network=theirs)
    ours = gt.sample({**spec, "model": {**kind, "hidden": D, "activation": "tanh"}}, init=OURS, engine="batched")
    for their_name, our_name in NAMES[library].items():
        np.testing.assert_allclose(own["posterior"][their_name], ours["posterior"][our_name], rtol=tight, atol=tight)
    np.testing.assert_allclose(own["predictive"]["mean"], ours["predictive"]["mean"], rtol=tight)
    x = RNG.normal(size=(50, 2))
    found, wanted = gt.predict(own, x, network=theirs), gt.predict(ours, x)
    for name in ("mean", "variance", "entropy", "mutual_information"):
        np.testing.assert_allclose(found[name], wanted[name], rtol=100 * tight, atol=tight)


def line(p, x):
    """A line: outputs, and the pull-back."""
    return x @ p["slope"][..., None] + p["height"][:, None], lambda d: {
        "slope": (d.swapaxes(-1, -2) @ x)[:, 0], "height": d.sum(axis=1)
    }  # fmt: skip


@pytest.mark.parametrize(("temperature", "right"), [(1.0, True), (1.5, False)])
def test_the_posterior_of_a_line_is_exact(temperature, right):
    """A line with known noise has a Gaussian posterior: (theta - mean)' precision (theta - mean) is P in the mean. At
    another temperature it is not: the test has the power to see a half more.
    """
    replicas, noise, prior = 4000, 0.5, 2.0
    x = RNG.normal(size=(30, 3))
    y = x @ [1.0, -1.0, 0.5] + noise * RNG.normal(size=30)
    params = {"slope": np.zeros(3), "height": np.zeros(1)}
    run = {"replicas": replicas, "steps": 100, "burn_in": 99, "thin": 1, "trace": 100, "keep": ["parameters"]}
    spec = {
        "data": {"standardise": False, "test_fraction": 0},
        "model": {"noise_sd": noise, "prior_sd": prior, "dtype": "float64"},
        "method": {
            "name": "splitting", "word": {"slope": "BAOAB", "height": "BAOAB"}, "stepsize": 0.3, "friction": 2.0,
            "posterior_temperature": temperature,
        },
        "run": {**run, "minibatch": "full"},
    }  # fmt: skip
    run = gt.sample(spec, data=(x, y), network=gt.NumpyNetwork(params, line))
    group = run["posterior"]
    theta = np.concatenate([group["slope"], group["height"]], axis=-1)[:, 0]
    rows = np.column_stack([x, np.ones(30)])
    precision = rows.T @ rows / noise**2 + np.eye(4) / prior**2
    off = theta - np.linalg.solve(precision, rows.T @ y / noise**2)
    square = np.einsum("ri,ij,rj->r", off, precision, off)
    z = (square.mean() - 4) / (square.std() / np.sqrt(replicas))
    assert bool(abs(z) < 4.5) is right


@pytest.mark.parametrize("likelihood", ["heteroscedastic", "student_t", "poisson"])
def test_every_likelihood_takes_any_network(likelihood):
    """Gradients of the energy by central differences, in float64."""
    x = RNG.normal(size=(20, 2))
    y = RNG.poisson(2.0, 20) if likelihood == "poisson" else RNG.normal(size=20)
    outputs = 2 if likelihood == "heteroscedastic" else 1
    params = {"w": RNG.normal(size=(outputs, 2)), "b": np.zeros(outputs)}

    def affine(p, x):
        out = x @ p["w"].swapaxes(-1, -2) + p["b"][:, None]
        return out, lambda d: {"w": d.swapaxes(-1, -2) @ x, "b": d.sum(axis=1)}

    model = {"likelihood": likelihood, "dtype": "float64", "prior_sd": 1.0}
    spec = RunSpec.from_dict({"model": model, "run": RUN, "method": {"name": "sgd"}})
    ready = make_ready(spec, None, Given(data=(x, y), network=gt.NumpyNetwork(params, affine)))
    target, batch = ready.job.target, Batch(None, np.arange(R))
    here = 0.3 * RNG.normal(size=(R, target.layout.size))
    _, gradient = target.energy_and_gradient(here, batch)
    for i in range(target.layout.size):
        step = 1e-6 * (np.arange(target.layout.size) == i)
        up, down = (target.energy_and_gradient(here + s * step, batch)[0] for s in (1, -1))
        np.testing.assert_allclose(gradient[:, i], (up - down) / 2e-6, rtol=1e-5, atol=1e-7)


def test_starts_and_what_does_not_fit():
    spec = {"data": SPIRALS, "run": RUN, "method": {"name": "sgd"}}
    theirs = network("numpy")
    state = prepare(RunSpec.from_dict(spec), network=theirs).initial_state()
    flat = np.concatenate([v.ravel() for v in OURS.values()])
    np.testing.assert_array_equal(to_ours("numpy", state.position)[0], flat.astype("f4"))
    assert (state.position == state.position[:1]).all()
    for init, spread in (("normal", 0.5), ("zero", 0.0), ("prior", 2.0)):
        model = {"init": init, "init_sd": 0.5, "prior_sd": 2.0}
        drawn = prepare(RunSpec.from_dict({**spec, "model": model, "run": {**RUN, "replicas": 500}}), network=theirs)
        assert drawn.initial_state().position.std() == pytest.approx(spread, rel=0.03)
    for init in ("he", "pytorch"):
        ready = prepare(RunSpec.from_dict({**spec, "model": {"init": init}}), network=theirs)
        with pytest.raises(SpecError, match=f"init = '{init}' scales by the inputs"):
            ready.initial_state()
    with pytest.raises(SpecError, match="'fused' cannot run this"):
        gt.plan(spec, network=theirs, engine="fused")
    with pytest.raises(DeviceError, match=r"numpy [\d.]+ computes runs on the CPU"):
        gt.plan(spec, network=theirs, device="cuda")
    assert gt.plan(spec, network=theirs).engine == "batched"


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_law_is_that_of_our_network(library):
    """With lanes of their own, replicas are others and their law is ours: energies and predictions in the mean, at
    |z| < 4.5; a temperature half as high again is seen.
    """
    run = {"replicas": 1500, "steps": 100, "burn_in": 99, "thin": 1, "trace": 100, "batch": 20}
    method = {"name": "splitting", "word": "BAOAB", "stepsize": 0.3, "friction": 1.0, "temperature": 0.02}
    spec = {"data": {**SPIRALS, "seeds": [0]}, "run": run, "method": method}
    model = {"prior_sd": 1.0, "dtype": dtype_of(library), "init": "normal", "init_sd": 0.1}
    own = gt.sample({**spec, "model": model}, network=network(library))
    ours, hot = (
        gt.sample(
            {**spec, "method": {**method, "temperature": tau}, "model": {**model, "hidden": D, "activation": "tanh"}}
        )
        for tau in (0.02, 0.03)
    )

    def worst(one, other):
        """Largest |z| of mean energy, and of mean and mean square of the predictions at some points."""
        found = []
        for get in (
            lambda t: t["sample_stats"]["energy"].to_numpy(),
            lambda t: t["probes"]["predictions"].to_numpy()[:, 0, :6, 0],
            lambda t: t["probes"]["predictions"].to_numpy()[:, 0, :6, 0] ** 2,
        ):
            a, b = get(one).astype(float), get(other).astype(float)
            found += list(abs(a.mean(0) - b.mean(0)) / np.sqrt((a.var(0) + b.var(0)) / run["replicas"]))
        return max(found)

    assert worst(own, ours) < 4.5
    assert worst(own, hot) > 6


LIKELIHOODS = {
    "bernoulli": (SPIRALS, {}),
    "noise learned": ({"name": "gap", "train": 30, "test": 10}, {}),
    "noise known": ({"name": "gap", "train": 30, "test": 10}, {"noise_sd": 0.2}),
    "heteroscedastic": ({"name": "gap", "train": 30, "test": 10}, {"likelihood": "heteroscedastic"}),
}


def bare(inputs, outputs, units=10, biases=True):
    """A NumPy network of one hidden layer, with biases or without."""
    tensors = {"hidden.w": np.full((units, inputs), 0.1), "output.w": np.full((outputs, units), 0.1)}
    if biases:
        tensors |= {"hidden.b": np.zeros(units), "output.b": np.zeros(outputs)}
        tensors = {name: tensors[name] for name in ("hidden.w", "hidden.b", "output.w", "output.b")}

    def hidden(p, x):
        return np.tanh(x @ p["hidden.w"].swapaxes(-1, -2) + (p["hidden.b"][:, None] if biases else 0))

    def forward(p, x):
        return hidden(p, x) @ p["output.w"].swapaxes(-1, -2) + (p["output.b"][:, None] if biases else 0)

    def vjp(p, x, d):
        h = hidden(p, x)
        d_h = (d @ p["output.w"]) * (1 - h * h)
        g = {"hidden.w": d_h.swapaxes(-1, -2) @ x, "output.w": d.swapaxes(-1, -2) @ h}
        return g | ({"hidden.b": d_h.sum(axis=1), "output.b": d.sum(axis=1)} if biases else {})

    return gt.NumpyNetwork(tensors, forward, vjp)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_a_plan_says_of_it_what_it_says_of_ours(name):
    """Partitions, parameters, draws, the store's size and what is assumed are those of our network of the same shape;
    it goes by array code, and the plan says why.
    """
    data, model = LIKELIHOODS[name]
    inputs, outputs = (1 if data["name"] == "gap" else 2), (2 if name == "heteroscedastic" else 1)
    spec = {"data": data, "run": RUN, "method": {"name": "langevin", "partition": "layer"}}
    ours = gt.plan({**spec, "model": {**model, "hidden": 10, "activation": "tanh", "prior_sd": 2.0}}, engine="batched")
    plan = gt.plan({**spec, "model": {**model, "prior_sd": 2.0}}, network=bare(inputs, outputs))
    for same in ("parameters", "ensembles", "draws", "substeps", "gradients_per_step", "assumptions", "columns"):
        assert getattr(plan, same) == getattr(ours, same), same
    assert {k: v for k, v in plan.words.items() if k != "likelihood"} == {
        k: v for k, v in ours.words.items() if k != "likelihood"
    }
    assert plan.engine == "batched"
    theirs = f"numpy {np.__version__}"
    assert plan.engine_reason == f"not fused: what {theirs} computes is code of your own, which has no C++ text"
    assert plan.disk_bytes == pytest.approx(ours.disk_bytes, rel=0.2)


def test_a_plan_bills_units_whose_layers_have_no_biases():
    """Activations dominate a wide network; whether biases count its units or weights do, the bill is that of ours."""
    run = {"replicas": 64, "steps": 40, "burn_in": 20, "thin": 10, "minibatch": "full"}
    spec = {"data": {**SPIRALS, "train": 500}, "run": run, "method": {"name": "sgd"}}
    ours = gt.plan({**spec, "model": {"hidden": 1000, "activation": "tanh"}}, engine="batched").memory["engine"]
    for biases in (True, False):
        billed = gt.plan(spec, network=bare(2, 1, 1000, biases)).memory["engine"]
        assert billed == pytest.approx(ours, rel=0.1), biases
    narrow = gt.plan(spec, network=bare(2, 1, 100, False)).memory["engine"]
    assert narrow < ours / 2
