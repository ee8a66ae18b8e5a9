"""Every random address of the data layer, and what is drawn there (equations.md section 7, purpose 8).

key = the data seed, purpose 8, ordinal 0, sub 0. The stream separates what must not disturb each other:

========  =============================================
 stream   content
========  =============================================
  0       training points of a generated set
  1       test points of a generated set
  2       splits and shuffles of real data
========  =============================================

**Layout of generated points.** Points come in pairs: pair i is points 2i and 2i + 1, and in a set of two classes point
2i is of class 0 and point 2i + 1 of class 1. Pair i owns two blocks: block 2i gives four uniforms, block 2i + 1 four
normals, all in float64. Point 2i + k has the lanes 2k and 2k + 1 of each. So a point depends on the seed, the stream
and its own number only: more points extend a set, they never change it, and the test set does not depend on the size of
the training set. Every prefix of even length is balanced; minibatches draw their points through a keyed permutation of
all N (equations.md section 6), so the alternating order does not show in any of their modes.

**Shuffles.** Position i of a shuffled set of n rows is row `permute(i)` of the keyed bijection on [0, n), with the six
round keys at stream 2.

These values are frozen by tests/reference/data.json.
"""

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import streams
from ..streams import Purpose

PAIRS_AT_ONCE = 2**15


class Stream(IntEnum):
    """Second word of a data address."""

    TRAIN = 0
    TEST = 1
    SPLIT = 2


class PointNoise(NamedTuple):
    """Raw randomness of generated points: `uniform` and `normal`, each [points, 2] float64."""

    uniform: NDArray[np.float64]
    normal: NDArray[np.float64]


def point_noise(seed: int, stream: Stream, points: int) -> PointNoise:
    """Two uniforms and two normals for each of the first `points` points of a stream."""
    keys = streams.make_keys(np.uint64(seed), stream)
    pairs = -(-points // 2)
    out = PointNoise(np.empty((pairs, 4)), np.empty((pairs, 4)))
    for start in range(0, pairs, PAIRS_AT_ONCE):
        rows = slice(start, min(start + PAIRS_AT_ONCE, pairs))
        blocks = 2 * np.arange(rows.start, rows.stop, dtype=np.uint64)
        out.uniform[rows] = streams.uniforms(keys, blocks, Purpose.DATA, 0, dtype=np.float64).reshape(-1, 4)
        out.normal[rows] = streams.normals(keys, blocks + np.uint64(1), Purpose.DATA, 0, dtype=np.float64).reshape(
            -1, 4
        )
    return PointNoise(out.uniform.reshape(-1, 2)[:points], out.normal.reshape(-1, 2)[:points])


def shuffled(seed: int, rows: int) -> NDArray[np.int64]:
    """All row numbers [rows] in the order of the seed's keyed permutation."""
    keys = streams.make_keys(np.uint64(seed), Stream.SPLIT)
    order: NDArray[np.int64] = streams.permute(np.arange(rows), rows, streams.permutation_keys(keys, Purpose.DATA, 0))[
        0
    ]
    return order
