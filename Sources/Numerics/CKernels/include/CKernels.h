// Kernels: matrix products and attention for each instruction set, and operations on single rows.
//
// Law of this folder: the result for a row depends on that row alone. Each sum has one order: along K in products, in
// sixteen fixed lanes elsewhere, elements i, i + 16, i + 32 … in lane i, the tail filled with zeros, the lanes added in
// one fixed tree. Nothing is reassociated or contracted, so a row gives the same bits alone, in a batch, in any chunk and
// on any number of threads.
//
// Callers check every bound; the Swift room Tensors is the only one.

#pragma once

#include <stddef.h>
#include <stdint.h>

// Whether rows of the GGUF tensor type `type` can be read.
int apus_can_dequantise(uint32_t type);

// Writes `count` F32 values; `count` is a multiple of the type's block size. `source` needs no alignment.
// Returns 0, or -1 if the type cannot be read.
int apus_dequantise(uint32_t type, const void *source, float *target, size_t count);

// MARK: Instruction sets

// The functions for one instruction set.
struct apus_kernels;

// The fastest that this processor can run.
const struct apus_kernels *apus_best_kernels(void);
// "plain", "avx2", "avx512", "neon"; NULL if there is no such set or this processor lacks it.
const struct apus_kernels *apus_kernels_named(const char *name);
const char *apus_kernels_name(const struct apus_kernels *kernels);

// MARK: Packed weights

// Bytes of a panel of sixteen weight rows of `columns` elements; 0 if the type cannot be packed.
size_t apus_panel_bytes(uint32_t type, size_t columns);

// Packs 1 to 16 rows of a GGUF tensor. `panel` is aligned to 64 bytes. Returns −1 if a scale is not a finite number.
int apus_pack_panel(uint32_t type, const void *rows, size_t row_bytes, size_t row_count, size_t columns, void *panel);

// Writes one of the sixteen rows as F32, with the bits that apus_dequantise gives for the row in the file; only a
// zero may lose its sign.
void apus_unpack_panel_row(uint32_t type, const void *panel, size_t row, size_t columns, float *target);

// MARK: Products

// Activations are prepared in tiles of eight rows, the last one may have fewer.
#define APUS_TILE_ROWS 8

// Weight types with the same number take the same prepared activations: it is the type to prepare them for.
uint32_t apus_input_type(uint32_t weight_type);
size_t apus_tile_bytes(uint32_t input_type, size_t columns);

// Prepares 1 to 8 rows; `stride` is in elements.
void apus_prepare_tile(const struct apus_kernels *kernels, uint32_t input_type, const float *rows, size_t stride,
                       size_t row_count, size_t columns, void *tile);

struct apus_product {
    const void *panels;
    size_t columns;
    size_t first_panel;
    size_t end_panel;
    const void *tiles;
    size_t tile_bytes;
    size_t rows;
    const float *bias;  // or NULL
    float *output;
    size_t output_stride;   // in elements
    size_t output_columns;  // rows of the weights: the last panel may be partly empty
    int adds;               // adds to what the output holds
};

// output[m][r] (+)= weights[r] · input[m] + bias[r] for the rows r of some panels and all input rows m.
void apus_multiply(const struct apus_kernels *kernels, uint32_t type, const struct apus_product *product);

// MARK: Attention

// Positions of one block of the key-value cache.
#define APUS_BLOCK_POSITIONS 32
// The most rows of one call, and the largest head.
#define APUS_ATTENTION_ROWS 32
#define APUS_HEAD_DIMENSION 512

// One query head at one position: it sees the positions first ..< end.
struct apus_attention_row {
    const float *query;
    float *output;
    size_t first;
    size_t end;
};

// Query rows that share one key-value head of one sequence.
struct apus_attention {
    uint32_t cache_type;  // F32, F16 or Q8_0
    const void *cache;    // where that head begins in block 0
    size_t block_bytes;
    const int32_t *blocks;  // the block of positions 32 i ..< 32 i + 32
    size_t head_dimension;
    float scale;
    size_t next_head_bytes;  // how far behind this head the one begins that is read next; 0 if none is
    const struct apus_attention_row *rows;
    size_t row_count;
};

// Bytes of the keys and values of one head in one block.
size_t apus_block_head_bytes(uint32_t cache_type, size_t head_dimension);

// Softmax of the scaled scores, times the values. Sums are cut at fixed positions, multiples of 128.
void apus_attend(const struct apus_kernels *kernels, const struct apus_attention *job);

// Stores one head's key and value; `head` is where the head begins in the block, `place` the position in it.
void apus_store_position(const struct apus_kernels *kernels, uint32_t cache_type, void *head, size_t place,
                         size_t head_dimension, const float *key, const float *value);

// MARK: Measuring

// Does `rounds` rounds of products of bytes on 1,024 bytes of data; returns how many additions and multiplications it
// did. `sum` keeps the compiler from leaving them out.
int64_t apus_measure_products(const struct apus_kernels *kernels, const void *data, size_t rounds, int32_t *sum);

// Reads `count` bytes, a multiple of 256, and returns what depends on all of them.
int32_t apus_measure_reading(const struct apus_kernels *kernels, const void *data, size_t count);

// MARK: Rows

// output = input / sqrt(mean(input²) + epsilon) · weight; output may be input.
void apus_rms_norm(const float *input, const float *weight, float *output, size_t count, float epsilon);

// target += source
void apus_add(float *target, const float *source, size_t count);

// target += source · scale
void apus_add_scaled(float *target, const float *source, float scale, size_t count);

// gate = gate · sigmoid(gate) · up
void apus_silu_multiply(float *gate, const float *up, size_t count);

// e^x, within 2 units in the last place; 0 below −86.9, infinite above 88.7.
void apus_exp(float *values, size_t count);

// values = e^(values − max) / sum; count > 0.
void apus_softmax(float *values, size_t count);

// Rotates `pairs` pairs of one head by the given angles: elements (2i, 2i + 1), or (i, i + pairs) if `split` is not 0.
void apus_rotate(float *head, const float *cosines, const float *sines, size_t pairs, int split);

// Sum over i of a[i] · b[i], in the sixteen lanes.
float apus_dot(const float *a, const float *b, size_t count);

// A hint to the processor inside a spinning loop.
static inline void apus_relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}
