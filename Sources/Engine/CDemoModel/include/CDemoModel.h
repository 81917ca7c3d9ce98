#ifndef APUS_CDEMOMODEL_H
#define APUS_CDEMOMODEL_H

#include <stddef.h>

// The bundled demo model: a whole GGUF file, read-only, aligned to 64 bytes.
extern const unsigned char apus_demo_model[];
extern const size_t apus_demo_model_size;

// Swift imports no array of unknown length.
static inline const unsigned char *apus_demo_model_start(void) { return apus_demo_model; }

#endif
