// The one exponential function of the project.

#pragma once

#include "lanes.h"
#include <stdint.h>

// e^x = 2^n · e^r with n the nearest integer to x / ln 2 and |r| ≤ ln 2 / 2. ln 2 is split so that n times its high part
// is exact; e^r is its Taylor polynomial of degree 7, whose remainder is below 6e-9.
INLINE float exponential(float x) {
    const float to_integer = 12582912.0f;  // 1.5 · 2^23: adding it rounds to an integer in the low bits
    const float shifted = x * 1.44269504f + to_integer;
    const float n = shifted - to_integer;
    const float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
    float p = 1.0f / 5040.0f;
    p = p * r + 1.0f / 720.0f;
    p = p * r + 1.0f / 120.0f;
    p = p * r + 1.0f / 24.0f;
    p = p * r + 1.0f / 6.0f;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    // 2^n in two factors, so that n = 128 does not overflow before the product does.
    uint32_t bits;
    memcpy(&bits, &shifted, sizeof(bits));
    const uint32_t exponent = bits - 0x4B400000u;
    const uint32_t half_bits = ((exponent - 1u) + 127u) << 23;
    float half_power;
    memcpy(&half_power, &half_bits, sizeof(half_power));
    float result = p * half_power * 2.0f;
    result = x < -86.9f ? 0.0f : result;
    return x > 88.72f ? __builtin_inff() : result;
}
