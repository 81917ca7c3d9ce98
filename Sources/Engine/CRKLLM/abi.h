// The binary interface of the Rockchip NPU runtime, of the family that RKLLM_ABI names:
//
//   110  releases 1.1.x            121  releases 1.2.1 to 1.2.3
//   120  release 1.2.0             130  release 1.3.0
//
// Every family has its own sizes and offsets under the same names, so a file sees exactly one of them. What each structure
// has to look like is asserted below the structures.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef RKLLM_ABI
#error "RKLLM_ABI has to be 110, 120, 121 or 130"
#endif

typedef void *rkllm_handle;

enum rkllm_call_state {
    rkllm_state_normal = 0,
    rkllm_state_waiting = 1,
    rkllm_state_finish = 2,
    rkllm_state_error = 3,
#if RKLLM_ABI < 120
    rkllm_state_last_hidden_layer = 4,
#endif
};

enum rkllm_input_type {
    rkllm_input_prompt = 0,
    rkllm_input_tokens = 1,
    rkllm_input_embeddings = 2,
    rkllm_input_multimodal = 3,
};

enum rkllm_infer_mode { rkllm_mode_generate = 0, rkllm_mode_last_hidden_layer = 1, rkllm_mode_logits = 2 };

struct rkllm_extend_param {
    int32_t base_domain_id;
#if RKLLM_ABI >= 120
    int8_t embed_flash;
    int8_t enabled_cpus_num;
    uint32_t enabled_cpus_mask;
#endif
#if RKLLM_ABI >= 121
    uint8_t n_batch;
    int8_t use_cross_attn;
    uint8_t reserved[104];
#elif RKLLM_ABI == 120
    uint8_t reserved[106];
#else
    uint8_t reserved[112];
#endif
};

struct rkllm_param {
    const char *model_path;
    int32_t max_context_len;
    int32_t max_new_tokens;
    int32_t top_k;
#if RKLLM_ABI >= 120
    int32_t n_keep;
#endif
    float top_p;
    float temperature;
    float repeat_penalty;
    float frequency_penalty;
    float presence_penalty;
    int32_t mirostat;
    float mirostat_tau;
    float mirostat_eta;
    bool skip_special_token;
#if RKLLM_ABI >= 130
    bool ignore_eos_token;
#endif
    bool is_async;
#if RKLLM_ABI < 130
    const char *img_start;
    const char *img_end;
    const char *img_content;
#endif
    struct rkllm_extend_param extend_param;
};

struct rkllm_embed_input {
    float *embed;
    size_t n_tokens;
};

struct rkllm_token_input {
    int32_t *input_ids;
    size_t n_tokens;
};

#if RKLLM_ABI >= 130
struct rkllm_image_input {
    float *image_embed;
    size_t n_image_tokens;
    size_t n_image;
    const char *image_start;
    const char *image_end;
    const char *image_content;
    size_t image_width;
    size_t image_height;
};

struct rkllm_video_input {
    float *video_embed;
    size_t n_frame_tokens;
    size_t n_frame_per_video;
    size_t n_video;
    const char *video_start;
    const char *video_end;
    const char *video_content;
    size_t frame_width;
    size_t frame_height;
};
#endif

struct rkllm_multimodal_input {
    char *prompt;
#if RKLLM_ABI >= 130
    struct rkllm_image_input image;
    struct rkllm_video_input video;
#else
    float *image_embed;
    size_t n_image_tokens;
#if RKLLM_ABI >= 121
    size_t n_image;
    size_t image_width;
    size_t image_height;
#endif
#endif
};

struct rkllm_input {
#if RKLLM_ABI >= 121
    const char *role;
    bool enable_thinking;
#endif
    enum rkllm_input_type input_type;
    union {
        const char *prompt_input;
        struct rkllm_embed_input embed_input;
        struct rkllm_token_input token_input;
        struct rkllm_multimodal_input multimodal_input;
    };
};

struct rkllm_lora_adapter {
    const char *lora_adapter_path;
    const char *lora_adapter_name;
    float scale;
};

struct rkllm_lora_param {
    const char *lora_adapter_name;
};

struct rkllm_prompt_cache_param {
    int save_prompt_cache;
    const char *prompt_cache_path;
};

#if RKLLM_ABI >= 121
struct rkllm_cross_attn_param {
    float *encoder_k_cache;
    float *encoder_v_cache;
    float *encoder_mask;
    int32_t *encoder_pos;
    int num_tokens;
};
#endif

#if RKLLM_ABI >= 130
struct rkllm_sampling_param {
    int32_t top_k;
    float top_p;
    float temperature;
    float repeat_penalty;
    float frequency_penalty;
    float presence_penalty;
    int32_t mirostat;
    float mirostat_tau;
    float mirostat_eta;
};
#endif

struct rkllm_infer_param {
    enum rkllm_infer_mode mode;
    struct rkllm_lora_param *lora_params;
    struct rkllm_prompt_cache_param *prompt_cache_params;
#if RKLLM_ABI >= 130
    struct rkllm_sampling_param *sampling_params;
#endif
#if RKLLM_ABI >= 120
    int keep_history;
#endif
#if RKLLM_ABI >= 130
    int32_t max_new_tokens;
#endif
};

struct rkllm_result_last_hidden_layer {
    const float *hidden_states;
    int embd_size;
    int num_tokens;
};

struct rkllm_result_logits {
    const float *logits;
    int vocab_size;
    int num_tokens;
};

struct rkllm_perf_stat {
    float prefill_time_ms;
    int prefill_tokens;
    float generate_time_ms;
    int generate_tokens;
    float memory_usage_mb;
};

struct rkllm_result {
    const char *text;
    int32_t token_id;
    struct rkllm_result_last_hidden_layer last_hidden_layer;
#if RKLLM_ABI >= 120
    struct rkllm_result_logits logits;
#endif
#if RKLLM_ABI >= 121
    struct rkllm_perf_stat perf;
#endif
};

/// Before 1.2.1 nobody looks at what it returns.
typedef int (*rkllm_result_callback)(struct rkllm_result *result, void *userdata, enum rkllm_call_state state);

#if RKLLM_ABI >= 130
struct rkllm_callback {
    rkllm_result_callback result_callback;
    void *result_userdata;
    void (*tokenizer_callback)(void);
    void *tokenizer_userdata;
    void (*embed_callback)(void);
    void *embed_userdata;
};
#endif

// Sizes and places, for pointers of 64 bits.

#define ABI_SIZE(type, bytes) _Static_assert(sizeof(struct type) == (bytes), #type " has another size")
#define ABI_PLACE(type, member, place) \
    _Static_assert(offsetof(struct type, member) == (place), #type "." #member " is at another place")

_Static_assert(sizeof(void *) == 8, "the runtime is supported on processors of 64 bits");
_Static_assert(sizeof(enum rkllm_call_state) == 4 && sizeof(enum rkllm_infer_mode) == 4, "enumerations have 4 bytes");

ABI_PLACE(rkllm_param, model_path, 0);
ABI_PLACE(rkllm_param, max_context_len, 8);
ABI_PLACE(rkllm_param, max_new_tokens, 12);
ABI_PLACE(rkllm_param, top_k, 16);
ABI_PLACE(rkllm_extend_param, base_domain_id, 0);
ABI_SIZE(rkllm_embed_input, 16);
ABI_PLACE(rkllm_embed_input, n_tokens, 8);
ABI_SIZE(rkllm_token_input, 16);
ABI_PLACE(rkllm_token_input, n_tokens, 8);
ABI_SIZE(rkllm_lora_adapter, 24);
ABI_PLACE(rkllm_lora_adapter, lora_adapter_name, 8);
ABI_PLACE(rkllm_lora_adapter, scale, 16);
ABI_SIZE(rkllm_lora_param, 8);
ABI_SIZE(rkllm_prompt_cache_param, 16);
ABI_PLACE(rkllm_prompt_cache_param, prompt_cache_path, 8);
ABI_PLACE(rkllm_infer_param, lora_params, 8);
ABI_PLACE(rkllm_infer_param, prompt_cache_params, 16);
ABI_PLACE(rkllm_multimodal_input, prompt, 0);
ABI_SIZE(rkllm_result_last_hidden_layer, 16);
ABI_PLACE(rkllm_result_last_hidden_layer, embd_size, 8);
ABI_PLACE(rkllm_result_last_hidden_layer, num_tokens, 12);
ABI_PLACE(rkllm_result, token_id, 8);
ABI_PLACE(rkllm_result, last_hidden_layer, 16);

#if RKLLM_ABI >= 120
ABI_PLACE(rkllm_param, n_keep, 20);
ABI_PLACE(rkllm_param, top_p, 24);
ABI_PLACE(rkllm_param, temperature, 28);
ABI_PLACE(rkllm_param, repeat_penalty, 32);
ABI_PLACE(rkllm_param, frequency_penalty, 36);
ABI_PLACE(rkllm_param, presence_penalty, 40);
ABI_PLACE(rkllm_param, mirostat, 44);
ABI_PLACE(rkllm_param, mirostat_tau, 48);
ABI_PLACE(rkllm_param, mirostat_eta, 52);
ABI_PLACE(rkllm_param, skip_special_token, 56);
ABI_SIZE(rkllm_extend_param, 120);
ABI_PLACE(rkllm_extend_param, embed_flash, 4);
ABI_PLACE(rkllm_extend_param, enabled_cpus_num, 5);
ABI_PLACE(rkllm_extend_param, enabled_cpus_mask, 8);
ABI_SIZE(rkllm_result_logits, 16);
ABI_PLACE(rkllm_result_logits, vocab_size, 8);
ABI_PLACE(rkllm_result_logits, num_tokens, 12);
ABI_PLACE(rkllm_result, logits, 32);
#else
ABI_PLACE(rkllm_param, top_p, 20);
ABI_PLACE(rkllm_param, temperature, 24);
ABI_PLACE(rkllm_param, repeat_penalty, 28);
ABI_PLACE(rkllm_param, frequency_penalty, 32);
ABI_PLACE(rkllm_param, presence_penalty, 36);
ABI_PLACE(rkllm_param, mirostat, 40);
ABI_PLACE(rkllm_param, mirostat_tau, 44);
ABI_PLACE(rkllm_param, mirostat_eta, 48);
ABI_PLACE(rkllm_param, skip_special_token, 52);
ABI_PLACE(rkllm_param, is_async, 53);
ABI_PLACE(rkllm_param, img_start, 56);
ABI_PLACE(rkllm_param, extend_param, 80);
ABI_SIZE(rkllm_param, 200);
ABI_SIZE(rkllm_extend_param, 116);
ABI_SIZE(rkllm_infer_param, 24);
ABI_SIZE(rkllm_result, 32);
#endif

#if RKLLM_ABI >= 121
ABI_PLACE(rkllm_extend_param, n_batch, 12);
ABI_PLACE(rkllm_extend_param, use_cross_attn, 13);
ABI_PLACE(rkllm_extend_param, reserved, 14);
ABI_PLACE(rkllm_input, role, 0);
ABI_PLACE(rkllm_input, enable_thinking, 8);
ABI_PLACE(rkllm_input, input_type, 12);
ABI_PLACE(rkllm_input, prompt_input, 16);
ABI_SIZE(rkllm_perf_stat, 20);
ABI_PLACE(rkllm_perf_stat, prefill_tokens, 4);
ABI_PLACE(rkllm_perf_stat, generate_time_ms, 8);
ABI_PLACE(rkllm_perf_stat, generate_tokens, 12);
ABI_PLACE(rkllm_perf_stat, memory_usage_mb, 16);
ABI_PLACE(rkllm_result, perf, 48);
ABI_SIZE(rkllm_result, 72);
ABI_SIZE(rkllm_cross_attn_param, 40);
ABI_PLACE(rkllm_cross_attn_param, encoder_v_cache, 8);
ABI_PLACE(rkllm_cross_attn_param, encoder_mask, 16);
ABI_PLACE(rkllm_cross_attn_param, encoder_pos, 24);
ABI_PLACE(rkllm_cross_attn_param, num_tokens, 32);
#else
ABI_PLACE(rkllm_input, input_type, 0);
ABI_PLACE(rkllm_input, prompt_input, 8);
ABI_SIZE(rkllm_input, 32);
ABI_SIZE(rkllm_multimodal_input, 24);
ABI_PLACE(rkllm_multimodal_input, n_image_tokens, 16);
#endif

#if RKLLM_ABI == 120
ABI_PLACE(rkllm_extend_param, reserved, 12);
ABI_SIZE(rkllm_result, 48);
#endif

#if RKLLM_ABI == 120 || RKLLM_ABI == 121
ABI_PLACE(rkllm_param, is_async, 57);
ABI_PLACE(rkllm_param, img_start, 64);
ABI_PLACE(rkllm_param, img_end, 72);
ABI_PLACE(rkllm_param, img_content, 80);
ABI_PLACE(rkllm_param, extend_param, 88);
ABI_SIZE(rkllm_param, 208);
ABI_PLACE(rkllm_infer_param, keep_history, 24);
ABI_SIZE(rkllm_infer_param, 32);
#endif

#if RKLLM_ABI == 121
ABI_SIZE(rkllm_input, 64);
ABI_SIZE(rkllm_multimodal_input, 48);
ABI_PLACE(rkllm_multimodal_input, n_image, 24);
ABI_PLACE(rkllm_multimodal_input, image_height, 40);
#endif

#if RKLLM_ABI == 130
ABI_PLACE(rkllm_param, ignore_eos_token, 57);
ABI_PLACE(rkllm_param, is_async, 58);
ABI_PLACE(rkllm_param, extend_param, 60);
ABI_SIZE(rkllm_param, 184);
ABI_SIZE(rkllm_input, 160);
ABI_SIZE(rkllm_multimodal_input, 144);
ABI_PLACE(rkllm_multimodal_input, image.image_embed, 8);
ABI_PLACE(rkllm_multimodal_input, image.n_image_tokens, 16);
ABI_PLACE(rkllm_multimodal_input, image.n_image, 24);
ABI_PLACE(rkllm_multimodal_input, image.image_start, 32);
ABI_PLACE(rkllm_multimodal_input, image.image_end, 40);
ABI_PLACE(rkllm_multimodal_input, image.image_content, 48);
ABI_PLACE(rkllm_multimodal_input, image.image_width, 56);
ABI_PLACE(rkllm_multimodal_input, video.video_embed, 72);
ABI_PLACE(rkllm_multimodal_input, video.n_frame_tokens, 80);
ABI_PLACE(rkllm_multimodal_input, video.n_frame_per_video, 88);
ABI_PLACE(rkllm_multimodal_input, video.n_video, 96);
ABI_PLACE(rkllm_multimodal_input, video.video_start, 104);
ABI_PLACE(rkllm_multimodal_input, video.video_content, 120);
ABI_PLACE(rkllm_multimodal_input, video.frame_width, 128);
ABI_PLACE(rkllm_multimodal_input, video.frame_height, 136);
ABI_SIZE(rkllm_sampling_param, 36);
ABI_PLACE(rkllm_sampling_param, top_p, 4);
ABI_PLACE(rkllm_sampling_param, temperature, 8);
ABI_PLACE(rkllm_sampling_param, repeat_penalty, 12);
ABI_PLACE(rkllm_sampling_param, frequency_penalty, 16);
ABI_PLACE(rkllm_sampling_param, presence_penalty, 20);
ABI_PLACE(rkllm_sampling_param, mirostat, 24);
ABI_PLACE(rkllm_sampling_param, mirostat_tau, 28);
ABI_PLACE(rkllm_sampling_param, mirostat_eta, 32);
ABI_PLACE(rkllm_infer_param, sampling_params, 24);
ABI_PLACE(rkllm_infer_param, keep_history, 32);
ABI_PLACE(rkllm_infer_param, max_new_tokens, 36);
ABI_SIZE(rkllm_infer_param, 40);
ABI_SIZE(rkllm_callback, 48);
ABI_PLACE(rkllm_callback, result_userdata, 8);
ABI_PLACE(rkllm_callback, tokenizer_callback, 16);
ABI_PLACE(rkllm_callback, embed_callback, 32);
#endif

#undef ABI_SIZE
#undef ABI_PLACE
