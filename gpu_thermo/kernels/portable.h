// Everything that differs between CUDA, a host's vector units and the team test: the only file with conditional compilation.
//
// One text serves all: a replica is worked on by TEAM members, and each member works on LANES replicas at once.
//   GPU   LANES = 1, TEAM = 4 or more: a thread is a member of one replica's team, a part of a warp, a warp or several.
//   CPU   TEAM = 1, LANES = 4 to 16: a thread carries one replica in each lane of its vector registers.
//   test  LANES = 1, TEAM = 4 or more on the host: each member is a thread, exchange goes through memory and a barrier.
// `real`, `word` and `wide` below are numbers on the GPU and vectors of LANES numbers on the CPU; the arithmetic reads the same.
// Set before: REAL_BITS (32, 64), TEAM; LANES may be set, and is chosen from the processor otherwise.
#pragma once

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int i32;
typedef long long i64;

#if REAL_BITS == 64
typedef double scalar;
#else
typedef float scalar;
#endif

#if defined(__CUDACC__) || defined(__CUDACC_RTC__)
#define HD __device__ __forceinline__
#define SLOW __device__ __forceinline__  // a call would push the replica out of its registers
#define KERNEL extern "C" __global__ void
#define UNROLL _Pragma("unroll")
#define UNROLL_SOME UNROLL  // what lives in registers may not be indexed
#define ROLLED _Pragma("unroll 1")  // a compiler that unrolls these takes a minute
#define RESTRICT __restrict__
#undef LANES
#define LANES 1
constexpr bool ON_GPU = true;
// A kernel's argument, read where it is used: the compiler would keep what it knows of it in registers, and spill others.
template <class T>
HD const T& in_memory(const T& argument) {
  const T* place = &argument;
  asm("" : "+l"(place));
  return *place;
}
#else
#define HD inline __attribute__((always_inline))
#define SLOW inline __attribute__((noinline))
#define KERNEL extern "C" void
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#define UNROLL_SOME _Pragma("clang loop unroll_count(4)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#define UNROLL_SOME _Pragma("GCC unroll 4")  // long loops over memory: copies cost time to compile and win none
#endif
#define ROLLED
#define RESTRICT __restrict__
#ifndef LANES
#if defined(__AVX512F__)
#define LANES (512 / REAL_BITS)
#elif defined(__AVX2__)
#define LANES (256 / REAL_BITS)
#elif REAL_BITS == 32 && (defined(__SSE2__) || defined(__ARM_NEON))
#define LANES 4
#else
#define LANES 1
#endif
#endif
constexpr bool ON_GPU = false;
HD double not_a_number() { return __builtin_nan(""); }
#endif

constexpr bool IS_DOUBLE = REAL_BITS == 64;
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int VECTOR_REGISTERS = 32;
#else
constexpr int VECTOR_REGISTERS = 16;
#endif

// ---- LANES numbers --------------------------------------------------------------------------------------------------------------

#if LANES == 1

typedef scalar real;
typedef u32 word;
typedef double wide;
typedef bool mask;
typedef bool word_mask;

HD real splat(scalar x) { return x; }
HD word splat_word(u32 x) { return x; }
HD wide splat_wide(double x) { return x; }
template <class T> HD T get(const T& v, int) { return v; }
template <class T> HD void set(T& v, int, T x) { v = x; }
HD double lane_of(double v, int) { return v; }
HD void set_wide(wide& v, int, double x) { v = x; }
HD void set_mask(mask& m, int, bool on) { m = on; }
HD bool any(bool m) { return m; }
HD wide widen(real x) { return double(x); }
HD real narrow(wide x) { return scalar(x); }
HD real word_to_real(word w) { return scalar(w); }

#if defined(__CUDACC__) || defined(__CUDACC_RTC__)
HD word mulhi(word a, word b) { return __umulhi(a, b); }
HD float root(float x) { return sqrtf(x); }
HD double root(double x) { return sqrt(x); }
HD u32 bits(float x) { return __float_as_uint(x); }
HD u64 bits(double x) { return u64(__double_as_longlong(x)); }
HD float unbits(u32 b) { return __uint_as_float(b); }
HD double unbits(u64 b) { return __longlong_as_double(i64(b)); }
HD double not_a_number() { return __longlong_as_double(0x7FF8000000000000ll); }
#else
HD word mulhi(word a, word b) { return u32(u64(a) * b >> 32); }
HD float root(float x) { return __builtin_sqrtf(x); }
HD double root(double x) { return __builtin_sqrt(x); }
template <class To, class From> HD To pun(From x) {
  To y;
  __builtin_memcpy(&y, &x, sizeof y);
  return y;
}
HD u32 bits(float x) { return pun<u32>(x); }
HD u64 bits(double x) { return pun<u64>(x); }
HD float unbits(u32 b) { return pun<float>(b); }
HD double unbits(u64 b) { return pun<double>(b); }
#endif
#if REAL_BITS == 64
typedef u64 real_bits;
typedef i64 real_ints;
#else
typedef u32 real_bits;
typedef i32 real_ints;
#endif
HD real ints_to_real(real_ints i) { return scalar(i); }
HD void mulhilo(word a, word b, word& hi, word& lo) {
  hi = mulhi(b, a);
  lo = a * b;
}

#else  // vectors of the GCC and Clang kind

#define VECTOR(type) __attribute__((vector_size(LANES * sizeof(type)))) type
typedef VECTOR(scalar) real;
typedef VECTOR(u32) word;
typedef VECTOR(i32) word_mask;
#if REAL_BITS == 64
typedef VECTOR(u64) real_bits;
typedef VECTOR(i64) real_ints;
#else
typedef VECTOR(u32) real_bits;
typedef VECTOR(i32) real_ints;
#endif
typedef real_ints mask;

HD real splat(scalar x) { return x - real{}; }
HD word splat_word(u32 x) { return x - word{}; }
template <class V> HD auto get(const V& v, int l) { return v[l]; }
template <class V, class T> HD void set(V& v, int l, T x) { v[l] = x; }
HD real_bits bits(real x) { return (real_bits)x; }
HD real unbits(real_bits b) { return (real)b; }
HD real ints_to_real(real_ints i) { return __builtin_convertvector(i, real); }

HD void set_mask(mask& m, int l, bool on) { m[l] = on ? -1 : 0; }
template <class V> HD double lane_of(const V& v, int l) { return v[l]; }

template <class M> HD bool any_lane(M m) {
  bool yes = false;
  UNROLL for (int l = 0; l < LANES; ++l) yes |= m[l] != 0;
  return yes;
}
#if defined(__AVX__) && LANES == 8 && REAL_BITS == 32
HD bool any(word_mask m) { return __builtin_ia32_movmskps256((real)m) != 0; }
#else
HD bool any(mask m) { return any_lane(m); }
#if REAL_BITS == 64
HD bool any(word_mask m) { return any_lane(m); }
#endif
#endif

// A uint32 becomes a real with one rounding. Where there is no instruction for it both halves convert exactly and meet in one sum.
#if defined(__AVX512F__)
HD real word_to_real(word w) { return __builtin_convertvector(w, real); }
#else
HD real word_to_real(word w) {
  const word_mask high = word_mask(w >> 16), low = word_mask(w & 0xFFFFu);
  return __builtin_convertvector(high, real) * scalar(65536) + __builtin_convertvector(low, real);
}
#endif

// Products of 32-bit lanes: GCC does not find the multiply of even lanes by itself, Clang and ARM compilers do.
#if defined(__SSE2__) && !defined(__clang__)
typedef VECTOR(u32) pair_lanes;
typedef __attribute__((vector_size(LANES * 4))) u64 pairs;
HD pairs multiply_even(word a, word b) {
#if LANES == 16
  return (pairs)__builtin_ia32_pmuludq512_mask((__attribute__((vector_size(64))) int)a, (__attribute__((vector_size(64))) int)b,
                                               (__attribute__((vector_size(64))) long long){}, (unsigned char)-1);
#elif LANES == 8
  return (pairs)__builtin_ia32_pmuludq256((__attribute__((vector_size(32))) int)a, (__attribute__((vector_size(32))) int)b);
#else
  return (pairs)__builtin_ia32_pmuludq128((__attribute__((vector_size(16))) int)a, (__attribute__((vector_size(16))) int)b);
#endif
}
// Odd lanes where even ones stand, and the other way round; high and low halves of products of even and of odd lanes.
#if LANES == 16
HD pairs odd_lanes(word a) { return (pairs)__builtin_ia32_movshdup512_mask((real)a, (real)a, (unsigned short)-1); }
HD word join_high(pairs even, pairs odd) { return (word)__builtin_ia32_movshdup512_mask((real)even, (real)odd, (unsigned short)0x5555); }
HD word join_low(pairs even, pairs odd) { return (word)__builtin_ia32_movsldup512_mask((real)odd, (real)even, (unsigned short)0xAAAA); }
#elif LANES == 8
HD pairs odd_lanes(word a) { return (pairs)__builtin_shuffle(a, word{1, 1, 3, 3, 5, 5, 7, 7}); }
HD word join_high(pairs even, pairs odd) { return __builtin_shuffle((word)even, (word)odd, word{1, 9, 3, 11, 5, 13, 7, 15}); }
#else
HD pairs odd_lanes(word a) { return (pairs)a >> 32; }
HD word join_high(pairs even, pairs odd) { return __builtin_shuffle((word)even, (word)odd, word{1, 5, 3, 7}); }
#endif
HD word mulhi(word a, word b) { return join_high(multiply_even(a, b), multiply_even((word)odd_lanes(a), (word)odd_lanes(b))); }
HD void mulhilo(word a, word b, word& hi, word& lo) {  // `a` is alike in all lanes
  const pairs even = multiply_even(b, a), odd = multiply_even((word)odd_lanes(b), a);
  hi = join_high(even, odd);
#if LANES == 16
  lo = join_low(even, odd);
#else
  lo = b * a;
#endif
}
#else
typedef VECTOR(u64) long_words;
HD word mulhi(word a, word b) {
  return __builtin_convertvector((__builtin_convertvector(a, long_words) * __builtin_convertvector(b, long_words)) >> 32, word);
}
HD void mulhilo(word a, word b, word& hi, word& lo) {
  hi = mulhi(b, a);
  lo = b * a;
}
#endif

// Four neighbouring numbers of a row of each lane, by column: sixteen bytes at a time, transposed within them.
#if defined(__SSE2__) && !defined(__clang__) && REAL_BITS == 32
#define BY_FOURS true
typedef __attribute__((vector_size(16), aligned(4), may_alias)) float four;
typedef __attribute__((vector_size(16))) float aligned_four;
typedef VECTOR(float) floats;
typedef __attribute__((vector_size(LANES * 4))) double float_pairs;
HD floats join_fours(const scalar* const (&row)[LANES], int i) {
  const auto of = [&](int l) { return aligned_four(*reinterpret_cast<const four*>(row[l])); };
#if LANES == 16
  typedef __attribute__((vector_size(64))) float sixteen;
  sixteen x = __builtin_ia32_insertf32x4_mask(sixteen{}, of(i), 0, sixteen{}, (unsigned short)-1);
  x = __builtin_ia32_insertf32x4_mask(x, of(i + 4), 1, sixteen{}, (unsigned short)-1);
  x = __builtin_ia32_insertf32x4_mask(x, of(i + 8), 2, sixteen{}, (unsigned short)-1);
  return __builtin_ia32_insertf32x4_mask(x, of(i + 12), 3, sixteen{}, (unsigned short)-1);
#elif LANES == 8
  return __builtin_ia32_vinsertf128_ps256(__builtin_ia32_ps256_ps(of(i)), of(i + 4), 1);
#else
  return of(i);
#endif
}
#if LANES == 16
#define WITHIN_FOURS(a, b, c, d) {a, b, c, d, a + 4, b + 4, c + 4, d + 4, a + 8, b + 8, c + 8, d + 8, a + 12, b + 12, c + 12, d + 12}
#define WITHIN_PAIRS(a, b) {a, b, a + 2, b + 2, a + 4, b + 4, a + 6, b + 6}
#elif LANES == 8
#define WITHIN_FOURS(a, b, c, d) {a, b, c, d, a + 4, b + 4, c + 4, d + 4}
#define WITHIN_PAIRS(a, b) {a, b, a + 2, b + 2}
#else
#define WITHIN_FOURS(a, b, c, d) {a, b, c, d}
#define WITHIN_PAIRS(a, b) {a, b}
#endif
HD void transpose_fours(const floats (&x)[4], floats (&y)[4]) {
  const word low WITHIN_FOURS(0, LANES, 1, LANES + 1), high WITHIN_FOURS(2, LANES + 2, 3, LANES + 3);
  typedef __attribute__((vector_size(LANES * 4))) i64 long_pairs;
  const long_pairs first WITHIN_PAIRS(0, LANES / 2), second WITHIN_PAIRS(1, LANES / 2 + 1);
  UNROLL for (int i = 0; i < 2; ++i) {
    const float_pairs a = (float_pairs)__builtin_shuffle(x[0], x[1], i ? high : low), b = (float_pairs)__builtin_shuffle(x[2], x[3], i ? high : low);
    y[2 * i] = (floats)__builtin_shuffle(a, b, first);
    y[2 * i + 1] = (floats)__builtin_shuffle(a, b, second);
  }
}
HD void load_columns(const scalar* const (&row)[LANES], real (&column)[4]) {
  const floats x[4] = {join_fours(row, 0), join_fours(row, 1), join_fours(row, 2), join_fours(row, 3)};
  transpose_fours(x, column);
}
HD void store_columns(scalar* const (&row)[LANES], const real (&column)[4]) {
  floats x[4];
  transpose_fours(column, x);
  UNROLL for (int i = 0; i < 4; ++i) {
    const auto to = [&](int l) -> four& { return *reinterpret_cast<four*>(row[l]); };
#if LANES == 16
    to(i) = __builtin_ia32_extractf32x4_mask(x[i], 0, four{}, (unsigned char)-1);
    to(i + 4) = __builtin_ia32_extractf32x4_mask(x[i], 1, four{}, (unsigned char)-1);
    to(i + 8) = __builtin_ia32_extractf32x4_mask(x[i], 2, four{}, (unsigned char)-1);
    to(i + 12) = __builtin_ia32_extractf32x4_mask(x[i], 3, four{}, (unsigned char)-1);
#elif LANES == 8
    to(i) = __builtin_ia32_vextractf128_ps256(x[i], 0);
    to(i + 4) = __builtin_ia32_vextractf128_ps256(x[i], 1);
#else
    to(i) = x[i];
#endif
  }
}
#endif

#if defined(__AVX512F__) && !defined(__clang__) && REAL_BITS == 32 && LANES == 16
HD real root(real x) { return (real)__builtin_ia32_sqrtps512_mask(x, real{}, (unsigned short)-1, 4); }
#elif defined(__AVX__) && !defined(__clang__) && REAL_BITS == 32 && LANES == 8
HD real root(real x) { return __builtin_ia32_sqrtps256(x); }
#elif defined(__AVX__) && !defined(__clang__) && REAL_BITS == 64 && LANES == 4
HD real root(real x) { return __builtin_ia32_sqrtpd256(x); }
#else
HD real root(real x) {
  real y = x;
  UNROLL for (int l = 0; l < LANES; ++l) y[l] = REAL_BITS == 64 ? __builtin_sqrt(x[l]) : __builtin_sqrtf(x[l]);
  return y;
}
#endif

#if REAL_BITS == 64
typedef real wide;
HD wide splat_wide(double x) { return splat(x); }
HD void set_wide(wide& v, int l, double x) { v[l] = x; }
HD wide widen(real x) { return x; }
HD real narrow(wide x) { return x; }
#else
// LANES doubles as two registers.
typedef __attribute__((vector_size(LANES * 4))) double half_wide;
typedef __attribute__((vector_size(LANES * 2))) float half_real;
struct wide {
  half_wide part[2];
  HD double operator[](int l) const { return part[l / (LANES / 2)][l % (LANES / 2)]; }
  HD wide operator+(wide o) const { return {{part[0] + o.part[0], part[1] + o.part[1]}}; }
  HD wide operator-(wide o) const { return {{part[0] - o.part[0], part[1] - o.part[1]}}; }
  HD wide operator*(wide o) const { return {{part[0] * o.part[0], part[1] * o.part[1]}}; }
  HD wide operator-() const { return {{-part[0], -part[1]}}; }
  HD wide& operator+=(wide o) { return *this = *this + o; }
};
HD void set_wide(wide& v, int l, double x) { v.part[l / (LANES / 2)][l % (LANES / 2)] = x; }
HD wide splat_wide(double x) { return {{x - half_wide{}, x - half_wide{}}}; }
union real_halves {
  real whole;
  half_real part[2];
};
HD wide widen(real x) {
  real_halves h;
  h.whole = x;
  return {{__builtin_convertvector(h.part[0], half_wide), __builtin_convertvector(h.part[1], half_wide)}};
}
HD real narrow(wide x) {
  real_halves h;
  h.part[0] = __builtin_convertvector(x.part[0], half_real);
  h.part[1] = __builtin_convertvector(x.part[1], half_real);
  return h.whole;
}
#endif
#endif

#ifndef BY_FOURS
#define BY_FOURS false
HD void load_columns(const scalar* const (&row)[LANES], real (&column)[4]) {
  UNROLL for (int c = 0; c < 4; ++c) {
    UNROLL for (int l = 0; l < LANES; ++l) set(column[c], l, row[l][c]);
  }
}
HD void store_columns(scalar* const (&row)[LANES], const real (&column)[4]) {
  UNROLL for (int c = 0; c < 4; ++c) {
    UNROLL for (int l = 0; l < LANES; ++l) row[l][c] = get(column[c], l);
  }
}
#endif

// A vector's numbers one by one, where scalar instructions find them.
HD void spill(const word& w, u32 (&out)[LANES]) {
#if LANES == 1
  out[0] = w;
#else
  __builtin_memcpy(out, &w, sizeof w);
#endif
}

// Float64 whatever `real` is: DOUBLES lanes in one number or vector.
#if LANES == 1
typedef double doubles;
typedef u64 double_words;
constexpr int DOUBLES = 1;
#if defined(__CUDACC__) || defined(__CUDACC_RTC__)
HD u64 double_bits(double x) { return u64(__double_as_longlong(x)); }
HD double bits_double(u64 b) { return __longlong_as_double(i64(b)); }
#else
HD u64 double_bits(double x) { return pun<u64>(x); }
HD double bits_double(u64 b) { return pun<double>(b); }
#endif
#else
#if REAL_BITS == 64
typedef real doubles;
constexpr int DOUBLES = LANES;
#else
typedef half_wide doubles;
constexpr int DOUBLES = LANES / 2;
#endif
typedef __attribute__((vector_size(DOUBLES * 8))) u64 double_words;
HD double_words double_bits(doubles x) { return (double_words)x; }
HD doubles bits_double(double_words b) { return (doubles)b; }
#endif

// Lane l's own of what is an array of LANES. A GPU has one, and no index: what is indexed would leave the registers, and all it points to.
template <class T, int COUNT> HD T& of_lane(T (&of)[COUNT], int l) { return of[COUNT == 1 ? 0 : l]; }
template <class T, int COUNT> HD const T& of_lane(const T (&of)[COUNT], int l) { return of[COUNT == 1 ? 0 : l]; }
HD double get_wide(const wide& v, int l) { return lane_of(v, l); }
HD real select(mask m, real a, real b) { return m ? a : b; }
HD word select_word(word_mask m, word a, word b) { return m ? a : b; }
HD real zero() { return splat(scalar(0)); }

// What several instructions read: loaded once, where the compiler would have each of them load it.
#if defined(__AVX512F__) && !defined(__clang__)
HD real in_register(real x) {
  asm("" : "+v"(x));
  return x;
}
#else
HD real in_register(real x) { return x; }
#endif

// max(z, 0), where NaN passes: no comparison, which would take a multiplier's place.
#if defined(__AVX512F__) && !defined(__clang__) && REAL_BITS == 32 && LANES == 16
HD real positive_part(real z) { return (real)__builtin_ia32_maxps512_mask(zero(), z, real{}, (unsigned short)-1, 4); }
#elif defined(__AVX__) && !defined(__clang__) && REAL_BITS == 32 && LANES == 8
HD real positive_part(real z) { return __builtin_ia32_maxps256(zero(), z); }
#else
HD real positive_part(real z) { return select(zero() > z, zero(), z); }
#endif

// A bit a lane, where registers for these are: small enough to be kept.
#if defined(__AVX512F__) && !defined(__clang__) && REAL_BITS == 32 && LANES == 16
constexpr bool HAS_LANE_BITS = true;
typedef unsigned short lane_bits;
HD lane_bits is_positive(real z) { return __builtin_ia32_cmpps512_mask(z, zero(), 14, (unsigned short)-1, 4); }
HD real select_bits(lane_bits m, real a, real b) { return __builtin_ia32_blendmps_512_mask(b, a, m); }
#else
constexpr bool HAS_LANE_BITS = false;
typedef bool lane_bits;
HD lane_bits is_positive(real) { return false; }
HD real select_bits(lane_bits, real, real b) { return b; }
#endif

// ---- the team of one replica ----------------------------------------------------------------------------------------------------
//
// Sums come out equal, bit for bit, in every member: pairs at distance 16, 8, 4, 2, 1, then the groups of 32 in order.

constexpr int GROUP = TEAM < 32 ? TEAM : 32;
constexpr int GROUPS = TEAM / GROUP;

#if TEAM == 1

struct Exchange {};

struct Team {
  static constexpr int member = 0;
  HD explicit Team(int, Exchange*) {}
  HD void sync() {}
  HD wide sum(wide x) { return x; }
  HD real scatter_sum(real (&v)[GROUP]) { return v[0]; }
  HD int any_bits(int x) { return x; }
};

#elif defined(__CUDACC__) || defined(__CUDACC_RTC__)

struct Exchange {  // in shared memory, for teams of several warps
  double wide_value[GROUPS];
  int flag[GROUPS];
  scalar row[GROUPS][GROUP];
};

struct Team {
  int member;
  Exchange* shared;
  HD Team(int member_, Exchange* shared_) : member(member_), shared(shared_) {}
  // Lanes of the warp that are the team's: teams of one warp go their own ways.
  HD static u32 lanes() {
    if constexpr (TEAM >= 32) return 0xFFFFFFFFu;
    else return ((1u << TEAM) - 1u) << (threadIdx.x % 32u / TEAM * TEAM);
  }
  HD void sync() {
    if constexpr (GROUPS == 1) __syncwarp(lanes());
    else __syncthreads();
  }
  HD double sum(double x) {
    UNROLL for (int d = GROUP / 2; d > 0; d /= 2) x += __shfl_xor_sync(lanes(), x, d);
    if constexpr (GROUPS == 1) return x;
    __syncthreads();
    if (member % GROUP == 0) shared->wide_value[member / GROUP] = x;
    __syncthreads();
    x = shared->wide_value[0];
    UNROLL for (int i = 1; i < GROUPS; ++i) x += shared->wide_value[i];
    return x;
  }
  HD int any_bits(int x) {
    UNROLL for (int d = GROUP / 2; d > 0; d /= 2) x |= __shfl_xor_sync(lanes(), x, d);
    if constexpr (GROUPS == 1) return x;
    __syncthreads();
    if (member % GROUP == 0) shared->flag[member / GROUP] = x;
    __syncthreads();
    x = 0;
    UNROLL for (int i = 0; i < GROUPS; ++i) x |= shared->flag[i];
    return x;
  }
  // v[i] summed over the team, to member i of each group: halves are traded, so 31 shuffles serve 32 sums.
  HD scalar scatter_sum(scalar (&v)[GROUP]) {
    trade<GROUP / 2>(v);
    if constexpr (GROUPS == 1) return v[0];
    __syncthreads();
    shared->row[member / GROUP][member % GROUP] = v[0];
    __syncthreads();
    scalar x = shared->row[0][member % GROUP];
    UNROLL for (int i = 1; i < GROUPS; ++i) x += shared->row[i][member % GROUP];
    return x;
  }
  template <int D> HD void trade(scalar (&v)[GROUP]) {
    const bool upper = member & D;
    UNROLL for (int i = 0; i < D; ++i) {
      const scalar give = upper ? v[i] : v[i + D], keep = upper ? v[i + D] : v[i];
      v[i] = keep + __shfl_xor_sync(lanes(), give, D);
    }
    if constexpr (D > 1) trade<D / 2>(v);
  }
};
#else  // the test: members are threads, numbered by the caller; the barrier gives way so that two cores can carry many

extern "C" int sched_yield();
static int barrier_count = 0, barrier_phase = 0;

struct Exchange {
  double wide_value[TEAM];
  int flag[TEAM];
  scalar row[TEAM][GROUP];
};

struct Team {
  int member;
  Exchange* shared;
  Team(int member_, Exchange* shared_) : member(member_), shared(shared_) {}
  void sync() {
    const int phase = __atomic_load_n(&barrier_phase, __ATOMIC_ACQUIRE);
    if (__atomic_add_fetch(&barrier_count, 1, __ATOMIC_ACQ_REL) == TEAM) {
      __atomic_store_n(&barrier_count, 0, __ATOMIC_RELAXED);
      __atomic_store_n(&barrier_phase, phase + 1, __ATOMIC_RELEASE);
    } else {
      while (__atomic_load_n(&barrier_phase, __ATOMIC_ACQUIRE) == phase) sched_yield();
    }
  }
  template <class T> T tree(const T* all, int group) {
    T v[GROUP];
    for (int i = 0; i < GROUP; ++i) v[i] = all[group * GROUP + i];
    for (int d = GROUP / 2; d > 0; d /= 2)
      for (int i = 0; i < d; ++i) v[i] += v[i + d];
    return v[0];
  }
  double sum(double x) {
    sync();
    shared->wide_value[member] = x;
    sync();
    x = tree(shared->wide_value, 0);
    for (int i = 1; i < GROUPS; ++i) x += tree(shared->wide_value, i);
    return x;
  }
  int any_bits(int x) {
    sync();
    shared->flag[member] = x;
    sync();
    for (int i = x = 0; i < TEAM; ++i) x |= shared->flag[i];
    return x;
  }
  scalar scatter_sum(scalar (&v)[GROUP]) {
    sync();
    for (int i = 0; i < GROUP; ++i) shared->row[member][i] = v[i];
    sync();
    scalar x = 0, column[TEAM];
    for (int i = 0; i < TEAM; ++i) column[i] = shared->row[i][member % GROUP];
    for (int i = 0; i < GROUPS; ++i) x = i ? x + tree(column, i) : tree(column, 0);
    return x;
  }
};
#endif

// x; but what follows from it is not kept in registers from step to step.
HD int fresh(int x) {
  asm volatile("" : "+r"(x));
  return x;
}

// Units worked on side by side: enough independent arithmetic to hide its latency, few enough to stay in registers.
constexpr int DRAW_BLOCK = ON_GPU || LANES == 1 ? 1 : 2;

// Elementwise kernels: GRID is a loop over `count` elements, GRID_ROWS over rows with a team for each. On the host they are plain loops.
#if defined(__CUDACC__) || defined(__CUDACC_RTC__)
#define GRID(i, count) for (i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x; i < (count); i += i64(gridDim.x) * blockDim.x)
#define GRID_ROWS(row, rows) \
  const int member = threadIdx.x % TEAM; \
  for (i64 row = (i64(blockIdx.x) * blockDim.x + threadIdx.x) / TEAM; row < (rows); row += i64(gridDim.x) * blockDim.x / TEAM)
#else
#define GRID(i, count) for (i64 i = 0; i < (count); ++i)
#define GRID_ROWS(row, rows) \
  const int member = 0; \
  for (i64 row = 0; row < (rows); ++row)
#endif

// Loops over a member's pieces of layer L (layers.h), or over all parameters of its pieces: unrolled where they live in registers.
#if TEAM > 1
#define ON_PIECES(i, L) UNROLL for (int i = L::BEGIN; i < L::END; ++i)
#define ON_HELD(i) UNROLL for (int i = 0; i < HELD; ++i)
#else
#define ON_PIECES(i, L) for (int i = L::BEGIN; i < L::END; ++i)
#define ON_HELD(i) UNROLL_SOME for (int i = 0; i < HELD; ++i)
#endif
