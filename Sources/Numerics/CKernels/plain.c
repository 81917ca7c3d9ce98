// The reference: what the compiler makes of plain C, without any instruction set that a processor may lack.

#include "kernels.h"
#include "blocks.h"

#define KERNELS_NAME "plain"
#define KERNELS_TABLE apus_plain_kernels

INLINE ivec dot_quad(ivec sums, bvec weights, const uint8_t *quad) {
    for (int i = 0; i < 64; i++) sums[i / 4] += (int32_t)weights[i] * (int8_t)quad[i % 4];
    return sums;
}

INLINE ivec dot_bytes(ivec sums, bvec weights, const uint8_t *quad) { return dot_quad(sums, weights, quad); }
#define BYTES_START(start) (start)

INLINE bvec look_up(const uint8_t *table, bvec indices) {
    for (int i = 0; i < 64; i++) indices[i] = table[indices[i]];
    return indices;
}

INLINE fvec load_halves(const uint16_t *source) {
    fvec values;
    for (int i = 0; i < LANES; i++) values[i] = half(source[i]);
    return values;
}

INLINE void store_halves(uint16_t *target, fvec values) {
    for (int i = 0; i < LANES; i++) target[i] = to_half(values[i]);
}

#include "kernels_body.h"
