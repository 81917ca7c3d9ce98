// Kernels in plain C: the reference that every instruction set is measured against.
//
// Law of this folder: the result for a row depends on that row alone. Sums run in sixteen fixed lanes, elements i,
// i + 16, i + 32 … in lane i, the tail filled with zeros; the lanes are added in one fixed tree. Nothing is reassociated
// or contracted, so a row gives the same bits alone, in a batch, in any chunk and on any number of threads.
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

// output[m][r] = weights[r] · input[m] for the weight rows first_row ..< end_row and all input rows m.
// Strides are in elements. Returns 0, or -1 if the type cannot be read.
int apus_multiply(uint32_t type, const void *weights, size_t row_bytes, size_t columns, size_t first_row,
                  size_t end_row, const float *input, size_t input_stride, size_t input_rows, float *output,
                  size_t output_stride);

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

// Attention of one query head over the positions first ..< end of one sequence.
// Keys and values of position p are at keys + p · stride. The sum is cut at fixed positions, multiples of 128.
void apus_attend(const float *query, const float *keys, const float *values, size_t stride, size_t head_dimension,
                 size_t first, size_t end, float scale, float *output);

// A hint to the processor inside a spinning loop.
static inline void apus_relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}
