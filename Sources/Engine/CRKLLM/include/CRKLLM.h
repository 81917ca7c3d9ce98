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
    struct apus_rkllm_sampling sampling;
};

/// Loads a model.
///
/// Returns what the runtime returned; 0 with a NULL handle is a failure too.
int apus_rkllm_load(const struct apus_rkllm_library *library, struct apus_rkllm_settings *settings, void **handle);
int apus_rkllm_unload(const struct apus_rkllm_library *library, void *handle);

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

/// What the runtime tells while it runs.
struct apus_rkllm_result {
    /// Any number; the runtime's own are `apus_rkllm_state`.
    int32_t state;
    /// NULL in some results.
    const char *text;
    int32_t token;
    struct apus_rkllm_matrix hidden_states, logits;
    /// Tokens of the prompt that were computed, as the runtime counts them; -1 where it does not tell.
    int32_t prompt_tokens;
};

/// Gets each result on the thread that runs, or on one of the runtime's own.
typedef void (*apus_rkllm_callback)(void *context, const struct apus_rkllm_result *result);

enum apus_rkllm_input { apus_rkllm_prompt = 0, apus_rkllm_tokens = 1, apus_rkllm_embeddings = 2 };
enum apus_rkllm_mode { apus_rkllm_generate = 0, apus_rkllm_hidden_states = 1, apus_rkllm_logits = 2 };

struct apus_rkllm_run {
    enum apus_rkllm_mode mode;
    enum apus_rkllm_input input;
    /// The prompt, the tokens or the rows; it has to last until the run returns.
    const void *data;
    /// Tokens or rows.
    size_t count;
    /// Of families that have them.
    bool thinks, keeps_history;
    /// NULL takes those of the load.
    const struct apus_rkllm_sampling *sampling;
    int32_t max_new_tokens;
    apus_rkllm_callback callback;
    void *context;
};

/// Runs until the end; one run of a handle at a time.
int apus_rkllm_run(const struct apus_rkllm_library *library, void *handle, const struct apus_rkllm_run *run);
/// Asks the run of a handle to end; from another thread.
int apus_rkllm_abort(const struct apus_rkllm_library *library, void *handle);
/// Empties the cache, but for the positions of the template's system prompt if they are to be kept; does nothing in families
/// without such a function.
int apus_rkllm_clear_cache(const struct apus_rkllm_library *library, void *handle, bool keeps_system_prompt);
