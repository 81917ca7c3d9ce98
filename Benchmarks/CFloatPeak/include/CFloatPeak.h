#ifndef APUS_FLOAT_PEAK_H
#define APUS_FLOAT_PEAK_H

#include <stddef.h>

// Additions and multiplications of floats that were done in registers, with the widest vectors of an instruction set as
// the kernels name it; 0 for another name. `result` depends on all of them.
double apus_float_operations(const char *instruction_set, size_t rounds, float *result);

#endif
