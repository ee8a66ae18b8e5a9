// Whole segments of steps: the replica of each lane is loaded once, carried through all steps, and stored once.
// The emitter adds the passes of one step and `step`; see emit.py.
#pragma once

struct Arguments {
  scalar *position, *momentum, *gradient, *kept[MOST_KEPT];          // [R, P]; what operations keep, KEPT of them
  double *thermostat, *energy;                                       // [R, K], [R]
  i32* status;                                                       // [R]
  i64* frozen_step;                                                  // [R]
  const u32 *seed_low, *seed_high, *stream;                          // [R]
  const i32 *dataset, *group;                                        // [R]; group: column of the coefficient tables
  const scalar* coefficients;                                        // [T, COEFFICIENTS, groups], T = 1 or steps
  const double* wide_coefficients;                                   // [T, WIDE_COEFFICIENTS, groups]
  const scalar* data;                                                // [sets, N, ROW]
  const double *prior, *own_centre;                                  // [1 or tensors, CONSTANTS]; [OWN]; null without
  const i32* slot;                                                   // [tracks, steps]: where in the ring to record after each step, or -1
  const i32* track;                                                  // [R]; null where all have one
  scalar* ring_position;                                             // [D, R, P]
  double *ring_thermostat, *ring_kinetic, *ring_energy;              // [D, R, K], [D, R, K], [D, R]
  double *contour_log_weight, *contour_shift, *contour_multiplier;   // [R, m], [R], [R]; null without contour, as the next
  u8* contour_seen;                                                  // [R, m]
  i32* contour_visits;                                               // [R, m]
  i64 *contour_clipped, *contour_outside;                            // [R], [R]
  const double* contour_log_omega;                                   // [evaluations of the segment]
  const double* power;                                               // [R], of the likelihood; null where it is 1
  scalar *block_position, *block_momentum, *block_gradient;          // [R, P], start of the proposal; null without braces, as the next
  double *block_energy, *block_work;                                 // [R], [R]
  i64* block_steps;                                                  // [R]
  const i64* block;                                                  // [R]
  double* work_sums;                                                 // [R, 5]; null where work is not counted, as the next
  double *ring_acceptance, *ring_shadow_work, *ring_shadow_work_variance, *ring_proposals;  // [D, R] each
  i64 start, ordinal;                                                // first step; ordinal of its first own gradient
  i64 replicas, groups, steps, scheduled, initial;                   // initial: evaluate once beforehand, ordinal 0
  i64 contour_bins, contour_interacting, contour_published;
  u32 points, grid_a, grid_b, grid_inverse;
  double likelihood[CONSTANTS];                                      // what the functions of network.py read
  double contour_zeta, contour_lowest, contour_width, contour_low, contour_high;
};

struct Coefficients {
  real r[COEFFICIENTS > 0 ? COEFFICIENTS : 1];
  wide w[WIDE_COEFFICIENTS > 0 ? WIDE_COEFFICIENTS : 1];
};

// One parameter as operations see it: theta, p, gradient, and what they keep beside it, such as Adam's moments.
struct Parameter {
  real q, p, g, kept[KEPT > 0 ? KEPT : 1];
  real gain;  // twice what forces add to p.p/2, where that is counted
};

// Sums over the parameters of a partition that operations ask for, such as p.p.
struct Sums {
  wide of[SUMS > 0 ? SUMS : 1];
};

// The replica's state: pieces of this member layer by layer, and the tail, which every member carries alike.
struct Replica {
  Position q;
  real p[HELD], g[HELD], kept[KEPT > 0 ? KEPT : 1][KEPT > 0 ? HELD : 1];
  real tq[TAIL], tp[TAIL], tg[TAIL], tkept[KEPT > 0 ? KEPT : 1][TAIL];
  wide xi[PARTITIONS], energy;
  Sums sum[PARTITIONS];
  Coefficients c;
  real factor[FACTORS > 0 ? FACTORS : 1];
  Keys keys;
  Hidden hidden;
};

struct Shared {
  Points points;
  Exchange exchange;
  Positions<BY_BLOCK>::Home positions;
};

// Partition of parameter c of a unit of layer L; part_w(l), part_b(l), part_tail(t) are the emitter's.
template <class L> HD constexpr int partition_of(int c) { return c < L::FAN ? part_w(L::INDEX) : c == L::FAN ? part_b(L::INDEX) : part_w(LAYERS); }

struct Run {
  const Arguments& a;
  Replica& s;
  Shared& shared;
  Team team;
  i64 first;  // replica of lane 0
  u64 now;    // step
  u64 ordinal;
  bool want_energy, one_dataset;  // one_dataset: the replicas of all lanes see the same
  const scalar* data[LANES];      // of each lane's replica, where there are several
  mask running;
  Proposal proposal;
  double inverse;  // 1 / N

  HD Run(const Arguments& a_, Replica& s_, Shared& shared_, int member)
      : a(a_), s(s_), shared(shared_), team(member, &shared_.exchange), first(0), now(0), ordinal(0), want_energy(false), one_dataset(false), running(), proposal(), inverse(1.0 / a_.points) {
    shared.positions.give(s.q, team.member);
  }

  // A member's piece number i of a layer, by its number in the layer; whether it is the layer's; and whether it has a number c.
  template <class L> HD int piece(int i) const { return BY_BLOCK ? fresh(i * TEAM + team.member) - L::FIRST : i * TEAM + team.member; }
  template <class L> HD bool owns(int i) const { return L::owns(i, team.member); }
  template <class L> HD bool owns(int i, int piece, int c) const { return owns<L>(i) && (!BY_BLOCK || L::column(piece, c) < L::PARAMETERS); }
  HD i64 replica(int l) const { return first + l < a.replicas ? first + l : a.replicas - 1; }  // padding lanes double the last one
  HD int batch() const { return BATCH > 0 ? BATCH : int(a.points); }  // points of one evaluation
  HD double share() const {
    if constexpr (BATCH > 0) return 1.0 / BATCH;
    else return inverse;
  }
  HD Grid grid() const { return {a.points, a.grid_a, a.grid_b, a.grid_inverse}; }

  // -- operations ----------------------------------------------------------------------------------------------------------------

  // One pass over the parameters: noise, then the pass's operations on each, the sums that end it, and what comes of them.
  template <class Pass> HD void visit() {
    Pass::factors(s.c, s.xi, s.sum, s.factor);
    Address at[Pass::SLOTS > 0 ? Pass::SLOTS : 1];
    UNROLL for (int i = 0; i < Pass::SLOTS; ++i) at[i] = address(s.keys, PURPOSE_STEP, now, Pass::sub(i));
    UNROLL for (int k = 0; k < PARTITIONS; ++k) {
      if (!Pass::sums(k)) continue;
      UNROLL for (int j = 0; j < SUMS; ++j) s.sum[k].of[j] = splat_wide(0);
    }
    visit_layers<Pass, 0>(at);
    UNROLL for (int k = 0; k < PARTITIONS; ++k) {
      if (!Pass::sums(k)) continue;
      UNROLL for (int j = 0; j < SUMS; ++j) s.sum[k].of[j] = team.sum(s.sum[k].of[j]);
    }
    visit_tail<Pass, 0>(at);
    if constexpr (WORK && Pass::TURNS) proposal.alike += s.c.w[HEAT] * Pass::turned(s.c, s.sum);
    Pass::settle(s.c, s.sum, s.xi);
  }

  template <class Pass, int L> HD void visit_layers(const Address* at) {
    visit_layer<Pass, Layer<L>>(at);
    if constexpr (L + 1 < LAYERS) visit_layers<Pass, L + 1>(at);
  }

  template <class Pass, class L> HD void visit_layer(const Address* at) {
    if constexpr (TEAM == 1) {
      constexpr bool STREAMED = LANES > 1 && LAYERS == 1 && Pass::SLOTS == 1 && L::END >= 3 * DRAW_BLOCK;
      int i = 0;
      if constexpr (STREAMED) i = visit_streamed<Pass, L>(at[0]);
      else for (; i + DRAW_BLOCK <= L::END; i += DRAW_BLOCK) visit_units<Pass, L, DRAW_BLOCK>(i, at);
      if constexpr (L::END % DRAW_BLOCK != 0) for (; i < L::END; ++i) visit_units<Pass, L, 1>(i, at);
    } else if constexpr (BY_BLOCK) {
      visit_blocks<Pass, L, L::BEGIN>(at);
    } else {
      ON_PIECES(i, L) if (owns<L>(i)) visit_units<Pass, L, 1>(i, at);
    }
  }

  // Units by DRAW_BLOCK with their noise from a stream, whose last words nobody needs; returns how many.
  template <class Pass, class L> HD int visit_streamed(const Address& at) {
    Stream<DRAW_BLOCK> stream;
    u32 block[DRAW_BLOCK];
    blocks_of<L>(0, 0, block);
    stream.begin(at, block);
    int i = 0;
    for (; i + DRAW_BLOCK <= L::END; i += DRAW_BLOCK) {
      real noise[DRAW_BLOCK][1][L::BLOCKS * 4], n[DRAW_BLOCK][4];
      for (int b = 0; b < L::BLOCKS; ++b) {
        const bool last = b + 1 == L::BLOCKS;
        blocks_of<L>(last ? i + DRAW_BLOCK : i, last ? 0 : b + 1, block);
        stream.next(at, block, n);
        UNROLL for (int u = 0; u < DRAW_BLOCK; ++u) {
          UNROLL for (int l = 0; l < 4; ++l) noise[u][0][4 * b + l] = n[u][l];
        }
      }
      operate<Pass, L>(i, noise);
    }
    return i;
  }

  template <class Pass, class L, int U> HD void visit_units(int i, const Address* at) {
    real noise[U][Pass::SLOTS > 0 ? Pass::SLOTS : 1][L::BLOCKS * 4];
    UNROLL for (int k = 0; k < Pass::SLOTS; ++k) {
      if constexpr (TEAM > 1 || (LAYERS == 1 && L::BLOCKS <= 5)) {
        UNROLL for (int b = 0; b < L::BLOCKS; ++b) draw<L>(i, b, k, at[k], noise);
      } else {
        for (int b = 0; b < L::BLOCKS; ++b) draw<L>(i, b, k, at[k], noise);
      }
    }
    operate<Pass, L>(i, noise);
  }

  // Operations on U units, and the sums over what they leave.
  template <class Pass, class L, int U, int SLOTS> HD void operate(int i, const real (&noise)[U][SLOTS][L::BLOCKS * 4]) {
    UNROLL for (int u = 0; u < U; ++u) {
      real gain = zero();
      UNROLL_SOME for (int c = 0; c < L::FAN; ++c) apply<Pass, part_w(L::INDEX)>(L::held(i + u), c, noise[u], gain);
      apply<Pass, part_b(L::INDEX)>(L::held(i + u), L::FAN, noise[u], gain);
      UNROLL_SOME for (int c = L::FAN + 1; c < L::PARAMETERS; ++c) apply<Pass, part_w(LAYERS)>(L::held(i + u), c, noise[u], gain);
      if constexpr (WORK && Pass::KICKS) proposal.own += widen(gain * scalar(0.5));
      sum_unit<Pass, L>(L::held(i + u));
    }
  }

  // Block b of each of the units i, i + 1, ...
  template <class L, int U> HD void blocks_of(int i, int b, u32 (&block)[U]) const {
    UNROLL for (int u = 0; u < U; ++u) block[u] = u32(L::FIRST_BLOCK + piece<L>(i + u) * L::BLOCKS + b);
  }

  // Block b of the units i, i + 1, ... for noise slot k.
  template <class L, int U, int SLOTS> HD void draw(int i, int b, int k, const Address& at, real (&noise)[U][SLOTS][L::BLOCKS * 4]) const {
    u32 block[U];
    real n[U][4];
    blocks_of<L>(i, b, block);
    if constexpr (LAYERS == 1 || TEAM > 1) {
      normals(at, block, n);
    } else {
      normals_called(at, block, n);
    }
    UNROLL for (int u = 0; u < U; ++u) {
      UNROLL for (int l = 0; l < 4; ++l) noise[u][k][4 * b + l] = n[u][l];
    }
  }

  template <class Pass, class L, int I> HD void visit_blocks(const Address* at) {  // a register has no index
    if constexpr (I < L::END) {
      if (owns<L>(I)) visit_block<Pass, L>(I, at);
      visit_blocks<Pass, L, I + 1>(at);
    }
  }

  // A block that is the member's own: whatever of its unit the four are.
  template <class Pass, class L> HD void visit_block(int i, const Address* at) {
    const int piece = this->template piece<L>(i);
    const u32 block[1] = {u32(L::FIRST_BLOCK + piece)};
    real noise[Pass::SLOTS > 0 ? Pass::SLOTS : 1][4];
    UNROLL for (int k = 0; k < Pass::SLOTS; ++k) {
      real n[1][4];
      normals(at[k], block, n);
      UNROLL for (int c = 0; c < 4; ++c) noise[k][c] = n[0][c];
    }
    constexpr int W = part_w(L::INDEX), B = part_b(L::INDEX), OUT = L::INDEX + 1 == LAYERS ? part_w(LAYERS) : B;
    real gain = zero();
    UNROLL for (int c = 0; c < 4; ++c) {
      const int of_unit = L::column(piece, c);
      if constexpr (W == B && B == OUT) {
        if (of_unit < L::PARAMETERS) apply<Pass, B>(L::held(i), c, noise, gain);
      } else if (of_unit < L::FAN) {
        apply<Pass, W>(L::held(i), c, noise, gain);
      } else if (of_unit == L::FAN) {
        apply<Pass, B>(L::held(i), c, noise, gain);
      } else if (of_unit < L::PARAMETERS) {
        apply<Pass, OUT>(L::held(i), c, noise, gain);
      }
    }
    if constexpr (WORK && Pass::KICKS) proposal.own += widen(gain * scalar(0.5));
    UNROLL for (int k = 0; k < PARTITIONS; ++k) {
      if (!Pass::sums(k)) continue;
      real part[SUMS > 0 ? SUMS : 1] = {};
      UNROLL for (int c = 0; c < 4; ++c) {
        if (partition_of<L>(L::column(piece, c)) == k) Pass::add(k, s.p[L::held(i) + c], s.g[L::held(i) + c], part);
      }
      add_parts(k, part);
    }
  }

  // Operations on parameter c of the piece whose parameters start at `piece`, with noise number c.
  template <class Pass, int K, int LANES_OF_PIECE> HD void apply(int piece, int c, const real (*noise)[LANES_OF_PIECE], real& gain) {
    if constexpr (!Pass::moves(K)) return;
    const int i = piece + c;
    real n[Pass::SLOTS > 0 ? Pass::SLOTS : 1];
    UNROLL for (int k = 0; k < Pass::SLOTS; ++k) n[k] = noise[k][c];
    Parameter x = {s.q[i], s.p[i], s.g[i], {}, zero()};
    UNROLL for (int e = 0; e < KEPT; ++e) x.kept[e] = s.kept[e][i];
    Pass::template apply<K>(x, n, s.c, s.factor);
    if constexpr (WORK && Pass::KICKS) gain += x.gain;
    s.q[i] = x.q;
    s.p[i] = x.p;
    UNROLL for (int e = 0; e < KEPT; ++e) s.kept[e][i] = x.kept[e];
  }

  // Products of the unit whose parameters start at `unit`, four at a time in real, then in double.
  template <class Pass, class L> HD void sum_unit(int unit) {
    UNROLL for (int k = 0; k < PARTITIONS; ++k) {
      if (!Pass::sums(k)) continue;
      real part[SUMS > 0 ? SUMS : 1] = {};
      UNROLL for (int c = 0; c < L::PARAMETERS; ++c) {
        if (partition_of<L>(c) == k) Pass::add(k, s.p[unit + c], s.g[unit + c], part);
        if (c % 4 == 3 || c + 1 == L::PARAMETERS) add_parts(k, part);
      }
    }
  }

  HD void add_parts(int k, real* part) {
    UNROLL for (int j = 0; j < SUMS; ++j) {
      s.sum[k].of[j] += widen(part[j]);
      part[j] = zero();
    }
  }

  template <class Pass, int T> HD void visit_tail(const Address* at) {
    constexpr int K = part_tail(T), FIRST = tail_before(T), COUNT = tail_size(T), BEGIN = FIRST / 4, END = (FIRST + COUNT + 3) / 4;
    if constexpr (Pass::moves(K)) {
      real noise[Pass::SLOTS > 0 ? Pass::SLOTS : 1][(END - BEGIN) * 4];
      UNROLL for (int k = 0; k < Pass::SLOTS; ++k) {
        UNROLL for (int b = BEGIN; b < END; ++b) {
          if (Pass::draws(K, k)) normals_apart(at[k], u32(TAIL_BLOCK + b), noise[k] + 4 * (b - BEGIN));
        }
      }
      UNROLL for (int i = FIRST; i < FIRST + COUNT; ++i) {
        real n[Pass::SLOTS > 0 ? Pass::SLOTS : 1];
        UNROLL for (int k = 0; k < Pass::SLOTS; ++k) n[k] = noise[k][i - 4 * BEGIN];
        Parameter x = {s.tq[i], s.tp[i], s.tg[i], {}, zero()};
        UNROLL for (int e = 0; e < KEPT; ++e) x.kept[e] = s.tkept[e][i];
        Pass::template apply<K>(x, n, s.c, s.factor);
        if constexpr (WORK && Pass::KICKS) proposal.alike += widen(x.gain * scalar(0.5));
        s.tq[i] = x.q;
        s.tp[i] = x.p;
        UNROLL for (int e = 0; e < KEPT; ++e) s.tkept[e][i] = x.kept[e];
      }
    }
    if constexpr (Pass::sums(K)) {
      UNROLL for (int i = FIRST; i < FIRST + COUNT; ++i) {
        real part[SUMS > 0 ? SUMS : 1] = {};
        Pass::add(K, s.tp[i], s.tg[i], part);
        add_parts(K, part);
      }
    }
    if constexpr (T + 1 < TAILS) visit_tail<Pass, T + 1>(at);
  }

  // -- energy and gradient -------------------------------------------------------------------------------------------------------

  SLOW void evaluate() {
    const Chooser<MODE> chooser(s.keys, grid(), ordinal, BATCH);
    wide loss = splat_wide(0);
    if constexpr (BY_BLOCK) {  // one text for all tiles: it is long
      const int points = batch();
      ON_HELD(i) s.g[i] = zero();
      UNROLL for (int i = 0; i < TAIL; ++i) s.tg[i] = zero();
      ROLLED for (int start = 0; start < points; start += TILE) tile<false>(chooser, start, points - start < TILE ? points - start : TILE, loss);
    } else if constexpr (BATCH > 0 && BATCH <= TILE) {
      tile<true>(chooser, 0, BATCH, loss);
    } else {
      const int points = batch();
      tile<true>(chooser, 0, points < TILE ? points : TILE, loss);
      for (int start = TILE; start < points; start += TILE) tile<false>(chooser, start, points - start < TILE ? points - start : TILE, loss);
    }
    if (want_energy) s.energy = team.sum(loss) * splat_wide(share());
    if constexpr (POWER) temper();
    add_all_priors<true>();
    if constexpr (CONTOUR) scale_gradient();
    if constexpr (SCALED) weigh_gradient();
    ++ordinal;
  }

  // U alone, on all points; the gradient stays as it is.
  SLOW void evaluate_energy() {
    const Chooser<MODE> chooser(s.keys, grid(), 0, BATCH);
    Points& points = shared.points;
    wide loss = splat_wide(0);
    for (int start = 0; start < batch(); start += TILE) {
      const int count = batch() - start < TILE ? batch() - start : TILE;
      team.sync();
      fetch(chooser, start, count);
      team.sync();
      network_outputs(team, s.q, s.tq, points, s.hidden, count);
      Noise noise;
      noise.prepare(s.tq + OWN_ROW);
      for (int t = team.member; t < count; t += TEAM) {
        const real* y = points.row[t] + INPUTS;
        const real of_point = Likelihood::loss(points.out[t], y, a.likelihood, noise.of);
        loss += widen(WEIGHTED ? of_point * y[TARGETS] : of_point);
      }
      team.sync();
    }
    want_energy = true;
    s.energy = team.sum(loss) * splat_wide(share());
    add_all_priors<false>();
  }

  template <bool SLOPES> HD void add_all_priors() {
    if constexpr (PRIOR && !PRIOR_BY_TENSOR) add_prior<Prior, SLOPES>();
    if constexpr (PRIOR && PRIOR_BY_TENSOR) add_priors<Prior, SLOPES>();
    if constexpr (OWN > 0) add_own_prior<SLOPES>();
  }

  template <bool FIRST> HD void tile(const Chooser<MODE>& chooser, int start, int count, wide& loss) {
    Points& points = shared.points;
    team.sync();  // the last tile has been read
    fetch(chooser, start, count);
    team.sync();
    network_outputs(team, s.q, s.tq, points, s.hidden, count);
    Noise noise;
    real back[OWN > 0 ? OWN : 1] = {};
    noise.prepare(s.tq + OWN_ROW);
    for (int t = team.member; t < count; t += TEAM) {
      const real* y = points.row[t] + INPUTS;
      if constexpr (WEIGHTED) {
        weigh(points.out[t], y, y[TARGETS], noise, loss, back);
      } else {
        if (want_energy) loss += widen(Likelihood::loss(points.out[t], y, a.likelihood, noise.of));
        Likelihood::residual(points.out[t], y, a.likelihood, scalar(share()), noise.of, back);
      }
    }
    team.sync();
    gradients<FIRST>(count);
    UNROLL for (int k = 0; k < OWN; ++k) {
      const real sum = TEAM > 1 ? narrow(team.sum(widen(back[k]))) : back[k];
      s.tg[OWN_ROW + k] = FIRST ? sum : s.tg[OWN_ROW + k] + sum;
    }
  }

  // Loss and residual of one point, times its weight.
  HD void weigh(real* out, const real* y, real weight, const Noise& noise, wide& loss, real* back) {
    real own[OWN > 0 ? OWN : 1] = {};
    if (want_energy) loss += widen(Likelihood::loss(out, y, a.likelihood, noise.of) * weight);
    Likelihood::residual(out, y, a.likelihood, scalar(share()), noise.of, own);
    UNROLL for (int o = 0; o < OUTPUTS; ++o) out[o] *= weight;
    UNROLL for (int k = 0; k < OWN; ++k) back[k] += own[k] * weight;
  }

  // The points of a tile, each by the member that its number falls to.
  HD void fetch(const Chooser<MODE>& chooser, int start, int count) {
    constexpr int COUNT = TEAM > 1 ? 1 : 4;
    int t = team.member;
    for (; t + (COUNT - 1) * TEAM < count; t += COUNT * TEAM) fetch_some<COUNT>(chooser, start, t);
    if constexpr (COUNT > 1) for (; t < count; t += TEAM) fetch_some<1>(chooser, start, t);
  }

  template <int COUNT> HD void fetch_some(const Chooser<MODE>& chooser, int start, int t) {
    word index[COUNT];
    chooser.points(u32(start + t), TEAM, grid(), index);
    UNROLL for (int i = 0; i < COUNT; ++i) {
      if constexpr (MODE == FULL && TEAM == 1) {
        if (one_dataset) {
          const scalar* row = a.data + (i64(a.dataset[first]) * a.points + start + t + i) * ROW;
          UNROLL_SOME for (int c = 0; c < ROW; ++c) shared.points.row[t + i][c] = splat(row[c]);
          continue;
        }
      }
      const scalar* row[LANES];
      if constexpr (LANES == 1) {
        row[0] = a.data + (i64(a.dataset[replica(0)]) * a.points + get(index[i], 0)) * ROW;
        UNROLL_SOME for (int c = 0; c < ROW; ++c) set(shared.points.row[t + i * TEAM][c], 0, row[0][c]);
      } else {
        alignas(64) u32 at[LANES];
        spill(index[i], at);
        UNROLL for (int l = 0; l < LANES; ++l) row[l] = data[l] + i64(at[l]) * ROW;
        gather(row, shared.points.row[t + i * TEAM]);
      }
    }
  }

  // One point of each lane's own, its rows by column; what is read ends three numbers behind a row at most.
  HD void gather(const scalar* (&row)[LANES], real* point) {
    UNROLL_SOME for (int c = 0; c < ROW; c += 4) {
      real column[4];
      load_columns(row, column);
      UNROLL for (int i = 0; i < 4; ++i) if (c + i < ROW) point[c + i] = column[i];
      UNROLL for (int l = 0; l < LANES; ++l) row[l] += 4;
    }
  }

  template <bool FIRST> HD void gradients(int count) {
    Points& points = shared.points;
    network_gradients<FIRST>(team, s.q, s.g, points, s.hidden, count);
    UNROLL for (int o = 0; o < OUTPUTS; ++o) {
      real sum = FIRST ? zero() : s.tg[o];
      for (int t = 0; t < count; ++t) sum += points.out[t][o];
      s.tg[o] = sum;
    }
  }

  // U += factor sum of the prior's terms
  template <class Law, bool SLOPES> HD void add_prior() {
    double constant[CONSTANTS];
    UNROLL for (int i = 0; i < CONSTANTS; ++i) constant[i] = a.prior[i];
    wide sum = splat_wide(0), tail = splat_wide(0);
    ON_HELD(i) {
      if constexpr (SLOPES) s.g[i] += Law::slope(s.q[i], constant);
      if (want_energy) sum += widen(Law::term(s.q[i], constant));
    }
    UNROLL for (int i = 0; i < OWN_ROW; ++i) {
      if constexpr (SLOPES) s.tg[i] += Law::slope(s.tq[i], constant);
      tail += widen(Law::term(s.tq[i], constant));
    }
    if (want_energy) s.energy += (team.sum(sum) + tail) * splat_wide(constant[Law::FACTOR]);
  }

  // The same where tensors have scales of their own: constants [tensors, CONSTANTS], in the order of State.position.
  template <class Law, bool SLOPES> HD void add_priors() {
    wide sum = splat_wide(0), tail = splat_wide(0);
    add_prior_of_layer<Law, 0, SLOPES>(sum);
    const double* constant = a.prior + (2 * LAYERS + 1) * CONSTANTS;
    UNROLL for (int i = 0; i < OWN_ROW; ++i) {
      if constexpr (SLOPES) s.tg[i] += Law::slope(s.tq[i], constant);
      tail += widen(Law::term(s.tq[i], constant)) * splat_wide(constant[Law::FACTOR]);
    }
    if (want_energy) s.energy += team.sum(sum) + tail;
  }

  template <class Law, int L, bool SLOPES> HD void add_prior_of_layer(wide& sum) {
    using Of = Layer<L>;
    add_prior_of<Law, Of, SLOPES>(0, Of::FAN, 2 * L, sum);
    add_prior_of<Law, Of, SLOPES>(Of::FAN, Of::FAN + 1, 2 * L + 1, sum);
    if constexpr (L + 1 == LAYERS) {
      add_prior_of<Law, Of, SLOPES>(Of::FAN + 1, Of::PARAMETERS, 2 * LAYERS, sum);
    } else {
      add_prior_of_layer<Law, L + 1, SLOPES>(sum);
    }
  }

  // Parameters begin .. end - 1 of each unit of a layer, which are of one tensor.
  template <class Law, class Of, bool SLOPES> HD void add_prior_of(int begin, int end, int tensor, wide& sum) {
    double constant[CONSTANTS];
    UNROLL for (int i = 0; i < CONSTANTS; ++i) constant[i] = a.prior[tensor * CONSTANTS + i];
    wide terms = splat_wide(0);
    ON_PIECES(u, Of) {
      const int piece = this->template piece<Of>(u);
      UNROLL_SOME for (int c = BY_BLOCK ? 0 : begin; c < (BY_BLOCK ? Of::PIECE : end); ++c) {
        if (BY_BLOCK && (!owns<Of>(u) || Of::column(piece, c) < begin || Of::column(piece, c) >= end)) continue;
        const int i = Of::held(u) + c;
        if constexpr (SLOPES) s.g[i] += Law::slope(s.q[i], constant);
        if (want_energy) terms += widen(Law::term(s.q[i], constant));
      }
    }
    sum += terms * splat_wide(constant[Law::FACTOR]);
  }

  // eta ~ N(centre, 1)
  template <bool SLOPES> HD void add_own_prior() {
    const double share = 1.0 / a.points;
    wide sum = splat_wide(0);
    UNROLL for (int k = 0; k < OWN; ++k) {
      const real gap = s.tq[OWN_ROW + k] - scalar(a.own_centre[k]);
      if constexpr (SLOPES) s.tg[OWN_ROW + k] += gap * scalar(share);
      sum += widen(gap * gap);
    }
    if (want_energy) s.energy += sum * splat_wide(share / 2);
  }

  // The likelihood to the replica's power: what is there before the priors' parts are added.
  HD void temper() {
    wide power = splat_wide(1);
    for (int l = 0; l < LANES; ++l) set_wide(power, l, a.power[replica(l)]);
    const real of_slopes = narrow(power);
    ON_HELD(i) s.g[i] *= of_slopes;
    UNROLL for (int i = 0; i < TAIL; ++i) s.tg[i] *= of_slopes;
    if (want_energy) s.energy = s.energy * power;
  }

  // The gradient by masses m: times m^(-1/2), which stands behind what operations keep.
  HD void weigh_gradient() {
    constexpr int SCALE = KEPT > 0 ? KEPT - 1 : 0;
    ON_HELD(i) s.g[i] *= s.kept[SCALE][i];
    UNROLL for (int i = 0; i < TAIL; ++i) s.tg[i] *= s.tkept[SCALE][i];
  }

  // -- contour -------------------------------------------------------------------------------------------------------------------

  // Member 0 updates the histogram, and the team scales the gradient by what comes of it.
  SLOW void scale_gradient() {
    wide multiplier = splat_wide(TEAM > 1 && team.member ? 0 : 1);
    if (team.member == 0) {
      const double log_omega = a.contour_log_omega[i64(ordinal) - (a.ordinal - a.initial)];
      const Contour c = contour();
      Visit v = {};
      for (int l = 0; l < LANES; ++l) {
        if (visits(l)) look(c, histogram(first + l), l, get_wide(s.energy, l), get_wide(s.c.w[TAU], l), log_omega, v);
      }
      const bool learning = log_omega > -1e300;  // -inf once all is learned
      if (learning) move(v);
      for (int l = 0; l < LANES; ++l) {
        if (!visits(l)) continue;
        if (learning) learn(histogram(first + l), l, v);
        count(histogram(first + l), l, v);
        set_wide(multiplier, l, v.multiplier[l]);
      }
    }
    const real scale = narrow(team.sum(multiplier));
    ON_HELD(i) s.g[i] *= scale;
    UNROLL for (int i = 0; i < TAIL; ++i) s.tg[i] *= scale;
  }

  HD bool visits(int l) const { return first + l < a.replicas && get(running, l) && get_wide(s.energy, l) == get_wide(s.energy, l); }

  HD Contour contour() const {
    return {a.contour_zeta, a.contour_lowest, a.contour_width, a.contour_low, a.contour_high, a.contour_bins,
            a.contour_interacting != 0, a.contour_published != 0};
  }

  HD Histogram histogram(i64 r) const {
    const i64 at = r * a.contour_bins;
    return {a.contour_log_weight + at, a.contour_shift + r, a.contour_multiplier + r, a.contour_seen + at,
            a.contour_visits + at, a.contour_clipped + r, a.contour_outside + r};
  }

  // -- freezing ------------------------------------------------------------------------------------------------------------------

  // 0 x is NaN for any x that is not finite: one product a value watches them all.
  HD void check() {
    real watch = zero();
    ON_HELD(i) watch += (s.p[i] + s.q[i]) * scalar(0);
    UNROLL for (int i = 0; i < TAIL; ++i) watch += (s.tp[i] + s.tq[i]) * scalar(0);
    UNROLL for (int k = 0; k < PARTITIONS; ++k) watch += narrow(s.xi[k] * splat_wide(0));
    const mask suspect = mask((watch != watch) & running);
    if constexpr (TEAM == 1) {
      if (any(suspect)) freeze();
    } else {
      if (team.any_bits(any(suspect))) freeze();
    }
  }

  SLOW void freeze() {
    for (int l = 0; l < LANES; ++l) {
      if (!get(running, l)) continue;
      if (BRACES && of_lane(proposal.done, l) > 0) continue;  // it is rejected
      const int bad = team.any_bits(causes(l));
      if (!(bad & ~CAUSE_GRADIENT)) continue;
      const int cause = bad & CAUSE_THERMOSTAT ? 4 : bad & CAUSE_GRADIENT ? 1 : bad & CAUSE_MOMENTUM ? 2 : 3;  // errors.Status
      erase(l);
      if (team.member == 0 && first + l < a.replicas) {
        a.status[first + l] = cause;
        a.frozen_step[first + l] = i64(now) + 1;
      }
    }
  }

  enum { CAUSE_THERMOSTAT = 1, CAUSE_GRADIENT = 2, CAUSE_MOMENTUM = 4, CAUSE_POSITION = 8 };

  HD static bool finite(double x) { return x - x == 0; }

  SLOW int causes(int l) const {
    int bad = 0;
    for (int k = 0; k < PARTITIONS; ++k) bad |= finite(get_wide(s.xi[k], l)) ? 0 : CAUSE_THERMOSTAT;
    ON_HELD(i) bad |= causes_of(s.q[i], s.p[i], s.g[i], l);
    UNROLL for (int i = 0; i < TAIL; ++i) bad |= causes_of(s.tq[i], s.tp[i], s.tg[i], l);
    return bad;
  }

  HD static int causes_of(const real& q, const real& p, const real& g, int l) {
    return (finite(get(q, l)) ? 0 : CAUSE_POSITION) | (finite(get(p, l)) ? 0 : CAUSE_MOMENTUM) | (finite(get(g, l)) ? 0 : CAUSE_GRADIENT);
  }

  // A frozen replica is NaN from here on, and its lane goes on computing NaN.
  SLOW void erase(int l) {
    const scalar nan = scalar(not_a_number());
    set_mask(running, l, false);
    ON_HELD(i) {
      set(s.q[i], l, nan);
      set(s.p[i], l, nan);
      set(s.g[i], l, nan);
      UNROLL for (int e = 0; e < KEPT; ++e) set(s.kept[e][i], l, nan);
    }
    UNROLL for (int i = 0; i < TAIL; ++i) {
      set(s.tq[i], l, nan);
      set(s.tp[i], l, nan);
      set(s.tg[i], l, nan);
      UNROLL for (int e = 0; e < KEPT; ++e) set(s.tkept[e][i], l, nan);
    }
    for (int k = 0; k < PARTITIONS; ++k) set_wide(s.xi[k], l, double(nan));
    set_wide(s.energy, l, double(nan));
  }

  // -- in and out ----------------------------------------------------------------------------------------------------------------

  template <class To> SLOW void load_row(const scalar* from, To& held, real* tail) {
    if constexpr (BY_BLOCK) ON_HELD(i) held[i] = zero();  // what is no parameter stays so
    if constexpr (TEAM == 1 && BY_FOURS) {
      const scalar* row[LANES];
      UNROLL for (int l = 0; l < LANES; ++l) row[l] = from + replica(l) * SIZE;
      on_tensors<0>([&](int at, int count, auto where) { load_tensor(row, at, count, held, where); });
    } else {
      load_layers<0>(from, held);
    }
    UNROLL for (int i = 0; i < TAIL; ++i) {
      for (int l = 0; l < LANES; ++l) set(tail[i], l, from[replica(l) * SIZE + TAIL_ROW + i]);
    }
  }

  template <int L, class To> HD void load_layers(const scalar* from, To& held) {
    using Of = Layer<L>;
    ON_PIECES(i, Of) {
      const int piece = this->template piece<Of>(i), unit = Of::unit(piece);
      UNROLL_SOME for (int c = 0; c < Of::PIECE; ++c) {
        const int at = Of::at(unit, Of::column(piece, c));
        for (int l = 0; l < LANES; ++l) {
          const bool owned = owns<Of>(i, piece, c);
          if (owned || !BY_BLOCK) set(held[Of::held(i) + c], l, owned ? from[replica(l) * SIZE + at] : scalar(0));
        }
      }
    }
    if constexpr (L + 1 < LAYERS) load_layers<L + 1>(from, held);
  }

  // The numbers of a tensor from `at` on in the rows of all lanes, by fours, and those that are left over; number k is where(k) of `held`.
  template <class To, class Where> HD static void load_tensor(const scalar* const (&row)[LANES], int at, int count, To& held, Where where) {
    const scalar* place[LANES];
    UNROLL for (int l = 0; l < LANES; ++l) place[l] = row[l] + at;
    int k = 0;
    for (; k + 4 <= count; k += 4) {
      real column[4];
      load_columns(place, column);
      UNROLL for (int c = 0; c < 4; ++c) held[where(k + c)] = column[c];
      UNROLL for (int l = 0; l < LANES; ++l) place[l] += 4;
    }
    for (; k < count; ++k) {
      for (int l = 0; l < LANES; ++l) set(held[where(k)], l, *place[l]++);
    }
  }

  template <class From, class Where> HD static void store_tensor(scalar* const (&row)[LANES], int at, int count, const From& held, Where where) {
    scalar* place[LANES];
    UNROLL for (int l = 0; l < LANES; ++l) place[l] = row[l] + at;
    int k = 0;
    for (; k + 4 <= count; k += 4) {
      const real column[4] = {held[where(k)], held[where(k + 1)], held[where(k + 2)], held[where(k + 3)]};
      store_columns(place, column);
      UNROLL for (int l = 0; l < LANES; ++l) place[l] += 4;
    }
    for (; k < count; ++k) {
      for (int l = 0; l < LANES; ++l) *place[l]++ = get(held[where(k)], l);
    }
  }

  // Calls `each` with every tensor of the layers: where it begins in a row, how many numbers it has, and where each of them is held.
  template <int L, class Each> HD static void on_tensors(Each each) {
    using Of = Layer<L>;
    each(stored_before(L), Of::HIDDEN * Of::FAN, [](int k) { return Of::held(k / Of::FAN) + k % Of::FAN; });
    each(stored_before(L) + Of::HIDDEN * Of::FAN, Of::HIDDEN, [](int k) { return Of::held(k) + Of::FAN; });
    if constexpr (L + 1 < LAYERS) {
      on_tensors<L + 1>(each);
    } else {
      for (int o = 0; o < OUTPUTS; ++o) each(OUT_ROW + o * Of::HIDDEN, Of::HIDDEN, [o](int k) { return Of::held(k) + Of::FAN + 1 + o; });
    }
  }

  template <class From> SLOW void store_row(scalar* to, const From& held, const real* tail) const {
    if constexpr (TEAM == 1 && BY_FOURS) {
      if (first + LANES <= a.replicas) {
        scalar* row[LANES];
        UNROLL for (int l = 0; l < LANES; ++l) row[l] = to + (first + l) * SIZE;
        on_tensors<0>([&](int at, int count, auto where) { store_tensor(row, at, count, held, where); });
        for (int l = 0; l < LANES; ++l) {
          UNROLL for (int i = 0; i < TAIL; ++i) row[l][TAIL_ROW + i] = get(tail[i], l);
        }
        return;
      }
    }
    for (int l = 0; l < LANES && first + l < a.replicas; ++l) store_lane(to, held, tail, l);
  }

  template <class From> HD void store_lane(scalar* to, const From& held, const real* tail, int l) const {
    scalar* row = to + (first + l) * SIZE;
    store_layers<0>(row, held, l);
    if (team.member == 0) {
      UNROLL for (int i = 0; i < TAIL; ++i) row[TAIL_ROW + i] = get(tail[i], l);
    }
  }

  // Lane l alone, times `sign`.
  template <class To> HD void load_lane(const scalar* from, To& held, real* tail, int l, scalar sign) {
    const scalar* row = from + replica(l) * SIZE;
    load_lane_of<0>(row, held, l, sign);
    UNROLL for (int i = 0; i < TAIL; ++i) set(tail[i], l, sign * row[TAIL_ROW + i]);
  }

  template <int L, class To> HD void load_lane_of(const scalar* row, To& held, int l, scalar sign) {
    using Of = Layer<L>;
    ON_PIECES(i, Of) {
      const int piece = this->template piece<Of>(i), unit = Of::unit(piece);
      UNROLL_SOME for (int c = 0; c < Of::PIECE; ++c) {
        if (owns<Of>(i, piece, c)) set(held[Of::held(i) + c], l, sign * row[Of::at(unit, Of::column(piece, c))]);
      }
    }
    if constexpr (L + 1 < LAYERS) load_lane_of<L + 1>(row, held, l, sign);
  }

  template <int L, class From> HD void store_layers(scalar* row, const From& held, int l) const {
    using Of = Layer<L>;
    ON_PIECES(i, Of) {
      const int piece = this->template piece<Of>(i), unit = Of::unit(piece);
      UNROLL_SOME for (int c = 0; c < Of::PIECE; ++c) {
        if (owns<Of>(i, piece, c)) row[Of::at(unit, Of::column(piece, c))] = get(held[Of::held(i) + c], l);
      }
    }
    if constexpr (L + 1 < LAYERS) store_layers<L + 1>(row, held, l);
  }

  SLOW void load_coefficients(i64 i) {
    for (int l = 0; l < LANES; ++l) {
      const i64 column = a.group[replica(l)];
      UNROLL for (int k = 0; k < COEFFICIENTS; ++k) set(s.c.r[k], l, a.coefficients[(i * COEFFICIENTS + k) * a.groups + column]);
      UNROLL for (int k = 0; k < WIDE_COEFFICIENTS; ++k) {
        set_wide(s.c.w[k], l, a.wide_coefficients[(i * WIDE_COEFFICIENTS + k) * a.groups + column]);
      }
    }
  }

  SLOW void load() {
    word low = splat_word(0), high = low, stream = low;
    for (int l = 0; l < LANES; ++l) {
      const i64 r = replica(l);
      set(low, l, a.seed_low[r]);
      set(high, l, a.seed_high[r]);
      set(stream, l, a.stream[r]);
      set_mask(running, l, a.status[r] == 0);
      set_wide(s.energy, l, a.energy[r]);
      for (int k = 0; k < PARTITIONS; ++k) set_wide(s.xi[k], l, a.thermostat[r * PARTITIONS + k]);
    }
    one_dataset = true;
    for (int l = 1; l < LANES; ++l) one_dataset &= a.dataset[replica(l)] == a.dataset[first];
    if constexpr (LANES > 1) for (int l = 0; l < LANES; ++l) data[l] = a.data + i64(a.dataset[replica(l)]) * a.points * ROW;
    s.keys.open(low, high, stream);
    load_row(a.position, s.q, s.tq);
    load_row(a.momentum, s.p, s.tp);
    load_row(a.gradient, s.g, s.tg);
    UNROLL for (int e = 0; e < KEPT; ++e) load_row(a.kept[e], s.kept[e], s.tkept[e]);
    load_coefficients(0);
    if constexpr (WORK) load_proposal(*this);
  }

  SLOW void store() const {
    store_row(a.position, s.q, s.tq);
    store_row(a.momentum, s.p, s.tp);
    store_row(a.gradient, s.g, s.tg);
    UNROLL for (int e = 0; e < KEPT - SCALED; ++e) store_row(a.kept[e], s.kept[e], s.tkept[e]);
    if constexpr (BRACES) store_proposal(*this);
    for (int l = 0; l < LANES && first + l < a.replicas && team.member == 0; ++l) {
      a.energy[first + l] = get_wide(s.energy, l);
      for (int k = 0; k < PARTITIONS; ++k) a.thermostat[(first + l) * PARTITIONS + k] = get_wide(s.xi[k], l);
    }
  }

  // Where a lane is recorded after step i of the segment, or -1; and whether any lane is.
  HD i64 slot(int l, i64 i) const { return a.slot[a.track ? a.track[replica(l)] * a.steps + i : i]; }
  HD bool due(i64 i) const {
    if (LANES == 1 || !a.track) return slot(0, i) >= 0;
    for (int l = 0; l < LANES; ++l) if (slot(l, i) >= 0) return true;
    return false;
  }

  // p.p / n_k of every partition, and the rest of one recorded moment.
  SLOW void record(i64 i) {
    for (int l = 0; l < LANES && first + l < a.replicas; ++l) {
      const i64 at = slot(l, i);
      if (at >= 0) store_lane(a.ring_position + at * a.replicas * SIZE, s.q, s.tq, l);
    }
    UNROLL for (int k = 0; k < PARTITIONS; ++k) {
      wide square = splat_wide(0);
      int count = 0;
      square_layers<0>(k, square, count);
      square = team.sum(square);
      UNROLL for (int i = 0; i < TAIL; ++i) if (part_tail(tensor_of_tail(i)) == k) square += widen(s.tp[i] * s.tp[i]);
      UNROLL for (int t = 0; t < TAILS; ++t) count += part_tail(t) == k ? tail_size(t) : 0;
      for (int l = 0; l < LANES && first + l < a.replicas && team.member == 0; ++l) {
        if (slot(l, i) < 0) continue;
        const i64 at = (slot(l, i) * a.replicas + first + l) * PARTITIONS + k;
        a.ring_kinetic[at] = get_wide(square, l) / count;
        a.ring_thermostat[at] = get_wide(s.xi[k], l);
      }
    }
    for (int l = 0; l < LANES && first + l < a.replicas && team.member == 0; ++l) {
      if (slot(l, i) >= 0) a.ring_energy[slot(l, i) * a.replicas + first + l] = get_wide(s.energy, l);
    }
  }

  template <int L> HD void square_layers(int k, wide& square, int& count) const {
    using Of = Layer<L>;
    ON_PIECES(i, Of) {
      const int piece = this->template piece<Of>(i);
      UNROLL_SOME for (int c = 0; c < Of::PIECE; ++c) {
        if ((!BY_BLOCK || owns<Of>(i)) && partition_of<Of>(Of::column(piece, c)) == k) square += widen(s.p[Of::held(i) + c] * s.p[Of::held(i) + c]);
      }
    }
    UNROLL_SOME for (int c = 0; c < Of::PARAMETERS; ++c) count += partition_of<Of>(c) == k ? Of::HIDDEN : 0;
    if constexpr (L + 1 < LAYERS) square_layers<L + 1>(k, square, count);
  }

  template <class Step> HD void segment(i64 first_replica) {
    first = first_replica;
    load();
    ordinal = u64(a.ordinal);
    now = u64(a.start);
    if (a.initial) {
      ordinal = 0;
      want_energy = true;  // and with contour always
      evaluate();
    }
    if constexpr (WORK && !LEADING) if (a.start == 0) evaluate_energy();
    for (i64 i = 0; i < a.steps; ++i) {
      if (i && a.scheduled) load_coefficients(i);
      const bool recorded = due(i);
      want_energy = CONTOUR || recorded || i + 1 == a.steps;
      now = u64(a.start + i);
      if constexpr (WORK) begin_work(*this);
      Step::run(*this);
      check();
      if (recorded) record(i);
      if constexpr (WORK) if (recorded) record_work(*this, i);
    }
    store();
  }
};
