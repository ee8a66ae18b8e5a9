// Contour SGLD (equations.md section 5) for one replica at a time, in float64: as moves/contour.py, and equal to it to rounding.
// Lanes are gathered and scattered one by one: each looks into another bin.
#pragma once

struct Contour {
  double zeta, lowest, width, low, high;  // low, high: bounds of the gradient's multiplier
  i64 bins;
  bool interacting, published;
};

// The histogram of one replica, in memory: w_i = exp(log_weight[i] + shift).
struct Histogram {
  double *log_weight, *shift, *multiplier;
  u8* seen;
  i32* visits;
  i64 *clipped, *outside;
};

constexpr double ROUND64 = 6755399441055744.0;  // 1.5 2^52: adding it rounds to an integer, which the low bits then hold
constexpr u64 ROUND64_BITS = 0x4338000000000000ull;

template <int COUNT> HD doubles horner(doubles x, const double (&c)[COUNT]) {
  doubles p = x * c[0] + c[1];
  UNROLL for (int i = 2; i < COUNT; ++i) p = p * x + c[i];
  return p;
}

// Logarithm of positive normal numbers, within an ulp: 2 atanh(s), s = f / (2 + f), as math.h.
HD doubles log_double(doubles x) {
  constexpr double c[] = {0.146300313641228605, 0.153306173067433049, 0.181829225135159416, 0.222222106742385152,
                          0.285714286288109956, 0.399999999998932218, 0.666666666666666991};
  const u64 root_half = 0x3FE6A09E667F3BCDull, bias = 1023ull << 52;
  const double_words e = (double_bits(x) - root_half + bias) >> 52;  // exponent + 1023
  const doubles n = bits_double(e + (ROUND64_BITS - 1023)) - ROUND64;
  const doubles f = bits_double(double_bits(x) - (e << 52) + bias) - 1.0, s = f / (f + 2.0), s2 = s * s, half = f * f * 0.5;
  return n * LN2_HIGH64 + ((f - (half - s * (half + s2 * horner(s2, c)))) + n * LN2_LOW64);
}

// log(1 + e): the rounding error of 1 + e is carried along.
HD doubles log1p_double(doubles e) {
  const doubles u = e + 1.0;
  return log_double(u) + (e - (u - 1.0)) / u;
}

// exp(x) of x <= 0; below -708 it stays at about 1e-308.
HD doubles exp_double(doubles x) {
  constexpr double c[] = {2.09154422977801152e-9,   2.51062747335732947e-8, 2.75572718102197996e-7, 2.75572528335169097e-6,
                          0.0000248015873270071867, 0.000198412698768643549, 0.00138888888888833267, 0.0083333333333255447,
                          0.0416666666666666701,    0.166666666666666714,    0.5};
  x = x < -708.0 ? x * 0.0 - 708.0 : x;
  const doubles shifted = x * 1.44269504088896340736 + ROUND64, whole = shifted - ROUND64;
  const doubles f = (x - whole * LN2_HIGH64) - whole * LN2_LOW64;
  return (f + f * f * horner(f, c) + 1.0) * bits_double((double_bits(shifted) - (ROUND64_BITS - 1023)) << 52);
}

// One evaluation of LANES replicas: what `look` finds in their histograms, and what `learn` and `count` put back.
struct Visit {
  i64 bin[LANES];
  bool inside[LANES];
  double raw[LANES], multiplier[LANES];
  doubles log_w[LANES / DOUBLES], log_step[LANES / DOUBLES], decay[LANES / DOUBLES];
};

// Bin and multiplier of an energy, log w of the bin, and log of the step that w takes towards it.
HD void look(const Contour& c, const Histogram& h, int l, double energy, double tau, double log_omega, Visit& v) {
  const double x = (energy - c.lowest) / c.width, last = double(c.bins - 1);
  const bool inside = x >= 0 && x < double(c.bins);
  const i64 j = i64(x < 0 ? 0 : x > last ? last : x);
  const bool sloped = inside && j > 0 && h.seen[j > 0 ? j - 1 : 0];
  const double here = h.log_weight[j], under = sloped ? h.log_weight[j - 1] : here, slope = (here - under) / c.width;
  const double psi = sloped && !c.published ? under + slope * (energy - (c.lowest + c.width * double(j))) : here;
  const double raw = 1 + c.zeta * tau * slope, log_w = here + *h.shift;
  v.bin[l] = j;
  v.inside[l] = inside;
  v.raw[l] = raw;
  v.multiplier[l] = raw < c.low ? c.low : raw > c.high ? c.high : raw;
  set(v.log_w[l / DOUBLES], l % DOUBLES, log_w);
  set(v.log_step[l / DOUBLES], l % DOUBLES, log_omega + c.zeta * (psi + *h.shift) + (c.interacting ? (1 - c.zeta) * log_w : 0));
}

// All weights decay by 1 - step, and the visited one gains the step.
SLOW void move(Visit& v) {
  UNROLL for (int i = 0; i < LANES / DOUBLES; ++i) {
    const doubles step = v.log_step[i], decay = log1p_double(-exp_double(step)), old = v.log_w[i] + decay;
    const doubles more = old > step ? old : step, less = old > step ? step : old;
    v.decay[i] = decay;
    v.log_w[i] = more + log1p_double(exp_double(less - more));
  }
}

HD void learn(const Histogram& h, int l, const Visit& v) {
  const i64 j = v.bin[l];
  *h.shift += get(v.decay[l / DOUBLES], l % DOUBLES);
  h.log_weight[j] = get(v.log_w[l / DOUBLES], l % DOUBLES) - *h.shift;
  h.seen[j] = 1;
}

HD void count(const Histogram& h, int l, const Visit& v) {
  ++h.visits[v.bin[l]];
  *h.clipped += v.raw[l] != v.multiplier[l];
  *h.outside += !v.inside[l];
  *h.multiplier = v.multiplier[l];
}
