// predict.h's results on a GPU: forward passes of many replicas over many points, reduced on the spot. Compiled as C++ they are plain loops.
//
// A thread takes EACH points: every weight it reads, alike in all threads of a warp, serves all of them. Sums over replicas are float64 and
// go in chunks of CHUNK replicas, one after another, then chunk by chunk; sums over points go over a team. Neither order depends on the launch.
#pragma once

constexpr int WEIGHTS = of_unit(0);  // a thread reads at a time
constexpr int EACH = LAYERS > 1 ? 1 : (WEIGHTS <= 8 ? 4 : WEIGHTS <= 17 ? 2 : 1) / (IS_DOUBLE && WEIGHTS <= 17 ? 2 : 1);
HD constexpr int widest(int l) { return l == 0 ? INPUTS : width(l - 1) > widest(l - 1) ? width(l - 1) : widest(l - 1); }
constexpr i64 CHUNK = 8;

template <int COUNT> struct Batch {
  scalar x[COUNT][INPUTS], out[COUNT][OUTPUTS];

  // Points first, first + stride, ...; those beyond the last double it.
  HD void fetch(const scalar* RESTRICT from, i64 points, i64 first, i64 stride) {
    UNROLL for (int e = 0; e < COUNT; ++e) {
      const i64 t = first + e * stride < points ? first + e * stride : points - 1;
      UNROLL for (int k = 0; k < INPUTS; ++k) x[e][k] = from[t * INPUTS + k];
    }
  }

  // out = outputs of the replica with parameters q.
  HD void forward(const scalar* RESTRICT q) {
    UNROLL for (int o = 0; o < OUTPUTS; ++o) {
      UNROLL for (int e = 0; e < COUNT; ++e) out[e][o] = q[TAIL_ROW + o];
    }
    if constexpr (LAYERS == 1) {
      for (int j = 0; j < width(0); ++j) {
        scalar z[COUNT];
        unit<0>(q, j, x, z);
        add(q, j, z);
      }
    } else {
      scalar value[2][COUNT][widest(LAYERS)];
      layer<0>(q, x, value);
    }
  }

  // z = act(W_l[j,:] a + b_l[j]) of unit j of layer l, which reads `in`
  template <int L, int WIDE> HD void unit(const scalar* RESTRICT q, int j, const scalar (*in)[WIDE], scalar (&z)[COUNT]) const {
    UNROLL for (int e = 0; e < COUNT; ++e) z[e] = q[Layer<L>::at(j, fan(L))];
    UNROLL for (int k = 0; k < fan(L); ++k) {
      const scalar w = q[Layer<L>::at(j, k)];
      UNROLL for (int e = 0; e < COUNT; ++e) z[e] += w * in[e][k];
    }
    UNROLL for (int e = 0; e < COUNT; ++e) z[e] = Activation::value(z[e]);
  }

  // out += W_out[:,j] z
  HD void add(const scalar* RESTRICT q, int j, const scalar (&z)[COUNT]) {
    UNROLL for (int o = 0; o < OUTPUTS; ++o) {
      const scalar w = q[OUT_ROW + o * width(LAYERS - 1) + j];
      UNROLL for (int e = 0; e < COUNT; ++e) out[e][o] += w * z[e];
    }
  }

  template <int L, int WIDE, int MOST> HD void layer(const scalar* RESTRICT q, const scalar (*in)[WIDE], scalar (&value)[2][COUNT][MOST]) {
    for (int j = 0; j < width(L); ++j) {
      scalar z[COUNT];
      unit<L>(q, j, in, z);
      if constexpr (L + 1 == LAYERS) add(q, j, z);
      else UNROLL for (int e = 0; e < COUNT; ++e) value[L % 2][e][j] = z[e];
    }
    if constexpr (L + 1 < LAYERS) layer<L + 1>(q, value[L % 2], value);
  }
};

HD i64 share(i64 count, i64 size) { return (count + size - 1) / size; }

// phi [replicas, points, OUTPUTS]
KERNEL phi_kernel(i64 replicas, i64 points, const scalar* RESTRICT position, const scalar* RESTRICT x, scalar* phi) {
  const i64 tiles = share(points, EACH);
  GRID(i, replicas * tiles) {
    const i64 r = i / tiles, first = i % tiles;
    Batch<EACH> batch;
    batch.fetch(x, points, first, tiles);
    batch.forward(position + r * SIZE);
    UNROLL for (int e = 0; e < EACH; ++e) {
      Likelihood::respond(batch.out[e]);
      const i64 t = first + e * tiles;
      UNROLL for (int o = 0; o < OUTPUTS; ++o) if (t < points) phi[(r * points + t) * OUTPUTS + o] = batch.out[e][o];
    }
  }
}

struct Sums {
  double phi[OUTPUTS], square[OUTPUTS], entropy;
  HD void add(scalar* out, double w) {
    const scalar h = Likelihood::respond(out);
    UNROLL for (int o = 0; o < OUTPUTS; ++o) {
      const double f = out[o], wf = w * f;
      phi[o] += wf;
      square[o] += wf * f;
    }
    if constexpr (Likelihood::CLASSES) entropy += w * h;
  }
};

// Sums of each chunk of replicas: w Phi and w Phi^2 [chunks, points, OUTPUTS], w H [chunks, points].
KERNEL moments_kernel(i64 replicas, i64 points, const scalar* RESTRICT position, const scalar* RESTRICT x, const double* RESTRICT weight,
                      double* sum, double* square, double* entropy) {
  const i64 tiles = share(points, EACH);
  GRID(i, share(replicas, CHUNK) * tiles) {
    const i64 chunk = i / tiles, first = i % tiles, last = (chunk + 1) * CHUNK < replicas ? (chunk + 1) * CHUNK : replicas;
    Batch<EACH> batch;
    Sums sums[EACH] = {};
    batch.fetch(x, points, first, tiles);
    for (i64 r = chunk * CHUNK; r < last; ++r) {
      if (weight[r] == 0) continue;  // a frozen replica is NaN
      batch.forward(position + r * SIZE);
      UNROLL for (int e = 0; e < EACH; ++e) sums[e].add(batch.out[e], weight[r]);
    }
    UNROLL for (int e = 0; e < EACH; ++e) {
      const i64 t = first + e * tiles, at = chunk * points + t;
      if (t >= points) continue;
      UNROLL for (int o = 0; o < OUTPUTS; ++o) {
        sum[at * OUTPUTS + o] = sums[e].phi[o];
        square[at * OUTPUTS + o] = sums[e].square[o];
      }
      entropy[at] = sums[e].entropy;
    }
  }
}

// out [count] += scale times the sum of `each` of the parts [chunks, count], in order, block of parts by block.
KERNEL fold_kernel(i64 chunks, i64 count, i64 each, double scale, const double* RESTRICT parts, double* out) {
  GRID(i, count) {
    double total = out[i];
    for (i64 first = 0; first < chunks; first += each) {
      double block = 0;
      for (i64 chunk = first; chunk < chunks && chunk < first + each; ++chunk) block += parts[chunk * count + i];
      total += scale * block;
    }
    out[i] = total;
  }
}

// Negative log likelihood and right answers of each replica [replicas], summed over all points by a team.
KERNEL scores_kernel(i64 replicas, i64 points, const scalar* RESTRICT position, const scalar* RESTRICT x, const scalar* RESTRICT y,
                     const double* RESTRICT likelihood, double* loss, double* right) {
  GRID_ROWS(r, replicas) {
    Team team(member, nullptr);
    double losses = 0, rights = 0;
    Noise noise;
    noise.prepare(position + r * SIZE + TAIL_ROW + OWN_ROW);
    for (i64 first = member; first < points; first += EACH * TEAM) {
      Batch<EACH> batch;
      batch.fetch(x, points, first, TEAM);
      batch.forward(position + r * SIZE);
      UNROLL for (int e = 0; e < EACH; ++e) {
        const i64 t = first + e * TEAM;
        if (t >= points) continue;
        scalar target[ROW - INPUTS];
        UNROLL for (int k = 0; k < ROW - INPUTS; ++k) target[k] = y[t * (ROW - INPUTS) + k];
        const double one = Likelihood::loss(batch.out[e], target, likelihood, noise.of);
        losses += WEIGHTED ? one * target[ROW - INPUTS - 1] : one;
        rights += Likelihood::right(batch.out[e], target);
      }
    }
    losses = team.sum(losses);
    rights = team.sum(rights);
    if (member == 0) {
      loss[r] = losses;
      right[r] = rights;
    }
  }
}
