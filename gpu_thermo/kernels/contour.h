// Contour SGLD (equations.md section 5) for one replica at a time, in float64: as moves/contour.py, and equal to it to rounding.
// Not vectors of lanes: each lane looks into another bin, and it is little work beside a gradient.
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

// Logarithm of a positive normal number, within an ulp: 2 atanh(s), s = f / (2 + f).
HD double log_double(double x) {
  constexpr double c[] = {0.146300313641228605, 0.153306173067433049, 0.181829225135159416, 0.222222106742385152,
                          0.285714286288109956, 0.399999999998932218, 0.666666666666666991};
  const u64 root_half = 0x3FE6A09E667F3BCDull;
  const i64 n = i64(double_bits(x) - root_half) >> 52;
  const double f = bits_double(double_bits(x) - (u64(n) << 52)) - 1, s = f / (f + 2), s2 = s * s, half = f * f * 0.5;
  double p = c[0];
  UNROLL for (int i = 1; i < 7; ++i) p = p * s2 + c[i];
  return double(n) * LN2_HIGH64 + ((f - (half - s * (half + s2 * p))) + double(n) * LN2_LOW64);
}

// log(1 + e): the rounding error of 1 + e is carried along.
HD double log1p_double(double e) {
  const double u = e + 1;
  return log_double(u) + (e - (u - 1)) / u;
}

// exp(x) of x <= 0; below -708 it stays at about 1e-308.
HD double exp_double(double x) {
  constexpr double c[] = {2.09154422977801152e-9,   2.51062747335732947e-8, 2.75572718102197996e-7, 2.75572528335169097e-6,
                          0.0000248015873270071867, 0.000198412698768643549, 0.00138888888888833267, 0.0083333333333255447,
                          0.0416666666666666701,    0.166666666666666714,    0.5};
  const double rounder = 6755399441055744.0;  // 1.5 2^52: adding it rounds to an integer
  x = x < -708 ? -708 : x;
  const double shifted = x * 1.44269504088896340736 + rounder, whole = shifted - rounder;
  const double f = (x - whole * LN2_HIGH64) - whole * LN2_LOW64;
  double p = c[0];
  UNROLL for (int i = 1; i < 11; ++i) p = p * f + c[i];
  return (1 + (f + f * f * p)) * bits_double(u64(i64(whole) + 1023) << 52);
}

// The multiplier of the gradient that came with `energy`, and one update of the histogram.
SLOW double flatten(const Contour& c, const Histogram& h, double energy, double tau, double log_omega) {
  if (energy != energy) return 1;
  const double x = (energy - c.lowest) / c.width, last = double(c.bins - 1);
  const bool inside = x >= 0 && x < double(c.bins);
  const i64 j = i64(x < 0 ? 0 : x > last ? last : x);
  const bool sloped = inside && j > 0 && h.seen[j > 0 ? j - 1 : 0];
  const double here = h.log_weight[j], under = sloped ? h.log_weight[j - 1] : here, slope = (here - under) / c.width;
  const double psi = sloped && !c.published ? under + slope * (energy - (c.lowest + c.width * double(j))) : here;
  const double raw = 1 + c.zeta * tau * slope, multiplier = raw < c.low ? c.low : raw > c.high ? c.high : raw;

  const double log_w = here + *h.shift;
  const double log_c = log_omega + c.zeta * (psi + *h.shift) + (c.interacting ? (1 - c.zeta) * log_w : 0);
  const double decay = log1p_double(-exp_double(log_c)), shift = *h.shift + decay, old = log_w + decay;
  const double more = old > log_c ? old : log_c, less = old > log_c ? log_c : old;
  *h.shift = shift;
  h.log_weight[j] = more + log1p_double(exp_double(less - more)) - shift;
  h.seen[j] = 1;
  ++h.visits[j];
  *h.clipped += raw != multiplier;
  *h.outside += !inside;
  *h.multiplier = multiplier;
  return multiplier;
}
