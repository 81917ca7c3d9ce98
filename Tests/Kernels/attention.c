// The cache and attention: every instruction set against the plain one, every batch against single rows.

#include "support.h"
#include <stdlib.h>
#include <string.h>

#define BLOCKS 11
#define POSITIONS (BLOCKS * APUS_BLOCK_POSITIONS)

static const uint32_t cache_types[] = {TYPE_F32, TYPE_F16, TYPE_Q8_0};
static const char *const cache_names[] = {"F32", "F16", "Q8_0"};

// What one key-value head has in the cache; its blocks lie in no order.
struct cache {
    uint32_t type;
    size_t dimension;
    size_t block_bytes;
    uint8_t *bytes;
    int32_t blocks[BLOCKS];
};

static void fill(struct cache *cache, const struct apus_kernels *kernels) {
    float key[APUS_HEAD_DIMENSION], value[APUS_HEAD_DIMENSION];
    seed(cache->type * 100 + cache->dimension);
    cache->block_bytes = apus_block_head_bytes(cache->type, cache->dimension);
    cache->bytes = allocate(BLOCKS * cache->block_bytes);
    for (int32_t i = 0; i < BLOCKS; i++) cache->blocks[i] = i * 7 % BLOCKS;
    for (size_t position = 0; position < POSITIONS; position++) {
        random_floats(key, cache->dimension);
        random_floats(value, cache->dimension);
        // Some positions are zeros, some large, some tiny.
        const float size = position % 50 == 3 ? 0.0f : position % 50 == 4 ? 3e3f : position % 50 == 5 ? 1e-6f : 1.0f;
        for (size_t i = 0; i < cache->dimension; i++) value[i] *= size;
        uint8_t *head = cache->bytes + (size_t)cache->blocks[position / 32] * cache->block_bytes;
        apus_store_position(kernels, cache->type, head, position % 32, cache->dimension, key, value);
    }
}

// The positions that a row sees; `window` is 0 or a number of positions.
static struct apus_attention_row visible(size_t row, size_t window, const float *query, float *output) {
    const size_t end = 1 + row * 87 % POSITIONS;
    return (struct apus_attention_row){
        .query = query, .output = output, .first = window && end > window ? end - window : 0, .end = end};
}

static void attend(const struct apus_kernels *kernels, const struct cache *cache, const float *queries, size_t first,
                   size_t rows, size_t window, float *outputs) {
    struct apus_attention_row lines[APUS_ATTENTION_ROWS];
    for (size_t r = 0; r < rows; r++)
        lines[r] = visible(first + r, window, queries + (first + r) * cache->dimension, outputs + r * cache->dimension);
    const struct apus_attention job = {
        .cache_type = cache->type, .cache = cache->bytes, .block_bytes = cache->block_bytes, .blocks = cache->blocks,
        .head_dimension = cache->dimension, .scale = 0.4f, .rows = lines, .row_count = rows,
    };
    apus_attend(kernels, &job);
}

static void compare_rows(const char *set, const char *name, const struct cache *cache, size_t first, size_t rows,
                         const float *expected, const float *output) {
    for (size_t i = 0; i < rows * cache->dimension; i++)
        if (!same_float(expected[first * cache->dimension + i], output[i]))
            fail("%s, %s cache, head of %zu, %zu rows: element %zu is %a, not %a", set, name, cache->dimension, rows, i,
                 output[i], expected[first * cache->dimension + i]);
}

static void test_cache(const char *name, struct cache *cache, size_t window) {
    const size_t d = cache->dimension;
    float *queries = allocate(APUS_ATTENTION_ROWS * d * sizeof(float));
    float *expected = allocate(APUS_ATTENTION_ROWS * d * sizeof(float));
    float *output = allocate(APUS_ATTENTION_ROWS * d * sizeof(float));
    fill(cache, plain_kernels());
    random_floats(queries, APUS_ATTENTION_ROWS * d);
    for (size_t row = 0; row < APUS_ATTENTION_ROWS; row++)
        attend(plain_kernels(), cache, queries, row, 1, window, expected + row * d);
    digest_floats(expected, APUS_ATTENTION_ROWS * d);
    const size_t counts[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 24, 32};
    for (size_t set = 0; set < set_count; set++) {
        const struct apus_kernels *kernels = apus_kernels_named(set_names[set]);
        if (!kernels) continue;
        struct cache own = *cache;
        fill(&own, kernels);
        if (memcmp(own.bytes, cache->bytes, BLOCKS * own.block_bytes) != 0)
            fail("%s, %s cache, head of %zu: stores other bytes", set_names[set], name, d);
        for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
            const size_t rows = counts[i], first = (APUS_ATTENTION_ROWS - rows) / 2;
            attend(kernels, &own, queries, first, rows, window, output);
            compare_rows(set_names[set], name, cache, first, rows, expected, output);
        }
        free(own.bytes);
    }
    free(queries), free(expected), free(output), free(cache->bytes);
}

void test_attention(void) {
    const size_t dimensions[] = {16, 20, 64, 128};
    for (size_t type = 0; type < 3; type++)
        for (size_t i = 0; i < 4; i++)
            for (size_t window = 0; window <= 100; window += 100) {
                struct cache cache = {.type = cache_types[type], .dimension = dimensions[i]};
                test_cache(cache_names[type], &cache, window);
            }
}

void test_stored_edges(void) {
    const float edges[16] = {
        0.0f,     -0.0f, 1e6f,       -1e6f,    65504.0f, 65519.0f,         65520.0f, 1.00048828125f,
        1.00146f, 3e-8f, 2.9802e-8f, 6.09e-5f, 1e-45f,   __builtin_inff(), -3e38f,   __builtin_nanf(""),
    };
    for (size_t type = 0; type < 3; type++) {
        const size_t bytes = apus_block_head_bytes(cache_types[type], 16);
        float expected[16], output[16];
        const float query[16] = {0};
        for (size_t set = 0; set < set_count; set++) {
            const struct apus_kernels *kernels = apus_kernels_named(set_names[set]);
            if (!kernels) continue;
            struct cache cache = {.type = cache_types[type], .dimension = 16, .block_bytes = bytes};
            cache.bytes = allocate(bytes);
            apus_store_position(kernels, cache.type, cache.bytes, 0, 16, query, edges);
            attend(kernels, &cache, query, 0, 1, 0, set == 0 ? expected : output);
            if (set == 0)
                digest_floats(expected, 16);
            else
                compare_rows(set_names[set], cache_names[type], &cache, 0, 1, expected, output);
            free(cache.bytes);
        }
    }
}
