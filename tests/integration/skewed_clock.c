// A preload library whose wall clock is FARSHORE_SKEW_SECONDS ahead of the machine's (or behind it,
// when negative). The monotonic clocks are left alone.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static int (*real_gettime)(clockid_t, struct timespec*);
static long skew_seconds;

// Constructors of other libraries may ask for the time before ours has run.
static void begin(void) {
  if (real_gettime != NULL) return;
  const char* seconds = getenv("FARSHORE_SKEW_SECONDS");
  skew_seconds = seconds == NULL ? 0 : atol(seconds);
  real_gettime = (int (*)(clockid_t, struct timespec*))dlsym(RTLD_NEXT, "clock_gettime");
}

__attribute__((visibility("default"))) int clock_gettime(clockid_t id, struct timespec* now) {
  begin();
  const int result = real_gettime(id, now);
  if (result == 0 && id == CLOCK_REALTIME) now->tv_sec += skew_seconds;
  return result;
}
