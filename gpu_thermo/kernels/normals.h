// Uniforms and standard normals from words (equations.md section 7), as streams.uniform and streams.normals.
#pragma once

// u = (w + 1/2) 2^-32; float32 rounds at the conversion and at the sum.
HD real uniform(word w) { return word_to_real(w) * scalar(2.3283064365386963e-10) + scalar(1.1641532182693481e-10); }

// The four normals of each of COUNT blocks, in lane order, by Box and Muller:
//   n_even = sqrt(-2 ln u_a) cos(2 pi u_b), n_odd the sine.
// Radii first, then angles: the roots, which take longest, are under way meanwhile.
template <int COUNT> HD void normals(const Address& a, const u32 (&block)[COUNT], real (&n)[COUNT][4]) {
  word w[COUNT][4];
  real radius[COUNT][2];
  philox(a, block, w);
  UNROLL for (int i = 0; i < COUNT; ++i) {
    UNROLL for (int k = 0; k < 2; ++k) radius[i][k] = root(log_of(uniform(w[i][2 * k])) * scalar(-2));
  }
  UNROLL for (int i = 0; i < COUNT; ++i) {
    UNROLL for (int k = 0; k < 2; ++k) {
      real sine, cosine;
      sincos_turns(uniform(w[i][2 * k + 1]), sine, cosine);
      n[i][2 * k] = radius[i][k] * cosine;
      n[i][2 * k + 1] = radius[i][k] * sine;
    }
  }
}

// One block, where it is not worth a copy of the code.
SLOW void normals_apart(const Address& a, u32 block, real* n) {
  const u32 blocks[1] = {block};
  real m[1][4];
  normals(a, blocks, m);
  UNROLL for (int l = 0; l < 4; ++l) n[l] = m[0][l];
}

// COUNT blocks, likewise.
template <int COUNT> SLOW void normals_called(const Address& a, const u32 (&block)[COUNT], real (&n)[COUNT][4]) { normals(a, block, n); }
