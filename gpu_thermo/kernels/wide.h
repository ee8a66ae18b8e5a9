// Units with many weights, or activations worth keeping, on the CPU: the same sums as shlp.h as small matrix products.
// Registers hold a block of sums; each vector loaded serves several of them; hidden values are kept from forward to backward, and
// slopes where they do not follow from the values.
#pragma once

constexpr bool WIDE = TEAM == 1 && !ON_GPU && (PARAMETERS > 8 || Activation::KEPT);

struct Hidden {
  real value[WIDE ? UNITS : 1][TILE], slope_back[2][TILE], slope[WIDE && Activation::SLOPE_KEPT ? UNITS : 1][TILE];
  Signs signs[SIGNS_KEPT ? UNITS : 1];
};

// z[u][t] += sum_k a[u][first + k] b[t stride + k]
template <int U, int T, int LENGTH> HD void dots(const real (*a)[PARAMETERS], int first, const real* b, int stride, real (&z)[U][T]) {
  for (int k = 0; k < LENGTH; ++k) {
    UNROLL for (int t = 0; t < T; ++t) {
      const real x = b[t * stride + k];
      UNROLL for (int u = 0; u < U; ++u) z[u][t] += a[u][first + k] * x;
    }
  }
}

// GRADIENTS: a backward pass follows.
template <int U, int T, bool GRADIENTS> HD void hidden_block(const real (*q)[PARAMETERS], int i, const Points& points, Hidden& hidden, int t) {
  real z[U][T];
  UNROLL for (int u = 0; u < U; ++u) {
    UNROLL for (int s = 0; s < T; ++s) z[u][s] = q[i + u][INPUTS];
  }
  dots<U, T, INPUTS>(q + i, 0, points.row[t], ROW, z);
  UNROLL for (int u = 0; u < U; ++u) {
    UNROLL for (int s = 0; s < T; ++s) {
      const real value = Activation::value(z[u][s]);
      hidden.value[i + u][t + s] = value;
      if constexpr (GRADIENTS && Activation::SLOPE_KEPT) hidden.slope[i + u][t + s] = Activation::slope(z[u][s], value);
    }
  }
}

template <int U, bool GRADIENTS> HD void hidden_units(const real (*q)[PARAMETERS], int i, const Points& points, Hidden& hidden, int count) {
  int t = 0;
  for (; t + 4 <= count; t += 4) hidden_block<U, 4, GRADIENTS>(q, i, points, hidden, t);
  for (; t < count; ++t) hidden_block<U, 1, GRADIENTS>(q, i, points, hidden, t);
}

// out[t][o] = b2[o] + sum_j W2[o][j] hidden[j][t]
template <int O, int T> HD void output_block(const real (*q)[PARAMETERS], const real* b2, Points& points, const Hidden& hidden, int o, int t) {
  real sum[O][T];
  UNROLL for (int i = 0; i < O; ++i) {
    UNROLL for (int s = 0; s < T; ++s) sum[i][s] = b2[o + i];
  }
  for (int j = 0; j < UNITS; ++j) {
    UNROLL for (int i = 0; i < O; ++i) {
      UNROLL for (int s = 0; s < T; ++s) sum[i][s] += q[j][INPUTS + 1 + o + i] * hidden.value[j][t + s];
    }
  }
  UNROLL for (int i = 0; i < O; ++i) {
    UNROLL for (int s = 0; s < T; ++s) points.out[t + s][o + i] = sum[i][s];
  }
}

template <int O> HD void output_columns(const real (*q)[PARAMETERS], const real* b2, Points& points, const Hidden& hidden, int o, int count) {
  int t = 0;
  for (; t + 4 <= count; t += 4) output_block<O, 4>(q, b2, points, hidden, o, t);
  for (; t < count; ++t) output_block<O, 1>(q, b2, points, hidden, o, t);
}

template <bool GRADIENTS> SLOW void wide_outputs(const real (*q)[PARAMETERS], const real* b2, Points& points, Hidden& hidden, int count) {
  int i = 0, o = 0;
  for (; i + 2 <= UNITS; i += 2) hidden_units<2, GRADIENTS>(q, i, points, hidden, count);
  if constexpr (UNITS % 2 != 0) hidden_units<1, GRADIENTS>(q, i, points, hidden, count);
  for (; o + 2 <= OUTPUTS; o += 2) output_columns<2>(q, b2, points, hidden, o, count);
  if constexpr (OUTPUTS % 2 != 0) output_columns<1>(q, b2, points, hidden, o, count);
}

// slope_back[u][t] = act' sum_o r[t][o] W2[o][i + u]; returns its sums over t.
template <int U, int T> HD void back_block(const real (*q)[PARAMETERS], int i, const Points& points, Hidden& hidden, int t, real (&sum)[U]) {
  real back[U][T];
  UNROLL for (int u = 0; u < U; ++u) {
    UNROLL for (int s = 0; s < T; ++s) back[u][s] = zero();
  }
  dots<U, T, OUTPUTS>(q + i, INPUTS + 1, points.out[t], OUTPUTS, back);
  UNROLL for (int u = 0; u < U; ++u) {
    UNROLL for (int s = 0; s < T; ++s) {
      const real slope = hidden.slope[Activation::SLOPE_KEPT ? i + u : 0][t + s];
      const real d = Activation::from_kept(hidden.value[i + u][t + s], slope, back[u][s]);
      hidden.slope_back[u][t + s] = d;
      sum[u] += d;
    }
  }
}

// g[u][column + c] (+)= sum_t d[u][t] b[t][c] for C neighbouring columns.
template <int U, int C, bool FIRST>
HD void outer_block(real (*g)[PARAMETERS], int column, const real (*d)[TILE], const real* b, int stride, int count) {
  real sum[U][C];
  UNROLL for (int u = 0; u < U; ++u) {
    UNROLL for (int c = 0; c < C; ++c) sum[u][c] = FIRST ? zero() : g[u][column + c];
  }
  for (int t = 0; t < count; ++t) {
    UNROLL for (int c = 0; c < C; ++c) {
      const real x = b[t * stride + c];
      UNROLL for (int u = 0; u < U; ++u) sum[u][c] += d[u][t] * x;
    }
  }
  UNROLL for (int u = 0; u < U; ++u) {
    UNROLL for (int c = 0; c < C; ++c) g[u][column + c] = sum[u][c];
  }
}

template <int U, int LENGTH, bool FIRST>
HD void outer(real (*g)[PARAMETERS], int column, const real (*d)[TILE], const real* b, int stride, int count) {
  int c = 0;
  for (; c + 4 <= LENGTH; c += 4) outer_block<U, 4, FIRST>(g, column + c, d, b + c, stride, count);
  if constexpr (LENGTH % 4 != 0) outer_block<U, LENGTH % 4, FIRST>(g, column + c, d, b + c, stride, count);
}

template <int U, bool FIRST>
HD void wide_units(const real (*q)[PARAMETERS], real (*g)[PARAMETERS], int i, const Points& points, Hidden& hidden, int count) {
  real sum[U];
  UNROLL for (int u = 0; u < U; ++u) sum[u] = FIRST ? zero() : g[i + u][INPUTS];
  int t = 0;
  for (; t + 4 <= count; t += 4) back_block<U, 4>(q, i, points, hidden, t, sum);
  for (; t < count; ++t) back_block<U, 1>(q, i, points, hidden, t, sum);
  UNROLL for (int u = 0; u < U; ++u) g[i + u][INPUTS] = sum[u];
  outer<U, INPUTS, FIRST>(g + i, 0, hidden.slope_back, points.row[0], ROW, count);
  outer<U, OUTPUTS, FIRST>(g + i, INPUTS + 1, hidden.value + i, points.out[0], OUTPUTS, count);
}

template <bool FIRST> SLOW void wide_gradients(const real (*q)[PARAMETERS], real (*g)[PARAMETERS], const Points& points, Hidden& hidden, int count) {
  int i = 0;
  for (; i + 2 <= UNITS; i += 2) wide_units<2, FIRST>(q, g, i, points, hidden, count);
  if constexpr (UNITS % 2 != 0) wide_units<1, FIRST>(q, g, i, points, hidden, count);
}

// ---- either way, for a thread that owns all units -------------------------------------------------------------------------------

typedef real Unit[PARAMETERS];

// points.out = outputs of the network with parameters held, b2.
template <bool GRADIENTS> HD void all_outputs(const real* held, const real* b2, Points& points, Hidden& hidden, int count) {
  const Unit* q = reinterpret_cast<const Unit*>(held);
  if constexpr (WIDE) {
    wide_outputs<GRADIENTS>(q, b2, points, hidden, count);
  } else {
    constexpr int U = FORWARD_BLOCK < UNITS ? FORWARD_BLOCK : UNITS;
    forward<U, true>(q, b2, points, hidden.signs, count);
    int i = U;
    for (; i + U <= UNITS; i += U) forward<U, false>(q + i, b2, points, hidden.signs + (SIGNS_KEPT ? i : 0), count);
    if constexpr (UNITS % U != 0) for (; i < UNITS; ++i) forward<1, false>(q + i, b2, points, hidden.signs + (SIGNS_KEPT ? i : 0), count);
  }
}

// Gradient of the units from points.out = d (mean loss) / d out, added to g (FIRST: set).
template <bool FIRST> HD void all_gradients(const real* held, real* sums, const Points& points, Hidden& hidden, int count) {
  const Unit* q = reinterpret_cast<const Unit*>(held);
  Unit* g = reinterpret_cast<Unit*>(sums);
  if constexpr (WIDE) {
    wide_gradients<FIRST>(q, g, points, hidden, count);
  } else {
    constexpr int U = BACKWARD_BLOCK < UNITS ? BACKWARD_BLOCK : UNITS;
    int i = 0;
    for (; i + U <= UNITS; i += U) backward<U, FIRST>(q + i, g + i, points, hidden.signs + (SIGNS_KEPT ? i : 0), count);
    if constexpr (UNITS % U != 0) for (; i < UNITS; ++i) backward<1, FIRST>(q + i, g + i, points, hidden.signs + (SIGNS_KEPT ? i : 0), count);
  }
}

// ---- a team --------------------------------------------------------------------------------------------------------------------

constexpr int ROOM = OUTPUTS <= 1 ? 1 : OUTPUTS <= 2 ? 2 : OUTPUTS <= 4 ? 4 : OUTPUTS <= 8 ? 8 : OUTPUTS <= 16 ? 16 : 32;  // for a point's sums
constexpr int AT_ONCE = GROUP < ROOM ? 1 : GROUP / ROOM;                                                              // points

// A member's share of the outputs at the points start + B, start + B + 1, ...: by recursion, since a register has no index.
template <int B> HD void partial_outputs(const Unit* q, const Points& points, int start, int count, real (&value)[GROUP]) {
  UNROLL for (int o = 0; o < ROOM; ++o) value[B * ROOM + o] = zero();
  if (start + B < count) {
    UNROLL for (int i = 0; i < UNITS; ++i) {
      real z = q[i][INPUTS];
      UNROLL for (int k = 0; k < INPUTS; ++k) z += q[i][k] * points.row[start + B][k];
      z = Activation::value(z);
      UNROLL for (int o = 0; o < OUTPUTS; ++o) value[B * ROOM + o] += q[i][INPUTS + 1 + o] * z;
    }
  }
  if constexpr (B + 1 < AT_ONCE) partial_outputs<B + 1>(q, points, start, count, value);
}

// Partial sums of a few points at a time, one value for each member of a group, then traded so that member i holds the i-th sum.
HD void team_outputs(Team& team, const real* held, const real* b2, Points& points, int count) {
  const Unit* q = reinterpret_cast<const Unit*>(held);
  static_assert(TEAM == 1 || ROOM <= GROUP, "more outputs than a group has members");
  for (int start = 0; start < count; start += AT_ONCE) {
    real value[GROUP];
    partial_outputs<0>(q, points, start, count, value);
    const real sum = team.scatter_sum(value);
    const int b = team.member / ROOM, o = team.member % ROOM;
    if (team.member < GROUP && start + b < count && o < OUTPUTS) points.out[start + b][o] = sum;
  }
  team.sync();
  for (int t = team.member; t < count; t += TEAM) {
    UNROLL for (int o = 0; o < OUTPUTS; ++o) points.out[t][o] += b2[o];
  }
}

// ---- what step.h calls ---------------------------------------------------------------------------------------------------------

HD void network_outputs(Team& team, const real* held, const real* b2, Points& points, Hidden& hidden, int count) {
  if constexpr (TEAM == 1) {
    all_outputs<true>(held, b2, points, hidden, count);
  } else {
    team_outputs(team, held, b2, points, count);
  }
}

template <bool FIRST> HD void network_gradients(Team&, const real* held, real* sums, const Points& points, Hidden& hidden, int count) {
  if constexpr (TEAM == 1) {
    all_gradients<FIRST>(held, sums, points, hidden, count);
  } else {
    backward<UNITS, FIRST>(reinterpret_cast<const Unit*>(held), reinterpret_cast<Unit*>(sums), points, hidden.signs, count);
  }
}
