// The single-hidden-layer perceptron on one minibatch: outputs, losses, gradient (equations.md section 1).
//   z = W1 x + b1, out = W2 act(z) + b2
// Constants from the emitter: INPUTS m, HIDDEN d, OUTPUTS n, BATCH, TASK, ACTIVATION.
#pragma once

enum Task { BINARY = 0, MULTICLASS = 1, REGRESSION = 2 };
enum Activation { RELU = 0, TANH = 1, SOFTPLUS = 2, IDENTITY = 3 };

constexpr int UNITS = (HIDDEN + TEAM - 1) / TEAM;                 // units of one member: member, member + TEAM, ...
constexpr int PARAMETERS = INPUTS + 1 + OUTPUTS;                  // of one unit: W1[j,:], b1[j], W2[:,j]
constexpr int BLOCKS = (PARAMETERS + 3) / 4;                      // Philox blocks of one unit
constexpr int SIZE = HIDDEN * PARAMETERS + OUTPUTS;               // P
constexpr int TARGETS = TASK == REGRESSION ? OUTPUTS : 1;
constexpr int ROW = INPUTS + TARGETS;                             // a data point: inputs, then label or targets
constexpr int TILE = BATCH < (ON_GPU ? 64 : 128) ? BATCH : (ON_GPU ? 64 : 128);  // points at hand at once
constexpr bool SMALL = PARAMETERS <= 8;                           // a unit's weights fit in registers
constexpr int FORWARD_BLOCK = ON_GPU || TEAM > 1 ? UNITS : SMALL ? 4 : 2;
constexpr int BACKWARD_BLOCK = ON_GPU || TEAM > 1 ? UNITS : PARAMETERS <= 4 ? 2 : 1;

// relu, tanh and identity are homogeneous or cheap to invert; relu and identity give d loss / d W2 from the other sums when n = 1:
// sum_t r act(z) = w1 . sum_t r s x + b1 sum_t r s with s = act', because act(z) = s z.
constexpr bool HOMOGENEOUS = (ACTIVATION == RELU || ACTIVATION == IDENTITY) && OUTPUTS == 1;

// Parameter index of W1[j,0], b1[j], W2[o,j], b2[o] in a row of State.position.
HD constexpr int at_w1(int j) { return j * INPUTS; }
HD constexpr int at_b1(int j) { return HIDDEN * INPUTS + j; }
HD constexpr int at_w2(int o, int j) { return HIDDEN * (INPUTS + 1 + o) + j; }
HD constexpr int at_b2(int o) { return HIDDEN * PARAMETERS + o; }
HD constexpr int at(int j, int c) { return c < INPUTS ? at_w1(j) + c : c == INPUTS ? at_b1(j) : at_w2(c - INPUTS - 1, j); }

struct Points {  // one tile of the minibatch, seen by the whole team
  real row[TILE][ROW];
  real out[TILE][OUTPUTS];  // outputs, then d (mean loss) / d out
};

// act(z) and act'(z).
HD void activate(real z, real& value, real& slope) {
  const real one = splat(scalar(1));
  if constexpr (ACTIVATION == RELU) {
    value = select(zero() > z, zero(), z);  // NaN passes; relu'(0) = 0
    slope = select(z > zero(), one, zero());
  } else if constexpr (ACTIVATION == TANH) {
    value = tanh_of(z);
    slope = one - value * value;
  } else if constexpr (ACTIVATION == SOFTPLUS) {
    const real e = exp_of(-magnitude(z)), inverse = one / (e + one);
    value = select(z > zero(), z, zero()) + log1p_of(e);
    slope = select(z > zero(), inverse, e * inverse);
  } else {
    value = z;
    slope = one;
  }
}

HD real activation(real z) {
  real value, slope;
  activate(z, value, slope);
  return value;
}

// slope * r, without a product where the slope is 0 or 1.
HD real sloped(real z, real slope, real r) {
  if constexpr (ACTIVATION == RELU) return select(z > zero(), r, zero());
  if constexpr (ACTIVATION == IDENTITY) return r;
  return slope * r;
}

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
template <int U, bool FIRST> HD void forward(const real (*q)[PARAMETERS], const real* b2, Points& points, int count) {
  Weights<U> w;
  w.load(q);
  for (int t = 0; t < count; ++t) {
    real sum[OUTPUTS];
    UNROLL for (int o = 0; o < OUTPUTS; ++o) sum[o] = FIRST ? b2[o] : points.out[t][o];
    UNROLL for (int u = 0; u < U; ++u) {
      const real a = activation(w.preactivation(u, points.row[t]));
      UNROLL for (int o = 0; o < OUTPUTS; ++o) sum[o] += w.w2[u][o] * a;
    }
    UNROLL for (int o = 0; o < OUTPUTS; ++o) points.out[t][o] = sum[o];
  }
}

// Gradient of U units over all points of the tile, added to g (FIRST: set).
template <int U, bool FIRST> HD void backward(const real (*q)[PARAMETERS], real (*g)[PARAMETERS], const Points& points, int count) {
  Weights<U> w;
  w.load(q);
  real s1[U][INPUTS], sb[U], s2[U][OUTPUTS];
  UNROLL for (int u = 0; u < U; ++u) {
    UNROLL for (int k = 0; k < INPUTS; ++k) s1[u][k] = zero();
    sb[u] = zero();
    UNROLL for (int o = 0; o < OUTPUTS; ++o) s2[u][o] = zero();
  }
  for (int t = 0; t < count; ++t) {
    const real *x = points.row[t], *r = points.out[t];
    UNROLL for (int u = 0; u < U; ++u) {
      const real z = w.preactivation(u, x);
      real d;
      if constexpr (HOMOGENEOUS) {
        d = sloped(z, z, r[0]);
      } else {
        real value, slope, back = zero();
        activate(z, value, slope);
        UNROLL for (int o = 0; o < OUTPUTS; ++o) {
          s2[u][o] += r[o] * value;
          back += r[o] * w.w2[u][o];
        }
        d = sloped(z, slope, back);
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

// Negative log likelihood of one point, summed over outputs.
HD real point_loss(const real* out, const real* y, scalar noise_sd, scalar log_norm) {
  if constexpr (TASK == BINARY) {
    return softplus_of(out[0]) - y[0] * out[0];
  } else if constexpr (TASK == MULTICLASS) {
    real top = out[0], sum = zero(), own = zero();
    for (int o = 1; o < OUTPUTS; ++o) top = select(top > out[o], top, out[o]);
    for (int o = 0; o < OUTPUTS; ++o) {
      sum += exp_of(out[o] - top);
      own = select(y[0] == splat(scalar(o)), out[o], own);
    }
    return log_of(sum) + top - own;
  } else {
    real sum = zero();
    for (int o = 0; o < OUTPUTS; ++o) {
      const real scaled = (out[o] - y[o]) / noise_sd;
      sum += scaled * scaled * scalar(0.5) + log_norm;
    }
    return sum;
  }
}

// Class probabilities in place of outputs, by softmax.
HD void softmax(real* out) {
  real top = out[0], sum = zero();
  for (int o = 1; o < OUTPUTS; ++o) top = select(top > out[o], top, out[o]);
  for (int o = 0; o < OUTPUTS; ++o) sum += out[o] = exp_of(out[o] - top);
  for (int o = 0; o < OUTPUTS; ++o) out[o] = out[o] / sum;
}

// d (mean loss) / d out of one point, in place of its outputs; share = 1 / B.
HD void residual(real* out, const real* y, scalar variance, scalar share) {
  if constexpr (TASK == BINARY) {
    out[0] = (sigmoid_of(out[0]) - y[0]) * share;
  } else if constexpr (TASK == MULTICLASS) {
    softmax(out);
    for (int o = 0; o < OUTPUTS; ++o) out[o] = select(y[0] == splat(scalar(o)), out[o] - scalar(1), out[o]) * share;
  } else {
    for (int o = 0; o < OUTPUTS; ++o) out[o] = (out[o] - y[o]) / variance * share;
  }
}
