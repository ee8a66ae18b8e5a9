// What the batched engine's kernels stand on, and those that are no operation's: sums, freezing, minibatches. Kernels of operations are
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

// Rows whose theta, p [rows, columns] or xi [rows, partitions] is no longer finite get cause and step, and NaN everywhere.
enum { BAD_XI = 1, BAD_P = 2, BAD_THETA = 4 };

KERNEL freeze_kernel(i64 rows, i64 columns, i64 partitions, i64 step, scalar* theta, scalar* p, scalar* g, double* xi, double* energy,
                     i32* status, i64* frozen_step) {
  GRID_ROWS(row, rows) {
    Team team(member, nullptr);
    const i64 first = row * columns, last = first + columns;
    int bad = 0, wild = 0;
    for (i64 c = first + member; c < last; c += TEAM) bad |= (is_finite(theta[c]) ? 0 : BAD_THETA) | (is_finite(p[c]) ? 0 : BAD_P);
    for (i64 k = row * partitions + member; k < (row + 1) * partitions; k += TEAM) bad |= xi[k] - xi[k] == 0 ? 0 : BAD_XI;
    bad = team.any_bits(bad);
    if (!bad || status[row] != 0) continue;
    for (i64 c = first + member; c < last; c += TEAM) wild |= !is_finite(g[c]);
    wild = team.any_bits(wild);  // and all have read the status by then
    for (i64 c = first + member; c < last; c += TEAM) theta[c] = p[c] = g[c] = scalar(not_a_number());
    for (i64 k = row * partitions + member; k < (row + 1) * partitions; k += TEAM) xi[k] = not_a_number();
    if (member == 0) {
      energy[row] = not_a_number();
      status[row] = bad & BAD_XI ? 4 : wild ? 1 : bad & BAD_P ? 2 : 3;  // errors.Status
      frozen_step[row] = step;
    }
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
    if (mode == SYMMETRIC) choose<SYMMETRIC>(keys, g, u64(ordinal), batch, i, out);
    if (mode == REPLACEMENT) choose<REPLACEMENT>(keys, g, u64(ordinal), batch, i, out);
  }
}
