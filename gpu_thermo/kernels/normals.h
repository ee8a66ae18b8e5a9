// Uniforms and standard normals from words (equations.md section 7), as streams.uniform and streams.normals.
#pragma once

constexpr double TO_ONE = 2.3283064365386963e-10, HALF_TURN = 2147483648.0;  // 2^-32, 2^31

// u = (w + 1/2) 2^-32; float32 rounds at the conversion and at the sum.
HD real uniform(word w) { return word_to_real(w) * scalar(TO_ONE) + scalar(1.1641532182693481e-10); }

// Standard normals by Box and Muller from PAIRS pairs of words a, b, one stage of all of them after the other:
//   n_even = sqrt(-2 ln u_a) cos(2 pi u_b), n_odd the sine.
// Uniforms are taken times 2^32 (a sum, no product, and equal to the bit); whole and half turns are sums, too, and a half turn is the
// radius's sign. So float units have few products, which go where those of Philox do.
template <int PAIRS> struct Normals {
  static constexpr int STAGES = 7;
  real x[PAIRS], y[PAIRS], radius[PAIRS], square[PAIRS];

  template <int STAGE, class Beside> HD void stages(const word (&a)[PAIRS], const word (&b)[PAIRS], Beside beside) {
    stage<STAGE>(a, b);
    beside(STAGE);
    if constexpr (STAGE + 1 < STAGES) stages<STAGE + 1>(a, b, beside);
  }

  template <int STAGE> HD void stage(const word (&a)[PAIRS], const word (&b)[PAIRS]) {
    if constexpr (STAGE == 0) {
      UNROLL for (int j = 0; j < PAIRS; ++j) take_apart((word_to_real(a[j]) + scalar(0.5)) * scalar(TO_ONE), x[j], square[j]);
    } else if constexpr (STAGE == 1) {
      log_near_one(x, y);
    } else if constexpr (STAGE == 2) {
      UNROLL for (int j = 0; j < PAIRS; ++j) {
        y[j] = y[j] + square[j] * scalar(LN2_LOW * ULP);
        radius[j] = root(square[j] * scalar(-2 * LN2_HIGH * ULP) - (y[j] + y[j]));
      }
    } else if constexpr (STAGE == 3) {
      UNROLL for (int j = 0; j < PAIRS; ++j) {
        const real turns = word_to_real(b[j]) + scalar(0.5), shifted = turns + scalar(ROUNDER * HALF_TURN);
        x[j] = (turns - (shifted - scalar(ROUNDER * HALF_TURN))) * scalar(TO_ONE);
        square[j] = x[j] * x[j];
        radius[j] = unbits(bits(radius[j]) ^ (bits(shifted) << SIGN));
      }
    } else if constexpr (STAGE == 4) {
      sines(x, square, y);
    } else if constexpr (STAGE == 5) {
      cosines(square, x);
    } else {
      UNROLL for (int j = 0; j < PAIRS; ++j) {
        x[j] = radius[j] * x[j];
        y[j] = radius[j] * y[j];
      }
    }
  }
};

// Of the words of COUNT blocks, in lane order; beside each stage `beside` is called with its number.
template <int COUNT, class Beside> HD void normals_of(const word (&w)[COUNT][4], real (&n)[COUNT][4], Beside beside) {
  constexpr int PAIRS = 2 * COUNT;
  word a[PAIRS], b[PAIRS];
  UNROLL for (int j = 0; j < PAIRS; ++j) {
    a[j] = w[j / 2][j % 2 * 2];
    b[j] = w[j / 2][j % 2 * 2 + 1];
  }
  Normals<PAIRS> make;
  make.template stages<0>(a, b, beside);
  UNROLL for (int j = 0; j < PAIRS; ++j) {
    n[j / 2][j % 2 * 2] = make.x[j];
    n[j / 2][j % 2 * 2 + 1] = make.y[j];
  }
}

// The four normals of each of COUNT blocks.
template <int COUNT> HD void normals(const Address& at, const u32 (&block)[COUNT], real (&n)[COUNT][4]) {
  word w[COUNT][4];
  philox(at, block, w);
  normals_of(w, n, [](int) {});
}

// A vector processor's normals of COUNT blocks at a time, for one block after another: the words of the next are made beside the normals of
// these, so that units for integers and for floats are busy at once.
template <int COUNT> struct Stream {
  static_assert(PHILOX_ROUNDS - 2 == Normals<1>::STAGES + 1, "a round beside each stage, and one before them");
  word w[COUNT][4];

  HD void begin(const Address& at, const u32 (&block)[COUNT]) { philox(at, block, w); }

  // Normals of the words at hand; those of `block` are at hand afterwards.
  HD void next(const Address& at, const u32 (&block)[COUNT], real (&n)[COUNT][4]) {
    word now[COUNT][4];
    UNROLL for (int i = 0; i < COUNT; ++i) {
      UNROLL for (int l = 0; l < 4; ++l) now[i][l] = w[i][l];
    }
    philox_begin(at, block, w);
    philox_round(*at.keys, 2, w);
    normals_of(now, n, [&](int stage) { philox_round(*at.keys, 3 + stage, w); });
  }
};

// One block, where it is not worth a copy of the code.
SLOW void normals_apart(const Address& a, u32 block, real* n) {
  const u32 blocks[1] = {block};
  real m[1][4];
  normals(a, blocks, m);
  UNROLL for (int l = 0; l < 4; ++l) n[l] = m[0][l];
}

// COUNT blocks, likewise.
template <int COUNT> SLOW void normals_called(const Address& a, const u32 (&block)[COUNT], real (&n)[COUNT][4]) { normals(a, block, n); }
