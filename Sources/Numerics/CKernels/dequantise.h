// Block layouts of the quantised types.

#pragma once

#include <stddef.h>
#include <stdint.h>

enum tensor_type {
    TYPE_F32 = 0,
    TYPE_F16 = 1,
    TYPE_Q4_0 = 2,
    TYPE_Q4_1 = 3,
    TYPE_Q5_0 = 6,
    TYPE_Q5_1 = 7,
    TYPE_Q8_0 = 8,
    TYPE_Q2_K = 10,
    TYPE_Q3_K = 11,
    TYPE_Q4_K = 12,
    TYPE_Q5_K = 13,
    TYPE_Q6_K = 14,
    TYPE_IQ4_NL = 20,
    TYPE_IQ4_XS = 23,
    TYPE_BF16 = 30,
};

struct block_layout {
    size_t elements;
    size_t bytes;
};

// Elements and bytes of one block; zeros for a type that cannot be read.
static inline struct block_layout block_layout(uint32_t type) {
    switch (type) {
    case TYPE_F32: return (struct block_layout){1, 4};
    case TYPE_F16: return (struct block_layout){1, 2};
    case TYPE_BF16: return (struct block_layout){1, 2};
    case TYPE_Q4_0: return (struct block_layout){32, 18};
    case TYPE_Q4_1: return (struct block_layout){32, 20};
    case TYPE_Q5_0: return (struct block_layout){32, 22};
    case TYPE_Q5_1: return (struct block_layout){32, 24};
    case TYPE_Q8_0: return (struct block_layout){32, 34};
    case TYPE_IQ4_NL: return (struct block_layout){32, 18};
    case TYPE_Q2_K: return (struct block_layout){256, 84};
    case TYPE_Q3_K: return (struct block_layout){256, 110};
    case TYPE_Q4_K: return (struct block_layout){256, 144};
    case TYPE_Q5_K: return (struct block_layout){256, 176};
    case TYPE_Q6_K: return (struct block_layout){256, 210};
    case TYPE_IQ4_XS: return (struct block_layout){256, 136};
    default: return (struct block_layout){0, 0};
    }
}
