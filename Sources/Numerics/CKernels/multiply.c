// Packed weight rows times F32 activation rows.

#include "CKernels.h"
#include "dequantise.h"
#include "lanes.h"

// A weight row is unpacked tile by tile and every tile is used for all input rows of a group before the next one is
// unpacked. The lanes of each (weight row, input row) live across tiles, so neither the tile nor the group can be seen
// in the result. The tile is a multiple of every block size and of LANES.
#define TILE 1024
#define GROUP 64

// Adds count elements of `rows` (a constant) input rows to their lanes.
INLINE void accumulate(const float *weights, const float *input, size_t stride, size_t count, lanes *sums, int rows) {
    lanes local[4];
    for (int m = 0; m < rows; m++) local[m] = sums[m];
    size_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        const lanes w = *(const lanes *)(weights + i);
        for (int m = 0; m < rows; m++) local[m] += w * *(const lanes *)(input + (size_t)m * stride + i);
    }
    if (i < count) {
        lanes w, x;
        load_tail(weights + i, count - i, &w);
        for (int m = 0; m < rows; m++) {
            load_tail(input + (size_t)m * stride + i, count - i, &x);
            local[m] += w * x;
        }
    }
    for (int m = 0; m < rows; m++) sums[m] = local[m];
}

WIDER_TOO
static void accumulate_tile(const float *weights, const float *input, size_t stride, size_t count, lanes *sums,
                            size_t rows) {
    size_t m = 0;
    for (; m + 4 <= rows; m += 4) accumulate(weights, input + m * stride, stride, count, sums + m, 4);
    for (; m < rows; m++) accumulate(weights, input + m * stride, stride, count, sums + m, 1);
}

int apus_multiply(uint32_t type, const void *weights, size_t row_bytes, size_t columns, size_t first_row,
                  size_t end_row, const float *input, size_t input_stride, size_t input_rows, float *output,
                  size_t output_stride) {
    const struct block_layout layout = block_layout(type);
    if (layout.elements == 0) return -1;
    float tile[TILE];
    lanes sums[GROUP];
    for (size_t row = first_row; row < end_row; row++) {
        const uint8_t *packed = (const uint8_t *)weights + row * row_bytes;
        for (size_t group = 0; group < input_rows; group += GROUP) {
            const size_t rows = input_rows - group < GROUP ? input_rows - group : GROUP;
            for (size_t m = 0; m < rows; m++) sums[m] = (lanes){0};
            for (size_t column = 0; column < columns; column += TILE) {
                const size_t count = columns - column < TILE ? columns - column : TILE;
                apus_dequantise(type, packed + column / layout.elements * layout.bytes, tile, count);
                accumulate_tile(tile, input + group * input_stride + column, input_stride, count, sums, rows);
            }
            for (size_t m = 0; m < rows; m++) output[(group + m) * output_stride + row] = add_lanes(&sums[m]);
        }
    }
    return 0;
}
