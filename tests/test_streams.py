"""Random addresses, normals and minibatches (equations.md sections 6 and 7), against scalar Python from that page."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from gpu_thermo import streams
from gpu_thermo.streams import (
    MAX_ORDINAL,
    Purpose,
    counter,
    make_keys,
    minibatch,
    normals,
    permutation_keys,
    permute,
    uniforms,
    words,
)

REFERENCE = json.loads((Path(__file__).parent / "reference" / "streams.json").read_text())
MASK = 0xFFFFFFFF


# -- references in plain integers --------


def philox(c, k):
    """Philox4x32-10 as printed in Salmon et al. (SC 2011)."""
    c, k = list(c), list(k)
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [p1 >> 32 ^ c[1] ^ k[0], p1 & MASK, p0 >> 32 ^ c[3] ^ k[1], p0 & MASK]
        k = [k[0] + 0x9E3779B9 & MASK, k[1] + 0xBB67AE85 & MASK]
    return c


def address(seed, stream, purpose, ordinal, sub, block):
    """Four words at an address, by the layout of equations.md section 7."""
    c3 = purpose << 24 | sub << 16 | ordinal >> 32
    return philox((block, stream, ordinal & MASK, c3), (seed & MASK, seed >> 32))


def mulhi(a, b):
    return a * b >> 32


def scramble(x):
    x ^= x >> 16
    x = x * 0x7FEB352D & MASK
    x ^= x >> 15
    x = x * 0x846CA68B & MASK
    return x ^ x >> 16


def bijection(x, n, keys):
    """Image of position x, and how many walks it took."""
    a = math.isqrt(n) + (math.isqrt(n) ** 2 < n)
    b = -(-n // a)
    for walks in range(1, 1000):
        left, right = x % a, x // a
        for j, key in enumerate(keys):
            t = left + mulhi(scramble((right * 0x9E3779B1 + key) & MASK), b if j % 2 else a)
            left, right = right, t - (b if j % 2 else a) if t >= (b if j % 2 else a) else t
        x = left + a * right
        if x < n:
            return x, walks
    raise AssertionError("walks for ever")


# -- Philox --------


@pytest.mark.parametrize(
    ("count", "key", "expected"),
    [
        ((0,) * 4, (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((MASK,) * 4, (MASK, MASK), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
    ids=["zeros", "ones", "pi"],
)  # fmt: skip
def test_published_known_answers(count, key, expected):
    """Random123's kat_vectors."""
    assert tuple(philox(count, key)) == expected
    got = streams.philox4x32(*(np.array([[x]], np.uint64) for x in (*count, *key)))
    assert tuple(int(w[0, 0]) for w in got) == expected


def test_address_layout():
    """Every field lands in its place, up to its last bit."""
    seeds = [0, 2**64 - 1, 0x0123456789ABCDEF]
    blocks = np.array([0, 7, MASK], np.uint64)
    for purpose in Purpose:
        for ordinal in (0, 5, MASK, 2**32, 2**47 + 3, MAX_ORDINAL - 1):
            for sub in (0, 3, 255):
                got = words(make_keys(seeds, [0, 9, MASK]), blocks, purpose, ordinal, sub)
                for r, (seed, stream) in enumerate(zip(seeds, (0, 9, MASK), strict=True)):
                    assert [int(w[r, 1]) for w in got] == address(seed, stream, purpose, ordinal, sub, 7)
                assert [int(w[2, 2]) for w in got] == address(seeds[2], MASK, purpose, ordinal, sub, MASK)


def test_purposes_are_numbered_as_published():
    names = (
        "POSITION", "MOMENTUM", "STEP", "MINIBATCH", "MOVE_MINIBATCH", "EXCHANGE", "TEMPERING", "TARGET", "DATA",
        "ACCEPTANCE", "FLIPS",
    )  # fmt: skip
    assert [p.name for p in Purpose] == list(names)
    assert [p.value for p in Purpose] == list(range(11))


@pytest.mark.parametrize("ordinal", [-1, MAX_ORDINAL, 2**60])
def test_ordinals_that_do_not_fit_are_refused(ordinal):
    with pytest.raises(ValueError, match=rf"{ordinal} does not fit the 48 bits"):
        counter(Purpose.STEP, ordinal)


def test_equal_and_different_seeds_agree():
    """The short cut for equal seeds changes nothing."""
    blocks = np.arange(5, dtype=np.uint64)
    shared = words(make_keys([7, 7, 7], [0, 1, 2]), blocks, 2, 3)
    mixed = words(make_keys([7, 7, 8], [0, 1, 2]), blocks, 2, 3)
    for a, b in zip(shared, mixed, strict=True):
        np.testing.assert_array_equal(a[:2], b[:2])
        assert (a[2] != b[2]).all()


# -- uniforms and normals --------


@pytest.mark.parametrize("name", REFERENCE["normals"])
def test_golden_values(name):
    """Words, bit for bit, and normals, to 1e-6 in float32 and 1e-14 in float64: these never change."""
    golden = REFERENCE["normals"][name]
    keys, blocks = make_keys(golden["seed"], golden["stream"]), np.arange(len(golden["words"]), dtype=np.uint64)
    place = (golden["purpose"], golden["ordinal"], golden["sub"])
    got = np.stack(words(keys, blocks, *place), axis=-1)[0]
    assert got.tolist() == golden["words"]
    np.testing.assert_allclose(
        normals(keys, blocks, *place, dtype=np.float64)[0], golden["normals"], rtol=1e-13, atol=1e-14
    )
    np.testing.assert_allclose(normals(keys, blocks, *place)[0], golden["normals"], rtol=0, atol=1e-6)


def test_normals_are_box_and_muller_in_lane_order(dtype):
    """(w0, w1) -> (n0, n1), (w2, w3) -> (n2, n3), u = (w + 1/2) / 2^32, the cosine first."""
    keys, blocks = make_keys([11], [4]), np.arange(50, dtype=np.uint64)
    got = normals(keys, blocks, 2, 9, 1, dtype).reshape(50, 4)
    assert got.dtype == dtype
    for block in range(50):
        u = [(w + 0.5) / 2**32 for w in address(11, 4, 2, 9, 1, block)]
        for lane in (0, 2):
            radius, angle = math.sqrt(-2 * math.log(u[lane])), 2 * math.pi * u[lane + 1]
            expected = radius * math.cos(angle), radius * math.sin(angle)
            np.testing.assert_allclose(
                got[block, lane : lane + 2], expected, rtol=0, atol=1e-6 if dtype == np.float32 else 1e-13
            )


def test_single_precision_normals_are_within_1e_6():
    """Of exact functions of their own rounded uniforms, for a million words; and nearly all of those in float64.

    Rounding a uniform next to 1 moves a normal next to 0 by up to 1e-4: that belongs to the definition of a float32
    normal.
    """
    keys, blocks = make_keys([1], np.arange(64)), np.arange(4096, dtype=np.uint64)
    single, double = (normals(keys, blocks, 2, 0, dtype=t).reshape(64, -1, 4) for t in (np.float32, np.float64))
    u = [streams.uniform(w, np.float32).astype(float) for w in words(keys, blocks, 2, 0)]
    for lane, turn in ((0, np.cos), (1, np.sin), (2, np.cos), (3, np.sin)):
        even = lane // 2 * 2
        exact = np.sqrt(-2 * np.log(u[even])) * turn(2 * np.pi * u[even + 1])
        assert abs(single[..., lane] - exact).max() < 1e-6
    assert abs(single - double).max() < 2e-4
    assert np.quantile(abs(single - double), 0.999) < 1e-6


def test_extreme_words_give_finite_normals(dtype, monkeypatch):
    """The smallest and largest words: no infinity and no NaN; the largest normal is 6.76."""
    edge = np.array([0, 1, 2**31 - 1, 2**31, 2**31 + 1, MASK - 1, MASK], np.uint64)
    grid = np.array(np.meshgrid(edge, edge, edge[:2], edge[-2:])).reshape(4, 1, -1)
    monkeypatch.setattr(streams, "words", lambda *a, **k: tuple(grid))
    with np.errstate(all="raise"):
        n = normals(make_keys([0], [0]), np.arange(grid.shape[-1], dtype=np.uint64), 2, 0, dtype=dtype)
        u = streams.uniform(edge, dtype)
    assert np.isfinite(n).all()
    assert abs(n).max() == pytest.approx(math.sqrt(-2 * math.log(2.0**-33)), rel=1e-6)
    assert (u > 0).all()
    assert (u <= 1).all()


def test_law_of_normals(dtype):
    """Moments to four and a Kolmogorov-Smirnov test on two million draws."""
    n = (
        normals(make_keys([3], np.arange(256)), np.arange(2048, dtype=np.uint64), 2, 1, dtype=dtype)
        .astype(float)
        .ravel()
    )
    for power, mean, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((n**power).mean() - mean) < 5 * math.sqrt(variance / n.size)
    assert stats.kstest(n[::8], "norm").pvalue > 1e-4


def test_law_of_uniforms(dtype):
    u = (
        uniforms(make_keys([3], np.arange(64)), np.arange(2048, dtype=np.uint64), 0, 0, dtype=dtype)
        .ravel()
        .astype(float)
    )
    assert abs(u.mean() - 0.5) < 5 / math.sqrt(12 * u.size)
    assert stats.kstest(u, "uniform").pvalue > 1e-4


AXES = {  # what differs between two draws of the same 100,000 normals
    "replica": ({"stream": 5}, {"stream": 6}), "seed": ({"seed": 1}, {"seed": 2}),
    "seed, high half": ({"seed": 1}, {"seed": 1 + 2**32}),
    "step": ({"ordinal": 8}, {"ordinal": 9}), "step, high bits": ({"ordinal": 8}, {"ordinal": 8 + 2**32}),
    "letter": ({"sub": 0}, {"sub": 1}), "purpose": ({"purpose": 0}, {"purpose": 1}),
}  # fmt: skip


@pytest.mark.parametrize("axis", AXES)
def test_independence(axis):
    """Draws that differ in one field of the address are uncorrelated, and so are their squares."""

    def draw(seed=0, stream=0, ordinal=0, sub=0, purpose=2):
        return normals(
            make_keys([seed], [stream]), np.arange(25_000, dtype=np.uint64), purpose, ordinal, sub, np.float64
        )[0]

    a, b = (draw(**fields) for fields in AXES[axis])
    for x, y in ((a, b), (a**2, b**2), (a[:-1], b[1:])):
        assert abs(np.corrcoef(x, y)[0, 1]) < 5 / math.sqrt(len(a))


def test_lanes_of_a_block_are_independent():
    n = normals(make_keys([0], [0]), np.arange(50_000, dtype=np.uint64), 2, 0, dtype=np.float64).reshape(-1, 4)
    for power in (1, 2):
        c = np.corrcoef(n.T**power) - np.eye(4)
        assert abs(c).max() < 5 / math.sqrt(len(n))


# -- the keyed permutation --------


@pytest.mark.parametrize("n", [1, 2, 3, 5, 10, 16, 17, 99, 1000, 65_537, 10**6, 2**31 - 1])
def test_permutation_against_integers(n):
    """The same images as the page's recipe in Python integers."""
    keys = permutation_keys(make_keys([3, 3], [0, 1]), Purpose.MINIBATCH, 12)
    x = np.unique(np.linspace(0, n - 1, 40).astype(np.int64))
    got = permute(x, n, keys)
    for r in range(2):
        round_keys = [int(k[r, 0]) for k in keys]
        six = (address(3, r, 3, 12, 0, 0) + address(3, r, 3, 12, 0, 1))[:6]
        assert round_keys == six
        assert got[r].tolist() == [bijection(int(i), n, six)[0] for i in x]


def test_bijective_for_every_n_to_2000():
    for n in range(1, 2001):
        image = permute(np.arange(n), n, permutation_keys(make_keys([n], [0, 1]), Purpose.MINIBATCH, n))
        assert (np.sort(image, axis=1) == np.arange(n)).all()


def test_few_walks():
    """Walking adds less than 5 % of work on average over N to 2000."""
    rng = np.random.default_rng(0)
    walks = [bijection(int(rng.integers(n)), n, rng.integers(2**32, size=6).tolist())[1] for n in range(1, 2001)]
    assert np.mean(walks) < 1.05


def orders(n):
    """Data in orders that a poor permutation would not break up."""
    i = np.arange(n)
    return {"slope": i, "column": i % math.ceil(math.sqrt(n)), "parity": i % 2, "half": i < n // 2}


def variance_ratios(n, ordinals, batch=20):
    """Variance of batch means over that of a sample without replacement, for each of `orders`; and its relative
    error.
    """
    keys = make_keys(np.zeros(4096), np.arange(4096))
    values = [y - y.mean() for y in orders(n).values()]
    sums = np.zeros(len(values))
    for ordinal in range(ordinals):
        index = minibatch(keys, "subset", n, batch, ordinal)
        sums += [(y[index].mean(axis=1) ** 2).mean() / ordinals for y in values]
    return sums / [y.var(ddof=1) / batch * (1 - batch / n) for y in values], math.sqrt(2 / (4096 * ordinals))


@pytest.mark.parametrize(("n", "tolerance"), [(1000, 0.005), (300, 0.005), (100, 0.012)])
def test_variance_of_batch_means(n, tolerance):
    """Right to half a per cent, whatever order the data are in; to one per cent for a hundred points."""
    ratios, error = variance_ratios(n, 150)
    assert error < 0.002
    assert abs(ratios - 1).max() < tolerance


def test_power_four_rounds_are_not_enough(monkeypatch):
    """The same check tells four Feistel rounds from six."""
    monkeypatch.setattr(streams, "FEISTEL_ROUNDS", 4)
    ratios, error = variance_ratios(100, 10)
    assert abs(ratios - 1).max() > 0.012 + 5 * error


@pytest.mark.parametrize("n", [12, 100])
def test_every_position_is_uniform(n):
    """Chi-square of the first and last members of a batch."""
    index = np.concatenate(
        [minibatch(make_keys(np.zeros(4096), np.arange(4096)), "subset", n, 5, o) for o in range(20)]
    )
    for position in (0, 4):
        assert stats.chisquare(np.bincount(index[:, position], minlength=n)).pvalue > 1e-4


# -- minibatches --------


@pytest.mark.parametrize(("points", "batch"), [(20, 5), (23, 5), (7, 7), (10, 1), (1, 1)])
def test_an_epoch_meets_every_point_once(points, batch):
    """N div B batches without repetition, the N mod B left over skipped; the next epoch has another order."""
    keys, per_epoch = make_keys([5], np.arange(3)), points // batch
    batches = [minibatch(keys, "epoch", points, batch, e) for e in range(2 * per_epoch)]
    epochs = [np.concatenate(batches[e * per_epoch :][:per_epoch], axis=1) for e in range(2)]
    for epoch in epochs:
        assert all(len(set(row)) == per_epoch * batch for row in epoch.tolist())
    if points > 5:
        assert (epochs[0] != epochs[1]).any(axis=1).all()
        assert (epochs[0][0] != epochs[0][1]).any()


def test_an_epoch_is_the_permutation_of_its_own_number():
    keys = make_keys([5], [8])
    whole = permute(np.arange(23), 23, permutation_keys(keys, Purpose.MINIBATCH, 3))
    np.testing.assert_array_equal(minibatch(keys, "epoch", 23, 5, 3 * 4 + 2), whole[:, 10:15])
    np.testing.assert_array_equal(minibatch(keys, "subset", 23, 5, 3), whole[:, :5])


def test_replacement_is_mulhi_of_the_words():
    got = minibatch(make_keys([9], [2]), "replacement", 1000, 7, 41)
    flat = address(9, 2, 3, 41, 0, 0) + address(9, 2, 3, 41, 0, 1)
    assert got.tolist() == [[mulhi(w, 1000) for w in flat[:7]]]


def test_law_of_replacement():
    """Uniform, with repetitions."""
    index = minibatch(make_keys(np.zeros(4096), np.arange(4096)), "replacement", 10, 20, 0)
    assert stats.chisquare(np.bincount(index.ravel(), minlength=10)).pvalue > 1e-4
    distinct = np.mean([len(set(row)) for row in index.tolist()])
    assert distinct == pytest.approx(10 * (1 - 0.9**20), rel=0.01)


@pytest.mark.parametrize("mode", ["subset", "epoch", "symmetric", "replacement"])
def test_minibatches_belong_to_the_replica(mode):
    """Neither the number of replicas nor their place matters; gradients and streams differ."""
    many = minibatch(make_keys(np.full(50, 2), np.arange(50)), mode, 40, 8, 17)
    alone = minibatch(make_keys([2], [33]), mode, 40, 8, 17)
    np.testing.assert_array_equal(many[33:34], alone)
    assert many.min() >= 0
    assert many.max() < 40
    assert len({tuple(row) for row in many.tolist()}) == 50
    assert (minibatch(make_keys([2], [33]), mode, 40, 8, 18) != alone).any()


@pytest.mark.parametrize("name", REFERENCE["minibatches"])
def test_golden_minibatches(name):
    golden = REFERENCE["minibatches"][name]
    keys = make_keys(golden["seed"], golden["stream"])
    got = [
        minibatch(keys, golden["mode"], golden["points"], golden["batch"], o)[0].tolist() for o in golden["ordinals"]
    ]
    assert got == golden["index"]
