// Attention over a cache of keys and values, in parts of fixed positions.

#include "CKernels.h"
#include "exponential.h"
#include "lanes.h"

#define PART 128

// Running softmax: after each part, `largest` is the largest score so far, `sum` the sum of e^(score − largest), and
// `output` the sum of the values with those weights. The parts end at multiples of PART whatever the window or the
// chunk, and are added in order.
WIDER_TOO void apus_attend(const float *query, const float *keys, const float *values, size_t stride,
                           size_t head_dimension, size_t first, size_t end, float scale, float *output) {
    float largest = -__builtin_inff();
    float sum = 0.0f;
    for (size_t d = 0; d < head_dimension; d++) output[d] = 0.0f;

    size_t start = first;
    while (start < end) {
        size_t stop = (start / PART + 1) * PART;
        if (stop > end) stop = end;
        const size_t count = stop - start;

        float weights[PART] = {0};
        float part_largest = largest;
        for (size_t i = 0; i < count; i++) {
            weights[i] = dot(query, keys + (start + i) * stride, head_dimension) * scale;
            part_largest = weights[i] > part_largest ? weights[i] : part_largest;
        }
        for (size_t i = 0; i < count; i++) weights[i] = exponential(weights[i] - part_largest);
        lanes sums = {0};
        for (size_t i = 0; i < PART; i += LANES) sums += *(const lanes *)(weights + i);

        const float shrink = exponential(largest - part_largest);
        sum = sum * shrink + add_lanes(&sums);
        for (size_t d = 0; d < head_dimension; d++) output[d] *= shrink;
        for (size_t i = 0; i < count; i++) {
            const float weight = weights[i];
            const float *value = values + (start + i) * stride;
            for (size_t d = 0; d < head_dimension; d++) output[d] += weight * value[d];
        }
        largest = part_largest;
        start = stop;
    }
    for (size_t d = 0; d < head_dimension; d++) output[d] /= sum;
}
