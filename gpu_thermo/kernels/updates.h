// Whole-step updates (equations.md section 3).
#pragma once

// SGD: theta += h G
HD void descend(real& theta, real gradient, real h) { theta -= h * gradient; }

// SGLD's noise: theta += sqrt(2 h tau) R
HD void perturb(real& theta, real noise, real scale) { theta += scale * noise; }

// Momentum I, II and CoolMomentum: v = keep v + gain G; theta += rate v
HD void heavy_ball(real& theta, real& v, real gradient, real keep, real gain, real rate) {
  v = keep * v - gain * gradient;
  theta += rate * v;
}

// Adam, bias-corrected: .9, .999, 1e-8; correct1 = 1 - .9^k, correct2 = 1 - .999^k at update k
HD void adam(real& theta, real& m, real& v, real gradient, real rate, real correct1, real correct2) {
  const scalar b1 = scalar(0.9), b2 = scalar(0.999);
  m = m * b1 + gradient * (1 - b1);
  v = v * b2 + gradient * (1 - b2) * gradient;
  theta -= rate * (m / correct1) / (root(v / correct2) + scalar(1e-8));
}
