"""Analytic targets: slopes, protocol, other array libraries, and noise at its addresses."""

import numpy as np
import pytest
from linear_maps import average, job_of, z_score
from potential_cases import POTENTIALS, batch, differences, spread
from scipy import stats

from gpu_thermo.errors import SpecError
from gpu_thermo.streams import Purpose, make_keys, normals
from gpu_thermo.targets.analytic.mixture import GaussianMixture
from gpu_thermo.targets.analytic.plane import Plane
from gpu_thermo.targets.analytic.wells import DoubleWell, Harmonic, Quartic
from gpu_thermo.targets.base import Batch, Potential

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
