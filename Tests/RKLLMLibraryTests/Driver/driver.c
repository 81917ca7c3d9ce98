// A program for the RKLLM runtime that does what its first argument says and prints what came of it, a line for each fact.
// The tests compile it against the header and the library of each family.

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "rkllm.h"

static const char *model;
static LLMHandle handle;
static RKLLMParam param;
static int inputs = 1;
static bool quiet;

static void pause_ms(long milliseconds) {
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    nanosleep(&time, NULL);
}

static long number(const char *word, long otherwise) { return word ? atol(word) : otherwise; }

// MARK: What came

struct record {
    /// Of the callbacks with each state.
    atomic_int states[4];
    /// What each callback returns, and from which token on: 0 never.
    int answer, answer_at;
    pthread_t thread;
    bool other_thread;
    char text[1 << 16];
    /// Called with each token.
    void (*on_token)(struct record *);
    RKLLMPerfStat perf;
    int tokens;
    const char *rows_path;
};

static struct record standard;

static void print_escaped(const char *text) {
    for (; *text; text++) {
        if (*text == '\n') printf("\\n");
        else if (*text == '\\') printf("\\\\");
        else putchar(*text);
    }
}

static void write_rows(const struct record *record, const float *values, int rows, int columns) {
    printf("rows %d %d\n", rows, columns);
    FILE *file = fopen(record->rows_path, "wb");
    fwrite(values, sizeof *values, (size_t)rows * (size_t)columns, file);
    fclose(file);
}

static int take(RKLLMResult *results, void *userdata, LLMCallState state) {
    struct record *record = userdata ? userdata : &standard;
    record->states[state]++;
    if (!pthread_equal(pthread_self(), record->thread)) record->other_thread = true;
    if (state == RKLLM_RUN_NORMAL || state == RKLLM_RUN_WAITING) {
        record->tokens++;
        if (!quiet) {
            for (int i = 0; i < inputs; i++) {
                printf("%s %d %d ", state == RKLLM_RUN_NORMAL ? "normal" : "waiting", i, results[i].token_id);
                print_escaped(results[i].text);
                printf("\n");
            }
        }
        strncat(record->text, results->text, sizeof record->text - strlen(record->text) - 1);
        if (results->last_hidden_layer.hidden_states && record->rows_path)
            write_rows(record, results->last_hidden_layer.hidden_states, results->last_hidden_layer.num_tokens,
                       results->last_hidden_layer.embd_size);
        if (results->logits.logits && record->rows_path)
            write_rows(record, results->logits.logits, results->logits.num_tokens, results->logits.vocab_size);
    }
    if (state == RKLLM_RUN_FINISH) record->perf = results->perf;
    fflush(stdout);
    if (state != RKLLM_RUN_NORMAL && state != RKLLM_RUN_WAITING) return 0;
    if (record->on_token) record->on_token(record);
    return record->answer_at && record->tokens >= record->answer_at ? record->answer : 0;
}

static void print_record(const char *what, int code, const struct record *record) {
    printf("%s %d finish %d error %d %s\n", what, code, record->states[RKLLM_RUN_FINISH], record->states[RKLLM_RUN_ERROR],
           record->other_thread ? "elsewhere" : "here");
    printf("text ");
    print_escaped(record->text);
    printf("\n");
}

static struct record *fresh(void) {
    struct record *record = calloc(1, sizeof *record);
    record->thread = pthread_self();
    return record;
}

// MARK: Calls

static int open_model(LLMHandle *out) {
#if APUS_RKLLM_FAMILY == 13
    RKLLMCallback callback = {.result_callback = take, .result_userdata = &standard};
    return rkllm_init(out, &param, &callback);
#else
    return rkllm_init(out, &param, take);
#endif
}

static void must_open(void) {
    if (open_model(&handle) != 0) exit(3);
}

static RKLLMInput prompt(const char *text) {
    RKLLMInput input;
    memset(&input, 0, sizeof input);
    input.role = "user";
    input.input_type = RKLLM_INPUT_PROMPT;
    input.prompt_input = text;
    return input;
}

static RKLLMInferParam mode(RKLLMInferMode mode) {
    RKLLMInferParam infer;
    memset(&infer, 0, sizeof infer);
    infer.mode = mode;
    return infer;
}

static int run(LLMHandle handle, const char *text, struct record *record) {
    RKLLMInput input = prompt(text);
    RKLLMInferParam infer = mode(RKLLM_INFER_GENERATE);
    return rkllm_run(handle, &input, &infer, record);
}

static bool is_running(LLMHandle handle) {
#if APUS_RKLLM_FAMILY == 13
    return rkllm_is_running(handle) == 1;
#else
    return rkllm_is_running(handle) == 0;
#endif
}

// MARK: The process

static int open_descriptors(void) {
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (readdir(folder)) count++;
    closedir(folder);
    return count;
}

static int threads(void) {
    int count = 0;
    DIR *folder = opendir("/proc/self/task");
    for (struct dirent *entry; (entry = readdir(folder));) count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

/// The children of all threads; the last one's number in `last`.
static int children(int *last) {
    int count = 0;
    DIR *folder = opendir("/proc/self/task");
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (entry->d_name[0] == '.') continue;
        char path[300];
        snprintf(path, sizeof path, "/proc/self/task/%s/children", entry->d_name);
        FILE *file = fopen(path, "r");
        for (int child; file && fscanf(file, "%d", &child) == 1; count++) *last = child;
        if (file) fclose(file);
    }
    closedir(folder);
    return count;
}

// MARK: What the first argument says

static void do_layout(char **words) {
    (void)words;
#define SIZE(type) printf("size " #type " %zu\n", sizeof(type))
#define PLACE(type, member) printf("place " #type "." #member " %zu\n", offsetof(type, member))
    SIZE(RKLLMExtendParam);
    SIZE(RKLLMParam);
    SIZE(RKLLMLoraAdapter);
    SIZE(RKLLMEmbedInput);
    SIZE(RKLLMTokenInput);
    SIZE(RKLLMMultiModalInput);
    SIZE(RKLLMInput);
    SIZE(RKLLMLoraParam);
    SIZE(RKLLMPromptCacheParam);
    SIZE(RKLLMCrossAttnParam);
    SIZE(RKLLMInferParam);
    SIZE(RKLLMResultLastHiddenLayer);
    SIZE(RKLLMResultLogits);
    SIZE(RKLLMPerfStat);
    SIZE(RKLLMResult);
    PLACE(RKLLMParam, n_keep);
    PLACE(RKLLMParam, mirostat_eta);
    PLACE(RKLLMParam, skip_special_token);
    PLACE(RKLLMParam, is_async);
    PLACE(RKLLMParam, extend_param);
    PLACE(RKLLMExtendParam, enabled_cpus_mask);
    PLACE(RKLLMExtendParam, use_cross_attn);
    PLACE(RKLLMInput, enable_thinking);
    PLACE(RKLLMInput, input_type);
    PLACE(RKLLMInput, prompt_input);
    PLACE(RKLLMInferParam, prompt_cache_params);
    PLACE(RKLLMInferParam, keep_history);
    PLACE(RKLLMResult, logits);
    PLACE(RKLLMResult, perf);
#if APUS_RKLLM_FAMILY == 13
    SIZE(RKLLMSamplingParam);
    SIZE(RKLLMCallback);
    PLACE(RKLLMParam, ignore_eos_token);
    PLACE(RKLLMInferParam, sampling_params);
    PLACE(RKLLMInferParam, max_new_tokens);
    PLACE(RKLLMMultiModalInput, video.video_embed);
#else
    PLACE(RKLLMParam, img_content);
#endif
}

static void do_defaults(char **words) {
    (void)words;
    // What lies behind the structure must stay as it is.
    struct {
        RKLLMParam param;
        uint8_t after[64];
    } room;
    memset(&room, 0xA5, sizeof room);
    room.param = rkllm_createDefaultParam();
    bool untouched = true;
    for (size_t i = 0; i < sizeof room.after; i++) untouched = untouched && room.after[i] == 0xA5;
    printf("untouched %d\n", untouched);
    printf("values %d %d %d %.2f %.2f %.2f %d %d\n", room.param.max_context_len, room.param.max_new_tokens,
           room.param.top_k, room.param.top_p, room.param.temperature, room.param.repeat_penalty,
           room.param.skip_special_token, room.param.extend_param.n_batch);
    printf("processors %d\n", room.param.extend_param.enabled_cpus_num > 0);
}

/// run PROMPT
static void do_run(char **words) {
    must_open();
    struct record *record = fresh();
    int code = run(handle, words[0], record);
    print_record("run", code, record);
    printf("perf %d %d %d %d %d\n", record->perf.prefill_tokens, record->perf.generate_tokens,
           record->perf.prefill_time_ms > 0, record->perf.generate_time_ms > 0, record->perf.memory_usage_mb > 1);
    printf("destroy %d\n", rkllm_destroy(handle));
}

/// async PROMPT: the input is overwritten as soon as the call is back.
static void do_async(char **words) {
    must_open();
    struct record *record = fresh();
    char *text = strdup(words[0]);
    RKLLMInput *input = malloc(sizeof *input);
    *input = prompt(text);
    RKLLMInferParam *infer = malloc(sizeof *infer);
    *infer = mode(RKLLM_INFER_GENERATE);
    int code = rkllm_run_async(handle, input, infer, record);
    memset(text, 'x', strlen(text));
    memset(input, 0xEE, sizeof *input);
    memset(infer, 0xEE, sizeof *infer);
    free(text);
    free(input);
    free(infer);
    while (is_running(handle)) pause_ms(1);
    print_record("async", code, record);
    printf("destroy %d\n", rkllm_destroy(handle));
}

/// tokens ID...
static void do_tokens(char **words) {
    must_open();
    int32_t ids[256];
    size_t count = 0;
    for (; words[count] && count < 256; count++) ids[count] = atoi(words[count]);
    RKLLMInput input = prompt(NULL);
    input.input_type = RKLLM_INPUT_TOKEN;
    input.token_input.input_ids = ids;
    input.token_input.n_tokens = count;
    RKLLMInferParam infer = mode(RKLLM_INFER_GENERATE);
    struct record *record = fresh();
    print_record("run", rkllm_run(handle, &input, &infer, record), record);
}

/// embed ROWS COLUMNS: element i is ((i * 37) % 101 - 50) / 100.
static void do_embed(char **words) {
    must_open();
    size_t rows = (size_t)atol(words[0]), columns = (size_t)atol(words[1]);
    float *values = malloc(rows * columns * sizeof *values);
    for (size_t i = 0; i < rows * columns; i++) values[i] = (float)((int)(i * 37 % 101) - 50) / 100;
    RKLLMInput input = prompt(NULL);
    input.input_type = RKLLM_INPUT_EMBED;
    input.embed_input.embed = values;
    input.embed_input.n_tokens = rows;
    RKLLMInferParam infer = mode(RKLLM_INFER_GENERATE);
    struct record *record = fresh();
    print_record("run", rkllm_run(handle, &input, &infer, record), record);
}

/// rows MODE PROMPT PATH ANSWER
static void do_rows(char **words) {
    must_open();
    RKLLMInput input = prompt(words[1]);
    RKLLMInferParam infer = mode((RKLLMInferMode)atoi(words[0]));
    struct record *record = fresh();
    record->rows_path = words[2];
    record->answer = atoi(words[3]);
    record->answer_at = 1;
    print_record("run", rkllm_run(handle, &input, &infer, record), record);
}

/// batch PROMPT...
static void do_batch(char **words) {
    RKLLMInput *list = calloc(128, sizeof *list);
    for (inputs = 0; words[inputs]; inputs++) list[inputs] = prompt(words[inputs]);
    param.extend_param.n_batch = (uint8_t)inputs;
    must_open();
    RKLLMInferParam infer = mode(RKLLM_INFER_GENERATE);
    struct record *record = fresh();
    print_record("run", rkllm_run(handle, list, &infer, record), record);
    int sizes[128] = {0};
    printf("sizes %d %d %d\n", rkllm_get_kv_cache_size(handle, sizes), sizes[0] > 0, sizes[inputs]);
}

/// cycles COUNT PROMPT
static void do_cycles(char **words) {
    quiet = true;
    int descriptors = 0, count = 0, last = 0;
    for (int i = 0; i < atoi(words[0]); i++) {
        must_open();
        if (i % 5 == 0) run(handle, words[1], fresh());
        if (i % 5 == 1) {
            RKLLMInput input = prompt(words[1]);
            RKLLMInferParam infer = mode(RKLLM_INFER_GENERATE);
            rkllm_run_async(handle, &input, &infer, fresh());
        }
        if (rkllm_destroy(handle) != 0) exit(4);
        if (i == 2) descriptors = open_descriptors(), count = threads();
    }
    // A thread that nobody waits for may take a moment to be gone.
    for (int i = 0; i < 2000 && threads() > count; i++) pause_ms(1);
    printf("descriptors %d threads %d children %d\n", open_descriptors() - descriptors, threads() - count, children(&last));
}

static void *open_and_run(void *text) {
    LLMHandle own = NULL;
    if (open_model(&own) != 0) return NULL;
    struct record *record = fresh();
    run(own, text, record);
    rkllm_destroy(own);
    return record;
}

/// two PROMPT PROMPT: two models at once, each on a thread of its own.
static void do_two(char **words) {
    quiet = true;
    pthread_t threads[2];
    struct record *records[2];
    for (int i = 0; i < 2; i++) pthread_create(&threads[i], NULL, open_and_run, words[i]);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], (void **)&records[i]);
    for (int i = 0; i < 2; i++) print_record("two", 0, records[i]);
}

static void *open_only(void *unused) {
    (void)unused;
    must_open();
    return NULL;
}

/// moved PROMPT: the thread that opened the model is gone before the run.
static void do_moved(char **words) {
    pthread_t thread;
    pthread_create(&thread, NULL, open_only, NULL);
    pthread_join(thread, NULL);
    struct record *record = fresh();
    print_record("run", run(handle, words[0], record), record);
    printf("destroy %d\n", rkllm_destroy(handle));
}

static void kill_worker(struct record *record) {
    int worker = 0;
    if (record->tokens == 3 && children(&worker) == 1) kill(worker, SIGKILL);
}

/// killed PROMPT
static void do_killed(char **words) {
    quiet = true;
    must_open();
    struct record *record = fresh();
    record->on_token = kill_worker;
    print_record("run", run(handle, words[0], record), record);
    printf("again %d\n", run(handle, words[0], fresh()));
    printf("destroy %d\n", rkllm_destroy(handle));
    must_open();
    record = fresh();
    print_record("next", run(handle, words[0], record), record);
}

/// ignored: a program that has the kernel forget its children.
static void do_ignored(char **words) {
    signal(SIGCHLD, SIG_IGN);
    do_killed(words);
    printf("destroy %d\n", rkllm_destroy(handle));
}

static void *abort_later(void *microseconds) {
    struct timespec time = {0, (long)(intptr_t)microseconds * 1000};
    nanosleep(&time, NULL);
    rkllm_abort(handle);
    return NULL;
}

/// aborts COUNT PROMPT
static void do_aborts(char **words) {
    quiet = true;
    must_open();
    srand(7);
    int good = 0;
    for (int i = 0; i < atoi(words[0]); i++) {
        struct record *record = fresh();
        pthread_t thread;
        pthread_create(&thread, NULL, abort_later, (void *)(intptr_t)(rand() % 30000));
        int code = run(handle, words[1], record);
        pthread_join(thread, NULL);
        good += code == 0 && record->states[RKLLM_RUN_FINISH] == 1 && record->states[RKLLM_RUN_ERROR] == 0;
        free(record);
    }
    printf("good %d\n", good);
    struct record *record = fresh();
    print_record("run", run(handle, words[1], record), record);
}

static void abort_now(struct record *record) {
    if (record->tokens == 3) printf("abort %d\n", rkllm_abort(handle));
}

/// abort PROMPT: from the callback.
static void do_abort(char **words) {
    quiet = true;
    must_open();
    struct record *record = fresh();
    record->on_token = abort_now;
    print_record("run", run(handle, words[0], record), record);
    printf("tokens %d perf %d\n", record->tokens, record->perf.generate_tokens >= 3);
}

static void try_others(struct record *record) {
    if (record->tokens != 2) return;
    int sizes[1] = {-1};
    printf("second %d\n", run(handle, "x", fresh()));
    printf("running %d\n", is_running(handle));
    printf("clear %d\n", rkllm_clear_kv_cache(handle, 0, NULL, NULL));
    printf("template %d\n", rkllm_set_chat_template(handle, "", "", ""));
    printf("size %d\n", rkllm_get_kv_cache_size(handle, sizes));
}

/// busy PROMPT: other calls while a run goes on.
static void do_busy(char **words) {
    quiet = true;
    must_open();
    struct record *record = fresh();
    printf("before %d\n", is_running(handle));
    record->on_token = try_others;
    print_record("run", run(handle, words[0], record), record);
    printf("after %d\n", is_running(handle));
}

static void destroy_now(struct record *record) {
    if (record->tokens == 2) printf("inner %d\n", rkllm_destroy(handle));
}

/// destroyed PROMPT: by the callback, during an asynchronous run, and twice.
static void do_destroyed(char **words) {
    quiet = true;
    int last = 0;
    must_open();
    struct record *record = fresh();
    record->on_token = destroy_now;
    print_record("run", run(handle, words[0], record), record);
    printf("children %d twice %d\n", children(&last), rkllm_destroy(handle));
    must_open();
    RKLLMInput input = prompt(words[0]);
    RKLLMInferParam infer = mode(RKLLM_INFER_GENERATE);
    record = fresh();
    rkllm_run_async(handle, &input, &infer, record);
    while (record->tokens < 2) pause_ms(1);
    printf("async %d children %d finish %d\n", rkllm_destroy(handle), children(&last), record->states[RKLLM_RUN_FINISH]);
}

/// left PROMPT: the program ends while a run goes on; the worker's number is printed before.
static void do_left(char **words) {
    quiet = true;
    must_open();
    RKLLMInput input = prompt(words[0]);
    RKLLMInferParam infer = mode(RKLLM_INFER_GENERATE);
    struct record *record = fresh();
    rkllm_run_async(handle, &input, &infer, record);
    while (record->tokens < 2) pause_ms(1);
    int worker = 0;
    children(&worker);
    printf("worker %d\n", worker);
    fflush(stdout);
    if (words[1]) raise(SIGKILL);
    exit(0);
}

/// userdata PROMPT: a run without its own gets the callback's.
static void do_userdata(char **words) {
    quiet = true;
    must_open();
    standard.thread = pthread_self();
    int code = run(handle, words[0], NULL);
    print_record("run", code, &standard);
}

static void try_value(const char *what) {
    LLMHandle out = (LLMHandle)1;
    int code = open_model(&out);
    printf("%s %d %d\n", what, code, out != NULL);
    fflush(stdout);
    param = rkllm_createDefaultParam();
    param.model_path = model;
}

/// values: what `rkllm_init` refuses.
static void do_values(char **words) {
    (void)words;
#define TRY(member, value) (param.member = (value), try_value(#member))
    TRY(model_path, NULL);
    TRY(model_path, "/nowhere/at-all.gguf");
    TRY(model_path, "/nowhere/unknown.rkllm");
    TRY(max_context_len, -5);
    TRY(max_context_len, 1 << 20);
    TRY(max_new_tokens, -2);
    TRY(top_k, -2);
    TRY(top_p, 1.5f);
    TRY(temperature, -0.5f);
    TRY(repeat_penalty, 0.0f);
    TRY(frequency_penalty, 3.0f);
    TRY(presence_penalty, -2.5f);
    TRY(mirostat, 3);
    TRY(mirostat_tau, -1.0f);
    TRY(mirostat_eta, 2.0f);
    TRY(skip_special_token, false);
    TRY(extend_param.enabled_cpus_num, -1);
    TRY(extend_param.n_batch, 200);
    TRY(extend_param.use_cross_attn, 1);
#if APUS_RKLLM_FAMILY == 13
    printf("null %d\n", rkllm_init(&handle, &param, NULL));
    RKLLMCallback callback = {.result_callback = take, .embed_callback = (LLMGetEmbedCallback)(void *)take};
    printf("embed_callback %d\n", rkllm_init(&handle, &param, &callback));
#else
    printf("null %d\n", rkllm_init(&handle, &param, NULL));
#endif
    printf("out %d\n", open_model(NULL));
}

/// calls: what the other functions refuse.
static void do_calls(char **words) {
    (void)words;
    quiet = true;
    must_open();
    RKLLMInput input = prompt("Hello");
    RKLLMInferParam infer = mode(RKLLM_INFER_GENERATE);
#define CALL(what) (printf(#what " %d\n", what), fflush(stdout))
    CALL(rkllm_run(handle, NULL, &infer, NULL));
    CALL(rkllm_run(NULL, &input, &infer, NULL));
    CALL(rkllm_run((LLMHandle)77, &input, &infer, NULL));
    input.prompt_input = "\xC3(";
    CALL(rkllm_run(handle, &input, &infer, NULL));
    input = prompt("Hello");
    input.role = "nobody";
    CALL(rkllm_run(handle, &input, &infer, NULL));
    input = prompt("Hello");
    input.input_type = (RKLLMInputType)9;
    CALL(rkllm_run(handle, &input, &infer, NULL));
    input.input_type = RKLLM_INPUT_MULTIMODAL;
    CALL(rkllm_run(handle, &input, &infer, NULL));
    input.input_type = RKLLM_INPUT_TOKEN;
    int32_t ids[] = {1, 1 << 30};
    input.token_input.input_ids = ids;
    input.token_input.n_tokens = 0;
    CALL(rkllm_run(handle, &input, &infer, NULL));
    input.token_input.n_tokens = (size_t)1 << 40;
    CALL(rkllm_run(handle, &input, &infer, NULL));
    input.token_input.n_tokens = 2;
    CALL(rkllm_run(handle, &input, &infer, NULL));
    input = prompt("Hello");
    infer.mode = (RKLLMInferMode)5;
    CALL(rkllm_run(handle, &input, &infer, NULL));
    infer.mode = RKLLM_INFER_GET_LOGITS;
    infer.keep_history = 1;
    CALL(rkllm_run(handle, &input, &infer, NULL));
    infer = mode(RKLLM_INFER_GENERATE);
    RKLLMLoraParam lora = {"adapter"};
    infer.lora_params = &lora;
    CALL(rkllm_run(handle, &input, &infer, NULL));
    infer = mode(RKLLM_INFER_GENERATE);
#if APUS_RKLLM_FAMILY == 13
    RKLLMSamplingParam sampling = {.top_p = 7};
    infer.sampling_params = &sampling;
    CALL(rkllm_run(handle, &input, &infer, NULL));
    infer.sampling_params = NULL;
#endif
    CALL(rkllm_load_lora(handle, NULL));
    CALL(rkllm_set_cross_attn_params(handle, NULL));
    CALL(rkllm_load_prompt_cache(handle, NULL));
    CALL(rkllm_load_prompt_cache(handle, "/nowhere/at-all"));
    CALL(rkllm_get_kv_cache_size(handle, NULL));
    int positions[] = {0};
    CALL(rkllm_clear_kv_cache(handle, 0, positions, NULL));
    CALL(rkllm_set_function_tools(handle, "", "{}", ""));
    CALL(rkllm_set_chat_template(handle, "a", NULL, NULL));
    CALL(rkllm_set_function_tools(handle, "", "[]", ""));
    CALL(rkllm_abort(handle));
    CALL(rkllm_abort(NULL));
    CALL(rkllm_destroy(handle));
    CALL(rkllm_destroy(handle));
}

/// board PROMPT: with what programs for a board set.
static void do_board(char **words) {
    quiet = true;
    param.extend_param.base_domain_id = 1;
    param.extend_param.embed_flash = 1;
    param.extend_param.enabled_cpus_num = 4;
    param.extend_param.enabled_cpus_mask = CPU4 | CPU5 | CPU6 | CPU7;
    must_open();
    struct record *record = fresh();
    print_record("run", run(handle, words[0], record), record);
}

/// frame SYSTEM PREFIX POSTFIX PROMPT
static void do_frame(char **words) {
    must_open();
    printf("template %d\n", rkllm_set_chat_template(handle, words[0], words[1], words[2]));
    struct record *record = fresh();
    print_record("run", run(handle, words[3], record), record);
    printf("template %d\n", rkllm_set_chat_template(handle, NULL, NULL, NULL));
    record = fresh();
    print_record("plain", run(handle, words[3], record), record);
}

/// tools SYSTEM TOOLS PROMPT
static void do_tools(char **words) {
    must_open();
    printf("tools %d\n", rkllm_set_function_tools(handle, words[0], words[1], "tool_response"));
    struct record *record = fresh();
    print_record("run", run(handle, words[2], record), record);
    RKLLMInput input = prompt("[4]");
    input.role = "tool";
    RKLLMInferParam infer = mode(RKLLM_INFER_GENERATE);
    record = fresh();
    print_record("answer", rkllm_run(handle, &input, &infer, record), record);
}

static void print_sizes(void) {
    int sizes[128] = {0};
    int code = rkllm_get_kv_cache_size(handle, sizes);
    printf("size %d %d\n", code, sizes[0]);
}

/// history PROMPT PROMPT: a conversation of two turns, and what forgets it.
static void do_history(char **words) {
    quiet = true;
    must_open();
    RKLLMInferParam infer = mode(RKLLM_INFER_GENERATE);
    infer.keep_history = 1;
    for (int i = 0; i < 2; i++) {
        RKLLMInput input = prompt(words[i]);
        struct record *record = fresh();
        print_record("turn", rkllm_run(handle, &input, &infer, record), record);
        printf("prefill %d\n", record->perf.prefill_tokens);
        print_sizes();
    }
    printf("clear %d\n", rkllm_clear_kv_cache(handle, 0, NULL, NULL));
    print_sizes();
    struct record *record = fresh();
    RKLLMInput input = prompt(words[1]);
    print_record("alone", rkllm_run(handle, &input, &infer, record), record);
    // A run that keeps nothing begins anew.
    record = fresh();
    print_record("single", run(handle, words[1], record), record);
    print_sizes();
}

static int32_t last_token;
static int choose(RKLLMResult *result, void *userdata, LLMCallState state) {
    (void)userdata;
    if (state == RKLLM_RUN_FINISH) printf("finish\n");
    if (state != RKLLM_RUN_NORMAL && state != RKLLM_RUN_WAITING) return 0;
    last_token = result->token_id;
    printf("normal 0 %d ", result->token_id);
    print_escaped(result->text);
    printf("\n");
    return 1;
}

/// choose PROMPT COUNT: the program takes each token itself and feeds it as the next input.
static void do_choose(char **words) {
#if APUS_RKLLM_FAMILY == 13
    RKLLMCallback callback = {.result_callback = choose};
    if (rkllm_init(&handle, &param, &callback) != 0) exit(3);
#else
    if (rkllm_init(&handle, &param, choose) != 0) exit(3);
#endif
    RKLLMInferParam infer = mode(RKLLM_INFER_GENERATE);
    RKLLMInput input = prompt(words[0]);
    for (int i = 0; i < atoi(words[1]); i++) {
        printf("run %d\n", rkllm_run(handle, &input, &infer, NULL));
        print_sizes();
        input.input_type = RKLLM_INPUT_TOKEN;
        input.token_input.input_ids = &last_token;
        input.token_input.n_tokens = 1;
    }
}

/// paused PROMPT AT: pauses, forgets a range, and what is refused when nothing is paused.
static void do_paused(char **words) {
    quiet = true;
    must_open();
    int start = 2, end = 5;
    struct record *record = fresh();
    print_record("run", run(handle, words[0], record), record);
    printf("early %d\n", rkllm_clear_kv_cache(handle, 0, &start, &end));
    record = fresh();
    record->answer = 1;
    record->answer_at = atoi(words[1]);
    print_record("pause", run(handle, words[0], record), record);
    printf("tokens %d\n", record->tokens);
    print_sizes();
    printf("range %d\n", rkllm_clear_kv_cache(handle, 0, &start, &end));
    print_sizes();
    start = 3, end = 1;
    printf("backwards %d\n", rkllm_clear_kv_cache(handle, 0, &start, &end));
    start = 0, end = 100000;
    printf("beyond %d\n", rkllm_clear_kv_cache(handle, 0, &start, &end));
    record = fresh();
    print_record("on", run(handle, words[0], record), record);
}

/// cache PROMPT PATH
static void do_cache(char **words) {
    quiet = true;
    must_open();
    RKLLMInput input = prompt(words[0]);
    RKLLMInferParam infer = mode(RKLLM_INFER_GENERATE);
    RKLLMPromptCacheParam cache = {1, words[1]};
    infer.prompt_cache_params = &cache;
    struct record *record = fresh();
    print_record("save", rkllm_run(handle, &input, &infer, record), record);
    printf("prefill %d\n", record->perf.prefill_tokens);
    rkllm_destroy(handle);
    must_open();
    printf("load %d\n", rkllm_load_prompt_cache(handle, words[1]));
    record = fresh();
    print_record("loaded", run(handle, words[0], record), record);
    printf("prefill %d\n", record->perf.prefill_tokens);
    printf("release %d\n", rkllm_release_prompt_cache(handle));
    cache.prompt_cache_path = "/nowhere/at-all";
    record = fresh();
    print_record("nowhere", rkllm_run(handle, &input, &infer, record), record);
    printf("broken %d\n", rkllm_load_prompt_cache(handle, "/proc/self/cmdline"));
}

#if APUS_RKLLM_FAMILY == 13
/// limits PROMPT: a run with parameters of its own.
static void do_limits(char **words) {
    must_open();
    RKLLMInput input = prompt(words[0]);
    RKLLMInferParam infer = mode(RKLLM_INFER_GENERATE);
    RKLLMSamplingParam sampling = {1, 0.9f, 0.8f, 1.5f, 0, 0, 0, 5, 0.1f};
    infer.sampling_params = &sampling;
    infer.max_new_tokens = 5;
    struct record *record = fresh();
    print_record("run", rkllm_run(handle, &input, &infer, record), record);
}
#endif

static const struct {
    const char *word;
    void (*run)(char **);
} commands[] = {
    {"layout", do_layout},   {"defaults", do_defaults}, {"run", do_run},       {"async", do_async},
    {"tokens", do_tokens},   {"embed", do_embed},       {"rows", do_rows},     {"batch", do_batch},
    {"cycles", do_cycles},   {"two", do_two},           {"moved", do_moved},   {"killed", do_killed},
    {"ignored", do_ignored}, {"aborts", do_aborts},     {"abort", do_abort},   {"busy", do_busy},
    {"destroyed", do_destroyed}, {"left", do_left},     {"userdata", do_userdata}, {"values", do_values},
    {"calls", do_calls},     {"board", do_board},       {"frame", do_frame},       {"tools", do_tools},
    {"history", do_history}, {"choose", do_choose},     {"paused", do_paused}, {"cache", do_cache},
#if APUS_RKLLM_FAMILY == 13
    {"limits", do_limits},
#endif
};

int main(int count, char **words) {
    if (count < 2) return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    model = getenv("MODEL") ? getenv("MODEL") : "demo";
    param = rkllm_createDefaultParam();
    param.model_path = model;
    param.top_k = (int)number(getenv("TOP_K"), 1);
    param.max_new_tokens = (int)number(getenv("TOKENS"), 24);
    param.max_context_len = (int)number(getenv("CONTEXT"), 0);
    if (getenv("TEMPERATURE")) param.temperature = (float)atof(getenv("TEMPERATURE")), param.top_k = 0, param.top_p = 1;
    // Penalties would be one more difference to what the tests compare with.
    param.repeat_penalty = 1;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(commands[i].word, words[1]) == 0) {
            commands[i].run(words + 2);
            return 0;
        }
    }
    return 2;
}
