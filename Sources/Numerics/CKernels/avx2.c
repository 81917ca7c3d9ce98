// AVX2 with FMA: two registers for sixteen lanes; products of bytes by way of 16-bit sums.

#include "kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#pragma clang attribute push(__attribute__((target("avx2,f16c,fma"))), apply_to = function)

#define KERNELS_NAME "avx2"
#define KERNELS_TABLE apus_avx2_kernels
#define SUMS_AT_ONCE 4

typedef struct {
    __m256i half[2];
} pair;

INLINE pair halves_of(const void *vector) {
    const __m256i *parts = vector;
    return (pair){{_mm256_loadu_si256(parts), _mm256_loadu_si256(parts + 1)}};
}

// Products of bytes come in pairs as 16-bit integers. These are added up as long as they fit, and then widened.
#define SHORT_SUMS
typedef pair short_sums;

INLINE short_sums begin_short_sums(ivec totals) { return (void)totals, (short_sums){0}; }

INLINE ivec end_short_sums(short_sums sums, ivec totals) {
    pair t = halves_of(&totals);
    for (int i = 0; i < 2; i++)
        t.half[i] = _mm256_add_epi32(t.half[i], _mm256_madd_epi16(sums.half[i], _mm256_set1_epi16(1)));
    memcpy(&totals, &t, sizeof(totals));
    return totals;
}

INLINE __m256i load_quad_of_input(const uint8_t *quad) {
    int32_t four;
    memcpy(&four, quad, sizeof(four));
    return _mm256_set1_epi32(four);
}

// The compiler would turn the sums of a row into trees and compute row by row, with all weights of a block in memory. An
// empty instruction that seems to change the sums makes it take the weights one by one, for all rows.
#define KEEP_ORDER(sums) __asm__("" : "+x"((sums).half[0]), "+x"((sums).half[1]))

INLINE short_sums dot_quad(short_sums sums, bvec weights, const uint8_t *quad) {
    const __m256i x = load_quad_of_input(quad);
    const pair w = halves_of(&weights);
    for (int i = 0; i < 2; i++) sums.half[i] = _mm256_add_epi16(sums.half[i], _mm256_maddubs_epi16(w.half[i], x));
    KEEP_ORDER(sums);
    return sums;
}

// Weights of 8 bits are taken as signed: their absolute values times the activations with the weights' signs.
INLINE short_sums dot_bytes(short_sums sums, bvec weights, const uint8_t *quad) {
    const __m256i x = load_quad_of_input(quad), top = _mm256_set1_epi8(-128);
    const pair w = halves_of(&weights);
    for (int i = 0; i < 2; i++) {
        const __m256i signed_weights = _mm256_xor_si256(w.half[i], top);
        const __m256i products =
            _mm256_maddubs_epi16(_mm256_abs_epi8(signed_weights), _mm256_sign_epi8(x, signed_weights));
        sums.half[i] = _mm256_add_epi16(sums.half[i], products);
    }
    return sums;
}
#define BYTES_START(start) ((void)(start), 0)

INLINE bvec look_up(const uint8_t *table, bvec indices) {
    const __m256i values = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)table));
    pair p = halves_of(&indices);
    for (int i = 0; i < 2; i++) p.half[i] = _mm256_shuffle_epi8(values, p.half[i]);
    memcpy(&indices, &p, sizeof(indices));
    return indices;
}

INLINE fvec load_halves(const uint16_t *source) {
    const __m256 parts[2] = {_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)source)),
                             _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)source + 1))};
    fvec values;
    memcpy(&values, parts, sizeof(values));
    return values;
}

INLINE void store_halves(uint16_t *target, fvec values) {
    const __m256 limit = _mm256_set1_ps(65504.0f);
    const __m256 lowest = _mm256_set1_ps(-65504.0f);
    for (int i = 0; i < 2; i++) {
        const __m256 part = _mm256_loadu_ps((const float *)&values + 8 * i);
        // In this order min and max hand NaN through.
        const __m256 bounded = _mm256_max_ps(lowest, _mm256_min_ps(limit, part));
        _mm_storeu_si128((__m128i *)target + i, _mm256_cvtps_ph(bounded, _MM_FROUND_TO_NEAREST_INT));
    }
}

#include "kernels_body.h"

#pragma clang attribute pop

#endif
