// Where the parameters of a perceptron stand: its layers, their units, and the tail behind them (equations.md section 12).
// From network.py: INPUTS m, LAYERS L, width(l) = d_l, OUTPUTS n, TARGETS, BATCH (0: all N points, known when it runs), CONSTANTS; TAIL parameters in TAILS tensors of
// tail_size(t), b_out first.
#pragma once

constexpr int ROW = INPUTS + TARGETS + (WEIGHTED ? 1 : 0);  // a data point: inputs, then label or targets, then its weight

HD constexpr int fan(int l) { return l == 0 ? INPUTS : width(l - 1); }
HD constexpr int of_unit(int l) { return fan(l) + 1 + (l + 1 == LAYERS ? OUTPUTS : 0); }  // W_l[j,:], b_l[j], in the last layer W_out[:,j]
HD constexpr int blocks_of_unit(int l) { return (of_unit(l) + 3) / 4; }                   // Philox blocks of one unit
HD constexpr int units_of_member(int l) { return (width(l) + TEAM - 1) / TEAM; }          // units member, member + TEAM, ...

HD constexpr int held_before(int l) {  // parameters of a member in the layers before l
  int sum = 0;
  for (int i = 0; i < l; ++i) sum += units_of_member(i) * of_unit(i);
  return sum;
}
HD constexpr int blocks_before(int l) {
  int sum = 0;
  for (int i = 0; i < l; ++i) sum += width(i) * blocks_of_unit(i);
  return sum;
}
HD constexpr int stored_before(int l) {  // in a row of State.position
  int sum = 0;
  for (int i = 0; i < l; ++i) sum += width(i) * (fan(i) + 1);
  return sum;
}
HD constexpr int tail_before(int t) {
  int sum = 0;
  for (int i = 0; i < t; ++i) sum += tail_size(i);
  return sum;
}

HD constexpr int tensor_of_tail(int i) {
  int t = 0;
  while (i >= tail_before(t + 1)) ++t;
  return t;
}

constexpr int OWN_ROW = TAIL - OWN;                          // in the tail: the likelihood's own parameters
constexpr int HELD = held_before(LAYERS);                    // parameters of one member, the tail aside
constexpr int TAIL_BLOCK = blocks_before(LAYERS);            // the tail's first Philox block
constexpr int OUT_ROW = stored_before(LAYERS);               // of W_out in a row of State.position
constexpr int TAIL_ROW = OUT_ROW + width(LAYERS - 1) * OUTPUTS;
constexpr int SIZE = TAIL_ROW + TAIL;                        // P

// Layer l: unit i of a member has its parameters at held(i) .. held(i) + PARAMETERS - 1.
template <int L> struct Layer {
  static constexpr int INDEX = L, FAN = fan(L), HIDDEN = width(L), PARAMETERS = of_unit(L), BLOCKS = blocks_of_unit(L);
  static constexpr int UNITS = units_of_member(L), FIRST = held_before(L), FIRST_BLOCK = blocks_before(L);
  HD static constexpr int held(int i) { return FIRST + i * PARAMETERS; }
  // Index of parameter c of unit j in a row of State.position.
  HD static constexpr int at(int j, int c) {
    return c < FAN ? stored_before(L) + j * FAN + c : c == FAN ? stored_before(L) + HIDDEN * FAN + j : OUT_ROW + (c - FAN - 1) * HIDDEN + j;
  }
};

// What the likelihood's functions read of its own parameters eta: eta itself, and exp(-eta).
struct Noise {
  real of[OWN > 0 ? 2 * OWN : 1];
  HD void prepare(const real* eta) {
    UNROLL for (int k = 0; k < OWN; ++k) {
      of[k] = eta[k];
      of[OWN + k] = exp_of(-eta[k]);
    }
  }
};

// act'(z) r, from z and value = act(z).
HD real sloped(real z, real value, real r) { return Activation::product(z, value, Activation::slope(z, value), r); }
