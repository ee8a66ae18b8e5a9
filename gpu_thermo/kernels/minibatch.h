// Which training points an evaluation sees (equations.md section 6), exactly as streams.minibatch.
#pragma once

enum BatchMode { SUBSET = 0, EPOCH = 1, REPLACEMENT = 2, FULL = 3, SYMMETRIC = 4 };

// The a x b grid of the keyed bijection on [0, n); inverse = floor(2^32 / a).
struct Grid {
  u32 n, a, b, inverse;
};

HD word feistel_hash(word x) {
  x ^= x >> 16;
  x *= 0x7FEB352Du;
  x ^= x >> 15;
  x *= 0x846CA68Bu;
  return x ^ (x >> 16);
}

// x -> L + a R after six rounds from L = x mod a, R = x div a; COUNT positions side by side.
template <int COUNT> HD void feistel(word (&left)[COUNT], word (&right)[COUNT], const Grid& g, const word (&key)[6]) {
  UNROLL for (int j = 0; j < 6; ++j) {
    const word n = splat_word(j % 2 ? g.b : g.a);
    UNROLL for (int i = 0; i < COUNT; ++i) {
      const word t = left[i] + mulhi(feistel_hash(right[i] * 0x9E3779B1u + key[j]), n);
      left[i] = right[i];
      right[i] = select_word(t >= n, t - n, t);
    }
  }
  UNROLL for (int i = 0; i < COUNT; ++i) left[i] += right[i] * g.a;
}

// A walk that left [0, n) goes on until it is back; the division by a is a product, one too small at most.
SLOW word walked(word x, const Grid& g, const word (&key)[6]) {
  const word n = splat_word(g.n), a = splat_word(g.a);
  while (any(x >= n)) {
    const word q = mulhi(x, splat_word(g.inverse)), r = x - q * g.a;
    word left[1] = {select_word(r >= a, r - a, r)}, right[1] = {select_word(r >= a, q + 1u, q)};
    feistel(left, right, g, key);
    x = select_word(x >= n, left[0], x);
  }
  return x;
}

// Round keys: the first six words at (purpose, ordinal).
HD void permutation_keys(const Address& at, word (&key)[6]) {
  const u32 block[2] = {0, 1};
  word w[2][4];
  philox(at, block, w);
  UNROLL for (int i = 0; i < 6; ++i) key[i] = w[i / 4][i % 4];
}

// Points of one evaluation, by position in it.
template <int MODE> struct Chooser {
  Address at;
  word key[6];
  u32 first;
  HD Chooser(const Keys& keys, const Grid& g, u64 ordinal, u32 batch) : first(0) {
    if constexpr (MODE == EPOCH) {
      const u32 per_epoch = g.n / batch;
      first = u32(ordinal % per_epoch) * batch;
      ordinal /= per_epoch;
    }
    if constexpr (MODE == SYMMETRIC) {  // the batches of a permutation in order, then backwards
      const u32 per_epoch = g.n / batch, place = u32(ordinal % (2 * u64(per_epoch)));
      first = (place < per_epoch ? place : 2 * per_epoch - 1 - place) * batch;
      ordinal /= 2 * u64(per_epoch);
    }
    if constexpr (MODE != FULL) at = address(keys, PURPOSE_MINIBATCH, ordinal, 0);
    if constexpr (MODE == SUBSET || MODE == EPOCH || MODE == SYMMETRIC) permutation_keys(at, key);
  }
  // Training points of the positions start, start + stride, ...
  template <int COUNT> HD void points(u32 start, u32 stride, const Grid& g, word (&index)[COUNT]) const {
    if constexpr (MODE == FULL) {
      UNROLL for (int i = 0; i < COUNT; ++i) index[i] = splat_word(start + i * stride);
    } else if constexpr (MODE == REPLACEMENT) {  // mulhi32(word, N)
      UNROLL for (int i = 0; i < COUNT; ++i) {
        const u32 position = start + i * stride, block[1] = {position / 4}, k = position % 4;
        word w[1][4];
        philox(at, block, w);
        index[i] = mulhi(k == 0 ? w[0][0] : k == 1 ? w[0][1] : k == 2 ? w[0][2] : w[0][3], splat_word(g.n));
      }
    } else {
      word right[COUNT];
      UNROLL for (int i = 0; i < COUNT; ++i) {
        const u32 x = first + start + i * stride;
        index[i] = splat_word(x % g.a);
        right[i] = splat_word(x / g.a);
      }
      feistel(index, right, g, key);
      UNROLL for (int i = 0; i < COUNT; ++i) if (any(index[i] >= splat_word(g.n))) index[i] = walked(index[i], g, key);
    }
  }
};
