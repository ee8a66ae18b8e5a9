// Where the parameters of a perceptron stand: its layers, their units, and the tail behind them (equations.md section 12).
// From network.py: INPUTS m, LAYERS L, width(l) = d_l, OUTPUTS n, TARGETS, BATCH (0: all N points, known when it runs), CONSTANTS; TAIL parameters in TAILS tensors of
// tail_size(t), b_out first.
#pragma once

constexpr int ROW = INPUTS + TARGETS + (WEIGHTED ? 1 : 0);  // a data point: inputs, then label or targets, then its weight

HD constexpr int fan(int l) { return l == 0 ? INPUTS : width(l - 1); }
HD constexpr int of_unit(int l) { return fan(l) + 1 + (l + 1 == LAYERS ? OUTPUTS : 0); }  // W_l[j,:], b_l[j], in the last layer W_out[:,j]
HD constexpr int blocks_of_unit(int l) { return (of_unit(l) + 3) / 4; }                   // Philox blocks of one unit

// A layer's parameters fall into pieces: its units, each with all that is its own, dealt out to a team layer by layer. At depth a team shares
// them finer, by Philox blocks, four parameters of one unit or fewer, dealt out one after another through all layers.
constexpr bool BY_BLOCK = LAYERS > 1 && TEAM > 1;
HD constexpr int pieces(int l) { return BY_BLOCK ? width(l) * blocks_of_unit(l) : width(l); }
HD constexpr int share(int count) { return (count + TEAM - 1) / TEAM; }  // the most of so many that a member has

HD constexpr int blocks_before(int l) {
  int sum = 0;
  for (int i = 0; i < l; ++i) sum += width(i) * blocks_of_unit(i);
  return sum;
}
HD constexpr int held_before(int l) {  // parameters of a member in the layers before l
  if (BY_BLOCK) return 4 * share(blocks_before(l));
  int sum = 0;
  for (int i = 0; i < l; ++i) sum += share(pieces(i)) * of_unit(i);
  return sum;
}
HD constexpr int units_before(int l) { return l == 0 ? 0 : units_before(l - 1) + width(l - 1); }
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

// Layer l: a member's pieces BEGIN .. END - 1, some of which may be another layer's; piece i has its PIECE parameters from held(i) on.
template <int L> struct Layer {
  static constexpr int INDEX = L, FAN = fan(L), HIDDEN = width(L), PARAMETERS = of_unit(L), BLOCKS = blocks_of_unit(L), FIRST_BLOCK = blocks_before(L);
  static constexpr int PIECE = BY_BLOCK ? 4 : PARAMETERS, FIRST = BY_BLOCK ? FIRST_BLOCK : 0, COUNT = pieces(L);
  static constexpr int BEGIN = FIRST / TEAM, END = share(FIRST + COUNT);
  HD static constexpr int held(int i) { return BY_BLOCK ? 4 * i : held_before(L) + i * PARAMETERS; }
  // Whether a member's piece i is of this layer.
  HD static constexpr bool owns(int i, int member) {
    return (i * TEAM >= FIRST || i * TEAM + member >= FIRST) && ((i + 1) * TEAM <= FIRST + COUNT || i * TEAM + member < FIRST + COUNT);
  }
  // Unit of a piece of the layer, and which of the unit's parameters its number c is: PARAMETERS and above are none.
  HD static constexpr int unit(int piece) { return BY_BLOCK ? piece / BLOCKS : piece; }
  HD static constexpr int column(int piece, int c) { return BY_BLOCK ? piece % BLOCKS * 4 + c : c; }
  HD static constexpr int row(int j) { return 4 * (FIRST_BLOCK + j * BLOCKS); }  // of unit j among the team's positions
  // Index of parameter c of unit j in a row of State.position.
  HD static constexpr int at(int j, int c) {
    return c < FAN ? stored_before(L) + j * FAN + c : c == FAN ? stored_before(L) + HIDDEN * FAN + j : OUT_ROW + (c - FAN - 1) * HIDDEN + j;
  }
};

// Positions of a member: its own; or, shared by blocks, in the team's memory, where the others read its weights. Blocks follow one
// another there, so that a unit's row is whole.
struct Shares {
  real* all;
  int member;
  HD real& operator[](int i) const { return all[(i / 4 * TEAM + member) * 4 + i % 4]; }
};

template <bool SHARED> struct Positions {
  typedef real Of[HELD];
  struct Home {
    HD void give(Of&, int) {}
  };
};
template <> struct Positions<true> {
  typedef Shares Of;
  struct Home {
    alignas(16) alignas(real) real all[TEAM * HELD];  // 16 for reads of float4; Clang refuses less than a vector's own
    HD void give(Of& q, int member) { q = {all, member}; }
  };
};
typedef Positions<BY_BLOCK>::Of Position;

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
