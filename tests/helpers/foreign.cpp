// Calls one function of a kernel library on the arrays of a file, for processors and compilers unlike this process's:
//   foreign LIBRARY FUNCTION FILE ADDRESS [integer ...]
// The file is mapped at ADDRESS, where the pointers in it and among the integers point; what the function writes there
// ends up in the file, and what it returns is printed. Every argument is an integer or a pointer, and both calling
// conventions (System V on x86-64, AAPCS64) pass those alike whatever their size: one type of function serves for all.
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

typedef unsigned long long u64;
typedef long long (*Function)(u64, u64, u64, u64, u64, u64, u64, u64, u64, u64);
constexpr int FIRST = 5, MOST = 10;

static int fail(const char* what) {
  fprintf(stderr, "foreign: %s\n", what);
  return 1;
}

int main(int count, char** given) {
  if (count < FIRST || count > FIRST + MOST) return fail("wrong number of arguments");
  void* library = dlopen(given[1], RTLD_NOW);
  if (!library) return fail(dlerror());
  const Function function = reinterpret_cast<Function>(dlsym(library, given[2]));
  if (!function) return fail(dlerror());
  struct stat file;
  const int handle = open(given[3], O_RDWR);
  if (handle < 0 || fstat(handle, &file) != 0) return fail("cannot open the file");
  void* address = reinterpret_cast<void*>(strtoull(given[4], nullptr, 0));
  void* there = mmap(address, file.st_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, handle, 0);
  if (there != address) return fail("cannot map the file");
  u64 a[MOST] = {};
  for (int i = FIRST; i < count; ++i) a[i - FIRST] = strtoull(given[i], nullptr, 0);
  printf("%lld\n", function(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9]));
  return 0;
}
