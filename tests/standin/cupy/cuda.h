// CUDA's language on the host: a thread of a block is a fiber, blocks run one after another. x86-64 and g++.
//
// A fiber runs until it meets a barrier or a shuffle; then the others run. Those that a mask names go on once all that live wait with it at
// the same kind of place, a block once all its live threads wait at __syncthreads. What cannot go on, or waits at different places, is trouble and ends
// the launch. Shared memory is filled anew for each block.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>
#include <utility>

#define __CUDACC_RTC__ 1
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline  // not forced: a sixth of the time to compile, and calls are no matter here
#define __launch_bounds__(...)
#define __grid_constant__
#define __shared__ static __attribute__((section("standin_shared")))
extern "C" char __start_standin_shared[] __attribute__((weak, visibility("hidden")));
extern "C" char __stop_standin_shared[] __attribute__((weak, visibility("hidden")));

namespace standin {

enum Place { RUNS, AT_WARP, AT_SHUFFLE, AT_BLOCK, DONE };
static const char* const PLACES[] = {"runs", "waits at __syncwarp", "waits at a shuffle", "waits at __syncthreads", "is done"};
struct Fiber {
  void* stack;
  int place, width;  // where it waits; and bytes and distance of a shuffle
  unsigned mask;     // with which threads of its warp
  unsigned phase;    // shuffles take turns with two sets of slots
};
constexpr int MOST = 1024, WARP = 32;
constexpr size_t STACK = 1 << 18, POISONED = 1 << 14;
static Fiber fibers[MOST];
static double slots[MOST / WARP][2][WARP];
static void* scheduler;
static char* stacks;
static int current, order, poison;
static void (*body)(void*);
static void* body_argument;
static char trouble[256];
static bool broken;  // there is trouble, found by a thread

extern "C" void standin_switch(void** save, void* load);
asm(R"(
.text
.globl standin_switch
.hidden standin_switch
standin_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
)");

static __attribute__((noinline)) void wait(int place, int width, unsigned mask = 0) {
  fibers[current].place = place;
  fibers[current].mask = mask;
  fibers[current].width = width;
  standin_switch(&fibers[current].stack, scheduler);
}

static void enter() {
  body(body_argument);
  wait(DONE, 0);
  abort();
}

// Poison fills stacks before the first block of a launch; later blocks find what others left.
static void start(int threads, bool first) {
  if (!stacks) {
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    stacks = (char*)mmap(nullptr, STACK * MOST, PROT_READ | PROT_WRITE, flags, -1, 0);
  }
  if (__start_standin_shared) memset(__start_standin_shared, poison ? 0xFF : 0x5A, __stop_standin_shared - __start_standin_shared);
  for (int t = 0; t < threads; ++t) {
    char* top = stacks + STACK * (t + 1);
    if (poison && first) memset(top - POISONED, 0xFF, POISONED);
    void** stack = (void**)((uintptr_t)top & ~uintptr_t(15));
    *--stack = nullptr;  // a return address that is never used, for the alignment of the stack
    *--stack = (void*)&enter;
    for (int i = 0; i < 6; ++i) *--stack = nullptr;
    fibers[t] = Fiber{stack, RUNS, 0, 0, 0};
  }
}

static int fail(const char* what, int t, int other) {
  snprintf(trouble, sizeof trouble, "%s: thread %d %s (%d), thread %d %s (%d)", what, t, PLACES[fibers[t].place], fibers[t].width, other,
           PLACES[fibers[other].place], fibers[other].width);
  return 1;
}

static bool waits(int t) { return fibers[t].place == AT_WARP || fibers[t].place == AT_SHUFFLE; }

// Let those that thread `one` of the warp from `first` on waits for go on if all that live wait, too: 1 on trouble.
static int release(int first, int last, int one, bool& moved) {
  const unsigned mask = fibers[one].mask;
  if (!(mask >> (one - first) & 1)) return fail("a thread is not in its own mask", one, one);
  for (int t = first; t < last; ++t) {
    if (!(mask >> (t - first) & 1)) continue;
    if (fibers[t].place == DONE && fibers[one].place == AT_SHUFFLE) return fail("a shuffle with threads that have left", one, t);
    if (fibers[t].place != DONE && !waits(t)) return 0;
  }
  for (int t = first; t < last; ++t) {
    if (!(mask >> (t - first) & 1) || fibers[t].place == DONE) continue;
    const bool alike = fibers[t].place == fibers[one].place && fibers[t].width == fibers[one].width && fibers[t].mask == mask;
    if (!alike) return fail("threads of a warp disagree", t, one);
  }
  for (int t = first; t < last; ++t) {
    if (!(mask >> (t - first) & 1) || fibers[t].place == DONE) continue;
    fibers[t].place = RUNS;
    fibers[t].phase ^= 1;
  }
  moved = true;
  return 0;
}

static int release_warp(int first, int last, bool& moved) {
  for (int t = first; t < last; ++t) if (waits(t) && release(first, last, t, moved)) return 1;
  return 0;
}

static void release_block(int threads, int& left, bool& moved) {
  int waiting = 0;
  for (int t = 0; t < threads; ++t) waiting += fibers[t].place == AT_BLOCK;
  if (!waiting || waiting != left) return;
  for (int t = 0; t < threads; ++t) if (fibers[t].place == AT_BLOCK) fibers[t].place = RUNS;
  moved = true;
}

static int run_block(int threads, bool first) {
  start(threads, first);
  broken = false;
  for (int left = threads; left;) {
    bool moved = false;
    for (int k = 0; k < threads; ++k) {
      current = order == 0 ? k : order == 1 ? threads - 1 - k : (k * 37 + 11) % threads;
      if (fibers[current].place != RUNS) continue;
      standin_switch(&scheduler, fibers[current].stack);
      left -= fibers[current].place == DONE;
      moved = true;
    }
    if (broken) return 1;
    for (int first = 0; first < threads; first += WARP) {
      if (release_warp(first, first + WARP < threads ? first + WARP : threads, moved)) return 1;
    }
    release_block(threads, left, moved);
    if (moved || !left) continue;
    int t = 0, other = 0;
    while (fibers[t].place == DONE) ++t;
    while (other + 1 < threads && (fibers[other].place == DONE || fibers[other].place == fibers[t].place)) ++other;
    return fail("a deadlock", t, other);
  }
  return 0;
}

template <class T> T shuffle(unsigned mask, T x, int from, int distance) {
  const int warp = current / WARP, phase = fibers[current].phase & 1;
  memcpy(&slots[warp][phase][current % WARP], &x, sizeof x);
  if (!(mask >> from % WARP & 1)) {
    snprintf(trouble, sizeof trouble, "thread %d asks thread %d, which is not in its mask %08x", current, from, mask);
    broken = true;
  }
  wait(AT_SHUFFLE, int(sizeof x) * 1000 + distance, mask);
  T y;
  memcpy(&y, &slots[warp][phase][from % WARP], sizeof y);
  return y;
}

}  // namespace standin

struct StandinIndex {
  unsigned x = 1, y = 0, z = 0;
};
static StandinIndex blockIdx, gridDim, blockDim;
static struct {
  struct {
    operator unsigned() const { return unsigned(standin::current); }
  } x;
} threadIdx;

inline void __syncwarp(unsigned mask = 0xFFFFFFFFu) { standin::wait(standin::AT_WARP, 0, mask); }
inline void __syncthreads() { standin::wait(standin::AT_BLOCK, 0); }
template <class T> inline T __shfl_xor_sync(unsigned mask, T x, int d, int width = 32) {
  const int to = standin::current % 32 ^ d, own = standin::current % 32;
  return standin::shuffle(mask, x, to / width <= own / width ? to : own, d + 100 * (width != 32));
}
template <class T> inline T __shfl_sync(unsigned mask, T x, int from) { return standin::shuffle(mask, x, from, 99); }

template <class To, class From> inline To standin_as(From x) {
  To y;
  memcpy(&y, &x, sizeof y);
  return y;
}
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned((unsigned long long)a * b >> 32); }
inline unsigned __float_as_uint(float x) { return standin_as<unsigned>(x); }
inline float __uint_as_float(unsigned x) { return standin_as<float>(x); }
inline long long __double_as_longlong(double x) { return standin_as<long long>(x); }
inline double __longlong_as_double(long long x) { return standin_as<double>(x); }

namespace standin {

template <class... A> struct Call {
  void (*kernel)(A...);
  void** arguments;
  template <size_t... I> void go(std::index_sequence<I...>) { kernel(*(A*)arguments[I]...); }
  static void body(void* self) { ((Call*)self)->go(std::index_sequence_for<A...>{}); }
};

template <class... A> int launch(void (*kernel)(A...), void** arguments, const long long* sizes, int count, unsigned grid, unsigned block) {
  const long long wanted[] = {(long long)sizeof(A)...};
  bool fits = count == int(sizeof...(A));
  for (int i = 0; fits && i < count; ++i) fits = sizes[i] == wanted[i];
  if (!fits) {
    snprintf(trouble, sizeof trouble, "%d arguments are not the kernel's %d in number and size", count, int(sizeof...(A)));
    return 1;
  }
  Call<A...> call{kernel, arguments};
  body = &Call<A...>::body;
  body_argument = &call;
  gridDim.x = grid;
  blockDim.x = block;
  for (blockIdx.x = 0; blockIdx.x < grid; ++blockIdx.x) {
    if (run_block(int(block), blockIdx.x == 0)) return 1;
  }
  return 0;
}

}  // namespace standin

extern "C" const char* standin_trouble() { return standin::trouble; }
extern "C" void standin_options(int order, int poison) {
  standin::order = order;
  standin::poison = poison;
}
