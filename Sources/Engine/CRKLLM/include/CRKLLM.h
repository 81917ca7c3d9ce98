// The Rockchip NPU runtime, loaded at run time, with one face for all families of its binary interface.
//
// What differs between the families (sizes, places of members, arguments) stays inside: `abi.h` has the layouts, and
// `family.inc` is compiled once for each of them.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// A loaded library.
struct apus_rkllm_library;

/// The families of the binary interface, by the release with which each began.
enum apus_rkllm_family { apus_rkllm_110 = 110, apus_rkllm_120 = 120, apus_rkllm_121 = 121, apus_rkllm_130 = 130 };

/// Loads a library; of a path without a slash, the system's search path is asked.
///
/// Without success, NULL and the loader's words in `error`.
struct apus_rkllm_library *apus_rkllm_open(const char *path, char *error, size_t error_bytes);
void apus_rkllm_close(struct apus_rkllm_library *library);

/// Whether the library exports a function.
bool apus_rkllm_exports(const struct apus_rkllm_library *library, const char *function);

/// The version in the text that the library prints when it starts, as `major * 10000 + minor * 100 + patch`; 0 if there is
/// none in the file.
int apus_rkllm_banner_version(const struct apus_rkllm_library *library);

/// More than any family's default parameters take.
enum { apus_rkllm_default_bytes = 512 };
/// The bytes of the default parameters, whatever their structure; those behind it are 0.
void apus_rkllm_defaults(const struct apus_rkllm_library *library, uint8_t bytes[static apus_rkllm_default_bytes]);

/// Fixes the family; false if it lacks a function that is used.
bool apus_rkllm_use(struct apus_rkllm_library *library, enum apus_rkllm_family family);

struct apus_rkllm_sampling {
    int32_t top_k;
    float top_p, temperature, repeat_penalty, frequency_penalty, presence_penalty;
    int32_t mirostat;
    float mirostat_tau, mirostat_eta;
};

struct apus_rkllm_settings {
    /// Kept by the runtime: it has to last as long as the model.
    const char *model_path;
    /// Positions; 0 takes the runtime's default, and is then replaced by it.
    int32_t context;
    /// Processors for what the NPU does not do, and which; 0 takes the runtime's default.
    int32_t processors;
    uint32_t processor_mask;
    /// Where the memory of the NPU begins; below 0 is the runtime's default.
    int32_t base_domain;
    bool embeddings_in_storage, cross_attention;
    /// Inputs of each run.
    uint8_t batch;
    /// What stands before, after and in the place of an image, in families that take it with a model; NULL takes the
    /// runtime's default. Kept by the runtime, like the path.
    const char *image_start, *image_end, *image_content;
    struct apus_rkllm_sampling sampling;
};

/// Loads a model.
///
/// Returns what the runtime returned; 0 with a NULL handle is a failure too.
int apus_rkllm_load(const struct apus_rkllm_library *library, struct apus_rkllm_settings *settings, void **handle);
int apus_rkllm_unload(const struct apus_rkllm_library *library, void *handle);

// Runs

enum apus_rkllm_state {
    apus_rkllm_normal = 0,
    apus_rkllm_waiting = 1,
    apus_rkllm_finish = 2,
    apus_rkllm_error = 3,
};

/// Rows of numbers, which belong to the runtime and last until the callback returns.
struct apus_rkllm_matrix {
    const float *values;
    int32_t rows, columns;
};

/// What the runtime measured, in milliseconds and units of 2^20 bytes.
struct apus_rkllm_figures {
    float prefill_time;
    int32_t prefill_tokens;
    float generate_time;
    int32_t generate_tokens;
    float memory;
};

/// What the runtime tells about one input while it runs.
struct apus_rkllm_result {
    /// NULL in some results.
    const char *text;
    /// Below 0 where there is none, as of an input of a batch that has ended.
    int32_t token;
    struct apus_rkllm_matrix hidden_states, logits;
    /// With the state `apus_rkllm_finish`, of families that measure.
    bool has_figures;
    struct apus_rkllm_figures figures;
};

enum apus_rkllm_answer { apus_rkllm_go_on = 0, apus_rkllm_pause = 1 };

/// Gets each result on the thread that runs, or on one of the runtime's own; one for each input of the batch.
///
/// The state is any number; the runtime's own are `apus_rkllm_state`. A pause is heard by families from 1.2.1 on.
typedef enum apus_rkllm_answer (*apus_rkllm_callback)(
    void *context, const struct apus_rkllm_result *results, size_t count, int32_t state);

enum apus_rkllm_kind {
    apus_rkllm_prompt = 0,
    apus_rkllm_tokens = 1,
    apus_rkllm_embeddings = 2,
    apus_rkllm_multimodal = 3,
};
enum apus_rkllm_mode { apus_rkllm_generate = 0, apus_rkllm_hidden_states = 1, apus_rkllm_logits = 2 };

/// All images or all videos of a prompt.
struct apus_rkllm_media {
    /// `items * frames * tokens` of them; NULL where there are none.
    const float *rows;
    size_t items, frames, tokens, width, height;
    /// Of families that take them with a run.
    const char *start, *end, *content;
};

struct apus_rkllm_input {
    enum apus_rkllm_kind kind;
    /// Of families that have them: the turn is a tool's, and whether the model thinks first.
    bool is_tool, thinks;
    /// The prompt, the tokens or the rows; everything here has to last until the run returns.
    const void *data;
    /// Tokens or rows.
    size_t count;
    struct apus_rkllm_media image, video;
};

struct apus_rkllm_run {
    enum apus_rkllm_mode mode;
    /// As many as the model was loaded for.
    const struct apus_rkllm_input *inputs;
    size_t count;
    /// The name of a loaded one; NULL is the model alone.
    const char *adapter;
    /// Where the cache of the prompt is written at the end; NULL is nowhere.
    const char *saved_cache;
    bool keeps_history;
    /// NULL takes those of the load.
    const struct apus_rkllm_sampling *sampling;
    int32_t max_new_tokens;
    apus_rkllm_callback callback;
    void *context;
};

/// Runs until the end, or until the callback pauses it; one run of a handle at a time.
int apus_rkllm_run(const struct apus_rkllm_library *library, void *handle, const struct apus_rkllm_run *run);
/// Asks the run of a handle to end; from another thread.
int apus_rkllm_abort(const struct apus_rkllm_library *library, void *handle);

// What stays in a handle between runs

/// What the functions below return where the library has no such function.
enum { apus_rkllm_absent = INT32_MIN };

/// Empties the cache, but for the positions of the template's system prompt if they are to be kept.
int apus_rkllm_clear_cache(const struct apus_rkllm_library *library, void *handle, bool keeps_system_prompt);
/// Empties the cache from each first position to before each end, one of both for each input of the batch.
int apus_rkllm_clear_ranges(const struct apus_rkllm_library *library, void *handle, int32_t *first, int32_t *end);
/// The most inputs that a batch can have.
enum { apus_rkllm_batch_limit = 256 };
/// Positions that the cache holds, for each input of the batch.
int apus_rkllm_cache_sizes(
    const struct apus_rkllm_library *library, void *handle, int32_t sizes[static apus_rkllm_batch_limit]);

/// The text of a prompt stands between the strings from now on; the model's own template is gone.
int apus_rkllm_set_template(
    const struct apus_rkllm_library *library, void *handle, const char *system, const char *prefix, const char *postfix);
/// Tools, as a JSON array, for the model's own template.
int apus_rkllm_set_tools(
    const struct apus_rkllm_library *library, void *handle, const char *system, const char *tools, const char *response);

int apus_rkllm_load_adapter(
    const struct apus_rkllm_library *library, void *handle, const char *path, const char *name, float scale);

/// A file that a run has saved; prompts that begin like it are computed from where they differ.
int apus_rkllm_load_cache(const struct apus_rkllm_library *library, void *handle, const char *path);
int apus_rkllm_release_cache(const struct apus_rkllm_library *library, void *handle);

/// What an encoder made, kept by the runtime until it is replaced.
struct apus_rkllm_cross_attention {
    float *keys, *values, *mask;
    int32_t *positions;
    int32_t tokens;
};
/// NULL takes it away.
int apus_rkllm_set_cross_attention(
    const struct apus_rkllm_library *library, void *handle, const struct apus_rkllm_cross_attention *input);
