"""Every random address in one place: Philox, uniforms, normals and minibatches as array code (equations.md sections 6,
7).

Noise is addressed, not drawn. key = the replica's seed; counter = (block, stream id, ordinal, purpose | sub | ordinal
high):

====  =======================  ====================  =============================================
 no.  purpose                  ordinal               sub
====  =======================  ====================  =============================================
  0   initial position         0                     0
  1   initial momentum         0, or step            0; 1 where a run that tunes itself starts anew
  2   step noise               step                  index among the word's O, D, F, S, U (twice)
  3   minibatch                gradient, or epoch    0
  4   energy minibatch, moves  attempt               0
  5   exchange                 attempt               0 (stream = ladder id, block = lower rung)
  6   tempering                attempt               0
  7   analytic-target noise    evaluation            0 gradient, 1 energy
  8   data                     0                     0 (key = data seed, stream = training, test or split)
 10   sign flips of tuning     step                  0 (stream = number of the flip)
====  =======================  ====================  =============================================

Words travel as uint64 arrays holding 32-bit values, because the product of two words needs 64 bits. Functions accept
NumPy and CuPy arrays.
"""

import math
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

Array = Any

MAX_ORDINAL = 2**48
_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_MASK = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
FEISTEL_ROUNDS = 6


class Purpose(IntEnum):
    """First field of an address; the table above says what ordinal and sub mean for each."""

    POSITION = 0
    MOMENTUM = 1
    STEP = 2
    MINIBATCH = 3
    MOVE_MINIBATCH = 4
    EXCHANGE = 5
    TEMPERING = 6
    TARGET = 7
    DATA = 8
    ACCEPTANCE = 9
    FLIPS = 10


class Keys(NamedTuple):
    """Who draws: seed halves and stream id, uint64 of 32-bit values, shaped to broadcast against blocks ([R, 1] or
    0-d).
    """

    low: Array
    high: Array
    stream: Array


def make_keys(seed: Array, stream: Array, xp: Any = np) -> Keys:
    """Keys of R replicas from `seed` [R] (64 bit) and `stream` [R] (32 bit); equal seeds stay 0-d, which saves work in
    the first rounds.
    """
    seed = np.atleast_1d(np.asarray(seed, dtype=np.uint64))
    stream = np.atleast_1d(np.asarray(stream, dtype=np.uint64)) & _MASK
    if (seed == seed[0]).all():
        seed = seed[0]
    else:
        seed = seed[:, None]
    return Keys(xp.asarray(seed & _MASK), xp.asarray(seed >> _SHIFT), xp.asarray(stream[:, None]))


def some_keys(keys: Keys, rows: slice) -> Keys:
    """The keys of some replicas."""
    return Keys(*(k if k.ndim == 0 else k[rows] for k in keys))


def counter(purpose: int, ordinal: int, sub: int = 0) -> tuple[np.uint64, np.uint64]:
    """Counter words c2 and c3 of an address."""
    if not 0 <= ordinal < MAX_ORDINAL:
        raise ValueError(f"ordinal {ordinal} does not fit the 48 bits of a random address")
    c3 = purpose << 24 | sub << 16 | ordinal >> 32
    return np.uint64(ordinal & 0xFFFFFFFF), np.uint64(c3)


def philox4x32(c0: Array, c1: Array, c2: Array, c3: Array, k0: Array, k1: Array) -> tuple[Array, Array, Array, Array]:
    """Philox4x32-10 (Salmon et al., SC 2011) on broadcastable uint64 arrays of 32-bit words.

    The first two rounds run on the inputs' own small shapes; broadcasting reaches the full shape only in the third.
    """
    for r in range(10):
        p0, p1 = c0 * _M0, c2 * _M1
        key0 = (k0 + np.uint64(r * _W0 & 0xFFFFFFFF)) & _MASK
        key1 = (k1 + np.uint64(r * _W1 & 0xFFFFFFFF)) & _MASK
        c0, c1 = (p1 >> _SHIFT) ^ (c1 ^ key0), p1 & _MASK
        c2, c3 = (p0 >> _SHIFT) ^ (c3 ^ key1), p0 & _MASK
    return c0, c1, c2, c3


def words(keys: Keys, blocks: Array, purpose: int, ordinal: int, sub: int = 0) -> tuple[Array, Array, Array, Array]:
    """Four words of each block [blocks] for each replica: uint64 [R, blocks], holding 32-bit values."""
    c2, c3 = counter(purpose, ordinal, sub)
    return philox4x32(blocks, keys.stream, c2, c3, keys.low, keys.high)


def uniform(word: Array, dtype: Any = np.float32) -> Array:
    """u = (w + 1/2) 2^-32: in float32 rounded at the conversion and at the sum, in that order, so that all engines
    agree bit for bit.
    """
    u = word.astype(dtype)
    u *= dtype(2.0**-32)
    u += dtype(2.0**-33)
    return u


def normals(
    keys: Keys, blocks: Array, purpose: int, ordinal: int, sub: int = 0, dtype: Any = np.float32, xp: Any = np
) -> Array:
    """Standard normals [R, 4 blocks] in lane order, by Box and Muller: (w0, w1) -> (n0, n1), (w2, w3) -> (n2, n3).

    The angle is reduced to half a turn exactly before it meets 2 pi, which keeps float32 normals within 1e-6 of exact
    ones.
    """
    w = words(keys, blocks, purpose, ordinal, sub)
    out = xp.empty((*w[0].shape, 4), dtype)
    for lane in (0, 2):
        radius = uniform(w[lane], dtype)
        xp.log(radius, out=radius)
        radius *= dtype(-2)
        xp.sqrt(radius, out=radius)
        angle = uniform(w[lane + 1], dtype)
        angle -= xp.rint(angle)
        angle *= dtype(2 * np.pi)
        xp.multiply(radius, xp.cos(angle), out=out[..., lane])
        xp.multiply(radius, xp.sin(angle), out=out[..., lane + 1])
    return out.reshape(out.shape[0], -1)


def uniforms(
    keys: Keys, blocks: Array, purpose: int, ordinal: int, sub: int = 0, dtype: Any = np.float32, xp: Any = np
) -> Array:
    """Uniforms on (0, 1), [R, 4 blocks] in lane order."""
    w = words(keys, blocks, purpose, ordinal, sub)
    return xp.stack([uniform(x, dtype) for x in w], axis=-1).reshape(w[0].shape[0], -1)


def permute(x: Array, n: int, round_keys: list[Array], xp: Any = np) -> Array:
    """Keyed bijection on [0, n) (equations.md section 6): six Feistel rounds on an a x b grid, walking until inside.

    `x` [B] or [R, B] positions below `n`, `round_keys` six arrays [R, 1]; returns int64 [R, B].
    """
    a = math.isqrt(n - 1) + 1 if n > 1 else 1
    b = -(-n // a)
    keys = [k.astype(np.uint32) for k in round_keys]
    x = _feistel(xp.asarray(x).astype(np.uint32), a, b, keys)
    outside = xp.nonzero(x >= n)
    while outside[0].size:
        walked = _feistel(x[outside], a, b, [k[outside[0], 0] for k in keys])
        x[outside] = walked
        still = walked >= n
        outside = (outside[0][still], outside[1][still])
    return x.astype(np.int64)


def _feistel(x: Array, a: int, b: int, keys: list[Array]) -> Array:
    left, right = x % np.uint32(a), x // np.uint32(a)
    for j in range(FEISTEL_ROUNDS):
        n = np.uint32(a if j % 2 == 0 else b)
        high = _hash(right * np.uint32(0x9E3779B1) + keys[j]).astype(np.uint64)
        high *= np.uint64(n)
        high >>= _SHIFT
        t = high.astype(np.uint32)
        t += left
        left, right = (
            right,
            np.minimum(t, t - n),
        )  # t mod n: t < 2 n, and t - n wraps around to a huge number where t < n
    return left + np.uint32(a) * right


def _hash(x: Array) -> Array:
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x7FEB352D)
    x ^= x >> np.uint32(15)
    x *= np.uint32(0x846CA68B)
    x ^= x >> np.uint32(16)
    return x


def permutation_keys(keys: Keys, purpose: int, ordinal: int, xp: Any = np) -> list[Array]:
    """The six round keys [R, 1] of a replica's permutation: the first six words at (purpose, ordinal)."""
    w = words(keys, xp.arange(2, dtype=np.uint64), purpose, ordinal)
    return [w[i][:, :1] for i in range(4)] + [w[i][:, 1:2] for i in range(2)]


def minibatch(keys: Keys, mode: str, points: int, batch: int, ordinal: int, xp: Any = np) -> Array:
    """Training-point indices [R, batch] of gradient number `ordinal`; `mode` is subset, epoch, symmetric or replacement
    (equations.md section 6).
    """
    if mode == "replacement":
        w = words(keys, xp.arange(-(-batch // 4), dtype=np.uint64), Purpose.MINIBATCH, ordinal)
        flat = xp.stack(w, axis=-1).reshape(w[0].shape[0], -1)[:, :batch]
        return ((flat * np.uint64(points)) >> _SHIFT).astype(np.int64)
    number, place = ordinal, 0
    if mode != "subset":
        number, place = place_in_epoch(mode, points // batch, ordinal)
    position = place * batch + np.arange(batch)
    return permute(position, points, permutation_keys(keys, Purpose.MINIBATCH, number, xp), xp)


def place_in_epoch(mode: str, batches: int, ordinal: int) -> tuple[int, int]:
    """Number of the permutation that gradient `ordinal` belongs to, and which of its `batches` it takes: in order, and
    where `mode` is symmetric then backwards.

    Raises
    ------
    ValueError
        `mode` is neither epoch nor symmetric.
    """
    if mode == "epoch":
        return divmod(ordinal, batches)
    if mode == "symmetric":
        number, place = divmod(ordinal, 2 * batches)
        return number, min(place, 2 * batches - 1 - place)
    raise ValueError(f"minibatch mode {mode!r} is unknown")
