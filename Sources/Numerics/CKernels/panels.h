// The layout of packed weights: panels of sixteen rows of the matrix, in the order in which the kernels read them.
//
// A panel holds sixteen weight rows, one per vector lane. Quantised types are cut into blocks of 32 elements of K. A
// block of n-bit numbers is a sequence of 64-byte vectors: lane l of a vector is the 4 bytes 4 l ..< 4 l + 4, which belong
// to row l and to four consecutive elements of K, a "quad". A block has eight quads.
//
// | quants   | bytes of a block | quad k lies in                                                         |
// |----------|------------------|------------------------------------------------------------------------|
// | NIBBLES  | 256              | vector k % 4, low nibble of each byte for k < 4, high nibble otherwise |
// | BYTES    | 512              | vector k                                                               |
// | PAIRS    | 128              | vector k / 4, bits 2 (k % 4) and the next one                          |
//
// Types with more bits have a second area, `high`: one bit each (64 bytes, bit k of every byte belongs to quad k), or two
// (128 bytes, laid out as PAIRS). Scales lie in areas of their own: F16 for each row, integers for each row and block
// or half block. Areas start at multiples of 64 bytes. F16, BF16 and F32 panels are plain: element k of all sixteen rows,
// then element k + 1.

#pragma once

#include "dequantise.h"

#define PANEL_ROWS 16

enum quants { PLAIN, NIBBLES, BYTES, PAIRS };

struct panel_format {
    enum quants quants;
    int high_bits;   // 0, 1 or 2 more bits per element
    int zero_point;  // subtracted from every stored integer
    int group;       // elements of K that share a scale: 32 or 16
    int super;       // elements of K that share the F16 numbers: 32 or 256
    int halves;      // F16 numbers per row and super-block: d, or d and the minimum's factor
    int integers;    // bytes of integer scales per row and group: 0, 1 (scale, or both in nibbles), 2 (scale, minimum)
    int has_minimum;
    int exact_scale;  // activations keep their exact scale instead of the next power of two
    int table;        // the integers are places in iq4_nl_codes
};

// What is said about a type here is all that packing, kernels and activations know about it.
static inline struct panel_format panel_format(uint32_t type) {
    switch (type) {
    //                                       quants, high, zero, group, super, halves, integers, minimum, exact, table
    case TYPE_Q4_0: return (struct panel_format){NIBBLES, 0, 8, 32, 32, 1, 0, 0, 0, 0};
    case TYPE_Q4_1: return (struct panel_format){NIBBLES, 0, 0, 32, 32, 2, 0, 1, 0, 0};
    case TYPE_Q5_0: return (struct panel_format){NIBBLES, 1, 16, 32, 32, 1, 0, 0, 0, 0};
    case TYPE_Q5_1: return (struct panel_format){NIBBLES, 1, 0, 32, 32, 2, 0, 1, 0, 0};
    case TYPE_Q8_0: return (struct panel_format){BYTES, 0, 128, 32, 32, 1, 0, 0, 1, 0};
    case TYPE_IQ4_NL: return (struct panel_format){NIBBLES, 0, 128, 32, 32, 1, 0, 0, 1, 1};
    case TYPE_Q2_K: return (struct panel_format){PAIRS, 0, 0, 16, 256, 2, 1, 1, 0, 0};
    case TYPE_Q3_K: return (struct panel_format){PAIRS, 1, 4, 16, 256, 1, 1, 0, 0, 0};
    case TYPE_Q4_K: return (struct panel_format){NIBBLES, 0, 0, 32, 256, 2, 2, 1, 0, 0};
    case TYPE_Q5_K: return (struct panel_format){NIBBLES, 1, 0, 32, 256, 2, 2, 1, 0, 0};
    case TYPE_Q6_K: return (struct panel_format){NIBBLES, 2, 32, 16, 256, 1, 1, 0, 0, 0};
    case TYPE_IQ4_XS: return (struct panel_format){NIBBLES, 0, 128, 32, 256, 1, 1, 0, 1, 1};
    default: return (struct panel_format){PLAIN, 0, 0, 1, 1, 0, 0, 0, 0, 0};
    }
}

// The values that the nibbles of IQ4_NL and IQ4_XS stand for, plus their zero point of 128.
static const uint8_t iq4_nl_codes[16] __attribute__((unused)) = {1,   24,  45,  63,  79,  93,  106, 118,
                                                                 129, 141, 153, 166, 181, 197, 217, 241};

// Bits of the integers that kernels multiply.
static inline int weight_bits(struct panel_format format) {
    if (format.quants == BYTES || format.table) return 8;
    return (format.quants == NIBBLES ? 4 : 2) + format.high_bits;
}

// Bytes of integer scales per row and block.
static inline size_t block_integers(struct panel_format format) {
    return (size_t)(32 / format.group * format.integers);
}

static inline size_t quant_bytes(struct panel_format format) {
    return format.quants == BYTES ? 512 : format.quants == NIBBLES ? 256 : 128;
}

// Offsets of the areas of one panel in bytes; `end` is its size.
struct panel_areas {
    size_t halves;
    size_t integers;
    size_t high;
    size_t quants;
    size_t end;
};

static inline size_t line_up(size_t bytes) { return (bytes + 63) / 64 * 64; }

static inline struct panel_areas panel_areas(uint32_t type, size_t columns) {
    const struct panel_format format = panel_format(type);
    struct panel_areas areas = {0};
    if (format.quants == PLAIN) {
        areas.end = columns * block_layout(type).bytes * PANEL_ROWS;
        return areas;
    }
    const size_t blocks = columns / 32;
    areas.integers = line_up(columns / (size_t)format.super * (size_t)format.halves * PANEL_ROWS * sizeof(uint16_t));
    areas.high = areas.integers + line_up(columns / (size_t)format.group * (size_t)format.integers * PANEL_ROWS);
    areas.quants = areas.high + blocks * 64 * (size_t)format.high_bits;
    areas.end = areas.quants + blocks * quant_bytes(format);
    return areas;
}
