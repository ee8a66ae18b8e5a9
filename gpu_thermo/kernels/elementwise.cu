// The batched engine's letters, noise and minibatches as kernels over [rows, columns] views of [R, P] arrays, made from the headers the
// fused kernels use. `stride` is the distance between rows; coefficients are one number a row. Compiled as C++ they are plain loops.
#pragma once

// Element i of a view.
#define ELEMENT(i) const i64 row = (i) / columns, at = row * stride + (i) % columns

KERNEL drift_kernel(i64 rows, i64 columns, i64 stride, scalar* theta, const scalar* p, const scalar* h) {
  GRID(i, rows * columns) {
    ELEMENT(i);
    drift(theta[at], p[at], h[row]);
  }
}

KERNEL kick_kernel(i64 rows, i64 columns, i64 stride, scalar* p, const scalar* gradient, const scalar* h) {
  GRID(i, rows * columns) {
    ELEMENT(i);
    kick(p[at], gradient[at], h[row]);
  }
}

KERNEL damp_kernel(i64 rows, i64 columns, i64 stride, scalar* p, const double* xi, i64 partitions, const double* h) {
  GRID(i, rows * columns) {
    ELEMENT(i);
    damp(p[at], damp_factor(h[row], xi[row * partitions]));
  }
}

KERNEL descend_kernel(i64 rows, i64 columns, i64 stride, scalar* theta, const scalar* gradient, const scalar* h) {
  GRID(i, rows * columns) {
    ELEMENT(i);
    descend(theta[at], gradient[at], h[row]);
  }
}

KERNEL heavy_ball_kernel(i64 rows, i64 columns, i64 stride, scalar* theta, scalar* v, const scalar* gradient, const scalar* keep,
                         const scalar* gain, const scalar* rate) {
  GRID(i, rows * columns) {
    ELEMENT(i);
    heavy_ball(theta[at], v[at], gradient[at], keep[row], gain[row], rate[row]);
  }
}

KERNEL adam_kernel(i64 rows, i64 columns, i64 stride, scalar* theta, scalar* m, scalar* v, const scalar* gradient, const scalar* rate,
                   double correct1, double correct2) {
  GRID(i, rows * columns) {
    ELEMENT(i);
    adam(theta[at], m[at], v[at], gradient[at], rate[row], scalar(correct1), scalar(correct2));
  }
}

// ---- noise: a thread makes the four normals of one Philox block and hands them to the parameters that own its lanes --------------

struct Noise {
  scalar n[4];
  HD Noise(const u32* low, const u32* high, const u32* stream, i64 row, u32 block, i64 step, i64 sub) {
    Keys keys;
    keys.open(low[row], high[row], stream[row]);
    const u32 blocks[1] = {block};
    scalar m[1][4];
    normals(address(keys, PURPOSE_STEP, u64(step), u32(sub)), blocks, m);
    UNROLL for (int l = 0; l < 4; ++l) n[l] = m[0][l];
  }
};

// `block` [blocks] Philox blocks; `column` [blocks, 4] the column that draws each lane, or -1.
#define NOISE_ARGUMENTS                                                                                                              \
  i64 rows, i64 blocks, i64 stride, const u32 *low, const u32 *high, const u32 *stream, const u32 *block, const i32 *column, i64 step, \
      i64 sub
#define NOISY_ELEMENTS(i)                                                                   \
  const i64 row = (i) / blocks, b = (i) % blocks;                                           \
  const Noise noise(low, high, stream, row, block[b], step, sub);                           \
  const scalar* const n = noise.n;                                                          \
  UNROLL for (int l = 0; l < 4; ++l) if (column[4 * b + l] >= 0)

KERNEL diffuse_kernel(NOISE_ARGUMENTS, scalar* p, const scalar* scale) {
  GRID(i, rows * blocks) {
    NOISY_ELEMENTS(i) diffuse(p[row * stride + column[4 * b + l]], n[l], scale[row]);
  }
}

KERNEL damp_diffuse_kernel(NOISE_ARGUMENTS, scalar* p, const double* xi, i64 partitions, const double* h, const scalar* scale) {
  GRID(i, rows * blocks) {
    const scalar factor = damp_factor(h[i / blocks], xi[i / blocks * partitions]);
    NOISY_ELEMENTS(i) {
      scalar& x = p[row * stride + column[4 * b + l]];
      damp(x, factor);
      diffuse(x, n[l], scale[row]);
    }
  }
}

KERNEL thermostat_exact_kernel(NOISE_ARGUMENTS, scalar* p, const double* xi, i64 partitions, const double* h, const double* scale) {
  GRID(i, rows * blocks) {
    const i64 r = i / blocks;
    const scalar factor = damp_factor(h[r], xi[r * partitions]), amplitude = exact_scale(h[r], xi[r * partitions], scalar(scale[r]));
    NOISY_ELEMENTS(i) thermostat_exact(p[row * stride + column[4 * b + l]], n[l], factor, amplitude);
  }
}

KERNEL ornstein_uhlenbeck_kernel(NOISE_ARGUMENTS, scalar* p, const scalar* a, const scalar* root_v) {
  GRID(i, rows * blocks) {
    NOISY_ELEMENTS(i) ornstein_uhlenbeck(p[row * stride + column[4 * b + l]], n[l], a[row], root_v[row]);
  }
}

// ---- rows: a team sums or inspects one ------------------------------------------------------------------------------------------

HD double row_square(Team& team, i64 columns, const scalar* p) {
  double sum = 0;
  for (i64 c = team.member; c < columns; c += TEAM) sum += double(p[c] * p[c]);
  return team.sum(sum);
}

KERNEL square_sum_kernel(i64 rows, i64 columns, i64 stride, const scalar* p, double* out) {
  GRID_ROWS(row, rows) {
    Team team(member, nullptr);
    const double sum = row_square(team, columns, p + row * stride);
    if (member == 0) out[row] = sum;
  }
}

KERNEL regulate_kernel(i64 rows, i64 columns, i64 stride, const scalar* p, double* xi, i64 partitions, const double* rate,
                       const double* target) {
  GRID_ROWS(row, rows) {
    Team team(member, nullptr);
    const double sum = row_square(team, columns, p + row * stride);
    if (member == 0) regulate(xi[row * partitions], sum, rate[row], target[row]);
  }
}

// Rows with anything that is not finite in [rows, columns] and [rows, partitions].
KERNEL suspects_kernel(i64 rows, i64 columns, i64 partitions, const scalar* theta, const scalar* p, const double* xi, bool* out) {
  GRID_ROWS(row, rows) {
    Team team(member, nullptr);
    int bad = 0;
    for (i64 c = member; c < columns; c += TEAM) bad |= !(is_finite(theta[row * columns + c]) && is_finite(p[row * columns + c]));
    for (i64 k = member; k < partitions; k += TEAM) bad |= !(xi[row * partitions + k] - xi[row * partitions + k] == 0);
    bad = team.any_bits(bad);
    if (member == 0) out[row] = bad != 0;
  }
}

// ---- minibatches ----------------------------------------------------------------------------------------------------------------

template <int MODE> HD void choose(const Keys& keys, const Grid& g, u64 ordinal, i64 batch, i64 i, i64* out) {
  word index[1];
  const Chooser<MODE> chooser(keys, g, ordinal, u32(batch));
  chooser.points(u32(i % batch), 1, g, index);
  out[i] = index[0];
}

KERNEL minibatch_kernel(i64 rows, i64 batch, const u32* low, const u32* high, const u32* stream, i64 mode, i64 ordinal, i64 points,
                        i64 grid_a, i64 grid_b, i64 grid_inverse, i64* out) {
  const Grid g = {u32(points), u32(grid_a), u32(grid_b), u32(grid_inverse)};
  GRID(i, rows * batch) {
    Keys keys;
    keys.open(low[i / batch], high[i / batch], stream[i / batch]);
    if (mode == SUBSET) choose<SUBSET>(keys, g, u64(ordinal), batch, i, out);
    if (mode == EPOCH) choose<EPOCH>(keys, g, u64(ordinal), batch, i, out);
    if (mode == REPLACEMENT) choose<REPLACEMENT>(keys, g, u64(ordinal), batch, i, out);
  }
}
