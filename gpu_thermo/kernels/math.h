// Logarithm, exponential, hyperbolic tangent and friends as branch-free polynomials, a few ulp each in float32 and float64.
// Coefficients are near-minimax fits (Chebyshev), highest power first. NaN stays NaN; exp overflows to inf and underflows to 0.
#pragma once

// Functions of arrays work on several numbers side by side, step by step: one chain alone is longer than a processor looks ahead.

// Even and odd powers as two chains: half the latency of one.
template <int N, int COUNT> HD void polynomials(const real (&x)[N], const double (&c)[COUNT], real (&y)[N]) {
  real x2[N], even[N];
  UNROLL for (int j = 0; j < N; ++j) {
    x2[j] = x[j] * x[j];
    y[j] = splat(scalar(c[COUNT % 2]));
    even[j] = splat(scalar(c[1 - COUNT % 2]));
  }
  UNROLL for (int i = 2; i < COUNT; i += 2) {
    UNROLL for (int j = 0; j < N; ++j) {
      const int odd = i + COUNT % 2, other = i + 1 - COUNT % 2;
      if (odd < COUNT) y[j] = y[j] * x2[j] + scalar(c[odd]);
      if (other < COUNT) even[j] = even[j] * x2[j] + scalar(c[other]);
    }
  }
  UNROLL for (int j = 0; j < N; ++j) y[j] = y[j] * x[j] + even[j];
}

template <int COUNT> HD real polynomial(real x, const double (&c)[COUNT]) {
  const real of[1] = {x};
  real y[1];
  polynomials(of, c, y);
  return y[0];
}

constexpr double LN2_HIGH32 = 0.693359375, LN2_LOW32 = -2.12194440e-4;                                // 0.693359375 has 9 bits: n LN2_HIGH is exact
constexpr double LN2_HIGH64 = 6.93147180369123816490e-01, LN2_LOW64 = 1.90821492927058770002e-10;     // fdlibm's split
constexpr double LN2_HIGH = IS_DOUBLE ? LN2_HIGH64 : LN2_HIGH32, LN2_LOW = IS_DOUBLE ? LN2_LOW64 : LN2_LOW32;
constexpr double ROUNDER = IS_DOUBLE ? 6755399441055744.0 : 12582912.0;  // 1.5 2^52 or 1.5 2^23: adding it rounds to an integer
constexpr int MANTISSA = IS_DOUBLE ? 52 : 23, BIAS = IS_DOUBLE ? 1023 : 127, SIGN = IS_DOUBLE ? 63 : 31;
constexpr double ULP = IS_DOUBLE ? 1.0 / (1ull << 52) : 1.0 / (1ull << 23);  // of 1

// log(1 + f) for sqrt(1/2) <= 1 + f <= sqrt(2).
template <int N> HD void log_near_one(const real (&f)[N], real (&y)[N]) {
  if constexpr (IS_DOUBLE) {  // 2 atanh(s), s = f / (2 + f)
    constexpr double c[] = {0.146300313641228605,  0.153306173067433049, 0.181829225135159416, 0.222222106742385152,
                            0.285714286288109956,  0.399999999998932218, 0.666666666666666991};
    UNROLL for (int j = 0; j < N; ++j) {
      const real s = f[j] / (f[j] + scalar(2)), s2 = s * s, half = f[j] * f[j] * scalar(0.5);
      y[j] = f[j] - (half - s * (half + s2 * polynomial(s2, c)));  // f - s (f - s^2 P) with the large part exact, as fdlibm
    }
  } else {
    constexpr double c[] = {-0.0790274377239344096, 0.126223198492283764, -0.129981837636515291, 0.142144959239479628,
                            -0.16641281463106393,   0.200010450941606803, -0.250003064225697946, 0.333333307281906765};
    polynomials(f, c, y);
    UNROLL for (int j = 0; j < N; ++j) {
      const real f2 = f[j] * f[j];
      y[j] = f[j] + (f2 * scalar(-0.5) + f2 * f[j] * y[j]);
    }
  }
}

// A positive normal number is (1 + f) 2^n; power is n 2^MANTISSA.
HD void take_apart(real x, real& f, real& power) {
  const real_bits from = bits(splat(scalar(0.70710678118654752440))), whole = (bits(x) - from) >> MANTISSA << MANTISSA;
  power = ints_to_real(real_ints(whole));
  f = unbits(bits(x) - whole) - scalar(1);
}

// Natural logarithm of a positive normal number.
HD real log_of(real x) {
  real f[1], power, near[1];
  take_apart(x, f[0], power);
  log_near_one(f, near);
  return power * scalar(LN2_HIGH * ULP) + (near[0] + power * scalar(LN2_LOW * ULP));
}

// sin(2 pi f), |f| <= 1/4, from f and its square.
template <int N> HD void sines(const real (&f)[N], const real (&square)[N], real (&y)[N]) {
  if constexpr (IS_DOUBLE) {
    constexpr double c[] = {-0.0116830828813074924, 0.104183090870646484, -0.718118921891065832, 3.81995243486680902, -15.0946425727019742,
                            42.0586939448287014, -76.7058597530607231, 81.605249276075051, -41.3417022403997602, 6.28318530717958648};
    polynomials(square, c, y);
  } else {
    constexpr double c[] = {39.7598270853191011, -76.5811726442787245, 81.6024763689251797, -41.3416806133465153, 6.2831852801544065};
    polynomials(square, c, y);
  }
  UNROLL for (int j = 0; j < N; ++j) y[j] = f[j] * y[j];
}

// cos(2 pi f).
template <int N> HD void cosines(const real (&square)[N], real (&y)[N]) {
  if constexpr (IS_DOUBLE) {
    constexpr double c[] = {-0.0352196046381467584, 0.281852259384350928, -1.71437943713827034, 7.90353587110393788, -26.4262567696311952,
                            60.2446413716467251, -85.4568172066915177, 64.9393940226682807, -19.7392088021787172, 1.0};
    polynomials(square, c, y);
  } else {
    constexpr double c[] = {-24.9814344678916551, 60.1438895603421466, -85.4535647609952217,
                            64.9393464762101481,  -19.7392085477157825, 0.999999999779154032};
    polynomials(square, c, y);
  }
}

// sin and cos of 2 pi u, 0 <= u <= 1: half turns go into the sign, which is handed to both.
HD void sincos_turns(real u, real& sine, real& cosine) {
  const real shifted = u * scalar(2) + scalar(ROUNDER);
  const real_bits sign = bits(shifted) << SIGN;
  const real f[1] = {u - (shifted - scalar(ROUNDER)) * scalar(0.5)}, square[1] = {f[0] * f[0]};
  real s[1], c[1];
  sines(f, square, s);
  cosines(square, c);
  sine = unbits(bits(s[0]) ^ sign);
  cosine = unbits(bits(c[0]) ^ sign);
}

// x = n ln 2 + f; returns expm1(f), n as an integer.
HD real reduced_expm1(real x, real_ints& n) {
  const real shifted = x * scalar(1.44269504088896340736) + scalar(ROUNDER);
  const real whole = shifted - scalar(ROUNDER);
  n = real_ints(bits(shifted) - bits(splat(scalar(ROUNDER))));
  const real f = (x - whole * scalar(LN2_HIGH)) - whole * scalar(LN2_LOW);
  if constexpr (IS_DOUBLE) {
    constexpr double c[] = {2.09154422977801152e-9, 2.51062747335732947e-8, 2.75572718102197996e-7, 2.75572528335169097e-6,
                            0.0000248015873270071867, 0.000198412698768643549, 0.00138888888888833267, 0.0083333333333255447,
                            0.0416666666666666701, 0.166666666666666714, 0.5};
    return f + f * f * polynomial(f, c);
  } else {
    constexpr double c[] = {0.000198919813139776902, 0.00139345419282702645, 0.00833331002422529243,
                            0.041666456809677876,    0.166666666825343561,  0.500000001428622342};
    return f + f * f * polynomial(f, c);
  }
}

HD real power_of_two(real_ints n) { return unbits(real_bits(n + BIAS) << MANTISSA); }

HD real clamp(real x, scalar low, scalar high) {  // NaN passes
  x = select(x < splat(low), splat(low), x);
  return select(x > splat(high), splat(high), x);
}

HD real exp_of(real x) {
  real_ints n;
  const real m = reduced_expm1(clamp(x, scalar(IS_DOUBLE ? -746 : -104), scalar(IS_DOUBLE ? 710 : 89)), n) + scalar(1);
  const real_ints half = n >> 1;
  return m * power_of_two(half) * power_of_two(n - half);  // two factors, so that results near the ends of the range survive
}

HD real expm1_of(real x) {
  real_ints n;
  const real m = reduced_expm1(clamp(x, scalar(IS_DOUBLE ? -40 : -20), scalar(IS_DOUBLE ? 710 : 89)), n);
  const real_ints half = n >> 1;
  const real near = m * power_of_two(n) + (power_of_two(n) - scalar(1));
  const real far = ((m + scalar(1)) * power_of_two(half)) * power_of_two(n - half) - scalar(1);  // 2^n alone overflows at the top
  return select(x > splat(scalar(IS_DOUBLE ? 700 : 80)), far, near);
}

HD real magnitude(real x) { return unbits(bits(x) & ~bits(splat(scalar(-0.0)))); }
HD real with_sign(real size, real of) { return unbits(bits(size) | (bits(of) & bits(splat(scalar(-0.0))))); }

// tanh(x) = t / (t + 2), t = expm1(2 |x|).
HD real tanh_of(real x) {
  const real size = clamp(magnitude(x), scalar(0), scalar(IS_DOUBLE ? 20 : 10)), t = expm1_of(size * scalar(2));
  return with_sign(t / (t + scalar(2)), x);
}

HD real sigmoid_of(real x) { return scalar(1) / (exp_of(-x) + scalar(1)); }

// log(1 + e): the rounding error of 1 + e is carried along.
HD real log1p_of(real e) {
  const real u = e + scalar(1);
  return log_of(u) + (e - (u - scalar(1))) / u;
}

HD real softplus_of(real x) { return select(x > zero(), x, zero()) + log1p_of(exp_of(-magnitude(x))); }

// log y! of whole numbers from 0 to 1e9, as functions.py has it: Stirling's series at y + 9 without the factors y + 1 to y + 8.
HD real log_factorial_of(real y) {
  constexpr double c[] = {-691 / 360360.0, 1 / 1188.0, -1 / 1680.0, 1 / 1260.0, -1 / 360.0, 1 / 12.0};
  const real x = y + scalar(9), square = splat(scalar(1)) / (x * x);
  const real low = (y + scalar(1)) * (y + scalar(2)) * (y + scalar(3)) * (y + scalar(4));
  const real high = (y + scalar(5)) * (y + scalar(6)) * (y + scalar(7)) * (y + scalar(8));
  return (x - scalar(0.5)) * log_of(x) - x + scalar(0.91893853320467274178) + polynomial(square, c) / x - log_of(low) - log_of(high);
}

HD mask is_finite(real x) { return x - x == zero(); }
