// Packed weights and products: every instruction set against the plain one, every batch against single rows.

#include "support.h"
#include <stdlib.h>
#include <string.h>

#define ROWS 33
// Two whole panels and a part of one.
#define OUTPUTS 37

void test_packing(void) {
    for (const struct weight_type *type = weight_types; type < weight_types + weight_type_count; type++) {
        seed(type->type + 100);
        const size_t columns = type->columns[1], bytes = row_bytes(type, columns);
        uint8_t *weights = random_weights(type, OUTPUTS, columns);
        uint8_t *packed = packed_weights(type, weights, OUTPUTS, columns);
        float *expected = allocate(columns * sizeof(float)), *unpacked = allocate(columns * sizeof(float));
        for (size_t row = 0; row < OUTPUTS; row++) {
            apus_dequantise(type->type, weights + row * bytes, expected, columns);
            apus_unpack_panel_row(type->type, packed + row / 16 * apus_panel_bytes(type->type, columns), row % 16,
                                  columns, unpacked);
            // A zero may lose its sign.
            for (size_t i = 0; i < columns; i++)
                if (!same_float(expected[i] + 0.0f, unpacked[i] + 0.0f))
                    fail("%s: element %zu of row %zu is %g, packed %g", type->name, i, row, expected[i], unpacked[i]);
            digest_floats(expected, columns);
        }
        free(weights), free(packed), free(expected), free(unpacked);
    }
}

// Prepares rows in tiles and multiplies them.
static void multiply(const struct apus_kernels *kernels, const struct weight_type *type, const uint8_t *packed,
                     const float *input, size_t rows, size_t columns, const float *bias, int adds, float *output) {
    const uint32_t input_type = apus_input_type(type->type);
    const size_t tile_bytes = apus_tile_bytes(input_type, columns);
    uint8_t *tiles = allocate((rows + 7) / 8 * tile_bytes);
    for (size_t row = 0; row < rows; row += 8)
        apus_prepare_tile(kernels, input_type, input + row * columns, columns, rows - row < 8 ? rows - row : 8, columns,
                          tiles + row / 8 * tile_bytes);
    const struct apus_product product = {
        .panels = packed, .columns = columns, .first_panel = 0, .end_panel = (OUTPUTS + 15) / 16,
        .tiles = tiles, .tile_bytes = tile_bytes, .rows = rows, .bias = bias,
        .output = output, .output_stride = OUTPUTS, .output_columns = OUTPUTS, .adds = adds,
    };
    apus_multiply(kernels, type->type, &product);
    free(tiles);
}

static void compare(const char *set, const struct weight_type *type, size_t rows, const float *expected,
                    const float *output) {
    for (size_t i = 0; i < rows * OUTPUTS; i++)
        if (!same_float(expected[i], output[i]))
            fail("%s, %s, %zu rows: output %zu of row %zu is %a, not %a", set, type->name, rows, i % OUTPUTS,
                 i / OUTPUTS, output[i], expected[i]);
}

// `expected` are the rows, each computed alone by the plain kernels.
static void compare_sets(const struct weight_type *type, const uint8_t *packed, const float *input, size_t columns,
                         const float *bias, int adds, const float *before, const float *expected) {
    float *output = allocate((ROWS + 1) * OUTPUTS * sizeof(float));
    for (size_t set = 0; set < set_count; set++) {
        const struct apus_kernels *kernels = apus_kernels_named(set_names[set]);
        if (!kernels) continue;
        for (size_t rows = 1; rows <= ROWS; rows++) {
            // The reference repeats itself soon.
            if (set == 0 && rows > 9) break;
            memcpy(output, before, (ROWS + 1) * OUTPUTS * sizeof(float));
            multiply(kernels, type, packed, input, rows, columns, bias, adds, output);
            compare(set_names[set], type, rows, expected, output);
            if (memcmp(output + rows * OUTPUTS, before + rows * OUTPUTS, OUTPUTS * sizeof(float)) != 0)
                fail("%s, %s: %zu rows write a row more", set_names[set], type->name, rows);
        }
    }
    free(output);
}

static void test_type(const struct weight_type *type, size_t columns) {
    seed(type->type * 1000 + columns);
    uint8_t *weights = random_weights(type, OUTPUTS, columns);
    uint8_t *packed = packed_weights(type, weights, OUTPUTS, columns);
    float *input = allocate(ROWS * columns * sizeof(float)), bias[OUTPUTS];
    float *before = allocate((ROWS + 1) * OUTPUTS * sizeof(float));
    float *expected = allocate(ROWS * OUTPUTS * sizeof(float));
    random_floats(input, ROWS * columns);
    random_floats(bias, OUTPUTS);
    random_floats(before, (ROWS + 1) * OUTPUTS);
    // Rows of different sizes, and one of zeros.
    for (size_t i = 0; i < columns; i++) input[columns + i] *= 1e-20f, input[2 * columns + i] *= 1e15f;
    memset(input + 3 * columns, 0, columns * sizeof(float));
    for (int adds = 0; adds < 2; adds++) {
        const float *used_bias = adds == columns % 2 ? bias : NULL;
        memcpy(expected, before, ROWS * OUTPUTS * sizeof(float));
        for (size_t row = 0; row < ROWS; row++)
            multiply(plain_kernels(), type, packed, input + row * columns, 1, columns, used_bias, adds,
                     expected + row * OUTPUTS);
        digest_floats(expected, ROWS * OUTPUTS);
        compare_sets(type, packed, input, columns, used_bias, adds, before, expected);
    }
    free(weights), free(packed), free(input), free(before), free(expected);
}

void test_products(void) {
    for (const struct weight_type *type = weight_types; type < weight_types + weight_type_count; type++)
        for (int i = 0; i < 2; i++) test_type(type, type->columns[i]);
}

// MARK: Input rows

// A block whose largest element is `edge`.
static void test_edge(const struct weight_type *type, float edge) {
    enum { COLUMNS = 256 };
    float input[3 * COLUMNS], output[3 * OUTPUTS], expected[3 * OUTPUTS];
    seed(type->type);
    uint8_t *weights = random_weights(type, OUTPUTS, COLUMNS);
    uint8_t *packed = packed_weights(type, weights, OUTPUTS, COLUMNS);
    for (size_t i = 0; i < 3 * COLUMNS; i++) input[i] = random_float() * (edge == edge && edge < 1 ? edge : 1);
    input[COLUMNS + 70] = edge;
    input[COLUMNS + 71] = -edge;
    multiply(plain_kernels(), type, packed, input, 3, COLUMNS, NULL, 0, expected);
    digest_floats(expected, 3 * OUTPUTS);
    for (size_t set = 1; set < set_count; set++) {
        const struct apus_kernels *kernels = apus_kernels_named(set_names[set]);
        if (!kernels) continue;
        multiply(kernels, type, packed, input, 3, COLUMNS, NULL, 0, output);
        compare(set_names[set], type, 3, expected, output);
    }
    const bool quantised = block_layout(type->type).elements > 1;
    for (size_t i = 0; i < 3 * OUTPUTS; i++) {
        const bool none = quantised && i / OUTPUTS == 1 && !(edge < 0x1p70f);
        if (quantised && none != (expected[i] != expected[i]))
            fail("%s: a row with %g gives %g in row %zu", type->name, edge, expected[i], i / OUTPUTS);
    }
    free(weights), free(packed);
}

void test_prepared_edges(void) {
    const float edges[] = {0.0f, __builtin_nanf(""), __builtin_inff(), 1e30f, 1e21f, 1e-45f, 1e-38f, 1e-31f, 7e-31f};
    for (const struct weight_type *type = weight_types; type < weight_types + weight_type_count; type++)
        for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) test_edge(type, edges[i]);
}
