// What predictions make of a network's outputs at one point: Phi, its entropy, and whether it is right (equations.md section 9).
#pragma once

// Outputs become Phi; returns the entropy. Binary: H = log(1 + e) + |z| e / (1 + e), e = exp(-|z|), which cancels nowhere.
HD real respond(real* out) {
  if constexpr (TASK == BINARY) {
    const real size = clamp(magnitude(out[0]), scalar(0), scalar(1e4)), e = exp_of(-size);
    out[0] = sigmoid_of(out[0]);
    return log1p_of(e) + size * (e / (e + scalar(1)));
  } else if constexpr (TASK == MULTICLASS) {
    real top = out[0], sum = zero(), mean = zero();
    for (int o = 1; o < OUTPUTS; ++o) top = select(top > out[o], top, out[o]);
    for (int o = 0; o < OUTPUTS; ++o) {
      const real gap = clamp(out[o] - top, scalar(-1e4), scalar(0)), e = exp_of(gap);
      sum += e;
      mean += e * gap;
      out[o] = e;
    }
    for (int o = 0; o < OUTPUTS; ++o) out[o] = out[o] / sum;
    return log_of(sum) - mean / sum;
  } else {
    return zero();
  }
}

// 1 where the largest probability is the label's (the first of equals); regression: the squared error.
HD real is_right(const real* out, const real* y) {
  const real one = splat(scalar(1));
  if constexpr (TASK == BINARY) {
    return select(select(out[0] > zero(), one, zero()) == y[0], one, zero());
  } else if constexpr (TASK == MULTICLASS) {
    real top = out[0], best = zero();
    for (int o = 1; o < OUTPUTS; ++o) {
      best = select(out[o] > top, splat(scalar(o)), best);
      top = select(out[o] > top, out[o], top);
    }
    return select(best == y[0], one, zero());
  } else {
    real sum = zero();
    for (int o = 0; o < OUTPUTS; ++o) sum += (out[o] - y[o]) * (out[o] - y[o]);
    return sum;
  }
}
