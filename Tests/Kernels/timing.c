// How fast the products are, on one thread, with weights that fit the second cache.

#include "support.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define COLUMNS 4096
#define OUTPUTS 128

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

// Multiplications and additions per nanosecond: the best of several short runs.
static double speed(const struct apus_kernels *kernels, uint32_t type, const struct apus_product *product) {
    double best = 1e9;
    const double end = now() + 0.1;
    while (now() < end) {
        const double start = now();
        apus_multiply(kernels, type, product);
        const double taken = now() - start;
        best = taken < best ? taken : best;
    }
    return 2.0 * COLUMNS * OUTPUTS * (double)product->rows / best * 1e-9;
}

static void measure_type(const struct apus_kernels *kernels, const struct weight_type *type) {
    uint8_t *weights = random_weights(type, OUTPUTS, COLUMNS);
    uint8_t *packed = packed_weights(type, weights, OUTPUTS, COLUMNS);
    const size_t tile_bytes = apus_tile_bytes(apus_input_type(type->type), COLUMNS);
    float *input = allocate(8 * COLUMNS * sizeof(float)), *output = allocate(8 * OUTPUTS * sizeof(float));
    uint8_t *tile = allocate(tile_bytes);
    random_floats(input, 8 * COLUMNS);
    printf("%-8s", type->name);
    const size_t counts[] = {1, 2, 3, 4, 6, 8};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        apus_prepare_tile(kernels, apus_input_type(type->type), input, COLUMNS, counts[i], COLUMNS, tile);
        const struct apus_product product = {
            .panels = packed, .columns = COLUMNS, .first_panel = 0, .end_panel = OUTPUTS / 16, .tiles = tile,
            .tile_bytes = tile_bytes, .rows = counts[i], .output = output, .output_stride = OUTPUTS,
            .output_columns = OUTPUTS,
        };
        printf("%8.1f", speed(kernels, type->type, &product));
        fflush(stdout);
    }
    printf("\n");
    free(weights), free(packed), free(input), free(output), free(tile);
}

void measure(void) {
    for (size_t set = 0; set < set_count; set++) {
        const struct apus_kernels *kernels = apus_kernels_named(set_names[set]);
        if (!kernels) continue;
        printf("GOPS, %s, by rows:\n%-8s%8d%8d%8d%8d%8d%8d\n", set_names[set], "", 1, 2, 3, 4, 6, 8);
        for (size_t type = 0; type < weight_type_count; type++) measure_type(kernels, weight_types + type);
    }
}
