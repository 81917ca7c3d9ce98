// What the files of this folder share.
#pragma once

#include "CRKLLM.h"

/// How one family is called.
struct calls {
    int (*load)(const struct apus_rkllm_library *, struct apus_rkllm_settings *, void **handle);
    int (*run)(const struct apus_rkllm_library *, void *handle, const struct apus_rkllm_run *);
    int (*clear_cache)(const struct apus_rkllm_library *, void *handle, bool keeps_system_prompt);
};

extern const struct calls rkllm_calls_110, rkllm_calls_120, rkllm_calls_121, rkllm_calls_130;

struct apus_rkllm_library {
    void *image;
    const struct calls *calls;
    void *create_default_param, *init, *run, *abort, *destroy, *clear_kv_cache;
};
