// Loading the runtime's library, and what tells its families apart.

#include "library.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct apus_rkllm_library *apus_rkllm_open(const char *path, char *error, size_t error_bytes) {
    void *image = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!image) {
        const char *words = dlerror();
        snprintf(error, error_bytes, "%s", words ? words : "it cannot be loaded");
        return NULL;
    }
    struct apus_rkllm_library *library = calloc(1, sizeof *library);
    if (!library) {
        snprintf(error, error_bytes, "no memory");
        dlclose(image);
        return NULL;
    }
    *library = (struct apus_rkllm_library){
        .image = image,
        .create_default_param = dlsym(image, "rkllm_createDefaultParam"),
        .init = dlsym(image, "rkllm_init"),
        .run = dlsym(image, "rkllm_run"),
        .abort = dlsym(image, "rkllm_abort"),
        .destroy = dlsym(image, "rkllm_destroy"),
        .clear_kv_cache = dlsym(image, "rkllm_clear_kv_cache"),
        .get_kv_cache_size = dlsym(image, "rkllm_get_kv_cache_size"),
        .set_chat_template = dlsym(image, "rkllm_set_chat_template"),
        .set_function_tools = dlsym(image, "rkllm_set_function_tools"),
        .load_lora = dlsym(image, "rkllm_load_lora"),
        .load_prompt_cache = dlsym(image, "rkllm_load_prompt_cache"),
        .release_prompt_cache = dlsym(image, "rkllm_release_prompt_cache"),
        .set_cross_attn_params = dlsym(image, "rkllm_set_cross_attn_params"),
    };
    return library;
}

void apus_rkllm_close(struct apus_rkllm_library *library) {
    dlclose(library->image);
    free(library);
}

bool apus_rkllm_exports(const struct apus_rkllm_library *library, const char *function) {
    return dlsym(library->image, function) != NULL;
}

bool apus_rkllm_use(struct apus_rkllm_library *library, enum apus_rkllm_family family) {
    switch (family) {
    case apus_rkllm_110: library->calls = &rkllm_calls_110; break;
    case apus_rkllm_120: library->calls = &rkllm_calls_120; break;
    case apus_rkllm_121: library->calls = &rkllm_calls_121; break;
    case apus_rkllm_130: library->calls = &rkllm_calls_130; break;
    }
    return library->calls && library->create_default_param && library->init && library->run && library->abort &&
           library->destroy && (family < apus_rkllm_120 || library->clear_kv_cache);
}

// A structure that is returned by value is written where the caller has room for it. Room for more than any family's
// structure makes the call safe before the family is known.

struct default_bytes {
    uint8_t bytes[apus_rkllm_default_bytes];
};

void apus_rkllm_defaults(const struct apus_rkllm_library *library, uint8_t bytes[static apus_rkllm_default_bytes]) {
    // Made in a variable that is zero, so that what the function leaves alone reads as zero.
    union {
        struct default_bytes room;
        uint8_t bytes[apus_rkllm_default_bytes];
    } result = {};
    struct default_bytes (*create)(void) = (struct default_bytes(*)(void))library->create_default_param;
    result.room = create();
    memcpy(bytes, result.bytes, sizeof result.bytes);
}

// The banner names the runtime and has its version, in the file as "rkllm-runtime version: 1.2.1" or with the number
// close behind.

enum { banner_reach = 96 };

static int version_in(const char *text, size_t count) {
    for (size_t start = 0; start + 5 <= count; start++) {
        char copy[16] = {};
        memcpy(copy, text + start, count - start < 15 ? count - start : 15);
        int major, minor, patch;
        // Not in the middle of a longer number.
        bool begins = start == 0 || ((text[start - 1] < '0' || text[start - 1] > '9') && text[start - 1] != '.');
        if (begins && copy[0] >= '0' && copy[0] <= '9' && sscanf(copy, "%2d.%2d.%2d", &major, &minor, &patch) == 3)
            return major * 10000 + minor * 100 + patch;
    }
    return 0;
}

static int banner_version(const char *file, size_t size) {
    static const char *const names[] = {"rkllm-runtime version", "librkllmrt version"};
    for (size_t name = 0; name < sizeof names / sizeof *names; name++) {
        const char *found = memmem(file, size, names[name], strlen(names[name]));
        if (!found) continue;
        size_t rest = size - (size_t)(found - file);
        int version = version_in(found, rest < banner_reach ? rest : banner_reach);
        if (version) return version;
    }
    return 0;
}

int apus_rkllm_banner_version(const struct apus_rkllm_library *library) {
    Dl_info place;
    if (!library->run || !dladdr(library->run, &place) || !place.dli_fname) return 0;
    int file = open(place.dli_fname, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    struct stat status;
    int version = 0;
    if (fstat(file, &status) == 0 && status.st_size > 0) {
        size_t size = (size_t)status.st_size;
        void *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, file, 0);
        if (bytes != MAP_FAILED) {
            version = banner_version(bytes, size);
            munmap(bytes, size);
        }
    }
    close(file);
    return version;
}

// Calls: those of a family's own where structures or arguments differ, the rest here.

int apus_rkllm_load(const struct apus_rkllm_library *library, struct apus_rkllm_settings *settings, void **handle) {
    return library->calls->load(library, settings, handle);
}

int apus_rkllm_run(const struct apus_rkllm_library *library, void *handle, const struct apus_rkllm_run *run) {
    return library->calls->run(library, handle, run);
}

int apus_rkllm_abort(const struct apus_rkllm_library *library, void *handle) {
    return ((int (*)(void *))library->abort)(handle);
}

int apus_rkllm_unload(const struct apus_rkllm_library *library, void *handle) {
    return ((int (*)(void *))library->destroy)(handle);
}

int apus_rkllm_clear_cache(const struct apus_rkllm_library *library, void *handle, bool keeps_system_prompt) {
    if (!library->calls->clear_cache) return apus_rkllm_absent;
    return library->calls->clear_cache(library, handle, keeps_system_prompt);
}

int apus_rkllm_clear_ranges(const struct apus_rkllm_library *library, void *handle, int32_t *first, int32_t *end) {
    if (!library->calls->clear_ranges) return apus_rkllm_absent;
    return library->calls->clear_ranges(library, handle, first, end);
}

int apus_rkllm_cache_sizes(
    const struct apus_rkllm_library *library, void *handle, int32_t sizes[static apus_rkllm_batch_limit]) {
    if (!library->get_kv_cache_size) return apus_rkllm_absent;
    return ((int (*)(void *, int *))library->get_kv_cache_size)(handle, sizes);
}

int apus_rkllm_set_template(
    const struct apus_rkllm_library *library, void *handle, const char *system, const char *prefix, const char *postfix) {
    if (!library->set_chat_template) return apus_rkllm_absent;
    return ((int (*)(void *, const char *, const char *, const char *))library->set_chat_template)(
        handle, system, prefix, postfix);
}

int apus_rkllm_set_tools(
    const struct apus_rkllm_library *library, void *handle, const char *system, const char *tools, const char *response) {
    if (!library->set_function_tools) return apus_rkllm_absent;
    return ((int (*)(void *, const char *, const char *, const char *))library->set_function_tools)(
        handle, system, tools, response);
}

int apus_rkllm_load_adapter(
    const struct apus_rkllm_library *library, void *handle, const char *path, const char *name, float scale) {
    if (!library->load_lora) return apus_rkllm_absent;
    return library->calls->load_adapter(library, handle, path, name, scale);
}

int apus_rkllm_load_cache(const struct apus_rkllm_library *library, void *handle, const char *path) {
    if (!library->load_prompt_cache) return apus_rkllm_absent;
    return ((int (*)(void *, const char *))library->load_prompt_cache)(handle, path);
}

int apus_rkllm_release_cache(const struct apus_rkllm_library *library, void *handle) {
    if (!library->release_prompt_cache) return apus_rkllm_absent;
    return ((int (*)(void *))library->release_prompt_cache)(handle);
}

int apus_rkllm_set_cross_attention(
    const struct apus_rkllm_library *library, void *handle, const struct apus_rkllm_cross_attention *input) {
    if (!library->set_cross_attn_params || !library->calls->set_cross_attention) return apus_rkllm_absent;
    return library->calls->set_cross_attention(library, handle, input);
}
