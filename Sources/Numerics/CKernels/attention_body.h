// Attention over a cache of keys and values, for kernels_body.h.
//
// A block of the cache holds 32 positions of one key-value head: the keys as two panels of sixteen positions (element d
// of all sixteen, then element d + 1), then the values position by position, each padded to whole lanes. In Q8_0 every 32
// elements of a position share an F16 scale; the scales follow the keys, in the same panels, and the values.

#define PART_POSITIONS 128

// What a row knows after some parts: the largest score, the sum of e^(score − largest), the values with those weights.
struct running_softmax {
    float largest;
    float sum;
};

// The positions that any row of a job sees, from the beginning of a part on.
struct reach {
    size_t first;
    size_t end;
};

INLINE const uint8_t *block_of(const struct apus_attention *job, size_t position) {
    return (const uint8_t *)job->cache + (size_t)job->blocks[position / APUS_BLOCK_POSITIONS] * job->block_bytes;
}

INLINE size_t element_bytes(uint32_t type) { return type == TYPE_F32 ? 4 : type == TYPE_F16 ? 2 : 1; }

// Sixteen elements that begin at element `index` of an area.
INLINE fvec load_elements(uint32_t type, const uint8_t *area, size_t index) {
    return type == TYPE_F32   ? load_floats((const float *)area + index)
           : type == TYPE_F16 ? load_halves((const uint16_t *)area + index)
                              : load_signed_bytes(area + index);
}

// The processor by itself does not look from one area to the next. While the keys of a part are read, its values are asked
// for, and while these are read, the keys that come after them. Only the first tile does it (`ahead`): the others find a
// part near.

// What is read after the block of `position`: the same head 128 positions on, or else the next head from its first block.
INLINE const uint8_t *upcoming_block(const struct apus_attention *job, size_t position, struct reach reach) {
    if (position + PART_POSITIONS < reach.end) return block_of(job, position + PART_POSITIONS);
    const size_t next = reach.first + position % PART_POSITIONS;
    return job->next_head_bytes && next < reach.end ? block_of(job, next) + job->next_head_bytes : block_of(job, position);
}

// Few rows make few sums, whose additions would wait for each other: several panels are computed side by side, and share
// what is broadcast to them.
INLINE int panels_at_once(int rows) { return rows <= 2 ? 4 : 2; }

// scores[r][i] = query r · key of position start + i, for `count` panels of sixteen positions.
INLINE void panel_scores(uint32_t type, const struct apus_attention *job, const float *queries, int rows, int ahead,
                         int count, size_t start, float scores[][PART_POSITIONS], size_t place) {
    const struct head_areas areas = head_areas(type, job->head_dimension);
    const size_t dimension = job->head_dimension, groups = scale_groups(dimension);
    const uint8_t *keys[4], *values[4];
    const uint16_t *scales[4];
    fvec sums[4][TILE_ROWS], scale[4];
    UNROLL for (int p = 0; p < count; p++) {
        const size_t position = start + place + (size_t)p * PANEL_ROWS;
        const uint8_t *block = block_of(job, position);
        const size_t panel = position % APUS_BLOCK_POSITIONS / PANEL_ROWS;
        keys[p] = block + panel * dimension * PANEL_ROWS * element_bytes(type);
        values[p] = keys[p] + areas.values;
        scales[p] = (const uint16_t *)(block + areas.key_scales) + panel * groups * PANEL_ROWS;
        UNROLL for (int r = 0; r < rows; r++) sums[p][r] = (fvec){0};
    }
    for (size_t first = 0; first < dimension; first += 32) {
        const size_t stop = dimension - first < 32 ? dimension : first + 32;
        if (type == TYPE_Q8_0)
            UNROLL for (int p = 0; p < count; p++) scale[p] = load_halves(scales[p] + first / 32 * PANEL_ROWS);
        for (size_t d = first; d < stop; d++) {
            UNROLL for (int p = 0; p < count; p++) {
                if (ahead) __builtin_prefetch(values[p] + d * PANEL_ROWS * element_bytes(type), 0, 2);
                fvec key = load_elements(type, keys[p], d * PANEL_ROWS);
                if (type == TYPE_Q8_0) key *= scale[p];
                UNROLL for (int r = 0; r < rows; r++)
                    sums[p][r] = fused(key, splat(queries[d * (size_t)rows + (size_t)r]), sums[p][r]);
            }
        }
    }
    UNROLL for (int p = 0; p < count; p++)
        UNROLL for (int r = 0; r < rows; r++)
            *(fvec *)(scores[r] + place + (size_t)p * PANEL_ROWS) = sums[p][r] * job->scale;
}

// The scores of the positions start ..< end, and of some beyond. `queries` holds element d of all rows side by side.
INLINE void part_scores(uint32_t type, const struct apus_attention *job, const float *queries, int rows, int ahead,
                        size_t start, size_t end, float scores[][PART_POSITIONS]) {
    const size_t panels = (end - start + PANEL_ROWS - 1) / PANEL_ROWS, step = (size_t)panels_at_once(rows);
    size_t panel = 0;
    for (; panel + step <= panels; panel += step)
        panel_scores(type, job, queries, rows, ahead, panels_at_once(rows), start, scores, panel * PANEL_ROWS);
    for (; panel < panels; panel++) panel_scores(type, job, queries, rows, ahead, 1, start, scores, panel * PANEL_ROWS);
}

// Turns the scores of the positions first ..< end of a part into weights, all others into zeros. Returns the factor by
// which what came before has to shrink. A row that sees nothing of the part is left exactly as it was.
INLINE float part_weights(float *scores, size_t first, size_t end, struct running_softmax *softmax) {
    for (size_t i = 0; i < PART_POSITIONS; i++) scores[i] = i >= first && i < end ? scores[i] : -__builtin_inff();
    if (first >= end) {
        for (size_t i = 0; i < PART_POSITIONS; i++) scores[i] = 0.0f;
        return 1.0f;
    }
    fvec lanes_largest = splat(softmax->largest);
    for (size_t i = 0; i < PART_POSITIONS; i += PANEL_ROWS)
        lanes_largest = larger(lanes_largest, load_floats(scores + i));
    float largest = lanes_largest[0];
    for (int i = 1; i < PANEL_ROWS; i++) largest = lanes_largest[i] > largest ? lanes_largest[i] : largest;

    for (size_t i = 0; i < PART_POSITIONS; i++) scores[i] = exponential(scores[i] - largest);
    lanes sums = {0};
    for (size_t i = 0; i < PART_POSITIONS; i += PANEL_ROWS) sums += *(const lanes *)(scores + i);
    const float shrink = exponential(softmax->largest - largest);
    softmax->sum = softmax->sum * shrink + add_lanes(&sums);
    softmax->largest = largest;
    return shrink;
}

// outputs[r] = outputs[r] · shrink[r] + Σ weights[r][i] · value of position start + i, for `count` times sixteen elements
// of a value from element `first` on.
INLINE void lane_values(uint32_t type, const struct apus_attention *job, float weights[][PART_POSITIONS],
                        const float *shrink, int rows, int ahead, int count, size_t first, size_t start, size_t end,
                        struct reach reach, float *outputs) {
    const struct head_areas areas = head_areas(type, job->head_dimension);
    const size_t width = line_of_lanes(job->head_dimension), groups = scale_groups(job->head_dimension);
    fvec sums[4][TILE_ROWS];
    UNROLL for (int p = 0; p < count; p++)
        UNROLL for (int r = 0; r < rows; r++)
            sums[p][r] = load_floats(outputs + (size_t)r * width + first + (size_t)p * PANEL_ROWS) * shrink[r];
    for (size_t position = start; position < end;) {
        const uint8_t *block = block_of(job, position), *upcoming = upcoming_block(job, position, reach);
        const uint16_t *scales = (const uint16_t *)(block + areas.value_scales);
        const size_t block_end = (position / APUS_BLOCK_POSITIONS + 1) * APUS_BLOCK_POSITIONS;
        const size_t stop = block_end < end ? block_end : end;
        for (; position < stop; position++) {
            const size_t place = position % APUS_BLOCK_POSITIONS;
            UNROLL for (int p = 0; p < count; p++) {
                const size_t d = first + (size_t)p * PANEL_ROWS;
                if (ahead) __builtin_prefetch(upcoming + (place * width + d) * element_bytes(type), 0, 2);
                fvec value = load_elements(type, block + areas.values, place * width + d);
                if (type == TYPE_Q8_0) value *= load_half((const uint8_t *)(scales + place * groups + d / 32));
                UNROLL for (int r = 0; r < rows; r++)
                    sums[p][r] = fused(value, splat(weights[r][position - start]), sums[p][r]);
            }
        }
    }
    UNROLL for (int p = 0; p < count; p++)
        UNROLL for (int r = 0; r < rows; r++)
            *(fvec *)(outputs + (size_t)r * width + first + (size_t)p * PANEL_ROWS) = sums[p][r];
}

INLINE void part_values(uint32_t type, const struct apus_attention *job, float weights[][PART_POSITIONS],
                        const float *shrink, int rows, int ahead, size_t start, size_t end, struct reach reach,
                        float *outputs) {
    const size_t width = line_of_lanes(job->head_dimension), step = (size_t)panels_at_once(rows) * PANEL_ROWS;
    size_t d = 0;
    for (; d + step <= width; d += step)
        lane_values(type, job, weights, shrink, rows, ahead, panels_at_once(rows), d, start, end, reach, outputs);
    for (; d < width; d += PANEL_ROWS) lane_values(type, job, weights, shrink, rows, ahead, 1, d, start, end, reach, outputs);
}

INLINE void attend_part(uint32_t type, const struct apus_attention *job, const struct apus_attention_row *lines,
                        const float *queries, int rows, int ahead, size_t start, size_t end, struct reach reach,
                        struct running_softmax *softmax, float *outputs) {
    float scores[TILE_ROWS][PART_POSITIONS] __attribute__((aligned(64)));
    float shrink[TILE_ROWS];
    part_scores(type, job, queries, rows, ahead, start, end, scores);
    for (int r = 0; r < rows; r++) {
        const size_t first = lines[r].first > start ? lines[r].first - start : 0;
        const size_t visible = lines[r].end > start ? lines[r].end - start : 0;
        shrink[r] = part_weights(scores[r], first, visible < PART_POSITIONS ? visible : PART_POSITIONS, softmax + r);
    }
    part_values(type, job, scores, shrink, rows, ahead, start, end, reach, outputs);
}

INLINE void attend_rows(uint32_t type, const struct apus_attention *job, const struct apus_attention_row *lines,
                        const float *queries, size_t rows, int ahead, size_t start, size_t end, struct reach reach,
                        struct running_softmax *softmax, float *outputs) {
    switch (rows) {
    case 1: attend_part(type, job, lines, queries, 1, 1, start, end, reach, softmax, outputs); break;
    case 2: attend_part(type, job, lines, queries, 2, 1, start, end, reach, softmax, outputs); break;
    case 3: attend_part(type, job, lines, queries, 3, 1, start, end, reach, softmax, outputs); break;
    case 4: attend_part(type, job, lines, queries, 4, 1, start, end, reach, softmax, outputs); break;
    case 6: attend_part(type, job, lines, queries, 6, 1, start, end, reach, softmax, outputs); break;
    default:
        if (ahead)
            attend_part(type, job, lines, queries, 8, 1, start, end, reach, softmax, outputs);
        else
            attend_part(type, job, lines, queries, 8, 0, start, end, reach, softmax, outputs);
        break;
    }
}

// Sums are cut at multiples of PART_POSITIONS, whatever the rows beside a row see. Keys and values of a part are read
// once for all tiles.
INLINE void attend_to(uint32_t type, const struct apus_attention *job) {
    const size_t d = job->head_dimension, width = line_of_lanes(d);
    struct apus_attention_row lines[APUS_ATTENTION_ROWS];
    struct running_softmax softmax[APUS_ATTENTION_ROWS];
    float queries[APUS_ATTENTION_ROWS * APUS_HEAD_DIMENSION];
    float outputs[APUS_ATTENTION_ROWS * APUS_HEAD_DIMENSION] __attribute__((aligned(64)));
    const size_t full = job->row_count / TILE_ROWS * TILE_ROWS;
    const size_t rows = full + padded_rows(job->row_count - full);
    size_t first = (size_t)-1, end = 0;
    for (size_t r = 0; r < rows; r++) {
        // A row too many is a copy, and its results are dropped.
        lines[r] = job->rows[r < job->row_count ? r : job->row_count - 1];
        softmax[r] = (struct running_softmax){-__builtin_inff(), 0.0f};
        first = lines[r].first < first ? lines[r].first : first;
        end = lines[r].end > end ? lines[r].end : end;
        const size_t tile = r / TILE_ROWS * TILE_ROWS;
        const size_t tile_rows = rows - tile < TILE_ROWS ? rows - tile : TILE_ROWS;
        for (size_t i = 0; i < d; i++) queries[tile * d + i * tile_rows + (r - tile)] = lines[r].query[i];
    }
    memset(outputs, 0, rows * width * sizeof(float));

    const struct reach reach = {first / PART_POSITIONS * PART_POSITIONS, end};
    for (size_t start = reach.first; start < end; start += PART_POSITIONS) {
        int ahead = 1;
        for (size_t tile = 0; tile < rows; tile += TILE_ROWS) {
            const size_t tile_rows = rows - tile < TILE_ROWS ? rows - tile : TILE_ROWS;
            size_t tile_end = 0;
            for (size_t r = tile; r < tile + tile_rows; r++) tile_end = lines[r].end > tile_end ? lines[r].end : tile_end;
            if (tile_end <= start) continue;
            const size_t stop = tile_end < start + PART_POSITIONS ? tile_end : start + PART_POSITIONS;
            attend_rows(type, job, lines + tile, queries + tile * d, tile_rows, ahead, start, stop, reach, softmax + tile,
                        outputs + tile * width);
            ahead = 0;
        }
    }
    for (size_t r = 0; r < job->row_count; r++)
        for (size_t i = 0; i < d; i++) lines[r].output[i] = outputs[r * width + i] / softmax[r].sum;
}

// A function for each type of the cache.
static void attend_f32(const struct apus_attention *job) { attend_to(TYPE_F32, job); }
static void attend_f16(const struct apus_attention *job) { attend_to(TYPE_F16, job); }
static void attend_q8_0(const struct apus_attention *job) { attend_to(TYPE_Q8_0, job); }

static void attend(const struct apus_attention *job) {
    switch (job->cache_type) {
    case TYPE_F32: attend_f32(job); break;
    case TYPE_F16: attend_f16(job); break;
    default: attend_q8_0(job); break;
    }
}

// Quantises up to 32 elements by their own scale, rounded to F16 first. What the row is worth is seen from it alone.
INLINE uint16_t quantise_elements(const float *values, size_t count, int8_t *q) {
    float padded[32] = {0};
    memcpy(padded, values, count * sizeof(float));
    float largest = 0.0f;
    for (int i = 0; i < 32; i++) largest = __builtin_fabsf(padded[i]) > largest ? __builtin_fabsf(padded[i]) : largest;
    const uint16_t scale = to_half(largest / 127.0f);
    const float inverse = half(scale) > 0.0f ? 1.0f / half(scale) : 0.0f;
    for (int i = 0; i < 32; i++) {
        float rounded = padded[i] * inverse;
        rounded = rounded > 127.0f ? 127.0f : rounded;
        rounded = rounded < -127.0f ? -127.0f : rounded;
        const float shifted = rounded + 12582912.0f;
        int32_t bits;
        memcpy(&bits, &shifted, sizeof(bits));
        q[i] = (int8_t)(bits - 0x4B400000);
    }
    return scale;
}

static void store_position(uint32_t type, void *head, size_t place, size_t dimension, const float *key,
                           const float *value) {
    const struct head_areas areas = head_areas(type, dimension);
    const size_t width = line_of_lanes(dimension), groups = scale_groups(dimension);
    const size_t panel = place / PANEL_ROWS, lane = place % PANEL_ROWS;
    uint8_t *keys = head, *values = keys + areas.values;
    uint16_t *key_scales = (uint16_t *)(keys + areas.key_scales), *value_scales = (uint16_t *)(keys + areas.value_scales);
    for (size_t first = 0; first < dimension; first += 32) {
        const size_t count = dimension - first < 32 ? dimension - first : 32;
        const size_t padded = line_of_lanes(count);
        float key_part[32] = {0}, value_part[32] = {0};
        memcpy(key_part, key + first, count * sizeof(float));
        memcpy(value_part, value + first, count * sizeof(float));
        if (type == TYPE_Q8_0) {
            int8_t q[32];
            key_scales[(panel * groups + first / 32) * PANEL_ROWS + lane] = quantise_elements(key_part, count, q);
            for (size_t i = 0; i < count; i++) keys[(panel * dimension + first + i) * PANEL_ROWS + lane] = (uint8_t)q[i];
            value_scales[place * groups + first / 32] = quantise_elements(value_part, count, q);
            memcpy(values + place * width + first, q, padded);
        } else if (type == TYPE_F16) {
            uint16_t halves[32];
            for (size_t i = 0; i < padded; i += PANEL_ROWS) store_halves(halves + i, load_floats(key_part + i));
            for (size_t i = 0; i < count; i++)
                ((uint16_t *)keys)[(panel * dimension + first + i) * PANEL_ROWS + lane] = halves[i];
            for (size_t i = 0; i < padded; i += PANEL_ROWS) store_halves(halves + i, load_floats(value_part + i));
            memcpy((uint16_t *)values + place * width + first, halves, padded * sizeof(uint16_t));
        } else {
            for (size_t i = 0; i < count; i++)
                ((float *)keys)[(panel * dimension + first + i) * PANEL_ROWS + lane] = key_part[i];
            memcpy((float *)values + place * width + first, value_part, padded * sizeof(float));
        }
    }
}
