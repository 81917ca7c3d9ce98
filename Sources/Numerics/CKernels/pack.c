// Packs the rows of a matrix into panels, and reads single rows back.

#include "CKernels.h"
#include "blocks.h"
#include "panels.h"

// One block of 32 elements of one row, as integers: element i is scale · (q[i] − zero point) − minimum.
struct codes {
    uint8_t q[32];
    uint16_t d;            // F16
    uint16_t d_minimum;    // F16: the minimum itself, or its factor
    uint8_t integers[2];   // scales of both halves if the group is 16, else scale and minimum, or the scale alone
};

INLINE void nibbles(const uint8_t *source, uint8_t *q) {
    for (int i = 0; i < 16; i++) q[i] = source[i] & 15;
    for (int i = 0; i < 16; i++) q[i + 16] = source[i] >> 4;
}

INLINE void fifth_bits(const uint8_t *source, uint8_t *q) {
    uint32_t bits;
    memcpy(&bits, source, sizeof(bits));
    for (int i = 0; i < 32; i++) q[i] |= (uint8_t)((bits >> i & 1) << 4);
}

// Block `b` of a row that begins at `row`. See dequantise.c for the layouts.
INLINE struct codes read_block(uint32_t type, const uint8_t *row, size_t b) {
    struct codes codes = {.d_minimum = 0};
    const struct block_layout layout = block_layout(type);
    const uint8_t *source = row + b * 32 / layout.elements * layout.bytes;
    const int sub = (int)(b % 8), half = sub / 4, shift = 2 * (sub % 4);
    switch (type) {
    case TYPE_Q4_0:
    case TYPE_IQ4_NL:
        codes.d = load_u16(source);
        nibbles(source + 2, codes.q);
        break;
    case TYPE_Q4_1:
        codes.d = load_u16(source);
        codes.d_minimum = load_u16(source + 2);
        nibbles(source + 4, codes.q);
        break;
    case TYPE_Q5_0:
        codes.d = load_u16(source);
        nibbles(source + 6, codes.q);
        fifth_bits(source + 2, codes.q);
        break;
    case TYPE_Q5_1:
        codes.d = load_u16(source);
        codes.d_minimum = load_u16(source + 2);
        nibbles(source + 8, codes.q);
        fifth_bits(source + 4, codes.q);
        break;
    case TYPE_Q8_0:
        codes.d = load_u16(source);
        for (int i = 0; i < 32; i++) codes.q[i] = source[2 + i] ^ 0x80;
        break;
    case TYPE_Q2_K:
        codes.d = load_u16(source + 80);
        codes.d_minimum = load_u16(source + 82);
        memcpy(codes.integers, source + 2 * sub, 2);
        for (int i = 0; i < 32; i++) codes.q[i] = source[16 + 32 * half + i] >> shift & 3;
        break;
    case TYPE_Q3_K:
        codes.d = load_u16(source + 108);
        for (int i = 0; i < 2; i++) codes.integers[i] = (uint8_t)q3_k_scale(source + 96, 2 * sub + i);
        for (int i = 0; i < 32; i++)
            codes.q[i] = (uint8_t)((source[32 + 32 * half + i] >> shift & 3) | (source[i] >> sub & 1) << 2);
        break;
    case TYPE_Q4_K:
    case TYPE_Q5_K: {
        codes.d = load_u16(source);
        codes.d_minimum = load_u16(source + 2);
        const struct scale_pair pair = k_scale_pair(source + 4, sub);
        codes.integers[0] = (uint8_t)pair.scale;
        codes.integers[1] = (uint8_t)pair.minimum;
        const uint8_t *low = source + (type == TYPE_Q4_K ? 16 : 48) + 32 * (sub / 2);
        for (int i = 0; i < 32; i++) codes.q[i] = low[i] >> (4 * (sub % 2)) & 15;
        if (type == TYPE_Q5_K)
            for (int i = 0; i < 32; i++) codes.q[i] |= (uint8_t)((source[16 + i] >> sub & 1) << 4);
        break;
    }
    case TYPE_Q6_K: {
        codes.d = load_u16(source + 208);
        memcpy(codes.integers, source + 192 + 2 * sub, 2);
        const uint8_t *low = source + 64 * half + 32 * (sub % 2), *high = source + 128 + 32 * half;
        for (int i = 0; i < 32; i++)
            codes.q[i] = (uint8_t)((low[i] >> (4 * (sub % 4 / 2)) & 15) | (high[i] >> shift & 3) << 4);
        break;
    }
    case TYPE_IQ4_XS:
        codes.d = load_u16(source);
        codes.integers[0] = (uint8_t)iq4_xs_scale(source + 2, sub);
        nibbles(source + 8 + 16 * sub, codes.q);
        break;
    }
    return codes;
}

INLINE int is_finite_half(uint16_t bits) { return (bits & 0x7C00u) != 0x7C00u; }

// Kernels multiply scales by powers of two through their exponents, for which a scale must not be zero: elements with
// such a scale get the scale one and the integer that stands for zero.
INLINE void avoid_zero_scales(struct codes *codes, struct panel_format format) {
    if (format.exact_scale) return;
    const uint8_t mask = format.has_minimum && format.group == 16 ? 15 : 255;
    const int zero = (codes->d & 0x7FFFu) == 0;
    if (zero) codes->d = 0x3C00u;
    for (int part = 0; part < 32 / format.group; part++) {
        uint8_t *scale = codes->integers + part;
        const int none = format.integers != 0 && (*scale & mask) == 0;
        if (none) *scale |= 1;
        if (zero || none) memset(codes->q + part * format.group, format.zero_point, (size_t)format.group);
    }
}

// Lane `row` of every vector of a block.
INLINE void place_quants(const uint8_t *q, struct panel_format format, int row, uint8_t *quants, uint8_t *high) {
    uint8_t bytes[32];
    const int low_bits = format.quants == NIBBLES ? 4 : format.quants == PAIRS ? 2 : 8;
    if (format.quants == BYTES) {
        for (int k = 0; k < 8; k++) memcpy(quants + 64 * k + 4 * row, q + 4 * k, 4);
        return;
    }
    if (format.quants == NIBBLES) {
        for (int i = 0; i < 16; i++) bytes[i] = (uint8_t)((q[i] & 15) | (q[i + 16] & 15) << 4);
        for (int k = 0; k < 4; k++) memcpy(quants + 64 * k + 4 * row, bytes + 4 * k, 4);
    } else {
        for (int i = 0; i < 8; i++) {
            const uint8_t *from = q + 16 * (i / 4) + i % 4;
            bytes[i] = (uint8_t)((from[0] & 3) | (from[4] & 3) << 2 | (from[8] & 3) << 4 | (from[12] & 3) << 6);
        }
        for (int k = 0; k < 2; k++) memcpy(quants + 64 * k + 4 * row, bytes + 4 * k, 4);
    }
    if (format.high_bits == 1) {
        for (int i = 0; i < 4; i++) {
            bytes[i] = 0;
            for (int k = 0; k < 8; k++) bytes[i] |= (uint8_t)((q[4 * k + i] >> low_bits & 1) << k);
        }
        memcpy(high + 4 * row, bytes, 4);
    } else if (format.high_bits == 2) {
        for (int i = 0; i < 8; i++) {
            const uint8_t *from = q + 16 * (i / 4) + i % 4;
            bytes[i] = (uint8_t)(from[0] >> 4 | from[4] >> 4 << 2 | from[8] >> 4 << 4 | from[12] >> 4 << 6);
        }
        for (int k = 0; k < 2; k++) memcpy(high + 64 * k + 4 * row, bytes + 4 * k, 4);
    }
}

// The reverse of place_quants.
INLINE void take_quants(const uint8_t *quants, const uint8_t *high, struct panel_format format, int row, uint8_t *q) {
    for (int i = 0; i < 32; i++) {
        const int k = i / 4, byte = 4 * row + i % 4;
        switch (format.quants) {
        case PLAIN: break;
        case BYTES: q[i] = quants[64 * k + byte]; break;
        case NIBBLES: q[i] = quants[64 * (k % 4) + byte] >> (4 * (k / 4)) & 15; break;
        case PAIRS: q[i] = quants[64 * (k / 4) + byte] >> (2 * (k % 4)) & 3; break;
        }
        const int low_bits = format.quants == NIBBLES ? 4 : 2;
        if (format.high_bits == 1) q[i] |= (uint8_t)((high[byte] >> k & 1) << low_bits);
        if (format.high_bits == 2) q[i] |= (uint8_t)((high[64 * (k / 4) + byte] >> (2 * (k % 4)) & 3) << low_bits);
    }
}

INLINE int pack_row(uint32_t type, const uint8_t *source, int row, size_t columns, uint8_t *panel) {
    const struct panel_format format = panel_format(type);
    const struct panel_areas areas = panel_areas(type, columns);
    uint16_t *halves = (uint16_t *)(panel + areas.halves);
    for (size_t b = 0; b < columns / 32; b++) {
        struct codes codes = read_block(type, source, b);
        if (!is_finite_half(codes.d) || !is_finite_half(codes.d_minimum)) return -1;
        avoid_zero_scales(&codes, format);
        const size_t super = b * 32 / (size_t)format.super * (size_t)format.halves;
        halves[super * PANEL_ROWS + (size_t)row] = codes.d;
        if (format.halves == 2) halves[(super + 1) * PANEL_ROWS + (size_t)row] = codes.d_minimum;
        const size_t integers = block_integers(format);
        for (size_t i = 0; i < integers; i++)
            panel[areas.integers + (integers * b + i) * PANEL_ROWS + (size_t)row] = codes.integers[i];
        place_quants(codes.q, format, row, panel + areas.quants + b * quant_bytes(format),
                     panel + areas.high + b * 64 * (size_t)format.high_bits);
    }
    return 0;
}

// The type is a constant in each call, so that each gets a loop of its own.
static int pack_quantised(uint32_t type, const uint8_t *source, int row, size_t columns, uint8_t *panel) {
    switch (type) {
    case TYPE_Q4_0: return pack_row(TYPE_Q4_0, source, row, columns, panel);
    case TYPE_Q4_1: return pack_row(TYPE_Q4_1, source, row, columns, panel);
    case TYPE_Q5_0: return pack_row(TYPE_Q5_0, source, row, columns, panel);
    case TYPE_Q5_1: return pack_row(TYPE_Q5_1, source, row, columns, panel);
    case TYPE_Q8_0: return pack_row(TYPE_Q8_0, source, row, columns, panel);
    case TYPE_IQ4_NL: return pack_row(TYPE_IQ4_NL, source, row, columns, panel);
    case TYPE_Q2_K: return pack_row(TYPE_Q2_K, source, row, columns, panel);
    case TYPE_Q3_K: return pack_row(TYPE_Q3_K, source, row, columns, panel);
    case TYPE_Q4_K: return pack_row(TYPE_Q4_K, source, row, columns, panel);
    case TYPE_Q5_K: return pack_row(TYPE_Q5_K, source, row, columns, panel);
    case TYPE_Q6_K: return pack_row(TYPE_Q6_K, source, row, columns, panel);
    case TYPE_IQ4_XS: return pack_row(TYPE_IQ4_XS, source, row, columns, panel);
    default: return -1;
    }
}

INLINE void pack_plain(const uint8_t *source, size_t row, size_t columns, size_t size, uint8_t *panel) {
    for (size_t k = 0; k < columns; k++) memcpy(panel + (k * PANEL_ROWS + row) * size, source + k * size, size);
}

size_t apus_panel_bytes(uint32_t type, size_t columns) {
    const struct block_layout layout = block_layout(type);
    if (layout.elements == 0 || columns % layout.elements != 0) return 0;
    return panel_areas(type, columns).end;
}

int apus_pack_panel(uint32_t type, const void *rows, size_t row_bytes, size_t row_count, size_t columns, void *panel) {
    // Rows that the matrix does not have are copies of the last one; their results are dropped.
    for (size_t row = 0; row < PANEL_ROWS; row++) {
        const uint8_t *source = (const uint8_t *)rows + (row < row_count ? row : row_count - 1) * row_bytes;
        if (type == TYPE_F32)
            pack_plain(source, row, columns, 4, panel);
        else if (type == TYPE_F16 || type == TYPE_BF16)
            pack_plain(source, row, columns, 2, panel);
        else if (pack_quantised(type, source, (int)row, columns, panel) != 0)
            return -1;
    }
    return 0;
}

void apus_unpack_panel_row(uint32_t type, const void *panel, size_t row, size_t columns, float *target) {
    const struct panel_format format = panel_format(type);
    const uint8_t *base = panel;
    if (format.quants == PLAIN) {
        const size_t size = block_layout(type).bytes;
        for (size_t k = 0; k < columns; k++) apus_dequantise(type, base + (k * PANEL_ROWS + row) * size, target + k, 1);
        return;
    }
    const struct panel_areas areas = panel_areas(type, columns);
    const uint16_t *halves = (const uint16_t *)(base + areas.halves);
    for (size_t b = 0; b < columns / 32; b++) {
        uint8_t q[32] = {0};
        take_quants(base + areas.quants + b * quant_bytes(format), base + areas.high + b * 64 * (size_t)format.high_bits,
                    format, (int)row, q);
        const size_t super = b * 32 / (size_t)format.super * (size_t)format.halves;
        const float d = half(halves[super * PANEL_ROWS + row]);
        const float d_minimum = format.halves == 2 ? half(halves[(super + 1) * PANEL_ROWS + row]) : 0.0f;
        const uint8_t *integers = base + areas.integers + block_integers(format) * b * PANEL_ROWS + row;
        for (size_t i = 0; i < 32; i++) {
            const uint8_t first = integers[i / 16 * (format.group == 16) * PANEL_ROWS];
            const float value = (float)((format.table ? iq4_nl_codes[q[i]] : q[i]) - format.zero_point);
            float result = value * d;
            switch (type) {
            case TYPE_Q4_1:
            case TYPE_Q5_1: result = value * d + d_minimum; break;
            case TYPE_Q2_K: result = d * (float)(first & 15) * value - d_minimum * (float)(first >> 4); break;
            case TYPE_Q4_K:
            case TYPE_Q5_K: result = d * (float)first * value - d_minimum * (float)integers[PANEL_ROWS]; break;
            case TYPE_Q3_K:
            case TYPE_Q6_K:
            case TYPE_IQ4_XS: result = d * (float)(int8_t)first * value; break;
            default: break;
            }
            target[32 * b + i] = result;
        }
    }
}
