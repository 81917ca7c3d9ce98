// What the files of this folder share.
#pragma once

#include "CRKLLM.h"

/// How one family is called; NULL where it has no such function.
struct calls {
    int (*load)(const struct apus_rkllm_library *, struct apus_rkllm_settings *, void **handle);
    int (*run)(const struct apus_rkllm_library *, void *handle, const struct apus_rkllm_run *);
    int (*clear_cache)(const struct apus_rkllm_library *, void *handle, bool keeps_system_prompt);
    int (*clear_ranges)(const struct apus_rkllm_library *, void *handle, int32_t *first, int32_t *end);
    int (*load_adapter)(const struct apus_rkllm_library *, void *handle, const char *path, const char *name, float scale);
    int (*set_cross_attention)(
        const struct apus_rkllm_library *, void *handle, const struct apus_rkllm_cross_attention *);
};

extern const struct calls rkllm_calls_110, rkllm_calls_120, rkllm_calls_121, rkllm_calls_130;

struct apus_rkllm_library {
    void *image;
    const struct calls *calls;
    void *create_default_param, *init, *run, *abort, *destroy, *clear_kv_cache, *get_kv_cache_size, *set_chat_template,
        *set_function_tools, *load_lora, *load_prompt_cache, *release_prompt_cache, *set_cross_attn_params;
};
