// The functions of the RKLLM runtime, releases 1.3.0 and later of that series, as Apus has them on any Linux computer.
//
// Written for C and C++ from the documentation of the interface: every structure has the layout that it has in the header of
// the runtime's makers. Programs run with rkllm-1.3/librkllmrt.so of Apus; what that library does, and what it refuses,
// is in docs/reference/rkllm-library.md.
#ifndef APUS_RKLLM_H
#define APUS_RKLLM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Which of the two headers this is: a macro that only the headers of Apus have.
#define APUS_RKLLM_FAMILY 13

#ifdef __cplusplus
extern "C" {
#endif

/// One bit for each processor, for `RKLLMExtendParam.enabled_cpus_mask`.
#define CPU0 (1 << 0)
#define CPU1 (1 << 1)
#define CPU2 (1 << 2)
#define CPU3 (1 << 3)
#define CPU4 (1 << 4)
#define CPU5 (1 << 5)
#define CPU6 (1 << 6)
#define CPU7 (1 << 7)

/// A loaded model.
typedef void *LLMHandle;

/// What a result is about.
typedef enum {
    /// A token, or rows of numbers.
    RKLLM_RUN_NORMAL = 0,
    /// A token whose bytes are not a whole character yet.
    RKLLM_RUN_WAITING = 1,
    /// The run has ended; only this result has figures in `perf`.
    RKLLM_RUN_FINISH = 2,
    /// The run has failed.
    RKLLM_RUN_ERROR = 3,
} LLMCallState;

/// Which member of the union in `RKLLMInput` holds the input.
typedef enum {
    RKLLM_INPUT_PROMPT = 0,
    RKLLM_INPUT_TOKEN = 1,
    RKLLM_INPUT_EMBED = 2,
    RKLLM_INPUT_MULTIMODAL = 3,
} RKLLMInputType;

/// What a run makes of its input.
typedef enum {
    RKLLM_INFER_GENERATE = 0,
    RKLLM_INFER_GET_LAST_HIDDEN_LAYER = 1,
    RKLLM_INFER_GET_LOGITS = 2,
} RKLLMInferMode;

/// Further parameters of a model.
typedef struct {
    /// Where the NPU's memory begins: nothing here.
    int32_t base_domain_id;
    /// Leaves the embedding table in storage: nothing here.
    int8_t embed_flash;
    /// Threads that compute.
    int8_t enabled_cpus_num;
    /// Which processors: nothing here.
    uint32_t enabled_cpus_mask;
    /// Inputs of each run.
    uint8_t n_batch;
    int8_t use_cross_attn;
    uint8_t reserved[104];
} RKLLMExtendParam;

/// Parameters of a model; `rkllm_createDefaultParam` has a value for each.
typedef struct {
    const char *model_path;
    /// Positions of a conversation; 0 is what the model has.
    int32_t max_context_len;
    /// The longest answer in tokens; 0 or -1 is the rest of the context.
    int32_t max_new_tokens;
    /// The likeliest tokens to choose from; 0 or -1 is all.
    int32_t top_k;
    /// Positions that stay when the window shifts: here it never does.
    int32_t n_keep;
    float top_p;
    float temperature;
    float repeat_penalty;
    float frequency_penalty;
    float presence_penalty;
    int32_t mirostat;
    float mirostat_tau;
    float mirostat_eta;
    bool skip_special_token;
    bool ignore_eos_token;
    bool is_async;
    RKLLMExtendParam extend_param;
} RKLLMParam;

typedef struct {
    const char *lora_adapter_path;
    const char *lora_adapter_name;
    float scale;
} RKLLMLoraAdapter;

/// Rows in the place of the embedding's, each as wide as the model.
typedef struct {
    float *embed;
    size_t n_tokens;
} RKLLMEmbedInput;

typedef struct {
    int32_t *input_ids;
    size_t n_tokens;
} RKLLMTokenInput;

/// Not supported.
typedef struct {
    float *image_embed;
    size_t n_image_tokens;
    size_t n_image;
    const char *image_start;
    const char *image_end;
    const char *image_content;
    size_t image_width;
    size_t image_height;
} RKLLMImageInput;

/// Not supported.
typedef struct {
    float *video_embed;
    size_t n_frame_tokens;
    size_t n_frame_per_video;
    size_t n_video;
    const char *video_start;
    const char *video_end;
    const char *video_content;
    size_t frame_width;
    size_t frame_height;
} RKLLMVideoInput;

/// Not supported.
typedef struct {
    char *prompt;
    RKLLMImageInput image;
    RKLLMVideoInput video;
} RKLLMMultiModalInput;

/// One input of a run.
typedef struct {
    /// "user" or "tool"; NULL is "user".
    const char *role;
    bool enable_thinking;
    RKLLMInputType input_type;
    union {
        const char *prompt_input;
        RKLLMEmbedInput embed_input;
        RKLLMTokenInput token_input;
        RKLLMMultiModalInput multimodal_input;
    };
} RKLLMInput;

typedef struct {
    const char *lora_adapter_name;
} RKLLMLoraParam;

/// The file in which the prompt's part of the cache is kept.
typedef struct {
    int save_prompt_cache;
    const char *prompt_cache_path;
} RKLLMPromptCacheParam;

typedef struct {
    float *encoder_k_cache;
    float *encoder_v_cache;
    float *encoder_mask;
    int32_t *encoder_pos;
    int num_tokens;
} RKLLMCrossAttnParam;

/// In the place of the model's parameters of the same names.
typedef struct {
    int32_t top_k;
    float top_p;
    float temperature;
    float repeat_penalty;
    float frequency_penalty;
    float presence_penalty;
    int32_t mirostat;
    float mirostat_tau;
    float mirostat_eta;
} RKLLMSamplingParam;

/// What a run is to do.
typedef struct {
    RKLLMInferMode mode;
    RKLLMLoraParam *lora_params;
    RKLLMPromptCacheParam *prompt_cache_params;
    /// For this run; NULL takes the model's.
    RKLLMSamplingParam *sampling_params;
    /// Goes on with the conversation that the cache holds, and adds to it.
    int keep_history;
    /// For this run; 0 or less takes the model's.
    int32_t max_new_tokens;
} RKLLMInferParam;

/// `num_tokens` rows of `embd_size` numbers; NULL in results without rows.
typedef struct {
    const float *hidden_states;
    int embd_size;
    int num_tokens;
} RKLLMResultLastHiddenLayer;

/// `num_tokens` rows of `vocab_size` numbers; NULL in results without rows.
typedef struct {
    const float *logits;
    int vocab_size;
    int num_tokens;
} RKLLMResultLogits;

typedef struct {
    float prefill_time_ms;
    int prefill_tokens;
    float generate_time_ms;
    int generate_tokens;
    float memory_usage_mb;
} RKLLMPerfStat;

/// What a callback is told; it belongs to the library and ends with the callback.
typedef struct {
    const char *text;
    /// Below 0 in results without a token.
    int32_t token_id;
    RKLLMResultLastHiddenLayer last_hidden_layer;
    RKLLMResultLogits logits;
    RKLLMPerfStat perf;
} RKLLMResult;

/// Gets every result of a run; an array of `n_batch` results where that is above 1.
///
/// Returns 0 to go on, 1 to pause, 2 to have the memory of rows freed at once.
typedef int (*LLMResultCallback)(RKLLMResult *result, void *userdata, LLMCallState state);

/// Not supported.
typedef int (*LLMTokenizerCallback)(
    void *userdata, const char *text, int32_t text_len, int32_t *tokens, int32_t n_tokens_max);

/// Not supported.
typedef int (*LLMGetEmbedCallback)(
    void *userdata, int32_t *tokens, uint64_t num_tokens, void *embed, uint64_t len_bytes);

typedef struct {
    LLMResultCallback result_callback;
    /// Goes to the callback where a run has no userdata of its own.
    void *result_userdata;
    LLMTokenizerCallback tokenizer_callback;
    void *tokenizer_userdata;
    LLMGetEmbedCallback embed_callback;
    void *embed_userdata;
} RKLLMCallback;

/// Values for every parameter but the path.
RKLLMParam rkllm_createDefaultParam(void);

/// Loads a model; the handle is NULL unless it returns 0.
int rkllm_init(LLMHandle *handle, RKLLMParam *param, RKLLMCallback *callback);

/// Ends a run, if there is one, and lets go of the model.
int rkllm_destroy(LLMHandle handle);

/// Runs `n_batch` inputs to their end; `callback` is called on this thread.
int rkllm_run(LLMHandle handle, RKLLMInput *inputs, RKLLMInferParam *param, void *userdata);

/// The same on a thread of the library; what `inputs` and `param` point to is copied.
int rkllm_run_async(LLMHandle handle, RKLLMInput *inputs, RKLLMInferParam *param, void *userdata);

/// Ends the run of a handle, from any thread.
int rkllm_abort(LLMHandle handle);

/// 1 while a run of the handle is in progress, else 0.
int rkllm_is_running(LLMHandle handle);

/// Empties the cache; with both arrays, which have `n_batch` places, only from `start_pos` to before `end_pos`, after a run
/// that was paused.
int rkllm_clear_kv_cache(LLMHandle handle, int keep_system_prompt, int *start_pos, int *end_pos);

/// Positions in the cache, for each of the `n_batch` inputs.
int rkllm_get_kv_cache_size(LLMHandle handle, int *cache_sizes);

/// Reads what a run with `save_prompt_cache` wrote.
int rkllm_load_prompt_cache(LLMHandle handle, const char *prompt_cache_path);
int rkllm_release_prompt_cache(LLMHandle handle);

/// Puts prompts between strings, in the place of the model's template; NULL for all three: the model's again.
int rkllm_set_chat_template(
    LLMHandle handle, const char *system_prompt, const char *prompt_prefix, const char *prompt_postfix);

/// Tools that the model's template tells the model: the JSON of an array.
int rkllm_set_function_tools(
    LLMHandle handle, const char *system_prompt, const char *tools, const char *tool_response_str);

/// Not supported: returns -1.
int rkllm_load_lora(LLMHandle handle, RKLLMLoraAdapter *adapter);
int rkllm_set_cross_attn_params(LLMHandle handle, RKLLMCrossAttnParam *params);

#ifdef __cplusplus
}
#endif
#endif
