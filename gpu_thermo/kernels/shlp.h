// The single-hidden-layer perceptron on one minibatch: outputs, losses, gradient (equations.md section 1).
//   z = W1 x + b1, out = W2 act(z) + b2
// For networks of one hidden layer (layers.h); deep.h is for more.
#pragma once

static_assert(LAYERS == 1, "one hidden layer");
constexpr int HIDDEN = width(0);
constexpr int UNITS = share(HIDDEN);                              // units of one member: member, member + TEAM, ...
constexpr int PARAMETERS = of_unit(0);                            // of one unit: W1[j,:], b1[j], W2[:,j]
constexpr int TILE = BATCH > 0 && BATCH < (ON_GPU ? 64 : 128) ? BATCH : (ON_GPU ? 64 : 128);  // points at hand at once
constexpr bool SMALL = PARAMETERS <= 8;                           // a unit's weights fit in registers
constexpr int FORWARD_BLOCK = ON_GPU || TEAM > 1 ? UNITS : SMALL ? 4 : 2;

// A homogeneous activation, act(z) = act'(z) z, gives d loss / d W2 from the other sums when n = 1:
// sum_t r act(z) = w1 . sum_t r s x + b1 sum_t r s with s = act'.
constexpr bool HOMOGENEOUS = Activation::HOMOGENEOUS && OUTPUTS == 1;

// One whose slope is a matter of z's sign has that kept from forward to backward, where a bit a lane can be.
constexpr bool SIGNS_KEPT = HAS_LANE_BITS && HOMOGENEOUS && Activation::BY_SIGN && TEAM == 1 && SMALL;
constexpr int BACKWARD_BLOCK = ON_GPU || TEAM > 1 ? UNITS : PARAMETERS <= 4 ? (SIGNS_KEPT ? 4 : 2) : 1;
typedef lane_bits Signs[SIGNS_KEPT ? TILE : 1];

struct Points {  // one tile of the minibatch, seen by the whole team
  real row[TILE][ROW];
  real out[TILE][OUTPUTS];  // outputs, then d (mean loss) / d out
};

template <int U> struct Weights {
  real w1[U][INPUTS], b1[U], w2[U][OUTPUTS];
  HD void load(const real (*q)[PARAMETERS]) {
    UNROLL for (int u = 0; u < U; ++u) {
      UNROLL for (int k = 0; k < INPUTS; ++k) w1[u][k] = q[u][k];
      b1[u] = q[u][INPUTS];
      UNROLL for (int o = 0; o < OUTPUTS; ++o) w2[u][o] = q[u][INPUTS + 1 + o];
    }
  }
  HD real preactivation(int u, const real* x) const {
    real z = b1[u];
    UNROLL for (int k = 0; k < INPUTS; ++k) z += w1[u][k] * x[k];
    return z;
  }
};

// out[t] += W2 act(z) of U units, for all points; FIRST sets instead, starting from b2.
template <int U, bool FIRST> HD void forward(const real (*q)[PARAMETERS], const real* b2, Points& points, Signs* signs, int count) {
  Weights<U> w;
  w.load(q);
  for (int t = 0; t < count; ++t) {
    real sum[OUTPUTS];
    UNROLL for (int o = 0; o < OUTPUTS; ++o) sum[o] = FIRST ? b2[o] : points.out[t][o];
    UNROLL for (int u = 0; u < U; ++u) {
      const real z = w.preactivation(u, points.row[t]), a = Activation::value(z);
      if constexpr (SIGNS_KEPT) signs[u][t] = is_positive(z);
      UNROLL for (int o = 0; o < OUTPUTS; ++o) sum[o] += w.w2[u][o] * a;
    }
    UNROLL for (int o = 0; o < OUTPUTS; ++o) points.out[t][o] = sum[o];
  }
}

// Gradient of U units over all points of the tile, added to g (FIRST: set).
template <int U, bool FIRST>
HD void backward(const real (*q)[PARAMETERS], real (*g)[PARAMETERS], const Points& points, const Signs* signs, int count) {
  Weights<U> w;
  w.load(q);
  real s1[U][INPUTS], sb[U], s2[U][OUTPUTS];
  UNROLL for (int u = 0; u < U; ++u) {
    UNROLL for (int k = 0; k < INPUTS; ++k) s1[u][k] = zero();
    sb[u] = zero();
    UNROLL for (int o = 0; o < OUTPUTS; ++o) s2[u][o] = zero();
  }
  for (int t = 0; t < count; ++t) {
    const real* r = points.out[t];
    real x[INPUTS];
    UNROLL for (int k = 0; k < INPUTS; ++k) x[k] = in_register(points.row[t][k]);
    UNROLL for (int u = 0; u < U; ++u) {
      real d;
      if constexpr (SIGNS_KEPT) {
        const real one = splat(scalar(1)), below = splat(scalar(-1));
        d = select_bits(signs[u][t], sloped(one, Activation::value(one), r[0]), sloped(below, Activation::value(below), r[0]));
      } else if constexpr (HOMOGENEOUS) {
        const real z = w.preactivation(u, x);
        d = sloped(z, Activation::value(z), r[0]);
      } else {
        const real z = w.preactivation(u, x), value = Activation::value(z);
        real back = zero();
        UNROLL for (int o = 0; o < OUTPUTS; ++o) {
          s2[u][o] += r[o] * value;
          back += r[o] * w.w2[u][o];
        }
        d = sloped(z, value, back);
      }
      UNROLL for (int k = 0; k < INPUTS; ++k) s1[u][k] += d * x[k];
      sb[u] += d;
    }
  }
  UNROLL for (int u = 0; u < U; ++u) {
    if constexpr (HOMOGENEOUS) {
      real dot = w.b1[u] * sb[u];
      UNROLL for (int k = 0; k < INPUTS; ++k) {
        dot += w.w1[u][k] * s1[u][k];
        s1[u][k] *= w.w2[u][0];
      }
      sb[u] *= w.w2[u][0];
      s2[u][0] = dot;
    }
    UNROLL for (int k = 0; k < INPUTS; ++k) g[u][k] = FIRST ? s1[u][k] : g[u][k] + s1[u][k];
    g[u][INPUTS] = FIRST ? sb[u] : g[u][INPUTS] + sb[u];
    UNROLL for (int o = 0; o < OUTPUTS; ++o) g[u][INPUTS + 1 + o] = FIRST ? s2[u][o] : g[u][INPUTS + 1 + o] + s2[u][o];
  }
}
