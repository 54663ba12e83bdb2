// spin: keeps a core from halting, and does nothing else.
//
// Usage   spin     ends on SIGTERM; the caller says on which core, and that everybody else goes first (SCHED_IDLE)
#include <immintrin.h>

int main() {
  for (;;) _mm_pause();
}
