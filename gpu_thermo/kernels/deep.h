// Several hidden layers, for a thread that owns all units: outputs and gradient of a tile of points as small matrix products.
//   z_l = W_l a_{l-1} + b_l, a_l = act(z_l);  D_l = act'(z_l) W_{l+1}^T D_{l+1};  d W_l = sum_t D_l a_{l-1}^T (equations.md section 12)
// Registers hold a block of sums of HIGH x LONG; each vector loaded serves several of them. Activations of the tile stay from forward to
// backward, and slopes where they do not follow from them; deltas of two layers are at hand at once.
// From emit.py: MOST_POINTS.
#pragma once

constexpr int TILE = BATCH > 0 && BATCH < MOST_POINTS ? BATCH : MOST_POINTS;  // points at hand at once: their activations stay in cache
constexpr int HIGH = VECTOR_REGISTERS >= 32 ? 5 : 2, LONG = VECTOR_REGISTERS >= 32 ? 5 : 4;

HD constexpr int widest(int l) { return l == 0 ? 0 : width(l - 1) > widest(l - 1) ? width(l - 1) : widest(l - 1); }

struct Points {  // one tile of the minibatch
  real row[TILE][ROW];
  real out[TILE][OUTPUTS];  // outputs, then d (mean loss) / d out
};

struct Hidden {
  real value[units_before(LAYERS)][TILE], slope[Activation::SLOPE_KEPT ? units_before(LAYERS) : 1][TILE], delta[2][widest(LAYERS)][TILE];
};

// sum[u][t] += sum_k a[u AU + k AK] b[t BT + k BK], k < length
template <int AU, int AK, int BT, int BK, int U, int T> HD void product(const real* a, const real* b, int length, real (&sum)[U][T]) {
  for (int k = 0; k < length; ++k) {
    real x[T];
    UNROLL for (int t = 0; t < T; ++t) x[t] = b[t * BT + k * BK];
    UNROLL for (int u = 0; u < U; ++u) {
      const real w = a[u * AU + k * AK];
      UNROLL for (int t = 0; t < T; ++t) sum[u][t] += w * x[t];
    }
  }
}

// What layer L reads: a_{l-1} of unit k at point t is in[t * AT + k * UNIT].
template <class L> struct From {
  static constexpr int AT = L::INDEX == 0 ? ROW : 1, UNIT = L::INDEX == 0 ? 1 : TILE;
  HD static const real* values(const Points& points, const Hidden& hidden) {
    if constexpr (L::INDEX == 0) return points.row[0];
    else return hidden.value[units_before(L::INDEX - 1)];
  }
};

// ---- forward -------------------------------------------------------------------------------------------------------------------

// z to act(z) in place; `slope` is written where a backward pass follows and needs it.
template <bool GRADIENTS> SLOW void activate(real* value, real* slope, int count) {
  for (int t = 0; t < count; ++t) {
    const real z = value[t], v = Activation::value(z);
    if constexpr (GRADIENTS && Activation::SLOPE_KEPT) slope[t] = Activation::slope(z, v);
    value[t] = v;
  }
}

template <class L, int U, int T> HD void forward_block(const real* q, const real* in, real (*value)[TILE], int t) {
  real z[U][T];
  UNROLL for (int u = 0; u < U; ++u) {
    UNROLL for (int s = 0; s < T; ++s) z[u][s] = q[u * L::PARAMETERS + L::FAN];
  }
  product<L::PARAMETERS, 1, From<L>::AT, From<L>::UNIT>(q, in + t * From<L>::AT, L::FAN, z);
  UNROLL for (int u = 0; u < U; ++u) {
    UNROLL for (int s = 0; s < T; ++s) value[u][t + s] = z[u][s];
  }
}

template <class L, int U, bool GRADIENTS> HD void forward_units(const real* held, const Points& points, Hidden& hidden, int i, int count) {
  const real *q = held + L::held(i), *in = From<L>::values(points, hidden);
  real(*value)[TILE] = hidden.value + units_before(L::INDEX) + i;
  int t = 0;
  for (; t + LONG <= count; t += LONG) forward_block<L, U, LONG>(q, in, value, t);
  for (; t < count; ++t) forward_block<L, U, 1>(q, in, value, t);
  for (int u = 0; u < U; ++u) activate<GRADIENTS>(value[u], hidden.slope[Activation::SLOPE_KEPT ? units_before(L::INDEX) + i + u : 0], count);
}

template <int INDEX, bool GRADIENTS> SLOW void forward_layer(const real* held, const Points& points, Hidden& hidden, int count) {
  using L = Layer<INDEX>;
  int i = 0;
  for (; i + HIGH <= L::HIDDEN; i += HIGH) forward_units<L, HIGH, GRADIENTS>(held, points, hidden, i, count);
  if constexpr (L::HIDDEN % HIGH != 0) forward_units<L, L::HIDDEN % HIGH, GRADIENTS>(held, points, hidden, i, count);
}

using Last = Layer<LAYERS - 1>;

template <int O, int T> HD void output_block(const real* held, const real* b, Points& points, const Hidden& hidden, int o, int t) {
  real sum[O][T];
  UNROLL for (int i = 0; i < O; ++i) {
    UNROLL for (int s = 0; s < T; ++s) sum[i][s] = b[o + i];
  }
  const real* q = held + Last::held(0) + Last::FAN + 1 + o;
  product<1, Last::PARAMETERS, 1, TILE>(q, hidden.value[units_before(LAYERS - 1)] + t, Last::HIDDEN, sum);
  UNROLL for (int i = 0; i < O; ++i) {
    UNROLL for (int s = 0; s < T; ++s) points.out[t + s][o + i] = sum[i][s];
  }
}

template <int O> HD void output_columns(const real* held, const real* b, Points& points, const Hidden& hidden, int o, int count) {
  int t = 0;
  for (; t + LONG <= count; t += LONG) output_block<O, LONG>(held, b, points, hidden, o, t);
  for (; t < count; ++t) output_block<O, 1>(held, b, points, hidden, o, t);
}

template <int INDEX, bool GRADIENTS> HD void forward_layers(const real* held, const Points& points, Hidden& hidden, int count) {
  forward_layer<INDEX, GRADIENTS>(held, points, hidden, count);
  if constexpr (INDEX + 1 < LAYERS) forward_layers<INDEX + 1, GRADIENTS>(held, points, hidden, count);
}

// points.out = outputs of the network with parameters held, b_out.
template <bool GRADIENTS> SLOW void all_outputs(const real* held, const real* b, Points& points, Hidden& hidden, int count) {
  forward_layers<0, GRADIENTS>(held, points, hidden, count);
  int o = 0;
  for (; o + HIGH <= OUTPUTS; o += HIGH) output_columns<HIGH>(held, b, points, hidden, o, count);
  if constexpr (OUTPUTS % HIGH != 0) output_columns<OUTPUTS % HIGH>(held, b, points, hidden, o, count);
}

// ---- backward ------------------------------------------------------------------------------------------------------------------

// Deltas of U units of layer L at T points, from what follows it: d out, or the deltas of the next layer. Their sums over t go to `sum`.
template <class L, int U, int T> HD void delta_block(const real* held, const Points& points, Hidden& hidden, int i, int t, real (&sum)[U]) {
  real back[U][T];
  UNROLL for (int u = 0; u < U; ++u) {
    UNROLL for (int s = 0; s < T; ++s) back[u][s] = zero();
  }
  if constexpr (L::INDEX + 1 == LAYERS) {
    product<L::PARAMETERS, 1, OUTPUTS, 1>(held + L::held(i) + L::FAN + 1, points.out[t], OUTPUTS, back);
  } else {
    using Next = Layer<L::INDEX + 1>;
    product<1, Next::PARAMETERS, 1, TILE>(held + Next::held(0) + i, hidden.delta[Next::INDEX % 2][0] + t, Next::HIDDEN, back);
  }
  UNROLL for (int u = 0; u < U; ++u) {
    const int unit = units_before(L::INDEX) + i + u;
    UNROLL for (int s = 0; s < T; ++s) {
      const real slope = hidden.slope[Activation::SLOPE_KEPT ? unit : 0][t + s];
      const real d = Activation::from_kept(hidden.value[unit][t + s], slope, back[u][s]);
      hidden.delta[L::INDEX % 2][i + u][t + s] = d;
      sum[u] += d;
    }
  }
}

// g[u][column + c] += sum_t a[u][t] b[c BC + t BT] for U rows and C neighbouring columns; set where `first`.
template <int BC, int BT, int STRIDE, int U, int C>
HD void outer_block(real* g, const real (*a)[TILE], const real* b, int count, bool first) {
  real sum[U][C];
  UNROLL for (int u = 0; u < U; ++u) {
    UNROLL for (int c = 0; c < C; ++c) sum[u][c] = first ? zero() : g[u * STRIDE + c];
  }
  product<TILE, 1, BC, BT>(a[0], b, count, sum);
  UNROLL for (int u = 0; u < U; ++u) {
    UNROLL for (int c = 0; c < C; ++c) g[u * STRIDE + c] = sum[u][c];
  }
}

template <int BC, int BT, int STRIDE, int U, int LENGTH> HD void outer(real* g, const real (*a)[TILE], const real* b, int count, bool first) {
  int c = 0;
  for (; c + LONG <= LENGTH; c += LONG) outer_block<BC, BT, STRIDE, U, LONG>(g + c, a, b + c * BC, count, first);
  if constexpr (LENGTH % LONG != 0) outer_block<BC, BT, STRIDE, U, LENGTH % LONG>(g + c, a, b + c * BC, count, first);
}

template <class L, int U> HD void backward_units(const real* held, real* sums, const Points& points, Hidden& hidden, int i, int count, bool first) {
  real *g = sums + L::held(i), sum[U];
  UNROLL for (int u = 0; u < U; ++u) sum[u] = first ? zero() : g[u * L::PARAMETERS + L::FAN];
  int t = 0;
  for (; t + LONG <= count; t += LONG) delta_block<L, U, LONG>(held, points, hidden, i, t, sum);
  for (; t < count; ++t) delta_block<L, U, 1>(held, points, hidden, i, t, sum);
  UNROLL for (int u = 0; u < U; ++u) g[u * L::PARAMETERS + L::FAN] = sum[u];
  const real(*delta)[TILE] = hidden.delta[L::INDEX % 2] + i;
  outer<From<L>::UNIT, From<L>::AT, L::PARAMETERS, U, L::FAN>(g, delta, From<L>::values(points, hidden), count, first);
  if constexpr (L::INDEX + 1 == LAYERS) {
    const real(*value)[TILE] = hidden.value + units_before(L::INDEX) + i;
    outer<1, OUTPUTS, L::PARAMETERS, U, OUTPUTS>(g + L::FAN + 1, value, points.out[0], count, first);
  }
}

template <int INDEX> SLOW void backward_layer(const real* held, real* sums, const Points& points, Hidden& hidden, int count, bool first) {
  using L = Layer<INDEX>;
  int i = 0;
  for (; i + HIGH <= L::HIDDEN; i += HIGH) backward_units<L, HIGH>(held, sums, points, hidden, i, count, first);
  if constexpr (L::HIDDEN % HIGH != 0) backward_units<L, L::HIDDEN % HIGH>(held, sums, points, hidden, i, count, first);
}

template <int INDEX> HD void backward_layers(const real* held, real* sums, const Points& points, Hidden& hidden, int count, bool first) {
  backward_layer<INDEX>(held, sums, points, hidden, count, first);
  if constexpr (INDEX > 0) backward_layers<INDEX - 1>(held, sums, points, hidden, count, first);
}

// Gradient of the units from points.out = d (mean loss) / d out, added to `sums` (FIRST: set).
template <bool FIRST> HD void all_gradients(const real* held, real* sums, const Points& points, Hidden& hidden, int count) {
  backward_layers<LAYERS - 1>(held, sums, points, hidden, count, FIRST);
}

// ---- what step.h calls ---------------------------------------------------------------------------------------------------------

HD void network_outputs(Team&, const real* held, const real* b, Points& points, Hidden& hidden, int count) {
  static_assert(TEAM == 1, "a thread owns all units");
  all_outputs<true>(held, b, points, hidden, count);
}

template <bool FIRST> HD void network_gradients(Team&, const real* held, real* sums, const Points& points, Hidden& hidden, int count) {
  all_gradients<FIRST>(held, sums, points, hidden, count);
}
