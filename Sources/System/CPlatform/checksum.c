// CRC-32C with the processor's own instruction.

#include "CPlatform.h"

#if defined(__x86_64__)

#include <nmmintrin.h>
#include <string.h>

// The instruction takes three cycles, and one can begin in each: three lanes of so many bytes side by side.
enum { lane_bytes = 256, lane_words = lane_bytes / 8 };

// What a checksum becomes over `lane_bytes` zeros, for each value of each of its bytes: the operation is linear.
static uint32_t lane_shift[4][256];

__attribute__((target("sse4.2"))) static uint32_t over_zero_lane(uint32_t state) {
    uint64_t value = state;
    for (int word = 0; word < lane_words; word++) value = _mm_crc32_u64(value, 0);
    return (uint32_t)value;
}

__attribute__((constructor)) static void fill_lane_shift(void) {
    if (!apus_has_crc32c()) return;
    for (int place = 0; place < 4; place++)
        for (uint32_t byte = 0; byte < 256; byte++) lane_shift[place][byte] = over_zero_lane(byte << (8 * place));
}

static inline uint32_t shifted(uint32_t state) {
    return lane_shift[0][state & 0xFF] ^ lane_shift[1][state >> 8 & 0xFF] ^ lane_shift[2][state >> 16 & 0xFF]
        ^ lane_shift[3][state >> 24];
}

static inline uint64_t word_at(const uint8_t *bytes) {
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

bool apus_has_crc32c(void) { return __builtin_cpu_supports("sse4.2"); }

__attribute__((target("sse4.2"))) uint32_t apus_crc32c(uint32_t state, const void *start, size_t count) {
    const uint8_t *bytes = start;
    for (; count >= 3 * lane_bytes; bytes += 3 * lane_bytes, count -= 3 * lane_bytes) {
        uint64_t first = state, second = 0, third = 0;
        for (int offset = 0; offset < lane_bytes; offset += 8) {
            first = _mm_crc32_u64(first, word_at(bytes + offset));
            second = _mm_crc32_u64(second, word_at(bytes + offset + lane_bytes));
            third = _mm_crc32_u64(third, word_at(bytes + offset + 2 * lane_bytes));
        }
        state = shifted(shifted((uint32_t)first) ^ (uint32_t)second) ^ (uint32_t)third;
    }
    uint64_t value = state;
    for (; count >= 8; bytes += 8, count -= 8) value = _mm_crc32_u64(value, word_at(bytes));
    state = (uint32_t)value;
    for (; count > 0; bytes++, count--) state = _mm_crc32_u8(state, *bytes);
    return state;
}

#else

bool apus_has_crc32c(void) { return false; }

uint32_t apus_crc32c(uint32_t state, const void *start, size_t count) { return state; }

#endif
