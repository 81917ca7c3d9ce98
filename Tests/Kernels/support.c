#include "support.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state;

void seed(uint64_t value) { state = value; }

// SplitMix64
uint32_t random_bits(void) {
    uint64_t z = state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (uint32_t)(z >> 32);
}

uint32_t random_below(uint32_t limit) { return (uint32_t)((uint64_t)random_bits() * limit >> 32); }

float random_float(void) { return (float)((int32_t)random_bits() >> 8) * 0x1p-23f; }

void random_floats(float *values, size_t count) {
    for (size_t i = 0; i < count; i++) values[i] = random_float();
}

const struct weight_type weight_types[] = {
    {"F32", TYPE_F32, {33, 130}, {-1, -1}},       {"F16", TYPE_F16, {33, 130}, {0, -1}},
    {"BF16", TYPE_BF16, {33, 130}, {-1, -1}},     {"Q4_0", TYPE_Q4_0, {32, 320}, {0, -1}},
    {"Q4_1", TYPE_Q4_1, {32, 320}, {0, 2}},       {"Q5_0", TYPE_Q5_0, {32, 320}, {0, -1}},
    {"Q5_1", TYPE_Q5_1, {32, 320}, {0, 2}},       {"Q8_0", TYPE_Q8_0, {32, 320}, {0, -1}},
    {"IQ4_NL", TYPE_IQ4_NL, {32, 320}, {0, -1}},  {"Q2_K", TYPE_Q2_K, {256, 768}, {80, 82}},
    {"Q3_K", TYPE_Q3_K, {256, 768}, {108, -1}},   {"Q4_K", TYPE_Q4_K, {256, 768}, {0, 2}},
    {"Q5_K", TYPE_Q5_K, {256, 768}, {0, 2}},      {"Q6_K", TYPE_Q6_K, {256, 768}, {208, -1}},
    {"IQ4_XS", TYPE_IQ4_XS, {256, 768}, {0, -1}},
};
const size_t weight_type_count = sizeof(weight_types) / sizeof(weight_types[0]);

size_t row_bytes(const struct weight_type *type, size_t columns) {
    const struct block_layout layout = block_layout(type->type);
    return columns / layout.elements * layout.bytes;
}

// A positive or negative F16 number below 2; one in eight is zero, one in eight subnormal.
static uint16_t random_half(void) {
    const uint16_t sign = (uint16_t)(random_bits() & 0x8000u);
    switch (random_below(8)) {
    case 0: return sign;
    case 1: return (uint16_t)(sign | random_below(0x400));
    default: return (uint16_t)(sign | (0x1C00 + random_below(0x2000)));
    }
}

uint8_t *random_weights(const struct weight_type *type, size_t rows, size_t columns) {
    const size_t bytes = rows * row_bytes(type, columns), block = block_layout(type->type).bytes;
    uint8_t *weights = allocate(bytes);
    for (size_t i = 0; i < bytes; i++) weights[i] = random_below(16) == 0 ? 0 : (uint8_t)random_bits();
    for (size_t at = 0; at < bytes; at += block) {
        const float value = random_float();
        if (type->type == TYPE_F32) memcpy(weights + at, &value, sizeof(value));
        if (type->type == TYPE_BF16) memcpy(weights + at, (const uint8_t *)&value + 2, 2);
        for (int i = 0; i < 2; i++) {
            const uint16_t half = random_half();
            if (type->halves[i] >= 0) memcpy(weights + at + type->halves[i], &half, sizeof(half));
        }
    }
    return weights;
}

uint8_t *packed_weights(const struct weight_type *type, const uint8_t *weights, size_t rows, size_t columns) {
    const size_t bytes = row_bytes(type, columns), panel_bytes = apus_panel_bytes(type->type, columns);
    const size_t panels = (rows + 15) / 16;
    uint8_t *packed = allocate(panels * panel_bytes);
    for (size_t panel = 0; panel < panels; panel++) {
        const size_t count = rows - panel * 16 < 16 ? rows - panel * 16 : 16;
        if (apus_pack_panel(type->type, weights + panel * 16 * bytes, bytes, count, columns,
                            packed + panel * panel_bytes) != 0)
            fail("%s: panel %zu cannot be packed", type->name, panel);
    }
    return packed;
}

const char *const set_names[] = {"plain", "avx2", "avx512", "neon"};
const size_t set_count = sizeof(set_names) / sizeof(set_names[0]);

const struct apus_kernels *plain_kernels(void) { return apus_kernels_named("plain"); }

void *allocate(size_t bytes) {
    void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!memory) {
        fprintf(stderr, "out of memory: %zu bytes\n", bytes);
        exit(2);
    }
    return memset(memory, 0, (bytes + 63) / 64 * 64);
}

bool same_float(float a, float b) { return memcmp(&a, &b, sizeof(a)) == 0 || (a != a && b != b); }

static int failures;

void fail(const char *format, ...) {
    // The first ones say what is wrong; a broken kernel has thousands.
    if (failures++ >= 20) return;
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

int failure_count(void) { return failures; }

static uint64_t hash = 0xCBF29CE484222325u;

// FNV-1a; what is not a number may have any bits.
void digest_floats(const float *values, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = 0x7FC00000u;
        if (values[i] == values[i]) memcpy(&bits, values + i, sizeof(bits));
        for (int byte = 0; byte < 4; byte++) hash = (hash ^ (bits >> (8 * byte) & 255)) * 0x100000001B3u;
    }
}

uint64_t digest(void) { return hash; }
