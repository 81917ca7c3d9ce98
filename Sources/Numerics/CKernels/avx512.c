// AVX-512 with VNNI: sixteen lanes in one register, four products of bytes per lane and instruction.

#include "kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,f16c,fma"))),          \
                             apply_to = function)

#define KERNELS_NAME "avx512"
#define KERNELS_TABLE apus_avx512_kernels
#define SUMS_AT_ONCE 16

INLINE ivec dot_quad(ivec sums, bvec weights, const uint8_t *quad) {
    int32_t four;
    memcpy(&four, quad, sizeof(four));
    return (ivec)_mm512_dpbusd_epi32((__m512i)sums, (__m512i)weights, _mm512_set1_epi32(four));
}

INLINE ivec dot_bytes(ivec sums, bvec weights, const uint8_t *quad) { return dot_quad(sums, weights, quad); }
#define BYTES_START(start) (start)

INLINE bvec look_up(const uint8_t *table, bvec indices) {
    const __m512i values = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)table));
    return (bvec)_mm512_shuffle_epi8(values, (__m512i)indices);
}

INLINE fvec load_halves(const uint16_t *source) {
    return (fvec)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)source));
}

INLINE void store_halves(uint16_t *target, fvec values) {
    const __m512 limit = _mm512_set1_ps(65504.0f);
    // In this order min and max hand NaN through.
    const __m512 bounded = _mm512_max_ps(_mm512_sub_ps(_mm512_setzero_ps(), limit), _mm512_min_ps(limit, (__m512)values));
    _mm256_storeu_si256((__m256i *)target, _mm512_cvtps_ph(bounded, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

#include "kernels_body.h"

#pragma clang attribute pop

#endif
