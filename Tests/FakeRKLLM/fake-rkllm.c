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
//   load WORD [N]        slow N (milliseconds), fail, null (success without a handle), crash, exit, abort, hang
//   say TEXT             a token; \xNN is a byte and \_ a space
//   many N TEXT          the same token N times
//   echo                 a token with the prompt
//   split TEXT           a result that waits for the rest of a character, with a part of TEXT, then a token with all of it
//   silent               a token without text
//   nothing              no result at all
//   delay N              milliseconds before each token from here on
//   prefill N            milliseconds in which an abort has no effect
//   stubborn             an abort never has any effect
//   hidden ROWS COLUMNS  hidden states, if they are asked for: element i is i / 4
//   logits ROWS COLUMNS  the same for logits
//   lie ROWS COLUMNS     a matrix of which only the first number is there
//   unknown              a result with a state that nobody knows
//   crash, exit, abort, hang
//   reach                a token with what the process may do: read, write, socket, fork
//   on WORD INSTRUCTION  only if the prompt has the word
//   error                the run ends with an error, and a line about it
//   silence              the run ends without saying so
//   fail                 the run returns -1 at once
//
// A run that comes to the end of the file has finished.

#include <fcntl.h>
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

struct model {
    char *script, *record;
    /// The caller's string, which has to last, and what it said.
    const char *path, *path_then;
    int (*callback)(void *result, void *userdata, int state);
    atomic_bool running, aborted;
    long delay;
    bool stubborn;
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

static int load(struct model *model, const void *param, void **handle) {
    char *copy = strdup(model->script), *rest = copy, *line;
    int code = 0, limit = 16384;
    while ((line = next_line(&rest))) {
        const char *argument;
        long number;
        if ((argument = after(line, "record"))) model->record = strdup(argument);
        if ((argument = after(line, "limit"))) limit = atoi(argument);
        if (!(argument = after(line, "load"))) continue;
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

#if FAKE_ABI == 130
int rkllm_init(void **handle, void *param, void *callback) {
    void *function = pointer_at(callback, 0);
#else
int rkllm_init(void **handle, void *param, void *function) {
#endif
    fputs(banner, stderr);
    struct model *model = calloc(1, sizeof *model);
    model->callback = (int (*)(void *, void *, int))function;
    model->path = pointer_at(param, 0);
    model->path_then = strdup(model->path);
    model->script = read_file(model->path);
    if (!model->script) {
        fprintf(stderr, "E rkllm: the model cannot be read\n");
        return -1;
    }
    return load(model, param, handle);
}

// Runs

/// Tells the caller, who may keep nothing of it: it is overwritten before its memory goes back.
static int tell(struct model *model, void *userdata, int state, const char *text, int32_t token, const void *matrix,
                size_t place, int32_t rows, int32_t columns) {
    uint8_t *result = calloc(1, result_bytes);
    char *copy = text ? strdup(text) : NULL;
    put_pointer(result, 0, copy);
    put_int(result, 8, token);
    if (matrix) {
        put_pointer(result, place, matrix);
        put_int(result, place + 8, columns);
        put_int(result, place + 12, rows);
    }
#if FAKE_ABI >= 121
    if (state == finish) {
        put_float(result, 48, 12.5f);
        put_int(result, 52, 7);
        put_float(result, 56, 80.0f);
        put_int(result, 60, 3);
        put_float(result, 64, 99.0f);
    }
#endif
    int answer = model->callback(result, userdata, state);
    if (copy) memset(copy, 0xDB, strlen(copy));
    free(copy);
    memset(result, 0xDB, result_bytes);
    free(result);
    if (FAKE_ABI >= 130 && answer == 2) note(model, "released");
    return FAKE_ABI >= 121 ? answer : 0;
}

static int tell_token(struct model *model, void *userdata, const char *text, int32_t token) {
    sleep_milliseconds(model->delay);
    if (model->aborted && !model->stubborn) return 1;
    return tell(model, userdata, normal, text, token, NULL, 0, 0, 0);
}

static void tell_matrix(struct model *model, void *userdata, size_t place, int32_t rows, int32_t columns, bool lies) {
    size_t count = lies ? 1 : (size_t)rows * (size_t)columns;
    float *values = malloc(count * sizeof *values);
    for (size_t index = 0; index < count; index++) values[index] = (float)index / 4;
    // First a result without rows, as the runtime does.
    tell(model, userdata, normal, NULL, 0, NULL, 0, 0, 0);
    int state = FAKE_ABI == 110 && place == 16 ? hidden_layer : normal;
    tell(model, userdata, state, NULL, 0, values, place, rows, columns);
    memset(values, 0xDB, count * sizeof *values);
    free(values);
}

static void note_run(const struct model *model, const void *input, const void *infer) {
    size_t type = FAKE_ABI >= 121 ? 12 : 0, data = FAKE_ABI >= 121 ? 16 : 8;
#if FAKE_ABI >= 121
    const char *role = pointer_at(input, 0);
    note(model, "run role=%s thinking=%d", role ? role : "none", byte_at(input, 8));
#endif
    switch (int_at(input, type)) {
    case 0: note(model, "run prompt=%s", (const char *)pointer_at(input, data)); break;
    case 1: {
        const int32_t *ids = pointer_at(input, data);
        note(model, "run tokens=%d first=%d", int_at(input, data + 8), ids[0]);
        break;
    }
    case 2: {
        const float *rows = pointer_at(input, data);
        note(model, "run rows=%d first=%g", int_at(input, data + 8), rows[0]);
        break;
    }
    }
    note(model, "run mode=%d lora=%d cache=%d", int_at(infer, 0), pointer_at(infer, 8) != NULL, pointer_at(infer, 16) != NULL);
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

/// Does what one line says; false when the run is over.
static bool step(struct model *model, char *line, const char *prompt, int mode, void *userdata, int *code, int32_t *token) {
    const char *argument;
    int32_t rows, columns;
    long number;
    char word[32];
    if (sscanf(line, "on %31s ", word) == 1) {
        if (!strstr(prompt, word)) return true;
        line = strchr(line + 3, ' ') + 1;
    }
    if (!strcmp(line, "reach")) return tell_token(model, userdata, reach(), (*token)++) != 1;
    if ((argument = after(line, "say")) || (argument = after(line, "split"))) {
        char *text = unescaped(argument);
        bool splits = !strncmp(line, "split", 5);
        if (splits) {
            char part[2] = {text[0], 0};
            tell(model, userdata, waiting, part, (*token)++, NULL, 0, 0, 0);
        }
        bool goes_on = tell_token(model, userdata, text, (*token)++) != 1;
        free(text);
        return goes_on;
    }
    if (sscanf(line, "many %ld ", &number) == 1) {
        char *text = unescaped(strchr(line + 5, ' ') + 1);
        bool goes_on = true;
        while (goes_on && number-- > 0) goes_on = tell_token(model, userdata, text, (*token)++) != 1;
        free(text);
        return goes_on;
    }
    if (!strcmp(line, "echo")) return tell_token(model, userdata, prompt, (*token)++) != 1;
    if (!strcmp(line, "silent")) return tell_token(model, userdata, NULL, (*token)++) != 1;
    if (!strcmp(line, "nothing")) model->callback(NULL, userdata, normal);
    if (!strcmp(line, "unknown")) tell(model, userdata, 77, "?", 1, NULL, 0, 0, 0);
    if ((argument = after(line, "delay"))) model->delay = atol(argument);
    if (!strcmp(line, "stubborn")) model->stubborn = true;
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
        tell(model, userdata, error, NULL, 0, NULL, 0, 0, 0);
        *code = -1;
        return false;
    }
    if (!strcmp(line, "silence")) {
        *code = 1;
        return false;
    }
    if (!strcmp(line, "fail")) {
        *code = -1;
        return false;
    }
    return true;
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
    if (strcmp(model->path, model->path_then)) note(model, "the path did not last");
    note_run(model, input, infer);
    size_t type = FAKE_ABI >= 121 ? 12 : 0, data = FAKE_ABI >= 121 ? 16 : 8;
    const char *prompt = int_at(input, type) == 0 ? pointer_at(input, data) : "";
    char *copy = strdup(model->script), *rest = copy, *line;
    int code = 0;
    int32_t token = 100;
    bool goes_on = true;
    while (goes_on && (line = next_line(&rest)))
        goes_on = step(model, line, prompt, int_at(infer, 0), userdata, &code, &token);
    free(copy);
    if (model->aborted) note(model, "aborted");
    if (code == 0) tell(model, userdata, finish, NULL, 0, NULL, 0, 0, 0);
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
    note(model, strcmp(model->path, model->path_then) ? "destroy after the path" : "destroy");
    return 0;
}

int rkllm_load_lora(void *handle, void *adapter) {
    note(handle, "load_lora %p", adapter);
    return 0;
}

int rkllm_load_prompt_cache(void *handle, const char *path) {
    note(handle, "load_prompt_cache %s", path);
    return 0;
}

int rkllm_release_prompt_cache(void *handle) {
    note(handle, "release_prompt_cache");
    return 0;
}

#if FAKE_ABI == 120
int rkllm_clear_kv_cache(void *handle, int keep_system_prompt) {
    note(handle, "clear keep_system_prompt=%d", keep_system_prompt);
    return 0;
}
#elif FAKE_ABI >= 121
int rkllm_clear_kv_cache(void *handle, int keep_system_prompt, int *start, int *end) {
    note(handle, "clear keep_system_prompt=%d%s", keep_system_prompt, start || end ? " range" : "");
    return 0;
}
#endif

#if FAKE_ABI >= 120
int rkllm_set_chat_template(void *handle, const char *system, const char *prefix, const char *postfix) {
    note(handle, "set_chat_template %s %s %s", system, prefix, postfix);
    return 0;
}
#endif

#if FAKE_ABI >= 121
int rkllm_get_kv_cache_size(void *handle, int *sizes) {
    sizes[0] = 0;
    note(handle, "get_kv_cache_size");
    return 0;
}

int rkllm_set_function_tools(void *handle, const char *system, const char *tools, const char *response) {
    note(handle, "set_function_tools %s %s %s", system, tools, response);
    return 0;
}

int rkllm_set_cross_attn_params(void *handle, void *params) {
    note(handle, "set_cross_attn_params %p", params);
    return 0;
}
#endif
