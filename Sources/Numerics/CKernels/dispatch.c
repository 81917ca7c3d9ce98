// Finds the functions for this processor.

#include "kernels.h"
#include "panels.h"

#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

// All that the target attributes in avx2.c and avx512.c name.
#if defined(__x86_64__)
static int has_avx2(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}

static int has_avx512(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni");
}
#endif

static const struct apus_kernels *available(size_t index) {
    switch (index) {
    case 0: return &apus_plain_kernels;
#if defined(__x86_64__)
    case 1: return has_avx2() ? &apus_avx2_kernels : NULL;
    case 2: return has_avx2() && has_avx512() ? &apus_avx512_kernels : NULL;
#elif defined(__aarch64__)
    case 1: return getauxval(AT_HWCAP) & (1u << 20) ? &apus_neon_kernels : NULL;  // HWCAP_ASIMDDP
#endif
    default: return NULL;
    }
}

#define SETS 3

const struct apus_kernels *apus_best_kernels(void) {
    const struct apus_kernels *best = NULL;
    for (size_t i = 0; i < SETS; i++)
        if (available(i)) best = available(i);
    return best;
}

const struct apus_kernels *apus_kernels_named(const char *name) {
    for (size_t i = 0; i < SETS; i++)
        if (available(i) && strcmp(available(i)->name, name) == 0) return available(i);
    return NULL;
}

const char *apus_kernels_name(const struct apus_kernels *kernels) { return kernels->name; }

uint32_t apus_input_type(uint32_t weight_type) {
    switch (weight_type) {
    case TYPE_Q4_1:
    case TYPE_Q5_1:
    case TYPE_Q4_K:
    case TYPE_Q5_K: return TYPE_Q4_1;
    case TYPE_Q8_0:
    case TYPE_IQ4_NL:
    case TYPE_IQ4_XS: return TYPE_Q8_0;
    case TYPE_F16:
    case TYPE_BF16: return TYPE_F32;
    default: return weight_type;
    }
}

size_t apus_tile_bytes(uint32_t input_type, size_t columns) {
    const struct panel_format format = panel_format(input_type);
    const size_t guards = 4 * TILE_ROWS;
    if (format.quants == PLAIN) return guards + columns * TILE_ROWS * sizeof(float);
    return line_up(guards + columns / 32 * TILE_ROWS * (32 + 4 + 4 * (32 / (size_t)format.group)));
}

void apus_prepare_tile(const struct apus_kernels *kernels, uint32_t input_type, const float *rows, size_t stride,
                       size_t row_count, size_t columns, void *tile) {
    kernels->prepare_tile(input_type, rows, stride, row_count, columns, tile);
}

void apus_multiply(const struct apus_kernels *kernels, uint32_t type, const struct apus_product *product) {
    kernels->multiply(type, product);
}

size_t apus_block_head_bytes(uint32_t cache_type, size_t head_dimension) {
    return head_areas(cache_type, head_dimension).end;
}

void apus_attend(const struct apus_kernels *kernels, const struct apus_attention *job) { kernels->attend(job); }

void apus_store_position(const struct apus_kernels *kernels, uint32_t cache_type, void *head, size_t place,
                         size_t head_dimension, const float *key, const float *value) {
    kernels->store_position(cache_type, head, place, head_dimension, key, value);
}

int64_t apus_measure_products(const struct apus_kernels *kernels, const void *data, size_t rounds, int32_t *sum) {
    return kernels->measure_products(data, rounds, sum);
}

int32_t apus_measure_reading(const struct apus_kernels *kernels, const void *data, size_t count) {
    return kernels->measure_reading(data, count);
}
