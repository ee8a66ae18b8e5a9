// Several hidden layers, for a team: the sums of deep.h, over a tile of points in the team's memory.
//   z_l = W_l a_{l-1} + b_l, a_l = act(z_l);  D_l = act'(z_l) W_{l+1}^T D_{l+1};  d W_l = sum_t D_l a_{l-1}^T (equations.md section 12)
// Outputs and deltas: a member has one point of the tile, and of each layer every PARTS-th group of four units; weights come from the team's
// positions, where the members of a warp read the same ones. Gradients: a member sums those of the parameters it holds, over all points.
// From emit.py: MOST_POINTS.
#pragma once

static_assert(BY_BLOCK, "several hidden layers, several members");
constexpr int TILE = BATCH > 0 && BATCH < MOST_POINTS ? BATCH : MOST_POINTS;  // points at hand at once
constexpr int PARTS = TEAM / TILE;                               // members to a point
constexpr int PITCH = ((TILE + 3) / 4 | 1) * 4;                  // of a line: an odd number of fours, so that lines start in other banks
static_assert(PARTS > 0, "more points than members");

// A line holds one value for each point: 1, inputs, a_l, D_l (act'(z_l) until then), residuals.
constexpr int ONE = 0, INPUT = 1, VALUE = INPUT + INPUTS, DELTA = VALUE + units_before(LAYERS), RESIDUAL = DELTA + units_before(LAYERS);
constexpr int LINES = RESIDUAL + OUTPUTS;

struct Points {  // one tile of the minibatch
  real row[TILE][ROW];
  real out[TILE][OUTPUTS];  // outputs, then d (mean loss) / d out
  alignas(16) alignas(real) real line[LINES][PITCH];
};

struct Hidden {};

// Neighbouring numbers in one read.
template <int COUNT> struct alignas(COUNT == 4 ? 16 : sizeof(real)) Some {
  real of[COUNT];
  HD static const Some& at(const real* x) { return *reinterpret_cast<const Some*>(x); }
};

struct Part {  // of a tile, for one member
  int point, first;  // its units are first .. first + 3, then 4 PARTS further on
  HD Part(int member, int count) : point(member % TILE), first(4 * (member / TILE)) {
    if (member / TILE >= PARTS || point >= count) first = 1 << 30;  // none
  }
};

template <class L> HD const real* row_of(const Position& q, int j) { return q.all + L::row(j < L::HIDDEN ? j : L::HIDDEN - 1); }

// ---- forward -------------------------------------------------------------------------------------------------------------------

// sum[u] += row[u] . in, whose elements stand STEP apart
template <int LENGTH, int STEP> HD void add_products(const real* const (&row)[4], const real* in, real (&sum)[4]) {
  int k = 0;
  ROLLED for (; k + 4 <= LENGTH; k += 4) {
    Some<4> w[4];
    UNROLL for (int u = 0; u < 4; ++u) w[u] = Some<4>::at(row[u] + k);
    UNROLL for (int c = 0; c < 4; ++c) {
      const real x = in[(k + c) * STEP];
      UNROLL for (int u = 0; u < 4; ++u) sum[u] += w[u].of[c] * x;
    }
  }
  ROLLED for (; k < LENGTH; ++k) {
    UNROLL for (int u = 0; u < 4; ++u) sum[u] += row[u][k] * in[k * STEP];
  }
}

template <class L> HD void forward_units(const Position& q, Points& points, int t, int first) {
  const real* row[4];
  real z[4];
  UNROLL for (int u = 0; u < 4; ++u) {
    row[u] = row_of<L>(q, first + u);
    z[u] = row[u][L::FAN];
  }
  if constexpr (L::INDEX == 0) {
    add_products<L::FAN, 1>(row, points.row[t], z);
  } else {
    add_products<L::FAN, PITCH>(row, points.line[VALUE + units_before(L::INDEX - 1)] + t, z);
  }
  UNROLL for (int u = 0; u < 4; ++u) {
    if (first + u >= L::HIDDEN) continue;
    const int unit = units_before(L::INDEX) + first + u;
    const real value = Activation::value(z[u]);
    points.line[VALUE + unit][t] = value;
    if constexpr (Activation::SLOPE_KEPT) points.line[DELTA + unit][t] = Activation::slope(z[u], value);
  }
}

template <int INDEX> HD void forward_layers(Team& team, const Position& q, Points& points, const Part& mine) {
  using L = Layer<INDEX>;
  ROLLED for (int j = mine.first; j < L::HIDDEN; j += 4 * PARTS) forward_units<L>(q, points, mine.point, j);
  team.sync();
  if constexpr (INDEX + 1 < LAYERS) forward_layers<INDEX + 1>(team, q, points, mine);
}

HD void network_outputs(Team& team, const Position& q, const real* b, Points& points, Hidden&, int count) {
  using Last = Layer<LAYERS - 1>;
  const Part mine(team.member, count);
  forward_layers<0>(team, q, points, mine);
  const real(*value)[PITCH] = points.line + VALUE + units_before(LAYERS - 1);
  UNROLL for (int o = 0; o < OUTPUTS; ++o) {  // b is in registers, which have no index
    if (mine.first != 4 * (o % PARTS)) continue;
    real sum = b[o];
    ROLLED for (int j = 0; j < Last::HIDDEN; ++j) sum += q.all[Last::row(j) + Last::FAN + 1 + o] * value[j][mine.point];
    points.out[mine.point][o] = sum;
  }
  team.sync();
}

// ---- backward ------------------------------------------------------------------------------------------------------------------

template <class L> HD void delta_units(const Position& q, Points& points, int t, int first) {
  real back[4] = {};
  if constexpr (L::INDEX + 1 == LAYERS) {
    const real* row[4];
    UNROLL for (int u = 0; u < 4; ++u) row[u] = row_of<L>(q, first + u) + L::FAN + 1;
    ROLLED for (int o = 0; o < OUTPUTS; ++o) {
      UNROLL for (int u = 0; u < 4; ++u) back[u] += row[u][o] * points.out[t][o];
    }
  } else {
    using Next = Layer<L::INDEX + 1>;
    const real(*delta)[PITCH] = points.line + DELTA + units_before(Next::INDEX);
    ROLLED for (int i = 0; i < Next::HIDDEN; ++i) {
      const Some<4> w = Some<4>::at(q.all + Next::row(i) + first);
      UNROLL for (int u = 0; u < 4; ++u) back[u] += w.of[u] * delta[i][t];
    }
  }
  UNROLL for (int u = 0; u < 4; ++u) {
    if (first + u >= L::HIDDEN) continue;
    const int unit = units_before(L::INDEX) + first + u;
    real& delta = points.line[DELTA + unit][t];
    delta = Activation::from_kept(points.line[VALUE + unit][t], Activation::SLOPE_KEPT ? delta : zero(), back[u]);
  }
}

template <int INDEX> HD void delta_layers(Team& team, const Position& q, Points& points, const Part& mine) {
  using L = Layer<INDEX>;
  ROLLED for (int j = mine.first; j < L::HIDDEN; j += 4 * PARTS) delta_units<L>(q, points, mine.point, j);
  team.sync();
  if constexpr (INDEX > 0) delta_layers<INDEX - 1>(team, q, points, mine);
}

// The line by which delta, or a_l for a weight of an output, is multiplied in the gradient of a unit's parameter.
template <class L> HD int line_of(int column) {
  constexpr int IN = L::INDEX == 0 ? INPUT : VALUE + units_before(L::INDEX > 0 ? L::INDEX - 1 : 0);
  return column < L::FAN ? IN + column : column == L::FAN || column >= L::PARAMETERS ? ONE : RESIDUAL + column - L::FAN - 1;
}

struct Block {  // of gradients: of[c] += sum_t left[c][t] right[c][t]
  const real *left[4], *right[4];
  real of[4];
  template <int COUNT> HD void add(int t) {
    UNROLL for (int c = 0; c < 4; ++c) {
      const Some<COUNT> x = Some<COUNT>::at(left[c] + t), y = Some<COUNT>::at(right[c] + t);
      UNROLL for (int i = 0; i < COUNT; ++i) of[c] += x.of[i] * y.of[i];
    }
  }
};

template <class L> HD void add_block(real* g, int piece, const Points& points, int count) {
  const int unit = units_before(L::INDEX) + L::unit(piece);
  Block block;
  UNROLL for (int c = 0; c < 4; ++c) {
    const int column = L::column(piece, c);
    block.left[c] = points.line[(L::INDEX + 1 == LAYERS && column > L::FAN ? VALUE : DELTA) + unit];
    block.right[c] = points.line[line_of<L>(column)];
    block.of[c] = g[c];
  }
  int t = 0;
  ROLLED for (; t + 4 <= count; t += 4) block.add<4>(t);
  ROLLED for (; t < count; ++t) block.add<1>(t);
  UNROLL for (int c = 0; c < 4; ++c) if (L::column(piece, c) < L::PARAMETERS) g[c] = block.of[c];
}

// Blocks I, I + 1, ... of a member in layer L and after it: by recursion, since a register has no index.
template <class L, int I> HD void add_blocks(const Team& team, real* g, const Points& points, int count) {
  if constexpr (I < L::END) {
    if (L::owns(I, team.member)) add_block<L>(g + L::held(I), fresh(I * TEAM + team.member) - L::FIRST, points, count);
    add_blocks<L, I + 1>(team, g, points, count);
  } else if constexpr (L::INDEX + 1 < LAYERS) {
    using Next = Layer<L::INDEX + 1>;
    add_blocks<Next, Next::BEGIN>(team, g, points, count);
  }
}

// Gradient of the units from points.out = d (mean loss) / d out, added to g.
template <bool FIRST> HD void network_gradients(Team& team, const Position& q, real* g, Points& points, Hidden&, int count) {
  static_assert(!FIRST, "they start at 0");
  ROLLED for (int t = team.member; t < count; t += TEAM) {
    points.line[ONE][t] = scalar(1);
    UNROLL for (int k = 0; k < INPUTS; ++k) points.line[INPUT + k][t] = points.row[t][k];
    UNROLL for (int o = 0; o < OUTPUTS; ++o) points.line[RESIDUAL + o][t] = points.out[t][o];
  }
  delta_layers<LAYERS - 1>(team, q, points, Part(team.member, count));
  add_blocks<Layer<0>, Layer<0>::BEGIN>(team, g, points, count);
}
