// Predictions of many replicas at many points, reduced on the spot (equations.md section 9): Phi itself, its running moments over replicas,
// or sums over points for each replica. TEAM is 1; lanes are replicas; a call handles the points of one tile.
#pragma once

struct PredictArguments {
  const scalar *position, *x, *y;   // [R, P], [T, m], [T, targets, and the weight]
  const double* weight;             // [R]
  scalar* phi;                      // [R, T, n]
  double *sum, *square, *entropy;   // [T, n], [T, n], [T]: sums over replicas, in order
  double *loss, *right;             // [R]: sums over points; `right` is what the likelihood's score sums
  i64 replicas, points;
  double likelihood[CONSTANTS];     // what the functions of network.py read
};

struct Predictor {
  real q[HELD], tail[TAIL];
  Points points;
  Hidden hidden;
  wide sum[TILE][OUTPUTS], square[TILE][OUTPUTS], entropy[TILE];

  SLOW void load(const PredictArguments& a, i64 first) {
    for (int l = 0; l < LANES; ++l) {
      const scalar* row = a.position + (first + l < a.replicas ? first + l : a.replicas - 1) * SIZE;
      load_layers<0>(row, l);
      UNROLL for (int i = 0; i < TAIL; ++i) set(tail[i], l, row[TAIL_ROW + i]);
    }
  }

  template <int L> HD void load_layers(const scalar* row, int l) {
    using Of = Layer<L>;
    for (int j = 0; j < Of::HIDDEN; ++j) {
      UNROLL for (int c = 0; c < Of::PARAMETERS; ++c) set(q[Of::held(j) + c], l, row[Of::at(j, c)]);
    }
    if constexpr (L + 1 < LAYERS) load_layers<L + 1>(row, l);
  }

  SLOW void fetch(const PredictArguments& a, i64 start, int count, bool labelled) {
    for (int t = 0; t < count; ++t) {
      UNROLL for (int k = 0; k < INPUTS; ++k) points.row[t][k] = splat(a.x[(start + t) * INPUTS + k]);
      UNROLL for (int k = INPUTS; k < ROW; ++k) points.row[t][k] = splat(labelled ? a.y[(start + t) * (ROW - INPUTS) + k - INPUTS] : scalar(0));
    }
  }

  SLOW void outputs(int count) {
    all_outputs<false>(q, tail, points, hidden, count);
  }

  void phi(const PredictArguments& a, i64 start, int count) {
    fetch(a, start, count, false);
    for (i64 first = 0; first < a.replicas; first += LANES) {
      load(a, first);
      outputs(count);
      for (int t = 0; t < count; ++t) {
        Likelihood::respond(points.out[t]);
        for (int l = 0; l < LANES && first + l < a.replicas; ++l) {
          for (int o = 0; o < OUTPUTS; ++o) a.phi[((first + l) * a.points + start + t) * OUTPUTS + o] = get(points.out[t][o], l);
        }
      }
    }
  }

  // sum w Phi, sum w Phi^2, sum w H: lane by lane over the groups of replicas, then over the lanes in order.
  void moments(const PredictArguments& a, i64 start, int count) {
    fetch(a, start, count, false);
    for (int t = 0; t < count; ++t) {
      for (int o = 0; o < OUTPUTS; ++o) sum[t][o] = square[t][o] = splat_wide(0);
      entropy[t] = splat_wide(0);
    }
    for (i64 first = 0; first < a.replicas; first += LANES) {
      load(a, first);
      outputs(count);
      wide w = splat_wide(0);
      for (int l = 0; l < LANES && first + l < a.replicas; ++l) set_wide(w, l, a.weight[first + l]);
      for (int t = 0; t < count; ++t) {
        const real h = Likelihood::respond(points.out[t]);
        for (int o = 0; o < OUTPUTS; ++o) {
          const wide f = widen(points.out[t][o]), wf = w * f;
          sum[t][o] += wf;
          square[t][o] += wf * f;
        }
        if constexpr (Likelihood::CLASSES) entropy[t] += w * widen(h);
      }
    }
    for (int t = 0; t < count; ++t) {
      for (int o = 0; o < OUTPUTS; ++o) {
        a.sum[(start + t) * OUTPUTS + o] = add_lanes(sum[t][o]);
        a.square[(start + t) * OUTPUTS + o] = add_lanes(square[t][o]);
      }
      a.entropy[start + t] = add_lanes(entropy[t]);
    }
  }

  static double add_lanes(const wide& x) {
    double total = 0;
    for (int l = 0; l < LANES; ++l) total += get_wide(x, l);
    return total;
  }

  // Negative log likelihood and right answers of each replica, summed over all points.
  void scores(const PredictArguments& a, i64 first) {
    load(a, first);
    Noise noise;
    noise.prepare(tail + OWN_ROW);
    wide loss = splat_wide(0), right = splat_wide(0);
    for (i64 start = 0; start < a.points; start += TILE) {
      const int count = int(a.points - start < TILE ? a.points - start : TILE);
      fetch(a, start, count, true);
      outputs(count);
      for (int t = 0; t < count; ++t) {
        const real* y = points.row[t] + INPUTS;
        const real one = Likelihood::loss(points.out[t], y, a.likelihood, noise.of);
        loss += widen(WEIGHTED ? one * y[ROW - INPUTS - 1] : one);
        right += widen(Likelihood::right(points.out[t], y));
      }
    }
    for (int l = 0; l < LANES && first + l < a.replicas; ++l) {
      a.loss[first + l] = get_wide(loss, l);
      a.right[first + l] = get_wide(right, l);
    }
  }
};

extern "C" {
i64 workspace_bytes() { return sizeof(Predictor); }
i64 arguments_bytes() { return sizeof(PredictArguments); }
i64 lanes() { return LANES; }
i64 tile() { return TILE; }
void predict_phi(const PredictArguments* a, void* space, i64 start, i64 end) { static_cast<Predictor*>(space)->phi(*a, start, int(end - start)); }
void predict_moments(const PredictArguments* a, void* space, i64 start, i64 end) {
  static_cast<Predictor*>(space)->moments(*a, start, int(end - start));
}
void predict_scores(const PredictArguments* a, void* space, i64 first, i64 last) {
  for (i64 r = first; r < last; r += LANES) static_cast<Predictor*>(space)->scores(*a, r);
}
}
