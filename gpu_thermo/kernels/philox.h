// Philox4x32-10 (Salmon et al., SC 2011) at the addresses of equations.md section 7.
//   key = (seed low, seed high); c0 = block; c1 = stream id; c2 = ordinal low 32 bits; c3 = purpose << 24 | sub << 16 | ordinal bits 32..47
#pragma once

enum Purpose { PURPOSE_POSITION = 0, PURPOSE_MOMENTUM = 1, PURPOSE_STEP = 2, PURPOSE_MINIBATCH = 3, PURPOSE_ACCEPTANCE = 9 };

constexpr u32 PHILOX_M0 = 0xD2511F53u, PHILOX_M1 = 0xCD9E8D57u, PHILOX_W0 = 0x9E3779B9u, PHILOX_W1 = 0xBB67AE85u;
constexpr int PHILOX_ROUNDS = 10;

// Who draws. Vectors keep the multipliers and the keys of all rounds at hand (memory operands); a GPU thread adds them up as it goes.
struct Keys {
  word stream, multiplier[LANES > 1 ? 2 : 1], low[LANES > 1 ? PHILOX_ROUNDS : 1], high[LANES > 1 ? PHILOX_ROUNDS : 1];
  HD void open(word seed_low, word seed_high, word stream_id) {
    stream = stream_id;
    multiplier[0] = splat_word(PHILOX_M0);
    if (LANES > 1) multiplier[LANES > 1] = splat_word(PHILOX_M1);
    for (int r = 0; r < (LANES > 1 ? PHILOX_ROUNDS : 1); ++r) {
      low[r] = seed_low + u32(r) * PHILOX_W0;
      high[r] = seed_high + u32(r) * PHILOX_W1;
    }
  }
  HD word m0() const { return LANES > 1 ? multiplier[0] : splat_word(PHILOX_M0); }
  HD word m1() const { return LANES > 1 ? multiplier[LANES > 1] : splat_word(PHILOX_M1); }
  HD word k0(int r) const { return LANES > 1 ? low[LANES > 1 ? r : 0] : low[0] + u32(r) * PHILOX_W0; }
  HD word k1(int r) const { return LANES > 1 ? high[LANES > 1 ? r : 0] : high[0] + u32(r) * PHILOX_W1; }
};

// What all blocks of one (purpose, ordinal, sub) share: the first round but for one product, and half of the second.
struct Address {
  const Keys* keys;
  word c2_first, c0_second, c2_second, c3_second;
};

HD Address address(const Keys& keys, u32 purpose, u64 ordinal, u32 sub) {
  const u32 c2 = u32(ordinal), c3 = purpose << 24 | sub << 16 | u32(ordinal >> 32);
  const u64 p1 = u64(PHILOX_M1) * c2;
  Address a;
  a.keys = &keys;
  a.c2_first = keys.k1(0) ^ c3;
  a.c0_second = keys.k0(1) ^ u32(p1);
  mulhilo(keys.m0(), keys.stream ^ keys.k0(0) ^ u32(p1 >> 32), a.c2_second, a.c3_second);
  a.c2_second ^= keys.k1(1);
  return a;
}

// The first two rounds of COUNT blocks, worked off side by side.
template <int COUNT> HD void philox_begin(const Address& a, const u32 (&block)[COUNT], word (&w)[COUNT][4]) {
  UNROLL for (int i = 0; i < COUNT; ++i) {
    const u64 p0 = u64(PHILOX_M0) * block[i];
    word hi, lo;
    mulhilo(a.keys->m1(), a.c2_first ^ u32(p0 >> 32), hi, lo);
    w[i][0] = hi ^ a.c0_second;
    w[i][1] = lo;
    w[i][2] = a.c2_second ^ u32(p0);
    w[i][3] = a.c3_second;
  }
}

template <int COUNT> HD void philox_round(const Keys& keys, int r, word (&w)[COUNT][4]) {
  UNROLL for (int i = 0; i < COUNT; ++i) {
    word hi0, lo0, hi1, lo1;
    mulhilo(keys.m0(), w[i][0], hi0, lo0);
    mulhilo(keys.m1(), w[i][2], hi1, lo1);
    w[i][0] = hi1 ^ w[i][1] ^ keys.k0(r);
    w[i][1] = lo1;
    w[i][2] = hi0 ^ w[i][3] ^ keys.k1(r);
    w[i][3] = lo0;
  }
}

// The four words of each of COUNT blocks.
template <int COUNT> HD void philox(const Address& a, const u32 (&block)[COUNT], word (&w)[COUNT][4]) {
  philox_begin(a, block, w);
  UNROLL for (int r = 2; r < PHILOX_ROUNDS; ++r) philox_round(*a.keys, r, w);
}
