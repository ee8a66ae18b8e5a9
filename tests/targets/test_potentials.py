"""Analytic targets: slopes, noise at its addresses, options, the user's own, and grids against quadrature and scipy."""

import re

import numpy as np
import pytest
from linear_maps import average, job_of, z_score
from pydantic import TypeAdapter, ValidationError
from scipy import integrate, stats
from scipy.special import gamma

from gpu_thermo.errors import DataError, SpecError
from gpu_thermo.streams import Purpose, make_keys, normals
from gpu_thermo.targets.analytic.grid import Grid, mode_of, mode_weights
from gpu_thermo.targets.analytic.mixture import GaussianMixture
from gpu_thermo.targets.analytic.plane import Plane
from gpu_thermo.targets.analytic.wells import DoubleWell, Harmonic, Quartic
from gpu_thermo.targets.analytic.wells import Harmonic as OldHarmonic
from gpu_thermo.targets.base import Batch, Potential
from gpu_thermo.targets.options import TARGETS, AnyTarget
from gpu_thermo.targets.user import UserPotential

OPTIONS = TypeAdapter(AnyTarget)
TWO = {"means": [-6.0, 4.0], "weights": [0.4, 0.6]}


def ripple(q, xp):
    return (q * q / 2 + xp.cos(q)).sum(axis=-1)


def ripple_slope(q, xp):
    return q - xp.sin(q)


POTENTIALS = {
    "harmonic": lambda **noise: Harmonic([[0.5, 1.0, 2.0]], 3, **noise),
    "mixture_1": lambda **noise: GaussianMixture(**TWO, **noise),
    "mixture_2": lambda **noise: OPTIONS.validate_python({"name": "mixture", "preset": "twenty_five", **noise}).build(),
    "mixture_6": lambda **noise: GaussianMixture(
        np.linspace(-1, 2, 18).reshape(3, 6), np.linspace(0.5, 1, 18).reshape(3, 6), [0.2, 0.3, 0.5], **noise
    ),
    "plane": lambda **noise: Plane(**noise),
    "double_well": lambda **noise: DoubleWell(3.0, 1.5, 0.2, 3, **noise),
    "quartic": lambda **noise: Quartic(2.0, -1.5, 5, **noise),
    "user": lambda **noise: UserPotential(ripple, 2, ripple_slope, **noise),
}


@pytest.fixture(params=POTENTIALS)
def make(request):
    return POTENTIALS[request.param]


def spread(potential, replicas, seed=3):
    """Positions [R, P] over the interesting region, clear of the plane's kink at r^2 = 7."""
    q = np.random.default_rng(seed).uniform(-2.4, 2.4, (replicas, potential.layout.size))
    return q[abs((q * q).sum(axis=-1) - 7) > 0.01]


def batch(replicas, seed=5, evaluation=0, stream=None):
    stream = np.arange(replicas) if stream is None else stream
    return Batch(None, np.arange(replicas), make_keys(np.full(replicas, seed), stream), evaluation)


def differences(potential, q, step=1e-5):
    """Central differences of the energy [R, P]."""
    steps = step * np.eye(q.shape[1])
    return np.stack([(potential.energy(q + s) - potential.energy(q - s)) / (2 * step) for s in steps], axis=-1)


# -- energies and gradients --------


def test_gradient_is_the_slope(make, dtype):
    potential = make()
    q = spread(potential, 200).astype(dtype)
    energy, gradient = potential.energy_and_gradient(q, batch(len(q)))
    exact = differences(potential, q.astype(np.float64))
    scale, tolerance = abs(exact).max(), {np.float32: 3e-6, np.float64: 1e-7}[dtype]
    assert energy.dtype == np.float64
    assert gradient.dtype == dtype
    assert gradient.shape == q.shape
    assert abs(gradient - exact).max() < tolerance * scale
    assert abs(potential.gradient(q) - gradient).max() == 0
    assert abs(energy - potential.energy(q)).max() < tolerance * max(1, abs(energy).max())
    assert abs(1.001 * gradient - exact).max() > tolerance * scale  # a wrong factor would show


def test_rows_do_not_depend_on_their_neighbours(make, dtype):
    potential = make()
    q = spread(potential, 40).astype(dtype)
    energy, gradient = potential.energy_and_gradient(q, batch(len(q)))
    for rows in ([0], [7, 3, 20], range(17)):
        part = potential.energy_and_gradient(q[list(rows)], batch(len(rows)))
        assert (part[0] == energy[list(rows)]).all()
        assert (part[1] == gradient[list(rows)]).all()


def test_protocol(make):
    potential: Potential = make()
    assert potential.points == 0
    assert len(potential.coordinates) == potential.layout.size == potential.layout.lanes.size
    assert potential.bounds == (2.5 if isinstance(potential, Plane) else None)
    assert (potential.gradient_noise_sd, potential.energy_noise_sd) == (0, 0)
    assert potential.to(np) is not potential


def test_coordinate_names():
    assert Quartic(size=2).coordinates == ("x", "y")
    assert Quartic(size=4).coordinates == ("x0", "x1", "x2", "x3")


def test_harmonic_is_where_it_was():
    assert OldHarmonic is Harmonic
    per_replica = Harmonic(np.array([1.0, 4.0]), 3)
    q = np.ones((2, 3))
    assert per_replica.energy(q).tolist() == [1.5, 6.0]
    assert per_replica.energy(q[:1], np.array([1])).tolist() == [6.0]
    assert per_replica.gradient(q)[1].tolist() == [4.0] * 3


@pytest.mark.parametrize("size", [1, 3])
def test_mixture_against_scipy(size):
    rng = np.random.default_rng(0)
    means, sd, weights = rng.normal(size=(4, size)) * 3, rng.uniform(0.3, 2, (4, size)), rng.dirichlet(np.ones(4))
    q = rng.normal(size=(50, size)) * 4
    density = sum(w * stats.norm.pdf(q, m, s).prod(axis=1) for w, m, s in zip(weights, means, sd, strict=True))
    np.testing.assert_allclose(GaussianMixture(means, sd, weights).energy(q), -np.log(density), rtol=1e-12)


def test_mixture_far_away(dtype):
    """Where every density underflows: finite, and the slope of the nearest mode."""
    q = np.array([[-1e4], [1e4]], dtype)
    energy, gradient = GaussianMixture(**TWO).energy_and_gradient(q, batch(2))
    np.testing.assert_allclose(energy, [(1e4 - 6) ** 2 / 2, (1e4 - 4) ** 2 / 2], rtol=1e-6)
    np.testing.assert_allclose(gradient[:, 0], [-1e4 + 6, 1e4 - 4], rtol=1e-6)


def test_plane_by_hand():
    """equations.md section 1: its deepest well is in the middle, and the outer term sets in at r^2 = 7."""
    q = np.array([[0.0, 0.0], [1.0, -0.5], [2.0, 2.0]])
    x, y = q.T
    inner = ((x * x + y * y) / 10 - np.cos(1.2 * np.pi * x) - np.cos(1.2 * np.pi * y)) / 0.3
    np.testing.assert_allclose(Plane().energy(q), inner + np.array([0, 0, 1]), rtol=1e-14)
    assert Plane().energy(q[:1])[0] == pytest.approx(-2 / 0.3)


class Foreign(np.ndarray):
    """Stands in for a CuPy array: operations with NumPy's own arrays are refused, as on a GPU."""

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **options):
        if any(type(x) is np.ndarray for x in inputs):
            raise TypeError(f"{ufunc.__name__} mixes array libraries")
        plain = [x.view(np.ndarray) if isinstance(x, Foreign) else x for x in inputs]
        if out is not None:
            options["out"] = tuple(x.view(np.ndarray) for x in out)
        result = getattr(ufunc, method)(*plain, **options)
        return out[0] if out is not None else foreign(result)


def foreign(value):
    return value.view(Foreign) if isinstance(value, np.ndarray) else value


class Library:
    """NumPy under another name: what it makes is Foreign."""

    def __getattr__(self, name):
        function = getattr(np, name)
        return (
            (lambda *a, **k: foreign(function(*a, **k)))
            if callable(function) and not isinstance(function, np.ufunc)
            else function
        )


def test_another_array_library(make, dtype):
    xp = Library()
    potential = make(gradient_noise_sd=0.3, energy_noise_sd=0.2)
    q = spread(potential, 30).astype(dtype)
    expected = potential.energy_and_gradient(q, batch(len(q)))
    with pytest.raises(TypeError, match="mixes"):
        foreign(q) + q  # the stand-in tells
    keys = make_keys(np.full(len(q), 5), np.arange(len(q)), xp)
    energy, gradient = potential.to(xp).energy_and_gradient(foreign(q), Batch(None, xp.arange(len(q)), keys))
    assert type(energy) is type(gradient) is Foreign
    assert (np.asarray(energy) == expected[0]).all()
    assert (np.asarray(gradient) == expected[1]).all()
    assert type(potential.to(xp).energy(foreign(q))) is Foreign


def test_sampled_by_the_engine():
    """BAOAB at temperature 1 has a mixture's own <q^2>; a temperature 10 % too high does not."""
    mixture = GaussianMixture([-1.0, 1.0], 0.7, [0.4, 0.6])
    for temperature, right in ((1.0, True), (1.1, False)):
        job = job_of("BAOAB", mixture, 0.1, 500, temperature=temperature, friction=1.0)
        z = z_score(average(job, burn=200, draws=400, thin=4).qq[:, 0], 1 + 0.7**2)
        assert (abs(z) < 5) == right


# -- noise --------


@pytest.mark.parametrize("name", ["harmonic", "mixture_1", "plane", "user"])
def test_noise_has_its_moments(name):
    replicas = 40_000
    potential = POTENTIALS[name](gradient_noise_sd=0.7, energy_noise_sd=1.3)
    q = np.repeat(spread(potential, 40)[:1], replicas, axis=0)
    energy, gradient = potential.energy_and_gradient(q, batch(replicas))
    noise = np.column_stack([(energy - potential.energy(q)) / 1.3, (gradient - potential.gradient(q)) / 0.7])
    columns = noise.shape[1]
    assert abs(noise.mean(axis=0)).max() * replicas**0.5 < 5
    assert abs((noise**2).mean(axis=0) - 1).max() * (replicas / 2) ** 0.5 < 5
    assert abs(np.corrcoef(noise.T) - np.eye(columns)).max() * replicas**0.5 < 5 if columns > 1 else True
    assert stats.kstest(noise[:, 0], "norm").pvalue > 1e-4
    assert abs(((1.03 * noise) ** 2).mean(axis=0) - 1).max() * (replicas / 2) ** 0.5 > 5  # 3 % too much would show


def test_noise_is_addressed(dtype):
    """Purpose 7, ordinal the evaluation, sub 0 for the gradient by flat index and sub 1 for the energy."""
    potential = Quartic(size=6, gradient_noise_sd=0.5, energy_noise_sd=2.0)
    q = np.zeros((3, 6), dtype)
    energy, gradient = potential.energy_and_gradient(q, batch(3, seed=2**40 + 7, evaluation=12, stream=[4, 0, 9]))
    keys = make_keys(np.full(3, 2**40 + 7), [4, 0, 9])
    expected = normals(keys, np.arange(2, dtype=np.uint64), Purpose.TARGET, 12, 0, dtype=dtype)[:, :6]
    assert (gradient == dtype(0.5) * expected).all()
    assert (energy == 2 * normals(keys, np.zeros(1, np.uint64), Purpose.TARGET, 12, 1, dtype=np.float64)[:, 0]).all()


def test_a_replica_draws_the_same_in_any_company(make, dtype):
    potential = make(gradient_noise_sd=0.3, energy_noise_sd=0.2)
    q = spread(potential, 30).astype(dtype)
    energy, gradient = potential.energy_and_gradient(q, batch(len(q), evaluation=3))
    alone = potential.energy_and_gradient(q[5:6], Batch(None, np.array([5]), make_keys([5], [5]), 3))
    assert alone[0] == energy[5]
    assert (alone[1] == gradient[5]).all()
    later = potential.energy_and_gradient(q, batch(len(q), evaluation=4))
    assert (later[0] != energy).all()
    assert (later[1] != gradient).all()


def test_noise_of_each_replica():
    sd = np.array([0.0, 1.0, 3.0])
    noisy = Harmonic(1.0, 2, sd, 2 * sd)
    energy, gradient = noisy.energy_and_gradient(np.zeros((3, 2)), batch(3))
    one, one_gradient = Harmonic(1.0, 2, 1.0, 2.0).energy_and_gradient(np.zeros((3, 2)), batch(3))
    np.testing.assert_array_equal(energy, one * sd)
    np.testing.assert_array_equal(gradient, one_gradient * sd[:, None])
    rows = noisy.energy_and_gradient(np.zeros((2, 2)), Batch(None, np.array([1, 2]), make_keys([5, 5], [1, 2])))
    np.testing.assert_array_equal(rows[0], energy[1:])


def test_noise_needs_keys_and_exact_values_do_not():
    noisy = Plane(gradient_noise_sd=0.32, energy_noise_sd=0.32)
    q = np.zeros((2, 2))
    with pytest.raises(ValueError, match=r"batch\.keys"):
        noisy.energy_and_gradient(q, Batch(None, np.arange(2)))
    assert (noisy.energy(q) == Plane().energy(q)).all()
    assert (noisy.gradient(q) == Plane().gradient(q)).all()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Harmonic(1.0, 0), "size = 0"),
        (lambda: Harmonic(np.ones((2, 3)), 4), r"shape \(2, 3\)"),
        (lambda: Harmonic(np.nan, 1), "not finite"),
        (lambda: Plane(gradient_noise_sd=-1), "gradient_noise_sd = -1"),
        (lambda: Plane(energy_noise_sd=[[1.0]]), "energy_noise_sd"),
        (lambda: Plane(bounds=0), "bounds = 0"),
        (lambda: DoubleWell(width=0), "width = 0 must be above 0"),
        (lambda: GaussianMixture([[1, 2], [3]]), "equal length"),
        (lambda: GaussianMixture([]), "means of shape"),
        (lambda: GaussianMixture([1, 2], sd=[1, 2, 3]), "one for each of the 2 modes"),
        (lambda: GaussianMixture([1, 2], weights=[0.5, 0.4]), r"sum to 0\.9, not 1: divide each by 0\.9"),
        (lambda: GaussianMixture([1, 2], weights=[1.5, -0.5]), "weights = -0.5 must be above 0"),
        (lambda: GaussianMixture([1, 2], weights=[1.0]), "for 2 means"),
    ],
)
def test_unusable_numbers(build, message):
    with pytest.raises(SpecError, match=message):
        build()


# -- the user's own --------


def test_user_potential_in_both_forms(dtype):
    apart = UserPotential(ripple, 2, ripple_slope)
    together = UserPotential(lambda q: (ripple(q, np), ripple_slope(q, np)), 2, coordinates=("a", "b"))
    q = spread(apart, 9).astype(dtype)
    for mine in (apart, together):
        energy, gradient = mine.energy_and_gradient(q, batch(9))
        assert (energy == np.asarray(ripple(q, np), np.float64)).all()
        assert (gradient == ripple_slope(q, np)).all()
        assert (gradient.dtype, energy.dtype) == (dtype, np.float64)
        np.testing.assert_array_equal(mine.energy(q), ripple(q.astype(np.float64), np))
    assert together.coordinates == ("a", "b")


def test_noise_leaves_the_users_arrays_alone():
    kept = np.zeros((4, 1))
    flat = UserPotential(lambda q: np.zeros(len(q)), 1, lambda q: kept[: len(q)], gradient_noise_sd=1.0)
    assert (flat.energy_and_gradient(np.zeros((4, 1)), batch(4))[1] != 0).all()
    assert (kept == 0).all()


def mutated(q):
    q += 1
    return (q * q / 2).sum(axis=-1), q


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((lambda q: (q * q / 2).sum(), 2, lambda q: q), r"energy has shape \(\) for positions of shape \(4, 2\)"),
        ((lambda q: (q * q / 2).sum(axis=-1), 2, lambda q: q[:, 0]), r"gradient has shape \(4,\)"),
        ((lambda q: (q * q / 2).sum(axis=-1), 2), "no pair"),
        ((lambda q: np.log(q[:, 0]), 1, lambda q: 1 / q), "energy is not finite at position"),
        ((lambda q: (q * q / 2).sum(axis=-1).astype(np.float32), 2, lambda q: q), "energy is float32"),
        ((lambda q: ((q - q.mean(axis=0)) ** 2).sum(axis=-1), 2, lambda q: 2 * (q - q.mean(axis=0))), "beside others"),
        ((mutated, 2), "changes the positions"),
        ((3, 2), "function = 3 is not a function"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_user_potential_refused(arguments, message):
    with pytest.raises(SpecError, match=message):
        UserPotential(*arguments)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_wrong_gradient_prints_both_numbers(scale):
    """On any scale of U: the slope with the wrong sign, and 1 % off."""
    energy = lambda q: scale * (q * q / 2).sum(axis=-1)  # noqa: E731
    first = np.random.default_rng(0).normal(size=(4, 1))[0, 0]
    with pytest.raises(SpecError) as refused:
        UserPotential(energy, 1, lambda q: -scale * q)
    printed = re.search(r"component x is (\S+), but .* central difference is (\S+):", str(refused.value))
    assert [float(v) for v in printed.groups()] == pytest.approx([-scale * first, scale * first], rel=1e-6)
    UserPotential(energy, 100, lambda q: scale * q)
    with pytest.raises(SpecError, match="central difference"):
        UserPotential(energy, 100, lambda q: 1.01 * scale * q)


def test_probe_within_the_domain():
    log = (lambda q: -np.log(q).sum(axis=-1), 2, lambda q: -1 / q)
    assert UserPotential(*log, probe=[[1.0, 2.0], [3.0, 0.5]]).energy(np.array([[1.0, np.e]])) == -1.0
    with pytest.raises(SpecError, match="probe has shape"):
        UserPotential(*log, probe=[1.0, 2.0])


# -- options --------


@pytest.mark.parametrize(
    ("given", "kind", "start"),
    [
        ({"name": "mixture", "means": [1, 2]}, GaussianMixture, {"start_sd": 1.0}),
        (
            {"name": "mixture", "means": [[1, 2], [3, 4]], "sd": [[1, 2], [3, 4]], "start": [0, 0]},
            GaussianMixture,
            {"start": [0.0, 0.0]},
        ),
        (
            {"name": "mixture", "preset": "two_narrow", "dtype": "float32", "start_sd": 3},
            GaussianMixture,
            {"start_sd": 3.0},
        ),
        ({"name": "mixture", "preset": "twenty_five"}, GaussianMixture, {"start_range": 10.0}),
        ({"name": "plane", "energy_noise_sd": 0.32}, Plane, {"start": [2.0, 2.0]}),
        ({"name": "double_well", "height": 4, "size": 3}, DoubleWell, {"start_sd": 1.0}),
        ({"name": "quartic", "quadratic": -1, "start_range": 2}, Quartic, {"start_range": 2.0}),
        ({"name": "harmonic", "stiffness": [1, 2, 4]}, Harmonic, {"start_sd": 1.0}),
        ({"name": "harmonic", "size": 5, "gradient_noise_sd": 0.1}, Harmonic, {"start_sd": 1.0}),
    ],
)
def test_options_build_and_read_back(given, kind, start):
    options = OPTIONS.validate_python(given)
    potential = options.build()
    assert type(potential) is kind
    assert potential.layout.size == options.coordinates
    assert potential.gradient_noise_sd == given.get("gradient_noise_sd", 0)
    assert potential.energy_noise_sd == given.get("energy_noise_sd", 0)
    assert potential.bounds == options.box
    assert dict(options.start_in_force) == start
    written = options.model_dump()
    assert None not in written.values()
    assert OPTIONS.validate_python(written) == options
    assert type(options) is TARGETS[given["name"]]
    assert options.__doc__


def test_presets():
    """The published mixtures."""
    preset = lambda name: TARGETS["mixture"](preset=name).build()  # noqa: E731
    for name, (left, right) in {"two_modes": ((-6, 1), (4, 1)), "two_narrow": ((-4, 0.7), (3, 0.5))}.items():
        q = np.linspace(-8, 8, 41)[:, None]
        density = 0.4 * stats.norm.pdf(q, *left) + 0.6 * stats.norm.pdf(q, *right)
        np.testing.assert_allclose(np.exp(-preset(name).energy(q)), density[:, 0], rtol=1e-12)
    many = preset("twenty_five")
    assert sorted(map(tuple, many.means)) == [(x, y) for x in range(-4, 5, 2) for y in range(-4, 5, 2)]
    np.testing.assert_allclose(many.sd**2, 0.03)
    np.testing.assert_allclose(many.weights, 0.04)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "mixture"}, "needs means, or a preset: two_modes"),
        ({"name": "mixture", "preset": "two_modes", "sd": 1}, "both given"),
        ({"name": "mixture", "means": [1, 2], "weights": [0.4, 0.5]}, "divide each by 0.9"),
        ({"name": "mixture", "means": [1, 2], "weights": [1.0]}, "for 2 means"),
        ({"name": "mixture", "means": [1, 2], "sd": 0}, "greater than 0"),
        ({"name": "mixture", "means": [1, 2], "sd": [1, -1]}, "sd = -1 must be above 0"),
        ({"name": "mixture", "means": [[1, 2], [3]]}, "equal length"),
        ({"name": "mixture", "means": [1, 2], "start": [1, 2]}, "2 numbers for 1 coordinates"),
        ({"name": "plane", "start": [0, 0], "start_sd": 1}, r"start = \[0.0, 0.0\] and start_sd = 1.0: give one"),
        ({"name": "plane", "start": [3, 0]}, r"start at 3, outside the box of \+-2.5"),
        ({"name": "plane", "start_range": 4}, "outside the box"),
        ({"name": "plane", "gradient_noise_sd": float("nan")}, "finite"),
        ({"name": "harmonic", "stiffness": [1, 2], "size": 3}, "2 values for size = 3"),
        ({"name": "quartic", "size": 2**21}, "less than or equal"),
        ({"name": "double_well", "hight": 1}, "Extra inputs"),
        ({"name": "donut"}, "does not match any of the expected tags"),
    ],
)
def test_bad_options(given, message):
    with pytest.raises(ValidationError, match=message):
        OPTIONS.validate_python(given)


def test_custom_holds_no_code():
    options = OPTIONS.validate_python({"name": "custom", "size": 3, "label": "ring"})
    with pytest.raises(SpecError, match=r"'ring' is custom.*pass potential="):
        options.build()
    assert options.initial_position(make_keys([1, 1], [0, 1])).shape == (2, 3)


def test_starts(dtype):
    """Normals and uniforms at purpose 0 by the replica's identity, in any company; given starts as they are; clipped to
    the box.
    """
    keys = make_keys(np.full(4000, 9), np.arange(4000))
    wide = TARGETS["double_well"](size=5, start_sd=2.0)
    drawn = wide.initial_position(keys, dtype)
    assert (drawn.shape, drawn.dtype) == ((4000, 5), dtype)
    assert (
        drawn == dtype(2) * normals(keys, np.arange(2, dtype=np.uint64), Purpose.POSITION, 0, dtype=dtype)[:, :5]
    ).all()
    assert (wide.initial_position(make_keys([9, 9], [17, 3]), dtype) == drawn[[17, 3]]).all()
    even = TARGETS["mixture"](preset="twenty_five").initial_position(keys, dtype)
    assert stats.kstest(even.ravel(), stats.uniform(-10, 20).cdf).pvalue > 1e-4
    assert (TARGETS["plane"]().initial_position(keys, dtype) == 2).all()
    boxed = TARGETS["plane"](start_sd=2.0).initial_position(keys, dtype)
    assert abs(boxed).max() == 2.5
    assert TARGETS["plane"](dtype="float32").initial_position(keys).dtype == np.float32


# -- grids --------


def narrow():
    return TARGETS["mixture"](preset="two_narrow").build()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_one_dimension_against_quadrature(temperature):
    potential = DoubleWell(3.0, 1.2, 0.4)
    grid = Grid.of(potential, (-4, 4), 4000).at(temperature)
    weight = lambda x, power=0: x**power * np.exp(-potential.energy(np.array([[x]]))[0] / temperature)  # noqa: E731
    z, first, second = (
        integrate.quad(weight, -4, 4, args=(k,), points=[-1.2, 1.2], epsabs=1e-13)[0] for k in (0, 1, 2)
    )
    assert grid.log_partition == pytest.approx(np.log(z), abs=1e-7)
    assert grid.mean[0] == pytest.approx(first / z, abs=1e-7)
    assert grid.covariance[0, 0] == pytest.approx(second / z - (first / z) ** 2, abs=1e-6)
    left = integrate.quad(weight, -4, 0.25, epsabs=1e-13)[0] / z
    np.testing.assert_allclose(grid.mode_weights(0.25), [left, 1 - left], atol=1e-3)


def test_quartic_moments():
    """E q^2 of exp(-q^4/4) is 2 Gamma(3/4)/Gamma(1/4)."""
    grid = Grid.of(Quartic(), (-7, 7), 2000)
    assert grid.covariance[0, 0] == pytest.approx(2 * gamma(0.75) / gamma(0.25), rel=1e-10)
    assert grid.expectation(lambda q: q[:, 0] ** 4) == pytest.approx(1, rel=1e-10)


def test_two_dimensions():
    """A product of normals: moments, partition function, energy bins (U is exponential) and marginals."""
    grid = Grid.of(Harmonic([[1.0, 4.0]], 2), ((-9, 9), (-5, 5)), 900)
    assert grid.log_partition == pytest.approx(np.log(2 * np.pi / 2), abs=1e-10)
    np.testing.assert_allclose(grid.covariance, np.diag([1, 0.25]), atol=1e-10)
    assert grid.density.max() == pytest.approx(2 / (2 * np.pi), rel=1e-3)
    tail = np.exp(-np.array([0, 0.5, 1.0, 1.5, np.inf]))
    np.testing.assert_allclose(grid.energy_bins(0, 0.5, 4), tail[:-1] - tail[1:], atol=2e-3)
    np.testing.assert_allclose(grid.mode_weights([[-1, 0], [1, 0]]), 0.5, atol=1e-2)


def test_the_mixture_itself():
    """Component weights by nearest mean; with temperature 1 the partition function is 1; energy bins clamp and add
    up.
    """
    grid = Grid.of(narrow(), (-12, 12), 24_000)
    assert grid.log_partition == pytest.approx(0, abs=1e-10)
    np.testing.assert_allclose(grid.mode_weights([-4, 3]), [0.4, 0.6], atol=1e-6)
    bins = grid.energy_bins(1.0, 0.5, 5)
    below, above = (grid.probability[m].sum() for m in (grid.energy < 1.5, grid.energy >= 3.0))
    assert bins.sum() == pytest.approx(1)
    assert (bins[0], bins[-1]) == pytest.approx((below, above))
    weighted = grid.at(2.0)
    assert weighted.mode_weights(0.0)[0] == pytest.approx(
        integrate.quad(lambda x: np.exp(-narrow().energy(np.array([[x]]))[0] / 2), -12, 0, points=[-4])[0]
        / np.exp(weighted.log_partition), abs=1e-6,
    )  # fmt: skip


def samples(count, left=0.4, seed=1):
    rng = np.random.default_rng(seed)
    side = rng.random(count) < left
    return np.where(side, rng.normal(-4, 0.7, count), rng.normal(3, 0.5, count))[:, None]


def test_distances_of_samples():
    """Small for right samples, the missing mass for wrong ones, and repaired by the right weights."""
    grid = Grid.of(narrow(), (-12, 12), 24_000)
    right, wrong = samples(100_000), samples(100_000, left=0.5)
    assert grid.total_variation(right) < 0.01
    assert grid.total_variation(wrong) == pytest.approx(0.1, abs=0.01)
    assert grid.wasserstein(right) < 0.05
    assert grid.wasserstein(wrong) == pytest.approx(0.1 * 7, abs=0.05)
    log_weight = np.where(wrong[:, 0] < 0, np.log(0.4 / 0.5), np.log(0.6 / 0.5)) + 1e4
    assert grid.total_variation(wrong, log_weight) < 0.01
    assert grid.wasserstein(wrong, log_weight) < 0.05
    np.testing.assert_allclose(mode_weights(wrong, [-4, 3], log_weight), [0.4, 0.6], atol=0.01)
    np.testing.assert_allclose(mode_weights(wrong, 0.0), [0.5, 0.5], atol=0.01)
    assert grid.total_variation(np.full((10, 1), 99.0)) == pytest.approx(1)


def test_distances_are_exact_where_known():
    grid = Grid.of(Harmonic(1.0, 1), (-10, 10), 20_000)
    assert grid.wasserstein(np.zeros((1, 1))) == pytest.approx((2 / np.pi) ** 0.5, rel=1e-6)
    assert grid.total_variation(np.full((5, 1), 0.1), bins=2) == pytest.approx(0.5)
    flat = Grid.of(UserPotential(lambda q: 0 * q[:, 0], 2, lambda q: 0 * q), (0, 1), 100)
    corner = np.array([[0.25, 0.25]])
    assert flat.total_variation(corner, bins=2) == pytest.approx(0.75)
    assert flat.wasserstein(corner, axis=1) == pytest.approx(0.25**2 / 2 + 0.75**2 / 2, abs=1e-4)


def test_mode_of():
    q = np.array([[[-5.0], [2.9]], [[3.5], [-1.0]]])
    assert mode_of(q, [-4, 3]).tolist() == [[0, 1], [1, 0]]
    assert mode_of(q, -2.0).tolist() == [[0, 1], [1, 1]]
    assert mode_of(np.array([[0.9, 2.2]]), [[0, 0], [1, 2]]).tolist() == [1]


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda: Grid.of(Quartic(size=3), (-1, 1)), SpecError, "3 coordinates"),
        (lambda: Grid.of(Quartic()), SpecError, "no box"),
        (lambda: Grid.of(Quartic(), (1, -1)), SpecError, "low below high"),
        (lambda: Grid.of(Plane(), cells=10**5), SpecError, "at most"),
        (lambda: Grid.of(Quartic(), (-1, 1), 10, temperature=0), SpecError, "temperature = 0"),
        (lambda: Grid.of(Quartic(), (-1, 1), 10).coarse(3), SpecError, "does not divide"),
        (lambda: Grid.of(Quartic(), (-1, 1), 10).wasserstein([[np.nan]]), DataError, "not finite"),
        (lambda: Grid.of(Quartic(), (-1, 1), 10).wasserstein([[1.0]], [-np.inf]), DataError, "not finite"),
        (lambda: Grid.of(Quartic(), (-1, 1), 10).wasserstein([[1.0, 2.0]]), DataError, "shape"),
        (lambda: mode_weights(np.zeros((3, 1)), [0, 1], np.zeros(2)), DataError, "log_weight has shape"),
        (lambda: mode_of(np.zeros((3, 2)), 0.0), SpecError, "boundary"),
        (lambda: mode_of(np.zeros((3, 2)), [0.0, 1.0]), SpecError, "1 coordinates and positions 2"),
    ],
)
def test_grids_refuse(use, error, message):
    with pytest.raises(error, match=message):
        use()


def test_grid_takes_the_box():
    grid = Grid.of(Plane(), cells=200)
    assert [tuple(e[[0, -1]]) for e in grid.edges] == [(-2.5, 2.5)] * 2
    assert grid.coordinates == ("x", "y")
    np.testing.assert_allclose(grid.mean, 0, atol=1e-12)
    np.testing.assert_allclose(grid.probability, grid.probability.T, atol=1e-18)
