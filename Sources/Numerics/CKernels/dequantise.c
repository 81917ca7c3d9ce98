// Unpacks blocks of every readable type to F32.
//
// In the comments, d and m are F16 numbers, q an unsigned integer of the stated width. Sub-block scales of the K types
// are integers that multiply d (and dmin). Products are rounded in the written order, left to right.

#include "CKernels.h"
#include "blocks.h"
#include "dequantise.h"
#include "lanes.h"

// Vectorising across blocks would gather single bytes; within a block they lie side by side.
#if defined(__clang__)
#define WITHIN_BLOCKS _Pragma("clang loop vectorize(disable)")
#else
#define WITHIN_BLOCKS
#endif

WIDER_TOO static void unpack_f16(const uint8_t *restrict source, float *restrict target, size_t count) {
    for (size_t i = 0; i < count; i++) target[i] = load_half(source + 2 * i);
}

WIDER_TOO static void unpack_bf16(const uint8_t *restrict source, float *restrict target, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const uint32_t bits = (uint32_t)load_u16(source + 2 * i) << 16;
        memcpy(target + i, &bits, sizeof(bits));
    }
}

// d, 32 signed bytes: d · q
WIDER_TOO static void unpack_q8_0(const uint8_t *restrict source, float *restrict target, size_t blocks) {
    WITHIN_BLOCKS
    for (size_t b = 0; b < blocks; b++, source += 34, target += 32) {
        const float d = load_half(source);
        const int8_t *q = (const int8_t *)(source + 2);
        for (int i = 0; i < 32; i++) target[i] = (float)q[i] * d;
    }
}

// d, 16 bytes with elements i (low nibble) and i + 16 (high): d · (q − 8)
WIDER_TOO static void unpack_q4_0(const uint8_t *restrict source, float *restrict target, size_t blocks) {
    WITHIN_BLOCKS
    for (size_t b = 0; b < blocks; b++, source += 18, target += 32) {
        const float d = load_half(source);
        const uint8_t *q = source + 2;
        for (int i = 0; i < 16; i++) target[i] = (float)((q[i] & 15) - 8) * d;
        for (int i = 0; i < 16; i++) target[i + 16] = (float)((q[i] >> 4) - 8) * d;
    }
}

// What the nibbles of IQ4_NL stand for: steps that grow with the distance from zero.
static const int8_t iq4_nl_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

// d, nibbles as in Q4_0: d · value of q
WIDER_TOO static void unpack_iq4_nl(const uint8_t *restrict source, float *restrict target, size_t blocks) {
    WITHIN_BLOCKS
    for (size_t b = 0; b < blocks; b++, source += 18, target += 32) {
        const float d = load_half(source);
        const uint8_t *q = source + 2;
        for (int i = 0; i < 16; i++) target[i] = (float)iq4_nl_values[q[i] & 15] * d;
        for (int i = 0; i < 16; i++) target[i + 16] = (float)iq4_nl_values[q[i] >> 4] * d;
    }
}

// d, m, nibbles as in Q4_0: d · q + m
WIDER_TOO static void unpack_q4_1(const uint8_t *restrict source, float *restrict target, size_t blocks) {
    WITHIN_BLOCKS
    for (size_t b = 0; b < blocks; b++, source += 20, target += 32) {
        const float d = load_half(source);
        const float m = load_half(source + 2);
        const uint8_t *q = source + 4;
        for (int i = 0; i < 16; i++) target[i] = (float)(q[i] & 15) * d + m;
        for (int i = 0; i < 16; i++) target[i + 16] = (float)(q[i] >> 4) * d + m;
    }
}

// d, 32 bits with the fifth bit of each element, nibbles as in Q4_0: d · (q − 16)
WIDER_TOO static void unpack_q5_0(const uint8_t *restrict source, float *restrict target, size_t blocks) {
    WITHIN_BLOCKS
    for (size_t b = 0; b < blocks; b++, source += 22, target += 32) {
        const float d = load_half(source);
        uint32_t fifth;
        memcpy(&fifth, source + 2, sizeof(fifth));
        const uint8_t *q = source + 6;
        for (int i = 0; i < 16; i++) {
            const int low = (q[i] & 15) | (int)((fifth >> i & 1) << 4);
            const int high = (q[i] >> 4) | (int)((fifth >> (i + 16) & 1) << 4);
            target[i] = (float)(low - 16) * d;
            target[i + 16] = (float)(high - 16) * d;
        }
    }
}

// d, m, fifth bits and nibbles as in Q5_0: d · q + m
WIDER_TOO static void unpack_q5_1(const uint8_t *restrict source, float *restrict target, size_t blocks) {
    WITHIN_BLOCKS
    for (size_t b = 0; b < blocks; b++, source += 24, target += 32) {
        const float d = load_half(source);
        const float m = load_half(source + 2);
        uint32_t fifth;
        memcpy(&fifth, source + 4, sizeof(fifth));
        const uint8_t *q = source + 8;
        for (int i = 0; i < 16; i++) {
            target[i] = (float)((q[i] & 15) | (int)((fifth >> i & 1) << 4)) * d + m;
            target[i + 16] = (float)((q[i] >> 4) | (int)((fifth >> (i + 16) & 1) << 4)) * d + m;
        }
    }
}

// 16 bytes of sub-block scale (low nibble) and minimum (high), 64 bytes of 2-bit q, d, dmin.
// Elements 128 h + 32 s + i take bits 2 s of byte 32 h + i: d · scale · q − dmin · minimum
WIDER_TOO static void unpack_q2_k(const uint8_t *restrict source, float *restrict target, size_t blocks) {
    WITHIN_BLOCKS
    for (size_t b = 0; b < blocks; b++, source += 84, target += 256) {
        const float d = load_half(source + 80);
        const float dmin = load_half(source + 82);
        for (int sub = 0; sub < 16; sub++) {
            const float scale = d * (float)(source[sub] & 15);
            const float minimum = dmin * (float)(source[sub] >> 4);
            const uint8_t *q = source + 16 + 32 * (sub / 8) + 16 * (sub % 2);
            const int shift = 2 * (sub % 8 / 2);
            for (int i = 0; i < 16; i++) target[16 * sub + i] = scale * (float)(q[i] >> shift & 3) - minimum;
        }
    }
}

// 32 bytes with the third bits (bit 4 h + s of byte i), 64 bytes of 2-bit q as in Q2_K, 12 bytes of 6-bit scales, d.
// d · (scale − 32) · (q − (third bit ? 0 : 4))
WIDER_TOO static void unpack_q3_k(const uint8_t *restrict source, float *restrict target, size_t blocks) {
    WITHIN_BLOCKS
    for (size_t b = 0; b < blocks; b++, source += 110, target += 256) {
        const float d = load_half(source + 108);
        for (int sub = 0; sub < 16; sub++) {
            const float scale = d * (float)q3_k_scale(source + 96, sub);
            const uint8_t *q = source + 32 + 32 * (sub / 8) + 16 * (sub % 2);
            const uint8_t *third = source + 16 * (sub % 2);
            const int shift = 2 * (sub % 8 / 2);
            for (int i = 0; i < 16; i++) {
                const int value = (q[i] >> shift & 3) - (third[i] >> (sub / 2) & 1 ? 0 : 4);
                target[16 * sub + i] = scale * (float)value;
            }
        }
    }
}

INLINE void scale_and_minimum(const uint8_t *packed, int sub, float d, float dmin, float *scale, float *minimum) {
    const struct scale_pair pair = k_scale_pair(packed, sub);
    *scale = d * (float)pair.scale;
    *minimum = dmin * (float)pair.minimum;
}

// d, dmin, 12 bytes of scales, 128 bytes: elements 64 g + i (low nibble) and 64 g + 32 + i (high) of byte 32 g + i:
// d · scale · q − dmin · minimum
WIDER_TOO static void unpack_q4_k(const uint8_t *restrict source, float *restrict target, size_t blocks) {
    WITHIN_BLOCKS
    for (size_t b = 0; b < blocks; b++, source += 144, target += 256) {
        const float d = load_half(source);
        const float dmin = load_half(source + 2);
        for (int sub = 0; sub < 8; sub++) {
            float scale, minimum;
            scale_and_minimum(source + 4, sub, d, dmin, &scale, &minimum);
            const uint8_t *q = source + 16 + 32 * (sub / 2);
            const int shift = 4 * (sub % 2);
            for (int i = 0; i < 32; i++) target[32 * sub + i] = scale * (float)(q[i] >> shift & 15) - minimum;
        }
    }
}

// As Q4_K, with 32 bytes of fifth bits (bit `sub` of byte i) before the nibbles.
WIDER_TOO static void unpack_q5_k(const uint8_t *restrict source, float *restrict target, size_t blocks) {
    WITHIN_BLOCKS
    for (size_t b = 0; b < blocks; b++, source += 176, target += 256) {
        const float d = load_half(source);
        const float dmin = load_half(source + 2);
        const uint8_t *fifth = source + 16;
        for (int sub = 0; sub < 8; sub++) {
            float scale, minimum;
            scale_and_minimum(source + 4, sub, d, dmin, &scale, &minimum);
            const uint8_t *q = source + 48 + 32 * (sub / 2);
            const int shift = 4 * (sub % 2);
            for (int i = 0; i < 32; i++) {
                const int value = (q[i] >> shift & 15) | (fifth[i] >> sub & 1) << 4;
                target[32 * sub + i] = scale * (float)value - minimum;
            }
        }
    }
}

// 128 bytes of low nibbles, 64 bytes of high bit pairs, 16 signed scales, d. In each half h, elements 32 s + i take
// nibble s / 2 of byte 64 h + 32 (s % 2) + i and bits 2 s of byte 32 h + i: d · scale · (q − 32)
INLINE void unpack_q6_k_part(const uint8_t *restrict low, const uint8_t *restrict high, float scale,
                             float *restrict target, int s) {
    for (int i = 0; i < 16; i++) {
        const int value = (low[i] >> (4 * (s / 2)) & 15) | (high[i] >> (2 * s) & 3) << 4;
        target[i] = scale * (float)(value - 32);
    }
}

WIDER_TOO static void unpack_q6_k(const uint8_t *restrict source, float *restrict target, size_t blocks) {
    WITHIN_BLOCKS
    for (size_t b = 0; b < blocks; b++, source += 210, target += 256) {
        const float d = load_half(source + 208);
        const int8_t *scales = (const int8_t *)(source + 192);
        for (int part = 0; part < 4; part++) {
            const int h = part / 2, half_row = 16 * (part % 2);
            const uint8_t *low = source + 64 * h + half_row;
            const uint8_t *high = source + 128 + 32 * h + half_row;
            const int8_t *scale = scales + 8 * h + part % 2;
            float *out = target + 128 * h + half_row;
            unpack_q6_k_part(low, high, d * (float)scale[0], out, 0);
            unpack_q6_k_part(low + 32, high, d * (float)scale[2], out + 32, 1);
            unpack_q6_k_part(low, high, d * (float)scale[4], out + 64, 2);
            unpack_q6_k_part(low + 32, high, d * (float)scale[6], out + 96, 3);
        }
    }
}

// d, 16 bits and 4 bytes of 6-bit scales, nibbles of eight blocks, each as in IQ4_NL: d · (scale − 32) · value of q
WIDER_TOO static void unpack_iq4_xs(const uint8_t *restrict source, float *restrict target, size_t blocks) {
    WITHIN_BLOCKS
    for (size_t b = 0; b < blocks; b++, source += 136, target += 256) {
        const float d = load_half(source);
        for (int sub = 0; sub < 8; sub++) {
            const float scale = d * (float)iq4_xs_scale(source + 2, sub);
            const uint8_t *q = source + 8 + 16 * sub;
            float *out = target + 32 * sub;
            for (int i = 0; i < 16; i++) out[i] = scale * (float)iq4_nl_values[q[i] & 15];
            for (int i = 0; i < 16; i++) out[i + 16] = scale * (float)iq4_nl_values[q[i] >> 4];
        }
    }
}

int apus_can_dequantise(uint32_t type) { return block_layout(type).elements != 0; }

int apus_dequantise(uint32_t type, const void *source, float *target, size_t count) {
    switch (type) {
    case TYPE_F32: memcpy(target, source, count * sizeof(float)); return 0;
    case TYPE_F16: unpack_f16(source, target, count); return 0;
    case TYPE_BF16: unpack_bf16(source, target, count); return 0;
    case TYPE_Q4_0: unpack_q4_0(source, target, count / 32); return 0;
    case TYPE_Q4_1: unpack_q4_1(source, target, count / 32); return 0;
    case TYPE_Q5_0: unpack_q5_0(source, target, count / 32); return 0;
    case TYPE_Q5_1: unpack_q5_1(source, target, count / 32); return 0;
    case TYPE_Q8_0: unpack_q8_0(source, target, count / 32); return 0;
    case TYPE_IQ4_NL: unpack_iq4_nl(source, target, count / 32); return 0;
    case TYPE_Q2_K: unpack_q2_k(source, target, count / 256); return 0;
    case TYPE_Q3_K: unpack_q3_k(source, target, count / 256); return 0;
    case TYPE_Q4_K: unpack_q4_k(source, target, count / 256); return 0;
    case TYPE_Q5_K: unpack_q5_k(source, target, count / 256); return 0;
    case TYPE_Q6_K: unpack_q6_k(source, target, count / 256); return 0;
    case TYPE_IQ4_XS: unpack_iq4_xs(source, target, count / 256); return 0;
    default: return -1;
    }
}
