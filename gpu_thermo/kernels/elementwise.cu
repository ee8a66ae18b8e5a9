// What the batched engine's kernels stand on, and those that are no operation's: sums, suspects, minibatches. Kernels of operations are
// written by elementwise.py. They walk [rows, columns] views of [R, P] arrays; `stride` is the distance between rows, coefficients are one
// number a row. Compiled as C++ they are plain loops.
#pragma once

// Element i of a view.
#define ELEMENT(i) const i64 row = (i) / columns, at = row * stride + (i) % columns

// Noise: a thread makes the four normals of one Philox block and hands them to the parameters that own its lanes. `block` [blocks] are the
// blocks, `column` [blocks, 4] the column that draws each lane, or -1.

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

// ---- rows: a team sums or inspects one ------------------------------------------------------------------------------------------

KERNEL square_sum_kernel(i64 rows, i64 columns, i64 stride, const scalar* p, double* out) {
  GRID_ROWS(row, rows) {
    Team team(member, nullptr);
    double sum = 0;
    for (i64 c = member, at = row * stride + c; c < columns; c += TEAM, at += TEAM) sum += double(p[at] * p[at]);
    sum = team.sum(sum);
    if (member == 0) out[row] = sum;
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
