// A stand-in for the Rockchip NPU runtime: does what the model file says, a line at a time.
//
// It is compiled once for each family of the binary interface (-DFAKE_ABI=110, 120, 121 or 130), exports the functions of
// that family's releases, and reads and writes every structure at the places that the documentation gives, without the
// headers of the engine that it tests.
//
// The model file has one instruction on each line:
//
//   record PATH          what the runtime is told is appended to the file
//   limit N              contexts above N are refused, with the line that the runtime prints
//   system N             positions of the template's system prompt
//   load WORD [N]        slow N (milliseconds), fail, null (success without a handle), crash, exit, abort, hang
//   second WORD [N]      the same when the same file is loaded again
//   at FUNCTION WORD     what the function does: crash, exit, abort, hang, fail (it returns -1), lie (of the cache's sizes).
//                        FUNCTION is load_lora, load_prompt_cache, release_prompt_cache, clear_kv_cache,
//                        get_kv_cache_size, set_chat_template, set_function_tools, set_cross_attn_params, abort, destroy
//   say TEXT             a token; \xNN is a byte and \_ a space
//   many N TEXT          the same token N times
//   echo                 a token with the prompt
//   state                a token with what the handle has: cache, template, tools, adapter, encoder, prompt cache
//   end ELEMENT          an input of the batch has come to its end, and has no tokens from here on
//   split TEXT           a result that waits for the rest of a character, with a part of TEXT, then a token with all of it
//   silent               a token without text
//   nothing              no result at all
//   delay N              milliseconds before each token from here on
//   prefill N            milliseconds in which an abort has no effect
//   stubborn             an abort never has any effect, and says so
//   hidden ROWS COLUMNS  hidden states, if they are asked for: element i is i / 4
//   logits ROWS COLUMNS  the same for logits
//   lie ROWS COLUMNS     a matrix of which only the first number is there
//   unknown              a result with a state that nobody knows
//   crash, exit, abort, hang
//   overrun              reads a byte behind a block of memory, which a sanitizer has to notice
//   reach                a token with what the process may do: read, write, socket, fork
//   on WORD INSTRUCTION  only if the prompt has the word
//   error                the run ends with an error, and a line about it
//   silence              the run ends without saying so
//   fail                 the run returns -1 at once
//
// A run that comes to the end of the file has finished. One whose callback answers 1 returns at once, and the next one
// goes on in the file where it was. A run counts the positions that it adds to the cache: the words of a prompt, the
// tokens or rows of other inputs, and each token that it says. Those of its input are its figures' prefill tokens.

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if FAKE_ABI == 110
enum { param_bytes = 200, extend = 80, result_bytes = 32 };
#define VERSION "1.1.4"
#elif FAKE_ABI == 120
enum { param_bytes = 208, extend = 88, result_bytes = 48 };
#define VERSION "1.2.0"
#elif FAKE_ABI == 121
enum { param_bytes = 208, extend = 88, result_bytes = 72 };
#define VERSION "1.2.3"
#else
enum { param_bytes = 184, extend = 60, result_bytes = 72 };
#define VERSION "1.3.0"
#endif

// The banner can be another release's, for tests of what the detection says about it.
#ifndef FAKE_BANNER
#define FAKE_BANNER VERSION
#endif
static const char banner[] = "rkllm-runtime version: " FAKE_BANNER ", rknpu driver version: 0.9.8, platform: none\n";

enum { normal = 0, waiting = 1, finish = 2, error = 3, hidden_layer = 4 };

enum { kept_strings = 4, adapters = 8, elements = 256 };

/// A string of the caller's, which has to last, and what it said.
struct kept {
    const char *now;
    char *then;
};

/// Numbers of the caller's, which have to last, and their sum.
struct numbers {
    const float *now;
    size_t count;
    double sum;
};

struct model {
    char *script, *record;
    struct kept kept[kept_strings];
    int (*callback)(void *result, void *userdata, int state);
    atomic_bool running, aborted;
    long delay;
    bool stubborn, uses_encoder;
    int batch;

    // What stays between runs.
    int positions, system;
    bool paused, kept_history;
    char *template, *tools;
    struct {
        char *name, *path;
        float scale;
    } adapters[adapters];
    char *cached_prompt;
    struct numbers keys, values, mask;
    const int32_t *encoder_positions;
    int encoder_tokens;

    // Of the run.
    const char *prompts[elements];
    const char *adapter;
    bool ended[elements];
    int added[elements];
    /// The line of the script, how often it was done, and the next token; the next run goes on there after a pause.
    int line, repeats;
    int32_t token;
};

// What is read and written, by its place.

static int32_t int_at(const void *base, size_t place) {
    int32_t value;
    memcpy(&value, (const char *)base + place, sizeof value);
    return value;
}

static float float_at(const void *base, size_t place) {
    float value;
    memcpy(&value, (const char *)base + place, sizeof value);
    return value;
}

static void *pointer_at(const void *base, size_t place) {
    void *value;
    memcpy(&value, (const char *)base + place, sizeof value);
    return value;
}

static int byte_at(const void *base, size_t place) { return ((const uint8_t *)base)[place]; }

static void put(void *base, size_t place, const void *value, size_t count) { memcpy((char *)base + place, value, count); }
static void put_int(void *base, size_t place, int32_t value) { put(base, place, &value, sizeof value); }
static void put_float(void *base, size_t place, float value) { put(base, place, &value, sizeof value); }
static void put_pointer(void *base, size_t place, const void *value) { put(base, place, &value, sizeof value); }

static void note(const struct model *model, const char *format, ...) {
    if (!model->record) return;
    FILE *file = fopen(model->record, "a");
    if (!file) return;
    va_list arguments;
    va_start(arguments, format);
    vfprintf(file, format, arguments);
    va_end(arguments);
    fputc('\n', file);
    fclose(file);
}

static void sleep_milliseconds(long count) {
    struct timespec time = {count / 1000, count % 1000 * 1000000};
    while (nanosleep(&time, &time) < 0) {}
}

static void hang(void) {
    for (;;) pause();
}

/// True for a word that ends everything here.
static bool die(const char *word) {
    if (!strcmp(word, "crash")) {
        signal(SIGSEGV, SIG_DFL);
        raise(SIGSEGV);
    } else if (!strcmp(word, "exit")) {
        exit(3);
    } else if (!strcmp(word, "abort")) {
        abort();
    } else if (!strcmp(word, "hang")) {
        hang();
    }
    return false;
}

/// What this process may do, in words.
static const char *reach(void) {
    static char words[64];
    words[0] = 0;
    int file = open("/etc/passwd", O_RDONLY);
    if (file >= 0) strcat(words, "read "), close(file);
    file = open("/tmp", O_TMPFILE | O_RDWR, 0600);
    if (file >= 0) strcat(words, "write "), close(file);
    file = socket(AF_UNIX, SOCK_STREAM, 0);
    if (file >= 0) strcat(words, "socket "), close(file);
    pid_t child = fork();
    if (child == 0) _exit(0);
    if (child > 0) strcat(words, "fork "), waitpid(child, NULL, 0);
    return words;
}

// Parameters

struct param {
    uint8_t bytes[param_bytes];
};

struct param rkllm_createDefaultParam(void) {
    struct param param = {};
    uint8_t *p = param.bytes;
    size_t floats = FAKE_ABI == 110 ? 20 : 24, flags = FAKE_ABI == 110 ? 52 : 56;
    put_int(p, 8, 512);
    put_int(p, 12, 256);
    put_int(p, 16, 40);
    put_float(p, floats, 0.9f);
    put_float(p, floats + 4, 0.8f);
    put_float(p, floats + 8, 1.1f);
    put_float(p, floats + 24, 5.0f);
    put_float(p, floats + 28, 0.1f);
    p[flags] = 1;
#if FAKE_ABI < 130
    size_t tags = FAKE_ABI == 110 ? 56 : 64;
    put_pointer(p, tags, "");
    put_pointer(p, tags + 8, "");
    put_pointer(p, tags + 16, "");
#endif
#if FAKE_ABI >= 120
    p[extend + 5] = 4;
    put_int(p, extend + 8, 0xF0);
#endif
#if FAKE_ABI >= 121
    p[extend + 12] = 1;
#endif
    return param;
}

static void note_param(const struct model *model, const void *p) {
    size_t floats = FAKE_ABI == 110 ? 20 : 24, flags = FAKE_ABI == 110 ? 52 : 56;
    note(model, "init context=%d new=%d top_k=%d top_p=%g temperature=%g repeat=%g frequency=%g presence=%g", int_at(p, 8),
         int_at(p, 12), int_at(p, 16), float_at(p, floats), float_at(p, floats + 4), float_at(p, floats + 8),
         float_at(p, floats + 12), float_at(p, floats + 16));
    note(model, "init mirostat=%d tau=%g eta=%g skip=%d async=%d domain=%d", int_at(p, floats + 20), float_at(p, floats + 24),
         float_at(p, floats + 28), byte_at(p, flags), byte_at(p, flags + (FAKE_ABI == 130 ? 2 : 1)), int_at(p, extend));
#if FAKE_ABI == 130
    note(model, "init ignore_eos=%d", byte_at(p, 57));
#endif
#if FAKE_ABI >= 120
    note(model, "init n_keep=%d flash=%d cpus=%d mask=%x", int_at(p, 20), byte_at(p, extend + 4), byte_at(p, extend + 5),
         (unsigned)int_at(p, extend + 8));
#endif
#if FAKE_ABI >= 121
    note(model, "init n_batch=%d cross=%d", byte_at(p, extend + 12), byte_at(p, extend + 13));
#endif
#if FAKE_ABI < 130
    size_t tags = FAKE_ABI == 110 ? 56 : 64;
    const char *content = pointer_at(p, tags + 16);
    if (*content)
        note(model, "init tags=%s %s %s", (const char *)pointer_at(p, tags), (const char *)pointer_at(p, tags + 8), content);
#endif
}

// The script

static char *read_file(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file) return NULL;
    char *text = calloc(1, 1 << 16);
    size_t count = fread(text, 1, (1 << 16) - 1, file);
    text[count] = 0;
    fclose(file);
    return text;
}

/// Cuts the next line off; NULL at the end.
static char *next_line(char **rest) {
    if (!*rest || !**rest) return NULL;
    char *line = *rest, *end = strchr(line, '\n');
    if (end) *end = 0;
    *rest = end ? end + 1 : line + strlen(line);
    return line;
}

static const char *after(const char *line, const char *word) {
    size_t count = strlen(word);
    if (strncmp(line, word, count) || (line[count] && line[count] != ' ')) return NULL;
    return line[count] ? line + count + 1 : line + count;
}

static char *unescaped(const char *text) {
    char *made = calloc(1, strlen(text) + 1), *end = made;
    for (; *text; text++) {
        unsigned byte;
        if (text[0] == '\\' && text[1] == 'x' && sscanf(text + 2, "%2x", &byte) == 1) {
            *end++ = (char)byte;
            text += 3;
        } else if (text[0] == '\\' && text[1] == '_') {
            *end++ = ' ';
            text++;
        } else {
            *end++ = *text;
        }
    }
    return made;
}

/// What the script says about a function: it may never come back. -1 if it fails, 1 if it lies.
static int trouble(struct model *model, const char *function) {
    char *copy = strdup(model->script), *rest = copy, *line;
    int code = 0;
    while ((line = next_line(&rest))) {
        const char *argument = after(line, "at");
        if (!argument || !(argument = after(argument, function))) continue;
        die(argument);
        code = !strcmp(argument, "fail") ? -1 : !strcmp(argument, "lie") ? 1 : 0;
    }
    free(copy);
    if (code < 0) fprintf(stderr, "E rkllm: %s failed\n", function);
    return code;
}

/// Whether the file has been loaded by this process before.
static bool was_loaded(const char *path) {
    static struct loaded {
        char *path;
        struct loaded *next;
    } *loaded;
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&lock);
    const struct loaded *found = loaded;
    while (found && strcmp(found->path, path)) found = found->next;
    if (!found) {
        struct loaded *entry = malloc(sizeof *entry);
        *entry = (struct loaded){strdup(path), loaded};
        loaded = entry;
    }
    pthread_mutex_unlock(&lock);
    return found != NULL;
}

static int load(struct model *model, const void *param, void **handle) {
    const char *word = was_loaded(model->kept[0].then) ? "second" : "load";
    char *copy = strdup(model->script), *rest = copy, *line;
    int code = 0, limit = 16384;
    while ((line = next_line(&rest))) {
        const char *argument;
        long number;
        if ((argument = after(line, "record"))) model->record = strdup(argument);
        if ((argument = after(line, "limit"))) limit = atoi(argument);
        if ((argument = after(line, "system"))) model->system = atoi(argument);
        if (!(argument = after(line, word))) continue;
        if (sscanf(argument, "slow %ld", &number) == 1) sleep_milliseconds(number);
        if (!strcmp(argument, "fail")) code = -1;
        if (!strcmp(argument, "null")) code = 1;
        die(argument);
    }
    free(copy);
    note_param(model, param);
    if (int_at(param, 8) > limit) {
        fprintf(stderr, "E rkllm: max_context_len[%d] exceeds the model's limit[%d]\n", int_at(param, 8), limit);
        return -1;
    }
    *handle = code ? NULL : model;
    return code < 0 ? -1 : 0;
}

static struct kept kept(const char *text) { return (struct kept){text, text ? strdup(text) : NULL}; }

/// Notes what the caller should have kept and did not.
static void check_kept(const struct model *model) {
    for (int index = 0; index < kept_strings; index++) {
        const struct kept *string = &model->kept[index];
        if (string->now && strcmp(string->now, string->then)) note(model, index ? "a tag did not last" : "the path did not last");
    }
}

#if FAKE_ABI == 130
int rkllm_init(void **handle, void *param, void *callback) {
    void *function = pointer_at(callback, 0);
#else
int rkllm_init(void **handle, void *param, void *function) {
#endif
    fputs(banner, stderr);
    struct model *model = calloc(1, sizeof *model);
    model->callback = (int (*)(void *, void *, int))function;
    model->kept[0] = kept(pointer_at(param, 0));
#if FAKE_ABI < 130
    size_t tags = FAKE_ABI == 110 ? 56 : 64;
    for (size_t tag = 0; tag < 3; tag++) model->kept[1 + tag] = kept(pointer_at(param, tags + 8 * tag));
#endif
    model->batch = 1;
#if FAKE_ABI >= 121
    model->batch = byte_at(param, extend + 12);
    model->uses_encoder = byte_at(param, extend + 13) == 1;
#endif
    model->script = read_file(model->kept[0].now);
    if (!model->script) {
        fprintf(stderr, "E rkllm: the model cannot be read\n");
        return -1;
    }
    return load(model, param, handle);
}

// Runs

/// Tells the caller, who may keep nothing of it: it is overwritten before its memory goes back.
///
/// Each element of the batch has a result of its own; `texts` has their texts, and those that have ended have neither text
/// nor token.
static int tell(struct model *model, void *userdata, int state, const char *const *texts, int32_t token,
                const void *matrix, size_t place, int32_t rows, int32_t columns) {
    size_t count = (size_t)model->batch;
    uint8_t *results = calloc(count, result_bytes);
    char *copies[elements];
    for (size_t index = 0; index < count; index++) {
        uint8_t *result = results + index * result_bytes;
        bool has = !model->ended[index];
        copies[index] = has && texts && texts[index] ? strdup(texts[index]) : NULL;
        put_pointer(result, 0, copies[index]);
        put_int(result, 8, has ? token : -1);
        if (matrix) {
            put_pointer(result, place, matrix);
            put_int(result, place + 8, columns);
            put_int(result, place + 12, rows);
        }
#if FAKE_ABI >= 121
        if (state == finish) {
            put_float(result, 48, 12.5f);
            put_int(result, 52, model->added[index]);
            put_float(result, 56, 80.0f);
            put_int(result, 60, 3);
            put_float(result, 64, 99.0f);
        }
#endif
    }
    int answer = model->callback(results, userdata, state);
    for (size_t index = 0; index < count; index++) {
        if (copies[index]) memset(copies[index], 0xDB, strlen(copies[index]));
        free(copies[index]);
    }
    memset(results, 0xDB, count * result_bytes);
    free(results);
    if (FAKE_ABI >= 130 && answer == 2) note(model, "released");
    return FAKE_ABI >= 121 ? answer : 0;
}

static int tell_nothing(struct model *model, void *userdata, int state) {
    return tell(model, userdata, state, NULL, 0, NULL, 0, 0, 0);
}

/// False if the run is over: it was aborted, or paused.
static bool tell_tokens(struct model *model, void *userdata, const char *const *texts) {
    sleep_milliseconds(model->delay);
    if (model->aborted && !model->stubborn) return false;
    model->positions++;
    model->paused = tell(model, userdata, normal, texts, model->token++, NULL, 0, 0, 0) == 1;
    return !model->paused;
}

static bool tell_token(struct model *model, void *userdata, const char *text) {
    const char *texts[elements];
    for (int index = 0; index < model->batch; index++) texts[index] = text;
    return tell_tokens(model, userdata, texts);
}

static void tell_matrix(struct model *model, void *userdata, size_t place, int32_t rows, int32_t columns, bool lies) {
    size_t count = lies ? 1 : (size_t)rows * (size_t)columns;
    float *values = malloc(count * sizeof *values);
    for (size_t index = 0; index < count; index++) values[index] = (float)index / 4;
    // First a result without rows, as the runtime does.
    tell_nothing(model, userdata, normal);
    int state = FAKE_ABI == 110 && place == 16 ? hidden_layer : normal;
    tell(model, userdata, state, NULL, 0, values, place, rows, columns);
    memset(values, 0xDB, count * sizeof *values);
    free(values);
}

// Inputs

enum { type_place = FAKE_ABI >= 121 ? 12 : 0, data_place = FAKE_ABI >= 121 ? 16 : 8 };
enum { input_bytes = FAKE_ABI == 130 ? 160 : FAKE_ABI == 121 ? 64 : 32 };

static double sum_of(const float *numbers, size_t count) {
    double sum = 0;
    for (size_t index = 0; index < count; index++) sum += numbers[index];
    return sum;
}

static long size_at(const void *base, size_t place) {
    uint64_t value;
    memcpy(&value, (const char *)base + place, sizeof value);
    return (long)value;
}

static const char *text_at(const void *base, size_t place) {
    const char *text = pointer_at(base, place);
    return text ? text : "none";
}

/// Every field of the family's structure.
static void note_multimodal(const struct model *model, const void *m) {
    const float *rows = pointer_at(m, 8);
    note(model, "run multimodal prompt=%s rows=%g tokens=%ld", text_at(m, 0), rows ? rows[0] : -1.0, size_at(m, 16));
#if FAKE_ABI == 121
    note(model, "run images=%ld width=%ld height=%ld", size_at(m, 24), size_at(m, 32), size_at(m, 40));
#elif FAKE_ABI == 130
    note(model, "run images=%ld width=%ld height=%ld start=%s end=%s content=%s", size_at(m, 24), size_at(m, 56),
         size_at(m, 64), text_at(m, 32), text_at(m, 40), text_at(m, 48));
    const float *frames = pointer_at(m, 72);
    note(model, "run videos=%ld frames=%ld tokens=%ld rows=%g width=%ld height=%ld start=%s end=%s content=%s",
         size_at(m, 96), size_at(m, 88), size_at(m, 80), frames ? frames[0] : -1.0, size_at(m, 128), size_at(m, 136),
         text_at(m, 104), text_at(m, 112), text_at(m, 120));
#endif
}

static void note_input(const struct model *model, const void *input) {
#if FAKE_ABI >= 121
    const char *role = pointer_at(input, 0);
    note(model, "run role=%s thinking=%d", role ? role : "none", byte_at(input, 8));
#endif
    const void *data = (const char *)input + data_place;
    switch (int_at(input, type_place)) {
    case 0: note(model, "run prompt=%s", (const char *)pointer_at(data, 0)); break;
    case 1: note(model, "run tokens=%d first=%d", int_at(data, 8), ((const int32_t *)pointer_at(data, 0))[0]); break;
    case 2: note(model, "run rows=%d first=%g", int_at(data, 8), ((const float *)pointer_at(data, 0))[0]); break;
    case 3: note_multimodal(model, data); break;
    }
}

static void note_infer(const struct model *model, const void *infer) {
    const void *adapter = pointer_at(infer, 8), *cache = pointer_at(infer, 16);
    note(model, "run mode=%d lora=%d cache=%d", int_at(infer, 0), adapter != NULL, cache != NULL);
    if (adapter) note(model, "run adapter=%s", text_at(adapter, 0));
    if (cache) note(model, "run saves=%d", int_at(cache, 0));
#if FAKE_ABI == 120 || FAKE_ABI == 121
    note(model, "run keep=%d", int_at(infer, 24));
#endif
#if FAKE_ABI == 130
    note(model, "run keep=%d new=%d", int_at(infer, 32), int_at(infer, 36));
    const void *s = pointer_at(infer, 24);
    if (s)
        note(model, "run top_k=%d top_p=%g temperature=%g repeat=%g frequency=%g presence=%g mirostat=%d tau=%g eta=%g",
             int_at(s, 0), float_at(s, 4), float_at(s, 8), float_at(s, 12), float_at(s, 16), float_at(s, 20), int_at(s, 24),
             float_at(s, 28), float_at(s, 32));
#endif
}

static int words_of(const char *text) {
    int count = 0;
    for (const char *at = text; *at; at++) count += *at != ' ' && (at == text || at[-1] == ' ');
    return count;
}

/// Positions of an input; all of it is read, so that the address sanitizer sees what did not last.
static int read_input(const void *input) {
    const void *data = (const char *)input + data_place;
    switch (int_at(input, type_place)) {
    case 0: return words_of(pointer_at(data, 0));
    case 1: {
        const int32_t *ids = pointer_at(data, 0);
        int32_t sum = 0;
        for (long index = 0; index < size_at(data, 8); index++) sum ^= ids[index];
        return (int)size_at(data, 8) + (sum == INT32_MIN);
    }
    case 2: return (int)size_at(data, 8);
    default: {
        long images = FAKE_ABI >= 121 ? size_at(data, 24) : 1;
        long rows = pointer_at(data, 8) ? images * size_at(data, 16) : 0;
        double sum = sum_of(pointer_at(data, 8), (size_t)rows);
#if FAKE_ABI == 130
        long frames = pointer_at(data, 72) ? size_at(data, 80) * size_at(data, 88) * size_at(data, 96) : 0;
        sum += sum_of(pointer_at(data, 72), (size_t)frames);
        rows += frames;
#endif
        return words_of(pointer_at(data, 0)) + (int)rows + (sum != sum);
    }
    }
}

static const char *prompt_of(const void *input) {
    int type = int_at(input, type_place);
    return type == 0 || type == 3 ? pointer_at(input, data_place) : "";
}

// Steps

static bool tell_state(struct model *model, void *userdata) {
    char words[512];
    snprintf(words, sizeof words, "kv=%d template=%s tools=%s adapter=%s encoder=%d cached=%s", model->positions,
             model->template ? model->template : "model", model->tools ? model->tools : "none",
             model->adapter ? model->adapter : "none", model->encoder_tokens,
             model->cached_prompt ? model->cached_prompt : "none");
    return tell_token(model, userdata, words);
}

/// The run has ended with an error, or without a word.
enum { stop_failed = -1, stop_silent = 1 };

/// Does what one line says; false when the run is over.
static bool step(struct model *model, char *line, int mode, void *userdata, int *code) {
    const char *argument;
    int32_t rows, columns;
    long number;
    char word[32];
    if (sscanf(line, "on %31s ", word) == 1) {
        if (!strstr(model->prompts[0], word)) return true;
        line = strchr(line + 3, ' ') + 1;
    }
    if (!strcmp(line, "reach")) return tell_token(model, userdata, reach());
    if (!strcmp(line, "state")) return tell_state(model, userdata);
    if ((argument = after(line, "say")) || (argument = after(line, "split"))) {
        char *text = unescaped(argument);
        if (!strncmp(line, "split", 5)) {
            const char part[2] = {text[0], 0};
            const char *parts[elements];
            for (int index = 0; index < model->batch; index++) parts[index] = part;
            tell(model, userdata, waiting, parts, model->token++, NULL, 0, 0, 0);
        }
        bool goes_on = tell_token(model, userdata, text);
        free(text);
        return goes_on;
    }
    if (sscanf(line, "many %ld ", &number) == 1) {
        char *text = unescaped(strchr(line + 5, ' ') + 1);
        bool goes_on = true;
        while (goes_on && model->repeats < number) {
            model->repeats++;
            goes_on = tell_token(model, userdata, text);
        }
        free(text);
        // After a pause the rest of them follows.
        if (model->paused && model->repeats < number) model->line--;
        else model->repeats = 0;
        return goes_on;
    }
    if (!strcmp(line, "echo")) return tell_tokens(model, userdata, model->prompts);
    if (!strcmp(line, "silent")) return tell_token(model, userdata, NULL);
    if (!strcmp(line, "nothing")) model->callback(NULL, userdata, normal);
    if (!strcmp(line, "unknown")) tell_nothing(model, userdata, 77);
    if ((argument = after(line, "delay"))) model->delay = atol(argument);
    if ((argument = after(line, "end"))) model->ended[atoi(argument) & (elements - 1)] = true;
    if (!strcmp(line, "stubborn")) model->stubborn = true;
    if (!strcmp(line, "overrun")) {
        volatile char *block = malloc(8);
        if (block[8] == 77) model->delay++;
        free((void *)block);
    }
    if ((argument = after(line, "prefill"))) {
        sleep_milliseconds(atol(argument));
        if (model->aborted && !model->stubborn) return false;
    }
    if (mode == 1 && sscanf(line, "hidden %d %d", &rows, &columns) == 2)
        tell_matrix(model, userdata, 16, rows, columns, false);
    if (mode == 2 && sscanf(line, "logits %d %d", &rows, &columns) == 2)
        tell_matrix(model, userdata, 32, rows, columns, false);
    if (mode == 1 && sscanf(line, "lie %d %d", &rows, &columns) == 2) tell_matrix(model, userdata, 16, rows, columns, true);
    die(line);
    if (!strcmp(line, "error")) {
        fprintf(stderr, "E rkllm: the prompt is longer than the context\n");
        tell_nothing(model, userdata, error);
        *code = stop_failed;
        return false;
    }
    if (!strcmp(line, "silence")) {
        *code = stop_silent;
        return false;
    }
    if (!strcmp(line, "fail")) {
        *code = stop_failed;
        return false;
    }
    return true;
}

/// The line of the script with the number; NULL behind the last one.
static char *line_number(char *rest, int number) {
    char *line = next_line(&rest);
    while (line && number-- > 0) line = next_line(&rest);
    return line;
}

static void save_cache(struct model *model, const char *path) {
    FILE *file = fopen(path, "wb");
    if (!file) {
        fprintf(stderr, "E rkllm: the prompt cache cannot be written\n");
        return;
    }
    fprintf(file, "FAKE CACHE %s", model->prompts[0]);
    fclose(file);
}

/// What the run begins with; false if it cannot begin.
static bool begin(struct model *model, const void *input, const void *infer) {
    for (int index = 0; index < model->batch; index++) {
        const char *element = (const char *)input + (size_t)index * input_bytes;
        note_input(model, element);
        model->prompts[index] = prompt_of(element);
        model->added[index] = read_input(element);
        model->ended[index] = false;
    }
    note_infer(model, infer);
    bool keeps = false;
#if FAKE_ABI >= 120
    keeps = int_at(infer, FAKE_ABI == 130 ? 32 : 24) != 0;
#endif
    if (model->paused) {
        note(model, "run goes on");
    } else {
        (model->line = 0, model->repeats = 0, model->token = 100);
        if (!keeps || !model->kept_history) model->positions = 0;
    }
    (model->paused = false, model->kept_history = keeps);
    const char *cached = model->cached_prompt;
    if (cached && !strncmp(model->prompts[0], cached, strlen(cached))) note(model, "run reuses %d", words_of(cached));
    model->positions += model->added[0];
    const void *adapter = pointer_at(infer, 8);
    model->adapter = adapter ? pointer_at(adapter, 0) : NULL;
    bool found = !model->adapter;
    for (int index = 0; index < adapters && !found; index++)
        found = model->adapters[index].name && !strcmp(model->adapters[index].name, model->adapter);
    if (!found) fprintf(stderr, "E rkllm: there is no adapter %s\n", model->adapter);
    if (model->encoder_tokens) {
        bool lasts = sum_of(model->keys.now, model->keys.count) == model->keys.sum &&
                     sum_of(model->values.now, model->values.count) == model->values.sum &&
                     sum_of(model->mask.now, model->mask.count) == model->mask.sum;
        note(model, lasts ? "run encoder=%d last=%d" : "the encoder's output did not last", model->encoder_tokens,
             model->encoder_positions[model->encoder_tokens - 1]);
    }
    return found;
}

int rkllm_run(void *handle, void *input, void *infer, void *userdata) {
    struct model *model = handle;
    if (atomic_exchange(&model->running, true)) {
        note(model, "two runs at once");
        return -1;
    }
    // An abort that came too early is forgotten.
    model->aborted = false;
    model->delay = 0;
    check_kept(model);
    int code = begin(model, input, infer) ? 0 : stop_failed;
    bool goes_on = code == 0;
    while (goes_on) {
        char *copy = strdup(model->script), *line = line_number(copy, model->line++);
        goes_on = line && step(model, line, int_at(infer, 0), userdata, &code);
        free(copy);
    }
    if (model->aborted) note(model, "aborted");
    // The input has to last until the end.
    for (int index = 0; index < model->batch; index++) read_input((const char *)input + (size_t)index * input_bytes);
    const void *cache = pointer_at(infer, 16);
    if (code == 0 && cache && int_at(cache, 0) == 1) save_cache(model, pointer_at(cache, 8));
    if (model->paused) note(model, "paused");
    else if (code == 0) tell_nothing(model, userdata, finish);
    if (!model->paused && !model->kept_history) model->positions = 0;
    model->running = false;
    return code < 0 ? -1 : 0;
}

/// Never comes back, as in one release.
int rkllm_run_async(void *handle, void *input, void *infer, void *userdata) {
    (void)input, (void)infer, (void)userdata;
    note(handle, "run_async");
    hang();
    return 0;
}

int rkllm_abort(void *handle) {
    struct model *model = handle;
    note(model, "abort");
    if (trouble(model, "abort") < 0 || model->stubborn) return -1;
    model->aborted = true;
    return 0;
}

/// What its number means depends on the release.
int rkllm_is_running(void *handle) {
    struct model *model = handle;
    note(model, "is_running");
    return FAKE_ABI >= 130 ? model->running : !model->running;
}

int rkllm_destroy(void *handle) {
    struct model *model = handle;
    check_kept(model);
    note(model, "destroy");
    return trouble(model, "destroy") < 0 ? -1 : 0;
}

// What stays between runs

int rkllm_load_lora(void *handle, void *adapter) {
    struct model *model = handle;
    note(model, "load_lora name=%s scale=%g", text_at(adapter, 8), float_at(adapter, 16));
    int code = trouble(model, "load_lora");
    char *text = read_file(text_at(adapter, 0));
    if (!text || strncmp(text, "FAKE ADAPTER", 12)) {
        fprintf(stderr, "E rkllm: this is no adapter\n");
        code = -1;
    }
    free(text);
    for (int index = 0; code == 0 && index < adapters; index++) {
        if (model->adapters[index].name) continue;
        model->adapters[index].name = strdup(text_at(adapter, 8));
        model->adapters[index].scale = float_at(adapter, 16);
        return 0;
    }
    return code < 0 ? -1 : 0;
}

int rkllm_load_prompt_cache(void *handle, const char *path) {
    struct model *model = handle;
    note(model, "load_prompt_cache");
    int code = trouble(model, "load_prompt_cache");
    char *text = read_file(path);
    if (model->cached_prompt) {
        fprintf(stderr, "E rkllm: another prompt cache is loaded\n");
        code = -1;
    }
    if (!text || strncmp(text, "FAKE CACHE ", 11)) {
        fprintf(stderr, "E rkllm: this is no prompt cache\n");
        code = -1;
    }
    if (code == 0) model->cached_prompt = strdup(text + 11);
    free(text);
    return code < 0 ? -1 : 0;
}

int rkllm_release_prompt_cache(void *handle) {
    struct model *model = handle;
    note(model, "release_prompt_cache");
    free(model->cached_prompt);
    model->cached_prompt = NULL;
    return trouble(model, "release_prompt_cache") < 0 ? -1 : 0;
}

#if FAKE_ABI >= 120
static void clear_all(struct model *model, int keep_system_prompt) {
    int kept = keep_system_prompt && model->system < model->positions ? model->system : 0;
    model->positions = kept;
    (model->paused = false, model->kept_history = false);
}
#endif

#if FAKE_ABI == 120
int rkllm_clear_kv_cache(void *handle, int keep_system_prompt) {
    note(handle, "clear keep_system_prompt=%d", keep_system_prompt);
    int code = trouble(handle, "clear_kv_cache");
    if (code == 0) clear_all(handle, keep_system_prompt);
    return code < 0 ? -1 : 0;
}
#elif FAKE_ABI >= 121
int rkllm_clear_kv_cache(void *handle, int keep_system_prompt, int *start, int *end) {
    struct model *model = handle;
    int code = trouble(model, "clear_kv_cache");
    if (!start && !end) {
        note(model, "clear keep_system_prompt=%d", keep_system_prompt);
        if (code == 0) clear_all(model, keep_system_prompt);
        return code < 0 ? -1 : 0;
    }
    for (int index = 0; index < model->batch; index++) note(model, "clear range %d %d", start[index], end[index]);
    if (!model->paused || model->kept_history) {
        fprintf(stderr, "E rkllm: a range can be cleared while a run is paused\n");
        return -1;
    }
    int last = end[0] < model->positions ? end[0] : model->positions;
    if (code == 0 && start[0] < last) model->positions -= last - start[0];
    return code < 0 ? -1 : 0;
}
#endif

#if FAKE_ABI >= 120
int rkllm_set_chat_template(void *handle, const char *system, const char *prefix, const char *postfix) {
    struct model *model = handle;
    note(model, "set_chat_template [%s][%s][%s]", system, prefix, postfix);
    int code = trouble(model, "set_chat_template");
    if (code) return -1;
    clear_all(model, 0);
    free(model->template);
    if (asprintf(&model->template, "[%s][%s][%s]", system, prefix, postfix) < 0) abort();
    free(model->tools);
    model->tools = NULL;
    return 0;
}
#endif

#if FAKE_ABI >= 121
int rkllm_get_kv_cache_size(void *handle, int *sizes) {
    struct model *model = handle;
    int code = trouble(model, "get_kv_cache_size");
    for (int index = 0; index < model->batch; index++) sizes[index] = code > 0 ? -12345 : model->positions;
    note(model, "get_kv_cache_size");
    return code < 0 ? -1 : 0;
}

int rkllm_set_function_tools(void *handle, const char *system, const char *tools, const char *response) {
    struct model *model = handle;
    note(model, "set_function_tools [%s][%s][%s]", system, tools, response);
    if (trouble(model, "set_function_tools")) return -1;
    // The model's own template is gone, and its tools with it.
    if (model->template) {
        note(model, "tools after a template");
        return 0;
    }
    clear_all(model, 0);
    free(model->tools);
    model->tools = strdup(tools);
    return 0;
}

int rkllm_set_cross_attn_params(void *handle, void *params) {
    struct model *model = handle;
    int code = trouble(model, "set_cross_attn_params");
    if (!params) {
        note(model, "set_cross_attn_params none");
        if (code == 0) model->encoder_tokens = 0;
        return code < 0 ? -1 : 0;
    }
    int tokens = int_at(params, 32);
    const float *keys = pointer_at(params, 0), *values = pointer_at(params, 8), *mask = pointer_at(params, 16);
    const int32_t *positions = pointer_at(params, 24);
    note(model, "set_cross_attn_params tokens=%d key=%g value=%g mask=%g position=%d", tokens, keys[0], values[0], mask[0],
         positions[0]);
    if (!model->uses_encoder) return -1;
    if (code < 0) return -1;
    model->encoder_tokens = tokens;
    // Two layers of one head with one dimension.
    model->keys = (struct numbers){keys, (size_t)tokens * 2, sum_of(keys, (size_t)tokens * 2)};
    model->values = (struct numbers){values, (size_t)tokens * 2, sum_of(values, (size_t)tokens * 2)};
    model->mask = (struct numbers){mask, (size_t)tokens, sum_of(mask, (size_t)tokens)};
    model->encoder_positions = positions;
    return 0;
}
#endif
