// NEON with the dot product extension (ARMv8.2): four registers for sixteen lanes.

#include "kernels.h"

#if defined(__aarch64__)

#include <arm_neon.h>

#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)

#define KERNELS_NAME "neon"
#define KERNELS_TABLE apus_neon_kernels
#define SUMS_AT_ONCE 4

INLINE ivec dot_signed(ivec sums, bvec weights, const uint8_t *quad) {
    const int8x16_t x = vreinterpretq_s8_s32(vld1q_dup_s32((const int32_t *)(const void *)quad));
    int32x4_t s[4];
    int8x16_t w[4];
    memcpy(s, &sums, sizeof(s));
    memcpy(w, &weights, sizeof(w));
    for (int i = 0; i < 4; i++) s[i] = vdotq_s32(s[i], w[i], x);
    memcpy(&sums, s, sizeof(sums));
    return sums;
}

INLINE ivec dot_quad(ivec sums, bvec weights, const uint8_t *quad) { return dot_signed(sums, weights, quad); }
INLINE ivec dot_bytes(ivec sums, bvec weights, const uint8_t *quad) { return dot_signed(sums, weights ^ 0x80, quad); }
#define BYTES_START(start) ((void)(start), 0)

INLINE bvec look_up(const uint8_t *table, bvec indices) {
    const uint8x16_t values = vld1q_u8(table);
    uint8x16_t parts[4];
    memcpy(parts, &indices, sizeof(parts));
    for (int i = 0; i < 4; i++) parts[i] = vqtbl1q_u8(values, parts[i]);
    memcpy(&indices, parts, sizeof(indices));
    return indices;
}

INLINE fvec load_halves(const uint16_t *source) {
    float32x4_t parts[4];
    for (int i = 0; i < 4; i++) parts[i] = vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(source + 4 * i)));
    fvec values;
    memcpy(&values, parts, sizeof(values));
    return values;
}

INLINE void store_halves(uint16_t *target, fvec values) {
    float32x4_t parts[4];
    memcpy(parts, &values, sizeof(parts));
    for (int i = 0; i < 4; i++) {
        const float32x4_t bounded = vmaxq_f32(vminq_f32(parts[i], vdupq_n_f32(65504.0f)), vdupq_n_f32(-65504.0f));
        vst1_u16(target + 4 * i, vreinterpret_u16_f16(vcvt_f16_f32(bounded)));
    }
}

#include "kernels_body.h"

#pragma clang attribute pop

#endif
