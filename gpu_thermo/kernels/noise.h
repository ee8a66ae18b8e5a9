// Noise and minibatches for the batched engine on the CPU: the kernels' own, LANES replicas at a time, into NumPy's arrays.
#pragma once

struct Identity {
  const u32 *low, *high, *stream;  // [R]
  i64 replicas;
};

// Keys of the replicas first .. first + LANES - 1; lanes beyond the last replica double it.
static Keys keys_of(const Identity& who, i64 first) {
  word low = splat_word(0), high = low, stream = low;
  for (int l = 0; l < LANES; ++l) {
    const i64 r = first + l < who.replicas ? first + l : who.replicas - 1;
    set(low, l, who.low[r]);
    set(high, l, who.high[r]);
    set(stream, l, who.stream[r]);
  }
  Keys keys;
  keys.open(low, high, stream);
  return keys;
}

template <class V, class T> static void store(const V& v, T* out, i64 first, i64 replicas, i64 stride) {
  for (int l = 0; l < LANES && first + l < replicas; ++l) out[l * stride] = T(get(v, l));
}

// Training points [R, batch] of gradient `ordinal`.
template <int MODE> static void choose(const Identity& who, const Grid& grid, u64 ordinal, i64 batch, i64* out) {
  for (i64 first = 0; first < who.replicas; first += LANES) {
    const Keys keys = keys_of(who, first);
    const Chooser<MODE> chooser(keys, grid, ordinal, u32(batch));
    for (i64 t = 0; t < batch; ++t) {
      word index[1];
      chooser.points(u32(t), 1, grid, index);
      store(index[0], out + first * batch + t, first, who.replicas, batch);
    }
  }
}

extern "C" {

// out[r, where[4 b + l]] = normal l of blocks[b]; where < 0 is left out. out is [R, width].
void fill_normals(const Identity* who, u32 purpose, u64 ordinal, u32 sub, const u32* blocks, i64 count, const i32* where, scalar* out, i64 width) {
  for (i64 first = 0; first < who->replicas; first += LANES) {
    const Keys keys = keys_of(*who, first);
    const Address at = address(keys, purpose, ordinal, sub);
    scalar* row = out + first * width;
    for (i64 b = 0; b < count; b += DRAW_BLOCK) {
      u32 block[DRAW_BLOCK];
      real n[DRAW_BLOCK][4];
      for (int i = 0; i < DRAW_BLOCK; ++i) block[i] = blocks[b + i < count ? b + i : count - 1];
      normals(at, block, n);
      for (int i = 0; i < DRAW_BLOCK && b + i < count; ++i) {
        for (int l = 0; l < 4; ++l) {
          const i32 column = where[4 * (b + i) + l];
          if (column >= 0) store(n[i][l], row + column, first, who->replicas, width);
        }
      }
    }
  }
}

void fill_minibatch(const Identity* who, i32 mode, const Grid* grid, u64 ordinal, i64 batch, i64* out) {
  if (mode == SUBSET) choose<SUBSET>(*who, *grid, ordinal, batch, out);
  if (mode == EPOCH) choose<EPOCH>(*who, *grid, ordinal, batch, out);
  if (mode == SYMMETRIC) choose<SYMMETRIC>(*who, *grid, ordinal, batch, out);
  if (mode == REPLACEMENT) choose<REPLACEMENT>(*who, *grid, ordinal, batch, out);
}
}
