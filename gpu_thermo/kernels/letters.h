// The letters of splitting words, each its equation (equations.md section 2); h is the substep's own length, G = -gradient.
// The fused kernels and the elementwise kernels of the batched engine share these.
#pragma once

// A: theta += h p
HD void drift(real& theta, real p, real h) { theta += h * p; }

// B: p += h G
HD void kick(real& p, real gradient, real h) { p -= h * gradient; }

// C: p *= exp(-h xi); the exponent is formed in float64 and rounded once
HD real damp_factor(wide h, wide xi) { return exp_of(narrow(-(h * xi))); }
HD void damp(real& p, real factor) { p *= factor; }

// D: p += scale R, scale = sigma sqrt(h)
HD void diffuse(real& p, real noise, real scale) { p += scale * noise; }

// E: xi += rate (p.p - target), rate = h epsilon, target = n tau
HD void regulate(wide& xi, wide square_sum, wide rate, wide target) { xi += rate * (square_sum - target); }

// F: p = exp(-xi h) p + scale sqrt(phi(2 xi h)) R, scale = sigma sqrt(h), phi(x) = -expm1(-x)/x
HD real phi(real x) {
  const mask small = magnitude(x) < splat(scalar(1e-3));
  const real safe = select(small, splat(scalar(1)), x);
  return select(small, scalar(1) - x * scalar(0.5) + x * x * scalar(1.0 / 6), -expm1_of(-safe) / safe);
}
HD real exact_scale(wide h, wide xi, real scale) { return scale * root(phi(narrow(h * xi) * scalar(2))); }
HD void thermostat_exact(real& p, real noise, real factor, real scale) { p = factor * p + scale * noise; }

// O: p = a p + sqrt(v) R
HD void ornstein_uhlenbeck(real& p, real noise, real a, real root_v) { p = a * p + root_v * noise; }
