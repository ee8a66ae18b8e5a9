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
  const i32* slot;                                                   // [steps]: where in the ring to record after each step, or -1
  scalar* ring_position;                                             // [D, R, P]
  double *ring_thermostat, *ring_kinetic, *ring_energy;              // [D, R, K], [D, R, K], [D, R]
  double *contour_log_weight, *contour_shift, *contour_multiplier;   // [R, m], [R], [R]; null without contour, as the next
  u8* contour_seen;                                                  // [R, m]
  i32* contour_visits;                                               // [R, m]
  i64 *contour_clipped, *contour_outside;                            // [R], [R]
  const double* contour_log_omega;                                   // [evaluations of the segment]
  i64 start, ordinal;                                                // first step; ordinal of its first own gradient
  i64 replicas, groups, steps, scheduled, initial;                   // initial: evaluate once beforehand, ordinal 0
  i64 contour_bins, contour_interacting, contour_published;
  u32 points, grid_a, grid_b, grid_inverse;
  double likelihood[CONSTANTS], prior[CONSTANTS];                    // what the functions of network.py read
  double contour_zeta, contour_lowest, contour_width, contour_low, contour_high;
};

struct Coefficients {
  real r[COEFFICIENTS > 0 ? COEFFICIENTS : 1];
  wide w[WIDE_COEFFICIENTS > 0 ? WIDE_COEFFICIENTS : 1];
};

// One parameter as operations see it: theta, p, gradient, and what they keep beside it, such as Adam's moments.
struct Parameter {
  real q, p, g, kept[KEPT > 0 ? KEPT : 1];
};

// Sums over the parameters of a partition that operations ask for, such as p.p.
struct Sums {
  wide of[SUMS > 0 ? SUMS : 1];
};

// The replica's state: units of this member, and b2, which every member carries alike.
struct Replica {
  real q[UNITS][PARAMETERS], p[UNITS][PARAMETERS], g[UNITS][PARAMETERS];
  real kept[KEPT > 0 ? KEPT : 1][KEPT > 0 ? UNITS : 1][PARAMETERS];
  real bq[OUTPUTS], bp[OUTPUTS], bg[OUTPUTS], bkept[KEPT > 0 ? KEPT : 1][OUTPUTS];
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
};

HD constexpr int partition_of(int c) { return c < INPUTS ? PART_W1 : c == INPUTS ? PART_B1 : PART_W2; }

struct Run {
  const Arguments& a;
  Replica& s;
  Shared& shared;
  Team team;
  i64 first;  // replica of lane 0
  u64 now;    // step
  u64 ordinal;
  bool want_energy;
  mask running;

  HD Run(const Arguments& a_, Replica& s_, Shared& shared_, int member)
      : a(a_), s(s_), shared(shared_), team(member, &shared_.exchange), first(0), now(0), ordinal(0), want_energy(false), running() {}

  HD int unit(int i) const { return i * TEAM + team.member; }
  HD bool owns(int i) const { return (i + 1) * TEAM <= HIDDEN || unit(i) < HIDDEN; }
  HD i64 replica(int l) const { return first + l < a.replicas ? first + l : a.replicas - 1; }  // padding lanes double the last one
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
    if constexpr (TEAM == 1) {
      int i = 0;
      for (; i + DRAW_BLOCK <= UNITS; i += DRAW_BLOCK) visit_units<Pass, DRAW_BLOCK>(i, at);
      if constexpr (UNITS % DRAW_BLOCK != 0) for (; i < UNITS; ++i) visit_units<Pass, 1>(i, at);
    } else {
      UNROLL for (int i = 0; i < UNITS; ++i) if (owns(i)) visit_units<Pass, 1>(i, at);
    }
    UNROLL for (int k = 0; k < PARTITIONS; ++k) {
      if (!Pass::sums(k)) continue;
      UNROLL for (int j = 0; j < SUMS; ++j) s.sum[k].of[j] = team.sum(s.sum[k].of[j]);
    }
    visit_tail<Pass>(at);
    Pass::settle(s.c, s.sum, s.xi);
  }

  template <class Pass, int U> HD void visit_units(int i, const Address* at) {
    real noise[U][Pass::SLOTS > 0 ? Pass::SLOTS : 1][BLOCKS * 4];
    UNROLL for (int k = 0; k < Pass::SLOTS; ++k) {
      if constexpr (TEAM > 1 || BLOCKS <= 5) {
        UNROLL for (int b = 0; b < BLOCKS; ++b) draw(i, b, k, at[k], noise);
      } else {
        for (int b = 0; b < BLOCKS; ++b) draw(i, b, k, at[k], noise);
      }
    }
    UNROLL for (int u = 0; u < U; ++u) {
      UNROLL_SOME for (int c = 0; c < INPUTS; ++c) apply<Pass, PART_W1>(i + u, c, noise[u]);
      apply<Pass, PART_B1>(i + u, INPUTS, noise[u]);
      UNROLL_SOME for (int c = INPUTS + 1; c < PARAMETERS; ++c) apply<Pass, PART_W2>(i + u, c, noise[u]);
      sum_unit<Pass>(i + u);
    }
  }

  // Block b of the units i, i + 1, ... for noise slot k.
  template <int U, int SLOTS> HD void draw(int i, int b, int k, const Address& at, real (&noise)[U][SLOTS][BLOCKS * 4]) const {
    u32 block[U];
    real n[U][4];
    UNROLL for (int u = 0; u < U; ++u) block[u] = u32(unit(i + u) * BLOCKS + b);
    normals(at, block, n);
    UNROLL for (int u = 0; u < U; ++u) {
      UNROLL for (int l = 0; l < 4; ++l) noise[u][k][4 * b + l] = n[u][l];
    }
  }

  template <class Pass, int K> HD void apply(int i, int c, const real (*noise)[BLOCKS * 4]) {
    if constexpr (!Pass::moves(K)) return;
    real n[Pass::SLOTS > 0 ? Pass::SLOTS : 1];
    UNROLL for (int k = 0; k < Pass::SLOTS; ++k) n[k] = noise[k][c];
    Parameter x = {s.q[i][c], s.p[i][c], s.g[i][c], {}};
    UNROLL for (int e = 0; e < KEPT; ++e) x.kept[e] = s.kept[e][i][c];
    Pass::template apply<K>(x, n, s.c, s.factor);
    s.q[i][c] = x.q;
    s.p[i][c] = x.p;
    UNROLL for (int e = 0; e < KEPT; ++e) s.kept[e][i][c] = x.kept[e];
  }

  // Products of one unit, four at a time in real, then in double.
  template <class Pass> HD void sum_unit(int i) {
    UNROLL for (int k = 0; k < PARTITIONS; ++k) {
      if (!Pass::sums(k)) continue;
      real part[SUMS > 0 ? SUMS : 1] = {};
      UNROLL for (int c = 0; c < PARAMETERS; ++c) {
        if (partition_of(c) == k) Pass::add(k, s.p[i][c], s.g[i][c], part);
        if (c % 4 == 3 || c + 1 == PARAMETERS) add_parts(k, part);
      }
    }
  }

  HD void add_parts(int k, real* part) {
    UNROLL for (int j = 0; j < SUMS; ++j) {
      s.sum[k].of[j] += widen(part[j]);
      part[j] = zero();
    }
  }

  template <class Pass> HD void visit_tail(const Address* at) {
    constexpr int COUNT = (OUTPUTS + 3) / 4;
    if constexpr (Pass::moves(PART_B2)) {
      real noise[Pass::SLOTS > 0 ? Pass::SLOTS : 1][COUNT * 4];
      UNROLL for (int k = 0; k < Pass::SLOTS; ++k) {
        UNROLL for (int b = 0; b < COUNT; ++b) {
          if (Pass::draws(PART_B2, k)) normals_apart(at[k], u32(HIDDEN * BLOCKS + b), noise[k] + 4 * b);
        }
      }
      UNROLL for (int o = 0; o < OUTPUTS; ++o) {
        real n[Pass::SLOTS > 0 ? Pass::SLOTS : 1];
        UNROLL for (int k = 0; k < Pass::SLOTS; ++k) n[k] = noise[k][o];
        Parameter x = {s.bq[o], s.bp[o], s.bg[o], {}};
        UNROLL for (int e = 0; e < KEPT; ++e) x.kept[e] = s.bkept[e][o];
        Pass::template apply<PART_B2>(x, n, s.c, s.factor);
        s.bq[o] = x.q;
        s.bp[o] = x.p;
        UNROLL for (int e = 0; e < KEPT; ++e) s.bkept[e][o] = x.kept[e];
      }
    }
    if constexpr (Pass::sums(PART_B2)) {
      UNROLL for (int o = 0; o < OUTPUTS; ++o) {
        real part[SUMS > 0 ? SUMS : 1] = {};
        Pass::add(PART_B2, s.bp[o], s.bg[o], part);
        add_parts(PART_B2, part);
      }
    }
  }

  // -- energy and gradient -------------------------------------------------------------------------------------------------------

  SLOW void evaluate() {
    const Chooser<MODE> chooser(s.keys, grid(), ordinal, BATCH);
    wide loss = splat_wide(0);
    if constexpr (BATCH <= TILE) {
      tile<true>(chooser, 0, BATCH, loss);
    } else {
      tile<true>(chooser, 0, TILE, loss);
      for (int start = TILE; start < BATCH; start += TILE) tile<false>(chooser, start, BATCH - start < TILE ? BATCH - start : TILE, loss);
    }
    if (want_energy) s.energy = team.sum(loss) * splat_wide(1.0 / BATCH);
    if constexpr (PRIOR) add_prior<Prior>();
    if constexpr (CONTOUR) scale_gradient();
    ++ordinal;
  }

  template <bool FIRST> HD void tile(const Chooser<MODE>& chooser, int start, int count, wide& loss) {
    Points& points = shared.points;
    team.sync();  // the last tile has been read
    fetch(chooser, start, count);
    team.sync();
    outputs(count);
    for (int t = team.member; t < count; t += TEAM) {
      const real* y = points.row[t] + INPUTS;
      if (want_energy) loss += widen(Likelihood::loss(points.out[t], y, a.likelihood));
      Likelihood::residual(points.out[t], y, a.likelihood, scalar(1.0 / BATCH));
    }
    team.sync();
    gradients<FIRST>(count);
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
      const scalar* row[LANES];
      UNROLL for (int l = 0; l < LANES; ++l) row[l] = a.data + (i64(a.dataset[replica(l)]) * a.points + get(index[i], l)) * ROW;
      UNROLL_SOME for (int c = 0; c < ROW; ++c) {
        real x = zero();
        UNROLL for (int l = 0; l < LANES; ++l) set(x, l, row[l][c]);
        shared.points.row[t + i * TEAM][c] = x;
      }
    }
  }

  HD void outputs(int count) {
    Points& points = shared.points;
    if constexpr (TEAM == 1) {
      all_outputs<true>(s.q, s.bq, points, s.hidden, count);
    } else {
      team_outputs(count);
    }
  }

  // Partial sums of a few points at a time, one value for each member of a group, then traded so that member i holds the i-th sum.
  HD void team_outputs(int count) {
    constexpr int WIDTH = OUTPUTS <= 1 ? 1 : OUTPUTS <= 2 ? 2 : OUTPUTS <= 4 ? 4 : OUTPUTS <= 8 ? 8 : OUTPUTS <= 16 ? 16 : 32;
    constexpr int AT_ONCE = GROUP < WIDTH ? 1 : GROUP / WIDTH;
    static_assert(TEAM == 1 || WIDTH <= GROUP, "more outputs than a group has members");
    Points& points = shared.points;
    for (int start = 0; start < count; start += AT_ONCE) {
      real value[GROUP] = {};
      UNROLL for (int b = 0; b < AT_ONCE; ++b) {
        if (start + b < count) {
          UNROLL for (int i = 0; i < UNITS; ++i) {
            real z = s.q[i][INPUTS];
            UNROLL for (int k = 0; k < INPUTS; ++k) z += s.q[i][k] * points.row[start + b][k];
            z = Activation::value(z);
            UNROLL for (int o = 0; o < OUTPUTS; ++o) value[b * WIDTH + o] += s.q[i][INPUTS + 1 + o] * z;
          }
        }
      }
      const real sum = team.scatter_sum(value);
      const int b = team.member / WIDTH, o = team.member % WIDTH;
      if (team.member < GROUP && start + b < count && o < OUTPUTS) points.out[start + b][o] = sum;
    }
    team.sync();
    for (int t = team.member; t < count; t += TEAM) {
      UNROLL for (int o = 0; o < OUTPUTS; ++o) points.out[t][o] += s.bq[o];
    }
  }

  template <bool FIRST> HD void gradients(int count) {
    const Points& points = shared.points;
    if constexpr (TEAM > 1) {
      backward<UNITS, FIRST>(s.q, s.g, points, count);
    } else {
      all_gradients<FIRST>(s.q, s.g, points, s.hidden, count);
    }
    UNROLL for (int o = 0; o < OUTPUTS; ++o) {
      real sum = FIRST ? zero() : s.bg[o];
      for (int t = 0; t < count; ++t) sum += points.out[t][o];
      s.bg[o] = sum;
    }
  }

  // U += factor sum of the prior's terms
  template <class Law> HD void add_prior() {
    double constant[CONSTANTS];
    UNROLL for (int i = 0; i < CONSTANTS; ++i) constant[i] = a.prior[i];
    wide sum = splat_wide(0), tail = splat_wide(0);
    ON_UNITS(i) {
      UNROLL_SOME for (int c = 0; c < PARAMETERS; ++c) {
        s.g[i][c] += Law::slope(s.q[i][c], constant);
        if (want_energy) sum += widen(Law::term(s.q[i][c]));
      }
    }
    UNROLL for (int o = 0; o < OUTPUTS; ++o) {
      s.bg[o] += Law::slope(s.bq[o], constant);
      tail += widen(Law::term(s.bq[o]));
    }
    if (want_energy) s.energy += (team.sum(sum) + tail) * splat_wide(constant[Law::FACTOR]);
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
    ON_UNITS(i) {
      UNROLL_SOME for (int c = 0; c < PARAMETERS; ++c) s.g[i][c] *= scale;
    }
    UNROLL for (int o = 0; o < OUTPUTS; ++o) s.bg[o] *= scale;
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
    ON_UNITS(i) {
      UNROLL_SOME for (int c = 0; c < PARAMETERS; ++c) watch += (s.p[i][c] + s.q[i][c]) * scalar(0);
    }
    UNROLL for (int o = 0; o < OUTPUTS; ++o) watch += (s.bp[o] + s.bq[o]) * scalar(0);
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
    ON_UNITS(i) {
      UNROLL_SOME for (int c = 0; c < PARAMETERS; ++c) bad |= causes_of(s.q[i][c], s.p[i][c], s.g[i][c], l);
    }
    UNROLL for (int o = 0; o < OUTPUTS; ++o) bad |= causes_of(s.bq[o], s.bp[o], s.bg[o], l);
    return bad;
  }

  HD static int causes_of(const real& q, const real& p, const real& g, int l) {
    return (finite(get(q, l)) ? 0 : CAUSE_POSITION) | (finite(get(p, l)) ? 0 : CAUSE_MOMENTUM) | (finite(get(g, l)) ? 0 : CAUSE_GRADIENT);
  }

  // A frozen replica is NaN from here on, and its lane goes on computing NaN.
  SLOW void erase(int l) {
    const scalar nan = scalar(not_a_number());
    set_mask(running, l, false);
    ON_UNITS(i) {
      UNROLL_SOME for (int c = 0; c < PARAMETERS; ++c) {
        set(s.q[i][c], l, nan);
        set(s.p[i][c], l, nan);
        set(s.g[i][c], l, nan);
        UNROLL for (int e = 0; e < KEPT; ++e) set(s.kept[e][i][c], l, nan);
      }
    }
    UNROLL for (int o = 0; o < OUTPUTS; ++o) {
      set(s.bq[o], l, nan);
      set(s.bp[o], l, nan);
      set(s.bg[o], l, nan);
      UNROLL for (int e = 0; e < KEPT; ++e) set(s.bkept[e][o], l, nan);
    }
    for (int k = 0; k < PARTITIONS; ++k) set_wide(s.xi[k], l, double(nan));
    set_wide(s.energy, l, double(nan));
  }

  // -- in and out ----------------------------------------------------------------------------------------------------------------

  SLOW void load_row(const scalar* from, real (*units)[PARAMETERS], real* tail) {
    ON_UNITS(i) {
      UNROLL_SOME for (int c = 0; c < PARAMETERS; ++c) {
        for (int l = 0; l < LANES; ++l) set(units[i][c], l, owns(i) ? from[replica(l) * SIZE + at(unit(i), c)] : scalar(0));
      }
    }
    UNROLL for (int o = 0; o < OUTPUTS; ++o) {
      for (int l = 0; l < LANES; ++l) set(tail[o], l, from[replica(l) * SIZE + at_b2(o)]);
    }
  }

  SLOW void store_row(scalar* to, const real (*units)[PARAMETERS], const real* tail) const {
    for (int l = 0; l < LANES && first + l < a.replicas; ++l) {
      scalar* row = to + (first + l) * SIZE;
      ON_UNITS(i) {
        UNROLL_SOME for (int c = 0; c < PARAMETERS; ++c) if (owns(i)) row[at(unit(i), c)] = get(units[i][c], l);
      }
      if (team.member == 0) {
        UNROLL for (int o = 0; o < OUTPUTS; ++o) row[at_b2(o)] = get(tail[o], l);
      }
    }
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
    s.keys.open(low, high, stream);
    load_row(a.position, s.q, s.bq);
    load_row(a.momentum, s.p, s.bp);
    load_row(a.gradient, s.g, s.bg);
    UNROLL for (int e = 0; e < KEPT; ++e) load_row(a.kept[e], s.kept[e], s.bkept[e]);
    load_coefficients(0);
  }

  SLOW void store() const {
    store_row(a.position, s.q, s.bq);
    store_row(a.momentum, s.p, s.bp);
    store_row(a.gradient, s.g, s.bg);
    UNROLL for (int e = 0; e < KEPT; ++e) store_row(a.kept[e], s.kept[e], s.bkept[e]);
    for (int l = 0; l < LANES && first + l < a.replicas && team.member == 0; ++l) {
      a.energy[first + l] = get_wide(s.energy, l);
      for (int k = 0; k < PARTITIONS; ++k) a.thermostat[(first + l) * PARTITIONS + k] = get_wide(s.xi[k], l);
    }
  }

  // p.p / n_k of every partition, and the rest of one recorded moment.
  SLOW void record(i64 slot) {
    store_row(a.ring_position + slot * a.replicas * SIZE, s.q, s.bq);
    UNROLL for (int k = 0; k < PARTITIONS; ++k) {
      wide square = splat_wide(0);
      int count = 0;
      ON_UNITS(i) {
        UNROLL_SOME for (int c = 0; c < PARAMETERS; ++c) if (partition_of(c) == k) square += widen(s.p[i][c] * s.p[i][c]);
      }
      square = team.sum(square);
      UNROLL_SOME for (int c = 0; c < PARAMETERS; ++c) count += partition_of(c) == k ? HIDDEN : 0;
      UNROLL for (int o = 0; o < OUTPUTS; ++o) if (PART_B2 == k) square += widen(s.bp[o] * s.bp[o]);
      if (PART_B2 == k) count += OUTPUTS;
      for (int l = 0; l < LANES && first + l < a.replicas && team.member == 0; ++l) {
        const i64 at = (slot * a.replicas + first + l) * PARTITIONS + k;
        a.ring_kinetic[at] = get_wide(square, l) / count;
        a.ring_thermostat[at] = get_wide(s.xi[k], l);
      }
    }
    for (int l = 0; l < LANES && first + l < a.replicas && team.member == 0; ++l) {
      a.ring_energy[slot * a.replicas + first + l] = get_wide(s.energy, l);
    }
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
    for (i64 i = 0; i < a.steps; ++i) {
      if (i && a.scheduled) load_coefficients(i);
      const i64 slot = a.slot[i];
      want_energy = CONTOUR || slot >= 0 || i + 1 == a.steps;
      now = u64(a.start + i);
      Step::run(*this);
      check();
      if (slot >= 0) record(slot);
    }
    store();
  }
};
