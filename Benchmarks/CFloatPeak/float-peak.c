// As many multiplications and additions of floats as fit into a processor: what kernels of float weights are held against.

#include "CFloatPeak.h"
#include <string.h>

// Independent sums, so that none waits for the one before.
#define CHAINS 12

#define FUSED(sum, factor) __builtin_elementwise_fma(sum, factor, factor)
#define SEPARATE(sum, factor) ((sum) * (factor) + (factor))

#define DEFINE(name, attributes, lanes, step)                                                   \
    attributes static double name(size_t rounds, float *result) {                               \
        typedef float vector __attribute__((vector_size(4 * (lanes))));                         \
        const vector factor = (vector){0} + 0.5f;                                               \
        vector sums[CHAINS];                                                                    \
        for (int i = 0; i < CHAINS; i++) sums[i] = factor * (float)i;                           \
        for (size_t round = 0; round < rounds; round++)                                         \
            _Pragma("clang loop unroll(full)") for (int i = 0; i < CHAINS; i++) sums[i] = step(sums[i], factor); \
        *result = 0;                                                                            \
        for (int i = 0; i < CHAINS; i++) *result += sums[i][0];                                 \
        return 2.0 * (lanes) * CHAINS * (double)rounds;                                         \
    }

DEFINE(plain, , 4, SEPARATE)
#if defined(__x86_64__)
DEFINE(avx2, __attribute__((target("avx2,fma"))), 8, FUSED)
DEFINE(avx512, __attribute__((target("avx512f"))), 16, FUSED)
#elif defined(__aarch64__)
DEFINE(neon, , 4, FUSED)
#endif

double apus_float_operations(const char *instruction_set, size_t rounds, float *result) {
#if defined(__x86_64__)
    if (strcmp(instruction_set, "avx512") == 0) return avx512(rounds, result);
    if (strcmp(instruction_set, "avx2") == 0) return avx2(rounds, result);
#elif defined(__aarch64__)
    if (strcmp(instruction_set, "neon") == 0) return neon(rounds, result);
#endif
    return strcmp(instruction_set, "plain") == 0 ? plain(rounds, result) : 0;
}
