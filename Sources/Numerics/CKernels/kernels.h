// What the instruction sets share: vectors of sixteen lanes, and the table of functions.
//
// The vectors are the compiler's own; it cuts them into the registers that the instruction set has.

#pragma once

#include "CKernels.h"
#include "dequantise.h"
#include "lanes.h"

#define TILE_ROWS APUS_TILE_ROWS

// A function that takes or returns such a vector has another calling convention in each instruction set. All of them are
// inlined always, so nobody ever calls one.
#pragma clang diagnostic ignored "-Wpsabi"

typedef float fvec __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t ivec __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint8_t bvec __attribute__((vector_size(64), aligned(1), may_alias));
typedef uint8_t u8x16 __attribute__((vector_size(16), aligned(1), may_alias));
typedef int8_t i8x16 __attribute__((vector_size(16), aligned(1), may_alias));
typedef uint16_t u16x16 __attribute__((vector_size(32), aligned(1), may_alias));
typedef uint32_t u32x16 __attribute__((vector_size(64), aligned(4), may_alias));

struct apus_kernels {
    const char *name;
    void (*prepare_tile)(uint32_t type, const float *rows, size_t stride, size_t row_count, size_t columns,
                         void *tile);
    void (*multiply)(uint32_t type, const struct apus_product *product);
    void (*attend)(const struct apus_attention *job);
    int64_t (*measure_products)(const uint8_t *data, size_t rounds, int32_t *sum);
    int32_t (*measure_reading)(const uint8_t *data, size_t count);
    void (*store_position)(uint32_t type, void *head, size_t place, size_t head_dimension, const float *key, const float *value);
};

extern const struct apus_kernels apus_plain_kernels;
#if defined(__x86_64__)
extern const struct apus_kernels apus_avx2_kernels;
extern const struct apus_kernels apus_avx512_kernels;
#elif defined(__aarch64__)
extern const struct apus_kernels apus_neon_kernels;
#endif

// Elements of a row of values in the cache: whole lanes.
static inline size_t line_of_lanes(size_t head_dimension) { return (head_dimension + LANES - 1) / LANES * LANES; }

// One scale for every 32 elements of a head.
static inline size_t scale_groups(size_t head_dimension) { return (head_dimension + 31) / 32; }

// Offsets in bytes of what one key-value head has in one block of the cache.
struct head_areas {
    size_t key_scales;
    size_t values;
    size_t value_scales;
    size_t end;
};

static inline struct head_areas head_areas(uint32_t cache_type, size_t head_dimension) {
    const size_t element = cache_type == TYPE_F32 ? 4 : cache_type == TYPE_F16 ? 2 : 1;
    const size_t scales =
        cache_type == TYPE_Q8_0 ? APUS_BLOCK_POSITIONS * scale_groups(head_dimension) * sizeof(uint16_t) : 0;
    struct head_areas areas;
    areas.key_scales = APUS_BLOCK_POSITIONS * head_dimension * element;
    areas.values = areas.key_scales + scales;
    areas.value_scales = areas.values + APUS_BLOCK_POSITIONS * line_of_lanes(head_dimension) * element;
    areas.end = (areas.value_scales + scales + 63) / 64 * 64;
    return areas;
}
