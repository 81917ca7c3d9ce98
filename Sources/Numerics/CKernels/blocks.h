// Numbers inside the blocks of quantised types.

#pragma once

#include "lanes.h"
#include <stdint.h>

INLINE uint16_t load_u16(const uint8_t *source) {
    uint16_t value;
    memcpy(&value, source, sizeof(value));
    return value;
}

// F16 to F32 without branches. Normal numbers get F32's bias, infinities and NaN its full exponent. Subnormals are an
// integer times 2^-24: computed so, and not by scaling, since subnormal F32 operands are slow.
INLINE float half(uint16_t bits) {
    const uint32_t magnitude = bits & 0x7FFFu;
    const float subnormal = (float)(int32_t)magnitude * 0x1p-24f;
    uint32_t subnormal_bits;
    memcpy(&subnormal_bits, &subnormal, sizeof(subnormal_bits));
    uint32_t result = (magnitude << 13) + 0x38000000u;
    result |= magnitude >= 0x7C00u ? 0x7F800000u : 0u;
    result = magnitude < 0x0400u ? subnormal_bits : result;
    result |= (uint32_t)(bits & 0x8000u) << 16;
    float value;
    memcpy(&value, &result, sizeof(value));
    return value;
}

// F32 to F16, to nearest, ties to even; numbers beyond the range become the largest one, NaN stays.
INLINE uint16_t to_half(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    const uint32_t sign = bits >> 16 & 0x8000u;
    const uint32_t magnitude = bits & 0x7FFFFFFFu;
    if (magnitude > 0x7F800000u) return (uint16_t)(sign | 0x7E00u);
    if (magnitude >= 0x477FF000u) return (uint16_t)(sign | 0x7BFFu);
    if (magnitude < 0x38800000u) {
        // Below the normal range: an integer times 2^-24. Adding 2^-1 makes the addition round to that.
        float absolute;
        memcpy(&absolute, &magnitude, sizeof(absolute));
        absolute += 0.5f;
        uint32_t rounded;
        memcpy(&rounded, &absolute, sizeof(rounded));
        return (uint16_t)(sign | (rounded - 0x3F000000u));
    }
    const uint32_t odd = magnitude >> 13 & 1;
    return (uint16_t)(sign | ((magnitude + 0xFFFu + odd - 0x38000000u) >> 13));
}

INLINE float load_half(const uint8_t *source) { return half(load_u16(source)); }

struct scale_pair {
    int scale;
    int minimum;
};

// The eight 6-bit scales and minimums of Q4_K and Q5_K in 12 bytes: the first four of each in the low six bits of bytes
// 0–3 and 4–7; the others have their low nibbles in bytes 8–11 and their high bits in the top of bytes 0–3 and 4–7.
INLINE struct scale_pair k_scale_pair(const uint8_t *packed, int sub) {
    const int j = sub % 4;
    if (sub < 4) return (struct scale_pair){packed[j] & 63, packed[j + 4] & 63};
    return (struct scale_pair){(packed[8 + j] & 15) | packed[j] >> 6 << 4, packed[8 + j] >> 4 | packed[j + 4] >> 6 << 4};
}

// The sixteen 6-bit scales of Q3_K in 12 bytes, less 32: scale j has its low nibble in byte j % 8 and its high bits in
// byte 8 + j % 4.
INLINE int q3_k_scale(const uint8_t *packed, int sub) {
    const int low = packed[sub % 8] >> (4 * (sub / 8)) & 15;
    const int high = packed[8 + sub % 4] >> (2 * (sub / 4)) & 3;
    return (low | high << 4) - 32;
}

// The eight 6-bit scales of IQ4_XS, less 32: the high bits of all lie in 16 bits, then come the low nibbles, two a byte.
INLINE int iq4_xs_scale(const uint8_t *packed, int sub) {
    const int low = packed[2 + sub / 2] >> (4 * (sub % 2)) & 15;
    const int high = load_u16(packed) >> (2 * sub) & 3;
    return (low | high << 4) - 32;
}
