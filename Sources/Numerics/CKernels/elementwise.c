// Operations on one row: norms, activations, rotations.

#include "CKernels.h"
#include "exponential.h"
#include "lanes.h"
#include <math.h>

WIDER_TOO float apus_dot(const float *a, const float *b, size_t count) { return dot(a, b, count); }

WIDER_TOO void apus_rms_norm(const float *input, const float *weight, float *output, size_t count, float epsilon) {
    const float mean = dot(input, input, count) / (float)count;
    const float scale = 1.0f / sqrtf(mean + epsilon);
    for (size_t i = 0; i < count; i++) output[i] = input[i] * scale * weight[i];
}

WIDER_TOO void apus_add(float *restrict target, const float *restrict source, size_t count) {
    for (size_t i = 0; i < count; i++) target[i] += source[i];
}

WIDER_TOO void apus_add_scaled(float *restrict target, const float *restrict source, float scale, size_t count) {
    for (size_t i = 0; i < count; i++) target[i] += source[i] * scale;
}

WIDER_TOO void apus_silu_multiply(float *restrict gate, const float *restrict up, size_t count) {
    for (size_t i = 0; i < count; i++) gate[i] = gate[i] / (1.0f + exponential(-gate[i])) * up[i];
}

WIDER_TOO void apus_exp(float *values, size_t count) {
    for (size_t i = 0; i < count; i++) values[i] = exponential(values[i]);
}

WIDER_TOO void apus_softmax(float *values, size_t count) {
    float largest = values[0];
    for (size_t i = 1; i < count; i++) largest = values[i] > largest ? values[i] : largest;
    for (size_t i = 0; i < count; i++) values[i] = exponential(values[i] - largest);
    lanes sums = {0}, tail;
    size_t i = 0;
    for (; i + LANES <= count; i += LANES) sums += *(const lanes *)(values + i);
    load_tail(values + i, count - i, &tail);
    sums += tail;
    const float sum = add_lanes(&sums);
    for (i = 0; i < count; i++) values[i] /= sum;
}

WIDER_TOO void apus_rotate(float *restrict head, const float *restrict cosines, const float *restrict sines, size_t pairs, int split) {
    const size_t step = split ? 1 : 2;
    const size_t partner = split ? pairs : 1;
    for (size_t i = 0; i < pairs; i++) {
        const float a = head[i * step];
        const float b = head[i * step + partner];
        head[i * step] = a * cosines[i] - b * sines[i];
        head[i * step + partner] = a * sines[i] + b * cosines[i];
    }
}
