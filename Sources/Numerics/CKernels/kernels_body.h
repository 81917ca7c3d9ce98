// The kernels, written once on sixteen-lane vectors; each instruction set's file includes this text.
//
// Before it, that file defines what the compiler cannot find by itself:
//
//   KERNELS_NAME, KERNELS_TABLE           the name in the outside world, and that of the table at the end
//   dot_quad(sums, weights, quad)         sums[l] += Σ over 4 of weights[4 l + i] · quad[i]; weights unsigned, below 128
//   dot_bytes(sums, weights, quad)        the same for weights of 8 bits with the zero point 128: either as unsigned
//   BYTES_START(start)                    numbers, and sums begin with `start`, or as signed ones, and sums begin with 0
//   look_up(table, indices)               table[indices[i]] for 64 indices below 16
//   load_halves(source)                   sixteen F16 numbers as F32
//   store_halves(target, values)          rounded to nearest, ties to even; beyond the range: the largest number
//   SUMS_AT_ONCE                          how many vectors of sums the registers have room for, with all that they need
//
// An instruction set that sums in 16 bits first defines SHORT_SUMS too, see below.
//
// Law: a result depends neither on how many rows are computed together nor on how they are cut. Each output element has
// its own sum; it runs over K in one order, with one fused operation per block. Integer sums are exact. So all
// instruction sets with a fused multiply-add give the same bits.

#include "CKernels.h"
#include "blocks.h"
#include "exponential.h"
#include "kernels.h"
#include "panels.h"

#define UNROLL _Pragma("clang loop unroll(full)")

// Nothing is subtracted, and the compiler knows it; 0 + value would be another number for −0.
INLINE fvec splat(float value) { return value - (fvec){0}; }
INLINE fvec fused(fvec a, fvec b, fvec c) { return __builtin_elementwise_fma(a, b, c); }
INLINE fvec larger(fvec a, fvec b) { return __builtin_elementwise_max(a, b); }
INLINE fvec to_floats(ivec values) { return __builtin_convertvector(values, fvec); }
INLINE fvec load_floats(const float *source) { return *(const fvec *)source; }

INLINE fvec load_bytes(const uint8_t *source) {
    return __builtin_convertvector(*(const u8x16 *)source, fvec);
}

INLINE fvec load_signed_bytes(const uint8_t *source) {
    return __builtin_convertvector(*(const i8x16 *)source, fvec);
}

INLINE fvec load_brain_halves(const void *source) {
    return (fvec)(__builtin_convertvector(*(const u16x16 *)source, u32x16) << 16);
}

// MARK: Input rows

// A tile of up to TILE_ROWS rows of activations, laid out for the inner loop: the rows side by side.
//
//   guards: float[TILE_ROWS]: 1, or NaN where the row cannot be quantised (it holds NaN or values beyond 2^70)
//   floats: for each k: float[rows]
//   quantised: for each block of 32: quads int8[8][rows][4]; scales float[rows], or exponents int32[rows], shifted to
//   where a float has its exponent; then for each group int32[rows]: −zero point · Σ q, or float[rows]: Σ q · scale

INLINE size_t input_block_bytes(struct panel_format format, size_t rows) {
    return rows * (32 + 4 + 4 * (32 / (size_t)format.group));
}

struct quantised_block {
    int8_t q[32];
    float scale;
    int32_t exponent;
    int32_t largest;  // the bits of the largest absolute value
};

// Rounds to q · scale with |q| ≤ 127. The scale is largest / 127, or the power of two not below it: this saves the inner
// loops a multiplication, and costs less than one of the eight bits.
INLINE struct quantised_block quantise_block(const float *values, int exact) {
    struct quantised_block block;
    const ivec magnitude = (ivec){0} + 0x7FFFFFFF;
    const fvec low = load_floats(values), high = load_floats(values + 16);
    const ivec larger_bits = __builtin_elementwise_max((ivec)low & magnitude, (ivec)high & magnitude);
    block.largest = __builtin_reduce_max(larger_bits);
    float largest;
    memcpy(&largest, &block.largest, sizeof(largest));
    float inverse = largest > 0.0f ? 127.0f / largest : 0.0f;
    block.scale = largest / 127.0f;
    block.exponent = 0;
    if (!exact) {
        int32_t bits;
        memcpy(&bits, &block.scale, sizeof(bits));
        block.exponent = (int32_t)(((uint32_t)bits + 0x7FFFFFu) >> 23) - 127;
        block.exponent = block.exponent < -64 ? -64 : block.exponent;
        block.exponent = block.exponent > 64 ? 64 : block.exponent;
        bits = (block.exponent + 127) << 23;
        memcpy(&block.scale, &bits, sizeof(bits));
        bits = (127 - block.exponent) << 23;
        memcpy(&inverse, &bits, sizeof(bits));
    }
    // Tiny blocks have an inverse beyond all numbers: zeros.
    if (largest < 0x1p-100f) inverse = 0.0f;
    // Adding 1.5 · 2^23 rounds to an integer in the low bits.
    const fvec to_integer = splat(12582912.0f);
    const i8x16 parts[2] = {__builtin_convertvector((ivec)(low * inverse + to_integer) - 0x4B400000, i8x16),
                            __builtin_convertvector((ivec)(high * inverse + to_integer) - 0x4B400000, i8x16)};
    memcpy(block.q, parts, sizeof(parts));
    return block;
}

INLINE void quantise_row(const float *values, size_t columns, size_t row, size_t rows, struct panel_format format,
                         uint8_t *tile) {
    uint8_t *guards = tile - 4 * TILE_ROWS;
    int32_t largest = 0;
    const int groups = 32 / format.group;
    for (size_t b = 0; b < columns / 32; b++, values += 32, tile += input_block_bytes(format, rows)) {
        const struct quantised_block block = quantise_block(values, format.exact_scale);
        largest = block.largest > largest ? block.largest : largest;
        for (size_t k = 0; k < 8; k++) memcpy(tile + (k * rows + row) * 4, block.q + 4 * k, 4);
        uint8_t *scales = tile + 32 * rows;
        const int32_t exponent = (int32_t)((uint32_t)block.exponent << 23);
        if (format.exact_scale)
            memcpy(scales + 4 * row, &block.scale, 4);
        else
            memcpy(scales + 4 * row, &exponent, 4);
        for (int group = 0; group < groups; group++) {
            int32_t sum = 0;
            for (int i = 0; i < format.group; i++) sum += block.q[group * format.group + i];
            const float scaled = (float)sum * block.scale;
            const int32_t start = -format.zero_point * sum;
            uint8_t *target = scales + 4 * rows * (size_t)(group + 1) + 4 * row;
            if (format.has_minimum)
                memcpy(target, &scaled, 4);
            else
                memcpy(target, &start, 4);
        }
    }
    // No number is above 2^70 in bits either, so this finds infinities and NaN too.
    const float guard = largest > 0x62800000 ? __builtin_nanf("") : 1.0f;
    memcpy(guards + 4 * row, &guard, 4);
}

// The number of rows that a kernel exists for: at least `rows`.
INLINE size_t padded_rows(size_t rows) { return rows == 5 ? 6 : rows == 7 ? 8 : rows; }

#define QUANTISE_ROWS(TYPE)                                                                                            \
    case TYPE:                                                                                                         \
        quantise_row(source, columns, row, padded, panel_format(TYPE), (uint8_t *)tile + 4 * TILE_ROWS);               \
        break;

static void prepare_tile(uint32_t type, const float *rows, size_t stride, size_t row_count, size_t columns,
                         void *tile) {
    const size_t padded = padded_rows(row_count);
    for (size_t row = 0; row < padded; row++) {
        // A row too many is a copy, and its results are dropped.
        const float *source = rows + (row < row_count ? row : row_count - 1) * stride;
        switch (type) {
            QUANTISE_ROWS(TYPE_Q4_0)
            QUANTISE_ROWS(TYPE_Q5_0)
            QUANTISE_ROWS(TYPE_Q8_0)
            QUANTISE_ROWS(TYPE_Q4_1)
            QUANTISE_ROWS(TYPE_Q2_K)
            QUANTISE_ROWS(TYPE_Q3_K)
            QUANTISE_ROWS(TYPE_Q6_K)
        default: {
            float *target = (float *)tile + TILE_ROWS + row;
            ((float *)tile)[row] = 1.0f;
            for (size_t k = 0; k < columns; k++) target[k * padded] = source[k];
        }
        }
    }
}

// MARK: Products

// What the dot products of some quads are summed in before they go into the totals. Where that is no smaller integer, it
// is the totals themselves.
#ifndef SHORT_SUMS
typedef ivec short_sums;
INLINE short_sums begin_short_sums(ivec totals) { return totals; }
INLINE ivec end_short_sums(short_sums sums, ivec totals) { return (void)totals, sums; }
#endif

// Quads whose sum fits into 16 bits: a quad adds at most 2 · 127 · the largest weight to each.
INLINE int quads_in_short_sums(struct panel_format format) {
    const int fitting = 32767 / (2 * 127 * ((1 << weight_bits(format)) - 1));
    return fitting == 0 ? 1 : fitting;
}

// Quad k of a block: 16 rows of 4 unsigned integers.
INLINE bvec load_quad(struct panel_format format, const uint8_t *quants, const uint8_t *high, int k) {
    if (format.quants == BYTES) return *(const bvec *)(quants + 64 * k);
    if (format.quants == PAIRS) {
        bvec q = (*(const bvec *)(quants + 64 * (k / 4)) >> (uint8_t)(2 * (k % 4))) & 3;
        if (format.high_bits == 1) {
            const bvec bits = *(const bvec *)high;
            q |= (k < 2 ? bits << (uint8_t)(2 - k) : bits >> (uint8_t)(k - 2)) & 4;
        }
        return q;
    }
    const bvec both = *(const bvec *)(quants + 64 * (k % 4));
    bvec q = k < 4 ? both & 15 : both >> 4;
    if (format.high_bits == 1) {
        const bvec bits = *(const bvec *)high;
        q |= (k < 4 ? bits << (uint8_t)(4 - k) : bits >> (uint8_t)(k - 4)) & 16;
    }
    if (format.high_bits == 2) {
        const bvec bits = *(const bvec *)(high + 64 * (k / 4));
        const int t = k % 4;
        q |= (t < 2 ? bits << (uint8_t)(4 - 2 * t) : bits >> (uint8_t)(2 * t - 4)) & 0x30;
    }
    return format.table ? look_up(iq4_nl_codes, q) : q;
}

struct group_scale {
    fvec scale;
    fvec minimum;  // added, so it is negative where the type subtracts it
};

INLINE struct group_scale load_scale(uint32_t type, const uint16_t *halves, const uint8_t *integers, int group) {
    struct group_scale result = {.minimum = {0}};
    result.scale = load_halves(halves);
    switch (type) {
    case TYPE_Q4_1:
    case TYPE_Q5_1: result.minimum = load_halves(halves + PANEL_ROWS); break;
    case TYPE_Q4_K:
    case TYPE_Q5_K:
        result.scale *= load_bytes(integers);
        result.minimum = -load_halves(halves + PANEL_ROWS) * load_bytes(integers + PANEL_ROWS);
        break;
    case TYPE_Q2_K: {
        const u8x16 both = *(const u8x16 *)(integers + group * PANEL_ROWS);
        result.scale *= __builtin_convertvector(both & 15, fvec);
        result.minimum = -load_halves(halves + PANEL_ROWS) * __builtin_convertvector(both >> 4, fvec);
        break;
    }
    case TYPE_Q3_K:
    case TYPE_Q6_K:
    case TYPE_IQ4_XS: result.scale *= load_signed_bytes(integers + group * PANEL_ROWS); break;
    default: break;
    }
    return result;
}

// Where one block of a panel lies, and the same block of the input rows.
struct block_places {
    const uint16_t *halves;
    const uint8_t *integers;
    const uint8_t *high;
    const uint8_t *quants;
    const uint8_t *input;
};

// Some rows of a tile of `rows`, which are laid out side by side.
struct row_range {
    int rows;
    int first;
    int count;
};

// totals[r] = Σ over a group of (weight − zero point) · q
INLINE void group_totals(struct panel_format format, const struct block_places *block, struct row_range range, int group,
                         ivec *totals) {
    const int groups = 32 / format.group, quads = 8 / groups, fitting = quads_in_short_sums(format);
    const int32_t *starts = (const int32_t *)(block->input + 4 * range.rows * (8 + 1 + group)) + range.first;
    short_sums sums[TILE_ROWS];
    UNROLL for (int r = 0; r < range.count; r++) {
        totals[r] = (ivec){0};
        if (!format.has_minimum) totals[r] += weight_bits(format) == 8 ? BYTES_START(starts[r]) : starts[r];
    }
    UNROLL for (int i = 0; i < quads; i++) {
        // Both nibbles of a vector one after the other, while it is in a register.
        const int k = groups == 1 ? i % 2 * 4 + i / 2 : group * quads + i;
        const bvec weights = load_quad(format, block->quants, block->high, k);
        UNROLL for (int r = 0; r < range.count; r++) {
            const uint8_t *quad = block->input + (k * range.rows + range.first + r) * 4;
            if (i % fitting == 0) sums[r] = begin_short_sums(totals[r]);
            sums[r] = weight_bits(format) == 8 ? dot_bytes(sums[r], weights, quad) : dot_quad(sums[r], weights, quad);
            if ((i + 1) % fitting == 0 || i == quads - 1) totals[r] = end_short_sums(sums[r], totals[r]);
        }
    }
}

INLINE void add_block(uint32_t type, const struct block_places *block, struct row_range range, fvec *sums) {
    const struct panel_format format = panel_format(type);
    const int32_t *scales = (const int32_t *)(block->input + 32 * range.rows) + range.first;
    UNROLL for (int group = 0; group < 32 / format.group; group++) {
        const float *minimum_sums = (const float *)scales + range.rows * (1 + group);
        ivec totals[TILE_ROWS];
        group_totals(format, block, range, group, totals);
        const struct group_scale weight = load_scale(type, block->halves, block->integers, group);
        UNROLL for (int r = 0; r < range.count; r++) {
            const fvec scale = format.exact_scale ? weight.scale * ((const float *)scales)[r]
                                                  : (fvec)((ivec)weight.scale + scales[r]);
            sums[r] = fused(scale, to_floats(totals[r]), sums[r]);
            if (format.has_minimum) sums[r] = fused(weight.minimum, splat(minimum_sums[r]), sums[r]);
        }
    }
}

// Bytes that are asked for before they are needed.
#define READ_AHEAD 4096

// One panel times some rows of a tile; type and rows are constants.
INLINE void quantised_sums(uint32_t type, const uint8_t *panel, const uint8_t *tile, size_t columns,
                           struct row_range range, fvec *sums) {
    const struct panel_format format = panel_format(type);
    const struct panel_areas areas = panel_areas(type, columns);
    struct block_places block = {
        .halves = (const uint16_t *)(panel + areas.halves),
        .integers = panel + areas.integers,
        .high = panel + areas.high,
        .quants = panel + areas.quants,
        .input = tile,
    };
    // Few rows wait for memory, and the processor by itself looks too little ahead. Beyond a panel lies the next one, so
    // as much is asked for as a whole panel has: the scales too.
    const uint8_t *ahead = block.quants + READ_AHEAD;
    const size_t ahead_bytes = areas.end / (columns / 32);
    for (size_t b = 0; b < columns / 32; b++) {
        for (size_t i = 0; i < ahead_bytes; i += 64) __builtin_prefetch(ahead + i, 0, 2);
        ahead += ahead_bytes;
        add_block(type, &block, range, sums);
        block.input += input_block_bytes(format, (size_t)range.rows);
        block.quants += quant_bytes(format);
        block.high += 64 * format.high_bits;
        block.integers += block_integers(format) * PANEL_ROWS;
        if (format.super == 32 || b % 8 == 7) block.halves += format.halves * PANEL_ROWS;
    }
}

// `count` panels side by side, which share what is broadcast to them.
INLINE void plain_sums(uint32_t type, const uint8_t *panels, size_t panel_bytes, int count, const uint8_t *tile,
                       size_t columns, struct row_range range, fvec sums[][TILE_ROWS]) {
    const float *input = (const float *)tile + range.first;
    const size_t step_bytes = panel_bytes / columns;
    for (size_t k = 0; k < columns; k++, input += range.rows) {
        UNROLL for (int p = 0; p < count; p++) {
            const uint8_t *panel = panels + (size_t)p * panel_bytes;
            // Of two panels at once the processor looks far enough ahead by itself.
            if (count == 1) __builtin_prefetch(panel + READ_AHEAD + k * step_bytes, 0, 2);
            const fvec weights = type == TYPE_F16    ? load_halves((const uint16_t *)panel + k * PANEL_ROWS)
                                 : type == TYPE_BF16 ? load_brain_halves((const uint16_t *)panel + k * PANEL_ROWS)
                                                     : load_floats((const float *)panel + k * PANEL_ROWS);
            UNROLL for (int r = 0; r < range.count; r++) sums[p][r] = fused(weights, splat(input[r]), sums[p][r]);
        }
    }
}

INLINE void multiply_rows(uint32_t type, const uint8_t *panels, size_t panel_bytes, int count, const uint8_t *tile,
                          size_t columns, int rows, fvec output[][TILE_ROWS]) {
    const int at_once = SUMS_AT_ONCE / count;
    const float *guards = (const float *)tile;
    tile += 4 * TILE_ROWS;
    UNROLL for (int first = 0; first < rows; first += at_once) {
        const struct row_range range = {rows, first, rows - first < at_once ? rows - first : at_once};
        // Of this function alone, so that the sums stay in registers.
        fvec sums[2][TILE_ROWS];
        UNROLL for (int p = 0; p < count; p++)
            UNROLL for (int r = 0; r < range.count; r++) sums[p][r] = (fvec){0};
        if (panel_format(type).quants == PLAIN) {
            plain_sums(type, panels, panel_bytes, count, tile, columns, range, sums);
        } else {
            quantised_sums(type, panels, tile, columns, range, sums[0]);
            UNROLL for (int r = 0; r < range.count; r++) sums[0][r] *= guards[first + r];
        }
        UNROLL for (int p = 0; p < count; p++)
            UNROLL for (int r = 0; r < range.count; r++) output[p][first + r] = sums[p][r];
    }
}

INLINE void multiply_tile(uint32_t type, const uint8_t *panels, size_t panel_bytes, int count, const uint8_t *tile,
                          size_t columns, size_t rows, fvec sums[][TILE_ROWS]) {
    switch (padded_rows(rows)) {
    case 1: multiply_rows(type, panels, panel_bytes, count, tile, columns, 1, sums); break;
    case 2: multiply_rows(type, panels, panel_bytes, count, tile, columns, 2, sums); break;
    case 3: multiply_rows(type, panels, panel_bytes, count, tile, columns, 3, sums); break;
    case 4: multiply_rows(type, panels, panel_bytes, count, tile, columns, 4, sums); break;
    case 6: multiply_rows(type, panels, panel_bytes, count, tile, columns, 6, sums); break;
    default: multiply_rows(type, panels, panel_bytes, count, tile, columns, 8, sums); break;
    }
}

// Writes the lanes of one panel that exist: `count` of them.
INLINE void finish_row(fvec sums, const float *bias, size_t count, int adds, float *output) {
    float values[PANEL_ROWS];
    memcpy(values, &sums, sizeof(values));
    if (count == PANEL_ROWS) {
        if (bias) sums += load_floats(bias);
        *(fvec *)output = adds ? load_floats(output) + sums : sums;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const float value = bias ? values[i] + bias[i] : values[i];
        output[i] = adds ? output[i] + value : value;
    }
}

INLINE void multiply_some(uint32_t type, const struct apus_product *product, size_t panel, int count) {
    const size_t panel_bytes = panel_areas(type, product->columns).end;
    const uint8_t *panels = (const uint8_t *)product->panels + panel * panel_bytes;
    const uint8_t *tile = product->tiles;
    for (size_t row = 0; row < product->rows; row += TILE_ROWS, tile += product->tile_bytes) {
        const size_t rows = product->rows - row < TILE_ROWS ? product->rows - row : TILE_ROWS;
        fvec sums[2][TILE_ROWS];
        multiply_tile(type, panels, panel_bytes, count, tile, product->columns, rows, sums);
        for (int p = 0; p < count; p++) {
            const size_t column = (panel + (size_t)p) * PANEL_ROWS;
            const size_t left = product->output_columns - column;
            for (size_t r = 0; r < rows; r++)
                finish_row(sums[p][r], product->bias ? product->bias + column : NULL,
                           left < PANEL_ROWS ? left : PANEL_ROWS, product->adds,
                           product->output + (row + r) * product->output_stride + column);
        }
    }
}

INLINE void multiply_panels(uint32_t type, const struct apus_product *product) {
    size_t panel = product->first_panel;
    // More rows have sums enough to fill the time that an addition takes.
    if (panel_format(type).quants == PLAIN && product->rows <= 2)
        for (; panel + 2 <= product->end_panel; panel += 2) multiply_some(type, product, panel, 2);
    for (; panel < product->end_panel; panel++) multiply_some(type, product, panel, 1);
}

// A function for each type, so that the compiler sees each type's constants once.
#define MULTIPLY(TYPE)                                                                                                 \
    static void multiply_##TYPE(const struct apus_product *product) { multiply_panels(TYPE, product); }
MULTIPLY(TYPE_F32)
MULTIPLY(TYPE_F16)
MULTIPLY(TYPE_BF16)
MULTIPLY(TYPE_Q4_0)
MULTIPLY(TYPE_Q4_1)
MULTIPLY(TYPE_Q5_0)
MULTIPLY(TYPE_Q5_1)
MULTIPLY(TYPE_Q8_0)
MULTIPLY(TYPE_IQ4_NL)
MULTIPLY(TYPE_Q2_K)
MULTIPLY(TYPE_Q3_K)
MULTIPLY(TYPE_Q4_K)
MULTIPLY(TYPE_Q5_K)
MULTIPLY(TYPE_Q6_K)
MULTIPLY(TYPE_IQ4_XS)

static void multiply(uint32_t type, const struct apus_product *product) {
    switch (type) {
    case TYPE_F32: multiply_TYPE_F32(product); break;
    case TYPE_F16: multiply_TYPE_F16(product); break;
    case TYPE_BF16: multiply_TYPE_BF16(product); break;
    case TYPE_Q4_0: multiply_TYPE_Q4_0(product); break;
    case TYPE_Q4_1: multiply_TYPE_Q4_1(product); break;
    case TYPE_Q5_0: multiply_TYPE_Q5_0(product); break;
    case TYPE_Q5_1: multiply_TYPE_Q5_1(product); break;
    case TYPE_Q8_0: multiply_TYPE_Q8_0(product); break;
    case TYPE_IQ4_NL: multiply_TYPE_IQ4_NL(product); break;
    case TYPE_Q2_K: multiply_TYPE_Q2_K(product); break;
    case TYPE_Q3_K: multiply_TYPE_Q3_K(product); break;
    case TYPE_Q4_K: multiply_TYPE_Q4_K(product); break;
    case TYPE_Q5_K: multiply_TYPE_Q5_K(product); break;
    case TYPE_Q6_K: multiply_TYPE_Q6_K(product); break;
    case TYPE_IQ4_XS: multiply_TYPE_IQ4_XS(product); break;
    }
}

#include "attention_body.h"

// MARK: Measuring

// Six sums for sets with few registers; enough to hide the latency everywhere else too.
#define CHAINS 6

static int64_t measure_products(const uint8_t *data, size_t rounds, int32_t *sum) {
    ivec sums[CHAINS];
    UNROLL for (int i = 0; i < CHAINS; i++) sums[i] = (ivec){0} + i;
    for (size_t round = 0; round < rounds; round++) {
        short_sums chains[CHAINS];
        UNROLL for (int i = 0; i < CHAINS; i++) chains[i] = begin_short_sums(sums[i]);
        UNROLL for (int k = 0; k < 8; k++) {
            const bvec weights = *(const bvec *)(data + 64 * k);
            UNROLL for (int i = 0; i < CHAINS; i++) chains[i] = dot_quad(chains[i], weights, data + 512 + 4 * i);
        }
        UNROLL for (int i = 0; i < CHAINS; i++) sums[i] = end_short_sums(chains[i], sums[i]);
        // The compiler must not see that every round does the same.
        __asm__ volatile("" : : "r"(data) : "memory");
    }
    ivec total = {0};
    UNROLL for (int i = 0; i < CHAINS; i++) total += sums[i];
    *sum = total[0] + total[7] + total[15];
    return (int64_t)rounds * 8 * CHAINS * 128;
}

static int32_t measure_reading(const uint8_t *data, size_t count) {
    ivec sums[4] = {{0}, {0}, {0}, {0}};
    for (size_t i = 0; i + 256 <= count; i += 256)
        UNROLL for (int k = 0; k < 4; k++) sums[k] ^= *(const ivec *)(data + i + 64 * (size_t)k);
    const ivec total = sums[0] ^ sums[1] ^ sums[2] ^ sums[3];
    return total[0] ^ total[9];
}

const struct apus_kernels KERNELS_TABLE = {
    .name = KERNELS_NAME,
    .prepare_tile = prepare_tile,
    .multiply = multiply,
    .attend = attend,
    .store_position = store_position,
    .measure_products = measure_products,
    .measure_reading = measure_reading,
};
