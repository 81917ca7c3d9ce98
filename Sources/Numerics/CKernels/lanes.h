// Sixteen independent partial sums, and the one order in which they are added.

#pragma once

#include <stddef.h>
#include <string.h>

#define LANES 16
#define INLINE static inline __attribute__((always_inline))

// The same C, compiled again for wider registers and chosen when the program is loaded. Only mul and add are used and
// contraction is off, so all versions give the same bits. The thread sanitizer cannot run the code that chooses.
#if defined(__has_feature)
#define UNDER_THREAD_SANITIZER __has_feature(thread_sanitizer)
#else
#define UNDER_THREAD_SANITIZER 0
#endif
#if defined(__x86_64__) && !UNDER_THREAD_SANITIZER
#define WIDER_TOO __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDER_TOO
#endif

typedef float lanes __attribute__((vector_size(LANES * sizeof(float)), aligned(4), may_alias));

// Vectors travel by pointer: passed by value, their calling convention would depend on the instruction set.

// The last count < 16 elements, followed by zeros.
INLINE void load_tail(const float *source, size_t count, lanes *tail) {
    *tail = (lanes){0};
    memcpy(tail, source, count * sizeof(float));
}

INLINE float add_lanes(const lanes *sums) {
    float s[LANES];
    memcpy(s, sums, sizeof(s));
    for (int width = LANES / 2; width > 0; width /= 2)
        for (int i = 0; i < width; i++) s[i] += s[i + width];
    return s[0];
}

INLINE float dot(const float *a, const float *b, size_t count) {
    lanes sums = {0};
    size_t i = 0;
    for (; i + LANES <= count; i += LANES) sums += *(const lanes *)(a + i) * *(const lanes *)(b + i);
    if (i < count) {
        lanes a_tail, b_tail;
        load_tail(a + i, count - i, &a_tail);
        load_tail(b + i, count - i, &b_tail);
        sums += a_tail * b_tail;
    }
    return add_lanes(&sums);
}
