// The reference: what the compiler makes of plain C, without any instruction set that a processor may lack.

#include "kernels.h"
#include "blocks.h"

#define KERNELS_NAME "plain"
#define KERNELS_TABLE apus_plain_kernels
#define SUMS_AT_ONCE 4

// Byte i of every lane at once; the processors are all little-endian.
INLINE ivec dot_quad(ivec sums, bvec weights, const uint8_t *quad) {
    const ivec lanes = (ivec)weights;
    for (int i = 0; i < 4; i++) sums += (lanes >> 8 * i & 255) * (int8_t)quad[i];
    return sums;
}

INLINE ivec dot_bytes(ivec sums, bvec weights, const uint8_t *quad) { return dot_quad(sums, weights, quad); }
#define BYTES_START(start) (start)

INLINE bvec look_up(const uint8_t *table, bvec indices) {
    uint8_t values[64];
    memcpy(values, &indices, sizeof(values));
    for (int i = 0; i < 64; i++) values[i] = table[values[i]];
    return *(const bvec *)values;
}

INLINE fvec load_halves(const uint16_t *source) {
    float values[LANES];
    for (int i = 0; i < LANES; i++) values[i] = half(source[i]);
    return *(const fvec *)values;
}

INLINE void store_halves(uint16_t *target, fvec values) {
    for (int i = 0; i < LANES; i++) target[i] = to_half(values[i]);
}

#include "kernels_body.h"
