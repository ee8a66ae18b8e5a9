"""Functions of the headers, called one by one, and what they should be."""

import numpy as np
import scipy.special

from gpu_thermo.kernels.emit import library, prologue

FUNCTIONS = ("log_of", "exp_of", "expm1_of", "tanh_of", "sigmoid_of", "log1p_of", "softplus_of", "root", "phi")
PROBE = """
extern "C" {
i64 lanes() { return LANES; }
void normals_of(u32 seed_low, u32 seed_high, const u32* stream, u64 ordinal, u32 sub, i64 blocks,
                scalar* out) {  // [lanes, blocks, 4]
  word id = splat_word(0);
  for (int l = 0; l < LANES; ++l) set(id, l, stream[l]);
  Keys keys;
  keys.open(splat_word(seed_low), splat_word(seed_high), id);
  const Address a = address(keys, PURPOSE_STEP, ordinal, sub);
  for (i64 b = 0; b < blocks; ++b) {
    const u32 block[1] = {u32(b)};
    real n[1][4];
    normals(a, block, n);
    for (int l = 0; l < LANES; ++l) for (int i = 0; i < 4; ++i) out[(l * blocks + b) * 4 + i] = get(n[0][i], l);
  }
}
void uniform_of(const u32* words, i64 count, scalar* out) {
  for (i64 i = 0; i < count; i += LANES) {
    word w = splat_word(0);
    for (int l = 0; l < LANES && i + l < count; ++l) set(w, l, words[i + l]);
    const real u = uniform(w);
    for (int l = 0; l < LANES && i + l < count; ++l) out[i + l] = get(u, l);
  }
}
}
template <int MODE> void choose(u32 seed, const u32* stream, Grid g, u64 ordinal, i64 batch,
                                u32* out) {  // [lanes, batch]
  word id = splat_word(0), index[1];
  for (int l = 0; l < LANES; ++l) set(id, l, stream[l]);
  Keys keys;
  keys.open(splat_word(seed), splat_word(0), id);
  const Chooser<MODE> chooser(keys, g, ordinal, u32(batch));
  for (i64 b = 0; b < batch; ++b) {
    chooser.points(u32(b), 1, g, index);
    for (int l = 0; l < LANES; ++l) out[l * batch + b] = get(index[0], l);
  }
}
extern "C" {
void batch_of(int mode, u32 seed, const u32* stream, const Grid* g, u64 ordinal, i64 batch, u32* out) {
  if (mode == SUBSET) choose<SUBSET>(seed, stream, *g, ordinal, batch, out);
  if (mode == EPOCH) choose<EPOCH>(seed, stream, *g, ordinal, batch, out);
  if (mode == SYMMETRIC) choose<SYMMETRIC>(seed, stream, *g, ordinal, batch, out);
  if (mode == REPLACEMENT) choose<REPLACEMENT>(seed, stream, *g, ordinal, batch, out);
}
}
"""
LOOP = """
extern "C" void do_FUNCTION(const scalar* x, i64 count, scalar* out) {
  for (i64 i = 0; i < count; i += LANES) {
    real v = zero();
    for (int l = 0; l < LANES && i + l < count; ++l) set(v, l, x[i + l]);
    v = FUNCTION(v);
    for (int l = 0; l < LANES && i + l < count; ++l) out[i + l] = get(v, l);
  }
}
"""


def probe_source(bits, lanes):
    loops = "".join(LOOP.replace("FUNCTION", name) for name in FUNCTIONS)
    return "\n".join((prologue(bits, 1, lanes), library(), loops, PROBE))


class Probe:
    """The headers' functions on arrays, in a library here or of another machine."""

    def __init__(self, bits, library):
        self.dtype = np.float32 if bits == 32 else np.float64
        self.call, self.lanes = library.call, library.call("lanes")

    def __call__(self, name, x):
        out = np.empty(len(x), self.dtype)
        self.call(f"do_{name}", x.astype(self.dtype), len(x), out)
        return out


REFERENCE = {
    "log_of": np.log, "exp_of": np.exp, "expm1_of": np.expm1, "tanh_of": np.tanh, "sigmoid_of": scipy.special.expit,
    "log1p_of": np.log1p,
    "softplus_of": lambda x: np.maximum(x, 0) + np.log1p(np.exp(-abs(x))), "root": np.sqrt,
}  # fmt: skip
