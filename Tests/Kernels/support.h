// What the tests of the kernels share: random numbers that are the same everywhere, weights, comparison, a digest.

#pragma once

#include "CKernels.h"
#include "dequantise.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// MARK: Random numbers

void seed(uint64_t value);
uint32_t random_bits(void);
uint32_t random_below(uint32_t limit);
// Between −1 and 1, a multiple of 2^-23.
float random_float(void);
void random_floats(float *values, size_t count);

// MARK: Weights

struct weight_type {
    const char *name;
    uint32_t type;
    size_t columns[2];  // two lengths of rows to test with
    int halves[2];      // where the F16 numbers of a block lie, or −1
};

extern const struct weight_type weight_types[];
extern const size_t weight_type_count;

size_t row_bytes(const struct weight_type *type, size_t columns);

// Random blocks. One scale in eight is zero, some are subnormal; integer scales may be zero too.
uint8_t *random_weights(const struct weight_type *type, size_t rows, size_t columns);

// Panels of all rows, aligned as the kernels want them.
uint8_t *packed_weights(const struct weight_type *type, const uint8_t *weights, size_t rows, size_t columns);

// MARK: Instruction sets

extern const char *const set_names[];
extern const size_t set_count;
const struct apus_kernels *plain_kernels(void);

// MARK: Memory and results

// Zeroed, aligned to 64 bytes; ends the program if there is none.
void *allocate(size_t bytes);

// The same bits, or both not a number.
bool same_float(float a, float b);

// Notes a failure, which is printed and makes the program return 1.
void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
int failure_count(void);

// Results go into one number, which must be the same on every machine.
void digest_floats(const float *values, size_t count);
uint64_t digest(void);

// MARK: Tests

void test_packing(void);
void test_products(void);
void test_prepared_edges(void);
void test_attention(void);
void test_stored_edges(void);
void test_rows(void);
void measure(void);
